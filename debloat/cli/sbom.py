"""`debloat sbom IMAGE`: its bill of materials, made by the libraries of the field."""

from __future__ import annotations

from pathlib import Path

import click

from debloat.attest import bill
from debloat.cli.engines import Engines
from debloat.cli.options import Sbom
from debloat.core.written import written_whole
from debloat.debian import dpkg


def sbom(options: Sbom, engines: Engines) -> None:
    """Write the document of all packages and files of the image."""
    render = bill.renderer(options.format)
    from debloat.inventory.read import read

    with engines.opened(options.image) as source:
        rootfs = source.rootfs()
        text = render(source.image, read(rootfs, dpkg.read(rootfs), files=not options.no_files))
    if options.output is None:
        click.echo(text, nl=False)
        return
    with written_whole(Path(options.output)) as draft:
        draft.write_text(text)
