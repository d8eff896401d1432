"""Sockets of ours, wherever temporary files are."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import pytest

from debloat.engine.socketpath import MOST_OF_NAME, socket_directory


@pytest.mark.parametrize("length", [1, 40, 60, 80, 150])
def test_a_socket_can_be_bound_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    place = Path(tempfile.mkdtemp(dir="/tmp")) / ("d" * length)
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    try:
        with socket_directory("debloat-test-") as directory, socket.socket(socket.AF_UNIX) as server:
            server.bind(f"{directory}/{'s' * MOST_OF_NAME}")
            assert directory.startswith(str(place)) == (length <= 40)
        assert not Path(directory).exists()
    finally:
        place.rmdir()
        place.parent.rmdir()
