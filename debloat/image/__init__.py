"""An image as a value: its root file system, how it is read, how one is written."""
