"""The manual page debloat(1), made of the help texts: `python -m debloat.cli.manual > docs/debloat.1`.

One page, since a verb is looked for in it and not by a name of its own; click-man, which makes pages of click's
commands, makes one for each. The macros are those of man(7).
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator

import click

from debloat import __version__

_DATE = "2026-11-27"
"""When the page was written; what it says is of the version beside it."""

_EXIT_CODES = (
    ("0", "done"),
    ("1", "the gate fails, or a comparison finds a difference"),
    ("2", "the command line, the configuration, a lock or a trace cannot be used"),
    ("3", "the engine or the sensor cannot be used"),
    ("4", "the original does not pass its own probes"),
    ("5", "the minimal image does not answer as the original did"),
    ("70", "a mistake in debloat"),
    ("130", "interrupted"),
)


def page() -> str:
    """The page, with a line end."""
    from debloat.cli.main import cli

    return "\n".join(_lines(cli)) + "\n"


def _lines(cli: click.Group) -> Iterator[str]:
    yield f'.TH DEBLOAT 1 "{_DATE}" "debloat {__version__}"'
    yield ".SH NAME"
    yield "debloat \\- cut a container image down to what its application can reach"
    yield from (".SH SYNOPSIS", ".B debloat", "\\fIIMAGE\\fR [\\fIOPTIONS\\fR]", ".br", ".B debloat")
    yield "\\fIVERB\\fR [\\fIARGUMENTS\\fR] [\\fIOPTIONS\\fR]"
    yield from (".SH DESCRIPTION", *_paragraphs(cli.help or ""))
    yield ".SH VERBS"
    for words, command in sorted(_commands(cli, ())):
        arguments = [_usage(p) for p in command.params if isinstance(p, click.Argument)]
        yield from (".SS " + _text(" ".join((*words, *arguments))), *_paragraphs(command.help or ""))
        for option in (p for p in command.params if isinstance(p, click.Option)):
            yield from (".TP", _option(option), *_running(option.help or ""))
    yield ".SH EXIT STATUS"
    for code, meaning in _EXIT_CODES:
        yield from (".TP", f".B {code}", meaning)
    yield from (".SH SEE ALSO", ".BR docker (1),", ".BR podman (1),", ".BR dpkg (1)")


def _commands(group: click.Group, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, (*words, name))
        else:
            yield (*words, name), command


def _usage(argument: click.Argument) -> str:
    name = argument.make_metavar(click.Context(click.Command("debloat")))
    return name.strip("[]") if argument.required else name


def _option(option: click.Option) -> str:
    names = ", ".join(f"\\fB{_text(name)}\\fR" for name in option.opts)
    if option.is_flag:
        return names
    return f"{names} \\fI{_text(option.make_metavar(click.Context(click.Command('debloat'))))}\\fR"


def _paragraphs(text: str) -> Iterator[str]:
    """The help text; what click takes as it is (after \\b) stays so."""
    for number, paragraph in enumerate(re.split(r"\n\s*\n", inspect.cleandoc(text))):
        if number:
            yield ".PP"
        if paragraph.startswith("\b"):
            yield from (".nf", *(_line(line) for line in paragraph.split("\n")[1:]), ".fi")
        else:
            yield from _running(paragraph)


def _running(text: str) -> Iterator[str]:
    """Running text in lines of the width that pages are written in (man-pages(7))."""
    yield from map(_line, textwrap.wrap(" ".join(text.split()), 68, break_on_hyphens=False))


def _line(text: str) -> str:
    """A line of text; one that begins with a control character gets a zero-width one before it."""
    return ("\\&" if text.startswith((".", "'")) else "") + _text(text)


_ESCAPED = str.maketrans(
    {"\\": "\\e", "-": "\\-", "`": "\\(ga", "'": "\\(aq", "^": "\\(ha", "~": "\\(ti", '"': "\\(dq"}
)
"""Characters that roff takes for something else (groff_char(7), man-pages(7))."""


def _text(text: str) -> str:
    return text.translate(_ESCAPED)


if __name__ == "__main__":
    click.echo(page(), nl=False)
