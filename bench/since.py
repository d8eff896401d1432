"""Since an earlier build: what a run costs beside it, through Docker and on debloat's own engine.

With the command of a peer (slim, of the mint and slim toolkits) its build of the same images is measured in the same
turns, for images that are asked over HTTP; it proves nothing.

The earlier build is a checkout with an environment of its own (`git worktree add DIR COMMIT`, `make -C DIR setup`). It
and today's work on the same images with the same recipes, in turns within one call. Both prove what they made.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import growth, store, tool
from bench.generated import Filler
from bench.layouts import layout
from bench.stats import ratios, spread, table
from debloat.core.errors import DebloatError
from debloat.engine.docker import connect
from tests.support import fixtures

FIXTURES = ("nginx", "flask", "redis", "rabbitmq", "perl", "pip", "node", "php", "postgres", "java")
"""A web server, an interpreter of each language, a database, a cache and a broker."""
WEB = FIXTURES[0]
DOCKER_MOST, CPU_MOST = 0.8, 0.6
EMBEDDED_MOST, WEB_MOST = 0.5, 0.4
PEER_DOCKER_MOST, PEER_EMBEDDED_MOST = 0.25, 0.15
FORMS = ("docker", "embedded")
MANY, CLOSING_MOST = 27_000, 0.5
"""Files of an application whose closing is measured."""
CLOSING = "close and carve"
PEER_TURNS = 3
"""It takes ten times as long."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Contest:
    """One image that the builds work on: by name in the engine, and as an OCI layout; where results of a turn go."""

    name: str
    image: str
    asked: tuple[str, ...]
    layout: Path
    out: Path
    before: Path
    peer: Path | None = None
    reported: bool = False
    """Whether the runs write their reports, for the stages: today's have more in them, which takes its time."""

    def turns(self) -> dict[str, Callable[[], tool.ToolRun]]:
        """A run of each: the earlier build, today's through Docker, today's on its own engine."""
        image, out = self.image, f"oci:{self.out}"
        turns = {
            "before": lambda: self._slim(image, ["-t", self.target], self.before),
            "docker": lambda: self._slim(image, ["-t", self.target, "--engine", "docker"]),
            "embedded": lambda: self._slim(f"oci:{self.layout}", ["--engine", "embedded", "--output", out]),
        }
        if self.peer is not None:
            turns["peer"] = self._by_the_peer
        return turns

    @property
    def target(self) -> str:
        return f"debloat-bench/{self.name}:since"

    def _slim(self, image: str, more: Sequence[str], program: Path = tool.DEBLOAT) -> tool.ToolRun:
        given = ["slim", image, *self.asked, "--level", "safe", *more]
        if self.reported:
            done = tool.run(given, self.layout.parent, program)
        else:
            done = tool.measured([str(program), *given, "--quiet"], self.layout.parent)
        if done.code:
            raise DebloatError(f"{self.name}: exit code {done.code}: {done.errors[-300:]}")
        return done

    def _by_the_peer(self) -> tool.ToolRun:
        with tempfile.TemporaryDirectory(prefix="debloat-bench-") as state:
            told = ["--report", "off", "--check-version=false", "--state-path", state]
            asked = ["--http-probe-cmd", "/", "--continue-after", "probe"]
            given = ["build", "--target", self.image, "--tag", self.target, *asked]
            done = tool.measured([str(self.peer), *told, *given])
        if done.code:
            raise DebloatError(f"{self.name}: the peer ended with exit code {done.code}: {done.errors[-300:]}")
        return done

    def cleared(self) -> None:
        """Remove the results, so that the next run has to make them again."""
        shutil.rmtree(self.out, ignore_errors=True)
        with contextlib.closing(connect()) as engine, contextlib.suppress(DebloatError):
            engine.untag(self.target)


def run(before: Path, names: Sequence[str], say: Say, *, runs: int = 7, peer: Path | None = None) -> dict[str, Any]:
    """`runs` turns of each build on each fixture; the first turn of all is not counted, it fills caches and stores.

    `before` is the directory of the earlier checkout.
    """
    program = before.resolve() / ".venv" / "bin" / "debloat"
    if not program.exists():
        raise ValueError(f"{before} has no environment: make -C {before} setup")
    rows = []
    for name in names:
        fixture = fixtures.load(name)
        over_http = tomllib.loads(fixture.recipe.read_text("utf-8")).keys() <= {"http", "run_options"}
        image, asked = fixtures.build(name), ("-c", str(fixture.recipe))
        rows.append(_row(name, image, asked, program, peer if over_http else None, runs, say))
    with growth.made(many := growth.Size("application", Filler(MANY, 100, owned=False)), say):
        rows.append(_row(many.name, many.tag, ("--http", ":80/"), program, None, runs, say, reported=True))
    commit = subprocess.run(["git", "-C", before, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return store.result("since", before=commit.stdout.strip(), fixtures=rows)


def _row(
    name: str,
    image: str,
    asked: tuple[str, ...],
    before: Path,
    peer: Path | None,
    runs: int,
    say: Say,
    *,
    reported: bool = False,
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="debloat-bench-") as scratch:
        made = layout(image, Path(scratch, "layout"))
        row = _paired(Contest(name, image, asked, made, Path(scratch, "out"), before, peer, reported), runs)
    say(_line(row))
    return row


def _paired(contest: Contest, runs: int) -> dict[str, Any]:
    turns = contest.turns()
    done: dict[str, list[tool.ToolRun]] = {form: [] for form in turns}
    for number in range(runs + 1):
        for form in list(turns) if number % 2 else reversed(turns):
            if form == "peer" and number > PEER_TURNS:
                continue
            contest.cleared()
            found = turns[form]()
            if number:
                done[form].append(found)
    contest.cleared()
    row: dict[str, Any] = {
        "name": contest.name,
        **{form: _figures(found, done["before"][: len(found)]) for form, found in done.items()},
    }
    for form in FORMS if "peer" in done else ():
        beside = ratios([r.wall for r in done[form][:PEER_TURNS]], [r.wall for r in done["peer"]])
        row[form]["peer_ratio"] = beside.plain()
    return row


def _figures(found: Sequence[tool.ToolRun], before: Sequence[tool.ToolRun]) -> dict[str, Any]:
    stages = list(dict.fromkeys(stage for run in found for stage in run.stages))
    return {
        "wall": spread(r.wall for r in found).plain(),
        "cpu": spread(r.cpu for r in found).plain(),
        "rss": int(spread(r.rss for r in found).median),
        "wall_ratio": ratios([r.wall for r in found], [r.wall for r in before]).plain(),
        "cpu_ratio": ratios([r.cpu for r in found], [r.cpu for r in before]).plain(),
        "rss_ratio": ratios([r.rss for r in found], [r.rss for r in before]).plain(),
        "stages": {stage: round(spread(r.stages.get(stage, 0.0) for r in found).median, 3) for stage in stages},
    }


def _line(row: dict[str, Any]) -> str:
    parts = [
        f"{form} {row[form]['wall']['median']:.2f} s = {row[form]['wall_ratio']['median']:.2f},"
        f" CPU {row[form]['cpu_ratio']['median']:.2f}, memory {row[form]['rss_ratio']['median']:.2f}"
        for form in FORMS
    ]
    if "peer" in row:
        parts.append(f"peer {row['peer']['wall']['median']:.2f} s")
    return f"{row['name']}: before {row['before']['wall']['median']:.2f} s; {'; '.join(parts)}"


def bars(result: dict[str, Any]) -> list[tuple[str, float, float]]:
    """What must hold: (what, measured, at most)."""
    rows = [row for row in result["fixtures"] if row["name"] in fixtures.names()]

    def median(form: str, what: str) -> float:
        return spread(row[form][what]["median"] for row in rows).median

    found = [
        ("wall through Docker over before, median of fixtures", median("docker", "wall_ratio"), DOCKER_MOST),
        ("processor through Docker over before, median of fixtures", median("docker", "cpu_ratio"), CPU_MOST),
        ("peak memory through Docker over before, median of fixtures", median("docker", "rss_ratio"), 1.0),
        ("wall on the own engine over before, median of fixtures", median("embedded", "wall_ratio"), EMBEDDED_MOST),
    ]
    if beside := [row for row in rows if "peer" in row]:
        for form, most in zip(FORMS, (PEER_DOCKER_MOST, PEER_EMBEDDED_MOST), strict=True):
            ratio = spread(row[form]["peer_ratio"]["median"] for row in beside).median
            found.append((f"wall over the peer's, {form}, median of {len(beside)} fixtures", ratio, most))
    for row in rows:
        if row["name"] == WEB:
            ratio = row["embedded"]["wall_ratio"]["median"]
            found.append(("wall on the own engine over before, web server", ratio, WEB_MOST))
    for row in result["fixtures"]:
        if row["name"] not in fixtures.names():
            ratio = row["docker"]["stages"][CLOSING] / row["before"]["stages"][CLOSING]
            found.append((f"closing of {row['name']} over before", ratio, CLOSING_MOST))
    return found


def summary(result: dict[str, Any], *, markdown: bool = False) -> str:
    head = ["fixture", f"at {result['before']}"]
    for form in ("through Docker", "own engine"):
        head += [form, "wall", "CPU", "memory"]
    head.append("peer")
    rows = []
    for row in result["fixtures"]:
        cells = [row["name"], f"{row['before']['wall']['median']:.2f} s"]
        for form in FORMS:
            found = row[form]
            cells.append(f"{found['wall']['median']:.2f} s")
            cells += [f"{found[f'{what}_ratio']['median']:.2f}" for what in ("wall", "cpu", "rss")]
        cells.append(f"{row['peer']['wall']['median']:.2f} s" if "peer" in row else "")
        rows.append(cells)
    return table(head, rows, markdown=markdown)
