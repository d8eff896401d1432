"""Options as values: what click makes of words is what a caller within the program makes of fields."""

from __future__ import annotations

import ast
import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import click
import pytest

from debloat.cli import declared, fleetoptions, options
from debloat.cli.declared import must_have_effect
from debloat.cli.engines import Engines
from debloat.cli.main import cli
from debloat.cli.options import (
    Check,
    Policy,
    Probes,
    Record,
    Slim,
    Verbosity,
    argument,
    group,
    option,
    parameters,
    verb,
)
from tests.support.cli import CommandLine, shop


def read(command: click.Command, described: type, *words: str) -> Any:
    with command.make_context(command.name, list(words)) as context:
        return options.value(described, context.params)


def commands() -> dict[str, click.Command]:
    groups = {name: group for name, group in cli.commands.items() if isinstance(group, click.Group)}
    assert set(groups) == {"fleet", "hook", "plugin"}
    return {
        **{name: command for name, command in cli.commands.items() if name not in groups},
        **{f"{name}_{inner}": command for name, group in groups.items() for inner, command in group.commands.items()},
    }


LEAST: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("slim", "lock", "apply", "inspect", "explore", "sbom"), ("shop:1",)),
    **dict.fromkeys(("build", "init", "doctor", "gc", "check", "hook_install", "hook_run"), ()),
    **dict.fromkeys(("plugin_install", "plugin_uninstall"), ()),
    **dict.fromkeys([f"fleet_{verb}" for verb in ("run", "apply", "check", "status", "plan", "work")], ()),
    "completion": ("bash",),
    "compose": ("web",),
    "debug": ("box",),
    "vex": ("shop:1", "--report", "r"),
    "record": ("shop:1", "--save-trace", "t"),
    "combine": ("a", "-o", "t"),
    "import": ("shop:1", "a", "-o", "t"),
    "pod": ("shop:1",),
    "heal": ("notes",),
    "run": ("shop:1",),
    "why": ("shop:1", "/x"),
    "diff": ("a", "b"),
}
"""The least that can be said to each verb."""


def described(name: str) -> type:
    module = fleetoptions if name.startswith("fleet_") else options
    found: type = getattr(module, "".join(word.title() for word in name.split("_")))
    return found


def test_every_verb_has_its_class() -> None:
    assert set(commands()) == set(LEAST)


@pytest.mark.parametrize("name", LEAST)
def test_what_is_not_said_is_what_a_caller_leaves_out(name: str) -> None:
    """The defaults of the command line and those of the dataclass are the same."""
    got = read(commands()[name], described(name), *LEAST[name])
    required = {
        field.name: getattr(got, field.name)
        for field in dataclasses.fields(got)
        if field.default is dataclasses.MISSING
    }
    assert got == described(name)(**required)
    hash(got)


@pytest.mark.parametrize("name", LEAST)
def test_no_two_fields_of_a_verb_have_one_name(name: str) -> None:
    names = Counter(parameter.name for parameter in parameters(described(name)))
    spellings = Counter(word for parameter in parameters(described(name)) for word in parameter.opts)
    assert not [word for word, count in (names + spellings).items() if count > 1 and word not in names & spellings]


def test_words_become_fields() -> None:
    got = read(
        cli.commands["slim"],
        Slim,
        *("shop:1", "--http", "/", "--http", "/a", "-e", "A=1", "--init", "--level", "exact", "--keep", "/x", "-q"),
        *("--json", "-", "--mechanism", "ptrace"),
    )
    assert got.image == "shop:1"
    assert got.probes == Probes(http=("/", "/a"), env=("A=1",), init=True, mechanism="ptrace")
    assert got.policy == Policy(level="exact", keep=("/x",))
    assert (got.result.json, got.verbosity) == ("-", Verbosity(quiet=True))


def test_what_must_be_said_must_be_given() -> None:
    with pytest.raises(TypeError, match="save_trace"):
        Record("shop:1")  # type: ignore[call-arg, unused-ignore]
    with pytest.raises(dataclasses.FrozenInstanceError):
        Check().image = "x"  # type: ignore[misc]


def test_adding_a_verb_is_a_class_and_a_function(capsys: pytest.CaptureFixture[str]) -> None:
    @options.options
    class Greet:
        name: str = argument()
        times: int = option("--times", type=int, default=1, text="How often.")
        tone: Literal["loud", "soft"] | None = option("--tone", text="How.")
        verbosity: Verbosity = group(Verbosity)

    parent = click.Group("parent")
    seen = []

    @verb(parent, Greet)
    def greet(given: Greet, engines: Engines) -> None:
        """Greet NAME."""
        seen.append((given, engines.connect() is engines.connect()))

    engine = shop()
    engines = Engines(lambda: engine)
    parent.main(["greet", "you", "--tone", "loud", "-q"], standalone_mode=False, obj=engines)
    assert seen == [(Greet("you", tone="loud", verbosity=Verbosity(quiet=True)), True)]
    with pytest.raises(click.BadParameter):
        parent.main(["greet", "you", "--tone", "shrill"], standalone_mode=False)
    parent.main(["greet", "--help"], standalone_mode=False)
    assert "Greet NAME." in capsys.readouterr().out


def test_no_options_are_passed_as_loose_words() -> None:
    """A verb gets its options as a value; nothing of the command line takes `**words`, but what click calls."""
    root = Path(options.__file__).parent
    found = {
        (path.stem, node.name)
        for path in root.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.args.kwarg
    }
    declared = {("declared", name) for name in ("option", "argument", "called", "first", "__init__")}
    assert found <= {*declared, ("build", "_call")}


NOTHING = {
    "slim --earlier a.lock": "--earlier does nothing without --html",
    "slim --force --no-verify": "--force does nothing with --no-verify",
    "lock --earlier a.lock --json -": "--earlier does nothing without --html",
    "compose --force --no-verify": "--force does nothing with --no-verify",
    "apply --force": "--force does nothing without --verify",
    "apply -c debloat.toml": "--config does nothing without --verify",
    "heal -c debloat.toml": "--config does nothing without --verify",
    "diff --files 3 --format table": "--files does nothing without --format tree",
    "diff --files 3 --json": "--files does nothing with --json",
    "diff --json --format table": "--json does nothing with --format table",
    "inspect --depth 2": "--depth does nothing without --format tree",
    "inspect --json --format tree": "--json does nothing with --format tree",
    "hook_install --chain --uninstall": "--chain does nothing with --uninstall",
    "fleet_run --layers 4": "--layers does nothing without --share",
    "fleet_apply --layers 10": "--layers does nothing without --share",
    "fleet_plan --image x": "--image does nothing without --format gitlab or --format kubernetes",
    "fleet_plan --image x --format github": "--image does nothing without --format gitlab or --format kubernetes",
}
"""What is said to a verb beside the least, and what it is told."""


@pytest.mark.parametrize("line", NOTHING)
def test_an_option_that_does_nothing_is_told(line: str, debloat: CommandLine) -> None:
    name, *words = line.split()
    done = debloat(*name.split("_"), *LEAST[name], *words)
    assert done.code == 2
    assert done.complaint.startswith(f"debloat: {NOTHING[line]}\n  hint: ")
    assert debloat.connected == 0


@pytest.mark.parametrize(
    "line",
    [
        *("slim --html x --earlier a.lock", "apply --verify --force -c x", "diff --files 3", "inspect --format tree"),
        *("inspect --depth 2 --format tree", "fleet_run --share --layers 4", "fleet_plan --image x --format gitlab"),
        *("fleet_plan --image x --format kubernetes", "hook_install --uninstall", "slim --no-verify", "diff --json"),
    ],
)
def test_an_option_that_does_something_is_not(line: str) -> None:
    name, *words = line.split()
    with commands()[name].make_context(name, [*LEAST[name], *words]) as context:
        must_have_effect(described(name), context)


def test_what_options_need_are_options_of_the_same_verb() -> None:
    """And each of them has a row above."""
    told = {(line.split()[0], NOTHING[line].split()[0]) for line in NOTHING}
    for name, command in commands().items():
        known = {option: parameter for parameter in command.params for option in parameter.opts}
        for field in declared._flat(described(name)):
            declaration = field.metadata["declaration"]
            for other in (*declaration.needs, *declaration.excludes):
                option, _, value = other.partition(" ")
                kind = known[option].type
                assert not value or (isinstance(kind, click.Choice) and value in kind.choices)
                same = {"run": "slim", "build": "slim", "lock": "slim"}.get(name, name)
                assert (same, max(declaration.names, key=len)) in told
