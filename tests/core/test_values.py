"""The fields of a value by their names."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import pytest
from msgspec import NODEFAULT, Struct
from rich.pretty import pretty_repr

from debloat.core.values import Discreet, as_dict, defaults


class Fruit(enum.Enum):
    PEAR = "pear"


class Size(NamedTuple):
    grams: int
    label: Price | None


class Price(Struct, frozen=True):
    cents: int
    secret: str = ""


class Shelf(Struct, frozen=True):
    prices: tuple[Price, ...] = ()
    by_name: Mapping[object, Price] = {}
    listed: list[list[Price]] = []
    size: Size = Size(1, None)
    fruit: Fruit = Fruit.PEAR
    proxy: Mapping[str, int] = MappingProxyType({"a": 1})


def test_values_within_a_value_are_dictionaries_too() -> None:
    shelf = Shelf((Price(1), Price(2, "x")), {"pear": Price(3)}, [[Price(4)], []], Size(5, Price(6)))
    assert as_dict(shelf) == {
        "prices": ({"cents": 1, "secret": ""}, {"cents": 2, "secret": "x"}),
        "by_name": {"pear": {"cents": 3, "secret": ""}},
        "listed": [[{"cents": 4, "secret": ""}], []],
        "size": (5, {"cents": 6, "secret": ""}),
        "fruit": Fruit.PEAR,
        "proxy": {"a": 1},
    }


def test_what_is_no_value_stays_what_it_is() -> None:
    plain = as_dict(shelf := Shelf())
    assert list(plain) == ["prices", "by_name", "listed", "size", "fruit", "proxy"]
    assert type(plain["prices"]) is tuple
    assert type(plain["size"]) is Size
    assert plain["proxy"] is shelf.proxy


def test_a_change_of_the_result_changes_no_value() -> None:
    shelf = Shelf(by_name={"pear": Price(1)}, listed=[[]])
    plain = as_dict(shelf)
    plain["by_name"].clear()
    plain["listed"][0].append(1)
    assert shelf == Shelf(by_name={"pear": Price(1)}, listed=[[]])


def test_defaults_are_by_field() -> None:
    assert defaults(Price) == {"cents": NODEFAULT, "secret": ""}
    assert list(defaults(Shelf)) == list(Shelf.__struct_fields__)


class Login(Discreet, frozen=True):
    user: str
    password: str = ""


@pytest.mark.parametrize("show", [repr, str, pretty_repr, "{}".format, "{!r}".format])
def test_a_password_is_not_shown(show: Callable[[object], str]) -> None:
    login = Login("ada", "s3cret")
    assert "user='ada'" in show(login)
    assert "ada" in show([{"who": login}])
    assert "s3cret" not in show(login) + show([{"who": login}])
