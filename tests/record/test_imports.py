"""Traces of other tools: each folder of tests/data/imports is what a tool wrote, and what is read out of it.

The output of strace is that of Debian 12's; those of Inspektor Gadget and Kubescape are written by their published
formats. To add a case, add a folder, and write its `expected.txt` with `python -m tests.record.test_imports`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from debloat.core.errors import UsageError
from debloat.core.model import Access, Image, ImageConfig, Op
from debloat.record import trace
from debloat.record.imports import read, strace
from debloat.record.imports.run import Run, is_of
from tests.support.trees import tree

CASES = Path(__file__).parents[1] / "data" / "imports"
EXPECTED = "expected.txt"
IMAGE = Image(
    "shop:1", "sha256:" + 64 * "a", "linux", "amd64", "", "", ImageConfig({}), names=("registry.example/shop:1",)
)
ROOTFS = tree(
    {
        "/usr/share/shop/tea/names": "",
        "/usr/share/shop/names": "",
        "/usr/share/shop/tea/prices": "",
        "/usr/lib/shop": "-> ../libexec/shop",
        "/usr/libexec/shop/a/b": "",
        "/etc/shop/shop.conf": "",
    }
)


def files_of(case: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(case.iterdir()) if path.name != EXPECTED}


def shown(case: Path) -> str:
    """What is read out of the files of a case, as text."""
    found = read.read(files_of(case), "/srv")
    lines = [f"mechanisms {' '.join(sorted(found.mechanisms))}"]
    for run in found.runs:
        lines.append(f"\n{run.context} of {', '.join(run.images) or 'an image that is not named'}")
        if run.unresolved:
            lines.append(f"unresolved {run.unresolved}")
        for sign, accesses in ((" ", run.accesses), ("*", run.patterns)):
            lines += [f"{sign} {a.op}:{a.flags or '-'} {a.path!r} {a.program}" for a in sorted(accesses)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda case: case.name)
def test_what_a_tool_wrote_is_read(case: Path) -> None:
    assert shown(case) == (case / EXPECTED).read_text()
    assert all(read.is_foreign(data) for data in files_of(case).values())


def traced(*lines: str, workdir: str = "/srv") -> dict[tuple[str, str], str]:
    """(operation, path) of what strace says, to the program."""
    run = strace.parse({"x": "\n".join(lines).encode("utf-8", "surrogateescape")}, "x", workdir)
    return {(str(access.op), access.path): access.program for access in run.accesses}


@pytest.mark.parametrize("how", ["CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_THREAD", "SIGCHLD"])
def test_threads_share_the_working_directory_and_children_do_not(how: str) -> None:
    found = traced(
        '1 execve("/bin/p", ["p"], 0x1 /* 1 var */) = 0',
        f"1 clone(child_stack=0x1, flags={how}, parent_tid=[2] <unfinished ...>",
        '2 chdir("/etc") = 0',
        "1 <... clone resumed>) = 2",
        '1 openat(AT_FDCWD, "passwd", O_RDONLY) = 3',
    )
    base = "/etc" if "CLONE_FS" in how else "/srv"
    assert found["open", f"{base}/passwd"] == "/bin/p"


def test_descriptors_and_roots() -> None:
    found = traced(
        '1 openat(AT_FDCWD, "/usr/share", O_RDONLY|O_DIRECTORY) = 3',
        "1 dup2(3, 9) = 9",
        "1 close(3) = 0",
        '1 newfstatat(9, "doc", 0x1, AT_SYMLINK_NOFOLLOW) = -1 ENOENT (No such file or directory)',
        '1 openat(3, "lost", O_RDONLY) = -1 EBADF (Bad file descriptor)',
        '1 openat2(9, "x", {flags=O_RDONLY|O_CLOEXEC, resolve=RESOLVE_BENEATH}, 24) = 4',
        '1 connect(5, {sa_family=AF_UNIX, sun_path="/run/db"}, 110) = 0',
        '1 connect(5, {sa_family=AF_UNIX, sun_path=@"abstract"}, 110) = 0',
        '1 readlinkat(9, "", 0x1, 4096) = 10',
        '1 chroot("/jail") = 0',
        '1 unlinkat(AT_FDCWD, "/a\\tb\\303\\244\\x0a", AT_REMOVEDIR) = 0',
    )
    assert set(found) == {
        ("open", "/usr/share"),
        ("stat", "/usr/share/doc"),
        ("open", "/usr/share/x"),
        ("connect", "/run/db"),
        ("readlink", "/usr/share"),
        ("chroot", "/jail"),
        ("rmdir", "/jail/a\tbä\n"),
    }


def test_a_working_directory_is_not_guessed() -> None:
    """A process that strace was attached to begins somewhere."""
    run = strace.parse({"x": b'7 openat(AT_FDCWD, "a", O_RDONLY) = 3\n7 stat("/b", 0x1) = 0\n'}, "x", "/srv")
    assert {access.path for access in run.accesses} == {"/b"}
    assert run.unresolved == 1
    told = strace.parse({"x": b'7 openat(AT_FDCWD</etc>, "a", O_RDONLY) = 3\n'}, "x", "/srv")
    assert {access.path for access in told.accesses} == {"/etc/a"}


def test_patterns_stand_for_what_the_image_has() -> None:
    found = read.read(files_of(CASES / "kubescape"), "/")
    imported = read.of_image(found, IMAGE, ROOTFS)
    paths = {access.path for access in imported.trace.accesses}
    assert {"/usr/share/shop/tea/names", "/usr/lib/shop/a/b"} <= paths
    assert not paths & {"/usr/share/shop/names", "/usr/share/shop/tea/prices", "/etc/migrate.conf"}
    assert imported.trace.images == {IMAGE.identity}
    assert any("1 run of other images left out" in note for note in imported.notes)


@pytest.mark.parametrize(
    ("says", "same"),
    [
        (("shop:1",), True),
        (("docker.io/library/shop:1",), True),
        (("registry.example/shop:1", "registry.example/shop@sha256:" + 64 * "b"), True),
        (("docker-pullable://registry.example/other@sha256:" + 64 * "a",), True),
        (("a" * 12,), True),
        (("shop:2",), False),
        (("registry.example/shop@sha256:" + 64 * "b",), False),
        (("",), False),
    ],
)
def test_whose_run_it_is(says: tuple[str, ...], same: bool) -> None:
    assert is_of(Run("x", says), IMAGE) is same


def test_another_image_is_refused_unless_asked_for() -> None:
    other = replace(IMAGE, reference="web:1", names=())
    found = read.read(files_of(CASES / "gadget"), "/")
    with pytest.raises(UsageError, match=r"cannot import for web:1: what was recorded is of registry\.example/db:3, "):
        read.of_image(found, other, ROOTFS)
    assert read.of_image(found, other, ROOTFS, any_image=True).trace.accesses


def test_an_imported_trace_is_a_trace() -> None:
    imported = read.of_image(read.read(files_of(CASES / "strace"), "/"), IMAGE, ROOTFS)
    assert trace.parse(trace.dump(imported.trace), "x") == imported.trace


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "none of the formats"),
        (b"hello\n", "none of the formats"),
        (b'{"runtime": {}, "fname": "/x"} {"run', "cannot import x: "),
        (b'{"runtime": {}, "fname": "/x"} 7', "7 is no event"),
        (b"kind: ApplicationProfile\nspec: [1]\n", r"spec is \['1'\]"),
        (b"kind: ApplicationProfile\nspec: {containers: [{opens: {a: b}}]}\n", "opens is"),
        (b"kind: ApplicationProfile\nspec: {containers: [{opens: [[]]}]}\n", "is no object"),
        (b"kind: ApplicationProfile\nspec: {containers: &a [*a]}\n", "aliases"),
        (b"kind: ApplicationProfile\nspec: " + 100 * b"[" + b"\n", "nested too deep"),
        (b"kind: ApplicationProfile\nspec: {\n", "it is no YAML"),
        (b"debloat-events\t2\n", "no trace that can be read"),
        (b"\0" + b"\xff" * 8 + b"debloat-events\t1\tnotify\n", "cut off"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(data: bytes, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        read.read({"x": data}, "/")
    assert caught.value.hint.startswith("give it ")


PIECES = st.sampled_from(
    [
        *(
            '1 openat(AT_FDCWD, "a',
            '", O_RDONLY',
            ") = 3",
            " <unfinished ...>",
            "1 <... openat resumed>",
            "\n",
            "[pid 2] ",
        ),
        *(
            "2 clone(flags=CLONE_FS) = 1",
            'execve("/x',
            "strace: Process 3 attached\n",
            "\\777",
            "AT_FDCWD</etc>",
            "{",
            "]",
        ),
        *('{"runtime": {}, ', '"k8s": {"podName": 7}', '"fname": "/x", ', '"flags": [{}]', "}", "[", "null"),
        *(
            "kind: ApplicationProfile\n",
            "spec:\n  containers:\n",
            "  - opens:\n",
            "    - path: /⋯/*\n",
            "&a",
            "*a",
            "- ",
        ),
        *("debloat-events\t1\tnotify\tx\tmain\n", "e\t0\topen\tr\t1\t/x\n", "\0"),
    ]
)


@given(st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=12).map(lambda p: "".join(p).encode())))
def test_garbage_ends_in_runs_or_in_one_error(data: bytes) -> None:
    with contextlib.suppress(UsageError):
        found = read.read({"x": data, "y.1": data}, "/")
        read.of_image(found, IMAGE, ROOTFS, any_image=True)
    run = strace.parse({"x": data}, "x", "/")
    assert all(access.path.startswith("/") and "\0" not in access.path for access in run.accesses)


def test_a_log_is_read_in_one_pass() -> None:
    """Nesting and quotes do not multiply what is looked at."""
    hostile = b"1 openat(" + 20_000 * b'{["' + b"\n" + b'1 stat("' + 20_000 * b"\\" + b"\n"
    assert strace.parse({"x": hostile * 20}, "x", "/").accesses == frozenset()


def test_gadgets_name_more_than_they_hold() -> None:
    """A name as long as the gadget's room may be cut off: then only the path where it led counts."""
    event = {"runtime": {}, "fname": "/" + 253 * "n", "fpath": ""}
    found = read.read({"x": json.dumps(event).encode()}, "/")
    assert (found.runs[0].accesses, found.runs[0].unresolved) == (frozenset(), 1)
    known: Mapping[str, object] = {**event, "fpath": "/whole"}
    (run,) = read.read({"x": json.dumps(known).encode()}, "/").runs
    assert run.accesses == {Access("/whole", Op.OPEN, "r", "inspektor-gadget x", "")}


if __name__ == "__main__":
    for folder in sorted(CASES.iterdir()):
        (folder / EXPECTED).write_text(shown(folder))
