"""Metadata by which scanners know a language's package stays for each that has code, and brings nothing with it."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from debloat.core.model import Closure, Evidence
from debloat.inventory.named import RULE, named
from tests.inventory.test_inventory import GEMS, IMAGE, OWNED, SITE
from tests.support.dpkgdb import debian_world


def kept(*paths: str) -> Closure:
    return Closure(MappingProxyType({path: (Evidence("trace", "probe:x"),) for path in sorted(paths)}))


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (f"{SITE}/some_thing/__init__.py", f"{SITE}/Some_Thing-1.0.dist-info/METADATA"),
        ("/srv/node_modules/@a/b/index.js", "/srv/node_modules/@a/b/package.json"),
        (f"{GEMS}/gems/isbn-1.0/lib/isbn.rb", f"{GEMS}/specifications/isbn-1.0.gemspec"),
    ],
)
def test_a_package_with_code_is_named(path: str, place: str) -> None:
    world = debian_world(IMAGE, OWNED)
    closure = named(world.rootfs, world.packages, kept("/", path), lambda path: False)
    assert closure.evidence[place] == (Evidence(RULE, path, closure.evidence[place][0].detail),)
    added = set(closure.evidence) - {"/", path}
    assert added == {place} | {parent for parent in added if place.startswith(parent + "/")}
    assert place.rpartition("/")[0] in closure
    assert list(closure.evidence) == sorted(closure.evidence)
    assert [step for step, _ in closure.why(place)] == [place, path]
    without = kept("/", path)
    assert named(world.rootfs, world.packages, without, lambda path: path == place) is without


@pytest.mark.parametrize(
    "paths",
    [
        (),
        ("/usr/bin/tool", "/usr/share/doc/tool/copyright"),
        (f"{SITE}/Some_Thing-1.0.dist-info/RECORD",),
        ("/srv/package.json", "/srv/server.js"),
    ],
)
def test_nothing_is_added_without_code_or_need(paths: tuple[str, ...]) -> None:
    world = debian_world(IMAGE, OWNED)
    closure = kept("/", *paths)
    assert named(world.rootfs, world.packages, closure, lambda path: False) is closure
