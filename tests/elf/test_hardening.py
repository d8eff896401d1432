"""How ELF files are hardened, as the compiler at hand makes them and as binutils reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.elf.hardening import hardening
from tests.support.elves import library, needs_compiler, program

CHECKED = """#include <string.h>
void use(char *);
void f(char *a) { char b[64]; strcpy(b, a); use(b); }
void use(char *a) {}
"""


@needs_compiler
@pytest.mark.parametrize(
    ("flags", "attribute", "value"),
    [
        (("-pie", "-fPIE"), "form", "pie"),
        (("-no-pie", "-fno-pie"), "form", "fixed"),
        (("-Wl,-z,relro,-z,now",), "relro", "full"),
        (("-Wl,-z,relro,-z,lazy",), "relro", "partial"),
        (("-Wl,-z,norelro",), "relro", "none"),
        (("-Wl,-z,noexecstack",), "nx", True),
        (("-Wl,-z,execstack",), "nx", False),
        (("-fstack-protector-all",), "canary", True),
        (("-fno-stack-protector",), "canary", False),
        (("-O2", "-D_FORTIFY_SOURCE=2"), "fortify", True),
        (("-O2", "-U_FORTIFY_SOURCE"), "fortify", False),
    ],
)
def test_what_the_compiler_was_told(flags: tuple[str, ...], attribute: str, value: object) -> None:
    found = hardening(program(source=CHECKED, flags=flags))
    assert found is not None
    assert getattr(found, attribute) == value


@needs_compiler
def test_a_static_program_and_a_library() -> None:
    for flags, form in ((("-static",), "fixed"), (("-static-pie", "-fPIE"), "pie")):
        found = hardening(program(flags=flags))
        assert found is not None
        assert found.form == form
    found = hardening(library("liba.so"))
    assert found is not None
    assert found.form == "library"


@needs_compiler
@pytest.mark.parametrize("how", ["rpath", "runpath"])
def test_search_paths(how: str) -> None:
    found = hardening(program(**{how: "$ORIGIN/../lib:/tmp/x"}))
    assert found is not None
    assert found.paths == ("$ORIGIN/../lib", "/tmp/x")


def test_the_systems_own_library_is_one() -> None:
    """libc.so.6 can be run, and names an interpreter."""
    from pathlib import Path

    path = Path("/lib/x86_64-linux-gnu/libc.so.6")
    if path.exists():
        found = hardening(path.read_bytes())
        assert found is not None
        assert found.form == "library"


@given(st.binary(max_size=200))
def test_nothing_is_raised(noise: bytes) -> None:
    assert hardening(noise) is None
    hardening(b"\x7fELF\x02\x01\x01" + noise)
