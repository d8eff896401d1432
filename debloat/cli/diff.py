"""`debloat diff A B`: two images, locks or traces, by package and by file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from rich.console import RenderableType

from debloat.cli.engines import Engines
from debloat.cli.options import Diff
from debloat.core.errors import UsageError
from debloat.core.model import Trace
from debloat.core.text import count, name, size
from debloat.debian import dpkg
from debloat.lock import compare
from debloat.lock import format as lock
from debloat.lock.compare import Side
from debloat.lock.manifest import full_manifest, installed_packages
from debloat.record import trace
from debloat.report import tables


def diff(options: Diff, engines: Engines) -> None:
    """Print the difference; with `exit_code`, exit 1 where there is one."""
    # Files first: what is wrong in one is not said after an image was read.
    before, after = (_in_file(text) for text in (options.before, options.after))
    if isinstance(before, Trace) is not isinstance(after, Trace):
        raise _unlike()
    old, new = before or _of_image(options.before, engines), after or _of_image(options.after, engines)
    if isinstance(old, Trace) and isinstance(new, Trace):
        different = _traces(old, new, options.json or options.format == "json")
    elif isinstance(old, Side) and isinstance(new, Side):
        different = _sides(old, new, options)
    else:
        raise _unlike()
    if different and options.exit_code:
        raise click.exceptions.Exit(1)


def _sides(old: Side, new: Side, options: Diff) -> bool:
    changes = compare.compare(old, new)
    form = "json" if options.json else options.format
    if form == "json":
        document = {"format": "debloat-diff", "version": 1, "packages": compare.document(changes)}
        click.echo(json.dumps(document, indent=2))
        return bool(changes)
    ordered = tables.ordered(changes.packages, options.sort, _figures)
    if form == "table":
        tables.show(_table(ordered, options.limit))
        return bool(changes)
    shown = ordered[: options.limit or None]
    for line in compare.format_diff(compare.Diff(tuple(shown)), shown=options.files):
        click.echo(line)
    if len(shown) < len(ordered):
        click.echo(f"... and {count(len(ordered) - len(shown), 'package')} more")
    return bool(changes)


def _figures(package: compare.PackageDiff) -> tuple[int, int, str]:
    """Bytes and files by which a package differs, and its name."""
    files = len(package.added) + len(package.removed) + len(package.changed)
    return abs(package.growth), files, package.name


def _table(packages: Sequence[compare.PackageDiff], limit: int) -> Iterator[RenderableType]:
    if not packages:
        return
    columns = (
        *(tables.Column("package"), tables.Column("before"), tables.Column("after"), tables.Column("new", True)),
        *(tables.Column("gone", True), tables.Column("changed", True), tables.Column("bytes", True)),
    )
    rows = [
        (
            f"{p.old_name} -> {p.name}" if p.old_name else p.name or "application",
            p.before or "-",
            p.after or "-",
            *(f"{len(group):,}" if group else "-" for group in (p.added, p.removed, p.changed)),
            _signed(p.growth),
        )
        for p in packages
    ]
    yield from tables.table(columns, rows, limit)
    sums = (len(p.added) for p in packages), (len(p.removed) for p in packages), (len(p.changed) for p in packages)
    new, gone, changed = map(sum, sums)
    growth = sum(p.growth for p in packages)
    yield tables.line(
        f"  {count(len(packages), 'package')}: {count(new, 'file')} new, {gone:,} gone, {changed:,} changed,"
        f" {_signed(growth)}"
    )


def _signed(growth: int) -> str:
    return f"{'+' if growth > 0 else '-'}{size(abs(growth))}" if growth else "-"


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


def _unlike() -> UsageError:
    return UsageError("cannot compare a trace with an image or a lock", "name two traces, or no trace")


def _in_file(text: str) -> Side | Trace | None:
    """The lock or the trace in the file that a word of the command line names; None where it names none."""
    path = Path(text)
    if not path.is_file():
        return None
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {text}: {error.strerror}", "name a lock, a trace or an image") from error
    if data.startswith(lock.MAGIC.encode()):
        locked = lock.parse(data, text)
        return Side(text, locked.manifest, locked.packages)
    return trace.parse(data, text)


def _of_image(text: str, engines: Engines) -> Side:
    with engines.opened(text) as source:
        rootfs = source.rootfs()
        packages = dpkg.read(rootfs)
        return Side(text, full_manifest(rootfs, packages), installed_packages(packages))
