"""Images of a Docker-compatible engine, by reference: pulled where they are to be, their configuration whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote

from msgspec.structs import asdict, replace

from debloat.core.errors import EngineUnavailable, UsageError
from debloat.core.model import Image, ImageConfig
from debloat.core.platform import Wanted
from debloat.core.reference import has_tag, must_be_reference, must_not_be_a_file
from debloat.engine import libpod
from debloat.engine.base import EngineInfo
from debloat.engine.client import CHUNK, Client, error_context
from debloat.engine.dockerpy import docker
from debloat.engine.inspection import config_of, find_config, find_history, image_of, mapping

SMALL = 256 << 20
"""Bytes of an image up to which its archive is read for the sake of its configuration alone: a second or two."""


class Images:
    """The images of the engine behind a client; `wanted` is the platform that they are to be for, None for any."""

    def __init__(self, client: Client, info: Callable[[], EngineInfo]) -> None:
        self._client = client
        self._info = info
        self.wanted: Wanted | None = None

    def find(self, reference: str, pull: bool) -> Image:
        """The image that a reference names; UsageError where there is none, or it is for another platform."""
        must_be_reference(reference, self._info().traits.command)
        with error_context(f"look up {reference}"):
            try:
                image = self._shown(reference)
                if pull and not self._fits(image):
                    image = self._pulled(reference)
            except docker.errors.NotFound as error:
                if not pull:
                    raise UsageError(
                        f"cannot find the image {reference}: it is not on this engine",
                        f"build it, or `{self._info().traits.command} pull` it",
                    ) from error
                image = self._pulled(reference)
            except docker.errors.APIError as error:
                if error.response is not None and error.response.status_code == 400:
                    raise UsageError(f"{reference!r} names no image: {error.explanation}", "write NAME:TAG") from error
                raise
        if not self._fits(image):
            raise UsageError(
                f"{reference} is for {image.platform_name} on this engine, not for {self.wanted}",
                "build or pull it for that platform",
            )
        return replace(image, config=self._unhidden(image)) if self._info().traits.hides_configuration else image

    def _fits(self, image: Image) -> bool:
        return self.wanted is None or self.wanted.fits(image.os, image.architecture, image.variant)

    def _shown(self, reference: str) -> Image:
        """The image as the engine describes it; of an index, the image for the platform that is wanted, or its own."""
        traits, path = self._info().traits, f"/images/{quote(reference, safe='/:@')}"
        ask = self._client.get_json
        raw = ask(f"{path}/json", {"manifests": "1"} if traits.shows_manifests else {})
        of_platform: dict[str, str] = {}
        if self.wanted and traits.shows_platforms:
            of_platform = {"platform": json.dumps(asdict(self.wanted))}
            # Asked for apart: `manifests` does not go with it. By its id there an image cannot be named.
            raw = {**ask(f"{path}/json", of_platform), "Id": raw["Id"], "Manifests": raw.get("Manifests")}
        try:
            history = ask(f"{path}/history", of_platform)
        except docker.errors.NotFound:
            # The containerd store has none of an image that is there and not unpacked, which a container would do.
            archive = self._client.get_image(reference, chunk_size=CHUNK)
            history = find_history(archive, mapping(raw, "RootFS").get("Layers") or ())
        return image_of(reference, raw, history)

    def _unhidden(self, image: Image) -> ImageConfig:
        """The configuration of an image on an engine whose answers leave fields out of it."""
        with error_context(f"read the configuration of {image.reference}"):
            shown = config_of(libpod.shown_configuration(self._client, image))
        return self._archived_config(image, shown) if libpod.hides(image, shown.raw) else shown

    def whole_config(self, image: Image) -> ImageConfig:
        """What the engine shows, unless it may have left something out: then what lies in the image's archive.

        An engine shows the fields that it knows. It cannot have left any out of an image that it built itself. The
        archive holds the layers too, so it is asked for only where a known loss is likely (a HEALTHCHECK may have a
        StartInterval, which engines before API 1.44 drop), or where it is small.
        """
        info = self._info()
        if info.traits.hides_configuration:
            return image.config  # whole already
        whole = info.traits.shows_start_interval or image.builder == info.version
        if whole or not info.traits.id_is_configuration or not (image.config.healthcheck or image.size <= SMALL):
            return image.config
        return self._archived_config(image, image.config)

    def _archived_config(self, image: Image, shown: ImageConfig) -> ImageConfig:
        """The configuration as it lies in the image's archive, or `shown` where that cannot be had."""
        try:
            with error_context(f"read the configuration of {image.reference}"):
                config = find_config(self._client.get_image(image.id, chunk_size=CHUNK), image.id)
                return shown if config is None else config_of(config)
        except EngineUnavailable:
            return shown

    def _pulled(self, reference: str) -> Image:
        command = self._info().traits.command
        must_not_be_a_file(reference, command)
        try:
            platform = str(self.wanted) if self.wanted else None
            self._client.pull(reference, tag=None if has_tag(reference) else "latest", platform=platform)
            return self._shown(reference)
        except docker.errors.APIError as error:
            raise UsageError(
                f"cannot find the image {reference}{f' for {self.wanted}' if self.wanted else ''}:"
                " it is not on this engine, and pulling it failed"
                f" ({str(error.explanation or error).strip()})",
                f"check the spelling (`{command} images`), build it first (`debloat build`), or log in to its registry",
            ) from error
