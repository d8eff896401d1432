"""The judge: builds the fixture images and asks any image whether it still does what the fixture must do.

Independent of debloat's own code, so that a mistake there cannot hide here. The format of `checks.toml` is
documented in `fixtures/README.md`.

    python -m tests.support.fixtures                  build every original and check it
    python -m tests.support.fixtures nginx redis      only these
    python -m tests.support.fixtures nginx --image X  check image X with nginx's checks, building nothing
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals
from typing import Any, Self

import docker
import docker.errors
import httpx
from docker.models.containers import Container

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "fixtures"
BASE_SCRIPT = ROOT / "scripts" / "bootstrap-base.sh"
LOOPBACK = "127.0.0.1"
LABELS = {"debloat.test": "fixtures"}
"""Not `debloat.run`: `debloat gc --all` of a test beside would take the container for what a run left."""
LEVELS = ("exact", "safe")
CHECK_LIMIT = 20.0
READY_LIMIT = 60.0
HANDLER_LIMIT = 3.0
POLL = 0.02
SETTLED = 0.1
"""Seconds after which a connection that is still open has something behind the engine's proxy."""
YOUNG = 5.0
"""Seconds after which a service that seemed to be ready is: on a busy machine the proxy takes longer to hang up."""
RETRY = 0.2
CLEAR = 30.0
"""Seconds in which a run begins and ends."""
DETAIL = 400


class FixtureError(Exception):
    """A fixture that cannot be read or built; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a container is run: the keys of `[run_options]` and of a check's `options`. `seccomp` is a profile's text."""

    env: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    network: str = "bridge"
    user: str = ""
    read_only: bool = False
    tmpfs: tuple[str, ...] = ()
    init: bool = False
    cap_add: tuple[str, ...] = ()
    seccomp: str = ""

    @classmethod
    def read(cls, table: Mapping[str, Any], where: str) -> Self:
        _only(table, _fields(cls), where)
        return cls(**{key: _frozen(value) for key, value in table.items()})

    def over(self, table: Mapping[str, Any]) -> Options:
        """These options with the keys of a table replaced; `env` is merged."""
        merged = {key: getattr(self, key) for key in _fields(Options)} | {k: _frozen(v) for k, v in table.items()}
        return Options(**(merged | {"env": {**self.env, **table.get("env", {})}}))


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that the image must do. See `fixtures/README.md` for the keys."""

    name: str
    http: str = ""
    exec: str = ""
    run: str = ""
    args: str | None = None
    signal: str = ""
    restart: bool = False
    eventually: bool = False
    trained: bool = False
    container: str = "shared"
    options: Mapping[str, Any] = field(default_factory=dict)
    user: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    status: int = 200
    contains: str = ""
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    exit: int = 0
    stdout: str = ""
    timeout: float = CHECK_LIMIT

    @property
    def acts(self) -> bool:
        """Whether there is something to ask of a running service."""
        return bool(self.http or self.exec or self.run)

    @property
    def own(self) -> bool:
        """Whether it gets a container of its own: it ends it, starts it otherwise, or asks for one."""
        ends = bool(self.signal) and not self.acts
        return self.container == "own" or self.args is not None or bool(self.options) or ends


@dataclass(frozen=True, slots=True)
class Fixture:
    """A directory of `fixtures/`: the recipe it is trained with and the checks it is judged by."""

    name: str
    kind: str
    directory: Path
    recipe: Path
    options: Options
    ready: str
    ready_limit: float
    checks: tuple[Check, ...]
    levels: tuple[str, ...] = LEVELS
    minutely: bool = False
    """Something in it starts at full minutes, as cron's jobs do."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    name: str
    passed: bool
    detail: str
    seconds: float = 0.0


class _Failed(Exception):
    """The image did not do what a check asks for."""


# ---------------------------------------------------------------------------------------- reading


def names() -> list[str]:
    """Every fixture, sorted: the directories of `fixtures/` that have a Dockerfile."""
    return sorted(path.parent.name for path in FIXTURES.glob("*/Dockerfile"))


def load(name: str) -> Fixture:
    """The fixture of that name. Unknown keys, no action and doubled names are a `FixtureError`."""
    directory = FIXTURES / name
    recipe = directory / "debloat.toml"
    table = _toml(directory / "checks.toml")
    where = f"{name}/checks.toml"
    _only(table, {"kind", "levels", "minutely", "ready", "ready_timeout", "check"}, where)
    checks = tuple(_check(entry, where) for entry in table.get("check", []))
    doubled = {check.name for check in checks if sum(other.name == check.name for other in checks) > 1}
    if doubled:
        raise FixtureError(f"{where}: these names are used twice: {', '.join(sorted(doubled))}")
    levels = tuple(table.get("levels", LEVELS))
    if "safe" not in levels or not set(levels) <= set(LEVELS):
        raise FixtureError(f'{where}: levels is ["safe"] or left out')
    return Fixture(
        name=name,
        kind=table["kind"],
        directory=directory,
        recipe=recipe,
        options=Options.read(_toml(recipe).get("run_options", {}), f"{name}/debloat.toml"),
        ready=table.get("ready", ""),
        ready_limit=float(table.get("ready_timeout", READY_LIMIT)),
        checks=checks,
        levels=levels,
        minutely=bool(table.get("minutely")),
    )


def clear_of_full_minutes(
    fixture: Fixture, now: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Wait until a run is over before the next full minute, where the fixture starts something then.

    A run that such a minute falls into records what is started, another does not: their images need not be the same.
    """
    passed = now() % 60
    if fixture.minutely and passed > 60 - CLEAR:
        sleep(61 - passed)


def _check(table: Mapping[str, Any], where: str) -> Check:
    _only(table, _fields(Check), f"{where}: {table.get('name', 'a check without a name')}")
    check = Check(**table)
    where = f"{where}: {check.name}"
    _only(check.options, _fields(Options), where)
    asked = [key for key in ("http", "exec", "run") if getattr(check, key)]
    if len(asked) > 1:
        raise FixtureError(f"{where}: one of http, exec and run, not {' and '.join(asked)}")
    if not asked and check.args is None and not check.signal:
        raise FixtureError(f"{where}: nothing to do: give http, exec, run, args or signal")
    if check.restart and not asked:
        raise FixtureError(f"{where}: restart needs an http, exec or run to see that it is back")
    if check.container not in ("shared", "own"):
        raise FixtureError(f'{where}: container is "own" or left out')
    return check


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise FixtureError(f"cannot read {path.parent.name}/{path.name}: {error}") from error


def _only(table: Mapping[str, Any], allowed: set[str], where: str) -> None:
    unknown = sorted(set(table) - allowed)
    if unknown:
        raise FixtureError(f"{where}: unknown key {', '.join(unknown)}")


def _fields(cls: type) -> set[str]:
    return set(cls.__dataclass_fields__)  # type: ignore[attr-defined]


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


# --------------------------------------------------------------------------------------- building


def tag(name: str) -> str:
    return f"debloat-fixture/{name}:latest"


def suites(directory: Path) -> list[str]:
    """The suites of Debian whose slim images the Dockerfile of a directory begins with, sorted."""
    text = (directory / "Dockerfile").read_text("utf-8")
    return sorted(set(re.findall(r"^FROM debian:([a-z]+)-slim", text, re.MULTILINE)))


def build(name: str) -> str:
    """Build a fixture's image, after its `prepare` if it has one, and return the tag.

    The base image is made first where it is missing. Raises `FixtureError` with the end of the log.
    """
    directory = prepared(name)
    _step(["docker", "build", "--network", "host", "-t", tag(name), "."], directory, f"build {name}")
    return tag(name)


def prepared(name: str) -> Path:
    """A fixture's directory, ready to be built: with its base images on the engine, and what its `prepare` fetches."""
    directory = FIXTURES / name
    if not (directory / "Dockerfile").exists():
        raise FixtureError(f"no such fixture: {name}")
    _step([str(BASE_SCRIPT), *suites(directory)], ROOT, "make the base image")
    prepare = directory / "prepare"
    if prepare.exists():
        _step([str(prepare)], directory, f"prepare {name}")
    return directory


def _step(argv: Sequence[str], directory: Path, what: str) -> None:
    env = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(argv, cwd=directory, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-30:])
        raise FixtureError(f"cannot {what}: exit code {done.returncode}\n{tail}")


# ---------------------------------------------------------------------------------------- running


class Service:
    """A running container of an image with its exposed TCP ports published on loopback."""

    def __init__(self, container: Container, fixture: Fixture) -> None:
        self.container = container
        self.fixture = fixture
        self.ready_at = 0.0

    @property
    def alive(self) -> bool:
        self.container.reload()
        return bool(self.container.attrs["State"]["Running"])

    def ports(self) -> dict[int, int]:
        """Container port to host port, in ascending order; a restart may change the host's."""
        published = self.container.attrs["NetworkSettings"]["Ports"] or {}
        found = {int(port.partition("/")[0]): bound for port, bound in published.items() if bound}
        return {port: int(found[port][0]["HostPort"]) for port in sorted(found)}

    def wait_ready(self) -> None:
        """Wait until every exposed port is served and the fixture's `ready` command succeeds."""
        deadline = time.monotonic() + self.fixture.ready_limit
        while True:
            if not self.alive:
                raise _Failed(f"the container ended with exit code {self.exit_code()}: {self.logs()}")
            if all(_served(port) for port in self.ports().values()) and self._says_ready():
                self.ready_at = time.monotonic()
                return
            if time.monotonic() > deadline:
                raise _Failed(f"not ready after {self.fixture.ready_limit:g} s: {self.logs()}")
            time.sleep(POLL)

    def _says_ready(self) -> bool:
        if not self.fixture.ready:
            return True
        try:
            return self.exec(shlex.split(self.fixture.ready), "", CHECK_LIMIT)[0] == 0
        except _Failed:
            return False

    def exec(self, argv: Sequence[str], user: str, limit: float) -> tuple[int, str, str]:
        """Run a command in the container: exit code, stdout, stderr."""
        api = self.container.client.api
        try:
            exec_id = api.exec_create(self.container.id, list(argv), user=user)["Id"]
            out, err = _within(limit, lambda: api.exec_start(exec_id, demux=True))
        except docker.errors.APIError as error:
            raise _Failed(f"cannot run {argv[0]}: {error.explanation}") from error
        code = api.exec_inspect(exec_id)["ExitCode"]
        return code, _text(out), _text(err)

    def env(self) -> dict[str, str]:
        """What a `run` command finds in its environment."""
        ports = self.ports()
        variables = {"DEBLOAT_HOST": LOOPBACK, "DEBLOAT_CONTAINER": str(self.container.id)}
        for inside, outside in ports.items():
            variables[f"DEBLOAT_PORT_{inside}"] = str(outside)
        if ports:
            first = next(iter(ports.values()))
            variables |= {"DEBLOAT_PORT": str(first), "DEBLOAT_URL": f"http://{LOOPBACK}:{first}"}
        return variables

    def signal(self, name: str) -> None:
        """Send a signal to the main process, once it is prepared for it.

        A port can be served a moment before the handlers are there, and a main process without a handler ignores
        the signal. Where the process is not on this machine the wait is left out.
        """
        bit = 1 << (Signals[f"SIG{name.removeprefix('SIG')}"] - 1)
        status = Path(f"/proc/{self.container.attrs['State']['Pid']}/status")
        deadline = time.monotonic() + HANDLER_LIMIT
        with contextlib.suppress(OSError):
            while time.monotonic() < deadline:
                masks = re.findall(r"^Sig(?:Cgt|Blk):\s*([0-9a-f]+)$", status.read_text(), re.MULTILINE)
                if any(int(mask, 16) & bit for mask in masks):
                    break
                time.sleep(POLL)
        self.container.kill(signal=name)

    def exit_code(self) -> int:
        return int(self.container.attrs["State"]["ExitCode"])

    def logs(self) -> str:
        with contextlib.suppress(docker.errors.APIError):
            return _short(_text(self.container.logs(tail=15)))
        return ""


@contextlib.contextmanager
def _started(
    client: docker.DockerClient, image: str, fixture: Fixture, options: Options, args: str | None = None
) -> Iterator[Service]:
    """A started container, removed with its volumes in the end, whatever happened."""
    exposed = client.images.get(image).attrs["Config"].get("ExposedPorts") or {}
    ports = {port: (LOOPBACK, None) for port in exposed if port.endswith("/tcp")}
    container = client.containers.create(
        image,
        command=None if args is None else shlex.split(args),
        labels=LABELS,
        ports=ports if options.network != "none" else {},
        environment=dict(options.env),
        volumes=list(options.volumes),
        network=options.network,
        user=options.user or None,
        read_only=options.read_only,
        tmpfs={path: mode for path, _, mode in (entry.partition(":") for entry in options.tmpfs)},
        init=options.init or None,
        cap_add=list(options.cap_add),
        security_opt=[f"seccomp={options.seccomp}"] if options.seccomp else None,
    )
    try:
        try:
            container.start()
        except docker.errors.APIError as error:
            raise _Failed(f"cannot start: {error.explanation}") from error
        container.reload()
        yield Service(container, fixture)
    finally:
        with contextlib.suppress(docker.errors.NotFound):
            container.remove(force=True, v=True)


def _served(port: int) -> bool:
    """Whether something answers behind a published port.

    The engine's own proxy accepts at once and hangs up when nothing listens behind it, so a connection counts
    only when it is still open a moment later or when the service has spoken.
    """
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            connection.settimeout(SETTLED)
            return bool(connection.recv(1))
    except TimeoutError:
        return True
    except OSError:
        return False


# --------------------------------------------------------------------------------------- checking


def run_checks(
    image: str, fixture: Fixture, report: Callable[[CheckResult], None] = lambda result: None
) -> list[CheckResult]:
    """Ask an image everything that its fixture must do; the results come in the order of `checks.toml`.

    Checks that share the service's container run first, in order; the service is started anew when one of them
    brought it down. Containers and their volumes are removed on every way out.
    """
    client = docker.from_env(timeout=120)
    results: dict[str, CheckResult] = {}

    def note(check: Check, ask: Callable[[], None]) -> None:
        begin = time.monotonic()
        try:
            ask()
            result = CheckResult(check.name, True, "", time.monotonic() - begin)
        except (_Failed, httpx.HTTPError, docker.errors.APIError, OSError) as error:
            detail = _short(f"{error}" or type(error).__name__)
            result = CheckResult(check.name, False, detail, time.monotonic() - begin)
        results[check.name] = result
        report(result)

    try:
        with contextlib.ExitStack() as stack:
            service: Service | None = None
            for check in (c for c in fixture.checks if not c.own):

                def ask(check: Check = check) -> None:
                    nonlocal service
                    if service is None or not service.alive:
                        stack.close()
                        service = None
                        fresh = stack.enter_context(_started(client, image, fixture, fixture.options))
                        fresh.wait_ready()
                        service = fresh
                    _ask(service, check)

                note(check, ask)
        for check in (c for c in fixture.checks if c.own):
            note(check, lambda check=check: _ask_alone(client, image, fixture, check))  # type: ignore[misc]
    finally:
        client.close()
    return [results[check.name] for check in fixture.checks]


def _ask_alone(client: docker.DockerClient, image: str, fixture: Fixture, check: Check) -> None:
    with _started(client, image, fixture, fixture.options.over(check.options), check.args) as service:
        if check.args is not None and not check.acts and not check.signal:
            _expect_exit(service, check)
            return
        service.wait_ready()
        _ask(service, check)


def _ask(service: Service, check: Check) -> None:
    """Do what a check says to a running service; raises when the answer is not the expected one."""
    if check.restart:
        service.container.restart(timeout=10)
        service.wait_ready()
    if check.signal:
        service.signal(check.signal)
        if not check.acts:
            _expect_exit(service, check)
            return
    deadline = time.monotonic() + check.timeout
    while True:
        try:
            _act(service, check)
            return
        except (_Failed, httpx.HTTPError) as error:
            young = isinstance(error, httpx.TransportError) and time.monotonic() < service.ready_at + YOUNG
            if not (young or check.eventually or check.signal) or time.monotonic() > deadline:
                raise
            time.sleep(RETRY)


def _act(service: Service, check: Check) -> None:
    if check.http:
        _expect_answer(service, check)
    elif check.exec:
        code, out, err = service.exec(shlex.split(check.exec), check.user, check.timeout)
        _expect_output(check, code, out, err)
    else:
        _run_on_host(service, check)


def _expect_answer(service: Service, check: Check) -> None:
    method, url = _target(check.http, service.ports())
    host = next((value for key, value in check.headers.items() if key.lower() == "host"), "")
    request = httpx.Request(
        method,
        url,
        headers={"accept-encoding": "identity", **check.headers},
        content=check.body.encode() or None,
        extensions={
            "sni_hostname": host.partition(":")[0] or "localhost",
            "timeout": httpx.Timeout(check.timeout).as_dict(),
        },
    )
    with httpx.Client(verify=False, trust_env=False) as client:
        answer = client.send(request)
    if answer.status_code != check.status:
        raise _Failed(f"status {answer.status_code}, not {check.status}: {answer.text}")
    for name, pattern in check.answer_headers.items():
        if not re.search(pattern, answer.headers.get(name, "")):
            raise _Failed(f"header {name} is {answer.headers.get(name)!r}, which lacks {pattern!r}")
    _expect_match(check.contains, answer.text, "the body")


def _target(text: str, ports: Mapping[int, int]) -> tuple[str, str]:
    """Method and URL of `[METHOD ]PATH`, `[METHOD ]PORT:PATH` or `[METHOD ]SCHEME://:PORT/PATH`."""
    method, _, place = text.rpartition(" ")
    found = re.fullmatch(r"(?:(?P<scheme>https?)://:)?(?:(?P<port>\d+):?)?(?P<path>/.*)", place)
    if not found:
        raise _Failed(f"cannot read the target {text!r}")
    if not found["port"] and len(ports) != 1:
        raise _Failed(f"{text!r} needs a port: the image exposes {len(ports)}")
    inside = int(found["port"]) if found["port"] else next(iter(ports))
    if inside not in ports:
        raise _Failed(f"port {inside} is not published")
    return method or "GET", f"{found['scheme'] or 'http'}://{LOOPBACK}:{ports[inside]}{found['path']}"


def _run_on_host(service: Service, check: Check) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    try:
        done = subprocess.run(
            ["sh", "-c", check.run],
            cwd=service.fixture.directory,
            env={**os.environ, "PATH": path, **service.env()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=check.timeout,
        )
    except subprocess.TimeoutExpired as error:
        raise _Failed(f"no end after {check.timeout:g} s: {_text(error.stdout)}{_text(error.stderr)}") from error
    _expect_output(check, done.returncode, _text(done.stdout), _text(done.stderr))


def _expect_exit(service: Service, check: Check) -> None:
    container = service.container
    try:
        code = int(container.wait(timeout=check.timeout)["StatusCode"])
    except (httpx.HTTPError, OSError) as error:
        raise _Failed(f"still running after {check.timeout:g} s: {service.logs()}") from error
    out = _text(container.logs(stdout=True, stderr=False))
    err = _text(container.logs(stdout=False, stderr=True))
    _expect_output(check, code, out, err)


def _expect_output(check: Check, code: int, out: str, err: str) -> None:
    if code != check.exit:
        raise _Failed(f"exit code {code}, not {check.exit}: {out} {err}")
    _expect_match(check.stdout, out, "the output")


def _expect_match(pattern: str, text: str, what: str) -> None:
    if pattern and not re.search(pattern, text, re.MULTILINE):
        raise _Failed(f"{what} lacks {pattern!r}: {text}")


def _within(limit: float, work: Callable[[], Any]) -> Any:
    """The result of a blocking call, or a failure when it takes longer than the limit in seconds."""
    answer: list[Any] = []
    trouble: list[BaseException] = []

    def target() -> None:
        try:
            answer.append(work())
        except BaseException as error:
            trouble.append(error)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    thread.join(limit)
    if trouble:
        raise trouble[0]
    if not answer:
        raise _Failed(f"no end after {limit:g} s")
    return answer[0]


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= DETAIL else f"{text[:DETAIL]} ..."


# ------------------------------------------------------------------------------------ command line


def main(arguments: Sequence[str] | None = None) -> int:
    """Build and check originals, print a table, exit 1 when a check fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.fixtures", description=main.__doc__)
    parser.add_argument("name", nargs="*", help="fixtures to check (default: all)")
    parser.add_argument("--image", help="check this image with the one fixture named, and build nothing")
    parser.add_argument("--no-build", action="store_true", help="take the images that are there")
    parser.add_argument("-v", "--verbose", action="store_true", help="a line for each check")
    given = parser.parse_args(arguments)
    if given.image and len(given.name) != 1:
        parser.error("--image needs exactly one fixture")
    print(f"{'fixture':<14} {'build':>7} {'size':>8} {'checks':>7} {'time':>7}", flush=True)
    failed = False
    for name in given.name or names():
        try:
            failed |= not _judge(name, given)
        except FixtureError as error:
            failed = True
            print(f"{name:<14} {error}", flush=True)
    return int(failed)


def _judge(name: str, given: argparse.Namespace) -> bool:
    fixture = load(name)
    begin = time.monotonic()
    image = given.image or (tag(name) if given.no_build else build(name))
    built = time.monotonic() - begin

    def report(result: CheckResult) -> None:
        if given.verbose:
            mark = "ok" if result.passed else "FAILED"
            print(f"  {mark:<6} {result.seconds:6.2f} s  {result.name}  {result.detail}", flush=True)

    begin = time.monotonic()
    results = run_checks(image, fixture, report)
    taken = time.monotonic() - begin
    passed = sum(result.passed for result in results)
    with contextlib.closing(docker.from_env()) as client:
        size = client.images.get(image).attrs["Size"]
    row = f"{name:<14} {built:>5.1f} s {size / 1e6:>5.0f} MB {passed:>3}/{len(results):<3} {taken:>5.1f} s"
    print(row, flush=True)
    if not given.verbose:
        for result in results:
            if not result.passed:
                print(f"  FAILED {result.name}: {result.detail}", flush=True)
    return passed == len(results)


if __name__ == "__main__":
    sys.exit(main())
