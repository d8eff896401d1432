"""PHP: the configuration of a kept interpreter, the extensions that it enables, and the files that code includes.

The language's library is in the interpreter and its extensions, so nothing is kept wholesale: what is installed
but not enabled for a kept SAPI goes. Code below /usr/share is kept by the package.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator

from debloat.closure import Rule, World
from debloat.core.model import Entry, Level, Want
from debloat.rules.languages.php import packages
from debloat.rules.languages.php.language import LANGUAGE
from debloat.rules.languages.php.source import MAX_SOURCE, includes, settings
from debloat.selector import FILES, Selector

SAPIS = (
    # Programs and modules, and the directory of their configuration below /etc/php/VERSION; the group is the version.
    (re.compile(r"/usr/bin/php(\d+\.\d+)"), "cli"),
    (re.compile(r"/usr/sbin/php-fpm(\d+\.\d+)"), "fpm"),
    (re.compile(r"/usr/lib/cgi-bin/php(\d+\.\d+)|/usr/bin/php-cgi(\d+\.\d+)"), "cgi"),
    (re.compile(r"/usr/lib/apache2/modules/libphp(\d+\.\d+)\.so"), "apache2"),
    (re.compile(r"/usr/bin/phpdbg(\d+\.\d+)"), "phpdbg"),
    (re.compile(r"/usr/lib/[^/]+/libphp(\d+\.\d+)\.so(?:\..*)?|/usr/lib/libphp(\d+\.\d+)\.so"), "embed"),
)

BUILT = re.compile(
    r"(/usr/local|/opt/[^/]+)/(?:s?bin/php(?:-fpm|-cgi|dbg)?|lib/(?:apache2|httpd)/modules/libphp\d*\.so)"
)
"""A PHP built from source, below its prefix."""

BUILT_MODULE = re.compile(r"/usr/lib/apache2/modules/libphp\d*\.so")
"""The official image's Apache module is not below the prefix of its PHP."""

BUILT_CONFIG = ("etc/php.ini", "etc/php/php.ini", "lib/php.ini", "etc/php/conf.d/*.ini", "etc/php.d/*.ini")
BUILT_FPM = ("etc/php-fpm.conf", "etc/php-fpm.d/*.conf")

_INI = re.compile(r"(?:/etc/php|/usr/local/etc/php|/usr/local/lib|/usr/local/etc|/opt/[^/]+)/.*\.ini")


class PhpConfig(Rule):
    """The php.ini, conf.d and pool files that a kept PHP reads at its start (Debian's php policy; php.ini(5))."""

    name = "php.config"
    level = Level.SAFE
    selector = Selector(FILES, beginnings=("php", "libphp"))

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        for pattern in self._patterns(entry.path, world):
            for path in world.rootfs.glob(pattern):
                yield self.want(path, entry.path, "read by this PHP at its start")

    @staticmethod
    def _patterns(path: str, world: World) -> Iterator[str]:
        """Globs of the configuration that a PHP program or module reads; none for any other file."""
        is_php = False
        for program, sapi in SAPIS:
            match = program.fullmatch(path)
            if match:
                is_php = True
                base = f"/etc/php/{match[match.lastindex or 1]}/{sapi}"
                yield from (f"{base}/php.ini", f"{base}/conf.d/*.ini", f"{base}/php-fpm.conf", f"{base}/pool.d/*.conf")
        built = BUILT.fullmatch(path)
        prefix = built[1] if built else "/usr/local" if BUILT_MODULE.fullmatch(path) else ""
        if prefix:
            is_php = True
            yield from (f"{prefix}/{tail}" for tail in (*BUILT_CONFIG, *(BUILT_FPM if "fpm" in path else ())))
        if is_php:
            scan = world.config.env.get("PHP_INI_SCAN_DIR", "")
            yield from (f"{d}/*.ini" for d in scan.split(":") if d.startswith("/"))
            if (rc := world.config.env.get("PHPRC", "")).startswith("/"):
                yield from (rc, f"{rc.rstrip('/')}/php.ini")


class PhpExtensions(Rule):
    """The extensions that a kept ini file loads, and the files that it names."""

    name = "php.extension"
    level = Level.SAFE
    selector = Selector(FILES, endings=(".ini",))

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if entry.size > MAX_SOURCE or not self._is_ini(entry.path, world):
            return
        pairs = settings(world.rootfs.read(entry.path))
        directories = [value for key, value in pairs if key == "extension_dir" and value.startswith("/")]
        for key, value in pairs:
            if key in ("extension", "zend_extension"):
                for path in packages.extension(value, directories, entry.path, world):
                    yield self.want(path, entry.path, f"{key}={value}")
            elif value.startswith("/") and value.count("/") > 1:
                yield self.want(value, entry.path, key)

    @staticmethod
    def _is_ini(path: str, world: World) -> bool:
        scanned = world.config.env.get("PHP_INI_SCAN_DIR", "")
        return _INI.fullmatch(path) is not None or posixpath.dirname(path) in scanned.split(":")


class PhpIncludes(Rule):
    """The files that kept code includes by literal names, and the rest of a packaged program's code."""

    name = "php.include"
    level = Level.SAFE
    selector = Selector(FILES, endings=LANGUAGE.suffixes)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        yield from self._package(entry, world)
        if entry.size > MAX_SOURCE:
            return
        directory = posixpath.dirname(entry.path)
        for line, beside, target in includes(world.rootfs.read(entry.path)):
            for path in packages.candidates(directory, beside, target, world):
                if world.rootfs.is_file(path):
                    yield self.want(path, entry.path, f"included in line {line}")
                    break

    def _package(self, entry: Entry, world: World) -> Iterator[Want]:
        """Code autoloads by made-up names, so that a package's code is one; one file stands for the others."""
        parts = entry.path.split("/")
        if not entry.path.startswith("/usr/share/") or len(parts) < 5:
            return
        top = "/".join(parts[:4]) + "/"
        for owner in world.packages.owners(entry.path):
            first, files = packages.program(world, (owner, top))
            for path in files if entry.path == first else (first,) if first else ():
                yield self.want(path, entry.path, f"of the same package {owner}")


RULES: tuple[Rule, ...] = (PhpConfig(), PhpExtensions(), PhpIncludes())
