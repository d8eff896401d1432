"""`debloat fleet` over the fake engine: words in, files, names and exit codes out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from debloat.core.errors import EngineUnavailable
from tests.support import schemas
from tests.support.cli import CommandLine, fails, shows_what_is_gone
from tests.support.engine import FakeEngine
from tests.support.fleets import but, in_this_process, shops, write

Lines = Callable[[FakeEngine], CommandLine]
NAMES = ("shop/api:1", "shop/web:1", "shop/web:2")
FLEET = """
[defaults]
lock = "locks/{short}-{tag}.lock"
[[entry]]
image = "shop/*"
"""


@pytest.fixture
def engine() -> FakeEngine:
    return shops(*NAMES)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, engine: FakeEngine) -> list[str]:
    return in_this_process(monkeypatch, engine)


def rows(report: Any) -> dict[str, str]:
    return {item["name"]: item["status"] for item in report["items"]}


def test_a_fleet_is_made_once(lines: Lines, engine: FakeEngine, asked: list[str], here: Path) -> None:
    debloat = lines(engine)
    write(here, FLEET)
    done = debloat("fleet", "run", "--json", "report.json")
    assert (done.code, done.out.split()) == (0, [f"{name}-slim" for name in NAMES])
    report = json.loads((here / "report.json").read_text())
    Draft202012Validator(schemas.ours("fleet.json")).validate(report)
    assert rows(report) == dict.fromkeys(NAMES, "done")
    assert sorted(asked) == sorted(NAMES)
    for item in report["items"]:
        assert item["digest"] == engine.image(item["target"]).identity
        assert (here / ".debloat-fleet" / item["log"]).read_bytes() == b"what it said\n"
        kept = here / ".debloat-fleet" / "items" / item["key"]
        assert json.loads((kept / "report.json").read_text())["result"] == item["target"]
        name, tag = item["name"].removeprefix("shop/").split(":")
        assert (kept / "debloat.lock").read_bytes() == (here / "locks" / f"{name}-{tag}.lock").read_bytes()

    engine.calls.clear()
    again = debloat("fleet", "run", "--json", "-")
    assert (again.code, rows(again.json)) == (0, dict.fromkeys(NAMES, "unchanged"))
    assert len(asked) == len(NAMES)
    assert not {"create", "load", "tag"} & set(engine.calls)


def test_the_same_as_one_by_one(lines: Lines, engine: FakeEngine, asked: list[str], here: Path) -> None:
    write(here, FLEET)
    report = lines(engine)("fleet", "run", "--json", "-").json
    alone = shops(*NAMES)
    for item in report["items"]:
        assert lines(alone)(item["name"], "-q").code == 0
        assert alone.image(item["target"]).identity == item["digest"]


def test_what_is_gone_is_made_again_and_nothing_else(
    lines: Lines, engine: FakeEngine, asked: list[str], here: Path
) -> None:
    write(here, FLEET)
    debloat = lines(engine)
    assert debloat("fleet", "run", "-q").code == 0
    engine.untag("shop/web:1-slim")
    engine.tag("shop/web:1", "shop/api:1-slim")  # another image has the name now
    (here / "locks" / "web-2.lock").unlink()
    del asked[:]
    assert debloat("fleet", "run", "-q").code == 0
    assert sorted(asked) == ["shop/api:1", "shop/web:1"]
    assert (here / "locks" / "web-2.lock").exists()


def test_another_recipe_is_other_work(lines: Lines, engine: FakeEngine, asked: list[str], here: Path) -> None:
    write(here, FLEET)
    debloat = lines(engine)
    assert debloat("fleet", "run", "-q").code == 0
    write(here, FLEET + 'level = "package"\n')
    assert set(rows(debloat("fleet", "status", "--json", "-").json).values()) == {"pending"}
    assert debloat("fleet", "run", "-q").code == 0
    assert len(asked) == 2 * len(NAMES)
    assert set(rows(debloat("fleet", "status", "--json", "-").json).values()) == {"done"}


def test_one_failure_ends_no_other(lines: Lines, monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    engine = shops(*NAMES, program=but("shop/web:1", shows_what_is_gone))
    in_this_process(monkeypatch, engine)
    write(here, FLEET)
    done = lines(engine)("fleet", "run", "--json", "report.json")
    report = json.loads((here / "report.json").read_text())
    assert done.code == report["exit_code"] == 1
    assert rows(report) == {"shop/api:1": "done", "shop/web:1": "differs", "shop/web:2": "done"}
    assert done.out.split() == ["shop/api:1-slim", "shop/web:2-slim"]
    bad = next(item for item in report["items"] if item["status"] == "differs")
    assert bad["exit_code"] == 5
    assert "does not answer as the original does: run CMD: " in bad["error"]
    assert "shop/web:1-slim" not in engine.names
    assert done.err.index("differs    shop/web:1: ") < done.err.index("log: .debloat-fleet/items/")


def test_the_code_of_what_is_neither_gate_nor_proof(lines: Lines, monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    engine = shops(*NAMES, program=but("shop/web:1", fails))
    asked = in_this_process(monkeypatch, engine)
    write(here, FLEET)
    done = lines(engine)("fleet", "run", "-q", "--json", "-")
    assert done.code == 4
    assert rows(done.json)["shop/web:1"] == "failed"
    del asked[:]  # a failure is begun anew, what is done is not
    assert lines(engine)("fleet", "run", "-q").code == 4
    assert asked == ["shop/web:1"]


def test_locks_are_applied_and_checked(lines: Lines, engine: FakeEngine, asked: list[str], here: Path) -> None:
    write(here, FLEET)
    debloat = lines(engine)
    assert debloat("fleet", "run", "-q").code == 0
    made = {name: engine.image(f"{name}-slim").identity for name in NAMES}
    for name in NAMES:
        engine.untag(f"{name}-slim")
    engine.created.clear()
    done = debloat("fleet", "apply", "--json", "-")
    assert (done.code, rows(done.json)) == (0, dict.fromkeys(NAMES, "done"))
    assert {item["name"]: item["digest"] for item in done.json["items"]} == made
    assert all("record" not in spec.entrypoint for spec in engine.created)  # nothing of an image's was started
    assert rows(debloat("fleet", "apply", "--json", "-").json) == dict.fromkeys(NAMES, "unchanged")
    assert rows(debloat("fleet", "check", "--json", "-").json) == dict.fromkeys(NAMES, "done")
    assert rows(debloat("fleet", "check", "--json", "-").json) == dict.fromkeys(NAMES, "unchanged")


def test_the_gate_refuses(lines: Lines, engine: FakeEngine, asked: list[str], here: Path) -> None:
    write(here, FLEET)
    debloat = lines(engine)
    assert debloat("fleet", "run", "-q").code == 0
    write(here, FLEET + "recipe = { budget = { max_files = 1 } }\n")
    done = debloat("fleet", "check", "--json", "-")
    assert (done.code, set(rows(done.json).values())) == (1, {"refused"})
    assert "does not pass: budget-max-files: " in done.json["items"][0]["error"]


def test_some_of_a_fleet(lines: Lines, engine: FakeEngine, asked: list[str], here: Path) -> None:
    write(here, FLEET)
    debloat = lines(engine)
    done = debloat("fleet", "run", "--only", "shop/web:2", "--only", "shop/api:1")
    assert done.out.split() == ["shop/api:1-slim", "shop/web:2-slim"]
    assert sorted(asked) == ["shop/api:1", "shop/web:2"]
    del asked[:]
    assert debloat("fleet", "run", "-q").code == 0
    assert asked == ["shop/web:1"]
    assert debloat("fleet", "run", "--only", "shop/web:1", "-q").code == 0
    assert rows(debloat("fleet", "status", "--json", "-").json) == dict.fromkeys(NAMES, "done")
    complaint = debloat("fleet", "run", "--only", "shop/web:3").complaint
    assert complaint.startswith("debloat: fleet.toml has no image that is called shop/web:3\n")


def test_a_run_that_ended_goes_on(
    lines: Lines, engine: FakeEngine, asked: list[str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first result is on disk when the second item ends the whole run."""
    from debloat.fleet.child import Children

    in_process = Children.ask

    def ends(self: Children, request: Any) -> Any:
        if request["ask"] == "item" and asked:
            raise KeyboardInterrupt
        return in_process(self, request)

    write(here, FLEET)
    monkeypatch.setattr(Children, "ask", ends)
    debloat = lines(engine)
    assert debloat("fleet", "run", "-j", "1").code == 130
    monkeypatch.setattr(Children, "ask", in_process)
    done = debloat("fleet", "run", "-j", "1", "--json", "-")
    assert sorted(rows(done.json).values()) == ["done", "done", "unchanged"]
    assert sorted(asked) == sorted(NAMES)


def test_the_state_may_be_elsewhere(lines: Lines, engine: FakeEngine, asked: list[str], here: Path) -> None:
    (here / "files").mkdir()
    write(here / "files", FLEET)
    debloat = lines(engine)
    assert debloat("fleet", "run", "files/fleet.toml", "--state", "state", "-q").code == 0
    assert {path.name for path in (here / "files").iterdir()} == {"fleet.toml", "locks"}
    assert set(
        rows(debloat("fleet", "status", "files/fleet.toml", "--state", "state", "--json", "-").json).values()
    ) == {"done"}
    shutil.rmtree(here / "state")
    assert debloat("fleet", "run", "files/fleet.toml", "--state", "state", "-q").code == 0


WRONG: dict[str, tuple[str, str]] = {
    "no file": ("", "cannot read fleet.toml: No such file or directory\n  hint: name the file: "),
    "no entry": ("[defaults]\n", "fleet.toml names no image\n"),
    "an unknown key": (
        '[[entry]]\nimgae = "a"\n',
        "fleet.toml, line 2: unknown key 'imgae' in entry 1\n  hint: did you mean 'image'?",
    ),
    "a typing error in a recipe": (
        '[[entry]]\nimage = "shop/*"\nrecipe = { htpp = ["/"] }\n',
        "fleet.toml, line 3: unknown key 'htpp' in entry 1, recipe\n  hint: did you mean 'http'?",
    ),
    "a recipe that is not there": (
        '[[entry]]\nimage = "shop/*"\nrecipe = "none.toml"\n',
        "cannot read ",
    ),
    "a recipe of another kind": (
        '[[entry]]\nimage = "shop/*"\nrecipe = 3\n',
        "fleet.toml, line 3: entry 1, recipe must be the path of a debloat.toml, or a table of what one may say, not 3",
    ),
    "an image that is not there": ('[[entry]]\nimage = "nowhere:1"\n', "cannot find the image nowhere:1\n"),
    "a pattern without an image": ('[[entry]]\nimage = "shops/*"\n', "no image of the engine matches 'shops/*'\n"),
    "one name for two": (
        '[[entry]]\nimage = "shop/web:*"\ntarget = "{name}:slim"\n',
        "shop/web:1 and shop/web:2 would both make shop/web:slim\n",
    ),
    "an unknown field": (
        '[[entry]]\nimage = "shop/*"\ntarget = "{nmae}"\n',
        "fleet.toml, line 3: entry 1, target: the template '{nmae}' holds {nmae} in a form that says nothing\n",
    ),
    "a result that can have no such name": (
        '[[entry]]\nimage = "shop/web:1"\ntarget = "Shop:UP er"\n',
        "shop/web:1: target 'Shop:UP er' is not an image name\n  hint: write NAME:TAG, the name in lower case",
    ),
    "one name for two, in two forms": (
        '[[entry]]\nimage = "shop/web:1"\ntarget = "slim"\n[[entry]]\nimage = "shop/web:2"\ntarget = "slim:latest"\n',
        "shop/web:1 and shop/web:2 would both make slim:latest\n",
    ),
    "an original's name in another form": (
        '[[entry]]\nimage = "shop/web:1"\ntarget = "docker.io/shop/web:2"\n[[entry]]\nimage = "shop/web:2"\n',
        "the result of shop/web:1 would take the name of shop/web:2, which is an original\n",
    ),
    "one archive for two": (
        '[defaults]\ntarget = "docker-archive:all.tar:{name}:{tag}"\n'
        '[[entry]]\nimage = "shop/web:1"\n[[entry]]\nimage = "shop/web:2"\n',
        "shop/web:1 and shop/web:2 would both make docker-archive:all.tar:shop/web:2\n",
    ),
    "an entry without an image": ("[[entry]]\n", "fleet.toml, line 1: entry 1 needs an image\n"),
    "an original's name": (
        '[[entry]]\nimage = "shop/web:1"\ntarget = "shop/web:2"\n[[entry]]\nimage = "shop/web:2"\n',
        "the result of shop/web:1 would take the name of shop/web:2, which is an original\n",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_before_anything_begins(
    case: str, lines: Lines, engine: FakeEngine, asked: list[str], here: Path
) -> None:
    text, said = WRONG[case]
    if text:
        write(here, text)
    done = lines(engine)("fleet", "run")
    assert done.code == 2
    assert done.complaint.startswith(f"debloat: {said}")
    assert asked == []
    assert "create" not in engine.calls


def test_a_recipe_of_a_file_is_read_where_it_lies(
    lines: Lines, engine: FakeEngine, asked: list[str], here: Path
) -> None:
    write(here, 'levl = "exact"\n', "web.toml")
    write(here, '[[entry]]\nimage = "shop/*"\nrecipe = "web.toml"\n')
    complaint = lines(engine)("fleet", "run").complaint
    assert complaint.startswith("debloat: ")
    assert "web.toml, line 1: unknown key 'levl'\n  hint: did you mean 'level'?" in complaint


def test_locks_that_are_not_there(lines: Lines, engine: FakeEngine, asked: list[str], here: Path) -> None:
    write(here, FLEET)
    complaint = lines(engine)("fleet", "apply").complaint
    assert (
        "locks/api-1.lock of shop/api:1: No such file or directory\n  hint: `debloat fleet run` writes it" in complaint
    )
    write(here, '[[entry]]\nimage = "shop/web:1"\n')
    complaint = lines(engine)("fleet", "apply").complaint
    assert complaint.startswith("debloat: cannot apply shop/web:1: there is nothing to make it by: no lock\n")
    complaint = lines(engine)("fleet", "check").complaint
    assert complaint.startswith(
        "debloat: cannot check shop/web:1: there is nothing to hold it against: no lock, no [bud"
    )


def test_an_engine_that_does_not_answer(lines: Lines, engine: FakeEngine, asked: list[str], here: Path) -> None:
    write(here, '[[entry]]\nimage = "shop/web:1"\n')
    engine.fail_on["image"] = EngineUnavailable("cannot ask the engine", "start it")
    done = lines(engine)("fleet", "run")
    assert (done.code, done.complaint) == (3, "debloat: cannot ask the engine\n  hint: start it\n")


def test_an_image_that_changes_meanwhile(
    lines: Lines, engine: FakeEngine, asked: list[str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from debloat.fleet.child import Children

    in_process = Children.ask

    def moved(self: Children, request: Any) -> Any:
        engine.tag("shop/api:1", "shop/web:1")
        return in_process(self, request)

    monkeypatch.setattr(Children, "ask", moved)
    write(here, '[[entry]]\nimage = "shop/web:1"\n')
    done = lines(engine)("fleet", "run", "--json", "-")
    assert done.code == 2
    assert done.json["items"][0]["error"].startswith("shop/web:1 is another image than when the run began")


def test_two_runs_at_once(lines: Lines, engine: FakeEngine, asked: list[str], here: Path) -> None:
    from debloat.fleet.ledger import Ledger

    write(here, FLEET)
    with Ledger(here / ".debloat-fleet").held():
        done = lines(engine)("fleet", "run")
    assert (done.code, asked) == (2, [])
    assert done.complaint.startswith("debloat: another run is at work in .debloat-fleet\n")
    assert lines(engine)("fleet", "run", "-q").code == 0
