"""A running container of an image: started as in production, recorded by the sensor, stopped by its own signal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from msgspec import Struct

from debloat.core import capabilities
from debloat.core.errors import EngineUnavailable
from debloat.core.model import Access, Image, ImageConfig
from debloat.core.recipe import RunOptions
from debloat.core.signals import signal_number
from debloat.engine.base import Channel, ChannelClosed, ContainerSpec, ContainerState, Engine, ExecResult
from debloat.engine.workspace import Workspace
from debloat.image.reader import SENSOR, SENSOR_HOME
from debloat.record.home import IN_A_VOLUME, TRACES, Home, with_sensor
from debloat.record.trace import Counters, parse_events, parse_marks, parse_state, scope_of
from debloat.record.tunnel import DatagramTunnel, Tunnel, published_here

MAIN = "main"
"""Scope of the container's own program, beside those of commands that are run in it."""
SENSOR_CAPS = ("SYS_PTRACE", "SYS_ADMIN", "SETUID", "SETGID", "SETPCAP", "DAC_OVERRIDE", "CHOWN")
"""What the sensor needs to install its filter, to read paths and to become the image's USER. All but the
first two are the default; they are added only where the user takes them away."""
STOP_GRACE = 10.0
"""Seconds between the stop signal and SIGKILL, as `docker stop` has it."""
END_TIMEOUT = 5.0
"""Seconds within which the engine notices the end of a container whose streams have closed."""
ANSWER_MARGIN = 10.0
"""Seconds that an answer of `control` may take beyond the time that it was asked to wait."""

ByHand = Callable[[Mapping[str, int], Callable[[], bool]], None]
"""Gets the container's ports as they are reached from here, and whether it still runs; returns when it was used."""


class Recorder(Struct, frozen=True):
    """How to record: the sensor's binary for the engine's machine, and the mechanism, empty for no recording.

    `by_hand` lets somebody use the recorded container for as long as they want, once its probes are made.
    With `unseen`, system calls are noted and no paths recorded, all calls but those of these numbers (comma separated).
    `seccomp` is the profile that the container gets in place of the engine's own, empty for none.
    """

    sensor: bytes
    mechanism: str = "auto"
    by_hand: ByHand | None = None
    unseen: str = ""
    seccomp: str = ""

    @property
    def recording(self) -> bool:
        return bool(self.mechanism)


class Recorded(Struct, frozen=True):
    """What a session leaves: accesses, the counters of each recording, and names that could not be resolved.

    `calls` are system calls that were noted (`debloat.record.trace.Events`).
    """

    accesses: frozenset[Access] = frozenset()
    counters: tuple[Counters, ...] = ()
    unresolved: tuple[str, ...] = ()
    calls: frozenset[tuple[str, int]] = frozenset()


class Session:
    """A started container with the sensor in it. Made by `started`."""

    def __init__(
        self,
        engine: Engine,
        container: str,
        config: ImageConfig,
        options: RunOptions,
        recorder: Recorder,
        home: Home = IN_A_VOLUME,
    ) -> None:
        self.engine = engine
        self.container = container
        self._home = home
        self._config = config
        self._options = options
        self._recorder = recorder
        self._scopes: dict[str, str] = {}
        self._control: Channel | None = None
        self._tunnels: list[Tunnel | DatagramTunnel] = []
        self._within: dict[int, int] = {}
        self.ports: Mapping[str, int] = MappingProxyType({})

    def command(self, *words: str, timeout: float = 60.0) -> str:
        """One exchange with the sensor's `control`; `gone` where the container has ended."""
        try:
            return self._exchange(words, timeout)
        except (ChannelClosed, EngineUnavailable):
            # The container has ended under the command; the engine may notice a moment later.
            if self.engine.wait(self.container, END_TIMEOUT) is None:
                raise
            return "gone"

    def _exchange(self, words: tuple[str, ...], timeout: float) -> str:
        if self._control is None:
            argv = (SENSOR, "control", "--dir", TRACES)
            self._control = self.engine.execute(self.container, argv, user="0:0")
        self._control.send((" ".join(words) + "\n").encode("utf-8", "surrogateescape"))
        return self._control.line(timeout)

    def mark(self, name: str) -> None:
        """Attribute what is recorded from now on to the probe `name`."""
        plain = (c if c > " " and c not in "\\\x7f" else f"\\x{ord(c):02x}" for c in name)
        self.command("mark", "".join(plain))

    def by_hand(self, use: ByHand) -> None:
        """Let somebody use the container."""
        self.mark("by hand")
        use(self.ports, lambda: self.state().running)

    def state(self) -> ContainerState:
        return self.engine.state(self.container)

    def execute(self, name: str, argv: tuple[str, ...], timeout: float) -> ExecResult:
        """Run a command in the container as its USER, recorded under `name`; it fails where the container has ended."""
        user = self._options.user or self._config.user
        if self._recorder.recording:
            scope = f"exec{len(self._scopes)}"
            self._scopes[scope] = name
            argv, user = (*record_argv(self._config, self._options, self._recorder, scope), *argv), "0:0"
        try:
            return self.engine.run(self.container, argv, user=user, timeout=timeout)
        except EngineUnavailable as error:
            if self.engine.wait(self.container, END_TIMEOUT) is None:
                raise
            return ExecResult(-1, b"", error.message.encode("utf-8", "surrogateescape"))

    def stop(self) -> int | None:
        """Stop it as the engine would, and give its exit code; None when it had to be killed.

        The grace period is not waited out where the kernel withholds the signal from PID 1: from one that does not
        handle it, and from one whose handler leaves the end to the signal's default action, as Node's does.
        """
        name = self._config.stop_signal
        number = str(signal_number(name))
        if self.command("catches", number) != "no":
            self.engine.kill(self.container, name)
            if self._ends(number) and (code := self.engine.wait(self.container, STOP_GRACE)) is not None:
                return code
        self.engine.kill(self.container, "SIGKILL")
        self.engine.wait(self.container, STOP_GRACE)
        return None

    def _ends(self, number: str) -> bool:
        """Wait for the end of the program after its stop signal; False: it takes too long, or will not come."""
        words = ("await-end", number, str(int(STOP_GRACE * 1000)))
        try:
            return self._exchange(words, STOP_GRACE + ANSWER_MARGIN) == "gone"
        except (ChannelClosed, EngineUnavailable):
            return True  # `control` goes down with the container

    def recorded(self, beginning: str) -> Recorded:
        """What was recorded; `beginning` names what came before the first probe.

        To be called after the container's end; SensorUnavailable where files are damaged.
        """
        if not self._recorder.recording:
            return Recorded()
        files = self._home.traces(self.engine, self.container)
        marks = parse_marks(files.get("marks", b""))
        accesses: set[Access] = set()
        counters, unresolved, calls = [], list[str](), set[tuple[str, int]]()
        for name in sorted(files):
            if name.endswith(".state"):
                counters.append(parse_state(files[name]))
            elif name.endswith(".events"):
                exec_name = self._scopes.get(scope_of(files[name]))
                events = parse_events(files[name], exec_name or beginning, {} if exec_name else marks)
                accesses |= events.accesses
                unresolved += events.unresolved
                calls |= events.calls
        return Recorded(frozenset(accesses), tuple(counters), tuple(sorted(set(unresolved))), frozenset(calls))

    def reach(self, ports: tuple[str, ...]) -> None:
        """Fill `self.ports`: for each port (`80/tcp`) the one on this machine that leads to it."""
        state, local = self.engine.state(self.container), self.engine.info().local
        reached = {}
        for port in ports:
            number, datagrams = int(port.partition("/")[0]), port.endswith("/udp")
            published = state.ports.get(port, 0)
            if local and self._options.network == "host":
                reached[port] = number
            elif local and published and published_here(published, datagrams=datagrams):
                reached[port] = published
            else:
                reached[port] = self._tunnel(DatagramTunnel if datagrams else Tunnel, state, number)
        self.ports = MappingProxyType(reached)

    def within(self, port: int) -> int:
        """A port of this machine that leads to one of the container as if from within, published or not."""
        if self.engine.info().local and self._options.network == "host":
            return port
        if port not in self._within:
            self._within[port] = self._tunnel(Tunnel, self.engine.state(self.container), port)
        return self._within[port]

    def _tunnel(self, kind: type[Tunnel | DatagramTunnel], state: ContainerState, port: int) -> int:
        tunnel = kind(self.engine, self.container, state.addresses or ("127.0.0.1",), port)
        self._tunnels.append(tunnel)
        return tunnel.port

    def close(self) -> None:
        for tunnel in self._tunnels:
            tunnel.close()
        if self._control is not None:
            self._control.close()


def held_capabilities(options: RunOptions) -> frozenset[str]:
    """A container's capabilities, by Docker's default and these options, without `CAP_`; `ALL` stands for itself."""
    dropped = capabilities.named(options.cap_drop)
    return capabilities.named(options.cap_add) | (frozenset() if "ALL" in dropped else capabilities.DEFAULT - dropped)


def sensor_caps(options: RunOptions) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Capabilities to add for the sensor, and those of them that the program must not have."""
    held = held_capabilities(options)
    missing = tuple(c for c in SENSOR_CAPS if c not in held and "ALL" not in held)
    return missing, missing


def record_argv(config: ImageConfig, options: RunOptions, recorder: Recorder, scope: str) -> tuple[str, ...]:
    """The sensor's command line in front of the program's own."""
    argv = [SENSOR, "record", "--dir", TRACES, "--scope", scope, "--mechanism", recorder.mechanism]
    user = options.user or config.user
    if user:
        argv += ["--user", user]
    if scope == MAIN:
        argv += ["--stop-signal", str(signal_number(config.stop_signal))]
    if "HOME" in config.env or "HOME" in options.env:
        argv += ["--keep-home"]
    if options.group_add:
        argv += ["--group-add", ",".join(options.group_add)]
    _, drop = sensor_caps(options)
    if drop:
        argv += ["--drop-caps", ",".join(c.lower() for c in drop)]
    if options.no_new_privs:
        argv += ["--no-new-privs"]
    if recorder.unseen:
        argv += ["--calls", recorder.unseen]
    return (*argv, "--")


def container_spec(
    image: str,
    config: ImageConfig,
    args: tuple[str, ...] | None,
    options: RunOptions,
    recorder: Recorder,
    ports: tuple[str, ...],
    run: str,
) -> ContainerSpec:
    """The container of a scenario: as production starts it, with the sensor in front when it is recorded."""
    program = (*config.entrypoint, *(config.cmd if args is None else args))
    add, _ = sensor_caps(options) if recorder.recording else ((), ())
    wrapped = (*record_argv(config, options, recorder, MAIN), *program) if recorder.recording else ()
    return ContainerSpec(
        image=image,
        run=run,
        entrypoint=wrapped,
        cmd=() if recorder.recording or args is None else args,
        user="0:0" if recorder.recording else options.user,
        env=options.env,
        ports=() if options.shares_network else ports,
        volumes=options.volumes,
        anonymous=(SENSOR_HOME,),
        tmpfs=options.tmpfs,
        network=options.network,
        cap_add=(*options.cap_add, *(c for c in add if c not in options.cap_add)),
        cap_drop=options.cap_drop,
        group_add=options.group_add,
        no_new_privs=options.no_new_privs,
        read_only=options.read_only,
        init=options.init,
        seccomp=recorder.seccomp,
    )


@contextlib.contextmanager
def started(
    workspace: Workspace,
    image: Image,
    reference: str,
    args: tuple[str, ...] | None,
    options: RunOptions,
    recorder: Recorder,
    ports: tuple[str, ...],
) -> Iterator[Session]:
    """A container of `reference` under `image`'s configuration, started; removed when the block ends."""
    engine = workspace.engine
    published = () if engine.reaches(options.network) else ports
    spec = container_spec(reference, image.config, args, options, recorder, published, workspace.run)
    with with_sensor(workspace, image, spec, recorder.sensor) as (container, home):
        engine.start(container)
        workspace.under_way()
        session = Session(engine, container, image.config, options, recorder, home)
        with contextlib.closing(session):
            session.reach(ports)
            yield session
