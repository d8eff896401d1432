"""Lua, which web servers and proxies have in their configuration too."""

from __future__ import annotations

from debloat.rules.language import CommandLines, Language, calls

LANGUAGE = Language(
    "Lua",
    suffixes=(".lua", ".luac"),
    interpreters="lua|resty",
    shell_words=("lua",),
    command_lines=CommandLines(
        # Lua 5.4 manual, 6.8 and 6.9; ngx.pipe of OpenResty.
        (b"popen", b"os.execute", b"spawn"),
        (calls("popen execute spawn", r"io\.popen|os\.execute|ngx_pipe\.spawn|pipe\.spawn", r"\{[ \t]*|", "."),),
        suffixes=(".conf", ".cfg"),
    ),
    configures=(".lua",),
    library=("/usr/share/lua/**", "/usr/lib/*/lua/**", "/usr/local/share/lua/**", "/usr/local/lib/lua/**"),
)
