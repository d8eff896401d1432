"""Comparing manifests and traces."""

from __future__ import annotations

from debloat.core.model import Op
from debloat.lock.compare import Side, compare, compare_traces, document, format_diff
from debloat.lock.format import LockedPackage
from tests.support import gates
from tests.support.gates import item, lock


def side(*items: object, **changes: object) -> Side:
    value = lock(*items, **changes)  # type: ignore[arg-type]
    return Side("x", value.manifest, value.packages)


def test_the_same_is_no_difference() -> None:
    assert not compare(side(item("/a")), side(item("/a")))


def test_a_file_more_is_told_by_its_package() -> None:
    old = side(item("/usr/bin/openssl", package="openssl"))
    new = side(item("/usr/bin/openssl", package="openssl"), item("/usr/lib/legacy.so", package="openssl"))
    assert list(format_diff(compare(old, new))) == ["openssl: +1 file, +1 B", "  + /usr/lib/legacy.so"]


def test_what_is_different_about_a_file() -> None:
    old = side(item("/a", "one"), item("/b", "-> a"), item("/c"), item("/d"))
    new = side(item("/a", "two"), item("/b", "-> c"), item("/c", mode=0o4755), item("/d", "-> a"))
    changed = {c.path: c.what for c in compare(old, new).changed}
    assert changed == {"/a": ("content",), "/b": ("target",), "/c": ("mode",), "/d": ("type",)}


def test_versions_and_packages() -> None:
    old = side(item("/a", package="a"), item("/b", package="b"))
    new = side(item("/a", "y", package="a"), item("/c", package="c"), packages=[LockedPackage("a", "2", "a")])
    found = {p.name: (p.before, p.after) for p in compare(old, new).packages}
    assert found == {"a": ("1", "2"), "b": ("1", ""), "c": ("", "1")}
    text = list(format_diff(compare(old, new)))
    assert "a 1 -> 2: ~1 file" in text
    assert "b 1 -> (absent): -1 file, -1 B" in text


def test_a_renamed_library_is_one_package() -> None:
    old = side(item("/usr/lib/libfoo.so.1", package="libfoo1"))
    new = side(item("/usr/lib/libfoo.so.2", package="libfoo2"))
    (package,) = compare(old, new).packages
    assert (package.old_name, package.name) == ("libfoo1", "libfoo2")
    assert ([i.path for i in package.added], [i.path for i in package.removed]) == (
        ["/usr/lib/libfoo.so.2"],
        ["/usr/lib/libfoo.so.1"],
    )
    assert next(iter(format_diff(compare(old, new)))) == "libfoo1 -> libfoo2: +1 file, -1 file"


def test_only_an_empty_directory_is_told() -> None:
    diff = compare(side(item("/a")), side(item("/a"), item("/var/lib/app/"), item("/srv/x/y", package="p")))
    assert [i.path for i in diff.added] == ["/var/lib/app", "/srv/x/y"]


def test_the_package_database_follows_the_packages() -> None:
    status = "/var/lib/dpkg/status"
    old, new = side(item(status, "1"), item("/a", package="p")), side(item(status, "2"), item("/b", package="p"))
    assert [p.name for p in compare(old, new).packages] == ["p"]
    assert [c.path for c in compare(old, side(item(status, "2"), item("/a", package="p"))).changed] == [status]


def test_the_other_way_round_is_the_opposite() -> None:
    a = side(item("/a", package="p"), item("/b"))
    b = side(item("/a", "other", package="p"), item("/c"))
    there, back = compare(a, b), compare(b, a)
    assert [i.path for i in there.added] == [i.path for i in back.removed] == ["/c"]
    assert sum(p.growth for p in there.packages) == -sum(p.growth for p in back.packages)


def test_names_are_printed_safely() -> None:
    diff = compare(side(), side(item("/evil\x1b[31m\nname")))
    assert all(line.isprintable() for line in format_diff(diff))
    assert document(diff)[0]["added"] == ["/evil\x1b[31m\nname"]


def test_long_lists_are_cut_with_a_count() -> None:
    diff = compare(side(), side(*(item(f"/n{i}") for i in range(9))))
    assert list(format_diff(diff, shown=2))[-1] == "  ... and 7 more"


def test_traces_differ_by_probe_and_path() -> None:
    old = gates.trace("/a", "/b")
    new = gates.trace("/b", "/c") | gates.trace("/b", probe="http GET /", op=Op.STAT)
    found = [(t.probe, t.sign, t.path) for t in compare_traces(old, new)]
    assert found == [("http GET /", "+", "/b"), ("start", "-", "/a"), ("start", "+", "/c")]
