"""What a JavaScript file refers to, read from its text alone: modules and commands; with tree-sitter's grammar.

`specifiers` is a linear scan that may see too much (comments, strings) and says which files are worth a parse.
Neither it nor `references` ever raises.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from debloat.rules.cmdline import programs

if TYPE_CHECKING:
    from tree_sitter import Node, Parser, Query

MAX_PARSED = 2 << 20
"""Larger files are bundles, which hold what they need; the scan alone speaks for them."""

_SPECIFIER = re.compile(rb"""\b(?:require|import|from|resolve)\b[ \t\r\n(.\w]{0,24}?["'`]([^"'`\r\n$]{1,200})["'`]""")
_LITERAL_CALL = re.compile(
    rb"""\b(?:require|import|from|resolve|fork)\b(?:[\s(.?\w]|/\*[^*]{0,300}\*/|//[^\n]{0,300}\n){0,64}?["'`]"""
)
"""What a file without any of has nothing that a parse could find: libraries for browsers, mostly, and large ones."""
_MODULE_CALLS = frozenset({"require", "resolve", "import", "fork"})
_COMMAND_CALLS = frozenset({"exec", "execFile", "execFileSync", "execSync", "execa", "execaSync", "spawn", "spawnSync"})
_COMMAND_WORDS = (b"child_process", b"execa", b"cross-spawn", b"shelljs", b"zx")
_QUERY = """
(import_statement source: (string) @module)
(export_statement source: (string) @module)
(call_expression
  function: [(identifier) (import) (member_expression)] @function
  arguments: (arguments . [(string) (template_string)] @argument))
"""


@dataclass(frozen=True, slots=True)
class References:
    """Module specifiers as written (`express`, `./lib`, `node:fs`), and programs that commands run."""

    modules: frozenset[str] = frozenset()
    commands: frozenset[str] = frozenset()


def specifiers(data: bytes) -> frozenset[str]:
    """A quick superset of the modules that `references` finds."""
    return frozenset(m.decode("utf-8", "replace") for m in _SPECIFIER.findall(data))


def references(data: bytes) -> References:
    """The literal modules and commands of a file, in all branches; of one that is too large, its specifiers."""
    if b"require" not in data and b"import" not in data and b"from" not in data:
        return References()
    if len(data) > MAX_PARSED:
        return References(specifiers(data))
    runs_commands = any(word in data for word in _COMMAND_WORDS)
    if not runs_commands and _LITERAL_CALL.search(data) is None:
        return References()
    from tree_sitter import QueryCursor

    modules, commands = set[str](), set[str]()
    for _, found in QueryCursor(_query()).matches(_parser().parse(data).root_node):
        for node in found.get("module", ()):
            modules.add(_literal(node))
        for function, argument in zip(found.get("function", ()), found.get("argument", ()), strict=False):
            name = _text(function)[-80:].rpartition(".")[2].strip()
            if name in _MODULE_CALLS:
                modules.add(_literal(argument))
            elif runs_commands and name in _COMMAND_CALLS:
                commands.update(programs(_literal(argument)))
    return References(frozenset(modules - {""}), frozenset(commands - {""}))


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")


def _literal(node: Node) -> str:
    """The text of a string up to its first escape or substitution."""
    fragments = [_text(child) for child in node.children[1:2] if child.type == "string_fragment"]
    return fragments[0] if fragments else ""


@functools.cache
def _parser() -> Parser:
    import tree_sitter_javascript
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_javascript.language()))


@functools.cache
def _query() -> Query:
    import tree_sitter_javascript
    from tree_sitter import Language, Query

    return Query(Language(tree_sitter_javascript.language()), _QUERY)
