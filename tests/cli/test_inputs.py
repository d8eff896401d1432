"""What is given in files is read before anything is started, whichever verb it is given to."""

from __future__ import annotations

from pathlib import Path

import pytest

from debloat.cli import build as building
from debloat.record import concrete
from debloat.record.protocols import table
from tests.support.cli import CommandLine

FILES = {
    "broken.har": "{",
    "empty.har": '{"log": {"entries": []}}',
    "openapi.json": '{"openapi": "3.0.0"',
    "openapi.yaml": "openapi: 3.0.0\npaths: {/: {get: [}}\n",
    "broken.trace": "debloat-trace\t99\n",
    "broken.toml": "http = [",
    "har.toml": 'har = ["broken.har"]\n',
    "scenario.toml": '[[scenario]]\nname = "two"\nopenapi = "openapi.json"\n',
    "report.json": "[]",
    "old.lock": "debloat-lock\t1\n",
    "fleet.toml": '[[entry]]\nimage = "shop:1"\nrecipe = "har.toml"\n',
    "compose.yaml": "services: {}",
}
BROKEN = (
    ("--har", "broken.har"),
    ("--har", "empty.har"),
    ("--openapi", "openapi.json"),
    ("--openapi", "openapi.yaml"),
    ("-c", "broken.toml"),
    ("-c", "har.toml"),
    ("-c", "scenario.toml"),
    ("-v", "data"),
)
OF_A_RUN = (
    *(("--trace", "broken.trace"), ("--scan", "report.json")),
    *(("--html", "page.html", "--earlier", "old.lock"), ("--html", "page.html", "--earlier", "none.lock")),
)


@pytest.fixture
def quick(debloat: CommandLine, here: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """A command line with broken files, which has to end before the engine starts anything."""
    assert debloat("lock", "shop:1", "-q").code == 0
    debloat.engine.calls.clear()
    for name, text in FILES.items():
        (here / name).write_text(text)
    (here / "context").mkdir()

    def build(*given: object) -> None:
        raise AssertionError("it was built")

    monkeypatch.setattr(building, "_build", build)
    monkeypatch.setattr(building, "builder_of", lambda info: building.Builder(("docker",)))
    monkeypatch.setattr(building, "_loading", lambda builder: ())
    return debloat


def refused(debloat: CommandLine, *argv: str) -> str:
    done = debloat(*argv)
    assert done.code == 2
    assert "create" not in debloat.engine.calls
    assert "hint: " in done.complaint
    return done.complaint


@pytest.mark.parametrize("given", [*BROKEN, *OF_A_RUN], ids=" ".join)
@pytest.mark.parametrize("verb", [("shop:1",), ("lock", "shop:1"), ("build", "context")], ids=" ".join)
def test_the_main_job(quick: CommandLine, verb: tuple[str, ...], given: tuple[str, ...]) -> None:
    refused(quick, *verb, *given)


@pytest.mark.parametrize("given", BROKEN, ids=" ".join)
def test_recording(quick: CommandLine, given: tuple[str, ...]) -> None:
    refused(quick, "record", "shop:1", "--save-trace", "new.trace", *given)


@pytest.mark.parametrize("configuration", ["broken.toml", "har.toml", "scenario.toml"])
@pytest.mark.parametrize("verb", [("apply", "shop:2", "--verify"), ("check", "shop:2", "--probe")], ids=" ".join)
def test_a_proof(quick: CommandLine, verb: tuple[str, ...], configuration: str) -> None:
    refused(quick, *verb, "-c", configuration)


@pytest.mark.parametrize(
    "argv",
    [
        ("diff", "shop:1", "broken.trace"),
        ("diff", "shop:1", "old.lock"),
        ("why", "shop:1", "/usr/bin/shop", "--trace", "broken.trace"),
        ("vex", "shop:1", "--report", "report.json"),
        ("check", "shop:1", "--baseline", "report.json"),
        ("fleet", "run"),
    ],
    ids=" ".join,
)
def test_other_verbs(quick: CommandLine, argv: tuple[str, ...]) -> None:
    refused(quick, *argv)


def test_a_trace_is_no_image(quick: CommandLine) -> None:
    assert quick("shop:1", "-q", "--save-trace", "a.trace").code == 0
    quick.engine.calls.clear()
    assert "cannot compare a trace with an image" in refused(quick, "diff", "shop:1", "a.trace")


def test_a_library_that_is_missing(quick: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "available", lambda probe: False)
    assert "client library is not installed" in refused(quick, "shop:1", "--probe", "redis://")
    monkeypatch.setattr(concrete, "_LIBRARIES", (("grpc", "nonesuch", "grpc"),))
    Path("debloat.toml").write_text("grpc = true\n")
    assert 'pip install "debloat[grpc]"' in refused(quick, "shop:1")
