"""The one resolver: tables for the cases, properties against the kernel's own resolution."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from debloat.core.globs import glob_regex, matcher
from debloat.core.model import Entry, Kind
from debloat.image.rootfs import MemoryContents, Rootfs
from tests.support.trees import tree

ROOTFS = tree(
    {
        "/usr/bin/tool": "x",
        "/bin": "-> usr/bin",
        "/etc/alternatives/ed": "-> /usr/bin/tool",
        "/usr/bin/ed": "-> ../../etc/alternatives/ed",
        "/loop": "-> loop",
        "/up": "-> ../../../etc",
        "/dangling": "-> /no/where",
        "/dir/": "",
        "/through": "-> usr/bin/tool/more",
    }
)


@pytest.mark.parametrize(
    ("path", "real", "links"),
    [
        ("/usr/bin/tool", "/usr/bin/tool", ()),
        ("/bin/tool", "/usr/bin/tool", ("/bin",)),
        ("/bin/ed", "/usr/bin/tool", ("/bin", "/usr/bin/ed", "/etc/alternatives/ed")),
        ("//usr/./bin//tool", "/usr/bin/tool", ()),
        ("/usr/bin/../bin/tool", "/usr/bin/tool", ()),
        ("/bin/../bin/tool", "/usr/bin/tool", ("/bin",)),  # `..` of /usr/bin, not of /
        ("/../../usr", "/usr", ()),
        ("/up/alternatives", "/etc/alternatives", ("/up",)),
        ("/dir/", "/dir", ()),
        ("/usr/bin/tool/", None, ()),
        ("/usr/bin/tool/x", None, ()),
        ("/dangling", None, ("/dangling",)),
        ("/through", None, ("/through",)),
        ("/nothing", None, ()),
        ("/", "/", ()),
        ("/bin/", "/usr/bin", ("/bin",)),
    ],
)
def test_resolve(path: str, real: str | None, links: tuple[str, ...]) -> None:
    found = ROOTFS.resolve(path)
    assert found.path == real
    if real is not None or links:
        assert found.links == links


def test_a_loop_ends() -> None:
    assert ROOTFS.resolve("/loop").path is None


def test_the_last_link_may_stay() -> None:
    assert ROOTFS.resolve("/usr/bin/ed", follow=False).path == "/usr/bin/ed"
    assert ROOTFS.resolve("/bin/ed", follow=False).path == "/usr/bin/ed"
    assert ROOTFS.resolve("/bin/", follow=False).path == "/usr/bin"


def test_where_a_missing_path_breaks() -> None:
    assert ROOTFS.resolve("/usr/none/more").broken == "/usr/none"
    assert ROOTFS.resolve("/dangling").broken == "/no"


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/a/*.so", "/a/x.so", True),
        ("/a/*.so", "/a/b/x.so", False),
        ("/a/**/x", "/a/x", True),
        ("/a/**/x", "/a/b/c/x", True),
        ("/a/**", "/a/b/c", True),
        ("/a/[ab]?", "/a/bz", True),
        ("/a/[!ab]", "/a/a", False),
        ("/a.b", "/axb", False),
    ],
)
def test_glob(pattern: str, path: str, matches: bool) -> None:
    assert bool(glob_regex(pattern).fullmatch(path)) is matches


def test_glob_in_a_tree() -> None:
    assert ROOTFS.glob("/bin/*") == ("/usr/bin/ed", "/usr/bin/tool")
    assert ROOTFS.glob("/**/tool") == ("/usr/bin/tool",)
    assert ROOTFS.glob("/no*/x") == ()


def test_a_matcher_takes_what_is_below() -> None:
    assert matcher(["/a/b/"])("/a/b/c/d")
    assert not matcher(["/a/b"])("/a/bc")


NAMES = st.sampled_from(["a", "b", "c", "d"])
TARGETS = (
    st.lists(st.sampled_from(["", "a", "b", "c", "d", "..", "."]), min_size=1, max_size=4).map("/".join).filter(bool)
)
LINKS = st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map("/".join), TARGETS, max_size=4)
FILES = st.sets(st.lists(NAMES, min_size=1, max_size=3).map("/".join), max_size=5)
LOOKUPS = st.lists(st.sampled_from(["a", "b", "c", "d", "..", "."]), min_size=1, max_size=5).map("/".join)


@settings(max_examples=150, deadline=None)
@example(files={"c"}, links={"d": "c/", "b": "c/."}, lookups=["d", "b"])
@example(files={"a/c"}, links={"d": "a/", "b": "d/."}, lookups=["d", "b", "d/c", "b/c", "d/c/"])
@given(files=FILES, links=LINKS, lookups=st.lists(LOOKUPS, min_size=1, max_size=5))
def test_resolves_as_the_kernel_does(
    tmp_path_factory: pytest.TempPathFactory, files: set[str], links: dict[str, str], lookups: list[str]
) -> None:
    """Links inside a real directory tree: the kernel is the judge of where a path leads."""
    top = tmp_path_factory.mktemp("root")
    for name in sorted(files):
        path = top / name
        if not any(p.is_file() for p in (path, *path.parents)) and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    for name, target in sorted(links.items()):
        path = top / name
        if path.parent.is_dir() and path.parent.resolve() == path.parent and not os.path.lexists(path):
            path.symlink_to(target)
    entries = [Entry("/", Kind.DIR)]
    for path in sorted(top.rglob("*")):
        name = "/" + str(path.relative_to(top))
        if path.is_symlink():
            entries.append(Entry(name, Kind.SYMLINK, target=os.readlink(path)))
        else:
            entries.append(Entry(name, Kind.DIR if path.is_dir() else Kind.FILE))
    rootfs = Rootfs(entries, MemoryContents({}))
    for lookup in lookups:
        assert rootfs.resolve("/" + lookup).path == _in_root(top, lookup)


def _in_root(top: Path, lookup: str) -> str | None:
    """Where the kernel ends up with `top` as the root: openat2(2) with RESOLVE_IN_ROOT.

    It answers EAGAIN where a rename or a mount anywhere on the machine came between the steps of a lookup with `..`.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    directory = os.open(top, os.O_PATH)
    how = (ctypes.c_uint64 * 3)(os.O_PATH | os.O_CLOEXEC, 0, 0x10)
    try:
        for _ in range(1_000):
            descriptor = libc.syscall(437, directory, lookup.encode(), how, ctypes.sizeof(how))
            if descriptor >= 0 or ctypes.get_errno() != errno.EAGAIN:
                break
        if descriptor < 0:
            assert ctypes.get_errno() in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
            return None
        real = os.readlink(f"/proc/self/fd/{descriptor}")
        os.close(descriptor)
    finally:
        os.close(directory)
    return "/" + os.path.relpath(real, top).removeprefix(".")
