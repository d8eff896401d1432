"""Java: runtime images whole, less what only development needs, and the jars that class paths and manifests reach.

A runtime's classes are one file (`lib/modules`), and the virtual machine picks its libraries, security providers and
character sets by configuration, so that there is nothing to choose from at class level.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator

from debloat.closure import Rule, World
from debloat.core.globs import matcher
from debloat.core.model import Entry, Level, Want
from debloat.rules.cmdline import split
from debloat.rules.commands import on_path
from debloat.rules.languages.java import packages
from debloat.rules.languages.java.source import ARCHIVES, MAX_ARCHIVE, class_path, commands, starts_programs, strings
from debloat.rules.programs import BUILD_TIME
from debloat.selector import FILES, Selector

DEVELOPMENT = matcher(
    (
        # Relative to the runtime. Archives of shared class data are loaded where they are, and recorded then;
        # a machine without one starts slower and works (java(1), -Xshare:auto).
        *("/jmods", "/demo", "/sample", "/man", "/include", "/docs", "/src.zip", "/lib/src.zip", "/lib/ct.sym"),
        *("/lib/tools.jar", "/lib/dt.jar", "/lib/sa-jdi.jar", "/lib/missioncontrol", "/lib/visualvm", "/lib/*.diz"),
        *("/lib/**/*.jsa", "/lib/**/*.debuginfo", "/lib/**/*.diz", "/lib/static", "/*.md", "/*.html", "/lib/libjvm.a"),
    )
)
PROGRAMS = frozenset(("java", "keytool", "jexec", "jspawnhelper"))
"""Of `bin`, what services run; others follow from who names them."""

JNI = ("/usr/lib/*/jni/*.so*", "/usr/lib/jni/*.so*")
"""Debian's addition to java.library.path (Debian Java policy, 2.4)."""

_PAGES = (".jsp", ".groovy", ".java", ".kts")
_ENVIRONMENT = ("CLASSPATH", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "JAVA_OPTS", "CATALINA_OPTS")


class JavaRuntime(Rule):
    """A runtime image is kept whole once its `java` or virtual machine is, less development's files."""

    name = "java.runtime"
    level = Level.SAFE
    selector = Selector(FILES, names=packages.MARKERS)

    def initial_wants(self, world: World) -> Iterable[Want]:
        home = world.config.env.get("JAVA_HOME", "")
        if home.startswith("/"):
            yield self.want(f"{home.rstrip('/')}/bin/java", "config:Env", "JAVA_HOME")

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        home = packages.runtime_of(entry, world)
        if not home:
            return
        for path in self._parts(home, world):
            yield self.want(path, entry.path, f"runtime image {home}")
        for pattern in JNI:
            for path in world.rootfs.glob(pattern):
                yield self.want(path, entry.path, "on java.library.path")

    @staticmethod
    def _parts(home: str, world: World) -> Iterator[str]:
        for entry in world.rootfs.walk(home):
            relative = entry.path[len(home) :]
            if entry.is_dir or DEVELOPMENT(relative):
                continue
            if relative.startswith("/bin/") and entry.name not in PROGRAMS and not entry.name.endswith(".so"):
                continue
            yield entry.path
            if entry.is_symlink and world.rootfs.is_dir(entry.path) and relative.startswith(("/conf", "/lib")):
                yield from (below.path for below in world.rootfs.walk(entry.path))


class JavaArchives(Rule):
    """What a kept archive's manifest names, and the rest of a packaged Java program."""

    name = "java.archive"
    level = Level.SAFE
    selector = Selector(endings=ARCHIVES)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        yield from self._package(entry, world)
        if entry.is_file and entry.size <= MAX_ARCHIVE:
            # Links are resolved after the archive's own directory is: /usr/share/java/x.jar names its neighbours.
            directory = posixpath.dirname(entry.path)
            for target in class_path(world.rootfs.read(entry.path)):
                yield self.want(posixpath.join(directory, target), entry.path, f"Class-Path: {target}")

    def _package(self, entry: Entry, world: World) -> Iterator[Want]:
        """A program's own directory (/usr/share/tomcat10) is loaded from as a whole; shared jars are not."""
        parts = entry.path.split("/")
        if (
            len(parts) < 5
            or parts[1:3] not in (["usr", "share"], ["usr", "lib"])
            or parts[3] in ("java", "maven-repo", "jvm")
        ):
            return
        top = "/".join(parts[:4]) + "/"
        for owner in world.packages.owners(entry.path):
            files = [p for p in world.packages.files(owner) if p.startswith(top)]
            first = next((p for p in files if p.endswith(ARCHIVES)), entry.path)
            for path in files if first == entry.path else (first,):
                if not world.rootfs.is_dir(path):
                    yield self.want(path, entry.path, f"of the same package {owner}")


class JavaClassPath(Rule):
    """Class paths, agents and jars that the image's command line and environment name."""

    name = "java.classpath"
    level = Level.SAFE

    def initial_wants(self, world: World) -> Iterable[Want]:
        config = world.config
        words = [*config.entrypoint, *config.cmd]
        for word in list(words):
            words.extend(split(word) if " " in word else ())
        for source, listed in (("config:Cmd", words), ("config:Env", self._environment(world))):
            for item in dict.fromkeys(packages.class_path_items(listed)):
                for path in packages.expanded(item, world):
                    yield self.want(path, source, item)

    @staticmethod
    def _environment(world: World) -> list[str]:
        env = world.config.env
        words = ["-cp", env["CLASSPATH"]] if env.get("CLASSPATH") else []
        return [*words, *(w for name in _ENVIRONMENT[1:] for w in split(env.get(name, "")))]


class JavaPrograms(Rule):
    """Programs that classes of the application may start: what they name, where they start any."""

    name = "java.program"
    level = Level.SAFE
    selector = packages.CLASSES

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        for data in packages.classes_of(entry, world):
            if starts_programs(data):
                for word in commands(strings(data)):
                    path = on_path(world, word)
                    if path is not None and path.rpartition("/")[2] not in BUILD_TIME:
                        yield self.want(path, entry.path, word)


class JavaDrawing(Rule):
    """Libraries that the runtime opens once an application draws text: fonts are found through fontconfig.

    libfontmanager links FreeType and opens libfontconfig.so.1 by name (OpenJDK, fontpath.c).
    """

    name = "java.drawing"
    level = Level.SAFE
    selector = Selector(FILES, endings=(*packages.CLASSES.endings, *_PAGES))

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        page = entry.path.endswith(_PAGES) and not world.packages.owners(entry.path)
        contents = [world.rootfs.read(entry.path, MAX_PAGE)] if page else packages.classes_of(entry, world)
        if any(_DRAWS.search(data) for data in contents):
            for pattern in ("libfontconfig.so.1", "libfreetype.so.6"):
                for path in world.rootfs.glob(f"/usr/lib/*/{pattern}"):
                    yield self.want(path, entry.path, "draws, and the runtime opens it for that")


_DRAWS = re.compile(rb"java[/.]awt[/.](?:Font|Graphics|image)|javax[/.]swing|java[/.]awt[/.]\*")
MAX_PAGE = 2 << 20

RULES: tuple[Rule, ...] = (JavaRuntime(), JavaArchives(), JavaClassPath(), JavaPrograms(), JavaDrawing())
