"""The pure parts of the benchmarks: figures, tables, comparisons, generated images, what a run's result adds up to."""

from __future__ import annotations

import contextlib
import copy
import io
import tarfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench import compare, docs, fleet, foreign, generality, generated, growth, hostile, imports, plots, profiles, stats
from bench.heldout import lacking, used_files
from bench.workloads import timed
from debloat.core.errors import DebloatError
from debloat.core.model import Access, Op
from tests.support import fixtures
from tests.support.trees import tree


def test_the_spread_of_few_runs_is_their_range() -> None:
    assert stats.spread([3.0, 1.0, 2.0]) == stats.Spread(3, 2.0, 1.0, 3.0)


def test_one_run_that_went_wrong_moves_neither_median_nor_quartiles() -> None:
    assert stats.spread([1.0, 1.0, 1.0, 1.0, 99.0]) == stats.Spread(5, 1.0, 1.0, 1.0)


def test_ratios_are_taken_pair_by_pair() -> None:
    # A machine that slows down between the pairs changes both sides of each.
    assert stats.ratios([2.0, 20.0, 200.0], [1.0, 10.0, 100.0]) == stats.Spread(3, 2.0, 2.0, 2.0)


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        stats.spread([])


def test_tables() -> None:
    rows = [("a|b", 1), ("c", 22)]
    assert stats.table(("name", "n"), rows) == "name   n\na|b    1\nc     22"
    assert stats.table(("name", "n"), rows, markdown=True).splitlines()[:3] == [
        "| name | n |",
        "| --- | ---: |",
        "| a\\|b | 1 |",
    ]


# ------------------------------------------------------------------------------- generality


def _level(code: int = 0, size: int = 10, heldout: tuple[int, int] = (9, 10), missed: int = 1) -> dict[str, Any]:
    if code:
        return {"code": code, "error": "it broke", "bytes": 0, "failed": [], "missed": []}
    failed = [
        {"check": f"c{n}", "trained": False, "detail": "no", "missing": ["/x"]} for n in range(heldout[1] - heldout[0])
    ]
    return {
        "code": 0,
        "bytes": size,
        "trained": [1, 1],
        "heldout": list(heldout),
        "failed": failed,
        "missed_count": missed,
    }


def _fixture(name: str, **levels: dict[str, Any]) -> dict[str, Any]:
    used = {f"/{n}": ["c0"] for n in range(20)}
    original = {"bytes": 100, "failed": [], "disturbed": []}
    return {
        "fixture": name,
        "key": "k",
        "original": original,
        "used": used,
        "used_count": len(used),
        "lost": [],
        "levels": levels,
    }


def test_a_total_takes_the_median_of_sizes_and_the_sum_of_checks() -> None:
    found = [
        _fixture("a", safe=_level(size=10)),
        _fixture("b", safe=_level(size=20, heldout=(10, 10), missed=0)),
        _fixture("c", safe=_level(size=90)),
    ]
    total = generality.total(found, "safe")
    assert (total.median_share, total.kept, total.original) == (20.0, 120, 300)
    assert (total.trained, total.heldout, total.files) == ((3, 3), (28, 30), (2, 60))


def test_the_oracle_is_what_the_kept_bytes_are_held_against() -> None:
    known = {**_fixture("a", safe=_level(size=30), exact=_level(code=5)), "oracle": 20, "release": "13"}
    unknown = _fixture("b", safe=_level(size=30))
    assert [generality.times(r, x) for r in (known, unknown) for x in ("safe", "exact")] == [1.5, None, None, None]
    other = {**_fixture("c", safe=_level(size=38)), "oracle": 20}
    cells = [row[-4] for row in generality.rows([known, unknown, other], ["safe"])]
    assert cells == ["1.50", "", "1.90", "median 1.70, most 1.90"]
    assert generality.rows([known], ["safe"])[0][1] == "13"


def test_a_fixture_far_above_the_oracle_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        {**_fixture(name, safe=_level(size=size)), "oracle": 10} for name, size in (("a", 18), ("b", 30), ("c", 40))
    ]
    monkeypatch.setitem(generality.REASONS, "c", "it is small")
    expected = ["b: 3.00 times the oracle: no reason known", "c: 4.00 times the oracle: it is small"]
    assert generality.reasons(found) == expected
    assert generality.summary(found, ["safe"], markdown=True).endswith("".join(f"\n- {line}" for line in expected)[1:])
    assert generality.summary(found, ["exact"]).count("oracle") == 1


@pytest.mark.parametrize(
    ("text", "release"), [('ID=debian\nVERSION_ID="13"\n', "13"), ("VERSION_ID=12", "12"), ("ID=debian", ""), ("", "")]
)
def test_the_release_is_that_of_os_release(text: str, release: str) -> None:
    assert generality._release(tree({"/etc/os-release": "-> x", "/etc/x": text})) == release


def test_a_fixture_without_an_image_fails_all_its_checks() -> None:
    found = [_fixture("a", exact=_level(code=5), safe=_level(heldout=(8, 8)))]
    assert generality.total(found, "exact").heldout == (0, 8)
    assert "exit code 5" in generality.summary(found, generality.LEVELS)


def test_failures_name_what_was_probably_missing() -> None:
    text = generality.failures([_fixture("a", safe=_level())], ["safe"])
    assert "FAILED c0: no" in text
    assert "lacks: /x" in text


def test_used_files_are_those_whose_content_was_wanted() -> None:
    rootfs = tree({"/bin": "-> usr/bin", "/usr/bin/sh": "file 0755", "/etc/a": "file 0644", "/var/log/b": "file 0644"})
    accesses = {
        Access("/bin/sh", Op.EXEC, "", "start", ""),
        Access("/etc/a", Op.STAT, "", "c", ""),
        Access("/var/log/b", Op.OPEN, "wct", "c", ""),
        Access("/etc", Op.OPEN, "rd", "c", ""),
        Access("/none", Op.OPEN, "r", "c", ""),
    }
    assert used_files(accesses, rootfs) == {"/usr/bin/sh": {"start"}}


@pytest.mark.parametrize(
    ("used", "lost"),
    [
        ("/lib/a.py", False),
        ("/lib/__pycache__/a.cpython-311.pyc", False),
        ("/lib/__pycache__/a.cpython-311.opt-1.pyc", False),
        ("/lib/__pycache__/b.cpython-311.pyc", True),
        ("/lib/a.so", True),
    ],
)
def test_bytecode_of_a_kept_source_is_no_loss(used: str, lost: bool) -> None:
    assert bool(lacking([used], {"/lib/a.py"})) is lost


def test_few_failures_are_asked_for_once_more_and_many_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    fixture = fixtures.load("nginx")
    own = [c.name for c in fixture.checks if c.own]
    shared = [c.name for c in fixture.checks if not c.own]
    asked: list[list[str]] = []

    def run_checks(image: str, given: fixtures.Fixture) -> list[fixtures.CheckResult]:
        asked.append([c.name for c in given.checks])
        return [fixtures.CheckResult(c.name, c.name != own[1], "again") for c in given.checks]

    def answers(failed: list[str]) -> dict[str, bool]:
        first = [fixtures.CheckResult(c.name, c.name not in failed, "first") for c in fixture.checks]
        return {r.name: r.passed for r in generality._again("image", fixture, first)}

    monkeypatch.setattr(fixtures, "run_checks", run_checks)
    assert all(answers([]).values())
    assert not asked
    assert [name for name, passed in answers([own[0], own[1]]).items() if not passed] == [own[1]]
    assert asked.pop() == own[:2]
    assert all(answers([shared[-1]]).values())
    assert asked.pop() == shared
    many = sorted([*shared, *own])[: generality.FEW + 1]
    assert sorted(name for name, passed in answers(many).items() if not passed) == many
    assert not asked


def test_the_readme_names_sizes_releases_and_what_the_uses_need() -> None:
    shown = {**_fixture("nginx", safe=_level(size=20, heldout=(8, 8))), "kind": "web", "release": "13", "oracle": 10}
    text = generality.images([shown, _fixture("unknown", safe=_level(size=40))])
    assert "| nginx | web | 13 | 0 MB | 0 MB | 8/8 |" in text
    assert "unknown" not in text
    assert "Over all 2 images of `fixtures/`, 17 of 18 work." in text
    assert "30 % of its bytes, 2.00 times what the uses need" in text


# ------------------------------------------------------------------------------- comparison


def _overhead(**ratios: float) -> dict[str, Any]:
    rows = [{"name": name, "bar": 2.0, "ratio": stats.spread([value]).plain()} for name, value in ratios.items()]
    for row in rows:
        row["plain"] = row["recorded"] = {"median": 1.0}
    return {"subject": "overhead", "workloads": rows}


def _growth(second: float, rss: int) -> dict[str, Any]:
    def row(name: str, more: float | None) -> dict[str, Any]:
        return {
            "name": name,
            "files": 1,
            "bytes": 1,
            "wall": {"median": 2.0},
            "cpu": {"median": 1.0},
            "rss": rss,
            "more": None if more is None else {"median": more},
            "kept": 1,
            "stages": {"close and carve": 1.0},
        }

    return {"subject": "growth", "sizes": [row("200mb", None), row("5gb", second), row("25000-files", 0.0)]}


def _cost(ratio: float) -> dict[str, Any]:
    row = {
        "name": "nginx",
        "codes": [0],
        "wall": {"median": 2.0},
        "cpu": {"median": 1.0},
        "rss": 9,
        "stages": {"a": 1.0},
    }
    web = {name: {"median": 1.0, "low": 1.0, "high": 1.0} for name in ("wall", "floor", "containers", "load")}
    ratios = {"median": ratio, "low": ratio, "high": ratio}
    return {"subject": "cost", "fixtures": [row], "floor": {"fixture": "nginx", **web, "ratio": ratios}}


def test_a_run_of_some_fixtures_and_levels_leaves_the_others_as_they_were() -> None:
    committed = [_fixture("a", safe=_level(), exact=_level(size=4)), _fixture("b", safe=_level())]
    found = generality.over(committed, [_fixture("a", safe=_level(size=7)), _fixture("c", safe=_level())])
    assert {r["fixture"]: sorted(r["levels"]) for r in found} == {"a": ["exact", "safe"], "b": ["safe"], "c": ["safe"]}
    assert found[0]["levels"]["safe"] == _level(size=7)
    assert found[0]["levels"]["exact"] == _level(size=4)


def _generality(**levels: dict[str, Any]) -> dict[str, Any]:
    return {**generality.compact([_fixture("a", **levels)]), "subject": "generality"}


def _import(ratio: float) -> dict[str, Any]:
    figures = {"click": {"median": 0.02}, "command_line": {"median": 0.02 * ratio}, "ratio": {"median": ratio}}
    return {"subject": "import", **figures}


@pytest.mark.parametrize(
    ("before", "after", "names"),
    [
        (_import(1.5), _import(1.6), []),
        (_import(1.5), _import(1.7), ["loading the command line over click"]),
        (_overhead(a=1.0, b=2.0), _overhead(a=1.1, b=2.9, c=9.0), ["b"]),
        (_growth(1.0, 10**8), _growth(1.1, 10**8), []),
        (_growth(1.0, 10**8), _growth(4.0, 10**8), ["5gb: time over the first"]),
        (_growth(1.0, 10**8), _growth(1.0, 2 * 10**8), [f"{s}: peak RSS, MB" for s in ("200mb", "5gb", "25000-files")]),
        (_cost(1.8), _cost(2.0), []),
        (_cost(1.8), _cost(2.4), ["tool over floor"]),
        (_generality(safe=_level()), _generality(safe=_level(size=11)), []),
        (_generality(safe=_level()), _generality(safe=_level(size=20)), ["a safe: % of the original"]),
        (_generality(safe=_level()), _generality(safe=_level(heldout=(8, 10))), ["a safe: failed checks"]),
        (_generality(safe=_level()), _generality(safe=_level(code=5)), ["a safe: no image (exit code)"]),
    ],
)
def test_what_got_worse(before: dict[str, Any], after: dict[str, Any], names: list[str]) -> None:
    assert [r.name for r in compare.compare(before, after)] == names
    assert compare.compare(before, copy.deepcopy(before)) == []


# ---------------------------------------------------------------------------------- hostile


def _pieces(*rows: tuple[str, str, float, float]) -> dict[str, Any]:
    names = ("reader", "piece", "seconds", "ratio")
    return {"subject": "hostile", "pieces": [{"size": 2048, **dict(zip(names, row, strict=True))} for row in rows]}


def test_of_each_reader_the_piece_that_grows_most_counts() -> None:
    rows = (
        ("a", "x", 0.02, 4.1),
        ("a", "y", 0.02, 15.9),
        ("a", "too quick to tell", 0.0001, 99.0),
        ("b", "z", 0.02, 4.0),
    )
    result = _pieces(*rows)
    assert [row["piece"] for row in hostile.worst(result)] == ["y", "z"]
    assert [measured <= most for _, measured, most in hostile.bars(result)] == [False, True]
    assert "15.90" in hostile.summary(result)


def test_reading_that_got_slower_is_a_regression() -> None:
    before, after = _pieces(("a", "x", 0.02, 4.0)), _pieces(("a", "x", 0.02, 15.0))
    assert [r.name for r in compare.compare(before, after)] == ["a: growth"]


@pytest.mark.parametrize("reader", hostile.READERS, ids=lambda reader: reader.name)
def test_every_reader_gets_a_piece_that_it_reads_to_the_end(reader: hostile.Reader) -> None:
    """What is refused at once says nothing of the rest."""
    read = 0
    for piece in reader.pieces:
        with contextlib.suppress(DebloatError, ValueError):
            reader.read((reader.head + piece * 50).encode("latin-1"))
            read += 1
    assert read


def test_a_piece_is_measured_with_a_size_and_its_multiple() -> None:
    sizes = set[int]()
    row = hostile.measured(hostile.Reader("any", lambda data: sizes.add(len(data) // 16), ("ab",)), "ab", last=16 << 10)
    assert {size // 64 for size in sizes} == {2, 4, 8, 16, 64}
    assert row.size == 16 << 10


def test_different_subjects_are_not_compared() -> None:
    with pytest.raises(ValueError, match="cannot compare"):
        compare.compare(_overhead(), _growth(1.0, 1))


def test_what_loading_costs_is_told_beside_click() -> None:
    assert imports.bars(_import(1.5)) == [("loading the command line over click", 1.5, imports.RATIO_MOST)]
    assert imports.summary(_import(1.5)).splitlines()[1:] == [
        "import click             20 ms",
        "import debloat.cli.main  30 ms        1.50",
    ]


def test_bars_of_growth() -> None:
    assert ("seconds more at 5 GB than at 200 MB", 3.0, growth.SECONDS_MORE) in growth.bars(_growth(3.0, 1))


# --------------------------------------------------------------------------- generated images


def test_a_generated_image_is_the_base_with_packages_that_own_every_file() -> None:
    base, out = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=base, mode="w") as tar:
        for name, data in ((generated.STATUS, b"Package: real\n\n"), ("bin/true", b"x" * 700)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    base.seek(0)
    filler = generated.Filler(files=1500, size=10)
    generated.write(base, filler, out)
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        names = tar.getnames()
        status = tar.extractfile(generated.STATUS)
        listing = tar.extractfile(f"{generated.INFO}/filler-00001.list")
        assert status is not None
        assert listing is not None
        assert status.read().startswith(b"Package: real\n\nPackage: filler-00000\n")
        listed = [line.lstrip("/") for line in listing.read().decode().splitlines()]
        assert "bin/true" in names
        assert set(filler.paths(1)) <= set(names) & set(listed)
        assert filler.packages == 2
        assert sum(tar.getmember(p).size for p in filler.paths(1)) == 500 * 10


def test_tables_of_a_page_are_replaced_by_name() -> None:
    page = "a\n<!-- bench one -->\nold\n<!-- end -->\nb\n<!-- bench two -->\nstays\n<!-- end -->\n"
    assert docs.filled(page, {"one": "new"}) == page.replace("old", "new")


def test_a_script_prints_nanoseconds_only() -> None:
    assert timed("true", before="cd /", times=2).startswith("cd /; s=$(date")


def test_plots_are_the_same_each_time(tmp_path: Any) -> None:
    pytest.importorskip("matplotlib")
    results = {
        "generality": _generality(exact=_level(size=5), safe=_level()),
        "overhead": _overhead(a=1.5),
        "growth": _growth(1.0, 10**8),
        "cost": _cost(1.5),
    }
    first, second = (plots.draw(results, tmp_path / name) for name in ("one", "two"))
    assert [p.name for p in first] == ["generality.svg", "cost.svg", "overhead.svg", "growth.svg"]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


# ----------------------------------------------------------------------------------- profiles


def test_a_profile_and_one_that_did_not_come() -> None:
    made = {
        "code": 0,
        "allowed": 182,
        "default": 309,
        "seconds": 3.75,
        "checks": 28,
        "lost": {"mail": "no"},
        "crun": "",
    }
    found = {"fixtures": {"shop": made, "other": {"code": 5, "error": "..."}}}
    assert profiles.summary(found).splitlines() == [
        "fixture  calls   of  seconds  checks  lost        which   on crun",
        "other                                       exit code 5",
        "shop       182  309      3.8      28     1         mail  all pass",
    ]


# ----------------------------------------------------------------------------------- foreign


def _suite(name: str) -> foreign.Suite:
    return foreign.named([name])[0]


@pytest.mark.parametrize(
    ("suite", "output", "passed", "failed"),
    [
        (
            "postgres",
            "parallel group (2 tests):  char boolean\n     boolean                      ... ok          126 ms\n"
            "     char                         ... FAILED       61 ms\n"
            "test isolation/deadlock-hard      ... ok           80 ms\n All 3 tests passed. \n",
            {"boolean": 1, "isolation/deadlock-hard": 1},
            {"char": 1},
        ),
        (
            "redis",
            "\x1b[0;32m[ok]\x1b[0m: SET and GET an item (1 ms)\n[ok]: SET and GET an item (2 ms)\n"
            "[err]: PING in tests/unit/basic.tcl\n[ignore]: large: not wanted\n",
            {"SET and GET an item": 2},
            {"PING in tests/unit/basic.tcl": 1},
        ),
        (
            "php",
            "PASS Test array_map() [a] [ext/standard/tests/a.phpt] \nSKIP later [ext/b.phpt] reason: no\n"
            "FAIL Test [x] [ext/standard/tests/c.phpt] \n",
            {"ext/standard/tests/a.phpt": 1},
            {"ext/standard/tests/c.phpt": 1},
        ),
    ],
)
def test_what_a_suite_says(suite: str, output: str, passed: dict[str, int], failed: dict[str, int]) -> None:
    assert foreign.outcomes(_suite(suite), output) == (passed, failed)


def test_a_suite_that_there_is_not() -> None:
    with pytest.raises(foreign.ForeignError, match="no such suite: sqlite"):
        foreign.named(["redis", "sqlite"])


@pytest.mark.parametrize("suite", foreign.SUITES, ids=lambda suite: suite.name)
def test_each_suite_has_its_files(suite: foreign.Suite) -> None:
    files = {path.name for path in (foreign.SUITES_DIRECTORY / suite.name).iterdir()}
    assert files == {"Dockerfile", "debloat.toml", "tester.Dockerfile", "run"}
    assert not suite.name.count("/")


def _answers(monkeypatch: pytest.MonkeyPatch, **given: list[dict[str, int]]) -> dict[str, Any]:
    """What a comparison comes to, by what passes on each image, run by run."""

    def asked(
        suite: foreign.Suite, image: str, tester: str, say: foreign.Say, names: Sequence[str] = ()
    ) -> Counter[str]:
        return Counter(given[image].pop(0))

    monkeypatch.setattr(foreign, "_asked", asked)
    found = foreign._compared(_suite("redis"), "original", "minimal", "tester", lambda text: None)
    assert not any(given.values())
    return found


def test_what_passes_on_both_images_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _answers(monkeypatch, original=[{"a": 2, "b": 1}], minimal=[{"a": 2, "b": 1, "more": 1}])
    assert found == {"passed": 3, "both": 3, "unsteady": 0, "lost": []}


def test_what_fails_twice_on_the_minimal_image_alone_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _answers(
        monkeypatch,
        original=[{"a": 2, "b": 1, "load": 1, "late": 1}, {"a": 2, "b": 1, "load": 1}],
        minimal=[{"a": 1}, {"a": 1, "load": 1}],
    )
    assert found == {"passed": 5, "both": 3, "unsteady": 2, "lost": ["a", "b"]}


def test_a_lost_test_has_its_reason() -> None:
    assert "mail()" in foreign._reason("php", "ext/standard/tests/mail/mail_basic.phpt")
    assert foreign._reason("php", "ext/gd/tests/basic.phpt") == "no reason known"


def test_the_table_of_suites_names_what_is_lost() -> None:
    row = {"suite": "redis", "version": "8.0", "original_bytes": 80_000_000, "bytes": 20_000_000}
    result = {"subject": "foreign", "suites": [{**row, "passed": 1000, "both": 998, "unsteady": 0, "lost": ["x", "x"]}]}
    text = foreign.summary(result, markdown=True)
    assert "| redis: runtest | redis-server 8.0 | 80.0 MB | 20.0 MB | 1000 | 998 (99.8 %) |" in text
    assert text.endswith("- redis: no reason known: x, x")
    assert [figure.value for figure in compare.FIGURES["foreign"](result)] == [2.0, 25.0]


# ------------------------------------------------------------------------------- fleets


def test_simulated_workers_take_what_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Three items of ten seconds: two workers need twenty, and the coordinator's own time comes on top of it."""
    monkeypatch.setattr(fleet, "FILES", {"log": 10})
    seconds = dict.fromkeys("abc", 10.0)
    alone, two = (fleet.carried_out(fleet.Simulated(seconds, n), str(n), tmp_path) for n in (1, 2))
    assert alone.seconds == pytest.approx(30 + alone.coordinator)
    assert 20 < two.seconds <= 20 + two.coordinator
    assert two.efficiency == pytest.approx(30 / (2 * two.seconds))


def test_a_fleet_begins_with_what_is_large_and_then_with_what_takes_long(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nine short items and a long one: begun last, it would leave the other worker without work."""
    monkeypatch.setattr(fleet, "FILES", {"log": 10})
    seconds = {f"image{n}:1": 9.0 if n == 9 else 1.0 for n in range(10)}
    sizes = {name: 1 + (name == "image9:1") for name in seconds}
    for recipe, known in (("1", sizes), ("2", {})):
        found = fleet.carried_out(fleet.Simulated(seconds, 2, known), recipe, tmp_path)
        assert found.seconds < 9 + 1
    assert fleet.carried_out(fleet.Simulated(seconds, 2), "1", tmp_path / "other").seconds > 9 + 4


def test_both_runs_of_a_simulated_fleet_draw_the_same_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "FILES", {"log": 10})
    measured = {"a": {"seconds": 1.0, "bytes": 1}, "b": {"seconds": 5.0, "bytes": 9}}
    first, later = fleet.simulate(measured, 2, 1, items=10)
    assert 0.5 < first.efficiency <= 1
    assert later.seconds == pytest.approx(first.seconds, rel=0.4)


def test_a_fleet_is_planned_and_told_of(tmp_path: Path) -> None:
    assert fleet.planned(20)[0] > 0
    rows = [
        {"workers": n, "first": _spread(0.8), "later": _spread(0.95), "seconds": _spread(9 / n), "coordinator": 0.004}
        for n in (1, 10, 100)
    ]
    measured = {"a": {"seconds": 2.0}, "b": {"seconds": 4.0}}
    result = {
        "subject": "fleet",
        "measured": measured,
        "items": 1000,
        "fleets": rows,
        "large": 10_000,
        "rss": 9 * 10**7,
    }
    result["planning"] = _spread(0.5)
    assert "mean 3.0 s" in fleet.summary(result)
    assert all(measured <= most for _, measured, most in fleet.bars(result))
    assert not compare.compare(result, result)
    assert plots.draw({"fleet": result}, tmp_path) == [tmp_path / "fleet.svg"]


def _spread(value: float) -> dict[str, float]:
    return {"median": value, "low": value, "high": value, "runs": 3}
