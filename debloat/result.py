"""What a run comes to: its report, which is all that renderers show, and the values behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from debloat.core.surfaces import NO_SURFACES, Surfaces

if TYPE_CHECKING:
    from debloat.canary import Hatched
    from debloat.closure import World
    from debloat.core.model import Image, Want
    from debloat.core.progress import Stage
    from debloat.core.recipe import Recipe
    from debloat.cut import Minimal
    from debloat.debian.prune import PackageShare
    from debloat.footprint import Footprint
    from debloat.profile.prove import Profiled
    from debloat.prove import Proven
    from debloat.verify import Comparison


class RuleShare(Struct, frozen=True):
    """How many paths a rule keeps: `alone`, which no other rule claims, and `paths`, all that it claims."""

    rule: str
    alone: int
    paths: int


class Report(Struct, frozen=True):
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


class Outcome(Struct, frozen=True):
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
