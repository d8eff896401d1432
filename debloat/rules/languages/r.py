"""R."""

from __future__ import annotations

from debloat.rules.language import CommandLines, Language, calls

LANGUAGE = Language(
    "R",
    suffixes=(".R", ".r", ".Rmd", ".qmd"),
    interpreters="Rscript|R(?![a-z])",
    command_lines=CommandLines(
        # system, system2, pipe, Sys.which (base).
        (b"system", b"pipe(", b"Sys.which"),
        (calls("system pipe which shell", r"system2?|pipe|Sys\.which|shell", not_after=".", modules="base::"),),
    ),
    library=("/usr/lib/R/**", "/usr/local/lib/R/**"),
    stores=("/usr/lib/R/library",),
)
