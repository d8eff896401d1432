"""Perl, and what CPAN's tools leave behind."""

from __future__ import annotations

from debloat.rules.language import BACKTICKS, CommandLines, Language, Leftovers, Runtime, calls, in_library

LANGUAGE = Language(
    "Perl",
    suffixes=(".pm", ".pl", ".al", ".psgi", ".cgi", ".fcgi", ".ph"),
    interpreters="perl",
    # perlrun(1): what a script does where the kernel knows no `#!`.
    polyglot=True,
    shell_words=("perl",),
    command_lines=CommandLines(
        # perlop(1), qx; perlfunc(1), system, exec, open; IPC::Open3(3perl).
        (b"`", b"qx", b"system", b"exec", b"open", b"capture", b"run"),
        (
            calls("system exec capture run", "system|exec|capturex?|run3?"),
            calls("-| |-", "open", r"[^;\n'\"]{0,80},\s*['\"](?:-\||\|-)[^'\"]{0,20}['\"]\s*,\s*"),
            calls("|' |\" '| \"|", "open", r"[^;\n'\"]{0,80},\s*(?=['\"]\s*\||['\"][^'\"\n]{1,400}\|\s*['\"])"),
            calls("open2 open3", "open[23]", r"(?:[^,;\n'\"]{0,60},\s*){2,3}", modules="IPC::Open[23]::"),
        ),
        (BACKTICKS, r"\bqx[ \t]*[({\[<|/!]([^)}\]>|/!\n]{1,1000})", r"\bqx[ \t]*[({]([^)}\n]{1,1000})"),
        # A test is a program of its own, and loads nothing that the application would.
        suffixes=(".t",),
    ),
    runtimes=(
        Runtime(
            "Perl",
            r"lib/(?:perl5|perl)(?:/5[\d.]*)?",
            ("strict.pm",),
            (("bin/perl*",),),
            (
                *("bin/perl*", "bin/cpan*", "bin/corelist", "bin/enc2xs", "bin/encguess", "bin/h2*", "bin/instmodsh"),
                *("bin/json_pp", "bin/libnetcfg", "bin/piconv", "bin/pl2pm", "bin/pod*", "bin/prove", "bin/ptar*"),
                *("bin/shasum", "bin/splain", "bin/streamzip", "bin/xsubpp", "bin/zipdetails"),
                *("lib/perl5/**", "lib/perl/**", "share/man/**", "man/**"),
            ),
        ),
    ),
    stores=(in_library(r"perl[\w.-]*"), "/etc/perl"),
    package_managers=("cpan",),
    leftovers=Leftovers(caches=(".cpan", ".cpanm")),
    library=(
        *("/usr/share/perl/*/**", "/usr/lib/*/perl/*/**", "/usr/lib/*/perl-base/**"),
        *("/usr/local/lib/perl5/*/**", "/etc/perl/**"),
    ),
    rules=("rules",),
)
