"""`debloat plugin`: the installation of `dockerplugin.py`, by which docker knows the verb `debloat`."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import click

from debloat.core.errors import UsageError
from debloat.core.written import written_whole

NAME = "debloat"
MARK = "# debloat as a plug-in of docker; `debloat plugin uninstall` removes it\n"
"""The line by which a plug-in of ours is known."""

_ELSEWHERE = "make it a directory that you can write to, or set DOCKER_CONFIG to another"


def path() -> Path:
    """Where the plug-in goes: `cli-plugins` in docker's configuration, which is $DOCKER_CONFIG or ~/.docker."""
    configured = os.environ.get("DOCKER_CONFIG")
    directory = Path(configured) if configured else Path.home() / ".docker"
    return directory / "cli-plugins" / f"docker-{NAME}"


def install() -> None:
    """Write the plug-in; one that somebody else made is not overwritten."""
    place = path()
    _must_be_ours(place)
    text = f'#!/bin/sh\n{MARK}exec {shlex.quote(sys.executable)} -P -m debloat.cli.dockerplugin "$@"\n'
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make {place.parent}: {error.strerror}", _ELSEWHERE) from error
    with written_whole(place) as draft:
        draft.write_text(text)
    place.chmod(0o755)
    click.echo(str(place))


def uninstall() -> None:
    """Remove it; nothing happens where there is none."""
    place = path()
    _must_be_ours(place)
    place.unlink(missing_ok=True)


def _must_be_ours(place: Path) -> None:
    try:
        text = place.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"cannot read {place}: {error.strerror}", _ELSEWHERE) from error
    if MARK.encode() not in text:
        raise UsageError(f"cannot touch {place}: debloat did not make it", "remove it by hand, if it is to go")
