"""The nouns that every stage speaks of: levels, entries, image configuration, accesses, evidence.

Paths are absolute `str` with `/` as separator. Bytes that are not UTF-8 are carried as lone surrogates
(`os.fsdecode`), so every name of a Linux file system has exactly one `str` and comes back unchanged.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from msgspec import Struct

from debloat.core.globs import matcher
from debloat.core.identity import identity
from debloat.core.platform import Platform, of_image


class Level(enum.IntEnum):
    """How far beyond the trace a closure reaches; a higher level keeps a superset of a lower one."""

    EXACT = 0
    SAFE = 1
    PACKAGE = 2

    def __str__(self) -> str:
        return self.name.lower()


DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of a container whose image sets none, as Docker has it."""

MOUNT_POINTS = ("/dev", "/proc", "/sys")
"""Mounted over by every runtime (OCI runtime specification, default file systems): what is below is hidden."""


class Policy(Struct, frozen=True):
    """What the user decided: the level, exceptions from it by path, and globs kept and dropped by hand.

    `levels` are (glob, level) pairs; the last that matches a path decides which rules look at it. `packages` are
    (bare name, purpose) pairs: what a package was installed for, `run` or `build`, whatever the Dockerfile shows.
    """

    level: Level = Level.SAFE
    levels: tuple[tuple[str, Level], ...] = ()
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    keep_packages: tuple[str, ...] = ()
    packages: tuple[tuple[str, str], ...] = ()

    @property
    def highest(self) -> Level:
        """The highest level that holds for any path."""
        return max([self.level, *(level for _, level in self.levels)])

    def level_of(self, path: str) -> Level:
        """The level that holds for a path."""
        for glob, level in reversed(self.levels):
            if matcher((glob,))(path):
                return level
        return self.level


class Kind(enum.StrEnum):
    """Type of a directory entry; the value is the letter the sensor's index uses."""

    FILE = "f"
    DIR = "d"
    SYMLINK = "l"
    FIFO = "p"
    CHAR = "c"
    BLOCK = "b"
    SOCKET = "s"


_FILE, _DIR, _SYMLINK = Kind.FILE, Kind.DIR, Kind.SYMLINK
"""By names of their own: Python 3.11 looks a member up anew each time, which rules would do by the million."""


class Entry(Struct, frozen=True):
    """One name in a root file system.

    `mode` holds the twelve permission bits, `size` bytes (0 for all but files), `mtime` nanoseconds since
    the epoch, `target` a symlink's text, `device` major and minor of a device node. Names of one hard-linked
    file share a `hardlink` number; it is 0 for a file that has one name only.
    """

    path: str
    kind: Kind
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    target: str = ""
    hardlink: int = 0
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file; a link to one is not."""
        return self.kind is _FILE

    @property
    def is_dir(self) -> bool:
        """Whether it is a directory; a link to one is not."""
        return self.kind is _DIR

    @property
    def is_symlink(self) -> bool:
        """Whether it is a symbolic link."""
        return self.kind is _SYMLINK

    @property
    def executable(self) -> bool:
        """Whether it is a regular file that owner, group or others may execute."""
        return self.kind is _FILE and self.mode & 0o111 != 0

    @property
    def name(self) -> str:
        """The last part of the path; "" of the root directory."""
        return self.path.rpartition("/")[2]


class ImageConfig(Struct, frozen=True):
    """An image's run-time configuration: the engine's `Config` object, kept as it came.

    The properties read the fields that decide what must be in the image; every other field, unknown ones
    included, is in `raw` and is carried over untouched.
    """

    raw: Mapping[str, Any]

    @property
    def env(self) -> dict[str, str]:
        """The environment; of a name that stands twice, the later value."""
        return dict(item.partition("=")[::2] for item in self.raw.get("Env") or ())

    @property
    def entrypoint(self) -> tuple[str, ...]:
        """The words of ENTRYPOINT, its shell included where it has one; () where there is none."""
        return tuple(self.raw.get("Entrypoint") or ())

    @property
    def cmd(self) -> tuple[str, ...]:
        """The words of CMD, its shell included where it has one; () where there is none."""
        return tuple(self.raw.get("Cmd") or ())

    @property
    def user(self) -> str:
        """USER as it is written: a name or number, with `:GROUP` or without; "" where there is none."""
        return self.raw.get("User") or ""

    @property
    def workdir(self) -> str:
        """WORKDIR, `/` where there is none."""
        return self.raw.get("WorkingDir") or "/"

    @property
    def volumes(self) -> tuple[str, ...]:
        """The paths of VOLUME, sorted."""
        return tuple(sorted(self.raw.get("Volumes") or ()))

    @property
    def ports(self) -> tuple[str, ...]:
        """Exposed ports as `80/tcp`, numerically sorted."""
        ports = self.raw.get("ExposedPorts") or ()
        return tuple(sorted(ports, key=lambda p: (int(p.partition("/")[0]), p)))

    @property
    def stop_signal(self) -> str:
        """STOPSIGNAL as it is written, a name or a number; SIGTERM where there is none."""
        return self.raw.get("StopSignal") or "SIGTERM"

    @property
    def healthcheck(self) -> tuple[str, ...]:
        """`Test` of the HEALTHCHECK (`CMD ...` or `CMD-SHELL line`); empty where there is none or it is NONE."""
        test = tuple((self.raw.get("Healthcheck") or {}).get("Test") or ())
        return () if test[:1] in ((), ("NONE",)) else test

    @property
    def shell(self) -> tuple[str, ...]:
        """The words of SHELL, with the default of the builders where there is none."""
        return tuple(self.raw.get("Shell") or ("/bin/sh", "-c"))

    @property
    def path(self) -> tuple[str, ...]:
        """The directories of PATH, with Docker's default where the image sets none."""
        return tuple(d for d in self.env.get("PATH", DEFAULT_PATH).split(":") if d)


class Image(Struct, frozen=True):
    """An image as an engine knows it: what it is called, what it is, how it was made.

    `reference` is what the user said, `id` what the engine calls it (`sha256:...`: a digest of its configuration, its
    manifest or an index of manifests, as the engine's store has it), `layers` the digests of its layers uncompressed.
    `history` is the `created_by` texts, oldest first, `author` who made it, `builder` the version of the engine that
    built it, empty where another tool did. `names` are its tags. `attestations` counts what its index holds of how it
    was built (provenance, bills of materials), as far as the engine tells.
    """

    reference: str
    id: str
    os: str
    architecture: str
    variant: str
    created: str
    config: ImageConfig
    layers: tuple[str, ...] = ()
    size: int = 0
    history: tuple[str, ...] = ()
    author: str = ""
    builder: str = ""
    names: tuple[str, ...] = ()
    attestations: int = 0

    @property
    def platform(self) -> Platform:
        """The platform that the image is made for."""
        return of_image(self.architecture, self.variant)

    @property
    def platform_name(self) -> str:
        """As OCI writes it: `linux/amd64`, `linux/arm/v7`."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    @property
    def identity(self) -> str:
        """What the image is, on whatever engine: `core.identity`. What is remembered of an image is found by it."""
        return identity(self.platform_name, self.config.raw, self.layers)


class Op(enum.StrEnum):
    """What a program did with a path; the values are those of the sensor's event files."""

    OPEN = "open"
    EXEC = "exec"
    STAT = "stat"
    ACCESS = "access"
    READLINK = "readlink"
    LIST = "list"
    CHDIR = "chdir"
    CHROOT = "chroot"
    MKDIR = "mkdir"
    MKNOD = "mknod"
    SYMLINK = "symlink"
    LINK = "link"
    CREATE = "create"
    RENAME = "rename"
    UNLINK = "unlink"
    RMDIR = "rmdir"
    CHMOD = "chmod"
    CHOWN = "chown"
    UTIME = "utime"
    TRUNCATE = "truncate"
    STATFS = "statfs"
    GETXATTR = "getxattr"
    SETXATTR = "setxattr"
    WATCH = "watch"
    CONNECT = "connect"
    BIND = "bind"
    MOUNT = "mount"
    HANDLE = "handle"


_NOT_FOLLOWING = frozenset({Op.READLINK, Op.UNLINK, Op.RMDIR, Op.RENAME, Op.SYMLINK, Op.MKDIR, Op.MKNOD, Op.LINK})


class Access(Struct, frozen=True, order=True):
    """A program's use of a path, during a probe.

    `path` is absolute and not resolved: links and `..` in it stand as the program wrote them. `flags` are the
    letters of docs/sensor.md. Whether the path exists is not recorded: the image's root file system tells.
    """

    path: str
    op: Op
    flags: str
    probe: str
    program: str

    @property
    def follows(self) -> bool:
        """Whether a link in the last place is followed."""
        return "l" not in self.flags and self.op not in _NOT_FOLLOWING


class Trace(Struct, frozen=True):
    """What was touched. A union of traces is associative, commutative and idempotent.

    `mechanisms` are the ways it was recorded (`notify`, `ptrace`), `images` the IDs of the images.
    """

    accesses: frozenset[Access] = frozenset()
    images: frozenset[str] = frozenset()
    mechanisms: frozenset[str] = frozenset()

    def __or__(self, other: Trace) -> Trace:
        return Trace(self.accesses | other.accesses, self.images | other.images, self.mechanisms | other.mechanisms)


class Want(Struct, frozen=True):
    """A rule's claim that `path` must stay.

    `path` may lead through links: all of them, the parent directories and what it ends at stay. `source` is the
    kept path it follows from, or a root: `probe:NAME`, `config:FIELD`, `keep:GLOB`, `lock`, `canary:FILE`. A path
    that does not exist in the image is no claim. `follow` false keeps a link in the last place, not what it points at.
    """

    path: str
    rule: str
    source: str
    detail: str = ""
    follow: bool = True


class Evidence(NamedTuple):
    """Why a path is kept: the rule, what it follows from (a kept path or a root), and a word on how.

    A tuple, for a closing makes, compares and sorts them by the hundred thousand.
    """

    rule: str
    source: str
    detail: str = ""


class Closure(Struct, frozen=True):
    """What stays: each kept path with the evidence for it, sorted, never empty evidence."""

    evidence: Mapping[str, tuple[Evidence, ...]] = MappingProxyType({})

    def __contains__(self, path: str) -> bool:
        return path in self.evidence

    def __len__(self) -> int:
        return len(self.evidence)

    def why(self, path: str) -> tuple[tuple[str, Evidence], ...]:
        """The shortest chain from `path` back to a root: pairs of a path and the evidence for it; () if removed."""
        if path not in self.evidence:
            return ()
        queue, came = [path], {path: ("", Evidence("", ""))}
        for current in queue:
            for ev in self.evidence[current]:
                if ev.source not in self.evidence or not ev.source.startswith("/"):
                    chain = [(current, ev)]
                    while current != path:
                        current, step = came[current]
                        chain.append((current, step))
                    return tuple(reversed(chain))
                if ev.source not in came:
                    came[ev.source] = (current, ev)
                    queue.append(ev.source)
        return tuple((path, ev) for ev in self.evidence[path][:1])
