"""The search order of ld.so(8), compared with what the system's own loader does in the same tree.

Each case is run twice by the real loader: in the whole root, and in one that holds nothing but what was kept.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from debloat.closure import World, close
from debloat.core.model import Closure, ImageConfig, Level, Policy, Want
from debloat.debian.packages import NoPackages
from debloat.elf.ldcache import parse_cache
from debloat.elf.loader import MACHINES, Loader, search
from debloat.elf.reading import elf_facts
from debloat.rules.system import elf as elf_rules
from debloat.rules.system import glibc as glibc_rules
from tests.support.elves import (
    LOADER,
    MULTIARCH,
    ldconfig,
    library,
    loaded,
    make_root,
    needs_compiler,
    needs_root,
    program,
    supported,
)
from tests.support.hosttree import host_rootfs

pytestmark = [needs_compiler, needs_root]

A, B = library("liba.so"), library("libb.so")
PROG = "/app/bin/prog"


def other_machine(data: bytes) -> bytes:
    """The same file for another processor: e_machine of aarch64."""
    return data[:18] + struct.pack("<H", 183) + data[20:]


@dataclass(frozen=True)
class Case:
    """`dropped` are files that no run of the program could load; `cache` is ldconfig's format, "" for no cache."""

    summary: str
    files: Mapping[str, bytes | str]
    env: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    cache: str = ""
    run: str = PROG
    cwd: str = "/"
    remove: tuple[str, ...] = ()


CASES = (
    Case("RUNPATH with $ORIGIN", {PROG: program(needs=("liba.so",), runpath="$ORIGIN/../lib"), "/app/lib/liba.so": A}),
    Case(
        "LD_LIBRARY_PATH comes before RUNPATH",
        {PROG: program(needs=("liba.so",), runpath="/r"), "/r/liba.so": A, "/e/liba.so": A},
        {"LD_LIBRARY_PATH": "/none:/e"},
        ("/r/liba.so",),
    ),
    Case(
        "RPATH comes before LD_LIBRARY_PATH",
        {PROG: program(needs=("liba.so",), rpath="/r"), "/r/liba.so": A, "/e/liba.so": A},
        {"LD_LIBRARY_PATH": "/e"},
    ),
    Case(
        "RPATH counts for the libraries of libraries",
        {
            PROG: program(needs=("liba.so",), rpath="/r:/s"),
            "/r/liba.so": library("liba.so", needs=("libb.so",)),
            "/s/libb.so": library("libb.so", needs=("libc0.so",)),
            "/r/libc0.so": library("libc0.so"),
        },
    ),
    Case(
        "RUNPATH does not",
        {
            PROG: program(needs=("liba.so",), runpath="/r"),
            "/r/liba.so": library("liba.so", needs=("libb.so",)),
            "/r/libb.so": B,
            "/usr/lib/libb.so": B,
        },
        dropped=("/r/libb.so",),
    ),
    Case(
        "a library with RUNPATH does not look into its loader's RPATH",
        {
            PROG: program(needs=("liba.so",), rpath="/r"),
            "/r/liba.so": library("liba.so", needs=("libb.so",), runpath="/s"),
            "/r/libb.so": B,
            "/s/libb.so": B,
        },
        dropped=("/r/libb.so",),
    ),
    Case(
        "the nearest RPATH comes first, the program's last",
        {
            PROG: program(needs=("liba.so",), rpath="/r"),
            "/r/liba.so": library("liba.so", needs=("libb.so",), rpath="/s"),
            "/s/libb.so": library("libb.so", needs=("libc0.so", "libd.so")),
            "/s/libc0.so": library("libc0.so"),
            "/r/libc0.so": library("libc0.so"),
            "/r/libd.so": library("libd.so"),
        },
    ),
    Case(
        "an RPATH goes through a library that has none, and one with RUNPATH",
        {
            PROG: program(needs=("liba.so",), rpath="/r"),
            "/r/liba.so": library("liba.so", needs=("libb.so",), runpath="/r"),
            "/r/libb.so": library("libb.so", needs=("libc0.so",)),
            "/r/libc0.so": library("libc0.so"),
        },
    ),
    Case(
        "$LIB and ${ORIGIN}",
        {PROG: program(needs=("liba.so",), runpath="${ORIGIN}/../$LIB"), f"/app{MULTIARCH}/liba.so": A},
    ),
    Case(
        "$PLATFORM stands for what any processor says",
        {
            PROG: program(needs=("liba.so",), runpath="/p/$PLATFORM"),
            "/p/haswell/liba.so": A,
            "/p/x86_64/liba.so": A,
            "/p/power9/liba.so": A,
        },
        dropped=("/p/power9/liba.so",),
    ),
    Case(
        "glibc-hwcaps below RUNPATH",
        {
            PROG: program(needs=("liba.so",), runpath="/r:/s"),
            "/r/glibc-hwcaps/x86-64-v2/liba.so": A,
            "/r/glibc-hwcaps/x86-64-v3/liba.so": A,
            "/r/glibc-hwcaps/power9/liba.so": A,
            "/s/liba.so": A,
            f"{MULTIARCH}/liba.so": A,
        },
        dropped=("/r/glibc-hwcaps/power9/liba.so", f"{MULTIARCH}/liba.so"),
    ),
    Case(
        "glibc-hwcaps from the cache",
        {
            PROG: program(needs=("liba.so",)),
            "/etc/ld.so.conf": "/opt/lib\n",
            "/opt/lib/glibc-hwcaps/x86-64-v2/liba.so": A,
            "/opt/lib/glibc-hwcaps/x86-64-v3/liba.so": A,
            "/opt/lib/liba.so": A,
        },
        cache="new",
    ),
    Case(
        "legacy subdirectories, combined",
        {
            PROG: program(needs=("liba.so", "libb.so"), runpath="/r"),
            "/r/tls/x86_64/liba.so": A,
            "/r/tls/liba.so": A,
            "/r/liba.so": A,
            "/r/x86_64/libb.so": B,
            "/r/haswell/libb.so": B,
            "/r/libb.so": B,
        },
    ),
    Case(
        "the first directory that holds it wins, wrong machines are skipped",
        {
            PROG: program(needs=("liba.so",), runpath="/q:/r:/s"),
            "/q/liba.so": other_machine(A),
            "/r/liba.so": A,
            "/s/liba.so": A,
        },
        dropped=("/q/liba.so", "/s/liba.so"),
    ),
    Case(
        "links to libraries and directories",
        {
            PROG: program(needs=("liba.so",), runpath="/opt/current/lib"),
            "/opt/current": "-> v1",
            "/opt/v1/lib/liba.so": "-> liba.so.1",
            "/opt/v1/lib/liba.so.1": "-> ../../../store/liba.so.1.2",
            "/store/liba.so.1.2": A,
        },
    ),
    Case(
        "$ORIGIN of a library is where it was opened, not where its link leads",
        {
            PROG: program(needs=("liba.so",), runpath="$ORIGIN/../lib"),
            "/app/lib/liba.so": "-> ../real/liba.so",
            "/app/real/liba.so": library("liba.so", needs=("libb.so",), runpath="$ORIGIN"),
            "/app/lib/libb.so": B,
        },
    ),
    Case(
        "$ORIGIN of a program is where its link leads",
        {
            "/usr/bin/prog": "-> ../../app/bin/prog",
            PROG: program(needs=("liba.so",), runpath="$ORIGIN/../lib"),
            "/app/lib/liba.so": A,
        },
        run="/usr/bin/prog",
    ),
    Case(
        "directories that only lead to `..`",
        {PROG: program(needs=("liba.so",), runpath="/opt/x/../lib"), "/opt/x/y": "", "/opt/lib/liba.so": A},
        dropped=("/opt/x/y",),
    ),
    Case(
        "DF_1_NODEFLIB: only what the cache has outside the default directories",
        {
            PROG: program(needs=("liba.so", "libb.so"), flags=("-Wl,-z,nodefaultlib", f"-Wl,-rpath,{MULTIARCH}/sub")),
            "/etc/ld.so.conf": "/opt/lib\n",
            "/opt/lib/liba.so": A,
            "/usr/lib/libb.so": B,
            f"{MULTIARCH}/sub/libc.so.6": "-> ../libc.so.6",
        },
        dropped=("/usr/lib/libb.so",),
        cache="new",
    ),
    *(
        Case(
            f"the cache, in ldconfig's {form} format",
            {PROG: program(needs=("liba.so",)), "/etc/ld.so.conf": "/opt/lib\n", "/opt/lib/liba.so": A},
            cache=form,
        )
        for form in ("new", "compat", "old")
    ),
    Case(
        "a cached file that is gone: the default directories",
        {
            PROG: program(needs=("liba.so",)),
            "/etc/ld.so.conf": "/opt/lib\n",
            "/opt/lib/liba.so": A,
            "/usr/lib/liba.so": A,
        },
        cache="new",
        remove=("/opt/lib/liba.so",),
    ),
    Case(
        "a cached file comes before the default directories",
        {
            PROG: program(needs=("liba.so",)),
            "/etc/ld.so.conf": "/opt/lib\n",
            "/opt/lib/liba.so": A,
            "/usr/lib/liba.so": A,
        },
        cache="new",
        dropped=("/usr/lib/liba.so",),
    ),
    Case(
        "no cache: the default directories, in their order",
        {
            PROG: program(needs=("liba.so", "libb.so")),
            f"/usr{MULTIARCH}/liba.so": A,
            "/lib/liba.so": A,
            "/usr/lib/libb.so": B,
        },
        dropped=("/lib/liba.so",),
    ),
    Case(
        "LD_PRELOAD by name and by path, with what they need",
        {
            PROG: program(runpath="/r"),
            "/r/liba.so": library("liba.so", needs=("libb.so",), runpath="/s"),
            "/s/libb.so": B,
            "/t/libc0.so": library("libc0.so"),
        },
        {"LD_PRELOAD": "liba.so /t/libc0.so"},
    ),
    Case(
        "/etc/ld.so.preload",
        {
            PROG: program(),
            "/t/liba.so": A,
            "/t/libb.so": B,
            "/etc/ld.so.preload": "# a comment /t/libb.so\n/t/liba.so\n",
        },
        dropped=("/t/libb.so",),
    ),
    Case(
        "names with a slash",
        {
            PROG: program(needs=("/x/liba.so", "$ORIGIN/../y/libb.so"), runpath="/r"),
            "/x/liba.so": A,
            "/app/y/libb.so": B,
            "/r/liba.so": A,
        },
        dropped=("/r/liba.so",),
    ),
    Case(
        "relative and empty elements of LD_LIBRARY_PATH start at the working directory",
        {PROG: program(needs=("liba.so", "libb.so")), "/work/liba.so": A, "/work/sub/libb.so": B},
        {"LD_LIBRARY_PATH": ":sub"},
        cwd="/work",
    ),
    Case("what is nowhere", {PROG: program(needs=("liba.so", "libb.so"), runpath="/r"), "/r/libb.so": B}),
)


def closure_of(root: Path, case: Case) -> tuple[World, Closure]:
    config = {"Env": [f"{k}={v}" for k, v in case.env.items()], "WorkingDir": case.cwd}
    world = World(host_rootfs(root), NoPackages(), ImageConfig(config), policy=Policy(Level.EXACT))
    rules = (*elf_rules.RULES, *glibc_rules.RULES)
    return world, close(
        world, rules, [Want(case.run, "seed", "probe:test"), Want(case.cwd, "seed", "config:WorkingDir")]
    )


def cut_down(root: Path, closure: Closure) -> None:
    """Remove whatever is not kept."""
    for directory, directories, files in os.walk(root, topdown=False):
        for name in (*directories, *files):
            path = Path(directory) / name
            if f"/{path.relative_to(root)}" not in closure:
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.summary)
def test_agrees_with_the_systems_loader(case: Case, tmp_path: Path) -> None:
    root = make_root(tmp_path, case.files)
    (root / case.cwd.lstrip("/")).mkdir(exist_ok=True)
    if case.cache:
        ldconfig(root, case.cache)
    for path in case.remove:
        (root / path.lstrip("/")).unlink()
    expected = loaded(root, case.run, case.env, case.cwd)
    assert "libc.so.6" in expected

    world, closure = closure_of(root, case)
    facts = elf_facts(world.rootfs, case.run)
    assert facts is not None
    origin = (world.rootfs.resolve(case.run).path or "").rpartition("/")[0]
    loader = Loader.of(world.rootfs, world.config)
    mine = {name: chosen(search(loader, facts, name, origin).paths) for name in facts.needed if "/" not in name}
    theirs = {name: path and os.path.join(case.cwd, path) for name, path in expected.items() if name in mine}
    assert {n: p and os.path.normpath(p) for n, p in mine.items()} == {
        n: p and os.path.normpath(p) for n, p in theirs.items()
    }

    assert [path for path in case.dropped if path in closure] == []
    cut_down(root, closure)
    assert loaded(root, case.run, case.env, case.cwd) == expected


def chosen(paths: tuple[str, ...]) -> str | None:
    """What this machine's loader takes among the variants for all processors."""
    known = {n for m in MACHINES.values() for n in (*m.hwcaps, *m.legacy, *m.platforms)} - supported()
    usable = [p for p in paths if not known.intersection(p.split("/")[:-1])]
    return usable[0] if usable else None


def test_cache_parser_agrees_with_ldconfig() -> None:
    text = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    theirs = sorted(
        (line.split(" (")[0].strip(), line.split(" => ")[1]) for line in text.splitlines()[1:] if " => " in line
    )
    mine = sorted((e.name, e.path) for e in parse_cache(Path("/etc/ld.so.cache").read_bytes()))
    assert mine == theirs


@pytest.mark.skipif(shutil.which("musl-gcc") is None, reason="needs musl-gcc")
def test_musl(tmp_path: Path) -> None:
    """musl: LD_LIBRARY_PATH first; RUNPATH counts for libraries of libraries; its own path file; no variants."""
    interpreter = "/lib/ld-musl-x86_64.so.1"
    root = make_root(
        tmp_path,
        {
            PROG: program(needs=("liba.so", "libm0.so"), runpath="/r", compiler="musl-gcc"),
            interpreter: Path(interpreter).read_bytes(),
            "/r/liba.so": library("liba.so", needs=("libb.so", "libc.so"), compiler="musl-gcc"),
            "/r/libb.so": B,
            "/r/glibc-hwcaps/x86-64-v2/liba.so": A,
            "/musl/libm0.so": library("libm0.so"),
            "/usr/lib/libm0.so": library("libm0.so"),
            "/etc/ld-musl-x86_64.path": "/musl\n",
        },
    )
    case = Case("musl", {})
    expected = loaded(root, PROG, {}, by=interpreter)
    assert expected["libb.so"] == "/r/libb.so"
    assert expected["libm0.so"] == "/musl/libm0.so"
    _, closure = closure_of(root, case)
    assert "/usr/lib/libm0.so" not in closure
    assert "/r/glibc-hwcaps" not in closure
    assert LOADER not in closure
    cut_down(root, closure)
    assert loaded(root, PROG, {}, by=interpreter) == expected
