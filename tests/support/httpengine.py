"""Docker's API in front of the fake engine, on a socket: the HTTP client is tested as it is.

What it answers can be altered on the way, so that it lies as an engine of another release, or a broken one, would.
"""

from __future__ import annotations

import base64
import json
import re
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from debloat.core.errors import DebloatError
from debloat.core.reference import split_reference
from debloat.engine.base import RUN_LABEL, ContainerSpec
from tests.support.engine import FakeEngine, ServeChannel

Lie = Callable[[str, Any], Any]
"""(route, answer) -> what is answered instead; a `Broken` is not JSON."""


class Broken(Exception):
    """An answer that is none: the bytes that are sent in its place, headers and all; then the connection ends."""

    def __init__(self, raw: bytes) -> None:
        super().__init__()
        self.raw = raw


class Refused(Exception):
    """An error of the API."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def truthful(route: str, answer: Any) -> Any:
    return answer


VERSION = {
    "Platform": {"Name": "Fake Engine"},
    "Components": [{"Name": "Engine", "Version": "99.0", "Details": {}}],
    "Version": "99.0",
    "ApiVersion": "1.55",
    "MinAPIVersion": "1.44",
    "Os": "linux",
    "Arch": "amd64",
    "KernelVersion": "6.12",
}
INFO = {
    "Driver": "overlayfs",
    "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
    "SecurityOptions": ["name=seccomp,profile=builtin"],
    "OSType": "linux",
    "Architecture": "x86_64",
}


class HttpEngine:
    """The fake engine behind a socket; `asked` are the routes in the order that they were asked for.

    `reads_profiles`: seccomp profiles are given to it as names of files, not as texts.
    """

    reads_profiles = False

    def __init__(self, engine: FakeEngine, lie: Lie = truthful) -> None:
        self.engine = engine
        self.lie = lie
        self.asked: list[str] = []
        self.answers: dict[str, Any] = {}
        self.loading: Callable[[bytes], list[dict[str, Any]]] = self._load

    def _load(self, data: bytes) -> list[dict[str, Any]]:
        self.engine.load([data])
        return [{"stream": "Loaded image"}]

    def route(self, method: str, path: str, query: dict[str, str], body: bytes) -> tuple[str, Any]:
        """The name of what was asked, and the answer: a value for JSON, bytes as they are, None for none."""
        for name, pattern, answer in _ROUTES:
            match = re.fullmatch(pattern, f"{method} {path}")
            if match:
                self.asked.append(name)
                return name, answer(self, match["id"] if "id" in match.groupdict() else "", query, body)
        raise Refused(404, f"no such route: {method} {path}")


# --------------------------------------------------------------------------------------------------------- the answers


def _image(http: HttpEngine, name: str, query: dict[str, str], body: bytes) -> Any:
    try:
        image = http.engine.image(_familiar(name))
    except DebloatError as error:
        raise Refused(404, f"No such image: {name}") from error
    if "manifests" in query and "platform" in query:
        raise Refused(400, "conflicting options: manifests and platform options cannot both be set")
    if (asked := query.get("platform")) and json.loads(asked)["architecture"] != image.architecture:
        raise Refused(404, f"image with reference {name} was found but does not provide the specified platform")
    return {
        "Id": f"sha256:{'f' * 64}" if asked else image.id,
        "RepoTags": sorted(n for n, i in http.engine.names.items() if i == image.id),
        "RepoDigests": [f"x@{image.id}"],
        "Created": image.created,
        "Author": "",
        "Architecture": image.architecture,
        "Os": image.os,
        "Size": 1,
        "Config": dict(image.config.raw),
        "RootFS": {"Type": "layers", "Layers": list(image.layers)},
        "Manifests": [{"Kind": "image"}, {"Kind": "attestation"}] if query.get("manifests") else None,
    }


def _history(http: HttpEngine, name: str, query: dict[str, str], body: bytes) -> Any:
    return [
        {"Id": "<missing>", "Created": 1, "CreatedBy": "COPY . . # buildkit", "Size": 1, "Comment": "", "Tags": None}
    ]


def _create(http: HttpEngine, name: str, query: dict[str, str], body: bytes) -> Any:
    asked = json.loads(body)
    image = _familiar(asked["Image"])
    if http.engine.names.get(image, image) not in http.engine.images:
        raise Refused(404, f"No such image: {image}")
    spec = ContainerSpec(
        image,
        asked["Labels"][RUN_LABEL],
        tuple(asked.get("Entrypoint") or ()),
        tuple(asked.get("Cmd") or ()),
        seccomp=_profile(http, (asked.get("HostConfig") or {}).get("SecurityOpt") or ()),
    )
    return {"Id": http.engine.create(spec), "Warnings": []}


def _profile(http: HttpEngine, options: Iterable[str]) -> str:
    """A seccomp profile among security options: Docker is given its text, Podman the name of a file."""
    for option in options:
        name, _, value = option.partition("=")
        if name == "seccomp":
            return Path(value).read_text() if http.reads_profiles else value
    return ""


def inspection(http: HttpEngine, container: str, query: dict[str, str], body: bytes) -> Any:
    """The answer about a container."""
    state = http.engine.state(container)
    return {
        "Id": container,
        "State": {"Running": state.running, "ExitCode": state.exit_code, "Error": "", "Pid": 0},
        "Config": {"Tty": False},
        "NetworkSettings": {"Ports": {}, "Networks": {"bridge": {"IPAddress": "127.0.0.1"}}},
    }


def _nothing(http: HttpEngine, container: str, query: dict[str, str], body: bytes) -> Any:
    return None


def _start(http: HttpEngine, container: str, query: dict[str, str], body: bytes) -> Any:
    http.engine.start(container)


def _remove(http: HttpEngine, container: str, query: dict[str, str], body: bytes) -> Any:
    http.engine.remove(container)


def _archive(http: HttpEngine, container: str, query: dict[str, str], body: bytes) -> Any:
    return b"".join(http.engine.get(container, query["path"]))


def _wait(http: HttpEngine, container: str, query: dict[str, str], body: bytes) -> Any:
    return {"StatusCode": http.engine.wait(container, 1.0), "Error": None}


def _logs(http: HttpEngine, container: str, query: dict[str, str], body: bytes) -> Any:
    stdout, stderr = http.engine.logs(container)
    wanted = ((1, stdout, query.get("stdout")), (2, stderr, query.get("stderr")))
    return b"".join(frame(number, data) for number, data, asked in wanted if data and asked in ("1", "True"))


def _containers(http: HttpEngine, name: str, query: dict[str, str], body: bytes) -> Any:
    (label,) = json.loads(query["filters"])["label"]
    run = label.partition("=")[2]
    found = http.engine.leftovers(run)
    return [{"Id": f.id, "Labels": {RUN_LABEL: f.run}, "Names": [f"/{f.name}"]} for f in found if f.kind == "container"]


def _images(http: HttpEngine, name: str, query: dict[str, str], body: bytes) -> Any:
    return [{"Id": f.id, "RepoTags": [f.name], "Labels": None} for f in http.engine.leftovers() if f.kind == "image"]


def _tag(http: HttpEngine, name: str, query: dict[str, str], body: bytes) -> Any:
    http.engine.tag(_familiar(name), f"{query['repo']}:{query['tag']}")


def _untag(http: HttpEngine, name: str, query: dict[str, str], body: bytes) -> Any:
    http.engine.untag(_familiar(name))
    return [{"Untagged": name}]


def _loaded(http: HttpEngine, name: str, query: dict[str, str], body: bytes) -> Any:
    return b"".join(json.dumps(event).encode() + b"\r\n" for event in http.loading(body))


def _pull(http: HttpEngine, name: str, query: dict[str, str], body: bytes) -> Any:
    raise Refused(404, f"pull access denied for {query['fromImage']}")


def _no_exec(http: HttpEngine, name: str, query: dict[str, str], body: bytes) -> Any:
    raise Refused(409, "container is not running")


_ROUTES: list[tuple[str, str, Callable[[HttpEngine, str, dict[str, str], bytes], Any]]] = [
    ("version", "GET /version", lambda *_: dict(VERSION)),
    ("info", "GET /info", lambda *_: dict(INFO)),
    ("image", "GET /images/(?P<id>.+)/json", _image),
    ("history", "GET /images/(?P<id>.+)/history", _history),
    ("images", "GET /images/json", _images),
    ("pull", "POST /images/create", _pull),
    ("load", "POST /images/load", _loaded),
    ("tag", "POST /images/(?P<id>.+)/tag", _tag),
    ("untag", "DELETE /images/(?P<id>.+)", _untag),
    ("create", "POST /containers/create", _create),
    ("containers", "GET /containers/json", _containers),
    ("networks", "GET /networks", lambda *_: []),
    ("volumes", "GET /volumes", lambda *_: {"Volumes": None, "Warnings": None}),
    ("container", "GET /containers/(?P<id>[^/]+)/json", inspection),
    ("put", "PUT /containers/(?P<id>[^/]+)/archive", _nothing),
    ("get", "GET /containers/(?P<id>[^/]+)/archive", _archive),
    ("start", "POST /containers/(?P<id>[^/]+)/start", _start),
    ("kill", "POST /containers/(?P<id>[^/]+)/kill", _nothing),
    ("wait", "POST /containers/(?P<id>[^/]+)/wait", _wait),
    ("logs", "GET /containers/(?P<id>[^/]+)/logs", _logs),
    ("changes", "GET /containers/(?P<id>[^/]+)/changes", lambda *_: [{"Path": "/.debloat", "Kind": 1}]),
    ("exec", "POST /containers/(?P<id>[^/]+)/exec", _no_exec),
    ("remove", "DELETE /containers/(?P<id>[^/]+)", _remove),
]


def _familiar(name: str) -> str:
    return name if name.startswith("sha256:") else ":".join(split_reference(name))


def frame(stream: int, data: bytes) -> bytes:
    """Output as the API frames it."""
    return bytes((stream, 0, 0, 0)) + len(data).to_bytes(4, "big") + data


# ----------------------------------------------------------------------------------------------------------- the socket


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server | _TlsServer

    def log_message(self, format: str, *args: Any) -> None: ...

    def address_string(self) -> str:
        return ""

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True

    def answer(self) -> None:
        http = self.server.http
        parts = urlsplit(self.path)
        path = re.sub(r"^/v[\d.]+/", "/", unquote(parts.path))
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        body = self._body()
        if match := re.fullmatch(r"/containers/([^/]+)/attach", path):
            return self._attach(match[1])
        try:
            name, found = http.route(self.command, path, query, body)
            http.answers.setdefault(name, found)
            found = http.lie(name, found)
        except Broken as broken:
            self.wfile.write(broken.raw)
            self.close_connection = True
            return None
        except Refused as error:
            return self._send(error.status, {"message": str(error)})
        except DebloatError as error:
            return self._send(500, {"message": error.message})
        except KeyError as error:
            return self._send(404, {"message": f"No such container or image: {error}"})
        return self._send(204 if found is None else 200, found)

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the names that the library calls

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = bytearray()
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(data)

    def _send(self, status: int, found: Any) -> None:
        data = b"" if found is None else found if isinstance(found, bytes) else json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream" if isinstance(found, bytes) else "application/json")
        self.send_header("X-Docker-Container-Path-Stat", base64.b64encode(b"{}").decode())
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _attach(self, container: str) -> None:
        """The connection becomes the sensor's `serve`."""
        http = self.server.http
        http.asked.append("attach")
        channel = http.engine.attach(container)
        assert isinstance(channel, ServeChannel)
        self.send_response(101, "UPGRADED")
        self.send_header("Content-Type", "application/vnd.docker.raw-stream")
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "tcp")
        self.end_headers()
        self.wfile.flush()
        self.close_connection = True
        while data := self.connection.recv(1 << 16):
            channel.send(data)
            if out := channel.read(1 << 30):
                self.connection.sendall(frame(1, out))


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    http: HttpEngine


class _TlsServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    http: HttpEngine


@contextmanager
def serving(http: HttpEngine, path: Path) -> Iterator[str]:
    """The endpoint of the engine, a socket, while a block runs."""
    with _Server(str(path), _Handler) as server:
        server.http = http
        with _at_work(server):
            yield f"unix://{path}"


@contextmanager
def serving_tls(http: HttpEngine, context: ssl.SSLContext) -> Iterator[str]:
    """The endpoint of the engine, a port on loopback that speaks TLS, while a block runs."""
    with _TlsServer(("127.0.0.1", 0), _Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.http = http
        with _at_work(server):
            yield f"tcp://localhost:{server.server_address[1]}"


@contextmanager
def _at_work(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
