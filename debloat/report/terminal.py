"""The summary of a run for people, and live progress; both on stderr."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from debloat.core.progress import Progress, Stage
from debloat.core.surfaces import Surface, Surfaces
from debloat.core.text import count, name, saving, size

if TYPE_CHECKING:
    from debloat.profile.prove import Profiled
    from debloat.result import Report
    from debloat.verify import Comparison

_SHOWN = 6
"""Names of a list before it is cut with a count."""

_ANSWERS = 5
"""Answers that are shown: the summary stays on one screen."""

_WIDE = 10**6
"""The width of a pipe: nothing is cut to fit it."""

_LISTS = (
    ("setuid, setgid", "setuid"),
    ("shells", "shells"),
    ("package managers", "package_managers"),
    ("writable by all", "world_writable"),
)
_LABEL = max(len(title) for title, _ in _LISTS)
_MARGIN = _LABEL + 4
"""Columns before the text of a row."""
_BAR = 24

_WIDER = {"exact": "safe", "safe": "package"}


def console(quiet: bool = False) -> Console:
    """A console on stderr that never interprets markup in what it is given as `Text`."""
    return Console(file=sys.stderr, highlight=False, quiet=quiet, soft_wrap=True)


def interactive(out: Console) -> bool:
    """Whether output goes to a terminal that can move its cursor. FORCE_COLOR only colours a pipe."""
    return out.file.isatty() and not out.is_dumb_terminal


class _Running:
    """The stage under way: a spinner, its name, the seconds so far and the last line of detail, cut to one line."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._begun = time.monotonic()
        self._spinner = Spinner("dots", style="cyan")
        self.detail = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        now = time.monotonic()
        text = Text(_stage_line(self._stage, now - self._begun)[2:])
        text.append(f"  {self.detail}" if self.detail else "", style="dim")
        text.truncate(max(options.max_width - 3, 1), overflow="ellipsis")
        self._spinner.update(text=text)
        yield self._spinner.render(now)


class TerminalProgress(Progress):
    """Stages as they happen: a spinner on a terminal, plain lines in a pipe."""

    def __init__(self, quiet: bool = False, verbose: bool = False) -> None:
        self._console = console(quiet)
        self._watched = interactive(self._console) and not quiet
        self._verbose = verbose
        self._live: Live | None = None
        self._running: _Running | None = None

    def begin(self, name: str) -> None:
        if self._watched:
            self._running = _Running(name)
            self._live = Live(self._running, console=self._console, transient=True, refresh_per_second=8)
            self._live.start()

    def end(self, stage: Stage) -> None:
        self._stop()
        if self._verbose or stage.seconds >= 0.05:
            self._console.print(Text(_stage_line(stage.name, stage.seconds), style="dim"))

    def say(self, text: str) -> None:
        if (running := self._running) is not None:  # which another thread may end meanwhile
            running.detail = name(text)
        if self._verbose or not self._watched:
            self._console.print(Text(f"  {name(text)}", style="dim"))

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
        self._live = self._running = None


def _stage_line(stage: str, seconds: float) -> str:
    return f"  {stage:<{_LABEL}} {seconds:7.1f} s"


def summary(report: Report, quiet: bool = False, command: str = "docker", choice: str = "") -> None:
    """Print the summary of a finished run; `command` is the engine's own, `choice` the one that was asked for."""
    out = console(quiet)
    watched = interactive(out)
    bar = watched and not out.options.ascii_only
    for line in lines(report, out.width if watched else _WIDE, bar=bar, command=command, choice=choice):
        out.print(line)


def lines(
    report: Report, width: int = _WIDE, *, bar: bool = False, command: str = "docker", choice: str = ""
) -> Iterator[Text]:
    """The lines of the summary. Names and lists are cut to `width` columns, references are not: they get copied."""
    yield Text()
    yield from _heading(report, width)
    yield Text()
    yield from _figures(report, width, bar)
    yield Text()
    yield from _proof(report, width)
    if report.seccomp:
        yield from _profile(report.seccomp)
    if report.healed:
        sample = [w.path for w in report.healed]
        healed = count(len(sample), "path")
        yield _row(
            "healed", Text(f"{healed}: {_names_that_fit(sample, width - _MARGIN - 2 - len(healed))}"), style="yellow"
        )
    for note in report.notes:
        yield from _wrapped("note", name(note), width, "yellow")
    yield Text()
    yield from _next_steps(report, command, choice)


def _heading(report: Report, width: int) -> Iterator[Text]:
    seconds = sum(s.seconds for s in report.stages)
    yield _row("original", Text(name(report.reference)))
    made = Text(name(report.result) if report.result else "not tagged", style="bold" if report.result else "bold red")
    how = Text(f"level {report.level}, {seconds:.1f} s", style="not bold dim")
    if _MARGIN + len(made) + len(how) + 4 <= width:
        yield _row("minimal", made.append("  (").append_text(how).append(")", style="not bold dim"))
    else:
        yield _row("minimal", made)
        yield _row("", how)


def _row(title: str, text: Text, style: str = "dim") -> Text:
    return Text("  ").append(f"{title:<{_LABEL}}", style=style).append("  ").append_text(text)


def _wrapped(title: str, text: str, width: int, style: str) -> Iterator[Text]:
    """A row whose text is wrapped where it is too long for a line."""
    for piece in textwrap.wrap(text, max(width - _MARGIN, 20), break_on_hyphens=False) or [""]:
        yield _row(title, Text(piece), style)
        title = ""


def _figures(report: Report, width: int, bar: bool) -> Iterator[Text]:
    before, after = report.before, report.after
    states = [p.state for p in report.packages]
    whole, partly = states.count("kept"), states.count("partly")
    for title, was, now, text in (
        ("size", before.bytes, after.bytes, size),
        ("files", before.files, after.files, "{:,}".format),
        ("packages", before.packages, after.packages, "{:,}".format),
    ):
        row = _change(text(was), text(now)).append(f"  {saving(now, was):>6}", style="bold green" if now < was else "")
        if title == "size" and bar and _MARGIN + len(row) + 2 + _BAR <= width:
            row.append("  ").append_text(_bar(now, was))
        states_text = f"  {whole} whole, {partly} in part"
        if title == "packages" and _MARGIN + len(row) + len(states_text) <= width:
            row.append(states_text, style="dim")
        yield _row(title, row)
    for title, attribute in _LISTS:
        yield _row(title, _list(getattr(before, attribute), getattr(after, attribute), width))
    yield from _surface(report.surface, width)


def _surface(surface: Surfaces, width: int) -> Iterator[Text]:
    """What of the attack surface is not in the footprint."""
    before, after = surface.before, surface.after
    if before.elf:
        row = _change(size(before.executable_bytes), size(after.executable_bytes))
        row.append(f"  {saving(after.executable_bytes, before.executable_bytes):>6}")
        said = f"  in {before.elf:,} -> {after.elf:,} ELF files"
        yield _row("code", row.append(said if _MARGIN + len(row) + len(said) <= width else "", style="dim"))
    for title, was, now in (
        ("capabilities", before.capabilities, after.capabilities),
        ("tools", _tools(before), _tools(after)),
        ("vulnerabilities", before.vulnerabilities or (), after.vulnerabilities or ()),
    ):
        if was or now:
            yield _row(title, _list(was, now, width))


def _tools(surface: Surface) -> tuple[str, ...]:
    """What runs scripts or speaks to a network, by path."""
    return tuple(sorted({*surface.interpreters, *surface.network_tools}))


def _change(was: str, now: str) -> Text:
    return Text(f"{was:>8}").append(" -> ", style="dim").append(f"{now:>8}")


def _bar(part: int, whole: int) -> Text:
    filled = min(_BAR, max(1, round(_BAR * part / whole))) if whole and part else 0
    return Text("█" * filled, style="green").append("█" * (_BAR - filled), style="bright_black")


def _list(was: Sequence[str], now: Sequence[str], width: int) -> Text:
    row = _change(f"{len(was):,}", f"{len(now):,}")
    return row.append(f"  {_names_that_fit(now, width - _MARGIN - len(row) - 2)}", style="dim") if now else row


def _names_that_fit(names: Iterable[str], room: int) -> str:
    """As many names as fit, the first at least in part, and how many more there are."""
    shown: list[str] = []
    listed = [name(n) for n in names]
    room -= len(f" +{len(listed)} more")
    for one in listed[:_SHOWN]:
        if not shown:
            one = _ellipsis(one, max(room, 8))
        elif len(", ".join([*shown, one])) > room:
            break
        shown.append(one)
    rest = len(listed) - len(shown)
    return ", ".join(shown) + (f" +{rest} more" if rest else "")


def _ellipsis(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"


def _proof(report: Report, width: int) -> Iterator[Text]:
    """The answers of the probes: all, or of many those that differ or are excused and a few others."""
    answers, bad = report.answers, [a for a in report.answers if a.difference]
    if not report.verified:
        yield _row("proof", Text("not verified: nothing was replayed on the minimal image", style="yellow"))
        return
    if bad:
        verdict = Text(f"{len(bad)} of {count(len(answers), 'answer')} differ from the original's", style="bold red")
    else:
        verdict = Text(f"{count(len(answers), 'answer')}, all as the original's", style="bold green")
    yield _row("proof", verdict)
    notable = [a for a in answers if a.difference or a.note]
    plain = [a for a in answers if not (a.difference or a.note)][: max(0, _ANSWERS - len(notable))]
    shown = [a for a in answers if a in notable or a in plain]
    several = len({a.scenario for a in answers}) > 1
    # A scenario that is one run bears the name of the run: once is enough.
    labels = [
        name(a.before.name if not several or a.before.name.endswith(a.scenario) else f"{a.scenario}: {a.before.name}")
        for a in shown
    ]
    outcome = max((len(a.after.outcome()) for a in shown), default=0)
    room = min(max(map(len, labels), default=0), max(20, width - _MARGIN - 2 - outcome))
    for label, answer in zip(labels, shown, strict=True):
        yield from _answer(label, answer, room, width)
    if len(answers) > len(shown):
        yield _row("", Text(f"and {len(answers) - len(shown)} more, the same", style="dim"))


def _profile(made: Profiled) -> Iterator[Text]:
    """How much of what Docker's default profile allows is left."""
    row = Text(f"{len(made.profile.allowed)} of the default profile's {count(made.profile.default, 'system call')}")
    bad = sum(bool(a.difference) for a in made.answers)
    row.append(f", and under it {count(bad, 'answer')} differ" if bad else ", proven", style="red" if bad else "green")
    yield _row("seccomp", row)


def _answer(label: str, answer: Comparison, room: int, width: int) -> Iterator[Text]:
    text = Text(f"{_ellipsis(label, room):<{room}}  ")
    if not (explanation := answer.difference or answer.note):
        yield _row("  same", text.append(answer.after.outcome(), style="dim"), style="green")
        return
    title, style = ("  differs", "red") if answer.difference else ("  excused", "yellow")
    if _MARGIN + len(text) + len(name(explanation)) <= width:
        yield _row(title, text.append(name(explanation)), style)
    else:
        yield from _wrapped(title, label, width, style)
        yield from _wrapped("", name(explanation), width, style)


def _next_steps(report: Report, command: str, choice: str) -> Iterator[Text]:
    if report.result:
        result = name(report.result)
        why = f"debloat why {result} PATH{choice and f' --engine {choice}'}"
        if command:
            made = report.seccomp
            step = f"{command} run {result}"
            if made and made.passed:
                step = f"{command} run --security-opt seccomp={name(made.file)} {result}"
            yield _row("next", Text(step, style="bold"))
        yield _row("" if command else "next", Text(why, style="" if command else "bold"))
        if command and report.before.shells and not report.after.shells:
            yield _row("", Text("debloat debug CONTAINER  (there is no shell in it)"))
    elif wider := _WIDER.get(report.level):
        yield _row("next", Text(f"the same command with --level {wider}", style="bold"))


def differences(answers: Iterable[Comparison]) -> str:
    """The differences of answers, one line for each probe that differs."""
    return "\n".join(f"  {name(a.before.name)}: {name(a.difference)}" for a in answers if a.difference)


def verdict_hint(report: Report) -> str:
    """The hint for a minimal image that answers differently: a higher level, or what to keep."""
    wider = _WIDER.get(report.level)
    kept = "it was tagged anyway (--force)" if report.result else "it was not tagged"
    return (f"try --level {wider}, or " if wider else "") + f"keep what it misses with --keep GLOB; {kept}"


__all__ = ["TerminalProgress", "console", "differences", "interactive", "lines", "summary", "verdict_hint"]
