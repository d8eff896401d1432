"""Requests that an OpenAPI document leads to, on a real service and as values."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from debloat.core.errors import UsageError
from debloat.core.http import HttpProbe
from debloat.record.http import openapi
from debloat.record.http.description import Description, of_answer, of_file
from debloat.record.http.values import NoValue, Values
from tests.support.petshop import DOCUMENT, PET
from tests.support.sessions import Exercised
from tests.support.shop import serving


@pytest.fixture
def shop() -> Iterator[int]:
    with serving("tests.support.petshop:app") as port:
        yield port


def log(port: int) -> list[dict[str, str]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/log", timeout=10) as answer:
        found: list[dict[str, str]] = json.load(answer)
    return found


def of(document: Any) -> tuple[HttpProbe, ...]:
    return openapi.requests_of(of_answer(json.dumps(document).encode(), "it"))


def paths(*operations: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"openapi": "3.1.0", "paths": {f"/{n}": item for n, item in enumerate(operations)}, **rest}


def lines(probes: tuple[HttpProbe, ...]) -> list[str]:
    return [f"{probe.method} {probe.path}" for probe in probes]


def test_a_service_that_describes_itself(shop: int) -> None:
    first = Exercised({80: shop}, 'openapi = "/openapi.json"')
    assert not first.problems
    asked = [entry["request"] for entry in log(shop)]
    assert asked[0] == "GET /openapi.json"
    assert "GET /api/pets?limit=5&kind=cat" in asked
    assert asked[-1] == "DELETE /api/pets/1"
    assert asked.index("POST /api/pets") < len(asked) - 1 - asked[::-1].index("GET /api/pets/1")
    answers = first.answers
    assert answers["http POST http://:80/api/pets"] == 201
    assert (answers["http GET http://:80/api/pets/1"], answers["http GET http://:80/api/pets/1 (2)"]) == (404, 200)
    assert answers["http DELETE http://:80/api/pets/1"] == 200
    assert answers["http GET http://:80/api/secret"] == 401
    # What the service itself fails at is no probe, and is not waited for; what is deprecated is not asked.
    assert not [name for name in answers if "broken" in name or "busy" in name or "old" in name]
    assert asked.count("GET /api/busy") == 1
    (note,) = [result.detail for result in first.results if result.detail]
    assert note.startswith("openapi /openapi.json: it fails at 2 of ")
    assert note.endswith("which are left out: http GET http://:80/api/broken")
    kinds = {entry["request"]: entry for entry in reversed(log(shop))}
    photo = kinds["POST /api/photos"]
    assert photo["type"] == "multipart/form-data; boundary=----debloat-part"
    assert 'name="photo"; filename="file.txt"' in photo["body"]
    assert kinds["POST /api/contact"]["body"] == "mail=ada%40example.com"
    jsonschema.validate(json.loads(kinds["POST /api/pets"]["body"]), {**PET, "components": DOCUMENT["components"]})


def test_the_minimal_image_is_asked_the_same(shop: int) -> None:
    first = Exercised({80: shop}, 'openapi = "/openapi.json"')
    with serving("tests.support.petshop:app") as other:
        again = Exercised({80: other}, 'openapi = "/openapi.json"', first.probes)
        asked = [entry["request"] for entry in log(other)]
    assert again.answers == first.answers
    assert not [a.name for a, b in zip(first.results, again.results, strict=True) if a.differs(b)]
    assert "GET /api/broken" not in asked


def test_a_token_of_a_login_is_sent(shop: int) -> None:
    text = """
        [[request]]
        http = "POST /api/login"
        save = { token = "json:$.tokens.0.access" }
        [openapi]
        document = "/openapi.json"
        headers = { Authorization = "Bearer {token}" }
    """
    assert Exercised({80: shop}, text).answers["http GET http://:80/api/secret"] == 200


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_document_in_a_file(shop: int, tmp_path: Path, form: str) -> None:
    import yaml

    path = tmp_path / f"openapi.{form}"
    path.write_text(json.dumps(DOCUMENT) if form == "json" else yaml.safe_dump(DOCUMENT))
    seen = Exercised({80: shop}, f'openapi = "{path}"')
    assert not seen.problems
    assert seen.answers["http POST http://:80/api/pets"] == 201
    assert log(shop)[0]["request"] != "GET /openapi.json"


def test_a_service_without_the_document(shop: int) -> None:
    assert Exercised({80: shop}, 'openapi = "/nowhere.json"').problems == {
        "http GET http://:80/nowhere.json": "status 404"
    }
    with pytest.raises(UsageError, match="/api/contact is not an OpenAPI document"):
        Exercised({80: shop}, 'openapi = "/api/contact"')


def test_openapi_2() -> None:
    document = {
        "swagger": "2.0",
        "basePath": "/v2/",
        "consumes": ["application/json"],
        "paths": {
            "/orders/{id}": {
                "parameters": [{"name": "id", "in": "path", "required": True, "type": "string", "format": "uuid"}],
                "get": {
                    "parameters": [
                        {"name": "only", "in": "query", "type": "array", "items": {"type": "string", "default": "a b"}},
                        {"name": "X-Trace", "in": "header", "type": "string", "enum": ["on"], "required": True},
                    ]
                },
                "put": {"parameters": [{"in": "body", "name": "it", "schema": {"$ref": "#/definitions/Order"}}]},
                "post": {
                    "consumes": ["multipart/form-data"],
                    "parameters": [{"in": "formData", "name": "scan", "type": "file"}],
                },
            }
        },
        "definitions": {"Order": {"type": "object", "properties": {"count": {"type": "integer", "default": 3}}}},
    }
    probes = {(probe.method, probe.path.partition("?")[2]): probe for probe in reversed(of(document))}
    get = probes["GET", "only=a+b"]
    assert get.path == "/v2/orders/123e4567-e89b-42d3-a456-426614174000?only=a+b"
    assert get.headers == (("X-Trace", "on"),)
    assert probes["PUT", ""].body == '{"count": 3}'
    assert 'name="scan"; filename="file.txt"' in probes["POST", ""].body


@pytest.mark.parametrize(
    ("servers", "path"),
    [
        ([{"url": "https://a.example/v1/"}], "/v1/0"),
        ([{"url": "/v1"}], "/v1/0"),
        ([{"url": "v1"}], "/v1/0"),
        (
            [{"url": "http://{host}:{port}/x", "variables": {"host": {"default": "a"}, "port": {"default": "1"}}}],
            "/x/0",
        ),
        ([{"url": "http://[bad"}], "/0"),
        ([], "/0"),
        ("nonsense", "/0"),
    ],
)
def test_servers(servers: Any, path: str) -> None:
    assert lines(of(paths({"get": {}}, servers=servers))) == [f"GET {path}"]
    item = {"get": {}, "post": {"servers": [{"url": "/own"}]}}
    assert lines(of(paths(item, servers=servers))) == [f"GET {path}", "POST /own/0"]


@pytest.mark.parametrize(
    ("parameter", "query"),
    [
        ({"schema": {"type": "integer"}}, "q=1"),
        ({"example": "a&b"}, "q=a%26b"),
        ({"schema": {"default": 7, "example": 8}}, "q=8"),
        ({"examples": {"one": {"value": "x"}}, "schema": {"type": "string"}}, "q=x"),
        ({"schema": {"type": "boolean"}}, "q=true"),
        ({"example": [1, 2]}, "q=1%2C2"),
        ({"example": [1, 2], "schema": {}}, "q=1&q=2"),
        ({"example": [1, 2], "schema": {}, "explode": False}, "q=1%2C2"),
        ({"example": [1, 2], "schema": {}, "style": "pipeDelimited"}, "q=1%7C2"),
        ({"example": {"a": 1}, "schema": {}, "style": "deepObject"}, "q%5Ba%5D=1"),
        ({"example": {"a": 1}, "schema": {}}, "a=1"),
        ({"content": {"application/json": {"schema": {"example": {"a": 1}}}}}, "q=%7B%22a%22%3A+1%7D"),
    ],
)
def test_query_parameters(parameter: dict[str, Any], query: str) -> None:
    item = {"get": {"parameters": [{"name": "q", "in": "query", "required": True, **parameter}]}}
    assert lines(of(paths(item))) == [f"GET /0?{query}"]


def test_order_and_number() -> None:
    many: list[dict[str, Any]] = [{"delete": {}, "post": {}, "get": {}} for _ in range(90)]
    found = of(paths(*many))
    assert len(found) == openapi.MAX_REQUESTS
    assert [probe.method for probe in found] == sorted((p.method for p in found), key=["GET", "POST", "DELETE"].index)
    assert {probe.method for probe in found} == {"GET", "POST", "DELETE"}


def test_references_to_other_files(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "pet.yaml").write_text("Pet: {type: object, properties: {name: {$ref: 'name.json'}}}")
    (tmp_path / "parts" / "name.json").write_text('{"type": "string", "example": "Tom"}')
    body = {"content": {"application/json": {"schema": {"$ref": "parts/pet.yaml#/Pet"}}}}
    (tmp_path / "api.json").write_text(json.dumps(paths({"post": {"requestBody": body}})))
    (probe,) = openapi.requests_of(of_file(str(tmp_path / "api.json")))[:1]
    assert probe.body == '{"name": "Tom"}'
    (tmp_path / "parts" / "name.json").unlink()
    with pytest.raises(UsageError, match=r"cannot read .*name.json"):
        openapi.requests_of(of_file(str(tmp_path / "api.json")))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it is no table"),
        ("[]", "it is no table"),
        ("{", "is not an OpenAPI document: Expecting property name"),
        ("a: [", "is not an OpenAPI document: while parsing"),
        ("a: &a [*a]", "it names no version"),
        ("\N{NO-BREAK SPACE}\x00", "is not an OpenAPI document: "),
        ('{"openapi": "4.0.0", "paths": {}}', "is OpenAPI '4.0.0', which is not known"),
        ('{"swagger": "1.2", "paths": {}}', "is OpenAPI '1.2', which is not known"),
        ("openapi: 3.1", "it has no paths"),
        ('{"openapi": "3.0.0", "paths": {}}', "has no operation that can be asked"),
        ('{"openapi": "3.0.0", "paths": {"/a": {"get": {"parameters": 3}, "x": 1}, "b": {"get": {}}}}', ""),
        ('{"a":' * 100_000, "it is nested too deeply"),
        ("a: " + "[" * 100_000, "is not an OpenAPI document"),
        (
            "a: &a {a: 1, b: 2, c: 3}\n"
            + "".join(
                f"{n}: &{n} {{<<: [{', '.join(['*' + p] * 9)}]}}\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)
            ),
            "is not an OpenAPI document: ",
        ),
    ],
)
def test_what_is_no_document(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "openapi.yaml"
    path.write_text(text)
    if not says:
        assert openapi.requests_of(of_file(str(path)))
        return
    with pytest.raises(UsageError) as caught:
        openapi.requests_of(of_file(str(path)))
    assert says in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_a_document_that_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b" " * (16 << 20) + b"{}")
    with pytest.raises(UsageError, match="has more than 16 MB"):
        of_file(str(tmp_path / "a.json"))


LOOP = {"properties": {"child": {"$ref": "#/paths/x"}, "name": {"example": "a"}}}


@pytest.mark.parametrize(
    ("schema", "value", "lean"),
    [
        ({"type": "string"}, "aaaa", "aaaa"),
        ({"type": "string", "maxLength": 2}, "aa", "aa"),
        ({"type": "string", "minLength": 6}, "aaaaaa", "aaaaaa"),
        ({"type": "number", "minimum": 0.5}, 0.5, 0.5),
        ({"type": "integer", "minimum": 3, "exclusiveMinimum": True}, 4, 4),
        ({"type": "integer", "multipleOf": 7, "minimum": 1}, 7, 7),
        ({"type": ["null", "integer"]}, 1, 1),
        ({"type": "null"}, None, None),
        ({"type": "array", "items": {"type": "boolean"}}, [True], []),
        ({"type": "array", "minItems": 2, "items": {"type": "integer"}, "uniqueItems": True}, [1, 2], [1, 2]),
        ({"properties": {"a": {"const": 1}, "b": {"const": 2}}, "required": ["b"]}, {"a": 1, "b": 2}, {"b": 2}),
        ({"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]}, {"a": 1, "b": 2}, {}),
        ({"oneOf": [{"type": "null"}, {"type": "string", "pattern": "("}, {"const": 3}]}, 3, 3),
        ({"anyOf": [{"enum": ["x", "y"]}]}, "x", "x"),
        ({"$ref": "#/paths/x"}, {"name": "a"}, {}),
        ({"type": "array", "items": {"$ref": "#/paths/list"}}, [{"of": []}], []),
        ({"default": {"a": [1]}}, {"a": [1]}, {"a": [1]}),
        ({"examples": [None, 2]}, 2, 2),
    ],
)
def test_values(schema: Any, value: Any, lean: Any) -> None:
    description = Description({"openapi": "3.1", "paths": {"x": LOOP, "list": {"properties": {"of": schema}}}}, "it")
    assert Values(description).of(schema) == value
    assert Values(description, lean=True).of(schema) == lean


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 5, "maximum": 1},
        {"type": "string", "pattern": "("},
        {"type": "string", "minLength": 1 << 40},
        {"type": "array", "minItems": 1 << 40},
        {"properties": {"it": {"$ref": "#/paths/loop"}}, "required": ["it"]},
        {"oneOf": []},
    ],
)
def test_schemas_without_a_value(schema: Any) -> None:
    loop = {"properties": {"it": {"$ref": "#/paths/loop"}}, "required": ["it"]}
    with pytest.raises(NoValue):
        Values(Description({"openapi": "3.1", "paths": {"loop": loop}}, "it")).of(schema)


def test_values_are_the_same_in_every_run(tmp_path: Path) -> None:
    """And nothing is left where debloat is started."""
    (tmp_path / "here").mkdir()
    (tmp_path / "openapi.json").write_text(json.dumps(DOCUMENT))
    code = (
        "from debloat.record.http import description, openapi\n"
        f"print(openapi.requests_of(description.of_file({str(tmp_path / 'openapi.json')!r})))"
    )
    environment = {
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "XDG_CACHE_HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "here", env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(openapi.requests_of(of_file(str(tmp_path / "openapi.json"))))
    assert not list((tmp_path / "here").iterdir())


BOUNDS = {"minimum": st.integers(-9, 9), "maximum": st.integers(-9, 9), "multipleOf": st.integers(1, 5)}
LENGTHS = {"minLength": st.integers(0, 9), "maxLength": st.integers(0, 9)}
LEAVES = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["integer", "number"])}, optional=BOUNDS),
    st.fixed_dictionaries({"type": st.just("string")}, optional=LENGTHS),
    st.fixed_dictionaries({"type": st.just("string"), "pattern": st.sampled_from(["^a+$", "[0-9]{3}", "^x|y$"])}),
    st.sampled_from([{"type": "boolean"}, {"type": ["null", "string"]}, {"enum": [None, 3]}, {"const": "c"}]),
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.fixed_dictionaries(
            {"type": st.just("array"), "items": inner},
            optional={"minItems": st.integers(0, 2), "maxItems": st.integers(0, 2)},
        ),
        st.fixed_dictionaries(
            {"type": st.just("object")},
            optional={
                "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
                "required": st.lists(st.sampled_from("abc"), unique=True),
            },
        ),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=2)}),
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(SCHEMAS, st.booleans())
def test_a_value_is_one_that_its_schema_takes(schema: Any, lean: bool) -> None:
    values = Values(Description({"openapi": "3.1.0", "paths": {}}, "it"), lean=lean)
    try:
        value = values.of(schema)
    except NoValue:
        return
    jsonschema.validate(value, schema)
    assert json.dumps(values.of(schema)) == json.dumps(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from(
    [
        *("type", "properties", "items", "required", "allOf", "oneOf", "enum", "example", "default", "$ref", "format"),
        *(
            "minLength",
            "minItems",
            "minimum",
            "pattern",
            "parameters",
            "requestBody",
            "content",
            "schema",
            "in",
            "name",
        ),
        *("application/json", "multipart/form-data", "get", "post", "/a/{id}", "servers", "url", "consumes", "style"),
    ]
)
VALUES = st.sampled_from(
    [
        *("object", "array", "string", "integer", "query", "path", "header", "cookie", "formData", "body", "file"),
        *("#/paths", "#", "#/paths/~1a", "other.json", "http://a.invalid/x", "(", "deepObject", "uuid", "uri"),
    ]
)
PARTS = st.recursive(
    JSON | VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5), max_leaves=25
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(st.sampled_from(["/a", "/a/{id}", "x"]), PARTS, max_size=3), PARTS, st.sampled_from(["2.0", "3.1"])
)
def test_whatever_a_document_says_is_requests_or_one_sentence(raw: Any, servers: Any, version: str) -> None:
    document = {
        "swagger" if version == "2.0" else "openapi": version,
        "paths": raw,
        "servers": servers,
        "basePath": "/v",
    }
    try:
        found = openapi.requests_of(of_answer(json.dumps(document).encode(), "it"))
    except UsageError:
        return
    for probe in found:
        assert probe.path.startswith("/")
        assert not set(probe.path) & set(" \r\n\0")
        assert all("\n" not in value and "\r" not in value for _, value in (*probe.headers, *probe.cookies))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_document_or_one_sentence(data: bytes) -> None:
    with pytest.raises(UsageError):
        of_answer(data, "it")
