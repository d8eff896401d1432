"""The line protocol of `control`."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.sensor.harness import TIMEOUT, Sensor, read_events, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the sensor is started as root")


class Control:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        return self._process.stdout.readline().rstrip("\n")


@contextlib.contextmanager
def controlled(sensor: Sensor, *options: str, prefix: tuple[str, ...] = ()) -> Iterator[Control]:
    argv: list[str | Path] = [*prefix, sensor.path, "control", "--dir", sensor.traces, *options]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        watchdog = threading.Timer(TIMEOUT, process.kill)
        watchdog.start()
        try:
            yield Control(process)
        finally:
            watchdog.cancel()
            process.kill()


@contextlib.contextmanager
def running(sensor: Sensor, mechanism: str, *program: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([*sensor.argv(mechanism), *program], stdin=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def test_unknown_and_quit(sensor: Sensor) -> None:
    argv: list[str | Path] = [sensor.path, "control", "--dir", sensor.traces]
    done = subprocess.run(
        argv, input=b"what\nmark\nawait x\nquit\nlisten\n", capture_output=True, timeout=TIMEOUT, check=True
    )
    assert done.stdout == b"error unknown\nerror unknown\nerror usage\n"


def test_marks_divide_the_events(sensor: Sensor, payload: Path, tmp_path: Path, mechanism: str) -> None:
    waiting = 'while [ ! -e "$0/{}" ]; do :; done; [ -e /x/probed ]'
    script = f'{waiting.format("go-1")}; : >"$0/went"; {waiting.format("go-2")}'
    with controlled(sensor) as control, running(sensor, mechanism, "/bin/sh", "-c", script, str(tmp_path)) as process:
        assert control.ask("mark GET /a b") == "ok 1"
        (tmp_path / "go-1").touch()
        until((tmp_path / "went").exists)
        assert control.ask("mark second\x1b\x7f") == "ok 2"
        (tmp_path / "go-2").touch()
        assert process.wait(TIMEOUT) == 1
    assert (sensor.traces / "marks").read_bytes() == b"1\tGET /a b\n2\tsecond\\x1b\\x7f\n"
    _, events = read_events((sensor.traces / "main.events").read_bytes())
    assert [(e.epoch, e.brief[2]) for e in events if e.path == b"/x/probed"] == [(1, "/x/probed"), (2, "/x/probed")]


def test_listening_ports(sensor: Sensor) -> None:
    with contextlib.ExitStack() as stack:

        def opened(family: int, kind: int, address: str) -> int:
            s = stack.enter_context(socket.socket(family, kind))
            s.bind((address, 0))
            if kind == socket.SOCK_STREAM:
                s.listen()
            return int(s.getsockname()[1])

        everywhere = opened(socket.AF_INET, socket.SOCK_STREAM, "0.0.0.0")
        loopback = opened(socket.AF_INET, socket.SOCK_STREAM, "127.0.0.2")
        udp = opened(socket.AF_INET, socket.SOCK_DGRAM, "0.0.0.0")
        wanted = {f"{everywhere}/tcp", f"{loopback}/tcp!", f"{udp}/udp"}
        if socket.has_ipv6:
            with contextlib.suppress(OSError):
                wanted.add(f"{opened(socket.AF_INET6, socket.SOCK_STREAM, '::')}/tcp")
                wanted.add(f"{opened(socket.AF_INET6, socket.SOCK_STREAM, '::1')}/tcp!")
        with controlled(sensor) as control:
            answer = control.ask("listen").split()
            assert answer[0] == "listen"
            assert wanted <= set(answer[1:])
            assert control.ask(f"await 1,{everywhere} 5000") == f"ready {everywhere}"
            assert control.ask(f"await {loopback} 20") == "timeout", "nobody outside gets an answer there"
            assert control.ask(f"await {loopback}! 5000") == f"ready {loopback}"


def test_await_a_port_that_opens_later(sensor: Sensor) -> None:
    with controlled(sensor) as control, socket.socket() as s:
        s.bind(("0.0.0.0", 0))
        port = s.getsockname()[1]
        threading.Timer(0.1, s.listen).start()
        # The answer comes with the port, not with the limit, which is longer than a test may take.
        assert control.ask(f"await {port} 3600000") == f"ready {port}"


def test_await_ends_with_the_program(sensor: Sensor, payload: Path, mechanism: str) -> None:
    with running(sensor, mechanism, str(payload), "touch", "/x") as process, controlled(sensor) as control:
        process.wait(TIMEOUT)
        assert control.ask("await 1 20000") == "gone"


def test_settle(sensor: Sensor, payload: Path, tmp_path: Path) -> None:
    """In a PID namespace of its own, as in a container: only what runs in there counts."""
    ready, finish = tmp_path / "ready", tmp_path / "finish"
    script = f"""
        "$@" /bin/sh -c ': >{ready}; while [ ! -e {finish} ]; do :; done; sleep 30' &
        exec {sensor.path} control --dir {sensor.traces}
    """
    prefix = (
        "unshare",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
        "/bin/sh",
        "-c",
        script,
        "sh",
        *sensor.argv("notify"),
    )
    with subprocess.Popen(prefix, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        watchdog = threading.Timer(TIMEOUT, process.kill)
        watchdog.start()
        try:
            control = Control(process)
            until(ready.exists)
            assert control.ask("settle 200") == "timeout"
            finish.touch()
            assert control.ask("settle 20000") == "settled"
        finally:
            watchdog.cancel()
            process.kill()


def test_catches(sensor: Sensor, payload: Path, tmp_path: Path, mechanism: str) -> None:
    ready = tmp_path / "ready"
    with running(sensor, mechanism, str(payload), "trap", str(ready)), controlled(sensor) as control:
        until(ready.exists)
        assert control.ask(f"catches {signal.SIGTERM:d}") == "yes"
        assert control.ask(f"catches {signal.SIGQUIT:d}") == "yes", "it is not PID 1: the default action is taken"
        assert control.ask(f"catches {signal.SIGKILL:d}") == "yes"
        assert control.ask("catches 0") == "error usage"


@dataclass(frozen=True, slots=True)
class Init:
    """A program that is PID 1 of a namespace of its own: its number out here, and `control` in there."""

    pid: int
    process: subprocess.Popen[bytes]
    control: Control

    def stop(self, grace: int) -> str:
        """Send SIGTERM and wait for its end; what control says of it, and the exit code when it has ended."""
        os.kill(self.pid, signal.SIGTERM)
        # `control` goes down with PID 1, as in a container, before or after it has answered.
        answer = self.control.ask(f"await-end {signal.SIGTERM:d} {grace}")
        return f"ended {self.process.wait(TIMEOUT)}" if answer in ("", "gone") else answer


@contextlib.contextmanager
def as_init(sensor: Sensor, mechanism: str, ready: Path, *program: str | Path) -> Iterator[Init]:
    prefix = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    argv = [*prefix, *sensor.argv(mechanism, "--stop-signal", str(int(signal.SIGTERM))), *map(str, program), str(ready)]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as process:
        try:
            until(ready.exists)
            (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            with controlled(sensor, prefix=("nsenter", "--pid", "--mount", "--target", child)) as control:
                yield Init(int(child), process, control)
        finally:
            process.kill()


def test_catches_of_init(sensor: Sensor, payload: Path, tmp_path: Path, mechanism: str) -> None:
    with as_init(sensor, mechanism, tmp_path / "ready", payload, "trap") as init:
        assert init.control.ask(f"catches {signal.SIGTERM:d}") == "yes"
        assert init.control.ask(f"catches {signal.SIGQUIT:d}") == "no"
        assert init.stop(10000) == "ended 42"


def test_a_signal_that_init_waits_for(sensor: Sensor, payload: Path, tmp_path: Path, mechanism: str) -> None:
    """In sigtimedwait(2) a signal counts neither as caught nor as blocked."""
    with as_init(sensor, mechanism, tmp_path / "ready", payload, "term-awaited") as init:
        for _ in range(20):
            assert init.control.ask(f"catches {signal.SIGTERM:d}") == "yes"
            assert init.control.ask(f"catches {signal.SIGQUIT:d}") == "no"
        assert init.stop(10000) == "ended 44"


def test_a_signal_that_init_raises_in_vain(sensor: Sensor, payload: Path, tmp_path: Path, mechanism: str) -> None:
    """As Node does: its handler cleans up, and leaves the rest to the default action, which PID 1 is spared."""
    with as_init(sensor, mechanism, tmp_path / "ready", payload, "term-once", "raise") as init:
        assert init.control.ask(f"catches {signal.SIGTERM:d}") == "yes"
        assert init.stop(60000) == "ignored"
        assert init.control.ask(f"catches {signal.SIGTERM:d}") == "no"


@pytest.mark.parametrize("how", ["wait", "child"])
def test_a_handler_that_is_gone_is_no_sign(
    sensor: Sensor, payload: Path, tmp_path: Path, mechanism: str, how: str
) -> None:
    """It may be ending all the same; what another process sends it says nothing of its own intent."""
    with as_init(sensor, mechanism, tmp_path / "ready", payload, "term-once", how) as init:
        assert init.stop(20000) == "ended 43"


def test_an_end_that_does_not_come(sensor: Sensor, payload: Path, tmp_path: Path, mechanism: str) -> None:
    with as_init(sensor, mechanism, tmp_path / "ready", payload, "trap") as init:
        assert init.control.ask(f"await-end {signal.SIGTERM:d} 100") == "timeout"
        assert init.control.ask("await-end 15") == "error usage"
        assert init.control.ask("await-end 0 100") == "error usage"


def test_the_end_of_a_program_below_init(sensor: Sensor, payload: Path, tmp_path: Path, mechanism: str) -> None:
    ready = tmp_path / "ready"
    with running(sensor, mechanism, str(payload), "trap", str(ready)) as process, controlled(sensor) as control:
        until(ready.exists)
        process.terminate()
        process.wait(TIMEOUT)
        assert control.ask(f"await-end {signal.SIGTERM:d} 20000") == "gone"


def test_counters(sensor: Sensor, payload: Path, mechanism: str) -> None:
    for scope in ("main", "exec0"):
        subprocess.run(
            [*sensor.argv(mechanism, "--scope", scope), payload, "touch", "/x/y"], timeout=TIMEOUT, check=False
        )
    with controlled(sensor) as control:
        answer = control.ask("counters")
    values = dict(word.split("=") for word in answer.removeprefix("counters ").split())
    assert list(values) == ["handled", "records", "unread", "unresolved", "interrupted", "unwritten"]
    assert int(values["records"]) == sum(sensor.state(scope).records for scope in ("main", "exec0"))
    assert re.fullmatch(r"counters( \w+=\d+)+", answer)
