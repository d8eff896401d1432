"""Verbs that look and make nothing: `inspect`, `diff` and `sbom` at images, `doctor` and `gc` at the machine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from debloat.cli.engines import Engines
from debloat.cli.explore import explored
from debloat.core.errors import EngineUnavailable
from debloat.engine.base import ContainerSpec
from debloat.engine.run_id import new_run
from tests.support import schemadoc, schemas
from tests.support.cli import CommandLine, sells, shop
from tests.support.engine import FakeEngine
from tests.support.reports import EVIL
from tests.support.trees import Table, tree

Lines = Callable[[FakeEngine], CommandLine]


def test_inspect(debloat: CommandLine) -> None:
    done = debloat("inspect", "shop:1")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("shop:1  sha256:")
    assert "setuid or setgid: 1  /usr/bin/spare" in done.out
    titles = [re.split(r"  |\n", part)[0] for part in done.out.split("\n\n")]
    assert titles[1:] == [
        *("Packages", "Files of no package, by place", "Layers", "ELF files", "Files that give rights"),
        *("What looks like a credential", "Same content more than once"),
    ]
    assert re.search(r"^  libshop1  1\.0-1 +2 +10 B +", done.out, re.MULTILINE)
    assert re.search(r"^  /usr/bin/spare  0:0 +setuid$", done.out, re.MULTILINE)
    assert re.search(r"^  1 .* ADD rootfs$", done.out, re.MULTILINE)
    assert not re.search(r" $", done.out, re.MULTILINE)
    assert "load" not in debloat.engine.calls


def test_inspect_looks_only_for_what_is_asked_for(debloat: CommandLine) -> None:
    done = debloat("inspect", "shop:1", "--only", "packages", "--only", "duplicates", "--limit", "2", "--sort", "name")
    names = re.findall(r"^  (\w+) +1\.0-1", done.out, re.MULTILINE)
    assert names == ["dash", "libshop1"]
    assert "  ... and 2 more (--limit 0)\n" in done.out
    assert "Layers" not in done.out
    assert "save" not in debloat.engine.calls


def test_inspect_as_a_tree(debloat: CommandLine) -> None:
    done = debloat("inspect", "shop:1", "--format", "tree", "--depth", "2", "--limit", "1", "--sort", "name")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()[2:]
    assert [re.sub(r"  .*", "", line) for line in lines] == ["/", "├── tmp", "└── ... and 2 more"]
    whole = debloat("inspect", "shop:1", "--format", "tree").out
    assert re.search(r"^│?   ├── bin  16 B  \d+ %, 3 files$", whole, re.MULTILINE)


@pytest.mark.parametrize("words", [("--json",), ("--format", "json", "--sort", "size")])
def test_inspect_as_json(debloat: CommandLine, words: tuple[str, ...]) -> None:
    found = debloat("inspect", "shop:1", *words).json
    jsonschema.Draft202012Validator(schemas.ours("inspect.json")).validate(found)
    assert (found["format"], found["version"], found["minimal"]) == ("debloat-inspect", 1, False)
    assert found["footprint"]["shells"] == ["/usr/bin/dash"]
    assert {p["name"] for p in found["packages"]} == {"dash", "libshop1", "shop", "spare"}
    sizes = [p["bytes"] for p in found["packages"]]
    assert sizes == sorted(sizes, reverse=True)
    assert [layer["created_by"] for layer in found["layers"]] == ["ADD rootfs"]
    assert found["privileged"] == [{"path": "/usr/bin/spare", "owner": "0:0", "rights": ["setuid"]}]
    part = debloat("inspect", "shop:1", *words, "--only", "layers").json
    jsonschema.Draft202012Validator(schemas.ours("inspect.json")).validate(part)
    assert "packages" not in part


def test_the_schema_of_inspect_says_what_is_required_and_what_is_there() -> None:
    for title, table in schemadoc.objects(schemas.ours("inspect.json")):
        parts = {"packages", "unowned", "layers", "binaries", "privileged", "credentials", "duplicates"}
        optional = set() if title else parts
        assert set(table["required"]) == set(table["properties"]) - optional, title
    text = schemadoc.DOCS.read_text()
    assert schemadoc.replaced(text, "inspect.json") == text


def test_no_name_in_an_image_acts_on_the_terminal(lines: Lines) -> None:
    table: Table = {"/srv/" + EVIL.replace("/", "_").replace("\0", ""): "x" * 9, "/etc/passwd": "root"}
    config = {"User": EVIL, "Labels": {"org.opencontainers.image.base.name": EVIL}, "Env": [f"{EVIL}_TOKEN=1"]}
    engine = FakeEngine({"evil:1": (tree(table), config)}, sells)
    for form in ("table", "tree"):
        done = lines(engine)("inspect", "evil:1", "--format", form)
        assert done.code == 0
        assert [line for line in done.out.split("\n") if not line.isprintable()] == []


def test_inspect_of_what_is_not_there(debloat: CommandLine) -> None:
    assert debloat("inspect", "nowhere:1").code == 2


# ------------------------------------------------------------------------------------------ diff


def test_diff_of_images(debloat: CommandLine) -> None:
    done = debloat("diff", "shop:1", "shop:2", "--files", "9")
    assert (done.code, done.err) == (0, "")
    assert "libshop1" in done.out
    assert "/usr/lib/libshop.so.1.1" in done.out
    assert debloat("diff", "shop:1", "shop:2", "--exit-code").code == 1
    same = debloat("diff", "shop:1", "shop:1", "--exit-code")
    assert (same.code, same.out) == (0, "")


def test_diff_as_json(debloat: CommandLine) -> None:
    found = debloat("diff", "shop:1", "shop:2", "--json").json
    assert found["format"] == "debloat-diff"
    assert [p["package"] for p in found["packages"]] == ["libshop1", "shop"]


def test_diff_as_a_table(debloat: CommandLine) -> None:
    done = debloat("diff", "shop:1", "shop:2", "--format", "table", "--sort", "size")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "  package   before  after  new  gone  changed  bytes",
        "  libshop1  1.0-1   1.1-1    1     2        -   +3 B",
        "  shop      1.0-1   1.0-1    -     -        1      -",
        "  2 packages: 1 file new, 2 gone, 1 changed, +3 B",
    ]
    assert debloat("diff", "shop:1", "shop:1", "--format", "table").out == ""


def test_diff_shows_the_largest_change_first_and_no_more_than_is_asked_for(debloat: CommandLine) -> None:
    done = debloat("diff", "shop:2", "shop:1", "--sort", "files", "--limit", "1")
    assert done.out.startswith("libshop1 1.1-1 -> 1.0-1: +2 files, -1 file")
    assert done.out.endswith("\n... and 1 package more\n")
    assert (
        debloat("diff", "shop:1", "shop:2", "--format", "json").json
        == debloat("diff", "shop:1", "shop:2", "--json").json
    )


def test_diff_of_a_lock_with_an_image(debloat: CommandLine) -> None:
    assert debloat("lock", "shop:1", "-q").code == 0
    same = debloat("diff", "debloat.lock", "shop:1-slim", "--exit-code")
    assert (same.code, same.out) == (0, "")
    assert debloat("diff", "debloat.lock", "shop:2", "--exit-code").code == 1


def test_diff_of_traces(debloat: CommandLine) -> None:
    for number in "12":
        assert debloat("record", f"shop:{number}", "-q", "--save-trace", f"{number}.trace").code == 0
    connected = debloat.connected
    done = debloat("diff", "1.trace", "2.trace", "--exit-code")
    assert (done.code, done.err) == (1, "")
    assert "  - /usr/lib/shop/old (open by " in done.out
    assert debloat("diff", "1.trace", "1.trace", "--exit-code").code == 0
    uses = debloat("diff", "1.trace", "2.trace", "--json").json["uses"]
    assert {use["path"] for use in uses if use["sign"] == "+"} == {"/usr/lib/libshop.so.1.1"}
    assert debloat.connected == connected


def test_diff_of_unlike_things(debloat: CommandLine, here: Path) -> None:
    assert debloat("record", "shop:1", "-q", "--save-trace", "1.trace").code == 0
    done = debloat("diff", "1.trace", "shop:1")
    assert done.code == 2
    assert "cannot compare a trace with an image or a lock" in done.complaint
    (here / "broken").write_text("debloat-lock\t9\n")
    assert debloat("diff", "broken", "shop:1").code == 2


# ------------------------------------------------------------------------------------------ why


def test_why_opens_each_image_once(debloat: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image of a daemon on debloat's own engine is saved each time that it is opened."""
    names = list[str]()
    actual = Engines.opened

    def opened(self: Engines, reference: str, *, pull: bool = True) -> Any:
        names.append(reference)
        return actual(self, reference, pull=pull)

    monkeypatch.setattr(Engines, "opened", opened)
    assert debloat("shop:1", "-q").code == 0
    original = debloat.engine.names["shop:1"]
    for reference, others in (("shop:1-slim", [original]), ("shop:1", [])):
        names.clear()
        assert debloat("why", reference, "/usr/bin/shop").out.startswith("kept: /usr/bin/shop")
        assert names == [reference, *others]
    debloat.engine.images.pop(original)
    debloat.engine.names["shop:1"] = debloat.engine.names["shop:2"]
    done = debloat("why", "shop:1-slim", "/usr/bin/shop")
    assert "cannot find the image that shop:1-slim was made from: shop:1 is gone, or another now" in done.complaint


# ------------------------------------------------------------------------------------------ explore


def test_explore_needs_a_terminal_and_textual(debloat: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("textual")
    done = debloat("explore", "shop:1")
    assert done.code == 2
    assert "cannot explore: this is no terminal" in done.complaint
    monkeypatch.setitem(sys.modules, "textual.app", None)
    monkeypatch.delitem(sys.modules, "debloat.report.explorer")
    done = debloat("explore", "shop:1")
    assert done.code == 2
    assert 'pip install "debloat[explore]"' in done.complaint
    assert debloat.connected == 0


def test_what_is_explored(debloat: CommandLine) -> None:
    engine = debloat.engine
    engines = Engines(lambda: engine)
    found = explored(engines, "shop:1", None)
    assert found.kept is None
    assert "nothing is remembered of a run on shop:1" in found.note
    assert [layer.created_by for layer in found.layers.layers] == ["ADD rootfs"]
    assert debloat("shop:1", "-q").code == 0
    found = explored(engines, "shop:1", None)
    assert found.stays("/usr/lib/shop/old")
    assert not found.stays("/usr/bin/spare")
    assert found.closure.why("/usr/lib/shop/old")[0][1].rule in ("application", "trace")
    against = explored(engines, "shop:1", "shop:1-slim")
    assert against.title == "shop:1 against shop:1-slim"
    assert against.stays("/usr/bin/shop")
    assert not against.stays("/usr/bin/spare")
    assert against.top.kept_files < against.top.files
    assert not engine.containers


# ------------------------------------------------------------------------------------------ sbom


@pytest.mark.parametrize("form", ["cyclonedx", "spdx"])
def test_sbom(debloat: CommandLine, here: Path, form: str) -> None:
    pytest.importorskip("cyclonedx")
    pytest.importorskip("spdx_tools")
    done = debloat("sbom", "shop:1", "--format", form)
    assert (done.code, done.err) == (0, "")
    assert "libshop1" in json.dumps(done.json)
    silent = debloat("sbom", "shop:1", "--format", form, "--output", "out.json")
    assert (silent.code, silent.out, silent.err) == (0, "", "")
    assert "libshop1" in (here / "out.json").read_text()


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("sbom", "shop:1", "--format", "pdf"), "'pdf' is not one of"),
        (("sbom", "nowhere:1"), "cannot find the image nowhere:1"),
        (("sbom", "shop:1", "--output", "/proc/none/x"), "cannot write /proc/none/x"),
        (("inspect",), "Missing argument 'IMAGE'"),
        (("diff", "shop:1"), "Missing argument 'B'"),
        (("diff", "shop:1", "shop:2", "--files", "-1"), "Invalid value for '--files'"),
    ],
)
def test_bad_input_ends_with_2(debloat: CommandLine, argv: tuple[str, ...], says: str) -> None:
    done = debloat(*argv)
    assert done.code == 2
    assert says in done.complaint


# ------------------------------------------------------------------------------------------ doctor


def test_doctor(debloat: CommandLine) -> None:
    done = debloat("doctor")
    assert (done.code, done.err) == (0, "")
    assert "ok  engine             Fake 1, API 1.41, linux/amd64\n" in done.out
    assert "ok  recording          by notify, else ptrace\n" in done.out
    assert "NO  cap_sys_admin" in done.out
    assert not debloat.engine.containers


def test_doctor_as_json(debloat: CommandLine) -> None:
    found = {each["subject"]: each for each in debloat("doctor", "--json").json}
    assert found["recording"]["seen"] == "by notify, else ptrace"
    assert all(found[subject]["ok"] for subject in ("engine", "sensor", "recording"))


def test_doctor_where_nothing_can_be_recorded(debloat: CommandLine) -> None:
    debloat.engine.doctor = b"notify no\nptrace no\n"
    done = debloat("doctor")
    assert done.code == 3
    assert "NO  recording" in done.out
    assert done.err.startswith("debloat: something that every run needs does not work here\n  hint: ")


def test_doctor_without_an_engine(debloat: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> FakeEngine:
        raise EngineUnavailable("cannot reach it", "start it")

    monkeypatch.setattr(debloat, "_connect", refuse)
    done = debloat("doctor")
    assert done.code == 3
    assert "NO  engine             cannot reach it\n    start it\n" in done.out
    assert json.loads(debloat("doctor", "--json").out)[1]["ok"] is False


# ------------------------------------------------------------------------------------------ gc


def of_a_dead_process() -> str:
    code = "from debloat.engine.run_id import new_run; print(new_run())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_gc_takes_what_dead_runs_left(lines: Lines, tmp_path: Path) -> None:
    engine = shop()
    debloat = lines(engine)
    dead = of_a_dead_process()
    left = engine.create(ContainerSpec("shop:1", dead))
    mine = engine.create(ContainerSpec("shop:1", new_run()))
    scratch = tmp_path / "scratch" / f"debloat-{dead}-word"
    scratch.mkdir()
    listed = debloat("gc", "--dry-run")
    assert listed.code == 0
    assert listed.out == f"container {left[:12]} of run {dead} ({left})\ndirectory word of run {dead} ({scratch})\n"
    assert "2 leftovers found" in listed.err
    assert set(engine.containers) == {left, mine}
    done = debloat("gc")
    assert (done.code, done.out) == (0, listed.out)
    assert "2 leftovers removed" in done.err
    assert "1 thing under way: not touched" in done.err
    assert set(engine.containers) == {mine}
    assert not scratch.exists()
    assert debloat("gc").out == ""


def test_gc_says_what_it_could_not_remove(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, dead = shop(), of_a_dead_process()
    stays, goes = (engine.create(ContainerSpec("shop:1", dead)) for _ in range(2))
    remove = engine.remove
    monkeypatch.setattr(engine, "remove", lambda container: None if container == stays else remove(container))
    done = lines(engine)("gc")
    assert done.code == 3
    assert set(engine.containers) == {stays}
    assert goes[:12] in done.out
    assert "1 leftover removed\n" in done.err
    assert f"cannot remove {stays}: still there" in done.err


def test_gc_without_an_engine(debloat: CommandLine) -> None:
    debloat.engine.fail_on["leftovers"] = EngineUnavailable("cannot reach it")
    assert debloat("gc", "--nonesuch").code == 2
