"""Whether a lock is of the application that an image holds."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from debloat.core.errors import UsageError
from debloat.core.model import Access, Image, ImageConfig, Kind, Op, Policy, Trace
from debloat.lock.belonging import must_belong
from debloat.lock.format import Item, Lock
from debloat.lock.seeds import Gone

PROGRAM = "/usr/bin/shop"
LIBRARIES = tuple(f"/usr/lib/lib{number}.so" for number in range(12))
OWN = ("/srv/shop/main", "/srv/shop/data", "/srv/shop/pages")


def item(path: str) -> Item:
    package = "" if path.startswith("/srv") else "shop"
    return Item(path, Kind.FILE, 0o644, 0, 0, 1, "0" * 64, package, "trace probe:start")


USES = frozenset(
    {
        Access(PROGRAM, Op.EXEC, "", "start", "/.debloat/sensor"),
        *(Access(path, Op.OPEN, "r", "start", PROGRAM) for path in (*LIBRARIES, *OWN)),
        Access("/proc/self/maps", Op.OPEN, "r", "start", PROGRAM),
    }
)
LOCK = Lock(
    tool="0",
    reference="registry.example/team/shop:1",
    image="sha256:1",
    platform="linux/amd64",
    recipe="",
    layer="",
    bytes=0,
    user="",
    ports=(),
    policy=Policy(),
    trace=Trace(USES),
    manifest=tuple(map(item, sorted((PROGRAM, *LIBRARIES, *OWN)))),
)


def image(reference: str, *names: str) -> Image:
    return Image(reference, "sha256:2", "linux", "amd64", "", "", ImageConfig({}), names=names)


def gone(*paths: str) -> tuple[Gone, ...]:
    return tuple(Gone(path, "", "") for path in paths)


@pytest.mark.parametrize(
    ("reference", "lost"),
    [
        ("shop:2", ()),
        ("shop:2", LIBRARIES[:10]),
        ("localhost:5000/other/shop@sha256:" + "0" * 64, LIBRARIES[:8]),
        ("shop:2", (PROGRAM, *LIBRARIES[:3], OWN[0])),
        ("oci:layout:shop:2", LIBRARIES[:8]),
        ("shop-ci:7", LIBRARIES[:4]),
        ("sha256:" + "0" * 64, LIBRARIES[:4]),
        ("docker-archive:image.tar", ()),
    ],
)
def test_a_newer_build_belongs(reference: str, lost: tuple[str, ...]) -> None:
    must_belong(LOCK, image(reference), gone(*lost))


@pytest.mark.parametrize(
    ("reference", "lost"),
    [
        ("shop:2", (*LIBRARIES, *OWN)),
        ("shop:2", (PROGRAM, *LIBRARIES[:5])),
        ("shop:2", (PROGRAM, *OWN[:2])),
        ("bakery:1", (PROGRAM,)),
        ("bakery:1", LIBRARIES[:5]),
        ("bakery:1", OWN[:1]),
        ("docker-archive:image.tar", LIBRARIES[:5]),
    ],
)
def test_another_application_does_not(reference: str, lost: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        must_belong(LOCK, image(reference), gone(*lost))
    assert f"Of the 16 used files it has {len(lost)} in no version" in caught.value.message
    assert ("/usr/bin/shop among them" in caught.value.message) is (PROGRAM in lost)
    assert f"`debloat lock {reference}`" in caught.value.hint


def test_any_of_its_names_counts() -> None:
    must_belong(LOCK, image("docker-archive:image.tar", "shop:2"), gone(*LIBRARIES[:8]))


def test_a_trace_of_others_names_no_start() -> None:
    """An imported trace shows no sensor that starts the program."""
    elsewhere = frozenset(replace(a, program="/usr/bin/bash") if a.op is Op.EXEC else a for a in USES)
    must_belong(replace(LOCK, trace=Trace(elsewhere)), image("shop-ci:7"), gone(PROGRAM))


def test_a_lock_without_uses_belongs_to_any() -> None:
    must_belong(replace(LOCK, trace=Trace()), image("bakery:1"), ())
