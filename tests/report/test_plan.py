"""A plan as JSON, held against its schema and its documentation, and as text; no name in it acts on a terminal."""

from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jsonschema
import pytest
from msgspec.structs import replace

from debloat.core.model import Level, Policy
from debloat.core.recipe import RunOptions
from debloat.image.reader import reading_spec
from debloat.lock.compare import Side, compare
from debloat.lock.seeds import Gone, Move
from debloat.plan import AlwaysKept, Output, Plan, PlannedContainer, PlannedCut, PlannedProbe
from debloat.record.session import Recorder, container_spec
from debloat.report import planjson, planterminal
from tests.support import gates, schemadoc, schemas
from tests.support.reports import EVIL, PLAIN

DOCS = Path(__file__).resolve().parents[2] / "docs" / "report.md"
SCHEMA = schemas.ours("plan.json")
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

DIGEST = "sha256:" + "4" * 64


def container(stage: str, options: RunOptions, *, minimal: bool = False) -> PlannedContainer:
    from debloat.core.model import ImageConfig

    config = ImageConfig({"Entrypoint": ["/usr/bin/shop", "two words"]})
    spec = container_spec("", config, None, options, Recorder(b""), ("80/tcp",), "")
    return PlannedContainer(stage, "default", minimal, config.entrypoint, options.user, spec)


OPTIONS = RunOptions(
    env=MappingProxyType({"PASSWORD": "secret"}),
    volumes=("/data",),
    user="7",
    read_only=True,
    tmpfs=("/run",),
    init=True,
)
RUN = Plan(
    verb="slim",
    tool="debloat 0.1.0",
    reference="shop:1",
    image_id=DIGEST,
    platform="linux/amd64",
    size=88_400_000,
    target="shop:1-slim",
    policy=Policy(Level.SAFE, (("/opt/**", Level.PACKAGE),), ("/etc/x",), ("/usr/y",), ("tzdata",)),
    containers=(
        PlannedContainer("read", "", False, (), "0:0", reading_spec("", "")),
        container("record", OPTIONS),
        container("verify", OPTIONS, minimal=True),
    ),
    probes=(
        PlannedProbe("default", "http", "http GET /", (80,)),
        PlannedProbe("default", "port", "port 80", (80,)),
        PlannedProbe("default", "stop", "stop"),
    ),
    ready=60.0,
    timeout=20.0,
    known=(AlwaysKept("ENTRYPOINT", "/usr/bin/shop"), AlwaysKept("--trace", "12 paths")),
    outputs=(Output("image", "shop:1-slim"), Output("lock", "debloat.lock")),
    notes=("a note",),
)
OLD = gates.lock(gates.item("/usr/bin/shop", "old", 0o755), gates.item("/lib/a.so.1", "a", package="a"))
NEW = gates.lock(gates.item("/usr/bin/shop", "new", 0o755), gates.item("/lib/a.so.2", "a", package="a"))
APPLIED = replace(
    RUN,
    verb="apply",
    containers=RUN.containers[:1],
    probes=(),
    ready=0.0,
    timeout=0.0,
    known=(),
    cut=PlannedCut(
        PLAIN.before,
        PLAIN.after,
        DIGEST,
        False,
        compare(Side("old", OLD.manifest, OLD.packages), Side("new", NEW.manifest, NEW.packages)),
        (Move("/lib/a.so.1", "/lib/a.so.2", "a"),),
        (Gone("/lib/b.so", "b", "trace probe:start"), Gone("/srv/x", "", "trace probe:start")),
    ),
)
BUILT = replace(RUN, verb="build", commands=(("docker", "build", "-t", "shop:1", "two words"),))
HOSTILE = replace(
    APPLIED,
    reference=EVIL,
    target=EVIL,
    policy=Policy(Level.SAFE, ((EVIL, Level.EXACT),), (EVIL,), (EVIL,), (EVIL,)),
    commands=((EVIL,),),
    containers=(
        replace(container("record", replace(OPTIONS, volumes=(EVIL,), user=EVIL)), scenario=EVIL, program=(EVIL,)),
    ),
    probes=(PlannedProbe(EVIL, "http", EVIL, (80,)), PlannedProbe(EVIL, "exit", EVIL)),
    known=(AlwaysKept("COPY", EVIL),),
    cut=replace(APPLIED.cut, moves=(Move(EVIL, EVIL, EVIL),), gone=(Gone(EVIL, EVIL, EVIL),)),  # type: ignore[type-var]
    outputs=(Output("lock", EVIL),),
    notes=(EVIL,),
)
PLANS = {"run": RUN, "applied": APPLIED, "built": BUILT, "hostile": HOSTILE}


def written(plan: Plan) -> Any:
    return json.loads(planjson.render(plan))


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_plans_are_valid(plan: Plan) -> None:
    text = planjson.render(plan)
    assert text.isascii()
    VALIDATOR.validate(json.loads(text))


def test_values() -> None:
    document = written(RUN)
    assert (document["format"], document["version"], document["cut"]) == ("debloat-plan", planjson.VERSION, None)
    assert [c["recorded"] for c in document["containers"]] == [False, True, True]
    assert [c["image"] for c in document["containers"]] == ["original", "original", "minimal"]
    assert document["containers"][1]["env"] == ["PASSWORD"]
    assert "secret" not in planjson.render(RUN) + planterminal.render(RUN)
    assert written(APPLIED)["cut"]["gone"][0] == {"path": "/lib/b.so", "package": "b", "reason": "trace probe:start"}
    assert written(HOSTILE)["notes"] == [EVIL]


@pytest.mark.parametrize("where", ["", "containers", "probes", "known", "outputs"])
def test_the_schema_refuses_what_is_not_in_it(where: str) -> None:
    document = written(RUN)
    place = document[where][0] if where else document
    place["more"] = 1
    assert not VALIDATOR.is_valid(document)


def test_every_field_is_required_and_described() -> None:
    for title, table in schemadoc.objects(SCHEMA):
        assert sorted(table["required"]) == sorted(table["properties"]), title
        assert table["additionalProperties"] is False, title
        for field, value in table["properties"].items():
            assert value["description"].endswith("."), f"{title}.{field}"


def test_the_documentation_is_that_of_the_schema() -> None:
    """`python -m tests.support.schemadoc` writes it anew."""
    text = DOCS.read_text()
    assert schemadoc.replaced(text, "plan.json") == text


def test_the_text_of_a_run() -> None:
    assert planterminal.render(RUN).split("\n") == [
        "shop:1 (444444444444, linux/amd64, 88.4 MB) would become shop:1-slim",
        "",
        "  start      read     the sensor alone, to read the image; nothing of the image runs",
        "             record   the image, default: /usr/bin/shop 'two words'",
        "                      as 7, 80/tcp on 127.0.0.1, environment PASSWORD, volumes /data, tmpfs /run,"
        " capabilities +SYS_PTRACE +SYS_ADMIN, read-only, with an init",
        "             verify   the minimal image, default: the same",
        "",
        "  ask        default: http GET / on port 80",
        "             default: port 80 (what it is found to speak, else a connect)",
        "             default: stop",
        "             ready within 60 s, each answer within 20 s",
        "",
        "  keep       level safe, of what the recording finds, and of:",
        "             ENTRYPOINT /usr/bin/shop",
        "             --trace 12 paths",
        "             level package for /opt/**",
        "             --keep /etc/x",
        "             --drop /usr/y",
        "             --keep-package tzdata",
        "",
        "  write      image     shop:1-slim",
        "             lock      debloat.lock",
        "",
        "  note       a note",
        "",
    ]


def test_the_text_of_a_lock_that_is_applied() -> None:
    text = planterminal.render(APPLIED)
    assert "  come to    747 files of 4,014, 11.7 MB of 88.4 MB\n" in text
    assert f"             2 packages of 105, layer {DIGEST}\n" in text
    assert "             moved /lib/a.so.1 -> /lib/a.so.2\n" in text
    assert "             gone /lib/b.so of b, kept for: trace probe:start\n" in text
    assert "             gone /srv/x, kept for: trace probe:start\n" in text
    assert "~ /usr/bin/shop (content)" in text
    assert "the same files" not in text


def test_the_text_of_a_build() -> None:
    assert "  run first  docker build -t shop:1 'two words'\n" in planterminal.render(BUILT)


def test_no_name_acts_on_a_terminal() -> None:
    lines = list(planterminal.lines(HOSTILE))
    assert not [line for line in lines if not line.isprintable()]
    assert len(lines) < 60
