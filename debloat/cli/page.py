"""The page of a run (`--html`): the report with every path of the original, its layers, and sizes of earlier."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from debloat.anatomy.inventory import inventory
from debloat.anatomy.layers import NO_LAYERS, Layers, accounts
from debloat.cli.inspect import saved_layers
from debloat.cli.lockfile import read
from debloat.core.errors import EngineUnavailable
from debloat.core.model import Image, Kind
from debloat.core.written import written_whole
from debloat.engine.base import Engine
from debloat.report.html import render
from debloat.report.pagedata import PageContents, Point
from debloat.result import Outcome, Sink


def sink(path: Path, engine: Engine, earlier: Iterable[str]) -> Sink:
    """Writes the page of a result. The locks of `earlier` are read at once; UsageError for what is none."""
    points = tuple(point_of(name) for name in earlier)

    def write(outcome: Outcome) -> None:
        page = render(outcome.report, contents_of(outcome, engine, points))
        with written_whole(path) as draft:
            draft.write_bytes(page.encode())

    return write


def contents_of(outcome: Outcome, engine: Engine, earlier: tuple[Point, ...] = ()) -> PageContents:
    """What the page shows beside the report, while the image's contents can still be read."""
    layers = layers_of(engine, outcome.image)
    lines = inventory(outcome.world.rootfs, outcome.world.packages, outcome.minimal.closure, layers)
    return PageContents(tuple(lines), layers.layers, earlier)


def point_of(name: str) -> Point:
    """The minimal image of a lock in figures."""
    lock = read(Path(name))
    files = sum(item.kind is not Kind.DIR for item in lock.manifest)
    return Point(f"{name} ({lock.reference})", lock.bytes, files, len(lock.packages))


def layers_of(engine: Engine, image: Image) -> Layers:
    """What the layers of an image brought, where the engine gives them: a page without them is one as well."""
    with tempfile.TemporaryDirectory(prefix="debloat-layers-") as directory:
        try:
            return accounts(saved_layers(engine, image, Path(directory) / "saved.tar"))
        except EngineUnavailable:
            return NO_LAYERS
