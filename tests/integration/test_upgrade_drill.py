"""The upgrade drill: a service is locked, Debian ships a new version with a moved soname, the lock is applied, and the
gate tells when the new build lacks what the service needs."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from msgspec.structs import replace

from debloat.cli.main import main
from debloat.core.progress import Silent
from debloat.engine.docker import connect
from debloat.engine.workspace import Workspace
from debloat.image.reader import exported_rootfs
from debloat.lock import format as locks
from debloat.lock.cut import LockedCut, cut_by_lock
from debloat.lock.format import Lock
from debloat.store.source import OnEngine
from tests.support import engines, schemas
from tests.support.engines import Images

pytestmark = pytest.mark.engine

TRIPLET = "/usr/lib/x86_64-linux-gnu"
LIBRARY = 'const char *drill_word(void) { return "%s"; }\n'
PROGRAM = r"""
#include <stdio.h>
const char *drill_word(void);
int main(void) {
    char line[80] = "";
    FILE *file = fopen("/usr/share/drill/%s/message.txt", "r");
    if (!file || !fgets(line, sizeof line, file)) { perror("message"); return 1; }
    printf("%%s says %%s", drill_word(), line);
    return 0;
}
"""
DOCKERFILE = f"""FROM {engines.BASE}
COPY repo /repo
RUN echo 'deb [trusted=yes] file:/repo ./' > /etc/apt/sources.list && rm -rf /etc/apt/sources.list.d/* \\
    && apt-get update -q && apt-get install -qy --no-install-recommends drill && rm -rf /repo
%s
CMD ["drill"]
"""


def deb(directory: Path, name: str, version: str, files: dict[str, bytes | str], depends: str = "libc6") -> Path:
    """A package built with dpkg-deb, of the source package `drill`; a text `-> target` is a link."""
    root = directory / f"{name}-{version}"
    for path, content in files.items():
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            place.symlink_to(content.removeprefix("-> "))
        else:
            place.write_bytes(content)
            place.chmod(0o755 if "/bin/" in path else 0o644)
    for found in [root, *root.rglob("*")]:
        if found.is_dir():
            found.chmod(0o755)
    (root / "DEBIAN").mkdir(mode=0o755)
    (root / "DEBIAN/control").write_text(
        f"Package: {name}\nSource: drill\nVersion: {version}\nArchitecture: amd64\nDepends: {depends}\n"
        "Maintainer: Nobody <nobody@example.org>\nDescription: drill\n"
    )
    package = directory / f"{name}_{version}_amd64.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", root, package], check=True, capture_output=True)
    return package


def compiled(directory: Path, source: str, *options: str) -> bytes:
    out = directory / "out"
    subprocess.run(["gcc", "-x", "c", "-", "-o", out, *options], input=source.encode(), check=True)
    return out.read_bytes()


def repository(directory: Path, major: str) -> dict[str, bytes]:
    """A flat apt repository with the service in a version, as the files of a build context."""
    directory.mkdir()
    soname, real = f"libdrill.so.{major}", f"libdrill.so.{major}.0.0"
    library = compiled(directory, LIBRARY % f"libdrill {major}", "-shared", "-fPIC", f"-Wl,-soname,{soname}")
    (directory / real).write_bytes(library)
    program = compiled(directory, PROGRAM % f"{major}.0", "-x", "none", str(directory / real))
    debs = [
        deb(
            directory,
            f"libdrill{major}",
            f"{major}.0-1",
            {f"{TRIPLET}/{real}": library, f"{TRIPLET}/{soname}": f"-> {real}"},
        ),
        deb(
            directory,
            "drill",
            f"{major}.0-1",
            {"/usr/bin/drill": program, f"/usr/share/drill/{major}.0/message.txt": f"hello {major}\n".encode()},
            f"libc6, libdrill{major}",
        ),
    ]
    index = []
    for path in debs:
        fields = subprocess.run(["dpkg-deb", "-f", path], capture_output=True, text=True, check=True).stdout.strip()
        data = path.read_bytes()
        index.append(
            f"{fields}\nFilename: ./{path.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
        )
    return {"repo/Packages": "\n".join(index).encode(), **{f"repo/{p.name}": p.read_bytes() for p in debs}}


class Drill:
    """Three builds of a service, and the lock of the first, in the working directory."""

    def __init__(self, directory: Path, images: Images) -> None:
        self.directory, self.images = directory, images
        one, two = (repository(directory / f"repo{major}", major) for major in "12")
        self.first = images.build("one", DOCKERFILE % "", one)
        self.second = images.build("two", DOCKERFILE % "", two)
        data = "RUN rm /usr/share/drill/2.0/message.txt"
        self.without_data = images.build("two-data", DOCKERFILE % data, two)
        self.without_library = images.build("two-lib", DOCKERFILE % f"RUN rm {TRIPLET}/libdrill.so.2*", two)
        os.chdir(directory)
        assert main(["lock", self.first, "-t", images.name("one-slim"), "-q", "--json", "report.json"]) == 0
        self.lock = directory / locks.DEFAULT_NAME
        self.locked = self.lock.read_bytes()


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    directory, before = tmp_path_factory.mktemp("drill"), Path.cwd()
    found = Images(directory)
    try:
        yield Drill(directory, found)
    finally:
        os.chdir(before)
        found.remove()


@pytest.fixture(autouse=True)
def _in_its_directory(drill: Drill, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(drill.directory)
    yield
    drill.lock.write_bytes(drill.locked)


def test_the_report_is_as_its_schema_says(drill: Drill) -> None:
    report = json.loads((drill.directory / "report.json").read_text())
    jsonschema.Draft202012Validator(schemas.ours("report.json")).validate(report)


def test_bills_of_materials_are_valid_and_stay_the_same(drill: Drill) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    image = drill.images.name("one-slim")
    for format_ in ("cyclonedx", "spdx"):
        for name in ("a", "b"):
            assert main(["sbom", image, "--format", format_, "--output", f"{name}.{format_}.json"]) == 0
        assert Path(f"a.{format_}.json").read_bytes() == Path(f"b.{format_}.json").read_bytes()
    bill = Path("a.cyclonedx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    purls = {c["name"]: c["purl"] for c in json.loads(bill)["components"] if "purl" in c}
    assert purls["libdrill1"] == "pkg:deb/debian/libdrill1@1.0-1?arch=amd64&distro=debian-12&upstream=drill"
    document = parse_file("a.spdx.json")
    assert validate_full_spdx_document(document) == []
    assert {p.name for p in document.packages} == {image, *purls}


def test_an_image_is_described(drill: Drill, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", drill.images.name("one-slim"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["minimal"]
    assert document["base"]["org.opencontainers.image.base.name"] == drill.first
    assert {"drill", "libdrill1", "libc6"} <= {p["name"].partition(":")[0] for p in document["packages"]}
    assert main(["inspect", drill.first]) == 0
    assert "setuid or setgid: " in capsys.readouterr().out


def test_the_same_build_gives_the_same_image(drill: Drill) -> None:
    assert main(["apply", drill.first, "-t", drill.images.name("again"), "--json", "again.json", "-q"]) == 0
    document = json.loads(Path("again.json").read_text())
    assert document["identical"]
    assert engines.image_id(drill.images.name("again")) == engines.image_id(drill.images.name("one-slim"))
    assert document["layer"] == locks.parse(drill.locked, "x").layer


def test_an_upgrade_is_applied_and_proven(drill: Drill, capsys: pytest.CaptureFixture[str]) -> None:
    target = drill.images.name("two-slim")
    assert main(["apply", drill.second, "-t", target, "--verify", "--update-lock", "--json", "applied.json"]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{target}\n"
    assert engines.run(target) == "libdrill 2 says hello 2\n"
    document = json.loads(Path("applied.json").read_text())
    assert [p["difference"] for p in document["probes"]] == [""]
    assert document["missed"] == []
    assert document["gone"] == []
    moves = {m["old"]: m["new"] for m in document["moves"]}
    assert moves[f"{TRIPLET}/libdrill.so.1"] == f"{TRIPLET}/libdrill.so.2"
    assert moves["/usr/share/drill/1.0/message.txt"] == "/usr/share/drill/2.0/message.txt"
    packages = {p["package"]: p for p in document["diff"]}
    assert packages["libdrill2"]["renamed_from"] == "libdrill1"
    assert (packages["drill"]["before"], packages["drill"]["after"]) == ("1.0-1", "2.0-1")
    assert "drill 1.0-1 -> 2.0-1" in captured.err
    assert "moved" in captured.err
    assert main(["check", drill.second, "-q", "--probe"]) == 0
    assert main(["check", target, "-q", "--probe"]) == 0


def test_the_gate_passes_an_upgrade_and_tells_it(drill: Drill, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", drill.second]) == 0
    out = capsys.readouterr().out
    assert "libdrill1 1.0-1 became libdrill2 2.0-1" in out
    assert "drill-" not in out


@pytest.mark.parametrize(
    ("build", "path", "package", "reason"),
    [
        ("without_data", "/usr/share/drill/2.0/message.txt", "drill", "application"),
        ("without_library", f"{TRIPLET}/libdrill.so.2", "libdrill2", "application"),
    ],
)
def test_the_gate_fails_with_path_package_and_reason(
    drill: Drill, build: str, path: str, package: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["apply", drill.second, "-t", drill.images.name("two-slim"), "--update-lock", "-q"]) == 0
    image = getattr(drill, build)
    assert main(["check", image, "--format", "json=gate.json", "-q"]) == 1
    missing = [f for f in json.loads(Path("gate.json").read_text())["findings"] if f["rule"] == "drift-missing"]
    (finding,) = [f for f in missing if f["path"] == path]
    assert finding["package"] == package
    assert finding["reason"].startswith(reason)
    error = capsys.readouterr().err
    assert f"{path} of {package} is gone" in error
    assert main(["check", image, "--no-fail", "-q"]) == 0
    assert main(["check", image, "--baseline", "gate.json", "-q"]) == 0
    assert main(["apply", image, "-t", drill.images.name("bad"), "--verify", "-q"]) in (4, 5)


def test_a_lock_for_another_platform_is_refused(drill: Drill, capsys: pytest.CaptureFixture[str]) -> None:
    from msgspec.structs import replace

    value = locks.parse(drill.locked, "x")
    Path("arm.lock").write_bytes(locks.dump(replace(value, platform="linux/arm64")))
    assert main(["apply", drill.first, "--lock", "arm.lock", "-q"]) == 2
    assert "linux/arm64" in capsys.readouterr().err


def test_a_damaged_lock_ends_with_2(drill: Drill, capsys: pytest.CaptureFixture[str]) -> None:
    drill.lock.write_bytes(drill.locked.replace(b"\t0755\t", b"\t0777\t", 1))
    for verb in ("apply", "check"):
        assert main([verb, drill.first]) == 2
        assert "edited by hand" in capsys.readouterr().err


def test_two_images_are_compared(drill: Drill, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", drill.first, drill.second, "--exit-code"]) == 1
    out = capsys.readouterr().out
    assert "libdrill1 -> libdrill2 1.0-1 -> 2.0-1" in out
    assert "  + /usr/share/drill/2.0/message.txt" in out
    assert main(["diff", drill.images.name("one-slim"), str(drill.lock), "--exit-code"]) == 0


# ------------------------------------------------------------------------------------------ the same on every machine


def layer_digests(archive: Path) -> list[str]:
    with tarfile.open(archive) as tar:
        member = tar.extractfile("manifest.json")
        assert member is not None
        return [str(name) for name in json.load(member)[0]["Layers"]]


@pytest.mark.parametrize("tool", ["", "0.0.9"], ids=["by the manifest", "closed anew"])
def test_neither_process_nor_place_changes_a_byte(drill: Drill, tmp_path: Path, tool: str) -> None:
    found = []
    given_lock = locks.parse(drill.locked, "x")
    (tmp_path / "x.lock").write_bytes(locks.dump(replace(given_lock, tool=tool or given_lock.tool)))
    for number, (seed, zone, umask) in enumerate([("1", "Asia/Tokyo", "077"), ("2", "America/Lima", "000")]):
        place = tmp_path / str(number)
        place.mkdir()
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "TZ": zone,
            "SOURCE_DATE_EPOCH": "1700000000",
            "LC_ALL": "C",
        }
        target = drill.images.name(f"place{number}")
        given = f'--lock "{tmp_path / "x.lock"}" -t {target} -q --output x.tar'
        line = f'umask {umask}; exec "$0" -m debloat apply {drill.first} {given}'
        done = subprocess.run(
            ["sh", "-c", line, sys.executable], cwd=place, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        found.append((engines.image_id(target), layer_digests(place / "x.tar")))
    assert found[0] == found[1]
    layer = locks.parse(drill.locked, "x").layer.partition(":")[2]
    assert found[0][1] == [f"{layer}.tar"]
    created = subprocess.run(
        ["docker", "inspect", "--format", "{{.Created}}", found[0][0]], capture_output=True, text=True, check=True
    )
    assert created.stdout.startswith("2023-11-14T22:13:20")


@pytest.mark.parametrize("tool", ["", "0.0.9"], ids=["by the manifest", "closed anew"])
def test_the_way_an_image_is_read_changes_no_byte(drill: Drill, monkeypatch: pytest.MonkeyPatch, tool: str) -> None:
    lock = locks.parse(drill.locked, "x")
    exported = lambda workspace, image, _: exported_rootfs(workspace, image)  # noqa: E731
    monkeypatch.setattr("debloat.store.source.open_rootfs", exported)
    done = cut_again(drill, replace(lock, tool=tool or lock.tool))
    assert done.minimal.layer.diff_id == lock.layer
    assert locks.dump(done.lock) == drill.locked
    assert not done.diff


def cut_again(drill: Drill, lock: Lock) -> LockedCut:
    with Workspace(connect()) as workspace:
        source = OnEngine(workspace, drill.first, pull=False)
        return cut_by_lock(source, source.image, lock, Silent())


def test_a_manifest_that_does_not_give_the_layer_is_not_followed(drill: Drill) -> None:
    lock = locks.parse(drill.locked, "x")
    (left_out,) = (item for item in lock.manifest if item.path == "/usr/share/drill/1.0/message.txt")
    done = cut_again(drill, replace(lock, manifest=tuple(item for item in lock.manifest if item != left_out)))
    assert done.minimal.layer.diff_id == lock.layer
    assert [item for package in done.diff.packages for item in package.added] == [left_out]
