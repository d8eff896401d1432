"""Lisp: Guile and other Schemes, Common Lisp."""

from __future__ import annotations

from debloat.rules.language import TEXT, Calls, CommandLines, Language

LANGUAGE = Language(
    "Lisp",
    suffixes=(".scm", ".lisp", ".lsp", ".cl", ".asd", ".ros"),
    interpreters="guile|sbcl|clisp|ecl",
    command_lines=CommandLines(
        # Guile's system and open-input-pipe, SBCL's and UIOP's run-program.
        (b"system", b"pipe", b"run-program", b"launch-program"),
        (
            Calls(
                ("system", "pipe", "program"),
                r"\((?:system\*?|open-(?:input-|output-|input-output-)?pipe\*?|(?:[\w-]+:)?(?:run|launch)-program)"
                rf"\s+(?:'\(|\(list\s+)?{TEXT}",
            ),
        ),
    ),
)
