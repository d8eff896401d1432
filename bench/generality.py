"""Generality: what a minimal image does that it was never traced doing.

Each fixture is cut at each level by its training recipe; then the independent judge asks the result everything that
the fixture must do. Checks marked `trained` repeat the training; the others are held out. Which files the checks use
is recorded on the original once; a file they use that a minimal image lacks is a miss. What closes over that record at
`exact` is the *oracle*: the image that somebody would make who knew all checks beforehand.
"""

from __future__ import annotations

import contextlib
import hashlib
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import store, tool
from bench.heldout import Watch, lacking, used_files, watching
from bench.stats import share, table
from debloat import sensor
from debloat.core.errors import DebloatError, UsageError
from debloat.core.model import Access, Image, Level, Policy, Trace
from debloat.core.recipe import Recipe
from debloat.cut import cut
from debloat.debian import dpkg
from debloat.engine.base import Engine
from debloat.engine.docker import connect
from debloat.engine.workspace import Workspace
from debloat.footprint import footprint
from debloat.image.reader import open_rootfs
from debloat.image.rootfs import Rootfs
from debloat.pipeline import world_of
from debloat.record.session import Recorder
from tests.support import fixtures

LEVELS = ("exact", "safe", "package")
DIRECTORY = store.UNFINISHED / "generality"
HOPELESS = 3.0
"""Seconds to wait for a service that did not get ready the first time."""
FEW = 8
"""Checks at most that are asked for once more where they fail: more of them are no chance."""
SHOWN = 60
"""Missed files that a result names; the count is always whole."""

Say = Callable[[str], None]


JUDGED = "safe"
"""The level that is held against the oracle: what it keeps beyond is the price of not knowing the checks."""

EXPLAINED = 1.8
"""Times the oracle's bytes above which a fixture has a reason in REASONS."""

REASONS: dict[str, str] = {
    "git": "the service uses little of git, whose other commands stay, with Perl and the libraries of curl",
    "go": "git, curl and xz are asked for and stay whole, with Perl for git; the service uses little of them",
    "mariadb": "the server's and the clients' packages are asked for, and their twenty tools have 5 MB each",
    "multiarch": "a small program between two C libraries with all their encodings, and Python's standard library",
    "pdf": "the fonts' library imports SciPy, NumPy and SymPy for uses that no check makes",
    "proxy": "GCC compiles the configuration at run time, and stays with link-time optimisation and static libraries",
    "sshd": "accounts log in, so that the Essential tools stay for them, of which the checks use few",
    "toolbox": "CMD is a shell: every tool that was asked for stays whole, and the Essential ones, with Perl for git",
    "torture": "a single C program, and beside its two locales all of the C library's encodings",
}
"""Fixture -> why `safe` keeps more than EXPLAINED times what the checks use."""


@dataclass(frozen=True, slots=True)
class Total:
    """A level over all fixtures."""

    level: str
    fixtures: int
    made: int
    median_share: float
    kept: int
    original: int
    trained: tuple[int, int]
    heldout: tuple[int, int]
    files: tuple[int, int]


def run(
    names: Sequence[str], levels: Sequence[str], say: Say, *, again: bool = False, stale: bool = False
) -> list[dict[str, Any]]:
    """Judge fixtures at levels, one after the other; each result is written as soon as it is there.

    What is there already is taken when the image, the checks and the tool are the same (`stale`: whatever the tool),
    unless `again`.
    """
    engine = connect()
    try:
        found = []
        for name in names:
            try:
                found.append(_fixture(engine, name, levels, say, again, stale))
            except (fixtures.FixtureError, DebloatError) as error:
                say(f"{name}: skipped: {error}")
        return found
    finally:
        engine.close()


def stored(names: Iterable[str]) -> list[dict[str, Any]]:
    """The results of fixtures that are there already; what no run left is as it was committed, fixtures and levels."""
    kept = {r["fixture"]: r for r in store.read(store.RESULTS / "generality.json").get("fixtures", ())}
    found = []
    for name in names:
        fresh, old = store.read(DIRECTORY / f"{name}.json"), kept.get(name, {})
        if fresh or old:
            found.append({**old, **fresh, "levels": {**old.get("levels", {}), **fresh.get("levels", {})}})
    return found


def _fixture(engine: Engine, name: str, levels: Sequence[str], say: Say, again: bool, stale: bool) -> dict[str, Any]:
    fixture = fixtures.load(name)
    path = DIRECTORY / f"{name}.json"
    try:
        image = engine.image(fixtures.tag(name))
    except UsageError:
        say(f"{name}: building")
        fixtures.build(name)
        image = engine.image(fixtures.tag(name))
    key = hashlib.sha256(image.id.encode() + (fixture.directory / "checks.toml").read_bytes()).hexdigest()[:16]
    found = store.read(path)
    if again or found.get("key") != key or "used" not in found or "oracle" not in found:
        found = {"fixture": name, "kind": fixture.kind, "key": key, "image": image.id, "levels": {}}
        found |= _original(engine, fixture, say)
        store.write(path, found)
    code = store.code_hash([store.ROOT / "debloat"])
    for level in levels:
        old = found["levels"].get(level)
        if old and not again and (stale or old["tool"] == code):
            continue
        begun = time.monotonic()
        found["levels"][level] = {"tool": code, **_level(engine, fixture, level, found)}
        store.write(path, found)
        say(f"{name} {level}: {line(found['levels'][level])}  [{time.monotonic() - begun:.0f} s]")
    return found


def _original(engine: Engine, fixture: fixtures.Fixture, say: Say) -> dict[str, Any]:
    """What the checks use of the original, and those that it fails itself: they say nothing of a minimal image."""
    image = engine.image(fixtures.tag(fixture.name))
    with Workspace(engine) as workspace:
        recorder = Recorder(sensor.binary(engine.info().architecture))
        rootfs = open_rootfs(workspace, image, recorder.sensor)
        watch = Watch(workspace, image, recorder)
        with watching(watch):
            recorded = fixtures.run_checks(image.id, fixture)
        used = used_files(watch.accesses, rootfs)
        size = footprint(rootfs.entries(), rootfs, 0).bytes
        oracle = _oracle(workspace, image, rootfs, frozenset(watch.accesses))
        release = _release(rootfs)
    disturbed = [r.name for r in recorded if not r.passed]
    failed: list[str] = []
    if disturbed:
        say(f"{fixture.name}: fails recorded: {'; '.join(f'{r.name}: {r.detail}' for r in recorded if not r.passed)}")
        failed = [r.name for r in fixtures.run_checks(image.id, fixture) if not r.passed]
    return {
        "original": {"bytes": size, "failed": failed, "disturbed": sorted(set(disturbed) - set(failed))},
        "lost": watch.lost,
        "release": release,
        "oracle": oracle,
        "used_count": len(used),
        "used": {path: sorted(checks) for path, checks in sorted(used.items())},
    }


def _oracle(workspace: Workspace, image: Image, rootfs: Rootfs, accesses: frozenset[Access]) -> int:
    """Bytes of files of the image that has what the checks use, closed at `exact`, and nothing else."""
    world = world_of(image, rootfs, dpkg.read(rootfs), Recipe(policy=Policy(level=Level.EXACT)), Trace(accesses))
    return cut(world, image, (), workspace.directory).footprint.bytes


def _release(rootfs: Rootfs) -> str:
    """The number of the Debian release that an image is of, by os-release(5); "" for none."""
    lines = rootfs.text("/etc/os-release").splitlines()
    return next((value.strip('"') for name, _, value in (x.partition("=") for x in lines) if name == "VERSION_ID"), "")


def times(result: dict[str, Any], level: str) -> float | None:
    """How many times the oracle's bytes a level keeps; None where no image came, or nothing is known of the oracle."""
    found = result["levels"].get(level)
    if not found or found["code"] or not result.get("oracle"):
        return None
    return float(found["bytes"] / result["oracle"])


def _level(engine: Engine, fixture: fixtures.Fixture, level: str, found: dict[str, Any]) -> dict[str, Any]:
    target = f"debloat-bench/{fixture.name}:{level}"
    given = ["slim", fixtures.tag(fixture.name), "-c", str(fixture.recipe), "--level", level, "-t", target]
    made = tool.run(given, fixture.directory)
    result: dict[str, Any] = {"code": made.code, "seconds": round(made.wall, 2), "rss": made.rss}
    result["healed"] = [w["path"] for w in made.report.get("healed", ())][:SHOWN]
    if made.code:
        return result | {"error": made.errors.strip()[-1500:], "bytes": 0, "failed": [], "missed": []}
    try:
        answers = _judged(target, fixture)
        there = _paths(engine, target)
    finally:
        with contextlib.suppress(DebloatError):
            engine.untag(target)
    counted = [r for r in answers if r.name not in found["original"]["failed"]]
    trained = {check.name for check in fixture.checks if check.trained}
    missed = {path: found["used"][path] for path in lacking(found["used"], there)}
    failed = [
        {
            "check": r.name,
            "trained": r.name in trained,
            "detail": r.detail,
            "missing": [path for path, checks in missed.items() if r.name in checks or checks == ["start"]][:20],
        }
        for r in counted
        if not r.passed
    ]
    return result | {
        "bytes": made.report["after"]["bytes"],
        "files": made.report["after"]["files"],
        "trained": _passed(r for r in counted if r.name in trained),
        "heldout": _passed(r for r in counted if r.name not in trained),
        "failed": failed,
        "missed_count": len(missed),
        "missed": sorted(missed)[:SHOWN],
    }


def _judged(target: str, fixture: fixtures.Fixture) -> list[fixtures.CheckResult]:
    """The judge's answers on a minimal image.

    A service that does not get ready may only lack the command that tells, which no recipe trains: then it is asked
    as soon as its ports are served. One that is still not ready is not waited for at every check.
    """
    first = tuple(check for check in fixture.checks if not check.own)[:1]
    for other in (replace(fixture, ready=""), replace(fixture, ready="", ready_limit=HOPELESS)):
        if not any(
            r.detail.startswith("not ready") for r in fixtures.run_checks(target, replace(fixture, checks=first))
        ):
            break
        fixture = other
    return _again(target, fixture, fixtures.run_checks(target, fixture))


def _again(target: str, fixture: fixtures.Fixture, answers: list[fixtures.CheckResult]) -> list[fixtures.CheckResult]:
    """The answers, with few failures asked for once more: a stop that comes while a service forks is lost on any image.

    Checks of the shared container build on one another, so all of them are asked with one that failed.
    """
    failed = {r.name for r in answers if not r.passed}
    if not 0 < len(failed) <= FEW:
        return answers
    shared = any(not check.own for check in fixture.checks if check.name in failed)
    checks = tuple(c for c in fixture.checks if c.name in failed or (shared and not c.own))
    passed = {r.name: r for r in fixtures.run_checks(target, replace(fixture, checks=checks)) if r.passed}
    return [passed.get(r.name, r) if r.name in failed else r for r in answers]


def _passed(results: Iterable[fixtures.CheckResult]) -> list[int]:
    passed = [r.passed for r in results]
    return [sum(passed), len(passed)]


def _paths(engine: Engine, reference: str) -> Rootfs:
    """The root file system of a minimal image, to be asked for names only."""
    with Workspace(engine) as workspace:
        return open_rootfs(workspace, engine.image(reference), sensor.binary(engine.info().architecture))


def line(result: dict[str, Any]) -> str:
    """A level of a fixture in a line, with what failed and the files that it may have lacked."""
    if result["code"]:
        return f"no image, exit code {result['code']}: {' '.join(result['error'].split())[-600:]}"
    (t, trained), (h, heldout) = result["trained"], result["heldout"]
    size, missed = result["bytes"] / 1e6, result["missed_count"]
    text = f"{size:.1f} MB, trained {t}/{trained}, held-out {h}/{heldout}, {missed} missed"
    for failure in result["failed"]:
        trained_too = "(trained) " if failure["trained"] else ""
        text += f"\n    FAILED {trained_too}{failure['check']}: {failure['detail'][:300]}"
        if failure["missing"]:
            text += f"\n      lacks: {' '.join(failure['missing'][:12])}"
    return text


SHOWN_FIRST = (
    *("nginx", "haproxy", "redis", "dns", "mail", "flask", "django", "pdf", "fpm", "postgres", "mariadb", "apache"),
    *("node", "java", "gis", "rust", "go", "cpp", "rails", "python-build", "node-build", "tomcat", "toolbox"),
)
"""The fixtures of the README's table, in its order."""

# ------------------------------------------------------------------------------------- the table


def total(results: Sequence[dict[str, Any]], level: str) -> Total:
    """A level over all fixtures that have it. A fixture of which no image came has failed all its checks."""
    rows = [(r, r["levels"][level]) for r in results if level in r["levels"]]
    made = [(r, x) for r, x in rows if not x["code"]]
    lost = sum(_checks(r) for r, x in rows if x["code"])
    return Total(
        level,
        len(rows),
        len(made),
        statistics.median([share(x["bytes"], r["original"]["bytes"]) for r, x in made] or [0.0]),
        sum(x["bytes"] for _, x in made),
        sum(r["original"]["bytes"] for r, _ in made),
        (sum(x["trained"][0] for _, x in made), sum(x["trained"][1] for _, x in made)),
        (sum(x["heldout"][0] for _, x in made), sum(x["heldout"][1] for _, x in made) + lost),
        (sum(x["missed_count"] for _, x in made), sum(r["used_count"] for r, _ in made)),
    )


def _checks(result: dict[str, Any]) -> int:
    """How many held-out checks a fixture has, by a level that was judged; none known, none counted."""
    known: list[int] = [x["heldout"][1] for x in result["levels"].values() if not x["code"]]
    return max(known, default=0)


HEAD = (
    *("fixture", "Debian", "level", "bytes kept", "of original", "times the oracle"),
    *("trained", "held-out", "files missed"),
)


def rows(results: Sequence[dict[str, Any]], levels: Sequence[str]) -> list[tuple[str, ...]]:
    """The closing table: a row for each fixture and level, then a row for each level over all."""
    found = []
    for result in results:
        for level in (x for x in levels if x in result["levels"]):
            found.append((result["fixture"], result.get("release", ""), level, *_cells(result, level)))
    for level in levels:
        sums = total(results, level)
        if sums.fixtures:
            found.append(
                (
                    f"all {sums.fixtures}",
                    "",
                    level,
                    f"{sums.kept / 1e6:.1f} MB",
                    f"median {sums.median_share:.0f} %",
                    _over_all([x for r in results if (x := times(r, level)) is not None]),
                    _of(sums.trained),
                    f"{_of(sums.heldout)} ({share(*sums.heldout):.1f} %)",
                    f"{_of(sums.files)} ({share(*sums.files):.2f} %)",
                )
            )
    return found


def _over_all(found: Sequence[float]) -> str:
    return f"median {statistics.median(found):.2f}, most {max(found):.2f}" if found else ""


def _cells(result: dict[str, Any], name: str) -> tuple[str, ...]:
    level = result["levels"][name]
    if level["code"]:
        return (f"exit code {level['code']}", *("" for _ in range(5)))
    used, more = result["used_count"], times(result, name)
    return (
        f"{level['bytes'] / 1e6:.1f} MB",
        f"{share(level['bytes'], result['original']['bytes']):.0f} %",
        "" if more is None else f"{more:.2f}",
        _of(level["trained"]),
        _of(level["heldout"]),
        f"{level['missed_count']}/{used} ({share(level['missed_count'], used):.1f} %)",
    )


def _of(pair: Sequence[int]) -> str:
    return f"{pair[0]}/{pair[1]}"


def reasons(results: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each fixture of which JUDGED keeps more than EXPLAINED times what the checks use, with the reason."""
    large = ((r["fixture"], more) for r in results if (more := times(r, JUDGED)) is not None and more > EXPLAINED)
    return [f"{name}: {more:.2f} times the oracle: {REASONS.get(name, 'no reason known')}" for name, more in large]


def summary(results: Sequence[dict[str, Any]], levels: Sequence[str], *, markdown: bool = False) -> str:
    lines = [table(HEAD, rows(results, levels), markdown=markdown)]
    for line_ in reasons(results) if JUDGED in levels else ():
        lines.append(f"- {line_}" if markdown else line_)
    return lines[0] if len(lines) == 1 else "\n".join([lines[0], "", *lines[1:]])


def images(results: Sequence[dict[str, Any]]) -> str:
    """The README's table: what JUDGED does to some fixtures, and a sentence on all of them."""
    known = {r["fixture"]: r for r in results if not r["levels"].get(JUDGED, {"code": 1})["code"]}
    lines = []
    for result in (known[name] for name in SHOWN_FIRST if name in known):
        level, original = result["levels"][JUDGED], result["original"]["bytes"]
        sizes = f"{original / 1e6:.0f} MB", f"{level['bytes'] / 1e6:.0f} MB"
        lines.append((result["fixture"], result["kind"], result.get("release", ""), *sizes, _of(level["heldout"])))
    head = ("image", "kind", "Debian", "original", "minimal", "untraced uses that work")
    sums, more = total(results, JUDGED), [x for r in results if (x := times(r, JUDGED)) is not None]
    oracle = f", {statistics.median(more):.2f} times what the uses need" if more else ""
    work, uses = sums.heldout
    return (
        f"{table(head, lines, markdown=True)}\n\n"
        f"Over all {sums.fixtures} images of `fixtures/`, {work:,} of {uses:,} work. The median image keeps "
        f"{sums.median_share:.0f} % of its bytes{oracle}."
    )


def failures(results: Sequence[dict[str, Any]], levels: Sequence[str]) -> str:
    """Every failure with what was probably missing, for whoever mends it."""
    lines = []
    for result in results:
        bad = result["original"]["failed"], result["original"]["disturbed"]
        for names, what in zip(bad, ("the original fails", "fails only while recorded"), strict=True):
            if names:
                lines.append(f"{result['fixture']}: {what}: {', '.join(names)}")
        lines += [f"{result['fixture']}: trace lost: {text}" for text in result["lost"]]
        for level in (x for x in levels if x in result["levels"]):
            lines.append(f"{result['fixture']} {level}: {line(result['levels'][level])}")
    return "\n".join(lines)


def over(committed: Sequence[dict[str, Any]], results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The committed results with those of a run in their place, fixture by fixture and level by level."""
    by_name = {r["fixture"]: r for r in committed}
    for r in results:
        old = by_name.get(r["fixture"], {})
        by_name[r["fixture"]] = {**r, "levels": {**old.get("levels", {}), **r["levels"]}}
    return [by_name[name] for name in sorted(by_name)]


def compact(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The result to keep: without the names of all files that were used."""
    kept = [{name: value for name, value in r.items() if name not in ("key", "used")} for r in results]
    return store.result("generality", fixtures=kept, totals=[_plain(total(results, x)) for x in LEVELS])


def _plain(sums: Total) -> dict[str, Any]:
    return {
        "level": sums.level,
        "fixtures": sums.fixtures,
        "made": sums.made,
        "median_share": round(sums.median_share, 2),
        "bytes": sums.kept,
        "original_bytes": sums.original,
        "trained": sums.trained,
        "heldout": sums.heldout,
        "heldout_rate": round(share(*sums.heldout), 2),
        "missed": sums.files,
        "miss_rate": round(share(*sums.files), 3),
    }


def keep(results: Sequence[dict[str, Any]], path: Path) -> None:
    store.write(path, compact(results))
