"""The configuration file: where it is found, that nothing unknown passes, and that its schema is its reader."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.core import config
from debloat.core.errors import UsageError
from debloat.core.limits import DRIFT, Growth
from debloat.core.recipe import Settings
from debloat.core.table import rows
from tests.support import configdoc, schemas

SCHEMA = schemas.ours("config.json")
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def saved(text: str, directory: Path, name: str = "debloat.toml") -> Path:
    path = directory / name
    path.write_text(text)
    return path


# ------------------------------------------------------------------------------------------ where it is


def test_the_own_file_comes_first(tmp_path: Path) -> None:
    pyproject = saved('[tool.debloat]\nhttp = ["/x"]\n', tmp_path, "pyproject.toml")
    assert config.find(tmp_path) == pyproject
    assert config.read(pyproject).http[0].path == "/x"
    own = saved("", tmp_path)
    assert config.find(tmp_path) == own
    assert config.read(own) == Settings()


@pytest.mark.parametrize("text", ["", "[tool.other]\n", "tool = 3\n", "[", "\udcff"])
def test_a_pyproject_without_a_table_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert config.find(tmp_path) is None


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*none\.toml: No such file"):
        config.read(tmp_path / "none.toml")


# ------------------------------------------------------------------------------------------ what is wrong


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("htpp = []", "line 1: unknown key 'htpp'", "did you mean 'http'?"),
        ('\n# http\nhttp = "/"', "line 3: http must be a list of strings, not '/'", 'write http = ["/"]'),
        ('level = "most"', "line 1: level must be exact, safe or package, not 'most'", "safe"),
        ('keep = [\n  "/etc/a",\n  "etc/x",\n]', "line 1: keep: the pattern 'etc/x' must be absolute", "/etc/x"),
        ('[levels]\n"etc/x" = "safe"', "line 2: levels: the pattern 'etc/x' must be absolute", "/**/etc/x"),
        ('[levels]\n"/etc/x" = "most"', 'line 2: levels."/etc/x" must be exact, safe or package', '"/etc/x" = '),
        ("ready = 0", "line 1: ready must be a number of seconds above 0, or a table, not 0", "ready = 60"),
        ("ready = true", "above 0, or a table, not true", ""),
        ("[ready]\nprot = 80", "line 2: unknown key 'prot' in ready", "'port'"),
        ("[ready]\nport = 0", "line 2: ready.port must be a port from 1 to 65535, not 0", "port = 8080"),
        ("[ready]\n\nlog = '['", "line 3: ready.log: '[' is not a regular expression", "put a backslash before"),
        ("ready = { http = '?' }", "line 1: ready.http: '?' is not an HTTP probe", "[METHOD ]PATH"),
        ("timeout = inf", "above 0, not inf", ""),
        ("[run_options]\nprivileged = true", "line 2: unknown key 'privileged' in run_options", "known keys: cap_add"),
        ("[run_options]\nread_only = 1", "run_options.read_only must be true or false, not 1", ""),
        ("[[scenario]]\n[[scenario]]\nhttpp = []", "line 3: unknown key 'httpp' in scenario 2", "'http'"),
        ("http = ['?']", "line 1: http: '?' is not an HTTP probe", "write [METHOD ]PATH"),
        ("masks = ['(']", "line 1: masks: '(' is not a regular expression", "backslash"),
        ("[[request]]\nbody = 'x'", "line 1: request 1 needs a http", 'write http = "POST /login"'),
        (
            "[[request]]\nhttp = '/'\nheaders = { 'a b' = '' }",
            "line 3: request 1, headers: 'a b' is not the name",
            "",
        ),
        ("[[request]]\nhttp = '/'\nheaders = { a = \"b\\nc\" }", "line 3: request 1, headers.a: ", "on one line"),
        ("[[request]]\nhttp = '/'\nbasic = 'ada'", "line 3: request 1, basic: 'ada' has no colon", "USER:PASSWORD"),
        ("[[request]]\nhttp = '/'\njson = nan", "line 3: request 1, json: nan is not JSON", ""),
        ("[[request]]\nhttp = '/'\nversion = 2", "request 1, version must be 1.1 or 2, not 2", 'version = "2"'),
        (
            "[[request]]\nhttp = '/'\nexpect.status = 20",
            "line 3: request 1, expect.status must be a status",
            "200",
        ),
        ("[[request]]\nhttp = '/'\nexpect = { body = '(' }", "expect.body: '(' is not a regular expression", ""),
        ("[[request]]\nhttp = '/'\nsave = { a = 'xml:b' }", "request 1, save.a: 'xml:b' is not a value", "json:KEY"),
        ("[[request]]\nhttp = '/'\nsave = { 'a b' = 'json:b' }", "'a b' is not the name of a value", ""),
        ("[[request]]\nhttp = '/'\nsave = { a = 'body:(' }", "'(' is not a regular expression", ""),
        ("openapi = 3", "openapi must be a file, a path of the service or a table, not 3", ""),
        ("[openapi]\nheaders = { A = 'b' }", "openapi needs a document", ""),
        ("[[websocket]]\nurl = 'http://:80/'", "websocket 1, url: 'http://:80/' is not a WebSocket", "wss://"),
        ("[[websocket]]\nurl = '/'\nexpect = ['(']", "'(' is not a regular expression", ""),
        ("grpc = [':50051/x']", "line 1: grpc: ':50051/x' is not an address", ":PORT"),
        ("grpc = 1", "grpc must be true, false or a list of addresses, not 1", ""),
        ("args = ['\"']", "args: cannot split", "balance the quotes"),
        ("[", "is not TOML", ""),
        ("scenario = 3", "scenario must be an array of tables, [[scenario]], not 3", ""),
        ("[budget]\nmax_siez = 1", "line 2: unknown key 'max_siez' in budget", "'max_size'"),
        ("[budget]\nmax_size = 'big'", "budget.max_size must be a size in bytes, or such as 40MB", '"40MB"'),
        ("[budget]\nmax_growth = { floor = 3 }", "budget.max_growth needs a percent", "percent"),
        ("[policy.drift]\nversions = 'off'", "unknown key 'versions' in policy.drift", "'version'"),
    ],
)
def test_what_is_wrong_is_said(text: str, says: str, hint: str, tmp_path: Path) -> None:
    path = saved(text, tmp_path)
    with pytest.raises(UsageError) as caught:
        config.read(path)
    assert caught.value.message.startswith(str(path))
    assert "\n" not in caught.value.message
    assert says in caught.value.message
    assert hint in caught.value.hint


def test_lines_of_a_pyproject_are_the_files(tmp_path: Path) -> None:
    text = '[project]\nname = "htpp"\nhtpp = 1\n\n[tool.debloat]\nlevel = "safe"\nhtpp = 1\n'
    with pytest.raises(UsageError, match=r"pyproject\.toml, line 7: unknown key 'htpp'"):
        config.read(saved(text, tmp_path, "pyproject.toml"))


def test_lines_are_counted_as_a_reader_of_toml_counts_them(tmp_path: Path) -> None:
    text = 'exec = ["""\nhtpp = 1\n\u2028\n"""]\nrun_options = {\n}\n'.replace("{\n}", "{ env = { htpp = '' } }")
    with pytest.raises(UsageError, match=r"debloat\.toml, line 6: unknown key 'htpp'"):
        config.read(saved(text + "htpp = 2\n", tmp_path))


@given(
    st.text(max_size=200)
    | st.lists(st.sampled_from(['a = "', "'", "[a]", "a.b = 1", "[[a]]", '"""', "#", "1"])).map("\n".join)
)
def test_no_text_upsets_the_search_for_a_line(text: str) -> None:
    assert 0 <= config.line_of(text, ("a", 0, "b")) <= text.count("\n") + 1
    assert 0 <= config.line_of(text, ("a",)) <= text.count("\n") + 1


def test_sizes_and_growth() -> None:
    for given_, size in (
        ("40MB", 40_000_000),
        (" 1.5 kB ", 1500),
        ("2 MiB", 2 << 20),
        (7, 7),
        ("9", 9),
        ("1GiB", 1 << 30),
    ):
        assert config.settings({"budget": {"max_size": given_}}).budget.max_size == size
    for wrong in ("40 TB", "4k", "ib", "-1", "1e3", "٣", "40MB\n", True, -1, 1.5):
        with pytest.raises(UsageError):
            config.settings({"budget": {"max_size": wrong}})
    assert config.settings({"budget": {"max_growth": "10%"}}).budget.max_growth == Growth(10.0)


# ------------------------------------------------------------------------------------------ its schema


@pytest.mark.parametrize("file", configdoc.FILES, ids=lambda file: str(file.name))
def test_published_schemas_and_documents_are_made_of_the_rows(file: configdoc.File) -> None:
    """`python -m tests.support.configdoc` writes them anew."""
    assert file.published.read_text() == file.schema_text()
    text = file.document.read_text()
    assert file.replaced(text) == text


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object of a schema that has keys of its own."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for value in schema.values():
            yield from objects(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from objects(value)


def test_every_key_is_described_and_nothing_else_is_allowed() -> None:
    found = list(objects(SCHEMA))
    assert len(found) > 6
    for each in found:
        assert each["additionalProperties"] is False
        for name, value in each["properties"].items():
            assert set(each["properties"]) == set(DRIFT) or value["description"].endswith((".", ").")), name


def test_examples_are_right() -> None:
    """Each example of the schema is a value of its key, for the schema and for the reader."""
    for name, row in rows(Settings).items():
        raw = tomllib.loads(f"{name} = {row.example}")
        VALIDATOR.validate(raw)
        assert config.settings(raw) != Settings(), name


def test_documents_show_valid_files() -> None:
    for page in ("usage.md", "gate.md"):
        text = (Path(__file__).resolve().parents[2] / "docs" / page).read_text()
        blocks = [tomllib.loads(block.partition("```")[0]) for block in text.split("```toml\n")[1:]]
        shown = [block for block in blocks if block and "rule" not in block]
        assert shown, page
        for block in shown:
            VALIDATOR.validate(block)


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What a schema of ours allows, or nearly: most values fit, a few are of another type."""
    odd = st.sampled_from([None, True, 3, -1, 0.5, "x", "/x", "", [], ["a", 1], {}, {"a": 1}])
    if "anyOf" in schema:
        fits: st.SearchStrategy[Any] = st.one_of(*map(values, schema["anyOf"]))
    elif "enum" in schema:
        fits = st.sampled_from(schema["enum"])
    elif schema.get("type") == "array":
        fits = st.lists(values(schema["items"]), max_size=3)
    elif schema.get("type") == "object":
        keys = schema.get("properties")
        if keys is None:
            fits = st.dictionaries(st.sampled_from(["/a", "b"]), values(schema["additionalProperties"]), max_size=2)
        else:
            known = st.fixed_dictionaries({}, optional={name: values(value) for name, value in keys.items()})
            fits = st.one_of(known, known, known, known.map(lambda found: {**found, "unknown": 1}))
    elif "type" not in schema:
        fits = odd
    else:
        plain = {"boolean": st.booleans(), "integer": st.integers(-1, 9), "number": st.floats(-1, 9)}
        texts = st.sampled_from(["/", "POST /login", "a 'b c'", "40MB", " 2 KiB", "10%", "5 % ", "/etc/**", "safe", ""])
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        fits = st.one_of(*(plain.get(each, texts) for each in types))
    return st.one_of(fits, fits, fits, fits, fits, odd)


@given(values(SCHEMA))
def test_the_reader_takes_what_the_schema_takes_but_for_grammar(raw: Any) -> None:
    """The schema and the reader agree on every key and type. What only the reader knows is what a text means."""
    try:
        config.settings(raw, "debloat.toml")
        refused = ""
    except UsageError as error:
        refused = f"{error.message} {error.hint}"
    assert not refused or refused.startswith("debloat.toml: ")
    if not refused:
        VALIDATOR.validate(raw)
    elif VALIDATOR.is_valid(raw):
        assert re.search(GRAMMAR, refused), refused


GRAMMAR = (
    r"is not (?:an? |the )(?:HTTP probe|regular expression|probe|WebSocket|address|value of an answer)"
    r"|is not the (?:name|value) of a |names no port|cannot split|has no colon"
)
"""What the reader says of a text that is the text which the schema wants, and says nothing."""


def test_the_reader_is_quick_to_load() -> None:
    """It is loaded in every run: no library for schemas is."""
    import subprocess
    import sys

    code = "import sys, debloat.core.config; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"jsonschema", "pydantic", "importlib.metadata", "click"} & set(done.stdout.split())


def test_the_schema_is_ascii_json() -> None:
    text = configdoc.SCHEMA.read_text()
    assert text.isascii()
    assert json.loads(text) == config.schema()
