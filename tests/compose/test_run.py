"""`debloat compose` from its words to its exit code, over a fake engine and a Compose that starts things on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from debloat import sensor
from debloat.compose import command
from debloat.compose.command import Answer
from debloat.core.errors import Interrupted
from debloat.image.rootfs import Rootfs
from debloat.record import trace
from tests.support.cli import CommandLine, fails, sells, shop, shows_what_is_gone
from tests.support.compose import FakeCompose
from tests.support.engine import Behaviour, Program

STACK = """
services:
  counter: {image: "shop:1", depends_on: [next]}
  worker: {image: "shop:1", entrypoint: [/usr/bin/shop, --work]}
  next: {image: "shop:2"}
"""

Stacked = Callable[..., CommandLine]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("here", "scratch"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    monkeypatch.setattr(sensor, "binary", lambda architecture: b"sensor")
    return tmp_path / "here"


@pytest.fixture
def stacked(here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Stacked:
    """A command line whose Compose has the stack, and fails as is said."""

    def make(program: Program = sells, printed: str = STACK, **fails: Answer | BaseException) -> CommandLine:
        engine = shop(program)
        words = {f"--{word.replace('_', '-')}" if word != "build" else word: answer for word, answer in fails.items()}
        compose = FakeCompose(("docker", "compose"), "2.26", engine=engine, printed=printed, fails=words)
        monkeypatch.setattr(command, "find", lambda info: compose)
        return CommandLine(capsys, engine)

    return make


def test_the_references_are_printed_and_the_images_tagged(stacked: Stacked) -> None:
    debloat = stacked()
    done = debloat("compose", "counter", "next", "--level", "exact")
    assert (done.code, done.out) == (0, "shop:2-slim\nshop:1-slim\n")
    for name in ("shop:1-slim", "shop:2-slim"):
        rootfs, _ = debloat.engine.images[debloat.engine.names[name]]
        assert "/usr/share/shop/catalogue" in rootfs
        assert "/usr/bin/spare" not in rootfs


def test_services_of_one_image_get_one_that_has_what_each_of_them_touches(stacked: Stacked) -> None:
    def works(rootfs: Rootfs, argv: tuple[str, ...]) -> Behaviour:
        path = "/usr/bin/spare" if "--work" in argv else "/usr/bin/dash"
        return Behaviour((("open", "r", path),), rootfs.read(path) if path in rootfs else b"")

    debloat = stacked(works)
    done = debloat("compose", "counter", "worker", "--level", "exact", "--json", "{service}.json")
    assert (done.code, done.out) == (0, "shop:1-slim\n")
    rootfs, _ = debloat.engine.images[debloat.engine.names["shop:1-slim"]]
    assert {"/usr/bin/spare", "/usr/bin/dash"} <= set(rootfs)
    report = json.loads(Path("counter.json").read_text())
    assert {answer["scenario"] for answer in report["answers"]} == {"counter", "worker"}


def test_what_is_touched_before_the_first_probe_names_its_service(stacked: Stacked) -> None:
    """Two services of one image: its trace says which of them began with what."""

    def works(rootfs: Rootfs, argv: tuple[str, ...]) -> Behaviour:
        return Behaviour((("open", "r", "/usr/bin/spare" if "--work" in argv else "/usr/bin/dash"),), b"")

    debloat = stacked(works)
    assert debloat("compose", "counter", "worker", "--level", "exact", "--save-trace", "{service}.trace").code == 0
    accesses = trace.parse(Path("counter.trace").read_bytes(), "counter.trace").accesses
    began = {access.path: access.probe for access in accesses if "start" in access.probe}
    assert began["/usr/bin/spare"] == "worker: start of worker"
    assert began["/usr/bin/dash"] == "counter: start of counter"


def test_what_a_replay_misses_is_healed_in_the_image_that_lacks_it(stacked: Stacked) -> None:
    """The first run is recorded; later ones want a further file."""
    runs: list[str] = []

    def restless(rootfs: Rootfs, argv: tuple[str, ...]) -> Behaviour:
        runs.append("run")
        wanted = ("/usr/share/shop/catalogue", "/usr/bin/dash")[: len(runs)]
        uses = tuple(("open", "r", path) for path in wanted)
        return Behaviour(uses, b"sold" if all(path in rootfs for path in wanted) else b"", b"", 0)

    debloat = stacked(restless, 'services: {next: {image: "shop:2"}}')
    done = debloat("compose", "next", "--level", "exact", "--json", "-")
    assert (done.code, done.json["result"]) == (0, "shop:2-slim")
    rootfs, _ = debloat.engine.images[debloat.engine.names["shop:2-slim"]]
    assert "/usr/bin/dash" in rootfs
    assert "healed" in done.err


def test_an_original_that_fails_its_own_probes(stacked: Stacked) -> None:
    done = stacked(fails)("compose", "next")
    assert done.code == 4
    assert "next: run CMD: exit code 3: no database" in done.complaint


@pytest.mark.parametrize(("more", "tagged"), [((), False), (("--force",), True)])
def test_a_stack_that_answers_differently_is_not_tagged(stacked: Stacked, more: tuple[str, ...], tagged: bool) -> None:
    debloat = stacked(shows_what_is_gone)
    done = debloat("compose", "counter", "next", "--level", "exact", *more)
    assert done.code == 5
    assert "with the minimal images the stack does not answer as it did" in done.complaint
    assert ("shop:1-slim" in debloat.engine.names) is tagged


def test_without_a_replay(stacked: Stacked) -> None:
    debloat = stacked(shows_what_is_gone)
    assert debloat("compose", "next", "--level", "exact", "--no-verify").code == 0


UNHEALTHY = Answer(
    1,
    "",
    'ERROR: for counter  Container "000000000001" is unhealthy.\nEncountered errors while bringing up the project.\n',
)


@pytest.mark.parametrize(
    ("answer", "code", "why"),
    [
        ({"detach": UNHEALTHY}, 4, "the stack does not start: for counter Container"),
        ({"detach": Answer(None, "", "")}, 4, "a service that others wait for is not ready after 180 s"),
        ({"no_start": Answer(1, "", "Error: pull access denied\n")}, 3, "cannot create the stack: pull access denied"),
        ({"detach": Interrupted("interrupted by SIGINT")}, 130, "interrupted by SIGINT"),
    ],
)
def test_a_stack_that_does_not_start_leaves_nothing(
    stacked: Stacked, answer: dict[str, Answer | BaseException], code: int, why: str
) -> None:
    debloat = stacked(**answer)
    done = debloat("compose", "counter")
    assert done.code == code
    assert why in done.complaint
    assert not debloat.engine.containers


def test_what_is_built_is_built_first_and_named_like_the_users_own(stacked: Stacked, here: Path) -> None:
    printed = 'name: shop\nservices: {"1": {build: {context: /srv}}}'
    debloat = stacked(printed=printed)
    debloat.engine.names["shop-1"] = debloat.engine.names["shop:1"]
    assert debloat("compose", "1", "--level", "exact").code == 0
    assert "shop-1:latest-slim" in debloat.engine.names
    failed = stacked(printed=printed, build=Answer(1, "step 1\n", "no such file\n"))("compose", "1")
    assert failed.code == 2
    assert "no such file" in failed.complaint


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (("nobody",), "no service 'nobody'"),
        (("counter", "next", "--lock", "x.lock"), "would be written once for each service"),
        (("counter", "--json", "/dev/null/x"), "cannot write"),
        (("counter", "-f", "nowhere.yaml"), "there is no such file"),
        ((), "SERVICE"),
    ],
)
def test_words_that_cannot_be_used(stacked: Stacked, argv: tuple[str, ...], why: str) -> None:
    done = stacked()("compose", *argv)
    assert done.code == 2
    assert why in done.err


def test_a_service_made_of_nothing(stacked: Stacked) -> None:
    done = stacked(printed="services: {a: {command: x}}")("compose", "a")
    assert done.code == 2
    assert "service a has neither image nor build" in done.complaint


@pytest.mark.parametrize("how", ["lock", "html", "save_trace"])
def test_outputs_of_each_service(stacked: Stacked, how: str) -> None:
    flag = f"--{how.replace('_', '-')}"
    assert stacked()("compose", "counter", "next", "--level", "exact", flag, "{service}.out").code == 0
    assert Path("counter.out").stat().st_size
    assert Path("next.out").stat().st_size


def test_a_name_that_the_result_cannot_have_is_said_before_the_stack_starts(stacked: Stacked) -> None:
    debloat = stacked(printed=f'services: {{counter: {{image: "shop:{"a" * 124}"}}}}')
    debloat.engine.names[f"shop:{'a' * 124}"] = debloat.engine.names["shop:1"]
    done = debloat("compose", "counter")
    assert done.code == 2
    assert "no image can be called so" in done.complaint
    assert "create" not in debloat.engine.calls


def test_files_of_services_are_read_before_anything_is_built(stacked: Stacked, here: Path) -> None:
    (here / "broken.har").write_text("{")
    (here / "context").mkdir()
    debloat = stacked(
        printed="services: {web: {build: {context: context}, x-debloat: {har: [broken.har]}}}",
        build=Interrupted("it was built"),
    )
    done = debloat("compose", "web")
    assert done.code == 2
    assert "broken.har" in done.complaint
