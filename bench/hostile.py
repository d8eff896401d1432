"""Hostile input: how the time of what reads untrusted bytes grows when the input does.

Each reader is given a piece over and over, which is what makes a pattern go back and forth, and four times as much of
it. Reading that is linear takes four times as long; quadratic, sixteen times.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from bench import store
from bench.stats import table
from debloat.core.errors import DebloatError
from debloat.debian import asked, control
from debloat.elf import facts, ldcache
from debloat.gate.dockerignore import Dockerignore
from debloat.image.carve import tar_header
from debloat.lock import heal
from debloat.record import trace
from debloat.rules import subprocesses
from debloat.rules.application import build, dockerfile
from debloat.rules.languages.compiled import rules as compiled
from debloat.rules.languages.compiled import source as compiled_source
from debloat.rules.languages.java import source as java
from debloat.rules.languages.node import source as node
from debloat.rules.languages.perl import source as perl
from debloat.rules.languages.php import source as php
from debloat.rules.languages.python import source as python
from debloat.rules.languages.python.requirements import requirements
from debloat.rules.languages.ruby import source as ruby
from debloat.rules.languages.shell import source as shell
from debloat.rules.system import configfiles
from debloat.store import documents, tar
from tests.support import trees

FIRST, LAST = 2 << 10, 128 << 10
"""Bytes to begin with, and to end with where reading them takes less than `ENOUGH`."""
ENOUGH = 0.02
"""Seconds that can be told from the next best."""
MEASURABLE = 0.001
"""Seconds below which the clock is too coarse for a ratio; a reader that is that quick with `LAST` cannot be slow."""
FACTOR = 4
GROWTH_MOST = 8.0
"""How many times the time `FACTOR` times the input may take: between linear and quadratic."""
TURNS = 3

Say = Callable[[str], None]
Read = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Reader:
    """Something that reads bytes of an image, and the pieces that are repeated for it."""

    name: str
    read: Read
    pieces: tuple[str, ...]
    head: str = ""
    """What stands before the pieces, without which it reads no further."""


@dataclass(frozen=True, slots=True)
class Growth:
    """What came of a piece: bytes, seconds that they took, how many times as long `FACTOR` times as much did."""

    reader: str
    piece: str
    size: int
    seconds: float
    ratio: float


NOTE = '{"format":"debloat-canary","version":1,'
LOCK = "GEM\n  specs:\n    a (1)\n"
CALLS = ("system(", "popen(a, '", "`a", "system('a', ", "qx(", "exec [", "\\", "system {", "popen \n", "new A\\")
IMAGE = trees.world({"/etc/a/b": "", "/usr/share/zoneinfo/UTC": "", "/usr/bin/gm": ("0755", b"")})


def _text(read: Callable[[str], object]) -> Read:
    return lambda data: read(data.decode())


def _all(read: Callable[[bytes], Iterator[Any]]) -> Read:
    return lambda data: list(read(data))


def _records(data: bytes) -> object:
    """The members of a tar that has these PAX records alone."""
    whole = tar_header(b"x", tarfile.XHDTYPE, size=len(data)) + data + bytes(-len(data) % tar.BLOCK) + tar_header(b"f")
    return list(tar.members(lambda size, at: whole[at : at + size], len(whole)))


READERS = (
    Reader("tar: records", _records, ("6 a=b\n", "14 SCHILY.x=y\n", "9", " ")),
    Reader(
        "manifests",
        lambda data: documents.parse_json(b"[" + data + b"1]", "x"),
        ("1,", "[", '{"a":1},', '"a",', '{"a":'),
    ),
    Reader("dpkg: stanzas", control.stanzas, ("Package: a\n", "a", "\n", " a\n", "Package: a\n\n", "Depends: a,")),
    Reader("dpkg: relations", _text(control.relations), ("a, ", "a | ", "a (", "a (>= 1", "[", "a:")),
    Reader("dpkg: lists", control.listed, ("/a\n", "/", "/../")),
    Reader("dpkg: sums", control.md5sums, ("0123456789abcdef" * 2 + "  a\n", "a ", " ")),
    Reader("dpkg: diversions", control.diversions, ("/a\n", "\n")),
    Reader("ELF notes", _all(facts.notes), ("\0\0\0\0", "\4\0\0\0" * 3 + "GNU\0" + "aaaa")),
    Reader("ld.so.cache", ldcache.parse_cache, ("\0", "glibc-ld.so.cache1.1", "ld.so-1.7.0\0")),
    Reader(
        "events",
        lambda data: trace.parse_events(data, "main", {}),
        ("e\t0\topen\t-\t1\t/a\n", "p\t1\t/a\n", "\t"),
        "debloat-events\t1\tnotify\tx86_64\tmain\n",
    ),
    Reader(
        "history: instructions",
        _text(lambda text: dockerfile.destinations(dockerfile.instructions((text,)))),
        ("COPY a /b ", "RUN |1 A=b ", "A=b ", "#(nop) ", "SHELL [a -c] ", "$A", "--a=b ", "${A:-"),
        "RUN |9 A=b ",
    ),
    Reader(
        "history: RUN",
        _text(lambda text: build.runs(dockerfile.instructions((f"/bin/sh -c {text}",)))),
        ("apt-get install a ", "apt-get install a; ", "x=a; $x; ", "{a,b}", "sh -c 'a'; ", 'eval "$a"; ', "$(a "),
    ),
    Reader("canary: notes", partial(heal.parse, name="log"), (NOTE, f"{NOTE}{{", "[", "\n", f'{NOTE}"path":"/a"}}\n')),
    Reader("apt: marks", _text(asked.automatic), ("Package: a\n", "Auto-Installed: 1\n", "\n")),
    Reader("apt: log", _text(asked.logged), ("Install: ", "a:b (c), ", "(", "a"), "Install: "),
    Reader(
        "requirements", _text(lambda text: list(requirements(text.splitlines()))), ("a[", "a;", "a@", "#egg=", "a\n")
    ),
    Reader(
        "configuration",
        _text(lambda text: list(configfiles.commands([(1, text)]))),
        ("cmd=", "/a", "- x:", "* ", "command: [", '"\\', "exec_", "exec "),
    ),
    Reader("crontab", _text(lambda text: list(configfiles.jobs(text, with_user=True))), ("* ", "*\t", "@daily a %")),
    Reader(
        "shell",
        shell.parse,
        ("$(", "`", "${a:-", '"$(', "((", "if ", "a && ", "{ ", "<(", "case x in (", "a<<E\n", "a\n"),
    ),
    Reader(
        "Python",
        python.facts,
        ("(", "import a\n", "'", '"""', "f'{", "\\\n", "x.y.", "a if ", "from . import ", "[", "a = 'b'\n"),
    ),
    Reader("Python: literals", python.literals, ("'a' ", '"', "'''", "b'\\", "#", "f'{")),
    Reader(
        "Node",
        node.references,
        ("require(", "import ", "`${", "/*", "//", "a=>", "'", "/", "exec('a ", "require('a')\n", "({"),
    ),
    Reader(
        "Node: expressions",
        node.references,
        ("(", "[", "{", "[1, ", "a(", "`${", "f('a')(", "require(("),
        "require('a'); ",
    ),
    Reader(
        "Perl",
        perl.parse,
        ("use A ", "=a\n", "\n=cut", "use lib '", "with '", "A::", "require (", "eval {", '"A::', "# use\t"),
    ),
    Reader(
        "Ruby",
        ruby.parse,
        (
            *("require ", "require 'a'\n", "autoload :A", "require File.join(", "gem '", "# require 'x' ", "=begin\n"),
            *("require ['a', ", "'a', ", "require (", "A = ", "require %w["),
            *("%w[a].each { |f| ", "a = a + 'b'; require a\n", "require a + ", "x <<E\n", 'require "#{'),
        ),
    ),
    Reader("ERB", partial(ruby.parse, template=True), ("<%", "%>", "<% require 'a' %>", "<%#")),
    Reader(
        "Gemfile", _text(lambda text: ruby.bundled(LOCK, text)), ("group :a do\n", "gem 'a'\n", "gem 'a', ", "end\n")
    ),
    Reader(
        "PHP",
        php.includes,
        ("require ", "include(", "require __DIR__ . ", "require '", "dirname(__DIR__", "\n", " ", "a", "<?php "),
    ),
    Reader(
        "PHP: expressions",
        php.includes,
        (
            *("$a = $a . 'b'; require $a;\n", "require 'a' . ", "foreach (['a'] as $f) { require $f;\n", "dirname("),
            *("(", "require ", "'a', ", "[", "$a = ", "define('a', ", "['a', "),
        ),
        "<?php require ",
    ),
    Reader(
        "dockerignore", _text(lambda text: Dockerignore(text)("a/b/c")), ("**a", "*", "a/**/b\n", "!a\n", "[", "**/")
    ),
    Reader("Java: strings", java.strings, ("\1\0\1a",), "\xca\xfe\xba\xbe\0\0\0\x34\xff\xff"),
    Reader("Java: commands", _text(lambda text: list(java.commands((text,)))), ("sort -u ", "a | ", "/bin/a ")),
    Reader(
        "compiled: literals",
        lambda data: compiled_source.literals(compiled_source.read_program(data)),
        ("a\0", "\x7fELF", "/etc/"),
    ),
    Reader(
        "compiled: paths", _all(lambda data: compiled.paths(data, IMAGE)), ("/etc/", "/usr/bin/gm", "/etc/a\0", "/")
    ),
    Reader("compiled: commands", _text(compiled.commands), ("a | ", "sort -u ", "$(", "a && b ", "; ")),
    *(
        Reader(f"command lines of {forms.language.name}", partial(subprocesses.lines, reader=forms), CALLS)
        for forms in subprocesses.READERS
    ),
)


def run(say: Say, *, only: Sequence[str] = ()) -> dict[str, Any]:
    """Measure every piece of the readers whose name holds one of `only`, or of all; no engine is asked."""
    found = []
    for reader in READERS:
        if not only or any(word in reader.name for word in only):
            say(reader.name)
            found += [asdict(measured(reader, piece)) for piece in reader.pieces]
    return store.result("hostile", pieces=found)


def measured(reader: Reader, piece: str, last: int = LAST) -> Growth:
    """The growth at the first size that takes long enough to be measured, or at the last."""
    size = FIRST
    while size < last and _seconds(reader, piece, size) < ENOUGH:
        size *= 2
    pairs = list[tuple[float, float]]()
    # In turns, so that a machine that slows down changes both; the best of some is what the work itself takes. What
    # looks slow gets more turns.
    while len(pairs) < TURNS or (len(pairs) < 3 * TURNS and _ratio(pairs) > GROWTH_MOST):
        pairs.append((_seconds(reader, piece, size), _seconds(reader, piece, FACTOR * size)))
    return Growth(reader.name, piece, size, round(min(less for less, _ in pairs), 5), round(_ratio(pairs), 2))


def _ratio(pairs: Sequence[tuple[float, float]]) -> float:
    return min(more for _, more in pairs) / max(min(less for less, _ in pairs), 1e-9)


def _seconds(reader: Reader, piece: str, size: int) -> float:
    """Processor time of reading that much of a piece; no two inputs are the same, so that no answer is remembered."""
    unit = piece.encode("latin-1")
    data = reader.head.encode("latin-1") + unit * (size // len(unit)) + b"%d" % next(_turns)
    gc.disable()  # when it runs depends on what was made before
    begun = time.process_time()
    with contextlib.suppress(DebloatError, ValueError):  # what is refused takes time too
        reader.read(data)
    taken = time.process_time() - begun
    gc.enable()
    return taken


_turns = itertools.count()


def bars(result: dict[str, Any]) -> list[tuple[str, float, float]]:
    """What must hold: (what, measured, at most)."""
    return [
        (f"times the time for {FACTOR} times the input, {row['reader']}: {row['piece']!r}", row["ratio"], GROWTH_MOST)
        for row in worst(result)
    ]


def worst(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Of each reader the piece with the largest growth, among those that took long enough to tell."""
    found: dict[str, dict[str, Any]] = {}
    for row in result["pieces"]:
        if row["seconds"] >= MEASURABLE and row["ratio"] > found.get(row["reader"], row | {"ratio": 0.0})["ratio"]:
            found[row["reader"]] = row
    return list(found.values())


def summary(result: dict[str, Any], *, markdown: bool = False) -> str:
    rows = [
        (
            row["reader"],
            f"`{row['piece']!r}`" if markdown else repr(row["piece"]),
            f"{row['size'] >> 10} KB",
            f"{row['seconds'] * 1000:.1f} ms",
            f"{row['ratio']:.2f}",
        )
        for row in worst(result)
    ]
    return table(("reads", "worst piece", "of", "takes", f"{FACTOR} times as much"), rows, markdown=markdown)
