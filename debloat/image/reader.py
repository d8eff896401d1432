"""Reading an image: its index and contents come from the sensor inside a container that never runs the program.

From its layers, without a container, where the engine or this machine shows them. Where no container can be started,
`docker export` serves the same: slower, and the whole image crosses the wire.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import tarfile
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from debloat.core.errors import EngineUnavailable, SensorUnavailable
from debloat.core.model import Entry, Image, Kind
from debloat.engine.base import Channel, ChannelClosed, ContainerSpec, Engine
from debloat.engine.traits import DOCKER, EngineTraits
from debloat.engine.workspace import Workspace
from debloat.image.contents import CHUNK_BYTES, Below, ExportedContents, Spool
from debloat.image.mounted import root_of, serving
from debloat.image.rootfs import Contents, Rootfs

SENSOR_HOME = "/.debloat"
SENSOR = f"{SENSOR_HOME}/sensor"
ENGINE_TOUCHED = frozenset({"/", "/etc", "/dev", "/dev/pts", "/dev/shm", "/proc", "/sys"})
"""Directories that get the time of the container's creation: the engine's init layer makes them, or names in them."""


def sensor_tar(binary: bytes) -> bytes:
    """The archive that puts the sensor, and a directory for its traces, into `/.debloat`.

    The number of the mark in force is there from the start: under a seccomp profile nobody may be able to make room.
    """
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        info = tarfile.TarInfo("sensor")
        info.size, info.mode = len(binary), 0o755
        tar.addfile(info, io.BytesIO(binary))
        for name in ("trace", "root"):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        info = tarfile.TarInfo("trace/epoch")
        info.size, info.mode = 4, 0o644
        tar.addfile(info, io.BytesIO(bytes(4)))
        end = tar.offset
    # Without what tarfile fills the last record with: Podman's reader stops at the end of the archive, and breaks the
    # pipe of who still writes.
    return stream.getvalue()[: end + 2 * tarfile.BLOCKSIZE]


@contextlib.contextmanager
def _serve_errors() -> Iterator[None]:
    """Turn the end of the connection to the sensor's `serve` into EngineUnavailable."""
    try:
        yield
    except (ChannelClosed, TimeoutError) as error:
        raise EngineUnavailable(
            f"what reads the image for debloat is gone: {error}",
            "something else removed it, or the engine was restarted; run the same again",
        ) from error


def index(channel: Channel) -> Iterator[Entry]:
    """All entries of the root file system that `serve` is in, as they come; EngineUnavailable where it is gone."""
    parser = IndexParser()
    with _serve_errors():
        channel.send(b"index\n")
    while not parser.done:
        with _serve_errors():
            data = channel.some(timeout=300)
        parser.feed(data)
        yield from parser.entries
        parser.entries.clear()


class SensorContents(Spool):
    """Contents that the sensor's `serve` sends on request; EngineUnavailable where it is gone.

    No one else may use the channel. `index` has to be called first, and read to its end before threads share the
    contents. After a failure every further request raises it again: the rest of an interrupted answer in the channel
    must not be read as the next one.
    """

    def __init__(self, channel: Channel, spool: Path) -> None:
        super().__init__(spool)
        self._channel = channel
        self._failure: BaseException | None = None

    def index(self) -> Iterator[Entry]:
        """All entries of the root file system, as they come."""
        return index(self._channel)

    def _bring(self, paths: list[str], limit: int | None) -> dict[str, tuple[int, int]]:
        if self._failure is not None:
            raise self._failure
        try:
            with _serve_errors():
                return self._ask(paths, limit)
        except BaseException as error:
            self._failure = error
            raise

    def _ask(self, paths: list[str], limit: int | None) -> dict[str, tuple[int, int]]:
        request = b"".join(os.fsencode(p) + b"\0" for p in paths)
        most = b"" if limit is None else b" %d" % limit
        self._channel.send(b"read %d%s\n" % (len(paths), most) + request)
        places = {}
        for path in paths:
            head = self._channel.read(9, timeout=300)
            status, size = head[0], int.from_bytes(head[1:], "little")
            if status:
                raise EngineUnavailable(f"cannot read {path!r} of the image: {os.strerror(status)}")
            places[path] = self._append(self._pieces(size))
        return places

    def _pieces(self, size: int) -> Iterator[bytes]:
        while size:
            piece = self._channel.read(min(size, CHUNK_BYTES), timeout=300)
            size -= len(piece)
            yield piece


_KINDS = {kind.value.encode(): kind for kind in Kind} | {b"m": Kind.DIR}
"""Kinds by the letters of the index; `m` is a directory on which something is mounted."""
_FILE = Kind.FILE


class IndexParser:
    """Incremental parser of the answer to `index` (docs/sensor.md); SensorUnavailable where it is damaged.

    `entries` are those complete so far, for the caller to take; `done` is set at the end of the index.
    """

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.done = False
        self._rest = b""
        self._groups: dict[tuple[bytes, bytes], int] = {}

    def feed(self, data: bytes) -> None:
        fields = (self._rest + data).split(b"\0")
        at, last = 0, len(fields) - 1
        try:
            while at < last:
                meta = fields[at]
                if not meta:
                    self.done = True
                    return
                end = at + 3 + 2 * int(meta.rpartition(b" ")[2])
                if end > last:
                    break
                self.entries.append(self._entry(meta.split(b" "), fields[at + 1 : end]))
                at = end
        except ValueError as error:
            raise SensorUnavailable("the sensor's index of the image is damaged", "run `debloat doctor`") from error
        self._rest = b"\0".join(fields[at:])

    def _entry(self, meta: list[bytes], names: list[bytes]) -> Entry:
        letter, mode, uid, gid, size, mtime, nlink, dev, ino, major, minor, _ = meta
        kind = _KINDS.get(letter)
        if kind is None:
            raise ValueError(letter)
        group, device, xattrs = 0, (0, 0), tuple[tuple[str, bytes], ...]()
        if kind is not _FILE:
            size = b"0"
            if letter in b"cb":
                device = (int(major), int(minor))
        elif nlink != b"1" and int(nlink) > 1:
            group = self._groups.setdefault((dev, ino), len(self._groups) + 1)
        if len(names) > 2:
            pairs = zip(names[2::2], names[3::2], strict=True)
            xattrs = tuple(sorted((os.fsdecode(n), bytes.fromhex(v.decode("ascii"))) for n, v in pairs))
        path, target = (name.decode("utf-8", "surrogateescape") for name in names[:2])
        return Entry(path, kind, int(mode, 8), int(uid), int(gid), int(size), int(mtime), target, group, device, xattrs)


_EMPTY_MOUNT_POINTS = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
_MOUNT_POINTS = ("/dev", "/etc", "/proc", "/sys")
_STORE_ROOT = 0o555
_ENGINE_MADE = ("/.dockerenv", "/dev/console", "/dev/pts", "/dev/shm", SENSOR_HOME)


def without_engine_made(entries: Iterable[Entry], made: Collection[str] = ()) -> Iterator[Entry]:
    """The entries without the sensor and what the engine puts into every container (Docker's init layer).

    Entries may come in any order, and are not held: half a million would take hundreds of megabytes. Files that the
    engine makes only where the image has none (/etc/hosts, ...) count as the image's when they have content. `made` are
    further paths that the engine made in this container.
    """

    def stays(entry: Entry) -> bool:
        if entry.path in _ENGINE_MADE or entry.path in made or entry.path.startswith(SENSOR_HOME + "/"):
            return False
        if entry.path == "/etc/mtab":
            return entry.target != "/proc/mounts"
        return entry.path not in _EMPTY_MOUNT_POINTS or entry.size > 0

    retimed = {path.rpartition("/")[0] or "/" for path in made}
    return _with_reproducible_times((e for e in entries if stays(e)), retimed)


def as_containers_see(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The entries of an image that is mounted, as those of a container in which the engine has made nothing.

    The store makes a root directory of its own, 0555, where no layer has one (`defaultPerms` of containers/storage),
    and Docker's one of 0755.
    """
    roots = (replace(e, mode=0o755) if e.path == "/" and e.mode == _STORE_ROOT else e for e in entries)
    return with_mount_points(roots)


def with_mount_points(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The entries, and the directories that the kernel's file systems go on: every engine gives a container these."""
    absent = dict.fromkeys(_MOUNT_POINTS)
    for entry in entries:
        absent.pop(entry.path, None)
        yield entry
    yield from (Entry(path, Kind.DIR, 0o755) for path in absent)


def _paths_made_by_engine(engine: Engine, container: str, image: Image) -> frozenset[str]:
    """The directories that the engine has made for volumes of the image that have none in it.

    The engine is asked only where the image has volumes: some stores walk the whole image for the answer.
    """
    return engine.changes(container) if image.config.volumes else frozenset()


def _with_reproducible_times(entries: Iterable[Entry], further: Collection[str]) -> Iterator[Entry]:
    """The entries with times that do not depend on when and where the image is read.

    The init layer sets the time of the directories it writes to; they get that of the newest name in them. A layer's
    archive holds whole seconds (Docker and BuildKit write no finer ones), yet a layer lies with fractions where it was
    built: only the seconds count.
    """
    newest = dict.fromkeys((*ENGINE_TOUCHED, *further), 0)
    directories = []
    for entry in entries:
        if entry.path in newest:
            directories.append(entry)
            continue
        parent = entry.path.rpartition("/")[0] or "/"
        if parent in newest:
            newest[parent] = max(newest[parent], entry.mtime)
        yield _in_whole_seconds(entry, entry.mtime)
    for entry in directories:
        yield _in_whole_seconds(entry, newest[entry.path])


def _in_whole_seconds(entry: Entry, mtime: int) -> Entry:
    mtime -= mtime % 10**9
    return entry if mtime == entry.mtime else replace(entry, mtime=mtime)


def reading_spec(image: str, run: str, traits: EngineTraits = DOCKER) -> ContainerSpec:
    """The container that an image is read in: the sensor alone runs in it."""
    mounted = (f"{SENSOR_HOME}/root",) if traits.mounts_images else ()
    return ContainerSpec(
        image=image,
        run=run,
        entrypoint=(SENSOR, "serve", *mounted),
        user="0:0",
        workdir="/",
        network="none",
        anonymous=(SENSOR_HOME,),
        cap_add=("SYS_ADMIN", "DAC_READ_SEARCH"),
        stdin=True,
        logs=False,
        image_at="".join(mounted),
    )


def open_rootfs(workspace: Workspace, image: Image, sensor: bytes) -> Rootfs:
    """The root file system of an image, contents on demand, for as long as the workspace is open.

    From its layers where the engine shows them, or where this machine can; else from within a container.
    """
    engine = workspace.engine
    if (files := engine.files(image)) is not None:
        made = files.volumes_without_directory(image.config.volumes)
        return Rootfs(without_engine_made(with_mount_points(files.entries()), made), files)
    spec = reading_spec(image.id, workspace.run, engine.info().traits)
    if layers := engine.directories(image):
        with contextlib.suppress(EngineUnavailable):  # where the kernel lays nothing over another, a container does
            rootfs = _laid_over(workspace, image, layers, sensor)
            # It never runs: an image that a container has is not removed under the run.
            workspace.create(replace(spec, anonymous=()))
            return rootfs
    workspace.give_way()
    container = workspace.create(spec)
    try:
        engine.put(container, SENSOR_HOME, sensor_tar(sensor))
        channel = workspace.attach(container)
        engine.start(container)
        contents = SensorContents(channel, workspace.fresh("contents"))
        entries = contents.index()
        if spec.image_at:
            return _as_it_is(image, entries, contents)
        return Rootfs(without_engine_made(entries, _paths_made_by_engine(engine, container, image)), contents)
    except EngineUnavailable:
        if spec.image_at:
            raise  # what such engines export of a container that never ran is not the image
        return exported_rootfs(workspace, image)


def _as_it_is(image: Image, entries: Iterable[Entry], contents: Contents) -> Rootfs:
    """The root file system of an image that no engine has put anything into; entries as its index has them."""
    seen, made = as_containers_see(entries), frozenset[str]()
    if volumes := image.config.volumes:
        seen = iter(held := list(seen))
        there = {entry.path for entry in held}
        if not there.issuperset(volumes):
            rootfs = Rootfs(held, contents)
            made = volumes_without_directory(volumes, lambda path: rootfs.resolve(path).path, there)
    return Rootfs(without_engine_made(seen, made), contents)


def volumes_without_directory(
    volumes: Iterable[str], real: Callable[[str], str | None], there: Container[str]
) -> frozenset[str]:
    """The first path on the way to each volume that the image has not, and that engines make in containers.

    `real` gives the real path of a directory, links followed, or nothing; `there` are the image's paths.
    """
    missing = set()
    for volume in volumes:
        here = "/"
        for name in filter(None, volume.split("/")):
            here = f"{(real(here) or here).rstrip('/')}/{name}"
            if here not in there:
                missing.add(here)
                break
    return frozenset(missing)


def _laid_over(workspace: Workspace, image: Image, layers: Sequence[str], sensor: bytes) -> Rootfs:
    """The root file system that layers make, as the kernel of this machine lays them over each other."""
    with serving(sensor, layers, workspace.fresh("view")) as (channel, process):
        entries = index(channel)
        first = next(entries)  # they are mounted now
        contents = Below(root_of(process))
        workspace.closing(contents)
        return _as_it_is(image, itertools.chain((first,), entries), contents)


def exported_rootfs(workspace: Workspace, image: Image) -> Rootfs:
    """The root file system of an image by `docker export` of a container that is never started."""
    spec = ContainerSpec(image=image.id, run=workspace.run, entrypoint=("/none",), workdir="/", network="none")
    with workspace.container(spec) as container:
        contents = ExportedContents(workspace.fresh("export"), workspace.engine.export(container))
        made = _paths_made_by_engine(workspace.engine, container, image)
    entries = contents.entries
    if not any(e.path == "/" for e in entries):
        entries.append(Entry("/", Kind.DIR, 0o755))
    return Rootfs(without_engine_made(entries, made), contents)
