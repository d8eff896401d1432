"""Erlang and Elixir."""

from __future__ import annotations

from debloat.rules.language import TEXT, Calls, CommandLines, Language, calls

LANGUAGE = Language(
    "Erlang",
    suffixes=(".ex", ".exs", ".erl", ".escript", ".eex", ".heex"),
    interpreters="elixir|escript",
    command_lines=CommandLines(
        # Elixir's System.cmd and System.shell; Erlang's os:cmd and open_port.
        (b"System.", b":os.cmd", b"os:cmd", b"spawn"),
        (
            calls("System. os.cmd", r"System\.cmd|System\.shell|System\.find_executable", not_after="."),
            # An atom's colon stands before `:os.cmd`, and none of it is a name.
            Calls(("os",), rf"\bos[.:](?:cmd|find_executable)\([ \t]*(?:~c)?{TEXT}"),
            Calls(("spawn",), rf"\{{:?spawn(?:_executable)?,[ \t]*{TEXT}"),
        ),
    ),
)
