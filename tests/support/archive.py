"""Debian's archive, each release beside the others: asked by apt with lists of its own, the host's sources untouched.

The mirror is `$DEBLOAT_MIRROR`, or the one of the host's own sources; lists, once fetched, lie in the tests' cache
(`network.py`), and are fetched again when they do not know a package or its file any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.network import CACHE

RELEASES = tuple(os.environ.get("DEBLOAT_TEST_RELEASES", "bullseye bookworm trixie").split())
"""What is tested: Debian 11, 12 and 13, or what `$DEBLOAT_TEST_RELEASES` says, such as sid."""
FOLLOWS = {"sid": ("trixie",)}
"""Releases whose names hold for a later one too, where it has none of its own."""
ARCHITECTURE = "amd64"

_KEYRINGS = ("/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp")

_NAMES = Path(__file__).parents[1] / "data" / "releases.toml"


class ArchiveError(Exception):
    """The archive cannot be asked here, or does not have what is asked for."""


def names_in(release: str, package: str) -> Sequence[str]:
    """What a package of Debian 12 is called in a release: none, one or several (tests/data/releases.toml)."""
    tables = (_renamed().get(name, {}) for name in (release, *FOLLOWS.get(release, ())))
    return next((table[package] for table in tables if package in table), [package])


@functools.cache
def _renamed() -> Mapping[str, Mapping[str, Sequence[str]]]:
    return tomllib.loads(_NAMES.read_text("utf-8"))


def download(release: str, packages: Sequence[str], pool: Path) -> None:
    """Fetch packages' .deb files of a release into a directory; ArchiveError where that cannot be done."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise ArchiveError("there is no apt-get, or no dpkg-deb, here")
    pool.mkdir(parents=True, exist_ok=True)
    with _lists(release) as options, tempfile.TemporaryDirectory(dir=pool) as tmp:
        os.chmod(tmp, 0o755)
        done = _apt(options, "download", *packages, cwd=tmp)
        if done.returncode:
            _apt(options, "update")
            done = _apt(options, "download", *packages, cwd=tmp)
        for found in Path(tmp).glob("*.deb"):
            found.rename(pool / found.name)
        if done.returncode:
            raise ArchiveError(f"{release}: cannot download {' '.join(packages)}: {done.stderr.strip()[:200]}")


@contextlib.contextmanager
def _lists(release: str) -> Iterator[Sequence[str]]:
    """The options that make apt know this release and nothing else; one process at a time has them."""
    home = CACHE / "apt" / release
    for name in ("lists/partial", "archives/partial", "empty"):
        (home / name).mkdir(parents=True, exist_ok=True)
    # apt reads its lists anew whenever one of these is younger than what it made of them.
    for name, text in (("status", ""), ("sources.list", _sources(release))):
        if not (home / name).exists() or (home / name).read_text() != text:
            (home / name).write_text(text)
    settings = {
        "APT::Architecture": ARCHITECTURE,
        "APT::Architectures": ARCHITECTURE,
        "APT::Sandbox::User": "root",
        "Acquire::Check-Valid-Until": "false",
        "Acquire::Languages": "none",
        "Dir::Cache": home,
        "Dir::Etc::PreferencesParts": home / "empty",
        "Dir::Etc::SourceList": home / "sources.list",
        "Dir::Etc::SourceParts": home / "empty",
        "Dir::State::Lists": home / "lists",
        "Dir::State::Status": home / "status",
    }
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]


@functools.cache
def mirror() -> str:
    if given := os.environ.get("DEBLOAT_MIRROR"):
        return given
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Component: main"]
    uris = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    mirror = next((uri for uri in uris if "security" not in uri), "")
    if not mirror:
        raise ArchiveError("the host's apt knows no archive of Debian: set DEBLOAT_MIRROR")
    return mirror


def _sources(release: str) -> str:
    keyring = next((f" [signed-by={path}]" for path in _KEYRINGS if Path(path).exists()), "")
    return f"deb{keyring} {mirror()} {release} main\n"


def _apt(options: Sequence[str], *words: str, cwd: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["apt-get", "-qq", *options, *words], cwd=cwd, capture_output=True, text=True, check=False)
