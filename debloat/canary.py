"""The canary of a minimal image: the same image, which also notes what it lacks while it serves.

At the name of each cut path stands a tombstone, a link that leads nowhere: whoever opens, examines or runs it gets
ENOENT, as of a name that is not there. It leads nowhere by way of another link, and the kernel keeps when that was
followed. So no call is stopped or looked at, whoever makes it, and the wrapper of the container's program only reads
times (docs/traces.md#a-canary). Of a directory that was cut whole there is one tombstone.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from debloat import __version__
from debloat.closure import World
from debloat.core.errors import MinimalFails, UsageError
from debloat.core.globs import matcher
from debloat.core.model import Closure, Entry, Image, Kind, Op
from debloat.core.progress import Progress
from debloat.core.text import count
from debloat.cut import Minimal
from debloat.engine.workspace import Workspace
from debloat.image import carve
from debloat.image.archive import archive
from debloat.image.oci import LayerFile, Written
from debloat.image.rootfs import Rootfs
from debloat.rules.recorded.sweeps import sweeps_in_trace
from debloat.verify import Comparison, Judge

HOME = "/.debloat-canary"
"""Where the wrapper, its list and the volume lie in the image."""
NOTES = f"{HOME}/notes"

STATIC = ("/bin", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/sbin", "/usr")
"""What changes only when an administrator acts (Filesystem Hierarchy Standard 3.0, chapter 2): where a service creates
files of its own, a name that is there already would be in its way."""

READ_TOGETHER = (".d", "-enabled")
"""How directories end whose files a program reads all, whatever they are called: a name too many is an error there."""


TRIES = 2
"""Replays before the verdict stands: a service's processes race each other, as `debloat.prove` knows."""


class Canary(Struct, frozen=True):
    """A canary image on disk, not loaded into the engine, and the cut paths that it watches, sorted."""

    written: Written
    watched: tuple[str, ...]


class Hatched(Struct, frozen=True):
    """A canary that was asked: what it is to be called, what the engine calls it until then, how many cut paths it
    watches, and the answers that differ from the original's."""

    tag: str
    pending: str
    watched: int
    differing: tuple[Comparison, ...]

    @property
    def passed(self) -> bool:
        return not self.differing


def watched(world: World, closure: Closure) -> tuple[str, ...]:
    """The cut paths that get a tombstone, sorted: those in directories that stay, where a name too many is seen by
    nobody who lists the directory, and where nobody but root creates one."""
    listed, searched, dropped = _listed(world), _searched(world, closure), matcher(world.policy.drop)
    volumes = tuple(f"{path.rstrip('/')}/" for path in world.config.volumes)
    found = []
    for path in closure.evidence:
        entry = world.rootfs.get(path)
        if entry is None or not _is_calm(entry) or path in listed or f"{path}/".startswith(volumes):
            continue
        for name in world.rootfs.names(path):
            below = f"{path}/{name}"
            cut = world.rootfs.get(below)
            if below in closure or below in searched or cut is None or dropped(below):
                continue
            if f"{below}/".startswith(volumes):
                continue
            if cut.kind in (Kind.FILE, Kind.SYMLINK) or (cut.is_dir and _holds_files(world.rootfs, below)):
                found.append(below)
    return tuple(sorted(found, key=os.fsencode))


def _holds_files(rootfs: Rootfs, directory: str) -> bool:
    """Whether anything but directories lies below. Others (/usr/local) are on search paths, and nothing is missed."""
    children = (rootfs.get(f"{directory}/{name}") for name in rootfs.names(directory))
    return any(c is not None and (not c.is_dir or _holds_files(rootfs, c.path)) for c in children)


def _is_calm(directory: Entry) -> bool:
    return (
        directory.is_dir
        and f"{directory.path}/".startswith(tuple(f"{path}/" for path in STATIC))
        and not directory.path.endswith(READ_TOGETHER)
        and directory.uid == 0
        and not directory.mode & 0o022
    )


def _listed(world: World) -> set[str]:
    """The directories that a program listed, but for those that only walked over them."""
    walked = {(s.probe, s.program, path) for s in sweeps_in_trace(world) for path in s.directories}
    found = set()
    for access in world.trace.accesses:
        path = world.rootfs.resolve(access.path).path if access.op is Op.LIST else None
        if path is not None and (access.probe, access.program, path) not in walked:
            found.add(path)
    return found


def _searched(world: World, closure: Closure) -> set[str]:
    """The directories that were cut whole and in which a recorded program looked for what the original lacks too:
    libselinux in /etc/selinux, whenever a program starts. It will again, and that says nothing."""
    found = set()
    for access in world.trace.accesses:
        resolution = world.rootfs.resolve(access.path, follow=access.follows)
        if resolution.path is None:
            parts = resolution.broken.split("/")[1:-1]
            above = ("/" + "/".join(parts[: end + 1]) for end in range(len(parts)))
            found.add(next((path for path in above if path not in closure), ""))
    return found


def make(image: Image, world: World, minimal: Minimal, binary: bytes, directory: Path) -> Canary:
    """The canary of a minimal image, in `directory`; `binary` is the sensor for the image's machine.

    UsageError where the image is a canary itself.
    """
    if HOME in world.rootfs:
        raise UsageError(f"{image.reference} is a canary", "make a canary of the image that it was made from")
    paths = watched(world, minimal.closure)
    begin = f'{{"format":"debloat-canary","version":1,"image":{json.dumps(image.identity)},"path":'
    listing = "".join(f"{line}\n" for line in (begin, *map(json.dumps, paths))).encode("ascii")
    notes = f"{NOTES}/{hashlib.sha256(listing).hexdigest()[:16]}"
    added = [
        carve.Kept(Entry(HOME, Kind.DIR, 0o755)),
        carve.Kept(Entry(f"{HOME}/list", Kind.FILE, 0o644, size=len(listing)), listing),
        # Any user must be able to begin there, and nobody to put another's links aside.
        carve.Kept(Entry(NOTES, Kind.DIR, 0o1777)),
        carve.Kept(Entry(f"{HOME}/sensor", Kind.FILE, 0o755, size=len(binary)), binary),
        *(
            carve.Kept(Entry(path, Kind.SYMLINK, 0o777, target=f"{notes}/links/{number}"))
            for number, path in enumerate(paths)
        ),
    ]
    kept = sorted([*minimal.kept, *added], key=lambda item: os.fsencode(item.entry.path))
    file = directory / "canary.tar"
    with file.open("wb") as out:
        layer = carve.write_layer(world.rootfs, kept, out)
    raw = dict(image.config.raw)
    raw["Entrypoint"] = [f"{HOME}/sensor", "canary", f"{HOME}/list", notes, "--", *image.config.entrypoint]
    raw["Volumes"] = {**(raw.get("Volumes") or {}), NOTES: {}}
    wrapped = replace(image, config=replace(image.config, raw=raw))
    config = carve.image_config(wrapped, [layer], f"debloat {__version__} canary")
    return Canary(Written(config, (LayerFile(layer, file),)), paths)


def hatch(workspace: Workspace, canary: Canary, tag: str, judge: Judge | None, progress: Progress) -> Hatched:
    """Load a canary that is to be called `tag`, and ask it the judge's probes."""
    with progress.stage("canary"):
        pending = workspace.load(lambda name: archive(canary.written, [name]))
        differing: tuple[Comparison, ...] = ()
        for _ in range(TRIES):
            if judge is not None:
                differing = tuple(a for a in judge.verify(pending).answers if a.difference)
            if not differing:
                break
    if not differing:
        progress.say(f"{tag} watches {count(len(canary.watched), 'cut path')}")
    return Hatched(tag, pending, len(canary.watched), differing)


def failure(hatched: Hatched) -> MinimalFails:
    """The error for a canary whose answers differ: it is not tagged."""
    lines = [f"  {a.before.name}: {a.difference}" for a in hatched.differing]
    return MinimalFails(
        "\n".join([f"the canary {hatched.tag} does not answer as the original does:", *lines]),
        "the minimal image is made, the canary is not: a program makes something of links that lead nowhere",
    )
