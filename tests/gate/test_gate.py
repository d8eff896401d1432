"""The gate's rules and judgement, without an engine."""

from __future__ import annotations

import json
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from debloat.core import config, limits
from debloat.core.errors import UsageError
from debloat.core.model import Entry, Kind
from debloat.footprint import footprint
from debloat.gate.check import baseline
from debloat.gate.findings import Finding
from debloat.gate.location import Dockerfile
from debloat.gate.rules import RULES, SWITCHES, Rules, Severity, rules_of
from debloat.image.rootfs import MemoryContents, Rootfs
from debloat.lock.seeds import Gone, Move
from debloat.report import gatejson
from tests.support import gates
from tests.support.gates import by_rule, item, judged, lock

APP = item("/usr/bin/app", "program", 0o755)
BASE = lock(APP, item("/usr/lib/libfoo.so.1", package="libfoo1", reason="elf.needed /usr/bin/app"))

# ------------------------------------------------------------------------------------------ configuration


def asked(raw: dict[str, Any]) -> Rules:
    return rules_of(config.settings(raw))


def test_every_difference_from_the_lock_has_a_rule() -> None:
    """What `[policy.drift]` may name, and the rules that it is about, are the same."""
    assert {f"drift-{name}" for name in limits.DRIFT} == {rule.id for rule in RULES if rule.id.startswith("drift-")}
    assert set(SWITCHES) <= {f.name for f in fields(limits.Restrictions)}


def test_every_rule_can_be_said() -> None:
    rules = asked(
        {
            "budget": {
                "max_size": "40MB",
                "max_files": 10,
                "max_packages": 0,
                "max_growth": {"percent": 5, "floor": "1MiB"},
            },
            "policy": {
                "forbid": ["/usr/bin/curl"],
                "require": ["/etc/ssl/**"],
                "allow": ["/bin/dash"],
                **dict.fromkeys(SWITCHES, True),
                "drift": {"version": "off", "file": "error"},
            },
        }
    )
    assert (rules.max_size, rules.max_files, rules.max_packages) == (40_000_000, 10, 0)
    assert (rules.growth_percent, rules.growth_floor) == (5.0, 1 << 20)
    assert rules.switches == set(SWITCHES)
    assert rules.severity("drift-file") is Severity.ERROR
    assert rules.off("drift-version")
    assert not [r.id for r in RULES if rules.off(r.id) and r.id != "drift-version"]


def test_nothing_said_is_nothing_asked() -> None:
    rules = asked({})
    assert rules == Rules()
    assert not rules.any
    assert {r.id for r in RULES if not rules.off(r.id)} == {
        r.id for r in RULES if r.id.startswith("drift-") or r.id == "probe"
    }


@pytest.mark.parametrize(
    ("text", "size"), [("40MB", 40_000_000), ("1.5 kB", 1500), ("2 MiB", 2 << 20), (7, 7), ("9", 9), ("1GiB", 1 << 30)]
)
def test_sizes(text: object, size: int) -> None:
    assert asked({"budget": {"max_size": text}}).max_size == size


def test_a_percentage_alone_has_a_floor() -> None:
    rules = asked({"budget": {"max_growth": "10%"}})
    assert (rules.growth_percent, rules.growth_floor) == (10.0, 1_000_000)


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"budget": {"max_siez": 1}}, "max_siez", "'max_size'"),
    ({"policy": {"no_shel": True}}, "no_shel", "'no_shell'"),
    ({"policy": {"drift": {"versions": "off"}}}, "versions", "'version'"),
    ({"budget": {"max_growth": {"percentage": 3}}}, "percentage", "'percent'"),
    ({"budget": {"max_growth": {"floor": 3}}}, "needs a percent", "percent"),
    ({"budget": {"max_growth": 3}}, "table", "percent"),
    ({"budget": {"max_size": "big"}}, "'big'", "MB"),
    ({"budget": {"max_size": True}}, "true", ""),
    ({"budget": {"max_size": -1}}, "-1", ""),
    ({"budget": {"max_files": "many"}}, "'many'", ""),
    ({"policy": {"no_shell": "yes"}}, "true or false", ""),
    ({"policy": {"forbid": "/x"}}, "list", ""),
    ({"policy": {"forbid": ["x"]}}, "absolute", ""),
    ({"policy": {"drift": {"file": "fatal"}}}, "off, note, warning or error, not 'fatal'", "warning"),
    ({"policy": {"drift": "off"}}, "table", ""),
]


@pytest.mark.parametrize(("raw", "message", "hint"), WRONG)
def test_what_is_wrong_is_named(raw: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        config.settings(raw, "debloat.toml")
    assert "debloat.toml" in caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint


# ------------------------------------------------------------------------------------------ drift


def test_the_same_image_passes_in_silence() -> None:
    report = judged(BASE, BASE)
    assert report.passed
    assert not report.findings


ADDED: list[tuple[Any, str]] = [
    (item("/usr/bin/su", mode=0o4755, package="login"), "drift-setuid"),
    (item("/usr/bin/dash", mode=0o755, package="dash"), "drift-shell"),
    (item("/usr/bin/apt", mode=0o755, package="apt"), "drift-package-manager"),
    (item("/srv/open", mode=0o666), "drift-world-writable"),
]


@pytest.mark.parametrize(("new", "rule"), ADDED)
def test_what_an_attacker_would_like(new: Any, rule: str) -> None:
    report = judged(BASE, lock(*BASE.manifest, new))
    assert not report.passed
    assert by_rule(report)[rule] == [new.path]
    assert report.failing[0].package == new.package
    assert judged(lock(*BASE.manifest, new), lock(*BASE.manifest, new)).passed
    assert judged(BASE, lock(*BASE.manifest, new), Rules(allow=(new.path,))).passed
    off = Rules(drift={rule.removeprefix("drift-"): Severity.OFF})
    assert judged(BASE, lock(*BASE.manifest, new), off).passed


def test_what_was_used_and_is_gone() -> None:
    gone = Gone("/etc/app.conf", "app", "trace probe:http GET /")
    report = judged(BASE, BASE, gone=(gone,))
    (finding,) = report.failing
    assert (finding.rule, finding.path, finding.package) == ("drift-missing", "/etc/app.conf", "app")
    assert "http GET /" in finding.message


def test_what_an_unchanged_program_needs() -> None:
    report = judged(BASE, lock(APP))
    (finding,) = report.failing
    assert (finding.rule, finding.path, finding.package) == ("drift-missing", "/usr/lib/libfoo.so.1", "libfoo1")
    assert "/usr/bin/app needs it (elf.needed)" in finding.message


def test_what_a_changed_program_may_no_longer_need() -> None:
    changed = lock(item("/usr/bin/app", "another program", 0o755))
    assert judged(BASE, changed).passed


def test_what_moved_is_not_missing() -> None:
    new = lock(APP, item("/usr/lib/libfoo.so.2", package="libfoo2"))
    report = judged(BASE, new, moves=(Move("/usr/lib/libfoo.so.1", "/usr/lib/libfoo.so.2", "libfoo1"),))
    assert report.passed
    assert by_rule(report)["drift-package"] == ["libfoo1 1 became libfoo2 1"]


def test_a_library_in_another_directory_is_not_missing() -> None:
    assert judged(BASE, lock(APP, item("/usr/lib/x86_64-linux-gnu/libfoo.so.1", package="libfoo1"))).passed


def test_ports_user_recipe_and_size() -> None:
    new = lock(*BASE.manifest, ports=("80/tcp", "22/tcp"), user="", bytes=BASE.bytes + 500)
    found = by_rule(judged(BASE, new, recipe="sha256:other"))
    assert found["drift-port"] == ["port:22/tcp"]
    assert "drift-user" in found
    assert "drift-recipe" in found
    assert "+500 B" in found["drift-size"][0]


def test_files_and_versions_are_told_but_do_not_fail() -> None:
    new = lock(
        APP,
        item("/usr/lib/libfoo.so.1", "newer", package="libfoo1", reason="elf.needed /usr/bin/app"),
        item("/usr/share/extra"),
    )
    report = judged(BASE, new)
    assert report.passed
    assert {f.rule for f in report.findings} == {"drift-file", "drift-content", "drift-size"} - (
        {"drift-size"} if new.bytes == BASE.bytes else set()
    )
    strict = Rules(drift={"file": Severity.ERROR})
    assert not judged(BASE, new, strict).passed


# ------------------------------------------------------------------------------------------ budgets and policy


def test_budgets() -> None:
    big = lock(*BASE.manifest, bytes=50_000_000)
    rules = Rules(max_size=40_000_000, max_files=1, max_packages=0)
    assert set(by_rule(judged(None, big, rules))) == {"budget-max-size", "budget-max-files", "budget-max-packages"}
    exact = Rules(max_size=50_000_000, max_files=2, max_packages=1)
    assert judged(None, big, exact).passed


@pytest.mark.parametrize(
    ("was", "now", "fails"),
    [
        (10_000_000, 11_500_000, True),  # 15 %, 1.5 MB: above both
        (10_000_000, 10_900_000, False),  # 9 %
        (100_000, 900_000, False),  # 800 %, but below the floor
        (100_000_000, 105_000_000, False),  # 5 MB, but 5 %
        (0, 2_000_000, True),
        (10_000_000, 1, False),
    ],
)
def test_growth_counts_above_percentage_and_floor(was: int, now: int, fails: bool) -> None:
    rules = asked({"budget": {"max_growth": {"percent": 10, "floor": "1MB"}}})
    report = judged(lock(APP, bytes=was), lock(APP, bytes=now), rules)
    assert ("budget-max-growth" in by_rule(report)) is fails


def test_policy() -> None:
    image = lock(
        APP,
        item("/usr/bin/curl", mode=0o755, package="curl"),
        item("/usr/bin/sh", mode=0o755, package="dash"),
        item("/usr/bin/su", mode=0o4755),
        item("/usr/bin/apt", mode=0o755),
        item("/srv/open", mode=0o666),
        user="0:0",
    )
    rules = Rules(forbid=("/usr/bin/cu*",), require=("/etc/ssl/**", "/usr/bin/app"), switches=frozenset(SWITCHES))
    subject_root = judged(None, lock(*image.manifest, user=""), rules)
    assert by_rule(subject_root) == {
        "policy-forbid": ["/usr/bin/curl"],
        "policy-require": ["/etc/ssl/**"],
        "policy-no-shell": ["/usr/bin/sh"],
        "policy-no-setuid": ["/usr/bin/su"],
        "policy-no-package-manager": ["/usr/bin/apt"],
        "policy-no-world-writable": ["/srv/open"],
        "policy-non-root": ["it runs as root (no USER)"],
    }
    assert judged(None, image).passed


# ------------------------------------------------------------------------------------------ baseline, verdict, place


def test_a_baseline_excuses_what_it_knows() -> None:
    from msgspec.structs import replace

    setuid = item("/usr/bin/su", mode=0o4755, package="login")
    shell = item("/usr/bin/dash", mode=0o755, package="dash")
    first = judged(BASE, lock(*BASE.manifest, setuid))
    known = baseline(gatejson.render(first).encode(), "x")
    second = judged(BASE, lock(*BASE.manifest, setuid, shell))
    marked = replace(second, findings=tuple(replace(f, known=f.fingerprint in known) for f in second.findings))
    assert {f.rule for f in marked.failing} == {"drift-shell"}


def test_a_fingerprint_holds_no_figures() -> None:
    a, b = (Finding("budget-max-size", Severity.ERROR, text) for text in ("41 MB", "42 MB"))
    assert a.fingerprint == b.fingerprint
    assert a.fingerprint != Finding("budget-max-files", Severity.ERROR, "41 MB").fingerprint


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"format": "debloat-gate"}', b'{"format": "debloat-gate", "findings": [1]}', b"\xff"]
)
def test_what_is_no_baseline(data: bytes) -> None:
    with pytest.raises(UsageError):
        baseline(data, "old.json")


def test_the_verdict_follows_the_severity_asked_for() -> None:
    from msgspec.structs import replace

    report = judged(BASE, lock(*BASE.manifest, item("/usr/share/extra")))
    assert report.passed
    assert not replace(report, fail_on=Severity.NOTE).passed


def test_findings_come_worst_first_and_do_not_depend_on_order() -> None:
    new = lock(*BASE.manifest, item("/usr/share/extra"), item("/usr/bin/su", mode=0o4755))
    report = judged(BASE, new)
    assert [f.severity for f in report.findings] == sorted((f.severity for f in report.findings), reverse=True)
    assert json.loads(gatejson.render(report))["findings"][0]["rule"] == "drift-setuid"


TEXT = """# curl is mentioned here
FROM debian:bookworm AS build
RUN apt-get install -y gcc
FROM debian:bookworm-slim
RUN apt-get install -y \\
    nginx-light \\
    openssl
COPY site /srv/site
USER app
EXPOSE 80
"""


@pytest.mark.parametrize(
    ("finding", "line"),
    [
        (Finding("drift-missing", Severity.ERROR, "", "/usr/bin/openssl", "openssl"), 7),
        (Finding("drift-setuid", Severity.ERROR, "", "/srv/site", ""), 8),
        (Finding("drift-missing", Severity.ERROR, "", "/usr/lib/x.so", "libx1:amd64"), 4),
        (Finding("drift-shell", Severity.ERROR, "", "/usr/bin/curl", "curl"), 4),
        (Finding("policy-non-root", Severity.ERROR, ""), 9),
        (Finding("drift-port", Severity.ERROR, "", "port:80"), 10),
        (Finding("budget-max-size", Severity.ERROR, ""), 4),
    ],
)
def test_findings_point_into_the_dockerfile(finding: Finding, line: int) -> None:
    assert Dockerfile("Dockerfile", TEXT).locate(finding).line == line
    assert Dockerfile("Dockerfile").locate(finding).line == 1


def test_the_support_is_sound() -> None:
    assert gates.footprint_of(BASE).files == 2


def test_the_documentation_names_every_rule_and_key() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs/gate.md").read_text()
    keys = [*("max_size", "max_files", "max_packages", "max_growth", "forbid", "require", "allow", "drift"), *SWITCHES]
    assert not [word for word in (*(f"`{rule.id}`" for rule in RULES), *keys) if word not in text]
    example = text.partition("```toml\n")[2].partition("```")[0]
    rules = asked(tomllib.loads(example))
    assert rules.max_size == 40_000_000
    assert rules.off("drift-version")


def test_devices_are_not_what_all_may_write_to() -> None:
    rootfs = Rootfs(
        [
            Entry("/", Kind.DIR, 0o755),
            Entry("/null", Kind.CHAR, 0o666, device=(1, 3)),
            Entry("/open", Kind.FILE, 0o666),
            Entry("/pipe", Kind.FIFO, 0o622),
            Entry("/tmp", Kind.DIR, 0o1777),
            Entry("/spool", Kind.DIR, 0o777),
        ],
        MemoryContents({"/open": b""}),
    )
    assert footprint(rootfs.entries(), rootfs, 0).world_writable == ("/open", "/pipe", "/spool")
