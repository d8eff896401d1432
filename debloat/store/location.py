"""Where images are said to lie: `TRANSPORT:REST`, as containers-transports(5) has it; a bare name is the engine's."""

from __future__ import annotations

import enum
import re
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from debloat.core.errors import UsageError
from debloat.core.platform import Wanted
from debloat.core.reference import must_be_reference


class Transport(enum.StrEnum):
    """The value is what stands before the colon."""

    DAEMON = "docker-daemon"
    DOCKER_ARCHIVE = "docker-archive"
    OCI = "oci"
    OCI_ARCHIVE = "oci-archive"
    REGISTRY = "docker"
    CONTAINERS = "containers-storage"


IN_FILES = (Transport.DOCKER_ARCHIVE, Transport.OCI, Transport.OCI_ARCHIVE)
"""Those whose place is a path; the others' is a reference."""


class Location(Struct, frozen=True):
    """A place of an image: `path` for a file or a directory, `name` the reference or the tag in it, as far as given.

    `platform` is which of several images there is meant. `stated` tells `docker-daemon:NAME` from NAME, which is an
    image of whatever engine there is.
    """

    transport: Transport
    path: Path = Path()
    name: str = ""
    platform: Wanted | None = None
    stated: bool = False

    def __str__(self) -> str:
        if self.transport in IN_FILES:
            return f"{self.transport}:{self.path}" + (f":{self.name}" if self.name else "")
        if self.on_engine:
            return f"{self.transport}:{self.name}" if self.stated else self.name
        return f"{self.transport}:{'//' if self.transport is Transport.REGISTRY else ''}{self.name}"

    def of_manifest(self, digest: str) -> Location:
        """The same place, of whose index one image is meant."""
        return replace(self, name=f"{by_digest(self.name)[0]}@{digest}", platform=None)

    @property
    def lasting(self) -> str:
        """What names it from any directory."""
        return str(replace(self, path=self.path.absolute()) if self.transport in IN_FILES else self)

    @property
    def on_engine(self) -> bool:
        """Whether it is an image of the container engine, whichever that is."""
        return self.transport is Transport.DAEMON


_BY_DIGEST = re.compile(r"(.*)@(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})", re.ASCII)


def by_digest(name: str) -> tuple[str, str]:
    """A name without the digest of a manifest that stands behind it, `[NAME]@DIGEST`, and that digest; empty: none."""
    match = _BY_DIGEST.fullmatch(name)
    return (match[1], match[2]) if match else (name, "")


_KNOWN = re.compile(rf"({'|'.join(Transport)}):(.*)", re.DOTALL)
_UNKNOWN = re.compile(r"(dir|docker-tarball|sif|ostree|tarball|https?|oci-registry):(.*)", re.DOTALL)


def image_location(text: str, platform: Wanted | None = None) -> Location:
    """What a word that names an image says; without a transport it is one of the engine."""
    location = parse(text)
    return replace(location or Location(Transport.DAEMON, name=text), platform=platform)


def output_location(text: str) -> Location:
    """Where a result goes; without a transport it is the file of a `docker-archive`."""
    location = parse(text)
    return location if location is not None else Location(Transport.DOCKER_ARCHIVE, Path(text))


def parse(text: str) -> Location | None:
    """A location with a transport; None for a text without one."""
    match = _KNOWN.fullmatch(text)
    if match is None:
        if (other := _UNKNOWN.fullmatch(text)) and (other[1] != "dir" or "/" in other[2]):
            raise UsageError(
                f"cannot use {text}: {other[1]} is no place of images that debloat knows",
                f"name one of {', '.join(f'{known}:' for known in Transport)}",
            )
        return None
    transport, rest = Transport(match[1]), match[2]
    if transport in IN_FILES:
        path, _, name = rest.partition(":")
        if not path:
            raise UsageError(
                f"{text!r} names no file", f"write {transport}:PATH, with :NAME behind it where it has several"
            )
        return Location(transport, Path(path), name)
    if transport is Transport.REGISTRY:
        if not rest.startswith("//"):
            raise UsageError(f"{text!r} is no image of a registry", "write docker://REGISTRY/NAME:TAG")
        rest = rest.removeprefix("//")
    if transport is Transport.CONTAINERS and rest.startswith("["):
        raise UsageError(f"cannot use {text}: another storage than Podman's own", "leave out what stands in [ ]")
    try:
        must_be_reference(rest, "docker")
    except UsageError as error:
        raise UsageError(f"cannot use {text}: {error.message}", error.hint) from error
    return Location(transport, name=rest, stated=transport is Transport.DAEMON)


class Destination(Struct, frozen=True):
    """Where a result goes: to the engine under a name, and to a place that `--output` names, or to that place alone.

    `name` is the result's, empty for the usual one, `output` where else it goes, `tag` if the engine gets it.
    """

    name: str = ""
    output: Location | None = None
    tag: bool = True

    @property
    def elsewhere(self) -> str:
        """Where the result goes if the engine does not get it; empty where it does."""
        return "" if self.tag or self.output is None else str(self.output)


ON_ENGINE = Destination()
"""The engine, under the usual name."""


def destination(image: str, tag: str, output: str | None) -> Destination:
    """Where the result of an image goes.

    The engine gets the result of an image of its own, and of another where it is named by `-t` or nothing else is.
    """
    to = output_location(output) if output else None
    if to is not None and to.on_engine:
        if tag and tag != to.name:
            raise UsageError(f"the result cannot be called both {tag} and {to.name}", "leave out -t or --output")
        return Destination(to.name, None, True)
    on_engine = image_location(image).on_engine
    return Destination(tag, to, on_engine or bool(tag) or to is None)
