"""Tcl and Tk."""

from __future__ import annotations

from debloat.rules.language import CommandLines, Language

LANGUAGE = Language(
    "Tcl",
    suffixes=(".tcl", ".tml", ".adp"),
    interpreters="tclsh|wish",
    # tclsh(1): `exec tclsh "$0" "$@"`.
    polyglot=True,
    shell_words=("tclsh",),
    library=("/usr/share/tcltk/**", "/usr/lib/tcltk/**", "/usr/lib/*/tcltk/**"),
    command_lines=CommandLines(
        # exec(3tcl), open(3tcl): a pipeline of bare words.
        (b"exec", b"|", b"auto_execok"),
        quotes=(
            r"(?m)(?:^|[\[{;])[ \t]*exec[ \t]+(?:-[\w-]+[ \t]+){0,4}([^\]\n\"{}$]{1,1000})",
            r"\bopen[ \t]+[\"{]\|[ \t]*([^}\n\"$]{1,1000})",
            r"\bauto_execok[ \t]+([\w./-]{1,100})",
        ),
    ),
)
