"""Services of a stack that Compose starts: recorded in it, and proven in it with minimal images in their places."""
