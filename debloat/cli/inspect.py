"""`debloat inspect IMAGE`: what an image is made of, read without running it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from debloat.anatomy.archived import kept_layers, layers_in, stored_layers
from debloat.anatomy.image import SECTIONS, dissect
from debloat.anatomy.layers import LayerSource
from debloat.anatomy.tree import directories
from debloat.cli.engines import Engines
from debloat.cli.options import Inspect
from debloat.core.model import Image
from debloat.debian import dpkg
from debloat.engine.base import Engine
from debloat.report import inspectjson, inspectterminal, tables
from debloat.store.source import InStore, Source


def inspect(options: Inspect, engines: Engines) -> None:
    """Print what was asked for, all by default."""
    form = "json" if options.json else options.format
    with engines.opened(options.image) as source:
        image, rootfs = source.image, source.rootfs()
        packages = dpkg.read(rootfs)
        if form == "tree":
            top = directories(rootfs, packages)
            tables.show(inspectterminal.tree(image, top, options.depth, options.limit, options.sort))
            return
        anatomy = dissect(image, rootfs, packages, lambda: layers_of(source, engines), options.only or SECTIONS)
    if form == "json":
        click.echo(inspectjson.render(anatomy, options.sort))
    else:
        tables.show(inspectterminal.overview(anatomy, options.sort, options.limit))


def layers_of(source: Source, engines: Engines) -> Sequence[LayerSource]:
    """The layers of an image that is open, for as long as it is."""
    if isinstance(source, InStore):
        return stored_layers(source.config, source.spooled(), source.image.layers)
    return saved_layers(engines.connect(), source.image, source.directory / "saved.tar")


def saved_layers(engine: Engine, image: Image, archive: Path) -> Sequence[LayerSource]:
    """The layers of an image as the engine keeps them, else out of an archive that it writes into a file."""
    if (files := engine.files(image)) is not None:
        return kept_layers(image, files)
    with archive.open("wb") as file:
        for piece in engine.save(image.id):
            file.write(piece)
    return layers_in(archive, image.layers)
