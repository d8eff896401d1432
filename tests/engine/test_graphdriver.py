"""Where an engine's layers are, by its own answers; answers are not trusted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from debloat.engine.base import EngineInfo
from debloat.engine.graphdriver import directories, readable
from debloat.engine.traits import EngineTraits

ENGINE = EngineInfo("Docker", "20.10", "1.41", "linux", "amd64", "6.1", "overlay2", "unix:///run/docker.sock", True)


def described(driver: str = "overlay2", **data: str) -> dict[str, Any]:
    return {"GraphDriver": {"Name": driver, "Data": data}}


def test_uppermost_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [str(tmp_path / name) for name in ("top", "middle", "low")]
    for layer in layers:
        os.mkdir(layer)
    top, *lower = layers
    assert directories(described(UpperDir=top, LowerDir=":".join(lower), MergedDir="/x")) == tuple(layers)
    assert directories(described(UpperDir=top)) == (top,), "an image of one layer"
    assert directories(described("overlay", UpperDir=top)) == (), "another way to keep them"
    assert directories(described(UpperDir=top, LowerDir=str(tmp_path / "missing"))) == (), "another machine's"
    monkeypatch.chdir(tmp_path)
    assert directories(described(UpperDir="top")) == ()


@pytest.mark.parametrize("raw", [{}, {"GraphDriver": None}, {"GraphDriver": {"Name": "overlay2", "Data": None}}])
def test_an_engine_that_says_nothing(raw: dict[str, Any]) -> None:
    assert directories(raw) == ()


@pytest.mark.parametrize(
    "raw",
    [
        {"GraphDriver": "overlay2"},
        {"GraphDriver": {"Name": 7}},
        {"GraphDriver": {"Name": "overlay2", "Data": {"UpperDir": 7}}},
    ],
)
def test_a_damaged_answer(raw: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^(GraphDriver|Name|UpperDir) is "):
        directories(raw)


@pytest.mark.parametrize(
    ("engine", "user", "expected"),
    [
        (ENGINE, 0, True),
        (ENGINE, 1000, False),
        (replace(ENGINE, local=False), 0, False),
        (replace(ENGINE, storage="btrfs"), 0, False),
        (replace(ENGINE, traits=EngineTraits(rootless=True)), 0, False),
        (replace(ENGINE, traits=EngineTraits(remapped=True)), 0, False),
    ],
)
def test_where_they_are_what_containers_see(
    engine: EngineInfo, user: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr("debloat.engine.graphdriver._SELINUX", "/nonexistent")
    assert readable(engine) is expected
    monkeypatch.setattr("debloat.engine.graphdriver._SELINUX", "/")
    assert not readable(engine)
