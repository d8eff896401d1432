"""What is written has a place of its own: each output apart from the others, and none where something is read."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from msgspec import Struct

from debloat.cli.options import Probes, Result
from debloat.core.errors import UsageError
from debloat.core.places import place_of
from debloat.core.written import must_be_writable, written_whole
from debloat.store.location import IN_FILES, Transport, output_location

STDOUT = "-"
"""What names standard output, of the options that take it."""


class Holds(enum.Enum):
    """What is at a place: a file, a directory that others may write to as well, or one that is somebody's own."""

    FILE = enum.auto()
    SHARED = enum.auto()
    OWN = enum.auto()


class Named(Struct, frozen=True):
    """A file or directory that an option names: `option` as it is said, `said` what it was given."""

    option: str
    said: str
    holds: Holds = Holds.FILE
    streams: bool = False
    """Whether `-` is standard output."""

    @property
    def path(self) -> Path:
        return Path("/dev/stdout" if self.said == STDOUT and self.streams else self.said)

    def __str__(self) -> str:
        return f"{self.option} {self.said}"


_MAY = frozenset({("--save-trace", "--trace"), ("--lock", "--earlier"), ("--lock", "--lock")})
"""What is written where something was read, so that it grows: a trace with one more run, a lock after the earlier."""


def must_differ(written: Iterable[Named], read: Iterable[Named] = ()) -> None:
    """UsageError, before any work, for outputs that cannot be written, or would be written over each other or over what
    is read."""
    outputs = list(written)
    for output in outputs:
        if output.said == STDOUT and not output.streams:
            raise UsageError(
                f"{output}: only what is JSON goes to standard output by `-`", "name a file, /dev/stdout or ./-"
            )
        if output.holds is Holds.FILE:
            must_be_writable(output.path)
    for one, other in itertools.combinations(outputs, 2):
        if _meet(one, other) or _meet(other, one):
            raise UsageError(f"{one} and {other} would be written over each other", "name different files")
    for output, source in itertools.product(outputs, read):
        if (output.option, source.option) not in _MAY and _meet(output, source):
            raise UsageError(f"{output} would be written over what {source} reads", "name another file to write to")


def _meet(one: Named, other: Named) -> bool:
    """Whether one is where the other is, or has to be a directory for it."""
    at, there = place_of(one.path), place_of(other.path)
    if at.takes_any_number:
        return False
    if at.descriptor >= 0 or there.descriptor >= 0:
        return at.descriptor == there.descriptor
    mine, others = at.path.resolve(), there.path.resolve()
    if mine == others:
        return not one.holds is other.holds is Holds.SHARED
    return one.holds is not Holds.SHARED and mine in others.parents


def named(*given: tuple[str, str | None], streams: bool = False) -> Iterator[Named]:
    """The files that options name, of those that were given."""
    return (Named(option, said, streams=streams) for option, said in given if said)


def archive(output: str | None) -> Iterator[Named]:
    """The file or the layout that `--output` names, if it is one."""
    to = output_location(output) if output else None
    if to is not None and to.transport in IN_FILES:
        yield Named("--output", str(to.path), Holds.OWN if to.transport is Transport.OCI else Holds.FILE)


def tell(text: str, output: str | None) -> None:
    """Write a text to the file that was named; to standard output where none was, or `-`."""
    if output is None or output == STDOUT:
        click.echo(text, nl=False)
        return
    with written_whole(Path(output)) as draft:
        draft.write_text(text, "utf-8")


def outputs_of_run(result: Result) -> Iterator[Named]:
    """What the main job writes beside the image."""
    yield from named(("--json", result.json), streams=True)
    yield from named(("--save-trace", result.save_trace), ("--lock", result.lock), ("--html", result.html))
    yield from named(("--seccomp", result.seccomp))
    yield from archive(result.output)
    if result.attest:
        yield Named("--attest", result.attest, Holds.SHARED)


def inputs_of_run(probes: Probes, result: Result) -> Iterator[Named]:
    """The files that it reads."""
    yield from inputs_of(probes)
    yield from named(("--scan", result.scan), *(("--trace", name) for name in result.traces))
    yield from named(*(("--earlier", name) for name in result.earlier))


def inputs_of(probes: Probes) -> Iterator[Named]:
    """The files that probes come from."""
    yield from named(("-c", probes.config), *(("--har", name) for name in probes.har))
    if probes.openapi and Path(probes.openapi).is_file():
        yield Named("--openapi", probes.openapi)
