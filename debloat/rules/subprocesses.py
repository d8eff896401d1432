"""Programs that source code starts by literal command lines; Python's and Node's rules read their own.

The calls are searched for in the text: which branch runs one is not known. Names that are made at run time cannot
be told.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from debloat.closure import Rule, World
from debloat.core.model import Entry, Level, Want
from debloat.rules.cmdline import programs, vector
from debloat.rules.commands import inert, reached

MAX_SOURCE = 2 << 20

_TEXT = r"(?:\"((?:[^\"\\\n]|\\.){1,1000})\"|'((?:[^'\\\n]|\\.){1,1000})')"
_NEXT = re.compile(rf"\s*(?:,|=>)?\s*{_TEXT}")
_NEVER = re.compile(r"(?!)")
_QUOTES = re.compile(r"`([^`\n]{1,1000})`")


@dataclass(frozen=True, slots=True)
class Calls:
    """A pattern of calls, and texts one of which stands in a file that has any: finding texts is fast.

    `not_after` is what the character before a call must not be. It stands apart, for a pattern that begins with what
    can be searched for costs a fifth of one that looks back first.
    """

    words: tuple[str, ...]
    pattern: re.Pattern[str]
    not_after: re.Pattern[str] = _NEVER

    def found(self, text: str) -> Iterator[re.Match[str]]:
        """The calls in a text, those within the first argument of another as well.

        What looks like a call may be the end of a literal (`case '/exec': echo shell_exec('date')`), and its argument
        the code up to the next one.
        """
        if not any(word in text for word in self.words):
            return
        at = 0
        while match := self.pattern.search(text, at):
            start = match.start()
            if start and self.not_after.match(text, start - 1):
                at = start + 1
            else:
                yield match
                at = max(match.start(1), match.start(2))


def _calls(words: str, names: str, between: str = "", not_after: str = "", modules: str = "") -> Calls:
    """Calls of functions, with one of the modules before the name or none, whose first argument, after what may stand
    before it, is a literal text."""
    heads = "|".join(module + name for module in (*modules.split(), "") for name in names.split("|"))
    pattern = re.compile(rf"(?:{heads})[ \t]*(?:\([ \t\n]*)?(?:{between})(?:\[|c\(|array\()?[ \t\n]*{_TEXT}")
    return Calls(tuple(words.split()), pattern, re.compile(rf"[\w$@%&>:{not_after}-]"))


@dataclass(frozen=True, slots=True)
class Language:
    """How a language starts programs: its files' suffixes and interpreters, words to look for, calls and quotes."""

    suffixes: tuple[str, ...]
    interpreter: re.Pattern[bytes]
    words: tuple[bytes, ...]
    calls: tuple[Calls, ...]
    quotes: tuple[re.Pattern[str], ...] = ()


LANGUAGES = (
    Language(
        # Server side includes: mod_include of Apache httpd, mod_ssi of lighttpd.
        (".shtml", ".shtm", ".stm"),
        re.compile(rb"(?!)"),
        (b"#exec",),
        (Calls(("#exec",), re.compile(rf"<!--#exec[ \t]+cmd[ \t]*=[ \t]*{_TEXT}")),),
    ),
    Language(
        # perlop(1), qx; perlfunc(1), system, exec, open; IPC::Open3(3perl).
        (".pl", ".pm", ".psgi", ".cgi", ".fcgi", ".t"),
        re.compile(rb"#![^\n]*\bperl"),
        (b"`", b"qx", b"system", b"exec", b"open", b"capture", b"run"),
        (
            _calls("system exec capture run", "system|exec|capturex?|run3?"),
            _calls("-| |-", "open", r"[^;\n'\"]{0,80},\s*['\"](?:-\||\|-)[^'\"]{0,20}['\"]\s*,\s*"),
            _calls("|' |\" '| \"|", "open", r"[^;\n'\"]{0,80},\s*(?=['\"]\s*\||['\"][^'\"\n]{1,400}\|\s*['\"])"),
            _calls("open2 open3", "open[23]", r"(?:[^,;\n'\"]{0,60},\s*){2,3}", modules="IPC::Open[23]::"),
        ),
        (
            _QUOTES,
            re.compile(r"\bqx[ \t]*[({\[<|/!]([^)}\]>|/!\n]{1,1000})"),
            re.compile(r"\bqx[ \t]*[({]([^)}\n]{1,1000})"),
        ),
    ),
    Language(
        # Ruby's Kernel#`, #system, #exec, #spawn; Process.spawn; IO.popen; Open3.
        (".rb", ".ru", ".rake", ".gemspec", ".erb"),
        re.compile(rb"#![^\n]*\bruby"),
        (b"`", b"%x", b"system", b"exec", b"spawn", b"popen", b"capture2", b"pipeline"),
        (
            _calls(
                "system exec spawn popen capture2 capture3 pipeline",
                r"system|exec|spawn|popen[23]?e?|capture[23]e?|pipeline\w*",
                r"\w+,\s*|\{[^}\n]{0,200}\},\s*|",
                not_after=".",
                modules=r"Kernel\. Process\. IO\. Open3\. PTY\.",
            ),
        ),
        (_QUOTES, re.compile(r"%x[ \t]*[({\[<|/!]([^)}\]>/!\n]{1,1000})")),
    ),
    Language(
        # PHP manual: Program execution.
        (".php", ".inc", ".phtml", ".module"),
        re.compile(rb"#![^\n]*\bphp"),
        (b"`", b"shell_exec", b"exec", b"passthru", b"system", b"popen", b"proc_open", b"Process"),
        (
            _calls(
                "exec passthru system popen proc_open Process",
                r"shell_exec|exec|passthru|system|popen|proc_open|pcntl_exec|new\s+\\?(?:\w+\\)*Process",
                modules=r"\\",
            ),
        ),
        (_QUOTES,),
    ),
    Language(
        # R: system, system2, pipe, Sys.which (base).
        (".R", ".r", ".Rmd", ".qmd"),
        re.compile(rb"#![^\n]*\bRscript"),
        (b"system", b"pipe(", b"Sys.which"),
        (_calls("system pipe which shell", r"system2?|pipe|Sys\.which|shell", not_after=".", modules="base::"),),
    ),
    Language(
        # Lua 5.4 manual, 6.8 and 6.9; ngx.pipe of OpenResty. Web servers and proxies have Lua in their configuration.
        (".lua", ".luac", ".conf", ".cfg"),
        re.compile(rb"#![^\n]*\b(?:lua|resty)"),
        (b"popen", b"os.execute", b"spawn"),
        (_calls("popen execute spawn", r"io\.popen|os\.execute|ngx_pipe\.spawn|pipe\.spawn", r"\{[ \t]*|", "."),),
    ),
    Language(
        # Elixir's System.cmd and System.shell; Erlang's os:cmd and open_port.
        (".ex", ".exs", ".erl", ".escript", ".eex", ".heex"),
        re.compile(rb"#![^\n]*\b(?:elixir|escript)"),
        (b"System.", b":os.cmd", b"os:cmd", b"spawn"),
        (
            _calls("System. os.cmd", r"System\.cmd|System\.shell|System\.find_executable", not_after="."),
            # An atom's colon stands before `:os.cmd`, and none of it is a name.
            Calls(("os",), re.compile(rf"\bos[.:](?:cmd|find_executable)\([ \t]*(?:~c)?{_TEXT}")),
            Calls(("spawn",), re.compile(rf"\{{:?spawn(?:_executable)?,[ \t]*{_TEXT}")),
        ),
    ),
    Language(
        # java.lang.ProcessBuilder and Runtime.exec, where a server compiles the source; Groovy's "line".execute().
        (".jsp", ".jspx", ".jspf", ".tag", ".java", ".groovy", ".gsp", ".kts", ".bsh"),
        re.compile(rb"#![^\n]*\b(?:java|groovy)"),
        (b"ProcessBuilder", b"exec(", b".execute("),
        (
            _calls("ProcessBuilder", "ProcessBuilder", r"(?:List\.of|Arrays\.asList|listOf)\(|"),
            Calls(("exec(",), re.compile(rf"\.exec\([ \t]*(?:new[ \t]+String[ \t]*\[[ \t]*\][ \t]*\{{[ \t]*)?{_TEXT}")),
            Calls((".execute(",), re.compile(rf"{_TEXT}\.execute\(")),
        ),
    ),
    Language(
        # System.Diagnostics.Process, where ASP.NET compiles the source.
        (".aspx", ".ascx", ".ashx", ".asmx", ".cshtml", ".cs", ".csx", ".ps1"),
        re.compile(rb"#![^\n]*\b(?:csharp|dotnet-script)"),
        (b"Process",),
        (_calls("Start StartInfo", r"Process\.Start|ProcessStartInfo", "", ".", r"System\.Diagnostics\."),),
    ),
    Language(
        # exec(3tcl), open(3tcl): a pipeline of bare words.
        (".tcl", ".tml", ".adp"),
        re.compile(rb"#![^\n]*\b(?:tclsh|wish)|#![^\n]*sh\b[^\n]*\n(?:#[^\n]*\n){0,4}exec (?:tclsh|wish)"),
        (b"exec", b"|", b"auto_execok"),
        (),
        (
            re.compile(r"(?:^|[\[{;])[ \t]*exec[ \t]+(?:-[\w-]+[ \t]+){0,4}([^\]\n\"{}$]{1,1000})", re.MULTILINE),
            re.compile(r"\bopen[ \t]+[\"{]\|[ \t]*([^}\n\"$]{1,1000})"),
            re.compile(r"\bauto_execok[ \t]+([\w./-]{1,100})"),
        ),
    ),
    Language(
        # Guile's system and open-input-pipe, SBCL's and UIOP's run-program.
        (".scm", ".lisp", ".lsp", ".cl", ".asd", ".ros"),
        re.compile(rb"#![^\n]*\b(?:guile|sbcl|clisp|ecl)"),
        (b"system", b"pipe", b"run-program", b"launch-program"),
        (
            Calls(
                ("system", "pipe", "program"),
                re.compile(
                    r"\((?:system\*?|open-(?:input-|output-|input-output-)?pipe\*?|(?:[\w-]+:)?(?:run|launch)-program)"
                    rf"\s+(?:'\(|\(list\s+)?{_TEXT}"
                ),
            ),
        ),
    ),
)


class CommandLines(Rule):
    """The programs in literal command lines of kept code, through PATH.

    The application's code may name any program; a package's, those of its own circle, and in calls only: backticks
    are quotation marks in much of its documentation.
    """

    name = "subprocess"
    level = Level.SAFE

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        language = _language(entry, world)
        if language is None:
            return
        own = not world.packages.owners(entry.path)
        for word in lines(world.rootfs.read(entry.path), language, own):
            path = reached(world, word, entry.path)
            if path is not None:
                yield self.want(path, entry.path, word)


def _language(entry: Entry, world: World) -> Language | None:
    if not entry.is_file or not 0 < entry.size <= MAX_SOURCE:
        return None
    for language in LANGUAGES:
        if entry.name.endswith(language.suffixes):
            return language
    if not entry.executable or "." in entry.name:
        return None
    head = world.rootfs.read(entry.path, 256)
    if not head.startswith(b"#!") or inert(world, entry.path):
        return None
    return next((language for language in LANGUAGES if language.interpreter.match(head)), None)


@functools.lru_cache(maxsize=4096)
def lines(source: bytes, language: Language, quotes: bool = True) -> tuple[str, ...]:
    """The words of a source file that run programs, sorted; with `quotes` those in backticks and their like too."""
    if b"\0" in source[:1024] or not any(word in source for word in language.words):
        return ()
    return tuple(sorted(set(_words(source.decode("utf-8", "replace"), language, quotes))))


def _words(text: str, language: Language, quotes: bool) -> Iterator[str]:
    for match in (match for calls in language.calls for match in calls.found(text)):
        if _commented(text, match.start()):
            continue
        first, rest = match[1] or match[2], _further(text, match.end())
        # With further arguments no shell reads the first.
        yield from vector((first, *rest)) if rest and " " not in first else programs(first.strip(" |"))
    for pattern in language.quotes if quotes else ():
        for match in pattern.finditer(text):
            if not _commented(text, match.start()):
                yield from programs(match[1])


def _commented(text: str, at: int) -> bool:
    line = text[text.rfind("\n", 0, at) + 1 : at].lstrip()
    return line.startswith(("#", "//", "*", "/*")) and not line.startswith("#{")


def _further(text: str, at: int) -> tuple[str, ...]:
    found = list[str]()
    while len(found) < 8 and (match := _NEXT.match(text, at)):
        found.append(match[1] or match[2])
        at = match.end()
    return tuple(found)


RULES: tuple[Rule, ...] = (CommandLines(),)
