"""Options as the fields of a frozen value: how they are declared, and what click makes of them."""

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import click
from click.core import ParameterSource

from debloat.cli.engines import Engines
from debloat.core.errors import UsageError

T = TypeVar("T")

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@dataclass(frozen=True, slots=True)
class _Declaration:
    """What a field is: an option under some names, an argument (no names), or a group of options."""

    names: tuple[str, ...] = ()
    click: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    group: type | None = None
    needs: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()


def option(*names: str, text: str, needs: tuple[str, ...] = (), excludes: tuple[str, ...] = (), **more: Any) -> Any:
    """A field that is an option: its names, its help, and what else click is to know (`metavar`, `default`, ...).

    It would do nothing without one of `needs`, nor with one of `excludes`: options of the same verb as they are said,
    `--html` or `--format tree`. Whoever gives it all the same is told.
    """
    return _Declaration(names, {"help": text, **more}, needs=needs, excludes=excludes)


def argument(**more: Any) -> Any:
    """A field that is an argument; click is told `more`."""
    return _Declaration((), more)


def group(options: type[T]) -> T:
    """A field that holds the options of another class."""
    return typing.cast(T, _Declaration(group=options))


@typing.dataclass_transform(frozen_default=True)
def options(cls: type[T]) -> type[T]:
    """Make a class of such fields a frozen dataclass with the defaults of the command line.

    It becomes one when it is first used: a call has the options of one verb, and making those of all would take half of
    what the command line takes to load.
    """

    def first(self: T, *given: Any, **named: Any) -> None:
        _make(cls)
        cls.__init__(self, *given, **named)

    cls.__init__ = first  # type: ignore[assignment]
    return cls


def _make(cls: type) -> None:
    """See to it that a class of options is the dataclass that it is to be, and so is what it is derived from."""
    if cls is object or "__dataclass_fields__" in vars(cls):
        return
    for base in cls.__bases__:
        _make(base)
    for name, kind in inspect.get_annotations(cls, eval_str=True).items():
        declared: _Declaration = vars(cls)[name]
        default = {"default": declared.group()} if declared.group else _default(kind, declared)
        field = dataclasses.field(
            **default, kw_only=bool(declared.names), metadata={"declaration": declared, "kind": kind}
        )
        setattr(cls, name, field)
    delattr(cls, "__init__")
    dataclass(frozen=True)(cls)


def _fields(cls: type) -> tuple[dataclasses.Field[Any], ...]:
    _make(cls)
    return dataclasses.fields(cls)


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
    for field in _fields(cls):
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
    for field in _fields(cls):
        nested = field.metadata["declaration"].group
        values[field.name] = value(nested, given) if nested else given[field.name]
    return cls(**values)


class _Verb(click.Command):
    """A command whose parameters are made when they are asked for."""

    def __init__(self, options: type, *given: Any, **named: Any) -> None:
        self._options = options
        self._parameters: list[click.Parameter] | None = None
        super().__init__(*given, **named)

    @property
    def params(self) -> list[click.Parameter]:
        if self._parameters is None:
            self._parameters = list(parameters(self._options))
        return self._parameters

    @params.setter
    def params(self, none: list[click.Parameter]) -> None:
        """Whatever the class that this one is derived from begins with."""


def must_have_effect(cls: type, context: click.Context) -> None:
    """UsageError for an option that was given and would do nothing beside the others."""
    fields = {field.name: field.metadata["declaration"] for field in _flat(cls)}
    by_option = {option: name for name, declared in fields.items() for option in declared.names}
    unsaid = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)

    def holds(said: str) -> bool:
        option, _, wanted = said.partition(" ")
        actual = context.params[by_option[option]]
        return actual == wanted if wanted else bool(actual)

    for name, declared in fields.items():
        if context.get_parameter_source(name) in unsaid:
            continue
        said = max(declared.names, key=len, default="")
        if declared.needs and not any(map(holds, declared.needs)):
            needed = " or ".join(declared.needs)
            raise UsageError(f"{said} does nothing without {needed}", f"add {declared.needs[0]}, or leave out {said}")
        for other in filter(holds, declared.excludes):
            raise UsageError(f"{said} does nothing with {other}", "leave out one of the two")


def _flat(cls: type) -> Iterator[dataclasses.Field[Any]]:
    """The fields of a class, those of its groups where they stand."""
    for field in _fields(cls):
        group = field.metadata["declaration"].group
        yield from _flat(group) if group else (field,)


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
            must_have_effect(cls, context)
            function(value(cls, given), engines)

        command = _Verb(
            cls,
            name or function.__name__,
            callback=called,
            help=inspect.cleandoc(function.__doc__ or ""),
            context_settings=CONTEXT,
        )
        parent.add_command(command)
        return command

    return decorate
