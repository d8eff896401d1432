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

from debloat import __version__

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


class _Facts:
    """What is known of one text: by the name of the function that reads it, what that gave, as JSON has it."""

    __slots__ = ("found", "key", "text")

    def __init__(self, text: bytes, key: bytes, found: dict[str, Any]) -> None:
        self.text, self.key, self.found = text, key, found


class _Cache:
    """The open file; sqlite3.Error where it cannot be read. Threads may share it until it is closed.

    All that is known of a text is one row, so that the many functions that read a file in turn cost one digest of it.
    """

    def __init__(self, path: Path) -> None:
        import sqlite3

        self._code = _code()
        self.error = sqlite3.Error
        self._path = path
        self._changed: dict[bytes, dict[str, Any]] = {}
        self._last = threading.local()
        self._asking = threading.Lock()
        self._file: sqlite3.Connection = sqlite3.connect(path, timeout=0.5, check_same_thread=False)
        self._file.execute("CREATE TABLE IF NOT EXISTS facts (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")

    def facts(self, text: bytes) -> _Facts:
        """What is known of a text."""
        last: _Facts | None = getattr(self._last, "facts", None)
        if last is None or last.text is not text:
            digest = hashlib.sha256(self._code)
            digest.update(text)
            key = digest.digest()
            with self._asking:
                known = self._changed.get(key)
                last = self._last.facts = _Facts(text, key, self._get(key) if known is None else known)
        return last

    def _get(self, key: bytes) -> dict[str, Any]:
        """The value of a key; an empty one where there is none or it is damaged."""
        with contextlib.suppress(self.error, ValueError, TypeError):
            row = self._file.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
            if row is not None and _digest(row[0][_CHECK:]) == row[0][:_CHECK]:
                found = json.loads(row[0][_CHECK:])
                if isinstance(found, dict):
                    return found
        return {}

    def put(self, facts: _Facts, name: str, value: Any) -> None:
        """Note what a function gave, for `close` to write."""
        with self._asking:
            known = self._changed.setdefault(facts.key, facts.found)
            known[name] = facts.found[name] = value

    def close(self) -> None:
        """Write what is new, in one transaction. Of two runs that learned of one text at once, one learned in vain."""
        try:
            if self._changed:
                if self._path.stat().st_size > MAX_CACHE_BYTES:
                    self._file.execute("DELETE FROM facts")
                    self._file.commit()
                    self._file.execute("VACUUM")
                self._file.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", self._rows())
                self._file.commit()
        finally:
            self._file.close()

    def _rows(self) -> Iterator[tuple[bytes, bytes]]:
        with self._asking:
            changed = list(self._changed.items())  # a thread that an interrupted run does not wait for may go on
        for key, found in changed:
            data = json.dumps(found, separators=(",", ":")).encode()
            yield key, _digest(data) + data


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
    """A digest of what identifies the code that reads texts and files: all of this package, and the Python that runs
    it."""
    return identifying(Path(__file__).parents[1])


def identifying(package: Path) -> bytes:
    """A digest that another version of a package, and another Python, have not.

    Of files it takes size and time, by which Python tells whether what it has compiled is still of them.
    """
    found = sorted(_sources(package))
    return hashlib.blake2b(f"{__version__} {sys.version} {found}".encode(), digest_size=32).digest()


def _sources(directory: Path | str) -> Iterator[tuple[str, int, int]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _sources(entry.path)
            elif entry.name.endswith(".py"):
                known = entry.stat()
                yield entry.path, known.st_size, known.st_mtime_ns


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
            facts = _cache.facts(text)
            asked = f"{name}{args}{kwargs}" if args or kwargs else name
            if asked in facts.found:
                with contextlib.suppress(ValueError, TypeError, KeyError, IndexError):
                    return decode(facts.found[asked])
            value = read(text, *args, **kwargs)
            _cache.put(facts, asked, encode(value))
            return value

        return reader

    return decorate
