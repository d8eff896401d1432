"""The gate: an image held against a lock and against the rules of the configuration; nothing of it runs but probes.

An image that debloat made is looked at as it is. Of any other, a new build of the service, is looked at what the lock
would cut out of it: that is what would be shipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from debloat import __version__, sensor
from debloat.core.errors import OriginalFails, UsageError
from debloat.core.model import Image
from debloat.core.platform import Wanted
from debloat.core.progress import Progress
from debloat.core.recipe import Recipe
from debloat.debian import dpkg
from debloat.engine.base import Engine
from debloat.engine.workspace import Scratch, Workspace
from debloat.footprint import Footprint, footprint, of_image
from debloat.gate.findings import Finding, GateReport
from debloat.gate.judge import Drift, Subject, figures, judge
from debloat.gate.location import NO_DOCKERFILE, Dockerfile
from debloat.gate.rules import BY_ID, Rules, Severity
from debloat.image import carve
from debloat.image.archive import archive
from debloat.image.reader import ENGINE_TOUCHED
from debloat.image.rootfs import Rootfs
from debloat.lock.apply import Cut, cut_by, replay, side
from debloat.lock.compare import Diff, Side, compare
from debloat.lock.format import Lock
from debloat.lock.manifest import installed, recipe_digest, whole
from debloat.lock.seeds import carried
from debloat.record.asks import Limits
from debloat.record.exercise import exercise
from debloat.record.session import Recorder
from debloat.store.location import image_location
from debloat.store.source import Source, opened


@dataclass(frozen=True, slots=True)
class Request:
    """What the gate is asked: the rules, the lock with its file's name, the recipe, and how to judge.

    `probe` replays the recipe's probes. `as_is` looks at any image as it is. `baseline` are fingerprints of findings
    that are known. `dockerfile` is where findings are shown.
    """

    rules: Rules
    lock: Lock | None = None
    lock_name: str = ""
    recipe: Recipe | None = None
    probe: bool = False
    as_is: bool = False
    baseline: frozenset[str] = frozenset()
    fail_on: Severity = Severity.ERROR
    dockerfile: Dockerfile = NO_DOCKERFILE


def check(
    engine: Engine | None, reference: str, request: Request, progress: Progress, platform: Wanted | None = None
) -> GateReport:
    """Judge an image. UsageError where there is neither a lock nor a rule to hold it against.

    Without an engine it is one of a store (`debloat.store.location`), and nothing of it is asked.
    """
    rules, lock = request.rules, request.lock
    if lock is None and not rules.any:
        raise UsageError(
            "there is nothing to check against: no lock, no [budget] and no [policy]",
            "write a lock with `debloat lock IMAGE`, or rules into debloat.toml (docs/gate.md)",
        )
    with (
        Workspace(engine) if engine is not None else Scratch() as run,
        opened(run, image_location(reference, platform)) as source,
    ):
        image = source.image
        if lock is None or request.as_is or is_minimal(image):
            subject, drift = _as_it_is(source, request, progress)
            original, failures = None, _probed(run, source, request)
        else:
            done = cut_by(source, image, lock, progress)
            subject, drift, original = _to_be_cut(image, done, lock, request)
            failures = _replayed(run, source, done, request, progress)
        findings, checked = judge(subject, rules, drift)
        return GateReport(
            tool=f"debloat {__version__}",
            reference=image.reference,
            image_id=image.id,
            lock=request.lock_name if lock else "",
            minimal=original is None,
            before=drift.before if drift else None,
            after=subject.footprint,
            whole=original,
            findings=tuple(_placed(f, request) for f in (*failures, *findings)),
            checked=(*checked, *(("probe",) if request.probe else ())),
            diff=drift.diff if drift else Diff(),
            moves=drift.moves if drift else (),
            gone=drift.gone if drift else (),
            fail_on=request.fail_on,
        )


def is_minimal(image: Image) -> bool:
    """Whether the image's first layer was cut by debloat."""
    return image.history[:1] != () and image.history[0].startswith("debloat ")


def _placed(finding: Finding, request: Request) -> Finding:
    known = finding.fingerprint in request.baseline
    return replace(finding, known=known, location=request.dockerfile.locate(finding))


def _subject(image: Image, judged: Side, found: Footprint, rootfs: Rootfs) -> Subject:
    user = image.config.user
    return Subject(judged, found, user, image.config.ports, is_root(user, rootfs.text("/etc/passwd")))


def is_root(user: str, passwd: str) -> bool:
    """Whether a USER is uid 0: none, a number, or a name that the image's passwd(5) gives that number."""
    name = user.partition(":")[0]
    rows = [line.split(":") for line in passwd.splitlines()]
    uid = next((row[2] for row in rows if len(row) > 2 and row[0] == name), name)
    return name in ("", "root") or not uid.strip("0")


def _digest(request: Request) -> str:
    return recipe_digest(request.recipe) if request.recipe is not None else ""


def _as_it_is(source: Source, request: Request, progress: Progress) -> tuple[Subject, Drift | None]:
    image, lock = source.image, request.lock
    with progress.stage("read"):
        rootfs = source.rootfs()
        packages = dpkg.read(rootfs)
        names = installed(packages)
        known = {item.path for item in lock.manifest} if lock else set()
        items = [i for i in whole(rootfs, packages) if i.path not in ENGINE_TOUCHED or i.path in known]
    found = footprint((i.entry() for i in items), rootfs, len(names))
    subject = _subject(
        image, Side(image.reference, items, names), replace(found, bytes=carve.content_size(rootfs.entries())), rootfs
    )
    if lock is None:
        return subject, None
    with progress.stage("compare"):
        seeds = carried(lock, rootfs, packages)
        diff = compare(side(lock, request.lock_name), subject.side)
    return subject, Drift(lock, _before(lock), diff, seeds.moves, seeds.gone, _digest(request))


def _before(lock: Lock) -> Footprint:
    return figures(lock.manifest, lock.bytes, len(lock.packages))


def _to_be_cut(image: Image, done: Cut, lock: Lock, request: Request) -> tuple[Subject, Drift, Footprint]:
    rootfs = done.world.rootfs
    original = of_image(rootfs, len(done.minimal.shares))
    subject = _subject(image, side(done.lock, image.reference), done.minimal.footprint, rootfs)
    drift = Drift(lock, _before(lock), done.diff, done.seeds.moves, done.seeds.gone, _digest(request))
    return subject, drift, original


def _failure(probe: str, text: str) -> Finding:
    return Finding("probe", BY_ID["probe"].severity, f"{probe}: {text}", f"probe:{probe}")


def _probed(run: Scratch, source: Source, request: Request) -> list[Finding]:
    """Ask the image itself: there is nothing to compare its answers with, so they must be sound by themselves."""
    found = []
    if request.probe and request.recipe is not None and isinstance(run, Workspace):
        image, recorder = source.runnable(), Recorder(sensor.binary(run.engine.info().architecture), "")
        limits = Limits(request.recipe.ready, request.recipe.timeout)
        for scenario in request.recipe.scenarios:
            try:
                done = exercise(run, image, image.id, scenario, limits, recorder)
            except OriginalFails as error:
                found.append(_failure(scenario.name, error.message))
                continue
            found += [_failure(r.name, r.detail or r.outcome()) for r in done.failures]
    return found


def _replayed(run: Scratch, source: Source, done: Cut, request: Request, progress: Progress) -> list[Finding]:
    """Ask the new build, then what would be cut out of it."""
    if not request.probe or request.recipe is None or not isinstance(run, Workspace):
        return []
    run.load(archive(done.minimal.written, [run.pending]))
    binary = sensor.binary(run.engine.info().architecture)
    try:
        verdict, _ = replay(run, replace(done, image=source.runnable()), request.recipe, binary, progress)
    except OriginalFails as error:
        return [_failure("the new build", error.message)]
    return [_failure(a.before.name, a.difference) for a in verdict.answers if a.difference]


def baseline(data: bytes, name: str) -> frozenset[str]:
    """The fingerprints in a gate report (`--format json`); UsageError where it is none."""
    try:
        raw: Any = json.loads(data)
        if raw.get("format") != "debloat-gate":
            raise ValueError("it is no report of `debloat check --format json`")
        return frozenset(_fingerprints(raw["findings"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        text = str(error) or type(error).__name__
        raise UsageError(
            f"cannot use the baseline {name}: {text}", f"write one: `debloat check IMAGE --format json --output {name}`"
        ) from error


def _fingerprints(findings: Iterable[Any]) -> Iterable[str]:
    for finding in findings:
        if not isinstance(finding["fingerprint"], str):
            raise ValueError("a finding has no fingerprint")
        yield finding["fingerprint"]


def read_baseline(path: Path) -> frozenset[str]:
    """The fingerprints in a file."""
    try:
        return baseline(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(f"cannot read the baseline {path}: {error.strerror}") from error
