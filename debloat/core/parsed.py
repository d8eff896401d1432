"""A cache of what was read out of texts: an image that is closed again has few new files.

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
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    import sqlite3

MAX_CACHE_BYTES = 64 << 20
"""Size of the file above which it is emptied: some hundred thousand texts."""
MIN_CACHED_BYTES = 512
"""Bytes of a text below which reading it costs no more than a lookup in the cache."""

_CHECK = 8

P = ParamSpec("P")
T = TypeVar("T")


def cache_path() -> Path:
    """Where the cache is: below `$XDG_CACHE_HOME`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "debloat" / "parsed.sqlite"


def clear_cache() -> None:
    """Remove the cache."""
    with contextlib.suppress(OSError):
        cache_path().unlink(missing_ok=True)


class _Cache:
    """The open file; sqlite3.Error where it cannot be read. Threads may share it until it is closed."""

    def __init__(self, path: Path) -> None:
        import sqlite3

        self.error = sqlite3.Error
        self._path = path
        self._new: dict[bytes, bytes] = {}
        self._asking = threading.Lock()
        self._file: sqlite3.Connection = sqlite3.connect(path, timeout=0.5, check_same_thread=False)
        self._file.execute("CREATE TABLE IF NOT EXISTS parsed (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")

    def get(self, key: bytes) -> Any:
        """The value of a key; None where there is none or it is damaged."""
        with contextlib.suppress(self.error, ValueError, TypeError), self._asking:
            row = self._file.execute("SELECT value FROM parsed WHERE key = ?", (key,)).fetchone()
            if row is not None and _digest(row[0][_CHECK:]) == row[0][:_CHECK]:
                return json.loads(row[0][_CHECK:])
        return None

    def put(self, key: bytes, value: Any) -> None:
        """Note a value, for `close` to write."""
        data = json.dumps(value, separators=(",", ":")).encode()
        self._new[key] = _digest(data) + data

    def close(self) -> None:
        """Write what is new, in one transaction."""
        try:
            if self._new:
                if self._path.stat().st_size > MAX_CACHE_BYTES:
                    self._file.execute("DELETE FROM parsed")
                    self._file.commit()
                    self._file.execute("VACUUM")
                self._file.executemany("INSERT OR REPLACE INTO parsed VALUES (?, ?)", self._new.items())
                self._file.commit()
        finally:
            self._file.close()


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_CHECK).digest()


_cache: _Cache | None = None


@contextlib.contextmanager
def open_cache() -> Iterator[None]:
    """A block in which functions marked `cached` look up and store what they give."""
    global _cache
    before = _cache
    _cache = _open(cache_path())
    try:
        yield
    finally:
        cache, _cache = _cache, before
        if cache is not None:
            with contextlib.suppress(cache.error, OSError):
                cache.close()


def _open(path: Path) -> _Cache | None:
    """The file, created where it is missing or damaged; None where it cannot be used."""
    import sqlite3

    for _ in range(2):
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return _Cache(path)
        except sqlite3.OperationalError:
            return None  # locked, or no place to write
        except sqlite3.DatabaseError:
            clear_cache()
        except OSError:
            return None
    return None


@functools.cache
def _code() -> bytes:
    """A digest of the code that reads texts and files: all of this package, and the Python that runs it."""
    digest = hashlib.blake2b(sys.version.encode(), digest_size=32)
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()


def cached(
    encode: Callable[[T], Any], decode: Callable[[Any], T]
) -> Callable[[Callable[Concatenate[bytes, P], T]], Callable[Concatenate[bytes, P], T]]:
    """Cache a function of a text and of plain values; `encode` makes JSON of its value, `decode` reads that back."""

    def decorate(read: Callable[Concatenate[bytes, P], T]) -> Callable[Concatenate[bytes, P], T]:
        name = f"{read.__module__}.{read.__qualname__}"

        @functools.wraps(read)
        def reader(text: bytes, /, *args: P.args, **kwargs: P.kwargs) -> T:
            if _cache is None or len(text) < MIN_CACHED_BYTES:
                return read(text, *args, **kwargs)
            digest = hashlib.blake2b(f"{name} {args} {kwargs}\0".encode(), digest_size=20, key=_code())
            digest.update(text)
            key = digest.digest()
            encoded = _cache.get(key)
            if encoded is not None:
                with contextlib.suppress(ValueError, TypeError, KeyError, IndexError):
                    return decode(encoded)
            value = read(text, *args, **kwargs)
            _cache.put(key, encode(value))
            return value

        return reader

    return decorate
