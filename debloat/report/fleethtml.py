"""A fleet as one self-contained page, in the dress of the report of one image (`html`)."""

from __future__ import annotations

from debloat.core.text import count, saving, size
from debloat.fleet.model import FleetReport, InLayers, Outcome, Sharing, Status
from debloat.report.markup import bar, escaped, figure, page, part, path_of, section, table

_KINDS = {Status.DONE: "same", Status.UNCHANGED: "same", Status.PENDING: "gone"}
"""How a status is dressed; all others have failed."""


def render(report: FleetReport) -> str:
    """The page as HTML text."""
    parts = (
        _header(report),
        _failures(report),
        _images(report),
        _shared(report.sharing),
        _workers(report),
        _made(report),
    )
    return page(f"{report.fleet}: debloat fleet {report.verb}", parts, part("page.css"), part("page.js"))


def _header(report: FleetReport) -> str:
    waiting = report.count(Status.PENDING)
    images = count(len(report.outcomes), "image")
    if report.failures:
        badge, text = "bad", f"{len(report.failures)} of {images} failed"
    elif waiting or not report.outcomes:
        badge, text = "warn", f"{waiting} of {images} not done yet"
    else:
        badge, text = "good", f"{images}, all well"
    figures = [("images", f"{len(report.outcomes):,}")]
    figures += [(str(status), f"{report.count(status):,}") for status in Status if report.count(status)]
    figures += [("time", f"{report.seconds:,.0f} s")] if report.seconds else []
    cards = "".join(f"<div><dt>{title}</dt><dd>{text}</dd></div>" for title, text in figures)
    return "\n".join(
        (
            "<header>",
            f'<p class="verdict"><span class="badge {badge}">{text}</span></p>',
            f'<h1><span class="from">{escaped(f"debloat fleet {report.verb}")}</span> {escaped(report.fleet)}</h1>',
            _sizes(report),
            f'<dl class="figures">{cards}</dl>',
            "</header>",
        )
    )


def _sizes(report: FleetReport) -> str:
    """The picture: bytes before, after, and with layers shared."""
    before, after, sharing = report.bytes_before, report.bytes_after, report.sharing
    if not before:
        return ""
    rows = [("original", before), ("minimal", after)]
    if sharing is not None and sharing.before:
        # What is shared is counted in bytes of layers: the same part of the bytes of files.
        after = round(after * sharing.after / sharing.before)
        rows.append(("shared", after))
    largest = max(value for _, value in rows)
    bars = "".join(
        f'<span>{title}</span><b class="n">{size(value)}</b><span class="bar {title}">{bar(value, largest)}</span>'
        for title, value in rows
    )
    kind = "grew" if after > before else "proven" if report.passed else "unproven"
    change = f'<div class="saving {kind}">{saving(after, before)}</div>'
    return f'<div class="sizes">{change}<div class="bars">{bars}</div></div>'


def _failures(report: FleetReport) -> str:
    if not report.failures:
        return ""
    rows = (
        f'<tr><td class="word differs">{row.status}</td><td class="wide">{path_of(row.name)}'
        f'<div class="detail differs">{escaped(row.error)}</div>'
        f'<div class="detail">{escaped(row.hint)}</div></td><td>{path_of(row.log) if row.log else ""}</td></tr>'
        for row in report.failures
    )
    return section("Failures", "What somebody has to look at.", table(("", "image", "log"), rows))


def _images(report: FleetReport) -> str:
    if not report.outcomes:
        return ""
    present = [status for status in Status if report.count(status)]
    options = "".join(f'<option value="{status}">{status} ({report.count(status)})</option>' for status in present)
    controls = (
        '<div class="controls" id="filter" hidden>'
        '<input id="filter-text" type="search" placeholder="name of an image" aria-label="name of an image">'
        '<select id="filter-state" aria-label="status">'
        f'<option value="">all ({len(report.outcomes)})</option>{options}</select>'
        '<small id="filter-shown" role="status"></small></div>'
    )
    largest = max((row.bytes_before for row in report.outcomes), default=0)
    heads = ("image", "status", "result", "#before", "#after", "#change", "", "#seconds")
    return section(
        "Images",
        "Each image of the fleet, and what became of it. The bar is its size after, out of the largest before.",
        controls,
        table(heads, (_image(row, largest) for row in report.outcomes), ' class="sortable filtered"'),
    )


def _image(row: Outcome, largest: int) -> str:
    sized = row.status.well and row.bytes_before >= 0 and row.bytes_after >= 0
    change = 1 - row.bytes_after / row.bytes_before if sized and row.bytes_before else 0.0
    return (
        f'<tr data-state="{row.status}"><td class="wide">{path_of(row.name)}</td>'
        f'<td class="word {_KINDS.get(row.status, "differs")}">{row.status}</td>'
        f"<td>{path_of(row.target) if row.status.well else ''}</td>"
        f"{figure(row.bytes_before, size(row.bytes_before) if row.bytes_before >= 0 else '')}"
        f"{figure(row.bytes_after, size(row.bytes_after) if sized else '')}"
        f"{figure(round(change, 4), saving(row.bytes_after, row.bytes_before) if sized else '')}"
        f'<td class="share">{bar(row.bytes_after, largest) if sized else ""}</td>'
        f"{figure(row.seconds, f'{row.seconds:.1f}' if row.seconds else '')}</tr>"
    )


def _shared(sharing: Sharing | None) -> str:
    if sharing is None:
        return ""
    rows = (("in one layer each", sharing.before), ("each layer once", sharing.after), ("of it shared", sharing.shared))
    bars = "".join(
        f'<span>{title}</span><b class="n">{size(value)}</b><span class="bar">{bar(value, sharing.before)}</span>'
        for title, value in rows
    )
    heads = ("result", "#in one layer", "#in layers", "#its own", "#layers", "")
    return section(
        "Shared layers",
        f"{count(sharing.layers, 'layer')} of several images each, at most {sharing.most} an image: "
        f"{saving(sharing.after, sharing.before)} of the bytes that registries and machines keep.",
        f'<div class="bars">{bars}</div>',
        table(heads, map(_layers_of, sharing.images), ' class="sortable"'),
    )


def _layers_of(image: InLayers) -> str:
    return (
        f'<tr><td class="wide">{path_of(image.target)}</td>{figure(image.single, size(image.single))}'
        f"{figure(image.size, size(image.size))}{figure(image.own, size(image.own))}"
        f'{figure(image.layers, str(image.layers))}<td class="share">{bar(image.own, image.size)}</td></tr>'
    )


def _workers(report: FleetReport) -> str:
    if not report.workers:
        return ""
    did = {worker.name: [row for row in report.outcomes if row.worker == worker.name] for worker in report.workers}
    rows = (
        f'<tr><td class="wide">{path_of(worker.name)}</td><td>{path_of(worker.engine)}</td>'
        f"{figure(worker.slots, str(worker.slots))}{figure(len(did[worker.name]), f'{len(did[worker.name]):,}')}"
        f"{figure(sum(r.seconds for r in did[worker.name]), f'{sum(r.seconds for r in did[worker.name]):,.0f}')}</tr>"
        for worker in report.workers
    )
    heads = ("worker", "engine", "#at a time", "#images", "#seconds of work")
    return section("Workers", "Who carried it out.", table(heads, rows, ' class="sortable"'))


def _made(report: FleetReport) -> str:
    rows = (("fleet", report.fleet), ("verb", str(report.verb)), ("by", report.executor), ("made by", report.tool))
    facts = "".join(f"<dt>{title}</dt><dd><code>{escaped(value)}</code></dd>" for title, value in rows if value)
    return section(
        "Run", "The same images, recipes and locks give the same results.", f'<dl class="identity">{facts}</dl>'
    )
