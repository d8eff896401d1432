"""PHP."""

from __future__ import annotations

from debloat.rules.language import BACKTICKS, CommandLines, Language, Runtime, calls

LANGUAGE = Language(
    "PHP",
    suffixes=(".php", ".inc", ".phtml", ".php5", ".php7", ".php8", ".module", ".phar"),
    interpreters="php",
    shell_words=("php",),
    command_lines=CommandLines(
        # PHP manual: Program execution.
        (b"`", b"shell_exec", b"exec", b"passthru", b"system", b"popen", b"proc_open", b"Process"),
        (
            calls(
                "exec passthru system popen proc_open Process",
                r"shell_exec|exec|passthru|system|popen|proc_open|pcntl_exec|new\s+\\?(?:\w+\\)*Process",
                modules=r"\\",
            ),
        ),
        (BACKTICKS,),
    ),
    runtimes=(
        Runtime(
            "PHP",
            "include/php/main",
            ("php.h",),
            (("bin/php", "sbin/php-fpm", "lib/php/**"),),
            (
                *("bin/php*", "bin/phar*", "bin/pear*", "bin/pecl", "sbin/php-fpm", "include/php/**"),
                *("lib/php/**", "lib/libphp*", "php/**"),
            ),
        ),
    ),
    vendored=("vendor",),
    stores=("/usr/share/php",),
    rules=("rules",),
)
