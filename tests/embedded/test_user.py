"""As an ordinary user with a range of ids: what is unpacked, and what other programs are told of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import ordinary
from tests.support.stores import layer, put_archive

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="root makes the user"),
    pytest.mark.skipif(not shutil.which("newuidmap"), reason="the package uidmap is missing"),
]

ENTERED = """
import os
from pathlib import Path
from debloat.core.errors import EngineUnavailable
from debloat.embedded import userns
assert os.geteuid()
try:
    assert userns.enter() and os.geteuid() == 0
except EngineUnavailable as error:
    print(error.message, error.hint, sep="\\n")
    raise SystemExit from None
"""

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """What a program prints that an ordinary user starts, in a namespace that it is root of."""
    home = tmp_path / "home"
    home.mkdir()

    def started(program: str, count: int = ordinary.IDS, before: str = "") -> str:
        argv = [*ordinary.wrapper(home, count), sys.executable, "-c", before + ENTERED + program]
        env = {**os.environ, "PYTHONPATH": str(ordinary.ROOT)}
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return started


UNPACK = """
from debloat.embedded.layers import Layers
from debloat.embedded.place import Place
from debloat.store.location import image_location
from debloat.store.opened import open_store

place = Place(Path.home() / "store")
place.make()
layers = Layers(place, user=True)
with open_store(image_location("docker-archive:" + str(Path.home() / "image.tar"))) as store:
    found = store.image().image.layers
    try:
        layers.add(store, store.image(), "it")
    except EngineUnavailable as error:
        print(error.message, error.hint, sep="\\n")
        found = ()
entries = {entry.path: entry for entry in layers.files(found, "it").entries()} if found else {}
for directory in layers.directories(found):
    for path in sorted(directory.rglob("*")):
        seen, noted = path.lstat(), entries["/" + str(path.relative_to(directory))]
        rows = (seen.st_mode & 0o7777, seen.st_uid, seen.st_gid, seen.st_mtime_ns)
        if rows != (noted.mode, noted.uid, noted.gid, noted.mtime) or not noted.is_file:
            same = rows[1:] == (noted.uid, noted.gid, noted.mtime)
            print(noted.path, noted.kind.name, oct(noted.mode), oct(rows[0]), same)
"""


ADVICE = f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {ordinary.NAME}, as root"


def test_modes_owners_and_times_are_the_images(run: Run, tmp_path: Path) -> None:
    """A file that has more rights than who starts it keeps them; of a device there is an empty file."""
    layers = [
        layer({"plain": "a program"}, uid=33, gid=0),
        layer({"of-root": "a program"}, mode=0o4755),
        layer({"of-another": "a program"}, mode=0o6711, uid=1000, gid=12),
        layer({"null": ""}, type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
    ]
    put_archive(tmp_path / "home" / "image.tar", layers, {}, names=["made:1"]).chmod(0o644)
    assert run(UNPACK) == "/null CHAR 0o666 0o0 True\n"


TOLD = """
import subprocess
words = [f"${name}" for name in userns.OF_USER]
subprocess.run(["sh", "-c", f"echo {' '.join(words)} && mount --bind /usr /mnt && ls /mnt"], check=True)
"""


def test_podman_is_told_whose_images_are_meant(run: Run) -> None:
    """As podman-unshare(1) tells what it starts; and it may mount, which nobody outside sees."""
    told, *mounted = run(TOLD).splitlines()
    assert told.split() == ["done", str(ordinary.USER), str(ordinary.USER)]
    assert "bin" in mounted
    assert "bin" not in os.listdir("/mnt")


@pytest.mark.parametrize(
    ("before", "count", "cause", "advice"),
    [
        ("", 0, f"run containers as an ordinary user: /etc/subuid gives {ordinary.NAME} no range", ADVICE),
        (
            "import os; os.environ['PATH'] = '/nowhere'",
            ordinary.IDS,
            "run containers as an ordinary user: newuidmap and newgidmap are not installed",
            "apt-get install uidmap",
        ),
        (
            "import shutil; from debloat.embedded import userns; userns._MAPPERS = (shutil.which('false'),) * 2",
            ordinary.IDS,
            f"map users: {shutil.which('false')} failed",
            ADVICE,
        ),
    ],
    ids=["no range", "no uidmap", "refused"],
)
def test_what_is_missing_is_said(run: Run, before: str, count: int, cause: str, advice: str) -> None:
    assert run("", count, before) == f"cannot {cause}\n{advice}\n"


def test_an_owner_beyond_the_range(run: Run, tmp_path: Path) -> None:
    put_archive(tmp_path / "home" / "image.tar", [layer({"file": "of www-data"}, uid=33)], {}).chmod(0o644)
    cause = "its files have owners beyond the ids that this user may map"
    assert run(UNPACK, 10) == f"cannot unpack it: {cause}\n{ADVICE}\n"
    assert list((tmp_path / "home" / "store" / "drafts").iterdir()) == []
