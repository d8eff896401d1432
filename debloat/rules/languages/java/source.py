"""Java archives and class files: the class path of a manifest, the texts of classes, and the programs that these name.

The Java Virtual Machine Specification (Java SE 17), chapter 4: each class file begins with a table of all constants.
The JAR File Specification: a manifest names further archives.
"""

from __future__ import annotations

import functools
import io
import re
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterable, Iterator

from debloat.rules.cmdline import programs
from debloat.rules.languages.shell.evaluate import SHELLS

ARCHIVES = (".jar", ".war", ".ear")
NESTED = re.compile(r"(?:BOOT|WEB)-INF/lib/[^/]+\.jar")
"""Archives in an archive: Spring Boot's, and those of web applications (Servlet specification 10.5)."""

MAX_ARCHIVE = 256 << 20
MAX_CLASS = 4 << 20
MAX_MANIFEST = 1 << 20
MAX_READ = 512 << 20
"""Bytes of an archive's classes, unpacked, that are read at most."""

MAX_LINE = 1000

MAGIC = b"\xca\xfe\xba\xbe"
STARTS = (b"java/lang/ProcessBuilder", b"java/lang/Runtime\x0c", b"scala/sys/process", b"org/apache/commons/exec/")
"""Names of what starts programs, as constants; `Runtime` is followed by the tag of a name with a type."""

_EXEC = re.compile(rb"\x01\x00\x04exec(?=[\x01-\x14])")
_UTF8, _STRING = 1, 8
_SIZES = {3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4, 18: 4, 19: 2, 20: 2}
"""Bytes behind the tag of a constant (JVMS 4.4); those of 5 and 6 count as two."""

_MANNER = re.compile(r"[a-z][\w.+-]*[ \t]+(?:[-/'\"$|>&\x01]|\S*[|>;]\s)|/(?:usr/)?s?bin/|[a-z][\w.+-]*[ \t]*[|>;]")
"""How a command line begins, and a message does not: a program, then an option, a path, a variable or a pipe."""


def classes(data: bytes) -> Iterator[bytes]:
    """The class files in an archive, or the class itself; nothing of garbage. Each up to MAX_CLASS."""
    if data.startswith(MAGIC):
        yield data
    elif data.startswith(b"PK"):
        yield from _unpacked(data, [MAX_READ], depth=1)


def _unpacked(data: bytes, remaining: list[int], depth: int) -> Iterator[bytes]:
    """The class files of an archive; `remaining` holds one number, the bytes that may still be unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                nested = depth > 0 and NESTED.fullmatch(info.filename) is not None
                limit = MAX_ARCHIVE if nested else MAX_CLASS
                if not (nested or info.filename.endswith(".class")) or info.file_size > min(limit, remaining[0]):
                    continue
                remaining[0] -= info.file_size
                content = _read(archive, info)
                if nested:
                    yield from _unpacked(content, remaining, depth - 1)
                elif content.startswith(MAGIC):
                    yield content
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError, RuntimeError):
        return


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(info) as opened:
            return opened.read(info.file_size)
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError, RuntimeError, zlib.error):
        return b""


def strings(data: bytes) -> tuple[str, ...]:
    """The String constants of a class file, in their order, each once; () for any other file."""
    if not data.startswith(MAGIC) or len(data) < 10:
        return ()
    count, at, number = int.from_bytes(data[8:10]), 10, 1
    texts: dict[int, bytes] = {}
    indices: list[int] = []
    while number < count and at < len(data):
        tag = data[at]
        if tag == _UTF8:
            size = int.from_bytes(data[at + 1 : at + 3])
            texts[number] = data[at + 3 : at + 3 + size]
            at += 3 + size
        elif tag in _SIZES:
            if tag == _STRING:
                indices.append(int.from_bytes(data[at + 1 : at + 3]))
            at += 1 + _SIZES[tag]
            number += tag in (5, 6)
        else:
            return ()
        number += 1
    constants = (texts[n].decode("utf-8", "replace") for n in indices if n in texts)
    return tuple(dict.fromkeys(constants))


def starts_programs(data: bytes) -> bool:
    """Whether a class names something that starts programs."""
    return any(name in data for name in (STARTS[0], *STARTS[2:])) or (
        b"java/lang/Runtime" in data and _EXEC.search(data) is not None
    )


def commands(texts: Iterable[str]) -> Iterator[str]:
    """The words of a class's strings that may run programs: single words, and what looks like a command line.

    With a shell and its `-c` among them, each text may be a line for it.
    """
    distinct = set(texts)
    shell = any(s.rpartition("/")[2] in SHELLS for s in distinct) and any(re.fullmatch(r"-\w*c", s) for s in distinct)
    for text in sorted(distinct):
        line = text.replace("\x01", "$x")  # where a text is put together at run time, JEP 280
        if not line or len(line) > MAX_LINE:
            continue
        if not any(c.isspace() for c in line):
            yield line
        elif shell or _MANNER.match(line):
            yield from programs(line)


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
    targets: list[str] = []
    for line in text.split("\n"):
        if line.lower().startswith(("class-path:", "launcher-agent-class-path:", "boot-class-path:")):
            targets.extend(_local(url) for url in line.partition(":")[2].split())
    return tuple(dict.fromkeys(f for f in targets if f and "\0" not in f))


def _local(url: str) -> str:
    if url.startswith("file:"):
        url = url[5:]
    return "" if "://" in url else urllib.parse.unquote(url)
