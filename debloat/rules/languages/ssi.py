"""Server side includes: mod_include of Apache httpd, mod_ssi of lighttpd."""

from __future__ import annotations

from debloat.rules.language import TEXT, Calls, CommandLines, Language

LANGUAGE = Language(
    "Server side includes",
    suffixes=(".shtml", ".shtm", ".stm"),
    command_lines=CommandLines((b"#exec",), (Calls(("#exec",), rf"<!--#exec[ \t]+cmd[ \t]*=[ \t]*{TEXT}"),)),
)
