"""What settings come to: scenarios, policy, how the container is run."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from debloat.core import config, recipe, table
from debloat.core.apis import ApiDescription
from debloat.core.errors import UsageError
from debloat.core.http import Crawl, Expectation, HttpProbe
from debloat.core.model import Level
from debloat.core.recipe import Readiness, RunOptions, RunSettings, Settings


@pytest.mark.parametrize(
    ("text", "probe"),
    [
        ("/", HttpProbe()),
        ("POST /login", HttpProbe("POST", "/login")),
        ("post  /login", HttpProbe("POST", "/login")),
        (":8080/x?y=1", HttpProbe("GET", "/x?y=1", 8080)),
        ("80:/", HttpProbe("GET", "/", 80)),
        ("https://:8443/a", HttpProbe("GET", "/a", 8443, "https")),
        ("https://:8443", HttpProbe("GET", "/", 8443, "https")),
        ("https:///a", HttpProbe("GET", "/a", 0, "https")),
    ],
)
def test_http_probe(text: str, probe: HttpProbe) -> None:
    assert HttpProbe.parse(text) == probe


@pytest.mark.parametrize("text", ["", "login", "FETCH /", "http://example.org/", "/ /", "GET"])
def test_no_http_probe(text: str) -> None:
    with pytest.raises(UsageError):
        HttpProbe.parse(text)


def made(text: str) -> recipe.Recipe:
    return recipe.recipe(config.settings(tomllib.loads(text)))


def test_nothing_said_is_one_scenario_by_default() -> None:
    assert made("") == recipe.Recipe()


def test_args_alone_are_the_scenarios() -> None:
    got = made('args = ["a b", "\'c d\'"]')
    assert [s.args for s in got.scenarios] == [("a", "b"), ("c d",)]


def test_probes_and_args_are_all_scenarios() -> None:
    got = made('http = ["/"]\nargs = ["x"]\n[[scenario]]\nname = "worker"\nexec = ["true"]\n')
    assert [s.name for s in got.scenarios] == ["default", "args x", "worker"]
    assert (got.scenarios[0].http, got.scenarios[2].exec) == ((HttpProbe(),), ("true",))


def test_scenarios_without_a_name_are_numbered_and_names_are_made_to_differ() -> None:
    got = made('[[scenario]]\nargs = "a"\n[[scenario]]\nname = "b"\n[[scenario]]\nname = "b"\n')
    assert [s.name for s in got.scenarios] == ["scenario 1", "b", "b (2)"]


def test_the_words_of_a_scenario_may_be_a_list() -> None:
    got = made('[[scenario]]\nargs = "a \'b c\'"\n[[scenario]]\nargs = ["a", "b c"]\n[[scenario]]\nargs = []\n')
    assert [s.args for s in got.scenarios] == [("a", "b c"), ("a", "b c"), ()]


def test_scenario_options_lie_over_the_common_ones() -> None:
    text = (
        '[run_options]\nenv = {A = "1"}\ninit = true\n[[scenario]]\nargs = ["x"]\n[scenario.run_options]\nuser = "7"\n'
    )
    options = made(text).scenarios[-1].options
    assert (options.init, options.user, dict(options.env)) == (True, "7", {"A": "1"})


def test_a_scenario_can_take_back_what_is_common() -> None:
    """What a table says counts, an empty list and `false` too; what it does not say stays."""
    common = '[run_options]\ntmpfs = ["/run"]\nread_only = true\nvolumes = ["/data"]\n'
    taken = made(f"{common}[[scenario]]\nrun_options = {{ tmpfs = [], read_only = false }}\n").scenarios[0].options
    assert (taken.tmpfs, taken.read_only, taken.volumes) == ((), False, ("/data",))


def test_every_option_of_a_container_can_be_set() -> None:
    assert [f.name for f in RunSettings.__dataclass_fields__.values()] == list(RunOptions.__struct_fields__)


def test_levels_by_path() -> None:
    got = made('level = "exact"\n[levels]\n"/opt/**" = "package"')
    assert got.policy.level_of("/opt/x") is Level.PACKAGE
    assert got.policy.level_of("/usr/x") is Level.EXACT


def test_limits_in_seconds() -> None:
    assert (made("ready = 5\ntimeout = 0.5").ready, made("timeout = 0.5").timeout, made("").ready) == (5.0, 0.5, 60.0)


def test_when_a_service_is_ready() -> None:
    text = '[ready]\nseconds = 5\nport = 5432\nlog = "up"\nexec = "pg_isready -q"\n'
    text += 'http = ":8080/health"\nhealthcheck = true\n'
    got = made(text)
    said = Readiness(5432, HttpProbe("GET", "/health", 8080), "up", "pg_isready -q", healthcheck=True)
    assert (got.ready, got.scenarios[0].until) == (5.0, said)
    assert str(said) == "port 5432, http GET :8080/health, log up, exec pg_isready -q, HEALTHCHECK"
    assert said.ports == {5432, 8080}
    assert made("ready = 5").scenarios[0].until is made("[ready]\nseconds = 5").scenarios[0].until is None


def test_flags_lie_over_the_file() -> None:
    file = config.settings({"http": ["/a"], "level": "exact", "run_options": {"env": {"A": "1"}, "init": True}})
    flags = config.settings({"http": ["/a", "/b"], "level": "safe", "run_options": {"env": {"B": "2"}}})
    got = table.merged(file, flags)
    assert [probe.path for probe in got.http] == ["/a", "/b"]
    assert got.level is Level.SAFE
    assert got.run_options == RunSettings(env={"A": "1", "B": "2"}, init=True)
    assert table.merged(file, Settings()) == table.merged(Settings(), file) == file


def test_what_a_request_sends() -> None:
    text = """
        [[request]]
        http = "POST :8080/login"
        name = "as a guest"
        basic = "ada:s:t"
        form = { user = "ada", age = 7 }
        expect = { status = 200, header = { A = "b" }, json = { ok = true } }
    """
    (request,) = made(text).scenarios[0].requests
    assert request.name == "http POST :8080/login (as a guest)"
    assert request.headers == (("Authorization", "Basic YWRhOnM6dA=="),)
    assert request.form == (("user", "ada"), ("age", "7"))
    assert request.expect == Expectation((200,), (("A", "b"),), "", '{"ok": true}')
    assert made('[[request]]\nhttp = "/"').scenarios[0].requests == (HttpProbe(),)


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ('body = "x"\njson = 1', "request 1 has body and json: a request has one body"),
        ('form = { a = 1 }\nbody_file = "/etc/hostname"', "request 1 has body_file and form or files"),
        ('body_file = "/nowhere"', "request 1: cannot read /nowhere"),
        ('files = { a = "/etc" }', "request 1: cannot read /etc"),
        ('files = { a = "\\u0000" }', "request 1: cannot read"),
    ],
)
def test_what_cannot_be_sent(request_: str, says: str) -> None:
    for above in ("[[request]]", "[[scenario]]\n[[scenario.request]]"):
        with pytest.raises(UsageError, match=says):
            made(f'{above}\nhttp = "POST /"\n{request_}')


def test_a_crawl_starts_at_the_pages_that_are_asked_for() -> None:
    assert made("crawl = 5").scenarios[0].crawl == Crawl(5, ("/",))
    text = 'crawl = 5\nhttp = ["/a", "POST /b", "/c", "/a"]\n[[scenario]]\ncrawl = 2\nhttp = ["/d"]'
    assert [scenario.crawl for scenario in made(text).scenarios] == [Crawl(5, ("/a", "/c")), Crawl(2, ("/d",))]
    assert made("crawl = 0").scenarios[0].crawl is None


def test_masks_hold_in_every_scenario() -> None:
    got = made('masks = ["a+"]\nargs = ["x"]\n[[scenario]]\nhttp = ["/"]')
    assert [scenario.masks for scenario in got.scenarios] == [("a+",)] * 2


def test_what_describes_requests_and_other_conversations(tmp_path: Path) -> None:
    (tmp_path / "a.har").write_text("{}")
    text = f"""
        openapi = "https://:8443/openapi.json"
        har = ["{tmp_path / "a.har"}"]
        grpc = [":50051", "https://:50052"]
        [[websocket]]
        url = "wss://:443/chat?room=1"
        name = "as a guest"
        send = ["a"]
        [[scenario]]
        grpc = true
        [scenario.openapi]
        document = "/openapi.json"
        headers = {{ A = "b" }}
    """
    first, second = made(text).scenarios
    assert first.openapi == ApiDescription("https://:8443/openapi.json")
    assert first.har == (str(tmp_path / "a.har"),)
    assert first.grpc == (HttpProbe(port=50051), HttpProbe(port=50052, scheme="https"))
    assert first.websockets[0].name == "websocket wss://:443/chat?room=1 (as a guest)"
    assert second.openapi == ApiDescription("/openapi.json", (("A", "b"),))
    assert second.grpc == (HttpProbe(),)
    assert first.probes
    assert second.probes
    assert not made("grpc = false").scenarios[0].probes


def test_a_file_is_meant_before_a_path_of_the_service(tmp_path: Path) -> None:
    path = tmp_path / "openapi.json"
    path.write_text("{}")
    api = made(f'openapi = "{path}"').scenarios[0].openapi
    assert api is not None
    assert api.is_file


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("openapi = 'nowhere.yaml'", "openapi: cannot read nowhere.yaml"),
        ("openapi = 'https://other.example/openapi.json'", "openapi: cannot read https://other.example"),
        ("har = ['/nowhere.har']", "har: cannot read /nowhere.har"),
        ("[[scenario]]\nhar = ['/etc']", "scenario 1, har: cannot read /etc"),
    ],
)
def test_files_that_are_not_there(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        made(text)
