"""`python -m bench [SUBJECT]`: measure, print tables, write results. Without a subject: all, then the comparison."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import (
    applying,
    canary,
    compare,
    cost,
    docs,
    fleet,
    foreign,
    generality,
    growth,
    hostile,
    imports,
    overhead,
    profiles,
    protocols,
    since,
    store,
)
from debloat.core.errors import DebloatError
from tests.support import fixtures

SUBJECTS = (
    *("generality", "cost", "overhead", "growth", "import", "hostile", "apply"),
    *("fleet", "canary", "foreign", "protocols", "profiles", "since"),
)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 when a comparison finds a regression, 2 for wrong usage."""
    given = _parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code: int = given.run(given)
    except (DebloatError, fixtures.FixtureError, ValueError) as error:
        say(f"bench: {error}")
        return 2
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.set_defaults(run=_all, save=False, runs=5)
    subjects = parser.add_subparsers(title="subjects", metavar="SUBJECT")
    add = _adder(subjects)
    one = add("generality", _generality, "what minimal images do that they were not traced doing")
    one.add_argument("fixture", nargs="*", help="fixtures (default: all)")
    one.add_argument("--level", action="append", choices=generality.LEVELS, help="only this level; repeatable")
    one.add_argument("--again", action="store_true", help="judge anew what has been judged already")
    one.add_argument("--stale", action="store_true", help="take results of an older version of the tool too")
    one.add_argument("--table", action="store_true", help="judge nothing, print what is there")
    one = add("cost", _cost, "what a run takes, beside the floor")
    one.add_argument("fixture", nargs="*", help="fixtures (default: all)")
    one = add("overhead", _overhead, "what recording costs the recorded")
    one.add_argument("only", nargs="*", help="workloads whose name holds one of these")
    one.add_argument("--mechanism", default="auto", choices=("auto", "notify", "ptrace"))
    one = add("growth", _growth, "what a run costs as the image grows")
    one.add_argument("only", nargs="*", help=f"sizes: {', '.join(s.name for s in growth.SIZES)}")
    one.add_argument("--large", action="store_true", help="15 GB too")
    one.add_argument("--keep", action="store_true", help="leave the images for the next time")
    add("import", _import, "what loading the command line costs")
    add("apply", _apply, "what applying a lock from a layout to a layout costs")
    one = add("fleet", _fleet, "a fleet by simulation, with times that were measured")
    one.add_argument("--report", type=Path, help="the JSON of a `debloat fleet run`, whose times are taken")
    add("canary", _canary, "what a canary costs the service")
    one = add("hostile", _hostile, "how the time of what reads untrusted bytes grows with them; needs no engine")
    one.add_argument("only", nargs="*", help="readers whose name holds one of these")
    one = add("foreign", _foreign, "suites that others wrote, on minimal images; an hour or two, so not among all")
    one.add_argument("suite", nargs="*", help=f"suites: {', '.join(s.name for s in foreign.SUITES)} (default: all)")
    one = add("protocols", _protocols, "what talking to databases and brokers brings at exact; not among all")
    one.add_argument("fixture", nargs="*", help=f"fixtures (default: {', '.join(protocols.FIXTURES)})")
    one.add_argument("--no", choices=("protocol",), help="only without conversations, as it was before there were any")
    one = add("profiles", _profiles, "what services do under their seccomp profiles; an hour, so not among all")
    one.add_argument("fixture", nargs="*", help="fixtures (default: all)")
    one = add("since", _since, "a run beside the same run of an earlier build; an hour, so not among all")
    one.add_argument("before", type=Path, help="a checkout of the earlier build, after `make setup`")
    one.add_argument("fixture", nargs="*", help=f"fixtures (default: {', '.join(since.FIXTURES)})")
    one.add_argument("--peer", type=Path, metavar="SLIM", help="the command of slim, to be measured in the same turns")
    one = add("compare", _compare, "hold a fresh result against the committed one")
    one.add_argument("fresh", nargs="*", type=Path, help="result files (default: all of build/bench)")
    add("docs", _docs, "bring the tables and plots of the documentation up to date with the committed results")
    return parser


def _adder(subjects: Any) -> Callable[..., argparse.ArgumentParser]:
    def add(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        one: argparse.ArgumentParser = subjects.add_parser(name, help=text, description=text)
        one.set_defaults(run=run)
        if name in SUBJECTS:
            one.add_argument("--save", action="store_true", help="write to bench/results, as the new baseline")
        if name in ("cost", "overhead", "growth", "import", "apply", "canary", "since"):
            one.add_argument("--runs", type=int, default=5, help="pairs of runs (default: 5)")
        return one

    return add


def _write(result: dict[str, Any], save: bool) -> None:
    subject = result["subject"]
    store.write(store.UNFINISHED / f"{subject}.json", result)
    if save:
        store.write(store.RESULTS / f"{subject}.json", result)
        docs.write()


def _bars(bars: list[tuple[str, float, float]]) -> None:
    for what, measured, most in bars:
        print(f"{'ok  ' if measured <= most else 'OVER'} {what}: {measured:.2f}, at most {most:g}")


def _generality(given: argparse.Namespace) -> int:
    names, levels = given.fixture or fixtures.names(), given.level or generality.LEVELS
    if not given.table:
        generality.run(names, levels, say, again=given.again, stale=given.stale)
    results = generality.stored(names)
    print(generality.failures(results, levels), end="\n\n")
    print(generality.summary(results, levels), end="\n\n")
    print(generality.summary(results, levels, markdown=True))
    committed = store.read(store.RESULTS / "generality.json").get("fixtures", [])
    _write(generality.compact(generality.over(committed, results)), given.save)
    return 0


def _cost(given: argparse.Namespace) -> int:
    result = cost.run(getattr(given, "fixture", None) or fixtures.names(), say, runs=given.runs)
    return _shown(result, cost.summary, cost.bars(result), given.save)


def _overhead(given: argparse.Namespace) -> int:
    only, mechanism = getattr(given, "only", ()), getattr(given, "mechanism", "auto")
    result = overhead.run(say, runs=given.runs, only=only, mechanism=mechanism)
    return _shown(result, overhead.summary, overhead.bars(result), given.save)


def _growth(given: argparse.Namespace) -> int:
    only, large, keep = getattr(given, "only", ()), getattr(given, "large", False), getattr(given, "keep", False)
    result = growth.run(say, large=large, runs=given.runs, only=only, keep=keep)
    return _shown(result, growth.summary, growth.bars(result), given.save)


def _import(given: argparse.Namespace) -> int:
    result = imports.run(say, runs=given.runs)
    return _shown(result, imports.summary, imports.bars(result), given.save)


def _apply(given: argparse.Namespace) -> int:
    result = applying.run(say, runs=given.runs)
    return _shown(result, applying.summary, applying.bars(result), given.save)


def _fleet(given: argparse.Namespace) -> int:
    result = fleet.run(say, report=getattr(given, "report", None))
    return _shown(result, fleet.summary, fleet.bars(result), given.save)


def _canary(given: argparse.Namespace) -> int:
    result = canary.run(say, runs=given.runs)
    return _shown(result, canary.summary, canary.bars(result), given.save)


def _hostile(given: argparse.Namespace) -> int:
    result = hostile.run(say, only=getattr(given, "only", ()))
    return _shown(result, hostile.summary, hostile.bars(result), given.save)


def _foreign(given: argparse.Namespace) -> int:
    return _shown(foreign.run(given.suite, say), foreign.summary, [], given.save)


def _protocols(given: argparse.Namespace) -> int:
    result = protocols.run(given.fixture or protocols.FIXTURES, say, talks=(False,) if given.no else (False, True))
    return _shown(result, protocols.summary, [], given.save)


def _profiles(given: argparse.Namespace) -> int:
    return _shown(profiles.run(given.fixture or fixtures.names(), say), profiles.summary, [], given.save)


def _since(given: argparse.Namespace) -> int:
    result = since.run(given.before, given.fixture or since.FIXTURES, say, runs=given.runs, peer=given.peer)
    return _shown(result, since.summary, since.bars(result), given.save)


def _shown(
    result: dict[str, Any], summary: Callable[..., str], bars: list[tuple[str, float, float]], save: bool
) -> int:
    print(summary(result), end="\n\n")
    print(summary(result, markdown=True), end="\n\n")
    _bars(bars)
    _write(result, save)
    return 0


def _compare(given: argparse.Namespace) -> int:
    fresh = given.fresh or [path for s in SUBJECTS if (path := store.UNFINISHED / f"{s}.json").exists()]
    worse = []
    for path in fresh:
        after = store.read(path)
        before = store.read(store.RESULTS / f"{after.get('subject')}.json")
        if not before:
            say(f"{path}: nothing committed to compare with")
            continue
        worse += compare.compare(before, after)
    for regression in worse:
        print(f"worse: {regression}")
    if not worse:
        print("no regression")
    return int(bool(worse))


def _docs(given: argparse.Namespace) -> int:
    for path in docs.write():
        print(path.relative_to(store.ROOT))
    return 0


def _all(given: argparse.Namespace) -> int:
    """Everything that a machine does in about an hour, against the committed results."""
    given.fixture, given.level, given.table, given.again, given.stale = [], None, False, False, False
    given.fresh = []
    for subject in (_generality, _cost, _overhead, _growth, _import, _hostile, _apply, _fleet, _canary):
        subject(given)
    return _compare(given)


if __name__ == "__main__":
    sys.exit(main())
