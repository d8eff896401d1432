"""Malformed answers of engines: with any field null, missing or of another type, a run ends well or in one sentence.

The command line over the real HTTP client, on a fake engine behind a socket.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from debloat import sensor
from debloat.cli.main import main
from debloat.engine.base import PENDING_REPOSITORY, ContainerSpec
from debloat.image.rootfs import Rootfs
from tests.support.engine import Behaviour, FakeEngine
from tests.support.httpengine import Broken, HttpEngine, Lie, Refused, inspection, serving
from tests.support.trees import Table, tree

TREE: Table = {"/usr/bin/tool": ("0755", "\x00static"), "/usr/share/tool/data": "data", "/big": "x" * 9999}
CONFIG: dict[str, object] = {"Entrypoint": ["/usr/bin/tool"], "Volumes": {"/data": {}}, "Env": ["A=1"]}
RESULT = "tool:1-slim"


def program(rootfs: Rootfs, argv: tuple[str, ...]) -> Behaviour:
    data = rootfs.read("/usr/share/tool/data") if "/usr/share/tool/data" in rootfs else b""
    return Behaviour((("open", "r", "/usr/share/tool/data"),), data)


class Run:
    """A run of the command line on an engine of its own: how it ended, and what is left."""

    def __init__(
        self, place: Path, *argv: str, lie: Lie | None = None, set_up: Callable[[HttpEngine], None] | None = None
    ):
        self.engine = FakeEngine({"tool:1": (tree(TREE), CONFIG)}, program)
        self.http = HttpEngine(self.engine)
        if lie is not None:
            self.http.lie = lie
        if set_up is not None:
            set_up(self.http)
        out, err = io.StringIO(), io.StringIO()
        with (
            serving(self.http, place / "engine.sock") as endpoint,
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            patch.setenv("DOCKER_HOST", endpoint)
            patch.setattr(sensor, "binary", lambda architecture: b"sensor")
            self.code = main(list(argv or ("tool:1", "-q", "--level", "exact")))
        (place / "engine.sock").unlink()
        self.out, self.err = out.getvalue(), err.getvalue()

    @property
    def left(self) -> list[str]:
        pending = [name for name in self.engine.names if name.startswith(PENDING_REPOSITORY)]
        return sorted(self.engine.containers) + pending

    def trouble(self) -> str:
        """What is wrong with the way it ended; empty for nothing."""
        if self.code == 70 or "Traceback" in self.err or "internal error" in self.err:
            return f"internal error: {self.err[-600:]}"
        if self.code:
            said = [line for line in self.err.splitlines() if line.startswith("debloat: ")]
            if len(said) != 1 or self.out:
                return f"not one sentence: {self.err!r} {self.out!r}"
        elif self.out != f"{RESULT}\n" or RESULT not in self.engine.names:
            return f"exit code 0, and no result: {self.out!r}"
        return ""


def test_the_truth(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert (run.code, run.out, run.left) == (0, f"{RESULT}\n", []), run.err
    assert {"version", "image", "history", "create", "changes", "attach", "load", "tag", "untag"} <= set(run.http.asked)


def lies(answer: Any) -> Iterator[tuple[str, Any]]:
    """An answer with one thing wrong in it: null, missing, empty, of another type."""
    yield from (("null", None), ("empty list", []), ("empty object", {}), ("a text", "?"))
    if isinstance(answer, list) and answer:
        for name, value in lies(answer[0]):
            yield f"[0] {name}", [value, *answer[1:]]
    if isinstance(answer, dict):
        for key, inner in answer.items():
            yield f"{key} missing", {k: v for k, v in answer.items() if k != key}
            for name, value in lies(inner) if isinstance(inner, dict | list) else LIES_OF_A_FIELD:
                yield f"{key} {name}", {**answer, key: value}


LIES_OF_A_FIELD = (("null", None), ("a list", [1]), ("a number", 5))

JSON_ROUTES = ("version", "info", "image", "history", "create", "container", "changes", "wait")


@pytest.mark.parametrize("route", JSON_ROUTES)
def test_a_field_that_is_something_else(tmp_path: Path, route: str) -> None:
    truth = Run(tmp_path).http.answers if route != "container" else {"container": container_answer()}
    wrong = []
    for name, value in lies(truth[route]):

        def lie(asked: str, answer: Any, value: Any = value) -> Any:
            if asked != route:
                return answer
            if isinstance(value, dict) and "Id" in value and value["Id"] == truth[route]["Id"]:
                return {**value, "Id": answer["Id"]}
            return value

        run = Run(tmp_path, lie=lie)
        if run.trouble() or run.left:
            wrong.append(f"{name}: {run.trouble()} {run.left}")
    assert not wrong, "\n".join(wrong)


def container_answer() -> Any:
    engine = FakeEngine({"tool:1": (tree(TREE), CONFIG)}, program)
    return inspection(HttpEngine(engine), engine.create(ContainerSpec("tool:1", "r")), {}, b"")


BROKEN = {
    "nothing": b"",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "less than was said": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
    "a page": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
    "an error that is null": b"HTTP/1.1 500 Oops\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\nnull",
}


@pytest.mark.parametrize("broken", BROKEN)
def test_an_answer_that_is_none(tmp_path: Path, broken: str) -> None:
    def of(route: str) -> Lie:
        def lie(asked: str, answer: Any) -> Any:
            if asked == route:
                raise Broken(BROKEN[broken])
            return answer

        return lie

    wrong = []
    for route in (*JSON_ROUTES, "put", "start", "get", "logs", "load", "tag"):
        run = Run(tmp_path, lie=of(route))
        if run.trouble() or run.left:
            wrong.append(f"{route}: {run.trouble()} {run.left}")
    assert not wrong, "\n".join(wrong)


LOADS: dict[str, Callable[[bytes], list[dict[str, Any]]]] = {
    "an error at once": lambda data: [
        {"errorDetail": {"message": "no space left on device"}, "error": "no space left"}
    ],
    "an error in the middle": lambda data: [{"status": "Loading layer"}, {"error": "archive/tar: invalid tar header"}],
    "a detail alone": lambda data: [{"errorDetail": {"message": "unpack: exit status 1"}}],
    "nothing is loaded": lambda data: [{"stream": "Loaded image"}],
    "nothing is said": lambda data: [],
}


@pytest.mark.parametrize("load", LOADS)
def test_an_error_in_the_middle_of_a_load(tmp_path: Path, load: str) -> None:
    def set_up(http: HttpEngine) -> None:
        http.loading = LOADS[load]

    run = Run(tmp_path, set_up=set_up)
    assert run.code == 3, run.err
    assert "cannot load the minimal image: " in run.err
    assert (run.trouble(), run.left) == ("", [])
    assert RESULT not in run.engine.names


def test_a_load_that_is_cut_off_after_it_was_done(tmp_path: Path) -> None:
    def set_up(http: HttpEngine) -> None:
        def load(data: bytes) -> list[dict[str, Any]]:
            http.engine.load([data])
            raise Refused(500, "unexpected EOF")

        http.loading = load

    run = Run(tmp_path, set_up=set_up)
    assert (run.code, run.trouble(), run.left) == (3, "", [])
    assert "cannot load the minimal image: unexpected EOF" in run.err


@pytest.mark.parametrize(
    "verb", [("inspect", "tool:1"), ("why", "tool:1", "/big"), ("sbom", "tool:1"), ("doctor",), ("gc",)]
)
@pytest.mark.parametrize("route", ["version", "image", "containers", "images"])
def test_other_verbs_say_it_too(tmp_path: Path, verb: tuple[str, ...], route: str) -> None:
    lies: tuple[Any, ...] = (None, {}, [{}])
    for value in lies:

        def lie(asked: str, answer: Any, value: Any = value) -> Any:
            return value if asked == route else answer

        run = Run(tmp_path, *verb, lie=lie)
        assert run.code in (0, 2, 3), run.err
        assert "Traceback" not in run.err
        assert run.left == []
