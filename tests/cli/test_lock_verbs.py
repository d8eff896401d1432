"""`debloat apply`, `debloat check` and `debloat hook`: what a lock is for."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cli import BAKERY, CommandLine, shop, shows_what_is_gone
from tests.support.engine import FakeEngine

Lines = Callable[[FakeEngine], CommandLine]


@pytest.fixture
def locked(debloat: CommandLine, here: Path) -> CommandLine:
    """A command line after `debloat lock shop:1`."""
    (here / "debloat.toml").write_text('level = "exact"\n')
    assert debloat("lock", "shop:1", "-q").code == 0
    return debloat


# ------------------------------------------------------------------------------------------ apply


def test_apply_to_the_same_image(locked: CommandLine) -> None:
    before = locked.engine.names.pop("shop:1-slim")
    done = locked("apply", "shop:1")
    assert (done.code, done.out) == (0, "shop:1-slim\n")
    assert "the same files as in the lock" in done.err
    assert locked.engine.names["shop:1-slim"] == before


def test_apply_to_a_newer_build(locked: CommandLine, here: Path) -> None:
    before = (here / "debloat.lock").read_text()
    done = locked("apply", "shop:2", "--json", "applied.json", "--output", "image.tar")
    assert (done.code, done.out) == (0, "shop:2-slim\n")
    assert "moved  /usr/lib/libshop.so.1.0 -> /usr/lib/libshop.so.1.1" in done.err
    assert "gone   /usr/lib/shop/old of libshop1" in done.err
    document = json.loads((here / "applied.json").read_text())
    assert (document["format"], document["result"], document["identical"]) == ("debloat-apply", "shop:2-slim", False)
    assert (here / "image.tar").stat().st_size > 0
    assert (here / "debloat.lock").read_text() == before
    assert locked("apply", "shop:2", "-q", "--json", "-").json == document
    quiet = locked("apply", "shop:2", "-q", "-t", "small:2", "--update-lock")
    assert (quiet.out, quiet.err) == ("small:2\n", "")
    assert (here / "debloat.lock").read_text() != before


@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--output", "image.tar"), ("--verify", "--force")])
def test_the_lock_of_another_application_is_refused(lines: Lines, here: Path, more: tuple[str, ...]) -> None:
    locked = lines(shop(more=BAKERY))
    assert locked("lock", "shop:1", "-q").code == 0
    before = dict(locked.engine.names)
    done = locked("apply", "bakery:1", *more)
    assert done.code == 2
    assert "cannot apply the lock of shop:1 to bakery:1: that is another application" in done.complaint
    assert "`debloat lock bakery:1`" in done.complaint
    assert locked.engine.names == before
    assert not (here / "image.tar").exists()


def test_the_gate_tells_what_the_image_of_another_application_lacks(lines: Lines) -> None:
    locked = lines(shop(more=BAKERY))
    assert locked("lock", "shop:1", "-q").code == 0
    done = locked("check", "bakery:1")
    assert done.code == 1
    assert "drift-missing" in done.out


def test_apply_with_proof(locked: CommandLine, lines: Lines) -> None:
    done = locked("apply", "shop:2", "--verify")
    assert (done.code, done.out) == (0, "shop:2-slim\n")
    assert "probe  run CMD: same" in done.err
    differs = lines(shop(shows_what_is_gone))
    failed = differs("apply", "shop:2", "--verify")
    assert failed.code == 5
    assert "does not answer as the new build does" in failed.complaint
    assert "shop:2-slim" not in differs.engine.names


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("apply", "shop:2", "--lock", "none.lock"), "cannot read the lock none.lock"),
        (("apply", "nowhere:1"), "cannot find the image nowhere:1"),
        (("apply", "shop:2", "-t", "shop:2"), "that is the original's name"),
        (("apply", "shop:2", "--verify", "-c", "none.toml"), "cannot read none.toml"),
        (("apply",), "Missing argument 'IMAGE'"),
        (("check", "--lock", "none.lock"), "cannot read the lock none.lock"),
        (("check", "--format", "pdf"), "'pdf' is not a format"),
        (("check", "--fail-on", "never"), "'never' is not one of"),
        (("check", "--baseline", "none.json"), "cannot read the baseline none.json"),
        (("check", "--dockerfile", "none"), "cannot read none"),
        (("check", "-c", "none.toml"), "cannot read none.toml"),
        (("hook", "nonsense"), "No such command"),
    ],
)
def test_bad_input_ends_with_2(locked: CommandLine, argv: tuple[str, ...], says: str) -> None:
    done = locked(*argv)
    assert done.code == 2
    assert says in done.complaint


def test_a_lock_that_was_edited(locked: CommandLine, here: Path) -> None:
    lock = here / "debloat.lock"
    lock.write_text(lock.read_text().replace("/usr/bin/shop", "/usr/bin/shap"))
    done = locked("apply", "shop:1")
    assert done.code == 2
    assert "debloat.lock" in done.complaint


# ------------------------------------------------------------------------------------------ check


def test_what_was_locked_passes(locked: CommandLine) -> None:
    for image in ((), ("shop:1",), ("shop:1-slim",)):
        done = locked("check", *image)
        assert done.code == 0, done.out
        assert f"{(*image, 'shop:1')[0]} passes" in done.out


def test_what_is_gone_fails(locked: CommandLine, here: Path) -> None:
    done = locked("check", "shop:2")
    assert done.code == 1
    assert "drift-missing: " in done.out
    assert "debloat: shop:2 does not pass:\n  drift-missing: " in done.err
    lenient = locked("check", "shop:2", "--no-fail", "--format", "json", "--output", "old.json")
    assert (lenient.code, lenient.out) == (0, "")
    assert locked("check", "shop:2", "--baseline", "old.json").code == 0
    assert json.loads((here / "old.json").read_text())["passed"] is False


def test_rules_without_a_lock(debloat: CommandLine, here: Path) -> None:
    (here / "debloat.toml").write_text('[policy]\nno_shell = true\nforbid = ["/usr/bin/spare"]\n')
    done = debloat("check", "shop:1", "-q")
    assert done.code == 1
    assert "policy-no-shell" in done.out
    assert "policy-forbid" in done.out
    (here / "debloat.toml").write_text("[policy]\nno_package_manager = true\n")
    assert debloat("check", "shop:1").code == 0


def test_probes_are_asked_too(locked: CommandLine) -> None:
    assert locked("check", "shop:1-slim", "--probe", "--as-is").code == 0
    del locked.engine.names["shop:1-slim"]
    assert locked("check", "shop:1", "--probe").code == 0


def test_formats_go_where_they_are_sent(locked: CommandLine, here: Path) -> None:
    done = locked("check", "--format", "json", "--format", "sarif=s.sarif")
    assert done.json["format"] == "debloat-gate"
    assert "passes" in done.err
    assert json.loads((here / "s.sarif").read_text())["version"] == "2.1.0"


def test_with_nothing_to_check_against(debloat: CommandLine) -> None:
    assert "there is nothing to check against" in debloat("check", "shop:1").complaint
    assert "there is no image to check" in debloat("check").complaint


# ------------------------------------------------------------------------------------------ hook


@pytest.fixture
def repository(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    subprocess.run(["git", "init", "-q"], cwd=here, check=True)
    return here


def test_the_hook_lets_pass_what_passes(locked: CommandLine, repository: Path) -> None:
    assert locked("hook", "install").code == 0
    assert (repository / ".git/hooks/pre-push").exists()
    done = locked("hook", "run")
    assert (done.code, done.err) == (0, "")
    assert "shop:1 passes" in done.out


def test_the_hook_refuses_what_fails(locked: CommandLine, repository: Path) -> None:
    done = locked("hook", "run", "shop:2")
    assert done.code == 1
    assert "shop:2 does not pass" in done.err
    wrong = locked("hook", "run", "nowhere:1")
    assert wrong.code == 2
    assert "`git push --no-verify` skips the check" in wrong.complaint


def test_the_hook_without_an_image_or_a_repository(debloat: CommandLine, repository: Path) -> None:
    assert "there is no image to check before the push" in debloat("hook", "run").complaint
    subprocess.run(["rm", "-r", ".git"], cwd=repository, check=True)
    assert debloat("hook", "run", "shop:1").code == 2
    assert debloat("hook", "install").code == 2
