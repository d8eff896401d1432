"""`debloat why`: the chain from a kept path back to a probe, or what became of a removed one."""

from __future__ import annotations

import contextlib
import functools
import operator
import posixpath
from collections.abc import Iterator

import click
from msgspec.structs import replace

from debloat.cli import runs, tracefile
from debloat.cli.engines import Engines
from debloat.cli.options import Probes, Why
from debloat.cli.settings import settings_of
from debloat.closure import World
from debloat.core.errors import EngineUnavailable, UsageError
from debloat.core.model import Closure, Image, Level, Policy, Want
from debloat.core.recipe import Recipe, recipe
from debloat.core.text import name
from debloat.cut import closed
from debloat.debian import dpkg
from debloat.debian.prune import prune
from debloat.pipeline import world_of
from debloat.rules.application.modules import asked_modules
from debloat.rules.application.requested import Purpose, Request, requests
from debloat.rules.application.survey import leftover_reason
from debloat.rules.commands import optional_interpreter
from debloat.store.source import Source


def why(options: Why, engines: Engines) -> None:
    """Print the explanation on stdout."""
    asked = recipe(settings_of(Probes(), options.policy))
    given = functools.reduce(operator.or_, map(tracefile.read, options.traces)) if options.traces else None
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(engines.opened(options.image))
        trace, healed = given, tuple[Want, ...]()
        if trace is None:
            remembered = remembered_of(source.image)
            trace, healed = remembered.trace, remembered.healed
            asked = Recipe(policy=_policy(remembered.policy, asked.policy, options))
            if source.image.identity != remembered.image:
                source = _original(engines, source.image, remembered, stack)
        rootfs = source.rootfs()
        world = world_of(source.image, rootfs, dpkg.read(rootfs), asked, trace)
        closure = closed(world, healed)
        for line in explain(world, closure, options.path):
            click.echo(line)


def remembered_of(image: Image) -> runs.Run:
    """What the last run that made an image, or was made from it, saw and decided."""
    remembered = runs.recall(image.identity)
    if remembered is None:
        raise UsageError(
            f"nothing is remembered of a run on {image.reference}",
            "run `debloat` on it first (on this machine), or pass --trace FILE",
        )
    return remembered


def _policy(known: Policy, asked: Policy, options: Why) -> Policy:
    """A run's policy, with what flags say over it."""
    return replace(
        known,
        level=asked.level if options.policy.level else known.level,
        keep=known.keep + asked.keep,
        drop=known.drop + asked.drop,
        keep_packages=known.keep_packages + asked.keep_packages,
    )


def _original(engines: Engines, image: Image, remembered: runs.Run, stack: contextlib.ExitStack) -> Source:
    """The image that a run was made from, where the run knew it to be, open for as long as `stack` is."""
    for known in remembered.names:
        with contextlib.suppress(UsageError, EngineUnavailable), contextlib.ExitStack() as attempt:
            source = attempt.enter_context(engines.opened(known, pull=False))
            if source.image.identity == remembered.image:
                stack.enter_context(attempt.pop_all())
                return source
    raise UsageError(
        f"cannot find the image that {image.reference} was made from: {remembered.names[-1]} is gone, or another now",
        "build or pull it again; without it there is nothing to explain",
    )


def explain(world: World, closure: Closure, path: str) -> list[str]:
    """Why `path` stays or goes, a line a step. UsageError for a path that the original does not have."""
    rootfs = world.rootfs
    resolution = rootfs.resolve(path if path.startswith("/") else f"/{path}", follow=False)
    if resolution.path is None:
        word = posixpath.basename(path)
        others = [name(entry.path) for entry in rootfs.entries() if entry.name == word and not entry.is_dir][:3]
        raise UsageError(
            f"the image has no {path!r}",
            f"did you mean {' or '.join(others)}?"
            if others
            else f"its path ends at {resolution.broken!r}, which does not exist",
        )
    real = resolution.path
    owners = ", ".join(world.packages.owners(real)) or "no package"
    chain = closure.why(real)
    if chain:
        lines = [f"kept: {name(real)} ({owners})"]
        for _, evidence in chain:
            detail = f": {evidence.detail}" if evidence.detail else ""
            lines.append(f"  {evidence.rule}{detail}")
            lines.append(
                f"    because of {evidence.source}" if evidence.source[:1] != "/" else f"  <- {name(evidence.source)}"
            )
        others = sorted({e.rule for e in closure.evidence[real]} - {chain[0][1].rule})
        return lines + ([f"  also wanted by: {', '.join(others)}"] if others else [])
    shares = {s.name: s for s in prune(rootfs, world.packages, closure.evidence.keys()).shares}
    lines = [f"removed: {name(real)} ({owners})", "  no probe touched it, and no rule reaches it at this level"]
    if not world.packages.owners(real) and (taken := leftover_reason(world, real)):
        lines.append(f"  nothing of the application, but {taken}")
    lines += (f"  {taken.package} was taken for the build: {taken.evidence}" for taken in _for_the_build(world, real))
    for owner in world.packages.owners(real):
        if (entry := rootfs.get(real)) is not None and (interpreter := optional_interpreter(entry, owner, world)):
            lines.append(f"  a script for {interpreter}, and {owner} does not depend on that language")
        if share := shares.get(owner):
            lines.append(f"  of {owner}, {share.kept_files} of {share.total_files} files stay")
    wider = [level for level in Level if level > world.policy.level]
    for level in wider:
        there = closed(replace(world, policy=replace(world.policy, level=level)))
        if real in there:
            lines.append(f"  --level {level} would keep it: {there.why(real)[0][1].rule}")
            break
    lines.append(f"  to keep it: --keep '{name(real)}'")
    return lines


def _for_the_build(world: World, path: str) -> Iterator[Request]:
    """The requests for the build to which a real path belongs."""
    asked = requests(world)
    found = [asked[owner] for owner in world.packages.owners(path) if owner in asked]
    found += (a.request for a in asked_modules(world) if a.holds(path))
    return (request for request in found if request.purpose is Purpose.BUILD)
