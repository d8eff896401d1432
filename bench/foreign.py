"""Suites that others wrote, asked of minimal images: what passes on the original must pass on the minimal image.

A suite is a folder of `bench/suites/`: `Dockerfile` makes the image as people build it from Debian's package,
`debloat.toml` is an everyday probe, `tester.Dockerfile` adds to that image the source of its package, fetched by name
in the installed version, and what its tests need; `run` asks, with words for these tests alone where the suite can
pick. The image under test runs as it always does. Its tester has a container beside it, in its network and among its
processes, with the suite on a volume of both: what is tested are the files of the image, and what tests is not among
them.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench import store, tool
from bench.stats import share, table

UNFINISHED = store.UNFINISHED / "foreign"
SUITES_DIRECTORY = store.ROOT / "bench" / "suites"
LIMIT = 3600.0
"""Seconds that a suite may take on an image."""
LEVEL = "safe"
SHOWN = 60
"""Tests that a result names; the counts are always whole."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Suite:
    """One suite: its folder, the package whose version counts, and how its output says what passed and what failed.

    The patterns are searched for in each line; their group is the test's name.
    """

    name: str
    tests: str
    package: str
    passed: str
    failed: str


_TEST = r"^(?:test| {4}) (\S+) +\.\.\."

SUITES = (
    Suite("postgres", "pg_regress, isolation", "postgresql-15", rf"{_TEST} ok\b", rf"{_TEST} FAILED\b"),
    Suite("redis", "runtest", "redis-server", r"\[ok\]: (.*) \(\d+ ms\)", r"\[(?:err|exception)\]: (.*)"),
    Suite("php", "phpt", "php8.2-cli", r"^PASS .*\[([^]]+\.phpt)\]", r"^(?:FAIL|BORK|LEAK).*\[([^]]+\.phpt)\]"),
)

REASONS: dict[str, dict[str, str]] = {
    "php": {
        r"tests/mail/|mb_send_mail|mbstring/tests/(bug52681|gh7902|gh8086|gh16229)"
        r"|general_functions/(bug34794|bug44667|proc_open)\.": "mail() or proc_open() is given `tee` or `cat`,"
        " programs that nothing in the image names",
    },
}
"""Suite -> a regular expression for names of tests -> why they pass on the original alone."""


class ForeignError(ValueError):
    """A suite that cannot be built or asked: which step, and why."""


def named(names: Iterable[str]) -> list[Suite]:
    """The suites of some names, all for none; ForeignError for a name that there is not."""
    known = {suite.name: suite for suite in SUITES}
    wanted = list(names) or list(known)
    if unknown := [name for name in wanted if name not in known]:
        raise ForeignError(f"no such suite: {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in wanted]


def run(names: Iterable[str], say: Say) -> dict[str, Any]:
    """Ask each suite of the original and of the minimal image; each result is written as soon as it is there.

    What was not asked stands as the last run left it, or as it was committed.
    """
    found = {r["suite"]: r for r in store.read(store.RESULTS / "foreign.json").get("suites", ())}
    found |= {s.name: row for s in SUITES if (row := store.read(UNFINISHED / f"{s.name}.json"))}
    for suite in named(names):
        row = found[suite.name] = _suite(suite, say)
        store.write(UNFINISHED / f"{suite.name}.json", row)
        say(f"{suite.name}: {row['both']} of {row['passed']} that pass on the original pass; lost: {row['lost']}")
    return store.result("foreign", suites=[found[suite.name] for suite in SUITES if suite.name in found])


def _suite(suite: Suite, say: Say) -> dict[str, Any]:
    original, tester, minimal = (f"debloat-foreign/{suite.name}:{x}" for x in ("original", "tester", "minimal"))
    directory = SUITES_DIRECTORY / suite.name
    say(f"{suite.name}: building")
    _docker("build", "--network", "host", "-t", original, str(directory))
    file = str(directory / "tester.Dockerfile")
    _docker(
        *("build", "--network", "host", "--build-arg", f"IMAGE={original}", "-t", tester, "-f", file),
        str(SUITES_DIRECTORY),
    )
    made = tool.run(
        ["slim", original, "-c", str(directory / "debloat.toml"), "--level", LEVEL, "-t", minimal], directory
    )
    if made.code:
        raise ForeignError(f"{suite.name}: no minimal image, exit code {made.code}: {made.errors.strip()[-600:]}")
    try:
        return _compared(suite, original, minimal, tester, say) | {
            "suite": suite.name,
            "source": _docker("run", "--rm", "--entrypoint", "cat", tester, "/suite-version"),
            "version": _docker(
                *("run", "--rm", "--entrypoint", "dpkg-query", tester, "-W", "-f", "${Version}", suite.package)
            ),
            "original_bytes": made.report["before"]["bytes"],
            "bytes": made.report["after"]["bytes"],
        }
    finally:
        with contextlib.suppress(ForeignError):
            _docker("rmi", minimal)


def _compared(suite: Suite, original: str, minimal: str, tester: str, say: Say) -> dict[str, Any]:
    """Both images' answers. Where a test passes on the original alone, both are asked once more: load decides some."""
    before, after = (_asked(suite, image, tester, say) for image in (original, minimal))
    first = lost = before - after
    if lost:
        lost = before - (after | _asked(suite, minimal, tester, say, sorted(lost)))
    if lost:
        lost &= _asked(suite, original, tester, say, sorted(lost))
    return {
        "passed": before.total(),
        "both": (before - lost).total(),
        "unsteady": (first - lost).total(),
        "lost": sorted(lost.elements())[:SHOWN],
    }


def _asked(suite: Suite, image: str, tester: str, say: Say, names: Sequence[str] = ()) -> Counter[str]:
    """How often a test of each name passes on an image; with names those alone, where the suite can pick."""
    with _containers(image, tester) as run_tester:
        passed, failed = outcomes(suite, run_tester(names))
    say(f"{suite.name}: {image.rpartition(':')[2]}: {passed.total()} pass, {failed.total()} fail")
    if not passed and not names:
        raise ForeignError(f"{suite.name}: nothing passes on {image}")
    return passed


def outcomes(suite: Suite, output: str) -> tuple[Counter[str], Counter[str]]:
    """What passed and what failed, by what a suite wrote. A name that several tests have counts as often."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", output).splitlines()
    passed, failed = (
        Counter(match[1].strip() for line in lines if (match := re.search(pattern, line)))
        for pattern in (suite.passed, suite.failed)
    )
    return passed, failed


@contextlib.contextmanager
def _containers(image: str, tester: str) -> Iterator[Callable[[Sequence[str]], str]]:
    """A container of the image at work and, when called, its tester beside it: what the suite wrote."""
    name = f"debloat-foreign-{uuid.uuid4().hex[:12]}"
    volume = f"{name}:/suite"
    try:
        # A volume that is new takes over what the first container's image has there.
        _docker("run", "--rm", "--entrypoint", "true", "-v", volume, tester)
        _docker("run", "-d", "--name", name, "-v", volume, image)

        def run_tester(names: Sequence[str]) -> str:
            beside = ("--network", f"container:{name}", "--pid", f"container:{name}", "--cap-add", "SYS_PTRACE")
            argv = ("run", "--name", f"{name}-tester", "--entrypoint", "run", *beside, "-v", volume, tester, *names)
            return _docker(*argv, limit=LIMIT, failing=True)

        yield run_tester
    finally:
        for argv in (("rm", "-f", "-v", f"{name}-tester"), ("rm", "-f", "-v", name), ("volume", "rm", "-f", name)):
            with contextlib.suppress(ForeignError):
                _docker(*argv)


def _docker(*arguments: str, limit: float = 1800.0, failing: bool = False) -> str:
    """What a docker command says; ForeignError where it fails, if it is not `failing`, or takes too long."""
    what = f"docker {arguments[0]}"
    try:
        done = subprocess.run(
            ["docker", *arguments], capture_output=True, text=True, errors="replace", timeout=limit, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ForeignError(f"cannot {what}: not done after {limit:g} s") from error
    if done.returncode and not failing:
        raise ForeignError(f"cannot {what}: exit code {done.returncode}: {(done.stderr or done.stdout).strip()[-600:]}")
    return done.stdout if failing else done.stdout.strip()


# ------------------------------------------------------------------------------------- the table

HEAD = ("suite", "package", "original", "minimal", "pass on the original", "on the minimal image too")


def summary(result: dict[str, Any], *, markdown: bool = False) -> str:
    """A row for each suite, then what is lost, by its reason."""
    known = {suite.name: suite for suite in SUITES}
    rows = [
        (
            f"{row['suite']}: {known[row['suite']].tests}",
            f"{known[row['suite']].package} {row['version']}",
            f"{row['original_bytes'] / 1e6:.1f} MB",
            f"{row['bytes'] / 1e6:.1f} MB",
            row["passed"],
            f"{row['both']} ({share(row['both'], row['passed']):.1f} %)",
        )
        for row in result["suites"]
    ]
    lines = [table(HEAD, rows, markdown=markdown)]
    grouped: dict[tuple[str, str], list[str]] = {}
    for row in result["suites"]:
        for name in row["lost"]:
            grouped.setdefault((row["suite"], _reason(row["suite"], name)), []).append(name)
    if grouped:
        mark = "- " if markdown else ""
        lines += ["", *(f"{mark}{suite}: {why}: {', '.join(names)}" for (suite, why), names in sorted(grouped.items()))]
    return "\n".join(lines)


def _reason(suite: str, name: str) -> str:
    found = (why for pattern, why in REASONS.get(suite, {}).items() if re.search(pattern, name))
    return next(found, "no reason known")


def lost(result: dict[str, Any]) -> Sequence[tuple[str, int]]:
    """How many tests pass on the original alone, by suite."""
    return [(row["suite"], row["passed"] - row["both"]) for row in result["suites"]]
