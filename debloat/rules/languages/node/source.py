"""What a JavaScript file refers to, read from its text alone: modules and commands; with tree-sitter's grammar.

`specifiers` is a linear scan that may see too much (comments, strings) and says which files are worth a parse.
Neither it nor `references` ever raises.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from debloat.core.parsed import cached
from debloat.rules.cmdline import UNKNOWN_WORD, programs, programs_of_argv
from debloat.rules.syntax import nodes, parsed, text_of

if TYPE_CHECKING:
    from tree_sitter import Node

GRAMMAR = ("tree_sitter_javascript", "language")

MAX_PARSED = 2 << 20
"""Larger files are bundles, which hold what they need; the scan alone speaks for them."""

_SPECIFIER = re.compile(rb"""\b(?:require|import|from|resolve)\b[ \t\r\n(.\w]{0,24}?["'`]([^"'`\r\n$]{1,200})["'`]""")
_LITERAL_CALL = re.compile(
    rb"""\b(?:require|import|from|resolve|fork)\b(?:[\s(.?\w]|/\*[^*]{0,300}\*/|//[^\n]{0,300}\n){0,64}?["'`]"""
)
"""What a file without any of has nothing that a parse could find: libraries for browsers, mostly, and large ones."""
_MODULE_CALLS = frozenset({"require", "resolve", "import", "fork"})
_COMMAND_CALLS = frozenset({"exec", "execFile", "execFileSync", "execSync", "execa", "execaSync", "spawn", "spawnSync"})
_RUN = "|".join(sorted(_COMMAND_CALLS)).encode()
_RENAMED = re.compile(
    # run = promisify(cp.exec);  { exec: run }  { exec as run }
    rb"\b([\w$]+)[ \t]*=[ \t]*[^;\n=]{0,120}\b(?:%b)\b[ \t]*\)?[ \t]*(?:[;,\r\n]|$)"
    rb"|\b(?:%b)(?:[ \t]*:|[ \t]+as)[ \t]+([\w$]+)" % (_RUN, _RUN)
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\n": "", "0": ""}
_COMMAND_WORDS = (b"child_process", b"execa", b"cross-spawn", b"shelljs", b"zx")
_STATEMENTS = frozenset({"import_statement", "export_statement"})
_NODES = _STATEMENTS | {"call_expression"}
_FUNCTIONS = frozenset({"identifier", "import", "member_expression", "call_expression", "parenthesized_expression"})
_MADE = frozenset({"call_expression", "parenthesized_expression"})
"""What may be called; of it, what is made in place: `(0, cp_1.exec)("line")` by compilers, `promisify(exec)("a")`."""
_STRINGS = frozenset({"string", "template_string"})


class References(Struct, frozen=True):
    """Module specifiers as written (`express`, `./lib`, `node:fs`), and programs that commands run."""

    modules: frozenset[str] = frozenset()
    commands: frozenset[str] = frozenset()


def specifiers(data: bytes) -> frozenset[str]:
    """A quick superset of the modules that `references` finds."""
    return frozenset(m.decode("utf-8", "replace") for m in _SPECIFIER.findall(data))


def references(data: bytes, runs: bool = True) -> References:
    """The literal modules and commands of a file, in all branches; of one that is too large, its specifiers.

    So too of one that nothing in its image `runs` and that starts no program: what a browser asks for by mistake is
    a file at most, where a runtime would be led to packages.
    """
    if b"require" not in data and b"import" not in data and b"from" not in data:
        return References()
    runs_commands = any(word in data for word in _COMMAND_WORDS)
    if len(data) > MAX_PARSED or not (runs or runs_commands):
        return References(specifiers(data))
    if not runs_commands and _LITERAL_CALL.search(data) is None:
        return References()
    return _parsed(data, runs_commands)


@cached(
    lambda references: [sorted(references.modules), sorted(references.commands)],
    lambda plain: References(*(frozenset(map(str, words)) for words in plain)),
)
def _parsed(data: bytes, runs_commands: bool) -> References:
    modules, commands = set[str](), set[str]()
    names = _COMMAND_CALLS | _renamed(data) if runs_commands else frozenset[str]()
    for node in nodes(parsed(*GRAMMAR, data), _NODES):
        if node.type in _STATEMENTS:
            source = node.child_by_field_name("source")
            modules.add(_literal(source) if source is not None else "")
            continue
        function, argument = node.child_by_field_name("function"), _first_text(node)
        if function is None or argument is None or function.type not in _FUNCTIONS:
            continue
        ends = data[max(function.start_byte, function.end_byte - 80) : function.end_byte].decode("utf-8", "replace")
        name = re.split(r"[^\w$]+", ends.rstrip(") \t\r\n"))[-1]
        if name in _MODULE_CALLS and function.type not in _MADE:
            modules.add(_literal(argument))
        elif name in names:
            commands.update(_programs(argument))
    return References(frozenset(modules - {""}), frozenset(commands - {""}))


def _first_text(call: Node) -> Node | None:
    """A call's first argument where it is a text."""
    arguments = call.child_by_field_name("arguments")
    if arguments is None or arguments.type != "arguments" or not arguments.named_child_count:
        return None
    first = arguments.named_child(0)
    return first if first is not None and first.type in _STRINGS else None


def _literal(node: Node) -> str:
    """The text of a string up to its first escape or substitution."""
    fragments = [text_of(child) for child in node.children[1:2] if child.type == "string_fragment"]
    return fragments[0] if fragments else ""


def _renamed(data: bytes) -> frozenset[str]:
    """Names that a file gives to the functions that run commands."""
    return frozenset((a or b).decode("utf-8", "replace") for a, b in _RENAMED.findall(data))


def _programs(first: Node) -> tuple[str, ...]:
    """The programs of a call's first argument, a line for a shell, and of the array that may follow it."""
    line = _line(first)
    programs_of_line = programs(line)
    array = first.next_named_sibling
    if array is None or array.type != "array":
        return programs_of_line
    words = (_line(w) if w.type in ("string", "template_string") else UNKNOWN_WORD for w in array.named_children)
    return (*programs_of_line, *programs_of_argv((line, *words)))


def _line(node: Node) -> str:
    """The text of a string with its escapes read, and a shell variable for each substitution."""
    parts = list[str]()
    for child in node.named_children:
        text = text_of(child)
        if child.type == "string_fragment":
            parts.append(text)
        elif child.type == "escape_sequence":
            parts.append(_ESCAPES.get(text[1:], text[1:]))
        else:
            parts.append("${_}")
    return "".join(parts)
