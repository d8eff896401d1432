"""Facts from ELF files, notes, the loader's cache and its configuration; and that none of the parsers can be broken."""

from __future__ import annotations

import functools
import json
import struct
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from debloat.elf.facts import DlopenFeature, notes, parse_dlopen_notes
from debloat.elf.ldcache import CacheEntry, conf_directories, parse_cache
from debloat.elf.reading import elf_facts, parse_elf
from tests.support.elves import library, needs_compiler, program
from tests.support.trees import tree


def note(owner: bytes, kind: int, description: bytes, order: str = "<") -> bytes:
    def padded(data: bytes) -> bytes:
        return data + b"\0" * (-len(data) % 4)

    return struct.pack(order + "III", len(owner), len(description), kind) + padded(owner) + padded(description)


def dlopen_note(value: object, order: str = "<") -> bytes:
    return note(b"FDO\0", 0x407C0C0A, json.dumps(value).encode() + b"\0", order)


def cache(*rows: tuple[str, str, int, str], order: str = "<") -> bytes:
    """A cache in the new format; the last of a row is the name of its glibc-hwcaps subdirectory."""
    hwcaps = sorted({row[3] for row in rows if row[3]})
    strings, offsets = b"", dict[str, int]()
    base = 48 + 24 * len(rows)
    for text in [t for row in rows for t in row[:2]] + hwcaps:
        offsets.setdefault(text, base + len(strings))
        strings += text.encode() + b"\0"
    strings += b"\0" * (-(base + len(strings)) % 4)
    extension = base + len(strings)
    table = b"".join(struct.pack(order + "I", offsets[h]) for h in hwcaps)
    area = struct.pack(order + "IIIIII", 0xEAA42174, 1, 1, 0, extension + 24, len(table)) + table
    head = b"glibc-ld.so.cache1.1" + struct.pack(order + "IIBxxxI12x", len(rows), len(strings), 2, extension)
    entries = (
        struct.pack(order + "iIIIQ", flags, offsets[n], offsets[p], 0, (1 << 62) | hwcaps.index(h) if h else 0)
        for n, p, flags, h in rows
    )
    return head + b"".join(entries) + strings + area


@needs_compiler
def test_facts_of_a_program() -> None:
    facts = parse_elf(program(needs=("liba.so", "libb.so"), runpath="$ORIGIN/../lib"))
    assert facts is not None
    assert (facts.bits, facts.machine, facts.kind) == (64, 62, "dyn")
    assert facts.needed == ("liba.so", "libb.so", "libc.so.6")
    assert (facts.rpath, facts.runpath) == ("", "$ORIGIN/../lib")
    assert facts.interpreter == "/lib64/ld-linux-x86-64.so.2"


@needs_compiler
def test_facts_of_a_library() -> None:
    facts = parse_elf(library("libé.so.1", rpath="/r:/s", flags=("-Wl,-z,nodefaultlib",)))
    assert facts is not None
    assert (facts.soname, facts.rpath, facts.effective_rpath, facts.interpreter) == ("libé.so.1", "/r:/s", "/r:/s", "")
    assert facts.nodeflib


@needs_compiler
def test_runpath_overrides_rpath() -> None:
    data = library("liba.so", rpath="/r", runpath="/s")
    facts = parse_elf(data)
    assert facts is not None
    assert facts.effective_rpath == ("" if facts.runpath else facts.rpath)


@needs_compiler
def test_filters_and_auditors() -> None:
    facts = parse_elf(library("liba.so", flags=("-Wl,-f,libaux.so", "-Wl,--audit=/x/audit.so:liby.so")))
    assert facts is not None
    assert (facts.filters, facts.audits) == (("libaux.so",), ("/x/audit.so", "liby.so"))


@needs_compiler
@pytest.mark.parametrize("flags", [("-static",), ("-static-pie",)])
def test_static_programs(flags: tuple[str, ...]) -> None:
    facts = parse_elf(program(flags=flags))
    assert facts is not None
    assert facts.interpreter == ""
    assert facts.needed == ()


@needs_compiler
def test_names_that_are_not_utf8() -> None:
    data = program(needs=("lib-caf-.so",)).replace(b"lib-caf-.so\0", b"lib-caf\xe9.so\0")
    facts = parse_elf(data)
    assert facts is not None
    assert facts.needed[0].encode("utf-8", "surrogateescape") == b"lib-caf\xe9.so"


@needs_compiler
def test_dlopen_metadata_in_a_real_file() -> None:
    payload = dlopen_note([{"soname": ["libz.so.1", "libz.so.0"], "feature": "zlib", "priority": "suggested"}])
    row = ",".join(map(str, payload))
    source = f'__attribute__((used, section(".note.dlopen"), aligned(4))) static const unsigned char n[] = {{{row}}};'
    facts = parse_elf(library("liba.so", source=source))
    assert facts is not None
    assert facts.dlopens == (DlopenFeature(("libz.so.1", "libz.so.0"), "suggested", "zlib"),)


@pytest.mark.parametrize("order", ["<", ">"])
def test_dlopen_notes(order: str) -> None:
    data = (
        note(b"GNU\0", 3, b"1234567", order)
        + dlopen_note({"soname": "liba.so.1"}, order)
        + note(b"FDO\0", 0x407C0C0A, b"{not json", order)
        + note(b"FDO\0", 0x407C0C0A, b"[" * 60_000, order)
        + dlopen_note([1, {"soname": 5}, {"feature": "x"}, {"soname": ["libb.so", 7], "priority": "required"}], order)
    )
    assert parse_dlopen_notes(data, order == "<") == [
        DlopenFeature(("liba.so.1",)),
        DlopenFeature(("libb.so",), "required"),
    ]


@pytest.mark.parametrize("order", ["<", ">"])
def test_new_cache(order: str) -> None:
    data = cache(
        ("liba.so", "/o/glibc-hwcaps/x86-64-v3/liba.so", 0x303, "x86-64-v3"),
        ("liba.so", "/o/liba.so", 0x303, ""),
        order=order,
    )
    assert parse_cache(data) == (
        CacheEntry("liba.so", "/o/glibc-hwcaps/x86-64-v3/liba.so", 0x303, "x86-64-v3"),
        CacheEntry("liba.so", "/o/liba.so", 0x303),
    )


def test_old_cache() -> None:
    strings = b"liba.so\0/o/liba.so\0"
    data = b"ld.so-1.7.0\0" + struct.pack("<IiII", 1, 3, 0, 8) + strings
    assert parse_cache(data) == (CacheEntry("liba.so", "/o/liba.so", 3),)


def test_cache_with_offsets_out_of_the_file_loses_those_entries_only() -> None:
    data = bytearray(cache(("liba.so", "/o/liba.so", 3, ""), ("libb.so", "/o/libb.so", 3, "")))
    struct.pack_into("<I", data, 48 + 8, 0xFFFFFFF0)
    assert parse_cache(bytes(data)) == (CacheEntry("libb.so", "/o/libb.so", 3),)


def test_conf_follows_includes_once() -> None:
    rootfs = tree(
        {
            "/etc/ld.so.conf": "include ld.so.conf.d/*.conf\n/opt/lib # why\n/a, /b:/c\nhwcap 1 x\nrelative\n",
            "/etc/ld.so.conf.d/1.conf": "/one\ninclude /etc/ld.so.conf\n",
            "/etc/ld.so.conf.d/2.conf": "/two=libc6\n",
            "/etc/ld.so.conf.d/other": "/other\n",
        }
    )
    assert conf_directories(rootfs) == ("/one", "/two", "/opt/lib", "/a")


@needs_compiler
def test_facts_are_read_once_per_file() -> None:
    rootfs = tree({"/a": program(), "/l": "-> a", "/text": "x" * 100, "/d/": ""})
    assert elf_facts(rootfs, "/l") is elf_facts(rootfs, "/a") is not None
    assert [elf_facts(rootfs, p) for p in ("/text", "/d", "/none")] == [None, None, None]


@functools.cache
def samples() -> tuple[bytes, ...]:
    return (program(needs=("liba.so",), runpath="/r"), library("liba.so", needs=("libb.so",), rpath="/x"))


@needs_compiler
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_damaged_elf_files_never_raise(data: st.DataObject) -> None:
    image = bytearray(data.draw(st.sampled_from(samples())))
    table = struct.unpack_from("<Q", image, 32)[0]
    spots = st.one_of(st.integers(0, 64), st.integers(table, table + 56 * 13), st.integers(0, len(image) - 1))
    for at, value in data.draw(st.lists(st.tuples(spots, st.integers(0, 255)), max_size=40)):
        image[at] = value
    cut = data.draw(st.one_of(st.just(len(image)), st.integers(0, len(image))))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parse_elf(bytes(image[:cut]))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([b"", b"\x7fELF\x02\x01\x01", b"\x7fELF\x01\x02"]))
def test_garbage_is_no_elf_file(data: bytes, magic: bytes) -> None:
    parse_elf(magic + data)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.booleans())
def test_notes_end_with_the_data(data: bytes, little: bool) -> None:
    assert sum(len(owner) + len(text) for owner, _, text in notes(data, little)) <= len(data)
    parse_dlopen_notes(data, little)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_caches_never_raise(data: st.DataObject) -> None:
    image = bytearray(cache(("liba.so", "/o/liba.so", 0x303, "x86-64-v2"), ("libb.so", "/o/libb.so", 3, "")))
    prefix = data.draw(st.sampled_from([b"", b"ld.so-1.7.0\0" + struct.pack("<I", 0)]))
    for at, value in data.draw(st.lists(st.tuples(st.integers(18, len(image) - 1), st.integers(0, 255)), max_size=30)):
        image[at] = value
    parse_cache(prefix + bytes(image[: data.draw(st.integers(0, len(image)))]))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"ld.so-1.7.0\0", b"glibc-ld.so.cache1.1", b""]))
def test_garbage_is_no_cache(data: bytes, magic: bytes) -> None:
    parse_cache(magic + data)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=100))
def test_any_conf_is_read(text: str) -> None:
    conf_directories(tree({"/etc/ld.so.conf": text.encode("utf-8", "surrogatepass")}))


def test_the_hosts_own_files() -> None:
    libc = Path("/lib/x86_64-linux-gnu/libc.so.6")
    if not libc.exists():
        pytest.skip("no Debian host")
    facts = parse_elf(libc.read_bytes())
    assert facts is not None
    assert facts.soname == "libc.so.6"
    assert "GLIBC_2.2.5" in facts.defines
