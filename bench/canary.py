"""What a canary costs the service: requests per second of a static web server, of its canary over its minimal image."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench import store, tool
from bench.stats import ratios, spread, table
from bench.workloads import Unmeasured, wrk_of
from debloat import sensor
from debloat.core.recipe import RunOptions
from debloat.engine.docker import connect
from debloat.engine.workspace import Workspace
from debloat.image.reader import SENSOR_HOME, sensor_tar
from debloat.record.session import Recorder, Session, container_spec
from tests.support import fixtures

FIXTURE = "nginx"
LENGTH = 1
"""Seconds of load at a time."""
ASKED = wrk_of("/", LENGTH)
TURNS = 4
"""Turns a run: on a busy machine a second of each, many times, differs less than a minute of each."""
LEAST = 0.95
"""Requests per second of the canary, as a share of those of the minimal image."""
RECORDED = "recorded"
KINDS = ("slim", "canary", RECORDED)

Say = Callable[[str], None]


def run(say: Say, *, runs: int = 5) -> dict[str, Any]:
    """Make both images of the fixture, start them beside each other, and ask each for a second in turns, `runs` times
    `TURNS`; the minimal image under the recording sensor too, which is what stopping each call would cost."""
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    processor: dict[str, list[float]] = {kind: [] for kind in KINDS}
    tags = {kind: f"debloat-bench/canary:{kind}" for kind in KINDS[:2]}
    with tempfile.TemporaryDirectory(prefix="debloat-bench-") as name:
        argv = [fixtures.build(FIXTURE), "--http", "80:/", "-t", tags["slim"], "--canary", tags["canary"]]
        made = tool.run(argv, Path(name))
    if made.code:
        raise ValueError(made.errors)
    engine = connect()
    try:
        with Workspace(engine) as workspace, contextlib.ExitStack() as stack:
            binary = sensor.binary(engine.info().architecture)
            serving = {
                kind: stack.enter_context(
                    _serving(
                        workspace, tags.get(kind, tags["slim"]), Recorder(binary, "auto" if kind == RECORDED else "")
                    )
                )
                for kind in KINDS
            }
            for number in range(runs * TURNS):
                for kind in KINDS if number % 2 == 0 else reversed(KINDS):
                    before = _processor_seconds(serving[kind])
                    seconds[kind].append(ASKED(serving[kind]))
                    spent = _processor_seconds(serving[kind]) - before
                    processor[kind].append(spent * seconds[kind][-1] / LENGTH)
                say(", ".join(f"{kind} {1 / seconds[kind][-1]:.0f}/s" for kind in KINDS))
    finally:
        for tag in tags.values():
            engine.untag(tag)
        engine.close()
    rows = [
        {
            "name": kind,
            "rate": spread(1 / s for s in seconds[kind]).plain(),
            "ratio": ratios(seconds["slim"], seconds[kind]).plain(),
            "processor": spread(1e6 * p for p in processor[kind]).plain(),
        }
        for kind in KINDS
    ]
    return store.result("canary", images=rows)


@contextlib.contextmanager
def _serving(workspace: Workspace, tag: str, recorder: Recorder) -> Iterator[Session]:
    """A container of an image, ready to be asked."""
    engine, options = workspace.engine, RunOptions()
    image = engine.image(tag)
    spec = container_spec(image.id, image.config, None, options, recorder, ("80/tcp",), workspace.run)
    with workspace.container(spec) as container:
        engine.put(container, SENSOR_HOME, sensor_tar(recorder.sensor))
        engine.start(container)
        with contextlib.closing(Session(engine, container, image.config, options, recorder)) as session:
            answer = session.command("await", "80", "60000", timeout=70)
            if not answer.startswith("ready"):
                raise Unmeasured(f"the service did not get ready: {answer}")
            session.ports = session.state().ports
            yield session


def _processor_seconds(session: Session) -> float:
    """What all processes of the container have had of the processors, the watcher or recorder among them."""
    ours = os.readlink(f"/proc/{session.state().pid}/ns/pid")
    total = 0
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(place / "ns/pid") == ours:
                total += sum(int(task.read_text().split()[0]) for task in place.glob("task/*/schedstat"))
    return total / 1e9


def bars(result: dict[str, Any]) -> list[tuple[str, float, float]]:
    """What must hold: (what, measured, at most)."""
    share = next(row["ratio"]["median"] for row in result["images"] if row["name"] == "canary")
    return [("requests per second, minimal image over canary", 1 / share, 1 / LEAST)]


def summary(result: dict[str, Any], *, markdown: bool = False) -> str:
    rows = [
        (
            row["name"],
            f"{row['rate']['median']:,.0f}",
            f"{row['ratio']['median']:.2f}",
            f"{row['ratio']['low']:.2f} to {row['ratio']['high']:.2f}",
            f"{row['processor']['median']:.1f} us",
        )
        for row in result["images"]
    ]
    return table(
        ("image", "requests/s", "of the minimal image's", "middle half", "processors a request"),
        rows,
        markdown=markdown,
    )
