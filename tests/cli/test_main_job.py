"""`debloat IMAGE`, `debloat slim`, `debloat build` and `debloat lock`: what is made, what is said, how a run ends."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from debloat.core.errors import EngineUnavailable
from debloat.core.model import Image
from debloat.engine.base import PENDING_REPOSITORY
from debloat.engine.traits import PODMAN
from tests.support.cli import CommandLine, fails, sells, shop, shows_what_is_gone
from tests.support.engine import FakeEngine, Program

Lines = Callable[[FakeEngine], CommandLine]


def kept(debloat: CommandLine, name: str) -> set[str]:
    rootfs, _ = debloat.engine.images[debloat.engine.names[name]]
    return set(rootfs)


@pytest.mark.parametrize("verb", [(), ("slim",)])
def test_stdout_is_the_reference(debloat: CommandLine, verb: tuple[str, ...]) -> None:
    done = debloat(*verb, "shop:1", "--level", "exact")
    assert (done.code, done.out) == (0, "shop:1-slim\n")
    assert "next              docker run shop:1-slim" in done.err
    assert "/usr/share/shop/catalogue" in kept(debloat, "shop:1-slim")
    assert "/usr/bin/spare" not in kept(debloat, "shop:1-slim")
    assert debloat.connected == 1


def test_what_is_kept_by_hand(debloat: CommandLine) -> None:
    argv = ("shop:1", "-q", "--level", "exact", "--keep", "/usr/bin/dash", "--keep-package", "spare", "-t", "shop:mine")
    assert debloat(*argv).out == "shop:mine\n"
    assert {"/usr/bin/dash", "/usr/bin/spare"} <= kept(debloat, "shop:mine")
    assert debloat(*argv, "--drop", "/usr/bin/dash").code == 0
    assert "/usr/bin/dash" not in kept(debloat, "shop:mine")


def test_the_configuration_here_counts_and_flags_come_on_top(debloat: CommandLine, here: Path) -> None:
    (here / "debloat.toml").write_text('level = "exact"\nkeep = ["/usr/bin/dash"]\n')
    assert debloat("shop:1", "-q").code == 0
    assert "/usr/bin/dash" in kept(debloat, "shop:1-slim")
    assert "/usr/bin/spare" not in kept(debloat, "shop:1-slim")
    assert debloat("shop:1", "-q", "--keep", "/usr/bin/spare").code == 0
    assert {"/usr/bin/dash", "/usr/bin/spare"} <= kept(debloat, "shop:1-slim")
    (here / "other.toml").write_text('level = "exact"\n')
    assert debloat("shop:1", "-q", "-c", "other.toml").code == 0
    assert "/usr/bin/dash" not in kept(debloat, "shop:1-slim")


def test_each_args_is_started(debloat: CommandLine, here: Path) -> None:
    assert debloat("shop:1", "-q", "--level", "exact", "--args", "a 'b c'", "--args", "d", "--json", "r.json").code == 0
    report = json.loads((here / "r.json").read_text())
    assert [answer["scenario"] for answer in report["answers"]] == ["args a 'b c'", "args d"]


def test_traces_are_added(debloat: CommandLine, here: Path) -> None:
    assert debloat("shop:1", "-q", "--level", "exact", "--save-trace", "one.trace").code == 0
    assert debloat("shop:2", "-q", "--level", "exact", "--trace", "one.trace", "--save-trace", "two.trace").code == 0
    assert "/usr/lib/libshop.so.1.0" in (here / "two.trace").read_text()


def test_quiet_says_the_reference_only(debloat: CommandLine) -> None:
    done = debloat("slim", "shop:1", "-q", "-t", "small:2")
    assert (done.code, done.out, done.err) == (0, "small:2\n", "")


def test_reports_go_to_files(debloat: CommandLine, here: Path) -> None:
    files = ["--json", "r.json", "--html", "r.html", "--save-trace", "t.json", "--output", "i.tar", "--lock", "l"]
    assert debloat("shop:1", "-q", *files).out == "shop:1-slim\n"
    assert json.loads((here / "r.json").read_text())["result"] == "shop:1-slim"
    assert (here / "r.html").read_text().startswith("<!doctype html>")
    assert {path.name for path in here.iterdir()} == {"r.json", "r.html", "t.json", "i.tar", "l"}


def test_json_on_stdout_takes_the_place_of_the_reference(debloat: CommandLine) -> None:
    assert debloat("shop:1", "--json", "-").json["passed"] is True


CHOWN, INOTIFY_INIT = 92, 253


def calls(*noted: int, unseen: tuple[int, ...] = ()) -> Program:
    """A shop that makes further system calls."""
    return lambda rootfs, argv: replace(sells(rootfs, argv), calls=noted, unseen=unseen)


def test_a_profile_of_what_the_program_calls(lines: Lines, here: Path) -> None:
    debloat = lines(shop(calls(CHOWN)))
    done = debloat("shop:1", "--level", "exact", "--seccomp", "shop.json", "--json", "r.json")
    assert (done.code, done.out) == (0, "shop:1-slim\n")
    assert "docker run --security-opt seccomp=shop.json shop:1-slim" in done.err
    document = json.loads((here / "shop.json").read_text())
    assert document["defaultAction"] == "SCMP_ACT_ERRNO"
    allowed = json.loads((here / "r.json").read_text())["seccomp"]["allowed"]
    assert {"chown", "fchownat", "execve", "read"} <= set(allowed)
    assert not {"inotify_init", "ptrace", "mount"} & set(allowed)
    confined = [made for made in debloat.engine.created if made.seccomp]
    assert [json.loads(made.seccomp) for made in confined] == [document]
    assert confined[0].entrypoint == (), "nothing records there: the sensor's own calls would have to be allowed"


def test_a_profile_under_which_answers_differ_is_not_written(lines: Lines, here: Path) -> None:
    debloat = lines(shop(calls(CHOWN, unseen=(INOTIFY_INIT,))))
    done = debloat("shop:1", "--level", "exact", "--seccomp", "shop.json", "--json", "r.json")
    assert done.code == 5
    assert "under its seccomp profile the minimal image does not answer" in done.complaint
    assert "run CMD: exit code 0 before, exit code 1 now" in done.complaint
    assert {path.name for path in here.iterdir()} == {"r.json"}
    assert list(json.loads((here / "r.json").read_text())["seccomp"]["differences"]) == ["run CMD"]
    assert "shop:1-slim" in debloat.engine.names, "the image itself is proven"
    noting = [made.entrypoint for made in debloat.engine.created if "--calls" in made.entrypoint]
    assert [argv[argv.index("--mechanism") + 1] for argv in noting] == ["auto", "ptrace"]


def test_no_profile_of_an_image_that_is_not_proven(lines: Lines, here: Path) -> None:
    assert lines(shop(shows_what_is_gone))("shop:1", "--level", "exact", "--seccomp", "shop.json").code == 5
    assert not list(here.iterdir())


def test_without_proof_nothing_is_replayed(debloat: CommandLine) -> None:
    done = debloat("shop:1", "--level", "exact", "--no-verify")
    assert (done.code, done.out) == (0, "shop:1-slim\n")
    assert "not verified" in done.err


def test_a_difference_ends_with_5_and_no_tag(lines: Lines, here: Path) -> None:
    debloat = lines(shop(shows_what_is_gone))
    done = debloat("shop:1", "--level", "exact", "--json", "r.json", "--lock", "l", "--output", "i.tar")
    assert done.code == 5
    assert "does not answer as the original does:\n  run CMD: the output differs" in done.complaint
    assert "hint: try --level safe" in done.complaint
    assert "shop:1-slim" not in debloat.engine.names
    assert json.loads((here / "r.json").read_text())["result"] == ""
    assert {path.name for path in here.iterdir()} == {"r.json"}
    forced = debloat("shop:1", "--level", "exact", "--force")
    assert forced.code == 5
    assert "--force" in forced.complaint
    assert "shop:1-slim" in debloat.engine.names


def test_an_original_that_fails_ends_with_4(lines: Lines) -> None:
    done = lines(shop(fails))("shop:1")
    assert done.code == 4
    assert "no database" in done.complaint


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("nowhere:1",), "cannot find the image nowhere:1"),
        (("shop:1", "-t", "shop:1"), "that is the original's name"),
        (("shop:1", "-t", "Shop"), "is not an image name"),
        (("shop:1", "-e", "novalue"), "-e 'novalue' is not K=V"),
        (("shop:1", "-v", "data"), "'data' is no volume"),
        (("shop:1", "--http", "?"), "http: '?' is not an HTTP probe"),
        (("shop:1", "--exec", "'"), "exec: cannot split"),
        (("shop:1", "--keep", "etc/x"), "keep: the pattern 'etc/x' must be absolute"),
        (("shop:1", "--keep-package", "nonesuch"), "no package of the image is called nonesuch"),
        (("shop:1", "-c", "none.toml"), "cannot read none.toml"),
        (("shop:1", "--trace", "none.trace"), "cannot read the trace none.trace"),
        (("shop:1", "--lock", "/proc/none/lock"), "cannot write /proc/none/lock"),
        (("shop:1", "--seccomp", "/proc/none/p"), "cannot write /proc/none/p"),
        (("shop:1", "--seccomp", "p", "--no-verify"), "cannot prove a seccomp profile without a replay"),
    ],
)
def test_bad_input_ends_with_2(debloat: CommandLine, argv: tuple[str, ...], says: str) -> None:
    done = debloat(*argv)
    assert done.code == 2
    assert says in done.complaint
    assert set(debloat.engine.names) == {"shop:1", "shop:2"}


def test_bad_options_are_found_before_an_engine_is_asked(debloat: CommandLine) -> None:
    assert debloat("shop:1", "--keep", "etc/x").code == 2
    assert debloat("shop:1", "--lock", "/proc/none/lock").code == 2
    assert debloat.connected == 0


def test_an_engine_that_fails_ends_with_3(debloat: CommandLine) -> None:
    debloat.engine.fail_on["create"] = EngineUnavailable("the engine went away", "start it")
    done = debloat("shop:1", "-q")
    assert (done.code, done.out, done.err) == (3, "", "debloat: the engine went away\n  hint: start it\n")


# ------------------------------------------------------------------------------------------ lock


def test_lock_writes_the_lock(debloat: CommandLine, here: Path) -> None:
    done = debloat("lock", "shop:1", "-q")
    assert (done.code, done.out, done.err) == (0, "shop:1-slim\n", "")
    assert (here / "debloat.lock").read_text().startswith("debloat-lock\t1\t")
    assert debloat("lock", "shop:1", "-q", "--lock", "other.lock").code == 0
    assert (here / "other.lock").read_bytes() == (here / "debloat.lock").read_bytes()


def test_lock_of_what_differs_leaves_the_old_lock(lines: Lines, here: Path) -> None:
    (here / "debloat.lock").write_text("old")
    assert lines(shop(shows_what_is_gone))("lock", "shop:1", "--level", "exact").code == 5
    assert (here / "debloat.lock").read_text() == "old"


# ------------------------------------------------------------------------------------------ build

DOCKER = """#!/bin/sh
case "$*" in *--help) printf '%s\\n' 'Usage:  docker build' '      --label list' '      {option}'; exit;; esac
printf '%s\\n' "$@" > "$0.argv"
env | grep -E '^DOCKER_(HOST|BUILDKIT)=' > "$0.env"
echo building >&2
while [ $# -gt 0 ] && {builds}; do [ "$1" != -t ] || echo "$2" >> "$0.tags"; shift; done
exit {code}
"""


class PutDocker(Protocol):
    def __call__(self, code: int = 0, builds: str = "true", option: str = "--pull") -> Path: ...


@pytest.fixture
def docker(debloat: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PutDocker:
    """Puts a docker command before all others that notes its arguments, and tells the engine the names it has built."""
    engine = debloat.engine
    image = engine.image

    def built(reference: str, *, pull: bool = True) -> Image:
        for tags in (tmp_path / "bin").glob("*.tags"):
            engine.names.update(dict.fromkeys(tags.read_text().split(), engine.names["shop:1"]))
            tags.unlink()
        return image(reference, pull=pull)

    monkeypatch.setattr(engine, "image", built)

    def put(code: int = 0, builds: str = "true", option: str = "--pull") -> Path:
        path = tmp_path / "bin" / "docker"
        path.parent.mkdir(exist_ok=True)
        path.write_text(DOCKER.format(code=code, builds=builds, option=option))
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
        return path.with_name("docker.argv")

    return put


def words(argv: Path) -> list[str]:
    """What the docker command was called with, less the name that stands for this build alone."""
    found = argv.read_text().split("\n")[:-1]
    at = next(i for i, word in enumerate(found) if f"{PENDING_REPOSITORY}:" in word)
    return found[: at - 1] + found[at + 1 :]


def environment(argv: Path) -> dict[str, str]:
    """What of docker's variables the command found."""
    return dict(line.split("=", 1) for line in argv.with_suffix(".env").read_text().splitlines())


@pytest.fixture
def context(here: Path, debloat: CommandLine) -> Path:
    """A build context, of which the engine has an older image."""
    debloat.engine.names["web-shop:latest"] = debloat.engine.names["shop:1"]
    path = here / "Web Shop"
    path.mkdir()
    (path / "debloat.toml").write_text('level = "exact"\n')
    return path


def test_build_makes_the_minimal_image(debloat: CommandLine, context: Path, docker: PutDocker) -> None:
    argv = docker(0)
    done = debloat(
        "build", str(context), "-q", "--build-arg", "A=1", "--target", "s", "--build-option", "--network none"
    )
    assert (done.code, done.out) == (0, "web-shop:slim\n")
    assert words(argv) == [
        *("build", "--force-rm", "-t", "web-shop:latest", "--build-arg", "A=1", "--target", "s"),
        *("--network", "none", str(context)),
    ]
    assert "/usr/bin/spare" not in kept(debloat, "web-shop:slim")

    assert not [name for name in debloat.engine.names if name.startswith(PENDING_REPOSITORY)]


def test_build_for_a_platform(debloat: CommandLine, context: Path, docker: PutDocker) -> None:
    argv = docker()
    assert debloat("build", str(context), "-q", "--platform", "linux/amd64").code == 0
    assert "--platform\nlinux/amd64\n" in argv.read_text()
    assert str(debloat.engine.wanted) == "linux/amd64"


def test_a_builder_of_its_own_hands_over_what_it_builds(debloat: CommandLine, context: Path, docker: PutDocker) -> None:
    argv = docker(option="--load                Shorthand for --output=type=docker")
    assert debloat("build", str(context), "-q").out == "web-shop:slim\n"
    assert "--load" in words(argv)


def test_an_older_image_is_not_taken_for_the_one_that_was_built(
    debloat: CommandLine, context: Path, docker: PutDocker
) -> None:
    """A builder that ends well and keeps its image to itself leaves the engine with what it had."""
    docker(builds="false")
    done = debloat("build", str(context), "-q")
    assert (done.code, done.out) == (2, "")
    assert "the engine has not got the image" in done.complaint
    assert "--build-option --load" in done.complaint
    assert "web-shop:slim" not in debloat.engine.names


def test_build_with_another_name_and_file(debloat: CommandLine, context: Path, docker: PutDocker) -> None:
    argv = docker(0)
    assert debloat("build", str(context), "-q", "-f", "other.Dockerfile", "-t", "small:2").out == "small:2\n"
    assert "-f\nother.Dockerfile\n" in argv.read_text()


def test_a_build_that_fails_ends_with_2(debloat: CommandLine, context: Path, docker: PutDocker) -> None:
    docker(1)
    done = debloat("build", str(context))
    assert done.code == 2
    assert "docker build failed" in done.complaint


def test_build_of_what_is_no_directory(debloat: CommandLine) -> None:
    done = debloat("build", "nowhere")
    assert done.code == 2
    assert "cannot build nowhere: it is not a directory" in done.complaint


@pytest.mark.parametrize("own", [True, False])
def test_build_on_podman(
    debloat: CommandLine, context: Path, docker: PutDocker, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    """By its own command where that is here, in the format that keeps a health check; else as docker did before 23."""
    argv = docker(option="--load")
    monkeypatch.setattr(debloat.engine, "traits", PODMAN)
    if own:
        docker_ = argv.with_name("docker")
        argv = docker_.rename(docker_.with_name("podman")).with_name("podman.argv")
    done = debloat("build", str(context), "-q")
    assert (done.code, done.out) == (0, "localhost/web-shop:slim\n")
    engine = debloat.engine.info().endpoint
    before = ["--url", engine, "build"] if own else ["build"]
    after = ["--format", "docker"] if own else []
    assert words(argv) == [*before, "--force-rm", "-t", "localhost/web-shop:latest", *after, str(context)]
    if not own:
        assert environment(argv) == {"DOCKER_HOST": engine, "DOCKER_BUILDKIT": "0"}


def test_build_on_podman_without_a_command(
    debloat: CommandLine, context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(debloat.engine, "traits", PODMAN)
    done = debloat("build", str(context))
    assert done.code == 3
    assert "there is no podman command here" in done.complaint


def test_build_without_a_docker_command(debloat: CommandLine, context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    done = debloat("build", str(context))
    assert done.code == 3
    assert "there is no docker command here" in done.complaint
