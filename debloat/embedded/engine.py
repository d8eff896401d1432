"""`Engine` without a daemon: images below a directory of this user's, containers of the distribution's OCI runtime."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from msgspec.structs import replace

from debloat.core.errors import EngineUnavailable, UsageError
from debloat.core.model import Image, ImageConfig
from debloat.core.platform import Wanted
from debloat.core.reference import must_be_reference, split_reference
from debloat.core.signals import signal_number
from debloat.embedded import container as containers
from debloat.embedded import leftovers, runtime, seccomp, userns
from debloat.embedded.archives import pieces, untar, write_tar
from debloat.embedded.container import Container, Ground
from debloat.embedded.cutout import Cutout, Cutouts
from debloat.embedded.images import Images
from debloat.embedded.layers import Files, Layers
from debloat.embedded.namespace import Namespace
from debloat.embedded.network import Network
from debloat.embedded.place import Place, alone, shared, usual
from debloat.engine import connection
from debloat.engine.base import (
    PENDING_REPOSITORY,
    Channel,
    ContainerFound,
    ContainerSpec,
    ContainerState,
    EngineInfo,
    ExecResult,
    Leftover,
)
from debloat.engine.run_id import new_run
from debloat.engine.traits import EngineTraits
from debloat.image.archive import Archive, archive
from debloat.store.base import ImageStore, StoredImage, StoreError
from debloat.store.location import Location, Transport, parse
from debloat.store.opened import open_store

T = TypeVar("T")

MOST = 20 << 30
"""Bytes of layers from which on images that can be had again go, those first that were not used for longest."""
_OWN_NETWORKS = ("", "default", "bridge", "none")


def connect() -> EmbeddedEngine:
    """The engine of this user. EngineUnavailable, with what is missing, where this machine cannot run containers so."""
    home = usual()
    known = runtime.must_be_there()
    user = userns.enter()
    return EmbeddedEngine(Place(home), known, user=user)


class EmbeddedEngine:
    """`Engine` in this process."""

    def __init__(self, place: Place, known: runtime.Runtime, *, user: bool) -> None:
        place.make()
        try:
            self._namespace = Namespace()
        except OSError as error:
            raise EngineUnavailable(
                f"cannot make a mount namespace: {error.strerror}", userns.advice_on_namespaces()
            ) from error
        self._place = place
        self._runtime = known
        self._user = user
        self._layers = Layers(place, user=user)
        self._images = Images(place)
        self._wanted: Wanted | None = None
        self._containers: dict[str, Container] = {}
        self._cutouts = Cutouts(place, self._namespace, user=user)
        self._files: dict[str, Files] = {}
        """The image that was read last, by its id."""
        self._info: EngineInfo | None = None
        self._in_use = place.in_use()
        self._pool = ThreadPoolExecutor(1, "ahead")
        self._version = self._pool.submit(known.version)
        self._next_network: Future[Network] | None = None
        self._clearing: list[Future[None]] = []
        self._ground = Ground(place, self._namespace, known, user)

    def info(self) -> EngineInfo:
        if self._info is None:
            machine = os.uname()
            self._info = EngineInfo(
                name=f"debloat's own engine over {self._runtime.name}",
                version=self._version.result(),
                api="",
                os="linux",
                architecture=seccomp.architecture_of(machine.machine),
                kernel=machine.release,
                storage="overlay",
                endpoint=str(self._place.home),
                local=True,
                traits=EngineTraits("embedded", "classic", rootless=self._user),
            )
        return self._info

    # ------------------------------------------------------------------------------------------ images

    def prefer(self, platform: Wanted) -> None:
        self._wanted = platform

    def image(self, reference: str, *, pull: bool = True) -> Image:
        location = parse(reference)
        if location is not None:
            return self._admitted(location, "")
        must_be_reference(reference, self.info().traits.command)
        image = self._known(reference)
        if image is None or not self._fits(image):
            if not pull:
                if image is None:
                    raise UsageError(f"cannot find the image {reference}: it is not in {self._place.home}", _WHENCE)
                raise UsageError(f"{reference} is for {image.platform_name}, not for {self._wanted}", _WHENCE)
            try:
                image = self._admitted(Location(Transport.REGISTRY, name=reference), reference)
            except (EngineUnavailable, StoreError, UsageError) as error:
                raise type(error)(
                    f"cannot find the image {reference}: it is not in {self._place.home}; {error.message}", _WHENCE
                ) from error
        return image

    def _known(self, name: str) -> Image | None:
        """The image of a name or an id, if all of it is there."""
        if shown := self._cutouts.find(name):
            return shown.image
        with self._place.locked():
            identifier = self._images.find(name)
            if not identifier or not (self._place.images / identifier.removeprefix("sha256:")).exists():
                return None
            image = self._images.image(identifier, name)
            if not self._layers.has(image.layers):
                return None
            self._images.use(identifier)
            return replace(image, size=self._layers.size([image.layers]))

    def _fits(self, image: Image) -> bool:
        return self._wanted is None or self._wanted.fits(image.os, image.architecture, image.variant)

    def _admitted(self, location: Location, name: str) -> Image:
        """The image of another place, its layers taken over; under a name, if there is one."""
        with open_store(location) as store:
            stored = store.image(self._wanted)
            self.admit(store, stored, str(location), [name] if name else [], fetched=True)
            return stored.image

    def admit(
        self, store: ImageStore, stored: StoredImage, where: str, names: Iterable[str] = (), *, fetched: bool = False
    ) -> None:
        """Take an image over from a store."""
        with self._place.locked():
            identifier = self._images.add(stored.config)
        self._layers.add(store, stored, where)
        with self._place.locked():
            for name in names:
                self._images.name(identifier, name, fetched=fetched)
        if self._size() > MOST:
            self._shrink(keep={identifier})

    def _size(self) -> int:
        with self._place.locked():
            return self._layers.size([self._images.image(identifier).layers for identifier in self._images.ids()])

    def _shrink(self, keep: set[str]) -> None:
        """Let images go that can be had again, until there is room; nothing as long as others use the place."""
        if self._containers or self._cutouts or not alone(self._in_use):
            return
        try:
            for identifier in self._images.ids():
                if identifier not in keep and self._size() > MOST:
                    self._forget([identifier])
        finally:
            shared(self._in_use)

    def _forget(self, identifiers: Iterable[str]) -> int:
        """Remove those of these images that have no name but such as can be had again; how many went."""
        with self._place.locked():
            made = {name.id for name in self._images.names() if not name.fetched}
            gone = [identifier for identifier in identifiers if identifier not in made]
            for name in list(self._images.names()):
                if name.id in gone:
                    self._images.unname(name.name)
            for identifier in gone:
                self._images.remove(identifier)
            trees = self._layers.keep_only([self._images.image(left).layers for left in self._images.ids()])
        for tree in trees:
            shutil.rmtree(tree, ignore_errors=True)
        return len(gone)

    def empty(self) -> int:
        """Remove the images that can be had again; how many went. Nothing as long as another run uses the place."""
        if not alone(self._in_use):
            return 0
        try:
            return self._forget(self._images.ids())
        finally:
            shared(self._in_use)

    def whole_config(self, image: Image) -> ImageConfig:
        return image.config

    def files(self, image: Image) -> Files:
        """An image's entries and files as its layers have them."""
        if shown := self._cutouts.find(image.id):
            self._settle(shown)
        found = self._files.get(image.id) or self._layers.files(image.layers, image.reference or image.id)
        self._files = {image.id: found}
        return found

    def directories(self, image: Image) -> tuple[str, ...]:
        """None that would be needed: `files` shows what is in them."""
        return ()

    def save(self, image: str) -> Iterator[bytes]:
        """EngineUnavailable: layers are kept unpacked, and what they were packed as is not known any more."""
        raise EngineUnavailable(f"cannot read the layers of {image[:19]} apart: they are kept unpacked alone", _WHENCE)

    def load(self, tar: Iterable[bytes], name: str) -> None:
        """Load an archive. What was cut from an image that is here is shown over that one, and unpacked if it stays."""
        if isinstance(tar, Archive):
            self._cutouts.drop(name)
            original = self._known(tar.image.original) if tar.image.original else None
            if original is not None:
                below = [directory.name for directory in self._layers.directories(original.layers)]
                if self._cutouts.show(tar.image, name, self.files(original), below):
                    return
        self._load(tar, name)

    def _settle(self, shown: Cutout) -> None:
        """Unpack an image that was only shown."""
        name = shown.image.reference
        self._cutouts.drop(name)
        self._load(archive(shown.written, [name]), name)

    def _load(self, tar: Iterable[bytes], name: str) -> None:
        draft = Path(tempfile.mkdtemp(prefix=f"{new_run()}-", dir=self._place.drafts))
        try:
            path = draft / "archive"
            with path.open("wb") as file:
                for piece in tar:
                    file.write(piece)
            with open_store(Location(Transport.DOCKER_ARCHIVE, path)) as store:
                stored = store.image()
                self.admit(store, stored, "the minimal image", [*stored.image.names])
            if not self._images.find(name):
                raise EngineUnavailable(f"cannot load the minimal image: the archive has none called {name}")
        except OSError as error:
            raise EngineUnavailable(
                f"cannot load the minimal image: {error.strerror}", f"is there space left in {self._place.home}?"
            ) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def tag(self, image: str, reference: str) -> None:
        if shown := self._cutouts.find(image):
            self._settle(shown)
        with self._place.locked():
            identifier = self._images.find(image)
            if not identifier:
                raise EngineUnavailable(f"cannot tag the image {image}: it is not there")
            self._images.name(identifier, reference, fetched=False)

    def untag(self, reference: str) -> None:
        self._cutouts.drop(reference)
        with self._place.locked():
            identifier = self._images.unname(reference)
            others = identifier in {name.id for name in self._images.names()}
        if identifier and not others:
            self._forget([identifier])

    def remove_shared(self, kind: str, identifier: str) -> None:
        """There are none: nothing makes networks and volumes for a run here."""

    # ------------------------------------------------------------------------------------------ containers

    def create(self, spec: ContainerSpec) -> str:
        image = self._known(spec.image)
        if image is None:
            raise UsageError(f"cannot create a container of {spec.image}: there is no such image", _WHENCE)
        if spec.network not in (*_OWN_NETWORKS, "host"):
            raise UsageError(
                f"cannot use the network {spec.network!r}: debloat's own engine has none by that name",
                "use host or none, or --engine docker",
            )
        container = Container(self._ground, secrets.token_hex(32), spec, image)
        self._containers[container.id] = container
        shown = self._cutouts.find(spec.image)
        layers = shown.layers if shown else [directory.name for directory in self._layers.directories(image.layers)]
        try:
            container.create(list(layers), self._network(spec.network), mixed=shown is not None)
        except BaseException as error:
            self.remove(container.id)
            if isinstance(error, OSError):
                raise EngineUnavailable(
                    f"cannot create a container of {spec.image}: {error.strerror or error}",
                    f"is there space left in {self._place.home}?",
                ) from error
            raise
        return container.id

    def _network(self, name: str) -> Network | None:
        """A network for a container. One is made ahead, for it takes the kernel a while."""
        if name == "host":
            return None
        if name == "none":
            return Network(own_address=False)
        ready, self._next_network = self._next_network, self._pool.submit(Network)
        return ready.result() if ready is not None else Network()

    def _container(self, identifier: str) -> Container:
        found = self._containers.get(identifier)
        if found is None:
            raise EngineUnavailable(
                f"cannot find the container {identifier[:12]}", "something else removed it; run the same again"
            )
        return found

    def put(self, container: str, directory: str, tar: bytes) -> None:
        self._inside(container, f"copy into the container's {directory}", lambda: untar(tar, directory))

    def get(self, container: str, path: str) -> Iterator[bytes]:
        return self._archived(container, path, f"copy {path} out of the container")

    def export(self, container: str) -> Iterator[bytes]:
        return self._archived(container, "/", "export the container's files")

    def _archived(self, container: str, path: str, what: str) -> Iterator[bytes]:
        file = cast(BinaryIO, tempfile.TemporaryFile(dir=self._place.drafts))  # noqa: SIM115
        try:
            self._inside(container, what, lambda: write_tar(path, file))
        except BaseException:
            file.close()
            raise
        return pieces(file)

    def _inside(self, container: str, what: str, function: Callable[[], T]) -> T:
        found = self._container(container)
        try:
            return self._namespace.within(found.root, function)
        except OSError as error:
            raise EngineUnavailable(f"cannot {what}: {error.strerror or error}") from error

    def changes(self, container: str) -> frozenset[str]:
        return self._container(container).changes()

    def start(self, container: str) -> None:
        self._container(container).start()

    def state(self, container: str) -> ContainerState:
        return self._container(container).state()

    def wait(self, container: str, timeout: float) -> int | None:
        return self._container(container).wait(timeout)

    def kill(self, container: str, signal: str) -> None:
        self._container(container).kill(signal_number(signal))

    def remove(self, container: str) -> None:
        found = self._containers.pop(container, None)
        if found is not None:
            found.end()
            # The kernel takes its time to give mounts and namespaces back, and nobody has to wait for that.
            self._clearing.append(self._pool.submit(found.clear))
        elif (self._place.containers / container).is_dir():
            self._namespace.call(lambda: containers.remove_left(self._place, self._runtime, container))

    def logs(self, container: str) -> tuple[bytes, bytes]:
        return self._container(container).output()

    def find(self, container: str) -> ContainerFound:
        raise UsageError(
            f"cannot find the container {container}: debloat's own engine has none but its own",
            "name an engine that runs it",
        )

    def resize(self, container: str, rows: int, columns: int) -> None:
        """It gives no terminals."""

    def attach(self, container: str, tty: bool = False) -> Channel:
        return self._container(container).attach()

    def execute(self, container: str, argv: Iterable[str], user: str = "") -> Channel:
        return self._container(container).execute(tuple(argv), user, stdin=True).channel

    def run(self, container: str, argv: Iterable[str], user: str = "", timeout: float = 60.0) -> ExecResult:
        return self._container(container).run(tuple(argv), user, timeout)

    def reaches(self, network: str) -> bool:
        return True

    def dial(self, container: str, addresses: tuple[str, ...], port: int, *, datagrams: bool = False) -> Channel | None:
        """As the protocol has it, from within the container's network."""
        network = self._container(container).network()
        if network is None:
            return None
        return (connection.datagrams if datagrams else connection.connect)(addresses, port, opened=network.opened)

    def image_names(self) -> tuple[str, ...]:
        with self._place.locked():
            names = [name.name for name in self._images.names()]
        return tuple(sorted(name for name in names if split_reference(name)[0] != PENDING_REPOSITORY))

    def _cleared(self) -> None:
        """Wait until what was removed is gone."""
        while self._clearing:
            self._clearing.pop().result()

    def leftovers(self, run: str = "") -> tuple[Leftover, ...]:
        self._cleared()
        return leftovers.found(self._place, self._images, run)

    def close(self) -> None:
        for identifier in list(self._containers):
            self.remove(identifier)
        if self._next_network is not None:
            with contextlib.suppress(EngineUnavailable):
                self._next_network.result().close()
            self._next_network = None
        self._cleared()
        self._pool.shutdown()
        self._cutouts.close()
        self._namespace.close()
        if self._in_use >= 0:
            os.close(self._in_use)
            self._in_use = -1


_WHENCE = (
    "name where it is (oci:DIR, docker-archive:FILE, docker://REGISTRY/NAME, docker-daemon:NAME of Docker), or choose "
    "another engine with --engine"
)
