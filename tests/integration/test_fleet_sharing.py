"""Images of a fleet in shared layers, on a real engine."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.integration.harness import Place, in_base

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


def layers(reference: str) -> list[str]:
    done = subprocess.run(
        ["docker", "image", "inspect", reference, "--format", "{{json .RootFS.Layers}}"],
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[str] = json.loads(done.stdout)
    return found


def test_images_share_layers_and_are_what_they_would_be_alone(place: Place) -> None:
    commands = {"a": '["/bin/sh", "-c", "cat /srv/goods"]', "b": '["head", "/srv/goods"]'}
    made = {
        name: place.build(in_base(f"COPY goods /srv/goods\nCMD {command}"), {"goods": f"{name}\n"}, name)
        for name, command in commands.items()
    }
    repository = made["a"].rpartition(":")[0]
    (place.here / "fleet.toml").write_text(f'[[entry]]\nimage = "{repository}:?"\n')
    done = place.run("fleet", "run", "--share", "--json", "-", "-q")
    assert done.code == 0, done.err
    sharing = json.loads(done.out)["sharing"]
    assert sharing["layers"] > 0
    assert sharing["after"] < sharing["before"]
    shared = [layers(f"{reference}-slim") for reference in made.values()]
    assert shared[0][:-1] == shared[1][:-1]
    assert len(shared[0]) == sharing["layers"] + 1
    for name, reference in made.items():
        said = subprocess.run(
            ["docker", "run", "--rm", f"{reference}-slim"], capture_output=True, text=True, check=True
        )
        assert said.stdout == f"{name}\n"
    alone = f"{repository}:alone"
    assert place.run(made["a"], "-q", "-t", alone).code == 0
    assert len(layers(alone)) == 1
    assert place.run("diff", alone, f"{made['a']}-slim", "--exit-code").code == 0
