"""Identity: the same for the same image in every engine's words, another for another image."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.core.identity import identity, identity_of, normal_config

CLASSIC = {
    "Hostname": "",
    "Domainname": "",
    "User": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "ExposedPorts": {"80/tcp": {}},
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Env": ["PATH=/usr/bin"],
    "Cmd": ["nginx"],
    "Image": "sha256:13f7c13f8a9ebd670755990fb88052551f0d17e1c2846221deba5b5fc62c1c4b",
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": None,
    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5},
}
"""What Docker 20.10 says of an image."""

CONTAINERD = {**CLASSIC, "Image": "", "Hostname": "build-container", "Labels": {}}
"""The same from the containerd store of 26.1."""

SPARSE = {
    "ExposedPorts": {"80/tcp": {}},
    "Env": ["PATH=/usr/bin"],
    "Cmd": ["nginx"],
    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5, "StartInterval": 1},
}
"""The same from an API that leaves out what is empty, and knows more of a health check."""

LAYERS = ["sha256:1", "sha256:2"]


@pytest.mark.parametrize("said", [CONTAINERD, SPARSE])
def test_every_engine_speaks_of_the_same_image(said: dict[str, Any]) -> None:
    assert identity("linux/amd64", said, LAYERS) == identity("linux/amd64", CLASSIC, LAYERS)


@pytest.mark.parametrize(
    "other",
    [
        {"Cmd": ["nginx", "-g"]},
        {"User": "app"},
        {"Env": []},
        {"Healthcheck": {"Test": ["CMD", "false"]}},
        {"Healthcheck": None},
        {"OnBuild": ["RUN true"]},
        {"Shell": ["bash", "-c"]},
        {"Labels": {"a": ""}},
        {"ExposedPorts": {}},
    ],
)
def test_another_configuration_is_another_image(other: dict[str, Any]) -> None:
    assert identity("linux/amd64", {**SPARSE, **other}, LAYERS) != identity("linux/amd64", SPARSE, LAYERS)


def test_other_layers_or_another_platform_are_another_image() -> None:
    mine = identity("linux/amd64", SPARSE, LAYERS)
    assert identity("linux/386", SPARSE, LAYERS) != mine
    assert identity("linux/amd64", SPARSE, LAYERS[:1]) != mine
    assert identity("linux/amd64", SPARSE, LAYERS[::-1]) != mine


def test_a_configuration_in_a_store_is_the_image_that_an_engine_shows() -> None:
    document = {
        "architecture": "arm",
        "variant": "v7",
        "os": "linux",
        "created": "2024-01-01T00:00:00Z",
        "history": [{"created_by": "COPY . ."}],
        "config": SPARSE,
        "rootfs": {"type": "layers", "diff_ids": LAYERS},
    }
    assert identity_of(json.dumps(document).encode()) == identity("linux/arm/v7", CLASSIC, LAYERS)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
CONFIGS = st.dictionaries(st.sampled_from([*CLASSIC, "Shell", "X-Unknown"]), VALUES, max_size=6)


@given(CONFIGS)
def test_the_normal_form_is_one(config: dict[str, Any]) -> None:
    """Taken once or twice; it has the identity of what it was taken of, and loses no field that it does not know."""
    normal = normal_config(config)
    assert normal_config(normal) == normal
    assert identity("linux/amd64", normal, LAYERS) == identity("linux/amd64", config, LAYERS)
    assert normal.get("X-Unknown") == config.get("X-Unknown")
