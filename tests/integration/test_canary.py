"""A canary on a real engine: what it lacks is noted, added, and then there."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile

import pytest

from tests.integration.harness import Place, in_base, saved, until

pytestmark = pytest.mark.engine

TOOL = "/usr/bin/tac"
PROGRAM = """#!/bin/sh
trap 'exit 0' TERM
id -u
${TOOL:-/usr/bin/true} /etc/passwd >/dev/null 2>&1 && echo tool || echo none
sleep 0.1
while [ -z "$ONCE" ]; do sleep 0.1; done
"""
"""Once it needs a tool that it does not need while it is recorded."""
DOCKERFILE = """COPY program /usr/local/bin/
USER www-data
ENTRYPOINT ["program"]
"""


def noted(place: Place, container: str) -> list[str]:
    """The paths of the notes, by the archive API: there is no program to read them in the container."""
    stream, _ = place.client.get_archive(container, "/.debloat-canary/notes")
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        files = [tar.extractfile(m) for m in tar if m.name.endswith("/canary.jsonl")]
    (place.here / "canary.jsonl").write_bytes(b"".join(f.read() for f in files if f is not None))
    return [json.loads(line)["path"] for line in (place.here / "canary.jsonl").read_text().splitlines()]


def test_from_a_lookup_to_an_image_that_has_it(place: Place) -> None:
    """As an ordinary user, with a read-only root, in a container that is given nothing."""
    image = place.build(in_base(DOCKERFILE), {"program!": PROGRAM})
    canary = f"{image}-canary"
    made = place.debloat("lock", image, "--level", "exact", "-e", "ONCE=1", "--canary", canary)
    assert made.code == 0, made.err
    assert TOOL not in saved(f"{image}-slim")
    argv = ["docker", "run", "-d", "--read-only", "--cap-drop", "ALL", "-e", f"TOOL={TOOL}", canary]
    container = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    try:
        until(lambda: noted(place, container), "a note")
        assert noted(place, container) == [TOOL]
        assert place.client.logs(container) == b"33\nnone\n"
        subprocess.run(["docker", "stop", container], check=True, capture_output=True)
        assert place.client.inspect_container(container)["State"]["ExitCode"] == 0
    finally:
        place.client.remove_container(container, force=True, v=True)
    healed = place.debloat("heal", "canary.jsonl", "-t", f"{image}-healed")
    assert healed.code == 0, healed.err
    assert "adding 1 path" in healed.err
    argv = ["docker", "run", "--rm", "-e", f"TOOL={TOOL}", "-e", "ONCE=1", f"{image}-healed"]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == "33\ntool\n"
