"""What Ruby code and bundles say, read from their text alone: features, files and gems that they load by name.

Statements are searched for in the text; nothing is evaluated, and any bytes give an answer.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_SOURCE = 2 << 20
"""Bytes of a file that are read; larger ones are data."""

_STRING = r"(?:\"([^\"\n#]{1,300})\"|'([^'\n]{1,300})')"
_REQUIRE = re.compile(rf"(?<![\w.:@$])(require|load|gem)[ \t(]+{_STRING}")
_RELATIVE = re.compile(rf"(?<![\w.:@$])require_relative[ \t(]+{_STRING}")
_AUTOLOAD = re.compile(rf"(?<![\w:@$])autoload[ \t(]+:?[\w\"']+,?[ \t]*{_STRING}")
_EXPANDED = re.compile(
    rf"(?<![\w.:@$])(?:require|load)[ \t(]+File\.(?:expand_path|join)[ \t(]+(?:__dir__,[ \t]*)?{_STRING}"
    r"[ \t]*(?:,[ \t]*(__FILE__|__dir__))?"
)
_MADE = re.compile(r"(?<![\w.:@$])(?:require|autoload[ \t(]+:?\w+,)[ \t(]+[\"']([a-z][\w/-]*/)#\{")
_TRIED = re.compile(r"(?:try_require|require_dir|load_plugins?)[ \t(]+[\"']([a-z][\w/-]*)[\"']")
_BIN_PATH = re.compile(r"(?:activate_)?bin_path[ \t(]+[\"']([\w.-]+)[\"']")

_LOCKED = re.compile(r"^ {4}([\w.-]+) \(([^)\n]+)\)$", re.MULTILINE)
_LOCK_DEPENDENCY = re.compile(r"^ {6}([\w.-]+)", re.MULTILINE)
_GROUP = re.compile(r"^\s*group[ (](.*?)\)?\s+do\b")
_GEMFILE_GEM = re.compile(r"^\s*gem[ (]\s*[\"']([\w.-]+)[\"'](.*)$")
IDLE_GROUPS = frozenset(("development", "test"))


@dataclass(frozen=True, slots=True)
class Facts:
    """What a Ruby file loads: pairs of a line and a name; `made` are prefixes of features with made-up names."""

    features: tuple[tuple[int, str], ...] = ()
    relative: tuple[tuple[int, str], ...] = ()
    gems: tuple[tuple[int, str], ...] = ()
    made: tuple[tuple[int, str], ...] = ()


@functools.lru_cache(maxsize=4096)
def parse(source: bytes) -> Facts:
    """What `source` loads by literal names: statements are searched for, outside comments and before `__END__`."""
    text = source.partition(b"\n__END__")[0].decode("utf-8", "replace")
    features, relative = list[tuple[int, str]](), list[tuple[int, str]]()
    gems, made = list[tuple[int, str]](), list[tuple[int, str]]()
    for match in _at(text, ("require ", "require(", "load ", "load(", "gem ", "gem("), _REQUIRE):
        name = match[2] or match[3]
        (gems if match[1] == "gem" else features).append((match.start(), name))
    features += [(m.start(), m[1] or m[2]) for m in _at(text, ("autoload",), _AUTOLOAD)]
    relative += [(m.start(), m[1] or m[2]) for m in _at(text, ("require_relative",), _RELATIVE)]
    for match in _at(text, ("require", "load"), _EXPANDED):
        # Relative to __FILE__, the first step up leaves the file's own name.
        name = (match[1] or match[2]).lstrip("/")
        relative.append((match.start(), name.removeprefix("../") if match[3] == "__FILE__" else name))
    gems += [(m.start(), m[1]) for m in _at(text, ("activate_bin_path", "bin_path"), _BIN_PATH)]
    made += [(m.start(), m[1]) for m in _at(text, ("require", "autoload"), _MADE)]
    made += [(m.start(), m[1] + "/") for m in _at(text, ("try_require", "require_dir", "load_plugin"), _TRIED)]

    def placed(found: list[tuple[int, str]]) -> tuple[tuple[int, str], ...]:
        first: dict[str, int] = {}
        for at, name in sorted(found):
            first.setdefault(name, text.count("\n", 0, at) + 1)
        return tuple((line, name) for name, line in first.items())

    return Facts(placed(features), placed(relative), placed(gems), placed(made))


def _at(text: str, words: Iterable[str], pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
    for word in words:
        at = text.find(word)
        while at >= 0:
            match = pattern.match(text, at)
            if match and not text[text.rfind("\n", 0, at) + 1 : at].lstrip().startswith("#"):
                yield match
            at = text.find(word, at + 1)


def bundled(lock: str, gemfile: str) -> tuple[tuple[str, str], ...]:
    """Names and versions of the gems that a bundle needs at run time, sorted."""
    versions, depends, current = dict[str, str](), dict[str, list[str]](), ""
    for line in lock.splitlines():
        if match := _LOCKED.match(line):
            current = match[1]
            versions[current] = match[2]
        elif (match := _LOCK_DEPENDENCY.match(line)) and current:
            depends.setdefault(current, []).append(match[1])
        elif not line.startswith("      "):
            current = ""
    todo = [name for name in _wanted(gemfile) if name in versions] if gemfile else list(versions)
    found = set[str]()
    while todo:
        name = todo.pop()
        if name in versions and name not in found:
            found.add(name)
            todo.extend(depends.get(name, ()))
    return tuple((name, versions[name]) for name in sorted(found))


def _wanted(gemfile: str) -> Iterator[str]:
    """The gems of a Gemfile outside of idle groups; blocks are told by `do` and `end` at the line's ends."""
    blocks: list[bool] = []
    for line in gemfile.splitlines():
        stripped = line.strip()
        group = _GROUP.match(line)
        if match := _GEMFILE_GEM.match(line):
            named = re.search(r"groups?:?\s*(?:=>)?\s*(\[[^\]]*\]|:\w+)", match[2])
            if not any(blocks) and not (named and _idle(named[1])):
                yield match[1]
        elif stripped.endswith((" do", "|")) or stripped.startswith(("if ", "unless ", "case ")):
            blocks.append(group is not None and _idle(group[1]))
        elif stripped == "end" and blocks:
            blocks.pop()


def _idle(groups: str) -> bool:
    names = re.findall(r"\w+", groups)
    return bool(names) and all(name in IDLE_GROUPS for name in names)
