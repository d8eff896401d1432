"""What messages, hints, help and documents call by name: verbs and options, and whether they exist.

A command stands in a code span or a fenced block, and in running text where options or placeholders follow it. An
option alone is one of debloat's, of the tool that the document is about, or of another tool that the same text names.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import click

from debloat.cli.main import cli
from tests.support import included, snippets

ROOT = snippets.ROOT
UNKNOWN = "\N{HORIZONTAL ELLIPSIS}"
"""In a message: what is only known at run time."""

OTHERS: Mapping[str, frozenset[str]] = {
    "apt-get": frozenset({"--no-install-recommends"}),
    "cosign attest": frozenset({"--type", "--key", "--predicate"}),
    "chown": frozenset({"-R"}),
    "copa patch": frozenset({"-i", "-r", "-t"}),
    "dask scheduler": frozenset(),
    "dask worker": frozenset({"--nthreads"}),
    "docker build": frozenset({"-t", "--load", "--platform"}),
    "docker buildx": frozenset(),
    "docker compose": frozenset({"-f", "--no-start"}),
    "docker context": frozenset(),
    "docker cp": frozenset(),
    "docker debloat": frozenset({"--http"}),
    "docker exec": frozenset(),
    "docker export": frozenset(),
    "docker history": frozenset(),
    "docker images": frozenset(),
    "docker info": frozenset(),
    "docker load": frozenset({"-i"}),
    "docker login": frozenset(),
    "docker logs": frozenset(),
    "docker pull": frozenset(),
    "docker run": frozenset({"--init", "--rm", "--security-opt", "--name", "-d", "-p"}),
    "docker save": frozenset(),
    "docker system": frozenset(),
    "docker version": frozenset(),
    "dpkg": frozenset({"--audit"}),
    "env": frozenset({"-S"}),
    "git checkout": frozenset({"--theirs"}),
    "git push": frozenset({"--no-verify"}),
    "ig run": frozenset({"--paths", "-o"}),
    "jq": frozenset({"-r"}),
    "kubectl": frozenset({"-c", "-f", "-i", "-o"}),
    "mypy": frozenset({"--strict"}),
    "pip install": frozenset({"-e", "--quiet"}),
    "pre-commit install": frozenset({"--hook-type"}),
    "pytest": frozenset({"-m"}),
    "python": frozenset({"-m"}),
    "kubectl apply": frozenset({"-f"}),
    "ls": frozenset({"-l"}),
    "trivy image": frozenset({"--format", "--output", "--vex"}),
    "shop": frozenset({"--check"}),
    f"{UNKNOWN} run": frozenset({"--security-opt"}),
    "strace": frozenset({"-f", "-ff", "-o", "-p", "-y"}),
    "usermod": frozenset({"--add-subuids", "--add-subgids"}),
}
"""Commands of other tools that debloat speaks of, with the options that it names; `shop` is the documents' example."""

_OPTION = re.compile(r"(?<![\w/=.'-])(--[a-z][\w-]*|-[a-zA-Z])(?![\w-])")
_SPAN = re.compile(r"`([^`\n]*)`|<code>([^<\n]*)</code>")
_SPOKEN = re.compile(r"(?<![\w./-])debloat(?: [a-z]+)+(?= (?:\[?[A-Z]{2,}|\[?-))[^,;:)]*|(?<=\()debloat [a-z]+(?=\))")
_DOCKER = re.compile(r"(?<![\w./-])docker (?!command\b)[a-z]+")


@dataclass(frozen=True, slots=True)
class Mention:
    """A text that people read, and where it stands."""

    where: str
    text: str


def commands(group: click.Group = cli) -> Iterator[click.Command]:
    """All commands, the groups among them."""
    yield group
    for command in group.commands.values():
        yield from commands(command) if isinstance(command, click.Group) else [command]


def own_options() -> frozenset[str]:
    """Every option of any verb."""
    named = {name for command in commands() for p in command.params for name in (*p.opts, *p.secondary_opts)}
    return frozenset(named | {"-h", "--help"})


def source_options(*patterns: str) -> frozenset[str]:
    """The options that some of the project's own programs take: the literals in their sources that look like one."""
    files = [path for pattern in patterns for path in ROOT.glob(pattern)]
    return frozenset(name for path in files for name in re.findall(r"\"(--?[a-z][\w-]*)\"", path.read_text()))


def messages() -> Iterator[Mention]:
    """The texts in the code that are more than a word, but for what rules know of other programs' options."""
    for path in sorted((ROOT / "debloat").rglob("*.py")):
        known = path.is_relative_to(ROOT / "debloat" / "rules")
        for line, text in _literals(ast.parse(path.read_text())):
            if " " in text and not text.startswith("#!") and not known:
                yield Mention(f"{path.relative_to(ROOT)}:{line}", text)


def _literals(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every text in a module, with its line: literals, f-strings without their values. No docstring."""
    skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped.update(map(id, node.values))
            parts = (v.value if isinstance(v, ast.Constant) else UNKNOWN for v in node.values)
            yield node.lineno, "".join(map(str, parts))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.lineno, node.value


def docstrings() -> Iterator[Mention]:
    """What the code says of itself: its code spans name commands too."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for path in sorted((ROOT / "debloat").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, kinds) and (text := ast.get_docstring(node)):
                yield Mention(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}", text)


def helps() -> Iterator[Mention]:
    """What `--help` of each command says."""
    for command in commands():
        context = click.Context(command, info_name="debloat", **command.context_settings)
        yield Mention(f"--help of {command.name}", re.sub(r"^  +-.*?  ", "", command.get_help(context), flags=re.M))


def files() -> Iterator[Mention]:
    """The documents, and what other files tell of debloat."""
    names = ["CHANGELOG.md", ".pre-commit-hooks.yaml", "debloat/schemas/*.json"]
    found = [*snippets.documents(), *(path for name in names for path in sorted(ROOT.glob(name)))]
    for path in found:
        yield Mention(str(path.relative_to(ROOT)), included.without(path.read_text()))


ABOUT: Mapping[str, tuple[str, ...]] = {
    "docs/sensor.md": ("debloat/sensor/**/*.c", "debloat/sensor/**/*.h"),
    "docs/performance.md": ("bench/*.py",),
    "docs/generality.md": ("bench/*.py",),
}
"""Documents about other programs of the project, with the sources of these."""


def wrong(mention: Mention) -> Iterator[str]:
    """The names in a text that nothing has."""
    known = own_options() | source_options(*ABOUT.get(mention.where, ()))
    text = re.sub(r"\\\n\s*", " ", mention.text).replace(f"`{UNKNOWN} ", "`docker ")  # the engine's own command
    text = re.sub(r"(?<![\w./-])podman (?=[a-z])", "docker ", text)  # which takes what docker takes
    for command in _commands(text):
        yield from _wrong_command(command)
    yield from (f"{name} is not listed" for name in sorted(set(_DOCKER.findall(text)) - OTHERS.keys()))
    for paragraph in re.split(r"\n\s*\n|\n(?=[-|] )", text):
        named = {option for tool, options in OTHERS.items() if tool in paragraph for option in options}
        rest = _SPOKEN.sub("", re.sub(r"`debloat [^`]*`", "", paragraph))
        yield from sorted(set(_OPTION.findall(rest)) - known - named)


def wrong_commands(mention: Mention) -> Iterator[str]:
    """The commands in the code spans of a text that debloat would not take."""
    for span in _SPAN.findall(mention.text):
        yield from _wrong_command(span[0] or span[1])


def _wrong_command(command: str) -> Iterator[str]:
    """What debloat would not take; what is no verb must look like an image: `IMAGE`, `shop:1`."""
    words = command.split()
    if words[:1] != ["debloat"]:
        return
    if len(words) > 1 and re.fullmatch(r"[a-z][a-z-]*", words[1]) and words[1] not in cli.commands:
        yield f"{command}: no such verb"
    elif found := snippets.wrong(snippets.Snippet(command, whole=False)):
        yield f"{command}: {found}"


def _commands(text: str) -> Iterator[str]:
    spans = [(one or other) for one, other in _SPAN.findall(text)]
    yield from (span for span in spans if span.startswith("debloat "))
    yield from _SPOKEN.findall(_SPAN.sub("", text))
