"""A web service, its database and its cache, started by the distribution's Compose: recorded, cut, proven together."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator

import docker
import pytest

from debloat.engine.base import RUN_LABEL
from debloat.record import trace
from tests.integration.conftest import Builds
from tests.integration.harness import LIMIT, Place, until
from tests.support.engines import BASE

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("docker-compose") is None, reason="there is no docker-compose here"),
]

STACK = """
services:
  web:
    build: ./web
    image: IMAGE:web
    container_name: storefront
    ports: ["18437:8000"]
    env_file: web.env
    secrets: [greeting]
    depends_on:
      db: {condition: service_healthy}
      cache: {condition: service_started}
    x-debloat: {http: ["/"], level: exact}
  db:
    image: IMAGE:db
    environment: {POSTGRES_PASSWORD: "ses$$ame"}
    healthcheck:
      test: [CMD, pg_isready, -h, 127.0.0.1, -U, postgres]
      interval: 500ms
      timeout: 10s
      retries: 120
    volumes: ["data:/var/lib/postgresql/data"]
    x-debloat: {exec: ["psql -U postgres -c 'select 1'"], level: exact}
  cache:
    image: IMAGE:cache
    restart: always
    x-debloat: {level: exact}
  tools: {image: nowhere.invalid/tools, profiles: [debug]}
secrets:
  greeting: {file: ./greeting}
volumes:
  data: {}
"""

WEB = """
import http.server, os, socket, struct

def ask(host, port, data):
    with socket.create_connection((host, port), 5) as connection:
        connection.sendall(data)
        return connection.recv(100)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        hello = struct.pack("!i", 196608) + b"user\\0postgres\\0database\\0postgres\\0\\0"
        login = ask(os.environ["DATABASE"], 5432, struct.pack("!i", len(hello) + 4) + hello)
        ask("cache", 6379, b"SET seen once\\r\\n")
        with open("/run/secrets/greeting", "rb") as greeting:
            body = greeting.read() + login + ask("cache", 6379, b"GET seen\\r\\n")
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""


@pytest.fixture
def stack(place: Place, builds: Builds) -> Iterator[Place]:
    """A directory with the stack; the images of database and cache under names of this test."""
    for service, fixture in (("db", "postgres"), ("cache", "redis")):
        place.client.tag(builds.image(fixture), place.images.repository, service, force=True)
    base = builds.image("flask")
    (place.here / "web").mkdir()
    (place.here / "web" / "app.py").write_text(WEB)
    (place.here / "web" / "Dockerfile").write_text(
        f'FROM {base}\nCOPY app.py /srv/\nEXPOSE 8000\nCMD ["python3", "/srv/app.py"]\n'
    )
    (place.here / "web.env").write_text("DATABASE=db\n")
    (place.here / "greeting").write_text("hello ")
    (place.here / "compose.yaml").write_text(STACK.replace("IMAGE", place.images.repository))
    yield place
    assert left(place.client, os.getpid()) == []


def left(client: docker.APIClient, process: int) -> list[str]:
    """What runs of a process have left of stacks."""
    by_label = {"label": RUN_LABEL}
    found = [
        *client.containers(all=True, filters=by_label),
        *client.networks(filters=by_label),
        *(client.volumes(filters=by_label)["Volumes"] or ()),
    ]
    return [str(thing) for thing in found if f"-{process}-" in thing["Labels"][RUN_LABEL]]


@pytest.mark.network
def test_web_database_and_cache(stack: Place) -> None:
    done = stack.debloat("compose", "web", "db", "cache", "--json", "{service}.json", "--save-trace", "{service}.trace")
    assert done.code == 0, done.err
    assert done.out.split() == [stack.images.name(f"{service}-slim") for service in ("cache", "db", "web")]
    for service, least in (("web", 3), ("db", 3), ("cache", 2)):
        report = json.loads((stack.here / f"{service}.json").read_text())
        assert report["verified"]
        assert len(report["answers"]) >= least
        assert report["after"]["bytes"] < report["before"]["bytes"] / 2
    recorded = trace.parse((stack.here / "db.trace").read_bytes(), "db.trace")
    served = {access.program for access in recorded.accesses if access.probe.startswith("web: http GET")}
    assert any("postgres" in program for program in served), "what the web service asks the database is recorded"


def test_ctrl_c_while_compose_waits(place: Place) -> None:
    """Compose is ended too, and what it had asked the engine for is gone."""
    (place.here / "compose.yaml").write_text(
        "services:\n"
        f"  a: {{image: '{BASE}', command: sleep infinity, depends_on: {{b: {{condition: service_healthy}}}}}}\n"
        f"  b: {{image: '{BASE}', command: sleep infinity, healthcheck: {{test: 'false', interval: 600s}}}}\n"
    )
    process = place.start("compose", "a")
    try:
        until(lambda: running(place.client, process.pid) or process.poll() is not None, "a container that runs")
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, out) == (130, ""), err
    assert left(place.client, process.pid) == []


def running(client: docker.APIClient, process: int) -> bool:
    """Whether a container of a run of this process runs."""
    found = client.containers(filters={"label": RUN_LABEL})
    return any(f"-{process}-" in container["Labels"][RUN_LABEL] for container in found)
