"""What images there are: their configurations by id, and the names that lead to them.

Called by who has locked the place.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

from msgspec import Struct
from msgspec.structs import replace

from debloat.core.errors import EngineUnavailable
from debloat.core.model import Image
from debloat.core.reference import full_name
from debloat.embedded.place import Place
from debloat.store.documents import image_of

_HUB = ("docker.io/library/", "docker.io/")


class Name(Struct, frozen=True):
    """A name of an image; `fetched` says that it can be had again where it came from."""

    name: str
    id: str
    fetched: bool


class Images:
    """The images below a place."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def add(self, config: bytes) -> str:
        """Note an image by its configuration; its id."""
        identifier = f"sha256:{hashlib.sha256(config).hexdigest()}"
        _write(self._path(identifier), config)
        return identifier

    def remove(self, identifier: str) -> None:
        self._path(identifier).unlink(missing_ok=True)

    def _path(self, identifier: str) -> Path:
        return self._place.images / identifier.removeprefix("sha256:")

    def ids(self) -> list[str]:
        """The ids of all images, those used last at the end."""
        found = [(path.stat().st_mtime_ns, path.name) for path in self._place.images.glob("[!.]*")]
        return [f"sha256:{name}" for _, name in sorted(found)]

    def use(self, identifier: str) -> None:
        """Note that an image is used."""
        with contextlib.suppress(OSError):
            os.utime(self._path(identifier))

    def image(self, identifier: str, reference: str = "") -> Image:
        """An image by its id. EngineUnavailable where its configuration is damaged."""
        try:
            config = self._path(identifier).read_bytes()
            names = tuple(sorted(name.name for name in self.names() if name.id == identifier))
            return replace(image_of(config, identifier, reference, names, 0), reference=reference)
        except (OSError, ValueError) as error:
            raise EngineUnavailable(
                f"cannot read the image {identifier[:19]}: {error}",
                f"remove {self._place.home}, which is filled again when it is needed",
            ) from error

    def find(self, reference: str) -> str:
        """The id of what a name means, or the beginning of an id; empty where there is none."""
        with contextlib.suppress(OSError):
            return self._read(self._place.names / _file(reference)).id
        digits = reference.removeprefix("sha256:")
        if not re.fullmatch(r"[0-9a-f]{4,64}", digits):
            return ""
        found = [path.name for path in self._place.images.glob(f"{digits}*")]
        return f"sha256:{found[0]}" if len(found) == 1 else ""

    def name(self, identifier: str, reference: str, *, fetched: bool) -> None:
        """Give an image a name, which no other has from then on."""
        _write(self._place.names / _file(reference), f"{identifier}\n{'fetched' if fetched else 'made'}\n".encode())

    def unname(self, reference: str) -> str:
        """Take a name away; the id of the image it meant, or empty."""
        path = self._place.names / _file(reference)
        try:
            identifier = self._read(path).id
            path.unlink()
        except OSError:
            return ""
        return identifier

    def names(self) -> Iterator[Name]:
        """All names, sorted."""
        for path in sorted(self._place.names.glob("[!.]*")):
            with contextlib.suppress(OSError):
                yield self._read(path)

    @staticmethod
    def _read(path: Path) -> Name:
        identifier, _, how = path.read_text("utf-8").strip().partition("\n")
        return Name(_shown(unquote(path.name)), identifier, how == "fetched")


def _file(reference: str) -> str:
    return quote(full_name(reference), safe=":@")


def _shown(name: str) -> str:
    """A name as people write it."""
    for prefix in _HUB:
        name = name.removeprefix(prefix)
    return name


def _write(path: Path, data: bytes) -> None:
    draft = path.with_name(f".{path.name[:100]}.{os.getpid()}")
    draft.write_bytes(data)
    draft.rename(path)
