"""References: what can be the name of an image, and what the result is called."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from debloat.core.errors import UsageError
from debloat.core.model import Image, ImageConfig
from debloat.core.reference import must_be_reference, must_not_be_a_file, result_name

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "text",
    [
        *("nginx", "nginx:1.27", "library/nginx", "a.b/c_d/e--f:T.a-g_1", "localhost/x", "localhost:5000/x:1"),
        *("registry.example:443/team/app@" + DIGEST, "app:1@" + DIGEST, "[::1]:5000/x", DIGEST, DIGEST[:19]),
        *("ec7d0377af17", "Registry.Example/app"),
    ],
)
def test_what_an_image_can_be_called(text: str) -> None:
    must_be_reference(text, "docker")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "/",
        "./app",
        "~/app",
        "app/",
        "UPPER",
        "a b",
        "x:y:z",
        "-",
        "a//b",
        "a:",
        "@" + DIGEST,
        "a\n",
        "ä",
    ],
)
def test_what_no_image_is_called(text: str) -> None:
    with pytest.raises(UsageError):
        must_be_reference(text, "docker")


def test_what_is_a_file_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with tarfile.open("app.tar", "w"):
        pass
    Path("app").mkdir()
    must_not_be_a_file("app", "podman")  # an image may be called as a directory here is
    must_not_be_a_file("nothing", "podman")
    must_not_be_a_file("a" * 5000, "podman")
    (Path("app") / "Dockerfile").touch()
    with pytest.raises(UsageError, match="app is a directory"):
        must_not_be_a_file("app", "podman")
    with pytest.raises(UsageError, match=r"app\.tar is an archive"):
        must_not_be_a_file("app.tar", "podman")


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("app", "app:latest-slim"),
        ("app:1", "app:1-slim"),
        (DIGEST, "debloat:0123456789ab-slim"),
        ("0123456789ab", "debloat:0123456789ab-slim"),
        ("0123", "debloat:0123456789ab-slim"),
        ("fade", "fade:latest-slim"),
        (f"app@{DIGEST}", "app:slim"),
    ],
)
def test_the_name_of_the_result(reference: str, name: str) -> None:
    image = Image(reference, DIGEST, "linux", "amd64", "", "2024-01-01T00:00:00Z", ImageConfig({}))
    assert result_name(image, "", "") == name
