"""What ELF files keep, and what they do not: interpreters, needed libraries, bequests, preloads, dlopen metadata.

That the search order is the system's own is tested in test_loader_conformance.py.
"""

from __future__ import annotations

import json
import struct

from msgspec.structs import replace

from debloat.closure import World, close
from debloat.core.model import Access, Closure, Entry, ImageConfig, Level, Op, Trace, Want
from debloat.debian.packages import NoPackages
from debloat.image.rootfs import Rootfs
from debloat.rules.system import elf as rules
from tests.support.elves import LOADER, library, needs_compiler, program
from tests.support.trees import Table, closed, paths, rules_for, tree, world

pytestmark = needs_compiler

LIB = "/usr/lib/x86_64-linux-gnu"
RUN = ("0755", b"")


def kept(table: Table, *seeds: str, env: tuple[str, ...] = (), trace: Trace | None = None) -> Closure:
    config = {"Env": list(env)}
    here = world(table, config=config, level=Level.EXACT, trace=trace or Trace())
    return closed(here, rules.RULES, *seeds)


def test_interpreter_with_the_links_to_it() -> None:
    table: Table = {"/prog": program(), "/lib64": "-> usr/lib64", f"/usr{LOADER}": b"", "/usr/lib64/other": b""}
    closure = kept(table, "/prog")
    assert paths(closure) == ["/lib64", "/prog", f"/usr{LOADER}"]
    assert list(rules_for(closure, f"/usr{LOADER}")) == ["elf.interpreter"]


def test_a_library_needs_no_interpreter_and_text_needs_nothing() -> None:
    table: Table = {"/liba.so": library("liba.so"), "/text": "liba.so libb.so" * 10, LOADER: b"", f"{LIB}/libb.so": b""}
    assert paths(kept(table, "/liba.so", "/text")) == ["/liba.so", "/text"]


def test_needed_libraries_of_libraries() -> None:
    table = {
        "/prog": program(needs=("liba.so",)),
        f"{LIB}/liba.so": library("liba.so", needs=("libb.so",)),
        f"{LIB}/libb.so": library("libb.so"),
        f"{LIB}/libc0.so": library("libc0.so"),
    }
    assert paths(kept(table, "/prog")) == ["/prog", f"{LIB}/liba.so", f"{LIB}/libb.so"]


def test_a_file_that_only_has_the_name_is_no_library() -> None:
    table: Table = {
        "/prog": program(needs=("liba.so", "libb.so")),
        "/usr/lib/liba.so": "INPUT(-la)",
        "/usr/lib/libb.so/": "",
    }
    assert paths(kept(table, "/prog")) == ["/prog"]


def test_a_library_in_a_directory_of_its_own_is_not_found_by_name() -> None:
    table = {"/prog": program(needs=("liba.so",)), "/opt/x/liba.so": library("liba.so")}
    assert paths(kept(table, "/prog")) == ["/prog"]


def test_without_a_cache_the_directories_of_ldconfig_come_last() -> None:
    table: Table = {
        "/prog": program(needs=("liba.so", "libb.so")),
        "/etc/ld.so.conf": "/opt/lib\n",
        "/opt/lib/liba.so": library("liba.so"),
        "/opt/lib/libb.so": library("libb.so"),
        "/usr/lib/libb.so": library("libb.so"),
    }
    assert paths(kept(table, "/prog")) == ["/opt/lib/liba.so", "/prog", "/usr/lib/libb.so"]


def test_a_library_that_is_a_program_with_its_own_rpath() -> None:
    """Loaders bequeath to what they load; what others load by themselves stays with its own order."""
    table = {
        "/one/prog": program(needs=("liba.so",), rpath="/one:/shared"),
        "/two/prog": program(needs=("liba.so",), rpath="/two:/shared"),
        "/shared/liba.so": library("liba.so", needs=("libb.so",)),
        "/one/libb.so": library("libb.so"),
        "/two/libb.so": library("libb.so"),
    }
    one = paths(kept(table, "/one/prog"))
    assert "/one/libb.so" in one
    assert "/two/libb.so" not in one
    both = paths(kept(table, "/two/prog", "/one/prog"))
    assert {"/one/libb.so", "/two/libb.so"} <= set(both)
    assert both == paths(kept(table, "/one/prog", "/two/prog"))


def test_a_setuid_program_does_not_look_into_ld_library_path() -> None:
    table: Table = {
        "/prog": ("4755", program(needs=("liba.so",))),
        "/env/liba.so": library("liba.so", needs=("libb.so",)),
        "/env/libb.so": library("libb.so"),
        "/usr/lib/liba.so": library("liba.so", needs=("libb.so",)),
        "/usr/lib/libb.so": library("libb.so"),
    }
    assert {"/usr/lib/liba.so", "/usr/lib/libb.so"} <= set(kept(table, "/prog", env=("LD_LIBRARY_PATH=/env",)).evidence)
    plain: Table = {**table, "/prog": ("0755", program(needs=("liba.so",)))}
    assert "/usr/lib/liba.so" not in kept(plain, "/prog", env=("LD_LIBRARY_PATH=/env",))


def test_a_program_with_file_capabilities_is_secure_as_well() -> None:
    rootfs = tree(
        {
            "/prog": program(needs=("liba.so",)),
            "/env/liba.so": library("liba.so"),
            "/usr/lib/liba.so": library("liba.so"),
        }
    )
    entries = [with_capability(e) if e.path == "/prog" else e for e in rootfs.entries()]
    capable = Rootfs(entries, rootfs._contents)
    here = World(capable, NoPackages(), ImageConfig({"Env": ["LD_LIBRARY_PATH=/env"]}))
    assert "/usr/lib/liba.so" in close(here, rules.RULES, [Want("/prog", "seed", "probe:test")])


def with_capability(entry: Entry) -> Entry:
    return replace(entry, xattrs=(("security.capability", b"\x01"),))


PLUGIN = {
    "/app/prog": program(rpath="/app/lib"),
    "/usr/bin/tool": program(),
    "/plugins/p.so": library("p.so", needs=("liba.so",)),
    "/plugins/q.so": library("q.so", needs=("liba.so",), runpath="/none"),
    "/app/lib/liba.so": library("liba.so"),
}


def opened(program: str, *files: str) -> Trace:
    return Trace(frozenset(Access(path, Op.OPEN, "r", "p", program) for path in files))


def test_a_plug_in_searches_the_rpath_of_the_program_that_opened_it() -> None:
    closure = kept(PLUGIN, "/plugins/p.so", trace=opened("/app/prog", "/plugins/p.so"))
    assert list(rules_for(closure, "/app/lib/liba.so")) == ["elf.dlopened"]


def test_a_plug_in_that_none_opened_may_be_any_programs() -> None:
    assert "/app/lib/liba.so" in kept(PLUGIN, "/plugins/p.so", trace=opened("/app/prog", "/etc/x", "/app/prog"))


def test_a_plug_in_of_another_program_or_with_its_own_runpath_does_not() -> None:
    trace = opened("/usr/bin/tool", "/plugins/p.so") | opened("/app/prog", "/app/prog", "/plugins/q.so")
    assert "/app/lib/liba.so" not in kept(PLUGIN, "/plugins/p.so", "/plugins/q.so", trace=trace)


def test_preloads() -> None:
    table: Table = {
        "/prog": program(),
        "/static": program(flags=("-static",)),
        "/etc/ld.so.preload": "/opt/libp.so # /opt/libn.so\n",
        "/opt/libp.so": library("libp.so", needs=("liba.so",)),
        "/opt/libn.so": library("libn.so"),
        "/usr/lib/liba.so": library("liba.so"),
        "/usr/lib/libe.so": library("libe.so"),
        "/usr/lib/libu.so": library("libu.so"),
    }
    env = ("LD_PRELOAD=libe.so:none.so", "LD_AUDIT=libu.so")
    want = ["/etc/ld.so.preload", "/opt/libp.so", "/prog", *(f"/usr/lib/lib{n}.so" for n in "aeu")]
    assert paths(kept(table, "/prog", env=env)) == want
    assert paths(kept(table, "/static", env=env)) == ["/static"]


def with_note(features: object) -> bytes:
    """A library whose `.note.dlopen` declares these features."""
    text = json.dumps(features)
    words = struct.pack("<III4s", 4, len(text) + 1, 0x407C0C0A, b"FDO\0") + text.encode() + b"\0"
    row = ",".join(str(byte) for byte in words + b"\0" * (-len(words) % 4))
    source = (
        f'__attribute__((used, section(".note.dlopen"), aligned(4))) static const unsigned char note[] = {{{row}}};'
    )
    return library("libnote.so", source=source)


def test_dlopen_metadata() -> None:
    names = ("req", "rec", "sug", "new", "old", "pri")
    table: dict[str, bytes] = {f"/usr/lib/lib{n}.so": library(f"lib{n}.so") for n in names}
    table["/libnote.so"] = with_note(
        [
            {"soname": ["libreq.so"], "priority": "required"},
            {"soname": ["librec.so"], "priority": "recommended"},
            {"soname": ["libsug.so"], "priority": "suggested"},
            {"soname": ["libnewest.so", "libnew.so", "libold.so"]},
        ]
    )
    assert paths(kept(table, "/libnote.so")) == ["/libnote.so", *(f"/usr/lib/lib{n}.so" for n in ("new", "rec", "req"))]


def test_names_in_a_programs_text_are_not_guessed() -> None:
    source = (
        'const char *name = "libtext.so"; void *dlopen(const char *, int); void *p(void) { return dlopen(name, 1); }\n'
    )
    table = {"/prog": program(source=source), "/usr/lib/libtext.so": library("libtext.so")}
    assert paths(kept(table, "/prog")) == ["/prog"]


def test_origin_of_a_kept_link() -> None:
    table: Table = {
        "/plugins/p.so": "-> ../store/p.so",
        "/store/p.so": library("p.so", needs=("liba.so",), runpath="$ORIGIN/lib"),
        "/plugins/lib/liba.so": library("liba.so"),
    }
    assert "/plugins/lib/liba.so" in kept(table, "/plugins/p.so")
    assert "/plugins/lib/liba.so" not in kept(table, "/store/p.so")
