"""The report as one self-contained HTML page: it makes no request and runs no script but its own.

What a report says is complete without the script, which sorts and filters tables. The map and the list of all paths are
drawn by it, out of data that it reads as text (`pagedata`); a library lays out the map (`vendor/README.md`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from debloat.core.text import count, saving, size
from debloat.report import pagedata
from debloat.report.inspectterminal import instruction
from debloat.report.markup import bar, escaped, figure, lines_of, page, part, path_of, section, table
from debloat.report.pagedata import NOTHING, PageContents, Point
from debloat.result import Report
from debloat.verify import Comparison

_LISTS = (
    ("setuid", "setuid, setgid", "Files that run with the rights of their owner or group."),
    ("shells", "shells", "Interpreters of commands in directories for programs."),
    ("package_managers", "package managers", "Programs that fetch and install more."),
    ("world_writable", "writable by all", "Files and directories without the sticky bit that any user may change."),
)
_SURFACE = (
    ("capabilities", "capabilities", "Files that run with rights beyond those of who starts them."),
    ("interpreters", "interpreters", "Programs that run a script, in directories for programs."),
    ("network_tools", "network tools", "Programs that reach, scan or listen to a network."),
    ("vulnerabilities", "vulnerabilities", "What a scanner's report or the security tracker has for the packages."),
)
_STATES = {"kept": "whole", "partly": "in part", "gone": "gone"}


def render(report: Report, contents: PageContents = NOTHING) -> str:
    """The page as HTML text; with the contents of the original, every path of it as a map and as a list."""
    style, script = part("page.css"), part("page.js")
    if contents.lines:
        script = part("vendor/d3-hierarchy.min.js") + part("pagemap.js") + part("pagefiles.js") + script
    parts = (
        _header(report),
        _probes(report),
        _bullets("Notes", "What was imperfect about this run.", report.notes),
        _map(contents),
        _files(report, contents),
        _attack(report),
        _packages(report),
        _layers(contents),
        _earlier(report, contents.earlier),
        _healed(report),
        _rules(report),
        _stages(report),
        _identity(report),
    )
    data = pagedata.script(contents) if contents.lines else ""
    return page(f"{report.result or report.reference}: debloat", parts, style, script, data)


def _badge(report: Report) -> str:
    bad = sum(bool(a.difference) for a in report.answers)
    answers = count(len(report.answers), "answer")
    if bad:
        kind, text = "bad", f"{bad} of {answers} differ from the original's"
    elif not report.verified:
        kind, text = "warn", "not verified: nothing was replayed"
    else:
        kind, text = "good", f"proven: {answers}, all as the original's"
    return f'<p class="verdict"><span class="badge {kind}">{text}</span></p>'


def _header(report: Report) -> str:
    before, after = report.before, report.after
    largest = max(before.bytes, after.bytes)
    kind = "grew" if after.bytes > before.bytes else "proven" if report.passed and report.verified else "unproven"
    bars = "".join(
        f'<span>{title}</span><b class="n">{size(value)}</b><span class="bar {title}">{bar(value, largest)}</span>'
        for title, value in (("original", before.bytes), ("minimal", after.bytes))
    )
    figures = [("files", f"{before.files:,}", f"{after.files:,}"), ("packages", before.packages, after.packages)]
    figures += [(title, len(getattr(before, key)), len(getattr(after, key))) for key, title, _ in _LISTS]
    cards = "".join(
        f'<div><dt>{title}</dt><dd><span class="was">{was} &rarr;</span> {now}</dd></div>'
        for title, was, now in figures
    )
    return "\n".join(
        (
            "<header>",
            _badge(report),
            f'<h1><span class="from">{escaped(report.reference)} &rarr;</span> '
            f"{escaped(report.result) or 'not tagged'}</h1>",
            f'<div class="sizes"><div class="saving {kind}">{saving(after.bytes, before.bytes)}</div>',
            f'<div class="bars">{bars}</div></div>',
            f'<dl class="figures">{cards}</dl>',
            "</header>",
        )
    )


def _probes(report: Report) -> str:
    if not report.answers:
        return ""
    several = len({a.scenario for a in report.answers}) > 1
    heads = ("", *(("scenario",) if several else ()), "probe", "original", "minimal")
    rows = (_probe(answer, several) for answer in report.answers)
    return section(
        "Probes", "What the original was asked, and what the minimal image answered to the same.", table(heads, rows)
    )


def _probe(answer: Comparison, several: bool) -> str:
    kind = "differs" if answer.difference else "excused" if answer.note else "same"
    explanation = answer.difference or answer.note
    details = [f'<div class="detail {kind}">{escaped(explanation)}</div>'] if explanation else []
    details += (
        f'<div class="detail">{title}: {lines_of(result.detail)}</div>'
        for title, result in (("original", answer.before), ("minimal", answer.after))
        if result.detail and result.detail not in explanation
    )
    first = f"<td>{escaped(answer.scenario)}</td>" if several else ""
    return (
        f'<tr><td class="word {kind}">{kind}</td>{first}'
        f'<td class="wide">{path_of(answer.before.name)}{"".join(details)}</td>'
        f'<td class="word">{escaped(answer.before.outcome())}</td>'
        f'<td class="word">{escaped(answer.after.outcome())}</td></tr>'
    )


def _map(contents: PageContents) -> str:
    if not contents.lines:
        return ""
    choices = "".join(
        f'<label><input type="radio" name="map-by" value="{value}"{checked}> {text}</label>'
        for value, text, checked in (("directory", "by directory", " checked"), ("package", "by package", ""))
    )
    legend = "".join(
        f'<span><svg class="key" viewBox="0 0 24 12" aria-hidden="true"><rect class="gone" width="24" height="12"/>'
        f'<rect class="kept" width="{width}" height="12"/></svg>{text}</span>'
        for text, width in (("stays", 24), ("stays in part: so much of it", 10), ("gone", 0))
    )
    return section(
        "Where the bytes are",
        "An area is the size of files. Choose one to go into it; arrow keys move, Enter goes in, Backspace back out.",
        f'<div id="map" hidden><div class="controls"><fieldset><legend>Areas</legend>{choices}</fieldset>'
        '<nav aria-label="place in the map"><ol id="map-way"></ol></nav></div>'
        '<svg id="map-areas" role="group" aria-label="map of the original image"></svg>'
        f'<p class="legend">{legend}</p><p id="map-said" role="status"></p></div>',
        '<p id="map-none">The map is drawn by a script, which does not run here.</p>',
    )


def _files(report: Report, contents: PageContents) -> str:
    if not contents.lines:
        return ""
    left_out = len(contents.lines) - len(pagedata.shown(contents.lines))
    more = f" {left_out:,} small files that do not stay are left out." if left_out else ""
    options = "".join(
        f'<option value="{value}">{text}</option>'
        for value, text in (("", "kept and gone"), ("kept", "kept"), ("gone", "gone"))
    )
    heads = "".join(
        f'<th scope="col" data-by="{by}"{" class=n" if by == "size" else ""}>{title}</th>'
        for by, title in (
            ("path", "path"),
            ("state", "state"),
            ("size", "size"),
            ("package", "package"),
            ("why", "for"),
        )
    )
    return section(
        "Every path",
        "All that the original has, and what became of it. Choose a path to see for what it stays, step by step."
        + more,
        '<div id="files" hidden><div class="controls">'
        '<input id="files-text" type="search" placeholder="part of a path" aria-label="part of a path">'
        f'<select id="files-state" aria-label="state">{options}</select>'
        '<button type="button" id="files-scope" hidden></button><small id="files-shown" role="status"></small></div>'
        '<div id="files-rows" class="rows" tabindex="0" role="region" aria-label="paths">'
        f'<table aria-label="paths"><thead><tr>{heads}</tr></thead><tbody></tbody></table></div>'
        '<div id="chain" aria-live="polite" hidden></div></div>',
        f'<p id="files-none">The list is made by a script, which does not run here; <code>debloat why '
        f"{escaped(report.result or report.reference)} PATH</code> tells of one path.</p>",
    )


def _layers(contents: PageContents) -> str:
    if not contents.layers:
        return ""
    stays = [0] * len(contents.layers)
    for line in contents.lines:
        if line.step is not None and 0 <= line.layer < len(stays):
            stays[line.layer] += line.size
    rows = (
        f"<tr>{figure(number, str(number))}{figure(layer.bytes, size(layer.bytes) if layer.known else 'unknown')}"
        f"{figure(layer.files, f'{layer.files:,}')}{figure(layer.hidden, size(layer.hidden))}"
        f"{figure(stays[number - 1], size(stays[number - 1]))}"
        f'<td class="share">{bar(stays[number - 1], layer.bytes)}</td>'
        f'<td class="wide">{path_of(instruction(layer.created_by))}</td></tr>'
        for number, layer in enumerate(contents.layers, 1)
    )
    heads = ("#", "#size", "#files", "#hidden later", "#stays", "", "made by")
    return section(
        "Layers of the original",
        "What each brought, what of it a later one hides, and what of it is in the minimal image.",
        table(heads, rows, ' class="sortable"'),
    )


def _earlier(report: Report, points: Sequence[Point]) -> str:
    if not points:
        return ""
    after = report.after
    points = (*points, Point("this run", after.bytes, after.files, after.packages))
    top = max(p.bytes for p in points)
    rows = (
        f"<tr><td>{path_of(point.title)}</td>{figure(point.bytes, size(point.bytes))}"
        f'<td class="when">{bar(point.bytes, top)}</td>'
        f'<td class="n">{saving(point.bytes, points[number - 1].bytes) if number else ""}</td>'
        f"{figure(point.files, f'{point.files:,}')}{figure(point.packages, str(point.packages))}</tr>"
        for number, point in enumerate(points)
    )
    return section(
        "Over time",
        "Minimal images of earlier, as their locks have them, and this one.",
        table(("which", "#size", "", "#change", "#files", "#packages"), rows),
    )


def _attack(report: Report) -> str:
    surface, made = report.surface, report.seccomp and report.seccomp.profile
    rows = [
        f'<tr><td class="wide">{title}</td>{figure(was, text(was))}{figure(now, text(now))}<td></td></tr>'
        for title, was, now, text in (
            ("ELF files", surface.before.elf, surface.after.elf, "{:,}".format),
            ("code in them", surface.before.executable_bytes, surface.after.executable_bytes, size),
            *([("system calls", made.default, len(made.allowed), "{:,}".format)] if made else ()),
        )
    ]
    lists = [(getattr(report.before, key), getattr(report.after, key), *words) for key, *words in _LISTS]
    lists += [
        (getattr(surface.before, key), getattr(surface.after, key) or (), *words)
        for key, *words in _SURFACE
        if getattr(surface.before, key) is not None
    ]
    for was, now, title, about in lists:
        gone = sorted(set(was) - set(now))
        rows.append(
            f'<tr><td class="wide">{title}<br><small>{about}</small></td>{figure(len(was), str(len(was)))}'
            f'{figure(len(now), str(len(now)))}<td class="wide">{_items(now)}'
            + (f"<details><summary>{len(gone)} removed</summary>{_items(gone)}</details>" if gone else "")
            + "</td></tr>"
        )
    heads = ("", "#original", "#minimal", "which")
    return section("What an attacker would like", "By path, before and after.", table(heads, rows))


def _items(paths: Iterable[str]) -> str:
    items = "".join(f"<li>{path_of(path)}</li>" for path in paths)
    return f"<ul>{items}</ul>" if items else ""


def _packages(report: Report) -> str:
    if not report.packages:
        return ""
    states: list[str] = [p.state for p in report.packages]
    options = "".join(
        f'<option value="{state}">{text} ({states.count(state)})</option>' for state, text in _STATES.items()
    )
    controls = (
        '<div class="controls" id="filter" hidden>'
        '<input id="filter-text" type="search" placeholder="name of a package" aria-label="name of a package">'
        f'<select id="filter-state" aria-label="state"><option value="">all ({len(states)})</option>{options}</select>'
        '<small id="filter-shown" role="status"></small></div>'
    )
    rows = (
        f'<tr data-state="{escaped(p.state)}"><td>{path_of(p.name)}</td><td>{path_of(p.version)}</td>'
        f'<td class="{escaped(p.state)}">{_STATES[p.state]}</td>'
        f"{figure(p.kept_files, f'{p.kept_files:,} of {p.total_files:,}')}"
        f"{figure(p.kept_bytes, size(p.kept_bytes))}{figure(p.total_bytes, size(p.total_bytes))}"
        f'<td class="share">{bar(p.kept_bytes, p.total_bytes)}</td></tr>'
        for p in sorted(report.packages, key=lambda p: (-p.kept_bytes, -p.total_bytes, p.name))
    )
    heads = ("package", "version", "state", "#files kept", "#kept", "#of", "")
    return section(
        "Packages",
        f"{states.count('kept')} stay whole, {states.count('partly')} in part, {states.count('gone')} are gone. "
        "Whole is all but documentation; a package that is gone has no entry in the package database either.",
        controls,
        table(heads, rows, ' id="packages" class="sortable filtered"'),
    )


def _bullets(title: str, about: str, items: Sequence[str]) -> str:
    return section(title, about, f"<ul>{''.join(f'<li>{lines_of(i)}</li>' for i in items)}</ul>") if items else ""


def _healed(report: Report) -> str:
    if not report.healed:
        return ""
    rows = (
        f"<tr><td>{path_of(w.path)}</td><td>{path_of(w.source)}</td><td>{escaped(w.detail)}</td></tr>"
        for w in report.healed
    )
    return section(
        "Healed",
        f"{count(len(report.healed), 'path')} that the recording did not ask for and the replay did: added, and "
        "replayed again.",
        table(("path", "missed by", "how"), rows, ' class="sortable"'),
    )


def _rules(report: Report) -> str:
    if not report.rules:
        return ""
    shares = sorted(report.rules, key=lambda r: (-r.alone, -r.paths, r.rule))
    rows = (
        f"<tr><td>{path_of(r.rule)}</td>{figure(r.alone, f'{r.alone:,}')}{figure(r.paths, f'{r.paths:,}')}</tr>"
        for r in shares
    )
    return section(
        "Why files stay",
        "Paths by the rule that keeps them: those that no other rule wanted, and all it had a part in. "
        "<code>debloat why IMAGE PATH</code> tells of one path.",
        table(("rule", "#alone", "#in all"), rows, ' class="sortable"'),
    )


def _stages(report: Report) -> str:
    if not report.stages:
        return ""
    total = sum(s.seconds for s in report.stages)
    return section("Time", f"{total:.1f} s in all.", table(("stage", "#seconds", ""), _timeline(report, total)))


def _timeline(report: Report, total: float) -> Iterator[str]:
    start = 0.0
    for stage in report.stages:
        yield (
            f"<tr><td>{escaped(stage.name)}</td>{figure(round(stage.seconds, 3), f'{stage.seconds:.2f}')}"
            f'<td class="when">{bar(stage.seconds, total, start)}</td></tr>'
        )
        start += stage.seconds


def _identity(report: Report) -> str:
    rows = (
        ("original", report.reference),
        ("its ID", report.image_id),
        ("minimal", report.result or "not tagged"),
        ("its ID", report.result_id),
        ("layer", report.layer),
        ("level", report.level),
        ("recorded by", ", ".join(report.mechanisms) or "nothing"),
        ("made by", report.tool),
    )
    facts = "".join(f"<dt>{title}</dt><dd><code>{escaped(value)}</code></dd>" for title, value in rows if value)
    return section("Identity", "The same input gives the same layer.", f'<dl class="identity">{facts}</dl>')
