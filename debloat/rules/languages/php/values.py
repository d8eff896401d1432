"""Texts and paths that expressions of PHP give, by a syntax tree: literals, `__DIR__`, constants, loops."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import TYPE_CHECKING

from debloat.rules.expressions import FILE, HERE, MAX_VALUES, UNKNOWN, both, dirname, either, products
from debloat.rules.syntax import MAX_DEPTH, Expressions, text_of

if TYPE_CHECKING:
    from tree_sitter import Node

_MAGIC = {"__dir__": HERE, "__file__": FILE, "directory_separator": "/", "path_separator": ":"}
"""Constants that PHP defines; their names, and those of functions, are in any case (php.net, Magic constants)."""

_SAME = frozenset(("realpath", "rtrim", "trim", "strval", "wp_normalize_path"))
_ESCAPES = {"\\\\": "\\", "\\'": "'", '\\"': '"', "\\$": "$", "\\/": "\\/"}
_INSIDE = frozenset(
    ("parenthesized_expression", "error_suppression_expression", "argument", "array_element_initializer")
)
_TEXTS = frozenset(("string", "encapsed_string", "heredoc", "nowdoc", "heredoc_body", "nowdoc_body"))
_CONTENTS = frozenset(("string_content", "nowdoc_string"))
_FUNCTIONS = frozenset(("function_definition", "method_declaration", "anonymous_function", "arrow_function"))


def arguments(call: Node) -> list[Node]:
    """What a call is given."""
    nodes = call.child_by_field_name("arguments")
    return [node for node in nodes.named_children if node.type == "argument"] if nodes is not None else []


def function_of(call: Node) -> str:
    """The name of the function that is called, in lower case and without its namespace."""
    function = call.child_by_field_name("function")
    return text_of(function).rpartition("\\")[2].lower() if function is not None else ""


class Values(Expressions):
    """The values of PHP's expressions; `define` and `const` count as assignments."""

    grammar = ("tree_sitter_php", "language_php")
    assigning = frozenset(
        (
            *("assignment_expression", "augmented_assignment_expression", "const_element", "property_element"),
            "function_call_expression",
        )
    )
    operators = MappingProxyType({".": both, "??": either})

    def assignment(self, node: Node) -> tuple[str, Node] | None:
        if node.type == "function_call_expression":
            args = arguments(node) if function_of(node) == "define" else []
            names = self.of(args[0]) if len(args) > 1 else []
            return (names[0], args[1]) if names else None
        if node.type == "const_element":
            left, right = (*node.named_children, None, None)[:2]
        else:
            left = node.child_by_field_name("left") or node.child_by_field_name("name")
            right = node.child_by_field_name("right") or node.child_by_field_name("default_value")
        operator = node.child_by_field_name("operator")
        if left is None or right is None or (operator is not None and text_of(operator) != "??="):
            return None
        return (text_of(left), right) if left.type in ("name", "variable_name") else None

    def of(self, node: Node, depth: int = 0) -> list[str]:
        if depth > MAX_DEPTH:
            return [UNKNOWN]
        kind = node.type
        if kind in _TEXTS:
            return self._text(node, depth)
        if kind in ("name", "qualified_name"):
            name = text_of(node).rpartition("\\")[2]
            magic = _MAGIC.get(name.lower())
            return [magic] if magic is not None else self.named(node, name, depth)
        if kind == "variable_name":
            return self.named(node, text_of(node), depth)
        if kind in ("class_constant_access_expression", "scoped_property_access_expression"):
            return self.named(node, text_of(node.named_children[-1]), depth)
        if kind == "binary_expression":
            return self.binary(node, depth)
        if kind == "conditional_expression":
            ways = [node.child_by_field_name(field) for field in ("body", "alternative")]
            return [value for way in ways if way is not None for value in self.of(way, depth + 1)][:MAX_VALUES]
        if kind in ("assignment_expression", "cast_expression"):
            inner = node.child_by_field_name("right") or node.child_by_field_name("value")
            return self.of(inner, depth + 1) if inner is not None else [UNKNOWN]
        if kind == "function_call_expression":
            return self._call(node, depth)
        if kind in _INSIDE and node.named_children:
            return self.of(node.named_children[-1], depth + 1)
        return [UNKNOWN]

    def items(self, node: Node, depth: int = 0) -> list[str]:
        if depth > MAX_DEPTH:
            return []
        if node.type == "array_creation_expression":
            children = node.named_children[:MAX_VALUES]
            return [value for child in children for value in self.of(child, depth + 1)][:MAX_VALUES]
        if node.type in ("variable_name", "name"):
            return self.assigned(text_of(node), depth, items=True)
        if node.type in ("class_constant_access_expression", "scoped_property_access_expression"):
            return self.assigned(text_of(node.named_children[-1]), depth, items=True)
        if node.type in ("parenthesized_expression", "cast_expression") and node.named_children:
            return self.items(node.named_children[-1], depth + 1)
        return []

    def looped(self, node: Node, name: str, depth: int) -> list[str] | None:
        for outer in self.around(node):
            if outer.type == "foreach_statement":
                listed, each = (*outer.named_children, None, None)[:2]
                if listed is not None and each is not None and each.type == "pair":
                    each = each.named_children[-1]
                if listed is not None and each is not None and text_of(each) == name:
                    return self.items(listed, depth + 1) or [UNKNOWN]
            elif outer.type in _FUNCTIONS:
                parameters = outer.child_by_field_name("parameters")
                if parameters is not None and name.startswith("$") and name in self._names(parameters):
                    return [UNKNOWN]
        return None

    @staticmethod
    def _names(parameters: Node) -> Iterator[str]:
        for parameter in parameters.named_children:
            name = parameter.child_by_field_name("name")
            if name is not None:
                yield text_of(name)

    def _text(self, node: Node, depth: int) -> list[str]:
        parts = [child for child in node.named_children if child.type not in ("heredoc_start", "heredoc_end")]
        return products([self._part(child, depth) for child in parts] or [[""]])

    def _part(self, node: Node, depth: int) -> list[str]:
        if node.type in _CONTENTS:
            return [text_of(node)]
        if node.type == "escape_sequence":
            return [_ESCAPES.get(text_of(node), UNKNOWN)]
        return self.of(node, depth + 1)

    def _call(self, node: Node, depth: int) -> list[str]:
        name, args = function_of(node), arguments(node)
        if name in _SAME and args:
            return self.of(args[0], depth + 1)
        if name == "dirname" and args:
            levels = text_of(args[1].named_children[-1]) if len(args) > 1 and args[1].named_children else "1"
            number = int(levels) if levels.isascii() and levels.isdigit() and len(levels) < 3 else 1
            return [dirname(path, number) for path in self.of(args[0], depth + 1)]
        if name in ("implode", "join") and len(args) == 2 and args[1].named_children:
            return self._joined(args, depth)
        return [UNKNOWN]

    def _joined(self, args: list[Node], depth: int) -> list[str]:
        array = args[1].named_children[-1]
        if array.type != "array_creation_expression":
            return [UNKNOWN]
        parts = [self.of(child, depth + 1) for child in array.named_children]
        return [value for mark in self.of(args[0], depth + 1) for value in products(parts, mark)][:MAX_VALUES]
