"""Cut a Debian-based container image down to what its application can reach."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("debloat")
except PackageNotFoundError:  # run from a tree that was never installed
    __version__ = "0+unknown"
