""".NET: C#, PowerShell, ASP.NET."""

from __future__ import annotations

from debloat.rules.language import CommandLines, Language, Runtime, calls

LANGUAGE = Language(
    ".NET",
    # What ASP.NET compiles when it is asked for it, and scripts.
    suffixes=(".aspx", ".ascx", ".ashx", ".asmx", ".cshtml", ".cs", ".csx", ".ps1"),
    interpreters="csharp|dotnet-script",
    command_lines=CommandLines(
        # System.Diagnostics.Process.
        (b"Process",),
        (calls("Start StartInfo", r"Process\.Start|ProcessStartInfo", "", ".", r"System\.Diagnostics\."),),
    ),
    runtimes=(
        Runtime(
            ".NET SDK",
            "sdk/[^/]+",
            ("dotnet.dll",),
            (("dotnet",),),
            ("sdk/**", "sdk-manifests/**", "packs/**", "templates/**"),
        ),
    ),
)
