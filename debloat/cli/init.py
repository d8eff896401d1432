"""`debloat init [IMAGE]`: a debloat.toml to begin with."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from debloat.cli.engines import Engines
from debloat.cli.options import Init
from debloat.core import config
from debloat.core.errors import UsageError
from debloat.core.model import Image
from debloat.core.written import must_be_writable, written_whole
from debloat.starter import starter


def init(options: Init, engines: Engines) -> None:
    """Write the file, and print its name; UsageError where settings are there already, unless `force` is given."""
    to_stdout = options.output == "-"
    path = Path(options.output)
    if not to_stdout:
        if not options.force:
            _must_not_be_there(path)
        must_be_writable(path)
    text = starter(_image(options.image, engines))
    if to_stdout:
        click.echo(text, nl=False)
        return
    with written_whole(path) as draft:
        draft.write_text(text, "utf-8")
    click.echo(options.output)


def _must_not_be_there(path: Path) -> None:
    hint = "--force writes it all the same; -o - prints it instead"
    if path.exists() or path.is_symlink():
        raise UsageError(f"cannot write {path}: it is there already", hint)
    with contextlib.suppress(OSError):
        if (found := config.find(path.parent)) is not None and path.name == "debloat.toml":
            raise UsageError(f"cannot write {path}: it would be read in place of {found}, which has settings", hint)


def _image(reference: str | None, engines: Engines) -> Image | None:
    if reference is None:
        return None
    with engines.opened(reference) as source:
        return source.image
