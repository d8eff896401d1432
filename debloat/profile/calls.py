"""System calls: their names, their numbers on each machine, and which of them Docker's default profile allows.

`calls.tsv` has the facts: numbers from the kernel's tables (`arch/*/.../syscall*.tbl`, asm-generic/unistd.h), and of
each call whether Docker's profile allows it always, never, or to containers with one of some capabilities
(github.com/moby/profiles, seccomp/default.json).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from msgspec import Struct

TABLE = Path(__file__).with_name("calls.tsv")

COMPAT: Mapping[str, str] = MappingProxyType({"x86_64": "i386", "aarch64": "arm"})
"""The machine whose 32-bit programs the kernel of another runs as well."""


class Call(Struct, frozen=True):
    """A system call: its number by machine, and whether Docker's default profile allows it.

    `allowed` says so of every container; else it is allowed to those that hold one of `capabilities`.
    """

    name: str
    numbers: Mapping[str, int]
    allowed: bool
    capabilities: tuple[str, ...] = ()

    def allowed_to(self, held: frozenset[str]) -> bool:
        """Whether Docker's default profile allows it to a container with these capabilities (no `CAP_`; or `ALL`)."""
        return self.allowed or not held.isdisjoint(self.capabilities) or ("ALL" in held and bool(self.capabilities))


def parse(text: str) -> dict[str, Call]:
    """The table by name; ValueError where it is damaged."""
    head, *lines = text.splitlines()
    machines = head.split("\t")[2:]
    calls = {}
    for line in lines:
        name, default, *numbers = line.split("\t")
        known = {m: int(n) for m, n in zip(machines, numbers, strict=True) if n != "-"}
        capabilities = () if default in ("yes", "no") else tuple(default.split(","))
        calls[name] = Call(name, MappingProxyType(known), default == "yes", capabilities)
    return calls


@functools.cache
def table() -> Mapping[str, Call]:
    """All known calls by name."""
    return MappingProxyType(parse(TABLE.read_text("ascii")))


@functools.cache
def names(machine: str) -> Mapping[int, str]:
    """The calls of a machine (`x86_64`, `i386`, ...) by number."""
    return MappingProxyType({c.numbers[machine]: c.name for c in table().values() if machine in c.numbers})


def numbers(machine: str, of: Iterable[str]) -> tuple[int, ...]:
    """The numbers that calls have on a machine, sorted; a call that it lacks has none."""
    known = table()
    return tuple(sorted(known[name].numbers[machine] for name in of if machine in known[name].numbers))
