"""Texts of compiled programs, told apart by what points to them; programs that start others; what is not loaded."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.rules.languages.compiled import source
from debloat.rules.languages.compiled.source import AARCH64, X86_64
from tests.support import elves

GO = b"\xff Go buildinf:"
BASE = 0x400000
CONSTANTS = 0x400
LOAD, DYNAMIC = 1, 2


def _leas(targets: Sequence[int], at: int) -> bytes:
    """LEA RAX, [RIP + distance] for each target, from an address on."""
    return b"".join(b"\x48\x8d\x05" + struct.pack("<i", t - (at + 7 * (n + 1))) for n, t in enumerate(targets))


def _program(
    constants: bytes = b"",
    code: bytes = b"",
    data: bytes = b"",
    *,
    machine: int = X86_64,
    symbols: bytes | None = b"\0",
    relocated: Sequence[int] = (),
    debug: bytes = b"",
) -> bytes:
    """An ELF program with its constants at CONSTANTS, its code at the next whole page, all moved by BASE."""
    page = (CONSTANTS + len(constants) + 0xFFF) & ~0xFFF
    data += b"".join(struct.pack("<QQQ", BASE, source.RELATIVE[machine], target) for target in relocated)
    code += bytes(-len(code) % 8)
    dynamic = page + len(code) + len(data) + len(symbols or b"")
    entries = [(source.RELA, BASE + page + len(code) + len(data) - 24 * len(relocated))] if relocated else []
    entries += [(source.RELASZ, 24 * len(relocated))] if relocated else []
    if symbols is not None:
        entries += [(source.STRTAB, BASE + page + len(code) + len(data)), (source.STRSZ, len(symbols))]
    entries += [(0, 0)]
    end = dynamic + 16 * len(entries)
    segments = [
        (LOAD, 4, 0, CONSTANTS + len(constants)),
        (LOAD, 5, page, len(code)),
        (LOAD, 6, page + len(code), end - page - len(code)),
        (DYNAMIC, 6, dynamic, 16 * len(entries)),
    ]
    sections = end + len(debug)
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHI", 2, machine, 1)
    head += struct.pack("<QQQIHHHHHH", BASE + page, 64, sections, 0, 64, 56, len(segments), 64, 2, 0)
    for kind, flags, offset, size in segments:
        head += struct.pack("<IIQQQQQQ", kind, flags, offset, BASE + offset, BASE + offset, size, size, 8)
    body = head.ljust(CONSTANTS, b"\0") + constants
    body = body.ljust(page, b"\0") + code + data + (symbols or b"")
    body += b"".join(struct.pack("<QQ", *entry) for entry in entries) + debug
    loaded = struct.pack("<IIQQQQIIQQ", 0, 1, source.ALLOCATED, 0, CONSTANTS, len(constants), 0, 0, 1, 0)
    return body + loaded + struct.pack("<IIQQQQIIQQ", 0, 1, 0, 0, end, len(debug), 0, 0, 1, 0)


def _addresses(texts: Sequence[bytes]) -> list[int]:
    return [BASE + CONSTANTS + sum(map(len, texts[:n])) for n in range(len(texts))]


def _literals(data: bytes) -> frozenset[str]:
    return source.literals(source.read_program(data))


def _starts(data: bytes) -> bool:
    return source.starts_programs(source.read_program(data))


def _loaded(data: bytes) -> bytes:
    return source.read_program(data).data


def _told(program: bytes) -> set[str]:
    """The texts of a program apart from those of a letter or two, which numbers may look like."""
    return {text for text in _literals(program) if len(text) > 2}


PACKED = (b"sort", b"uniq -c", b"/usr/bin/gm", GO)
TOLD = {"sort", "uniq -c", "/usr/bin/gm"}


def test_packed_texts_end_where_code_points_to_the_next() -> None:
    code = _leas(_addresses(PACKED), BASE + 0x1000)
    assert _literals(_program(b"".join(PACKED), code)) == TOLD


def test_packed_texts_end_where_data_points_to_the_next() -> None:
    data = struct.pack("<4Q", *_addresses(PACKED))
    assert _literals(_program(b"".join(PACKED), data=data)) == TOLD


@pytest.mark.parametrize("machine", [X86_64, AARCH64])
def test_packed_texts_end_where_a_relocation_points_to_the_next(machine: int) -> None:
    program = _program(b"".join(PACKED), machine=machine, relocated=_addresses(PACKED))
    assert _literals(program) == TOLD


@pytest.mark.parametrize(
    "mark",
    [
        GO,
        b"/rustc/4eb161250e340c8f48f66e2b929ef4a5bed7c181/library/core/src/fmt/num.rs",
        b"/usr/src/rustc-1.85.1/library/core/src/fmt/num.rs",
        b"RUST_BACKTRACE",
    ],
)
def test_compilers_that_pack_are_told_by_what_they_leave(mark: bytes) -> None:
    texts = (b"sort", b"uniq -c", mark, GO[:1])
    found = _literals(_program(b"".join(texts), _leas(_addresses(texts), BASE + 0x1000)))
    assert {"sort", "uniq -c"} <= found
    assert "sortuniq -c" not in found


def test_a_packed_text_may_end_with_a_nul_as_well() -> None:
    texts = (b"sort\0\0\0", b"/rustc/")
    assert "sort" in _literals(_program(b"".join(texts), _leas(_addresses(texts), BASE + 0x1000)))


def test_code_of_aarch64() -> None:
    """From 0x401000: texts in the page before, at 0x400400 and 0x400404, one in the page behind, and no pair."""
    code = struct.pack(
        "<8I",
        *(0xF0FFFFE0, 0x91100000),  # adrp x0, 0x400000; add x0, x0, #0x400
        *(0xF0FFFFE3, 0x91101063),  # adrp x3, 0x400000; add x3, x3, #0x404
        *(0xB0000001, 0x91002021),  # adrp x1, 0x402000; add x1, x1, #0x8
        *(0xF0FFFFE0, 0x91100821),  # adrp x0, 0x400000; add x1, x1, #0x402
    )
    code = code.ljust(0x1008, b"\0") + b"beyond\0\0" + GO
    program = _program(b"sortdate\0", code, machine=AARCH64)
    # One segment of constants and code alone, as older linkers made it: the text behind the code counts, too.
    flat = program.replace(struct.pack("<IIQ", 1, 4, 0), struct.pack("<IIQ", 1, 5, 0), 1)
    assert _literals(program) == {"sort", "date"}
    assert _literals(flat) == {"sort", "date", "beyond"}


def test_texts_of_c_end_with_a_nul() -> None:
    constants = b"\0sort -u %s\0\xc3\xa9\0update\0"
    date = BASE + CONSTANTS + constants.index(b"date")
    program = _program(constants, _leas([date], BASE + 0x1000), symbols=b"\0puts\0")
    assert _told(program) == {"sort -u %s", "update", "date"}
    assert _told(program[:18] + b"\xf3\0" + program[20:]) == {"sort -u %s", "update"}


def test_what_is_no_text() -> None:
    texts = (b"a" * 5000, b"caf\xe9", b"\x01", GO)
    assert _literals(_program(b"".join(texts), _leas(_addresses(texts), BASE + 0x1000))) == frozenset()
    assert _literals(b"\0" + b"a" * 5000 + b"\0") == frozenset()


@pytest.mark.parametrize(
    ("symbols", "rest", "expected"),
    [
        (b"\0puts\0popen\0", b"", True),
        (b"\0posix_spawnp\0", b"", True),
        (b"\0execl\0", b"", True),
        (b"\0g_spawn_async\0", b"", True),
        (b"\0_ZN8QProcess5startEv\0", b"", True),
        (b"\0_ZN4Poco7Process6launchERKNS_6StringE\0", b"", True),
        (b"\0puts\0subsystem\0filesystem_error\0", b"", False),
        (b"\0_ZN3app14processRequestEv\0", b"", False),
        (b"\0puts\0", b"\0system\0", False),
        (None, b"", True),
        (None, GO + b"\0os.Exit\0", False),
        (None, GO + b"\0syscall.forkExec\0", True),
        (b"\0puts\0", GO + b"\0syscall.Exec\0", True),
        (b"\0system\0", GO, True),
    ],
)
def test_programs_that_start_others(symbols: bytes | None, rest: bytes, expected: bool) -> None:
    assert _starts(_program(rest, symbols=symbols)) is expected


def test_a_program_that_cannot_be_read_may_start_others() -> None:
    assert _starts(b"\x7fELF\x01\x01" + bytes(60))


def test_what_is_not_loaded_is_blanked() -> None:
    program = _program(b"\0/etc/kept\0", debug=b"/usr/src/shelf.c\0") + b"PK appended"
    loaded = _loaded(program)
    assert len(loaded) == len(program)
    assert loaded == program.replace(b"/usr/src/shelf.c", bytes(16))


def test_segments_that_share_their_bytes_are_not_read() -> None:
    program = _program(b"\0sort\0")
    every = b"".join(struct.pack("<IIQQQQQQ", 1, 4, 0, 0, 0, 4000, 0, 0) for _ in range(60))
    many = program[:56] + struct.pack("<H", 60) + program[58:64] + every + b"\0sort\0" + bytes(4000)
    assert _told(program) == {"sort"}
    assert _literals(many) == frozenset()


SOURCE = """
#include <stdio.h>
int run(const char *line) { return popen(line, "r") != 0; }
int other(int n) { puts("an update"); return run(n > 1 ? "sort -u x" : "date"); }
"""


@pytest.mark.parametrize("compiler", ["gcc", "aarch64-linux-gnu-gcc"])
def test_a_real_program(compiler: str) -> None:
    """The linker gives `date` no text of its own, for it is the end of another."""
    program = elves.elf("program", source=SOURCE, flags=("-O1",), compiler=compiler)
    if not program:
        pytest.skip(f"no {compiler}")
    assert {"sort -u x", "date", "an update"} <= _literals(program)
    assert "popen" not in _literals(program)
    assert _starts(program)


def _read(data: bytes) -> None:
    assert all(0 < len(text) <= 4096 for text in _literals(data))
    assert len(_loaded(data)) == len(data)
    assert _starts(data) in (True, False)


@given(st.binary(max_size=400), st.sampled_from([b"", GO, b"/rustc/"]))
def test_garbage_is_read_without_error(data: bytes, mark: bytes) -> None:
    _read(data)
    _read(b"\x7fELF\x02\x01" + data + mark)


WHOLE = [
    _program(b"\0sort\0", _leas(_addresses(PACKED), BASE + 0x1000), symbols=b"\0popen\0", debug=b"/x/y.c"),
    _program(b"".join(PACKED), bytes.fromhex("e0fffff000001091"), machine=AARCH64, relocated=_addresses(PACKED)),
]
NUMBERS = st.one_of(
    st.integers(0, 255).map(lambda n: bytes([n])),
    st.sampled_from([0, 1, 0x40, 0xFFF, 0x1000, BASE, 1 << 31, 1 << 32, 1 << 63, (1 << 64) - 1]).map(
        lambda n: struct.pack("<Q", n)
    ),
)


@given(st.sampled_from(WHOLE), st.lists(st.tuples(st.integers(0, 0x1400), NUMBERS), max_size=6), st.integers(0, 0x1400))
def test_damaged_programs_are_read_without_error(program: bytes, changes: list[tuple[int, bytes]], length: int) -> None:
    for at, number in changes:
        program = program[:at] + number + program[at + len(number) :]
    _read(program)
    _read(program[:length])
