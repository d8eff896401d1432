"""Where an image's PHP finds extensions and included files, and what of a Debian package is one program."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from debloat.closure import World, derived_by
from debloat.debian.documentation import is_documentation
from debloat.rules.languages.php.language import LANGUAGE

EXTENSION_DIRS = ("/usr/lib/php/20*", "/usr/local/lib/php/extensions/*", "/opt/*/lib/php/extensions/*")
INCLUDE_PATH = ("/usr/share/php", "/usr/local/lib/php", "/usr/share/pear")
"""`include_path` as Debian and the PHP project compile it in."""


def extension(value: str, directories: Sequence[str], ini: str, world: World) -> Iterator[str]:
    """The files of the extension that an ini file names, in the directories that it says and PHP's own."""
    if value.startswith("/"):
        yield value
        return
    # Since PHP 7.2 an extension may be named without its suffix, and with a prefix before that.
    names = (value,) if value.endswith(".so") else (f"{value}.so", f"php_{value}.so")
    version = re.match(r"/etc/php/(\d+\.\d+)/", ini)
    for pattern in (*directories, *EXTENSION_DIRS):
        for directory in world.rootfs.glob(pattern):
            for path in (f"{directory}/{name}" for name in names):
                owners = world.packages.owners(path)
                ours = not version or not owners or any(o.startswith(f"php{version[1]}") for o in owners)
                if world.rootfs.is_file(path) and ours:
                    yield path


def candidates(directory: str, beside: bool, target: str, world: World) -> Iterator[str]:
    """Where PHP looks for what code in `directory` includes, in that order (`includes` in `source`)."""
    if beside:
        yield posixpath.normpath(f"{directory}/{target}")
    elif target.startswith("/"):
        yield target
    else:
        bases = (directory, world.config.workdir, *INCLUDE_PATH)
        yield from (posixpath.normpath(f"{base}/{target}") for base in bases)


@derived_by
def program(world: World, package: tuple[str, str]) -> tuple[str, tuple[str, ...]]:
    """The first file of code of a package (its name, and a directory of its own), and all that the program is.

    That is what the package has there, and its links that lead there: a web server's directory below /var/lib may be
    made of them. No link is the first: what it leads to may be no file of the package, and ask for nothing.
    """
    (owner, top), files, first = package, list[str](), ""
    for path in world.packages.files(owner):
        entry = world.rootfs.get(path)
        if entry is None or entry.is_dir or is_documentation(path):
            continue
        if path.startswith(top):
            files.append(path)
            first = first or (path if entry.is_file and path.endswith(LANGUAGE.suffixes) else "")
        elif entry.is_symlink and f"{world.rootfs.resolve(path).path}/".startswith(top):
            files.append(path)
    return first, tuple(files)
