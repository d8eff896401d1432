"""Real Debian packages as root file systems, for tests.

    root = fetch("libc6", "tzdata")      # a directory: the packages unpacked together, with a dpkg database
    world = deb_world("libc6", "tzdata") # the same as a World
    world = deb_world("libc6", "tzdata", release="trixie")

Packages come from Debian's archive once and are cached outside the checkout (`archive.py`); tests that use
them are marked `network`. Maintainer scripts do not
run, so what they generate is missing.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from debloat.closure import World
from debloat.core.model import Entry, ImageConfig, Kind, Level, Policy, Trace
from debloat.debian import dpkg
from debloat.debian.packages import Packages
from debloat.image.rootfs import Rootfs
from tests.support import archive, network
from tests.support.network import CACHE

DEFAULT = "bookworm"
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
NOTHING_TRACED = Trace()


def deb(name: str, release: str = DEFAULT) -> Path:
    """The .deb of a package of a release, downloaded once; the test is skipped where the host cannot."""
    return _debs([name], release)[0]


def _debs(names: Iterable[str], release: str) -> list[Path]:
    pool = CACHE / "debs" / release
    wanted = sorted(set(names))
    network.require(f"{', '.join(wanted)} of {release}")
    if missing := [name for name in wanted if _newest(pool, name) is None]:
        try:
            archive.download(release, missing, pool)
        except archive.ArchiveError as error:
            pytest.skip(str(error))
    found = {name: _newest(pool, name) for name in wanted}
    assert None not in found.values(), f"no package came of {[name for name, path in found.items() if path is None]}"
    return [path for path in found.values() if path is not None]


def _newest(pool: Path, name: str) -> Path | None:
    return max(pool.glob(f"{name}_*.deb"), default=None)


def fetch(*names: str, release: str = DEFAULT) -> Path:
    """A release's packages unpacked into one cached root, /usr merged, with `status`, `.list` and `.md5sums`."""
    debs = sorted(_debs(names, release))
    key = hashlib.sha256("\n".join([release, *(d.name for d in debs)]).encode()).hexdigest()[:16]
    root = CACHE / "roots" / key
    if root.is_dir():
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=root.parent, prefix="new-"))
    for name in MERGED:
        (building / "usr" / name).mkdir(parents=True)
        (building / name).symlink_to(f"usr/{name}")
    info = building / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    (building / "var/lib/dpkg/status").write_text("".join(_unpack(d, building, info) for d in debs))
    building.chmod(0o755)
    try:
        building.rename(root)
    except OSError:  # another test run was faster
        shutil.rmtree(building)
    return root


def _unpack(path: Path, root: Path, info: Path) -> str:
    """Unpack a .deb; its stanza for the status file."""
    tarfile = subprocess.run(["dpkg-deb", "--fsys-tarfile", path], capture_output=True, check=True).stdout
    extract = ["tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", str(root)]
    subprocess.run(extract, input=tarfile, check=True)
    listing = subprocess.run(["tar", "-t"], input=tarfile, capture_output=True, check=True).stdout.decode()
    with tempfile.TemporaryDirectory() as tmp:
        subprocess.run(["dpkg-deb", "--control", path, tmp], check=True)
        stanza = (Path(tmp) / "control").read_text()
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] != " ")
        same = fields.get("Multi-Arch") == "same"
        name = f"{fields['Package']}:{fields['Architecture']}" if same else fields["Package"]
        for kind in ("md5sums", "conffiles"):
            if (Path(tmp) / kind).exists():
                shutil.copy(Path(tmp) / kind, info / f"{name}.{kind}")
    lines = (line.lstrip(".").rstrip("/") or "/." for line in listing.splitlines())
    (info / f"{name}.list").write_text("".join(f"{line}\n" for line in lines))
    return f"Status: install ok installed\n{stanza.strip()}\n\n"


class DirectoryContents:
    """Contents of files below a directory of the host; `extra` holds those that are not there."""

    def __init__(self, root: Path, extra: Mapping[str, bytes]) -> None:
        self._root, self._extra = root, extra

    def fetch(self, paths: Iterable[str], limit: int | None = None) -> None:
        pass

    def read(self, path: str, limit: int | None = None) -> bytes:
        if path in self._extra:
            return self._extra[path][:limit]
        with open(f"{self._root}{path}", "rb") as file:
            return file.read(-1 if limit is None else limit)

    def chunks(self, path: str) -> Iterator[bytes]:
        yield self.read(path)


def rootfs(root: Path, extra: Mapping[str, str] | None = None) -> Rootfs:
    """A directory of the host as a root file system, and `extra` entries: texts, `-> target`, "" below a `/`."""
    entries = {"/": Entry("/", Kind.DIR, 0o755)}
    for path in root.rglob("*"):
        status = path.lstat()
        name, mode = "/" + str(path.relative_to(root)), status.st_mode & 0o7777
        if path.is_symlink():
            entries[name] = Entry(name, Kind.SYMLINK, mode, target=os.readlink(path))
        elif path.is_dir():
            entries[name] = Entry(name, Kind.DIR, mode)
        else:
            entries[name] = Entry(name, Kind.FILE, mode, size=status.st_size)
    contents: dict[str, bytes] = {}
    for given, text in (extra or {}).items():
        name = given.rstrip("/")
        parent = name.rpartition("/")[0]
        while parent and parent not in entries:
            entries[parent] = Entry(parent, Kind.DIR, 0o755)
            parent = parent.rpartition("/")[0]
        if given.endswith("/"):
            entries[name] = Entry(name, Kind.DIR, 0o755)
        elif text.startswith("-> "):
            entries[name] = Entry(name, Kind.SYMLINK, 0o777, target=text[3:])
        else:
            contents[name] = text.encode()
            entries[name] = Entry(name, Kind.FILE, size=len(contents[name]))
    return Rootfs(entries.values(), DirectoryContents(root, contents))


@functools.lru_cache(maxsize=4)
def _parts(release: str, names: tuple[str, ...], extra: tuple[tuple[str, str], ...]) -> tuple[Rootfs, Packages]:
    tree = rootfs(fetch(*names, release=release), dict(extra))
    return tree, dpkg.read(tree)


def deb_world(
    *names: str,
    extra: Mapping[str, str] | None = None,
    config: Mapping[str, object] | None = None,
    trace: Trace = NOTHING_TRACED,
    level: Level = Level.SAFE,
    release: str = DEFAULT,
) -> World:
    """A world in which exactly these packages of a release are installed, with `extra` entries on top."""
    tree, packages = _parts(release, tuple(sorted(set(names))), tuple(sorted((extra or {}).items())))
    return World(tree, packages, ImageConfig(config or {}), trace, Policy(level))
