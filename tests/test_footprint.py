"""What a footprint counts as a shell."""

from __future__ import annotations

import pytest

from debloat.core.shells import SHELLS
from debloat.footprint import image_footprint
from debloat.rules.languages.shell import evaluate
from tests.support.trees import tree


@pytest.mark.parametrize("name", sorted(SHELLS | evaluate.SHELLS))
def test_every_shell_that_scripts_are_read_for_counts(name: str) -> None:
    rootfs = tree({f"/usr/bin/{name}": ("0755", ""), "/usr/bin/link": f"-> {name}", "/usr/share/sh": ""})
    assert image_footprint(rootfs, 0).shells == (f"/usr/bin/{name}",)


def test_there_is_one_set_of_shells() -> None:
    assert evaluate.SHELLS < SHELLS
