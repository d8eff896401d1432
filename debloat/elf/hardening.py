"""How an ELF file is hardened: what the linker and the compiler put into it against the use of a memory error.

Sources: elf(5) and the System V gABI for PT_GNU_STACK, PT_GNU_RELRO and DT_FLAGS; ld(1) on `-z relro`, `-z now`,
`-z noexecstack` and `-pie`; gcc(1) on -fstack-protector and _FORTIFY_SOURCE.
"""

from __future__ import annotations

import itertools
from typing import Literal

from msgspec import Struct

from debloat.core.signals import held_back
from debloat.elf.facts import MAX_NAMES, MAX_SEGMENTS
from debloat.elf.parser import TAG, read_elf, tag_of

with held_back():  # as in `parser`
    import lief

Form = Literal["pie", "fixed", "library", "object"]
Relro = Literal["full", "partial", "none"]

_BIND_NOW = 0x8
"""DF_BIND_NOW of DT_FLAGS."""
_NOW, _PIE = 0x1, 0x08000000
"""DF_1_NOW and DF_1_PIE of DT_FLAGS_1."""
_EXECUTABLE = 0x1
"""PF_X of a segment."""
_DEBUG = 0x15
"""DT_DEBUG: ld(1) puts it into programs, also those that the kernel starts without an interpreter."""


class Hardening(Struct, frozen=True):
    """How one ELF file is hardened.

    `form`: a program that can lie anywhere (`pie`), one at a fixed address, a `library`, or an `object` for a linker.
    `relro` is `full` where the whole table of addresses is read-only once the program runs. `nx`: the stack cannot be
    executed. `canary` and `fortify` tell that some function checks its stack, or the size of a buffer: they are seen by
    the names of the checks in the string tables, so a file without any function that needs them has neither.
    `paths` are the directories of DT_RPATH and DT_RUNPATH as written.
    """

    form: Form
    relro: Relro
    nx: bool
    canary: bool
    fortify: bool
    paths: tuple[str, ...] = ()


def hardening(data: bytes) -> Hardening | None:
    """How the ELF file of these bytes is hardened; None for what is none, or is damaged. Never raises."""
    return read_elf(data, _of)


def _of(data: bytes, binary: lief.ELF.Binary) -> Hardening:
    interpreter = relro = False
    nx = False
    for segment in itertools.islice(binary.segments, MAX_SEGMENTS):
        kind = segment.type
        interpreter |= kind == lief.ELF.Segment.TYPE.INTERP
        relro |= kind == lief.ELF.Segment.TYPE.GNU_RELRO
        if kind == lief.ELF.Segment.TYPE.GNU_STACK:
            # Without this segment the kernel makes the stack executable (on x86): that is no protection.
            nx = not int(segment.flags) & _EXECUTABLE
    values: dict[int, int] = {}
    paths = list[str]()
    for entry in itertools.islice(binary.dynamic_entries, MAX_NAMES):
        tag = tag_of(entry.tag)
        values.setdefault(tag, entry.value)
        if tag in (tag_of(TAG.RPATH), tag_of(TAG.RUNPATH)):
            text = getattr(entry, "rpath", None) or getattr(entry, "runpath", None) or ""
            paths += [part for part in str(text).split(":") if part]
    flags, flags_1 = values.get(tag_of(TAG.FLAGS), 0), values.get(tag_of(TAG.FLAGS_1), 0)
    now = bool(flags & _BIND_NOW or flags_1 & _NOW or tag_of(TAG.BIND_NOW) in values)
    return Hardening(
        form=_form(binary, interpreter, flags_1, values),
        relro="none" if not relro else "full" if now or not values else "partial",
        nx=nx,
        canary=b"\0__stack_chk_fail" in data,
        fortify=b"_chk\0" in data and any(name in data for name in _FORTIFIED),
        paths=tuple(dict.fromkeys(paths)),
    )


_FORTIFIED = tuple(
    b"\0__%s_chk\0" % name
    for name in (
        *(b"memcpy", b"memmove", b"memset", b"strcpy", b"strncpy", b"strcat", b"strncat", b"sprintf", b"snprintf"),
        *(b"vsnprintf", b"vsprintf", b"printf", b"fprintf", b"vfprintf", b"read", b"pread", b"recv", b"realpath"),
        *(b"longjmp", b"fdelt", b"syslog", b"vsyslog", b"fread", b"fgets", b"getcwd", b"readlink", b"explicit_bzero"),
        *(b"stpcpy", b"asprintf", b"vasprintf", b"wcscpy", b"wmemcpy", b"mbstowcs", b"poll", b"open64_2"),
    )
)


def _form(binary: lief.ELF.Binary, interpreter: bool, flags_1: int, values: dict[int, int]) -> Form:
    kind = binary.header.file_type
    if kind == lief.ELF.Header.FILE_TYPE.EXEC:
        return "fixed"
    if kind != lief.ELF.Header.FILE_TYPE.DYN:
        return "object"
    # libc.so.6 names an interpreter and is a library: a soname tells, and the flag that newer linkers set.
    if flags_1 & _PIE or (interpreter and (_DEBUG in values or tag_of(TAG.SONAME) not in values)):
        return "pie"
    return "library"
