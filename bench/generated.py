"""Images made to measure growth: a small service, and beside it packages that it never touches, or an application.

The packages are in the package database with all their files and have documentation, as those of Debian have; what they
hold is nothing that the service can reach, so the closure is the same however large the image is. What no package owns
is the application, and stays whole.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

FILES_PER_PACKAGE = 1000
FILES_PER_DIRECTORY = 100
PIECE = bytes(range(256)) * 4096
"""A megabyte that a large file repeats."""

STATUS = "var/lib/dpkg/status"
INFO = "var/lib/dpkg/info"


@dataclass(frozen=True, slots=True)
class Filler:
    """What is added to a base image: so many files of so many bytes each, of packages or of no package."""

    files: int
    size: int
    owned: bool = True

    @property
    def packages(self) -> int:
        """How many packages there are, or parts of the application of the same size."""
        return -(-self.files // FILES_PER_PACKAGE)

    def paths(self, package: int) -> list[str]:
        """The files of a package, without the leading slash."""
        first = package * FILES_PER_PACKAGE
        numbers = range(first, min(first + FILES_PER_PACKAGE, self.files))
        top = "usr/lib" if self.owned else "srv"
        return [f"{top}/filler/{name(package)}/{n // FILES_PER_DIRECTORY:05d}/data-{n:07d}.bin" for n in numbers]


def name(package: int) -> str:
    return f"filler-{package:05d}"


def stanza(package: int) -> str:
    """The package in the database's `status` (deb-control(5))."""
    return (
        f"Package: {name(package)}\nStatus: install ok installed\nPriority: optional\nSection: misc\n"
        f"Maintainer: Nobody <nobody@example.test>\nArchitecture: all\nVersion: 1.0-{package}\n"
        "Description: files that nothing uses\n\n"
    )


def listing(paths: list[str]) -> bytes:
    """The package's `.list`: directories and files."""
    lines = ["/."]
    seen = {""}
    for path in paths:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth])
            if above not in seen:
                seen.add(above)
                lines.append(f"/{above}")
        lines.append(f"/{path}")
    return ("\n".join(lines) + "\n").encode()


class _Repeated(io.RawIOBase):
    """A file of a given size that repeats `PIECE`."""

    def __init__(self, size: int) -> None:
        self._left = size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        length = min(len(PIECE), self._left, size if size >= 0 else self._left)
        self._left -= length
        return PIECE[:length]


def write(base: IO[bytes], filler: Filler, out: IO[bytes]) -> None:
    """Write the root file system of the base's tar with the filler in it as a tar; both are streams."""
    digest = _digest(filler.size)
    with (
        tarfile.open(fileobj=base, mode="r|", errors="surrogateescape") as source,
        tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT, errors="surrogateescape") as target,
    ):
        for member in source:
            content = source.extractfile(member) if member.isreg() else None
            if member.name.lstrip("./") == STATUS and content is not None:
                text = content.read().rstrip(b"\n") + b"\n\n"
                text += "".join(stanza(p) for p in range(filler.packages if filler.owned else 0)).encode()
                member.size, content = len(text), io.BytesIO(text)
            target.addfile(member, content)
        for package in range(filler.packages):
            for info, data in _members(filler, package, digest):
                target.addfile(info, data)


def _digest(size: int) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    stream = _Repeated(size)
    while piece := stream.read(len(PIECE)):
        digest.update(piece)
    return digest.hexdigest()


def _members(filler: Filler, package: int, digest: str) -> Iterator[tuple[tarfile.TarInfo, io.RawIOBase | io.BytesIO]]:
    paths = filler.paths(package)
    if filler.owned:
        yield from _about(package, paths, digest)
    directory = ""
    for path in paths:
        above = path.rpartition("/")[0]
        if above != directory:
            directory = above
            info = tarfile.TarInfo(directory)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            yield info, io.BytesIO()
        yield _file(path, filler.size), _Repeated(filler.size)


def _about(package: int, paths: list[str], digest: str) -> Iterator[tuple[tarfile.TarInfo, io.BytesIO]]:
    """A package's rows of the database, and the documentation that all packages of Debian have (policy 12.5, 12.7)."""
    texts = {f"usr/share/doc/{name(package)}/{file}": b"of nobody\n" for file in ("changelog.Debian", "copyright")}
    for path, text in texts.items():
        yield _file(path, len(text)), io.BytesIO(text)
    sums = "".join(f"{digest}  {path}\n" for path in paths).encode()
    for suffix, text in (("list", listing([*paths, *texts])), ("md5sums", sums)):
        yield _file(f"{INFO}/{name(package)}.{suffix}", len(text)), io.BytesIO(text)


def _file(path: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    info.size, info.mode, info.mtime = size, 0o644, 1_600_000_000
    return info


def make(base: str, filler: Filler, target: str, changes: tuple[str, ...]) -> None:
    """Import the base image with the filler as `target`; `changes` are instructions of a Dockerfile (docker-import)."""
    container = _docker("create", base)
    try:
        export = subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE)
        argv = ["docker", "import", *(x for change in changes for x in ("--change", change)), "-", target]
        load = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert export.stdout is not None
        assert load.stdin is not None
        with export, load:
            with load.stdin as out:
                write(export.stdout, filler, out)
            export.stdout.read()
        for process in (export, load):
            if process.returncode:
                raise subprocess.CalledProcessError(process.returncode, process.args)
    finally:
        _docker("rm", "-v", container)


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()
