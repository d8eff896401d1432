"""Syntax trees of source, by tree-sitter's grammars: queries, what is around a node, what names are assigned.

The grammars are loaded when a tree is made: that takes milliseconds, and many images are closed without one.
"""

from __future__ import annotations

import functools
import importlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from debloat.rules.expressions import MAX_VALUES, UNKNOWN

if TYPE_CHECKING:
    from tree_sitter import Language, Node, Parser, Query

MAX_AROUND = 200
"""Nodes around one that are looked at."""

MAX_LOOKUPS = 2000
"""Names of a file whose values are looked for."""

MAX_DEPTH = 24
"""Nesting of an expression that is followed."""


def text_of(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "surrogateescape")


class Expressions(ABC):
    """What expressions of one file may be, as `expressions.py` writes it, at most `MAX_VALUES` each.

    A subclass says how the expressions of its language are read. `grammar` is the module of the grammar and the
    function of it that gives the language; `assignments` a query that captures names as `left` and what they are given
    as `right`.
    """

    grammar: ClassVar[tuple[str, str]]
    assignments: ClassVar[str]

    def __init__(self, code: bytes) -> None:
        self.root: Node = _parser(*self.grammar).parse(code).root_node
        self._busy: set[tuple[str, bool]] = set()
        self._lookups = 0

    @abstractmethod
    def of(self, node: Node, depth: int = 0) -> list[str]:
        """The texts that an expression may be; `UNKNOWN` for one that cannot be told."""

    @abstractmethod
    def items(self, node: Node, depth: int = 0) -> list[str]:
        """The texts that the elements of a list may be; of a table, its values."""

    @abstractmethod
    def looped(self, node: Node, name: str, depth: int) -> list[str] | None:
        """The values that a loop around a name gives it; None where nothing around it says what it is."""

    def pairs(self, query: str, first: str, second: str) -> Iterator[tuple[Node, Node]]:
        """What two captures of a query find together, in the order of the text."""
        from tree_sitter import QueryCursor

        for _, found in QueryCursor(_query(*self.grammar, query)).matches(self.root):
            yield from zip(found.get(first, ()), found.get(second, ()), strict=True)

    def around(self, node: Node) -> Iterator[Node]:
        """The nodes around one, from the inside out; its own `parent` would begin at the root for each."""
        chain: deque[Node] = deque(maxlen=MAX_AROUND)
        here = self.root
        while here != node and (below := here.child_with_descendant(node)) is not None:
            chain.append(here)
            here = below
        yield from reversed(chain)

    def named(self, node: Node, name: str, depth: int) -> list[str]:
        """The values of a name where it stands: of the loop around it, else of all that is assigned to it."""
        self._lookups += 1
        if self._lookups > MAX_LOOKUPS:
            return [UNKNOWN]
        looped = self.looped(node, name, depth)
        return looped if looped is not None else self.assigned(name, depth) or [UNKNOWN]

    def assigned(self, name: str, depth: int, items: bool = False) -> list[str]:
        """The values that are assigned to a name anywhere in the file, or the `items` of the lists that are."""
        if (name, items) in self._busy:
            return []
        self._busy.add((name, items))
        way = self.items if items else self.of
        found = [value for node in self._assigned.get(name, ()) for value in way(node, depth + 1)]
        self._busy.discard((name, items))
        return list(dict.fromkeys(found))[:MAX_VALUES]

    @functools.cached_property
    def _assigned(self) -> Mapping[str, list[Node]]:
        found: dict[str, list[Node]] = {}
        for left, right in self.pairs(self.assignments, "left", "right"):
            nodes = found.setdefault(text_of(left).strip("\"'"), [])
            if len(nodes) < MAX_VALUES:
                nodes.append(right)
        return MappingProxyType(found)


@functools.cache
def _language(module: str, function: str) -> Language:
    from tree_sitter import Language

    return Language(getattr(importlib.import_module(module), function)())


@functools.cache
def _parser(module: str, function: str) -> Parser:
    from tree_sitter import Parser

    return Parser(_language(module, function))


@functools.cache
def _query(module: str, function: str, text: str) -> Query:
    from tree_sitter import Query

    return Query(_language(module, function), text)
