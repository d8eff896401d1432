"""The worklist: its invariants as properties, evidence and chains as cases."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from debloat.closure import (
    UNRECORDED,
    Memo,
    Rule,
    World,
    close,
    derived,
    derived_by,
    derived_of_image,
    recorded,
)
from debloat.core.model import Access, Closure, Entry, Evidence, ImageConfig, Level, Op, Policy, Trace, Want
from debloat.image.rootfs import Rootfs
from debloat.rules import all_rules
from tests.support.trees import FakePackages, tree

NAMES = [f"/d{i % 3}/f{i}" for i in range(12)]
EDGES = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from([*NAMES, "/missing", "/link/f1"]), max_size=3))


class Edges(Rule):
    """A rule that is a table."""

    name = "edges"

    def __init__(self, edges: dict[str, list[str]]) -> None:
        self._edges = edges

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        return [self.want(target, entry.path) for target in self._edges.get(entry.path, ())]


class Deep(Edges):
    name = "deep"
    level = Level.PACKAGE


def rootfs() -> Rootfs:
    return tree({**dict.fromkeys(NAMES, ""), "/link": "-> d1", "/unrelated": ""})


def closure(rules: list[Rule], seeds: Iterable[str], policy: Policy = Policy()) -> Closure:
    world = World(rootfs(), FakePackages({}), ImageConfig({}), policy=policy)
    return close(world, rules, [Want(s, "seed", "probe:x") for s in seeds])


@settings(max_examples=100, deadline=None)
@given(EDGES, st.sets(st.sampled_from(NAMES)), st.randoms(use_true_random=False))
def test_idempotent_and_order_independent(edges: dict[str, list[str]], seeds: set[str], shuffle: random.Random) -> None:
    once = closure([Edges(edges)], seeds)
    order = sorted(seeds)
    shuffle.shuffle(order)
    halves = [Edges(dict(list(edges.items())[::2])), Edges(dict(list(edges.items())[1::2]))]
    shuffle.shuffle(halves)
    assert closure(list[Rule](halves), order).evidence == once.evidence
    again = closure([Edges(edges)], list(once.evidence))
    assert set(again.evidence) == set(once.evidence)


@settings(max_examples=100, deadline=None)
@given(EDGES, st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_monotone(edges: dict[str, list[str]], some: set[str], more: set[str]) -> None:
    few, many = closure([Edges(edges)], some), closure([Edges(edges)], some | more)
    assert set(few.evidence) <= set(many.evidence)


@settings(max_examples=100, deadline=None)
@given(EDGES, st.sets(st.sampled_from(NAMES), min_size=1))
def test_every_path_exists_has_evidence_a_parent_and_a_chain(edges: dict[str, list[str]], seeds: set[str]) -> None:
    files, found = rootfs(), closure([Edges(edges)], seeds)
    for path, evidence in found.evidence.items():
        assert path in files
        assert evidence
        assert path == "/" or (path.rpartition("/")[0] or "/") in found
        chain = found.why(path)
        assert chain[0][0] == path
        assert chain[-1][1].source == "probe:x"
        for (_, step), (following, _) in itertools.pairwise(chain):
            assert step.source == following


def test_links_on_the_way_stay_with_their_reason() -> None:
    found = closure([Edges({"/d0/f0": ["/link/f1"]})], ["/d0/f0"])
    assert Evidence("edges", "/d0/f0") in found.evidence["/d1/f1"]
    assert found.evidence["/link"][0].rule == "link"


def test_a_path_that_is_not_there_is_no_claim() -> None:
    assert "/missing" not in closure([Edges({"/d0/f0": ["/missing"]})], ["/d0/f0"])


def test_what_a_mount_hides_is_left_out_and_a_link_to_it_stays() -> None:
    files = tree({"/dev/null": "", "/proc/x": "", "/log": "-> /dev/null", "/device": ""})
    world = World(files, FakePackages({}), ImageConfig({}), policy=Policy(keep=("/proc/**",)))
    found = close(world, [], [Want(path, "seed", "probe:x") for path in ("/log", "/dev/null", "/device", "/dev")])
    assert set(found.evidence) == {"/", "/dev", "/device", "/log"}
    assert found.evidence["/log"] == (Evidence("seed", "probe:x"),)


def test_rules_run_from_their_level_on() -> None:
    edges = {"/d0/f0": ["/d1/f1"]}
    assert "/d1/f1" not in closure([Deep(edges)], ["/d0/f0"], Policy(Level.SAFE))
    assert "/d1/f1" in closure([Deep(edges)], ["/d0/f0"], Policy(Level.PACKAGE))


def test_a_level_for_some_paths() -> None:
    edges = {"/d0/f0": ["/d1/f1"], "/d2/f2": ["/d1/f4"]}
    found = closure([Deep(edges)], ["/d0/f0", "/d2/f2"], Policy(levels=(("/d0/**", Level.PACKAGE),)))
    assert "/d1/f1" in found
    assert "/d1/f4" not in found


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ("/usr/bin/awk", {"/usr/bin/awk", "/usr/bin/mawk"}),
        ("/usr/bin/a*", {"/usr/bin/awk", "/usr/bin/mawk"}),
        ("/lib", {"/lib", "/usr/lib", "/usr/lib/x"}),
        ("/lib/x", {"/lib", "/usr/lib/x"}),
    ],
)
def test_keep_names_a_link_and_what_it_leads_to(keep: str, expected: set[str]) -> None:
    files = tree({"/usr/bin/awk": "-> mawk", "/usr/bin/mawk": "m", "/lib": "-> usr/lib", "/usr/lib/x": "x"})
    found = close(World(files, FakePackages({}), ImageConfig({}), policy=Policy(keep=(keep,))), [])
    wanted = {path for path, evidence in found.evidence.items() if any(e.rule != "parent" for e in evidence)}
    assert wanted >= expected


def test_keep_takes_directories_whole_and_drop_wins() -> None:
    found = closure([], [], Policy(keep=("/d0",), drop=("/d0/f3",)))
    assert {"/d0/f0", "/d0/f6", "/d0/f9"} <= set(found.evidence)
    assert "/d0/f3" not in found
    assert found.evidence["/d0/f0"][0].source == "keep:/d0"


def test_why_of_a_removed_path_is_empty() -> None:
    assert closure([], ["/d0/f0"]).why("/unrelated") == ()


def test_a_rule_has_no_method_that_nobody_calls() -> None:
    """A misspelt `wants` would be a rule that says nothing."""
    asked = {name for name in vars(Rule) if not name.startswith("_")} | {"name"}
    own = {(type(rule).__name__, name) for rule in all_rules() for name in dir(rule) if not name.startswith("_")}
    assert sorted((rule, name) for rule, name in own if name not in asked) == []


def test_what_follows_from_the_image_alone_is_derived_before_the_trace_is_there() -> None:
    computed: list[str] = []

    @derived_of_image
    def names(world: World) -> frozenset[str]:
        computed.append("names")
        return frozenset(world.rootfs)

    @derived
    def history(world: World) -> tuple[str, ...]:
        computed.append("history")
        return world.history

    unrecorded = World(rootfs(), FakePackages({}), ImageConfig({}), UNRECORDED)
    trace = Trace(frozenset({Access("/x", Op.OPEN, "", "one", "p")}))
    assert names(unrecorded)
    assert history(unrecorded) == ()
    told = recorded(unrecorded, trace)
    assert names(told) == names(unrecorded)
    assert history(told) == ()
    assert told.trace == trace
    assert computed == ["names", "history", "history"]


def test_nothing_is_derived_of_a_trace_that_is_not_there() -> None:
    @derived_of_image
    def touched(world: World) -> frozenset[str]:
        return frozenset(access.path for access in world.trace.accesses)

    unrecorded = World(rootfs(), FakePackages({}), ImageConfig({}), UNRECORDED)
    with pytest.raises(AttributeError, match="not recorded yet: accesses"):
        touched(unrecorded)
    assert touched(recorded(unrecorded, Trace(frozenset({Access("/x", Op.OPEN, "", "one", "p")})))) == {"/x"}


def test_what_is_derived_is_computed_once_for_a_world() -> None:
    calls = []

    @derived
    def touched(world: World) -> frozenset[str]:
        calls.append("touched")
        return frozenset(access.path for access in world.trace.accesses)

    @derived_by
    def names(world: World, directory: str) -> tuple[str, ...]:
        calls.append(directory)
        return world.rootfs.names(directory)

    world = World(rootfs(), FakePackages({}), ImageConfig({}))
    for _ in range(3):
        assert touched(world) == frozenset()
        assert names(world, "/d1") == ("f1", "f10", "f4", "f7")
        assert names(world, "/missing") == ()
    assert calls == ["touched", "/d1", "/missing"]


def test_a_changed_world_remembers_nothing_of_the_one_before() -> None:
    @derived
    def probes(world: World) -> set[str]:
        return {access.probe for access in world.trace.accesses}

    one = World(rootfs(), FakePackages({}), ImageConfig({}), Trace(frozenset({Access("/x", Op.OPEN, "", "one", "p")})))
    assert probes(one) == {"one"}
    two = replace(one, trace=Trace(frozenset({Access("/x", Op.OPEN, "", "two", "p")})))
    assert (probes(two), probes(one)) == ({"two"}, {"one"})
    # No caller can hand a memo on, by mistake or on purpose.
    with pytest.raises((TypeError, ValueError), match="memo"):
        replace(one, memo=Memo())
