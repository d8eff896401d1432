"""Texts and paths that expressions of Ruby give, worked out from a syntax tree: literals, `__dir__`, File, loops."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from debloat.rules.expressions import FILE, HERE, MAX_VALUES, UNKNOWN, dirname, join, products

if TYPE_CHECKING:
    from tree_sitter import Language, Node, Parser, Query

MAX_DEPTH = 24
"""Nesting of an expression that is followed."""

MAX_AROUND = 200
"""Nodes around a variable that are looked at for the loop that gives it its values."""

MAX_LOOKUPS = 2000
"""Variables of a file whose values are looked for."""

_EACH = frozenset(("each", "each_pair", "each_with_index", "map", "flat_map", "each_entry", "reverse_each"))
_SAME_LIST = frozenset(("sort", "uniq", "freeze", "compact", "reverse", "to_a", "flatten", "dup", "lazy"))
_SAME_PATH = frozenset(("to_s", "to_str", "freeze", "realpath", "cleanpath", "expand_path", "dup", "strip", "chomp"))
_TEXTS = frozenset(("string", "bare_string", "chained_string", "bare_symbol", "delimited_symbol"))
_FILES = frozenset(("File", "::File", "Pathname", "::Pathname"))
_ASSIGNED = """
(assignment left: [(identifier) (constant) (instance_variable) (global_variable)] @left right: (_) @right)
(operator_assignment left: [(identifier) (constant) (instance_variable) (global_variable)] @left right: (_) @right)
"""


def tree(code: bytes) -> Node:
    """The root of the syntax tree of `code`."""
    return _parser().parse(code).root_node


def text_of(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")


def arguments(call: Node) -> list[Node]:
    """What a call is given, without comments."""
    found = call.child_by_field_name("arguments")
    return [node for node in found.named_children if node.type != "comment"] if found is not None else []


class Values:
    """The values of expressions in one syntax tree, at most `MAX_VALUES` each."""

    def __init__(self, root: Node) -> None:
        self._root = root
        self._busy: set[tuple[str, bool]] = set()
        self._lookups = 0

    def pairs(self, query: str, first: str, second: str) -> Iterator[tuple[Node, Node]]:
        """What two captures of a query find together, in the order of the text."""
        from tree_sitter import QueryCursor

        for _, found in QueryCursor(_query(query)).matches(self._root):
            yield from zip(found.get(first, ()), found.get(second, ()), strict=True)

    def around(self, node: Node) -> Iterator[Node]:
        """The nodes around one, from the inside out, at most `MAX_AROUND`; a node's own `parent` begins at the root."""
        chain: deque[Node] = deque(maxlen=MAX_AROUND)
        here = self._root
        while here != node and (below := here.child_with_descendant(node)) is not None:
            chain.append(here)
            here = below
        yield from reversed(chain)

    def of(self, node: Node, depth: int = 0) -> list[str]:
        """The texts that an expression may be; `UNKNOWN` for one that cannot be told."""
        if depth > MAX_DEPTH:
            return [UNKNOWN]
        kind = node.type
        if kind in _TEXTS:
            return products([self._part(child, depth) for child in node.named_children] or [[""]])
        if kind == "simple_symbol":
            return [text_of(node)[1:]]
        if kind in ("identifier", "constant", "instance_variable", "global_variable"):
            return self._named(node, depth)
        if kind == "binary":
            return self._binary(node, depth)
        if kind == "call":
            return self._call(node, depth)
        if kind in ("parenthesized_statements", "begin"):
            return self.of(node.named_children[-1], depth + 1) if node.named_children else [UNKNOWN]
        if kind == "conditional":
            ways = (node.child_by_field_name("consequence"), node.child_by_field_name("alternative"))
            return [value for way in ways if way is not None for value in self.of(way, depth + 1)][:MAX_VALUES]
        return [UNKNOWN]

    def items(self, node: Node, depth: int = 0) -> list[str]:
        """The texts that the elements of a list may be; of a hash, of its values."""
        if depth > MAX_DEPTH:
            return []
        kind = node.type
        if kind in ("array", "string_array", "symbol_array"):
            return [value for child in node.named_children for value in self.of(child, depth + 1)][:MAX_VALUES]
        if kind == "hash":
            pairs = (pair.child_by_field_name("value") for pair in node.named_children)
            return [value for child in pairs if child is not None for value in self.of(child, depth + 1)][:MAX_VALUES]
        if kind in ("identifier", "constant", "instance_variable", "global_variable"):
            return self._assigned(text_of(node), depth, items=True)
        if kind == "parenthesized_statements" and node.named_children:
            return self.items(node.named_children[-1], depth + 1)
        method, receiver = node.child_by_field_name("method"), node.child_by_field_name("receiver")
        if kind == "call" and method is not None and receiver is not None and text_of(method) in _SAME_LIST:
            return self.items(receiver, depth + 1)
        return []

    def _part(self, node: Node, depth: int) -> list[str]:
        """A part of a text."""
        if node.type == "string_content":
            return [text_of(node)]
        if node.type == "interpolation":
            return self.of(node.named_children[-1], depth + 1) if node.named_children else [""]
        if node.type in _TEXTS:
            return self.of(node, depth + 1)
        escaped = text_of(node)
        return [escaped[1:] if escaped[:1] == "\\" and escaped[1:] in ("'", '"', "\\", "#", "/") else UNKNOWN]

    def _binary(self, node: Node, depth: int) -> list[str]:
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        operator = node.child_by_field_name("operator")
        if left is None or right is None or operator is None:
            return [UNKNOWN]
        a, b, how = self.of(left, depth + 1), self.of(right, depth + 1), text_of(operator)
        if how == "+":
            return products((a, b))
        if how == "/":
            return [join(base, path) for base in a for path in b][:MAX_VALUES]
        return list(dict.fromkeys((*a, *b)))[:MAX_VALUES] if how in ("||", "or") else [UNKNOWN]

    def _call(self, node: Node, depth: int) -> list[str]:
        method, receiver = node.child_by_field_name("method"), node.child_by_field_name("receiver")
        name, given = text_of(method) if method is not None else "", arguments(node)
        if name == "Pathname" and given:
            return self.of(given[0], depth + 1)
        if receiver is None:
            return [UNKNOWN]
        if receiver.type in ("constant", "scope_resolution"):
            function = _FILE_FUNCTIONS.get(name) if text_of(receiver) in _FILES else None
            return function([self.of(argument, depth + 1) for argument in given]) if function else [UNKNOWN]
        if name in _SAME_PATH and (name != "expand_path" or not given):
            return self.of(receiver, depth + 1)
        if name in ("join", "dirname", "parent", "expand_path"):
            ways = [self.of(part, depth + 1) for part in (receiver, *given)]
            return _FILE_FUNCTIONS["dirname" if name == "parent" else name](ways)
        return [UNKNOWN]

    def _named(self, node: Node, depth: int) -> list[str]:
        name = text_of(node)
        if name in ("__dir__", "__FILE__"):
            return [HERE if name == "__dir__" else FILE]
        self._lookups += 1
        if self._lookups > MAX_LOOKUPS:
            return [UNKNOWN]
        looped = self._looped(node, name, depth)
        return looped if looped is not None else self._assigned(name, depth) or [UNKNOWN]

    def _looped(self, node: Node, name: str, depth: int) -> list[str] | None:
        """The values that a loop around a variable gives it; None where no block has it as its parameter."""
        inner = node
        for outer in self.around(node):
            if outer.type in ("block", "do_block"):
                parameters = outer.child_by_field_name("parameters")
                names = [text_of(p) for p in parameters.named_children] if parameters is not None else []
                if name in names:
                    return self._of_block(outer, names.index(name), depth)
            elif outer.type == "for" and inner.type == "do":
                pattern, values = outer.child_by_field_name("pattern"), outer.child_by_field_name("value")
                if pattern is not None and text_of(pattern) == name and values is not None and values.named_children:
                    return self.items(values.named_children[0], depth + 1) or [UNKNOWN]
            elif outer.type in ("method", "singleton_method", "lambda"):
                parameters = outer.child_by_field_name("parameters")
                if parameters is not None and name in text_of(parameters):
                    return [UNKNOWN]
            inner = outer
        return None

    def _of_block(self, block: Node, number: int, depth: int) -> list[str]:
        call = block.parent
        method = call.child_by_field_name("method") if call is not None else None
        receiver = call.child_by_field_name("receiver") if call is not None else None
        if method is None or receiver is None or text_of(method) not in _EACH or number > 1:
            return [UNKNOWN]
        if receiver.type == "hash" and number == 0:
            return [UNKNOWN]
        return self.items(receiver, depth + 1) or [UNKNOWN]

    def _assigned(self, name: str, depth: int, items: bool = False) -> list[str]:
        """The values that are assigned to a name anywhere in the file."""
        if (name, items) in self._busy:
            return []
        self._busy.add((name, items))
        way = self.items if items else self.of
        found = [value for node in self._assignments.get(name, ()) for value in way(node, depth + 1)]
        self._busy.discard((name, items))
        return list(dict.fromkeys(found))[:MAX_VALUES]

    @functools.cached_property
    def _assignments(self) -> Mapping[str, list[Node]]:
        found: dict[str, list[Node]] = {}
        for left, right in self.pairs(_ASSIGNED, "left", "right"):
            nodes = found.setdefault(text_of(left), [])
            if len(nodes) < MAX_VALUES:
                nodes.append(right)
        return MappingProxyType(found)


Given = list[list[str]]


def _expanded(given: Given) -> list[str]:
    """File.expand_path(path, base): the base is a directory, so that a file's name is left by the first `..`."""
    if len(given) == 1:
        return given[0]
    return [join(base, path) for path in given[0] for base in given[1]][:MAX_VALUES] if given else [UNKNOWN]


_FILE_FUNCTIONS: Mapping[str, Callable[[Given], list[str]]] = MappingProxyType(
    {
        "join": lambda given: products(given, "/"),
        "expand_path": _expanded,
        "absolute_path": _expanded,
        "realpath": lambda given: given[0] if given else [UNKNOWN],
        "new": lambda given: given[0] if given else [UNKNOWN],
        "dirname": lambda given: [dirname(path) for path in given[0]] if given else [UNKNOWN],
    }
)
"""What File and Pathname make of paths (Ruby's core documentation)."""


@functools.cache
def _language() -> Language:
    import tree_sitter_ruby
    from tree_sitter import Language

    return Language(tree_sitter_ruby.language())


@functools.cache
def _parser() -> Parser:
    from tree_sitter import Parser

    return Parser(_language())


@functools.cache
def _query(text: str) -> Query:
    from tree_sitter import Query

    return Query(_language(), text)
