"""Language runtimes that were built from source into a prefix, recognised by what is in it.

Official language images have them in /usr/local, others in /opt: interpreter, standard library, headers, static
libraries, test suites. They are the distribution's part of such an image: nothing of them is kept for its own sake,
the languages' rules reach what is needed. What else is in the prefix stays the application's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from debloat.closure import World, derived
from debloat.core.globs import glob_regex
from debloat.image.rootfs import Rootfs


@dataclass(frozen=True, slots=True)
class Kind:
    """How a runtime is known: a file that only it has, more that must be there, and the globs of its parts.

    `marker` matches a path with the prefix as its group; `needs` and `parts` are globs relative to the prefix.
    One of each group of `needs` must exist.
    """

    language: str
    marker: str
    needs: tuple[tuple[str, ...], ...]
    parts: tuple[str, ...]


KINDS: tuple[Kind, ...] = (
    Kind(
        "Python",
        r"(.+)/lib/python3\.\d+/os\.py",
        (("bin/python3*", "include/python3*", "lib/libpython3*"),),
        (
            *("bin/python*", "bin/pip*", "bin/idle*", "bin/pydoc*", "bin/2to3*", "bin/easy_install*", "bin/wheel"),
            *("lib/python3*/**", "lib/libpython3*", "include/python3*/**", "share/man/man1/python*"),
        ),
    ),
    Kind(
        "Python environment",
        r"(.+)/pyvenv\.cfg",
        (("bin/python*",),),
        ("pyvenv.cfg", "bin/**", "lib/python3*/**", "lib64", "include/**", "share/man/**"),
    ),
    Kind(
        "Node",
        r"(.+)/bin/node",
        (("include/node/*", "lib/node_modules/npm/*"),),
        (
            *("bin/node", "bin/nodejs", "bin/npm", "bin/npx", "bin/corepack", "bin/yarn*", "bin/pnpm*"),
            *("lib/node_modules/**", "include/node/**", "share/systemtap/**", "share/doc/node/**"),
            *("share/man/man1/node*", "CHANGELOG.md", "LICENSE", "README.md"),
        ),
    ),
    Kind(
        "Ruby",
        r"(.+)/lib/ruby/\d+\.\d+\.\d+/rubygems\.rb",
        (("bin/ruby",),),
        (
            *(
                "bin/ruby*",
                "bin/gem",
                "bin/irb",
                "bin/erb",
                "bin/rdoc",
                "bin/ri",
                "bin/rake",
                "bin/bundle*",
                "bin/racc",
            ),
            *("bin/rbs", "bin/typeprof", "bin/rdbg", "bin/syntax_suggest", "bin/test-unit", "bin/power_assert"),
            *("lib/ruby/**", "lib/libruby*", "include/ruby-*/**", "share/ri/**", "share/man/man1/*"),
        ),
    ),
    Kind(
        "Perl",
        r"(.+)/lib/(?:perl5|perl)/(?:5[\d.]*/)?strict\.pm",
        (("bin/perl*",),),
        (
            *("bin/perl*", "bin/cpan*", "bin/corelist", "bin/enc2xs", "bin/encguess", "bin/h2*", "bin/instmodsh"),
            *("bin/json_pp", "bin/libnetcfg", "bin/piconv", "bin/pl2pm", "bin/pod*", "bin/prove", "bin/ptar*"),
            *("bin/shasum", "bin/splain", "bin/streamzip", "bin/xsubpp", "bin/zipdetails"),
            *("lib/perl5/**", "lib/perl/**", "share/man/**", "man/**"),
        ),
    ),
    Kind(
        "PHP",
        r"(.+)/include/php/main/php\.h",
        (("bin/php", "sbin/php-fpm", "lib/php/**"),),
        (
            *("bin/php*", "bin/phar*", "bin/pear*", "bin/pecl", "sbin/php-fpm", "include/php/**"),
            *("lib/php/**", "lib/libphp*", "php/**"),
        ),
    ),
    Kind("Java", r"(.+)/lib/(?:modules|rt\.jar)", (("release", "jre/lib/rt.jar"), ("bin/java",)), ("**",)),
    Kind("Java", r"(.+)/jre/lib/rt\.jar", (("bin/java", "jre/bin/java"),), ("**",)),
    Kind("Go", r"(.+)/src/runtime/runtime2?\.go", (("VERSION",), ("bin/go",)), ("**",)),
    Kind("Rust", r"(.+)/lib/rustlib/components", (("bin/rustc", "bin/cargo"),), ("**",)),
    Kind(
        "GCC",
        r"(.+)/(?:libexec|lib)/gcc/[^/]+/[\d.]+/cc1",
        (("bin/*gcc*",),),
        (
            *("bin/*gcc*", "bin/*g++*", "bin/*c++*", "bin/cpp", "bin/*gcov*", "bin/*gfortran*", "bin/gdc", "bin/gccgo"),
            *("lib/gcc/**", "libexec/gcc/**", "include/c++/**", "share/gcc*/**"),
        ),
    ),
    Kind(
        ".NET SDK",
        r"(.+)/sdk/[^/]+/dotnet\.dll",
        (("dotnet",),),
        ("sdk/**", "sdk-manifests/**", "packs/**", "templates/**"),
    ),
)
"""Runtimes whose libraries the rules of their language reach, and compilers, which nothing needs at run time."""

_MARKERS = re.compile("|".join(f"(?:{kind.marker})" for kind in KINDS), re.DOTALL)
_TAILS = (
    *("/os.py", "/pyvenv.cfg", "/bin/node", "/rubygems.rb", "/strict.pm", "/php.h", "/modules", "/rt.jar"),
    *("/runtime.go", "/runtime2.go", "/components", "/cc1", "/dotnet.dll"),
)


@dataclass(frozen=True, slots=True)
class Runtime:
    """A runtime of an image: its language and the real path of its prefix."""

    language: str
    prefix: str
    parts: tuple[str, ...]

    def tester(self) -> Callable[[str], bool]:
        """Whether a real path below the prefix is a part of the runtime."""
        compiled = [glob_regex(glob) for part in self.parts for glob in {part, part.removesuffix("/**")}]
        start = len(self.prefix) + 1
        return lambda path: any(c.fullmatch(path, start) for c in compiled)


@derived
def runtimes(world: World) -> tuple[Runtime, ...]:
    """The runtimes in the image that no package brought, sorted by prefix."""
    names = {tail.rpartition("/")[2] for tail in _TAILS}
    likely = (path for path in world.rootfs.named(*names) if path.endswith(_TAILS))
    found = {runtime for path in likely for runtime in _at(world, path)}
    return tuple(sorted(found, key=lambda runtime: (runtime.prefix, runtime.language, runtime.parts)))


def _at(world: World, path: str) -> Iterator[Runtime]:
    if world.packages.owners(path) or not _MARKERS.fullmatch(path):
        return
    for kind in KINDS:
        match = re.fullmatch(kind.marker, path, re.DOTALL)
        if match and match[1] != "/usr" and all(_any(world.rootfs, match[1], group) for group in kind.needs):
            yield Runtime(kind.language, match[1], kind.parts)


def _any(rootfs: Rootfs, prefix: str, globs: tuple[str, ...]) -> bool:
    """Whether one of the globs matches below the prefix, which is matched as it is written."""
    return any(_exists(rootfs, prefix, glob.split("/")) for glob in globs)


def _exists(rootfs: Rootfs, directory: str, parts: list[str]) -> bool:
    if not parts or parts[0] == "**":
        return directory in rootfs
    regex = glob_regex(parts[0])
    return any(_exists(rootfs, f"{directory}/{n}", parts[1:]) for n in rootfs.names(directory) if regex.fullmatch(n))
