"""gRPC, with a real server: health, reflection, and the calls that it leads to."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import rpcserver, shop
from tests.support.sessions import Exercised

HEALTH = "grpc http://:50051/grpc.health.v1.Health/Check"
REFLECTION = "grpc http://:50051/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with rpcserver.serving() as port:
        yield port


def test_health_reflection_and_what_it_leads_to(server: int) -> None:
    """Calls that take an empty request; those that remove come last, those that end the server not at all."""
    first = Exercised({50051: server}, "grpc = true")
    assert list(first.answers.items()) == [
        (HEALTH, 0),
        (REFLECTION, 0),
        ("grpc http://:50051/shop.Cart/Denied", 7),
        ("grpc http://:50051/shop.Cart/List", 0),
        ("grpc http://:50051/shop.Cart/Clear", 0),
    ]
    texts = {result.name.rpartition("/")[2]: result.text for result in first.results}
    assert texts["Check"] == "SERVING"
    assert "shop.Cart/Watch" in texts["ServerReflectionInfo"].split("\n")
    assert '"name": "pear"' in texts["List"]
    assert texts["Denied"] == "PERMISSION_DENIED: not you"
    with rpcserver.serving() as other:
        again = Exercised({50051: other}, "grpc = true", first.probes)
        assert not [a.name for a, b in zip(first.results, again.results, strict=True) if a.differs(b)]
        cleared = Exercised({50051: other}, "grpc = true", first.probes)
    differing = [a.name for a, b in zip(first.results, cleared.results, strict=True) if a.differs(b)]
    assert differing == ["grpc http://:50051/shop.Cart/List"]


def test_a_server_without_them() -> None:
    with rpcserver.serving("health", "reflection") as port:
        first = Exercised({50051: port}, 'grpc = [":50051"]')
        again = Exercised({50051: port}, 'grpc = [":50051"]', first.probes)
    assert first.answers == again.answers == {HEALTH: 12, REFLECTION: 12}
    assert not first.problems


def test_a_server_that_is_not_healthy() -> None:
    with rpcserver.serving("serving") as port:
        assert Exercised({50051: port}, "grpc = true").problems == {HEALTH: "its health is NOT_SERVING"}


def test_over_tls(tmp_path: Path) -> None:
    shop.certificate(tmp_path)
    with rpcserver.serving(tls=tmp_path) as port:
        answers = Exercised({443: port}, "grpc = true").answers
    assert answers["grpc https://:443/shop.Cart/List"] == 0


def test_ports_that_speak_something_else(server: int) -> None:
    """Of several ports those that speak gRPC are asked; if there is none, that is no answer."""
    with shop.serving() as web:
        seen = Exercised({80: web, 50051: server}, "grpc = true")
        assert not seen.problems
        assert {name.split("/")[2] for name in seen.answers} == {":50051"}
        (problem,) = Exercised({80: web}, "grpc = true").problems.values()
        assert problem.startswith("UN")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    (problem,) = Exercised({80: closed}, 'grpc = [":80"]').problems.values()
    assert problem.startswith("UNAVAILABLE")
