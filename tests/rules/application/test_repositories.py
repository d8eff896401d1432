"""Version control data of the application, where the program that reads it is kept."""

from __future__ import annotations

from debloat.core.model import Level
from debloat.rules.application import repositories
from debloat.rules.application import survey as application
from tests.support import trees

IMAGE: trees.Table = {
    "/usr/bin/git": ("0755", "x"),
    "/usr/bin/hg": ("0755", "x"),
    "/app/notes/tides.md": "x",
    "/app/notes/.git/HEAD": "ref: refs/heads/main",
    "/app/notes/.git/refs/heads/": "",
    "/app/notes/.git/hooks/pre-push": "x",
    "/app/notes/.git/hooks/fsmonitor-watchman.sample": "x",
    "/app/.gitmodules": "x",
    "/app/wiki/.hg/store": "x",
    "/usr/src/tool/.git/HEAD": "x",
    "/usr/src/tool/tool.c": "x",
    "/root/.git/HEAD": "x",
}
OWNED = {"git": ["/usr/bin/git"], "mercurial": ["/usr/bin/hg"]}


def _kept(*seeds: str, level: Level = Level.SAFE) -> list[str]:
    world = trees.world(IMAGE, owned=OWNED, history=("COPY app /app # buildkit",), level=level)
    rules = (*application.RULES, *repositories.RULES)
    return [p for p in trees.paths(trees.closed(world, rules, *seeds)) if "/." in p]


def test_repositories_of_the_application_stay_with_their_program() -> None:
    notes = [f"/app/notes/.git{rest}" for rest in ("", "/HEAD", "/hooks", "/hooks/pre-push", "/refs", "/refs/heads")]
    assert _kept("/usr/bin/git") == ["/app/.gitmodules", *notes]
    assert _kept("/usr/bin/hg") == ["/app/wiki/.hg", "/app/wiki/.hg/store"]


def test_they_are_leftovers_without_it() -> None:
    assert _kept() == []
    assert _kept("/usr/bin/git", level=Level.EXACT) == []
