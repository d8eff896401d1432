"""The report as JSON, held against its published schema, and the schema against its documentation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from debloat.report import jsonreport
from debloat.result import Report
from tests.support import schemadoc, schemas
from tests.support.reports import DIFFERING, EVIL, HOSTILE, PLAIN, REPORTS

DOCS = Path(__file__).resolve().parents[2] / "docs" / "report.md"
SCHEMA = schemas.ours("report.json")
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def written(report: Report) -> Any:
    return json.loads(jsonreport.render(report))


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("report", [r for r in REPORTS.values() if r is not HOSTILE])
def test_reports_are_valid(report: Report) -> None:
    VALIDATOR.validate(written(report))


def test_hostile_names_come_back_as_they_were() -> None:
    text = jsonreport.render(HOSTILE)
    assert text.isascii()
    assert "\x1b" not in text
    document = json.loads(text)
    assert document["healed"] == [{"path": EVIL, "source": EVIL, "detail": EVIL}]
    assert document["after"]["setuid"] == [EVIL]
    assert document["answers"][0]["difference"] == EVIL
    # Only what can never be a name (IDs, a mechanism) is refused.
    wrong = {error.absolute_path[0] for error in VALIDATOR.iter_errors(document)}
    assert wrong == {"image_id", "result_id", "layer", "mechanisms"}


def test_values() -> None:
    document = written(DIFFERING)
    assert document["format"] == "debloat-report"
    assert document["version"] == jsonreport.VERSION == SCHEMA["properties"]["version"]["const"]
    assert document["passed"] is False
    assert document["result"] == ""
    assert document["answers"][0] == {
        "scenario": "default",
        "probe": "http GET http://:80/",
        "before": {"ok": True, "outcome": "status 200", "detail": ""},
        "after": {"ok": False, "outcome": "status 500", "detail": "status 500: no template\nsecond line"},
        "difference": "status 200 before, status 500 now (status 500: no template\nsecond line)",
        "note": "",
    }
    assert written(PLAIN)["passed"] is True
    assert written(PLAIN)["stages"][0] == {"name": "record", "seconds": 1.25}


@pytest.mark.parametrize("where", ["", "before", "packages", "rules", "answers", "stages"])
def test_the_schema_refuses_what_is_not_in_it(where: str) -> None:
    document = written(PLAIN)
    place = document[where] if where else document
    (place[0] if isinstance(place, list) else place)["more"] = 1
    assert not VALIDATOR.is_valid(document)


def test_every_field_is_required_and_described() -> None:
    for title, table in schemadoc.objects(SCHEMA):
        assert sorted(table["required"]) == sorted(table["properties"]), title
        assert table["additionalProperties"] is False, title
        for field, value in table["properties"].items():
            assert value["description"].endswith((".", "history.")), f"{title}.{field}"


def test_the_documentation_is_that_of_the_schema() -> None:
    """`python -m tests.support.schemadoc` writes it anew."""
    text = DOCS.read_text()
    assert schemadoc.replaced(text, "report.json") == text
