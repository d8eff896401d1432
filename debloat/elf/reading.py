"""Facts from the ELF files of an image, each read once; what an earlier run has read is not read again."""

from __future__ import annotations

from typing import Any

from msgspec.structs import asdict, astuple, replace

from debloat.core.parsed import cached
from debloat.elf.facts import HEADER, MAGIC, DlopenFeature, ElfFacts, looks_like_elf, shell_use
from debloat.image.rootfs import Rootfs


def parse_elf(data: bytes) -> ElfFacts | None:
    """The facts of an ELF image; None for what is no ELF file or is damaged beyond reading. Never raises."""
    return _parsed(data) if looks_like_elf(data) else None


def _from_json(fields: dict[str, Any] | None) -> ElfFacts | None:
    if fields is None:
        return None
    lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    dlopens = tuple(DlopenFeature(tuple(names), *rest) for names, *rest in fields["dlopens"])
    return ElfFacts(**{**fields, **lists, "dlopens": dlopens})


def _to_json(facts: ElfFacts | None) -> dict[str, Any] | None:
    if facts is None:
        return None
    return {**asdict(facts), "dlopens": [astuple(feature) for feature in facts.dlopens]}


@cached(_to_json, _from_json)
def _parsed(data: bytes) -> ElfFacts | None:
    from debloat.elf.parser import parse

    facts = parse(data)
    return None if facts is None else replace(facts, shell_use=shell_use(data))


def elf_facts(rootfs: Rootfs, path: str) -> ElfFacts | None:
    """The facts of the file that `path` leads to; None where it is no ELF file.

    Kept per file for the life of the root file system, whose contents never change.
    """
    facts_by_path: dict[str, ElfFacts | None] = rootfs.memo.setdefault(elf_facts, {})
    if path in facts_by_path:
        return facts_by_path[path]
    entry = rootfs.lookup(path)
    if entry is None or not entry.is_file or entry.size < HEADER:
        facts = None
    elif entry.path in facts_by_path:
        facts = facts_by_path[entry.path]
    else:
        is_elf = rootfs.read(entry.path, len(MAGIC)) == MAGIC
        facts = facts_by_path[entry.path] = parse_elf(rootfs.read(entry.path)) if is_elf else None
    facts_by_path[path] = facts
    return facts
