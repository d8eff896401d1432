"""The lock as text: the same lock, the same bytes; anything else is refused, and says why."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from debloat.cli.main import cli
from debloat.closure import close
from debloat.core.errors import UsageError
from debloat.core.model import Access, Kind, Level, Op, Policy, Trace, Want
from debloat.gate import hooks
from debloat.lock import format as locks
from debloat.lock.format import Item, Lock, LockedPackage
from debloat.lock.seeds import NEW, carry_over, normalised_trace, shape, stem
from debloat.rules.recorded import trace as trace_rules
from tests.support import gates, trees, work
from tests.support.gates import item, lock

SMALL = lock(
    item("/usr/bin/app", "program", 0o755),
    item("/usr/lib/libfoo.so.1", "-> libfoo.so.1.2", package="libfoo1"),
    item("/usr/lib/libfoo.so.1.2", "library", package="libfoo1", reason="elf.needed /usr/bin/app"),
    item("/srv/tab\tand\nline \\ x", "x"),
    item("/srv/\udcff", "x"),
    policy=Policy(Level.SAFE, (("/srv/**", Level.EXACT),), ("/etc/extra",), ("/usr/share/**",), ("tzdata",)),
    trace=gates.trace("/usr/lib/libfoo.so.1", "/srv/\udcff"),
    healed=(gates.healed("/etc/late"),),
)

# ------------------------------------------------------------------------------------------ its file


def test_the_file_has_one_name_everywhere() -> None:
    """What documents call the lock is what is written, read by the hook, and named in the help of each verb."""
    page = (Path(__file__).resolve().parents[2] / "docs/lock.md").read_text()
    assert page.startswith(f"# The lock\n\n`{locks.DEFAULT_NAME}` is ")
    assert locks.DEFAULT_NAME in hooks.FILES
    for verb in ("lock", "apply", "check"):
        command = cli.commands[verb]
        said = " ".join([command.help or "", *(p.help or "" for p in command.params if isinstance(p, click.Option))])
        assert set(re.findall(r"debloat\.lock(?:\.\w+)*", said)) == {locks.DEFAULT_NAME}, verb


# ------------------------------------------------------------------------------------------ round trips

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=8) | st.binary(
    min_size=1, max_size=6
).filter(lambda b: b"\0" not in b and b"/" not in b).map(lambda b: b.decode("utf-8", "surrogateescape"))
paths = st.lists(names, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
counts = st.integers(0, 2**40)
sums = st.integers(0, 2**256 - 1).map(lambda n: f"{n:064x}")


@st.composite
def items(draw: st.DrawFn, package: str) -> Item:
    kind = draw(st.sampled_from(list(Kind)))
    content = draw(sums) if kind is Kind.FILE else draw(names) if kind is Kind.SYMLINK else ""
    owner = package if kind is not Kind.DIR else ""
    mode, numbers = draw(st.integers(0, 0o7777)), (draw(counts), draw(counts), draw(counts))
    return Item(draw(paths), kind, mode, *numbers, content, owner, draw(words))


def _order(want: Want) -> tuple[str, ...]:
    return want.path, want.rule, want.source, want.detail, "follow" if want.follow else "nofollow"


@st.composite
def any_locks(draw: st.DrawFn) -> Lock:
    packages = draw(st.lists(names, max_size=3, unique=True).map(sorted))
    found = {i.path: i for p in ["", *packages] for i in draw(st.lists(items(p), max_size=3))}
    accesses = draw(
        st.frozensets(
            st.builds(Access, paths, st.sampled_from(list(Op)), st.text("rwcxl", max_size=3), words, words), max_size=6
        )
    )
    healed = st.builds(Want, paths, words, words, words, st.booleans())
    globs = st.lists(paths, max_size=2).map(tuple)
    levels = st.lists(st.tuples(paths, st.sampled_from(list(Level))), max_size=2).map(tuple)
    policy = st.builds(
        Policy, st.sampled_from(list(Level)), levels, globs, globs, st.lists(names, max_size=2).map(tuple)
    )
    image = draw(words)
    return Lock(
        draw(words),
        draw(words),
        image,
        "linux/amd64",
        gates.DIGEST,
        gates.DIGEST,
        draw(counts),
        draw(words),
        ("80/tcp",),
        draw(policy),
        Trace(accesses, frozenset({image})),
        tuple(sorted(set(draw(st.lists(healed, max_size=3))), key=_order)),
        tuple(LockedPackage(p, draw(words), draw(words)) for p in packages),
        tuple(found[path] for path in sorted(found)),
    )


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(any_locks())
def test_a_lock_comes_back_as_it_was(value: Lock) -> None:
    data = locks.dump(value)
    again = locks.parse(data, "x")
    assert again == value
    assert locks.dump(again) == data


@given(st.text() | st.binary().map(lambda b: b.decode("utf-8", "surrogateescape")))
def test_a_field_is_one_printable_word_group(text: str) -> None:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return
    field = locks.escape(text)
    assert locks.unescape(field) == text
    assert field
    assert field.isprintable()
    assert field == field.strip()


def test_the_text_is_what_the_documentation_shows() -> None:
    lines = locks.dump(SMALL).decode().split("\n")
    assert lines[0].split("\t")[:2] == ["debloat-lock", "1"]
    assert "[package]\tlibfoo1\t1\tlibfoo1" in lines
    assert "/usr/lib/libfoo.so.1\tl\t0777\t0:0\t0\t-> libfoo.so.1.2\ttrace probe:start" in lines
    assert any(line.startswith("/srv/tab\\x09and\\x0aline \\x5c x\tf\t0644\t0:0\t1\t") for line in lines)
    assert "[seeds]\tstart\t/usr/bin/app" in lines
    assert "/srv/\\xff\topen" in lines
    assert lines[-2:] == ["[end]", ""]


def test_one_more_file_is_one_more_line() -> None:
    more = lock(*SMALL.manifest, item("/usr/lib/libfoo.conf", package="libfoo1"), bytes=SMALL.bytes)
    less = lock(*SMALL.manifest)
    old, new = (set(locks.dump(value).decode().split("\n")) for value in (less, more))
    changed = {line.split("\t")[0] for line in old ^ new}
    assert changed == {"sha256", "/usr/lib/libfoo.conf"}


def test_windows_line_ends_are_no_damage() -> None:
    assert locks.parse(locks.dump(SMALL).replace(b"\n", b"\r\n"), "x") == SMALL


def test_reading_a_lock_grows_with_its_lines() -> None:
    def reading(size: int) -> Callable[[], object]:
        many = (item(f"/usr/share/many/{n // 100}/{n}", str(n), package="many") for n in range(size))
        return partial(locks.parse, locks.dump(lock(*many)), "x")

    assert work.growth(reading, 500) < 2.2


# ------------------------------------------------------------------------------------------ refusals


def resealed(data: bytes) -> bytes:
    """A lock whose digest is made right for its body."""
    import hashlib

    head, _, rest = data.partition(b"\n")
    body = rest.partition(b"\n")[2]
    return head + b"\nsha256\t" + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


GOOD = locks.dump(SMALL)
REFUSED = {
    "empty": (b"", "not a debloat lock"),
    "foreign": (b'{"lockfileVersion": 3}\n', "not a debloat lock"),
    "binary": (bytes(range(256)) * 10, "not a debloat lock"),
    "newer": (GOOD.replace(b"debloat-lock\t1", b"debloat-lock\t2", 1), "version '2'"),
    "no version": (b"debloat-lock\n", "version ''"),
    "version of rubbish": (GOOD.replace(b"debloat-lock\t1", b"debloat-lock\tone", 1), "version 'one'"),
    "truncated": (GOOD[: len(GOOD) // 2], "cut off"),
    "truncated by a line": (GOOD[: -len("[end]\n")], "cut off"),
    "edited": (GOOD.replace(b"\t0755\t", b"\t4755\t"), "edited by hand"),
    "a line removed": (b"\n".join(x for x in GOOD.split(b"\n") if b"libfoo.so.1.2\tf" not in x), "edited by hand"),
    "conflict": (GOOD.replace(b"[policy]", b"<<<<<<< ours\n[policy]"), "conflict markers"),
    "unknown section": (resealed(GOOD.replace(b"[policy]", b"[polity]")), "line 12"),
    "a mode of rubbish": (resealed(GOOD.replace(b"\t0755\t", b"\t0999\t")), "is not as"),
    "a relative path": (resealed(GOOD.replace(b"\n/usr/bin/app\tf", b"\nusr/bin/app\tf")), "is not as"),
    "a doubled path": (
        resealed(GOOD.replace(b"[application]\n", b"[application]\n" + b"/\td\t0755\t0:0\t0\t-\tx\n")),
        "is not as",
    ),
    "an unknown operation": (resealed(GOOD.replace(b"\topen\n", b"\topenly\n")), "is not as"),
    "no image": (resealed(GOOD.replace(b"image\tshop:1\n", b"")), "does not say image"),
    "a digest of rubbish": (resealed(GOOD.replace(b"recipe\tsha256:", b"recipe\tmd5:")), "is not a digest"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    data, message = REFUSED[name]
    assert data != GOOD
    with pytest.raises(UsageError) as caught:
        locks.parse(data, "debloat.lock")
    assert message in caught.value.message
    assert "debloat.lock" in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == 2


def test_a_newer_version_asks_for_an_upgrade() -> None:
    with pytest.raises(UsageError) as caught:
        locks.parse(REFUSED["newer"][0], "x")
    assert caught.value.hint == "upgrade debloat"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.booleans())
def test_garbage_is_refused_or_read_never_worse(rubbish: bytes, framed: bool) -> None:
    data = resealed(b"debloat-lock\t1\nsha256\t\n" + rubbish + b"\n[end]\n") if framed else rubbish
    with pytest.raises(UsageError):
        locks.parse(data, "x")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_mutated_body_is_refused_or_still_a_lock(data: st.DataObject) -> None:
    at = data.draw(st.integers(GOOD.index(b"tool"), len(GOOD) - 8))
    mutated = GOOD[:at] + data.draw(st.binary(max_size=3)) + GOOD[at + data.draw(st.integers(0, 4)) :]
    try:
        value = locks.parse(resealed(mutated), "x")
    except UsageError:
        return
    assert locks.parse(locks.dump(value), "x") == value


# ------------------------------------------------------------------------------------------ seeds

TABLE: trees.Table = {
    "/etc/app.conf": "x",
    "/var/run": "-> ../run",
    "/run/": "",
    "/tmp/": "",
    "/usr/bin/app": ("0755", "x"),
    "/data/deep/": "",
    "/data/dangling": "-> /tmp/nowhere",
}


def test_names_that_the_run_made_do_not_stand_in_a_lock() -> None:
    rootfs = trees.tree(TABLE)
    accesses = {
        ("/tmp/sess-8f3a", Op.OPEN, "wc"),
        ("/tmp/sess-8f3a", Op.STAT, ""),
        ("/tmp/sess-8f3a/below", Op.CREATE, ""),
        ("/var/run/app-77.pid", Op.OPEN, "wc"),
        ("/proc/77/status", Op.OPEN, "r"),
        ("/etc/app.conf", Op.OPEN, "r"),
        ("/etc/app.d", Op.OPEN, "r"),
    }
    trace = Trace(frozenset(Access(p, op, f, "start", "/usr/bin/app") for p, op, f in accesses))
    found = {(a.path, a.op) for a in normalised_trace(trace, rootfs).accesses}
    assert found == {
        (f"/tmp/{NEW}", Op.OPEN),
        (f"/tmp/{NEW}", Op.CREATE),
        (f"/var/run/{NEW}", Op.OPEN),
        ("/etc/app.conf", Op.OPEN),
        ("/etc/app.d", Op.OPEN),
    }


def test_a_program_that_only_looked_into_proc_still_counts() -> None:
    trace = gates.trace("/proc/self/maps")
    assert {a.program for a in normalised_trace(trace, trees.tree(TABLE)).accesses} == {"/usr/bin/app"}


places = st.sampled_from(
    [
        *("/tmp/a", "/tmp/a/b", "/var/run/a", "/run/a", "/etc/app.conf", "/data/dangling", "/data/deep/../x"),
        *("/proc/1/stat", "/data/deep", "/data", "/nowhere/x", "/etc/app.conf/x", "/tmp", "/var/run/../tmp/a"),
        *("/data/dangling/x", "//tmp//a"),
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    st.frozensets(
        st.builds(
            Access,
            places,
            st.sampled_from([Op.OPEN, Op.STAT, Op.CREATE, Op.MKDIR, Op.UNLINK, Op.LIST, Op.READLINK, Op.BIND]),
            st.sampled_from(["", "r", "wc", "l"]),
            st.sampled_from(["start", "http GET /"]),
            st.sampled_from(["/usr/bin/app", "/usr/bin/other"]),
        ),
        max_size=8,
    )
)
def test_a_settled_trace_closes_to_the_same_paths(accesses: frozenset[Access]) -> None:
    rootfs = trees.tree(TABLE)
    plain = trees.world(TABLE, trace=Trace(accesses))
    calm = trees.world(TABLE, trace=normalised_trace(Trace(accesses), rootfs))
    wanted, got = (set(close(world, trace_rules.RULES).evidence) for world in (plain, calm))
    assert got == wanted
    assert normalised_trace(calm.trace, rootfs) == calm.trace


# ------------------------------------------------------------------------------------------ another build

FOO, PYTHON = "/usr/lib/libfoo.so.1.2", "/usr/lib/python3.11/json/x.py"
SUCCESSORS: list[tuple[str, str, dict[str, list[str]], str | None]] = [
    (FOO, "libfoo1", {"libfoo2": ["/usr/lib/libfoo.so.2.0"]}, "/usr/lib/libfoo.so.2.0"),
    (FOO, "libfoo1", {"libfoo1t64": ["/usr/lib/libfoo.so.1.3"]}, "/usr/lib/libfoo.so.1.3"),
    (PYTHON, "libpython3.11", {"libpython3.12": [PYTHON.replace("11", "12")]}, PYTHON.replace("11", "12")),
    ("/opt/app/lib-1.2/x", "", {}, "/opt/app/lib-1.3/x"),
    (FOO, "libfoo1", {"libbar2": ["/usr/lib/libfoo.so.2.0"]}, None),
    (FOO, "libfoo1", {"libfoo1": ["/usr/lib/libother.so.1.2"]}, None),
    ("/usr/share/doc/x", "libfoo1", {"libfoo1": ["/usr/share/doc/y"]}, None),
]
"""A path of the lock and its package; the packages of the new build; what became of the path."""


@pytest.mark.parametrize(("old", "package", "owned", "new"), SUCCESSORS)
def test_a_path_is_found_under_its_new_version(
    old: str, package: str, owned: dict[str, list[str]], new: str | None
) -> None:
    locked = lock(item(old, package=package), trace=gates.trace(old))
    files = [path for paths in owned.values() for path in paths] + ([new] if new else [])
    world = trees.world(dict.fromkeys(files, "x"), owned=owned)
    seeds = carry_over(locked, world.rootfs, world.packages)
    if new is None:
        assert [g.path for g in seeds.gone] == [old]
        assert seeds.gone[0].package == package
        assert seeds.gone[0].reason == "trace probe:start"
    else:
        assert [(m.old, m.new) for m in seeds.moves] == [(old, new)]
        assert not seeds.gone
        assert {a.path for a in seeds.trace.accesses} == {new}


def test_what_is_there_stays_and_what_never_was_is_not_missed() -> None:
    locked = lock(item("/etc/app.conf"), trace=gates.trace("/etc/app.conf", "/etc/never"))
    world = trees.world({"/etc/app.conf": "y"})
    seeds = carry_over(locked, world.rootfs, world.packages)
    assert seeds.trace == locked.trace
    assert not seeds.moves
    assert not seeds.gone


def test_the_newest_of_several_versions_is_taken() -> None:
    locked = lock(item("/opt/v1.2/x"), trace=gates.trace("/opt/v1.2/x"))
    world = trees.world(dict.fromkeys(("/opt/v1.3/x", "/opt/v1.10/x", "/opt/v2/x"), "x"))
    assert [m.new for m in carry_over(locked, world.rootfs, world.packages).moves] == ["/opt/v1.10/x"]


def test_a_file_of_the_lock_is_no_successor() -> None:
    locked = lock(item("/srv/page1.html"), item("/srv/page2.html"), trace=gates.trace("/srv/page1.html"))
    world = trees.world({"/srv/page2.html": "x"})
    assert [g.path for g in carry_over(locked, world.rootfs, world.packages).gone] == ["/srv/page1.html"]


def test_shapes_and_stems() -> None:
    assert shape("/usr/lib/libx.so.1.2.3") == shape("/usr/lib/libx.so.10")
    assert stem("libssl1.1:amd64") == stem("libssl3t64") == "libssl#"
    assert stem("postgresql-15") == stem("postgresql-16") != stem("postgresql-client-16")
