"""The command lines that documents show, and whether the command line of debloat knows them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from debloat.cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
_PROMPT = re.compile(r"^\s*(?:-\s+)?(?:run:\s+)?(?:\$\s+)?(?:[A-Z_]+=\S*\s+)*(debloat(?:\s.*)?)$")
_SPAN = re.compile(r"`(debloat [^`\n]*)`")
_ENDS = {"|", ";", "&&", "||", ">", ">>", "2>", "<", "&"}


def documents() -> list[Path]:
    """The documents for users."""
    names = ("README.md", "CONTRIBUTING.md", "SECURITY.md", ".github/*.md", ".github/ISSUE_TEMPLATE/*.yml", "docs/*.md")
    return [path for name in names for path in sorted(ROOT.glob(name))]


@dataclass(frozen=True, slots=True)
class Snippet:
    """A command that a document shows: to be typed as it is, or (in running text) only spoken of."""

    text: str
    whole: bool = True


def commands(text: str) -> Iterator[Snippet]:
    """Lines of fenced blocks that call debloat, continued ones joined, and code spans that do."""
    fenced = False
    for line in re.sub(r"\\\n\s*", " ", text).split("\n"):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield from (Snippet(span[1], whole=False) for span in _SPAN.finditer(line))
        elif match := _PROMPT.match(line):
            yield Snippet(match[1])


def words(command: str) -> list[str]:
    """The words of one simple command: up to a pipe, a redirection or a comment."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|;&<>")
    lexer.whitespace_split = True
    found: list[str] = []
    for word in lexer:
        if word in _ENDS:
            break
        found.append(word)
    return found[1:]


def is_synopsis(command: str) -> bool:
    """Whether it shows what can be said, not something to say: `[-t NEW]`, `TRACE...`."""
    return bool(re.search(r"\[-|\.\.\.|…|\[[A-Z:]", command))


def wrong(snippet: Snippet) -> str:
    """What the command line would say to this; empty where it takes it.

    What is not whole, and a synopsis, has to name known verbs and options only.
    """
    command = snippet.text
    try:
        arguments = words(command)
    except ValueError as error:
        return str(error)
    context = click.Context(cli, info_name="debloat")
    known: click.Command = cli
    while isinstance(known, click.Group) and arguments:
        if arguments[0] not in known.commands:
            if known is not cli:
                return f"No such command {arguments[0]!r}."
            if arguments[0] in ("-h", "--help", "--version"):
                break
            arguments.insert(0, "slim")
        known = known.commands[arguments.pop(0)]
    if not snippet.whole or is_synopsis(command) or isinstance(known, click.Group):
        return _unknown(known, command)
    try:
        known.make_context(known.name, arguments, parent=context)
    except click.exceptions.Exit:
        return ""
    except click.ClickException as error:
        return error.format_message()
    return ""


def _unknown(known: click.Command, command: str) -> str:
    options = {name for p in known.params for name in (*p.opts, *p.secondary_opts)} | {"-h", "--help", "--version"}
    said = re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", command)
    return ", ".join(sorted(set(said) - options))
