"""Cut a Debian-based container image down to what its application can reach."""

__version__ = "0.1.0"
"""Here, for it stands in every image that is made: to look it up in the package's metadata takes 15 ms."""
