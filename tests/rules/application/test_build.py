"""What RUN lines did, and which packages somebody asked for."""

from __future__ import annotations

import pytest

from debloat.rules.application.build import Build, asked_packages, build, runs
from debloat.rules.application.dockerfile import instructions
from tests.support.dpkgdb import database, debian_world
from tests.support.trees import Table


def built(*texts: str) -> Build:
    steps = instructions(texts)
    return Build(steps, (), runs(steps))


@pytest.mark.parametrize(
    ("script", "asked"),
    [
        ("apt-get -qq update; apt-get -y install \\\n  curl \\\n  'jq' \"git\" && rm -rf /x", "curl git jq"),
        ("deps='jq curl'; apt-get install $deps && make", "curl jq"),
        ('deps=(jq curl); apt-get install "${deps[@]}"', "curl jq"),
        ("for p in jq curl; do apt-get install -y $p; done", "curl jq"),
        ('for p in jq curl; do retry apt-get install -y "$p"; done', "curl jq"),
        (
            f"for p in {' '.join(f'p{n}' for n in range(60))}; do apt-get install $p; done",
            " ".join(f"p{n}" for n in range(60)),
        ),
        ("apt-get install ${TOOLS} ${MORE:-git}", "curl git jq"),
        ("apt-get install php8.2-{cli,fpm,m{a,b}} $TOOLS", "curl jq php8.2-cli php8.2-fpm php8.2-ma php8.2-mb"),
        ("sudo -E apt-get install jq", "jq"),
        ("DEBIAN_FRONTEND=noninteractive apt-get install jq", "jq"),
        ("env DEBIAN_FRONTEND=noninteractive apt-get install jq", "jq"),
        ("if ! command -v jq; then apt-get install jq || apt-get install jq-old; fi", "jq jq-old"),
        ("(apt-get install jq) && { apt-get install git; } | tee log", "git jq"),
        ("install() { apt-get install -y jq; }; install", "jq"),
        ("bash -euxc 'apt-get install jq'", "jq"),
        ('bash -c "apt-get install $TOOLS"', "curl jq"),
        ('eval "apt-get install $TOOLS"', "curl jq"),
        ("su -c 'apt-get install jq'", "jq"),
        ("xargs apt-get install -y <<EOF\njq\ncurl\nEOF", "curl jq"),
        ("xargs apt-get install <list", ""),
        ("apt-get install $(cat list) jq", "jq"),
        ("apt-get install $UNKNOWN jq", "jq"),
        ("bash <<EOF\napt-get install jq\nEOF", "jq"),
        # A script of more than one line, of which some lines are no commands of apt's.
        (
            "apt-get update\napt-get install -y \\\n  jq\n# the service\nuseradd shop\ninstall -d /x",
            "jq",
        ),
        ("cat >/etc/motd <<EOF\napt-get install jq\nEOF", ""),
        ("<<EOF cat >/etc/motd\napt-get install jq\nEOF", ""),
        ("<<-'EOF' bash -e\n\tapt-get install jq\nEOF", "jq"),
        ("echo 'apt-get install jq' > /x; printf 'apt-get install jq'", ""),
        ("apt-get remove jq && echo install y", ""),
        ("# apt-get install jq", ""),
        ("apt-get install jq # apt-get install git", "jq"),
    ],
)
def test_what_a_run_line_asks_for(script: str, asked: str) -> None:
    found = built(f"RUN |1 TOOLS=jq curl /bin/sh -c {script} # buildkit")
    assert set(found.asked("apt")) == set(asked.split())


def test_each_run_says_what_it_asked_for_and_what_else_it_ran() -> None:
    found = built(
        "RUN /bin/sh -c apt-get install -y curl gcc jq && timeout 9 curl -fsS https://x/install.sh | sh # buildkit",
        "COPY . /app # buildkit",
        "RUN /bin/sh -c cd /app && CC=clang ./configure --with-ssl=openssl && apt-get purge -y gcc # buildkit",
    )
    first, second = found.runs
    assert (first.number, second.number) == (0, 2)
    assert first.commands == (("timeout",), ("curl", "-fsS", "https://x/install.sh"), ("sh",))
    assert second.commands == (("cd", "/app"), ("./configure", "--with-ssl=openssl"))
    assert found.asked("apt") == {"curl": 0, "gcc": 0, "jq": 0}
    assert found.removed("apt") == {"gcc": 2}


def test_what_is_asked_for_again_counts_from_the_last_time() -> None:
    found = built("RUN /bin/sh -c apt-get install jq", "RUN /bin/sh -c apt-get purge jq", "RUN apt-get install jq")
    assert (found.asked("apt"), found.removed("apt")) == ({"jq": 2}, {"jq": 1})


PACKAGES = {
    "base-files": ["/usr/lib/os-release"],
    "exim": ["/usr/sbin/exim"],
    "php8.2-cli": ["/usr/bin/php8.2"],
    "php8.2-fpm": ["/usr/sbin/php-fpm8.2"],
    "libphp": ["/usr/lib/libphp.so"],
    "jq": ["/usr/bin/jq"],
}
FIELDS = {
    "base-files": {"Priority": "required"},
    "exim": {"Provides": "mail-transport-agent"},
}
MARKS = "".join(
    f"Package: {name}\nArchitecture: all\nAuto-Installed: 1\n\n"
    for name in PACKAGES
    if name not in ("base-files", "jq")
)


@pytest.mark.parametrize(
    ("script", "records", "expected"),
    [
        ("apt-get install mail-transport-agent nothing", {}, "exim"),
        ("apt-get install php8.2-*", {}, "php8.2-cli php8.2-fpm"),
        ("xargs apt-get install <list", {"/var/lib/apt/extended_states": MARKS}, "jq"),
        ("apt-get install exim", {"/var/lib/apt/extended_states": MARKS}, "exim jq"),
        (
            "/dev/pipes/EOF",
            {"/var/log/apt/history.log": "Install: jq:amd64 (1.6), libphp:amd64 (8, automatic)\n"},
            "jq",
        ),
        ("true", {}, ""),
    ],
)
def test_a_package_was_asked_for_by_name_or_as_apt_recorded_it(script: str, records: Table, expected: str) -> None:
    table = {**database(PACKAGES, fields=FIELDS), **records}
    world = debian_world(table, PACKAGES, fields=FIELDS, history=(f"/bin/sh -c {script}",))
    assert list(asked_packages(world)) == expected.split()
    assert build(world) is build(world)
