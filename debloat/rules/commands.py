"""Command words of scripts and programs, resolved as execvp(3) resolves them: through the image's PATH."""

from __future__ import annotations

from collections.abc import Iterator

from debloat.closure import World

SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Searched after the image's PATH: scripts that run as root (cron, init, `su -`) get these directories."""

MAX_WORD = 4096
"""Longer words are no path (PATH_MAX, limits.h)."""


def on_path(world: World, word: str) -> str | None:
    """The path of the program that `word` runs, links in it not followed; None where the image has none.

    A word with a slash is a path by itself, and must be absolute; any other is looked up in the directories of
    PATH, then in the system's.
    """
    return command(world, word, cwd=None)


def command(world: World, word: str, cwd: str | None = "/") -> str | None:
    """As `on_path`; a word with a slash that is not absolute is taken relative to `cwd`."""
    if not word or len(word) > MAX_WORD or "\0" in word or word.endswith("/"):
        return None
    if "/" in word:
        if not word.startswith("/"):
            if cwd is None:
                return None
            word = f"{cwd.rstrip('/')}/{word}"
        return word if runnable(world, word) else None
    return next((path for path in _candidates(world, word) if runnable(world, path)), None)


def runnable(world: World, path: str) -> bool:
    """Whether `path` leads to a regular file that someone may execute."""
    entry = world.rootfs.lookup(path)
    return entry is not None and entry.executable


def _candidates(world: World, word: str) -> Iterator[str]:
    for directory in dict.fromkeys((*world.config.path, *SYSTEM_PATH)):
        if directory.startswith("/"):
            yield f"{directory.rstrip('/')}/{word}"
