"""apt's own records of what somebody asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.debian import dpkg
from debloat.debian.asked import asked_for, automatic, logged
from debloat.debian.packages import Packages
from tests.support.dpkgdb import database
from tests.support.trees import tree

MARKS = (
    "Package: libonig5\nArchitecture: amd64\nAuto-Installed: 1\n\n"
    "Package: tzdata\nArchitecture: amd64\nAuto-Installed: 1\n"
)
LOG = (
    "\nStart-Date: 2026-11-27  14:54:23\nCommandline: apt-get install -y curl\n"
    "Install: curl:amd64 (7.88.1-10+deb12u5), libonig5:amd64 (6.9.8-1, automatic), fonts:amd64 (1:2-3)\n"
    "Upgrade: base-files:amd64 (12.4, 12.5)\nEnd-Date: 2026-11-27  14:54:26\n"
)


def packages(**fields: str) -> Packages:
    """Some packages, each with Priority, or Priority and Depends."""
    described = {}
    for name, text in fields.items():
        priority, _, depends = text.partition(" ")
        architecture = "all" if name in ("fonts", "tzdata") else "amd64"
        described[name.replace("_", "-")] = {"Priority": priority, "Depends": depends, "Architecture": architecture}
    return dpkg.read(tree(database(dict.fromkeys(described, ()), fields=described)))


INSTALLED = packages(
    base_files="required libbase",
    libbase="optional libdeep",
    libdeep="optional",
    procps="important",
    curl="optional",
    jq="optional",
    libonig5="optional",
    fonts="optional",
    tzdata="optional",
)


@pytest.mark.parametrize(
    ("marks", "log", "expected"),
    [
        ("without a record all look alike", "", ""),
        (MARKS, "", "curl fonts jq"),
        ("", LOG, "curl fonts"),
        (MARKS, LOG.replace("Install: curl", "Install: procps"), "curl fonts jq procps"),
        ("Package: jq\nArchitecture: i386\nAuto-Installed: 1\n", "", "curl fonts jq libonig5 tzdata"),
        ("Package: jq\nArchitecture: amd64\nAuto-Installed: 0\n", "", ""),
        ("", LOG.replace("curl:amd64", "gone:amd64").replace("fonts", "gone"), ""),
    ],
)
def test_what_is_neither_automatic_nor_of_the_base_was_asked_for(marks: str, log: str, expected: str) -> None:
    assert asked_for(INSTALLED, marks, log) == set(expected.split())


@given(st.text("Package: Auto-Installed:1\n Install(,)", max_size=120) | st.text())
def test_any_text_is_a_record(text: str) -> None:
    assert all(name and not set(name) & set(" \n\t") for name, _ in automatic(text) | logged(text))
    asked_for(INSTALLED, text, text)
