"""From the file of a fleet to its items: which images, under which names, and what the ledger makes of damage."""

from __future__ import annotations

import contextlib
import json
import tomllib
from collections.abc import Iterable
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.core.errors import UsageError
from debloat.core.model import Level
from debloat.fleet import config
from debloat.fleet.ledger import Ledger, outcome_of
from debloat.fleet.model import Finished, Item, Outcome, Status, Verb
from debloat.fleet.plan import plan, settled
from tests.support.fleets import items, write
from tests.support.snippets import ROOT

KNOWN = (
    *("shop/api:1", "shop/web:1", "shop/web:1-slim", "shop/web:1-slim-slim", "shop/web:2"),
    *("shop/deep/db:1", "registry.example:5000/shop/web:1", "other:latest"),
)


def planned(directory: Path, text: str, known: Iterable[str] = KNOWN, verb: Verb = Verb.RUN) -> tuple[Item, ...]:
    return plan(config.read(write(directory, text)), verb, "1", lambda: known)


def targets(found: Iterable[Item]) -> dict[str, str]:
    return {item.name: item.target for item in found}


PATTERNS: dict[str, tuple[str, list[str]]] = {
    "a component": ('image = "shop/*"', ["shop/api:1", "shop/web:1", "shop/web:2"]),
    "all below": ('image = "shop/**"', ["shop/api:1", "shop/deep/db:1", "shop/web:1", "shop/web:2"]),
    "a tag": ('image = "shop/web:*"', ["shop/web:1", "shop/web:2"]),
    "a set": ('image = "shop/web:[12]"', ["shop/web:1", "shop/web:2"]),
    "a registry": ('image = "registry.example:5000/**"', ["registry.example:5000/shop/web:1"]),
    "less": ('image = "shop/*"\nexclude = ["*/api:*"]', ["shop/web:1", "shop/web:2"]),
}


@pytest.mark.parametrize("case", PATTERNS)
def test_which_images_a_pattern_means(case: str, tmp_path: Path) -> None:
    """What a run made of them is none, however often."""
    text, names = PATTERNS[case]
    assert [item.name for item in planned(tmp_path, f"[[entry]]\n{text}\n")] == names


def test_the_first_entry_that_means_an_image_decides(tmp_path: Path) -> None:
    entries = (
        'image = "shop/w*"\nlevel = "package"',
        'image = "shop/*"',
        'image = "shop/web:2"\ntarget = "shop/small:2"',
    )
    text = "".join(f"[[entry]]\n{entry}\n" for entry in entries)
    levels = {item.name: item.level for item in planned(tmp_path, text, (*KNOWN, "shop/small:2"))}
    assert levels == {"shop/api:1": "safe", "shop/web:1": "package", "shop/web:2": "safe"}


TEMPLATES = {
    "registry.example:5000/shop/web:1": ("registry.example:5000/shop/web", "web", "1"),
    "web": ("web", "web", "latest"),
    f"shop/web@sha256:{'0' * 64}": ("shop/web", "web", "latest"),
    "docker://registry.example/shop/web:2": ("registry.example/shop/web", "web", "2"),
    "docker-archive:files/web.tar": ("web", "web", "latest"),
}


@pytest.mark.parametrize("image", TEMPLATES)
def test_templates(image: str, tmp_path: Path) -> None:
    name, short, tag = TEMPLATES[image]
    entry = f'image = "{image}"\ntarget = "x/{{short}}:{{tag}}-{{level}}"\nlock = "{{name}}.lock"\n'
    (item,) = planned(tmp_path, f"[[entry]]\n{entry}")
    assert item.target == f"x/{short}:{tag}-safe"
    assert item.lock == str(tmp_path / f"{name}.lock")


def test_the_usual_targets(tmp_path: Path) -> None:
    text = "".join(f'[[entry]]\nimage = "{name}"\n' for name in ("web", "docker://registry.example/web:2"))
    assert set(targets(planned(tmp_path, text)).values()) == {"web:latest-slim", "registry.example/web:2-slim"}
    with pytest.raises(UsageError, match=r"cannot name the result of docker-archive:web\.tar"):
        planned(tmp_path, '[[entry]]\nimage = "docker-archive:web.tar"\n')


@pytest.mark.parametrize("text", ["{", "{}", "{0}", "{tag!r}", "{tag:9}", "{tag.__class__}", "{name[0]}", "{nmae}"])
def test_templates_that_say_nothing(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="template"):
        planned(tmp_path, f'[[entry]]\nimage = "web"\ntarget = "{text}"\n')


def test_recipes_are_united(tmp_path: Path) -> None:
    write(tmp_path, 'exec = ["shopctl"]\nlevel = "exact"\n', "shop.toml")
    text = '[defaults]\nrecipe = { http = ["/"] }\n[[entry]]\nimage = "web"\nrecipe = "shop.toml"\n'
    (item,) = planned(tmp_path, text)
    assert [json.loads(each) for each in item.recipes] == [{"http": ["/"]}, {"exec": ["shopctl"], "level": "exact"}]
    assert item.level == "exact"
    (over,) = planned(tmp_path, text + 'level = "package"\n')
    assert over.level == "package"
    assert over.recipe != item.recipe


def test_the_order_of_a_table_says_something(tmp_path: Path) -> None:
    """Of levels by path the last that matches counts, in the file of a fleet as in one of its recipes."""
    levels = [("/usr/share/**", Level.PACKAGE), ("/usr/**", Level.EXACT)]
    keys = "\n".join(f'"{glob}" = "{level}"' for glob, level in levels)
    write(tmp_path, f"[levels]\n{keys}\n", "shop.toml")
    named, inline = planned(
        tmp_path,
        f'[[entry]]\nimage = "a"\nrecipe = "shop.toml"\n[[entry]]\nimage = "b"\n[entry.recipe.levels]\n{keys}\n',
    )
    for item in (named, inline):
        assert list(settled(item.recipes).levels.items()) == levels


def test_the_example_of_the_documents_is_valid(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "fleet.md").read_text().split("```toml\n")[1].split("```")[0]
    jsonschema.validate(tomllib.loads(text), config.schema())
    write(tmp_path, 'http = ["/"]\n', "db.toml")
    known = [f"registry.example.com/shop/{name}" for name in ("db:16", "web:1", "web-test:1")]
    found = planned(tmp_path, text, known)
    assert {item.name: item.level for item in found} == {known[0]: "package", known[1]: "safe"}


# ------------------------------------------------------------------------------------------ the ledger


def row(item: Item) -> Outcome:
    return Outcome(item.key, item.name, Status.DONE, item.verb, item.target, bytes_before=3, seconds=0.5)


def test_a_row_comes_back_as_it_was(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for item in items(3):
        written = ledger.write(Finished(row(item), {"log": b"\xff"}))
        assert ledger.read(item.key) == written
        assert (tmp_path / written.log).read_bytes() == b"\xff"
    assert [kept.name for _, kept in ledger.rows()] == [item.name for item in items(3)]


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"[]", b"null", b"\xff", b'{"format": "debloat-fleet-item", "version": 2, "item": {}}'),
        *(
            b'{"format": "debloat-fleet-item", "version": 1, "item": %s}' % x
            for x in (b"3", b"{}", b'{"status": "gone"}')
        ),
    ],
)
def test_a_damaged_row_is_none(data: bytes, tmp_path: Path) -> None:
    (item,) = items(1)
    ledger = Ledger(tmp_path)
    ledger.write(Finished(row(item)))
    (ledger.place(item.key) / "item.json").write_bytes(data)
    assert ledger.read(item.key) is None
    assert list(ledger.rows()) == []


@given(
    st.dictionaries(
        st.sampled_from([*Outcome.__struct_fields__, "more"]), st.none() | st.text() | st.integers() | st.booleans()
    )
)
def test_any_values_are_a_row_or_an_error(raw: dict[str, object]) -> None:
    with contextlib.suppress(KeyError, TypeError, ValueError):
        assert isinstance(outcome_of(raw).status, Status)


def test_images_that_are_known(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.names() == ()
    (tmp_path / "images.json").write_text("[3, {")
    ledger.note(["b", "a"])
    ledger.note(["c"])
    ledger.write(Finished(row(items(1)[0])))
    assert ledger.names() == ("a", "b", "c", "shop/web:0")


def test_a_state_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write ") as caught, Ledger(tmp_path / "file").held():
        raise AssertionError
    assert "--state DIR" in caught.value.hint
