"""The report of a run, out of the values of the run."""

from __future__ import annotations

from collections import Counter

from debloat import __version__
from debloat.closure import World
from debloat.core.model import Image
from debloat.core.progress import Stage
from debloat.core.recipe import Recipe
from debloat.core.surfaces import Surfaces
from debloat.core.text import count
from debloat.cut import Minimal
from debloat.footprint import image_footprint
from debloat.prove import Proven
from debloat.record.record import Recording
from debloat.result import Report, RuleShare
from debloat.rules.application.modules import dropped_modules
from debloat.rules.application.requested import Purpose, dropped_requests, scripts_left_out
from debloat.rules.knowledge.optional import left_out_notes


def rule_shares(minimal: Minimal) -> tuple[RuleShare, ...]:
    """How many paths each rule keeps, sorted by rule. Parent directories and links count for the rule needing them."""
    alone, involved = Counter[str](), Counter[str]()
    for evidence in minimal.closure.evidence.values():
        rules = {e.rule for e in evidence}
        involved.update(rules)
        if len(rules) == 1:
            alone.update(rules)
    return tuple(RuleShare(rule, alone[rule], involved[rule]) for rule in sorted(involved))


_SCRIPTS = 5
"""Names of scripts in a note."""


def _dropped_notes(world: World, minimal: Minimal) -> tuple[str, ...]:
    """What was asked for by name, and is gone whole."""
    builds, others = (dropped_requests(world, minimal.shares, purpose) for purpose in (Purpose.BUILD, Purpose.RUN))
    builds += dropped_modules(world, minimal.closure.evidence)
    notes = []
    if builds:
        notes.append(
            "taken for the build, for a RUN instruction uses it and nothing that was recorded did: "
            f"{', '.join(builds)} (where it is wanted, say so under [packages] in debloat.toml)"
        )
    if others:
        notes.append(
            f"asked for by name, and nothing of it is known to be of use to a container: {', '.join(others)} "
            "(where it is wanted, --keep-package keeps it whole)"
        )
    if scripts := scripts_left_out(world, minimal.closure.evidence):
        shown = ", ".join(scripts[:_SCRIPTS]) + (f" and {len(scripts) - _SCRIPTS} more" if scripts[_SCRIPTS:] else "")
        notes.append(
            f"scripts left out, for their packages do not depend on the language: {shown} "
            "(--keep PATH keeps one, and what it runs)"
        )
    return tuple(notes)


def _attestation_notes(image: Image) -> tuple[str, ...]:
    if not image.attestations:
        return ()
    number = count(image.attestations, "build attestation")
    return (f"the original carries {number} (provenance, SBOM), which the result does not",)


def report(
    image: Image,
    world: World,
    recording: Recording,
    proven: Proven,
    recipe: Recipe,
    result: str,
    verified: bool,
    stages: tuple[Stage, ...],
    surface: Surfaces,
) -> Report:
    """The report of a run. `result` is the tagged reference, empty where none; `verified` is false without a replay."""
    minimal, rootfs = proven.minimal, world.rootfs
    unmatched = tuple(f"--keep {glob} matches nothing" for glob in recipe.policy.keep if not rootfs.glob(glob))
    audited = tuple(f"audit: {f.path} lacks {f.kind} {f.name}" for f in proven.findings)
    return Report(
        tool=f"debloat {__version__}",
        reference=image.reference,
        image_id=image.id,
        level=str(recipe.policy.level),
        result=result,
        result_id=minimal.id,
        layer=minimal.layer.diff_id,
        before=image_footprint(rootfs, len(minimal.shares)),
        after=minimal.footprint,
        packages=minimal.shares,
        rules=rule_shares(minimal),
        answers=proven.verdict.answers,
        healed=proven.healed,
        mechanisms=tuple(sorted(recording.trace.mechanisms)),
        verified=verified,
        notes=recording.notes
        + unmatched
        + _dropped_notes(world, minimal)
        + left_out_notes(world, minimal.closure.evidence)
        + _attestation_notes(image)
        + audited,
        stages=stages,
        surface=surface,
    )
