"""A minimal image that no engine has yet, as a root file system that can be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from debloat.cut import Minimal
from debloat.image.rootfs import Rootfs


class _Carved:
    """The contents of a minimal image: those of the original, but of files that were rewritten."""

    def __init__(self, original: Rootfs, rewritten: Mapping[str, bytes]) -> None:
        self._original = original
        self._rewritten = rewritten

    def fetch(self, paths: Iterable[str], limit: int | None = None) -> None:
        self._original.fetch((path for path in paths if path not in self._rewritten), limit)

    def read(self, path: str, limit: int | None = None) -> bytes:
        known = self._rewritten.get(path)
        return self._original.read(path, limit) if known is None else known[:limit]

    def chunks(self, path: str) -> Iterator[bytes]:
        known = self._rewritten.get(path)
        yield from self._original.chunks(path) if known is None else (known,)


def minimal_rootfs(original: Rootfs, minimal: Minimal) -> Rootfs:
    """The root file system of a minimal image, before any engine has it."""
    contents = _Carved(original, {k.entry.path: k.content for k in minimal.kept if k.content is not None})
    return Rootfs((k.entry for k in minimal.kept), contents)
