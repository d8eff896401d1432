"""Seeds from a trace, and sweeps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debloat.closure import World, close
from debloat.core.model import Access, ImageConfig, Level, Op, Policy, Trace, Want
from debloat.debian.packages import NoPackages
from debloat.image.rootfs import Rootfs
from debloat.record.trace import parse_events
from debloat.rules.recorded.sweeps import sweeps
from debloat.rules.recorded.trace import RULES, listed_children
from tests.support import trees, work

IMAGE: dict[str, str] = {
    "/bin": "-> usr/bin",
    "/usr/bin/tool": "",
    "/usr/bin/idle": "",
    "/usr/bin/pager": "-> /etc/alternatives/pager",
    "/etc/alternatives/pager": "-> /usr/bin/tool",
    "/etc/tool/a.conf": "",
    "/etc/tool/b.conf": "",
    "/etc/link": "-> tool/a.conf",
    "/etc/dangling": "-> /run/made",
    "/etc/loop": "-> loop",
    "/run/": "",
    "/app/data/one": "",
    "/app/data/two": "-> one",
    "/app/data/sub/deep": "",
    "/app/mod/__init__.py": "",
    "/var/log/app/": "",
    "/var/log/out": "-> /proc/self/fd/1",
    "/proc/": "",
    "/dev/null": "",
    "/usr/local/lib/python3.11/os.py": "",
    "/usr/local/lib/python3.11/this.py": "",
}
OWNED = {"tool": ["/usr/bin", "/usr/bin/tool", "/usr/bin/idle", "/etc/tool/a.conf", "/etc/tool/b.conf"]}


def access(path: str, op: Op = Op.OPEN, flags: str = "r", probe: str = "p", program: str = "/usr/bin/tool") -> Access:
    return Access(path, op, flags, probe, program)


def world(accesses: Iterable[Access], table: trees.Table = IMAGE) -> World:
    return trees.world(table, owned=OWNED, trace=Trace(frozenset(accesses)), level=Level.EXACT)


def kept(accesses: Iterable[Access], table: trees.Table = IMAGE) -> set[str]:
    return set(close(world(accesses, table), RULES).evidence)


def kept_by(*accesses: Access) -> list[str]:
    """What one program's accesses keep, its own file and bare parent directories left out."""
    program = "/usr/bin/none"
    moved = [Access(a.path, a.op, a.flags, a.probe, program) for a in accesses]
    return trees.paths(close(world(moved), RULES))


@pytest.mark.parametrize(
    ("used", "result"),
    [
        (access("/bin/tool", Op.EXEC), ["/bin", "/usr/bin/tool"]),
        (access("/etc/link"), ["/etc/link", "/etc/tool/a.conf"]),
        (access("/etc/link", Op.STAT, "l"), ["/etc/link"]),
        (access("/etc/link", Op.READLINK), ["/etc/link"]),
        (access("/etc/tool/a.conf", Op.UNLINK), ["/etc/tool/a.conf"]),
        (access("/etc/tool/missing", Op.STAT), []),
        (access("/etc/dangling", Op.STAT), ["/etc/dangling"]),
        (access("/etc/dangling", Op.OPEN, "wc"), ["/etc/dangling", "/run"]),
        (access("/var/log/app/new.log", Op.OPEN, "wc"), ["/var/log/app"]),
        (access("/var/log/app/new.log", Op.OPEN, "r"), []),
        (access("/var/log/app/sock", Op.BIND), ["/var/log/app"]),
        (access("/var/log/app/d", Op.MKDIR), ["/var/log/app"]),
        (access("/var/log/out", Op.OPEN, "w"), ["/var/log/out"]),
        (access("/etc/tool/a.conf/below"), ["/etc/tool/a.conf"]),
        (access("/etc/loop"), ["/etc/loop"]),
        (access("/app/data/../../etc/tool/a.conf"), ["/app", "/app/data", "/etc/tool/a.conf"]),
        (access("/proc/self/maps"), []),
        (access("/dev/null"), []),
        (access("/.debloat/sensor"), []),
        (access("/app/data", Op.LIST), ["/app/data", "/app/data/one", "/app/data/sub", "/app/data/two"]),
        (access("/etc/tool", Op.LIST), ["/etc/tool"]),
        (access("/usr/local/lib/python3.11", Op.LIST), ["/usr/local/lib/python3.11"]),
    ],
)
def test_one_access(used: Access, result: list[str]) -> None:
    assert kept_by(used) == result


def test_program_stays_and_evidence_names_probe_operation_and_program() -> None:
    closure = close(world([access("/etc/link"), access("/etc/link", Op.STAT)]), RULES)
    assert [(e.rule, e.source, e.detail) for e in closure.evidence["/etc/tool/a.conf"]] == [
        ("trace", "probe:p", "open, stat by /usr/bin/tool")
    ]
    assert [(e.rule, e.detail) for e in closure.evidence["/usr/bin/tool"]] == [("trace", "it ran")]


# Sweeps


def big() -> dict[str, str]:
    """A distribution tree of three levels, 5 * 6 files, and an application's data."""
    table = {f"/usr/share/pack/d{i}/sub/f{j}": "" for i in range(5) for j in range(6)}
    return IMAGE | table | {f"/data/dir/f{i}": "" for i in range(30)}


BIG_OWNED = {"pack": ["/usr/share/pack", *(p for p in big() if "/pack/" in p)]}


def big_world(accesses: Iterable[Access]) -> World:
    return trees.world(big(), owned=OWNED | BIG_OWNED, trace=Trace(frozenset(accesses)), level=Level.EXACT)


def walk(rootfs: Rootfs, top: str, *ops: Op, program: str = "/usr/bin/idle", probe: str = "p") -> Iterator[Access]:
    """What fts(3) does: opens and lists each directory, and does `ops` to each name in it."""
    directories = [top, *(e.path for e in rootfs.walk(top) if e.is_dir)]
    for path in directories:
        yield Access(path, Op.OPEN, "rd", probe, program)
        yield Access(path, Op.LIST, "-", probe, program)
        for child in rootfs.children(path):
            for op in ops:
                yield Access(child.path, op, "l", probe, program)


def below(closure_paths: Iterable[str], top: str) -> list[str]:
    return sorted(p for p in closure_paths if p.startswith(top + "/"))


@pytest.mark.parametrize("ops", [(), (Op.STAT,), (Op.STAT, Op.CHOWN), (Op.STAT, Op.UNLINK)])
def test_a_sweep_keeps_where_it_began_only(ops: tuple[Op, ...]) -> None:
    rootfs = trees.tree(big())
    closure = close(big_world(walk(rootfs, "/usr/share/pack", *ops)), RULES)
    assert "/usr/share/pack" in closure
    assert below(closure.evidence, "/usr/share/pack") == []


def test_what_others_touch_in_a_swept_tree_stays() -> None:
    swept = list(walk(trees.tree(big()), "/usr/share/pack", Op.STAT))
    by_other = access("/usr/share/pack/d1/sub/f1", Op.STAT)
    opened = Access("/usr/share/pack/d2/sub/f2", Op.OPEN, "r", "p", "/usr/bin/idle")
    in_other_probe = Access("/usr/share/pack/d3/sub/f3", Op.STAT, "-", "q", "/usr/bin/idle")
    closure = close(big_world([*swept, by_other, opened, in_other_probe]), RULES)
    files = [p for p in below(closure.evidence, "/usr/share/pack") if "/f" in p]
    assert files == [by_other.path, opened.path, in_other_probe.path]


def test_reading_a_tree_is_no_sweep() -> None:
    rootfs = trees.tree(big())
    read = [Access(e.path, Op.OPEN, "r", "p", "/usr/bin/idle") for e in rootfs.walk("/usr/share/pack") if e.is_file]
    closure = close(big_world([*walk(rootfs, "/usr/share/pack", Op.STAT), *read]), RULES)
    assert len([p for p in below(closure.evidence, "/usr/share/pack") if "/f" in p]) == 30


def test_looking_at_some_of_a_tree_is_no_sweep() -> None:
    some = [a for a in walk(trees.tree(big()), "/usr/share/pack", Op.STAT) if "/d4" not in a.path]
    assert len(below(close(big_world(some), RULES).evidence, "/usr/share/pack")) > 20


def test_small_tree_of_the_application_stays_when_swept() -> None:
    closure = close(big_world(walk(trees.tree(big()), "/data", Op.STAT, Op.CHOWN)), RULES)
    assert len(below(closure.evidence, "/data/dir")) == 30


def test_a_script_s_own_directory_is_listed_to_import_from_it() -> None:
    """sys.path[0] of a script in /usr/bin: healing by listings must not bring every program of the image."""
    tree: trees.Table = {"/usr/bin/supervisord": "", "/usr/bin/apt": "", "/srv/data/x": ""}
    python = "/usr/bin/python3.11"
    listed = [Access(d, Op.LIST, "-", "p", python) for d in ("/usr/bin", "/srv/data")]
    world = trees.world(tree, trace=Trace(frozenset(listed)))
    assert [want.path for want in listed_children(world)] == ["/srv/data/x"]


def test_listed_children_heal_a_listing_but_not_a_walk() -> None:
    walked = list(walk(trees.tree(big()), "/usr/share/pack", Op.STAT))
    wants = list(listed_children(big_world([*walked, access("/etc/tool", Op.LIST)])))
    assert [(w.path, w.rule) for w in wants] == [
        ("/etc/tool/a.conf", "healed.list"),
        ("/etc/tool/b.conf", "healed.list"),
    ]


# Recorded walks over `big()`: tests/data/sweeps/NAME.events, made by the real programs
#
#     find DIR -name nothing          find DIR ! -user daemon -exec chown -h root {} +      du -s DIR
#     chown -R root DIR               rm -rf DIR                   ls -lR DIR
#     grep -r nothing DIR             cp -a DIR /copy              os.walk(DIR), opening each f1

FILES = sorted(p for p in big() if "/pack/" in p)
FIRSTS = [p for p in FILES if p.endswith("/f1")]


@pytest.mark.parametrize(
    ("name", "swept", "files"),
    [
        ("find", True, []),
        ("find-user", True, FILES),
        ("du", True, []),
        ("chown", True, []),
        ("rm", True, []),
        ("ls", True, []),
        ("grep", False, FILES),
        ("cp", False, FILES),
        ("walk", False, FIRSTS),
    ],
)
def test_recorded_walks(name: str, swept: bool, files: list[str]) -> None:
    data = (Path(__file__).parents[2] / "data" / "sweeps" / f"{name}.events").read_bytes()
    used = parse_events(data, "p", {}).accesses
    assert [s.root for s in sweeps(used, trees.tree(big()))] == (["/usr/share/pack"] if swept else [])
    closure = close(big_world(used), RULES)
    assert "/usr/share/pack" in closure
    assert [p for p in FILES if p in closure] == files


def test_every_recorded_walk_is_tested() -> None:
    recorded = {p.stem for p in (Path(__file__).parents[2] / "data" / "sweeps").iterdir()}
    tested = {"find", "find-user", "du", "chown", "rm", "ls", "grep", "cp", "walk"}
    assert recorded == tested


# Properties

PATHS = sorted({*big(), "/usr/share/pack", "/usr/share/pack/d1", "/app/data", "/none", "/etc/tool/../x", "//bin/tool"})
ACCESSES = st.sets(
    st.builds(
        Access,
        st.sampled_from(PATHS),
        st.sampled_from(Op),
        st.sampled_from(["-", "r", "wc", "l", "rd"]),
        st.sampled_from(["p", "q"]),
        st.sampled_from(["/usr/bin/tool", "/usr/bin/idle"]),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(ACCESSES, ACCESSES, st.booleans())
def test_other_programs_and_probes_never_take_away(one: set[Access], two: set[Access], sweeping: bool) -> None:
    if sweeping:
        one |= set(walk(trees.tree(big()), "/usr/share/pack", Op.STAT))
    groups = {(a.probe, a.program) for a in one}
    two = {a for a in two if (a.probe, a.program) not in groups}
    alone, other = (set(close(big_world(t), RULES).evidence) for t in (one, two))
    assert set(close(big_world(one | two), RULES).evidence) >= alone | other


@settings(max_examples=60, deadline=None)
@given(ACCESSES)
def test_what_was_opened_always_stays(used: set[Access]) -> None:
    rootfs = trees.tree(big())
    closure = close(big_world({*used, *walk(rootfs, "/usr/share/pack", Op.STAT)}), RULES)
    for a in used:
        entry = rootfs.lookup(a.path)
        if a.op in (Op.OPEN, Op.EXEC) and "l" not in a.flags and entry and entry.is_file and a.path != "/dev/null":
            assert entry.path in closure


@settings(max_examples=60, deadline=None)
@given(st.sets(st.builds(access, st.text(max_size=30), st.sampled_from(Op), st.text(max_size=3)), max_size=10))
def test_any_text_is_a_path(used: set[Access]) -> None:
    assert kept(used) <= {*world(()).rootfs}


def used_and_walked(size: int) -> tuple[Rootfs, Trace]:
    """Files that two probes stat and open, and a walk over all of them."""
    rootfs = trees.tree({f"/usr/share/p/{i // 100}/{i // 10}/{i}": "" for i in range(size)})
    paths = [e.path for e in rootfs.entries()]
    used = [access(p, op, "-", probe) for p in paths for op in (Op.STAT, Op.OPEN) for probe in ("a", "b")]
    return rootfs, Trace(frozenset((*used, *walk(rootfs, "/usr", Op.STAT))))


def seeds(rootfs: Rootfs, trace: Trace) -> list[Want]:
    return list(RULES[0].initial_wants(World(rootfs, NoPackages(), ImageConfig({}), trace, Policy(Level.EXACT))))


def test_a_walk_over_what_is_used_takes_none_of_it_away() -> None:
    rootfs, trace = used_and_walked(500)
    assert [s.root for s in sweeps(trace.accesses, rootfs)] == ["/usr"]
    assert len(seeds(rootfs, trace)) > 2 * 500


def test_work_grows_with_the_accesses() -> None:
    assert work.growth(lambda size: partial(seeds, *used_and_walked(size)), 300) < 2.2


def test_python_s_importer_looks_beside_the_script_and_reads_no_names() -> None:
    table = {"/opt/venv/bin/serve": "", "/opt/venv/bin/idle": "", "/opt/app/bin/run": "", "/opt/app/bin/job": ""}

    def kept(path: str, program: str) -> list[str]:
        trace = Trace(frozenset({Access(path, Op.LIST, "", "start", program)}))
        return trees.paths(close(trees.world(table, trace=trace), RULES), path + "/")

    assert kept("/opt/venv/bin", "/usr/bin/python3.11") == []
    assert kept("/opt/app/bin", "/opt/app/bin/run") == ["/opt/app/bin/job", "/opt/app/bin/run"]
