"""Cut a Debian-based container image down to what its application can reach."""


def __getattr__(name: str) -> str:
    """`__version__`, looked up when it is asked for: the look-up takes longer than loading the command line."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = version("debloat")
    except PackageNotFoundError:  # run from a tree that was never installed
        found = "0+unknown"
    globals()[name] = found
    return found
