"""`debug`: the original's tools beside a running container, on the fake engine; tests/engine has a real one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from debloat.engine.base import ContainerFound
from debloat.image.rootfs import Rootfs
from tests.support.cli import CommandLine, shop
from tests.support.engine import Behaviour, FakeEngine

TARGET = "f" * 64


def says(rootfs: Rootfs, argv: tuple[str, ...]) -> Behaviour:
    return Behaviour((), f"{' '.join(argv)}\n".encode(), b"a warning\n", 3)


@pytest.fixture
def boxes() -> FakeEngine:
    """An engine on which somebody runs `web`, of a minimal image, `plain`, of another, and has ended `done`."""
    engine = shop()
    from debloat.cli.main import main

    assert main(["shop:1", "-q"], lambda: engine) == 0
    engine._program = says
    image = engine.names["shop:1-slim"]
    engine.running = {
        "web": ContainerFound(TARGET, image, True),
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
    assert (spec.entrypoint, spec.cmd, spec.user) == (("ls",), ("-l", "/proc/1/root"), "0")
    assert (spec.cap_add, spec.volumes, spec.tty) == (("SYS_PTRACE",), (), False)
    assert lines(boxes)("debug", "web").out == "/bin/sh\n"
    assert lines(boxes)("debug", "--image", "shop:2", "plain", "id").out == "id\n"
    assert boxes.created[-1].image == boxes.names["shop:2"]


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (("none",), "cannot find the container none"),
        (("done",), "cannot debug done: it does not run"),
        (("plain",), "cannot tell whose tools to use: the image of plain does not say what it was made from"),
        (("--image", "none:1", "web"), "cannot find the image none:1"),
    ],
)
def test_what_cannot_be_debugged(
    boxes: FakeEngine, lines: Callable[[FakeEngine], CommandLine], argv: tuple[str, ...], complaint: str
) -> None:
    done = lines(boxes)("debug", *argv)
    assert done.code == 2
    assert complaint in done.complaint
