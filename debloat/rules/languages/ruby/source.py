"""What Ruby code and bundles say, read from their text alone: features, files and gems that they load by name.

Code is read with tree-sitter's grammar where it has a word that loads anything; nothing is evaluated but texts and
paths that are put together in place, and any bytes give an answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import astuple

from debloat.core.parsed import cached
from debloat.rules.expressions import UNKNOWN, normal
from debloat.rules.languages.ruby.values import Values, arguments, method_of
from debloat.rules.syntax import text_of

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_SOURCE = 2 << 20
"""Bytes of a file that are read; larger ones are data."""

MAX_NAME = 300
"""Characters of a name; what is longer names nothing."""

_WORDS = (b"require", b"load", b"gem", b"bin_path")
_BEFORE = re.compile(rb"(?:^|[^\w@$])(?:try_|auto|activate_)?$", re.DOTALL)
_AFTER = re.compile(rb"(?:require(?:_relative|_dir)?|load(?:_plugins?)?|gem|bin_path)[ \t(]")
_SYMBOL = re.compile(rb":(?:require(?:_relative)?|load)\b")
"""A word that loads, what may stand before it and behind it, and its name as a symbol."""

_HEAD = re.compile(
    rb"(?:[ \t]*(?:#[^\n]*)?\r?\n"
    rb"|(?:require|require_relative|load)[ \t(]+(?:\"[^\"#\\\n]*\"|'[^'\\\n]*')[ \t]*\)?[ \t]*(?:#[^\n]*)?\r?\n)*+"
)
"""How most files begin, and all that many load: comments and plain statements."""

_LOADING = frozenset(("require", "require_relative", "load", "gem", "autoload"))
_DIRECTORIES = frozenset(("try_require", "require_dir", "load_plugin", "load_plugins"))
"""Methods of common frameworks that load what lies below a feature."""
_STUBS = frozenset(("bin_path", "activate_bin_path"))
_SENDING = frozenset(("send", "__send__", "public_send", "method"))
_OWN = frozenset(("Kernel", "::Kernel", "Object", "self", "Gem"))
"""Receivers of which the methods are Ruby's own."""

_CALLS = frozenset(("call",))
_METHODS = _LOADING | _DIRECTORIES | _STUBS | _SENDING
_PREFIX = re.compile(r"[a-z][\w/-]*/")
_DIRECTORY = re.compile(r"[a-z][\w/-]*")
_LINE = re.compile(rb"^[ \t]*(require|require_relative|load)[ \t(]+[\"']([^\"'#\n]{1,300})[\"']")
_EMBEDDED = re.compile(rb"<%[-=#%]?|-?%>")

_LOCKED = re.compile(r"^ {4}([\w.-]+) \(([^)\n]+)\)$", re.MULTILINE)
_LOCK_DEPENDENCY = re.compile(r"^ {6}([\w.-]+)", re.MULTILINE)
IDLE_GROUPS = frozenset(("development", "test"))

Named = tuple[tuple[int, str], ...]
"""Pairs of a line and a name."""


class Facts(Struct, frozen=True):
    """What a Ruby file loads: pairs of a line and a name; `made` are prefixes of features with made-up names."""

    features: Named = ()
    relative: Named = ()
    gems: Named = ()
    made: Named = ()


def parse(source: bytes, template: bool = False) -> Facts:
    """What `source` loads by names that can be told; of a `template` (ERB), the code between its marks."""
    code = _code(source) if template else source.partition(b"\n__END__")[0]
    head = _HEAD.match(code)
    end = head.end() if head is not None else 0
    return _parsed(code) if _loads(code, end) else _plain(code[:end])


def _loads(code: bytes, start: int) -> bool:
    """Whether there is anything from `start` on that a parse could find; looked for word by word, which is quicker."""
    for word in _WORDS:
        at = code.find(word, start)
        while at >= 0:
            if _AFTER.match(code, at) and _BEFORE.search(code[max(0, at - 12) : at]):
                return True
            if at and _SYMBOL.match(code, at - 1):
                return True
            at = code.find(word, at + 1)
    return False


@cached(
    lambda facts: [list(pairs) for pairs in astuple(facts)],
    lambda plain: Facts(*(tuple((int(line), str(name)) for line, name in pairs) for pairs in plain)),
)
def _parsed(code: bytes) -> Facts:
    references = _References()
    values = Values(code)
    for call in values.nodes(_CALLS):
        method = method_of(call)
        if method in _METHODS:
            references.call(call, method, values)
    if values.root.has_error:
        # The grammar lost its way: whole lines that load something are plain enough.
        plain = _plain(code)
        references.features += plain.features
        references.relative += plain.relative
    return Facts(
        *(_placed(pairs) for pairs in (references.features, references.relative, references.gems, references.made))
    )


def _plain(code: bytes) -> Facts:
    """What whole lines load, each a statement and a literal name."""
    features, relative = list[tuple[int, str]](), list[tuple[int, str]]()
    for number, line in enumerate(code.split(b"\n"), 1):
        match = _LINE.match(line)
        if match is not None:
            name = match[2].decode("utf-8", "replace")
            (relative if match[1] == b"require_relative" else features).append((number, name))
    return Facts(_placed(features), _placed(relative))


def _placed(pairs: Iterable[tuple[int, str]]) -> Named:
    """The names in the order of their lines, each where it stands first."""
    first: dict[str, int] = {}
    for line, name in sorted(pairs):
        if 0 < len(name) <= MAX_NAME and "\n" not in name:
            first.setdefault(name, line)
    return tuple((line, name) for name, line in first.items())


def _code(template: bytes) -> bytes:
    """The code of an ERB template on its own lines, the text between as blanks."""
    out, at, inside = [], 0, False
    for mark in _EMBEDDED.finditer(template):
        part = template[at : mark.start()]
        out.append(part if inside else re.sub(rb"[^\n]", b" ", part))
        opens = mark[0].startswith(b"<%")
        inside, at = opens and mark[0] not in (b"<%#", b"<%%"), mark.end()
        out.append(b" " if opens else b";")
    return b"".join(out)


class _References(Struct):
    """What calls load, collected."""

    features: list[tuple[int, str]] = []
    relative: list[tuple[int, str]] = []
    gems: list[tuple[int, str]] = []
    made: list[tuple[int, str]] = []

    def call(self, call: Node, method: str, values: Values) -> None:
        """Note what a call of a method loads."""
        args, line = arguments(call), call.start_point.row + 1
        receiver = call.child_by_field_name("receiver")
        own = receiver is None or text_of(receiver) in _OWN
        if method in _SENDING and args and args[0].type == "simple_symbol":
            if method == "method":
                self._each(text_of(args[0])[1:], call, line, values)
                return
            method, args = text_of(args[0])[1:], args[1:]
        if method == "autoload":
            args = args[1:]
        if args and (own or method not in ("require", "require_relative", "load", "gem")):
            self._note(method, values.of(args[0]), line)

    def _each(self, method: str, call: Node, line: int, values: Values) -> None:
        """`%w[a b].each(&method(:require))`."""
        block, _, outer, *_ = (*values.around(call), None, None, None)
        receiver = outer.child_by_field_name("receiver") if outer is not None else None
        if block is not None and block.type == "block_argument" and receiver is not None:
            self._note(method, values.items(receiver), line)

    def _note(self, method: str, names: Iterable[str], line: int) -> None:
        """Sort the names that a method is given by what it does with them."""
        for name in names:
            beside, path = normal(name)
            prefix, unknown, _ = path.partition(UNKNOWN)
            if method in _DIRECTORIES:
                if _DIRECTORY.fullmatch(path):
                    self.made.append((line, f"{path}/"))
            elif unknown:
                if not beside and method in ("require", "autoload") and _PREFIX.fullmatch(prefix):
                    self.made.append((line, prefix))
            elif method in _STUBS or method == "gem":
                self.gems.append((line, path))
            elif beside or method == "require_relative":
                self.relative.append((line, path))
            elif method in _LOADING:
                self.features.append((line, path))


def bundled(lock: str, gemfile: str) -> tuple[tuple[str, str], ...]:
    """Names and versions of the gems that a bundle needs at run time, sorted."""
    versions, depends, current = dict[str, str](), dict[str, list[str]](), ""
    for line in lock.splitlines():
        if match := _LOCKED.match(line):
            current = match[1]
            versions[current] = match[2]
        elif (match := _LOCK_DEPENDENCY.match(line)) and current:
            depends.setdefault(current, []).append(match[1])
        elif not line.startswith("      "):
            current = ""
    todo = [name for name in _wanted(gemfile) if name in versions] if gemfile else list(versions)
    needed = set[str]()
    while todo:
        name = todo.pop()
        if name in versions and name not in needed:
            needed.add(name)
            todo.extend(depends.get(name, ()))
    return tuple((name, versions[name]) for name in sorted(needed))


def _wanted(gemfile: str) -> Iterator[str]:
    """The gems of a Gemfile outside of idle groups."""
    values = Values(gemfile.encode("utf-8", "surrogateescape"))
    for call in values.nodes(_CALLS):
        args = arguments(call) if method_of(call) == "gem" else []
        if args and not _idle(args[1:]) and not any(_idle_block(node) for node in values.around(call)):
            yield from (gem for gem in values.of(args[0]) if UNKNOWN not in gem)


def _idle_block(call: Node) -> bool:
    """Whether a node is `group :development, :test do`."""
    if call.type != "call" or method_of(call) != "group" or call.child_by_field_name("block") is None:
        return False
    return _only_idle(node for node in arguments(call) if node.type != "pair")


def _idle(options: Iterable[Node]) -> bool:
    """Whether a gem's own options put it into idle groups alone: `group: :test`, `:groups => [:test]`."""
    for option in options:
        key, value = option.child_by_field_name("key"), option.child_by_field_name("value")
        if key is not None and value is not None and text_of(key).strip(":\"'") in ("group", "groups"):
            return _only_idle(value.named_children if value.type.endswith("array") else [value])
    return False


def _only_idle(groups: Iterable[Node]) -> bool:
    names = [text_of(node).strip(":\"'") for node in groups]
    return bool(names) and all(name in IDLE_GROUPS for name in names)
