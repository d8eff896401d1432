"""What a run comes to: its report, which is all that renderers show, and the values behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from debloat import __version__
from debloat.closure import World
from debloat.core.model import Image, Want
from debloat.core.progress import Stage
from debloat.core.recipe import Recipe
from debloat.core.text import count
from debloat.cut import Minimal
from debloat.debian.prune import PackageShare
from debloat.footprint import Footprint, image_footprint
from debloat.prove import Proven
from debloat.record.record import Recording
from debloat.rules.application.modules import dropped_modules
from debloat.rules.application.requested import dropped_requests
from debloat.rules.knowledge.optional import left_out_notes
from debloat.surface import NO_SURFACES, Surfaces
from debloat.verify import Comparison

if TYPE_CHECKING:
    from debloat.canary import Hatched
    from debloat.profile.prove import Profiled


@dataclass(frozen=True, slots=True)
class RuleShare:
    """How many paths a rule keeps: `alone`, which no other rule claims, and `paths`, all that it claims."""

    rule: str
    alone: int
    paths: int


@dataclass(frozen=True, slots=True)
class Report:
    """A finished run. `result` is the new reference, empty where none was made; `verified`: whether it was replayed.

    `image_id` and `result_id` are `sha256:` ids, `layer` is the digest of the uncompressed layer, `before` and `after`
    are the footprints of the original and the minimal image. `notes` are sentences on what was imperfect. `seccomp` is
    the profile that was made of the system calls, `canary` the canary, where they were asked for.
    """

    tool: str
    reference: str
    image_id: str
    level: str
    result: str
    result_id: str
    layer: str
    before: Footprint
    after: Footprint
    packages: tuple[PackageShare, ...]
    rules: tuple[RuleShare, ...]
    answers: tuple[Comparison, ...]
    healed: tuple[Want, ...]
    mechanisms: tuple[str, ...]
    verified: bool
    notes: tuple[str, ...]
    stages: tuple[Stage, ...]
    surface: Surfaces = NO_SURFACES
    seccomp: Profiled | None = None
    canary: Hatched | None = None

    @property
    def passed(self) -> bool:
        return not any(a.difference for a in self.answers)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run with its values, passed to steps and sinks while contents of the image can still be read.

    `name` is what the minimal image is called. `tags` are the images that get a name at the end: what the engine calls
    each until then, and the name.
    """

    image: Image
    recipe: Recipe
    world: World
    proven: Proven
    report: Report
    name: str
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def minimal(self) -> Minimal:
        return self.proven.minimal

    @property
    def healed(self) -> tuple[Want, ...]:
        return self.proven.healed


Sink = Callable[[Outcome], None]
"""Writes something of the outcome before the run ends: an archive, a lock, a trace."""


def rule_shares(minimal: Minimal) -> tuple[RuleShare, ...]:
    """How many paths each rule keeps, sorted by rule. Parent directories and links count for the rule needing them."""
    alone, involved = Counter[str](), Counter[str]()
    for evidence in minimal.closure.evidence.values():
        rules = {e.rule for e in evidence}
        involved.update(rules)
        if len(rules) == 1:
            alone.update(rules)
    return tuple(RuleShare(rule, alone[rule], involved[rule]) for rule in sorted(involved))


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
    gone = (*dropped_requests(world, minimal.shares), *dropped_modules(world, minimal.closure.evidence))
    dropped_packages = ", ".join(gone)
    dropped = (
        (
            f"taken for the build, for a RUN instruction uses it and nothing that was recorded did: {dropped_packages} "
            "(where it is wanted, say so under [packages] in debloat.toml)",
        )
        if dropped_packages
        else ()
    )
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
        + dropped
        + left_out_notes(world, minimal.closure.evidence)
        + _attestation_notes(image)
        + audited,
        stages=stages,
        surface=surface,
    )
