"""What is read out of a compose file as Compose prints it, in the forms of 1.29 and of 2."""

from __future__ import annotations

from typing import Any

import pytest

from debloat.compose.document import dependencies, parse, plain, quoted, table, target_ports, used, words
from debloat.core.errors import UsageError

STACK = """
services:
  admin: {image: tools, profiles: [debug], depends_on: [db]}
  cache: {image: redis}
  db: {image: postgres}
  migrate: {image: shop, depends_on: {db: {condition: service_healthy}}}
  web: {image: shop, depends_on: {migrate: {condition: service_completed_successfully}}, links: ["cache:store"]}
"""


@pytest.mark.parametrize(
    ("chosen", "profiles", "started"),
    [
        (("web",), (), "cache db migrate web"),
        (("web",), ("debug",), "db admin cache migrate web"),
        (("admin",), (), "cache db migrate web admin"),
    ],
)
def test_what_is_started_and_in_which_order(chosen: tuple[str, ...], profiles: tuple[str, ...], started: str) -> None:
    assert " ".join(used(parse(STACK), chosen, profiles)) == started


def test_a_chosen_service_of_a_profile_brings_what_it_needs() -> None:
    document = parse("services: {a: {depends_on: [b]}, b: {profiles: [p]}, c: {profiles: [p]}}")
    assert used(document, ["a"], ()) == ("b", "a")


def test_services_that_depend_on_each_other_in_a_circle_end() -> None:
    assert set(used(parse("services: {a: {links: [b]}, b: {links: [a]}}"), ["a"], ())) == {"a", "b"}


def test_a_service_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="no service 'wep' in the compose file; there are: admin, cache, db") as error:
        used(parse(STACK), ["wep"], ())
    assert "--profile" in error.value.hint


@pytest.mark.parametrize(
    "service",
    [
        {"depends_on": ["b"]},
        {"depends_on": {"b": {"condition": "service_started"}}},
        {"links": ["b"]},
        {"links": ["b:other"]},
        {"network_mode": "service:b"},
        {"pid": "service:b"},
        {"volumes_from": ["b:ro", "container:x"]},
    ],
)
def test_dependencies(service: dict[str, Any]) -> None:
    assert dependencies(service) == ("b",)


@pytest.mark.parametrize("text", ["", "a: [", "[]", "services: {}", "services: [a]", "services: {a: [b]}"])
def test_what_is_no_compose_file(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


@pytest.mark.parametrize(
    ("value", "argv"),
    [
        (None, None),
        ("", ()),
        ([], ()),
        ("sh -c 'echo $$HOME'", ("sh", "-c", "echo $HOME")),
        (["sh", "-c", "echo $$HOME"], ("sh", "-c", "echo $HOME")),
    ],
)
def test_commands(value: object, argv: tuple[str, ...] | None) -> None:
    assert words(value) == argv


def test_dollars_come_back() -> None:
    assert plain(quoted("$a$$b")) == "$a$$b"


@pytest.mark.parametrize("value", [{"A": "1", "B": None}, ["A=1", "B"]])
def test_tables_and_lists(value: object) -> None:
    assert table(value) == {"A": "1", "B": None}


@pytest.mark.parametrize(
    ("port", "found"),
    [
        ({"target": 80, "published": "8080", "protocol": "tcp", "mode": "ingress"}, "80/tcp"),
        ({"target": 53, "published": 53, "protocol": "udp"}, "53/udp"),
        ("80", "80/tcp"),
        ("8080:80/tcp", "80/tcp"),
        ("127.0.0.1:9000:9001/udp", "9001/udp"),
        ("[::1]:9000:9001", "9001/tcp"),
        ("3000-3001", "3000/tcp 3001/tcp"),
        (80, "80/tcp"),
        ("none", ""),
    ],
)
def test_ports(port: object, found: str) -> None:
    assert " ".join(target_ports({"ports": [port]})) == found


def test_exposed_ports_are_those_of_the_container() -> None:
    assert target_ports({"ports": ["8080:80"], "expose": ["443", "9"]}) == ("9/tcp", "80/tcp", "443/tcp")
