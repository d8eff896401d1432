"""Tables of a configuration file, described by rows: a frozen dataclass is a table, a field of it a key.

A row says what its key holds (a `ValueKind`) and what it is for. Everything else follows from the rows: reading what
TOML gave into the dataclass, the sentence that says what is wrong, putting the command line over the file, and the JSON
Schema that editors use. Adding a key is adding a field:

    @dataclass(frozen=True, slots=True)
    class Shop:
        port: int | None = key(COUNT, "The port it listens on.")

A key that is absent has its kind's default: None, or an empty list or table.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from msgspec import Struct

from debloat.core.errors import UsageError
from debloat.core.globs import absolute

T = TypeVar("T")
Place = tuple[str | int, ...]
"""Where in a file a value stands: keys, and numbers from 0 in an array of tables."""


class Mistake(Exception):
    """A key or value that cannot be used: where it stands, a sentence without its file, and what to do about it."""

    def __init__(self, place: Place, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.place = place
        self.message = message
        self.hint = hint


class ValueKind(Struct, Generic[T], frozen=True):
    """What a key may hold.

    `expected` completes "KEY must be ...", `example` is such a value in TOML. `read` makes the value of what TOML gave
    at a place, or raises `Mistake`. `schema` is the same as JSON Schema, never stricter than `read`. `default` is the
    value of an absent key; `merge` puts a later value over an earlier one.
    """

    expected: str
    example: str
    schema: Mapping[str, Any]
    read: Callable[[Any, Place], T]
    default: T
    merge: Callable[[T, T], T]


class Row(Struct, frozen=True):
    """One key of a table: what it holds, what it is for, an example, and whether a table without it is refused."""

    kind: ValueKind[Any]
    text: str
    example: str
    required: bool


def key(kind: ValueKind[Any], text: str, *, example: str = "", required: bool = False) -> Any:
    """The dataclass field of a row; `example` is TOML, the kind's where none is given."""
    row = {"row": Row(kind, text, example or kind.example, required)}
    if isinstance(kind.default, Mapping):  # which dataclasses do not take as a default, frozen or not
        return dataclasses.field(default_factory=lambda: kind.default, metadata=row)
    return dataclasses.field(default=kind.default, metadata=row)


def rows(table: type) -> Mapping[str, Row]:
    """The rows of a table by key, in their order."""
    return MappingProxyType({field.name: field.metadata["row"] for field in dataclasses.fields(table)})


def read(table: type[T], raw: object, place: Place = (), example: str = "{ KEY = VALUE }") -> T:
    """A table of what TOML gave; `Mistake` for an unknown key, a missing one or a value that cannot be used."""
    table_rows = rows(table)
    if not isinstance(raw, Mapping):
        raise _wrong(place, "a table", raw, example)
    for name in raw:
        _must_be_known(name, table_rows, place)
    for name, row in table_rows.items():
        if row.required and name not in raw:
            raise Mistake(place, f"{named(place)} needs {_article(name)} {name}", f"write {name} = {row.example}")
    return table(**{name: table_rows[name].kind.read(value, (*place, name)) for name, value in raw.items()})


def _article(noun: str) -> str:
    return "an" if noun.startswith(("a", "e", "i", "o", "u")) else "a"


def merged(base: T, over: T) -> T:
    """One table over another of the same type: lists grow, tables merge, single values replace."""
    return type(base)(
        **{name: row.kind.merge(getattr(base, name), getattr(over, name)) for name, row in rows(type(base)).items()}
    )


def schema(table: type) -> dict[str, Any]:
    """The JSON Schema (draft 7, which TOML editors know) of a table."""
    table_rows = rows(table)
    result = {
        "type": "object",
        "description": " ".join((table.__doc__ or "").split()),
        "additionalProperties": False,
        "properties": {
            name: {
                **row.kind.schema,
                "description": row.text,
                "examples": [tomllib.loads(f"value = {row.example}")["value"]],
            }
            for name, row in table_rows.items()
        },
    }
    if required := [name for name, row in table_rows.items() if row.required]:
        result["required"] = required
    return result


def named(place: Place) -> str:
    """A place in words: `run_options.env`, `scenario 2, http`."""
    if not place:
        return "the configuration"
    text = ""
    for number, part in enumerate(place):
        if isinstance(part, int):
            text += f" {part + 1}"
        else:
            text += (", " if isinstance(place[number - 1], int) else ".") * bool(text) + _quoted(part)
    return text


def _quoted(name: str) -> str:
    """A key as TOML writes it."""
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else f'"{name}"'


# ------------------------------------------------------------------------------------------ kinds of values


def _later(base: T | None, over: T | None) -> T | None:
    return base if over is None else over


def value_of(
    expected: str, example: str, schema: Mapping[str, Any], accepts: Callable[[Any], bool], convert: Callable[[Any], T]
) -> ValueKind[T | None]:
    """A single value, made by `convert` of what `accepts` takes. A UsageError of `convert` has to quote the value."""

    def read(value: Any, place: Place) -> T:
        if not accepts(value):
            raise _wrong(place, expected, value, example)
        try:
            return convert(value)
        except UsageError as error:
            raise Mistake(place, f"{named(place)}: {error.message}", error.hint) from error

    return ValueKind(expected, example, schema, read, None, _later)


def text(expected: str = "a string", example: str = '"..."', convert: Callable[[str], Any] = str) -> ValueKind[Any]:
    """A string, made into something by `convert`."""
    return value_of(expected, example, {"type": "string"}, lambda value: isinstance(value, str), convert)


def matching(expected: str, example: str, pattern: str, convert: Callable[[re.Match[str]], Any]) -> ValueKind[Any]:
    """A string that an expression matches as a whole; the expression keeps to what ECMAScript knows too."""
    match = re.compile(pattern, re.ASCII).fullmatch
    return value_of(
        expected,
        example,
        {"type": "string", "pattern": f"^(?:{pattern})$"},
        lambda value: isinstance(value, str) and match(value) is not None,
        lambda value: convert(match(value)),  # type: ignore[arg-type]
    )


def one_of(names: Iterable[str], example: str, convert: Callable[[str], Any] = str) -> ValueKind[Any]:
    """One of some words."""
    words = tuple(names)
    expected = f"{', '.join(words[:-1])} or {words[-1]}"
    return value_of(
        expected, example, {"enum": list(words)}, lambda value: isinstance(value, str) and value in words, convert
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


TEXT: ValueKind[str | None] = text()
FLAG: ValueKind[bool | None] = value_of(
    "true or false", "true", {"type": "boolean"}, lambda value: isinstance(value, bool), bool
)
SECONDS: ValueKind[float | None] = value_of(
    "a number of seconds above 0",
    "60",
    {"type": "number", "exclusiveMinimum": 0},
    lambda value: _is_number(value) and value > 0,
    float,
)
NUMBER: ValueKind[float | None] = value_of(
    "a number of 0 or more",
    "10",
    {"type": "number", "minimum": 0},
    lambda value: _is_number(value) and value >= 0,
    float,
)
COUNT: ValueKind[int | None] = value_of(
    "a whole number of 0 or more",
    "10",
    {"type": "integer", "minimum": 0},
    lambda value: _is_number(value) and isinstance(value, int) and value >= 0,
    int,
)
GLOB: ValueKind[str | None] = value_of(
    "an absolute pattern",
    '"/usr/share/shop/**"',
    {"type": "string", "pattern": "^/"},
    lambda value: isinstance(value, str),
    absolute,
)
SCALAR: ValueKind[str | None] = value_of(
    "a string",
    '"..."',
    {"type": ["string", "number", "boolean"]},
    lambda value: isinstance(value, str | int | float),
    str,
)
"""A string, for which a number or a truth value may stand."""


def list_of(item: ValueKind[Any], expected: str = "a list of strings") -> ValueKind[tuple[Any, ...]]:
    """A list; one over another appends what is new."""

    def read(value: Any, place: Place) -> tuple[Any, ...]:
        example = f"[{item.example}]"
        if not isinstance(value, list | tuple):
            raise _wrong(place, expected, value, example)
        values = []
        for element in value:
            try:
                values.append(item.read(element, place))
            except _WrongType:
                raise _wrong(place, expected, element, example, within=True) from None
        return tuple(values)

    def merge(base: tuple[Any, ...], over: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(dict.fromkeys((*base, *over)))

    return ValueKind(expected, f"[{item.example}]", {"type": "array", "items": dict(item.schema)}, read, (), merge)


def map_of(
    value: ValueKind[Any],
    *,
    expected: str = "a table of strings",
    names: Iterable[str] = (),
    names_like: ValueKind[Any] | None = None,
) -> ValueKind[Mapping[str, Any]]:
    """A table whose keys are the user's: any, or one of `names`, or such as a kind of strings takes."""
    allowed = dict.fromkeys(names)
    example = f"{{ {next(iter(allowed), 'KEY')} = {value.example} }}"

    def read(raw: Any, place: Place) -> Mapping[str, Any]:
        if not isinstance(raw, Mapping):
            raise _wrong(place, expected, raw, example)
        for name in raw:
            if allowed:
                _must_be_known(name, allowed, place)
            try:
                if names_like is not None:
                    names_like.read(name, place)
            except Mistake as mistake:
                raise Mistake((*place, name), mistake.message, mistake.hint) from mistake
        return MappingProxyType({name: value.read(element, (*place, name)) for name, element in raw.items()})

    result: dict[str, Any] = {"type": "object", "additionalProperties": dict(value.schema)}
    if allowed:
        result |= {"additionalProperties": False, "properties": {name: dict(value.schema) for name in allowed}}
    if names_like is not None:
        result["propertyNames"] = {k: v for k, v in names_like.schema.items() if k == "pattern"}
    nothing: Mapping[str, Any] = MappingProxyType({})
    return ValueKind(expected, example, result, read, nothing, lambda base, over: MappingProxyType({**base, **over}))


def table_of(table: type[T], example: str) -> ValueKind[T]:
    """A table with rows of its own."""
    return ValueKind(
        "a table",
        example,
        schema(table),
        lambda raw, place: read(table, raw, place, example),
        table(),
        lambda a, b: merged(a, b),
    )


def tables_of(table: type[T], example: str) -> ValueKind[tuple[T, ...]]:
    """An array of tables, `[[KEY]]`; one over another appends."""

    def read_all(raw: Any, place: Place) -> tuple[T, ...]:
        if not isinstance(raw, list) or not all(isinstance(element, Mapping) for element in raw):
            raise _wrong(place, f"an array of tables, [[{place[-1]}]]", raw, example)
        return tuple(read(table, element, (*place, number)) for number, element in enumerate(raw))

    items = {"type": "array", "items": schema(table)}
    return ValueKind("an array of tables", example, items, read_all, (), lambda base, over: (*base, *over))


def either(first: ValueKind[Any], other: ValueKind[Any], expected: str, example: str) -> ValueKind[Any]:
    """What one of two kinds takes, which differ in their TOML type."""

    def read(value: Any, place: Place) -> Any:
        for kind in (first, other):
            try:
                return kind.read(value, place)
            except _WrongType as error:
                if error.place != place:
                    raise
        raise _wrong(place, expected, value, example)

    return ValueKind(expected, example, {"anyOf": [dict(first.schema), dict(other.schema)]}, read, None, _later)


def optional(kind: ValueKind[T]) -> ValueKind[T | None]:
    """The same, but None where the key is absent: an empty list or table is then something that was said."""

    def merge(base: T | None, over: T | None) -> T | None:
        return _later(base, over) if base is None or over is None else kind.merge(base, over)

    return ValueKind(kind.expected, kind.example, kind.schema, kind.read, None, merge)


# ------------------------------------------------------------------------------------------ what is wrong


class _WrongType(Mistake):
    """A value that its kind does not take at all."""


def _wrong(place: Place, expected: str, value: object, example: str, *, within: bool = False) -> _WrongType:
    last = next((part for part in reversed(place) if isinstance(part, str)), "KEY")
    actual = f"a list with {_shown(value)}" if within else _shown(value)
    return _WrongType(place, f"{named(place)} must be {expected}, not {actual}", f"write {_quoted(last)} = {example}")


def _shown(value: object) -> str:
    """A value as a reader of the file knows it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a table"
    return "a list" if isinstance(value, list | tuple) else repr(value)


def _must_be_known(name: str, known: Mapping[str, object], place: Place) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, sorted(known), 1)
        where = f" in {named(place)}" if place else ""
        raise Mistake(
            (*place, name),
            f"unknown key {name!r}{where}",
            f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(known))}",
        )
