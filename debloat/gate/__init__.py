"""The gate: rules over an image and its lock, what breaks them, and where to show it."""
