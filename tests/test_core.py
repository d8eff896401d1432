"""The walls: what the core may not import, and what loading the command line may not cost."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

CORE = (
    "debloat.core.model",
    "debloat.image.rootfs",
    "debloat.closure",
    "debloat.image.carve",
    "debloat.record.trace",
    "debloat.core.probes",
    "debloat.cut",
    "debloat.rules",
)
BARRED = ("docker", "rich", "click", "httpx", "requests", "subprocess")


def loaded(*modules: str) -> set[str]:
    code = (
        "import sys, importlib; before = set(sys.modules)\n"
        f"for m in {modules!r}: importlib.import_module(m)\n"
        "if 'debloat.rules' in sys.argv[1:]: import debloat.rules; debloat.rules.all_rules()\n"
        "print('\\n'.join(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code, *modules], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", CORE)
def test_the_core_knows_no_engine_and_no_terminal(module: str) -> None:
    assert not loaded(module) & set(BARRED)


def test_the_command_line_loads_nothing_heavy() -> None:
    heavy = {"docker", "rich", "lief", "tree_sitter", "elftools", "requests", "debian", "msgspec", "debloat.pipeline"}
    assert not loaded("debloat.cli.main") & heavy


def test_a_run_begins_before_the_parsers_are_loaded() -> None:
    """They take a third of a second, and are loaded while the engine works (`read_and_record`)."""
    assert not loaded("debloat.pipeline") & {"lief", "tree_sitter"}


def test_what_few_runs_need_is_loaded_by_those() -> None:
    few = {"httpx", "websockets", "grpc", "google.protobuf", "hypothesis", "hypothesis_jsonschema", "ijson", "yaml"}
    assert not loaded("debloat.pipeline", "debloat.plan", "debloat.record.exercise", "debloat.cli.main") & few


def test_a_run_through_an_engine_loads_only_what_it_needs() -> None:
    few = {"paramiko", "charset_normalizer", "email.headerregistry", "rich", "elftools", "isal", "debloat.store.layers"}
    others = {
        "debloat.plan",
        "debloat.canary",
        "debloat.lock.apply",
        "debloat.profile.prove",
        "debloat.report.terminal",
    }
    run = loaded("debloat.cli.main", "debloat.cli.slim", "debloat.engine.docker", "debloat.rules", "debloat.prove")
    assert not run & (few | others)


def test_applying_a_lock_without_a_proof_loads_no_probes() -> None:
    run = loaded("debloat.cli.apply", "debloat.store.choice", "debloat.report.terminal")
    assert not run & {"docker", "debloat.verify", "debloat.prove", "debloat.canary", "debloat.record.protocols.table"}


def test_modules_read_in_one_sitting() -> None:
    root = Path(__file__).parents[1] / "debloat"
    long = {str(p): n for p in root.rglob("*.py") if (n := p.read_text().count("\n")) > 450}
    assert not long


def test_the_map_of_the_code_is_whole() -> None:
    """docs/architecture.md names every module of the package, and no other."""
    root = Path(__file__).parents[1]
    table = (root / "docs/architecture.md").read_text().partition("## Where things live")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(\w+\.py)`", table))
    here = {p.name for p in (root / "debloat").glob("*.py")} - {"__init__.py", "__main__.py"}
    assert here <= named
    assert named <= {p.name for p in (root / "debloat").rglob("*.py")}
