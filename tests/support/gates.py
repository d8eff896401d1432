"""Gate reports and locks for tests, made of small trees."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from debloat.core.model import Access, Kind, Op, Policy, Trace, Want
from debloat.footprint import Footprint
from debloat.gate.findings import GateReport
from debloat.gate.judge import Drift, Subject, judge, manifest_footprint
from debloat.gate.rules import Rules
from debloat.lock.compare import Side, compare
from debloat.lock.format import Item, Lock, LockedPackage
from debloat.lock.seeds import Gone, Move

DIGEST = "sha256:" + "0" * 64


def item(
    path: str, content: str = "x", mode: int = 0o644, package: str = "", reason: str = "trace probe:start"
) -> Item:
    """A file, or `-> target` a link, or with a final slash a directory."""
    if path.endswith("/"):
        return Item(path.rstrip("/") or "/", Kind.DIR, mode | 0o111, 0, 0, 0, "", "", "parent")
    if content.startswith("-> "):
        return Item(path, Kind.SYMLINK, 0o777, 0, 0, 0, content[3:], package, reason)
    digest = hashlib.sha256(content.encode()).hexdigest()
    return Item(path, Kind.FILE, mode, 0, 0, len(content), digest, package, reason)


def tree_items(*items: Item) -> tuple[Item, ...]:
    """Items with the directories above them, sorted."""
    found = {i.path: i for i in items}
    for path in list(found):
        while path != "/":
            path = path.rpartition("/")[0] or "/"
            found.setdefault(path, item(path.rstrip("/") + "/"))
    return tuple(found[path] for path in sorted(found))


def lock(*items: Item, packages: Iterable[LockedPackage] = (), **changes: object) -> Lock:
    """A lock of some items; packages that items name come by themselves, in version 1."""
    manifest = tree_items(*items)
    known = {p.name: p for p in packages}
    for i in manifest:
        if i.package and i.package not in known:
            known[i.package] = LockedPackage(i.package, "1", i.package.partition(":")[0])
    values: dict[str, object] = {
        "tool": "0.1.0",
        "reference": "shop:1",
        "image": DIGEST,
        "platform": "linux/amd64",
        "recipe": DIGEST,
        "layer": DIGEST,
        "bytes": sum(i.size for i in manifest),
        "user": "app",
        "ports": ("80/tcp",),
        "policy": Policy(),
        "packages": tuple(known[name] for name in sorted(known)),
        "manifest": manifest,
        **changes,
    }
    return Lock(**values)  # type: ignore[arg-type]


def footprint_of(value: Lock) -> Footprint:
    return manifest_footprint(value.manifest, value.bytes, len(value.packages))


def judged(
    old: Lock | None,
    new: Lock,
    rules: Rules | None = None,
    *,
    gone: tuple[Gone, ...] = (),
    moves: tuple[Move, ...] = (),
    recipe: str = "",
) -> GateReport:
    """The report of an image that is as `new` says, held against `old`."""
    side = Side("image", new.manifest, new.packages)
    subject = Subject(side, footprint_of(new), new.user, new.ports, new.user in ("", "root"))
    drift = None
    if old is not None:
        diff = compare(Side("lock", old.manifest, old.packages), side)
        drift = Drift(old, footprint_of(old), diff, moves, gone, recipe)
    findings, checked = judge(subject, rules or Rules(), drift)
    return GateReport(
        tool="debloat 0.1.0",
        reference="shop:2",
        image_id=DIGEST,
        lock="debloat.lock" if old else "",
        minimal=True,
        before=drift.before if drift else None,
        after=subject.footprint,
        original=None,
        findings=findings,
        checked=checked,
        diff=drift.diff if drift else compare(side, side),
        moves=moves,
        gone=gone,
    )


def trace(*paths: str, op: Op = Op.OPEN, program: str = "/usr/bin/app", probe: str = "start") -> Trace:
    """A trace of a program that used some paths."""
    return Trace(frozenset(Access(path, op, "", probe, program) for path in paths), frozenset({DIGEST}), frozenset())


def by_rule(report: GateReport) -> Mapping[str, list[str]]:
    """Rule -> paths, or messages where there is no path."""
    found: dict[str, list[str]] = {}
    for finding in report.findings:
        found.setdefault(finding.rule, []).append(finding.path or finding.message)
    return found


def healed(path: str) -> Want:
    return Want(path, "healed", "probe:start", "open", follow=False)
