"""Texts and paths that expressions of Ruby give, by a syntax tree: literals, `__dir__`, File, loops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from debloat.rules.expressions import FILE, HERE, MAX_VALUES, UNKNOWN, below, both, dirname, either, join, products
from debloat.rules.syntax import MAX_DEPTH, Expressions, text_of

if TYPE_CHECKING:
    from tree_sitter import Node

_EACH = frozenset(("each", "each_pair", "each_with_index", "map", "flat_map", "each_entry", "reverse_each"))
_SAME_LIST = frozenset(("sort", "uniq", "freeze", "compact", "reverse", "to_a", "flatten", "dup", "lazy"))
_SAME_PATH = frozenset(("to_s", "to_str", "freeze", "realpath", "cleanpath", "expand_path", "dup", "strip", "chomp"))
_TEXTS = frozenset(("string", "bare_string", "chained_string", "bare_symbol", "delimited_symbol"))
_NAMES = frozenset(("identifier", "constant", "instance_variable", "global_variable"))
_FILES = frozenset(("File", "::File", "Pathname", "::Pathname"))


def arguments(call: Node) -> list[Node]:
    """What a call is given, without comments."""
    nodes = call.child_by_field_name("arguments")
    return [node for node in nodes.named_children if node.type != "comment"] if nodes is not None else []


def method_of(call: Node) -> str:
    """The name of the method that is called, "" for one that is no plain name."""
    method = call.child_by_field_name("method")
    return text_of(method) if method is not None and method.type == "identifier" else ""


class Values(Expressions):
    """The values of Ruby's expressions."""

    grammar = ("tree_sitter_ruby", "language")
    assigning = frozenset(("assignment", "operator_assignment"))
    operators = MappingProxyType({"+": both, "/": below, "||": either, "or": either})

    def assignment(self, node: Node) -> tuple[str, Node] | None:
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        return (text_of(left), right) if left is not None and right is not None and left.type in _NAMES else None

    def of(self, node: Node, depth: int = 0) -> list[str]:
        if depth > MAX_DEPTH:
            return [UNKNOWN]
        kind = node.type
        if kind in _TEXTS:
            return products([self._part(child, depth) for child in node.named_children] or [[""]])
        if kind == "simple_symbol":
            return [text_of(node)[1:]]
        if kind in _NAMES:
            return self._name(node, depth)
        if kind == "binary":
            return self.binary(node, depth)
        if kind == "call":
            return self._call(node, depth)
        if kind in ("parenthesized_statements", "begin"):
            return self.of(node.named_children[-1], depth + 1) if node.named_children else [UNKNOWN]
        if kind == "conditional":
            ways = (node.child_by_field_name("consequence"), node.child_by_field_name("alternative"))
            return [value for way in ways if way is not None for value in self.of(way, depth + 1)][:MAX_VALUES]
        return [UNKNOWN]

    def items(self, node: Node, depth: int = 0) -> list[str]:
        if depth > MAX_DEPTH:
            return []
        kind = node.type
        if kind in ("array", "string_array", "symbol_array"):
            children = node.named_children[:MAX_VALUES]
            return [value for child in children for value in self.of(child, depth + 1)][:MAX_VALUES]
        if kind == "hash":
            pairs = (pair.child_by_field_name("value") for pair in node.named_children[:MAX_VALUES])
            return [value for child in pairs if child is not None for value in self.of(child, depth + 1)][:MAX_VALUES]
        if kind in _NAMES:
            return self.assigned(text_of(node), depth, items=True)
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

    def _call(self, node: Node, depth: int) -> list[str]:
        method, receiver = node.child_by_field_name("method"), node.child_by_field_name("receiver")
        name, args = text_of(method) if method is not None else "", arguments(node)
        if name == "Pathname" and args:
            return self.of(args[0], depth + 1)
        if receiver is None:
            return [UNKNOWN]
        if receiver.type in ("constant", "scope_resolution") and text_of(receiver) in _FILES:
            function = _FILE_FUNCTIONS.get(name)
            return function([self.of(argument, depth + 1) for argument in args]) if function else [UNKNOWN]
        if name in _SAME_PATH and (name != "expand_path" or not args):
            return self.of(receiver, depth + 1)
        if name in ("join", "dirname", "parent", "expand_path"):
            ways = [self.of(part, depth + 1) for part in (receiver, *args)]
            return _FILE_FUNCTIONS["dirname" if name == "parent" else name](ways)
        return [UNKNOWN]

    def _name(self, node: Node, depth: int) -> list[str]:
        name = text_of(node)
        if name in ("__dir__", "__FILE__"):
            return [HERE if name == "__dir__" else FILE]
        return self.named(node, name, depth)

    def looped(self, node: Node, name: str, depth: int) -> list[str] | None:
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


Given = list[list[str]]


def _expanded(args: Given) -> list[str]:
    """File.expand_path(path, base): the base is a directory, so that a file's name is left by the first `..`."""
    if len(args) == 1:
        return args[0]
    return [join(base, path) for path in args[0] for base in args[1]][:MAX_VALUES] if args else [UNKNOWN]


_FILE_FUNCTIONS: Mapping[str, Callable[[Given], list[str]]] = MappingProxyType(
    {
        "join": lambda args: products(args, "/"),
        "expand_path": _expanded,
        "absolute_path": _expanded,
        "realpath": lambda args: args[0] if args else [UNKNOWN],
        "new": lambda args: args[0] if args else [UNKNOWN],
        "dirname": lambda args: [dirname(path) for path in args[0]] if args else [UNKNOWN],
    }
)
"""What File and Pathname make of paths (Ruby's core documentation)."""
