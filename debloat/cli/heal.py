"""`debloat heal`: what canaries noted, added to the lock and the image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from debloat.cli.apply import make
from debloat.cli.engines import Engines
from debloat.cli.lockfile import read
from debloat.cli.options import Apply, Heal
from debloat.core.errors import UsageError
from debloat.core.text import count, size
from debloat.core.text import name as printable_name
from debloat.image.rootfs import Rootfs
from debloat.lock import format as locks
from debloat.lock import heal as healing
from debloat.lock.format import Lock
from debloat.report.terminal import console

_SHOWN = 20
"""Paths that are listed of what was added."""


def heal(options: Heal, engines: Engines) -> None:
    """Read the notes, add what they name to the lock, make and tag the image, and write the lock."""
    path = options.lock or locks.DEFAULT_NAME
    lock = read(Path(path))
    notes = _of_image(list(_notes(options.notes)), lock, options.any_image)

    def add(to: Lock, rootfs: Rootfs) -> Lock:
        healed = healing.healed(to, notes, rootfs)
        _say(healed, rootfs, options.verbosity.quiet)
        return healed.lock

    applied = Apply(
        image=options.image or lock.reference,
        lock=path,
        tag=options.tag,
        verify=options.verify,
        config=options.config,
        update_lock=True,
        output=None,
        canary=options.canary,
        attest=None,
        json=None,
        force=False,
        dry_run=False,
        verbosity=options.verbosity,
        where=options.where,
    )
    make(applied, engines, add)


def _notes(names: tuple[str, ...]) -> Iterator[healing.Note]:
    for name in names:
        path = Path(name)
        try:
            if path.stat().st_size > healing.MAX_SIZE:
                raise UsageError(
                    f"cannot read the notes {name}: they are larger than {size(healing.MAX_SIZE)}", "heal in parts"
                )
            data = path.read_bytes()
        except OSError as error:
            raise UsageError(
                f"cannot read the notes {name}: {error.strerror}", "name a file that can be read"
            ) from error
        yield from healing.parse(data, path.name)


def _of_image(notes: list[healing.Note], lock: Lock, any_image: bool) -> list[healing.Note]:
    """The notes on the lock's image. UsageError where there is none, but on others."""
    fitting = [note for note in notes if any_image or note.image == lock.image]
    if notes and not fitting:
        raise UsageError(
            f"the notes are on another image ({min(note.image for note in notes)}) than the lock ({lock.image})",
            "name the lock of the canary's build with --lock, or take them all the same with --any-image",
        )
    return fitting


def _say(healed: healing.Healed, rootfs: Rootfs, quiet: bool) -> None:
    out = console(quiet)
    entries = [entry for path in healed.added if (entry := rootfs.get(path)) is not None]
    total = sum(entry.size for entry in entries if entry.is_file)
    if not healed.added:
        out.print("  nothing to add: the lock has every noted path that the image has", markup=False)
    else:
        out.print(
            f"  adding {count(len(healed.added), 'path')}, {size(total)}, and what follows from them", markup=False
        )
    for path in healed.added[:_SHOWN]:
        out.print(f"    {printable_name(path)}", markup=False)
    if len(healed.added) > _SHOWN:
        out.print(f"    and {len(healed.added) - _SHOWN:,} more", markup=False)
    for path in healed.absent:
        out.print(f"  gone   {printable_name(path)}: the image does not have it", markup=False)
