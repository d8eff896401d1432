"""The engines of the matrix, each started once and ended with the tests."""

from __future__ import annotations

import contextlib
import ctypes
import io
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import docker
import docker.errors
import pytest

from debloat.cli.main import main
from debloat.engine.client import open_client
from debloat.engine.endpoint import Endpoint
from debloat.engine.libpod import API
from tests.engines.setups import FIXTURES, HERE, HOME, SETUPS, Setup, load_images, started
from tests.support import fixtures

CLONE_NEWNET = 0x40000000
T = TypeVar("T")


@dataclass(slots=True)
class Engine:
    """An engine at work: its endpoint, a directory for what runs on it leave, and what it was given."""

    setup: Setup
    endpoint: str
    here: Path

    def client(self) -> docker.APIClient:
        return docker.APIClient(base_url=self.endpoint, version="auto", timeout=120)

    def within(self, ask: Callable[[], T]) -> T:
        """What a function gives that is called in the engine's network: ports of its containers are there alone."""
        if not self.setup.podman:
            return ask()
        pid = (HOME / self.setup.name / "pid").read_text().strip()
        with ThreadPoolExecutor(1) as pool, open(f"/proc/{pid}/ns/net") as network, timers(self.endpoint):
            pool.submit(enter, network.fileno()).result()
            return pool.submit(ask).result()

    @contextlib.contextmanager
    def chosen(self, directory: Path | None = None) -> Iterator[None]:
        """This engine is the one that commands talk to; runs on it are remembered apart from those on others."""
        with pytest.MonkeyPatch.context() as patch, contextlib.chdir(directory or self.here):
            patch.setenv("DOCKER_HOST", self.endpoint)
            patch.setenv("XDG_STATE_HOME", str(self.here / "state"))
            yield

    def debloat(self, *argv: str, directory: Path | None = None) -> str:
        """The command line on this engine; what it wrote on standard output. It must end well."""
        code, out, err = self._run(argv, directory)
        assert code == 0, f"debloat {' '.join(argv)} on {self.setup.title}: exit code {code}\n{err}"
        return out

    def refused(self, *argv: str, directory: Path, code: int) -> str:
        """What a command line that must fail with an exit code says on standard error."""
        ended, _, err = self._run(argv, directory)
        assert ended == code, err
        return err

    def _run(self, argv: tuple[str, ...], directory: Path | None) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with self.chosen(directory), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(list(argv))
        return code, out.getvalue(), err.getvalue()


@contextlib.contextmanager
def timers(endpoint: str) -> Iterator[None]:
    """What starts Podman's health checks while a block runs: systemd does, which is not where these engines are."""
    ended = threading.Event()

    def every_second() -> None:
        client = open_client(Endpoint(endpoint), endpoint)
        while not ended.wait(1.0):
            for container in client.containers(filters={"label": "debloat.test=fixtures"}):
                with contextlib.suppress(docker.errors.APIError):  # it has none, or has ended
                    client.ask("GET", f"/{API}/libpod/containers/{container['Id']}/healthcheck")
        client.close()

    thread = threading.Thread(target=every_second, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def enter(network: int) -> None:
    """Move this thread, and those that it starts, into a network namespace (setns(2))."""
    if ctypes.CDLL(None, use_errno=True).setns(network, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot enter the network of an engine")


class Engines:
    """Those that have been started so far, by name."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        self._stack = stack
        self._directory = directory
        self._archive = directory / "fixtures.tar"
        self._engines: dict[str, Engine] = {}

    def get(self, setup: Setup) -> Engine:
        if setup.name not in self._engines:
            here = self._directory / setup.name
            here.mkdir()
            self._engines[setup.name] = Engine(setup, self._stack.enter_context(started(setup)), here)
            if setup != HERE:
                self._give_fixtures(self._engines[setup.name].endpoint)
        return self._engines[setup.name]

    def _give_fixtures(self, endpoint: str) -> None:
        """Load all of them at once: what they have in common is saved, sent and unpacked one time only."""
        if not self._archive.exists():
            subprocess.run(["docker", "save", "-o", self._archive, *map(fixtures.tag, FIXTURES)], check=True)
        with self._archive.open("rb") as archive:
            load_images(archive, endpoint)


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    for name in FIXTURES:
        fixtures.build(name)
    with ExitStack() as stack:
        yield Engines(stack, tmp_path_factory.mktemp("engines"))


@pytest.fixture(scope="session", params=SETUPS, ids=lambda setup: setup.name)
def engine(request: pytest.FixtureRequest, engines: Engines) -> Engine:
    setup: Setup = request.param
    return engines.get(setup)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was seen, as the documentation has it."""
    from tests.engines.table import SEEN, render

    if SEEN:
        terminalreporter.write_line(render())
