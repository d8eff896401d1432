"""What a scenario's files and conversations come to before anything is asked, and without what they need."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from debloat.core.errors import UsageError
from debloat.record.http import values
from tests.record.http.test_har import LOGIN
from tests.support.petshop import DOCUMENT
from tests.support.sessions import Exercised

JSON_DOCUMENT = json.dumps(DOCUMENT)


@pytest.mark.parametrize(
    ("library", "text", "content", "says", "extra"),
    [
        ("ijson", 'har = ["FILE"]', LOGIN.decode(), "cannot replay FILE: ijson is not installed", "http"),
        ("yaml", 'openapi = "FILE"', "openapi: 3.1.0", "cannot read FILE: yaml is not installed", "http"),
        (
            "hypothesis_jsonschema",
            'openapi = "FILE"',
            JSON_DOCUMENT,
            "cannot generate values for an OpenAPI document: hypothesis_jsonschema is not installed",
            "http",
        ),
        (
            "websockets.sync.client",
            '[[websocket]]\nurl = "/"',
            "",
            "cannot speak WebSocket: websockets.sync.client is not installed",
            "http",
        ),
        ("grpc_health.v1", "grpc = true", "", "cannot speak gRPC: grpc_health.v1 is not installed", "grpc"),
    ],
)
def test_an_extra_that_is_missing(
    library: str, text: str, content: str, says: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    values._generated.cache_clear()
    values._library.cache_clear()
    file = tmp_path / "file"
    file.write_text(content)
    with pytest.raises(UsageError) as caught:
        Exercised({80: 9}, text.replace("FILE", str(file)))
    assert caught.value.message == says.replace("FILE", str(file))
    assert caught.value.hint == f'pip install "debloat[{extra}]"'
