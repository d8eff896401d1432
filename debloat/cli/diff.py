"""`debloat diff A B`: two images, locks or traces, by package and by file."""

from __future__ import annotations

import json
from pathlib import Path

import click

from debloat.cli.engines import Engines
from debloat.cli.options import Diff
from debloat.core.errors import UsageError
from debloat.core.model import Trace
from debloat.core.text import name
from debloat.debian import dpkg
from debloat.lock import compare
from debloat.lock import format as lock
from debloat.lock.compare import Side
from debloat.lock.manifest import full_manifest, installed_packages
from debloat.record import trace


def diff(options: Diff, engines: Engines) -> None:
    """Print the difference; with `exit_code`, exit 1 where there is one."""
    old, new = (_side(text, engines) for text in (options.before, options.after))
    if isinstance(old, Trace) and isinstance(new, Trace):
        different = _traces(old, new, options.json)
    elif isinstance(old, Side) and isinstance(new, Side):
        different = _sides(old, new, options.json, options.files)
    else:
        raise UsageError("cannot compare a trace with an image or a lock", "name two traces, or no trace")
    if different and options.exit_code:
        raise click.exceptions.Exit(1)


def _sides(old: Side, new: Side, as_json: bool, files: int) -> bool:
    changes = compare.compare(old, new)
    if as_json:
        document = {"format": "debloat-diff", "version": 1, "packages": compare.document(changes)}
        click.echo(json.dumps(document, indent=2))
    else:
        for line in compare.format_diff(changes, shown=files):
            click.echo(line)
    return bool(changes)


def _traces(old: Trace, new: Trace, as_json: bool) -> bool:
    uses = compare.compare_traces(old, new)
    if as_json:
        rows = [{"probe": t.probe, "path": t.path, "sign": t.sign, "op": t.op, "program": t.program} for t in uses]
        click.echo(json.dumps({"format": "debloat-trace-diff", "version": 1, "uses": rows}, indent=2))
        return bool(uses)
    probe = None
    for line in uses:
        if line.probe != probe:
            probe = line.probe
            click.echo(name(probe))
        click.echo(f"  {line.sign} {name(line.path)} ({line.op} by {name(line.program)})")
    return bool(uses)


def _side(text: str, engines: Engines) -> Side | Trace:
    """What a word of the command line names: a file that is a lock or a trace, else an image."""
    path = Path(text)
    if path.is_file():
        data = path.read_bytes()
        if data.startswith(lock.MAGIC.encode()):
            locked = lock.parse(data, text)
            return Side(text, locked.manifest, locked.packages)
        return trace.parse(data, text)
    with engines.opened(text) as source:
        rootfs = source.rootfs()
        packages = dpkg.read(rootfs)
        return Side(text, full_manifest(rootfs, packages), installed_packages(packages))
