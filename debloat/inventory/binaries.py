"""Packages that are linked into a program, where its compiler wrote them into the file.

Go: the section `.go.buildinfo` in its form since Go 1.18 (`debug/buildinfo` of the standard library). Rust:
`.dep-v0` of cargo-auditable, JSON compressed by zlib. A program without them says nothing, and nothing is guessed.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterable, Iterator

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from debloat.elf.facts import MAGIC
from debloat.image.rootfs import Rootfs
from debloat.inventory.languages import sane
from debloat.inventory.model import Component

MAX_PROGRAM = 512 << 20
"""Bytes of a program that is looked into."""
MAX_SECTION = 16 << 20

_GO_MAGIC = b"\xff Go buildinf:"
_GO_INLINE = 2
"""The flag of texts that stand in the section itself."""
_SENTINEL = 16
"""Bytes around the module information, which mark it for `go version`."""


def linked(rootfs: Rootfs, paths: Iterable[str]) -> Iterator[Component]:
    """The modules and crates in these programs."""
    for path in paths:
        entry = rootfs.get(path)
        if entry is None or not entry.is_file or not 64 <= entry.size <= MAX_PROGRAM:
            continue
        if rootfs.read(path, 4) != MAGIC:
            continue
        go, rust = sections(rootfs.read(path), ".go.buildinfo", ".dep-v0")
        for kind, found in (("golang", modules(go)), ("cargo", crates(rust))):
            for name, version in found:
                yield Component(kind, name, version, (path,))


def sections(data: bytes, *names: str) -> tuple[bytes, ...]:
    """The contents of an ELF file's sections; empty for those that it does not have."""
    try:
        elf = ELFFile(io.BytesIO(data))
        found = [elf.get_section_by_name(name) for name in names]
        return tuple(b"" if s is None or s["sh_size"] > MAX_SECTION else s.data() for s in found)
    except (ELFError, UnicodeError, ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError):
        return tuple(b"" for _ in names)
    except (struct.error, MemoryError, RecursionError, zlib.error):
        return tuple(b"" for _ in names)


def modules(section: bytes) -> list[tuple[str, str]]:
    """The modules of a Go program with their versions, and the standard library; what has no version is left out."""
    if not section.startswith(_GO_MAGIC) or len(section) < 33 or not section[15] & _GO_INLINE:
        return []
    version, rest = _counted(section[32:])
    table, _ = _counted(rest)
    found = []
    if version.startswith(b"go1") and sane(release := version.decode("ascii", "replace")[2:].split(" ")[0]):
        found.append(("stdlib", release))
    lines = table[_SENTINEL:-_SENTINEL].decode("utf-8", "replace").split("\n")
    pending: tuple[str, str] | None = None
    for line in lines:
        word, *fields = line.split("\t")
        if word not in ("mod", "dep", "=>") or len(fields) < 2:
            continue
        if word == "=>" and pending in found and pending is not None:
            found.remove(pending)  # replaced by what follows
        pending = (fields[0], fields[1])
        if sane(*pending) and fields[1] != "(devel)":
            found.append(pending)
    return sorted(set(found))


def _counted(data: bytes) -> tuple[bytes, bytes]:
    """A text behind its length (`binary.Uvarint` of Go), and what follows it."""
    size = 0
    for at, byte in enumerate(data[:10]):
        size |= (byte & 0x7F) << 7 * at
        if byte < 0x80:
            return data[at + 1 : at + 1 + size], data[at + 1 + size :]
    return b"", b""


def crates(section: bytes) -> list[tuple[str, str]]:
    """The crates of a Rust program that are in it at run time."""
    try:
        text = zlib.decompressobj().decompress(section, MAX_SECTION)
        document = json.loads(text)
    except (zlib.error, ValueError, RecursionError):
        return []
    packages = document.get("packages") if isinstance(document, dict) else None
    found = set()
    for package in packages if isinstance(packages, list) else ():
        if not isinstance(package, dict) or package.get("kind", "runtime") != "runtime":
            continue
        name, version = package.get("name"), package.get("version")
        if isinstance(name, str) and isinstance(version, str) and sane(name, version):
            found.add((name, version))
    return sorted(found)
