"""Which paths are documentation: files that no program needs, whatever package they come in."""

from __future__ import annotations

TREES: tuple[str, ...] = (
    "/usr/share/doc/",
    "/usr/share/man/",
    "/usr/share/info/",
    "/usr/share/doc-base/",
    "/usr/share/lintian/",
    "/usr/share/linda/",
    "/usr/share/bug/",
    "/usr/share/gtk-doc/",
    "/usr/share/help/",
    "/usr/share/gnome/help/",
    "/usr/share/omf/",
)
"""Where Debian puts documentation, and what only its archive's checkers read (policy 12, hier(7), lintian)."""


def is_documentation(path: str) -> bool:
    """Whether a real path lies in a documentation tree; a package's copyright file is documentation too."""
    return path.startswith(TREES)


def copyright_file(package: str) -> str:
    """Where policy 12.5 has the licence of a package, given its bare name."""
    return f"/usr/share/doc/{package}/copyright"
