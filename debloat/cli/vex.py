"""`debloat vex IMAGE --report FILE`: what of a scanner's report on the original is not so in the minimal image."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import click

from debloat.cli.apart import must_differ, named, tell
from debloat.cli.engines import Engines
from debloat.cli.options import Vex
from debloat.core.errors import UsageError
from debloat.core.model import Image
from debloat.core.text import name
from debloat.debian import dpkg
from debloat.image.carve import BASE_NAME


def vex(options: Vex, engines: Engines) -> None:
    """Write the document; a line on standard error says what came of the report."""
    try:
        from debloat.attest import scans
        from debloat.attest import vex as documents
        from debloat.inventory.read import read
    except ImportError as error:
        raise UsageError(
            f"cannot write VEX: {error.name or error} is not installed", 'pip install "debloat[sbom]"'
        ) from error
    must_differ(named(("--output", options.output), streams=True), named(("--report", options.report)))
    found, code = scans.findings(report(options.report), options.report), _code(options.code)
    with contextlib.ExitStack() as stack:
        here = stack.enter_context(engines.opened(options.image))
        there = stack.enter_context(engines.opened(options.original or _original(here.image)))
        both = []
        for source in (there, here):
            rootfs = source.rootfs()
            both.append(documents.Contents(rootfs, read(rootfs, dpkg.read(rootfs), files=False)))
        examined = documents.examine(found, both[0], both[1], code)
        minimal = here.image
    render = documents.openvex if options.format == "openvex" else documents.cyclonedx
    text = render(minimal, examined)
    click.echo(f"  {documents.summary(examined)}", err=True)
    tell(text, options.output)


def report(file: str) -> bytes:
    """The bytes of a report."""
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the report {file}: {error.strerror}", "name a file that can be read") from error


def _code(given: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in given:
        identifier, equals, path = text.partition("=")
        if not (identifier and equals and path.startswith("/")):
            raise UsageError(f"cannot use --code {text}: it is not ID=PATH", "--code CVE-2024-1234=/usr/lib/libx.so.1")
        found.setdefault(identifier, []).append(path)
    return found


def _original(image: Image) -> str:
    base = (image.config.raw.get("Labels") or {}).get(BASE_NAME)
    if not isinstance(base, str) or not base:
        raise UsageError(f"cannot tell what {name(image.reference)} was made from", "name it with --original IMAGE")
    return base
