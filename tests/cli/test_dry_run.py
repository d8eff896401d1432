"""`--dry-run`: what a verb would do, on standard output; nothing is started, and nothing is written."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from debloat.core.errors import EngineUnavailable
from tests.support import schemas
from tests.support.cli import CommandLine

VALIDATOR = jsonschema.Draft202012Validator(schemas.ours("plan.json"))


def files(here: Path) -> set[str]:
    return {path.name for path in here.rglob("*")}


@pytest.fixture
def untouched(debloat: CommandLine, tmp_path: Path) -> CommandLine:
    """A command line whose engine may not start, make or name anything."""
    for call in ("create", "put", "start", "load", "tag", "untag"):
        debloat.engine.fail_on[call] = AssertionError(call)
    return debloat


@pytest.mark.parametrize("verb", [(), ("slim",), ("lock",)])
def test_the_plan_is_on_standard_output(untouched: CommandLine, tmp_path: Path, verb: tuple[str, ...]) -> None:
    before = files(tmp_path)
    done = untouched(*verb, "shop:1", "--dry-run", "--level", "exact", "-t", "small:1", "--html", "r.html")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("shop:1 (000000000000, linux/amd64) would become small:1\n")
    assert "level exact" in done.out
    assert ("lock      debloat.lock\n" in done.out) == (verb == ("lock",))
    assert "report    r.html\n" in done.out
    assert files(tmp_path) == before
    assert set(untouched.engine.names) == {"shop:1", "shop:2"}


def test_a_profile_is_planned(untouched: CommandLine) -> None:
    done = untouched("shop:1", "--dry-run", "--seccomp", "shop.json")
    assert "profile   shop.json\n" in done.out
    assert "asked twice more" in done.out


def test_the_plan_as_json(untouched: CommandLine, here: Path) -> None:
    done = untouched("shop:1", "--dry-run", "-q", "--args", "a", "--args", "b", "--json", "-")
    VALIDATOR.validate(done.json)
    assert (done.code, done.err, done.json["verb"]) == (0, "", "slim")
    assert [p["name"] for p in done.json["probes"]] == ["run args a", "run args b"]
    into = untouched("lock", "shop:1", "--dry-run", "--json", "plan.json")
    assert (into.code, into.out, into.err) == (0, "", "")
    document = json.loads((here / "plan.json").read_text())
    VALIDATOR.validate(document)
    assert document["outputs"] == [{"what": "image", "where": "shop:1-slim"}, {"what": "lock", "where": "debloat.lock"}]
    assert files(here) == {"plan.json"}


def test_a_trace_is_known_beforehand(debloat: CommandLine) -> None:
    assert debloat("record", "shop:1", "-q", "--save-trace", "one.trace").code == 0
    assert "--trace 3 paths\n" in debloat("shop:1", "--dry-run", "--trace", "one.trace").out


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("nowhere:1",), "cannot find the image nowhere:1"),
        (("shop:1", "-t", "shop:1"), "that is the original's name"),
        (("shop:1", "-t", "Shop"), "is not an image name"),
        (("shop:1", "--http", "/"), "the image exposes no port"),
        (("shop:1", "--keep", "x"), "must be absolute"),
        (("shop:1", "--lock", "/proc/none/x"), "cannot write /proc/none/x"),
        (("shop:1", "--json", "/proc/none/x"), "cannot write /proc/none/x"),
        (("build", "nowhere"), "it is not a directory"),
        (("apply", "shop:2", "--lock", "none.lock"), "cannot read the lock none.lock"),
    ],
)
def test_what_is_wrong_already_ends_with_2(untouched: CommandLine, argv: tuple[str, ...], says: str) -> None:
    done = untouched(*argv, "--dry-run")
    assert done.code == 2
    assert says in done.complaint


def test_without_an_engine_it_ends_with_3(debloat: CommandLine) -> None:
    debloat.engine.fail_on["image"] = EngineUnavailable("the engine went away")
    assert debloat("shop:1", "--dry-run").code == 3


# ------------------------------------------------------------------------------------------ build


@pytest.fixture
def context(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A context, and a docker command that must not be called."""
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text('#!/bin/sh\necho called > "$0.called"\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(docker.parent))
    (here / "web").mkdir()
    return here / "web"


def test_build_plans_the_image_that_was_last_built(untouched: CommandLine, context: Path, tmp_path: Path) -> None:
    untouched.engine.names["web:latest"] = untouched.engine.names["shop:1"]
    done = untouched("build", str(context), "--build-arg", "A=b c", "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("web:latest (000000000000, linux/amd64) would become web:slim\n")
    assert f"  run first  docker build --force-rm -t web:latest --build-arg 'A=b c' {context}\n" in done.out
    assert "web:latest is built first: this is the plan of the image as it was last built" in done.out
    assert not (tmp_path / "bin" / "docker.called").exists()
    document = untouched("build", str(context), "--dry-run", "--json", "-").json
    VALIDATOR.validate(document)
    assert document["verb"] == "build"


def test_build_of_what_was_never_built(untouched: CommandLine, context: Path) -> None:
    done = untouched("build", str(context), "--dry-run")
    assert done.code == 2
    assert "cannot find the image web:latest" in done.complaint


# ------------------------------------------------------------------------------------------ apply


def test_apply_says_what_would_stay(debloat: CommandLine, here: Path, tmp_path: Path) -> None:
    assert debloat("lock", "shop:1", "-q", "--level", "exact").code == 0
    for call in ("load", "tag", "untag"):
        debloat.engine.fail_on[call] = AssertionError(call)
    before, names = files(tmp_path), dict(debloat.engine.names)
    done = debloat("apply", "shop:2", "--dry-run", "-q", "--update-lock", "--output", "i.tar")
    assert (done.code, done.err) == (0, "")
    assert "moved /usr/lib/libshop.so.1.0 -> /usr/lib/libshop.so.1.1\n" in done.out
    assert "gone /usr/lib/shop/old of libshop1, kept for: trace probe:start\n" in done.out
    assert (
        "  write      image     shop:2-slim\n             archive   i.tar\n             lock      debloat.lock\n"
        in done.out
    )
    document = debloat("apply", "shop:2", "--dry-run", "-q", "--json", "-").json
    VALIDATOR.validate(document)
    assert (document["verb"], document["cut"]["identical"], document["probes"]) == ("apply", False, [])
    same = debloat("apply", "shop:1", "--dry-run", "--verify")
    assert "the same files as in the lock\n" in same.out
    assert "run CMD (its output and exit code)\n" in same.out
    assert files(tmp_path) == before
    assert debloat.engine.names == names
