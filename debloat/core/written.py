"""Files that are written whole or not at all, and whether they can be."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from debloat.core.errors import UsageError
from debloat.core.places import place_of


def must_be_writable(path: Path) -> None:
    """UsageError where `path` cannot be written to, found out before any work; makes nothing."""
    place = place_of(path)
    directory = place.path.parent
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    try:
        if place.path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if place.descriptor >= 0:
            os.fstat(place.descriptor)
        elif not place.replaced:
            if not os.access(place.path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        else:
            with tempfile.TemporaryFile(dir=directory):
                pass
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror or error}", "name a place that can be written"
        ) from error


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path to write to that becomes `path` when the block ends well, and vanishes otherwise.

    A link leads to the file that is replaced; a device, a pipe or a descriptor (`/dev/stdout`) gets the bytes.
    UsageError where it cannot be written.
    """
    draft: Path | None = None
    place = place_of(path)
    try:
        if place.replaced:
            place.path.parent.mkdir(parents=True, exist_ok=True)
        directory = place.path.parent if place.replaced else None
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=directory)
        os.close(handle)
        draft = Path(name)
        yield draft
        if place.replaced:
            umask = os.umask(0)
            os.umask(umask)
            draft.chmod(0o666 & ~umask)
            draft.replace(place.path)
        else:
            with draft.open("rb") as whole, place.open() as out:
                shutil.copyfileobj(whole, out)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror or error}", "name a place that can be written"
        ) from error
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)
