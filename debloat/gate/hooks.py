"""The pre-push hook: installing it in a git repository, and finding out fast whether anything relevant has changed.

When nothing has changed, this is all that a push waits for. So only the standard library is imported here, and
`pathspec` where there is a .dockerignore.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import shlex
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from msgspec import Struct

from debloat.core.errors import UsageError
from debloat.engine.sockets import sockets
from debloat.gate.dockerignore import Dockerignore

MARK = "# debloat pre-push hook"
BEFORE = "pre-push.before-debloat"
STAMP = "debloat-stamp"
FILES = ("Dockerfile", ".dockerignore", "debloat.lock", "debloat.toml", "pyproject.toml")
"""Files that are compared by content, even where .dockerignore excludes them."""
MAX_FILES = 200_000
"""Files of a build context that are compared."""
ENGINE_TIMEOUT = 5.0
"""Seconds."""

_SCRIPT = """#!/bin/sh
{mark}, made by `debloat hook install`; `debloat hook install --uninstall` removes it
before="$(dirname "$0")/{before}"
if [ -x "$before" ]; then
    "$before" "$@" || exit $?
fi
python={python}
if [ -x "$python" ]; then
    exec "$python" -m debloat hook run{image}
fi
exec debloat hook run{image}
"""


def script(image: str | None, python: str = sys.executable) -> str:
    """The text of the hook. It first runs the hook it was chained to, which alone reads git's list of references."""
    argument = f" {shlex.quote(image)}" if image else ""
    return _SCRIPT.format(mark=MARK, before=BEFORE, python=shlex.quote(python), image=argument)


def install(directory: Path, image: str | None, *, chain: bool = False) -> Path:
    """Write the hook into a directory of hooks, and return its path. UsageError where there is another, unless `chain`.

    With `chain` the other is kept under another name, and run first.
    """
    hook, before = directory / "pre-push", directory / BEFORE
    if _is_foreign(hook):
        if not chain:
            raise UsageError(
                f"there is a pre-push hook already: {hook}",
                "run `debloat hook install --chain` to keep it and run it first,"
                " or add the line `debloat hook run || exit 1` to it",
            )
        if before.exists():
            raise UsageError(f"cannot chain the pre-push hook: {before} is in the way", "remove one of the two")
        hook.rename(before)
    directory.mkdir(parents=True, exist_ok=True)
    hook.write_text(script(image))
    hook.chmod(0o755)
    return hook


def uninstall(directory: Path) -> bool:
    """Remove the hook and put back the one it was chained to. False where there is no hook of debloat's."""
    hook, before = directory / "pre-push", directory / BEFORE
    if not hook.exists() or _is_foreign(hook):
        return False
    hook.unlink()
    if before.exists():
        before.rename(hook)
    return True


def _is_foreign(hook: Path) -> bool:
    return hook.is_file() and MARK not in hook.read_text("utf-8", "replace")


def git_directory(directory: Path) -> Path:
    """The `.git` directory of the working tree that `directory` is in (gitrepository-layout(5)); UsageError without."""
    variable = os.environ.get("GIT_DIR")
    if variable:
        return Path(variable).resolve()
    for parent in (directory, *directory.parents):
        git = parent / ".git"
        if git.is_dir():
            return git
        if git.is_file():
            text = git.read_text("utf-8", "replace")
            if text.startswith("gitdir: "):
                return (parent / text.removeprefix("gitdir: ").strip()).resolve()
    raise UsageError(f"{directory} is not in a git repository", "run it in one, or `git init`")


# ---------------------------------------------------------------------------------------- the stamp


class State(Struct, frozen=True):
    """What a check depends on: digests of FILES (names, contents) and of the context (stat(2)), and the image's id."""

    files: str
    context: str
    image: str

    def text(self) -> str:
        return f"debloat-stamp 1 {self.files} {self.context} {self.image}\n"


def state(directory: Path, image: str) -> State:
    """The state of the build context `directory` now; `image` is the image's id."""
    files = hashlib.sha256()
    for name in FILES:
        with contextlib.suppress(OSError):
            files.update(f"{name}\0".encode() + hashlib.sha256((directory / name).read_bytes()).digest())
    return State(files.hexdigest(), context_digest(directory), image or "-")


def unchanged(stamp: Path, now: State) -> bool:
    """Whether the last check that passed was of the same state."""
    try:
        return stamp.read_text() == now.text()
    except (OSError, UnicodeDecodeError):
        return False


def remember(stamp: Path, now: State) -> None:
    """Write down that a check of this state has passed. Best effort: without the stamp the next push checks again."""
    with contextlib.suppress(OSError):
        stamp.write_text(now.text())


def stale(stamp: Path, now: State) -> bool:
    """Whether the build context has changed since the last check that passed while the image is still the same."""
    try:
        words = stamp.read_text().split()
    except (OSError, UnicodeDecodeError):
        return False
    return len(words) == 5 and words[4] == now.image and words[3] != now.context


def context_digest(directory: Path) -> str:
    """A digest of the names, sizes, modes and modification times in the build context, without what .dockerignore
    excludes."""
    ignored = Dockerignore("")
    with contextlib.suppress(OSError):
        ignored = Dockerignore((directory / ".dockerignore").read_text("utf-8", "replace"))
    digest = hashlib.sha256()
    for count, line in enumerate(_walk(str(directory), "", ignored)):
        digest.update(line)
        if count > MAX_FILES:
            break
    return digest.hexdigest()


def _walk(root: str, below: str, ignored: Dockerignore) -> Iterator[bytes]:
    try:
        with os.scandir(f"{root}/{below}") as listing:
            entries = sorted(listing, key=lambda e: e.name)
    except OSError:
        return
    for entry in entries:
        name = f"{below}{entry.name}"
        left_out = ignored(name)
        if name == ".git" or (left_out and not ignored.excepts):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, f"{name}/", ignored)
        elif not left_out:
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                line = f"{name}\0{status.st_size} {status.st_mode} {status.st_mtime_ns}\n"
                yield line.encode("utf-8", "surrogateescape")


# ---------------------------------------------------------------------------------------- the image


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=ENGINE_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ENGINE_TIMEOUT)
        self.sock.connect(self._path)


def image_id(reference: str) -> str | None:
    """The id of an image, asked of an engine behind a unix socket.

    Empty where the engine has no such image; None where no engine answers, or only one that is reached otherwise.
    """
    for path in sockets():
        connection = _UnixConnection(path)
        try:
            connection.connect()
        except OSError:
            continue  # nothing answers there
        try:
            return _image_id(connection, reference)
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            return None
        finally:
            connection.close()
    return None


def _image_id(connection: http.client.HTTPConnection, reference: str) -> str | None:
    connection.request("GET", f"/images/{quote(reference, safe='/:@')}/json")
    answer = connection.getresponse()
    body = answer.read(16 << 20)
    if answer.status == 404:
        return ""
    identifier = json.loads(body)["Id"] if answer.status == 200 else None
    return identifier if isinstance(identifier, str) else None


def locked_reference(directory: Path) -> str:
    """The reference in the first lines of `directory`'s lock; empty where there is no lock."""
    with contextlib.suppress(OSError), (directory / "debloat.lock").open("rb") as file:
        for line in file.read(4096).split(b"\n")[:6]:
            if line.startswith(b"image\t"):
                return line[6:].decode("utf-8", "replace")
    return ""
