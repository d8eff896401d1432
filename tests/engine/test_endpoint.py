"""Where the engine is: as the docker command finds it, with its certificates and contexts; else Podman's socket."""

from __future__ import annotations

import hashlib
import json
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.context import ContextAPI

from debloat.core.errors import EngineUnavailable
from debloat.engine.docker import connect
from debloat.engine.endpoint import DEFAULT, Endpoint, find
from tests.engine.test_podman import CONFIG, fake
from tests.support.engine import Behaviour, FakeEngine
from tests.support.httpengine import HttpEngine, serving, serving_tls
from tests.support.podmanengine import PodmanEngine
from tests.support.trees import tree


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory and an environment that name no engine."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".docker").mkdir()
    return tmp_path


def first_endpoint() -> Endpoint:
    """The endpoint that is looked for first."""
    return find()[0]


def engine() -> HttpEngine:
    return HttpEngine(FakeEngine({"a:1": (tree({"/x": ""}), {})}, lambda rootfs, argv: Behaviour()))


def put_context(place: Path, name: str, host: str, **more: Any) -> Path:
    """A context as `docker context create` writes it; where its certificates lie."""
    directory = hashlib.sha256(name.encode()).hexdigest()
    meta = place / "contexts" / "meta" / directory
    meta.mkdir(parents=True)
    document = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False, **more}}}
    (meta / "meta.json").write_text(json.dumps(document))
    tls = place / "contexts" / "tls" / directory / "docker"
    tls.mkdir(parents=True)
    return tls


def test_the_default() -> None:
    assert first_endpoint() == Endpoint(DEFAULT)


def test_the_environment_goes_before_a_context(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_context(home / ".docker", "far", "tcp://far:1")
    monkeypatch.setenv("DOCKER_CONTEXT", "far")
    (home / ".docker" / "config.json").write_text("{}")
    assert first_endpoint().url == "tcp://far:1"
    monkeypatch.setenv("DOCKER_HOST", "tcp://near:2")
    assert first_endpoint().url == "tcp://near:2"


def test_the_current_context(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_context(home / ".docker", "mine", "unix:///mine.sock")
    (home / ".docker" / "config.json").write_text('{"currentContext": "mine"}')
    assert first_endpoint().url == "unix:///mine.sock"
    other = home / "elsewhere"
    put_context(other, "other", "ssh://user@host")
    (other / "config.json").write_text('{"currentContext": "other"}')
    monkeypatch.setenv("DOCKER_CONFIG", str(other))
    assert (first_endpoint().url, first_endpoint().scheme, first_endpoint().local) == ("ssh://user@host", "ssh", False)


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"Name": "mine"}', '{"Name": "mine", "Metadata": {}, "Endpoints": 1}']
)
def test_a_damaged_context_is_one_sentence(home: Path, damage: str) -> None:
    put_context(home / ".docker", "mine", "unix:///mine.sock")
    (home / ".docker" / "config.json").write_text('{"currentContext": "mine"}')
    next((home / ".docker").rglob("meta.json")).write_text(damage)
    with pytest.raises(EngineUnavailable, match="context"):
        first_endpoint()


def test_a_context_that_is_gone(home: Path) -> None:
    (home / ".docker" / "config.json").write_text('{"currentContext": "gone"}')
    with pytest.raises(EngineUnavailable, match="cannot find the docker context"):
        first_endpoint()


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("unix:///x.sock", True),
        ("tcp://127.0.0.1:2375", True),
        ("tcp://localhost:2375", True),
        ("tcp://[::1]:2375", True),
        ("tcp://docker:2376", False),
        ("ssh://localhost", False),
    ],
)
def test_what_is_on_this_machine(url: str, local: bool) -> None:
    assert Endpoint(url).local is local


# ------------------------------------------------------------------------------------------------------------------ TLS


def openssl(directory: Path, command: str) -> None:
    subprocess.run(["openssl", *command.split()], cwd=directory, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`ca.pem`, and `cert.pem` with `key.pem` of localhost, signed by it."""
    place = tmp_path_factory.mktemp("certificates")

    openssl(place, "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca-key.pem -out ca.pem")
    openssl(place, "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out request.pem")
    (place / "names").write_text("subjectAltName=DNS:localhost")
    signing = "x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile names"
    openssl(place, f"{signing} -out cert.pem")
    return place


@pytest.fixture
def secured(certificates: Path) -> Iterator[str]:
    """An engine that wants a certificate of its clients too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    context.load_verify_locations(certificates / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with serving_tls(engine(), context) as endpoint:
        yield endpoint


@pytest.mark.parametrize("bundle", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_bundle_for_the_web_does_not_stand_in_for_the_engines_certificates(
    secured: str, certificates: Path, monkeypatch: pytest.MonkeyPatch, bundle: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", secured)
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(certificates))
    monkeypatch.setenv(bundle, "/etc/ssl/certs/ca-certificates.crt")
    assert connect().image("a:1").os == "linux"


def test_certificates_of_a_context(secured: str, certificates: Path, home: Path) -> None:
    tls = put_context(home / ".docker", "secured", secured)
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tls / name).write_bytes((certificates / name).read_bytes())
    (home / ".docker" / "config.json").write_text('{"currentContext": "secured"}')
    assert connect().image("a:1").os == "linux"


def test_certificates_where_the_docker_command_has_them(
    secured: str, certificates: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", secured)
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    with pytest.raises(EngineUnavailable, match=r"there is no ca\.pem in .*/\.docker"):
        connect()
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (home / ".docker" / name).write_bytes((certificates / name).read_bytes())
    assert connect().image("a:1").os == "linux"


def test_an_engine_that_another_authority_vouches_for(
    secured: str, certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openssl(tmp_path, "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other -keyout x -out ca.pem")
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_bytes((certificates / name).read_bytes())
    monkeypatch.setenv("DOCKER_HOST", secured)
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    with pytest.raises(EngineUnavailable, match="cannot reach the container engine at tcp://localhost"):
        connect()


# ------------------------------------------------------------------------------------------------------------------ SSH

SSH = """#!/bin/sh
printf '%s\\n' "$@" > "$0.argv"
exec python3 -c '
import os, socket, threading
there = socket.socket(socket.AF_UNIX)
there.connect("{socket}")
def upward():
    while data := os.read(0, 65536):
        there.sendall(data)
    there.shutdown(socket.SHUT_WR)
threading.Thread(target=upward, daemon=True).start()
while data := there.recv(65536):
    os.write(1, data)
'
"""
"""What `ssh HOST docker system dial-stdio` is to the one who calls it."""


@pytest.fixture
def behind_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An engine that the ssh command leads to; the file that has the command's words."""
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(SSH.replace("{socket}", str(tmp_path / "engine.sock")))
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", str(ssh.parent), prepend=":")
    with serving(engine(), tmp_path / "engine.sock"):
        yield ssh.with_name("ssh.argv")


def test_an_engine_behind_ssh(behind_ssh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://me@build.example:2222")
    engine_behind_ssh = connect()
    try:
        assert engine_behind_ssh.image("a:1").os == "linux"
        assert (engine_behind_ssh.info().endpoint, engine_behind_ssh.info().local) == (
            "ssh://me@build.example:2222",
            False,
        )
        words = behind_ssh.read_text().split("\n")[:-1]
        assert words[words.index("-l") :] == [
            "-l",
            "me",
            "-p",
            "2222",
            "--",
            "build.example",
            "docker",
            "system",
            "dial-stdio",
        ]
    finally:
        engine_behind_ssh.close()


@pytest.mark.parametrize(
    "url", ["ssh://", "ssh://-oProxyCommand=x", "ssh://host:port", "ssh://host/path", "ssh://[::1"]
)
def test_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch, behind_ssh: Path, url: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", url)
    with pytest.raises(EngineUnavailable, match="cannot read the address"):
        connect()
    assert not behind_ssh.exists()


# ---------------------------------------------------------------------------------------------------- Docker or Podman


@pytest.fixture
def place(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for sockets: Docker's is `docker.sock`, the runtime directory is `run`."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
    (home / "run" / "podman").mkdir(parents=True)

    class Default:
        Name = "default"
        Host = f"unix://{home}/docker.sock"
        TLSConfig = None

    monkeypatch.setattr(ContextAPI, "get_current_context", lambda: Default)
    return home


def reached() -> str:
    engine = connect()
    try:
        return f"{engine.info().name} at {engine.info().endpoint}"
    finally:
        engine.close()


def test_podman_where_docker_does_not_answer(place: Path) -> None:
    with serving(PodmanEngine(fake(CONFIG), "5"), place / "run" / "podman" / "podman.sock") as url:
        assert reached() == f"Podman at {url}"


def test_docker_where_it_answers(place: Path) -> None:
    podman = serving(PodmanEngine(fake(CONFIG), "5"), place / "run" / "podman" / "podman.sock")
    with podman, serving(HttpEngine(fake(CONFIG)), place / "docker.sock") as url:
        assert reached() == f"Fake Engine at {url}"


def test_a_socket_behind_which_nothing_is_left(place: Path) -> None:
    """The complaint is about the engine that was looked for first."""
    path = place / "run" / "podman" / "podman.sock"
    with serving(PodmanEngine(fake(CONFIG), "4"), path):
        pass
    with pytest.raises(EngineUnavailable, match=f"cannot reach the container engine at unix://{place}/docker.sock"):
        connect()


@pytest.mark.parametrize("variable", ["DOCKER_HOST", "DOCKER_CONTEXT"])
def test_what_is_named_is_not_passed_over(place: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    value = f"unix://{place}/docker.sock" if variable == "DOCKER_HOST" else "default"
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr(
        ContextAPI,
        "get_context",
        lambda name: ContextAPI.get_current_context(),
    )
    podman = serving(PodmanEngine(fake(CONFIG), "5"), place / "run" / "podman" / "podman.sock")
    with podman, pytest.raises(EngineUnavailable, match="cannot reach"):
        connect()
