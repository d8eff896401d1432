"""Docker Engine through its API: version negotiated, contexts honoured, archive API only."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from debloat.core.errors import EngineUnavailable
from debloat.core.model import Image, ImageConfig
from debloat.core.platform import Wanted
from debloat.core.reference import qualified, split_reference
from debloat.engine import connection, direct, graphdriver, leftovers, libpod
from debloat.engine.base import (
    PENDING_REPOSITORY,
    RUN_LABEL,
    Channel,
    ContainerFound,
    ContainerSpec,
    ContainerState,
    EngineInfo,
    ExecResult,
    Leftover,
)
from debloat.engine.client import CHUNK, Client, error_context, open_client
from debloat.engine.confined import security_options
from debloat.engine.dockerpy import docker, requests
from debloat.engine.endpoint import Endpoint, find
from debloat.engine.inspection import (
    addresses,
    mapping,
    number,
    text,
)
from debloat.engine.lookup import Images
from debloat.engine.ssh import Forward
from debloat.engine.stream import SocketChannel
from debloat.engine.traits import traits_of
from debloat.engine.volumes import absolute

LOG_TAIL = 1 << 20
_LOOPBACK = "127.0.0.1"
"""Where a container is asked that has no address of its own, by a program in it."""
_ADDED = 1
"""`Kind` of a path that a container has and its image has not (`GET /containers/X/changes`)."""


def connect(product: str = "") -> DockerEngine:
    """The engine that `DOCKER_HOST`, `DOCKER_CONTEXT` or the current context names, as the docker CLI finds it.

    Where none does and Docker does not answer: Podman, where one listens. `product` asks for one of them alone.
    """
    first, *others = find(product)
    try:
        return _connect(first)
    except EngineUnavailable:
        for endpoint in others:
            with contextlib.suppress(EngineUnavailable):
                return _connect(endpoint)
        raise


def _connect(endpoint: Endpoint) -> DockerEngine:
    if endpoint.scheme != "ssh":
        return DockerEngine(open_client(endpoint, endpoint.url), endpoint)
    forward = Forward(endpoint.url)
    try:
        return DockerEngine(open_client(endpoint, f"unix://{forward.path}"), endpoint, forward)
    except EngineUnavailable as error:
        words = forward.last_words()
        forward.close()
        raise EngineUnavailable(
            f"cannot reach the container engine at {endpoint.url}: {words or error.message}",
            f"does `DOCKER_HOST={endpoint.url} docker version` work?",
        ) from error
    except BaseException:
        forward.close()
        raise


class DockerEngine:
    """`Engine` over docker-py's low-level client."""

    def __init__(self, client: Client, endpoint: Endpoint, forward: Forward | None = None) -> None:
        self._client = client
        self._endpoint = endpoint
        self._forward = forward
        self._info: EngineInfo | None = None
        self._images = Images(client, self.info)
        self._directories: dict[str, tuple[str, ...]] = {}
        self._reached: dict[str, bool] = {}
        """Networks that were asked for -> whether their containers are reached by their own addresses."""
        self._networks: dict[str, str] = {}
        """Containers of this engine object -> their networks, and their processes where they have been dialled."""
        self._processes: dict[str, direct.Process | None] = {}
        if forward is not None:
            weakref.finalize(self, forward.close)

    def info(self) -> EngineInfo:
        if self._info is None:
            self._info = self._ask_info()
        return self._info

    def _ask_info(self) -> EngineInfo:
        with error_context("ask the engine what it is"):
            version, info = self._client.version(), self._client.info()
            traits = traits_of(version, info, self._client.api_version)
            name = text(mapping(version, "Platform"), "Name")
            if traits.product == "podman":
                name = "Podman"
            return EngineInfo(
                name=name or "Docker Engine",
                version=text(version, "Version") or "?",
                api=self._client.api_version,
                os=text(version, "Os") or "linux",
                architecture=text(version, "Arch") or "amd64",
                kernel=text(version, "KernelVersion") or "?",
                storage=text(info, "Driver") or "?",
                endpoint=self._endpoint.url,
                local=self._endpoint.local,
                traits=traits,
            )

    def prefer(self, platform: Wanted) -> None:
        self._images.wanted = platform

    def image(self, reference: str, *, pull: bool = True) -> Image:
        return self._images.find(reference, pull)

    def whole_config(self, image: Image) -> ImageConfig:
        return self._images.whole_config(image)

    def files(self, image: Image) -> None:
        """The layers are the engine's own."""

    def directories(self, image: Image) -> tuple[str, ...]:
        if image.id not in self._directories:
            with error_context(f"look up {image.reference}"):
                readable = graphdriver.readable(self.info())
                raw = self._client.inspect_image(image.id) if readable else {}
                self._directories[image.id] = graphdriver.directories(raw)
        return self._directories[image.id]

    def find(self, container: str) -> ContainerFound:
        with error_context(f"find the container {container}", (404,)):
            raw = self._client.inspect_container(container)
            return ContainerFound(
                id=text(raw, "Id"),
                image=text(raw, "Image"),
                running=bool(mapping(raw, "State")["Running"]),
                mounts=tuple(sorted(text(mount, "Destination") for mount in raw.get("Mounts") or ())),
                alone=text(mapping(raw, "HostConfig"), "PidMode") in ("", "private"),
            )

    def create(self, spec: ContainerSpec) -> str:
        with (
            error_context(f"create a container of {spec.image}", (400, 404)),
            security_options(spec, self.info()) as security,
        ):
            if spec.image_at:
                return libpod.create(self._client, spec)
            answer = self._client.create_container(
                image=spec.image,
                command=list(spec.cmd) or None,
                entrypoint=list(spec.entrypoint) or None,
                user=spec.user or None,
                environment=dict(spec.env) or None,
                working_dir=spec.workdir or None,
                ports=[tuple(p.split("/")) for p in spec.ports] or None,
                volumes=list(spec.anonymous) or None,
                labels={RUN_LABEL: spec.run},
                host_config=self._host_config(spec, security),
                healthcheck={"Test": ["NONE"]},
                stdin_open=spec.stdin,
                tty=spec.tty,
                detach=not spec.stdin,
                platform=str(self._images.wanted) if self._images.wanted else None,
            )
            container = text(answer, "Id")
            if not container:
                raise ValueError("a container without an Id")
            self._networks[container] = "none" if spec.beside else spec.network
        return container

    def _host_config(self, spec: ContainerSpec, security: list[str]) -> dict[str, Any]:
        config: dict[str, Any] = self._client.create_host_config(
            port_bindings=dict.fromkeys(spec.ports, ("127.0.0.1", None)),
            binds=[absolute(volume) for volume in spec.volumes] or None,
            mounts=[docker.types.Mount(to, own, "bind") for own, to in spec.mounts] or None,
            tmpfs=dict(t.partition(":")[::2] for t in spec.tmpfs) or None,
            network_mode=f"container:{spec.beside}" if spec.beside else spec.network or None,
            pid_mode=f"container:{spec.beside}" if spec.beside else None,
            cap_add=list(spec.cap_add) or None,
            cap_drop=list(spec.cap_drop) or None,
            group_add=list(spec.group_add) or None,
            security_opt=security or None,
            read_only=spec.read_only or None,
            init=spec.init or None,
            log_config=None if spec.logs else docker.types.LogConfig(type="none"),
        )
        return config

    def put(self, container: str, directory: str, tar: bytes) -> None:
        with error_context(f"copy into the container's {directory}"):
            self._client.put_archive(container, directory, tar)

    def get(self, container: str, path: str) -> Iterator[bytes]:
        with error_context(f"copy {path} out of the container"):
            stream, _ = self._client.get_archive(container, path, chunk_size=CHUNK)
            yield from stream

    def start(self, container: str) -> None:
        with error_context("start the container", (400, 404)):
            self._client.start(container)

    def state(self, container: str) -> ContainerState:
        with error_context("look at the container"):
            raw = self._client.inspect_container(container)
            state, network = mapping(raw, "State"), mapping(raw, "NetworkSettings")
            return ContainerState(
                running=bool(state["Running"]),
                exit_code=number(state, "ExitCode"),
                error=text(state, "Error"),
                pid=number(state, "Pid"),
                ports={port: int(to[0]["HostPort"]) for port, to in sorted(mapping(network, "Ports").items()) if to},
                oom_killed=bool(state.get("OOMKilled")),
                addresses=addresses(network),
            )

    def wait(self, container: str, timeout: float) -> int | None:
        with error_context("wait for the container"):
            try:
                return int(self._client.wait(container, timeout=max(timeout, 0.01))["StatusCode"])
            except (requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError) as error:
                if "timed out" in str(error).lower() or isinstance(error, requests.exceptions.ReadTimeout):
                    return None
                raise

    def kill(self, container: str, signal: str) -> None:
        with error_context(f"send {signal} to the container"):
            try:
                self._client.kill(container, signal)
            except docker.errors.APIError as error:
                if error.response is None or error.response.status_code not in (404, 409):
                    raise

    def remove(self, container: str) -> None:
        self._networks.pop(container, None)
        self._processes.pop(container, None)
        with error_context("remove the container"):
            try:
                self._client.remove_container(container, v=True, force=True)
            except docker.errors.APIError as error:
                # 409: a removal is under way already.
                if error.response is None or error.response.status_code not in (404, 409):
                    raise

    def logs(self, container: str) -> tuple[bytes, bytes]:
        with error_context("read the container's output"):
            out = self._client.logs(container, stdout=True, stderr=False, tail=10_000)
            err = self._client.logs(container, stdout=False, stderr=True, tail=10_000)
        return out[-LOG_TAIL:], err[-LOG_TAIL:]

    def attach(self, container: str, tty: bool = False) -> Channel:
        with error_context("attach to the container"):
            params = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1, "logs": 0}
            return SocketChannel(self._client.attach_socket(container, params), framed=not tty)

    def resize(self, container: str, rows: int, columns: int) -> None:
        with error_context("resize the container's terminal"):
            self._client.resize(container, rows, columns)

    def execute(self, container: str, argv: Iterable[str], user: str = "") -> Channel:
        with error_context("run a command in the container"):
            job = self._client.exec_create(container, list(argv), stdin=True, user=user)
            return SocketChannel(self._client.exec_start(job["Id"], socket=True))

    def run(self, container: str, argv: Iterable[str], user: str = "", timeout: float = 60.0) -> ExecResult:
        with error_context("run a command in the container"):
            job = self._client.exec_create(container, list(argv), user=user)
            channel = SocketChannel(self._client.exec_start(job["Id"], socket=True))
        try:
            stdout, stderr = channel.drain(timeout)
        finally:
            channel.close()
        with error_context("ask how a command in the container ended"):
            code = self._client.exec_inspect(job["Id"]).get("ExitCode")
            return ExecResult(-1 if code is None else int(code), stdout, stderr)

    def export(self, container: str) -> Iterator[bytes]:
        with error_context("export the container's files"):
            yield from self._client.export(container, chunk_size=CHUNK)

    def save(self, image: str) -> Iterator[bytes]:
        with error_context("read the image's layers"):
            yield from self._client.get_image(image, chunk_size=CHUNK)

    def load(self, tar: Iterable[bytes], name: str) -> None:
        with error_context("load the minimal image"):
            for event in self._client.load_image(tar, quiet=True):
                if why := event.get("error") or mapping(event, "errorDetail").get("message"):
                    raise EngineUnavailable(
                        f"cannot load the minimal image: {why}", "is there space left for the engine's data?"
                    )
            try:
                self._client.inspect_image(name)
            except docker.errors.ImageNotFound as error:
                raise EngineUnavailable(
                    "cannot load the minimal image: the engine took it, and has none of that name",
                    "see the engine's own log, then run it again",
                ) from error

    def tag(self, image: str, reference: str) -> None:
        repository, tag = split_reference(reference)
        with error_context(f"tag the image {reference}"):
            self._client.tag(image, repository, tag, force=True)

    def untag(self, reference: str) -> None:
        with error_context(f"remove the name {reference}"), contextlib.suppress(docker.errors.ImageNotFound):
            self._client.remove_image(reference, noprune=False)

    def image_names(self) -> tuple[str, ...]:
        with error_context("list the images"):
            pending = self._pending_repositories()
            tags = {tag for image in self._client.images() or () for tag in image.get("RepoTags") or ()}
            return tuple(sorted(t for t in tags if split_reference(t)[0] not in (*pending, "<none>")))

    def remove_shared(self, kind: str, identifier: str) -> None:
        with error_context(f"remove the {kind} {identifier}"), contextlib.suppress(docker.errors.NotFound):
            if kind == "network":
                self._client.remove_network(identifier)
            else:
                self._client.remove_volume(identifier, force=True)

    def leftovers(self, run: str = "") -> tuple[Leftover, ...]:
        with error_context("list what earlier runs left"):
            return leftovers.found(self._client, run, self._pending_repositories())

    def _pending_repositories(self) -> tuple[str, str]:
        return PENDING_REPOSITORY, qualified(PENDING_REPOSITORY, self.info().traits.registry)

    def reaches(self, network: str) -> bool:
        """Whether the bridge of a network is on this machine, and of this process's network."""
        if network not in self._reached:
            self._reached[network] = self._is_here() and self._has_bridge(network)
        return self._reached[network]

    def _is_here(self) -> bool:
        traits = self.info().traits
        docker_itself = traits.product == "docker" and not traits.rootless
        return docker_itself and direct.is_beside(self._endpoint.path)

    def _has_bridge(self, network: str) -> bool:
        name = "bridge" if network in ("", "default") else network
        # One that is not there is told of when a container is made.
        with contextlib.suppress(EngineUnavailable), error_context(f"look at the network {name}"):
            return direct.has_bridge(self._client.inspect_network(name))
        return False

    def dial(self, container: str, addresses: tuple[str, ...], port: int, *, datagrams: bool = False) -> Channel | None:
        """From this machine, as docker-proxy makes it, where the container is in a network that is reached."""
        if not self._reached.get(self._networks.get(container, "none")) or _LOOPBACK in addresses:
            return None
        if container not in self._processes:
            self._processes[container] = direct.process(self.state(container).pid, container)
        if (process := self._processes[container]) is None:
            return None
        return (connection.datagrams if datagrams else connection.connect)(addresses, port, process.ended)

    def changes(self, container: str) -> frozenset[str]:
        with error_context("ask what is new in the container"):
            rows = self._client.diff(container) or ()
            return frozenset(text(row, "Path") for row in rows if row["Kind"] == _ADDED)

    def empty(self) -> int:
        """The images are the user's."""
        return 0

    def close(self) -> None:
        self._client.close()
        if self._forward is not None:
            self._forward.close()
