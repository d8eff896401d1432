"""Programs behave under the sensor as they do without it, however they start others, stop, or are signalled."""

from __future__ import annotations

import os
import platform
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.sensor.harness import TIMEOUT, Sensor, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the sensor is started as root")


@pytest.mark.parametrize("how", ["vfork", "spawn", "clone"])
def test_children(sensor: Sensor, payload: Path, mechanism: str, how: str) -> None:
    """The child's program is told apart from its parent's, also while both share their memory."""
    _child(sensor, payload, mechanism, how)


def test_a_program_that_traces_its_child(sensor: Sensor, payload: Path) -> None:
    """Under notify only: a program has one tracer (ptrace(2))."""
    _child(sensor, payload, "notify", "tracer")


def _child(sensor: Sensor, payload: Path, mechanism: str, how: str) -> None:
    target = sensor.traces.parent / "other"
    target.write_bytes(payload.read_bytes())
    target.chmod(0o755)
    run = sensor.run(mechanism, str(payload), how, str(target), "touch", "/x/from-child")
    assert run.code == 3
    assert ("exec", str(target), str(payload)) in {(e.op, os.fsdecode(e.path), e.program) for e in run.events}
    assert {e.program for e in run.events if e.path == b"/x/from-child"} == {str(target)}
    if how == "vfork":
        assert {e.program for e in run.events if e.path == b"/nonexistent/after-vfork"} == {str(payload)}


def test_exec_from_a_thread(sensor: Sensor, payload: Path, mechanism: str) -> None:
    target = sensor.traces.parent / "other"
    target.write_bytes(payload.read_bytes())
    target.chmod(0o755)
    run = sensor.run(mechanism, str(payload), "exec-from-thread", str(target), "touch", "/x/after-exec")
    assert run.code == 3
    assert {e.program for e in run.events if e.path == b"/x/after-exec"} == {str(target)}


def test_threads(sensor: Sensor, payload: Path, tmp_path: Path, mechanism: str) -> None:
    run = sensor.run(mechanism, str(payload), "threads", str(tmp_path))
    assert run.code == 0
    assert len([p for p in run.paths("open") if "/thread-" in p]) == 8 * 500
    assert run.state.unread == 0


def test_own_seccomp_filter(sensor: Sensor, payload: Path, mechanism: str) -> None:
    run = sensor.run(mechanism, str(payload), "own-filter", "/x/filtered")
    assert run.code == 0
    assert run.about("/x/filtered") == [("access", "-", "/x/filtered")]


def test_own_listener(sensor: Sensor, payload: Path, mechanism: str) -> None:
    """There can be one listener: under ptrace it is the program's."""
    ebusy = 16
    assert sensor.run(mechanism, str(payload), "own-listener").code == (ebusy if mechanism == "notify" else 0)


def test_stop_and_continue(sensor: Sensor, payload: Path, mechanism: str) -> None:
    run = sensor.run(mechanism, str(payload), "stop", "/x/after-stop")
    assert run.code == 5
    assert run.about("/x/after-stop")


def test_pause(sensor: Sensor, payload: Path, mechanism: str) -> None:
    assert sensor.run(mechanism, str(payload), "pause").code == 4


@pytest.mark.parametrize("as_init", [False, True])
def test_reaping(sensor: Sensor, payload: Path, mechanism: str, as_init: bool) -> None:
    """wait() until ECHILD ends, and PID 1 gets its orphans, as without the sensor."""
    run = sensor.run(mechanism, str(payload), "reap", as_init=as_init)
    assert run.code == 0, run
    reaped = 5 + 15 if as_init else 5
    last = run.out.splitlines()[-1]
    assert last.startswith(f"reaped {reaped} errno 10 "), run.out
    assert not as_init or last.endswith("pid 1")


@pytest.mark.parametrize("as_init", [False, True])
def test_term_trap(sensor: Sensor, payload: Path, tmp_path: Path, mechanism: str, as_init: bool) -> None:
    ready = tmp_path / "ready"
    prefix = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"] if as_init else []
    argv = [*prefix, *sensor.argv(mechanism), str(payload), "trap", str(ready)]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as process:
        try:
            until(ready.exists)
            pid = process.pid
            if as_init:
                (pid,) = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
            os.kill(pid, signal.SIGTERM)
            assert process.wait(TIMEOUT) == 42
        finally:
            process.kill()


def test_killed_by_a_signal(sensor: Sensor, payload: Path, mechanism: str) -> None:
    assert sensor.run(mechanism, "/bin/sh", "-c", "kill -SEGV $$").code in (139, -11)


def test_end_is_known(sensor: Sensor, payload: Path, mechanism: str) -> None:
    sensor.run(mechanism, str(payload), "touch", "/x/y")
    until(lambda: sensor.state().phase == 2)
    if mechanism == "ptrace":
        assert os.waitstatus_to_exitcode(sensor.state().status) == 3


def test_signals_under_load(sensor: Sensor, payload: Path, tmp_path: Path, mechanism: str) -> None:
    """ptrace: no call is interrupted. notify: some are, more on a busy machine; all others are recorded."""
    run = sensor.run(mechanism, str(payload), "signals", str(tmp_path), "5000", "1000")
    match = re.search(r"interrupted (\d+) other (\d+)", run.out)
    assert match
    interrupted = int(match[1])
    assert int(match[2]) == 0
    assert mechanism == "notify" or interrupted == 0
    opened = {p for p in run.paths("open") if "/signal-" in p}
    assert 5000 - interrupted <= len(opened) <= 5000


def test_changed_user_is_still_read(sensor: Sensor, payload: Path, mechanism: str) -> None:
    run = sensor.run(mechanism, str(payload), "as-user", "65534", "/x/as-nobody")
    assert run.code == 0
    assert run.about("/x/as-nobody") == [("access", "-", "/x/as-nobody")]
    assert run.state.unread == 0


def test_fallback_to_ptrace(sensor: Sensor, payload: Path) -> None:
    """`auto` inside a recording by notify: the second listener is refused, and why is told."""
    inner = sensor.traces / "inner"
    inner.mkdir()
    argv = [str(sensor.path), "record", "--dir", str(inner), "--", str(payload), "touch", "/x/inner"]
    run = sensor.run("notify", *argv)
    assert run.code == 3, run
    nested = Sensor(sensor.path, inner).recording(run.code, b"", b"")
    assert nested.header[2] == "ptrace"
    assert nested.state.install_error == 16
    assert not nested.about("/x/inner"), "the outer listener answers first"
    assert run.about("/x/inner")


def test_auto_is_notify(sensor: Sensor, payload: Path) -> None:
    run = sensor.run("auto", str(payload), "touch", "/x/y")
    assert run.header[2] == "notify"
    assert (run.state.mechanism, run.state.install_error, run.state.forced_no_new_privs) == (1, 0, 0)


def test_own_calls_are_not_recorded(sensor: Sensor, payload: Path, mechanism: str) -> None:
    """The first event is the start of the program; looking it up in PATH is the sensor's business."""
    env = {"PATH": f"/nonexistent:{payload.parent}"}
    run = sensor.run(mechanism, "payload", "touch", "/x/y", env=env)
    assert run.code == 3
    assert run.events[0].brief == ("exec", "-", str(payload))
    assert run.events[0].program == str(sensor.path)
    assert not run.about("/nonexistent")


@pytest.mark.parametrize(
    ("program", "code", "says"),
    [
        ("/nonexistent/program", 127, "cannot start /nonexistent/program: ENOENT"),
        ("no-such-program", 127, "cannot start no-such-program: executable file not found in PATH"),
        ("/etc/passwd", 126, "cannot start /etc/passwd: EACCES"),
        ("/tmp", 126, "cannot start /tmp: EACCES"),
    ],
)
def test_program_that_cannot_start(sensor: Sensor, mechanism: str, program: str, code: int, says: str) -> None:
    run = sensor.run(mechanism, program)
    assert (run.code, run.err) == (code, f"sensor: {says}\n")
    assert run.state.phase == 2


def test_broken_recording_does_not_start(sensor: Sensor, payload: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sensor.path, "record", "--dir", tmp_path / "none", "--", payload, "touch", "/x"],
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 125
    assert done.stderr.startswith(b"sensor: cannot create ")


@pytest.mark.parametrize(
    "arguments", [["record"], ["record", "--dir"], ["record", "--what", "x", "--", "y"], ["what"], []]
)
def test_usage(sensor: Sensor, arguments: list[str]) -> None:
    done = subprocess.run([sensor.path, *arguments], capture_output=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 2
    assert done.stderr


def test_repeated_scope_gets_its_own_file(sensor: Sensor, payload: Path, mechanism: str) -> None:
    for name in ("first", "second"):
        subprocess.run(
            [*sensor.argv(mechanism, "--scope", "health"), str(payload), "touch", f"/x/{name}"],
            timeout=TIMEOUT,
            check=False,
        )
    first, second = (sensor.recording(0, b"", b"", name) for name in ("health", "health.2"))
    assert first.header[4] == second.header[4] == "health"
    assert first.about("/x/") == [("access", "-", "/x/first")]
    assert second.about("/x/") == [("access", "-", "/x/second")]


def test_few_descriptors(sensor: Sensor, payload: Path, mechanism: str) -> None:
    """The supervisor lives under the program's limits."""
    loop = f"ulimit -n 10; for i in 1 2 3 4 5 6 7 8 9 10; do {payload} touch /x/$i; done"
    argv = ["/bin/sh", "-c", 'ulimit -n 12; "$@"; exit $?', "sh", *sensor.argv(mechanism), "/bin/sh", "-c", loop]
    subprocess.run(argv, timeout=TIMEOUT, check=False)
    run = sensor.recording(0, b"", b"")
    assert {f"/x/{i}" for i in range(1, 11)} <= run.paths("access")
    assert (run.state.unread, run.state.unresolved) == (0, 0)


def test_full_disk_is_counted(sensor: Sensor, payload: Path, tmp_path: Path, mechanism: str) -> None:
    """Nothing is lost silently: what cannot be written is counted, said once, and the program goes on."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", sensor.traces], check=True, timeout=TIMEOUT)
    try:
        argv = [
            "sh",
            "-c",
            '"$@"; exit $?',
            "sh",
            *sensor.argv(mechanism),
            str(payload),
            "many",
            str(tmp_path),
            "3000",
            "1",
        ]
        done = subprocess.run(argv, capture_output=True, timeout=TIMEOUT, check=False)
        assert done.returncode == 0
        state = sensor.state()
        assert state.unwritten > 0
        assert state.write_error == 28
        assert state.records + state.unwritten >= 3000
        assert done.stderr == b"sensor: cannot write an event: ENOSPC\n"
        until(lambda: sensor.state().phase == 2)
    finally:
        subprocess.run(["umount", "-l", sensor.traces], check=True, timeout=TIMEOUT)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="a program for i386 is built here")
def test_program_of_the_other_abi(sensor: Sensor, tmp_path: Path, mechanism: str) -> None:
    """A real 32-bit program, not only the 32-bit entry of a 64-bit one."""
    source = tmp_path / "narrow.c"
    source.write_text(
        """
        static int call(int n, const void *a, int b, int c) {
            int r;
            __asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory");
            return r;
        }
        void _start(void) {
            call(5, "/x/open32", 0, 0);
            call(33, "relative32", 0, 0);
            call(1, (void *)7, 0, 0);
        }
        """
    )
    program = tmp_path / "narrow"
    flags = ["-m32", "-O1", "-nostdlib", "-static", "-fno-pic", "-no-pie", "-ffreestanding", "-fno-stack-protector"]
    built = subprocess.run(["cc", *flags, "-o", program, source], capture_output=True, timeout=60, check=False)
    if built.returncode:
        pytest.skip("the compiler makes no 32-bit programs")
    run = sensor.run(mechanism, str(program), cwd=tmp_path)
    if run.code in (126, 127):
        pytest.skip("the kernel runs no 32-bit programs")
    assert run.code == 7
    assert run.about("/x/open32") == [("open", "r", "/x/open32")]
    assert run.about("relative32") == [("access", "-", f"{tmp_path}/relative32")]
