"""A plan as plain text for people: the containers, probes, contents and outputs of the run, one a line."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from debloat.core.text import count, name, size
from debloat.lock import compare
from debloat.plan import Plan, PlannedContainer, PlannedCut, PlannedProbe

_FILES = 10
"""Files listed of each package that changes."""


def render(plan: Plan) -> str:
    """The plan as text, with its last line end."""
    return "".join(f"{line}\n" for line in lines(plan))


def lines(plan: Plan) -> Iterator[str]:
    """The lines of the plan; names that come from the image are made printable."""
    about = f"{plan.image_id.removeprefix('sha256:')[:12]}, {plan.platform}"
    about += f", {size(plan.size)}" if plan.size else ""
    yield f"{name(plan.reference)} ({name(about)}) would become {name(plan.target)}"
    yield from _section("run first", (_command_line(command) for command in plan.commands))
    yield from _section("start", _container_rows(plan.containers))
    limits = [f"ready within {plan.ready:g} s, each answer within {plan.timeout:g} s"] if plan.probes else []
    yield from _section("ask", [*_probe_rows(plan.probes), *limits])
    yield from _section("keep", _kept_rows(plan))
    if plan.cut is not None:
        yield from _section("come to", _cut_rows(plan.cut))
    yield from _section("write", (f"{output.what:<9} {name(output.where)}" for output in plan.outputs))
    yield from _section("note", map(name, plan.notes))


def _section(title: str, rows: Iterable[str]) -> Iterator[str]:
    for number, row in enumerate(rows):
        if not number:
            yield ""
        yield f"  {title if not number else '':<9}  {row}".rstrip()


def _command_line(words: Iterable[str]) -> str:
    return name(shlex.join(words))


def _container_rows(containers: Iterable[PlannedContainer]) -> Iterator[str]:
    """One row for each container, followed by its options; one that is like an earlier one says so instead."""
    shown: list[PlannedContainer] = []
    for container in containers:
        if not container.program:
            yield f"{container.stage:<8} the sensor alone, to read the image; nothing of the image runs"
            continue
        image, like = (
            "the minimal image" if container.minimal else "the image",
            replace(container, stage="", minimal=False),
        )
        head = f"{container.stage:<8} {image}, {name(container.scenario)}"
        if like in shown:
            yield f"{head}: the same"
            continue
        shown.append(like)
        yield f"{head}: {_command_line(container.program)}"
        if how := ", ".join(_run_options(container)):
            yield f"{'':<8} {name(how)}"


def _run_options(container: PlannedContainer) -> Iterator[str]:
    spec = container.spec
    if container.user:
        yield f"as {container.user}"
    if spec.ports:
        yield f"{', '.join(spec.ports)} on 127.0.0.1"
    for title, values in (
        ("environment", sorted(spec.env)),
        ("volumes", spec.volumes),
        ("tmpfs", spec.tmpfs),
        ("network", [spec.network] if spec.network else ()),
        ("groups", spec.group_add),
        ("capabilities", [*(f"+{cap}" for cap in spec.cap_add), *(f"-{cap}" for cap in spec.cap_drop)]),
    ):
        if values:
            yield f"{title} {' '.join(values)}"
    if spec.read_only:
        yield "read-only"
    if spec.init:
        yield "with an init"


def _probe_rows(probes: Iterable[PlannedProbe]) -> Iterator[str]:
    meaning = {"port": "what it is found to speak, else a connect", "exit": "its output and exit code", "stop": ""}
    for probe in probes:
        named = any(f":{port}/" in probe.name for port in probe.ports)
        where = f" on port {', '.join(map(str, probe.ports))}" if probe.kind == "http" and not named else ""
        what = meaning.get(probe.kind, "")
        yield f"{name(probe.scenario)}: {name(probe.name)}{where}" + (f" ({what})" if what else "")


def _kept_rows(plan: Plan) -> Iterator[str]:
    policy = plan.policy
    yield f"level {policy.level}, " + ("by the lock" if plan.cut else "of what the recording finds, and of:")
    for known in plan.known:
        yield f"{known.source} {name(known.text)}"
    for glob, level in policy.levels:
        yield f"level {level} for {name(glob)}"
    for flag, values in (("keep", policy.keep), ("drop", policy.drop), ("keep-package", policy.keep_packages)):
        yield from (f"--{flag} {name(value)}" for value in values)
    yield from (f"[packages] {name(package)} is for the {purpose}" for package, purpose in policy.packages)


def _cut_rows(cut: PlannedCut) -> Iterator[str]:
    before, after = cut.before, cut.after
    yield f"{count(after.files, 'file')} of {before.files:,}, {size(after.bytes)} of {size(before.bytes)}"
    yield f"{count(after.packages, 'package')} of {before.packages:,}, layer {cut.layer}"
    if cut.identical:
        yield "the same files as in the lock"
    yield from compare.format_diff(cut.diff, shown=_FILES)
    yield from (f"moved {name(move.old)} -> {name(move.new)}" for move in cut.moves)
    for gone in cut.gone:
        of = f" of {name(gone.package)}" if gone.package else ""
        yield f"gone {name(gone.path)}{of}, kept for: {name(gone.reason)}"
