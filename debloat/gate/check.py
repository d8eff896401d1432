"""The gate: checks an image against a lock and the rules of the configuration. Nothing of the image runs but probes.

An image that debloat made is checked as it is. Any other image is taken for a new build of the service, and what is
checked is the minimal image that the lock would cut from it, because that is what would be shipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from debloat import __version__, sensor
from debloat.core.accounts import is_root
from debloat.core.errors import OriginalFails, UsageError
from debloat.core.model import Image
from debloat.core.platform import Wanted
from debloat.core.progress import Progress
from debloat.core.recipe import Recipe
from debloat.debian import dpkg
from debloat.engine.base import Engine
from debloat.engine.workspace import Scratch, Workspace
from debloat.footprint import Footprint, footprint, image_footprint
from debloat.gate.findings import Finding, GateReport
from debloat.gate.judge import Drift, Subject, judge, manifest_footprint
from debloat.gate.location import NO_DOCKERFILE, Dockerfile
from debloat.gate.rules import BY_ID, Rules, Severity
from debloat.image import carve
from debloat.image.reader import ENGINE_TOUCHED
from debloat.image.rootfs import Rootfs
from debloat.lock.compare import Diff, Side, compare
from debloat.lock.cut import LockedCut, cut_by_lock, side_of
from debloat.lock.format import Lock
from debloat.lock.manifest import full_manifest, installed_packages, recipe_digest
from debloat.lock.replay import replay
from debloat.lock.seeds import carry_over
from debloat.record.concrete import Limits
from debloat.record.exercise import exercise
from debloat.record.session import Recorder
from debloat.store.location import image_location
from debloat.store.source import Source, opened


class CheckInputs(Struct, frozen=True):
    """What an image is checked against (rules, lock, the name of the lock's file, recipe), and how.

    With `probe` the recipe's probes are replayed. With `as_is` any image is checked as it is. `baseline` holds the
    fingerprints of findings that do not fail the check, `fail_on` the least severity that does. Findings are shown at
    lines of `dockerfile`.
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
    engine: Engine | None, reference: str, inputs: CheckInputs, progress: Progress, platform: Wanted | None = None
) -> GateReport:
    """Check an image. UsageError where there is neither a lock nor a rule to check it against.

    Without an engine the image is one of a store (`debloat.store.location`), and no probe is run.
    """
    rules, lock = inputs.rules, inputs.lock
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
        if lock is None or inputs.as_is or is_minimal(image):
            subject, drift = _subject_as_is(source, inputs, progress)
            original, failures = None, _failed_probes(run, source, inputs)
        else:
            # What a build lacks of the lock is what is looked for here, however much it is.
            locked_cut = cut_by_lock(source, image, lock, progress, any_image=True)
            subject, drift, original = _subject_after_cut(image, locked_cut, lock, inputs)
            failures = _failed_replays(run, source, locked_cut, inputs, progress)
        findings, checked = judge(subject, rules, drift)
        return GateReport(
            tool=f"debloat {__version__}",
            reference=image.reference,
            image_id=image.id,
            lock=inputs.lock_name if lock else "",
            minimal=original is None,
            before=drift.before if drift else None,
            after=subject.footprint,
            original=original,
            findings=tuple(_located(f, inputs) for f in (*failures, *findings)),
            checked=(*checked, *(("probe",) if inputs.probe else ())),
            diff=drift.diff if drift else Diff(),
            moves=drift.moves if drift else (),
            gone=drift.gone if drift else (),
            fail_on=inputs.fail_on,
        )


def is_minimal(image: Image) -> bool:
    """Whether the image's first layer was cut by debloat."""
    return image.history[:1] != () and image.history[0].startswith("debloat ")


def _located(finding: Finding, inputs: CheckInputs) -> Finding:
    in_baseline = finding.fingerprint in inputs.baseline
    return replace(finding, known=in_baseline, location=inputs.dockerfile.locate(finding))


def _subject(image: Image, side: Side, entries_footprint: Footprint, rootfs: Rootfs) -> Subject:
    user = image.config.user
    return Subject(side, entries_footprint, user, image.config.ports, is_root(user, rootfs.text("/etc/passwd")))


def _recipe_digest(inputs: CheckInputs) -> str:
    return recipe_digest(inputs.recipe) if inputs.recipe is not None else ""


def _subject_as_is(source: Source, inputs: CheckInputs, progress: Progress) -> tuple[Subject, Drift | None]:
    image, lock = source.image, inputs.lock
    with progress.stage("read"):
        rootfs = source.rootfs()
        packages = dpkg.read(rootfs)
        packages_installed = installed_packages(packages)
        locked_paths = {item.path for item in lock.manifest} if lock else set()
        items = [i for i in full_manifest(rootfs, packages) if i.path not in ENGINE_TOUCHED or i.path in locked_paths]
    listed = footprint((i.entry() for i in items), rootfs, len(packages_installed))
    subject = _subject(
        image,
        Side(image.reference, items, packages_installed),
        replace(listed, bytes=carve.content_size(rootfs.entries())),
        rootfs,
    )
    if lock is None:
        return subject, None
    with progress.stage("compare"):
        seeds = carry_over(lock, rootfs, packages)
        diff = compare(side_of(lock, inputs.lock_name), subject.side)
    return subject, Drift(lock, _locked_footprint(lock), diff, seeds.moves, seeds.gone, _recipe_digest(inputs))


def _locked_footprint(lock: Lock) -> Footprint:
    return manifest_footprint(lock.manifest, lock.bytes, len(lock.packages))


def _subject_after_cut(
    image: Image, locked_cut: LockedCut, lock: Lock, inputs: CheckInputs
) -> tuple[Subject, Drift, Footprint]:
    rootfs = locked_cut.world.rootfs
    original = image_footprint(rootfs, len(locked_cut.minimal.shares))
    subject = _subject(image, side_of(locked_cut.lock, image.reference), locked_cut.minimal.footprint, rootfs)
    drift = Drift(
        lock,
        _locked_footprint(lock),
        locked_cut.diff,
        locked_cut.seeds.moves,
        locked_cut.seeds.gone,
        _recipe_digest(inputs),
    )
    return subject, drift, original


def _failure(probe: str, text: str) -> Finding:
    return Finding("probe", BY_ID["probe"].severity, f"{probe}: {text}", f"probe:{probe}")


def _failed_probes(run: Scratch, source: Source, inputs: CheckInputs) -> list[Finding]:
    """Run the probes on the image alone: there are no answers to compare with, so each probe has to succeed."""
    failures = []
    if inputs.probe and inputs.recipe is not None and isinstance(run, Workspace):
        image, recorder = source.runnable(), Recorder(sensor.binary(run.engine.info().architecture), "")
        limits = Limits(inputs.recipe.ready, inputs.recipe.timeout)
        for scenario in inputs.recipe.scenarios:
            try:
                exercised = exercise(run, image, image.id, scenario, limits, recorder)
            except OriginalFails as error:
                failures.append(_failure(scenario.name, error.message))
                continue
            failures += [_failure(r.name, r.detail or r.outcome()) for r in exercised.failures]
    return failures


def _failed_replays(
    run: Scratch, source: Source, locked_cut: LockedCut, inputs: CheckInputs, progress: Progress
) -> list[Finding]:
    """Run the probes on the new build, then on the image that the lock cuts from it, and compare the answers."""
    if not inputs.probe or inputs.recipe is None or not isinstance(run, Workspace):
        return []
    try:
        verdict = replay(source, locked_cut, run, inputs.recipe, progress)
    except OriginalFails as error:
        return [_failure("the new build", error.message)]
    return [_failure(a.before.name, a.difference) for a in verdict.answers if a.difference]


def baseline(data: bytes, name: str) -> frozenset[str]:
    """The fingerprints in a gate report (`--format json`) whose file is called `name`; UsageError for anything else."""
    try:
        raw: Any = json.loads(data)
        if raw.get("format") != "debloat-gate":
            raise ValueError("it is not a report of `debloat check --format json`")
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
    """The fingerprints in the gate report at `path`; UsageError where it cannot be read or is not such a report."""
    try:
        return baseline(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(
            f"cannot read the baseline {path}: {error.strerror}",
            f"write one: `debloat check IMAGE --format json --output {path}`",
        ) from error
