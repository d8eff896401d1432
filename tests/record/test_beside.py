"""Which lookups below the root of another container failed there, by what it has and what its original has."""

from __future__ import annotations

import pytest

from debloat.core.model import Access, Op
from debloat.record.beside import in_vain, lookups
from tests.support.trees import tree

ORIGINAL = tree(
    {
        "/usr/bin/tool": ("0755", "x"),
        "/usr/bin/alias": "-> tool",
        "/usr/bin/away": "-> /etc/alternatives/away",
        "/etc/alternatives/away": "-> /usr/bin/tool",
        "/bin": "-> usr/bin",
    }
)


def access(path: str, op: Op = Op.OPEN, flags: str = "r") -> Access:
    return Access(path, op, flags, "start", "/usr/bin/cat")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/proc/1/root/etc/x", ["/etc/x"]),
        ("/proc/1/root", ["/"]),
        ("//proc/1//root//etc", ["//etc"]),
        ("/proc/1/rooted", []),
        ("/proc/17/root/etc", []),
        ("/etc/x", []),
    ],
)
def test_below_the_root_of_the_container(path: str, found: list[str]) -> None:
    assert [a.path for a in lookups([access(path)])] == found


def test_what_makes_a_name_looks_for_none() -> None:
    path = "/proc/1/root/x"
    assert not list(lookups([access(path, Op.MKDIR, ""), access(path, Op.OPEN, "wcx")]))
    assert list(lookups([access(path, Op.OPEN, "wc")]))


@pytest.mark.parametrize(
    ("path", "has", "missing"),
    [
        ("/usr/bin/tool", (), ("/usr/bin/tool",)),
        ("/usr/bin/tool", ("/usr/bin/tool",), ()),
        ("/usr/bin/none", (), ()),
        ("/bin/tool", ("/bin",), ("/usr/bin/tool",)),
        ("/bin/tool", (), ("/bin",)),
        ("/usr/bin/alias", ("/usr/bin/tool",), ("/usr/bin/alias",)),
        ("/usr/bin/alias", ("/usr/bin/alias",), ("/usr/bin/tool",)),
        # From there on the tools' own root decides.
        ("/usr/bin/away", ("/usr/bin/away",), ()),
        ("/usr/bin/away", (), ("/usr/bin/away",)),
    ],
)
def test_what_is_missing(path: str, has: tuple[str, ...], missing: tuple[str, ...]) -> None:
    assert in_vain([access(path), access(path)], ORIGINAL, has.__contains__) == missing
