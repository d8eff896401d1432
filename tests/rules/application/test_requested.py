"""What was asked for by name, and for what: the evidence of history and recording, and what then stays."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from debloat.cli.why import explain
from debloat.closure import World, close
from debloat.core.model import Access, ImageConfig, Level, Op, Policy, Trace
from debloat.debian.prune import prune
from debloat.rules.application.payload import RULES, parts, payload
from debloat.rules.application.requested import Purpose, dropped_requests, is_toolbox, requests, scripts_left_out
from tests.support import trees
from tests.support.dpkgdb import debian_world

ELF = ("0755", "\x7fELF")
PACKAGES = {
    "gis-bin": ["/usr/bin/gisinfo", "/usr/bin/gistranslate", "/usr/share/doc/gis-bin/copyright", "/etc/init.d/gis"],
    "libgis36": ["/usr/lib/libgis.so.36"],
    "gis-data": [
        *("/usr/share/gis/epsg.csv", "/usr/share/man/man1/gis.1", "/usr/share/i18n/locales/en_US"),
        *("/usr/share/gis/t/TestLib.pm", "/usr/share/gis/t/010_convert.t", "/usr/share/gis/testsuite"),
    ],
    "gis-plugins": ["/usr/lib/gisplugins/jp2.so"],
    "curl": ["/usr/bin/curl"],
    "certs": ["/usr/sbin/update-certs", "/usr/share/certs/root.crt"],
    "preload2": ["/usr/lib/libpreload.so.2"],
    "libgis-dev": ["/usr/include/gis.h", "/usr/bin/gis-config"],
    "gcc": ["/usr/bin/gcc"],
    "pager": ["/usr/bin/pager"],
    "handbook": ["/usr/share/handbook/index.html"],
    "metagis": ["/usr/share/doc/metagis/copyright"],
    "python3-graph": [
        "/usr/lib/python3/dist-packages/graph/__init__.py",
        "/usr/lib/python3/dist-packages/graph/core.py",
    ],
    "coreutils": ["/usr/bin/ls", "/usr/share/man/man1/ls.1"],
    "bystander": ["/usr/bin/bystander"],
}
FIELDS = {
    "gis-bin": {"Architecture": "amd64", "Source": "gis", "Depends": "libgis36 (>= 3), coreutils"},
    "libgis36": {"Architecture": "amd64", "Source": "libgis", "Depends": "gis-data"},
    "gis-plugins": {"Architecture": "amd64", "Source": "gis"},
    "curl": {"Architecture": "amd64"},
    "preload2": {"Architecture": "amd64"},
    "metagis": {"Depends": "gis-bin | bystander"},
    "gcc": {"Section": "devel"},
    "pager": {"Section": "doc"},
    "handbook": {"Section": "doc"},
    "coreutils": {"Essential": "yes", "Architecture": "amd64"},
}
INSTALL = "RUN apt-get install -y "


def image(
    *history: str, ran: tuple[str, ...] = (), level: Level = Level.SAFE, cmd: tuple[str, ...] = ("/srv/x",)
) -> World:
    table: dict[str, str | bytes | tuple[str, str | bytes]] = {
        path: ELF if "/bin/" in path else "x" for files in PACKAGES.values() for path in files
    }
    table["/usr/sbin/update-certs"] = ("0755", "#!/bin/sh\n")
    trace = Trace(frozenset(Access(path, Op.EXEC, "-", "p", path) for path in ran))
    world = debian_world(table, PACKAGES, fields=FIELDS, history=history, policy=Policy(level))
    return replace(world, trace=trace, config=ImageConfig({"Cmd": list(cmd)}))


def purposes(world: World) -> dict[str, str]:
    return {name: str(request.purpose) for name, request in requests(world).items()}


@pytest.mark.parametrize(
    ("history", "ran", "expected"),
    [
        ((f"{INSTALL}gis-bin",), (), {"gis-bin": "run"}),
        # A later instruction runs it, and nothing at run time does.
        ((f"{INSTALL}curl && curl -fsS https://x -o /y",), (), {"curl": "build"}),
        ((f"{INSTALL}curl", "RUN cd /y && curl https://x | sh"), (), {"curl": "build"}),
        ((f"{INSTALL}curl && curl -fsS https://x",), ("/usr/bin/curl",), {"curl": "run"}),
        # To look whether it is there is no use.
        ((f"{INSTALL}curl && curl --version",), (), {"curl": "run"}),
        # To build the data of a package for service is none either.
        ((f"{INSTALL}certs && update-certs",), (), {"certs": "run"}),
        ((f"{INSTALL}libgis-dev gcc",), (), {"libgis-dev": "build", "gcc": "build"}),
        ((f"{INSTALL}gcc",), ("/usr/bin/gcc",), {"gcc": "run"}),
        # Documents are for readers, what shows them is a program.
        ((f"{INSTALL}pager handbook",), (), {"pager": "run", "handbook": "build"}),
        ((f"{INSTALL}metagis",), (), {"gis-bin": "run", "bystander": "run"}),
        (("RUN true",), (), {}),
    ],
)
def test_the_purpose_of_a_request(history: tuple[str, ...], ran: tuple[str, ...], expected: dict[str, str]) -> None:
    assert purposes(image(*history, ran=ran)) == expected


def test_the_configuration_overrules_the_evidence() -> None:
    world = image(f"{INSTALL}curl && curl -fsS https://x", f"{INSTALL}gis-bin")
    world = replace(world, policy=Policy(packages=(("curl", "run"), ("gis-bin", "build"), ("bystander", "run"))))
    assert purposes(world) == {"bystander": "run", "curl": "run", "gis-bin": "build"}
    assert requests(world)["curl"].purpose is Purpose.RUN


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"Cmd": ["bash"]}, True),
        ({"Cmd": ["/bin/sh", "-l"]}, True),
        ({"Entrypoint": ["tini", "--"], "Cmd": ["bash"]}, True),
        ({"Cmd": ["bash", "-c", "run-service"]}, False),
        ({"Cmd": ["bash", "/srv/start"]}, False),
        ({"Cmd": ["bash"], "ExposedPorts": {"80/tcp": {}}}, False),
        ({"Entrypoint": ["/entrypoint"], "Cmd": ["bash"]}, False),
        ({}, False),
    ],
)
def test_a_toolbox_is_an_image_whose_command_is_a_bare_shell(config: dict[str, object], expected: bool) -> None:
    assert is_toolbox(trees.world({"/x": ""}, config=config)) is expected


def test_in_a_toolbox_every_request_stands() -> None:
    world = image(f"{INSTALL}curl gcc && curl -fsS https://x", cmd=("bash",))
    assert purposes(world) == {"curl": "run", "gcc": "run"}
    assert "/usr/bin/ls" in trees.paths(close(world, RULES))


def test_the_payload_is_programs_and_data_with_the_packages_that_carry_them() -> None:
    world = image(f"{INSTALL}gis-bin")
    assert parts(world, "gis-bin") == ("gis-bin", "gis-data")
    assert trees.paths(close(world, RULES)) == ["/usr/bin/gisinfo", "/usr/bin/gistranslate", "/usr/share/gis/epsg.csv"]


def test_why_says_what_was_taken_for_the_build() -> None:
    world = image(f"{INSTALL}curl && curl https://x")
    told = explain(world, close(world, RULES), "/usr/bin/curl")
    assert any(line.startswith("  curl was taken for the build: RUN apt-get install") for line in told)


def test_libraries_that_are_preloaded_by_name() -> None:
    assert trees.paths(close(image(f"{INSTALL}preload2"), RULES)) == ["/usr/lib/libpreload.so.2"]


def test_modules_are_asked_for_by_one_file_of_their_unit() -> None:
    assert list(payload(image(), "python3-graph")) == ["/usr/lib/python3/dist-packages/graph/__init__.py"]


@pytest.mark.parametrize(
    ("name", "files", "stays"),
    [
        (
            "libgis-perl",
            ["/usr/share/perl5/Gis.pm", "/usr/bin/perlgis"],
            ["/usr/bin/perlgis", "/usr/share/perl5/Gis.pm"],
        ),
        ("gis-common", ["/usr/share/perl5/Gis.pm"], ["/usr/share/perl5/Gis.pm"]),
        ("gis-tools", ["/usr/share/perl5/Gis.pm", "/usr/bin/gistool"], ["/usr/bin/gistool"]),
        ("ruby-gis", ["/usr/share/nodejs/gis/package.json", "/usr/lib/ruby/gis.rb"], ["/usr/lib/ruby/gis.rb"]),
        ("node-gis", ["/usr/share/nodejs/gis/package.json", "/x"], ["/usr/share/nodejs/gis/package.json", "/x"]),
    ],
)
def test_modules_beside_something_else_follow_from_what_uses_them(
    name: str, files: list[str], stays: list[str]
) -> None:
    table: trees.Table = {path: ELF if "/bin/" in path else "x" for path in files}
    assert list(payload(debian_world(table, {name: files}), name)) == stays


@pytest.mark.parametrize("reader", ["resolvconf", "ppp"])
def test_a_hook_for_a_package_that_is_not_there_goes(reader: str) -> None:
    """Squid leaves one for resolvconf, which led to scripts of init. What else is there is the package's own."""
    files = ["/etc/resolvconf/update-libc.d/proxy", "/etc/proxy.conf", "/etc/dhcp/dhcpd.conf", "/usr/bin/proxy"]
    table: trees.Table = dict.fromkeys(files, ("0755", "\x7fELF"))
    world = debian_world({**table, "/usr/sbin/reader": ELF}, {"proxy": files, reader: ["/usr/sbin/reader"]})
    kept = set(payload(world, "proxy"))
    assert (files[0] in kept) == (reader == "resolvconf")
    assert set(files[1:]) <= kept


def test_what_was_asked_for_the_build_goes() -> None:
    assert trees.paths(close(image(f"{INSTALL}curl libgis-dev && curl -fsS https://x"), RULES)) == []


def test_exact_keeps_what_was_touched() -> None:
    assert trees.paths(close(image(f"{INSTALL}gis-bin", level=Level.EXACT), RULES)) == []


@pytest.mark.parametrize(
    ("history", "level", "expected"),
    [
        (f"{INSTALL}gis-bin curl gcc libgis-dev && curl https://x", Level.SAFE, ("curl",)),
        (f"{INSTALL}gis-bin curl", Level.SAFE, ()),
        (f"{INSTALL}curl && curl https://x", Level.EXACT, ()),
        ("RUN true", Level.SAFE, ()),
    ],
)
def test_what_was_asked_for_and_is_gone(history: str, level: Level, expected: tuple[str, ...]) -> None:
    world = image(history, level=level)
    closure = close(world, RULES)
    shares = prune(world.rootfs, world.packages, closure.evidence.keys()).shares
    assert dropped_requests(world, shares, Purpose.BUILD) == expected
    assert dropped_requests(world, shares, Purpose.RUN) == ()


def test_what_was_asked_for_the_container_and_is_gone() -> None:
    """Its only program is a script for a language that the package does not depend on: no RUN instruction used it."""
    table: trees.Table = {"/usr/bin/perl": ELF, "/usr/bin/report": ("0755", "#!/usr/bin/perl\n")}
    owned = {"perl-base": ["/usr/bin/perl"], "report": ["/usr/bin/report"]}
    world = debian_world(table, owned, history=[f"{INSTALL}report"])
    closure = close(world, RULES)
    shares = prune(world.rootfs, world.packages, closure.evidence.keys()).shares
    assert dropped_requests(world, shares, Purpose.BUILD) == ()
    assert dropped_requests(world, shares, Purpose.RUN) == ("report",)
    assert scripts_left_out(world, closure.evidence) == ("/usr/bin/report",)
    assert scripts_left_out(world, {"/usr/bin/report"}) == ()
    told = explain(world, closure, "/usr/bin/report")
    assert "  a script for /usr/bin/perl, and report does not depend on that language" in told
