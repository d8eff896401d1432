"""What a shell script uses: command words behind wrappers, literal paths, sourced files, where the text says them.

Nothing is run. A variable has every value that is assigned to it anywhere in the script, the image's
environment included; what is not known is `UNKNOWN` in a value.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from debloat.closure import World
from debloat.core.shells import POSIX_SHELLS
from debloat.rules.languages.shell.source import Command, Script, Sub, Var, Word, parse

UNKNOWN = "\0"
"""Stands in a value for an unknown part; no path holds it."""

MAX_VALUES = 8
MAX_BRACES = 64
"""Words that brace expansion makes of one."""
MAX_NESTED = 4
MAX_LOOKUPS = 12


def names(*lines: str) -> frozenset[str]:
    """The words of some lines, as a set: for tables."""
    return frozenset(word for line in lines for word in line.split())


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


@dataclass(frozen=True, slots=True)
class Wrapper:
    """A program that runs the command in its arguments: options that take a value, operands before the command."""

    valued: frozenset[str] = frozenset()
    operands: int = 0


def _wrapper(valued: str = "", operands: int = 0) -> Wrapper:
    return Wrapper(names(valued), operands)


WRAPPERS = {
    # Each from its own manual page.
    "builtin": _wrapper(),
    # A subcommand stands before the command: `bundle exec`, `poetry run`.
    "bundle": _wrapper("", 1),
    "busybox": _wrapper(),
    "catatonit": _wrapper(),
    "catchsegv": _wrapper(),
    "chpst": _wrapper("-u -U -e -/ -n -l -L -m -d -o -p -f -c -r -t -b -C"),
    "chroot": _wrapper("", 1),
    "chrt": _wrapper("-T -P -D", 1),
    "command": _wrapper(),
    "dbus-run-session": _wrapper("--config-file"),
    "ddtrace-run": _wrapper(),
    "doas": _wrapper("-u -C -a"),
    "dockerize": _wrapper("-wait -timeout -wait-retry-interval -template -stdout -stderr -wait-http-header -delims"),
    "dumb-init": _wrapper("-r --rewrite"),
    "env": _wrapper("-u -C --unset --chdir"),
    "envdir": _wrapper("", 1),
    "exec": _wrapper("-a"),
    "fakeroot": _wrapper("-l -s -i -b"),
    "flock": _wrapper("-w -E --timeout --wait --conflict-exit-code", 1),
    "gosu": _wrapper("", 1),
    "hash": _wrapper(),
    "ionice": _wrapper("-c -n -p --class --classdata"),
    "linux32": _wrapper(),
    "linux64": _wrapper(),
    "nice": _wrapper("-n --adjustment"),
    "nocache": _wrapper("-n"),
    "nohup": _wrapper(),
    "npx": _wrapper("-p --package"),
    "nsenter": _wrapper("-t -S -G --target --setuid --setgid"),
    "opentelemetry-instrument": _wrapper(),
    "pipenv": _wrapper("", 1),
    "poetry": _wrapper("", 1),
    "numactl": _wrapper("-i -N -m -C -p -P"),
    "runuser": _wrapper("-u -g -G -s -c --user --group --supp-group --shell --command"),
    "s6-setuidgid": _wrapper("", 1),
    "setarch": _wrapper("", 1),
    "setpriv": _wrapper(
        "--reuid --regid --ruid --euid --rgid --egid --groups --inh-caps --ambient-caps --bounding-set --securebits "
        "--pdeathsig --selinux-label --apparmor-profile"
    ),
    "setsid": _wrapper(),
    "setuidgid": _wrapper("", 1),
    "stdbuf": _wrapper("-i -o -e"),
    "strace": _wrapper("-o -e -p -s -u -E -I -O -P -S -X -a -b"),
    "su-exec": _wrapper("", 1),
    "sudo": _wrapper("-u -g -C -D -h -p -R -r -t -T -U --user --group --chdir --prompt --host"),
    "systemd-run": _wrapper("-p -u -E --unit --property --setenv"),
    "taskset": _wrapper("", 1),
    "time": _wrapper("-f -o --format --output"),
    "timeout": _wrapper("-k -s --kill-after --signal", 1),
    "tini": _wrapper("-p -e"),
    "docker-init": _wrapper("-p -e"),
    "type": _wrapper(),
    "unbuffer": _wrapper(),
    "unshare": _wrapper("-S -G -R -w --setuid --setgid --root --wd --map-user --map-group"),
    "watch": _wrapper("-n --interval"),
    "which": _wrapper(),
    "xargs": _wrapper("-a -d -E -I -L -n -P -s --arg-file --delimiter --max-lines --max-args --max-procs --max-chars"),
    "xvfb-run": _wrapper("-e -f -n -p -s -w --auth-file --error-file --server-num --server-args"),
}

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

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
_BRACES = re.compile(r"(?<![$\\])\{([^{},\s]*(?:,[^{},\s]*)+)\}")
"""Innermost braces with a list in them."""
_KEY = re.compile(r"^\[[^]]*\]\+?=")
"""The key of an array's element: `([gz]=gzip [xz]=xz)`."""


@dataclass(frozen=True, slots=True)
class Use:
    """Something that a script uses: `kind` is `command`, `source`, `script`, `path` or `tree`.

    A `script` is read by a shell of its own, a `tree` is a path and all below it.
    """

    kind: str
    value: str
    line: int


class Evaluator:
    """Uses of one script; `path` is the file it is in, empty for a line of the image's configuration.

    `outer` is the script that sources this one, or holds it as a string: its functions and variables are known here.
    """

    def __init__(self, script: Script, world: World, path: str, outer: Evaluator | None = None) -> None:
        self._script = script
        self._world = world
        self._path = path
        self._depth: int = outer._depth + 1 if outer else 0
        self._functions: frozenset[str] = script.functions | (outer._functions if outer else frozenset())
        self._assigned: dict[str, list[tuple[Word, ...]]] = (
            {k: [*v] for k, v in outer._assigned.items()} if outer else {}
        )
        for name, words in script.assignments:
            self._assigned.setdefault(name, []).append(words)
        self._known: dict[str, list[str]] = {}
        self._busy: set[str] = set()
        here = (posixpath.dirname(path),) if path else ()
        self.directories: tuple[str, ...] = (world.config.workdir, *here)
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
        wanted = ("@", "*")
        return any(
            isinstance(part, Var) and part.name in wanted
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
            for use in Evaluator(parse(source), self._world, self._path, self).uses():
                yield Use(use.kind, use.value, line)

    # -- values

    def values(self, word: Word) -> list[str]:
        """Every value that a word may have, at most `MAX_VALUES`, in source order; unknown parts are `UNKNOWN`."""
        found = [""]
        for part in word.parts:
            options = self._part(part)
            found = [a + b for a in found for b in options][:MAX_VALUES]
        if not word.quoted and any("{" in value for value in found):
            found = [one for value in found for one in braces(value)][:MAX_BRACES]
        return list(dict.fromkeys(found))

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
        found = self._assigned_values(var.name)
        if var.default is not None and len(self._busy) < MAX_NESTED:
            found = [*found, *self.values(var.default)]
            if var.name.isdigit():
                # Whoever calls may give another word.
                found.append(UNKNOWN)
        return list(dict.fromkeys(found))[:MAX_VALUES]

    def _assigned_values(self, name: str) -> list[str]:
        """The values that are assigned to a variable; one that is defined by itself adds none by that."""
        known = self._known.get(name)
        if known is not None:
            return known
        if name in self._busy or len(self._busy) > MAX_NESTED:
            return []
        self._busy.add(name)
        found = [v for words in self._assigned.get(name, ())[:MAX_VALUES] for v in self._joined(words)]
        self._busy.discard(name)
        if name == "PWD" and not found:
            found.append(self._world.config.workdir)
        env = self._world.config.env.get(name)
        self._known[name] = found if env is None else [*found, env]
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
            return self._located(changes[-1].words[-1]) if changes else [self._world.config.workdir]
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


def braces(text: str) -> list[str]:
    """What brace expansion makes of a word: `{/usr,}/lib` is `/usr/lib` and `/lib` (bash(1)); at most some."""
    done, todo = list[str](), [text]
    while todo and len(done) + len(todo) <= MAX_BRACES:
        text = todo.pop(0)
        match = _BRACES.search(text)
        if match is None:
            done.append(text)
        else:
            todo[:0] = [text[: match.start()] + part + text[match.end() :] for part in match[1].split(",")]
    return [*done, *todo]


def unwrap(wrapper: Wrapper, args: Iterable[str]) -> list[str]:
    """The command within a wrapper's arguments, with its own arguments."""
    rest = list(args)
    operands = wrapper.operands
    while rest:
        arg = rest[0]
        if arg == "--":
            rest.pop(0)
            if operands == 0:
                break
        elif arg.startswith("-") and len(arg) > 1:
            rest = rest[2:] if arg in wrapper.valued else rest[1:]
        elif _ASSIGNMENT.match(arg):
            rest.pop(0)
        elif operands:
            operands -= 1
            rest.pop(0)
        else:
            break
    return rest
