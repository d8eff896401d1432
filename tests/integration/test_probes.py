"""Probes and run options: what is asked shows in the files that `exact` keeps and in the report's answers."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
from dataclasses import dataclass
from typing import Any

import pytest

from debloat.engine.docker import DockerEngine
from tests.integration.conftest import Builds
from tests.integration.harness import Place, in_base, saved
from tests.integration.programs import OWN_LISTENER, WEB, WEB_FILES, static

pytestmark = pytest.mark.engine


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a run: its report, the names of the minimal image, and what it said."""

    report: dict[str, Any]
    kept: set[str]
    err: str

    @property
    def answers(self) -> dict[str, str]:
        return {answer["probe"]: answer["before"]["outcome"] for answer in self.report["answers"]}

    @property
    def pages(self) -> set[str]:
        """What is kept of `/srv`."""
        return {path.removeprefix("/srv/") for path in self.kept if path.startswith("/srv/")}


def exact(place: Place, image: str, *argv: str) -> Seen:
    # A name of its own: an image that loses its name to another one stays, as after `docker build`.
    target = f"{image}-{secrets.token_hex(3)}"
    done = place.debloat(image, "--level", "exact", "-t", target, "--json", "report.json", *argv)
    assert done.code == 0, done.err
    return Seen(json.loads((place.here / "report.json").read_text()), set(saved(target)), done.err)


@pytest.fixture(scope="module")
def web(shared: Place) -> str:
    return shared.build(in_base(WEB), WEB_FILES, "web")


# ------------------------------------------------------------------------------------------------------------ datagrams

TAKES_DATAGRAMS = r"""#!/usr/bin/perl
use strict; use warnings; use IO::Socket::INET;
$SIG{TERM} = sub { exit 0 };
my $socket = IO::Socket::INET->new(Proto => 'udp', LocalPort => 1812) or die "cannot bind: $!";
open(my $in, '<', '/srv/users') or die; close $in;
while ($socket->recv(my $data, 4096)) { }
"""


def test_a_service_that_takes_datagrams_of_an_unknown_protocol_is_seen_to(place: Place) -> None:
    """It was refused after a minute, for there was nothing to ask it; one of its ports is not in use."""
    lines = 'COPY taker /usr/local/bin/\nCOPY users /srv/\nEXPOSE 1812/udp 1813/udp\nCMD ["taker"]\n'
    image = place.build(in_base(lines), {"taker!": TAKES_DATAGRAMS, "users": "x"})
    seen = exact(place, image)
    assert seen.answers == {"bound 1812/udp": "bound", "stop": "exit code 0"}
    assert "/srv/users" in seen.kept
    assert "port 1812/udp was only seen to be bound" in seen.err


# ----------------------------------------------------------------------------------------------------------------- HTTP


def test_without_a_probe_each_exposed_port_is_asked(shared: Place, web: str) -> None:
    seen = exact(shared, web)
    assert seen.pages == {"get-plain", "get-encoded", "page_"}
    assert seen.answers == {
        "http GET http://:80/": "status 200",
        "http GET http://:80/ (compressed)": "status 200",
        "stop": "exit code 0",
    }


def test_ports_that_are_published_elsewhere(shared: Place, web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with an engine over TCP, or its socket mounted into a container: requests go through the sensor."""
    monkeypatch.setattr(DockerEngine, "reaches", lambda engine, network: False)
    monkeypatch.setattr("debloat.record.session.published_here", lambda port, *, datagrams: False)
    seen = exact(shared, web, "--http", "/there")
    assert seen.answers["http GET http://:80/there"] == "status 200"
    assert seen.pages == {"get-plain", "get-encoded", "page_there"}


@pytest.mark.parametrize("beside", [True, False])
def test_ports_are_published_where_there_is_no_other_way(
    shared: Place, web: str, monkeypatch: pytest.MonkeyPatch, beside: bool
) -> None:
    """Clients find the service either way; to publish a port takes the engine longer than to start a container."""
    if not beside:
        monkeypatch.setattr(DockerEngine, "reaches", lambda engine, network: False)
    asked = 'test "$(docker port $DEBLOAT_CONTAINER)" = ' + ("''" if beside else '"80/tcp -> 127.0.0.1:$DEBLOAT_PORT"')
    seen = exact(shared, web, "--http", "/there", "--run", asked)
    assert seen.answers["http GET http://:80/there"] == "status 200"
    assert seen.answers[f"run {asked}"] == "exit code 0"


def test_a_container_in_the_network_of_this_machine(place: Place) -> None:
    """It publishes nothing: its service is asked where it listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    image = place.build(in_base(WEB, f"EXPOSE {port}", f'ENTRYPOINT ["server", "port", "{port}"]'), WEB_FILES)
    seen = exact(place, image, "--network", "host", "--http", f":{port}/other")
    assert seen.answers[f"http GET http://:{port}/other"] == "status 200"


def test_a_container_without_a_network_is_asked_from_within(place: Place) -> None:
    image = place.build(in_base(WEB), WEB_FILES)
    assert exact(place, image, "--network", "none").answers["http GET http://:80/"] == "status 200"


def test_methods_and_paths(shared: Place, web: str) -> None:
    seen = exact(shared, web, "--http", "POST /other", "--http", "HEAD :80/there")
    assert seen.pages == {"post-plain", "post-encoded", "page_other", "head-plain", "head-encoded", "page_there"}
    assert "http POST http://:80/other" in seen.answers


def test_requests_and_pages_that_links_lead_to(place: Place, web: str) -> None:
    (place.here / "debloat.toml").write_text(
        'http = ["/redirect"]\ncrawl = 5\n[[request]]\nhttp = "/other"\nexpect = { body = "the page other" }\n'
    )
    seen = exact(place, web)
    assert seen.pages == {"get-plain", "get-encoded", "page_redirect", "page_other", "page_there"}
    assert seen.answers["http GET http://:80/there"] == "status 200"
    (place.here / "debloat.toml").write_text('[[request]]\nhttp = "/missing"\nexpect = { status = 200 }\n')
    done = place.debloat(web)
    assert done.code == 4
    assert "http GET http://:80/missing: expected status 200, it is 404" in done.err


def test_a_recorded_session_and_a_description(place: Place, web: str) -> None:
    recorded = [{"request": {"method": "GET", "url": "https://shop.example/other"}}]
    (place.here / "session.har").write_text(json.dumps({"log": {"version": "1.2", "entries": recorded}}))
    (place.here / "openapi.json").write_text('{"openapi": "3.1.0", "paths": {"/there": {"get": {}}}}')
    seen = exact(place, web, "--har", "session.har", "--openapi", "openapi.json")
    assert seen.pages == {"get-encoded", "page_other", "page_there"}
    assert seen.answers["http GET http://:80/there"] == "status 200"
    (place.here / "openapi.json").write_text('{"openapi": "9.0", "paths": {}}')
    done = place.debloat(web, "--openapi", "openapi.json")
    assert done.code == 2
    assert "openapi.json is OpenAPI '9.0', which is not known" in done.err
    assert not place.left()


@pytest.mark.parametrize(("path", "status"), [("/redirect", 302), ("/missing", 404), ("/busy", 200)])
def test_what_counts_as_an_answer(shared: Place, web: str, path: str, status: int) -> None:
    """A redirect is an answer and not followed, so is 404; 503 is a service that comes up, and asked again."""
    seen = exact(shared, web, "--http", path)
    assert seen.answers[f"http GET http://:80{path}"] == f"status {status}"
    assert f"page_{path.strip('/')}" in seen.pages
    assert "page_there" not in seen.pages


def test_a_service_that_listens_late(place: Place) -> None:
    image = place.build(in_base(WEB, 'CMD ["late", "700"]'), WEB_FILES)
    assert exact(place, image).answers["http GET http://:80/"] == "status 200"


def test_a_port_that_speaks_no_http(place: Place) -> None:
    image = place.build(in_base(WEB, 'CMD ["mode", "raw"]'), WEB_FILES)
    seen = exact(place, image)
    assert seen.answers == {"connect 80": "connected", "stop": "exit code 0"}
    assert "port 80 speaks no HTTP and was only connected to" in seen.err


def test_exposed_ports_that_are_off(place: Place) -> None:
    image = place.build(in_base(WEB, "EXPOSE 81 9000", 'CMD ["port", "81"]'), WEB_FILES)
    seen = exact(place, image)
    assert set(seen.answers) == {"http GET http://:81/", "http GET http://:81/ (compressed)", "stop"}
    for port in (80, 9000):
        assert f"nothing listens on the exposed port {port}" in seen.err


@pytest.mark.network
@pytest.mark.parametrize("fixture", ["nginx"])
def test_a_tls_port_is_found_out(place: Place, builds: Builds, fixture: str) -> None:
    image = place.adopt(builds.image(fixture))
    target = place.images.name("slim")
    done = place.debloat(image, "--level", "exact", "-t", target, "--json", "report.json")
    assert done.code == 0, done.err
    probes = {a["probe"] for a in json.loads((place.here / "report.json").read_text())["answers"]}
    assert {"http GET http://:80/", "http GET https://:443/"} <= probes


# ------------------------------------------------------------------------------------------------- commands, scenarios


def test_commands_on_the_host_find_the_service(shared: Place, web: str) -> None:
    out = shared.here / "env"
    script = (
        'printf "%s\\n" "$DEBLOAT_HOST" "$DEBLOAT_PORT" "$DEBLOAT_PORT_80" "$DEBLOAT_URL" "$DEBLOAT_CONTAINER"'
        f" >> {out};"
        " python3 -c \"import os, urllib.request as u; u.urlopen(os.environ['DEBLOAT_URL'] + '/other')\""
    )
    seen = exact(shared, web, "--run", script)
    assert "page_other" in seen.pages
    rows = out.read_text().split("\n")
    for host, port, again, url, container in (rows[0:5], rows[5:10]):
        assert (host, again, url) == ("127.0.0.1", port, f"http://127.0.0.1:{port}")
        assert len(container) == 64
    assert rows[4] != rows[9]


USERS = """RUN groupadd -g 2000 readers && useradd -u 1500 -G readers app
RUN chgrp readers /srv/secret && chmod 640 /srv/secret
USER app"""


def test_commands_run_as_the_user_with_its_groups(place: Place) -> None:
    files = {**WEB_FILES, "srv/secret": "secret\n"}
    image = place.build(in_base(WEB, USERS, 'CMD ["port", "8080"]', "EXPOSE 8080"), files)
    seen = exact(place, image, "--exec", "cat /srv/secret", "--exec", "id -u")
    assert "secret" in seen.pages
    assert seen.answers["exec cat /srv/secret"] == "exit code 0"
    as_root = exact(place, image, "--user", "0", "--exec", "cat /etc/shadow")
    assert "/etc/shadow" in as_root.kept
    place.config("ready = 1")
    assert place.debloat(image, "--exec", "cat /etc/shadow").code == 4


def test_the_health_check_is_the_default(place: Place) -> None:
    image = place.build(
        in_base("COPY srv /srv", 'HEALTHCHECK CMD ["cat", "/srv/page_other"]', 'CMD ["sleep", "600"]'), WEB_FILES
    )
    seen = exact(place, image)
    assert seen.pages == {"page_other"}
    assert seen.answers["healthcheck"] == "exit code 0"


TOOL = '#!/bin/sh\nexec cat "/srv/page_$1" "/srv/page_$2"\n'


def test_arguments_are_scenarios(place: Place) -> None:
    image = place.build(
        in_base("COPY tool /usr/bin/", "COPY srv /srv", 'ENTRYPOINT ["tool"]', 'CMD ["error", "error"]'),
        {**WEB_FILES, "tool!": TOOL},
    )
    seen = exact(place, image, "--args", "other there", "--args", "'busy' missing")
    assert seen.pages == {"page_other", "page_there", "page_busy", "page_missing"}
    scenarios = {a["scenario"] for a in seen.report["answers"]}
    assert scenarios == {"args other there", "args busy missing"}


def test_scenarios_of_a_configuration(place: Place) -> None:
    image = place.build(in_base(WEB), WEB_FILES)
    place.config(
        "[run_options]\nenv = { A = '1' }\n"
        "[[scenario]]\nname = 'web'\nhttp = ['/other']\n"
        "[[scenario]]\nname = 'other port'\nargs = 'port 8000'\nhttp = [':8000/there']\n"
    )
    seen = exact(place, image)
    assert {"page_other", "page_there"} <= seen.pages
    assert {a["scenario"] for a in seen.report["answers"]} == {"web", "other port"}


ROLES = """#!/bin/sh
set -eu
case $1 in
    sorter) printf 'b\\na\\n' | sort ;;
    counter) printf 'b\\na\\n' | wc -l ;;
esac
"""


def test_an_image_with_two_roles_is_whole_with_the_traces_of_both(place: Place) -> None:
    """As staging records them, each where it runs: by one alone, the image lacks what the other needs."""
    image = place.build(in_base("COPY role /usr/bin/", 'ENTRYPOINT ["role"]'), {"role!": ROLES})
    said = {"sorter": "a\nb\n", "counter": "2\n"}
    place.config("level = 'exact'")
    for role in said:
        assert place.debloat("record", image, "--args", role, "--save-trace", f"{role}.trace").code == 0
    for role, other in (("sorter", "counter"), ("counter", "sorter")):
        alone, both = place.images.name(f"{role}-alone"), place.images.name(f"{role}-both")
        assert place.debloat(image, "-q", "--args", role, "-t", alone).code == 0
        assert run(alone, role).stdout == said[role]
        assert run(alone, other).returncode != 0
        assert place.debloat(image, "-q", "--args", role, "--trace", f"{other}.trace", "-t", both).code == 0
        assert {name: run(both, name).stdout for name in said} == said
        assert "because of probe:start of args sorter\n" in place.debloat("why", both, "/usr/bin/sort").out


def run(image: str, *argv: str) -> subprocess.CompletedProcess[str]:
    words = ["docker", "run", "--rm", "--network", "none", image, *argv]
    return subprocess.run(words, capture_output=True, text=True, timeout=60)


# --------------------------------------------------------------------------------------------------- how it is run

LOOK = r"""#!/bin/sh
# Fails unless the container is run as it was asked to be.
set -eu
for word in "$@"; do
    case $word in
        env) [ "$WORD" = "two words" ] ;;
        volume) [ "$(cat /volume/given)" = "from outside" ] ;;
        anonymous) touch /anonymous/made ;;
        read-only) ! touch /made 2>/dev/null ;;
        tmpfs) touch /scratch/made ;;
        init) read -r name < /proc/1/comm; [ "$name" != look ] && [ "$name" != sensor ] ;;
        pid1) [ $$ = 1 ] ;;
        user) [ "$(id -u):$(id -g)" = 1234:2345 ] ;;
        no-new-privs) while read -r key value; do [ "$key" != NoNewPrivs: ] || break; done </proc/self/status
            [ "$value" = 1 ] ;;
        none) [ "$(ls /sys/class/net)" = lo ] ;;
    esac || { echo "not as asked: $word" >&2; exit 1; }
done
cat /etc/issue
"""


@pytest.fixture(scope="module")
def look(shared: Place) -> str:
    return shared.build(in_base("COPY look /usr/bin/", 'ENTRYPOINT ["look"]'), {"look!": LOOK}, "look")


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("env", ("-e", "WORD=two words")),
        ("volume", ("-v", "{here}/given:/volume:ro")),
        ("anonymous", ("-v", "/anonymous")),
        ("read-only tmpfs", ("--read-only", "--tmpfs", "/scratch")),
        ("init", ("--init",)),
        ("user", ("--user", "1234:2345")),
        ("none", ("--network", "none")),
    ],
)
def test_options_of_the_run(shared: Place, look: str, words: str, options: tuple[str, ...]) -> None:
    given = shared.here / "given"
    given.mkdir(exist_ok=True)
    (given / "given").write_text("from outside\n")
    seen = exact(shared, look, "--args", words, *(option.format(here=shared.here) for option in options))
    assert "/etc/issue" in seen.kept
    assert not {"/volume/given", "/anonymous/made", "/made", "/scratch/made"} & seen.kept
    assert shared.left() == []


def test_no_new_privs(place: Place, look: str) -> None:
    """What is started has it recorded and replayed: CMD, and a command in a container at work."""
    place.config("[run_options]\nno_new_privs = true\n")
    assert exact(place, look, "--args", "no-new-privs").answers == {"run args no-new-privs": "exit code 0"}
    service = place.build(in_base("COPY look /usr/bin/", 'CMD ["sleep", "600"]'), {"look!": LOOK}, "service")
    assert exact(place, service, "--exec", "look no-new-privs").answers["exec look no-new-privs"] == "exit code 0"


def test_without_no_new_privs(place: Place, look: str) -> None:
    done = place.debloat(look, "--args", "no-new-privs")
    assert done.code == 4
    assert "not as asked: no-new-privs" in done.err


def test_an_init_of_the_image(place: Place) -> None:
    """A program that must be PID 1 and reaps children is one while it is recorded."""
    image = place.build(
        in_base("COPY look /usr/bin/", 'ENTRYPOINT ["look"]', 'CMD ["env"]', 'ENV WORD="two words"'), {"look!": LOOK}
    )
    assert exact(place, image).answers == {"run CMD": "exit code 0"}


# ----------------------------------------------------------------------------------------------------- the way it stops


@pytest.mark.parametrize(
    ("term", "signals"),
    [("exit", ["SIGTERM"]), ("none", ["SIGKILL"]), ("ignore", ["SIGKILL"]), ("again", ["SIGTERM", "SIGKILL"])],
)
def test_no_grace_is_waited_out_in_vain(
    place: Place, monkeypatch: pytest.MonkeyPatch, term: str, signals: list[str]
) -> None:
    """A PID 1 without a handler ignores the stop signal, also when it raises it again itself, as Node does."""
    monkeypatch.setattr("debloat.record.session.STOP_GRACE", 3600.0)
    sent = []
    kill = DockerEngine.kill

    def note(engine: DockerEngine, container: str, name: str) -> None:
        sent.append(name)
        kill(engine, container, name)

    monkeypatch.setattr(DockerEngine, "kill", note)
    image = place.build(in_base(WEB, f'CMD ["term", "{term}"]'), WEB_FILES)
    exact(place, image, "--no-verify")
    assert sent == signals


def test_the_stop_signal_of_the_image_is_sent_and_recorded(place: Place) -> None:
    server = "#!/usr/bin/perl\n$SIG{USR2} = sub { open my $f, '<', '/srv/page_other'; exit 3 };\nsleep 1 while 1;\n"
    image = place.build(
        in_base("COPY stop /usr/bin/", "COPY srv /srv", "STOPSIGNAL SIGUSR2", "HEALTHCHECK CMD true", 'CMD ["stop"]'),
        {**WEB_FILES, "stop!": server},
    )
    seen = exact(place, image)
    assert seen.pages == {"page_other"}
    assert seen.answers["stop"] == "exit code 3"


# ------------------------------------------------------------------------------------------------ the recorder at fault


def test_a_program_that_the_recorder_disturbs_is_recorded_otherwise(place: Place) -> None:
    """A program with a seccomp listener of its own cannot be recorded by another one."""
    program = static(OWN_LISTENER, place.here)
    image = place.build(
        'FROM scratch\nCOPY app greeting /\nENTRYPOINT ["/app"]', {"app!": program, "greeting": "hello\n"}
    )
    seen = exact(place, image)
    assert {"/app", "/greeting"} <= seen.kept
    assert seen.report["mechanisms"] == ["ptrace"]
    assert "recorded by ptrace" in seen.err


@pytest.mark.parametrize("mechanism", ["notify", "ptrace"])
def test_both_mechanisms_give_the_same_image(shared: Place, web: str, mechanism: str) -> None:
    seen = exact(shared, web, "--mechanism", mechanism)
    assert seen.report["mechanisms"] == [mechanism]
    assert seen.pages == {"get-plain", "get-encoded", "page_"}
