"""`debloat sbom IMAGE`: its bill of materials, made by the libraries of the field."""

from __future__ import annotations

from pathlib import Path

import click

from debloat import sensor
from debloat.core.errors import UsageError
from debloat.debian import dpkg
from debloat.engine.docker import connect
from debloat.engine.workspace import Workspace, written_whole
from debloat.image.reader import open_rootfs


def run(image: str, format_: str, output: str | None) -> None:
    """Write the document of all packages in the image's database."""
    try:
        from debloat.report import sbom
    except ImportError as error:
        raise UsageError(
            f"cannot make a bill of materials: {error.name or error} is not installed", 'pip install "debloat[sbom]"'
        ) from error
    with Workspace(engine := connect()) as workspace:
        found = engine.image(image)
        rootfs = open_rootfs(workspace, found, sensor.binary(engine.info().architecture))
        packages = dpkg.read(rootfs)
        text = sbom.render(found, sbom.components(rootfs, packages), format_)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        with written_whole(Path(output)) as draft:
            draft.write_text(text)
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from error
