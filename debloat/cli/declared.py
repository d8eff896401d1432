"""Options as the fields of a frozen value: how they are declared, and what click makes of them."""

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import click

from debloat.cli.engines import Engines

T = TypeVar("T")

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@dataclass(frozen=True, slots=True)
class _Declaration:
    """What a field is: an option under some names, an argument (no names), or a group of options."""

    names: tuple[str, ...] = ()
    click: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    group: type | None = None


def option(*names: str, text: str, **more: Any) -> Any:
    """A field that is an option: its names, its help, and what else click is to know (`metavar`, `default`, ...)."""
    return _Declaration(names, {"help": text, **more})


def argument(**more: Any) -> Any:
    """A field that is an argument; click is told `more`."""
    return _Declaration((), more)


def group(options: type[T]) -> T:
    """A field that holds the options of another class."""
    return typing.cast(T, _Declaration(group=options))


@typing.dataclass_transform(frozen_default=True)
def options(cls: type[T]) -> type[T]:
    """Make a class of such fields a frozen dataclass with the defaults of the command line."""
    for name, kind in inspect.get_annotations(cls, eval_str=True).items():
        declared: _Declaration = vars(cls)[name]
        default = {"default": declared.group()} if declared.group else _default(kind, declared)
        field = dataclasses.field(
            **default, kw_only=bool(declared.names), metadata={"declaration": declared, "kind": kind}
        )
        setattr(cls, name, field)
    return dataclass(frozen=True, slots=True)(cls)


def _default(kind: Any, declared: _Declaration) -> dict[str, Any]:
    """The default of a field; empty for one that is required."""
    if "default" in declared.click:
        return {"default": declared.click["default"]}
    if kind is bool:
        return {"default": False}
    if typing.get_origin(kind) is tuple:
        return {} if declared.click.get("required") else {"default": ()}
    return {"default": None} if types.NoneType in typing.get_args(kind) else {}


def parameters(cls: type) -> Iterator[click.Parameter]:
    """The options and arguments of a class, those of its groups where they stand."""
    for field in dataclasses.fields(cls):
        declared: _Declaration = field.metadata["declaration"]
        if declared.group:
            yield from parameters(declared.group)
        elif declared.names:
            yield click.Option([*declared.names, field.name], **_of_type(field.metadata["kind"]), **declared.click)
        else:
            yield click.Argument([field.name], **declared.click)


def _of_type(kind: Any) -> dict[str, Any]:
    """What an annotation says to click."""
    if kind is bool:
        return {"is_flag": True}
    several = {"multiple": True} if typing.get_origin(kind) is tuple else {}
    choices = next((k for k in (kind, *typing.get_args(kind)) if typing.get_origin(k) is Literal), None)
    return {**several, "type": click.Choice(typing.get_args(choices))} if choices else several


def value(cls: type[T], given: Mapping[str, Any]) -> T:
    """The value of a class, of what click read."""
    values = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        nested = field.metadata["declaration"].group
        values[field.name] = value(nested, given) if nested else given[field.name]
    return cls(**values)


def verb(
    parent: click.Group, cls: type[T], name: str | None = None
) -> Callable[[Callable[[T, Engines], None]], click.Command]:
    """Make a function a verb: click reads the options of the class, and the function gets them as a value.

    Its docstring is the help. The engine is not connected before the function asks for it.
    """

    def decorate(function: Callable[[T, Engines], None]) -> click.Command:
        def called(**given: Any) -> None:
            context = click.get_current_context()
            engines = context.ensure_object(Engines)
            engines.platform = given.get("platform") or ""
            engines.choice = given.get("engine") or ""
            context.call_on_close(engines.close)
            function(value(cls, given), engines)

        command = click.Command(
            name or function.__name__,
            callback=called,
            params=list(parameters(cls)),
            help=inspect.cleandoc(function.__doc__ or ""),
            context_settings=CONTEXT,
        )
        parent.add_command(command)
        return command

    return decorate
