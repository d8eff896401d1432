"""Ruby, its gems, and what its tools leave behind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from debloat.rules.language import (
    BACKTICKS,
    CommandLines,
    Language,
    Leftovers,
    PackageHome,
    Runtime,
    calls,
    in_library,
)

if TYPE_CHECKING:
    from debloat.closure import World


def _gem_is_installed(world: World, name: str) -> bool:
    from debloat.rules.languages.ruby.packages import gem_is_installed

    return gem_is_installed(world, name)


def _scripts_outside(world: World) -> Iterable[str]:
    from debloat.rules.languages.ruby.packages import stubs_outside

    return stubs_outside(world)


LANGUAGE = Language(
    "Ruby",
    suffixes=(".rb", ".ru", ".rake", ".gemspec", ".erb", ".thor", ".jbuilder"),
    file_names=frozenset(("Gemfile", "Rakefile", "Capfile", "Guardfile", "Thorfile", "gems.rb")),
    interpreters="j?ruby",
    shell_words=("ruby",),
    command_lines=CommandLines(
        # Kernel#`, #system, #exec, #spawn; Process.spawn; IO.popen; Open3.
        (b"`", b"%x", b"system", b"exec", b"spawn", b"popen", b"capture2", b"pipeline"),
        (
            calls(
                "system exec spawn popen capture2 capture3 pipeline",
                r"system|exec|spawn|popen[23]?e?|capture[23]e?|pipeline\w*",
                r"\w+,\s*|\{[^}\n]{0,200}\},\s*|",
                not_after=".",
                modules=r"Kernel\. Process\. IO\. Open3\. PTY\.",
            ),
        ),
        (BACKTICKS, r"%x[ \t]*[({\[<|/!]([^)}\]>/!\n]{1,1000})"),
    ),
    runtimes=(
        Runtime(
            "Ruby",
            r"lib/ruby/\d+\.\d+\.\d+",
            ("rubygems.rb",),
            (("bin/ruby",),),
            (
                *("bin/ruby*", "bin/gem", "bin/irb", "bin/erb", "bin/rdoc", "bin/ri", "bin/rake", "bin/bundle*"),
                *("bin/racc", "bin/rbs", "bin/typeprof", "bin/rdbg", "bin/syntax_suggest", "bin/test-unit"),
                *("bin/power_assert", "lib/ruby/**", "lib/libruby*", "include/ruby-*/**", "share/ri/**"),
                "share/man/man1/*",
            ),
        ),
    ),
    # gem(1), `Gem.dir`.
    package_homes=(
        PackageHome(
            ("gems", "specifications"),
            frozenset({"gems", "specifications", "extensions", "cache", "bundler", "build_info", "doc", "plugins"}),
        ),
    ),
    vendored=("gems", "vendor"),
    stores=(in_library("ruby"), "/var/lib/gems"),
    package_managers=("gem",),
    registry="gem",
    requested="requested",
    builders=frozenset(
        {
            *("bundler", "rubygems-update", "rake-compiler", "rake-compiler-dock", "gem-compiler", "mini_portile2"),
            *("pkg-config", "rubocop", "yard", "rdoc", "ronn", "fpm"),
        }
    ),
    leftovers=Leftovers(caches=(".sass-cache",)),
    archives={".gem": _gem_is_installed},
    scripts_outside=_scripts_outside,
    library=(
        *("/usr/lib/ruby/**", "/usr/lib/*/ruby/**", "/usr/share/ruby*/**", "/usr/local/lib/ruby/**"),
        *(f"/usr/{local}bin/{name}*" for local in ("", "local/") for name in ("irb", "erb", "gem", "rake", "bundle")),
        *("/var/lib/gems/*/**", "/usr/share/rubygems-integration/**"),
    ),
    rules=("rules",),
)
