"""What a value is made of: the fields of a Struct, by their names."""

from __future__ import annotations

from typing import Any

from msgspec import NODEFAULT, Struct
from msgspec.structs import asdict


def as_dict(value: Struct) -> dict[str, Any]:
    """The fields of a value by name, and so those of the values within it: in tuples, lists and dictionaries too.

    These stay what they are; whatever else a field holds is in the result as it is.
    """
    return {name: _plain(held) for name, held in asdict(value).items()}


def _plain(held: Any) -> Any:
    if isinstance(held, Struct):
        return as_dict(held)
    if isinstance(held, tuple | list):
        parts = map(_plain, held)
        return type(held)(*parts) if hasattr(held, "_fields") else type(held)(parts)
    if isinstance(held, dict):
        return {key: _plain(item) for key, item in held.items()}
    return held


def defaults(kind: type[Struct]) -> dict[str, Any]:
    """The fields of a class of values with the default of each, NODEFAULT where there is none."""
    names, given = kind.__struct_fields__, kind.__struct_defaults__
    return dict(zip(names, (NODEFAULT,) * (len(names) - len(given)) + given, strict=True))


class Discreet(Struct, frozen=True):
    """A value that shows itself without its `password`, to `repr` and to Rich."""

    def __repr__(self) -> str:
        held = (f"{name}={said!r}" for name, said in self.__rich_repr__())
        return f"{type(self).__name__}({', '.join(held)})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, said) for name, said in asdict(self).items() if name != "password"]
