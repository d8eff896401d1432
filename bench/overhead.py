"""What recording costs the recorded: each workload with and without it, in turns.

In the same turns it runs under a sensor that lets every call go on and looks at none: the floor, below which nothing
can come that is asked by the kernel before each call.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from bench import store
from bench.stats import ratios, spread, table
from bench.workloads import BASE, WORKLOADS, Unmeasured, Workload
from debloat import sensor
from debloat.core.config import read
from debloat.core.errors import DebloatError
from debloat.core.model import Image
from debloat.core.recipe import RunOptions, Settings, recipe
from debloat.engine.base import Engine
from debloat.engine.docker import connect
from debloat.engine.workspace import Workspace
from debloat.image.reader import SENSOR_HOME, sensor_tar
from debloat.record.session import Recorder, Session, container_spec
from tests.support import fixtures

READY = 60.0
LIMIT = 180.0

Say = Callable[[str], None]


def run(say: Say, *, runs: int = 5, only: Sequence[str] = (), mechanism: str = "auto") -> dict[str, Any]:
    """Measure the workloads whose images are there: `runs` pairs each, every second pair recorded first."""
    engine = connect()
    found = []
    try:
        architecture = engine.info().architecture
        binary, idle = sensor.binary(architecture), _idle(architecture)
        recorders = (Recorder(binary, ""), Recorder(binary, mechanism), Recorder(idle, mechanism))
        for workload in WORKLOADS:
            if only and not any(word in workload.name for word in only):
                continue
            try:
                found.append(_measured(engine, workload, recorders, runs))
                say(_line(found[-1]))
            except (Unmeasured, DebloatError) as error:
                say(f"{workload.name}: skipped: {error}")
    finally:
        engine.close()
    return store.result("overhead", mechanism=mechanism, workloads=found)


def _idle(architecture: str) -> bytes:
    """A sensor that lets every call go on and looks at none."""
    with tempfile.TemporaryDirectory(prefix="debloat-bench-") as directory:
        path = Path(directory) / "sensor"
        sensor.build(sensor.machine(architecture), path, "-DWITHOUT_OBSERVING=true")
        return path.read_bytes()


def _measured(engine: Engine, workload: Workload, recorders: Sequence[Recorder], runs: int) -> dict[str, Any]:
    image = engine.image(fixtures.tag(workload.fixture) if workload.fixture else BASE)
    plain, recorded, floor = list[float](), list[float](), list[float]()
    for number in range(runs):
        turn = list(zip(recorders, (plain, recorded, floor), strict=True))
        for recorder, values in turn if number % 2 == 0 else reversed(turn):
            values.append(_once(engine, image, workload, recorder))
    return {
        "name": workload.name,
        "bar": workload.bar,
        "ratio": ratios(recorded, plain).plain(),
        "floor": ratios(floor, plain).plain(),
        "plain": spread(plain).plain() | {"median": spread(plain).median},
        "recorded": spread(recorded).plain() | {"median": spread(recorded).median},
    }


def _once(engine: Engine, image: Image, workload: Workload, recorder: Recorder) -> float:
    """Seconds for a unit of work in a fresh container."""
    options = _options(workload)
    ports = (f"{workload.port}/tcp",) if workload.port else ()
    with Workspace(engine) as workspace:
        argv = ("/bin/sh", "-c", workload.script) if workload.script else None
        spec = container_spec(image.id, image.config, argv, options, recorder, ports, workspace.run)
        if argv:
            own = spec.entrypoint[: len(spec.entrypoint) - len(image.config.entrypoint) - len(argv)]
            spec = replace(spec, entrypoint=(*own, *argv), cmd=())
        with workspace.container(spec) as container:
            engine.put(container, SENSOR_HOME, sensor_tar(recorder.sensor))
            engine.start(container)
            session = Session(engine, container, image.config, options, recorder)
            with contextlib.closing(session):
                value = _of_program(engine, container, workload) if argv else _of_service(session, workload)
                engine.kill(container, "SIGKILL")
                engine.wait(container, LIMIT)
                if recorder.recording and not any(c.stops for c in session.recorded("start").counters):
                    raise Unmeasured("nothing was recorded")
                return value


def _options(workload: Workload) -> RunOptions:
    """How the fixture is run: its recipe says so."""
    if not workload.fixture:
        return RunOptions()
    settings = read(fixtures.FIXTURES / workload.fixture / "debloat.toml")
    return recipe(Settings(run_options=settings.run_options)).scenarios[0].options


def _of_program(engine: Engine, container: str, workload: Workload) -> float:
    code = engine.wait(container, LIMIT)
    out, err = engine.logs(container)
    if code != 0 or not out.strip().isdigit():
        raise Unmeasured(f"exit code {code}: {(err or out).decode('utf-8', 'replace')[-300:]}")
    return int(out) / 1e9


def _of_service(session: Session, workload: Workload) -> float:
    if workload.measure is None:
        raise Unmeasured("nothing is asked of it")
    answer = session.command("await", str(workload.port), str(int(READY * 1000)), timeout=READY + 10)
    if not answer.startswith("ready"):
        raise Unmeasured(f"the service did not get ready: {answer}")
    session.ports = session.state().ports
    return workload.measure(session)


def _line(found: dict[str, Any]) -> str:
    ratio = found["ratio"]
    bar = f", at most {found['bar']:g}" if found["bar"] else ""
    floor = f", floor {found['floor']['median']:.2f}"
    return f"{found['name']}: {ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f}){bar}{floor}"


def bars(result: dict[str, Any]) -> list[tuple[str, float, float]]:
    """What must hold: (what, measured, at most)."""
    return [(w["name"], w["ratio"]["median"], w["bar"]) for w in result["workloads"] if w["bar"]]


def summary(result: dict[str, Any], *, markdown: bool = False) -> str:
    rows = [
        (
            w["name"],
            f"{w['ratio']['median']:.2f}",
            f"{w['ratio']['low']:.2f} to {w['ratio']['high']:.2f}",
            f"{w['bar']:g}" if w["bar"] else "",
            f"{w['floor']['median']:.2f}" if "floor" in w else "",
            _seconds(w["plain"]["median"]),
            _seconds(w["recorded"]["median"]),
        )
        for w in result["workloads"]
    ]
    head = ("workload", "recorded/plain", "middle half", "at most", "floor/plain", "plain", "recorded")
    return table(head, rows, markdown=markdown)


def _seconds(value: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"
