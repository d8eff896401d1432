"""`debloat inspect IMAGE`: size, packages, attack surface and base of an image, read without running it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import click

from debloat.cli.engines import Engines
from debloat.cli.options import Inspect
from debloat.core.model import Image
from debloat.core.text import count, name, size
from debloat.debian import dpkg
from debloat.footprint import Footprint, image_footprint
from debloat.gate.check import is_minimal
from debloat.image.carve import BASE_DIGEST, BASE_NAME
from debloat.lock.format import LockedPackage
from debloat.lock.manifest import installed_packages, platform

_LISTS = (
    ("setuid or setgid", "setuid"),
    ("shells", "shells"),
    ("package managers", "package_managers"),
    ("writable by all", "world_writable"),
)


def inspect(options: Inspect, engines: Engines) -> None:
    """Print the footprint, the packages and where the image comes from."""
    with engines.opened(options.image) as source:
        image, rootfs = source.image, source.rootfs()
        packages = installed_packages(dpkg.read(rootfs))
        figures = image_footprint(rootfs, len(packages))
    if options.json:
        click.echo(json.dumps(document(image, figures, packages), indent=2))
        return
    _print(image, figures, packages)


def document(image: Image, figures: Footprint, packages: tuple[LockedPackage, ...]) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "format": "debloat-inspect",
        "version": 1,
        "image": image.reference,
        "id": image.id,
        "platform": platform(image),
        "created": image.created,
        "minimal": is_minimal(image),
        "base": _base(image),
        "user": image.config.user,
        "ports": list(image.config.ports),
        "footprint": dataclasses.asdict(figures),
        "packages": [dataclasses.asdict(p) for p in packages],
    }


def _base(image: Image) -> dict[str, str]:
    labels = image.config.raw.get("Labels") or {}
    return {key: str(labels[key]) for key in (BASE_NAME, BASE_DIGEST) if key in labels}


def _print(image: Image, figures: Footprint, packages: tuple[LockedPackage, ...]) -> None:
    made = ", cut by debloat" if is_minimal(image) else ""
    click.echo(f"{name(image.reference)}  {image.id}  {platform(image)}{made}")
    for key, value in _base(image).items():
        click.echo(f"  {key.rpartition('.')[0].rpartition('.')[2]} {key.rpartition('.')[2]}: {name(value)}")
    click.echo(f"  user: {name(image.config.user or 'root')}, ports: {', '.join(image.config.ports) or 'none'}")
    click.echo(f"  {size(figures.bytes)}, {count(figures.files, 'file')}, {count(figures.packages, 'package')}")
    for title, attribute in _LISTS:
        paths = getattr(figures, attribute)
        click.echo(f"  {title}: {len(paths)}" + (f"  {' '.join(map(name, paths))}" if paths else ""))
    for package in packages:
        click.echo(f"  {name(package.name)} {name(package.version)}")
