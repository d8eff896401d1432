"""Every error of what a user gave says what to do about it, and where that stands."""

from __future__ import annotations

import ast
import functools
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from debloat.cli import settings as cli_settings
from debloat.cli.options import Policy, Probes
from debloat.core import config
from debloat.core.errors import UsageError
from debloat.core.model import Trace
from debloat.core.platform import wanted
from debloat.core.recipe import recipe
from debloat.core.reference import must_be_name, must_be_reference
from debloat.engine import volumes
from debloat.fleet import config as fleets
from debloat.gate.check import baseline
from debloat.lock import format as locks
from debloat.lock import heal
from debloat.record import trace
from debloat.record.http import description, har
from debloat.store.location import image_location, output_location

ROOT = Path(__file__).resolve().parents[1]

SPEAK = {
    *("UsageError", "StoreError", "OriginalFails", "NothingToProbe", "ListensElsewhere", "MinimalFails"),
    *("SensorUnavailable", "WorkersUnavailable", "GateFailed"),
}
"""Errors whose remedy is known where they are raised; what an engine says in its own words is the engine's."""
_ARGUMENTS = {**dict.fromkeys(SPEAK, 2), "Mistake": 3}


def test_every_error_has_a_hint_where_it_is_raised() -> None:
    without = []
    for path in sorted((ROOT / "debloat").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _ARGUMENTS):
                continue
            given = [*node.args, *(k.value for k in node.keywords if k.arg == "hint")]
            whole = any(isinstance(argument, ast.Starred) for argument in given)
            empty = isinstance(given[-1], ast.Constant) and not given[-1].value
            if (len(given) < _ARGUMENTS[node.func.id] or empty) and not whole:
                without.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert without == []


NAME = "given.file"


def said(read: Callable[[], object]) -> UsageError | None:
    """The error that reading ends by, if any; it has a hint."""
    try:
        read()
    except UsageError as error:
        found = error
    else:
        return None
    assert found.hint
    return found


FILES: dict[str, tuple[Callable[[bytes, Path], object], bytes]] = {
    "lock": (
        lambda data, path: locks.parse(data, NAME),
        b"debloat-lock\t1\tnote\nsha256\t0\ntool\t1\n[policy]\nlevel\tsafe\n[end]\n",
    ),
    "trace": (
        lambda data, path: trace.parse(data, NAME),
        trace.dump(Trace(frozenset(), frozenset({"sha256:1"}), frozenset({"notify"}))),
    ),
    "baseline": (
        lambda data, path: baseline(data, NAME),
        b'{"format": "debloat-gate", "findings": [{"fingerprint": "a"}]}',
    ),
    "openapi": (
        lambda data, path: description.of_file(str(written(path, data))),
        b"openapi: 3.0.0\npaths: {/: {get: {responses: {}}}}\n",
    ),
    "har": (
        lambda data, path: har.requests_of(written(path, data).open("rb"), NAME),
        b'{"log": {"entries": [{"startedDateTime": "1", "request": {"method": "GET", "url": "http://a/"}}]}}',
    ),
    "configuration": (lambda data, path: recipe(config.read(written(path, data))), b'http = ["/"]\nlevel = "safe"\n'),
    "fleet": (lambda data, path: fleets.read(written(path, data)), b'[[entry]]\nimage = "shop:1"\n'),
}


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file with something cut out, something put in, or nothing of its own at all."""
    start, end = sorted((draw(st.integers(0, len(whole))), draw(st.integers(0, len(whole)))))
    put = draw(
        st.binary(max_size=8) | st.sampled_from([b'"', b"[", b"}", b"\n", b"\t", b"1", b"= [", b"\xff", b"null"])
    )
    return draw(st.sampled_from([whole[:start] + put + whole[end:], whole[:start] + put + whole[start:], put]))


@pytest.mark.parametrize("kind", FILES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_that_cannot_be_read_is_named_and_mended(kind: str, tmp_path: Path, data: st.DataObject) -> None:
    read, whole = FILES[kind]
    broken = data.draw(damaged(whole))
    error = said(lambda: read(broken, tmp_path / NAME))
    if error is not None:
        assert NAME in error.message
        assert "Error" not in error.message  # the name of an exception is no cause


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 70000) | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
KEYS = st.sampled_from(sorted(json.loads(json.dumps(config.schema()))["properties"])) | st.text(max_size=5)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, JSON, max_size=2))
def test_a_value_that_cannot_be_used_is_named(raw: dict[str, Any]) -> None:
    error = said(lambda: recipe(config.settings(raw)))
    assert error is None or any(repr(key)[1:-1] in error.message for key in raw)


TOML = st.lists(
    st.sampled_from(
        [
            *('http = "/"', 'http = ["/"]', "http = [", "level = safe", 'level = "all"', "ready = -1", "[policy]"),
            *(
                "[[request]]",
                'http = "FETCH"',
                "max_size = 3",
                "[run_options]",
                "env = 1",
                'keep = ["a"]',
                "args = [''']",
            ),
            *("[[scenario]]", "name = 1", "crawl = 1.5", 'probe = ["nothing"]', 'har = ["none"]', "=", "a b = 1", '"'),
        ]
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TOML)
def test_what_is_wrong_in_a_configuration_has_a_line(tmp_path: Path, lines: list[str]) -> None:
    path = written(tmp_path / "debloat.toml", "\n".join(lines).encode())
    error = said(lambda: config.read(path))
    if error is not None:
        assert "debloat.toml" in error.message
        assert "line " in error.message or "end of document" in error.message


WORDS: dict[str, Callable[[str], object]] = {
    "volume": volumes.parse,
    "platform": wanted,
    "image": image_location,
    "output": output_location,
    "reference": lambda text: must_be_reference(text, "docker"),
    "name": lambda text: must_be_name(text, "-t"),
    "http": lambda text: cli_settings.settings_of(Probes(http=(text,)), Policy()),
    "probe": lambda text: cli_settings.settings_of(Probes(probe=(text,)), Policy()),
    "exec": lambda text: cli_settings.settings_of(Probes(exec=(text,)), Policy()),
    "args": lambda text: cli_settings.settings_of(Probes(args=(text,)), Policy()),
    "env": lambda text: cli_settings.settings_of(Probes(env=(text,)), Policy()),
    "keep": lambda text: cli_settings.settings_of(Probes(), Policy(keep=(text,))),
    "template": fleets.template,
}
SPELLED = st.text(max_size=12) | st.lists(
    st.sampled_from([*":/@[]{}'\"?* =", "a", "A", "80", "oci:", "docker://", "http://", "tcp://", "sha256:", "99999"]),
    max_size=6,
).map("".join)


@pytest.mark.parametrize("kind", WORDS)
@settings(max_examples=150, deadline=None)
@given(text=SPELLED)
def test_a_word_that_cannot_be_used_is_shown(kind: str, text: str) -> None:
    error = said(lambda: WORDS[kind](text))
    assert error is None or text in error.message or repr(text) in error.message or repr(text)[1:-1] in error.message


@settings(max_examples=150, deadline=None)
@given(damaged(b'{"canary": 1, "image": "sha256:1", "path": "/x"}\n'))
def test_notes_of_canaries(data: bytes) -> None:
    error = said(lambda: heal.parse(data, NAME))
    assert error is None or NAME in error.message


def test_the_files_are_right_where_they_are_whole(tmp_path: Path) -> None:
    """But for the lock, whose digest is none: a fuzzer that begins with what is wrong would find nothing else."""
    wrong = set()
    for kind, (read, whole) in FILES.items():
        if said(functools.partial(read, whole, tmp_path / NAME)):
            wrong.add(kind)
    assert wrong == {"lock"}
    assert tomllib.loads(FILES["configuration"][1].decode())
