"""The file that a stack is started with, of what Compose prints: golden files, a directory of tests/data/compose each.

A case is `printed.yaml`, which Compose printed (`config`), and `recorded.json` and `plain.json`, what is started.

    python -m tests.compose.test_standin      writes the latter anew
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from debloat.compose.document import Document, parse, used
from debloat.compose.service import Service, config_of, options_of, recipe_of
from debloat.compose.standin import StandIn, built, rewritten, to_build, with_images
from debloat.core.model import ImageConfig
from debloat.core.recipe import Settings
from debloat.engine.base import RUN_LABEL
from debloat.record.session import Recorder

CASES = Path(__file__).parents[1] / "data" / "compose"
NAMES = sorted(case.name for case in CASES.iterdir())
IMAGES = {
    "web": ImageConfig({"Cmd": ["serve"], "User": "app", "Healthcheck": {"Test": ["CMD", "check", "$x"]}}),
    "db": ImageConfig({"Entrypoint": ["entry"], "Cmd": ["postgres"], "Env": ["HOME=/var/lib/postgresql"]}),
}
RECORDERS = {"recorded": Recorder(b"", "notify"), "plain": Recorder(b"", "")}


def document(case: str) -> Document:
    printed = parse((CASES / case / "printed.yaml").read_text())
    return with_images(printed, used(printed, ("web", "db"), ()), "shop", "-")


def started(case: str, recorder: Recorder) -> str:
    found = document(case)
    chosen = {}
    for name, image in IMAGES.items():
        raw = found.services[name]
        service = Service(name, raw, "", config_of(raw, image), options_of(raw), recipe_of(name, raw, Settings())[0])
        chosen[name] = StandIn(service, f"pending:{name}", service.config.ports)
    return rewritten(found, "RUN", "debloat-RUN", chosen, recorder) + "\n"


@pytest.mark.parametrize("how", RECORDERS)
@pytest.mark.parametrize("case", NAMES)
def test_what_is_started(case: str, how: str) -> None:
    assert started(case, RECORDERS[how]) == (CASES / case / f"{how}.json").read_text()


@pytest.mark.parametrize("how", RECORDERS)
@pytest.mark.parametrize("case", NAMES)
def test_nothing_of_the_users_own_stack_is_touched(case: str, how: str) -> None:
    """All that is made carries the label and no fixed name; no port of the machine is taken but on the loopback."""
    raw = json.loads(started(case, RECORDERS[how]))
    assert "tools" not in raw["services"]
    assert "name" not in raw
    for name, service in raw["services"].items():
        assert service["labels"][RUN_LABEL] == "RUN"
        assert service.get("container_name", "") in ("", f"debloat-RUN-{name}")
        assert all(str(port).startswith("127.0.0.1::") for port in service.get("ports", ()))
    for made in (*raw["networks"].values(), *raw["volumes"].values()):
        assert made.get("external") or (made["labels"][RUN_LABEL] == "RUN" and "name" not in made)


@pytest.mark.parametrize("case", NAMES)
def test_what_is_built_is_called_as_compose_calls_it(case: str) -> None:
    found = document(case)
    assert built(found) == ("web",)
    (service,) = json.loads(to_build(found))["services"].values()
    assert service["image"] == "shop-web"
    assert service["build"]["context"] == "/srv/shop/web"


def test_the_labels_and_networks_of_a_file_that_names_none() -> None:
    found = parse("services: {a: {image: x}}")
    raw = json.loads(rewritten(found, "RUN", "p", {}, RECORDERS["plain"]))
    assert raw["networks"] == {"default": {"labels": {RUN_LABEL: "RUN"}}}


def test_a_container_in_the_network_of_another_has_no_alias_and_no_port() -> None:
    found = parse("services: {a: {image: x, container_name: fixed, network_mode: 'service:b'}, b: {image: y}}")
    raw = found.services["a"]
    service = Service("a", raw, "x", config_of(raw, IMAGES["web"]), options_of(raw), recipe_of("a", raw, Settings())[0])
    standing = {"a": StandIn(service, "x", ("80/tcp",))}
    written = json.loads(rewritten(found, "RUN", "p", standing, RECORDERS["recorded"]))["services"]["a"]
    assert "networks" not in written
    assert "ports" not in written


def main() -> None:
    for case in NAMES:
        for how, recorder in RECORDERS.items():
            (CASES / case / f"{how}.json").write_text(started(case, recorder))


if __name__ == "__main__":
    main()
