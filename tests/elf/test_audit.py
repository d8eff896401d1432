"""The independent audit: what it finds, what it must not complain about, and that it agrees with the rules."""

from __future__ import annotations

import io
import struct

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from debloat.core.model import ImageConfig, Level
from debloat.elf.audit import UnmetNeed, audit
from debloat.rules.system import elf as rules
from tests.support.elves import LOADER, library, needs_compiler, program, versioned, workshop
from tests.support.trees import Table, closed, tree, world

pytestmark = needs_compiler

NO_CONFIG = ImageConfig({})


def table() -> dict[str, bytes | str]:
    return {
        "/app/prog": program(needs=("liba.so",), runpath="$ORIGIN/lib"),
        "/app/lib/liba.so": "-> liba.so.1",
        "/app/lib/liba.so.1": library("liba.so", needs=("libb.so", "libgone.so")),
        "/usr/lib/libb.so": library("libb.so"),
        LOADER: library("ld-linux-x86-64.so.2"),
    }


def everything() -> set[str]:
    return set(tree(table()))


def test_the_whole_image_has_no_findings() -> None:
    """Not even for libgone.so, which the original lacks as well."""
    assert audit(tree(table()), everything(), NO_CONFIG) == []


def test_the_closure_has_no_findings() -> None:
    closure = closed(world(table(), level=Level.EXACT), rules.RULES, "/app/prog")
    assert audit(tree(table()), closure, NO_CONFIG) == []


@pytest.mark.parametrize(
    ("removed", "want"),
    [
        ("/usr/lib/libb.so", UnmetNeed("/app/lib/liba.so.1", "needed", "libb.so", "/usr/lib/libb.so")),
        ("/app/lib/liba.so", UnmetNeed("/app/prog", "needed", "liba.so", "/app/lib/liba.so")),
        (LOADER, UnmetNeed("/app/prog", "interpreter", LOADER)),
    ],
)
def test_what_is_missing(removed: str, want: UnmetNeed) -> None:
    assert audit(tree(table()), everything() - {removed}, NO_CONFIG) == [want]


def test_a_link_whose_target_is_gone() -> None:
    found = audit(tree(table()), everything() - {"/app/lib/liba.so.1"}, NO_CONFIG)
    assert [(f.kind, f.name) for f in found] == [("needed", "liba.so")]


def test_files_that_are_not_kept_have_no_needs() -> None:
    assert audit(tree(table()), {"/", "/app", "/app/lib", "/app/lib/liba.so"}, NO_CONFIG) == []


def test_a_name_that_no_search_reaches_is_not_missed() -> None:
    files = {"/prog": program(needs=("liba.so",)), "/usr/share/doc/liba.so": library("liba.so")}
    assert [f for f in audit(tree(files), {"/prog"}, NO_CONFIG) if f.kind == "needed"] == []
    files["/opt/liba.so"] = library("liba.so")
    assert audit(tree(files), {"/prog"}, NO_CONFIG) == []
    found = audit(tree(files), {"/prog"}, ImageConfig({"Env": ["LD_LIBRARY_PATH=/x:/opt"]}))
    assert found == [UnmetNeed("/prog", "needed", "liba.so", "/opt/liba.so")]


def test_a_library_for_another_machine_does_not_satisfy() -> None:
    data = bytearray(library("liba.so"))
    data[18] = 183
    files = {"/prog": program(needs=("liba.so",)), "/usr/lib/liba.so": library("liba.so"), "/lib/liba.so": bytes(data)}
    found = audit(tree(files), {"/prog", "/lib/liba.so"}, NO_CONFIG)
    assert found == [UnmetNeed("/prog", "needed", "liba.so", "/usr/lib/liba.so")]


def user_of(provider: bytes) -> bytes:
    """A program that needs the version V_2 of f1 in libv.so."""
    path = workshop() / "libv.so"
    path.write_bytes(provider)
    source = "void f1(void); void call(void) { f1(); }\n"
    return program(source=source, flags=(str(path),))


def test_versions() -> None:
    new, old = versioned("libv.so", "V_1", "V_2"), versioned("libv.so", "V_1")
    files: Table = {"/prog": user_of(new), "/usr/lib/libv.so": new, "/lib/libv.so": old, "/lib64/x": ""}
    rootfs = tree(files)
    assert audit(rootfs, {"/prog", "/usr/lib/libv.so"}, NO_CONFIG) == []
    found = audit(rootfs, {"/prog", "/lib/libv.so"}, NO_CONFIG)
    assert [(f.path, f.kind, f.name) for f in found] == [("/prog", "version", "libv.so (V_2)")]


@pytest.mark.timeout(30)
def test_forged_version_lists_end() -> None:
    """Counts of billions, and links that lead back to themselves."""
    image = bytearray(versioned("libv.so", "V_1", "V_2"))
    elf = ELFFile(io.BytesIO(bytes(image)))
    for index in range(elf.num_sections()):
        section = elf.get_section(index)
        if section["sh_type"] == "SHT_GNU_verdef":
            struct.pack_into("<I", image, elf["e_shoff"] + index * elf["e_shentsize"] + 44, 0xFFFFFFFF)
            struct.pack_into("<H", image, section["sh_offset"] + 6, 0xFFFF)
            struct.pack_into("<I", image, section["sh_offset"] + 16, 0)
            struct.pack_into("<I", image, section["sh_offset"] + 24, 0)
    files = {"/prog": user_of(versioned("libv.so", "V_1", "V_2")), "/usr/lib/libv.so": bytes(image)}
    assert [f.kind for f in audit(tree(files), {"/prog"}, NO_CONFIG)] == ["needed"]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_damaged_files_never_raise(data: st.DataObject) -> None:
    image = bytearray(program(needs=("liba.so",), runpath="/r"))
    spots = st.one_of(
        st.integers(0, 64), st.integers(0, len(image) - 1), st.integers(len(image) - 2000, len(image) - 1)
    )
    for at, value in data.draw(st.lists(st.tuples(spots, st.integers(0, 255)), max_size=30)):
        image[at] = value
    cut = data.draw(st.one_of(st.just(len(image)), st.integers(0, len(image))))
    audit(tree({"/prog": bytes(image[:cut])}), {"/prog"}, NO_CONFIG)
