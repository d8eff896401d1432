"""`debloat pod`: what runs an image recorded in a cluster."""

from __future__ import annotations

import json
import shlex

import click

from debloat import sensor
from debloat.cli.engines import Engines
from debloat.cli.options import Pod
from debloat.core.errors import UsageError
from debloat.record.pod import manifest
from debloat.record.session import Recorder


def pod(options: Pod, engines: Engines) -> None:
    """Print the objects as JSON, which kubectl takes as it takes YAML."""
    try:
        args = None if options.args is None else tuple(shlex.split(options.args))
    except ValueError as error:
        raise UsageError(f"--args: cannot split {options.args!r}: {error}", "balance the quotes") from error
    with engines.opened(options.image) as source:
        image = source.image
    recorder = Recorder(sensor.binary(image.architecture))
    click.echo(json.dumps(manifest(image, options.name, args, options.user or "", recorder), indent=2))
