"""Perl source as data: the modules and files that its text says it loads.

Only perl can parse Perl (perlfaq7), and no published grammar reads all of Debian's. Loading is a statement of its
own in practice, so that statements are searched for in the text, documentation and comments taken out. What reads
like one inside a string names at most a module too many, and only if the image has it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from debloat.core.parsed import cached
from debloat.rules.comments import Comments

MAX_SOURCE = 4 << 20
MAX_STATEMENT = 4000

_NAME = r"[A-Za-z_]\w*(?:(?:::|')\w+)*"
_LOAD = re.compile(rf"(?<![\w$@%&>:'-])(?:use|no|require)[ \t\n]+({_NAME})(?![\w:]*[ \t]*=>)")
_FILE = re.compile(r"(?<![\w$@%&>:'-])(?:require|do)[ \t\n(]+(?:\"([^\"\n$@]+)\"|'([^'\n]+)')")
_CALL = re.compile(r"(?<![\w$@%&:])(?!(?:within|without|load(?:ed|ing|s))\b)[\w:]+\b([^;]{1,300})")
_QUOTED = re.compile(rf"[\"'/({{\s]({_NAME})(?=[\"'/)}}\s])")
_QUALIFIED = re.compile(r"[A-Z]\w*(?:::\w+)+")
_NO_CLASS_AFTER = re.compile(r"[\w$@%&:>]")
_QUOTES = ('"', "'")
_DSN = re.compile(r"(?<=[\"'])dbi:(\w+)", re.IGNORECASE)
_PREFIX = re.compile(r"[\"'{]\+?([A-Z]\w*(?:::\w+)*)::(?:\$|[\"'}])")
_DIRECTORY = re.compile(r"(?:require|do)[ \t(]+\"((?:[A-Z]\w*/)+)\$")
_CLASS = re.compile(r"load_class\b[^;\n]{0,80}?,[ \t]*[\"']([A-Z]\w*(?:::\w+)*)[\"']")
_ENABLE = re.compile(r"(?<![\w$@%&>:])(enable|enable_if|plugin)\b[^\n;]{0,80}?[\"']([\w:]+)[\"']")
_PACKAGE = re.compile(rf"^[ \t]*package\s+({_NAME})", re.MULTILINE)
_LIB = re.compile(r"(?<![\w$@%&>:])(?:use\s+lib\b|unshift\s*\(?\s*@INC\s*,|push\s*\(?\s*@INC\s*,)([^;]{1,400})")
_LIB_PATH = re.compile(r"\"([^\"\n]+)\"|'([^'\n]+)'|qw\s*[(/{\[]([^)/}\]]*)[)/}\]]")
_BIN = re.compile(r"\$(?:FindBin::)?(?:Real)?Bin\b|\$\{FindBin::(?:Real)?Bin\}")
_USE = re.compile(r"^use[ \t]+([A-Z]\w*(?:::\w+)*)\b(?!::)", re.MULTILINE)
_BODY = re.compile(r"<<|^\s*(?:sub|if|unless|BEGIN|eval)\b", re.MULTILINE)
_AT_LIB = re.compile(r"^\s*use[ \t]+(?:lib|FindBin|local::lib)\b", re.MULTILINE)
_VARIABLE = re.compile(r"(?:require|use)[ \t(]+[$(]")
_CODES = ("decode", "encode", "find_mime_encoding", "find_encoding", "resolve_alias", "from_to")
_CODING = re.compile(
    "|".join(rf"{name}\b[ \t(]*(?:[$@&][\w{{]|[\w:]+\()" for name in _CODES) + r"|:encoding\([ \t]*[$@]"
)
_EAST_ASIAN = re.compile(
    r"[\"'(\s](?:iso-?2022-?(?:jp|kr|cn)|euc-?(?:jp|kr|cn|tw)|shift[_-]?jis|sjis|cp9(?:32|36|49|50)|gbk|gb-?2312|gb18030"
    r"|big-?5|hz|johab|7bit-jis)"
)
_EAST_ASIAN_WORDS = ("2022", "euc", "jis", "cp9", "gb", "big", "hz", "johab")
_SAYS_ENCODE = re.compile(rb"E(?<!\wE)ncode\b|encoding")

_HELPERS = (
    # Functions whose arguments are modules to load.
    # Each stands for all whose names begin with it, such as load_class and load_components for `load`.
    *("extends", "with", "use_module", "require_module", "use_package_optimistically", "load"),
    *("try_load_class", "autoload"),
    *("use_ok", "require_ok", "bootstrap", "XSLoader::load", "ensure_class_loaded"),
)
_LOADERS = (
    # What code that makes up module names calls.
    *("use_module", "require_module", "load_class", "load_module", "find_modules", "find_packages"),
    *("Module::Pluggable", "Module::Find", "Module::Load", "Module::Runtime", "Class::Load", "Class::Inspector"),
)

_LOADER_PARTS = ("_module", "_class", "find_packages", "Module::", "Class::")
"""What each of these has one of: fewer words to look for in files that have none."""

SHORT_NAMES = {
    # Functions that take the tail of a module's name, and the namespace it is in.
    "enable": "Plack::Middleware",
    "enable_if": "Plack::Middleware",
    "plugin": "Mojolicious::Plugin",
}


class Facts(Struct, frozen=True):
    """What a Perl file loads. The pairs are of a line and a name.

    `names` are literals that look like a module's name; `namespaces` those that names are made up from, where the
    file is `dynamic`: it loads modules by names it makes. `libs` are directories it adds to @INC, relative ones to
    its own or the working directory. `needed` are the modules without which it does not begin, where nothing but @INC
    is searched for them.
    """

    package: str = ""
    modules: tuple[tuple[int, str], ...] = ()
    files: tuple[tuple[int, str], ...] = ()
    names: tuple[tuple[int, str], ...] = ()
    namespaces: tuple[str, ...] = ()
    libs: tuple[str, ...] = ()
    dynamic: bool = False
    needed: tuple[str, ...] = ()


def _plain(facts: Facts) -> list[object]:
    literal = (facts.package, facts.modules, facts.files, facts.names)
    return [*literal, facts.namespaces, facts.libs, facts.dynamic, facts.needed]


def _facts(plain: list[Any]) -> Facts:
    package, modules, files, names, namespaces, libs, dynamic, needed = plain
    modules, files, names = (tuple((int(line), str(name)) for line, name in pairs) for pairs in (modules, files, names))
    namespaces, libs, needed = (tuple(map(str, texts)) for texts in (namespaces, libs, needed))
    return Facts(str(package), modules, files, names, namespaces, libs, bool(dynamic), needed)


@functools.lru_cache(maxsize=4096)
@cached(_plain, _facts)
def parse(source: bytes, application: bool = True) -> Facts:
    """What `source` loads; any bytes give an answer.

    Literal names count in an application's file, and in one that loads modules by made-up names.
    """
    if len(source) > MAX_SOURCE or b"\0" in source[:1024]:
        return Facts()
    text = _code(source.decode("utf-8", "replace"))

    def placed(pairs: Iterator[tuple[int, str]]) -> tuple[tuple[int, str], ...]:
        first: dict[str, int] = {}
        for at, name in pairs:
            first.setdefault(name, at)
        line, counted, lines = 1, 0, dict[int, int]()
        for at in sorted(first.values()):
            line += text.count("\n", counted, at)
            counted, lines[at] = at, line
        return tuple((lines[at], name) for name, at in first.items())

    package = _PACKAGE.search(text) if "package" in text else None
    dynamic = any(w in text for w in _LOADER_PARTS) and any(w in text for w in _LOADERS)
    dynamic = dynamic or any(True for _ in _at(text, ("require", "use"), _VARIABLE))
    made_up = [m.group(1).strip("/").replace("/", "::") for m in _at(text, ("require", "do"), _DIRECTORY)]
    dynamic = dynamic or bool(made_up)
    return Facts(
        package=package.group(1) if package else "",
        modules=placed(_modules(text)),
        files=placed((m.start(), m.group(1) or m.group(2)) for m in _at(text, ("require", "do"), _FILE)),
        names=placed(_names(text)) if application or dynamic else (),
        namespaces=tuple(dict.fromkeys((*_namespaces(text), *made_up))) if dynamic else (),
        libs=tuple(dict.fromkeys(_libs(text))),
        dynamic=dynamic,
        needed=tuple(_needed(text)),
    )


@cached(bool, bool)
def names_encodings(source: bytes) -> bool:
    """Whether `source` names encodings at run time, or one of East Asia."""
    if len(source) > MAX_SOURCE or b"ncod" not in source or _SAYS_ENCODE.search(source) is None:
        return False
    text = _code(source.decode("utf-8", "replace")).lower()
    if _CODING.search(text) is not None:
        return True
    return any(word in text for word in _EAST_ASIAN_WORDS) and _EAST_ASIAN.search(text) is not None


def _code(text: str) -> str:
    """The text without documentation (perlpod(1)) and what follows `__END__`; line numbers stay."""
    text = "\n" + text.replace("\r\n", "\n")
    out, at = [], 0
    while (start := text.find("\n=", at)) >= 0:
        out.append(text[at : start + 1])
        at = start + 1
        if text[start + 2 : start + 3].isalpha():
            cut = text.find("\n=cut", start)
            end = text.find("\n", cut + 1) if cut >= 0 else -1
            at = end if end >= 0 else len(text)
            out.append("\n" * text.count("\n", start + 1, at))
    out.append(text[at:])
    text = "".join(out)[1:]
    # AutoLoader's subroutines stand after __END__, and load modules too.
    if "AutoLoader" not in text and "SelfLoader" not in text:
        for mark in ("\n__END__", "\n__DATA__"):
            text = text.partition(mark)[0]
    return text


def _at(text: str, words: Iterable[str], pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
    """Matches of `pattern`, which begin with one of the words, outside of comments. Finding words is fast."""
    comments = Comments(text, ("#",), inner="; #")
    for word in words:
        at = text.find(word)
        while at >= 0:
            match = pattern.match(text, at)
            if match and not comments.hold(at):
                yield match
            at = text.find(word, at + 1)


def _modules(text: str) -> Iterator[tuple[int, str]]:
    """The modules that are loaded by name, each with the position in the text."""
    for match in _at(text, ("use", "no", "require"), _LOAD):
        name = match.group(1)
        yield match.start(), name
        end = text.find(";", match.end(), match.end() + MAX_STATEMENT)
        # Arguments may be modules (parent, base, aliased), or tails of names (POE, Catalyst).
        for argument in _QUOTED.findall(text[match.end() : end + 1]) if end > match.end() + 1 else ():
            yield match.start(), argument
            yield match.start(), f"{name}::{argument}"
    for match in _at(text, _HELPERS, _CALL):
        for name in _QUOTED.findall(match.group(1)):
            yield match.start(), name
    for match in _at(text, ("dbi:", "DBI:"), _DSN):
        yield match.start(), f"DBD::{match.group(1)}"


def _needed(text: str) -> Iterator[str]:
    """The modules that statements at the beginning use, before any subroutine or text in the text.

    None where the code adds to @INC.
    """
    if "@INC" in text or ("lib" in text and _AT_LIB.search(text)):
        return
    head = _BODY.split(text, maxsplit=1)[0]
    yield from dict.fromkeys(match[1] for match in _USE.finditer(head))


def _names(text: str) -> Iterator[tuple[int, str]]:
    for match in _QUALIFIED.finditer(text):
        before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 2]
        quoted = before in _QUOTES and after[:1] in _QUOTES
        if quoted or (after == "->" and not _NO_CLASS_AFTER.match(before)):
            yield match.start(), match.group()
    for match in _at(text, ("enable", "plugin"), _ENABLE):
        name = match.group(2)
        yield match.start(), name
        yield match.start(), f"{SHORT_NAMES[match.group(1)]}::{name}"


def _namespaces(text: str) -> Iterator[str]:
    names = [m.group(1) for pattern in (_PREFIX, _CLASS) for m in pattern.finditer(text)]
    yield from dict.fromkeys(names)


def _libs(text: str) -> Iterator[str]:
    if "lib" not in text and "@INC" not in text:
        return
    for match in _at(text, ("use", "unshift", "push"), _LIB):
        for double, single, words in _LIB_PATH.findall(match.group(1)):
            for path in words.split() if words else [double or single]:
                path = _BIN.sub(".", path)
                if "$" not in path and "@" not in path:
                    yield path
