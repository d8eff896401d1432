"""Docker Engine through its API: version negotiated, contexts honoured, archive API only."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import docker
import docker.context
import docker.errors
import docker.tls
import requests.exceptions
from docker.types import LogConfig

from debloat.core.errors import DebloatError, EngineUnavailable, UsageError
from debloat.core.model import Image, ImageConfig
from debloat.core.reference import split_reference
from debloat.engine.base import (
    PENDING_REPOSITORY,
    RUN_LABEL,
    Channel,
    ContainerSpec,
    ContainerState,
    EngineInfo,
    ExecResult,
    Leftover,
)
from debloat.engine.stream import SocketChannel

CHUNK = 1 << 20
LOG_TAIL = 1 << 20
MAX_CONFIG = 16 << 20
KNOWS_START_INTERVAL = (1, 44)
"""Version of the API since which `Healthcheck` has `StartInterval` (Docker Engine 25)."""
SMALL = 256 << 20
"""Bytes of an image up to which its archive is read for the sake of its configuration alone: a second or two."""


def connect() -> DockerEngine:
    """The engine that `DOCKER_HOST`, `DOCKER_CONTEXT` or the current context names, as the docker CLI finds it."""
    endpoint, tls = _endpoint()
    try:
        client = docker.APIClient(base_url=endpoint, tls=tls, version="auto", timeout=300)
    except docker.errors.DockerException as error:
        raise EngineUnavailable(
            f"cannot reach the Docker engine at {endpoint or 'its default socket'}: {_cause(error)}",
            "start it (systemctl start docker, or dockerd), or set DOCKER_HOST; `debloat doctor` shows what works here",
        ) from error
    return DockerEngine(client, endpoint or "unix:///var/run/docker.sock")


def _endpoint() -> tuple[str | None, docker.tls.TLSConfig | bool]:
    if os.environ.get("DOCKER_HOST"):
        params = docker.utils.kwargs_from_env()
        return params.get("base_url"), params.get("tls", False)
    name = os.environ.get("DOCKER_CONTEXT")
    try:
        contexts = docker.context.ContextAPI
        context = contexts.get_context(name) if name else contexts.get_current_context()
    except docker.errors.DockerException as error:
        raise EngineUnavailable(f"cannot read the docker context: {error}", "see `docker context ls`") from error
    if context is None:
        raise EngineUnavailable(f"cannot find the docker context {name!r}", "see `docker context ls`")
    return context.Host, context.TLSConfig or False


def _cause(error: BaseException) -> str:
    """The innermost readable cause: the client wraps socket errors three deep."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return getattr(error, "strerror", None) or str(error)


@contextlib.contextmanager
def _said(what: str, usage: tuple[int, ...] = ()) -> Iterator[None]:
    """Turn the client's errors into ours: "cannot WHAT: cause". Statuses in `usage` are the user's to mend."""
    try:
        yield
    except DebloatError:
        raise
    except docker.errors.APIError as error:
        text = str(error.explanation or error)
        hint = ""
        if error.response is not None and error.response.status_code in usage:
            raise UsageError(
                f"cannot {what}: {text}", "see what was named on the command line or in debloat.toml"
            ) from error
        if "no space left" in text:
            hint = "free space where the engine keeps its data (`docker system df`), then run it again"
        elif "No such container" in text or "marked for removal" in text:
            hint = "something else removed it; run the same again"
        raise EngineUnavailable(f"cannot {what}: {text}", hint) from error
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        raise EngineUnavailable(
            f"cannot {what}: {_cause(error)}", "is the engine still running? `debloat doctor` checks it"
        ) from error


class DockerEngine:
    """`Engine` over docker-py's low-level client."""

    def __init__(self, client: docker.APIClient, endpoint: str) -> None:
        self._client = client
        self._endpoint = endpoint
        self._info: EngineInfo | None = None

    def info(self) -> EngineInfo:
        if self._info is None:
            self._info = self._ask_info()
        return self._info

    def _ask_info(self) -> EngineInfo:
        with _said("ask the engine what it is"):
            version, info = self._client.version(), self._client.info()
        platform = (version.get("Platform") or {}).get("Name") or ""
        url = urlsplit(self._endpoint)
        local = url.scheme in ("unix", "http+unix", "npipe", "") or url.hostname in ("localhost", "127.0.0.1", "::1")
        return EngineInfo(
            name="Podman" if "podman" in str(version).lower() else platform or "Docker Engine",
            version=version.get("Version", "?"),
            api=self._client.api_version,
            os=version.get("Os", "linux"),
            architecture=version.get("Arch", "amd64"),
            kernel=version.get("KernelVersion", "?"),
            storage=info.get("Driver", "?"),
            security=tuple(info.get("SecurityOptions") or ()),
            endpoint=self._endpoint,
            local=local,
        )

    def image(self, reference: str) -> Image:
        with _said(f"look up {reference}"):
            try:
                raw = self._client.inspect_image(reference)
            except docker.errors.ImageNotFound:
                raw = self._pull(reference)
            except docker.errors.APIError as error:
                if error.response is not None and error.response.status_code == 400:
                    raise UsageError(f"{reference!r} is not an image reference: {error.explanation}") from error
                raise
            history = self._client.history(raw["Id"])
        digests = raw.get("RepoDigests") or []
        return Image(
            reference=reference,
            id=raw["Id"],
            os=raw.get("Os", "linux"),
            architecture=raw.get("Architecture", ""),
            variant=raw.get("Variant", ""),
            created=raw.get("Created") or "1970-01-01T00:00:00Z",
            config=ImageConfig(MappingProxyType(raw.get("Config") or {})),
            author=raw.get("Author") or "",
            builder=raw.get("DockerVersion") or "",
            names=tuple(raw.get("RepoTags") or ()),
            repo_digest=digests[0].partition("@")[2] if digests else "",
            size=raw.get("Size", 0),
            history=tuple(row.get("CreatedBy", "") for row in reversed(history)),
        )

    def whole_config(self, image: Image) -> ImageConfig:
        """What the engine shows, unless it may have left something out: then what lies in the image's archive.

        An engine shows the fields that it knows. It cannot have left any out of an image that it built itself. The
        archive holds the layers too, so it is asked for only where a known loss is likely (a HEALTHCHECK may have a
        StartInterval, which engines before API 1.44 drop), or where it is small.
        """
        info = self.info()
        knows = tuple(int(part) for part in info.api.split(".") if part.isdigit()) >= KNOWS_START_INTERVAL
        if knows or image.builder == info.version or not (image.config.healthcheck or image.size <= SMALL):
            return image.config
        try:
            with _said(f"read the configuration of {image.reference}"):
                config = find_config(self._client.get_image(image.id, chunk_size=CHUNK), image.id)
        except EngineUnavailable:
            config = None
        return image.config if config is None else ImageConfig(MappingProxyType(config))

    def _pull(self, reference: str) -> dict[str, Any]:
        try:
            self._client.pull(reference, tag=None if _has_tag(reference) else "latest")
            raw: dict[str, Any] = self._client.inspect_image(reference)
        except docker.errors.APIError as error:
            raise UsageError(
                f"cannot find the image {reference}: it is not on this engine, and pulling it failed"
                f" ({str(error.explanation or error).strip()})",
                "check the spelling (`docker images`), build it first (`debloat build`), or log in to its registry",
            ) from error
        return raw

    def create(self, spec: ContainerSpec) -> str:
        client = self._client
        host = client.create_host_config(
            port_bindings=dict.fromkeys(spec.ports, ("127.0.0.1", None)),
            binds=[_absolute(volume) for volume in spec.volumes] or None,
            tmpfs=dict(t.partition(":")[::2] for t in spec.tmpfs) or None,
            network_mode=spec.network or None,
            cap_add=list(spec.cap_add) or None,
            cap_drop=list(spec.cap_drop) or None,
            group_add=list(spec.group_add) or None,
            security_opt=["no-new-privileges"] if spec.no_new_privs else None,
            read_only=spec.read_only or None,
            init=spec.init or None,
            log_config=None if spec.logs else LogConfig(type="none"),
        )
        with _said(f"create a container of {spec.image}", (400, 404)):
            answer = client.create_container(
                image=spec.image,
                command=list(spec.cmd) or None,
                entrypoint=list(spec.entrypoint) or None,
                user=spec.user or None,
                environment=dict(spec.env) or None,
                working_dir=spec.workdir or None,
                ports=[tuple(p.split("/")) for p in spec.ports] or None,
                volumes=list(spec.anonymous) or None,
                labels={RUN_LABEL: spec.run},
                host_config=host,
                healthcheck={"Test": ["NONE"]},
                stdin_open=spec.stdin,
                detach=not spec.stdin,
            )
        container: str = answer["Id"]
        return container

    def put(self, container: str, directory: str, tar: bytes) -> None:
        with _said(f"copy into the container's {directory}"):
            self._client.put_archive(container, directory, tar)

    def get(self, container: str, path: str) -> Iterator[bytes]:
        with _said(f"copy {path} out of the container"):
            stream, _ = self._client.get_archive(container, path, chunk_size=CHUNK)
            yield from stream

    def start(self, container: str) -> None:
        with _said("start the container", (400, 404)):
            self._client.start(container)

    def state(self, container: str) -> ContainerState:
        with _said("look at the container"):
            raw = self._client.inspect_container(container)
        state = raw["State"]
        published = (raw.get("NetworkSettings") or {}).get("Ports") or {}
        return ContainerState(
            running=bool(state.get("Running")),
            exit_code=int(state.get("ExitCode") or 0),
            error=state.get("Error") or "",
            pid=int(state.get("Pid") or 0),
            ports={port: int(to[0]["HostPort"]) for port, to in sorted(published.items()) if to},
            oom_killed=bool(state.get("OOMKilled")),
            addresses=_addresses(raw.get("NetworkSettings") or {}),
        )

    def wait(self, container: str, timeout: float) -> int | None:
        with _said("wait for the container"):
            try:
                return int(self._client.wait(container, timeout=max(timeout, 0.01))["StatusCode"])
            except (requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError) as error:
                if "timed out" in str(error).lower() or isinstance(error, requests.exceptions.ReadTimeout):
                    return None
                raise

    def kill(self, container: str, signal: str) -> None:
        with _said(f"send {signal} to the container"):
            try:
                self._client.kill(container, signal)
            except docker.errors.APIError as error:
                if error.response is None or error.response.status_code not in (404, 409):
                    raise

    def remove(self, container: str) -> None:
        with _said("remove the container"):
            try:
                self._client.remove_container(container, v=True, force=True)
            except docker.errors.APIError as error:
                # 409: a removal is under way already.
                if error.response is None or error.response.status_code not in (404, 409):
                    raise

    def logs(self, container: str) -> tuple[bytes, bytes]:
        with _said("read the container's output"):
            out = self._client.logs(container, stdout=True, stderr=False, tail=10_000)
            err = self._client.logs(container, stdout=False, stderr=True, tail=10_000)
        return out[-LOG_TAIL:], err[-LOG_TAIL:]

    def attach(self, container: str) -> Channel:
        with _said("attach to the container"):
            params = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1, "logs": 0}
            return SocketChannel(self._client.attach_socket(container, params))

    def execute(self, container: str, argv: Iterable[str], user: str = "") -> Channel:
        with _said("run a command in the container"):
            job = self._client.exec_create(container, list(argv), stdin=True, user=user)
            return SocketChannel(self._client.exec_start(job["Id"], socket=True))

    def run(self, container: str, argv: Iterable[str], user: str = "", timeout: float = 60.0) -> ExecResult:
        with _said("run a command in the container"):
            job = self._client.exec_create(container, list(argv), user=user)
            channel = SocketChannel(self._client.exec_start(job["Id"], socket=True))
            try:
                stdout, stderr = channel.drain(timeout)
            finally:
                channel.close()
            code = self._client.exec_inspect(job["Id"])["ExitCode"]
        return ExecResult(-1 if code is None else int(code), stdout, stderr)

    def export(self, container: str) -> Iterator[bytes]:
        with _said("export the container's files"):
            yield from self._client.export(container, chunk_size=CHUNK)

    def load(self, tar: Iterable[bytes]) -> None:
        with _said("load the minimal image"):
            for event in self._client.load_image(tar, quiet=True):
                if isinstance(event, dict) and event.get("error"):
                    raise EngineUnavailable(
                        f"cannot load the minimal image: {event['error']}", "is there space left for the engine's data?"
                    )

    def tag(self, image: str, reference: str) -> None:
        repository, tag = split_reference(reference)
        with _said(f"tag the image {reference}"):
            self._client.tag(image, repository, tag, force=True)

    def untag(self, reference: str) -> None:
        with _said(f"remove the name {reference}"), contextlib.suppress(docker.errors.ImageNotFound):
            self._client.remove_image(reference, noprune=False)

    def leftovers(self, run: str = "") -> tuple[Leftover, ...]:
        with _said("list what earlier runs left"):
            label = f"{RUN_LABEL}={run}" if run else RUN_LABEL
            containers = self._client.containers(all=True, filters={"label": label})
            images = self._client.images(name=PENDING_REPOSITORY)
        found = [
            Leftover("container", c["Id"], c["Labels"].get(RUN_LABEL, ""), (c.get("Names") or ["/?"])[0].lstrip("/"))
            for c in containers
        ]
        for image in images:
            for name in image.get("RepoTags") or ():
                repository, tag = split_reference(name)
                if repository == PENDING_REPOSITORY and run in ("", tag):
                    found.append(Leftover("image", image["Id"], tag, name))
        return tuple(sorted(found, key=lambda f: (f.kind, f.run, f.id)))

    def close(self) -> None:
        self._client.close()


def find_config(archive: Iterator[bytes], image_id: str) -> dict[str, Any] | None:
    """The `config` object in a `docker save` archive, read no further than that; None where it is not there.

    It is known by its digest, which is the image's id, so nothing else can pass for it.
    """
    algorithm, _, digest = image_id.partition(":")
    names = (f"{digest}.json", f"blobs/{algorithm}/{digest}")
    try:
        with tarfile.open(fileobj=_Pieces(archive), mode="r|") as tar:
            for member in tar:
                file = tar.extractfile(member) if member.name in names and member.size <= MAX_CONFIG else None
                if file is None:
                    continue
                data = file.read()
                if hashlib.sha256(data).hexdigest() == digest:
                    found = json.loads(data).get("config")
                    return found if isinstance(found, dict) else None
    except (tarfile.TarError, ValueError, AttributeError):
        return None
    return None


class _Pieces(io.RawIOBase):
    """A stream of bytes as a file to read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts = []
        while size:
            if not self._rest:
                self._rest = memoryview(next(self._pieces, b""))
                if not self._rest:
                    break
            part = self._rest if size < 0 else self._rest[:size]
            self._rest = self._rest[len(part) :]
            size -= len(part) if size > 0 else 0
            parts.append(part)
        return b"".join(parts)


def _absolute(volume: str) -> str:
    """A volume whose source is a path relative to here, by that path in full, as the docker CLI does since 23."""
    source, colon, rest = volume.partition(":")
    if colon and source.startswith(".") and (source.strip(".") == "" or "/" in source):
        return f"{os.path.abspath(source)}:{rest}"
    return volume


def _addresses(settings: dict[str, Any]) -> tuple[str, ...]:
    """IPv4 addresses of a container, in each of its networks."""
    networks = (settings.get("Networks") or {}).values()
    found = [settings.get("IPAddress"), *(network.get("IPAddress") for network in networks if network)]
    return tuple(dict.fromkeys(address for address in found if address))


def _has_tag(reference: str) -> bool:
    return ":" in reference.rpartition("/")[2] or "@" in reference
