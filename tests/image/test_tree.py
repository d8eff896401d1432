"""The packed entries against the plain table that they stand for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from debloat.core.model import Entry, Kind
from debloat.image.tree import Tree

NAME = st.text(st.sampled_from("ab-.0é\udcff"), min_size=1, max_size=3).filter(lambda n: n not in (".", ".."))
PATH = st.one_of(st.just("/"), st.lists(NAME, min_size=1, max_size=4).map(lambda names: "/" + "/".join(names)))
ENTRY = st.builds(
    Entry,
    path=PATH,
    kind=st.sampled_from(list(Kind)),
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 2**40),
    gid=st.integers(0, 3),
    size=st.integers(-1, 2**65),
    mtime=st.integers(-(2**64), 2**64),
    target=st.sampled_from(["", "b", "/a"]),
    hardlink=st.integers(0, 2),
    device=st.sampled_from([(0, 0), (1, 3)]),
    xattrs=st.sampled_from([(), (("user.x", b"\0"),)]),
)


@given(st.lists(ENTRY, max_size=30), st.lists(PATH, max_size=10))
def test_it_holds_what_a_table_by_path_holds(entries: list[Entry], others: list[str]) -> None:
    tree, model = Tree(entries), {e.path: e for e in entries}
    assert [(path, tree.entry(number, path)) for path, number in tree] == sorted(model.items())
    assert len(tree) == len(model)
    for path in (*model, *others, *(f"{path}/" for path in model), *(f"/{path}" for path in model), "", "a"):
        number = tree.number(path)
        assert (number >= 0) == (path in model)
        if number >= 0:
            assert tree.path(number) == path
            assert tree.kind(number) is model[path].kind
    assert tree.named({"a", "b"}) == sorted(path for path in model if path.rpartition("/")[2] in ("a", "b"))
    counted, size, others = tree.partition_plain(lambda kind, mode: kind is Kind.FILE)
    rest = [e for path, e in model.items() if path not in others]
    assert (counted, size) == (len(rest), sum(e.size for e in rest))
    assert all(e.kind is Kind.FILE and not e.hardlink for e in rest)
    assert others == sorted(others)
    for directory in {"/", *(path.rpartition("/")[0] or "/" for path in model)}:
        prefix = directory.rstrip("/") + "/"
        below = {p[len(prefix) :] for p in model if p.startswith(prefix) and p != "/"}
        assert list(tree.names(directory)) == sorted(name for name in below if "/" not in name)


def test_no_directory_has_an_empty_name() -> None:
    tree = Tree([Entry("/", Kind.DIR), Entry("/a", Kind.FILE)])
    assert tree.names("") == []
    assert tree.names("/") == ["a"]


def test_deep_trees_need_no_recursion() -> None:
    paths = ["/" + "/".join(["d"] * depth) for depth in range(1, 3000)]
    assert [path for path, _ in Tree(Entry(p, Kind.DIR) for p in paths)] == sorted(paths)
