"""`debloat import`: traces of other tools as a trace of debloat's own."""

from __future__ import annotations

from pathlib import Path

from debloat.cli.apart import must_differ, named
from debloat.cli.engines import Engines
from debloat.cli.options import Import
from debloat.cli.record import save
from debloat.core.errors import UsageError
from debloat.core.text import size
from debloat.record.imports import read as imports
from debloat.report.terminal import console


def import_(options: Import, engines: Engines) -> None:
    """Read the files, keep what is of the image, and save it; the file's name goes to stdout, notes to stderr."""
    must_differ(named(("-o", options.save_trace)), named(*(("FILE", name) for name in options.files)))
    files = {name: _read(Path(name)) for name in options.files}
    with engines.opened(options.image) as source:
        found = imports.read(files, source.image.config.workdir)
        imported = imports.of_image(found, source.image, source.rootfs(), any_image=options.any_image)
    for note in imported.notes:
        console(options.verbosity.quiet).print(f"note: {note}", markup=False)
    save(imported.trace, options.save_trace)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > imports.MAX_SIZE:
            raise UsageError(
                f"cannot import {path}: it is larger than {size(imports.MAX_SIZE)}", "import parts of it, and combine"
            )
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot import {path}: {error.strerror}", "name a file that can be read") from error
