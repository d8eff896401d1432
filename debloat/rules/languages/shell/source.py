"""Shell scripts as data: commands, words, assignments, functions; read with tree-sitter's bash grammar.

One grammar reads sh, dash, bash, ksh and near relatives: what they share is all that is asked here. The
result keeps every branch, since which one runs is not known, and nothing is evaluated.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from debloat.rules.languages.shell import tokens

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

MAX_SCRIPT = 1 << 20
"""Larger files (self-extracting archives) are not read."""

PATIENCE, PATIENCE_PER_BYTE = 0.5, 10e-6
"""Seconds of a processor that the grammar may take for a script, and for each byte of it; 1.3e-6 are usual."""

_PART = 64 << 10
"""Bytes that the parser is given at a time."""

MAX_DEPTH = 150
"""Nesting beyond this is not entered; no script written by hand comes near."""


class Var(Struct, frozen=True):
    """`$NAME` or `${NAME...}`; `default` is the word of `:-`, `:=`, `-`, `=`, `:+` and `+`.

    `suffixed` says that the value is altered (`%`, `#`, `/`), so that it is not known.
    """

    name: str
    default: Word | None = None
    suffixed: bool = False


class Sub(Struct, frozen=True):
    """A command substitution, by its last simple commands; the outermost of nested ones comes last."""

    commands: tuple[Command, ...]


class Word(Struct, frozen=True):
    """One word: literal texts, variables and substitutions joined. A `quoted` word is neither split nor globbed."""

    parts: tuple[str | Var | Sub, ...]
    quoted: bool = False

    @property
    def literal(self) -> str | None:
        """The text of a word with nothing to expand, else None."""
        return "".join(p for p in self.parts if isinstance(p, str)) if self._plain() else None

    def _plain(self) -> bool:
        return all(isinstance(p, str) for p in self.parts)


class Command(Struct, frozen=True):
    """A simple command: its words, the name first, and what it reads: the text of a here-document, or files."""

    line: int
    words: tuple[Word, ...]
    stdin: str = ""
    inputs: tuple[Word, ...] = ()


class Script(Struct, frozen=True):
    """What a script holds, in source order; commands inside substitutions and functions included.

    `values` are words outside of commands, with their lines: redirections, operands of tests, assigned values.
    """

    commands: tuple[Command, ...] = ()
    assignments: tuple[tuple[str, tuple[Word, ...]], ...] = ()
    values: tuple[tuple[int, Word], ...] = ()
    functions: frozenset[str] = frozenset()


EMPTY = Script()

_WORDS = frozenset(
    (
        *("word", "string", "raw_string", "ansi_c_string", "translated_string", "concatenation", "number"),
        *("simple_expansion", "expansion", "command_substitution", "process_substitution", "brace_expression"),
    )
)
_DEFAULTS = frozenset((":-", ":=", "-", "=", ":+", "+"))
_HARMLESS = frozenset((":?", "?"))


_BACKQUOTED = re.compile(r"(?<!\\)`([^`\n]+)`")


_LETTERS = bytes(byte if byte < 0x80 else ord("x") for byte in range(256))
"""What the grammar gets to see: to a shell all bytes beyond ASCII are parts of words, and tree-sitter-bash 0.25 looks
characters up in a table that ends before U+10FFFF. The words themselves are cut from the source."""


@functools.lru_cache(maxsize=4096)
def parse(source: bytes) -> Script:
    """The script that `source` is; garbage gives whatever commands the grammar can still make out."""
    if len(source) > MAX_SCRIPT or b"\0" in source[:4096]:
        return EMPTY
    reader = _Reader(source)
    root = _tree(source)
    if root is not None:
        reader.walk(root, 0)
    if (root is None or root.has_error) and len(source) <= tokens.MAX_SCRIPT:
        reader.again()
    return Script(tuple(reader.commands), tuple(reader.assignments), tuple(reader.values), frozenset(reader.functions))


def _tree(source: bytes) -> Node | None:
    """The root of the syntax tree; None where the grammar goes on and on.

    What is opened and never closed (`case x in (`, `x=(`, `<<A`) costs as much again with each that is open already:
    hours at the size that is read. Neither the parser's steps nor its errors tell, but the processor's time does: a
    script that somebody wrote takes an eighth of what is allowed.
    """
    code = source.translate(_LETTERS)
    limit = time.thread_time() + PATIENCE + PATIENCE_PER_BYTE * len(code)
    try:
        return (
            _parser()
            .parse(
                lambda offset, _: code[offset : offset + _PART],
                progress_callback=lambda _, __: time.thread_time() > limit,
            )
            .root_node
        )
    except ValueError:
        _parser().reset()
        return None


@functools.cache
def _parser() -> Parser:
    # Here, not above: loading the grammar costs 10 ms, and most images are closed without a script.
    import tree_sitter
    import tree_sitter_bash

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


class _Reader:
    """Collects from a syntax tree, in source order."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._seen: dict[tuple[int, int], Sub] = {}
        self.commands: list[Command] = []
        self.assignments: list[tuple[str, tuple[Word, ...]]] = []
        self.values: list[tuple[int, Word]] = []
        self.functions: set[str] = set()

    def again(self) -> None:
        """Read the script by its tokens, for what the grammar does not get through; what it knows is not read twice."""
        present = {command.words for command in self.commands}
        for line, piece in tokens.pieces(self._source.decode("utf-8", "surrogateescape")):
            self._part(piece, line, present)

    def _part(self, text: str, line: int, present: Collection[tuple[Word, ...]] = ()) -> None:
        """Read a text by itself: a piece of the script that begins at a line."""
        inner = _Reader(text.encode("utf-8", "surrogateescape"))
        root = _tree(inner._source)
        if root is not None:
            inner.walk(root, 0)
        for command in inner.commands:
            if command.words not in present:
                self.commands.append(replace(command, line=command.line + line - 1))
        self.assignments += (assignment for assignment in inner.assignments if assignment not in self.assignments)

    def walk(self, node: Node, depth: int) -> None:
        """Note the commands, assignments, functions and values in a node, in the order of the text."""
        if depth > MAX_DEPTH:
            return
        kind = node.type
        if kind == "command":
            self._command(node, "", depth)
        elif kind in ("declaration_command", "unset_command"):
            self._declaration(node, depth)
        elif kind == "variable_assignment":
            self._assignment(node, depth)
        elif kind == "redirected_statement":
            self._redirected(node, depth)
        elif kind == "pipeline":
            self._pipeline(node, depth)
        elif kind == "for_statement":
            self._loop(node, depth)
        elif kind == "case_item":
            # A pattern is compared with a word and names no file; only the item's commands count.
            patterns = {c.id for c in node.children_by_field_name("value")}
            self._children(node, depth, patterns)
        elif kind in _WORDS:
            self.values.append((_line(node), self._note(node, depth)))
        else:
            if kind == "function_definition" and (name := node.child_by_field_name("name")) is not None:
                self.functions.add(self._text(name))
                self._children(node, depth, {name.id})
                return
            self._children(node, depth, set())

    def _children(self, node: Node, depth: int, skip: set[int]) -> None:
        for child in node.named_children:
            if child.id not in skip:
                self.walk(child, depth + 1)

    def _note(self, node: Node, depth: int) -> Word:
        """The word, with the commands and assignments inside it noted."""
        word = self._word(node, depth)
        if node.type in ("command_substitution", "process_substitution"):
            self._substitution(node, depth)
        elif node.type != "word":
            if node.type == "expansion":
                self._assigning(node, depth)
            self._inside(node, depth)
        return word

    def _inside(self, node: Node, depth: int) -> None:
        """The substitutions and defaults in a word."""
        if depth > MAX_DEPTH:
            return
        for child in node.named_children:
            if child.type in ("command_substitution", "process_substitution"):
                self._substitution(child, depth + 1)
            else:
                if child.type == "expansion":
                    self._assigning(child, depth)
                elif node.type == "expansion" and not child.named_children and "`" in (text := self._text(child)):
                    # To the grammar backquotes in a default are letters.
                    for inner in _BACKQUOTED.findall(text):
                        self._part(inner, _line(child))
                self._inside(child, depth + 1)

    def _assigning(self, node: Node, depth: int) -> None:
        """`${NAME:=word}` is an assignment too."""
        var = self._expansion(node, depth)
        if var.default is not None and any(c.type in (":=", "=") for c in node.children):
            self.assignments.append((var.name, (var.default,)))

    def _command(self, node: Node, stdin: str, depth: int) -> None:
        """A simple command; `stdin` is the text that it reads, where that is known."""
        words: list[Word] = []
        for child in node.named_children:
            kind = child.type
            if kind == "command_name":
                inner = child.named_children
                words.append(self._note(inner[0], depth) if inner else Word((self._text(child),)))
            elif kind in _WORDS:
                words.append(self._note(child, depth))
            elif kind == "herestring_redirect" and child.named_children:
                stdin = self._note(child.named_children[0], depth).literal or stdin
            else:
                self.walk(child, depth + 1)
        if words:
            self.commands.append(Command(_line(node), tuple(words), stdin))

    def _declaration(self, node: Node, depth: int) -> None:
        for child in node.named_children:
            if child.type not in ("variable_name", "word"):
                self.walk(child, depth + 1)

    def _redirected(self, node: Node, depth: int) -> None:
        """A statement with redirections: what is read from a here-document or a file is noted with its command."""
        heredoc, inputs = "", list[Word]()
        for child in node.named_children:
            if child.type == "heredoc_redirect":
                bodies = [c for c in child.named_children if c.type == "heredoc_body"]
                heredoc = "".join(self._text(b) for b in bodies)
            elif child.type == "file_redirect" and any(c.type == "<" for c in child.children):
                inputs += [self._word(c, depth) for c in child.named_children[-1:] if c.type in _WORDS]
        first = len(self.commands)
        for child in node.named_children:
            if child.type == "command":
                self._command(child, heredoc, depth + 1)
            else:
                self.walk(child, depth + 1)
        if inputs and len(self.commands) > first:
            self._feed(first, tuple(inputs), "")

    def _feed(self, at: int, inputs: tuple[Word, ...], text: str) -> None:
        command = self.commands[at]
        self.commands[at] = replace(command, inputs=(*command.inputs, *inputs), stdin=command.stdin or text)

    def _pipeline(self, node: Node, depth: int) -> None:
        """A pipeline: what `cat FILE` or `echo TEXT` writes is what the next command reads."""
        before: Command | None = None
        for child in node.named_children:
            first = len(self.commands)
            self.walk(child, depth + 1)
            if first == len(self.commands):
                continue
            name = before.words[0].literal if before is not None else ""
            if before is not None and name == "cat":
                self._feed(first, (*before.words[1:], *before.inputs), before.stdin)
            elif before is not None and name in ("echo", "printf"):
                self._feed(first, (), "\n".join(word.literal or "" for word in before.words[1:]))
            before = self.commands[-1] if child.type in ("command", "redirected_statement") else None

    def _assignment(self, node: Node, depth: int) -> None:
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if name is None or value is None:
            return
        if name.type == "subscript" and (inner := name.child_by_field_name("name")) is not None:
            name = inner
        items = value.named_children if value.type == "array" else [value]
        words = tuple(self._word(item, depth) for item in items if item.type in _WORDS)
        self.assignments.append((self._text(name), words))
        for item in items:
            self.walk(item, depth + 1)

    def _loop(self, node: Node, depth: int) -> None:
        name = node.child_by_field_name("variable")
        values = [c for c in node.children_by_field_name("value") if c.type in _WORDS]
        if name is not None:
            # Each turn gives the variable another value: as many assignments.
            self.assignments.extend((self._text(name), (self._word(v, depth),)) for v in values)
        self._children(node, depth, set())

    def _word(self, node: Node, depth: int) -> Word:
        parts: list[str | Var | Sub] = []
        quoted = False
        for part in self._parts(node, depth):
            if part is None:
                quoted = True
            elif isinstance(part, str) and parts and isinstance(parts[-1], str):
                parts[-1] += part
            else:
                parts.append(part)
        return Word(tuple(parts), quoted)

    def _parts(self, node: Node, depth: int) -> Iterator[str | Var | Sub | None]:
        """The parts of a word; None marks a quotation."""
        kind = node.type
        if depth > MAX_DEPTH:
            yield Var("")
        elif kind == "raw_string":
            yield None
            yield self._text(node)[1:-1]
        elif kind in ("string", "ansi_c_string", "translated_string"):
            yield None
            yield from self._string(node, depth)
        elif kind == "concatenation":
            for child in node.children:
                yield from self._parts(child, depth + 1)
        elif kind == "simple_expansion":
            yield Var(self._text(node)[1:])
        elif kind == "expansion":
            yield self._expansion(node, depth)
        elif kind == "command_substitution":
            yield self._substitution(node, depth)
        elif kind == "process_substitution":
            yield Var("")
        else:
            yield _unescaped(self._text(node))

    def _string(self, node: Node, depth: int) -> Iterator[str | Var | Sub | None]:
        """The parts of a string in quotation marks."""
        if node.type == "ansi_c_string":
            yield self._text(node)[2:-1]
            return
        # Blanks between the parts of a string belong to no node of their own in the grammar.
        at = node.start_byte + 1
        for child in node.children:
            if child.start_byte > at:
                yield _unescaped(self._slice(at, child.start_byte), '"\\$`')
            if child.is_named and child.type != "string_content":
                yield from self._parts(child, depth + 1)
            elif child.type == "string_content":
                yield _unescaped(self._text(child), '"\\$`')
            at = max(at, child.end_byte)

    def _expansion(self, node: Node, depth: int) -> Var:
        """`$NAME` or `${NAME...}`: the name, its default, and whether more is done to the value."""
        name, default, altered = "", None, False
        operator = ""
        for child in node.children:
            kind = child.type
            if kind in ("variable_name", "special_variable_name") and not name:
                name = self._text(child)
            elif kind == "subscript" and (inner := child.child_by_field_name("name")) is not None:
                name = self._text(inner)
            elif kind in _WORDS or kind == "regex":
                if operator in _DEFAULTS:
                    default = self._word(child, depth + 1)
            elif kind in _DEFAULTS or kind in _HARMLESS:
                operator = kind
            elif kind not in ("${", "}"):
                altered = True
        return Var(name, default, altered)

    def _substitution(self, node: Node, depth: int) -> Sub:
        """The substitution, its commands noted on the way; once, or nested ones would cost twice per level."""
        key = (node.start_byte, node.end_byte)
        if key not in self._seen:
            self._seen[key] = Sub(())
            first = len(self.commands)
            self._children(node, depth + 1, set())
            self._seen[key] = Sub(tuple(self.commands[first:][-4:]))
        return self._seen[key]

    def _text(self, node: Node) -> str:
        return self._slice(node.start_byte, node.end_byte)

    def _slice(self, start: int, end: int) -> str:
        return self._source[start:end].decode("utf-8", "surrogateescape")


def _line(node: Node) -> int:
    return node.start_point[0] + 1


def _unescaped(text: str, only: str = "") -> str:
    """`text` without its backslashes; within double quotes only those before `only` are taken away."""
    if "\\" not in text:
        return text
    out, i = [], 0
    while i < len(text):
        if text[i] == "\\" and i + 1 < len(text) and (not only or text[i + 1] in only):
            i += 1
        out.append(text[i])
        i += 1
    return "".join(out)
