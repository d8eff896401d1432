"""The gate's rules applied to an image and its difference from a lock, giving findings. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from debloat.core.globs import matcher
from debloat.core.text import count, name, percent, size
from debloat.footprint import Footprint, footprint
from debloat.gate.findings import Finding
from debloat.gate.rules import RULES, Rules
from debloat.lock.compare import Diff, PackageDiff, Side
from debloat.lock.format import Item, Lock
from debloat.lock.seeds import Gone, Move, stem, tree_of

_SHOWN = 5
_HARD_DEPENDENCIES = ("elf.", "kernel.", "glibc.")
"""Prefixes of the rules whose evidence stays true for as long as the file that needs another is the same."""


class Subject(Struct, frozen=True):
    """What is checked: the entries of an image, or of the minimal image cut from it, and its configuration.

    `root` says whether `user` is root.
    """

    side: Side
    footprint: Footprint
    user: str
    ports: tuple[str, ...]
    root: bool


class Drift(Struct, frozen=True):
    """How an image differs from its lock.

    `before` is the lock's footprint, `recipe` the digest of the current recipe, empty without one.
    """

    lock: Lock
    before: Footprint
    diff: Diff
    moves: tuple[Move, ...]
    gone: tuple[Gone, ...]
    recipe: str = ""


def manifest_footprint(items: Iterable[Item], total: int, packages: int) -> Footprint:
    """The footprint of a manifest. `total` is its size in bytes: hard links cannot be seen in a manifest."""
    from msgspec.structs import replace

    tree = tree_of(items)
    return replace(footprint(tree.entries(), tree, packages), bytes=total)


def judge(subject: Subject, rules: Rules, drift: Drift | None) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """The findings, most severe first, and the ids of the rules that were checked."""
    findings = [*_budget(subject, rules, drift), *_policy(subject, rules)]
    if drift is not None:
        findings += _drift(subject, drift)
    allowed = matcher(rules.allow)
    graded = []
    for finding in findings:
        if not rules.off(finding.rule) and not (finding.path and allowed(finding.path)):
            graded.append(_graded(finding, rules))
    graded.sort(key=lambda f: (-f.severity, [r.id for r in RULES].index(f.rule), f.package, f.path, f.message))
    needs_lock = [r.id for r in RULES if r.id.startswith("drift-")] + ["budget-max-growth"]
    checked = [r.id for r in RULES if not rules.off(r.id) and r.id != "probe" and (drift or r.id not in needs_lock)]
    return tuple(graded), tuple(checked)


def _graded(finding: Finding, rules: Rules) -> Finding:
    from msgspec.structs import replace

    return replace(finding, severity=rules.severity(finding.rule))


def _finding(rule: str, message: str, path: str = "", package: str = "", reason: str = "") -> Finding:
    from debloat.gate.rules import BY_ID

    return Finding(rule, BY_ID[rule].severity, message, path, package, reason)


def _budget(subject: Subject, rules: Rules, drift: Drift | None) -> Iterator[Finding]:
    now = subject.footprint
    limits = (
        ("budget-max-size", rules.max_size, now.bytes, size),
        ("budget-max-files", rules.max_files, now.files, lambda n: count(n, "file")),
        ("budget-max-packages", rules.max_packages, now.packages, lambda n: count(n, "package")),
    )
    for rule, limit, value, words in limits:
        if limit is not None and value > limit:
            yield _finding(rule, f"{words(value)}, the budget is {words(limit)}")
    if drift is not None and rules.growth_percent is not None:
        was = drift.before.bytes
        growth = now.bytes - was
        if growth > rules.growth_floor and growth * 100 > was * rules.growth_percent:
            budget = f"{rules.growth_percent:g} % and {size(rules.growth_floor)}"
            text = f"{size(growth)} ({percent(growth, was)}) larger than the lock's {size(was)}, the budget is {budget}"
            yield _finding("budget-max-growth", text)


def _policy(subject: Subject, rules: Rules) -> Iterator[Finding]:
    packages = {item.path: item for item in subject.side.items}
    forbidden = [(glob, matcher((glob,))) for glob in rules.forbid]
    for path, item in packages.items():
        for glob, matches in forbidden:
            if matches(path):
                yield _finding("policy-forbid", f"{name(path)} is forbidden by {glob}", path, item.package, item.reason)
                break
    for glob in rules.require:
        if not any(map(matcher((glob,)), packages)):
            yield _finding("policy-require", f"nothing matches {glob}, which is required", glob)
    now = subject.footprint
    for switch, paths, what in (
        ("no-shell", now.shells, "is a shell"),
        ("no-setuid", now.setuid, "is setuid or setgid"),
        ("no-package-manager", now.package_managers, "is a package manager"),
        ("no-world-writable", now.world_writable, "may be written to by all"),
    ):
        for path in paths:
            item = packages[path]
            yield _finding(f"policy-{switch}", f"{_path_of(item)} {what}", path, item.package, item.reason)
    if subject.root:
        yield _finding("policy-non-root", f"it runs as {subject.user or 'root (no USER)'}")


def _path_of(item: Item) -> str:
    return f"{name(item.path)} of {item.package}" if item.package else name(item.path)


def _drift(subject: Subject, drift: Drift) -> Iterator[Finding]:
    yield from _missing(subject, drift)
    moved = {move.new for move in drift.moves}
    items = {item.path: item for item in subject.side.items}
    for rule, attribute, what in (
        ("drift-setuid", "setuid", "is setuid or setgid"),
        ("drift-shell", "shells", "is a shell"),
        ("drift-package-manager", "package_managers", "is a package manager"),
        ("drift-world-writable", "world_writable", "may be written to by all"),
    ):
        for path in getattr(subject.footprint, attribute):
            if path not in getattr(drift.before, attribute) and path not in moved:
                item = items[path]
                text = f"{_path_of(item)} {what}, and the lock has none there"
                yield _finding(rule, text, path, item.package, item.reason)
    lock = drift.lock
    for port in sorted({*subject.ports} ^ {*lock.ports}):
        word = "is exposed, not so in the lock" if port in subject.ports else "of the lock is no longer exposed"
        yield _finding("drift-port", f"port {port} {word}", f"port:{port}")
    if subject.user != lock.user:
        yield _finding("drift-user", f"USER is {subject.user or 'root'}, in the lock {lock.user or 'root'}")
    if drift.recipe and drift.recipe != lock.recipe:
        yield _finding("drift-recipe", "probes, scenarios or policy are not those that the lock was made with")
    was, now = drift.before.bytes, subject.footprint.bytes
    if was != now:
        sign = "+" if now > was else "-"
        text = f"{size(was)} in the lock, {size(now)} now ({sign}{size(abs(now - was))})"
        yield _finding("drift-size", text)
    for package in drift.diff.packages:
        yield from _package(package)


def _missing(subject: Subject, drift: Drift) -> Iterator[Finding]:
    """Findings for files that were used and are gone, and for files that an unchanged file still needs."""
    for gone in drift.gone:
        of = f" of {gone.package}" if gone.package else ""
        text = f"{name(gone.path)}{of} is gone; it was kept for: {name(gone.reason)}"
        yield _finding("drift-missing", text, gone.path, gone.package, gone.reason)
    reported = {gone.path for gone in drift.gone} | {move.old for move in drift.moves}
    now = {item.path: item for item in subject.side.items}
    before = {item.path: item for item in drift.lock.manifest}
    names = {path.rpartition("/")[2] for path in now if path not in before}
    for item in drift.diff.removed:
        why = item.evidence()
        if (
            not why.rule.startswith(_HARD_DEPENDENCIES)
            or item.path in reported
            or item.path.rpartition("/")[2] in names
        ):
            continue
        if why.source in now and why.source in before and now[why.source].content == before[why.source].content:
            text = f"{_path_of(item)} is gone, and {name(why.source)} needs it ({why.rule})"
            yield _finding("drift-missing", text, item.path, item.package, item.reason)


def _package(diff: PackageDiff) -> Iterator[Finding]:
    title = diff.name or "application"
    if diff.name and (diff.old_name or not (diff.before and diff.after)):
        if diff.old_name:
            text = f"{diff.old_name} {diff.before} became {diff.name} {diff.after}"
        else:
            text = f"{title} {diff.after} is new" if diff.after else f"{title} {diff.before} is gone"
        yield _finding("drift-package", text, package=stem(diff.name) if diff.old_name else diff.name)
    elif diff.before != diff.after:
        yield _finding("drift-version", f"{title} {diff.before} -> {diff.after}", package=diff.name)
    files = [f"+{name(i.path)}" for i in diff.added] + [f"-{name(i.path)}" for i in diff.removed]
    if files:
        counts = [f"{s}{count(len(g), 'file')}" for s, g in (("+", diff.added), ("-", diff.removed)) if g]
        yield _finding("drift-file", f"{title}: {', '.join(counts)}: {_some(files)}", package=diff.name)
    if diff.changed:
        paths = [f"{name(c.path)} ({', '.join(c.what)})" for c in diff.changed]
        yield _finding(
            "drift-content", f"{title}: {count(len(paths), 'file')} changed: {_some(paths)}", package=diff.name
        )


def _some(words: list[str]) -> str:
    rest = len(words) - _SHOWN
    return ", ".join(words[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
