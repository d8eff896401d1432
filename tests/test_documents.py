"""Documents that are made of the code: messages, and the files of fixtures that tutorials show."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from debloat.core import errors
from tests.support import included, messagedoc
from tests.support.snippets import ROOT


def test_every_message_stands_in_the_document() -> None:
    """`python -m tests.support.messagedoc` writes it anew."""
    text = messagedoc.DOCS.read_text()
    assert messagedoc.replaced(text) == text


def test_messages_are_found_where_they_are_raised() -> None:
    usage = {message.text: message.hint for message in messagedoc.messages("UsageError")}
    assert usage["cannot compare a trace with an image or a lock"] == "name two traces, or no trace"
    assert usage["-e … is not K=V"] == "write -e NAME=VALUE"
    assert len(usage) > 50
    assert any(m.text == "start the container" for m in messagedoc.messages("error_context"))


def test_every_class_of_errors_that_ends_a_run_is_told_of() -> None:
    """Wherever it is: those of image stores were not."""
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for path in (ROOT / "debloat").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    }

    def is_error(name: str) -> bool:
        return name == errors.DebloatError.__name__ or any(map(is_error, bases.get(name, ())))

    told = {cls.__name__ for cls in messagedoc.CLASSES} | messagedoc.SAID_AS.keys()
    assert {name for name in bases if is_error(name)} == told | {"DebloatError", "InternalError"}


@pytest.mark.parametrize("document", included.showing(), ids=lambda path: path.name)
def test_files_in_documents_are_those_of_the_project(document: Path) -> None:
    """`python -m tests.support.included` puts them in anew."""
    text = document.read_text()
    assert included.replaced(text) == text


def test_tutorials_are_about_fixtures() -> None:
    shown = included.included((ROOT / "docs/tutorials.md").read_text())
    kinds = {Path(file).parent.name for file in shown}
    assert len(kinds) == 4
    assert {Path(file).name for file in shown} == {"Dockerfile", "debloat.toml"}
