"""Whether a service does under its seccomp profile what it does without: its probes and the judge's held-out checks."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import store, tool
from bench.stats import table
from debloat import sensor
from debloat.cli.settings import configuration
from debloat.core.errors import DebloatError
from debloat.core.recipe import Recipe, recipe
from debloat.embedded.engine import EmbeddedEngine, connect
from debloat.engine.workspace import Workspace
from debloat.record.concrete import Limits
from debloat.record.exercise import exercise
from debloat.record.session import Recorder
from debloat.store.location import image_location
from debloat.store.source import opened
from tests.support import fixtures

Say = Callable[[str], None]


def run(names: Iterable[str], say: Say) -> dict[str, Any]:
    """Make the profile of each fixture's minimal image with Docker and runc, judge under it, and ask on crun as well.

    What earlier runs found of other fixtures stays.
    """
    found: dict[str, Any] = store.read(store.UNFINISHED / "profiles.json").get("fixtures", {})
    for name in names:
        found[name] = _fixture(fixtures.load(name))
        say(f"{name}: {found[name]}")
        store.write(store.UNFINISHED / "profiles.json", store.result("profiles", fixtures=found))
    return store.result("profiles", fixtures=found)


def _fixture(fixture: fixtures.Fixture) -> dict[str, Any]:
    target = f"debloat-bench/{fixture.name}:profile"
    with tempfile.TemporaryDirectory(prefix="debloat-bench-") as scratch:
        profile, archive = Path(scratch, "seccomp.json"), Path(scratch, "image.tar")
        given = ["slim", fixtures.tag(fixture.name), "-c", str(fixture.recipe), "-t", target, "--seccomp", str(profile)]
        made = tool.run(given, fixture.directory)
        if made.code:
            return {"code": made.code, "error": made.errors.strip()[-800:]}
        try:
            document = profile.read_text("utf-8")
            under = replace(fixture, options=replace(fixture.options, seccomp=document))
            plain, confined = (_judged(target, one) for one in (fixture, under))
            subprocess.run(["docker", "save", "-o", archive, target], check=True)
        finally:
            subprocess.run(["docker", "rmi", target], check=False, capture_output=True)
        lost = sorted(name for name, detail in confined.items() if detail and not plain[name])
        return {
            "code": 0,
            "allowed": len(made.report["seccomp"]["allowed"]),
            "default": made.report["seccomp"]["default"],
            "seconds": made.stages.get("profile", 0.0),
            "checks": sum(not detail for detail in plain.values()),
            "lost": {name: confined[name] for name in lost},
            "crun": _other_runtime(archive, recipe(configuration(str(fixture.recipe))), document, fixture.directory),
        }


def _judged(target: str, fixture: fixtures.Fixture) -> dict[str, str]:
    """Why each check fails, empty where it passes; what fails is asked twice."""
    answers = {r.name: "" if r.passed else r.detail for r in fixtures.run_checks(target, fixture)}
    if any(answers.values()):
        again = {r.name: "" if r.passed else r.detail for r in fixtures.run_checks(target, fixture)}
        answers = {name: detail and again[name] for name, detail in answers.items()}
    return answers


def _other_runtime(archive: Path, wanted: Recipe, document: str, directory: Path) -> str:
    """What fails of the recipe's probes in debloat's own engine, under the same profile; empty for nothing."""
    engine: EmbeddedEngine = connect()
    recorder = Recorder(sensor.binary(engine.info().architecture), "", seccomp=document)
    failed = []
    try:
        with (
            contextlib.chdir(directory),  # commands on this machine are the fixture's
            Workspace(engine) as workspace,
            opened(workspace, image_location(f"docker-archive:{archive}", None)) as source,
        ):
            image = source.runnable()
            for scenario in wanted.scenarios:
                limits = Limits(wanted.ready, wanted.timeout)
                done = exercise(workspace, image, image.id, scenario, limits, recorder)
                failed += [f"{r.name}: {r.detail or r.outcome()}" for r in done.failures]
    except DebloatError as error:
        failed.append(error.message)
    finally:
        engine.close()
    return "; ".join(failed)


HEAD = ("fixture", "calls", "of", "seconds", "checks", "lost", "which", "on crun")


def summary(result: dict[str, Any], *, markdown: bool = False) -> str:
    """A row for each fixture: calls that are allowed, of those that Docker allows; checks that pass without a profile,
    and those of them that fail under it; what fails of the probes on crun."""
    return table(HEAD, (_line(name, one) for name, one in sorted(result["fixtures"].items())), markdown=markdown)


def _line(name: str, found: dict[str, Any]) -> tuple[object, ...]:
    if found["code"]:
        return (name, *[""] * 5, f"exit code {found['code']}", "")
    figures = (found["allowed"], found["default"], f"{found['seconds']:.1f}", found["checks"], len(found["lost"]))
    return (name, *figures, "; ".join(found["lost"]), found["crun"] or "all pass")
