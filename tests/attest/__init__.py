"""Documents about an image that others read."""
