"""The verbs and the options of the main job, through the real command line."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import time
from pathlib import Path

import docker
import jsonschema
import pytest

from debloat.engine.docker import DockerEngine
from tests.integration.harness import LABEL, Place, in_base, saved, until
from tests.integration.programs import WEB, WEB_FILES
from tests.support import schemas
from tests.support.engines import collecting

pytestmark = pytest.mark.engine

PERL = "/usr/bin/perl"
COMMAND = 'CMD ["/bin/cat", "/etc/debian_version"]'


@pytest.fixture(scope="module")
def web(shared: Place) -> str:
    """A web server of which a minimal image has been made."""
    image = shared.build(in_base(WEB, "RUN echo secret > /srv/spare"), WEB_FILES, "web")
    done = shared.debloat(image, "--level", "exact", "--json", "report.json", "--save-trace", "web.trace")
    assert done.code == 0, done.err
    return image


@pytest.fixture
def command(place: Place) -> str:
    """An image whose program prints a line and ends."""
    return place.build(in_base(COMMAND))


def size(place: Place, image: str) -> int:
    return int(place.client.inspect_image(image)["Size"])


# ----------------------------------------------------------------------------------------------------------------- why


@pytest.mark.parametrize("name", ["original", "minimal", "id"])
def test_why_a_file_is_kept(shared: Place, web: str, name: str) -> None:
    image = {"original": web, "minimal": f"{web}-slim", "id": shared.client.inspect_image(web)["Id"]}[name]
    done = shared.debloat("why", image, "/srv/get-plain")
    assert done.code == 0, done.err
    assert done.out.startswith("kept: /srv/get-plain (no package)\n  trace: ")
    assert "because of probe:port 80" in done.out
    perl = shared.debloat("why", image, PERL).out
    assert perl.startswith(f"kept: {PERL} (perl-base")
    library = shared.debloat("why", image, "/lib/x86_64-linux-gnu/libc.so.6").out
    assert library.startswith("kept: /usr/lib/x86_64-linux-gnu/libc.so.6 (libc6")


def test_why_a_file_is_gone(shared: Place, web: str) -> None:
    done = shared.debloat("why", f"{web}-slim", "/srv/spare")
    assert done.code == 0, done.err
    assert done.out.startswith("removed: /srv/spare (no package)\n")
    assert "--level safe would keep it" in done.out
    assert "--keep '/srv/spare'" in done.out
    gone = shared.debloat("why", web, "/usr/bin/apt").out
    assert gone.startswith("removed: /usr/bin/apt (apt)\n")
    assert "of apt, 0 of " in gone


def test_why_with_another_level_or_trace(shared: Place, web: str) -> None:
    assert shared.debloat("why", web, "/srv/spare", "--level", "safe").out.startswith("kept: ")
    assert shared.debloat("why", web, "/srv/spare", "--keep", "/srv").out.startswith("kept: ")
    traced = shared.debloat("why", web, "/srv/spare", "--trace", "web.trace", "--level", "exact")
    assert traced.out.startswith("removed: ")


def test_why_of_what_does_not_exist(place: Place, shared: Place, web: str, command: str) -> None:
    done = shared.debloat("why", web, "/no/such/file")
    assert (done.code, done.out) == (2, "")
    assert "has no '/no/such/file'" in done.err
    never = place.debloat("why", command, "/etc/passwd")
    assert never.code == 2
    assert "nothing is remembered" in never.err


# ------------------------------------------------------------------------------------------------------------- dry run


def test_a_dry_run_starts_nothing(shared: Place, web: str) -> None:
    """Nothing is created on the engine, and what is planned names what the image really has."""
    begun, own = f"{time.time():.9f}", {"label": f"{LABEL}={shared.token}"}  # the test before may end in this second
    images = sorted(shared.client.images(filters=own), key=lambda image: str(image["Id"]))
    document = json.loads(shared.debloat(web, "--dry-run", "--json", "-").out)
    jsonschema.validate(document, schemas.ours("plan.json"))
    assert [p["name"] for p in document["probes"]] == ["port 80", "stop"]
    assert document["containers"][1]["ports"] == ["80/tcp"]
    assert document["target"] == f"{web}-slim"
    events = shared.client.events(since=begun, until=f"{time.time():.9f}", decode=True)
    assert not [e for e in events if e["Type"] == "container" and e["Actor"]["Attributes"].get(LABEL) == shared.token]
    assert sorted(shared.client.images(filters=own), key=lambda image: str(image["Id"])) == images
    said = shared.debloat(web, "--dry-run").out
    assert said.startswith(f"{web} (")


def test_a_dry_run_of_a_lock_tags_nothing(place: Place, command: str) -> None:
    assert place.debloat("lock", command, "--level", "exact", "-q", "-t", place.images.name("locked")).code == 0
    done = place.debloat("apply", command, "--dry-run", "-q", "-t", place.images.name("planned"))
    assert (done.code, done.err) == (0, "")
    assert "the same files as in the lock\n" in done.out
    assert not place.client.images(name=place.images.name("planned"))


def test_a_dry_run_pulls_nothing(place: Place) -> None:
    done = place.debloat(place.images.name("nowhere"), "--dry-run")
    assert (done.code, done.out) == (2, "")
    assert "is not on this engine\n" in done.err


# -------------------------------------------------------------------------------------------------------------- traces


def test_traces_are_recorded_combined_and_used(shared: Place, web: str) -> None:
    for path in ("/other", "/there"):
        name = f"{path.strip('/')}.trace"
        done = shared.debloat("record", web, "--http", path, "--save-trace", name)
        assert (done.code, done.out) == (0, f"{name}\n"), done.err
    assert shared.debloat("combine", "there.trace", "other.trace", "-o", "both.trace").code == 0
    again = shared.debloat("combine", "other.trace", "there.trace", "both.trace", "-o", "same.trace")
    assert again.out == "same.trace\n"
    assert (shared.here / "same.trace").read_bytes() == (shared.here / "both.trace").read_bytes()
    target = shared.images.name("traced")
    done = shared.debloat(web, "--level", "exact", "--trace", "both.trace", "-t", target)
    assert done.code == 0, done.err
    kept = saved(target)
    assert {"/srv/page_", "/srv/page_other", "/srv/page_there"} <= kept.keys()
    assert "/srv/spare" not in kept
    assert shared.left() == []


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x00\xff" * 100, b'{"version": 99}'])
def test_a_damaged_trace(shared: Place, content: bytes) -> None:
    (shared.here / "bad.trace").write_bytes(content)
    done = shared.debloat("combine", "bad.trace", "-o", "out.trace")
    assert (done.code, done.out) == (2, "")
    assert "bad.trace" in done.err
    assert not (shared.here / "out.trace").exists()


# --------------------------------------------------------------------------------------------------------------- build


def context(place: Place, dockerfile: str) -> Path:
    """A build context whose directory, and so the image, has a name of this test only."""
    directory = place.here / place.token
    directory.mkdir()
    (directory / "Dockerfile").write_text(f"{dockerfile}\nLABEL {LABEL}={place.token}\n")
    return directory


def test_build_makes_both_images(place: Place) -> None:
    directory = context(place, in_base("ARG WORD=plain", "RUN echo $WORD > /word", 'CMD ["cat", "/word"]'))
    (directory / "debloat.toml").write_text('level = "exact"\n')
    done = place.run("build", str(directory), "--build-arg", "WORD=argued", "--build-option", "--network none")
    assert (done.code, done.out) == (0, f"{place.token}:slim\n"), done.err
    assert {"/word", "/usr/bin/cat"} <= saved(f"{place.token}:slim").keys()
    assert (
        "argued"
        in subprocess.run(
            ["docker", "run", "--rm", f"{place.token}:slim"], capture_output=True, text=True, check=True
        ).stdout
    )


def test_build_with_another_file_and_stage(place: Place) -> None:
    directory = context(place, "FROM nonesuch")
    text = f"FROM debian:bookworm-slim AS one\nLABEL {LABEL}={place.token}\nCMD true\nFROM one AS two\nCMD false\n"
    (place.here / "other.Dockerfile").write_text(text)
    done = place.run("build", str(directory), "-f", "other.Dockerfile", "--target", "one", "--level", "exact")
    assert (done.code, done.out) == (0, f"{place.token}:slim\n"), done.err


def test_build_where_the_cli_lacks_buildkit(place: Place) -> None:
    """A CLI of 23 or later without buildx refuses until its classic builder is asked for."""
    docker = subprocess.run(
        ["sh", "-c", "command -v docker"], capture_output=True, text=True, check=True
    ).stdout.strip()
    shim = place.here / "bin" / "docker"
    shim.parent.mkdir()
    shim.write_text(
        f'#!/bin/sh\nif [ "$1" = build ] && [ "$DOCKER_BUILDKIT" != 0 ]; then\n'
        f'echo "ERROR: BuildKit is enabled but the buildx component is missing or broken." >&2; exit 1; fi\n'
        f'exec {docker} "$@"\n'
    )
    shim.chmod(0o755)
    directory = context(place, in_base(COMMAND))
    path = f"{shim.parent}{os.pathsep}{os.environ['PATH']}"
    done = place.run("build", str(directory), "--level", "exact", PATH=path)
    assert (done.code, done.out) == (0, f"{place.token}:slim\n"), done.err


def test_build_that_fails(place: Place) -> None:
    step = f"RUN : {place.token}; echo it does not compile >&2; exit 9"
    directory = context(place, in_base(step))
    done = place.run("build", str(directory))
    assert (done.code, done.out) == (2, "")
    commands = [" ".join(c["Command"].split()) for c in place.client.containers(all=True, trunc=False)]
    assert not [c for c in commands if place.token in c]
    assert "it does not compile" in done.err
    assert "docker build failed" in done.err
    assert place.run("build", "nonesuch").code == 2


# ------------------------------------------------------------------------------------------------------ doctor and gc


def test_doctor(place: Place) -> None:
    done = place.debloat("doctor")
    assert done.code == 0, done.out
    assert "ok  engine" in done.out
    assert "ok  recording" in done.out
    findings = {f["subject"]: f for f in json.loads(place.debloat("doctor", "--json").out)}
    assert findings["recording"]["seen"] == "by notify, else ptrace"
    assert all(findings[subject]["ok"] for subject in ("libmagic", "engine", "sensor", "recording"))


def settled(place: Place) -> bool:
    """Whether there are containers, and all that are listed can be inspected: none is still being created."""
    found = place.containers()
    try:
        return bool([place.client.inspect_container(c) for c in found])
    except docker.errors.NotFound:
        return False


def test_gc_takes_what_a_killed_run_left(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only of this run: others may be at work on the engine."""
    image = place.build(in_base(WEB), WEB_FILES)
    with collecting():
        process = place.start(image)
        until(place.containers, "a container of the run")
        process.kill()
        process.communicate()
        until(lambda: settled(place), "what the engine was asked for before the kill")
        label = place.client.inspect_container(place.containers()[0])["Config"]["Labels"]["debloat.run"]
        every = DockerEngine.leftovers
        monkeypatch.setattr(DockerEngine, "leftovers", lambda engine, run="": every(engine, run or label))
        told = place.debloat("gc", "--dry-run")
        assert told.code == 0
        assert f"of run {label} " in told.out
        assert "found" in told.err
        assert place.containers()
        assert place.debloat("gc").code == 0
        assert place.containers() == []
    again = place.debloat("gc")
    assert (again.code, again.out) == (0, "")
    for path in place.scratch.iterdir():  # the directory of a killed process: nobody but the system removes it
        subprocess.run(["rm", "-r", path], check=True)


# ------------------------------------------------------------------------------------------------------------- results


def test_an_archive_can_be_loaded(place: Place, command: str) -> None:
    target = place.images.name("archived")
    assert place.debloat(command, "--level", "exact", "-t", target, "--output", "image.tar").code == 0
    wanted = place.client.inspect_image(target)["Id"]
    place.client.remove_image(target)
    path = place.here / "image.tar"
    loaded = subprocess.run(["docker", "load", "-i", path], capture_output=True, text=True, check=True)
    assert target in loaded.stdout
    assert place.client.inspect_image(target)["Id"] == wanted
    ran = subprocess.run(["docker", "run", "--rm", target], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("12.")


def test_an_oci_layout_holds_the_same_image(place: Place, command: str) -> None:
    target = place.images.name("layout")
    done = place.debloat(command, "--level", "exact", "-t", target, "--output", "oci-archive:image.tar")
    assert done.code == 0, done.err
    with tarfile.open(place.here / "image.tar") as tar:
        index = json.load(tar.extractfile("index.json") or io.BytesIO())
        (entry,) = index["manifests"]
        manifest = json.load(tar.extractfile(f"blobs/sha256/{entry['digest'][7:]}") or io.BytesIO())
    assert manifest["config"]["digest"] == place.client.inspect_image(target)["Id"]
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == target


def test_the_json_report_keeps_to_its_schema(shared: Place, web: str) -> None:
    report = json.loads((shared.here / "report.json").read_text())
    jsonschema.validate(report, schemas.ours("report.json"))
    assert (report["format"], report["reference"], report["result"]) == ("debloat-report", web, f"{web}-slim")
    assert report["result_id"] == shared.client.inspect_image(f"{web}-slim")["Id"]
    assert report["image_id"] == shared.client.inspect_image(web)["Id"]
    kept = saved(f"{web}-slim")
    assert report["after"]["files"] == sum(node.kind != "dir" for node in kept.values())
    assert report["verified"] is True
    assert not any(answer["difference"] for answer in report["answers"])


def test_json_on_stdout_is_all_there_is(place: Place, command: str) -> None:
    done = place.debloat(command, "--level", "exact", "--json", "-")
    report = json.loads(done.out)
    jsonschema.validate(report, schemas.ours("report.json"))
    assert report["result"] == f"{command}-slim"


def test_quiet_says_the_reference_and_nothing_else(place: Place, command: str) -> None:
    done = place.run(command, "--level", "exact", "-q")
    assert (done.code, done.out, done.err) == (0, f"{command}-slim\n", "")


def test_without_proof(place: Place, command: str) -> None:
    done = place.debloat(command, "--level", "exact", "--no-verify", "--json", "report.json")
    assert (done.code, done.out) == (0, f"{command}-slim\n")
    assert "not verified" in done.err
    report = json.loads((place.here / "report.json").read_text())
    jsonschema.validate(report, schemas.ours("report.json"))
    assert (report["verified"], report["answers"]) == (False, [])


def test_a_minimal_image_that_answers_differently_gets_no_tag(place: Place, command: str) -> None:
    done = place.debloat(command, "--level", "exact", "--drop", "/etc/debian_version")
    assert (done.code, done.out) == (5, "")
    assert "does not answer as the original does" in done.err
    assert "run CMD: exit code 0 before, exit code 1 now" in done.err
    assert "hint: try --level safe" in done.err
    assert place.client.images(name=f"{command}-slim") == []
    forced = place.debloat(command, "--level", "exact", "--drop", "/etc/debian_version", "--force")
    assert forced.code == 5
    assert place.client.images(name=f"{command}-slim") != []


# ----------------------------------------------------------------------------------------------------- what to keep


def test_keep_drop_and_keep_package(place: Place, command: str) -> None:
    target = place.images.name("policy")
    argv = ("--keep", "/etc/cron*", "--keep", "/usr/share/zoneinfo/[A]*", "--keep-package", "hostname")
    assert place.debloat(command, "--level", "exact", "-t", target, *argv, "--drop", "/etc/cron.d*").code == 0
    kept = saved(target)
    assert "/usr/bin/hostname" in kept
    assert "/etc/cron.daily/dpkg" not in kept
    assert "/usr/bin/apt" not in kept
    status = subprocess.run(
        ["docker", "run", "--rm", "--entrypoint", "/bin/cat", target, "/var/lib/dpkg/status"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "Package: hostname\n" in status
    assert "Package: apt\n" not in status


@pytest.mark.parametrize("level", ["safe", "package"])
def test_wider_levels_keep_more(shared: Place, web: str, level: str) -> None:
    target = shared.images.name(level)
    done = shared.debloat(web, "--level", level, "-t", target)
    assert done.code == 0, done.err
    kept = saved(target)
    assert saved(f"{web}-slim").keys() <= kept.keys()
    assert "/srv/spare" in kept


def test_an_unknown_package(place: Place, command: str) -> None:
    done = place.debloat(command, "--keep-package", "nonesuch")
    assert (done.code, done.out) == (2, "")
    assert "nonesuch" in done.err


def test_settings_of_a_pyproject(place: Place, command: str) -> None:
    (place.here / "pyproject.toml").write_text('[tool.debloat]\nlevel = "exact"\nkeep = ["/etc/issue"]\n')
    assert place.debloat(command).code == 0
    kept = saved(f"{command}-slim")
    assert "/etc/issue" in kept
    assert "/usr/bin/apt" not in kept
