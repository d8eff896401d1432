"""The summary and the progress: what a person reads on a terminal, what is left of it in a pipe."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable

import pytest
from msgspec.structs import replace
from rich.console import Console

from debloat.core.model import Want
from debloat.core.progress import Stage
from debloat.core.text import name
from debloat.report import terminal
from debloat.result import Report
from debloat.verify import Comparison
from tests.support.reports import DIFFERING, EMPTY, EVIL, HOSTILE, OK, PLAIN, PROFILED, REPORTS

everywhere = pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS.keys())


def plain(report: Report, width: int = 10**6, *, bar: bool = False) -> list[str]:
    return [line.plain for line in terminal.lines(report, width, bar=bar)]


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Screen]:
    """Makes stderr a terminal; within the test, since the runner sets streams anew for each phase."""

    def begin() -> Screen:
        screen = Screen()
        monkeypatch.setattr(sys, "stderr", screen)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.delenv("NO_COLOR", raising=False)
        return screen

    return begin


def test_a_profile_and_how_to_run_under_it() -> None:
    more = [line for line in plain(PROFILED) if line not in plain(PLAIN)]
    assert more == [
        "  seccomp           3 of the default profile's 309 system calls, proven",
        "  next              docker run --security-opt seccomp=shop.json shop:1-slim",
    ]


def test_the_lines_of_a_summary() -> None:
    assert plain(PLAIN) == [
        "",
        "  original          shop:1",
        "  minimal           shop:1-slim  (level safe, 5.0 s)",
        "",
        "  size               88.4 MB ->  11.7 MB   -87 %",
        "  files                4,014 ->      747   -81 %",
        "  packages               105 ->        2   -98 %  1 whole, 1 in part",
        "  setuid, setgid           1 ->        0",
        "  shells                   2 ->        1  /usr/bin/sh",
        "  package managers         1 ->        0",
        "  writable by all          0 ->        0",
        "  code               38.3 MB ->   4.1 MB   -89 %  in 734 -> 31 ELF files",
        "  tools                    2 ->        0",
        "",
        "  proof             2 answers, all as the original's",
        "    same            http GET http://:80/  status 200",
        "    same            stop                  exit code 0",
        "",
        "  next              docker run shop:1-slim",
        "                    debloat why shop:1-slim PATH",
    ]


def test_what_differs_stands_out_and_the_next_step_is_named() -> None:
    text = "\n".join(plain(DIFFERING))
    assert "not tagged" in text
    assert "1 of 2 answers differ" in text
    assert "differs         http GET http://:80/  status 200 before, status 500 now" in text
    assert "next              the same command with --level package" in text
    assert "docker run" not in text


@pytest.mark.parametrize(("choice", "why"), [("", "PATH"), ("embedded", "PATH --engine embedded")])
def test_the_next_step_is_on_the_engine_that_was_asked_for(choice: str, why: str) -> None:
    steps = [line.plain.split("  ")[-1].strip() for line in terminal.lines(PLAIN, command="", choice=choice)]
    assert f"debloat why {PLAIN.result} {why}" in steps


def test_not_verified_is_said() -> None:
    assert any("not verified" in line for line in plain(EMPTY))


def test_what_differs_is_never_cut() -> None:
    same = tuple(Comparison("default", replace(OK, name=f"http GET /{i}"), OK) for i in range(20))
    bad = tuple(Comparison("default", replace(OK, name=f"exec bad {i}"), OK, f"wrong {i}") for i in range(9))
    text = "\n".join(plain(replace(PLAIN, answers=same + bad, result="")))
    assert text.count("differs  ") == 9
    assert "and 20 more, the same" in text
    text = "\n".join(plain(replace(PLAIN, answers=same)))
    assert text.count("same  ") == 5
    assert "and 15 more, the same" in text


def test_healed_paths_are_counted() -> None:
    healed = tuple(Want(f"/usr/share/x/{i}", "healed", "probe:start") for i in range(9))
    (line,) = [row for row in plain(replace(PLAIN, healed=healed), 80) if "healed" in row]
    assert line.startswith("  healed            9 paths: /usr/share/x/0, ")
    assert re.search(r" \+\d more$", line)
    assert len(line) <= 80


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_summary_fits_a_screen(width: int) -> None:
    answers = tuple(Comparison("default", replace(OK, name=f"http GET /{'long/' * 30}{i}"), OK) for i in range(30))
    after = replace(PLAIN.after, setuid=tuple(f"/usr/lib/some/where/tool{i}" for i in range(30)))
    rows = plain(replace(PLAIN, answers=answers, after=after), width, bar=True)
    assert max(map(len, rows)) <= width
    assert len(rows) <= 24


def test_what_is_said_of_an_answer_goes_on_below_itself() -> None:
    long = "the output differs " + "more and more " * 20
    report = replace(DIFFERING, answers=(replace(DIFFERING.answers[0], difference=long),), notes=("a note " * 30,))
    rows = plain(report, 80)
    assert max(map(len, rows)) <= 80
    assert " ".join(" ".join(rows).split()).count(long.strip()) == 1
    assert [row[:20].strip() for row in rows].count("note") == 1


def test_references_are_whole_since_they_get_copied() -> None:
    long = "registry.example.com/" + "team/" * 20 + "shop:1-slim"
    assert sum(long in row for row in plain(replace(PLAIN, result=long), 80)) == 3


@everywhere
def test_nothing_in_it_acts(report: Report) -> None:
    rows = plain(report)
    assert all(row.isprintable() for row in rows)
    if report is HOSTILE:
        assert sum(row.count(name(EVIL)) for row in rows) >= 6


@everywhere
def test_names_are_no_markup_on_a_terminal(report: Report, watched: Callable[[], Screen]) -> None:
    screen = watched()
    terminal.summary(report)
    shown = screen.getvalue()
    assert "\x1b[" in shown
    bare = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert all(char.isprintable() or char == "\n" for char in bare)
    assert ("[bold]" in bare) is (report is HOSTILE)


def test_in_a_pipe_it_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.summary(PLAIN)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == plain(PLAIN)


def test_a_colourful_pipe_is_still_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    progress = terminal.TerminalProgress()
    with progress.stage("record"):
        progress.say("x" * 100)
    terminal.summary(PLAIN)
    shown = capsys.readouterr().err
    assert "\x1b[?25l" not in shown
    assert "x" * 100 in shown
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown).endswith("\n".join(plain(PLAIN)) + "\n")


def test_quiet_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    progress = terminal.TerminalProgress(quiet=True, verbose=True)
    with progress.stage("record"):
        progress.say("something")
    terminal.summary(PLAIN, quiet=True)
    assert capsys.readouterr() == ("", "")


def test_stages_in_a_pipe_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    progress = terminal.TerminalProgress()
    with progress.stage("quick"):
        progress.say(EVIL)
    progress.end(Stage("record", 12.34))
    assert capsys.readouterr().err.splitlines() == [f"  {name(EVIL)}", "  record              12.3 s"]


def test_stages_on_a_terminal_spin(watched: Callable[[], Screen]) -> None:
    screen = watched()
    progress = terminal.TerminalProgress()
    with progress.stage("record"):
        progress.say(EVIL)
        assert progress._live is not None
        progress._live.refresh()
    assert progress._live is None
    shown = screen.getvalue()
    assert "\x1b[?25l" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert "record" in shown
    assert "\x1b]0;" not in shown
    assert "\x1b[2J" not in shown


def test_a_stage_that_fails_gives_the_cursor_back(watched: Callable[[], Screen]) -> None:
    screen = watched()
    progress = terminal.TerminalProgress()
    with pytest.raises(KeyboardInterrupt), progress.stage("record"):
        raise KeyboardInterrupt
    assert screen.getvalue().rindex("\x1b[?25h") > screen.getvalue().rindex("\x1b[?25l")


def test_the_running_stage_is_one_line() -> None:
    running = terminal._Running("record")
    running.detail = "y" * 500
    out = io.StringIO()
    Console(file=out, width=60, force_terminal=True, color_system=None).print(running)
    (line,) = out.getvalue().splitlines()
    assert len(line) <= 60
    assert line.endswith("…")
    assert re.search(r"record +0\.\d s", line)


def test_differences_cannot_forge_a_line() -> None:
    assert len(terminal.differences(HOSTILE.answers).splitlines()) == 1
    assert terminal.differences(PLAIN.answers) == ""


def test_the_hint_names_a_wider_level() -> None:
    assert "--level package" in terminal.verdict_hint(DIFFERING)
    assert "--level" not in terminal.verdict_hint(replace(DIFFERING, level="package"))
    assert "--force" in terminal.verdict_hint(replace(DIFFERING, result="shop:1-slim"))
