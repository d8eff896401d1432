"""`debloat run`: a test suite of the user's, and a session by hand, on a real engine."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

from tests.integration.harness import Place, in_base, saved
from tests.integration.programs import WEB, WEB_FILES
from tests.integration.test_signals import running
from tests.support.snippets import ROOT

pytestmark = pytest.mark.engine

SUITE = """
import urllib.request

def test_shows_the_page(debloat_container):
    urllib.request.urlopen(debloat_container.url + "/other")

def test_posts(debloat_container):
    urllib.request.urlopen(debloat_container.url + "/there", data=b"x")
"""


@pytest.fixture
def web(place: Place) -> str:
    return place.build(in_base(WEB), WEB_FILES)


def pytest_words(name: str) -> tuple[str, ...]:
    return ("--", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", name)


def test_what_their_tests_use_is_kept_and_known_by_test(place: Place, web: str) -> None:
    (place.here / "test_shop.py").write_text(SUITE)
    done = place.debloat("run", web, "--level", "exact", "--json", "report.json", *pytest_words("test_shop.py"))
    assert done.code == 0, done.err
    assert {"/srv/page_other", "/srv/page_there", "/srv/post-encoded"} <= set(saved(f"{web}-slim"))
    assert "/srv/page_" not in saved(f"{web}-slim")
    answers = json.loads((place.here / "report.json").read_text())["answers"]
    assert [a["before"]["outcome"] for a in answers if a["probe"].startswith("test ")] == ["exit code 0"]
    why = place.debloat("why", web, "/srv/page_there")
    assert "because of probe:test test_shop.py::test_posts" in why.out


def test_a_session_by_hand(place: Place, web: str) -> None:
    """It needs no probe: what somebody did is kept, and the run goes on."""
    with running(place, "run", web, "--pause", "--level", "exact") as run:
        run.says("Ctrl-C ends the session")
        port = re.search(r"80/tcp at 127\.0\.0\.1:(\d+)", run.said)
        assert port is not None
        urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/other").close()
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 0, run.said
    assert "/srv/page_other" in saved(f"{web}-slim")
    assert "by hand" in place.debloat("why", web, "/srv/page_other").out


def test_a_second_interrupt_calls_the_run_off(place: Place, web: str) -> None:
    with running(place, "record", web, "--pause", "--save-trace", "t") as run:
        run.says("Ctrl-C ends the session")
        run.process.send_signal(signal.SIGINT)
        run.says("the session has ended")
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 130, run.said


def test_the_recipe_for_testcontainers(place: Place, web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The snippet of docs/traces.md, without debloat and under it."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "traces.md").read_text(), re.DOTALL)
    (snippet,) = (text for text in blocks if "testcontainers" in text)
    (place.here / "test_shop.py").write_text(snippet.replace("shop:1", web).replace('"/health"', '"/other"'))
    monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
    subprocess.run(pytest_words("test_shop.py")[1:], cwd=place.here, check=True, timeout=60)
    done = place.debloat("run", web, "--level", "exact", *pytest_words("test_shop.py"))
    assert done.code == 0, done.err
    assert "/srv/page_other" in saved(f"{web}-slim")
