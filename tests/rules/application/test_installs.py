"""What a command line asks a package manager for."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.rules.application.installs import TOOLS, Change, changes, matching
from debloat.rules.languages.shell.evaluate import UNKNOWN


@pytest.mark.parametrize(
    ("line", "installed"),
    [
        ("apt-get install -y --no-install-recommends a-b curl=1.2 git/stable jq:amd64", "a-b curl git jq"),
        ("apt-get install -t bookworm-backports x", "x"),
        ("apt-get install -tbookworm-backports x", "x"),
        ("apt-get install -yt bookworm-backports x", "x"),
        ("apt-get --target-release=bookworm-backports install x", "x"),
        ("apt-get --target-release bookworm-backports install x", "x"),
        ("apt-get -o Dpkg::Options::=--force-confold -qq install x", "x"),
        ("apt-get -qq=2 install x", "x"),
        ("apt-get install -yo Acquire::Retries=3 x", "x"),
        ("apt-get -y reinstall x", "x"),
        ("/usr/bin/apt install -y git", "git"),
        ("aptitude install -y -q -t stable x ~n^php 'y:i386'", "x y"),
        ("apt-get install -y x y-", "x"),
        ("apt-get install g++ libstdc++6", "g++ libstdc++6"),
        ("apt-get install php8.2-* lib?pq", "lib?pq php8.2-*"),
        ("apt-get install ./tool_1.0-1_amd64.deb /tmp/chrome_current_amd64.deb /tmp/plain.deb /tmp/dir", None),
        ("dpkg -i /tmp/tool_1.0-1_amd64.deb", "tool"),
        ("dpkg --force-all --install tool_1.0-1_amd64.deb", "tool"),
        ("dpkg --root /x -i tool_1.deb", "tool"),
        ("gdebi -n tool_1.0_all.deb", "tool"),
        ("install_packages x y", "x y"),
        ("apt-mark manual x", "x"),
        ("eatmydata apt-get install x", "x"),
        ("retry 5 apt-get install x", "x"),
        (f"apt-get install x {UNKNOWN} a{UNKNOWN}b", "x"),
        ("apt-get update", ""),
        ("apt-get upgrade x", ""),
        ("apt-get build-dep x", ""),
        ("apt-get download install", ""),
        ("apt-mark auto x", ""),
        ("dpkg -l x", ""),
        ("dpkg-query -W x", ""),
        ("echo apt-get install x", ""),
        ("grep install apt-get", ""),
        ("apt-get", ""),
    ],
)
def test_debian_packages(line: str, installed: str | None) -> None:
    found = {name for change in changes(shlex.split(line)) for name in change.installed if change.manager == "apt"}
    assert found == set((installed if installed is not None else "tool chrome plain").split())


@pytest.mark.parametrize(
    ("line", "manager", "installed"),
    [
        ("pip install flask 'Django>=4,<5' uvicorn[standard]==0.23", "pip", "django flask uvicorn"),
        ("pip3.11 install --no-cache-dir -U zope.interface", "pip", "zope-interface"),
        ("pip install git+https://example.org/acme/tool", "pip", ""),
        ("pip install git+https://example.org/acme/tool@v1#egg=acme_tool", "pip", "acme-tool"),
        ("pip install 'tool @ git+https://example.org/acme/tool@v1'", "pip", "tool"),
        ("pip install -e . -e 'git+https://x/y#egg=dev' ./dir dir/ .", "pip", "dev"),
        ("pip install -r requirements.txt -c constraints.txt x", "pip", "x"),
        ("pip install -i https://example.org/simple x", "pip", "x"),
        ("pip install --index-url https://example.org/simple --target /opt x", "pip", "x"),
        (
            "pip install /wheels/flask_cors-4.0.1-py3-none-any.whl dist/acme-tool-1.0.tar.gz",
            "pip",
            "acme-tool flask-cors",
        ),
        ("pip install https://example.org/a/zip-1.2.zip?x=1 bad.whl", "pip", "zip"),
        ("python3 -m pip install x", "pip", "x"),
        ("/opt/venv/bin/python -m pip install x", "pip", "x"),
        ("python3 manage.py install x", "pip", ""),
        ("uv pip install --system x", "pip", "x"),
        ("uv tool install x", "pip", "x"),
        ("uv run install x", "pip", ""),
        ("pipx install x", "pip", "x"),
        ("pip download x", "pip", ""),
        ("npm install -g typescript@5.1 @angular/cli@latest", "npm", "@angular/cli typescript"),
        ("npm i --global x y@npm:@acme/real@2", "npm", "@acme/real x"),
        ("npm --loglevel error install -g --registry https://x y", "npm", "y"),
        ("npm install -g ./local x.tgz user/repo git+https://a/b", "npm", ""),
        ("npm install x", "npm", ""),
        ("npm ci", "npm", ""),
        ("yarn global add x", "npm", "x"),
        ("yarn add x", "npm", ""),
        ("pnpm add -g x", "npm", "x"),
        ("gem install rails -v 7.0 bundler:2.4 --no-document", "gem", "bundler rails"),
        ("gem i -N nokogiri-1.16.0-x86_64-linux.gem", "gem", "nokogiri"),
        ("gem install --local /tmp/*.gem /src/a-b-*.gem /src/c*-1.0.gem", "gem", "* a-b* c*"),
        ("gem build x", "gem", ""),
    ],
)
def test_packages_of_languages(line: str, manager: str, installed: str) -> None:
    found = {name for change in changes(shlex.split(line)) for name in change.installed if change.manager == manager}
    assert found == set(installed.split())


@pytest.mark.parametrize(
    ("line", "change"),
    [
        ("apt-get purge -y --auto-remove x y", Change("apt", (), ("x", "y"))),
        ("apt-get autoremove --purge x", Change("apt", (), ("x",))),
        ("dpkg -P x", Change("apt", (), ("x",))),
        ("apt-get install x y-", Change("apt", ("x",), ("y",))),
        ("pip uninstall -y Flask", Change("pip", (), ("flask",))),
        ("npm -g rm x", Change("npm", (), ("x",))),
        ("gem uninstall x", Change("gem", (), ("x",))),
    ],
)
def test_what_is_removed(line: str, change: Change) -> None:
    assert tuple(changes(shlex.split(line))) == (change,)


def test_a_pattern_stands_for_what_it_matches() -> None:
    installed = ("php8.2-cli", "php8.2-fpm", "php-common", "libpq5")
    assert list(matching("php8.2-*", installed)) == ["php8.2-cli", "php8.2-fpm"]
    assert list(matching("lib?q5", installed)) == ["libpq5"]
    assert list(matching("not-there", installed)) == ["not-there"]


WORDS = st.one_of(
    st.sampled_from([*TOOLS, "python3", "-m", "pip3", "install", "-g", "-t", "--target-release", "global", "purge"]),
    st.text("ab-{,}*?[]:=/@.~ é\x00", max_size=20),
)


@given(st.lists(WORDS, min_size=1, max_size=8))
def test_any_argument_vector_can_be_read(argv: list[str]) -> None:
    for change in changes(argv):
        assert change.installed or change.removed
        for name in (*change.installed, *change.removed):
            assert name
            assert not set(name) & set(" \n\0{}:=")
            list(matching(name, ("a", "b")))
