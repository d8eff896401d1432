"""Which of an image's platforms is meant, and what an index holds beside the image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from debloat import sensor
from debloat.cli.main import main
from debloat.core.errors import UsageError
from debloat.core.platform import wanted
from tests.support.engine import Behaviour, FakeEngine
from tests.support.httpengine import VERSION, HttpEngine, serving
from tests.support.trees import tree


@pytest.fixture
def http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpEngine]:
    """An engine with an image for linux/amd64, which the command line finds."""
    monkeypatch.setattr(sensor, "binary", lambda architecture: b"sensor")
    monkeypatch.delenv("DOCKER_DEFAULT_PLATFORM", raising=False)
    files = tree({"/tool": ("0755", "x"), "/data": "data"})
    reads = Behaviour((("open", "r", "/data"),))
    fake = FakeEngine({"tool:1": (files, {"Cmd": ["/tool"]})}, lambda *_: reads)
    found = HttpEngine(fake)
    with serving(found, tmp_path / "engine.sock") as endpoint:
        monkeypatch.setenv("DOCKER_HOST", endpoint)
        yield found


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/arm/v7", "linux/arm/v7"),
        ("arm64", "linux/arm64"),
        ("aarch64", "linux/arm64"),
        ("linux/x86_64", "linux/amd64"),
        ("Linux/AMD64", "linux/amd64"),
        ("i386", "linux/386"),
    ],
)
def test_a_platform_by_any_name(text: str, name: str) -> None:
    assert str(wanted(text)) == name


@pytest.mark.parametrize("text", ["", "/", "linux/", "linux//v8", "a/b/c/d"])
def test_what_is_no_platform(text: str) -> None:
    with pytest.raises(UsageError, match="is not a platform"):
        wanted(text)


def test_a_variant_is_asked_for_where_it_is_named() -> None:
    assert wanted("linux/arm64").fits("linux", "arm64", "v8")
    assert wanted("linux/arm/v7").fits("linux", "arm", "v7")
    assert not wanted("linux/arm/v7").fits("linux", "arm", "v6")
    assert not wanted("linux/arm64").fits("linux", "amd64", "")


@pytest.mark.parametrize("verb", [("slim",), ("inspect",), ("sbom",), ("record", "--save-trace", "x.trace")])
def test_an_image_for_another_platform_is_not_taken(
    http: HttpEngine, capsys: pytest.CaptureFixture[str], verb: tuple[str, ...]
) -> None:
    assert main([*verb, "tool:1", "--platform", "linux/arm64"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "debloat: cannot find the image tool:1 for linux/arm64: it is not on this engine, and pulling" in err
    assert "pull" in http.asked


def test_what_was_pulled_may_be_for_another_platform_all_the_same(
    http: HttpEngine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry that gives what it has; an older API then shows that."""
    monkeypatch.setitem(VERSION, "ApiVersion", "1.41")
    monkeypatch.setattr("docker.APIClient.pull", lambda *_, **__: "")
    assert main(["tool:1", "--platform", "linux/arm64"]) == 2
    assert "tool:1 is for linux/amd64 on this engine, not for linux/arm64" in capsys.readouterr().err


@pytest.mark.parametrize("api", ["1.41", "1.48", "1.55"])
def test_the_environment_names_it_as_for_docker(
    http: HttpEngine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, api: str
) -> None:
    monkeypatch.setitem(VERSION, "ApiVersion", api)
    monkeypatch.setenv("DOCKER_DEFAULT_PLATFORM", "linux/amd64")
    assert main(["tool:1", "-q", "--level", "exact"]) == 0
    monkeypatch.setenv("DOCKER_DEFAULT_PLATFORM", "linux/riscv64")
    assert main(["tool:1", "-q", "--level", "exact"]) == 2
    assert main(["tool:1", "-q", "--level", "exact", "--platform", "amd64"]) == 0


@pytest.mark.parametrize(("api", "said"), [("1.47", False), ("1.48", True)])
def test_attestations_of_the_original_are_said(
    http: HttpEngine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, api: str, said: bool
) -> None:
    monkeypatch.setitem(VERSION, "ApiVersion", api)
    assert main(["tool:1", "--level", "exact"]) == 0
    note = "the original carries 1 build attestation (provenance, SBOM), which the result does not"
    assert (note in capsys.readouterr().err) is said
