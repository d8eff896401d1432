"""What an image is made of, as values: pure functions over its root file system, packages and layers."""
