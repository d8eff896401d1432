"""Where an image's Java finds classes: runtime images, class paths, and the archives of the application."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from debloat.closure import World
from debloat.core.model import Entry
from debloat.image.rootfs import Rootfs
from debloat.rules.application.survey import is_application
from debloat.rules.languages.java.source import ARCHIVES, MAX_ARCHIVE, classes
from debloat.selector import FILES, Selector

_MARKERS = re.compile(r"(.*)/(?:lib/modules|lib/rt\.jar|lib/server/libjvm\.so|lib/[^/]+/server/libjvm\.so|bin/java)")
MARKERS = frozenset({"modules", "rt.jar", "libjvm.so", "java"})
"""The names of the files by which a runtime image is known."""

CLASSES = Selector(FILES, endings=(*ARCHIVES, ".class"))
"""Where classes may be."""

_OPTION_PATH = re.compile(r"-(?:javaagent|agentpath|Xbootclasspath/[ap]|Djava\.class\.path):?=?([^=,]+)")
_CLASS_PATH = frozenset(("-cp", "-classpath", "--class-path", "-p", "--module-path", "--upgrade-module-path"))


def runtime_of(entry: Entry, world: World) -> str:
    """The real directory of the runtime image that a file makes, of Java 9 and later (JEP 220) or older; "" if none."""
    match = _MARKERS.fullmatch(entry.path) if entry.is_file else None
    if match is None:
        return ""
    # The `java` of a Java 8 JDK is beside the JRE that it runs.
    homes = (home for home in (match[1], f"{match[1]}/jre") if _has_classes(world.rootfs, home))
    home = next(homes, "")
    return (world.rootfs.resolve(home).path or "") if home else ""


def _has_classes(rootfs: Rootfs, home: str) -> bool:
    return rootfs.is_file(f"{home}/lib/modules") or rootfs.is_file(f"{home}/lib/rt.jar")


def class_path_items(words: Sequence[str]) -> Iterator[str]:
    """What the options among some words name: items of class paths, agents, and the archive to run (java(1))."""
    for number, word in enumerate(words):
        following = words[number + 1] if number + 1 < len(words) else ""
        if word == "-jar" and following:
            yield following
        elif word in _CLASS_PATH:
            yield from filter(None, following.split(":"))
        elif word.startswith(("--class-path=", "--module-path=")):
            yield from filter(None, word.partition("=")[2].split(":"))
        elif match := _OPTION_PATH.match(word):
            yield from filter(None, match[1].split(":"))


def expanded(item: str, world: World) -> Iterator[str]:
    """The paths that an item of a class path stands for; a relative one is below the working directory."""
    rootfs = world.rootfs
    path = posixpath.join(world.config.workdir, item)
    if path.endswith("/*"):
        # A class path's wildcard is the directory's jars, not those below (java(1)).
        yield from (e.path for e in rootfs.children(path[:-2]) if e.name.lower().endswith(".jar"))
    elif rootfs.is_dir(path) and path.strip("/").count("/") >= 2:
        yield from (e.path for e in rootfs.walk(path))
    else:
        yield path


def classes_of(entry: Entry, world: World) -> Iterator[bytes]:
    """The class files in a kept file of the application."""
    if not entry.path.endswith(CLASSES.endings) or not entry.is_file or not 10 < entry.size <= MAX_ARCHIVE:
        return
    if is_application(world, entry.path):
        yield from classes(world.rootfs.read(entry.path))
