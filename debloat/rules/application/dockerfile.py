"""An image's history as the instructions of its Dockerfile, whoever built it.

Builders write the same instruction in different ways (moby/moby builder/dockerfile/dispatchers.go, moby/buildkit
frontend/dockerfile/dockerfile2llb/convert.go, containers/buildah imagebuildah/stage_executor.go):

    classic   /bin/bash -o pipefail -c #(nop) COPY --chown=1:1 dir:HASH in /app
              |2 A=1 B=two words /bin/sh -c make          a RUN has its build arguments, their number before them
              make all                                    of the exec form the words alone
    BuildKit  COPY --chown=1:1 a b /app/ # buildkit       without quotes; --link and --parents are left out
              RUN |1 A=1 /bin/bash -o pipefail -c make # buildkit
    buildah   /bin/sh -c #(nop) COPY multi:HASH in ${DIR}/   variables as they were written
              |3 A=two words /bin/sh -c --mount=type=cache,target=/x make     the shell is said to be /bin/sh always
              /bin/sh -c ["make", "all"]                  and of a here-document only the line that begins it is left
"""

from __future__ import annotations

import itertools
import json
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from urllib.parse import urlsplit

from msgspec import Struct

from debloat.core.model import ImageConfig

KEYWORDS = frozenset(
    (
        *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD"),
        *("RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
    )
)

MAX_TARGETS = 8
"""Words at the end of a COPY that are tried as one path with blanks."""

MAX_ARGUMENTS = 256
"""Build arguments that are looked behind for a command."""

_BUILDKIT = "# buildkit"
_NOP = "#(nop)"
_OPTIONS = re.compile(r"(?:--[a-z][a-z-]*(?:=\S*)?\s+)*")
_BLANKS = re.compile(r" *")
_COUNT = re.compile(r"\|\d+ ")
_HASH = re.compile(r"(?:(?:dir|file|multi):)?[0-9a-f]{16,} in ")
_SHELL = re.compile(r"(?:/\S*/)?(?:[bdkz]|ba|da|k|z|a)?sh(?: -[\w-]+| [a-z]+)*? -[a-z]*c ")
"""A shell that is about to read a command: for histories that have lost their SHELL."""
_SHELL_ROW = re.compile(r"SHELL\s+(\[.*\])", re.DOTALL)
_NAME = re.compile(r"(?:^|(?<=\s))([A-Za-z_]\w*)=")
_HEREDOC = re.compile(r"(<<-?(?:\"[^\"\n]*\"|'[^'\n]*'|[\w.-]+))[ \t]+([^\n]+)")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::?([-+])([^{}]*))?\})")

EMPTY = ImageConfig(MappingProxyType({}))


class Instruction(Struct, frozen=True):
    """One instruction, with what its builder put around it taken off.

    `text` is the script that a RUN hands to its shell (of the exec form the quoted words), else what follows the
    keyword. `variables` are the values that ENV, ARG and build arguments gave to names where it stands, sorted.
    """

    keyword: str
    text: str
    variables: tuple[tuple[str, str], ...] = ()


class Destination(Struct, frozen=True):
    """A place that an instruction names: an absolute path without a trailing slash.

    `sources` are the names that were copied, as far as the history tells (classic builders and buildah tell none);
    `inside` says that the text ends in a slash, so that the path is a directory.
    """

    instruction: str
    path: str
    sources: tuple[str, ...] = ()
    inside: bool = False

    def __str__(self) -> str:
        return f"{self.instruction} {self.path}"


def instructions(history: Sequence[str], config: ImageConfig = EMPTY) -> tuple[Instruction, ...]:
    """The instructions of `created_by` texts, oldest first; `config` tells variables and a shell that they do not."""
    shells = _shells(history, config)
    rows = [_row(text, shells) for text in history if text.strip()]
    # A builder may tell the value of an argument only with a RUN that comes later.
    variables = {
        **config.env,
        **{k: v for keyword, text, arguments in rows for k, v in _values(keyword, text, arguments)},
    }
    result = []
    for keyword, text, arguments in rows:
        variables.update(_values(keyword, text, arguments))
        if keyword == "RUN":
            text = _script(_after_arguments(text, arguments, variables) if arguments else text)
        result.append(Instruction(keyword, text, tuple(sorted(variables.items()))))
    return tuple(result)


def destinations(
    build: Iterable[Instruction], exists: Callable[[str], bool] = lambda path: True
) -> tuple[Destination, ...]:
    """The places that COPY, ADD and WORKDIR name, in order; the root directory, which says nothing, is left out.

    Where a path may have blanks, the shortest that `exists` in the image is taken.
    """
    return tuple(place for place in _places(build, exists) if place.path != "/")


def _shells(history: Iterable[str], config: ImageConfig) -> tuple[str, ...]:
    """What stands before the texts that shells were given, the longest first."""
    prefixes = {"/bin/sh -c", " ".join(config.shell)}
    for text in history:
        match = _SHELL_ROW.match(text.partition(_NOP)[2].strip() or text)
        if match:
            prefixes.add(" ".join(_json(match[1]) or match[1][1:-1].split()))
    return tuple(sorted(prefixes - {""}, key=lambda shell: (-len(shell), shell)))


def _row(text: str, shells: Sequence[str]) -> tuple[str, str, str]:
    """Keyword and text of a row, and the build arguments before a RUN's command, as they were written."""
    text = text.strip().removesuffix(_BUILDKIT).strip()
    before, nop, after = text.partition(_NOP)
    before = before.strip()
    if nop and (before in shells or (before.startswith("|") and before.endswith(tuple(f" {s}" for s in shells)))):
        text = after.strip()
    keyword, _, rest = text.partition(" ")
    if keyword in KEYWORDS:
        text = rest.strip()
    else:
        keyword = "RUN"
    if keyword != "RUN":
        return keyword, text, ""
    count = _COUNT.match(text)
    if count:
        text = text[count.end() :]
    # The shell stands first, or behind the arguments.
    starts = [(at, len(s)) for s in shells if (at := f" {text}".find(f" {s} ")) == 0 or (count and at > 0)]
    if starts:
        at, length = min(starts, key=lambda start: (start[0], -start[1]))
        return keyword, text[at + length :].strip(), text[:at].strip()
    shell = None if count else _SHELL.match(text)
    return keyword, text[shell.end() :].strip() if shell else text, text if count else ""


def _after_arguments(text: str, arguments: str, variables: Mapping[str, str]) -> str:
    """The command behind build arguments where no shell stands between them: the exec form."""
    if text != arguments:
        return text
    at = 0
    for _ in range(MAX_ARGUMENTS):
        match = _NAME.match(text, at)
        if match is None:
            break
        value = variables.get(match[1], "")
        has_value = value and text.startswith(f"{value} ", match.end())
        end = match.end() + len(value) if has_value else text.find(" ", match.end())
        at = _match_end(_BLANKS, text, end) if end >= 0 else len(text)
    return text[at:]


def _script(text: str) -> str:
    """The text for a shell: without RUN's own options, a JSON list as words, a here-document behind its command."""
    text = text[_match_end(_OPTIONS, text) :]
    words = _json(text)
    if words is not None:
        return shlex.join(words)
    return _HEREDOC.sub(r"\2 \1", text, count=1) if _HEREDOC.match(text) else text


def _values(keyword: str, text: str, arguments: str) -> Iterator[tuple[str, str]]:
    """The values that a row gives to variables."""
    if keyword == "RUN" and arguments:
        # The last value ends where the command begins, which is not known of the exec form.
        pairs = list(_assignments(arguments))
        yield from pairs if text != arguments else pairs[:-1]
    elif keyword in ("ENV", "ARG"):
        first = text.partition(" ")[0]
        if "=" in first:
            yield from _assignments(text)
        elif keyword == "ENV" and first:
            yield first, text.partition(" ")[2].strip()


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    """`A=1 B=two words` as pairs: a value ends where another name and `=` begin."""
    names = list(_NAME.finditer(text))
    for match, following in itertools.zip_longest(names, names[1:]):
        value = text[match.end() : following.start() if following else None].strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        yield match[1], value


def _places(build: Iterable[Instruction], exists: Callable[[str], bool]) -> Iterator[Destination]:
    workdir = "/"
    for step in build:
        if step.keyword == "WORKDIR":
            workdir = _absolute(workdir, _expand(step.text, step.variables))
            yield Destination("WORKDIR", workdir, (), True)
        elif step.keyword in ("COPY", "ADD"):
            text = step.text[_match_end(_OPTIONS, step.text) :]
            options = [(_expand(target, step.variables), sources) for sources, target in _operands(text) if target]
            existing = [o for o in options if exists(_absolute(workdir, o[0]))]
            for target, sources in (existing or options)[:1]:
                inside = target.endswith(("/", "/."))
                yield Destination(step.keyword, _absolute(workdir, target), _names(sources), inside)


def _operands(text: str) -> Iterator[tuple[Sequence[str], str]]:
    """Sources and target of a COPY or ADD; more than one pair where blanks may part words or belong to them."""
    hashed = _HASH.match(text)
    words = None if hashed else _json(text)
    if hashed:
        yield (), text[hashed.end() :].strip()
    elif words is not None:
        yield words[:-1], words[-1] if words else ""
    else:
        words = text.split()
        for number in range(1, max(2, min(len(words), MAX_TARGETS))):
            yield words[:-number], " ".join(words[-number:])


def _names(sources: Sequence[str]) -> tuple[str, ...]:
    """Names below a destination that sources may have: the last part, and with --parents all of it."""
    names = set[str]()
    for source in sources:
        path = urlsplit(source).path if re.match(r"https?://", source) else source.removeprefix("<<")
        path = posixpath.normpath(path.partition("/./")[2] or path).lstrip("/")
        names |= {path, posixpath.basename(path)} if ".." not in path.split("/") else {posixpath.basename(path)}
    return tuple(sorted(name for name in names if name not in ("", ".", "..") and not set(name) & set("*?[")))


def _absolute(workdir: str, path: str) -> str:
    return "/" + posixpath.normpath(posixpath.join(workdir, path)).lstrip("/")


def _expand(text: str, variables: Iterable[tuple[str, str]]) -> str:
    """`text` with the values of its variables that are known (Dockerfile reference, "Environment replacement")."""
    values = dict(variables)

    def value(match: re.Match[str]) -> str:
        name, operator, word = match[1] or match[2], match[3], match[4] or ""
        if operator == "+":
            return word if values.get(name) else ""
        return values.get(name) or (word if operator else match[0])

    return _VARIABLE.sub(value, text) if "$" in text else text


def _json(text: str) -> list[str] | None:
    """The words of a JSON list of texts; None for anything else."""
    if not text.startswith("["):
        return None
    try:
        words = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return words if isinstance(words, list) and all(isinstance(word, str) for word in words) else None


def _match_end(pattern: re.Pattern[str], text: str, start: int = 0) -> int:
    match = pattern.match(text, start)
    return match.end() if match else start
