"""Syntax trees of source, by tree-sitter's grammars: nodes of some kinds, what is around one, what names are assigned.

The grammars are loaded when a tree is made: that takes milliseconds, and many images are closed without one.
"""

from __future__ import annotations

import functools
import importlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from debloat.rules.expressions import MAX_VALUES, UNKNOWN

if TYPE_CHECKING:
    from tree_sitter import Language, Node, Parser

MAX_AROUND = 200
"""Nodes around one that are looked at."""

MAX_LOOKUPS = 500
"""Names of a file whose values are looked for."""

MAX_STEPS = 200_000
"""Steps from the root of a tree to the nodes that are looked around, all together."""

MAX_DEPTH = 24
"""Nesting of an expression that is followed."""


def text_of(node: Node) -> str:
    """The source text of a node; bytes that are not UTF-8 as surrogates."""
    return (node.text or b"").decode("utf-8", "surrogateescape")


def parsed(module: str, function: str, code: bytes) -> Node:
    """The root of the syntax tree of `code`, by the grammar that a function of a module gives."""
    return _parser(module, function).parse(code).root_node


def nodes(root: Node, kinds: frozenset[str]) -> Iterator[Node]:
    """The nodes of some kinds in a tree, in the order of the text.

    Not by a query: its cursor looks at all that follows in a node for each child of it, and what no grammar fits is one
    node with a child for each bracket.
    """
    cursor = root.walk()
    while True:
        node = cursor.node
        if node is not None and node.type in kinds:
            yield node
        if cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return


class Expressions(ABC):
    """What expressions of one file may be, as `expressions.py` writes it, at most `MAX_VALUES` each.

    A subclass says how the expressions of its language are read. `grammar` is the module of the grammar and the
    function of it that gives the language, `assigning` are the kinds of nodes that `assignment` reads, `operators` what
    operations on two values come to.
    """

    grammar: ClassVar[tuple[str, str]]
    assigning: ClassVar[frozenset[str]]
    operators: ClassVar[Mapping[str, Callable[[Sequence[str], Sequence[str]], list[str]]]]

    def __init__(self, code: bytes) -> None:
        self.root = parsed(*self.grammar, code)
        self._busy: set[tuple[str, bool]] = set()
        self._known: dict[tuple[str, bool], list[str]] = {}
        self._lookups = self._steps = 0

    @abstractmethod
    def of(self, node: Node, depth: int = 0) -> list[str]:
        """The texts that an expression may be; `UNKNOWN` for one that cannot be told."""

    @abstractmethod
    def items(self, node: Node, depth: int = 0) -> list[str]:
        """The texts that the elements of a list may be; of a table, its values."""

    @abstractmethod
    def looped(self, node: Node, name: str, depth: int) -> list[str] | None:
        """The values that a loop around a name gives it; None where nothing around it says what it is."""

    @abstractmethod
    def assignment(self, node: Node) -> tuple[str, Node] | None:
        """The name that a node assigns to, and what it is given."""

    def nodes(self, kinds: frozenset[str]) -> Iterator[Node]:
        """The nodes of some kinds, in the order of the text."""
        return nodes(self.root, kinds)

    def around(self, node: Node) -> Iterator[Node]:
        """The nodes around one, from the inside out; its own `parent` would begin at the root for each."""
        chain: deque[Node] = deque(maxlen=MAX_AROUND)
        current = self.root
        while current != node and (below := current.child_with_descendant(node)) is not None:
            self._steps += 1
            if self._steps > MAX_STEPS:
                return
            chain.append(current)
            current = below
        yield from reversed(chain)

    def named(self, node: Node, name: str, depth: int) -> list[str]:
        """The values of a name where it stands: of the loop around it, else of all that is assigned to it."""
        self._lookups += 1
        if self._lookups > MAX_LOOKUPS:
            return [UNKNOWN]
        looped = self.looped(node, name, depth)
        return looped if looped is not None else self.assigned(name, depth) or [UNKNOWN]

    def binary(self, node: Node, depth: int) -> list[str]:
        """The texts that an operation on two values may give."""
        left, operator, right = map(node.child_by_field_name, ("left", "operator", "right"))
        combine = self.operators.get(text_of(operator)) if operator is not None else None
        if left is None or right is None or combine is None:
            return [UNKNOWN]
        return combine(self.of(left, depth + 1), self.of(right, depth + 1))[:MAX_VALUES]

    def assigned(self, name: str, depth: int, items: bool = False) -> list[str]:
        """The values that are assigned to a name anywhere in the file, or the `items` of the lists that are."""
        key = (name, items)
        if key in self._busy or key in self._known:
            return self._known.get(key, [])
        self._busy.add(key)
        way = self.items if items else self.of
        texts = [value for node in self._assigned.get(name, ()) for value in way(node, depth + 1)]
        self._busy.discard(key)
        values = list(dict.fromkeys(texts))[:MAX_VALUES]
        if not self._busy:
            # Within another name's value it may have been left out for that one's sake.
            self._known[key] = values
        return values

    @functools.cached_property
    def _assigned(self) -> Mapping[str, list[Node]]:
        assignments: dict[str, list[Node]] = {}
        for node in self.nodes(self.assigning):
            pair = self.assignment(node)
            if pair is not None and len(assignments.setdefault(pair[0], [])) < MAX_VALUES:
                assignments[pair[0]].append(pair[1])
        return MappingProxyType(assignments)


@functools.cache
def _language(module: str, function: str) -> Language:
    from tree_sitter import Language

    return Language(getattr(importlib.import_module(module), function)())


@functools.cache
def _parser(module: str, function: str) -> Parser:
    from tree_sitter import Parser

    return Parser(_language(module, function))
