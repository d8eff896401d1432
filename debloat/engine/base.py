"""The seam to a container engine: what debloat asks of one, as values and one Protocol.

Everything above this module speaks to `Engine` alone, so the whole tool runs against a fake in tests, and another
engine needs one more module.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

from msgspec import Struct

from debloat.core.model import Entry, Image, ImageConfig
from debloat.core.platform import Wanted
from debloat.engine.traits import DOCKER, EngineTraits

RUN_LABEL = "debloat.run"
"""Label of every container that a run creates, and of its networks and volumes; its value is the run's id."""

PENDING_REPOSITORY = "debloat-pending"
"""Repository of images that are loaded but not proven yet; the tag is the run's id."""


class EngineInfo(Struct, frozen=True):
    """What the engine says of itself; `local` tells whether it is reached as an engine on this machine is."""

    name: str
    version: str
    api: str
    os: str
    architecture: str
    kernel: str
    storage: str
    endpoint: str
    local: bool
    traits: EngineTraits = DOCKER


class ContainerSpec(Struct, frozen=True):
    """A container to be created. Ports are published on 127.0.0.1 only, at ports that the engine picks.

    `image_at` is where the image is mounted as well, as it is (only where `EngineTraits.mounts_images`). Such a
    container reads an image and does nothing else: it has no ports, volumes, variables or options of a user's.
    `mounts` are directories of this machine and where they go; unlike one of `volumes` such a directory has to exist.
    `beside` is a running container whose processes and network it sees; `tty` gives it a terminal. `seccomp` is a
    profile as a JSON document in Docker's format, empty for the engine's own.
    """

    image: str
    run: str
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    user: str = ""
    env: Mapping[str, str] = MappingProxyType({})
    workdir: str = ""
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    mounts: tuple[tuple[str, str], ...] = ()
    anonymous: tuple[str, ...] = ()
    tmpfs: tuple[str, ...] = ()
    network: str = ""
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    group_add: tuple[str, ...] = ()
    no_new_privs: bool = False
    read_only: bool = False
    init: bool = False
    stdin: bool = False
    logs: bool = True
    image_at: str = ""
    beside: str = ""
    tty: bool = False
    seccomp: str = ""


class ContainerFound(Struct, frozen=True):
    """A container that a user named: its id, the id of its image, whether it runs, and where something is mounted.

    `alone` is false where it shares the processes of another container or of the machine, so PID 1 is not its own.
    """

    id: str
    image: str
    running: bool
    mounts: tuple[str, ...] = ()
    alone: bool = True


class ContainerState(Struct, frozen=True):
    """A container as it stands; `ports` maps `80/tcp` to a port on the engine's 127.0.0.1, `addresses` are its own.

    `error` is why the engine could not run it, in its words, or empty. `oom_killed` says that the kernel killed a
    process of it for want of memory, the main one or another.
    """

    running: bool
    exit_code: int
    error: str
    pid: int
    ports: Mapping[str, int]
    oom_killed: bool = False
    addresses: tuple[str, ...] = ()


class Leftover(Struct, frozen=True):
    """Something a run left behind: `kind` is `container`, `image`, `network` or `volume`, or `directory`, whose path is
    its name."""

    kind: str
    id: str
    run: str
    name: str


class Channel(Protocol):
    """Both directions of a program's standard streams.

    Reads raise `ChannelClosed` at the end of the stream, and TimeoutError after `timeout` seconds. For one thread at a
    time: a request and its answer have to be kept together by whoever shares one.
    """

    def send(self, data: bytes) -> None: ...

    def read(self, size: int, timeout: float = 60.0) -> bytes:
        """Exactly `size` bytes of standard output."""

    def some(self, timeout: float = 60.0) -> bytes:
        """Some bytes of standard output, at least one."""

    def line(self, timeout: float = 60.0) -> str:
        """One line of standard output, without its end."""

    def errors(self) -> bytes:
        """What has come on standard error so far, bounded."""

    def end(self) -> None:
        """End standard input; what the program still says can be read."""

    def close(self) -> None: ...


class ChannelClosed(Exception):
    """The program at the other end has gone."""


class ExecResult(Struct, frozen=True):
    """How a command in a container ended; outputs are bounded, their ends cut."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class LayerName(NamedTuple):
    """A name in a layer, whiteouts too: its absolute path, the bytes of a regular file (0 for anything else)."""

    path: str
    size: int
    directory: bool


class ImageFiles(Protocol):
    """An image as its layers have it, read on this machine: entries, and contents as they are asked for.

    Threads may share one.
    """

    def entries(self) -> Iterator[Entry]:
        """All entries, in no order."""

    def layers(self) -> Iterator[Iterator[LayerName]]:
        """The names in each layer, from the lowest up."""

    def volumes_without_directory(self, volumes: Iterable[str]) -> frozenset[str]:
        """The first path on the way to each volume that the image has not, and that engines make in containers."""

    def fetch(self, paths: Iterable[str], limit: int | None = None) -> None: ...

    def read(self, path: str, limit: int | None = None) -> bytes: ...

    def chunks(self, path: str) -> Iterator[bytes]: ...


class Engine(Protocol):
    """A container engine. Errors are `EngineUnavailable`, or `UsageError` for what the user named wrongly."""

    def info(self) -> EngineInfo: ...

    def prefer(self, platform: Wanted) -> None:
        """From now on images are for this platform; UsageError from `image` where one is not."""

    def image(self, reference: str, *, pull: bool = True) -> Image:
        """The image that a reference names locally, or that can be pulled where it is to be."""

    def image_names(self) -> tuple[str, ...]:
        """The names of all its images as people write them, sorted; not those of images that are not proven yet."""

    def whole_config(self, image: Image) -> ImageConfig:
        """The image's configuration with the fields that the engine itself does not know, where that can be had."""

    def files(self, image: Image) -> ImageFiles | None:
        """The image's layers, where this process can read them; None where a container has to be asked."""

    def directories(self, image: Image) -> tuple[str, ...]:
        """The directories of the image's layers, uppermost first, where overlayfs on this machine shows the image.

        Empty where the engine keeps it in another way or place, or its files belong to others there than in containers.
        """

    def find(self, container: str) -> ContainerFound:
        """A container by its name, its id or the beginning of that; UsageError where there is none."""

    def create(self, spec: ContainerSpec) -> str: ...

    def put(self, container: str, directory: str, tar: bytes) -> None:
        """Unpack a tar into a directory of a container, running or not."""

    def get(self, container: str, path: str) -> Iterator[bytes]:
        """A path of a container as a tar stream."""

    def start(self, container: str) -> None: ...

    def state(self, container: str) -> ContainerState: ...

    def wait(self, container: str, timeout: float) -> int | None:
        """The exit code once the container has ended; None if it still runs after `timeout` seconds."""

    def kill(self, container: str, signal: str) -> None:
        """Send a signal to the main process; nothing happens where it has ended."""

    def remove(self, container: str) -> None:
        """Remove a container in any state with its anonymous volumes; nothing happens where there is none."""

    def logs(self, container: str) -> tuple[bytes, bytes]:
        """Standard output and standard error so far, each its last megabyte."""

    def attach(self, container: str, tty: bool = False) -> Channel:
        """The standard streams of a container that was created with `stdin` and is not started yet.

        One that was created with a terminal, `tty`, has one stream for both outputs.
        """

    def resize(self, container: str, rows: int, columns: int) -> None:
        """Tell a running container with a terminal how large that is."""

    def execute(self, container: str, argv: Iterable[str], user: str = "") -> Channel:
        """Start a command in a running container with its standard streams attached."""

    def run(self, container: str, argv: Iterable[str], user: str = "", timeout: float = 60.0) -> ExecResult:
        """Run a command in a running container to its end; TimeoutError when it takes longer."""

    def reaches(self, network: str) -> bool:
        """Whether it dials all ports of a container that is to be in a network, so that none has to be published.

        `network` is as `docker run --network` has it, empty for the default. False where that is not certain.
        """

    def dial(self, container: str, addresses: tuple[str, ...], port: int, *, datagrams: bool = False) -> Channel | None:
        """A connection to a port of a container; None where a program in it has to make it.

        One for `datagrams` carries each with its length before it in two bytes, the higher first, and one at a time.
        EngineUnavailable where nothing answers at any of the addresses.
        """

    def changes(self, container: str) -> frozenset[str]:
        """Paths that a container has and its image has not: what the engine, or its program, made."""

    def export(self, container: str) -> Iterator[bytes]:
        """The root file system of a container as a tar stream."""

    def save(self, image: str) -> Iterator[bytes]:
        """An image with its layers as an archive, as `docker save` writes it, in pieces."""

    def load(self, tar: Iterable[bytes], name: str) -> None:
        """Load an archive as `docker save` writes it, which holds an image of that name."""

    def tag(self, image: str, reference: str) -> None: ...

    def untag(self, reference: str) -> None:
        """Remove one name of an image, and the image if it has no other; nothing happens where there is none."""

    def remove_shared(self, kind: str, identifier: str) -> None:
        """Remove a `network` or a `volume` that no container uses any more; nothing happens where there is none."""

    def leftovers(self, run: str = "") -> tuple[Leftover, ...]:
        """Containers, pending images, networks and volumes of one run, or of all; in an order to remove them in."""

    def empty(self) -> int:
        """Remove the images that are kept for later runs alone; how many went."""

    def close(self) -> None: ...
