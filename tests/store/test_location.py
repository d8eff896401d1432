"""What the words of the command line say of where an image lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from debloat.core.errors import UsageError
from debloat.store.location import Location, Transport, image_location, output_location


@pytest.mark.parametrize(
    ("said", "transport", "path", "name"),
    [
        ("docker-archive:x.tar", Transport.DOCKER_ARCHIVE, "x.tar", ""),
        ("docker-archive:x.tar:app:1", Transport.DOCKER_ARCHIVE, "x.tar", "app:1"),
        ("oci-archive:/a/x.tar", Transport.OCI_ARCHIVE, "/a/x.tar", ""),
        ("oci-archive:/a/x.tar:1", Transport.OCI_ARCHIVE, "/a/x.tar", "1"),
        ("oci:dir", Transport.OCI, "dir", ""),
        ("oci:dir:tag", Transport.OCI, "dir", "tag"),
        ("docker://localhost:5000/app", Transport.REGISTRY, "", "localhost:5000/app"),
        ("containers-storage:app:1", Transport.CONTAINERS, "", "app:1"),
        ("docker-daemon:app:1", Transport.DAEMON, "", "app:1"),
    ],
)
def test_a_transport_is_the_same_for_input_and_output(said: str, transport: Transport, path: str, name: str) -> None:
    expected = Location(transport, Path(path), name, stated=transport is Transport.DAEMON)
    assert image_location(said) == output_location(said) == expected
    assert str(expected) == said


@pytest.mark.parametrize("said", ["app:1", "oci", "docker", "localhost:5000/app", "directory:1", "dir:1"])
def test_without_a_transport_an_image_is_the_engines(said: str) -> None:
    assert image_location(said) == Location(Transport.DAEMON, name=said)


@pytest.mark.parametrize("said", ["x.tar", "a:b.tar", "oci-archive", "/a/b"])
def test_without_a_transport_a_result_is_a_file(said: str) -> None:
    assert output_location(said) == Location(Transport.DOCKER_ARCHIVE, Path(said))


@pytest.mark.parametrize(
    "said", ["docker:app", "docker://", "docker://UPPER", "oci:", "dir:/a/b", "ostree:x", "containers-storage:[o@/x]a"]
)
def test_what_names_no_place(said: str) -> None:
    with pytest.raises(UsageError):
        image_location(said)


def test_a_place_by_what_names_it_from_any_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert image_location("oci:shop:1").lasting == f"oci:{tmp_path}/shop:1"
    assert image_location("shop:1").lasting == "shop:1"
    assert image_location("docker://localhost:5000/shop:1").lasting == "docker://localhost:5000/shop:1"
