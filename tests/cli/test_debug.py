"""`debug`: the original's tools beside a running container, on the fake engine; tests/engine has a real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from debloat.core.errors import EngineUnavailable, SensorUnavailable
from debloat.engine.base import ContainerFound
from debloat.image.rootfs import Rootfs
from tests.support.cli import CommandLine, shop
from tests.support.engine import Behaviour, FakeEngine

TARGET = "f" * 64
CATALOGUE, OLD, SPARE = "/usr/share/shop/catalogue", "/usr/lib/shop/old", "/usr/bin/spare"


def says(rootfs: Rootfs, argv: tuple[str, ...]) -> Behaviour:
    return Behaviour((), f"{' '.join(argv)}\n".encode(), b"a warning\n", 3)


@pytest.fixture
def boxes() -> FakeEngine:
    """An engine on which somebody runs `web`, of a minimal image, `plain`, of another, and has ended `done`."""
    engine = shop()
    from debloat.cli.main import main

    assert main(["lock", "shop:1", "--level", "exact", "-q"], lambda: engine) == 0
    engine._program = says
    image = engine.names["shop:1-slim"]
    engine.running = {
        "web": ContainerFound(TARGET, image, True),
        "shared": ContainerFound(TARGET, image, True, alone=False),
        "done": ContainerFound(TARGET, image, False),
        "plain": ContainerFound(TARGET, engine.names["shop:1"], True),
    }
    return engine


def test_a_command_with_the_original_s_tools(boxes: FakeEngine, lines: Callable[[FakeEngine], CommandLine]) -> None:
    done = lines(boxes)("debug", "web", "ls", "-l", "/proc/1/root")
    assert (done.code, done.out) == (3, "ls -l /proc/1/root\n")
    assert done.err == "debloat: tools of shop:1; the container's files are below /proc/1/root\na warning\n"
    spec = boxes.created[-1]
    assert (spec.image, spec.beside) == (boxes.names["shop:1"], TARGET)
    record = ("record", "--dir", "/.debloat/trace", "--beside", "--")
    assert spec.entrypoint == ("/.debloat/sensor", *record, "ls", "-l", "/proc/1/root")
    assert spec.user == "0"
    assert (spec.cap_add, spec.volumes, spec.tty) == (("SYS_PTRACE",), (), False)
    assert lines(boxes)("debug", "web").out == "/bin/sh\n"
    assert lines(boxes)("debug", "--image", "shop:2", "plain", "id").out == "id\n"
    assert boxes.created[-1].image == boxes.names["shop:2"]
    assert boxes.created[-1].entrypoint == ("id",), "nobody could tell what is missing"


@pytest.fixture
def looking(boxes: FakeEngine) -> FakeEngine:
    """Commands look for a file that the minimal image has, for two that it lacks, and for one of the tools' own."""
    paths = (f"/proc/1/root{CATALOGUE}", f"/proc/1/root{SPARE}", "/proc/1/root/none", OLD, "/proc/1/root/tmp/x")
    uses = tuple(("open", "r", path) for path in paths)
    boxes._program = lambda rootfs, argv: Behaviour(uses, exit_code=5)
    return boxes


def test_what_is_looked_up_in_vain(looking: FakeEngine, lines: Callable[[FakeEngine], CommandLine], here: Path) -> None:
    done = lines(looking)("debug", "--notes", "notes", "web", "cat")
    assert (done.code, done.err.splitlines()[1:]) == (
        5,
        [
            "debloat: looked up in the container in vain, though shop:1 has it:",
            f"  {SPARE} (spare)",
            "debloat: what the service needs of it, keep with --keep, or run `debloat heal notes`",
        ],
    )
    assert "--notes" in lines(looking)("debug", "web", "cat").err.splitlines()[-1]
    healed = lines(looking)("heal", "notes")
    assert "adding 1 path" in healed.err
    assert SPARE in looking.images[looking.names["shop:1-slim"]][0]


def test_what_the_container_has_by_itself(
    looking: FakeEngine, lines: Callable[[FakeEngine], CommandLine], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was made in it, and what is mounted, is there; the notes are empty then."""
    monkeypatch.setattr(looking, "changes", lambda container: frozenset({SPARE} if container == TARGET else ()))
    assert "in vain" not in lines(looking)("debug", "--notes", "notes", "web", "cat").err
    assert (here / "notes").read_bytes() == b""
    monkeypatch.undo()
    looking.running["web"] = replace(looking.running["web"], mounts=("/usr/bin",))
    assert "in vain" not in lines(looking)("debug", "web", "cat").err


def test_a_command_without_its_lookups(
    boxes: FakeEngine, lines: Callable[[FakeEngine], CommandLine], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where they cannot be had the command is what matters, unless the notes were asked for."""

    def none(architecture: str) -> bytes:
        raise SensorUnavailable("no sensor for this machine")

    boxes.fail_on = {"get": EngineUnavailable("it is gone")}
    done = lines(boxes)("debug", "web", "id")
    assert (done.code, done.out) == (3, "id\n")
    assert done.err.endswith("debloat: lookups are not noted: it is gone\n")
    boxes.fail_on = {}
    monkeypatch.setattr("debloat.sensor.binary", none)
    assert "lookups are not noted: no sensor" in lines(boxes)("debug", "web", "id").err
    assert boxes.created[-1].entrypoint == ("id",)
    assert lines(boxes)("debug", "--notes", "notes", "web", "id").code == SensorUnavailable.exit_code
    assert not (here / "notes").exists()


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (("none",), "cannot find the container none"),
        (("done",), "cannot debug done: it does not run"),
        (("plain",), "cannot tell whose tools to use: the image of plain does not say what it was made from"),
        (("--image", "shop:1", "--notes", "x", "plain"), "cannot tell what is missing: the image of plain"),
        (("--notes", ".", "web"), "cannot write .: Is a directory"),
        (("shared",), "cannot debug shared: its PID 1 is another's"),
        (("--image", "none:1", "web"), "cannot find the image none:1"),
    ],
)
def test_what_cannot_be_debugged(
    boxes: FakeEngine, lines: Callable[[FakeEngine], CommandLine], argv: tuple[str, ...], complaint: str
) -> None:
    done = lines(boxes)("debug", *argv)
    assert done.code == 2
    assert complaint in done.complaint
