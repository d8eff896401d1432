"""The HTTP client of Docker's API, and what its errors mean."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from debloat.core.errors import DebloatError, EngineUnavailable, UsageError
from debloat.engine.dockerpy import docker, requests
from debloat.engine.endpoint import DEFAULT, Endpoint

_TIMEOUT = 300
CHUNK = 1 << 20
"""Bytes of an archive that are read at once."""


class Client(docker.APIClient):  # type: ignore[misc]
    """docker-py's low-level client, without what would make it differ from the docker command."""

    _told: Any = None
    """What the engine answered when it was asked first."""

    def version(self, api_version: bool = True) -> Any:
        """What the engine says of itself. The client asks for it when it is made, and nobody has to ask again."""
        if self._told is None:
            self._told = super().version(api_version)
        return self._told

    def merge_environment_settings(
        self, url: str, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> MutableMapping[str, Any]:
        """Certificates are the endpoint's own: REQUESTS_CA_BUNDLE, which is for the web, does not stand in for them."""
        settings: MutableMapping[str, Any] = super().merge_environment_settings(url, proxies, stream, verify, cert)
        settings["verify"] = self.verify
        return settings

    def get_json(self, path: str, query: Mapping[str, str]) -> Any:
        """The answer to a question of Docker's API that the library does not ask with these words."""
        return self._result(self._get(f"{self.base_url}/v{self._version}{path}", params=query), json=True)

    def ask(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer to something that is not in Docker's API, as JSON; `document` goes with it as JSON."""
        response = self.request(method, self.base_url + path, json=document, timeout=self.timeout)
        answer: dict[str, Any] = self._result(response, json=True)
        return answer


def open_client(endpoint: Endpoint, url: str) -> Client:
    """A client that speaks the engine's own version of the API, connected to `url` in place of the endpoint's."""
    try:
        client = Client(base_url=url, tls=endpoint.tls or False, version="auto", timeout=_TIMEOUT)
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError, ValueError) as error:
        at = "its default socket" if endpoint.url == DEFAULT else endpoint.url
        raise EngineUnavailable(
            f"cannot reach the container engine at {at}: {cause(error)}",
            "start it (systemctl start docker, or podman.socket), or set DOCKER_HOST; `debloat doctor` says what works",
        ) from error
    if "unix://" in url:
        client.trust_env = False  # neither proxies nor ~/.netrc speak of a socket, and each request would look them up
    return client


def cause(error: BaseException) -> str:
    """The innermost readable cause: the client wraps socket errors three deep."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


@contextlib.contextmanager
def error_context(what: str, usage: tuple[int, ...] = ()) -> Iterator[None]:
    """Turn the client's errors into ours: "cannot WHAT: cause". Statuses in `usage` are the user's to mend.

    In the block stand questions to the engine and the reading of its answers, nothing else: what goes wrong there goes
    wrong because of the answer.
    """
    try:
        yield
    except DebloatError:
        raise
    except docker.errors.APIError as error:
        text = str(error.explanation or error).strip()
        hint = ""
        if error.response is not None and error.response.status_code in usage:
            raise UsageError(
                f"cannot {what}: {text}", "see what was named on the command line or in debloat.toml"
            ) from error
        if "no space left" in text:
            hint = "free space where the engine keeps its data, then run it again"
        elif "No such container" in text or "marked for removal" in text:
            hint = "something else removed it; run the same again"
        raise EngineUnavailable(f"cannot {what}: {text}", hint) from error
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        raise EngineUnavailable(
            f"cannot {what}: {cause(error)}", "is the engine still running? `debloat doctor` checks it"
        ) from error
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise EngineUnavailable(
            f"cannot {what}: the engine's answer makes no sense ({type(error).__name__}: {error})",
            "is it a container engine, and whole? `debloat doctor` checks it",
        ) from error
