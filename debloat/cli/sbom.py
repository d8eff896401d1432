"""`debloat sbom IMAGE`: its bill of materials, made by the libraries of the field."""

from __future__ import annotations

from debloat.attest import bill
from debloat.cli.apart import must_differ, named, tell
from debloat.cli.engines import Engines
from debloat.cli.options import Sbom
from debloat.debian import dpkg


def sbom(options: Sbom, engines: Engines) -> None:
    """Write the document of all packages and files of the image."""
    must_differ(named(("--output", options.output), streams=True))
    render = bill.renderer(options.format)
    from debloat.inventory.read import read

    with engines.opened(options.image) as source:
        rootfs = source.rootfs()
        text = render(source.image, read(rootfs, dpkg.read(rootfs), files=not options.no_files))
    tell(text, options.output)
