"""Every fixture, debloated with its training recipe and judged by checks that the recording never saw.

The judge (tests/support/fixtures.py) shares no code with the tool. Totals over all fixtures are asserted in the end.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from debloat.cli import main
from tests.support import fixtures
from tests.support.fixtures import CheckResult, Fixture

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

NAMES = fixtures.names()
HELD_OUT_RATE = 0.97
"""Share of held-out checks that level `safe` passes over all fixtures."""
WORST_RATE = 0.85
"""The same for a single fixture."""
SMALL = 0.35
"""Share of its bytes below which a fixture counts as shrunk at `exact`."""


@dataclass(frozen=True)
class Outcome:
    """A fixture at a level: bytes before and after, and the judge's results."""

    before: int
    after: int
    trained: tuple[CheckResult, ...]
    held_out: tuple[CheckResult, ...] = ()


COLLECTED: dict[tuple[str, str], Outcome] = {}


@pytest.fixture(scope="module")
def client() -> docker.APIClient:
    return docker.APIClient(version="auto", timeout=120)


def debloated(name: str, level: str, directory: Path) -> tuple[str, dict[str, Any]]:
    """The minimal image of a fixture at a level, and the report of the run."""
    original = fixtures.build(name)
    target = f"debloat-test-fixture:{name}-{level}"
    report = directory / "report.json"
    recipe = str(fixtures.load(name).recipe)
    code = main([original, "-c", recipe, "--level", level, "-t", target, "--json", str(report), "--quiet"])
    document: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {}
    assert code == 0, [a for a in document.get("answers", ()) if a["difference"]]
    return target, document


def judged(image: str, fixture: Fixture, *, trained: bool) -> tuple[CheckResult, ...]:
    """The judge's results for the trained checks, or for the held-out ones."""
    checks = tuple(c for c in fixture.checks if c.trained == trained)
    return tuple(fixtures.run_checks(image, dataclasses.replace(fixture, checks=checks))) if checks else ()


def failures(results: tuple[CheckResult, ...]) -> list[str]:
    return [f"{r.name}: {r.detail[:300]}" for r in results if not r.passed]


@pytest.mark.parametrize("name", NAMES)
def test_exact(name: str, tmp_path: Path, client: docker.APIClient) -> None:
    """What was trained holds, and the package database tells the truth about what is there."""
    target, report = debloated(name, "exact", tmp_path)
    try:
        trained = judged(target, fixtures.load(name), trained=True)
        COLLECTED[name, "exact"] = Outcome(report["before"]["bytes"], report["after"]["bytes"], trained)
        assert not failures(trained)
        assert not [note for note in report["notes"] if note.startswith("audit:")]
    finally:
        client.remove_image(target)


@pytest.mark.parametrize("name", NAMES)
def test_safe(name: str, tmp_path: Path, client: docker.APIClient) -> None:
    """What was trained holds, and so does nearly all that was not."""
    target, report = debloated(name, "safe", tmp_path)
    try:
        fixture = fixtures.load(name)
        trained = judged(target, fixture, trained=True)
        held_out = judged(target, fixture, trained=False)
        COLLECTED[name, "safe"] = Outcome(report["before"]["bytes"], report["after"]["bytes"], trained, held_out)
        assert not failures(trained)
        assert sum(r.passed for r in held_out) >= WORST_RATE * len(held_out), failures(held_out)
    finally:
        client.remove_image(target)


def outcomes(level: str) -> dict[str, Outcome]:
    found = {name: outcome for (name, at), outcome in sorted(COLLECTED.items()) if at == level}
    if len(found) < len(NAMES):
        pytest.fail(f"{sorted(set(NAMES) - set(found))} have no result at {level}: run all of this file")
    return found


def test_exact_shrinks() -> None:
    sizes = {name: o.after / o.before for name, o in outcomes("exact").items()}
    print("\n".join(f"{name:<14} {share:6.1%}" for name, share in sizes.items()))
    assert sum(share < SMALL for share in sizes.values()) >= 7, sizes


def test_safe_is_general(capsys: pytest.CaptureFixture[str]) -> None:
    found = outcomes("safe")
    passed = {name: sum(r.passed for r in o.held_out) for name, o in found.items()}
    total = sum(len(o.held_out) for o in found.values())
    with capsys.disabled():
        print(f"\n{'fixture':<14} {'of original':>11}  held-out")
        for name, o in found.items():
            print(f"{name:<14} {o.after / o.before:11.1%}  {passed[name]}/{len(o.held_out)}")
        print(f"{'all':<14} {'':>11}  {sum(passed.values())}/{total}")
    missing = {name: failures(o.held_out) for name, o in found.items() if failures(o.held_out)}
    assert sum(passed.values()) >= HELD_OUT_RATE * total, missing


def test_levels_are_ordered() -> None:
    exact, safe = outcomes("exact"), outcomes("safe")
    assert all(exact[name].after <= safe[name].after for name in NAMES)
