"""What was read out of texts, kept for the next run: an image that is closed again has few files that are new.

A cache and nothing more. A value is found by a digest of the text and of all code that reads texts, so no version of
the tool sees another's; it is JSON behind a digest of its own, and where anything is wrong the text is read again. One
SQLite file holds it, which runs at the same time may share; what is wrong with that only makes a run slower.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    import sqlite3

MOST_BYTES = 64 << 20
"""Size of the file above which it is begun anew: some hundred thousand texts."""
WORTH = 512
"""Bytes of a text up to which reading it costs no more than looking for what was read."""

_CHECK = 8

P = ParamSpec("P")
T = TypeVar("T")


def place() -> Path:
    """Where it is kept: below `$XDG_CACHE_HOME`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "debloat" / "parsed.sqlite"


def forget() -> None:
    """Remove what is kept."""
    with contextlib.suppress(OSError):
        place().unlink(missing_ok=True)


class _Shelf:
    """The open file; sqlite3.Error where it cannot be read."""

    def __init__(self, path: Path) -> None:
        import sqlite3

        self.error = sqlite3.Error
        self._path = path
        self._new: dict[bytes, bytes] = {}
        self._file: sqlite3.Connection = sqlite3.connect(path, timeout=0.5)
        self._file.execute("CREATE TABLE IF NOT EXISTS parsed (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")

    def get(self, key: bytes) -> Any:
        """What was put there; None where there is nothing, or nothing sound."""
        with contextlib.suppress(self.error, ValueError, TypeError):
            row = self._file.execute("SELECT value FROM parsed WHERE key = ?", (key,)).fetchone()
            if row is not None and _digest(row[0][_CHECK:]) == row[0][:_CHECK]:
                return json.loads(row[0][_CHECK:])
        return None

    def put(self, key: bytes, value: Any) -> None:
        data = json.dumps(value, separators=(",", ":")).encode()
        self._new[key] = _digest(data) + data

    def close(self) -> None:
        """Write down what is new, in one transaction."""
        try:
            if self._new:
                if self._path.stat().st_size > MOST_BYTES:
                    self._file.execute("DELETE FROM parsed")
                    self._file.commit()
                    self._file.execute("VACUUM")
                self._file.executemany("INSERT OR REPLACE INTO parsed VALUES (?, ?)", self._new.items())
                self._file.commit()
        finally:
            self._file.close()


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_CHECK).digest()


_shelf: _Shelf | None = None


@contextlib.contextmanager
def opened() -> Iterator[None]:
    """A block in which readers look up what they read before, and what they read is kept."""
    global _shelf
    before = _shelf
    _shelf = _opened(place())
    try:
        yield
    finally:
        shelf, _shelf = _shelf, before
        if shelf is not None:
            with contextlib.suppress(shelf.error, OSError):
                shelf.close()


def _opened(path: Path) -> _Shelf | None:
    """The file, made where there is none or no sound one; None where it cannot be used."""
    import sqlite3

    for _ in range(2):
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return _Shelf(path)
        except sqlite3.OperationalError:
            return None  # locked, or no place to write
        except sqlite3.DatabaseError:
            forget()
        except OSError:
            return None
    return None


@functools.cache
def _code() -> bytes:
    """A digest of the code that reads texts: every rule, and the Python that runs it."""
    digest = hashlib.blake2b(sys.version.encode(), digest_size=32)
    for path in sorted((Path(__file__).parent).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()


def remembered(
    encode: Callable[[T], Any], decode: Callable[[Any], T]
) -> Callable[[Callable[Concatenate[bytes, P], T]], Callable[Concatenate[bytes, P], T]]:
    """Keep what a function of a text and of plain values gives; `encode` makes JSON of it, `decode` reads that back."""

    def decorate(read: Callable[Concatenate[bytes, P], T]) -> Callable[Concatenate[bytes, P], T]:
        name = f"{read.__module__}.{read.__qualname__}"

        @functools.wraps(read)
        def reader(text: bytes, /, *more: P.args, **named: P.kwargs) -> T:
            if _shelf is None or len(text) < WORTH:
                return read(text, *more, **named)
            digest = hashlib.blake2b(f"{name} {more} {named}\0".encode(), digest_size=20, key=_code())
            digest.update(text)
            key = digest.digest()
            known = _shelf.get(key)
            if known is not None:
                with contextlib.suppress(ValueError, TypeError, KeyError, IndexError):
                    return decode(known)
            found = read(text, *more, **named)
            _shelf.put(key, encode(found))
            return found

        return reader

    return decorate
