"""What a history says, whoever wrote it: instructions, the places they name, what RUN lines asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.core.model import ImageConfig
from debloat.rules.application.build import Build, runs
from debloat.rules.application.dockerfile import Destination, destinations, instructions
from debloat.rules.application.survey import application
from tests.support.dpkgdb import debian_world
from tests.support.trees import Table

DATA = Path(__file__).parents[2] / "data/histories"
BUILDS = sorted(path for path in DATA.glob("*/*.json") if path.name != "expected.json")
IDS = [f"{path.parent.name}-{path.stem}" for path in BUILDS]


def expected(path: Path) -> Any:
    return json.loads((path.parent / "expected.json").read_text())


def history(path: Path) -> list[str]:
    return list(json.loads(path.read_text()))


@pytest.mark.parametrize("path", BUILDS, ids=IDS)
def test_whoever_built_it_the_history_says_the_same(path: Path) -> None:
    wanted = expected(path)
    lost = set(wanted["lost"].get(path.stem, ()))
    steps = instructions(history(path))
    build = Build(steps, destinations(steps, lambda place: place != "/usr/src/shop/notes"), runs(steps))
    assert [str(place) for place in build.destinations] == wanted["destinations"]
    for manager, names in wanted["asked"].items():
        assert list(build.asked(manager)) == sorted(set(names) - lost), manager
    assert list(build.removed("apt")) == wanted["removed"]
    programs = {vector[0].rpartition("/")[2] for run in build.runs for vector in run.commands}
    assert sorted(programs) == sorted(set(wanted["ran"]) - lost)


SHOP: Table = {
    "/usr/lib/os-release": "ID=debian",
    "/opt/bundle/app.py": "x",
    "/opt/one": "x",
    "/opt/tools/app.py": "x",
    "/usr/local/bin/start.sh": "x",
    # Below /usr/src lie sources of builds, unless an instruction says something else.
    "/usr/src/my notes/with space.txt": "x",
    "/usr/src/app/app.py": "x",
    "/usr/src/app/settings.ini": "x",
    "/usr/src/app/static/x.css": "x",
    "/usr/src/shop/app.py": "x",
    "/usr/src/shop/conf/settings.ini": "x",
    "/usr/src/shop/data/data.csv": "x",
    "/usr/src/shop/static/x.css": "x",
    "/usr/src/tool-1.0/main.c": "x",
    "/srv/elsewhere": "x",
}


@pytest.mark.parametrize("case", sorted({path.parent.name for path in BUILDS}))
def test_whoever_built_it_the_same_application_is_recognised(case: str) -> None:
    """Each of its paths for the same reason, and what only an instruction makes part of it."""
    found = {}
    for path in (path for path in BUILDS if path.parent.name == case):
        config = {"WorkingDir": "/usr/src/shop/data" if case == "common" else "/usr/src/app"}
        world = debian_world(SHOP, {"base-files": ["/usr/lib/os-release"]}, history=history(path), config=config)
        found[path.stem] = dict(application(world))
        assert found[path.stem]["/srv/elsewhere"].startswith("unowned")
        assert "/usr/src/tool-1.0/main.c" not in found[path.stem]
    assert len({json.dumps(reasons, sort_keys=True) for reasons in found.values()}) == 1
    reasons = next(iter(found.values()))
    assert {why for why in reasons.values() if not why.startswith("unowned")} == {
        place for place in expected(DATA / case / "x")["destinations"] if not place.startswith("WORKDIR")
    }


@pytest.mark.parametrize(
    ("text", "keyword", "rest"),
    [
        ("/bin/sh -c #(nop) COPY dir:0123456789abcdef0123 in /app ", "COPY", "dir:0123456789abcdef0123 in /app"),
        ("/bin/bash -o pipefail -c #(nop)  USER me", "USER", "me"),
        ("|1 A=b c /bin/bash -o pipefail -c #(nop) COPY file:0123456789abcdef0123 in /x", "COPY", None),
        ("RUN /bin/bash -o pipefail -c make -j # buildkit", "RUN", "make -j"),
        ("RUN |2 A=b c D= /bin/bash -o pipefail -c make -j # buildkit", "RUN", "make -j"),
        ("|2 A=b c D= /bin/sh -c make -j", "RUN", "make -j"),
        ("|1 A=b /bin/sh -c bash -c 'make'", "RUN", "bash -c 'make'"),
        ("|1 A=known words apt-get install x", "RUN", "apt-get install x"),
        ("|2 B=1 A=known words apt-get install x", "RUN", "apt-get install x"),
        ("RUN |1 C=d apt-get install x # buildkit", "RUN", "apt-get install x"),
        ("|1 C=d apt-get install x", "RUN", "apt-get install x"),
        ("apt-get install x", "RUN", "apt-get install x"),
        ("/bin/zsh -e -c apt-get install x", "RUN", "apt-get install x"),
        ('/bin/sh -c ["apt-get", "install", "a b"]', "RUN", "apt-get install 'a b'"),
        ("/bin/sh -c --mount=type=cache,target=/x --network=none make", "RUN", "make"),
        ("RUN /bin/sh -c <<EOF bash -e\nmake\nEOF # buildkit", "RUN", "bash -e <<EOF\nmake\nEOF"),
        ("RUN /bin/sh -c make\n # buildkit", "RUN", "make"),
        ("RUN make # kaniko", "RUN", "make # kaniko"),
        # What a shell says is no instruction.
        ("/bin/sh -c echo #(nop) COPY file:0123456789abcdef0123 in /x", "RUN", None),
        ("/bin/sh -c COPY a /b", "RUN", "COPY a /b"),
        ("#(nop) x", "RUN", None),
        ("/bin/sh -c #(nop)  ONBUILD COPY . /later", "ONBUILD", "COPY . /later"),
    ],
)
def test_an_instruction_is_read_without_what_its_builder_put_around_it(
    text: str, keyword: str, rest: str | None
) -> None:
    *_, last = instructions(["SHELL [/bin/bash -o pipefail -c]", "ARG A=known words", text])
    assert (last.keyword, last.text if rest is not None else None) == (keyword, rest)


def test_a_shell_that_the_history_lost_is_the_configuration_s() -> None:
    config = ImageConfig({"Shell": ["/busybox/sh", "-eu", "-c"], "Env": ["TOOL=jq"]})
    found = instructions(["/busybox/sh -eu -c #(nop) WORKDIR /$TOOL", "/busybox/sh -eu -c make"], config)
    assert [(step.keyword, step.text) for step in found] == [("WORKDIR", "/$TOOL"), ("RUN", "make")]
    assert [str(place) for place in destinations(found)] == ["WORKDIR /jq"]


@pytest.mark.parametrize(
    ("row", "name", "value"),
    [
        ("ENV A=b C=d e F=g", "C", "d e"),
        ("/bin/sh -c #(nop)  ENV A=-Dx=y -Dz=1 B=2", "A", "-Dx=y -Dz=1"),
        ('/bin/sh -c #(nop) ENV A="b c" D=e', "A", "b c"),
        ("/bin/sh -c #(nop) ENV A b c", "A", "b c"),
        ("ARG A", "A", None),
        ("ARG A=b", "A", "b"),
        ("|1 A=b c /bin/sh -c x", "A", "b c"),
        ("RUN |2 A=b B=c make # buildkit", "A", "b"),
    ],
)
def test_variables_have_the_values_that_the_history_tells(row: str, name: str, value: str | None) -> None:
    (step,) = instructions([row])
    assert dict(step.variables).get(name) == value


@pytest.mark.parametrize(
    ("history", "place"),
    [
        ("/bin/sh -c #(nop) COPY dir:0123456789abcdef0123 in /app ", Destination("COPY", "/app")),
        ("/bin/sh -c #(nop) COPY multi:0123456789abcdef0123 in /srv/ ", Destination("COPY", "/srv", (), True)),
        ("/bin/sh -c #(nop) ADD file:0123456789abcdef0123 in /etc/a b.conf ", Destination("ADD", "/etc/a b.conf")),
        ("/bin/sh -c #(nop) ADD 0123456789abcdef0123 in /opt/ ", Destination("ADD", "/opt", (), True)),
        ("COPY . /app # buildkit", Destination("COPY", "/app")),
        (
            "COPY --chown=1:1 --link a/x.py b.py /app/ # buildkit",
            Destination("COPY", "/app", ("a/x.py", "b.py", "x.py"), True),
        ),
        ("COPY ../x/y.py /app # buildkit", Destination("COPY", "/app", ("y.py",))),
        ("COPY src/./a/b.py /app # buildkit", Destination("COPY", "/app", ("a/b.py", "b.py"))),
        ('COPY ["a b", "/d d/"] # buildkit', Destination("COPY", "/d d", ("a b",), True)),
        ("ADD https://example.org/a/b.tar?x=/c /opt/ # buildkit", None),
        ("COPY <<start.sh /bin/ # buildkit", Destination("COPY", "/bin", ("start.sh",), True)),
        ("WORKDIR /app/", Destination("WORKDIR", "/app", (), True)),
        ("/bin/sh -c #(nop) WORKDIR /app", Destination("WORKDIR", "/app", (), True)),
        ("/bin/sh -c #(nop) WORKDIR ${HOME:-/srv}/x", Destination("WORKDIR", "/srv/x", (), True)),
        ("COPY a ${UNKNOWN}/b # buildkit", Destination("COPY", "/${UNKNOWN}/b", ("a",))),
    ],
)
def test_the_places_that_instructions_name(history: str, place: Destination | None) -> None:
    place = place or Destination("ADD", "/opt", ("a/b.tar", "b.tar"), True)
    assert destinations(instructions([history])) == (place,)


def test_relative_destinations_follow_workdir_and_the_root_says_nothing() -> None:
    history = ["ADD rootfs.tar.xz / # buildkit", "WORKDIR /srv", "COPY x ./site # buildkit", "RUN COPY a /b"]
    assert [str(place) for place in destinations(instructions(history))] == ["WORKDIR /srv", "COPY /srv/site"]
    assert destinations(instructions(["COPY x ../../../etc # buildkit"]))[0].path == "/etc"


def test_blanks_in_a_destination_are_settled_by_the_image() -> None:
    steps = instructions(["COPY my file.txt /srv/my notes/ # buildkit"])
    assert [str(place) for place in destinations(steps, "/srv/my notes".__eq__)] == ["COPY /srv/my notes"]
    assert [str(place) for place in destinations(steps, lambda path: False)] == ["COPY /notes"]


ROWS = st.one_of(
    st.text(max_size=60),
    st.tuples(
        st.sampled_from(
            [
                "COPY ",
                "RUN ",
                "/bin/sh -c #(nop) ",
                "/bin/sh -c ",
                "|2 A=b ",
                "ENV ",
                "SHELL [",
                "#(nop) SHELL ",
                "WORKDIR ",
            ]
        ),
        st.text("ab/ .$={}[]\"'<-|&\\\n*#(nop)", max_size=40),
    ).map("".join),
)


@given(st.lists(ROWS, max_size=6))
def test_no_history_breaks_the_reader(history: list[str]) -> None:
    steps = instructions(history)
    assert len(steps) == sum(bool(text.strip()) for text in history)
    for place in destinations(steps):
        assert place.path.startswith("/")
        assert ".." not in place.path.split("/")
    assert [run.number for run in runs(steps)] == [n for n, step in enumerate(steps) if step.keyword == "RUN"]
