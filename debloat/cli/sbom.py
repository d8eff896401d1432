"""`debloat sbom IMAGE`: its bill of materials, made by the libraries of the field."""

from __future__ import annotations

from pathlib import Path

import click

from debloat.cli.engines import Engines
from debloat.cli.options import Sbom
from debloat.core.errors import UsageError
from debloat.debian import dpkg
from debloat.engine.workspace import written_whole


def sbom(options: Sbom, engines: Engines) -> None:
    """Write the document of all packages in the image's database."""
    try:
        from debloat.report import sbom as renderer
    except ImportError as error:
        raise UsageError(
            f"cannot make a bill of materials: {error.name or error} is not installed", 'pip install "debloat[sbom]"'
        ) from error
    with engines.opened(options.image) as source:
        image, rootfs = source.image, source.rootfs()
        packages = dpkg.read(rootfs)
        text = renderer.render(image, renderer.components(rootfs, packages), options.format)
    if options.output is None:
        click.echo(text, nl=False)
        return
    with written_whole(Path(options.output)) as draft:
        draft.write_text(text)
