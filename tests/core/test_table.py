"""Tables by rows: what each kind of value takes, how it is said to be wrong, how one lies over another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.core.errors import UsageError
from debloat.core.table import (
    COUNT,
    FLAG,
    GLOB,
    NUMBER,
    SCALAR,
    SECONDS,
    TEXT,
    Mistake,
    ValueKind,
    either,
    key,
    list_of,
    map_of,
    matching,
    merged,
    named,
    one_of,
    optional,
    read,
    schema,
    table_of,
    tables_of,
    text,
)


def shouted(word: str) -> str:
    if not word.isalpha():
        raise UsageError(f"{word!r} cannot be shouted", "write letters")
    return word.upper()


@dataclass(frozen=True, slots=True)
class Point:
    """Where it is."""

    x: float = key(NUMBER, "To the right.", required=True)
    y: float | None = key(NUMBER, "Upwards.")


@dataclass(frozen=True, slots=True)
class Shop:
    """A shop."""

    name: str | None = key(TEXT, "What it is called.", example='"Corner"')
    words: tuple[str, ...] = key(list_of(text("a word", '"hello"', shouted)), "What is said.")
    open: bool | None = key(FLAG, "Whether it is.")
    tags: tuple[str, ...] | None = key(optional(list_of(TEXT)), "Labels.")
    prices: Mapping[str, int] = key(map_of(COUNT, expected="a table of prices"), "In cents.")
    place: Point | None = key(
        either(
            table_of(Point, "{ x = 1 }"),
            matching("a place", '"1 2"', "([0-9]) ([0-9])", lambda m: Point(float(m[1]), float(m[2]))),
            "a table or two digits",
            '"1 2"',
        ),
        "Where.",
    )
    branch: tuple[Point, ...] = key(tables_of(Point, "[{ x = 1 }]"), "More places.")


def test_what_is_absent_is_its_default() -> None:
    assert read(Shop, {}) == Shop() == Shop(None, (), None, None, {}, None, ())


def test_values_become_what_their_row_says() -> None:
    got = read(
        Shop,
        {
            "words": ["a", "b"],
            "open": False,
            "prices": {"tea": 3},
            "place": "1 2",
            "branch": [{"x": 1}, {"x": 2, "y": 3}],
        },
    )
    assert got.words == ("A", "B")
    assert (got.open, got.prices, got.tags) == (False, {"tea": 3}, None)
    assert (got.place, got.branch) == (Point(1.0, 2.0), (Point(1.0), Point(2.0, 3.0)))


WRONG: list[tuple[object, tuple[str | int, ...], str, str]] = [
    (3, (), "the configuration must be a table, not 3", "{ KEY = VALUE }"),
    ({"nmae": "x"}, ("nmae",), "unknown key 'nmae'", "did you mean 'name'?"),
    ({"zzz": 1}, ("zzz",), "unknown key 'zzz'", "known keys: branch, name, open"),
    ({"name": True}, ("name",), "name must be a string, not true", 'write name = "..."'),
    ({"words": "a"}, ("words",), "words must be a list of strings, not 'a'", 'write words = ["hello"]'),
    ({"words": ["a", 3]}, ("words",), "words must be a list of strings, not a list with 3", "words"),
    ({"words": ["a", "1"]}, ("words",), "words: '1' cannot be shouted", "write letters"),
    (
        {"prices": {"green tea": -1}},
        ("prices", "green tea"),
        'prices."green tea" must be a whole number',
        '"green tea" =',
    ),
    ({"prices": []}, ("prices",), "prices must be a table of prices, not a list", "{ KEY = 10 }"),
    ({"place": {}}, ("place",), "place needs a x", "write x = 10"),
    ({"place": {"x": 1, "z": 2}}, ("place", "z"), "unknown key 'z' in place", "known keys: x, y"),
    ({"place": {"x": "1"}}, ("place", "x"), "place.x must be a number of 0 or more, not '1'", "x = 10"),
    ({"place": "1 2 3"}, ("place",), "place must be a table or two digits, not '1 2 3'", '"1 2"'),
    ({"place": 3}, ("place",), "place must be a table or two digits, not 3", '"1 2"'),
    ({"branch": {}}, ("branch",), "branch must be an array of tables, [[branch]], not a table", "[{ x = 1 }]"),
    (
        {"branch": [{"x": 1}, {"x": True}]},
        ("branch", 1, "x"),
        "branch 2, x must be a number of 0 or more, not true",
        "",
    ),
]


@pytest.mark.parametrize(("raw", "place", "message", "hint"), WRONG)
def test_what_is_wrong_is_said_in_a_sentence(
    raw: object, place: tuple[str | int, ...], message: str, hint: str
) -> None:
    with pytest.raises(Mistake) as caught:
        read(Shop, raw)
    assert caught.value.place == place
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("kind", "takes", "refuses"),
    [
        (TEXT, ["", "x"], [1, True, None, []]),
        (SCALAR, ["x", 1, 1.5, True], [[], {}, None]),
        (FLAG, [True, False], [0, 1, "true"]),
        (SECONDS, [1, 0.5], [0, -1, True, "1", float("inf"), float("nan")]),
        (NUMBER, [0, 2.5], [-1, True, float("inf"), float("nan")]),
        (COUNT, [0, 7], [-1, 1.0, True, "1"]),
        (GLOB, ["/x", "/**/y"], ["x", 1]),
        (one_of(("off", "on"), '"on"'), ["off", "on"], ["Off", 1, ["on"]]),
        (map_of(FLAG, names=("a", "b")), [{}, {"a": True}], [{"c": True}, {"a": 1}, []]),
        (map_of(FLAG, names_like=GLOB), [{"/x": True}], [{"x": True}]),
    ],
)
def test_kinds(kind: ValueKind[Any], takes: list[Any], refuses: list[Any]) -> None:
    for value in takes:
        kind.read(value, ("k",))
    for value in refuses:
        with pytest.raises(Mistake):
            kind.read(value, ("k",))


def test_places_in_words() -> None:
    assert named(()) == "the configuration"
    assert named(("a", "b")) == "a.b"
    assert named(("a", 0, "b c", "d")) == 'a 1, "b c".d'


shops = st.builds(
    Shop,
    name=st.none() | st.text(max_size=3),
    words=st.lists(st.sampled_from("ABC"), max_size=3, unique=True).map(tuple),
    open=st.none() | st.booleans(),
    tags=st.none() | st.lists(st.sampled_from("xyz"), max_size=3, unique=True).map(tuple),
    prices=st.dictionaries(st.sampled_from("pq"), st.integers(0, 3), max_size=2),
    branch=st.lists(st.builds(Point, x=st.integers(0, 3)), max_size=2).map(tuple),
)


@given(shops, shops, shops)
def test_one_over_another_is_associative_and_nothing_changes_nothing(a: Shop, b: Shop, c: Shop) -> None:
    assert merged(merged(a, b), c) == merged(a, merged(b, c))
    assert merged(a, Shop()) == merged(Shop(), a) == a


@given(shops, shops)
def test_lists_grow_and_single_values_are_replaced(a: Shop, b: Shop) -> None:
    got = merged(a, b)
    assert set(got.words) == {*a.words, *b.words}
    assert len(got.words) == len(set(got.words))
    assert got.name == (a.name if b.name is None else b.name)
    assert dict(got.prices) == {**a.prices, **b.prices}
    assert got.branch == a.branch + b.branch


def test_the_schema_says_what_the_rows_say() -> None:
    got = schema(Shop)
    assert (got["description"], got["additionalProperties"]) == ("A shop.", False)
    assert got["properties"]["name"] == {
        "type": "string",
        "description": "What it is called.",
        "examples": ["Corner"],
    }
    assert got["properties"]["branch"]["items"]["required"] == ["x"]
    assert got["properties"]["place"]["anyOf"][1] == {"type": "string", "pattern": "^(?:([0-9]) ([0-9]))$"}
