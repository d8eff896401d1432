"""Packages that are gone though the Dockerfile asks for them."""

from __future__ import annotations

import pytest

from debloat.core.model import Level, Policy
from debloat.debian.prune import prune
from debloat.rules.application.forgone import forgone
from tests.support.dpkgdb import debian_world

PACKAGES = {
    "socat": ["/usr/bin/socat"],
    "curl": ["/usr/bin/curl"],
    "gcc": ["/usr/bin/gcc"],
    "cmake-gui": ["/usr/bin/cmake-gui"],
    "fonts": ["/usr/share/fonts/x.ttf"],
    "nginx": ["/usr/sbin/nginx"],
    "bystander": ["/usr/bin/bystander"],
}


@pytest.mark.parametrize(
    ("history", "level", "expected"),
    [
        ("RUN apt-get install -y socat curl nginx", Level.SAFE, ("curl", "socat")),
        ("/bin/sh -c apt-get install -y socat curl && curl -fsS https://x | sh", Level.SAFE, ("socat",)),
        ("RUN apt-get install -y gcc cmake-gui fonts", Level.SAFE, ()),
        ("RUN apt-get install -y socat", Level.EXACT, ()),
        ("RUN true", Level.SAFE, ()),
    ],
)
def test_what_was_asked_for_and_is_gone(history: str, level: Level, expected: tuple[str, ...]) -> None:
    table = {path: ("0755", "x") for files in PACKAGES.values() for path in files}
    fields = {"cmake-gui": {"Section": "devel"}, "gcc": {"Section": "utils"}}
    world = debian_world(table, PACKAGES, fields=fields, history=(history,), policy=Policy(level))
    shares = prune(world.rootfs, world.packages, {"/usr/sbin/nginx"}).shares
    assert forgone(world, shares) == expected
