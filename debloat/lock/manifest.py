"""Making manifests: the entries of an image as a lock lists them, each with a hash, its package and a reason."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from typing import Any

from msgspec import Struct

from debloat import __version__
from debloat.closure import World, distances
from debloat.core.model import Closure, Entry, Evidence, Image, Kind, Want
from debloat.core.recipe import Recipe
from debloat.core.values import defaults
from debloat.cut import Minimal
from debloat.debian.packages import Packages
from debloat.image.rootfs import Rootfs
from debloat.lock.format import Item, Lock, LockedPackage
from debloat.lock.seeds import normalised_trace
from debloat.result import Outcome


def lock_of_run(outcome: Outcome) -> Lock:
    """The lock of what a run made."""
    digest = recipe_digest(outcome.recipe)
    return lock_of(outcome.image, digest, outcome.world, outcome.minimal, outcome.healed)


def lock_of(image: Image, recipe: str, world: World, minimal: Minimal, healed: tuple[Want, ...]) -> Lock:
    """The lock of a minimal image; `recipe` is the digest of the recipe (`recipe_digest`)."""
    return Lock(
        tool=__version__,
        reference=image.reference,
        image=image.identity,
        platform=platform(image),
        recipe=recipe,
        layer=minimal.layer.diff_id,
        bytes=minimal.footprint.bytes,
        user=image.config.user,
        ports=image.config.ports,
        policy=world.policy,
        trace=normalised_trace(world.trace, world.rootfs),
        healed=tuple(sorted(healed, key=lambda w: (w.path, w.rule, w.source, w.detail, w.follow))),
        packages=packages_of(minimal),
        manifest=manifest(world, minimal),
    )


def platform(image: Image) -> str:
    """The image's platform as OCI writes it: `linux/amd64`, `linux/arm/v7`."""
    return image.platform_name


def packages_of(minimal: Minimal) -> tuple[LockedPackage, ...]:
    """The packages that the minimal image's database has."""
    return tuple(sorted(LockedPackage(s.name, s.version, s.source) for s in minimal.shares if s.state != "gone"))


def manifest(world: World, minimal: Minimal) -> tuple[Item, ...]:
    """The items of a minimal image, sorted by path."""
    reason_of, package_names = reasons(minimal.closure), {p.name for p in packages_of(minimal)}
    rootfs, owners = world.rootfs, world.packages.owners
    items = (
        _item(rootfs, k.entry, k.content, _owner(owners(k.entry.path), package_names), reason_of[k.entry.path])
        for k in minimal.kept
    )
    return tuple(sorted(items, key=lambda item: item.path))


def full_manifest(rootfs: Rootfs, packages: Packages) -> tuple[Item, ...]:
    """The manifest of a whole image; its items have no reasons."""
    entries = [e for e in rootfs.entries() if e.kind is not Kind.SOCKET]
    rootfs.fetch(e.path for e in entries)
    package_names = {p.name for p in installed_packages(packages)}
    return tuple(_item(rootfs, e, None, _owner(packages.owners(e.path), package_names), "") for e in entries)


def _owner(owners: tuple[str, ...], package_names: Collection[str]) -> str:
    return next((name for name in owners if name in package_names), "")


def installed_packages(packages: Packages) -> tuple[LockedPackage, ...]:
    """The installed packages in an image's database, sorted."""
    listed = (packages.get(name) for name in packages.names())
    return tuple(sorted(LockedPackage(p.name, p.version, p.source) for p in listed if p is not None and p.installed))


def _item(rootfs: Rootfs, entry: Entry, content: bytes | None, package: str, reason: str) -> Item:
    text = ""
    if entry.kind is Kind.FILE:
        text = digest((content,) if content is not None else rootfs.chunks(entry.path))
    elif entry.kind is Kind.SYMLINK:
        text = entry.target
    elif entry.kind in (Kind.CHAR, Kind.BLOCK):
        text = f"{entry.device[0]}:{entry.device[1]}"
    owner = "" if entry.kind is Kind.DIR else package
    return Item(entry.path, entry.kind, entry.mode, entry.uid, entry.gid, entry.size, text, owner, reason)


def digest(pieces: Iterable[bytes]) -> str:
    """The SHA-256 of a content, in hexadecimal."""
    state = hashlib.sha256()
    for piece in pieces:
        state.update(piece)
    return state.hexdigest()


def reasons(closure: Closure) -> dict[str, str]:
    """For each kept path the first step of its shortest chain to a root, as `RULE SOURCE`.

    The reason of a directory that is kept only for its contents is `parent`, without a source.
    """
    evidence, distance = closure.evidence, distances(closure)

    def rank(ev: Evidence) -> tuple[bool, int, Evidence]:
        return ev.rule == "parent", -1 if ev.source not in evidence else distance.get(ev.source, len(evidence)), ev

    return {dependent: _reason_text(min(path_evidence, key=rank)) for dependent, path_evidence in evidence.items()}


def _reason_text(evidence: Evidence) -> str:
    return "parent" if evidence.rule == "parent" else f"{evidence.rule} {evidence.source}"


def recipe_digest(recipe: Recipe) -> str:
    """The digest of a recipe's probes, scenarios, policy and limits: `sha256:` and 64 hexadecimal digits."""
    text = json.dumps(_plain(recipe), sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()}"


FROM_THE_START = frozenset(
    {
        *("scenarios", "policy", "ready", "timeout", "name", "args", "http", "exec", "run", "options"),
        *("method", "path", "port", "scheme", "level", "levels", "keep", "drop", "keep_packages"),
        *("env", "volumes", "network", "user", "read_only", "tmpfs", "init", "cap_add", "cap_drop", "group_add"),
    }
)
"""Fields that recipes had from the start. Others count only where they differ from their default, so that the digests
in locks of older releases stay valid."""


def _plain(value: Any) -> Any:
    """Structs, mappings and sequences as values that JSON has."""
    if isinstance(value, Struct):
        values = ((name, getattr(value, name), default) for name, default in defaults(type(value)).items())
        return {name: _plain(said) for name, said, default in values if name in FROM_THE_START or said != default}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value.name.lower() if isinstance(value, Enum) else value
