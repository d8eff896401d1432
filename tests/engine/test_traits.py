"""What an engine is like, from its own answers."""

from __future__ import annotations

from typing import Any

import pytest

from debloat.engine.traits import EngineTraits, api_version, traits_of

DOCKER_20 = {"Components": [{"Name": "Engine"}, {"Name": "containerd"}], "Version": "20.10.24+dfsg1"}
PODMAN = {"Components": [{"Name": "Podman Engine"}, {"Name": "Conmon"}], "Version": "4.3.1"}
CONTAINERD = {"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]], "Driver": "overlayfs"}
OVERLAY2 = {"DriverStatus": [["Backing Filesystem", "extfs"], ["Supports d_type", "true"]], "Driver": "overlay2"}


@pytest.mark.parametrize(
    ("version", "info", "api", "traits"),
    [
        (DOCKER_20, OVERLAY2, "1.41", EngineTraits("docker", "classic", (1, 41))),
        (DOCKER_20, CONTAINERD, "1.45", EngineTraits("docker", "containerd", (1, 45))),
        (DOCKER_20, {"SecurityOptions": ["name=seccomp", "name=rootless"]}, "1.41", EngineTraits(rootless=True)),
        (DOCKER_20, {"SecurityOptions": ["name=seccomp", "name=userns"]}, "1.41", EngineTraits(remapped=True)),
        (PODMAN, OVERLAY2, "1.41", EngineTraits("podman", "containers", (1, 41))),
        ({}, {}, "1.55", EngineTraits(api=(1, 55))),
        ({"Components": None}, {"DriverStatus": None, "SecurityOptions": None}, "1.41", EngineTraits()),
    ],
)
def test_they_are_asked_for(version: dict[str, Any], info: dict[str, Any], api: str, traits: EngineTraits) -> None:
    assert traits_of(version, info, api) == traits


def test_habits() -> None:
    assert EngineTraits(api=(1, 44)).shows_start_interval
    assert not EngineTraits(api=(1, 43)).shows_start_interval
    assert EngineTraits(store="classic").id_is_configuration
    assert not EngineTraits(store="containerd").id_is_configuration
    assert EngineTraits("podman").command == "podman"


@pytest.mark.parametrize(("text", "version"), [("1.41", (1, 41)), ("1.100", (1, 100)), ("", (1, 24)), ("x", (1, 24))])
def test_versions(text: str, version: tuple[int, int]) -> None:
    assert api_version(text) == version
