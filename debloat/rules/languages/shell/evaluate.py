"""What a shell script uses: command words behind wrappers, literal paths, sourced files, where the text says them.

Nothing is run. A variable has every value that is assigned to it anywhere in the script, the image's
environment included; what is not known is `UNKNOWN` in a value.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from debloat.core.model import ImageConfig
from debloat.core.shells import POSIX_SHELLS
from debloat.rules.languages.shell.source import Command, Script, Sub, Var, Word, parse
from debloat.rules.languages.shell.tokens import MAX_BRACES, braces
from debloat.rules.languages.shell.wrappers import WRAPPERS, names, unwrap

UNKNOWN = "\0"
"""Stands in a value for an unknown part; no path holds it."""

MAX_VALUES = 8
MAX_NESTED = 4
MAX_LOOKUPS = 12


BUILTINS = names(
    # POSIX special and regular built-ins, with dash(1)'s and bash(1)'s own.
    ". : [ [[ alias bg bind break builtin caller cd chdir command compgen complete compopt continue declare dirs "
    "disown echo enable eval exec exit export false fc fg getopts hash help history jobs kill let local logout mapfile "
    "popd printf pushd pwd read readarray readonly return set shift shopt source suspend test times trap true type "
    "typeset ulimit umask unalias unset wait",
)

SHELLS = POSIX_SHELLS
"""Shells whose scripts the grammar reads."""


SHELL_VALUES = frozenset(("-o", "+o", "-O", "+O", "--rcfile", "--init-file"))
"""Options of shells that take a value (bash(1))."""


LINE_TAKERS = {
    # The option whose value is a command line, for programs that hand it to a shell; "" means the first operand.
    "eval": "",
    "trap": "",
    "su": "-c",
    "runuser": "-c",
    "flock": "-c",
    "script": "-c",
    "sg": "-c",
    "watch": "",
    "env": "-S",
}

NON_READERS = frozenset(("echo", "printf", "rm", "rmdir", "unlink", "logger", "[[", "unset", "mkdir", "mkfifo"))
"""They print, make or remove the paths in their arguments, and read none."""

COPIERS = frozenset(("cp", "rsync", "tar", "mv", "cpio"))
"""A directory in their arguments means everything below it."""

WITHIN_SHELL = names("builtin command time")
"""These run built-ins, though no functions; other wrappers run programs only."""

NOTHING: frozenset[str] = frozenset()

LOOKUPS = frozenset(("which", "type", "hash"))
"""Every operand is looked up as a command."""

PROGRAM_OPTIONS = {
    # Options whose values are programs.
    "find": ("-exec", "-execdir", "-ok", "-okdir"),
    "start-stop-daemon": ("--exec", "-x", "--startas", "-a"),
}

_KEY = re.compile(r"^\[[^]]*\]\+?=")
"""The key of an array's element: `([gz]=gzip [xz]=xz)`."""


class Use(Struct, frozen=True):
    """Something that a script uses: `kind` is `command`, `source`, `script`, `path` or `tree`.

    A `script` is read by a shell of its own, a `tree` is a path and all below it.
    """

    kind: str
    value: str
    line: int


class Evaluator:
    """Uses of one script; `path` is the file it is in, empty for a line of the image's configuration.

    `config` gives the environment and the working directory. `outer` is the script that sources this one, or holds it
    as a string: its functions and variables are known here. `most` bounds the values of a word.
    """

    def __init__(
        self,
        script: Script,
        config: ImageConfig,
        path: str = "",
        outer: Evaluator | None = None,
        most: int = MAX_VALUES,
    ) -> None:
        self._script = script
        self._config, self._env = config, config.env
        self._path = path
        self._most = most
        self._depth: int = outer._depth + 1 if outer else 0
        self._functions: frozenset[str] = script.functions | (outer._functions if outer else frozenset())
        self._assigned: dict[str, list[tuple[Word, ...]]] = (
            {k: [*v] for k, v in outer._assigned.items()} if outer else {}
        )
        for name, words in script.assignments:
            self._assigned.setdefault(name, []).append(words)
        self._known: dict[str, list[str]] = {}
        self._busy: set[str] = set()
        script_directory = (posixpath.dirname(path),) if path else ()
        self.directories: tuple[str, ...] = (config.workdir, *script_directory)
        """Where relative paths are looked up: the working directory, then the script's own."""

    def absorb(self, script: Script) -> None:
        """Take over the functions and variables of a script that this one sources."""
        self._functions |= script.functions
        self._known.clear()
        for name, words in script.assignments:
            self._assigned.setdefault(name, []).append(words)

    def path_directories(self) -> list[str]:
        """The directories that the script itself puts into PATH."""
        values = [v for words in self._assigned.get("PATH", ()) for word in words for v in self.values(word)]
        return list(dict.fromkeys(d for v in values for d in v.split(":") if d.startswith("/") and UNKNOWN not in d))

    def uses(self) -> Iterator[Use]:
        """All uses, in source order."""
        for command in self._script.commands:
            yield from self._command(command)
        for line, word in self._script.values:
            yield from self._path_uses(word, line, "path")

    # -- commands

    def _command(self, command: Command) -> Iterator[Use]:
        heads = self.values(command.words[0])
        rest = command.words[1:]
        for head in heads:
            name = posixpath.basename(head)
            kind = "tree" if name in COPIERS else "path"
            for word in rest if name not in NON_READERS else ():
                yield from self._path_uses(word, command.line, kind)
        yield from self._stdin(command)
        for argv in self._argvs(command.words):
            yield from self._argv(argv, command.line, 0, BUILTINS | self._functions)

    def _stdin(self, command: Command) -> Iterator[Use]:
        """What a shell among the words, behind wrappers or not, reads as its script."""
        if not (command.stdin or command.inputs):
            return
        if any(posixpath.basename(value) in SHELLS for word in command.words for value in self.values(word)):
            yield from self._line(command.stdin, command.line)
            for word in command.inputs:
                yield from (Use("script", value, command.line) for value in self.values(word) if value[:1] != "-")

    def _path_uses(self, word: Word, line: int, kind: str) -> Iterator[Use]:
        for value in self.values(word):
            if "/" in value:
                yield Use(kind, value, line)

    def _argvs(self, words: Sequence[Word]) -> Iterator[list[str]]:
        """Argument vectors: one for each value of the first word, later words by their first value."""
        rest = [self.values(w)[0] for w in words[1:]]
        for head in self.values(words[0]):
            # An unquoted variable, or an array, may hold the command with arguments.
            first = head.split() if not words[0].quoted or any(isinstance(p, Var) for p in words[0].parts) else [head]
            yield [*first, *rest]
        # A wrapper's command in a variable has all the values of the variable.
        for word in words[1:]:
            if any(isinstance(p, Var) for p in word.parts):
                for value in self.values(word)[1:]:
                    at = list(words).index(word)
                    for head in self.values(words[0])[:1]:
                        if posixpath.basename(head) in WRAPPERS:
                            yield [head, *rest[: at - 1], value, *rest[at:]]

    def _argv(self, argv: list[str], line: int, depth: int, internal: frozenset[str]) -> Iterator[Use]:
        """Uses of an argument vector; `internal` are the names that are no programs where it stands."""
        if not argv or depth > MAX_NESTED:
            return
        head, args = argv[0], argv[1:]
        name = posixpath.basename(head)
        if not head or head.startswith("-"):
            return
        if name in (".", "source"):
            if args and args[0] != UNKNOWN:
                yield Use("source", args[0], line)
            return
        if head not in internal:
            yield Use("command", head, line)
        if name == "set" and self._runs_arguments():
            yield from self._set(args, line, depth)
        if name in SHELLS:
            yield from self._shell(args, line)
        if name in LINE_TAKERS:
            yield from self._line_taker(name, args, line)
        if name in PROGRAM_OPTIONS:
            yield from self._program_options(name, args, line, depth)
        if name in LOOKUPS or (name == "command" and args[:1] in (["-v"], ["-V"])):
            for word in args[:MAX_LOOKUPS]:
                if not word.startswith("-") and word not in BUILTINS:
                    yield from self._argv([word], line, depth + 1, NOTHING)
        elif name in WRAPPERS:
            inner = unwrap(WRAPPERS[name], args)
            yield from self._argv(inner, line, depth + 1, BUILTINS if name in WITHIN_SHELL else NOTHING)

    def _runs_arguments(self) -> bool:
        """Whether the script runs its own arguments: `exec "$@"`, `gosu user "$@"`."""
        names = ("@", "*")
        return any(
            isinstance(part, Var) and part.name in names
            for command in self._script.commands
            for word in command.words
            for part in word.parts
        )

    def _set(self, args: list[str], line: int, depth: int) -> Iterator[Use]:
        """`set -- PROGRAM "$@"`: the idiom of entrypoints."""
        operands = args[args.index("--") + 1 :] if "--" in args else args
        if operands and not operands[0].startswith(("-", "+")) and UNKNOWN not in operands[0]:
            yield from self._argv(operands, line, depth + 1, NOTHING)

    def _shell(self, args: list[str], line: int) -> Iterator[Use]:
        """What a shell with these arguments runs: the line of its `-c`, or a script."""
        for number, arg in enumerate(args):
            if arg.startswith("-") and not arg.startswith("--") and "c" in arg:
                # Further options may stand between -c and the line: sh -c -e 'line'.
                following = [a for a in args[number + 1 :] if not a.startswith("-")]
                if following:
                    yield from self._line(following[0], line)
                return
            if not arg.startswith(("-", "+")):
                if number and args[number - 1] in SHELL_VALUES:
                    continue
                if arg != UNKNOWN:
                    yield Use("script", arg, line)
                return

    def _line_taker(self, name: str, args: list[str], line: int) -> Iterator[Use]:
        option = LINE_TAKERS[name]
        text = ""
        if option and option in args[:-1]:
            text = args[args.index(option) + 1]
        elif not option and args and not args[0].startswith("-"):
            text = " ".join(args) if name == "eval" else args[0]
        if text:
            yield from self._line(text, line)

    def _program_options(self, name: str, args: list[str], line: int, depth: int) -> Iterator[Use]:
        for number, arg in enumerate(args[:-1]):
            if arg in PROGRAM_OPTIONS[name]:
                yield from self._argv(args[number + 1 :], line, depth + 1, NOTHING)
            elif arg == "--" and name == "start-stop-daemon":
                return

    def _line(self, text: str, line: int) -> Iterator[Use]:
        """A command line in a string, read by a shell of its own."""
        if self._depth < MAX_NESTED and text.strip(UNKNOWN + " "):
            source = text.replace(UNKNOWN, "$_").encode("utf-8", "surrogateescape")
            for use in Evaluator(parse(source), self._config, self._path, self, self._most).uses():
                yield Use(use.kind, use.value, line)

    # -- values

    def values(self, word: Word) -> list[str]:
        """Every value of a word, at most as many as asked for, in source order; unknown parts are `UNKNOWN`."""
        texts = [""]
        for part in word.parts:
            options = self._part(part)
            texts = [a + b for a in texts for b in options][: self._most]
        if not word.quoted and any("{" in value for value in texts):
            texts = [expanded for value in texts for expanded in braces(value)][:MAX_BRACES]
        return list(dict.fromkeys(texts))

    def _part(self, part: str | Var | Sub) -> list[str]:
        if isinstance(part, str):
            return [part]
        if isinstance(part, Sub):
            return self._substitution(part) or [UNKNOWN]
        return self._variable(part) or [UNKNOWN]

    def _variable(self, var: Var) -> list[str]:
        if var.name in ("0", "BASH_SOURCE") and self._path:
            return [posixpath.dirname(self._path)] if var.suffixed else [self._path]
        if var.suffixed:
            return []
        texts = self._assigned_values(var.name)
        if var.default is not None and len(self._busy) < MAX_NESTED:
            texts = [*texts, *self.values(var.default)]
            if var.name.isdigit():
                # Whoever calls may give another word.
                texts.append(UNKNOWN)
        return list(dict.fromkeys(texts))[: self._most]

    def _assigned_values(self, name: str) -> list[str]:
        """The values that are assigned to a variable; one that is defined by itself adds none by that."""
        cached = self._known.get(name)
        if cached is not None:
            return cached
        if name in self._busy or len(self._busy) > MAX_NESTED:
            return []
        self._busy.add(name)
        texts = [v for words in self._assigned.get(name, ())[: self._most] for v in self._joined(words)]
        self._busy.discard(name)
        if name == "PWD" and not texts:
            texts.append(self._config.workdir)
        env = self._env.get(name)
        self._known[name] = texts if env is None else [*texts, env]
        return self._known[name]

    def _joined(self, words: Sequence[Word]) -> list[str]:
        if len(words) == 1:
            return [_KEY.sub("", value) for value in self.values(words[0])]
        # An array is a command with its arguments, or a table of commands, with keys or without.
        items = [_KEY.sub("", value) for w in words for value in self.values(w)[:1]]
        return [" ".join(items), *items] if items else []

    def _substitution(self, sub: Sub) -> list[str]:
        """The output of the few commands that scripts find their own place with."""
        if not sub.commands:
            return []
        last = sub.commands[-1]
        name = last.words[0].literal or ""
        if name == "pwd":
            changes = [c for c in sub.commands[:-1] if c.words[0].literal == "cd" and len(c.words) > 1]
            return self._located(changes[-1].words[-1]) if changes else [self._config.workdir]
        operands = [w for w in last.words[1:] if not (w.literal or "").startswith("-")]
        if not operands:
            return []
        if name == "dirname":
            return [posixpath.dirname(v) or "." for v in self._located(operands[0])]
        if name in ("readlink", "realpath"):
            return self._located(operands[-1])
        if name in ("which", "command", "type", "echo"):
            return self.values(operands[0]) if len(operands) == 1 else []
        return []

    def _located(self, word: Word) -> list[str]:
        return [posixpath.normpath(v) if v.startswith("/") else v for v in self.values(word)]
