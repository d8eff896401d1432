"""Java: runtime images whole, less what only development needs, and the jars that class paths and manifests reach.

A runtime's classes are one file (`lib/modules`), and the virtual machine picks its libraries, security providers and
character sets by configuration, so that there is nothing to choose from at class level.
"""

from __future__ import annotations

import functools
import io
import posixpath
import re
import shlex
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterable, Iterator

from debloat.closure import Rule, World
from debloat.core.globs import matcher
from debloat.core.model import Entry, Level, Want
from debloat.rules.languages.java.classfile import ARCHIVES

MAX_JAR = 256 << 20
MAX_MANIFEST = 1 << 20

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

_MARKERS = re.compile(r"(.*)/(?:lib/modules|lib/rt\.jar|lib/server/libjvm\.so|lib/[^/]+/server/libjvm\.so|bin/java)")
_OPTION_PATH = re.compile(r"-(?:javaagent|agentpath|Xbootclasspath/[ap]|Djava\.class\.path):?=?([^=,]+)")
_CLASS_PATH = frozenset(("-cp", "-classpath", "--class-path", "-p", "--module-path", "--upgrade-module-path"))
_ENVIRONMENT = ("CLASSPATH", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "JAVA_OPTS", "CATALINA_OPTS")


class JavaRuntime(Rule):
    """A runtime image is kept whole once its `java` or virtual machine is, less development's files."""

    name = "java.runtime"
    level = Level.SAFE

    def initial_wants(self, world: World) -> Iterable[Want]:
        home = world.config.env.get("JAVA_HOME", "")
        if home.startswith("/"):
            yield self.want(f"{home.rstrip('/')}/bin/java", "config:Env", "JAVA_HOME")

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        home = _home(entry, world)
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


def _home(entry: Entry, world: World) -> str:
    """The runtime's directory, for the files that make one: of Java 9 and later (JEP 220), or of 8 and before."""
    match = _MARKERS.fullmatch(entry.path) if entry.is_file else None
    if not match:
        return ""
    home = match[1]
    rootfs = world.rootfs
    if not rootfs.is_file(f"{home}/lib/modules") and not rootfs.is_file(f"{home}/lib/rt.jar"):
        # The `java` of a Java 8 JDK is beside the JRE that it runs.
        home = f"{home}/jre"
    whole = rootfs.is_file(f"{home}/lib/modules") or rootfs.is_file(f"{home}/lib/rt.jar")
    return (rootfs.resolve(home).path or "") if whole else ""


class JavaArchives(Rule):
    """What a kept archive's manifest names, and the rest of a packaged Java program."""

    name = "java.archive"
    level = Level.SAFE

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not entry.path.endswith(ARCHIVES):
            return
        yield from self._package(entry, world)
        if entry.is_file and entry.size <= MAX_JAR:
            # Links are resolved after the archive's own directory is: /usr/share/java/x.jar names its neighbours.
            here = posixpath.dirname(entry.path)
            for target in class_path(world.rootfs.read(entry.path)):
                yield self.want(posixpath.join(here, target), entry.path, f"Class-Path: {target}")

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
            words.extend(_split(word) if " " in word else ())
        for source, listed in (("config:Cmd", words), ("config:Env", self._environment(world))):
            for item in dict.fromkeys(_class_path_items(listed)):
                for path in self._expanded(item, world):
                    yield self.want(path, source, item)

    @staticmethod
    def _environment(world: World) -> list[str]:
        env = world.config.env
        words = ["-cp", env["CLASSPATH"]] if env.get("CLASSPATH") else []
        return [*words, *(w for name in _ENVIRONMENT[1:] for w in _split(env.get(name, "")))]

    @staticmethod
    def _expanded(item: str, world: World) -> Iterator[str]:
        rootfs = world.rootfs
        path = posixpath.join(world.config.workdir, item)
        if path.endswith("/*"):
            # A class path's wildcard is the directory's jars, not those below (java(1)).
            yield from (e.path for e in rootfs.children(path[:-2]) if e.name.lower().endswith(".jar"))
        elif rootfs.is_dir(path) and path.strip("/").count("/") >= 2:
            yield from (e.path for e in rootfs.walk(path))
        else:
            yield path


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _class_path_items(words: list[str]) -> Iterator[str]:
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


@functools.lru_cache(maxsize=1024)
def class_path(archive: bytes) -> tuple[str, ...]:
    """The relative paths in the `Class-Path` of an archive's manifest (JAR File Specification); () for garbage."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            info = opened.getinfo("META-INF/MANIFEST.MF")
            if info.file_size > MAX_MANIFEST:
                return ()
            manifest = opened.read(info)
    except (zipfile.BadZipFile, KeyError, OSError, ValueError, EOFError, RuntimeError, zlib.error):
        return ()
    # A line is at most 72 bytes; a blank at its beginning continues the one before.
    text = manifest.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").replace("\n ", "")
    found: list[str] = []
    for line in text.split("\n"):
        if line.lower().startswith(("class-path:", "launcher-agent-class-path:", "boot-class-path:")):
            found.extend(_local(url) for url in line.partition(":")[2].split())
    return tuple(dict.fromkeys(f for f in found if f and "\0" not in f))


def _local(url: str) -> str:
    if url.startswith("file:"):
        url = url[5:]
    return "" if "://" in url else urllib.parse.unquote(url)


RULES: tuple[Rule, ...] = (JavaRuntime(), JavaArchives(), JavaClassPath())
