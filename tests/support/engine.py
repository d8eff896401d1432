"""A fake engine: images are trees, containers speak the sensor's wire formats, probes are answered from a script.

It stands at the one seam (`debloat.engine.base.Engine`), so that the whole tool above it runs without an engine. A
fake program is a function from the root file system it runs on to a `Behaviour`.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from debloat.core.errors import EngineUnavailable, UsageError
from debloat.core.model import Entry, Image, ImageConfig, Kind
from debloat.core.platform import Wanted
from debloat.core.reference import split_reference
from debloat.engine.base import (
    PENDING_REPOSITORY,
    Channel,
    ChannelClosed,
    ContainerFound,
    ContainerSpec,
    ContainerState,
    EngineInfo,
    ExecResult,
    Leftover,
)
from debloat.engine.traits import DOCKER
from debloat.image.contents import ExportedContents
from debloat.image.rootfs import MemoryContents, Rootfs
from debloat.profile.calls import numbers


@dataclass(frozen=True)
class Behaviour:
    """What a program does: the paths it uses as (operation, flags, path), its output and exit code.

    `calls` are numbers of system calls beside those of the paths, on x86_64: under a profile that refuses one of them
    it fails. Calls that are `unseen` are made all the same and not noted.
    """

    uses: tuple[tuple[str, str, str], ...] = ()
    stdout: bytes = b""
    stderr: bytes = b""
    exit_code: int = 0
    calls: tuple[int, ...] = ()
    unseen: tuple[int, ...] = ()


Program = Callable[[Rootfs, tuple[str, ...]], Behaviour]


@dataclass
class FakeContainer:
    spec: ContainerSpec
    rootfs: Rootfs
    behaviour: Behaviour = field(default_factory=Behaviour)
    started: bool = False


def _allowed(profile: str) -> set[int]:
    """The numbers of the calls that a profile allows for whatever arguments."""
    rows = json.loads(profile)["syscalls"]
    names = {name for row in rows if row["action"] == "SCMP_ACT_ALLOW" for name in row["names"]}
    return set(numbers("x86_64", names))


class FakeEngine:
    """Images by reference; every container of one runs `program`."""

    def __init__(self, images: Mapping[str, tuple[Rootfs, Mapping[str, object]]], program: Program) -> None:
        self.names: dict[str, str] = {}
        self.images: dict[str, tuple[Rootfs, Image]] = {}
        self.containers: dict[str, FakeContainer] = {}
        self.calls: list[str] = []
        self.created: list[ContainerSpec] = []
        self.fail_on: dict[str, Exception] = {}
        self.traits = DOCKER
        self.reached = False
        self.doctor = b"notify yes\nptrace yes\nnotify_killable yes\nprocess_vm_readv yes\ncap_sys_admin no\n"
        self.wanted: Wanted | None = None
        self.running: dict[str, ContainerFound] = {}
        """Containers that somebody else started, by name."""
        self._program = program
        self._count = 0
        for number, (reference, (rootfs, config)) in enumerate(sorted(images.items())):
            image_id = f"sha256:{number:064x}"
            image = Image(
                reference, image_id, "linux", "amd64", "", "2024-01-01T00:00:00Z", ImageConfig(config), (image_id,)
            )
            self.images[image_id] = (rootfs, image)
            self.names[reference] = image_id

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.fail_on:
            raise self.fail_on[name]

    def info(self) -> EngineInfo:
        return EngineInfo("Fake", "1", "1.41", "linux", "amd64", "6", "memory", "unix:///fake", True, self.traits)

    def prefer(self, platform: Wanted) -> None:
        self.wanted = platform

    def image(self, reference: str, *, pull: bool = True) -> Image:
        self._call("image")
        image_id = self.names.get(reference, reference)
        if image_id not in self.images:
            raise UsageError(f"cannot find the image {reference}")
        return replace(self.images[image_id][1], reference=reference)

    def image_names(self) -> tuple[str, ...]:
        self._call("image_names")
        return tuple(sorted(n for n in self.names if split_reference(n)[0] != PENDING_REPOSITORY))

    def whole_config(self, image: Image) -> ImageConfig:
        return image.config

    def files(self, image: Image) -> None:
        return None

    def directories(self, image: Image) -> tuple[str, ...]:
        return ()

    def create(self, spec: ContainerSpec) -> str:
        self._call("create")
        self.created.append(spec)
        self._count += 1
        container = f"{self._count:064x}"
        self.containers[container] = FakeContainer(spec, self.images[self.names.get(spec.image, spec.image)][0])
        return container

    def put(self, container: str, directory: str, tar: bytes) -> None:
        self._call("put")

    def start(self, container: str) -> None:
        self._call("start")
        box = self.containers[container]
        box.started = True
        argv = box.spec.entrypoint
        if argv[1:] == ("doctor",):
            box.behaviour = Behaviour(stdout=self.doctor)
        elif "serve" not in argv:
            config = self.image(box.spec.image).config
            own = argv if box.spec.beside else config.entrypoint
            argv = argv[argv.index("--") + 1 :] if "record" in argv else (*own, *box.spec.cmd)
            box.behaviour = self._program(box.rootfs, argv)
            if box.spec.seccomp and not {*box.behaviour.calls, *box.behaviour.unseen} <= _allowed(box.spec.seccomp):
                box.behaviour = dataclasses.replace(
                    box.behaviour, stdout=b"", stderr=b"Operation not permitted\n", exit_code=1
                )

    def get(self, container: str, path: str) -> Iterator[bytes]:
        self._call("get")
        behaviour, argv = self.containers[container].behaviour, self.containers[container].spec.entrypoint
        uses = behaviour.uses
        lines = ["debloat-events\t1\tnotify\tx86_64\tmain", "p\t1\t/usr/bin/tool"]
        lines += [f"e\t0\t{op}\t{flags or '-'}\t1\t{path}" for op, flags, path in uses]
        if "--calls" in argv:
            lines = [lines[0], *(f"c\tnative\t{number}" for number in behaviour.calls)]
        state = bytearray(128)
        state[:16] = b"DBLSTATE" + (1).to_bytes(4, "little") + (1).to_bytes(4, "little")
        state[16:24] = len(uses).to_bytes(8, "little")
        files = {"main.events": "\n".join(lines).encode() + b"\n", "main.state": bytes(state), "marks": b""}
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name, data in files.items():
                info = tarfile.TarInfo(f"trace/{name}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        yield out.getvalue()

    def state(self, container: str) -> ContainerState:
        box = self.containers[container]
        return ContainerState(False, box.behaviour.exit_code, "", 0, {})

    def wait(self, container: str, timeout: float) -> int | None:
        self._call("wait")
        return self.containers[container].behaviour.exit_code

    def kill(self, container: str, signal: str) -> None:
        self._call("kill")

    def remove(self, container: str) -> None:
        self._call("remove")
        self.containers.pop(container, None)

    def logs(self, container: str) -> tuple[bytes, bytes]:
        behaviour = self.containers[container].behaviour
        return behaviour.stdout, behaviour.stderr

    def find(self, container: str) -> ContainerFound:
        if container not in self.running:
            raise UsageError(f"cannot find the container {container}")
        return self.running[container]

    def resize(self, container: str, rows: int, columns: int) -> None:
        self._call("resize")

    def attach(self, container: str, tty: bool = False) -> Channel:
        self._call("attach")
        if self.containers[container].spec.beside:
            return OutputChannel(self.containers[container])
        return ServeChannel(self.containers[container].rootfs)

    def execute(self, container: str, argv: Iterable[str], user: str = "") -> Channel:
        raise EngineUnavailable("the container is not running")

    def run(self, container: str, argv: Iterable[str], user: str = "", timeout: float = 60.0) -> ExecResult:
        raise EngineUnavailable("the container is not running")

    def export(self, container: str) -> Iterator[bytes]:
        raise EngineUnavailable("the fake cannot export")

    def reaches(self, network: str) -> bool:
        return self.reached

    def dial(self, container: str, addresses: tuple[str, ...], port: int, *, datagrams: bool = False) -> None:
        return None

    def changes(self, container: str) -> frozenset[str]:
        return frozenset()

    def save(self, image: str) -> Iterator[bytes]:
        self._call("save")
        rootfs, known = self.images[image]
        yield saved(known, [(rootfs.entries(), rootfs)])

    def load(self, tar: Iterable[bytes], name: str = "") -> None:
        self._call("load")
        image_id, rootfs, document, names = read_archive(b"".join(tar))
        config, layers = ImageConfig(document["config"]), tuple(document["rootfs"]["diff_ids"])
        self.images[image_id] = (
            rootfs,
            Image("", image_id, "linux", "amd64", "", "2024-01-01T00:00:00Z", config, layers),
        )
        self.names.update(dict.fromkeys(names, image_id))

    def tag(self, image: str, reference: str) -> None:
        self._call("tag")
        self.names[reference] = self.names.get(image, image)

    def untag(self, reference: str) -> None:
        self._call("untag")
        self.names.pop(reference, None)

    def remove_shared(self, kind: str, identifier: str) -> None:
        self._call(f"remove {kind} {identifier}")

    def leftovers(self, run: str = "") -> tuple[Leftover, ...]:
        boxes = [
            Leftover("container", c, box.spec.run, c) for c, box in self.containers.items() if run in ("", box.spec.run)
        ]
        images = [
            Leftover("image", image_id, split_reference(name)[1], name)
            for name, image_id in self.names.items()
            if split_reference(name)[0] == PENDING_REPOSITORY and run in ("", split_reference(name)[1])
        ]
        return tuple(boxes + images)

    def empty(self) -> int:
        return 0

    def close(self) -> None: ...


class ServeChannel:
    """The sensor's `serve`, over a tree."""

    def __init__(self, rootfs: Rootfs) -> None:
        self._rootfs = rootfs
        self._out = bytearray()

    def send(self, data: bytes) -> None:
        if data == b"index\n":
            self._out += serve_index(self._rootfs.entries())
        elif data.startswith(b"read "):
            head, _, rest = data.partition(b"\n")
            number, *most = map(int, head.split()[1:])
            for name in rest.split(b"\0")[:number]:
                content = self._rootfs.read(os.fsdecode(name), *most)
                self._out += b"\0" + len(content).to_bytes(8, "little") + content

    def read(self, size: int, timeout: float = 60.0) -> bytes:
        data = bytes(self._out[:size])
        del self._out[:size]
        return data

    def some(self, timeout: float = 60.0) -> bytes:
        if not self._out:
            raise ChannelClosed
        return self.read(min(len(self._out), 700))

    def line(self, timeout: float = 60.0) -> str:
        raise ChannelClosed

    def errors(self) -> bytes:
        return b""

    def end(self) -> None: ...

    def close(self) -> None: ...


class OutputChannel(ServeChannel):
    """The streams of a program that prints once it is started, and ends."""

    def __init__(self, box: FakeContainer) -> None:
        super().__init__(box.rootfs)
        self._box = box
        self._told = False

    def send(self, data: bytes) -> None: ...

    def some(self, timeout: float = 60.0) -> bytes:
        if self._told or not self._box.behaviour.stdout:
            raise ChannelClosed
        self._told = True
        return self._box.behaviour.stdout

    def errors(self) -> bytes:
        return self._box.behaviour.stderr


def serve_index(entries: Iterable[Entry]) -> bytes:
    """What the sensor's `index` answers for these entries (docs/sensor.md)."""
    out = bytearray()
    for number, e in enumerate(entries):
        inode = e.hardlink or 1_000_000 + number
        meta = (e.kind, f"{e.mode:o}", e.uid, e.gid, e.size, e.mtime, 2 if e.hardlink else 1, 1, inode, *e.device)
        out += " ".join(map(str, (*meta, len(e.xattrs)))).encode() + b"\0"
        out += os.fsencode(e.path) + b"\0" + os.fsencode(e.target) + b"\0"
        for name, value in e.xattrs:
            out += os.fsencode(name) + b"\0" + value.hex().encode() + b"\0"
    return bytes(out + b"\0")


def saved(image: Image, layers: Sequence[tuple[Iterable[Entry], Rootfs]]) -> bytes:
    """An image archive as `docker save` writes it: each layer some entries, with contents out of a root file system."""
    import json

    files = {f"{number}/layer.tar": layer_tar(*layer) for number, layer in enumerate(layers)}
    history = [{"created_by": text} for text in image.history] or [{"created_by": "ADD rootfs"} for _ in layers]
    config = {"config": dict(image.config.raw), "rootfs": {"diff_ids": list(image.layers)}, "history": history}
    manifest = [{"Config": "config.json", "RepoTags": None, "Layers": list(files)}]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in {
            **files,
            "config.json": json.dumps(config).encode(),
            "manifest.json": json.dumps(manifest).encode(),
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def layer_tar(entries: Iterable[Entry], rootfs: Rootfs) -> bytes:
    """A layer of regular files, directories and links."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", errors="surrogateescape") as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry.path.strip("/") or ".")
            info.mode = entry.mode
            if entry.is_dir:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            elif entry.is_symlink:
                info.type, info.linkname = tarfile.SYMTYPE, entry.target
                tar.addfile(info)
            else:
                data = rootfs.read(entry.path)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def read_archive(data: bytes) -> tuple[str, Rootfs, dict[str, Any], list[str]]:
    """An image archive as `docker load` reads it: id, root file system, configuration, names."""
    import hashlib
    import json
    import tempfile
    from pathlib import Path

    with tarfile.open(fileobj=io.BytesIO(data)) as tar:

        def member(name: str) -> bytes:
            file = tar.extractfile(name)
            assert file is not None
            return file.read()

        manifest = json.loads(member("manifest.json"))[0]
        config = member(manifest["Config"])
        layers = [member(name) for name in manifest["Layers"]]
    image_id = f"sha256:{hashlib.sha256(config).hexdigest()}"
    with tempfile.TemporaryDirectory() as directory:
        entries: dict[str, Entry] = {}
        files: dict[str, bytes] = {}
        for number, layer in enumerate(layers):
            contents = ExportedContents(Path(directory) / f"layer{number}", [layer])
            entries.update((e.path, e) for e in contents.entries)
            files.update((e.path, contents.read(e.path)) for e in contents.entries if e.kind is Kind.FILE)
    return image_id, Rootfs(entries.values(), MemoryContents(files)), json.loads(config), manifest["RepoTags"] or []
