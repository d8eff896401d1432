"""Files that are written whole or not at all, and whether they can be."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from debloat.core.errors import UsageError


def must_be_writable(path: Path) -> None:
    """UsageError where a file cannot be made in the directory of `path`, found out before any work; makes nothing."""
    directory = path.absolute().parent
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror or error}", "name a place that can be written"
        ) from error


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path to write to that becomes `path` when the block ends well, and vanishes otherwise.

    UsageError where it cannot be written.
    """
    draft: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
        os.close(handle)
        draft = Path(name)
        yield draft
        umask = os.umask(0)
        os.umask(umask)
        draft.chmod(0o666 & ~umask)
        draft.replace(path)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror or error}", "name a place that can be written"
        ) from error
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)
