"""Signals at several moments of a run: exit code 130, nothing left (`place` looks), the original as it was."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator

import pytest

from tests.integration.harness import LIMIT, Place, in_base, until
from tests.integration.programs import WEB, WEB_FILES

pytestmark = pytest.mark.engine

MOMENTS = {
    "a container exists": "",
    "recording": "recording default",
    "recorded": "  record ",
    "closed": "  close and carve ",
    "loaded": "  load ",
}
"""What is waited for on stderr before the signal; nothing: a container of the run."""


class Run:
    """The command line in a process, its stderr gathered as it comes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line

    def says(self, text: str) -> None:
        until(lambda: text in self.said or self.process.poll() is not None, text)
        assert text in self.said, self.said

    def end(self) -> int:
        code = self.process.wait(LIMIT)
        self._reader.join()
        return code


@contextlib.contextmanager
def running(place: Place, *argv: str) -> Iterator[Run]:
    run = Run(place.start(*argv, "--verbose"))
    try:
        yield run
    finally:
        run.process.kill()
        run.end()
        assert run.process.stdout is not None
        run.process.stdout.close()


@pytest.fixture
def web(place: Place) -> str:
    return place.build(in_base(WEB), WEB_FILES)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_ends_a_run_cleanly(place: Place, web: str, moment: str, number: signal.Signals) -> None:
    with running(place, web, "--level", "exact") as run:
        if MOMENTS[moment]:
            run.says(MOMENTS[moment])
        else:
            until(place.containers, "a container of the run")
        run.process.send_signal(number)
        assert run.end() == 130, run.said
    assert f"interrupted by {number.name}" in run.said
    assert "Traceback" not in run.said
    assert place.client.images(name=f"{web}-slim") == []


def test_a_hang_up_is_a_signal_too(place: Place, web: str) -> None:
    with running(place, web, "--level", "exact") as run:
        run.says("recording default")
        run.process.send_signal(signal.SIGHUP)
        assert run.end() == 130, run.said


def test_signals_while_cleaning_up_change_nothing(place: Place, web: str) -> None:
    with running(place, web, "--level", "exact") as run:
        run.says("recording default")
        for _ in range(50):
            run.process.send_signal(signal.SIGINT)
            if run.process.poll() is not None:
                break
        assert run.end() == 130, run.said
    assert "Traceback" not in run.said


def test_a_signal_while_a_client_runs_ends_the_client(place: Place, web: str) -> None:
    command = f"echo $$ > '{place.here}/pid'; exec sleep 600"
    with running(place, web, "--run", command) as run:
        until(lambda: (place.here / "pid").is_file() and (place.here / "pid").read_text().strip(), "the client")
        client = int((place.here / "pid").read_text())
        run.process.send_signal(signal.SIGTERM)
        assert run.end() == 130, run.said
    with pytest.raises(ProcessLookupError):
        os.kill(client, 0)


def test_a_signal_while_a_program_does_not_get_ready(place: Place) -> None:
    image = place.build(in_base("EXPOSE 80", 'CMD ["sleep", "600"]'))
    with running(place, image) as run:
        until(place.containers, "a container of the run")
        run.says("recording default")
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 130, run.said


@pytest.mark.parametrize("verb", ["record", "why"])
def test_other_verbs_clean_up_too(place: Place, web: str, verb: str) -> None:
    if verb == "why":
        assert place.debloat("record", web, "--save-trace", "web.trace").code == 0
    argv = {
        "record": ("record", web, "--save-trace", "out.trace", "--verbose"),
        "why": ("why", web, "/etc", "--trace", "web.trace"),
    }
    run = Run(place.start(*argv[verb]))
    until(place.containers, "a container of the run")
    run.process.send_signal(signal.SIGTERM)
    assert run.end() == 130, run.said
    assert not (place.here / "out.trace").exists()
