"""`debloat apply`: the minimal image of another build, by a lock."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from debloat.cli.apart import Holds, Named, archive, must_differ, named
from debloat.cli.engines import Engines
from debloat.cli.following import progress
from debloat.cli.lockfile import read, save
from debloat.cli.options import Apply, Probes
from debloat.cli.settings import recipe_of, target_of
from debloat.core import parsed
from debloat.core.recipe import Recipe
from debloat.core.text import name
from debloat.core.values import as_dict
from debloat.core.written import written_whole
from debloat.engine.base import Engine
from debloat.image.oci import Referrer, Written
from debloat.lock import apply as applying
from debloat.lock import compare
from debloat.lock import format as locks
from debloat.lock.apply import Answers, Applied, Attesting, Healing, nothing
from debloat.lock.cut import LockedCut
from debloat.lock.format import Lock
from debloat.lock.manifest import recipe_digest
from debloat.store.location import Destination, destination, image_location
from debloat.store.write import must_accept, must_take

if TYPE_CHECKING:
    from debloat.plan import Plan

_FILES = 10
"""Files listed of each package that changed."""


def apply(options: Apply, engines: Engines) -> None:
    """Apply and tag; print the resulting reference. MinimalFails when a replay differs. With `dry_run`, the plan."""
    if options.dry_run:
        from debloat.cli.plan import show

        show(plan(options, engines), options.json)
    else:
        make(options, engines)


def plan(options: Apply, engines: Engines) -> Plan:
    """What would be done. The errors are those that doing it would begin with."""
    from debloat.plan import Output, plan_apply

    path, goes = _checked(options)
    planned = plan_apply(
        _engine(options, engines, goes),
        image_location(options.image, engines.wanted),
        read(path),
        progress(options.verbosity.quiet, options.verbosity.verbose),
        target=goes.name,
        recipe=_recipe(options),
        canary=options.canary or "",
    )
    outputs = [Output("image", planned.target)] if goes.tag else []
    outputs += [Output("archive", options.output)] if options.output and goes.output else []
    outputs += [Output("attestations", options.attest)] if options.attest else []
    outputs += [Output("canary", options.canary)] if options.canary else []
    outputs += [Output("lock", str(path))] if options.update_lock else []
    return replace(planned, verb="apply", outputs=tuple(outputs))


def _checked(options: Apply) -> tuple[Path, Destination]:
    """The lock's file, and where the result goes; UsageError for what could not be named or written at the end."""
    path = lock_file(options)
    lock = list(named(("--lock", str(path))))
    attested = (Named("--attest", options.attest, Holds.SHARED),) if options.attest else ()
    written = (*named(("--json", options.json), streams=True), *archive(options.output), *attested)
    must_differ((*written, *(lock if options.update_lock else ())), (*lock, *named(("-c", options.config))))
    goes = destination(options.image, target_of(options.tag), options.output)
    target_of(goes.name, "--output")
    target_of(options.canary, "--canary")
    if goes.output is not None:
        must_take(goes.output)
    return path, goes


def _engine(options: Apply, engines: Engines, goes: Destination) -> Engine | None:
    """The engine where it is needed: for an image or a name of its own, or to prove the result."""
    return engines.connect() if options.verify or options.canary or goes.tag else engines.for_image(options.image)


def _recipe(options: Apply) -> Recipe | None:
    """What the proof asks; None where none is wanted."""
    return recipe_of(dataclasses.replace(Probes(), config=options.config)) if options.verify else None


def make(options: Apply, engines: Engines, healing: Healing | None = None) -> None:
    """Apply and tag, say what came of it, and write the lock again where that is wanted; `healing` adds to it first."""
    applied = made(options, engines, healing)
    if options.update_lock:
        save(applied.lock, lock_file(options))
    if applied.canary is not None and not applied.canary.passed:
        from debloat.canary import failure

        raise failure(applied.canary)
    if options.json != "-":
        click.echo(applied.result)


def lock_file(options: Apply) -> Path:
    return Path(options.lock or locks.DEFAULT_NAME)


@parsed.open_cache()
def made(
    options: Apply,
    engines: Engines,
    healing: Healing | None = None,
    take: Callable[[Written], object] | None = None,
) -> Applied:
    """Apply a lock to one image and say what came of it; MinimalFails when a replay differs.

    `take` gets the result in place of where it goes.
    """
    path, goes = _checked(options)
    lock, recipe = read(path), _recipe(options)
    if goes.output is not None and take is None:
        must_accept(goes.output)
    applied = applying.apply(
        _engine(options, engines, goes),
        image_location(options.image, engines.wanted),
        lock,
        progress(options.verbosity.quiet, options.verbosity.verbose),
        destination=goes,
        recipe=recipe,
        force=options.force,
        canary=options.canary or "",
        healing=healing,
        take=take,
        attesting=_attesting(Path(options.attest), path, lock, recipe, goes) if options.attest else nothing,
    )
    if not options.verbosity.quiet:
        _say(applied)
    text = json.dumps(document(applied), indent=2)
    if options.json == "-":
        click.echo(text)
    elif options.json:
        with written_whole(Path(options.json)) as draft:
            draft.write_text(f"{text}\n")
    if not applied.passed:
        raise applying.replay_failure(applied)
    return applied


def _attesting(directory: Path, path: Path, lock: Lock, recipe: Recipe | None, goes: Destination) -> Attesting:
    """Writes statements about the result of a lock into a directory, and beside it where that has room for them."""
    from debloat.attest.statements import Made
    from debloat.cli import attest

    attest.must_be_possible(directory)
    asked = recipe_digest(recipe) if recipe is not None else lock.recipe

    def write(cut: LockedCut, name: str, answers: Answers) -> Iterable[Referrer]:
        by = ((str(path), f"sha256:{hashlib.sha256(locks.dump(lock)).hexdigest()}"),)
        made = Made(cut.image, cut.world.rootfs, cut.minimal, name, lock.policy, asked, (), answers, by)
        attest.save(directory, made)
        return attest.referrers(made, goes.output) if goes.output is not None else ()

    return write


def document(applied: Applied) -> dict[str, Any]:
    """What came of it as plain values."""
    return {
        "format": "debloat-apply",
        "version": 1,
        "result": applied.result,
        "layer": applied.lock.layer,
        "identical": applied.identical,
        "moves": [as_dict(m) for m in applied.moves],
        "gone": [as_dict(g) for g in applied.gone],
        "diff": compare.document(applied.diff),
        "missed": [w.path for w in applied.missed],
        "probes": [{"probe": a.before.name, "difference": a.difference} for a in applied.answers],
    }


def _say(applied: Applied) -> None:
    from rich.text import Text

    from debloat.report.terminal import console

    out = console()
    if applied.identical:
        out.print(Text("  the same files as in the lock", style="dim"))
    for line in compare.format_diff(applied.diff, shown=_FILES):
        out.print(Text(f"  {line}"))
    for move in applied.moves:
        out.print(Text(f"  moved  {name(move.old)} -> {name(move.new)}", style="dim"))
    for gone in applied.gone:
        of = f" of {gone.package}" if gone.package else ""
        out.print(Text(f"  gone   {name(gone.path)}{of}, kept for: {name(gone.reason)}", style="yellow"))
    for answer in applied.answers:
        out.print(Text(f"  probe  {name(answer.before.name)}: {answer.difference or 'same'}"))
    for want in applied.missed if applied.passed else ():
        out.print(Text(f"  missed {name(want.path)}: looked up, and not in the minimal image", style="yellow"))
    for note in applied.notes:
        out.print(Text(f"  note   {note}", style="yellow"))
