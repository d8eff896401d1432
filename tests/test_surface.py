"""The attack surface: what is code, and which tools and rights it offers."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from debloat.core.capabilities import XATTR
from debloat.core.model import Entry, Kind
from debloat.core.surfaces import Surface
from debloat.elf.executable import executable_bytes
from debloat.image.rootfs import MemoryContents, Rootfs
from debloat.surface import surface


def program(*segments: tuple[int, int, int], wide: bool = True) -> bytes:
    """An ELF file with program headers of these types, flags and sizes."""
    if wide:
        head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
        head += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, len(segments), 64, 0, 0)
        return head + b"".join(struct.pack("<IIQQQQQQ", t, f, 0, 0, 0, n, n, 1) for t, f, n in segments)
    head = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    head += struct.pack("<HHIIIIIHHHHHH", 3, 3, 1, 0, 52, 0, 0, 52, 32, len(segments), 40, 0, 0)
    return head + b"".join(struct.pack("<IIIIIIII", t, 0, 0, 0, n, n, f, 1) for t, f, n in segments)


SEGMENTS = ((1, 4, 100), (1, 5, 4000), (1, 6, 7), (2, 5, 9), (1, 1, 50))


def test_the_code_of_a_program() -> None:
    assert executable_bytes(program(*SEGMENTS)) == 4050
    assert executable_bytes(program(*SEGMENTS, wide=False)) == 4050
    assert executable_bytes(program(*SEGMENTS)[:70]) == 0
    assert executable_bytes(b"#!/bin/sh\n" * 10) is None
    assert executable_bytes(b"\x7fELF") is None


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 300), st.binary(max_size=16))
def test_damaged_headers_raise_nothing(data: bytes, at: int, patch: bytes) -> None:
    whole = program(*SEGMENTS)
    for head in (data, b"\x7fELF\x02\x01" + data, whole[:at] + patch + whole[at + len(patch) :]):
        found = executable_bytes(head)
        assert found is None or found >= 0


def test_the_surface_of_an_image() -> None:
    code = program(*SEGMENTS)
    files = {
        "/usr/bin/python3.11": (0o755, code),
        "/usr/bin/ncat": (0o755, b"#!/bin/sh\n"),
        "/usr/bin/curl": (0o644, b"not executable"),
        "/usr/bin/ping": (0o755, code),
        "/usr/bin/bash": (0o755, code),
        "/usr/bin/one": (0o755, code),
        "/usr/bin/two": (0o755, code),
        "/usr/lib/libx.so.1": (0o644, code),
        "/usr/lib/libx.a": (0o644, code),
        "/usr/lib/apt/methods/ftp": (0o755, b""),
    }
    linked = {"/usr/bin/one": 1, "/usr/bin/two": 1}
    capable = {"/usr/bin/ping": ((XATTR, b"\1"),)}
    entries = [
        Entry("/", Kind.DIR, 0o755),
        Entry("/usr", Kind.DIR, 0o755),
        Entry("/usr/bin", Kind.DIR, 0o755),
        Entry("/usr/bin/nc", Kind.SYMLINK, 0o777, target="ncat"),
        Entry("/usr/bin/python3", Kind.SYMLINK, 0o777, target="python3.11"),
        Entry("/usr/bin/perl", Kind.SYMLINK, 0o777, target="gone"),
        *(
            Entry(p, Kind.FILE, mode, size=len(data), hardlink=linked.get(p, 0), xattrs=capable.get(p, ()))
            for p, (mode, data) in files.items()
        ),
    ]
    rootfs = Rootfs(entries, MemoryContents({path: data for path, (_, data) in files.items()}))
    assert surface(rootfs.entries(), rootfs) == Surface(
        elf=5,
        executable_bytes=5 * 4050,
        capabilities=("/usr/bin/ping",),
        interpreters=("/usr/bin/python3", "/usr/bin/python3.11"),
        network_tools=("/usr/bin/nc", "/usr/bin/ncat", "/usr/bin/ping"),
    )
