"""`--platform all`: each platform of an index by a run of its own, and an index of the results.

What cannot be run here, or has no lock, is carried over as it is. Nothing is written before all have passed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import click
from msgspec import Struct
from msgspec.structs import replace
from rich.text import Text

from debloat.cli import apply as applying
from debloat.cli import slim as slimming
from debloat.cli.engines import Engines
from debloat.cli.lockfile import save
from debloat.cli.options import Apply, Slim
from debloat.cli.outputs import filled_in, must_be_apart, named_files
from debloat.core.errors import DebloatError, MinimalFails, UsageError
from debloat.core.machine import cannot_run
from debloat.core.reference import default_target
from debloat.core.text import count, name, size
from debloat.core.written import must_be_writable, written_whole
from debloat.engine.base import Engine
from debloat.engine.workspace import Scratch
from debloat.image.oci import Written
from debloat.lock import format as locks
from debloat.lock.manifest import lock_of_run
from debloat.record.session import ByHand
from debloat.report.terminal import console
from debloat.result import Outcome
from debloat.store.base import ImageStore, StoredIndex, Variant
from debloat.store.index import composed, images
from debloat.store.location import Location, image_location, output_location
from debloat.store.opened import open_store
from debloat.store.write import moved, must_accept, must_take, must_take_index, write_index

PLACE = "{platform}"
"""What stands in the name of a file for the platform that it is of: `linux-amd64`."""

_ONE_IMAGE = "leave out --platform all, or name an index: oci:DIR, oci-archive:FILE or docker://REGISTRY/NAME:TAG"


class Part(Struct, frozen=True):
    """One platform of an index: its image, where that is by itself, and why it stays as it is, if it does."""

    image: Variant
    where: Location
    kept_for: str = ""

    @property
    def name(self) -> str:
        return str(self.image)

    @property
    def word(self) -> str:
        """The platform in the name of a file, whatever an index calls it."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-") or "unknown"


class Verb(Protocol):
    """What is done with each platform, and once all is written."""

    def kept_for(self, part: Part) -> str:
        """Why an image is to stay as it is; empty where `make` makes another of it."""

    def make(self, part: Part, take: Callable[[Written], None]) -> None:
        """Make the image of a platform. MinimalFails where it is not proven; it was taken all the same where forced."""

    def end(self) -> None:
        """Write what is to be written beside the index."""


class Slimming:
    """The main job."""

    def __init__(self, options: Slim, engines: Engines, by_hand: ByHand | None, files: Mapping[str, str]) -> None:
        self._options = options
        self._engines = engines
        self._by_hand = by_hand
        self._files = files
        self._locks: dict[Path, bytes] = {}

    def kept_for(self, part: Part) -> str:
        return not_run(part.image, self._engines.connect())

    def make(self, part: Part, take: Callable[[Written], None]) -> None:
        files = filled_in(self._files, PLACE, part.word)
        lock = files.pop("lock", "")

        def taken(outcome: Outcome) -> None:
            if outcome.report.result:
                if lock:
                    self._locks[Path(lock)] = locks.dump(lock_of_run(outcome))
                take(outcome.minimal.written)

        result = dataclasses.replace(self._options.result, lock=None, **files)  # type: ignore[arg-type]
        options = dataclasses.replace(self._options, image=str(part.where), result=result)
        slimming.make(options, self._engines, by_hand=self._by_hand, take=taken)

    def end(self) -> None:
        for path, data in self._locks.items():
            with written_whole(path) as draft:
                draft.write_bytes(data)


class Applying:
    """A lock for each platform. One without a lock stays as it is."""

    def __init__(self, options: Apply, engines: Engines, locked: str) -> None:
        self._options = options
        self._engines = engines
        self._locked = locked
        self._locks: dict[Path, locks.Lock] = {}

    def _lock(self, part: Part) -> Path:
        return Path(self._locked.replace(PLACE, part.word))

    def kept_for(self, part: Part) -> str:
        if not self._lock(part).exists():
            return f"there is no lock {self._lock(part)}"
        return not_run(part.image, self._engines.connect()) if self._options.verify else ""

    def make(self, part: Part, take: Callable[[Written], None]) -> None:
        files = filled_in(named_files(dataclasses.replace(self._options, lock=None)), PLACE, part.word)
        options = dataclasses.replace(
            self._options, image=str(part.where), lock=str(self._lock(part)), json=files.get("json")
        )
        self._locks[self._lock(part)] = applying.made(options, self._engines, take=take).lock

    def end(self) -> None:
        for path, lock in self._locks.items() if self._options.update_lock else ():
            save(lock, path)


def slim(options: Slim, engines: Engines, by_hand: ByHand | None = None) -> None:
    """Make and prove the minimal image of each platform that runs here, and write the index."""
    result = options.result
    of_one = {
        **{"-t": result.tag, "--trace": result.traces, "--canary": result.canary, "--earlier": result.earlier},
        **{"--scan": result.scan, "--attest": result.attest, "--seccomp": result.seccomp, "--dry-run": result.dry_run},
    }
    to = _output(options.image, result.output, of_one)
    files = named_files(result)
    must_be_apart(files, PLACE)
    for file in files.values():
        must_be_writable(Path(file))
    engines.take_one_by_one()
    _over(options.image, to, Slimming(options, engines, by_hand, files), options.verbosity.quiet)


def apply(options: Apply, engines: Engines) -> None:
    """Apply to each platform its lock, and write the index."""
    of_one = {
        **{"-t": options.tag, "--canary": options.canary, "--dry-run": options.dry_run},
        "--attest": options.attest,
    }
    to = _output(options.image, options.output, of_one)
    locked = options.lock or locks.DEFAULT_NAMES
    if PLACE not in locked:
        raise UsageError(
            f"cannot apply {locked} to all platforms: a lock is of one", f"write --lock with {PLACE} in the name"
        )
    must_be_apart(named_files(dataclasses.replace(options, lock=None)), PLACE)
    engines.take_one_by_one()
    _over(options.image, to, Applying(options, engines, locked), options.verbosity.quiet)


def not_run(image: Variant, engine: Engine) -> str:
    """Why an image of an index cannot be run on an engine; empty where it can."""
    info = engine.info()
    if image.os != info.os:
        return "this machine does not run it"
    return cannot_run(info.architecture, image.architecture, image.variant, here=info.local)


def _output(image: str, output: str | None, of_one: Mapping[str, object]) -> Location:
    """Where the index goes. UsageError for what is said of one image alone, before anything is started."""
    for flag, value in of_one.items():
        if value:
            raise UsageError(f"cannot use {flag} for all platforms: it is of one image", "name each with --platform")
    if not output:
        raise UsageError(
            f"cannot make all platforms of {image}: the result is an index, which no engine takes",
            "say where it goes: --output oci:DIR, oci-archive:FILE or docker://REGISTRY/NAME:TAG",
        )
    to = output_location(output)
    must_take_index(to)
    must_take(to)
    must_accept(to)
    return to


def _over(image: str, to: Location, verb: Verb, quiet: bool) -> None:
    """Do it with each platform, write the index, print where that is, and say on stderr what became of each."""
    out = console(quiet)
    made: dict[str, Written] = {}
    failed: MinimalFails | None = None
    with Scratch() as run, _index(image) as (store, index):
        parts = _parts(image, index, verb)
        for part in parts:
            if part.kept_for:
                continue
            digest = part.image.blob.digest

            def take(written: Written, digest: str = digest, word: str = part.word) -> None:
                made[digest] = moved(written, run.directory / word)

            out.print(Text(f"  {name(part.name)}", style="bold"))
            try:
                verb.make(part, take)
            except DebloatError as error:
                error.message = f"{part.name}: {error.message}"
                if not isinstance(error, MinimalFails) or digest not in made:
                    raise
                failed = failed or error  # --force
        new, gone = composed(index, store, made, image)
        write_index(new, default_target(index.reference), to)
        verb.end()
        out.print()
        for line in _became(parts, made, len(gone)):
            out.print(line)
    if failed is not None:
        raise failed
    click.echo(str(to))


@contextlib.contextmanager
def _index(image: str) -> Iterator[tuple[ImageStore, StoredIndex]]:
    """An index and the store that has it. UsageError for one image."""
    location = image_location(image)
    if location.on_engine:
        raise UsageError(f"cannot take all platforms of {image}: on an engine an image is of one", _ONE_IMAGE)
    with open_store(location) as store:
        index = store.index()
        if index is None:
            raise UsageError(f"cannot take all platforms of {image}: it is one image, and no index", _ONE_IMAGE)
        yield store, index


def _parts(image: str, index: StoredIndex, verb: Verb) -> list[Part]:
    """The platforms of an index, each image once. UsageError where all would stay as they are."""
    location = image_location(image)
    parts: dict[str, Part] = {}
    for found in images(index, image):
        digest = found.blob.digest
        if digest in parts:
            continue
        where = location.of_manifest(digest)
        part = Part(found if found.os else _described(found, where), where)
        twice = part.word in {other.word for other in parts.values()}
        reason = "another image of the index is for the same platform" if twice else verb.kept_for(part)
        parts[digest] = replace(part, kept_for=reason)
    if all(part.kept_for for part in parts.values()):
        reasons = "; ".join(f"{part.name}: {part.kept_for}" for part in parts.values())
        raise UsageError(
            f"cannot make {image} smaller: all its platforms would be kept whole ({reasons or 'it has none'})",
            "go where one of them runs, or bring a lock of it",
        )
    return list(parts.values())


def _described(found: Variant, where: Location) -> Variant:
    """What an image's own configuration says of its platform, where the index says nothing."""
    with open_store(where) as store:
        image = store.image().image
    return replace(found, os=image.os, architecture=image.architecture, variant=image.variant)


def _became(parts: list[Part], made: Mapping[str, Written], gone: int) -> Iterator[Text]:
    width = max(len(part.name) for part in parts)
    for part in parts:
        text = Text(f"  {name(part.name):<{width}}  ")
        if part.kept_for:
            yield text.append(f"kept whole: {name(part.kept_for)}", style="yellow")
        else:
            layers = sum(stored.layer.size for stored in made[part.image.blob.digest].layers)
            yield text.append(f"minimal, {size(layers)}", style="green")
    if gone:
        left_out = f"left out: {count(gone, 'attestation')}, of images that are not in it any more"
        yield Text(f"  {'':<{width}}  ").append(left_out, style="yellow")
