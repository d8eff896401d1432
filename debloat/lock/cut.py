"""Cutting an image by a lock: what the lock keeps, in this build of it, and how it differs from what the lock says.

The seeds come from the lock and the closure is computed anew, so that the dependencies of upgraded packages are kept.
For the very image that the lock was made from, the lock's manifest is the closure.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from debloat import __version__
from debloat.closure import World
from debloat.core.errors import UsageError
from debloat.core.model import Closure, Image
from debloat.core.progress import Progress
from debloat.cut import Minimal, carve_closure, cut
from debloat.debian import dpkg
from debloat.debian.packages import Packages
from debloat.image.rootfs import Rootfs
from debloat.lock.belonging import must_belong
from debloat.lock.compare import Diff, Side, compare
from debloat.lock.format import Lock
from debloat.lock.manifest import lock_of, platform
from debloat.lock.seeds import Gone, Move, Seeds, carry_over
from debloat.rules import prepare
from debloat.store.source import Source


class LockedCut(Struct, frozen=True):
    """A minimal image cut by a lock, written to disk, not loaded into the engine.

    `lock` describes it, `diff` is how it differs from the lock that was applied.
    """

    image: Image
    world: World
    seeds: Seeds
    minimal: Minimal
    lock: Lock
    diff: Diff

    @property
    def moves(self) -> tuple[Move, ...]:
        """The paths of the lock that the image has in another version."""
        return self.seeds.moves

    @property
    def gone(self) -> tuple[Gone, ...]:
        """The paths of the lock that the image has in no version."""
        return self.seeds.gone

    @property
    def identical(self) -> bool:
        """Whether nothing is different from the lock."""
        return not (self.diff or self.moves or self.gone)


def cut_by_lock(source: Source, image: Image, lock: Lock, progress: Progress, *, any_image: bool = False) -> LockedCut:
    """Cut an image by a lock: carry its seeds over, close over them and carve.

    UsageError for another platform, and for another application than the lock's unless `any_image` is set. `image` is
    the source's, its configuration whole where the result is to be used.
    """
    if platform(image) != lock.platform:
        raise UsageError(
            f"{image.reference} is for {platform(image)}, the lock for {lock.platform}",
            "keep one lock for each platform: `debloat lock IMAGE --lock debloat-ARCH.lock`",
        )
    is_locked_image = lock.image == image.identity and lock.tool == __version__
    with progress.stage("read"), ThreadPoolExecutor(1) as pool:
        if not is_locked_image:
            pool.submit(prepare, image.platform)  # while the engine starts the container
        rootfs = source.rootfs()
        rootfs.fetch(item.path for item in lock.manifest)  # in one request instead of thirty
        packages = dpkg.read(rootfs)
    with progress.stage("close and carve"):
        if is_locked_image and (known := _cut_by_manifest(image, lock, rootfs, packages, source.directory)):
            return known
        seeds = carry_over(lock, rootfs, packages)
        if not any_image:
            must_belong(lock, image, seeds.gone)
        return _cut_by_seeds(image, lock, seeds, rootfs, packages, source.directory)


def _cut_by_manifest(image: Image, lock: Lock, rootfs: Rootfs, packages: Packages, directory: Path) -> LockedCut | None:
    """Carve by the lock's manifest the image that the lock was made from; None if the layer is not the lock's."""
    closure = Closure({item.path: (item.evidence(),) for item in lock.manifest})
    minimal = carve_closure(rootfs, packages, image, closure, directory)
    if minimal.layer.diff_id != lock.layer:
        return None
    seeds, new_lock = Seeds(lock.trace, lock.healed, (), ()), replace(lock, reference=image.reference)
    return LockedCut(image, _world(image, lock, rootfs, packages, seeds), seeds, minimal, new_lock, Diff())


def _cut_by_seeds(
    image: Image, lock: Lock, seeds: Seeds, rootfs: Rootfs, packages: Packages, directory: Path
) -> LockedCut:
    """Carve the closure of the lock's seeds: for another build, or another release of the rules."""
    world = _world(image, lock, rootfs, packages, seeds)
    minimal = cut(world, image, seeds.healed, directory)
    new_lock = lock_of(image, lock.recipe, world, minimal, seeds.healed)
    return LockedCut(
        image, world, seeds, minimal, new_lock, compare(side_of(lock, "lock"), side_of(new_lock, image.reference))
    )


def _world(image: Image, lock: Lock, rootfs: Rootfs, packages: Packages, seeds: Seeds) -> World:
    return World(rootfs, packages, image.config, seeds.trace, lock.policy, image.history, platform=image.platform)


def side_of(lock: Lock, name: str) -> Side:
    """A lock as one side of a comparison."""
    return Side(name, lock.manifest, lock.packages)
