"""Programs that source code starts by literal command lines, in the languages whose records say how.

The calls are searched for in the text: which branch runs one is not known. Names that are made at run time are
not known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from msgspec import Struct

from debloat.closure import Rule, World
from debloat.core.model import Entry, Level, Want
from debloat.core.parsed import cached
from debloat.rules import languages
from debloat.rules.cmdline import programs, programs_of_argv
from debloat.rules.commands import is_template, reachable_program
from debloat.rules.comments import Comments
from debloat.rules.interpreters import is_script_of, script_head
from debloat.rules.language import TEXT, Calls, CommandLines, Language
from debloat.selector import FILES, SCRIPT, Selector

MAX_SOURCE = 2 << 20

_NEXT = re.compile(rf"\s*(?:,|=>)?\s*{TEXT}")


class Reader(Struct, frozen=True):
    """The command lines of one language, ready to be searched for."""

    suffixes: tuple[str, ...]
    language: Language
    words: tuple[bytes, ...]
    calls: tuple[tuple[Calls, re.Pattern[str], re.Pattern[str]], ...]
    quotes: tuple[re.Pattern[str], ...]

    @classmethod
    def of(cls, language: Language, forms: CommandLines) -> Reader:
        """The reader of a language whose source starts programs in these forms."""
        return cls(
            (*language.suffixes, *forms.suffixes),
            language,
            forms.words,
            tuple((calls, re.compile(calls.pattern), re.compile(calls.not_after)) for calls in forms.calls),
            tuple(re.compile(pattern) for pattern in forms.quotes),
        )

    def matches(self, text: str) -> Iterator[re.Match[str]]:
        """The calls in a text, those within the first argument of another as well.

        What looks like a call may be the end of a literal (`case '/exec': echo shell_exec('date')`), and its argument
        the code up to the next one.
        """
        for calls, pattern, not_after in self.calls:
            at = 0 if any(word in text for word in calls.words) else len(text) + 1
            while match := pattern.search(text, at) if at <= len(text) else None:
                start = match.start()
                if start and not_after.match(text, start - 1):
                    at = start + 1
                else:
                    yield match
                    at = max(match.start(1), match.start(2))


READERS = tuple(
    Reader.of(language, language.command_lines) for language in languages.known() if language.command_lines is not None
)


class LiteralCommands(Rule):
    """The programs in literal command lines of kept code, through PATH.

    The application's code may name any program; a package's, those that it may assume, and in calls only: backticks
    are quotation marks in much of its documentation.
    """

    name = "subprocess"
    level = Level.SAFE
    selector = Selector(FILES, endings=tuple(s for reader in READERS for s in reader.suffixes), formats=SCRIPT)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        reader = _reader(entry, world)
        if reader is None:
            return
        own = not world.packages.owners(entry.path)
        for word in lines(world.rootfs.read(entry.path), reader, own):
            path = reachable_program(world, word, entry.path)
            if path is not None:
                yield self.want(path, entry.path, word)


def _reader(entry: Entry, world: World) -> Reader | None:
    if not 0 < entry.size <= MAX_SOURCE:
        return None
    for reader in READERS:
        if entry.name.endswith(reader.suffixes):
            return reader
    head = script_head(entry, world)
    if not head or is_template(world, entry.path):
        return None
    return next((reader for reader in READERS if is_script_of(reader.language, head)), None)


def lines(source: bytes, reader: Reader, quotes: bool = True) -> tuple[str, ...]:
    """The words of a source file that run programs, sorted; with `quotes` those in backticks and their like too."""
    return _lines(source, reader.language.name, quotes)


@cached(list, tuple)
def _lines(source: bytes, language: str, quotes: bool) -> tuple[str, ...]:
    reader = next(reader for reader in READERS if reader.language.name == language)
    if b"\0" in source[:1024] or not any(word in source for word in reader.words):
        return ()
    return tuple(sorted(set(_words(source.decode("utf-8", "replace"), reader, quotes))))


def _words(text: str, reader: Reader, quotes: bool) -> Iterator[str]:
    comments = Comments(text, ("#", "//", "*", "/*"), but="#{")
    for match in reader.matches(text):
        if comments.hold(match.start()):
            continue
        first, rest = match[1] or match[2], _further(text, match.end())
        # With further arguments no shell reads the first.
        yield from programs_of_argv((first, *rest)) if rest and " " not in first else programs(first.strip(" |"))
    for pattern in reader.quotes if quotes else ():
        for match in pattern.finditer(text):
            if not comments.hold(match.start()):
                yield from programs(match[1])


def _further(text: str, at: int) -> tuple[str, ...]:
    literals = list[str]()
    while len(literals) < 8 and (match := _NEXT.match(text, at)):
        literals.append(match[1] or match[2])
        at = match.end()
    return tuple(literals)


RULES: tuple[Rule, ...] = (LiteralCommands(),)
