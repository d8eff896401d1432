"""Every system call of the table, in each form of path, is recorded once and exactly."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from debloat.sensor import build, machine_of_host
from tests.sensor.harness import MECHANISMS, Recording, Sensor

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="the sensor is started as root"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the tables of numbers are those of x86_64 and i386"),
]


@dataclass(frozen=True)
class Call:
    """`words`: D a directory, P the path behind it, E and Q the same for a second path."""

    name: str
    compat: int | None
    words: str
    op: str
    flags: str = "-"
    second: tuple[str, str] | None = None


CALLS = [
    Call("openat", 295, "D P 0", "open", "r"),
    Call("open", 5, "P 0", "open", "r"),
    Call("openat2", 437, "D P how:0:0 24", "open", "r"),
    Call("creat", 8, "P 0644", "open", "wct"),
    Call("newfstatat", 300, "D P buf 0", "stat"),
    Call("stat", 106, "P buf", "stat"),
    Call("lstat", 107, "P buf", "stat", "l"),
    Call("", 195, "P buf", "stat"),
    Call("", 196, "P buf", "stat", "l"),
    Call("", 18, "P buf", "stat"),
    Call("", 84, "P buf", "stat", "l"),
    Call("statx", 383, "D P 0 0x7ff buf", "stat"),
    Call("access", 33, "P 0", "access"),
    Call("faccessat", 307, "D P 0", "access"),
    Call("faccessat2", 439, "D P 0 0", "access"),
    Call("readlink", 85, "P buf 100", "readlink", "l"),
    Call("readlinkat", 305, "D P buf 100", "readlink", "l"),
    Call("execve", 11, "P 0 0", "exec"),
    Call("execveat", 358, "D P 0 0 0", "exec"),
    Call("uselib", 86, "P", "exec"),
    Call("chdir", 12, "P", "chdir"),
    Call("chroot", 61, "P", "chroot"),
    Call("pivot_root", 217, "P Q", "chroot", "-", ("chroot", "-")),
    Call("mkdir", 39, "P 0755", "mkdir", "l"),
    Call("mkdirat", 296, "D P 0755", "mkdir", "l"),
    Call("mknod", 14, "P 010644 0", "mknod", "l"),
    Call("mknodat", 297, "D P 010644 0", "mknod", "l"),
    Call("symlink", 83, "s:target P", "symlink", "l"),
    Call("symlinkat", 304, "s:target D P", "symlink", "l"),
    Call("link", 9, "P Q", "link", "l", ("create", "l")),
    Call("linkat", 303, "D P E Q 0", "link", "l", ("create", "l")),
    Call("rename", 38, "P Q", "rename", "l", ("create", "l")),
    Call("renameat", 302, "D P E Q", "rename", "l", ("create", "l")),
    Call("renameat2", 353, "D P E Q 0", "rename", "l", ("create", "l")),
    Call("unlink", 10, "P", "unlink", "l"),
    Call("unlinkat", 301, "D P 0", "unlink", "l"),
    Call("rmdir", 40, "P", "rmdir", "l"),
    Call("chmod", 15, "P 0644", "chmod"),
    Call("fchmodat", 306, "D P 0644", "chmod"),
    Call("fchmodat2", 452, "D P 0644 0", "chmod"),
    Call("chown", 182, "P 0 0", "chown"),
    Call("lchown", 16, "P 0 0", "chown", "l"),
    Call("", 212, "P 0 0", "chown"),
    Call("", 198, "P 0 0", "chown", "l"),
    Call("fchownat", 298, "D P 0 0 0", "chown"),
    Call("utime", 30, "P 0", "utime"),
    Call("utimes", 271, "P 0", "utime"),
    Call("futimesat", 299, "D P 0", "utime"),
    Call("utimensat", 320, "D P 0 0", "utime"),
    Call("", 412, "D P 0 0", "utime"),
    Call("truncate", 92, "P 0", "truncate"),
    Call("", 193, "P 0 0", "truncate"),
    Call("statfs", 99, "P buf", "statfs"),
    Call("", 268, "P 84 buf", "statfs"),
    Call("getxattr", 229, "P s:user.x buf 100", "getxattr"),
    Call("lgetxattr", 230, "P s:user.x buf 100", "getxattr", "l"),
    Call("listxattr", 232, "P buf 100", "getxattr"),
    Call("llistxattr", 233, "P buf 100", "getxattr", "l"),
    Call("getxattrat", 464, "D P 0 s:user.x buf 16", "getxattr"),
    Call("listxattrat", 465, "D P 0 buf 100", "getxattr"),
    Call("file_getattr", 468, "D P buf 24 0", "getxattr"),
    Call("setxattr", 226, "P s:user.x buf 1 0", "setxattr"),
    Call("lsetxattr", 227, "P s:user.x buf 1 0", "setxattr", "l"),
    Call("removexattr", 235, "P s:user.x", "setxattr"),
    Call("lremovexattr", 236, "P s:user.x", "setxattr", "l"),
    Call("setxattrat", 463, "D P 0 s:user.x buf 16", "setxattr"),
    Call("removexattrat", 466, "D P 0 s:user.x", "setxattr"),
    Call("file_setattr", 469, "D P buf 0 0", "setxattr"),
    Call("inotify_add_watch", 292, "-1 P 2", "watch"),
    Call("fanotify_mark", None, "-1 1 2 D P", "watch"),
    Call("", 339, "-1 1 2 0 D P", "watch"),
    Call("connect", 362, "socket U 110", "connect"),
    Call("bind", 361, "socket U 110", "bind"),
    Call("mount", 21, "P Q s:nonefs 0 0", "mount", "-", ("mount", "-")),
    Call("", 22, "P", "mount"),
    Call("umount2", 52, "P 0", "mount"),
    Call("open_tree", 428, "D P 0", "mount"),
    Call("open_tree_attr", 467, "D P 0 0 0", "mount"),
    Call("move_mount", 429, "D P E Q 0", "mount", "-", ("mount", "-")),
    Call("fspick", 433, "D P 0", "mount"),
    Call("mount_setattr", 442, "D P 0 buf 0", "mount"),
    Call("name_to_handle_at", 341, "D P buf buf 0", "handle", "l"),
]

FORMS = {
    "missing": ("cwd", "{tree}/{t}", "{tree}/{t}"),
    "found": ("cwd", "{tree}/there/{t}", "{tree}/there/{t}"),
    "relative": ("cwd", "{t}", "{tree}/{t}"),
    "dots": ("cwd", "./sub/../{t}", "{tree}/./sub/../{t}"),
    "slash": ("cwd", "{tree}/{t}/", "{tree}/{t}/"),
    "link": ("cwd", "{tree}/link/{t}", "{tree}/link/{t}"),
    "descriptor": ("fd:{tree}/sub", "{t}", "{tree}/sub/{t}"),
    "descriptor-link": ("fd:{tree}/link", "../{t}", "{tree}/there/../{t}"),
    "descriptor-absolute": ("-1", "{tree}/{t}", "{tree}/{t}"),
}
NOT_FOUND_ONLY = {"mount", "chroot", "pivot_root"}
"""Calls that must not succeed here."""


@dataclass(frozen=True)
class Case:
    id: str
    tag: str
    line: str
    expected: list[tuple[str, str, str]]


def _cases() -> list[Case]:
    cases = list[Case]()
    for call in CALLS:
        for entry in ("native", "compat"):
            if (entry == "native" and not call.name) or (entry == "compat" and call.compat is None):
                continue
            words = call.words.split()
            for form, (directory, path, recorded) in FORMS.items():
                if directory != "cwd" and "D" not in words:
                    continue
                if form == "found" and (call.name in NOT_FOUND_ONLY):
                    continue
                if (call.name, form) == ("mount", "relative") or ("U" in words and form == "slash"):
                    continue
                tag = f"T{len(cases)}."
                second = path.replace("{t}", "{t}to")
                values = {"D": directory, "P": f"s:{path}", "E": directory, "Q": f"s:{second}", "U": f"un:{path}"}
                line = " ".join(
                    [call.name if entry == "native" else f"!{call.compat}", *(values.get(w, w) for w in words)]
                )
                expected = [(call.op, call.flags, recorded)]
                if call.second:
                    expected.append((*call.second, recorded.replace("{t}", "{t}to")))
                name = call.name or call.op
                cases.append(Case(f"{name}-{entry}-{form}", tag, line.replace("{t}", tag), _tagged(expected, tag)))
    for name, line, expected in SPECIAL:
        tag = f"T{len(cases)}."
        cases.append(Case(name, tag, line.replace("{t}", tag), _tagged(expected, tag)))
    return cases


def _tagged(events: list[tuple[str, str, str]], tag: str) -> list[tuple[str, str, str]]:
    return [(op, flags, path.replace("{t}", tag)) for op, flags, path in events]


T = "{tree}/{t}"
EMPTY = "0x1000"
SPECIAL: list[tuple[str, str, list[tuple[str, str, str]]]] = [
    ("open-create", f"openat cwd s:{T} 0301 0644", [("open", "wcx", T)]),
    ("open-update", f"openat cwd s:{T} 01002", [("open", "rwt", T)]),
    ("open-directory", f"openat cwd s:{T} 0200000", [("open", "rd", T)]),
    ("open-path", f"openat cwd s:{T} 012400000", [("open", "pl", T)]),
    ("open2-create", f"openat2 cwd s:{T} how:0101:0 24", [("open", "wc", T)]),
    ("open2-in-root", "openat2 fd:{tree}/sub s:/{t} how:0:0x10 24", [("open", "r", "{tree}/sub/{t}")]),
    ("stat-nofollow", f"newfstatat cwd s:{T} buf 0x100", [("stat", "l", T)]),
    ("stat-empty-flag-with-path", f"newfstatat cwd s:{T} buf {EMPTY}", [("stat", "-", T)]),
    (
        "stat-empty-flag-with-relative",
        f"newfstatat fd:{{tree}}/sub s:{{t}} buf {EMPTY}",
        [("stat", "-", "{tree}/sub/{t}")],
    ),
    ("stat-empty-path", f"newfstatat fd:{{tree}}/empty/{{t}} s: buf {EMPTY}", [("open", "r", "{tree}/empty/{t}")]),
    ("statx-empty-path", f"statx fd:{{tree}}/empty/{{t}} s: {EMPTY} 0x7ff buf", [("open", "r", "{tree}/empty/{t}")]),
    ("statx-empty-flag-with-path", f"statx cwd s:{T} {EMPTY} 0x7ff buf", [("stat", "-", T)]),
    ("statx-nofollow", f"statx cwd s:{T} 0x100 0x7ff buf", [("stat", "l", T)]),
    ("access-nofollow", f"faccessat2 cwd s:{T} 0 0x100", [("access", "l", T)]),
    ("unlinkat-rmdir", f"unlinkat cwd s:{T} 0x200", [("rmdir", "l", T)]),
    ("linkat-follow", f"linkat cwd s:{T} cwd s:{T}b 0x400", [("link", "-", T), ("create", "l", f"{T}b")]),
    ("fchownat-nofollow", f"fchownat cwd s:{T} 0 0 0x100", [("chown", "l", T)]),
    ("fchownat-empty-path", f"fchownat fd:{{tree}}/empty/{{t}} s: 0 0 {EMPTY}", [("open", "r", "{tree}/empty/{t}")]),
    ("utimensat-descriptor", "utimensat fd:{tree}/empty/{t} 0 0 0", [("open", "r", "{tree}/empty/{t}")]),
    ("handle-follow", f"name_to_handle_at cwd s:{T} buf buf 0x400", [("handle", "-", T)]),
    ("execveat-nofollow", f"execveat cwd s:{T} 0 0 0x100", [("exec", "l", T)]),
    (
        "execveat-empty-path",
        f"execveat fd:{{tree}}/empty/{{t}} s: 0 0 {EMPTY}",
        [("exec", "-", "{tree}/empty/{t}"), ("open", "r", "{tree}/empty/{t}")],
    ),
    (
        "readlinkat-empty-path",
        "readlinkat path:{tree}/empty/{t} s: buf 100",
        [("open", "pl", "{tree}/empty/{t}"), ("readlink", "l", "{tree}/empty/{t}")],
    ),
    (
        "getdents64",
        "getdents64 fd:{tree}/dirs/{t} buf 4096",
        [("list", "-", "{tree}/dirs/{t}"), ("open", "r", "{tree}/dirs/{t}")],
    ),
    (
        "getdents64-through-link",
        "getdents64 fd:{tree}/dirs-link/{t} buf 4096",
        [("list", "-", "{tree}/dirs/{t}"), ("open", "r", "{tree}/dirs-link/{t}")],
    ),
    (
        "getdents",
        "getdents fd:{tree}/dirs/{t} buf 4096",
        [("list", "-", "{tree}/dirs/{t}"), ("open", "r", "{tree}/dirs/{t}")],
    ),
    (
        "getdents-compat",
        "!141 fd:{tree}/dirs/{t} buf 4096",
        [("list", "-", "{tree}/dirs/{t}"), ("open", "r", "{tree}/dirs/{t}")],
    ),
    (
        "getdents64-compat",
        "!220 fd:{tree}/dirs/{t} buf 4096",
        [("list", "-", "{tree}/dirs/{t}"), ("open", "r", "{tree}/dirs/{t}")],
    ),
    (
        "readdir-compat",
        "!89 fd:{tree}/dirs/{t} buf 1",
        [("list", "-", "{tree}/dirs/{t}"), ("open", "r", "{tree}/dirs/{t}")],
    ),
    ("inotify-flags", f"inotify_add_watch -1 s:{T} 0x03000002", [("watch", "dl", T)]),
    ("fanotify-flags", f"fanotify_mark -1 0xd 2 cwd s:{T}", [("watch", "dl", T)]),
    ("umount-nofollow", f"umount2 s:{T} 8", [("mount", "l", T)]),
    ("mount-no-path", f"mount s:{{t}} s:{T} s:nonefs 0 0", [("mount", "-", T)]),
    ("mount-bind", f"mount s:{{t}} s:{T} s:none 4096 0", [("mount", "-", T)]),
    ("connect-abstract", "connect socket abstract:{t} 20", []),
    ("connect-short", f"connect socket un:{T} 2", []),
    ("socketcall-bind", "!102 2 args:there/../{t}", [("bind", "-", "{tree}/there/../{t}")]),
    ("socketcall-connect", "!102 3 args:{t}", [("connect", "-", "{tree}/{t}")]),
    ("end-of-page", f"openat cwd end:{T} 0", [("open", "r", T)]),
    ("end-of-page-compat-stat", f"!106 s:{T} buf", [("stat", "-", T)]),
    # A base that is nowhere is never made up.
    ("closed-descriptor", "openat 999 s:{t} 0", [("open", "r", "?{t}")]),
    ("pipe-descriptor", "openat pipe s:{t} 0", [("open", "r", "?{t}")]),
    ("negative-descriptor", "openat -7 s:{t} 0", [("open", "r", "?{t}")]),
    ("removed-descriptor", "openat deleted:{tree}/gone s:{t} 0", [("open", "r", "?{t}")]),
    (
        "deleted-in-the-name",
        "openat fd:{tree}/odd\u00a0(deleted) s:{t} 0",
        [("open", "r", "{tree}/odd\u00a0(deleted)/{t}")],
    ),
]
CASES = _cases()


VARIANTS = {
    "notify-with-little": ("notify", ("-DWITHOUT_READV=true", "-DWITHOUT_PIDFD=true", "-DWITHOUT_RECV_END=true")),
    "ptrace-with-little": ("ptrace", ("-DWITHOUT_READV=true", "-DWITHOUT_SYSCALL_INFO=true", "-DWITHOUT_PIDFD=true")),
}
"""How to record, and what the sensor is built to do without, as on older kernels, under narrow profiles, in gVisor."""


def record_all(sensor: Path, mechanism: str, payload: Path, place: Path) -> tuple[Recording, str]:
    """All cases in one run; the recording, and the tree in which it happened."""
    tree = place / "tree"
    for name in ("there", "sub", "empty", "dirs", "odd\u00a0(deleted)"):
        (tree / name).mkdir(parents=True)
    (place / "traces").mkdir()
    (tree / "link").symlink_to("there")
    (tree / "dirs-link").symlink_to("dirs")
    for case in CASES:
        if "/there/" in case.line and "args:" not in case.line:
            (tree / "there" / case.tag).write_bytes(b"")
        if "/empty/" in case.line:
            target = tree / "empty" / case.tag
            target.symlink_to("x") if "readlinkat" in case.line else target.write_bytes(b"")
        if "/dirs" in case.line:
            (tree / "dirs" / case.tag).mkdir()
    script = place / "script"
    script.write_text("".join(case.line.replace("{tree}", str(tree)) + "\n" for case in CASES))
    run = Sensor(sensor, place / "traces").run(mechanism, str(payload), "script", str(script), cwd=tree)
    assert run.code == 0, run
    assert len(run.out.splitlines()) == len(CASES)
    return run, str(tree)


def expected_of(case: Case, tree: str) -> list[tuple[str, str, str]]:
    return sorted((op, flags, path.replace("{tree}", tree)) for op, flags, path in case.expected)


@pytest.fixture(scope="module")
def recordings(
    sensor_binary: Path, payload: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Recording, str]]:
    return {m: record_all(sensor_binary, m, payload, tmp_path_factory.mktemp(m)) for m in MECHANISMS}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_call(recordings: dict[str, tuple[Recording, str]], mechanism: str, case: Case) -> None:
    run, tree = recordings[mechanism]
    assert run.about(case.tag) == expected_of(case, tree)


@pytest.mark.parametrize("variant", VARIANTS)
def test_all_calls_with_less(payload: Path, tmp_path: Path, variant: str) -> None:
    mechanism, less = VARIANTS[variant]
    build(machine_of_host(), tmp_path / "sensor", *less)
    run, tree = record_all(tmp_path / "sensor", mechanism, payload, tmp_path)
    found: dict[str, list[tuple[str, str, str]]] = {case.tag: [] for case in CASES}
    for event in run.events:
        if tag := re.search(rb"T[0-9]+\.", event.path):
            found[tag[0].decode()].append(event.brief)
    different = [case.id for case in CASES if sorted(found[case.tag]) != expected_of(case, tree)]
    assert not different
    assert (run.state.unread, run.state.unresolved, run.state.interrupted) == (0, 0, 0)


def test_nothing_was_lost(recordings: dict[str, tuple[Recording, str]], mechanism: str) -> None:
    state = recordings[mechanism][0].state
    assert (state.unread, state.unresolved, state.interrupted, state.unwritten) == (0, 0, 0, 0)
    assert state.mechanism == 1 + MECHANISMS.index(mechanism)
    assert state.records == len(recordings[mechanism][0].events) + len(
        {e.program for e in recordings[mechanism][0].events}
    )
    assert state.phase == 2


def test_header(recordings: dict[str, tuple[Recording, str]], mechanism: str) -> None:
    assert recordings[mechanism][0].header == ["debloat-events", "1", mechanism, platform.machine(), "main"]


def _script(sensor: Sensor, payload: Path, mechanism: str, tmp_path: Path, lines: list[str]) -> Recording:
    script = tmp_path / "script"
    script.write_text("\n".join(lines) + "\n")
    run = sensor.run(mechanism, str(payload), "script", str(script), cwd=tmp_path)
    assert run.code == 0
    return run


def test_paths_that_no_lookup_happens_for(sensor: Sensor, payload: Path, tmp_path: Path, mechanism: str) -> None:
    """A null pointer, one into nothing, the empty path, one that is too long: the kernel looks nothing up either."""
    run = _script(
        sensor,
        payload,
        mechanism,
        tmp_path,
        ["openat cwd 0 0", "openat cwd 16 0", "openat cwd s: 0", "stat long:4096 buf", "stat long:4095 buf"],
    )
    assert [line.split()[1] for line in run.out.splitlines()] == ["-14", "-14", "-2", "-36", "0"]
    script = str(tmp_path / "script")
    assert [e.brief for e in run.events if e.program == str(payload) and e.op in ("open", "stat")][-2:] == [
        ("open", "r", script),
        ("stat", "-", "/" * 4095),
    ]
    assert run.state.unread == 0


def test_io_uring_is_absent(sensor: Sensor, payload: Path, tmp_path: Path, mechanism: str) -> None:
    run = _script(sensor, payload, mechanism, tmp_path, ["io_uring_setup 8 buf", "!425 8 buf"])
    assert run.out == "io_uring_setup -38\n!425 -38\n"


def test_chroot(sensor: Sensor, payload: Path, tmp_path: Path, mechanism: str) -> None:
    """Absolute paths begin at the root of the process; its working directory and descriptors stay where they are."""
    (tmp_path / "jail" / "etc").mkdir(parents=True)
    run = _script(
        sensor,
        payload,
        mechanism,
        tmp_path,
        [
            f"openat cwd s:{tmp_path}/before 0",
            f"chroot s:{tmp_path}/jail",
            "openat cwd s:/etc/inside 0",
            "openat cwd s:relative 0",
            "chdir s:/etc",
            "openat cwd s:in-etc 0",
            "openat fd:/etc s:by-descriptor 0",
        ],
    )
    jail = f"{tmp_path}/jail"
    assert run.paths("open") >= {
        f"{tmp_path}/before",
        f"{jail}/etc/inside",
        f"{tmp_path}/relative",
        f"{jail}/etc/in-etc",
        f"{jail}/etc/by-descriptor",
    }
    assert run.about("jail")[0] == ("chdir", "-", f"{jail}/etc")


def test_removed_working_directory(sensor: Sensor, payload: Path, tmp_path: Path, mechanism: str) -> None:
    run = _script(
        sensor,
        payload,
        mechanism,
        tmp_path,
        [
            f"mkdirat cwd s:{tmp_path}/gone 0755",
            "chdir s:gone",
            f"unlinkat cwd s:{tmp_path}/gone 0x200",
            "openat cwd s:lost 0",
        ],
    )
    assert run.about("lost") == [("open", "r", "?lost")]
    assert run.state.unresolved == 0, "there was nothing to resolve"


def test_names_are_data(sensor: Sensor, payload: Path, tmp_path: Path, mechanism: str) -> None:
    names = [
        b"/x/tab\there",
        b"/x/line\nend",
        b"/x/back\\slash",
        b"/x/\x7f\x01\x1b[31m",
        b"/x/\xff\xfe",
        "/x/é ü".encode(),
    ]
    run = sensor.run(mechanism, str(payload), "touch", *names)
    assert run.code == 3
    assert {e.path for e in run.events if e.path.startswith(b"/x/")} == set(names)


def test_same_record_once_but_for_each_epoch_and_program(
    sensor: Sensor, payload: Path, tmp_path: Path, mechanism: str
) -> None:
    run = sensor.run(mechanism, str(payload), "touch", *["/x/again"] * 50)
    assert run.about("/x/again") == [("access", "-", "/x/again")]
    assert run.state.handled > 50


@pytest.mark.timeout(120)
def test_no_loss(sensor: Sensor, payload: Path, tmp_path: Path, mechanism: str) -> None:
    run = sensor.run(mechanism, str(payload), "many", str(tmp_path), "10000", "2")
    assert run.code == 0, run.out
    assert {p for p in run.paths("open") if "/many-" in p} == {f"{tmp_path}/many-{i}" for i in range(10000)}
    assert len(run.about("/many-")) == 10000
    assert run.state.handled >= 20000
    assert (run.state.unread, run.state.unwritten, run.state.interrupted) == (0, 0, 0)
