"""What a Python source file reaches, read from its text alone: imports, commands, dotted names.

Two readers of one file. `outline` is a linear scan that may see too much (a docstring's `import x`), and costs
a hundredth of a parse; it says which files are worth one. `facts` is the parse. Neither ever raises.
"""

from __future__ import annotations

import ast
import itertools
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec import Struct

from debloat.core.parsed import cached
from debloat.rules.cmdline import programs, programs_of_argv

MAX_PARSED = 1 << 20
"""Larger files are tables or generated code; the outline alone speaks for them."""


class Import(Struct, frozen=True, order=True):
    """`from <level dots><module> import <names>`; `import a.b` has no names and level 0."""

    level: int
    module: str
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "." * self.level + self.module


class Outline(Struct, frozen=True):
    """What a file may refer to: a superset of its imports, and telltale words."""

    imports: frozenset[Import] = frozenset()
    words: frozenset[str] = frozenset()


class Facts(Struct, frozen=True):
    """What a file refers to.

    `commands` are words for PATH, `paths` literal additions to sys.path, `libraries` what ctypes or cffi may load:
    file names, and the bare names that find_library takes, `distributions` those whose entry points start it.
    """

    imports: frozenset[Import] = frozenset()
    literals: frozenset[str] = frozenset()
    commands: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()
    libraries: frozenset[str] = frozenset()
    finds_libraries: bool = False
    distributions: frozenset[str] = frozenset()


_IMPORT = re.compile(
    rb"(?:^|[:;])[ \t]*(?:from[ \t]+(\.{0,9})[ \t]*([\w.]*)[ \t]+import\b[ \t(]*([^\n#)]*)|import[ \t]+([^\n#;]+))",
    re.MULTILINE,
)
_DYNAMIC = re.compile(
    rb"""(?:\b(?:\w{0,20}_)?import(?:_\w{1,30})?|run_module|find_spec|resolve_name)\(\s{0,80}["'](\.{0,9})([\w.]{1,200})["':]"""
)
_DYNAMIC_WORDS = (b"import_", b"_import(", b"run_module", b"find_spec", b"resolve_name")
_LITERAL = re.compile(rb"""["']([A-Za-z_]\w{0,99}(?:\.\w{1,99}){0,15})["']""")
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")

WORDS: tuple[str, ...] = (
    "CDLL",
    "LoadLibrary",
    "create_subprocess",
    "dlopen",
    "entry_points",
    "find_library",
    "os.exec",
    "os.popen",
    "os.spawn",
    "os.system",
    "posix_spawn",
    "shutil.which",
    "subprocess",
    "sys.path",
)
"""A file without any of these runs no command, loads no library and looks for no plug-in."""

_ENCODED_WORDS = tuple((word, word.encode()) for word in WORDS)


def _plain_imports(imports: Iterable[Import]) -> list[tuple[int, str, tuple[str, ...]]]:
    return [(i.level, i.module, i.names) for i in sorted(imports)]


def _imports_of(plain: Any) -> frozenset[Import]:
    return frozenset(Import(int(level), str(module), tuple(map(str, names))) for level, module, names in plain)


@cached(
    lambda outlined: [_plain_imports(outlined.imports), sorted(outlined.words)],
    lambda plain: Outline(_imports_of(plain[0]), frozenset(map(str, plain[1]))),
)
def outline(data: bytes) -> Outline:
    """A quick superset of what `facts` finds; linear in the size of the file."""
    return Outline(_imports(data), frozenset(w for w, raw in _ENCODED_WORDS if raw in data))


def literals(data: bytes) -> frozenset[str]:
    """The dotted names in quotation marks, and words that look like it."""
    return frozenset(match.decode("ascii", "replace") for match in _LITERAL.findall(data))


def quoted(data: bytes) -> frozenset[Import]:
    """The imports of the outline that seem to stand in triple-quoted text only, such as examples in docstrings."""
    return _imports(data) - _imports(_unquoted(data))


def _unquoted(data: bytes) -> bytes:
    """The text without what stands in triple quotation marks."""
    out, at, marks = [], 0, {b'"""', b"'''"}
    while positions := [(start, mark) for mark in marks if (start := data.find(mark, at)) >= 0]:
        start, mark = min(positions)
        end = data.find(mark, start + 3)
        if end < 0:
            marks.discard(mark)
            continue
        out.append(data[at:start])
        at = end + 3
    return b"".join((*out, data[at:]))


def _imports(data: bytes) -> frozenset[Import]:
    imports = set[Import]()
    # The pattern ends with its line, and few lines are worth it.
    for dots, module, names, plain in set(_IMPORT.findall(_lines_with(b"import", data))):
        if plain:
            imports.update(Import(0, name) for name in _names(plain))
        else:
            imports.add(Import(len(dots), module.decode("ascii", "replace"), tuple(sorted(_names(names)))))
    for dots, module in _DYNAMIC.findall(data) if any(word in data for word in _DYNAMIC_WORDS) else ():
        imports.add(Import(len(dots), module.decode("ascii", "replace")))
    return frozenset(imports)


def _lines_with(word: bytes, data: bytes) -> bytes:
    """The lines that hold a word. Looking for the word costs a tenth of looking at each line."""
    lines, at = [], data.find(word)
    while at >= 0:
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        lines.append(data[data.rfind(b"\n", 0, at) + 1 : end])
        at = data.find(word, end)
    return b"\n".join(lines)


def _names(text: bytes) -> list[str]:
    """The names of `a.b as c, d`; a line that goes on in the next one gives those that stand on it."""
    parts = (part.split() for part in text.decode("utf-8", "replace").split(","))
    return [words[0] for words in parts if words and _DOTTED.fullmatch(words[0])]


def _plain(file_facts: Facts) -> list[object]:
    texts = (file_facts.literals, file_facts.commands, file_facts.paths, file_facts.libraries, file_facts.distributions)
    return [_plain_imports(file_facts.imports), file_facts.finds_libraries, *map(sorted, texts)]


def _facts_of(plain: Any) -> Facts:
    imports, finds_libraries, *texts = plain
    literals, commands, paths, libraries, distributions = (frozenset(map(str, words)) for words in texts)
    return Facts(_imports_of(imports), literals, commands, paths, libraries, bool(finds_libraries), distributions)


@cached(_plain, _facts_of)
def facts(data: bytes) -> Facts:
    """What the file's own grammar says; for text that does not parse (Python 2, a newer grammar) its outline's."""
    tree = None
    if len(data) <= MAX_PARSED:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(data)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            pass
    if tree is None:
        rough = outline(data)
        return Facts(rough.imports, literals(data), finds_libraries="find_library" in rough.words)
    return _Reader(tree).facts()


_EXECS = frozenset({"execl", "execle", "execlp", "execlpe", "execv", "execve", "execvp", "execvpe"})
_SPAWNS = frozenset({"spawnl", "spawnle", "spawnlp", "spawnlpe", "spawnv", "spawnve", "spawnvp", "spawnvpe"})
"""Functions of os with a mode before the program."""

_COMMANDS = _EXECS | {
    "Popen",
    "check_call",
    "check_output",
    "create_subprocess_exec",
    "create_subprocess_shell",
    "getoutput",
    "getstatusoutput",
    "popen",
    "posix_spawn",
    "posix_spawnp",
    "system",
    "which",
}
"""Functions whose first argument is a program or a command line, whatever they are imported from."""

_COMMANDS_OF_SUBPROCESS = frozenset({"run", "call"})
"""The same, for names that mean something else in other modules."""

_LOADERS = frozenset({"CDLL", "PyDLL", "LoadLibrary", "dlopen", "find_library"})
_SONAME = re.compile(r"lib[\w.+-]{1,80}\.so(?:\.\d+)*")

_PINNED = re.compile(r"([A-Za-z0-9][\w.-]{0,100})==[\w.+!-]{1,100}")
"""How a console script names its own distribution to load_entry_point."""

_IMPORTER = re.compile(r"(?:\w*_)?import(?:_\w+)?|run_module|find_spec|resolve_name")
"""Functions that take a module's name: importlib's, and others' around it (`try_import`)."""
_RESOURCES = frozenset(
    {"files", "get_data", "read_text", "read_binary", "open_text", "open_binary", "path", "contents"}
)


class _Reader:
    """One walk over a tree, without recursion: generated code nests deeper than Python's stack."""

    def __init__(self, tree: ast.AST) -> None:
        self._imports = set[Import]()
        self._literals = set[str]()
        self._paths = set[str]()
        self._libraries = set[str]()
        self._finds_libraries = False
        self._distributions = set[str]()
        self._calls: list[ast.Call] = []
        self._assigned: dict[str, list[ast.expr]] = {}
        self._subprocess = {"subprocess"}
        visit: dict[type[ast.AST], Callable[[Any], None]] = {
            ast.Constant: self._constant,
            ast.Import: self._import,
            ast.ImportFrom: self._import_from,
            ast.Assign: self._assign,
            ast.AnnAssign: self._assign,
            ast.Name: self._name,
            ast.Attribute: self._name,
            ast.Call: self._call,
        }
        for node in _walk(tree):
            visitor = visit.get(type(node))
            if visitor is not None:
                visitor(node)
        self._commands = {word for call in self._calls for word in self._command(call)}

    def facts(self) -> Facts:
        return Facts(
            frozenset(self._imports),
            frozenset(self._literals),
            frozenset(self._commands),
            frozenset(self._paths),
            frozenset(self._libraries),
            self._finds_libraries,
            frozenset(self._distributions),
        )

    def _constant(self, node: ast.Constant) -> None:
        text = node.value
        if isinstance(text, str) and len(text) <= 200:
            if _DOTTED.fullmatch(text):
                self._literals.add(text)
            elif pinned := _PINNED.fullmatch(text):
                self._distributions.add(pinned[1])
            elif _SONAME.fullmatch(text):
                self._libraries.add(text)

    def _import(self, node: ast.Import) -> None:
        self._imports.update(Import(0, alias.name) for alias in node.names)
        self._subprocess |= {a.asname for a in node.names if a.name == "subprocess" and a.asname}

    def _import_from(self, node: ast.ImportFrom) -> None:
        self._imports.add(Import(node.level, node.module or "", tuple(sorted(a.name for a in node.names))))
        if node.module == "subprocess":
            self._subprocess |= {a.asname or a.name for a in node.names}

    def _assign(self, node: ast.Assign | ast.AnnAssign) -> None:
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if node.value is not None:
                self._assigned.setdefault(_dotted(target), []).append(node.value)

    def _name(self, node: ast.Name | ast.Attribute) -> None:
        if (node.id if isinstance(node, ast.Name) else node.attr) == "find_library":
            self._finds_libraries = True

    def _call(self, call: ast.Call) -> None:
        """Note what a call loads: modules, shared libraries, data of packages; and directories put on sys.path."""
        self._calls.append(call)
        whole = _dotted(call.func)
        name = whole.rpartition(".")[2]
        first = _text(call.args[0]) if call.args else None
        if whole in ("sys.path.append", "sys.path.insert"):
            self._paths |= {text for arg in call.args if (text := _text(arg)) and text.startswith("/")}
        elif first is not None and _IMPORTER.fullmatch(name):
            self._add_dynamic(first, call)
        elif name in _LOADERS:
            names = {text for arg in call.args if (text := _text(arg)) and "/" not in text}
            self._libraries |= names
            self._finds_libraries |= name == "dlopen" and any(".so" not in text for text in names)
        elif name in _RESOURCES and first is not None and _DOTTED.fullmatch(first):
            self._imports.add(Import(0, first))

    def _add_dynamic(self, text: str, call: ast.Call) -> None:
        """`import_module("a.b")`, `import_module(".b", "a")`, `import_module(".b", __name__)`."""
        name = text.partition(":")[0].rstrip(".")
        module = name.lstrip(".")
        if module and not _DOTTED.fullmatch(module):
            return
        level = len(name) - len(module)
        anchor = (
            call.args[1] if len(call.args) > 1 else next((k.value for k in call.keywords if k.arg == "package"), None)
        )
        package = _text(anchor) if anchor is not None else None
        if level and package:
            parents = package.split(".")[: len(package.split(".")) - (level - 1)]
            self._imports.add(Import(0, ".".join([*parents, module])))
        elif module:
            self._imports.add(Import(level, "", (module,)) if level else Import(0, module))

    def _command(self, call: ast.Call) -> Iterator[str]:
        """The programs that a call starts."""
        whole = _dotted(call.func)
        head, _, name = whole.rpartition(".")
        args = call.args[1:] if name in _SPAWNS else call.args
        starts_program = name in _COMMANDS or name in _SPAWNS
        if name in _COMMANDS_OF_SUBPROCESS:
            starts_program = head in self._subprocess or (not head and name in self._subprocess)
        if not starts_program or not args:
            keyword = next((k.value for k in call.keywords if k.arg == "args"), None)
            if not starts_program or keyword is None:
                return
            args = [keyword]
        for value in self._values(args[0]):
            yield from self._first_words(value)

    def _values(self, node: ast.expr) -> Iterable[ast.expr]:
        """The expression, or what is assigned to the name that it is."""
        name = _dotted(node)
        return self._assigned.get(name, ()) if name else (node,)

    def _first_words(self, node: ast.expr) -> Iterator[str]:
        """The programs in an argument vector, or in a line for a shell."""
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            yield from self._first_words_of_sum(node)
            return
        if isinstance(node, ast.List | ast.Tuple):
            if node.elts:
                rest = [_text(element) or "" for element in node.elts[1:]]
                for value in self._values(node.elts[0]):
                    text = _text(value)
                    if text:
                        yield from dict.fromkeys((text, *programs_of_argv((text, *rest))))
            self._module_argument(node.elts)
            return
        text = _text(node)
        if text:
            yield from programs(text)

    def _first_words_of_sum(self, node: ast.BinOp) -> Iterator[str]:
        """`["a"] + rest`, `"a " + rest`: the leftmost operand."""
        left: ast.expr = node
        while isinstance(left, ast.BinOp):
            left = left.left
        for value in self._values(left):
            if not isinstance(value, ast.BinOp):
                yield from self._first_words(value)

    def _module_argument(self, words: list[ast.expr]) -> None:
        """`[sys.executable, "-m", "package.module"]` imports the module."""
        for flag, value in itertools.pairwise(words[1:4]):
            name = _text(value)
            if _text(flag) == "-m" and name and _DOTTED.fullmatch(name):
                self._imports.add(Import(0, name))


_LEAVES = frozenset({ast.Load, ast.Store, ast.Del})


def _walk(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node, but for what stands under `if TYPE_CHECKING:`, which never runs."""
    stack = [tree]
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, ast.If) and _dotted(node.test).rpartition(".")[2] == "TYPE_CHECKING":
            stack.extend(node.orelse)
            continue
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                stack.extend(child for child in value if isinstance(child, ast.AST))
            elif isinstance(value, ast.AST) and type(value) not in _LEAVES:
                stack.append(value)


def _dotted(node: ast.AST) -> str:
    """`a.b.c` of a name or an attribute of names; "" for any other expression."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute) and len(parts) < 20:
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(parts)])


def _text(node: ast.AST) -> str | None:
    """The literal text that an expression begins with: a string, an f-string's head, `"..." % x`, `"...".format()`."""
    for _ in range(20):
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.Constant(value=bytes(raw)):
                return raw.decode("utf-8", "replace")
            case ast.JoinedStr(values=[head, *_]):
                node = head
            case ast.BinOp(left=left, op=ast.Mod() | ast.Add()):
                node = left
            case ast.Call(func=ast.Attribute(value=value, attr="format")):
                node = value
            case _:
                return None
    return None
