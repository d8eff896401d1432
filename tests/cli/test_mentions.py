"""Messages, hints, help and documents name only verbs and options that exist."""

from __future__ import annotations

import pytest

from debloat.gate.hooks import FILES
from debloat.lock.format import DEFAULT_NAME
from tests.support import mentions
from tests.support.mentions import Mention


def wrong_mentions(texts: list[Mention]) -> list[str]:
    return [f"{mention.where}: {wrong}" for mention in texts for wrong in mentions.wrong(mention)]


def test_messages_and_hints() -> None:
    texts = list(mentions.messages())
    assert wrong_mentions(texts) == []
    assert sum("`debloat " in mention.text for mention in texts) > 25
    assert any("--trace" in mention.text for mention in texts)


def test_help() -> None:
    assert wrong_mentions(list(mentions.helps())) == []


def test_documents() -> None:
    texts = list(mentions.files())
    assert wrong_mentions(texts) == []
    assert {mention.where for mention in texts} >= {
        "README.md",
        "docs/lock.md",
        "CHANGELOG.md",
        "debloat/schemas/report.json",
    }


def test_docstrings() -> None:
    assert [
        f"{mention.where}: {text}" for mention in mentions.docstrings() for text in mentions.wrong_commands(mention)
    ] == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("write it with `debloat lock IMAGE -o X`", "-o"),
        ("write it with --lock FILE", ""),
        ("write it with --lick FILE", "--lick"),
        ("give it what it lacks (-e, -v, --network)", ""),
        ("give it what it lacks (-e, -x)", "-x"),
        ("make it: debloat lick IMAGE --json F", "debloat lick"),
        ("build it first (debloat make)", "debloat make"),
        ("this debloat reads version 1", ""),
        ("<code>debloat why IMAGE PATH --deep</code> tells", "--deep"),
        ("build it anew (docker build --platform)", ""),
        ("build it anew (docker build --format)", ""),
        ("see docker inspect", "docker inspect"),
        ("`git push --no-verify` skips it", ""),
        ("`git push --force` is no option of any tool that is named", ""),
        ("`git push --mirror`", "--mirror"),
    ],
)
def test_the_check_can_fail(text: str, wrong: str) -> None:
    found = list(mentions.wrong(Mention("here", text)))
    assert bool(found) == bool(wrong)
    assert all(wrong in one for one in found)


def test_the_lock_is_called_as_documents_call_it() -> None:
    assert DEFAULT_NAME == "debloat.lock"
    assert DEFAULT_NAME in FILES
