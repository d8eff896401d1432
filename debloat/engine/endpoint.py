"""Where the engine is, as the docker command finds it: DOCKER_HOST, DOCKER_CONTEXT, the current context, the socket.

Where none of these names one and Docker does not answer, Podman may: at the sockets that its systemd units open.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from debloat.core.errors import EngineUnavailable
from debloat.engine.dockerpy import docker
from debloat.engine.sockets import DOCKER, podman_sockets

DEFAULT = f"unix://{DOCKER}"
_SOCKETS = ("unix", "http+unix", "npipe", "")
_HERE = ("localhost", "127.0.0.1", "::1")


class Endpoint(Struct, frozen=True):
    """An engine's address, and how its connections are secured."""

    url: str
    tls: docker.tls.TLSConfig | None = None

    @property
    def scheme(self) -> str:
        return self.url.partition("://")[0] if "://" in self.url else ""

    @property
    def local(self) -> bool:
        """Whether it is reached as an engine on this machine is."""
        return self.scheme in _SOCKETS or (self.scheme != "ssh" and urlsplit(self.url).hostname in _HERE)

    @property
    def path(self) -> str:
        """That of a socket of this machine; empty for anything else."""
        return self.url.partition("://")[2] if self.scheme in ("unix", "http+unix") else ""


def is_named() -> bool:
    """Whether the environment or the current context names an engine; EngineUnavailable where what does is broken."""
    return bool(os.environ.get("DOCKER_HOST")) or _is_named(_context())


def find(product: str = "") -> tuple[Endpoint, ...]:
    """The endpoint that the environment or the current context names; else the sockets of this machine, in order.

    `product` leaves out those of others. EngineUnavailable where what names one is broken, or there is none.
    """
    host = os.environ.get("DOCKER_HOST")
    if host:
        return (Endpoint(host, None if host.startswith(("unix:", "ssh:")) else _tls_of_environment(host)),)
    context = _context()
    named_one = Endpoint(context.Host or DEFAULT, context.TLSConfig)
    if _is_named(context) or product == "docker":
        return (named_one,)
    podman = tuple(Endpoint(f"unix://{path}") for path in podman_sockets())
    if product == "podman" and not podman:
        raise EngineUnavailable("cannot reach Podman: it listens nowhere", "systemctl --user start podman.socket")
    return podman if product == "podman" else (named_one, *podman)


def _is_named(context: Any) -> bool:
    return bool(os.environ.get("DOCKER_CONTEXT")) or context.Name != "default"


def _context() -> Any:
    """The context of the docker command that is in force."""
    name = os.environ.get("DOCKER_CONTEXT")
    try:
        api = docker.context.ContextAPI
        context = api.get_context(name) if name else api.get_current_context()
    except Exception as error:  # the library has no error of its own for a damaged file of a context
        raise EngineUnavailable(f"cannot read the docker context: {error}", "see `docker context ls`") from error
    if context is None:
        named = f"{name!r}" if name else "that ~/.docker/config.json names"
        raise EngineUnavailable(f"cannot find the docker context {named}", "see `docker context ls`")
    return context


def _tls_of_environment(host: str) -> docker.tls.TLSConfig | None:
    """What DOCKER_TLS_VERIFY and DOCKER_CERT_PATH ask for; certificates lie where the docker command has them."""
    verify, named = os.environ.get("DOCKER_TLS_VERIFY", ""), os.environ.get("DOCKER_CERT_PATH", "")
    if not verify and not named:
        return None
    place = Path(named or os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    ca, cert, key = (place / name for name in ("ca.pem", "cert.pem", "key.pem"))
    own = (str(cert), str(key)) if cert.is_file() and key.is_file() else None
    if (verify and not ca.is_file()) or (named and own is None and not ca.is_file()):
        raise EngineUnavailable(
            f"cannot use TLS for {host}: there is no {'ca.pem' if verify else 'certificate'} in {place}",
            "put ca.pem, cert.pem and key.pem there, or name their directory in DOCKER_CERT_PATH",
        )
    return docker.tls.TLSConfig(client_cert=own, ca_cert=str(ca), verify=bool(verify))
