"""Libraries that sources, scripts and compiled programs load by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.rules.application.libraries import RULES
from tests.support import trees
from tests.support.classfiles import class_file, jar
from tests.support.dpkgdb import debian_world

LIB = "/usr/lib/x86_64-linux-gnu"
TABLE: trees.Table = {
    f"{LIB}/libsalt.so.23": "-> libsalt.so.23.3.0",
    f"{LIB}/libsalt.so.23.3.0": "x",
    f"{LIB}/libother.so.1": "x",
    f"{LIB}/libm.so.6": "x",
}
ELF = "\x7fELF" + "\0" * 60


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.rb", "module S\n extend FFI::Library\n ffi_lib 'salt'\nend"),
        ("a.rb", 'ffi_lib ["sodium", "libsalt.so.23"]'),
        ("a.lua", 'local s = ffi.load("salt")'),
        ("a.lua", 'ffi.load "libsalt.so.23"'),
        ("a.php", '<?php $f = FFI::cdef("int a(void);", "libsalt.so.23");'),
        ("a.pl", "$ffi->lib(find_lib_or_die lib => 'salt');"),
        ("a.scm", '(define s (load-foreign-library "libsalt"))'),
        ("a.scm", '(dynamic-link "libsalt")'),
        ("a.js", "koffi.load('libsalt.so.23')"),
        ("A.java", 'Salt s = Native.load("salt", Salt.class);'),
        ("run.sh", "export LD_PRELOAD=$(find /usr/lib -name libsalt.so.23)"),
        ("run.sh", "LD_PRELOAD=$(ldconfig -p | grep -o 'libsalt.so.23') exec x"),
        ("a.py", 'ctypes.CDLL("libsalt.so")'),
        ("server", f"{ELF}\0dlopen\0libsalt.so.23\0"),
        ("server", f"{ELF}\0dlopen\0/rustc/ textlibsalt.so.23and more"),
    ],
)
def test_a_library_by_name(name: str, content: str) -> None:
    world = trees.world({**TABLE, f"/srv/{name}": ("0755", content)}, owned={"libs": list(TABLE)})
    found = trees.paths(trees.closed(world, RULES, f"/srv/{name}"), LIB)
    assert {f"{LIB}/libsalt.so.23", f"{LIB}/libsalt.so.23.3.0"} <= set(found)
    assert f"{LIB}/libother.so.1" not in found


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.rb", "salt = 'salt'"),
        ("a.txt", 'ffi_lib "salt"'),
        ("a.rb", "ffi_lib 'sodium'"),
        ("server", f"{ELF}\0libsalt.so.23\0"),
        ("a.py", '"/opt/libsalt.so.23.txt"'),
    ],
)
def test_what_names_none(name: str, content: str) -> None:
    world = trees.world({**TABLE, f"/srv/{name}": ("0755", content)}, owned={"libs": list(TABLE)})
    assert trees.paths(trees.closed(world, RULES, f"/srv/{name}"), LIB) == []


@pytest.mark.parametrize("depends", [True, False])
def test_a_package_loads_what_it_depends_on(depends: bool) -> None:
    module = "/usr/lib/ruby/vendor_ruby/salt.rb"
    fields = {"ruby-salt": {"Depends": "libsalt23"}} if depends else {}
    packages = {"ruby-salt": [module], "libsalt23": [path for path in TABLE if "salt" in path]}
    world = debian_world({**TABLE, module: "ffi_lib 'salt'"}, packages, fields=fields)
    assert bool(trees.paths(trees.closed(world, RULES, module), LIB)) is depends


LOADERS = [
    ("com/sun/jna/Native", "load", "salt"),
    ("com/sun/jna/NativeLibrary", "getInstance", "libsalt.so.23"),
    ("java/lang/System", "loadLibrary", "salt"),
    ("java/lang/foreign/SymbolLookup", "libraryLookup", "libsalt.so.23"),
    ("jnr/ffi/LibraryLoader", "load", "salt"),
]
"""How a class loads a library: by JNA, JNI, the foreign function interface of Java 22, JNR."""


@pytest.mark.parametrize(("uses", "method", "library"), LOADERS)
@pytest.mark.parametrize("packed", [True, False])
def test_a_library_that_a_class_loads(uses: str, method: str, library: str, packed: bool) -> None:
    content = class_file("settings", library, uses=uses, method=method)
    path, content = ("/srv/a.jar", jar(**{"a/Salt.class": content})) if packed else ("/srv/Salt.class", content)
    world = trees.world({**TABLE, path: content}, owned={"libs": list(TABLE)})
    found = trees.paths(trees.closed(world, RULES, path), LIB)
    assert found == [f"{LIB}/libsalt.so.23", f"{LIB}/libsalt.so.23.3.0"]


def test_a_class_that_loads_nothing() -> None:
    world = trees.world({**TABLE, "/srv/A.class": class_file("salt", "libsalt.so.23")}, owned={"libs": list(TABLE)})
    assert trees.paths(trees.closed(world, RULES, "/srv/A.class"), LIB) == []


@given(st.binary(max_size=200))
def test_any_source(data: bytes) -> None:
    world = trees.world({**TABLE, "/srv/a.rb": b"ffi_lib '" + data})
    trees.closed(world, RULES, "/srv/a.rb")
