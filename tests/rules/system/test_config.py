"""What an image's configuration keeps by itself."""

from __future__ import annotations

import pytest

from debloat.core.model import Level
from debloat.rules.system import config as rules
from tests.support.trees import Table, closed, paths, rules_for, world

RUN = ("0755", b"x")

SYSTEM: Table = {
    "/usr/bin/sh": RUN,
    "/usr/bin/bash": RUN,
    "/usr/bin/curl": RUN,
    "/usr/bin/tool": RUN,
    "/bin": "-> usr/bin",
}


def kept(table: Table, **config: object) -> list[str]:
    return paths(closed(world(table, config=config, level=Level.EXACT), rules.RULES), "/usr/bin/")


@pytest.mark.parametrize(
    ("config", "programs"),
    [
        ({"Entrypoint": ["tool"]}, ["/usr/bin/tool"]),
        ({"Cmd": ["/bin/sh", "-c", "curl x"]}, ["/usr/bin/sh"]),
        ({"Entrypoint": ["/usr/bin/tool"], "Cmd": ["curl"]}, ["/usr/bin/curl", "/usr/bin/tool"]),
        ({"Entrypoint": ["tool"], "Cmd": ["-c", "x y"]}, ["/usr/bin/tool"]),
        ({"Entrypoint": ["bin/tool"], "WorkingDir": "/usr"}, ["/usr/bin/tool"]),
        ({"Cmd": ["tool"], "Env": ["PATH=/usr/bin"]}, ["/usr/bin/tool"]),
        ({"Healthcheck": {"Test": ["CMD", "curl", "http://x"]}}, ["/usr/bin/curl"]),
        ({"Healthcheck": {"Test": ["CMD-SHELL", "exit 0"]}}, ["/usr/bin/sh"]),
        ({"Healthcheck": {"Test": ["CMD-SHELL", "exit 0"]}, "Shell": ["/bin/bash", "-c"]}, ["/usr/bin/bash"]),
        ({"Healthcheck": {"Test": ["CMD", "curl"]}, "Shell": ["/bin/bash", "-c"]}, ["/usr/bin/curl"]),
        ({"Healthcheck": {"Test": ["NONE"]}, "Shell": ["/bin/bash", "-c"]}, []),
        ({"Healthcheck": {"Test": []}}, []),
        ({"Entrypoint": None, "Cmd": None}, []),
        ({"Cmd": ["absent"]}, []),
    ],
)
def test_programs(config: dict[str, object], programs: list[str]) -> None:
    assert kept(SYSTEM, **config) == programs


PASSWD = "root:x:0:0:root:/root:/bin/bash\nweb:x:33:33::/var/www:/bin/false\n1000:x:7:7::/seven:\nbad\nrel:x:9:9::x:\n"


def test_user_keeps_the_databases_and_the_home_but_not_its_files() -> None:
    table = {
        "/etc/passwd": PASSWD,
        "/etc/group": "web:x:33:",
        "/etc/shadow": "",
        "/var/www/index.html": "x",
        "/root/.bashrc": "x",
    }
    closure = closed(world(table, config={"User": "web"}, level=Level.EXACT), rules.RULES)
    assert [p for p in paths(closure) if p != "/"] == ["/etc/group", "/etc/passwd", "/var/www"]
    assert list(rules_for(closure, "/var/www")) == ["config.user"]


def test_home_from_the_environment() -> None:
    closure = closed(world({"/h/x": "", "/root/": "", "/etc/passwd": PASSWD}, config={"Env": ["HOME=/h"]}), rules.RULES)
    assert "/h" in closure
    assert "/root" not in closure


def test_working_directory_and_volumes_without_their_contents() -> None:
    table = {"/srv/app/file": "", "/data": "-> var/data", "/var/data/old": "", "/other/": ""}
    config = {"WorkingDir": "/srv/app", "Volumes": {"/data": {}, "/absent": {}}}
    assert paths(closed(world(table, config=config), rules.RULES)) == ["/data", "/srv/app", "/var/data"]


def test_what_every_container_has() -> None:
    table: Table = {
        "/tmp/": ("1777", ""),
        "/tmp/left": "",
        "/var/run": "-> /run",
        "/run/x/": "",
        "/proc/": "",
        "/lib": "-> usr/lib",
        "/usr/lib/os-release": "",
        "/etc/os-release": "-> ../usr/lib/os-release",
        "/etc/debian_version": "12.1",
        "/etc/hosts": "",
        "/etc/motd": "",
        "/bin/": "",
        "/mnt/": "",
    }
    want = ["/etc/debian_version", "/etc/hosts", "/etc/os-release", "/lib", "/proc", "/run", "/tmp", "/usr/lib"]
    assert [p for p in paths(closed(world(table), rules.RULES)) if p != "/"] == [
        *want,
        "/usr/lib/os-release",
        "/var/run",
    ]


def test_an_empty_image_keeps_nothing_but_its_program() -> None:
    assert [p for p in paths(closed(world({"/app": RUN}, config={"Cmd": ["/app"]}), rules.RULES)) if p != "/"] == [
        "/app"
    ]
