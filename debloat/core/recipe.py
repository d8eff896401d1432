"""What the user wants done: probes, scenarios, policy and how the container is run.

`Settings` are what a configuration file and the command line say, key by key; a `Recipe` is what they come to.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from debloat.core.apis import (
    GRPC,
    HAR,
    MAX_HAR,
    OPENAPI,
    WEBSOCKETS,
    ApiDescription,
    OpenApiSettings,
    WebSocketProbe,
    WebSocketSettings,
    description_of,
    socket_of,
)
from debloat.core.errors import UsageError
from debloat.core.http import EXPRESSION, HTTP, HTTP_LINE, Crawl, HttpProbe, RequestSettings, must_be_a_file, request_of
from debloat.core.limits import Budget, Restrictions
from debloat.core.model import Level, Policy
from debloat.core.protocol import ProtocolProbe
from debloat.core.table import (
    COUNT,
    FLAG,
    GLOB,
    SCALAR,
    SECONDS,
    TEXT,
    either,
    key,
    list_of,
    map_of,
    one_of,
    optional,
    table_of,
    tables_of,
    text,
    value_of,
)


class RunOptions(Struct, frozen=True):
    """How the container is run, in production as in the recording."""

    env: Mapping[str, str] = MappingProxyType({})
    volumes: tuple[str, ...] = ()
    network: str = ""
    user: str = ""
    read_only: bool = False
    tmpfs: tuple[str, ...] = ()
    init: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    group_add: tuple[str, ...] = ()
    no_new_privs: bool = False

    @property
    def shares_network(self) -> bool:
        """Whether the container has no network of its own, so that no port of it can be published."""
        return self.network == "host" or self.network.startswith("container:")


class Readiness(Struct, frozen=True):
    """When a service is ready: everything that is named holds.

    `port` listens inside the container, `http` is answered with a status from 200 to 399 (as Kubernetes counts it),
    `log` is an expression that a line of its output matches, `exec` a command that ends with 0 in the container.
    """

    port: int = 0
    http: HttpProbe | None = None
    log: str = ""
    exec: str = ""
    healthcheck: bool = False

    @property
    def ports(self) -> frozenset[int]:
        """The ports that are named."""
        return frozenset({self.port, self.http.port if self.http else 0} - {0})

    def __str__(self) -> str:
        named = (
            f"port {self.port}" if self.port else "",
            self.http.name if self.http else "",
            f"log {self.log}" if self.log else "",
            f"exec {self.exec}" if self.exec else "",
            "HEALTHCHECK" if self.healthcheck else "",
        )
        return ", ".join(filter(None, named))


DEFAULT = "default"
"""The name of the scenario that nobody named: the container as the image starts it."""


class Scenario(Struct, frozen=True):
    """One start of the container and what is asked of it.

    `http` are requests by themselves, `requests` share cookies; further ones are described by `openapi` and recorded
    in the files `har`. `grpc` are addresses, port 0 for every exposed one. `masks` are regular expressions: what they
    match of an answer is not compared. `args` None starts it with its own CMD. A scenario without probes whose
    container exposes nothing is run to its end, unless `until` says when it is ready: then it is a service. `until`
    None takes whatever the image tells. `talk` says whether servers of other protocols than HTTP are talked to where no
    probe is given, and not only connected to.
    """

    name: str = DEFAULT
    args: tuple[str, ...] | None = None
    http: tuple[HttpProbe, ...] = ()
    exec: tuple[str, ...] = ()
    run: tuple[str, ...] = ()
    options: RunOptions = RunOptions()
    until: Readiness | None = None
    requests: tuple[HttpProbe, ...] = ()
    crawl: Crawl | None = None
    masks: tuple[str, ...] = ()
    openapi: ApiDescription | None = None
    har: tuple[str, ...] = ()
    websockets: tuple[WebSocketProbe, ...] = ()
    grpc: tuple[HttpProbe, ...] = ()
    tests: tuple[str, ...] = ()
    probe: tuple[ProtocolProbe, ...] = ()
    talk: bool = True

    @property
    def probes(self) -> bool:
        """Whether it has probes of its own."""
        web = self.http or self.requests or self.crawl or self.openapi or self.har or self.websockets or self.grpc
        return bool(web or self.probe or self.commands)

    @property
    def commands(self) -> tuple[str, ...]:
        """Those of its probes that need no port, or may not: in the container, and on this machine."""
        return self.exec + self.run + self.tests


class Recipe(Struct, frozen=True):
    """All that a run is asked to do. `ready` is the readiness limit in seconds, `timeout` that of one probe."""

    scenarios: tuple[Scenario, ...] = (Scenario(),)
    policy: Policy = Policy()
    ready: float = 60.0
    timeout: float = 60.0


# ------------------------------------------------------------------------------------------ the keys of debloat.toml


def split(line: str) -> tuple[str, ...]:
    """The words of a command line, as a shell splits them; UsageError where a quote is open."""
    try:
        return tuple(shlex.split(line))
    except ValueError as error:
        raise UsageError(f"cannot split {line!r} into words: {error}", "balance the quotes") from error


def _splittable(line: str) -> str:
    split(line)
    return line


LEVEL = one_of(map(str, Level), '"safe"', lambda word: Level[word.upper()])
PROBES = list_of(text("a probe", '"redis://:6379"', ProtocolProbe.parse))
COMMANDS = list_of(text("a command line", '"true"', _splittable))
TEXTS = list_of(TEXT)
GLOBS = list_of(GLOB)
REQUESTS = tables_of(RequestSettings, '[{ http = "POST /login", form = { user = "ada" } }]')
PURPOSE = one_of(("run", "build"), '"run"', str)
PORT = value_of(
    "a port from 1 to 65535",
    "8080",
    {"type": "integer", "minimum": 1, "maximum": 65535},
    lambda value: isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536,
    int,
)


TESTS = "Test suites to run on this machine: their exit codes are the answers, and not what they print."


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How the container is run, in production as in the recording; as `docker run` has it."""

    env: Mapping[str, str] | None = key(
        optional(map_of(SCALAR)), "Environment of the container.", example='{ TZ = "Europe/Berlin" }'
    )
    volumes: tuple[str, ...] | None = key(
        optional(TEXTS), "Volumes and bind mounts.", example='["data:/var/lib/shop", "/srv/demo:/demo:ro"]'
    )
    network: str | None = key(TEXT, "Network of the container.", example='"staging"')
    user: str | None = key(TEXT, "Run as this user instead of the image's USER.", example='"1000:1000"')
    read_only: bool | None = key(FLAG, "Run with a read-only root file system.")
    tmpfs: tuple[str, ...] | None = key(optional(TEXTS), "Mount a tmpfs at each of these.", example='["/run"]')
    init: bool | None = key(FLAG, "Run an init as PID 1.")
    cap_add: tuple[str, ...] | None = key(optional(TEXTS), "Capabilities to add.", example='["NET_ADMIN"]')
    cap_drop: tuple[str, ...] | None = key(optional(TEXTS), "Capabilities to drop.", example='["ALL"]')
    group_add: tuple[str, ...] | None = key(optional(TEXTS), "Supplementary groups.", example='["audio"]')
    no_new_privs: bool | None = key(FLAG, "Run with no_new_privs, so that setuid programs gain nothing.")


@dataclass(frozen=True, slots=True)
class ReadySettings:
    """When a service is ready, in place of what its image tells: everything that is said here holds."""

    seconds: float | None = key(SECONDS, "Seconds until it must be ready (60).")
    port: int | None = key(PORT, "A port that listens inside the container, exposed or not.", example="5432")
    http: HttpProbe | None = key(
        HTTP_LINE, "A request that is answered with a status from 200 to 399.", example='"/health"'
    )
    log: str | None = key(
        EXPRESSION, "An expression that a line of its output matches.", example='"ready to accept connections"'
    )
    exec: str | None = key(
        text("a command line", '"pg_isready"', _splittable), "A command that ends with 0 inside the container."
    )
    healthcheck: bool | None = key(FLAG, "Whether the HEALTHCHECK of the image has to succeed.")


@dataclass(frozen=True, slots=True)
class ScenarioSettings:
    """One more start of the container, with probes of its own."""

    name: str | None = key(TEXT, "What reports call it.", example='"configuration test"')
    args: tuple[str, ...] | None = key(
        either(
            text("a command line", '"shop --check"', split),
            TEXTS,
            "a command line or a list of words",
            '"shop --check"',
        ),
        "What it is started with in place of CMD: a command line, or its words.",
    )
    http: tuple[HttpProbe, ...] = key(HTTP, "HTTP requests to make.")
    request: tuple[RequestSettings, ...] = key(REQUESTS, "HTTP requests with all that they send, one after the other.")
    crawl: int | None = key(COUNT, "Pages to ask for by following links, at most.")
    openapi: OpenApiSettings | None = key(OPENAPI, "OpenAPI document whose operations to ask.")
    har: tuple[str, ...] = key(HAR, "Recorded sessions (HAR) to replay.")
    websocket: tuple[WebSocketSettings, ...] = key(WEBSOCKETS, "Conversations over WebSocket.")
    grpc: tuple[HttpProbe, ...] | None = key(GRPC, "Ask gRPC services for their health and by reflection.")
    probe: tuple[ProtocolProbe, ...] = key(PROBES, "Servers of other protocols to talk to.")
    exec: tuple[str, ...] = key(COMMANDS, "Commands to run inside the container.", example='["shopctl status"]')
    run: tuple[str, ...] = key(TEXTS, "Clients to run on this machine.", example='["./client.sh"]')
    tests: tuple[str, ...] = key(TEXTS, TESTS, example='["npm test"]')
    run_options: RunSettings = key(
        table_of(RunSettings, "{ read_only = true }"), "How it is run; each key over the same of the common table."
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """What debloat makes of an image: probes, what is kept, how the container is run, and what the gate holds it to."""

    level: Level | None = key(
        LEVEL,
        "How far beyond the trace to keep: what was touched (exact), can be reached (safe), whole packages (package).",
        example='"safe"',
    )
    levels: Mapping[str, Level] = key(
        map_of(LEVEL, expected="a table of levels by pattern", names_like=GLOB),
        "Exceptions from the level by path; the last that matches counts.",
        example='{ "/usr/lib/shop/**" = "package" }',
    )
    http: tuple[HttpProbe, ...] = key(
        HTTP,
        "HTTP requests to make: [METHOD ]PATH, with :PORT or SCHEME://:PORT before the path.",
        example='["/", "POST /login"]',
    )
    request: tuple[RequestSettings, ...] = key(
        REQUESTS, "HTTP requests with all that they send, one after the other, as a browser makes them."
    )
    crawl: int | None = key(COUNT, "Pages to ask for by following links, at most.", example="50")
    openapi: OpenApiSettings | None = key(
        OPENAPI, "OpenAPI document (2 or 3) whose operations to ask: a file, or a path of the service as in `http`."
    )
    har: tuple[str, ...] = key(HAR, "Recorded sessions of a browser (HAR files) to replay.", example='["session.har"]')
    websocket: tuple[WebSocketSettings, ...] = key(WEBSOCKETS, "Conversations over WebSocket.")
    grpc: tuple[HttpProbe, ...] | None = key(
        GRPC, "Ask gRPC services for their health and by reflection: true, or addresses as :PORT.", example='[":50051"]'
    )
    masks: tuple[str, ...] = key(
        list_of(EXPRESSION), "What changes from run to run in answers, and is not compared.", example='["token=[a-z]+"]'
    )
    probe: tuple[ProtocolProbe, ...] = key(
        PROBES,
        "Servers of other protocols to talk to: SCHEME://[USER:PASSWORD@]:PORT[/PATH] (docs/probes.md).",
        example='["redis://:6379/0", "tcp://:4000?send=PING&expect=PONG"]',
    )
    talk: bool | None = key(
        FLAG,
        "Talk to servers of other protocols than HTTP where no probe is given (true); false: connect only.",
    )
    exec: tuple[str, ...] = key(COMMANDS, "Commands to run inside the container.", example='["shopctl status"]')
    run: tuple[str, ...] = key(TEXTS, "Clients to run on this machine.", example='["./client.sh"]')
    tests: tuple[str, ...] = key(TEXTS, TESTS, example='["npm test"]')
    args: tuple[tuple[str, ...], ...] = key(
        list_of(text("a command line", '"in.png out.webp"', split)),
        "One more scenario for each: the container started with these words in place of CMD.",
    )
    scenario: tuple[ScenarioSettings, ...] = key(
        tables_of(ScenarioSettings, '[{ name = "read-only", http = ["/"] }]'),
        "One more start of the container, with probes and options of its own.",
    )
    keep: tuple[str, ...] = key(GLOBS, "Keep what matches, and all below it.", example='["/usr/share/zoneinfo/**"]')
    drop: tuple[str, ...] = key(GLOBS, "Drop what matches, whatever wants it.", example='["/usr/share/shop/demo/**"]')
    keep_packages: tuple[str, ...] = key(TEXTS, "Keep these Debian packages whole.", example='["tzdata"]')
    packages: Mapping[str, str] = key(
        map_of(PURPOSE, expected="a table of run or build by package"),
        "What a package was installed for, whatever the Dockerfile shows: what is for the build goes.",
        example='{ git = "run", gnupg = "build", "npm:sass" = "run" }',
    )
    ready: float | ReadySettings | None = key(
        either(
            SECONDS,
            table_of(ReadySettings, '{ log = "ready to accept", seconds = 30 }'),
            "a number of seconds above 0, or a table",
            "60",
        ),
        "Seconds until it must be ready (60), or when it is.",
        example="30",
    )
    timeout: float | None = key(SECONDS, "Seconds for one probe (60).", example="20")
    run_options: RunSettings = key(
        table_of(RunSettings, '{ tmpfs = ["/run"], read_only = true }'), "How the container is run."
    )
    budget: Budget = key(table_of(Budget, '{ max_size = "40MB" }'), "How large the image may be, for `debloat check`.")
    policy: Restrictions = key(
        table_of(Restrictions, "{ no_shell = true }"),
        "What the image must have and must not have, for `debloat check`.",
    )


# ------------------------------------------------------------------------------------------ what they come to


def recipe(settings: Settings) -> Recipe:
    """The recipe that settings come to: with no probe and no scenario, the image's own defaults are asked."""
    options = _options(RunOptions(), settings.run_options)
    scenarios = []
    probes = (settings.http, settings.request, settings.crawl, settings.probe)
    described = (settings.openapi, settings.har, settings.websocket, settings.grpc)
    commands = (settings.exec, settings.run, settings.tests)
    if any((*probes, *described, *commands)) or not (settings.args or settings.scenario):
        scenarios.append(_asking(Scenario(DEFAULT, None, options=options), settings, "request"))
    scenarios += [Scenario(f"args {shlex.join(words)}", words, options=options) for words in settings.args]
    for number, table in enumerate(settings.scenario, 1):
        name = table.name if table.name is not None else f"scenario {number}"
        start = Scenario(name, table.args, options=_options(options, table.run_options))
        scenarios.append(_asking(start, table, f"scenario {number}, request"))
    scenarios = [replace(scenario, masks=settings.masks, talk=settings.talk is not False) for scenario in scenarios]
    policy = Policy(
        level=Level.SAFE if settings.level is None else settings.level,
        levels=tuple(settings.levels.items()),
        keep=settings.keep,
        drop=settings.drop,
        keep_packages=settings.keep_packages,
        packages=tuple(sorted(settings.packages.items())),
    )
    usual = Recipe()
    ready = ReadySettings(settings.ready) if isinstance(settings.ready, float) else settings.ready or ReadySettings()
    until = _readiness(ready)
    return Recipe(
        tuple(replace(scenario, until=until) for scenario in _distinct(scenarios)),
        policy,
        ready.seconds or usual.ready,
        settings.timeout or usual.timeout,
    )


def _readiness(ready: ReadySettings) -> Readiness | None:
    """What is named of a table; None where that is nothing."""
    said = Readiness(ready.port or 0, ready.http, ready.log or "", ready.exec or "", bool(ready.healthcheck))
    return None if said == Readiness() else said


def _asking(scenario: Scenario, table: Settings | ScenarioSettings, where: str) -> Scenario:
    """A scenario with what a table asks of it; `where` names the table's requests."""
    requests = tuple(request_of(request, f"{where} {number}") for number, request in enumerate(table.request, 1))
    above = where.rpartition("request")[0]
    for path in table.har:
        must_be_a_file(path, f"{above}har", MAX_HAR)
    start = dict.fromkeys(probe.path for probe in table.http if probe.method == "GET")
    return replace(
        scenario,
        http=table.http,
        probe=table.probe,
        exec=table.exec,
        run=table.run,
        tests=table.tests,
        requests=requests,
        crawl=Crawl(table.crawl, tuple(start) or ("/",)) if table.crawl else None,
        openapi=description_of(table.openapi, f"{above}openapi"),
        har=table.har,
        websockets=tuple(map(socket_of, table.websocket)),
        grpc=table.grpc or (),
    )


def _options(base: RunOptions, settings: RunSettings) -> RunOptions:
    """Options with what a table says in their place; what it does not say stays."""
    values = {f.name: getattr(settings, f.name) for f in dataclasses.fields(RunSettings)}
    return replace(base, **{name: value for name, value in values.items() if value is not None})


def _distinct(scenarios: list[Scenario]) -> tuple[Scenario, ...]:
    """Scenarios under names that differ: evidence and answers are assigned to them by name."""
    counts: dict[str, int] = {}
    result = []
    for scenario in scenarios:
        counts[scenario.name] = count = counts.get(scenario.name, 0) + 1
        result.append(scenario if count == 1 else replace(scenario, name=f"{scenario.name} ({count})"))
    return tuple(result)
