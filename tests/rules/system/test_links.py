"""Links to directories of other packages, and links that bring nothing."""

from __future__ import annotations

import pytest

from debloat.core.model import Level
from debloat.rules.system import links
from tests.support import trees

DATA = "/usr/share/tool-data/locale-data"
IMAGE: trees.Table = {
    f"{DATA}/de.dat": "",
    f"{DATA}/sub/ja.dat": "",
    f"{DATA}/latest": "-> de.dat",
    "/usr/share/doc/tool-data/README": "",
    "/usr/lib/tool/data": "-> ../../share/tool-data/locale-data",
    "/usr/lib/tool/docs": "-> ../../share/doc/tool-data",
    "/usr/lib/tool/5.36": "-> 5.36.0",
    "/usr/lib/tool/5.36.0/a.pm": "",
    "/usr/lib/tool/all": "-> /usr/share",
    "/usr/lib/tool/gone": "-> nowhere",
    "/srv/www/shared": "-> /usr/share/tool-data/locale-data",
    "/srv/www/home": "-> /srv/data",
    "/srv/data/x": "",
}
OWNED = {
    "tool": [p for p in IMAGE if p.startswith("/usr/lib/tool/")] + ["/usr/lib/tool/5.36.0", "/usr/share"],
    "tool-data": [DATA, f"{DATA}/de.dat", f"{DATA}/sub/ja.dat", "/usr/share/doc/tool-data", "/usr/share"],
}
BELOW = [DATA, f"{DATA}/de.dat", f"{DATA}/latest", f"{DATA}/sub", f"{DATA}/sub/ja.dat"]


def _kept(path: str, level: Level = Level.SAFE) -> list[str]:
    world = trees.world(IMAGE, owned=OWNED, level=level)
    closure = trees.closed(world, links.RULES, path)
    return [p for p in trees.paths(closure) if "link.directory" in trees.rules_for(closure, p)]


@pytest.mark.parametrize("path", ["/usr/lib/tool/data", "/srv/www/shared"])
def test_a_link_to_a_directory_of_another_package_brings_it_whole(path: str) -> None:
    assert _kept(path) == BELOW[1:]


@pytest.mark.parametrize("name", ["5.36", "all", "docs", "gone"])
def test_a_link_brings_nothing_of_its_own_package_common_ground_or_documentation(name: str) -> None:
    assert _kept(f"/usr/lib/tool/{name}") == []


def test_a_link_to_what_is_nobody_s_brings_nothing() -> None:
    assert _kept("/srv/www/home") == []


def test_nothing_at_exact() -> None:
    assert _kept("/usr/lib/tool/data", Level.EXACT) == []


def test_a_kept_program_brings_its_names_on_path() -> None:
    table: trees.Table = {
        "/usr/lib/tool/bin/run": ("0755", ""),
        "/usr/bin/run": "-> /etc/alternatives/run",
        "/etc/alternatives/run": "-> /usr/lib/tool/bin/run",
        "/usr/bin/other": "-> nowhere",
        "/usr/bin/data": "-> ../lib/tool/data",
        "/usr/lib/tool/data": "",
        "/opt/run": "-> /usr/lib/tool/bin/run",
        "/usr/bin/bash": ("0755", ""),
        "/usr/bin/rbash": "-> bash",
    }
    world = trees.world(table)
    kept = trees.paths(trees.closed(world, links.RULES, "/usr/lib/tool/bin/run", "/usr/lib/tool/data", "/usr/bin/bash"))
    assert kept == [
        "/etc/alternatives/run",
        "/usr/bin/bash",
        "/usr/bin/run",
        "/usr/lib/tool/bin/run",
        "/usr/lib/tool/data",
    ]


PLOT = """auto
/usr/bin/plot
plot.1.gz
/usr/share/man/man1/plot.1.gz
plot.gih
/usr/share/plot/plot.gih

/usr/bin/plot-nox
80
/usr/share/plot/plot-nox.gih
"""
ALTERNATIVES: trees.Table = {
    "/var/lib/dpkg/alternatives/plot": PLOT,
    "/var/lib/dpkg/alternatives/damaged": b"\xff\n/\n\n".decode("latin-1"),
    "/var/lib/dpkg/alternatives/empty": "",
    "/usr/bin/plot-nox": ("0755", ""),
    "/usr/bin/plot": "-> /etc/alternatives/plot",
    "/etc/alternatives/plot": "-> /usr/bin/plot-nox",
    "/usr/share/plot/plot-nox.gih": "",
    "/usr/share/plot/plot-x11.gih": "",
    "/usr/share/plot/plot.gih": "-> /etc/alternatives/plot.gih",
    "/etc/alternatives/plot.gih": "-> /usr/share/plot/plot-nox.gih",
    "/usr/share/man/man1/plot-nox.1.gz": "",
    "/usr/share/man/man1/plot.1.gz": "-> /etc/alternatives/plot.1.gz",
    "/etc/alternatives/plot.1.gz": "-> /usr/share/man/man1/plot-nox.1.gz",
}


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/usr/share/plot/plot-nox.gih", ["/usr/share/plot/plot.gih"]),
        ("/usr/bin/plot-nox", ["/usr/bin/plot"]),
        ("/usr/share/plot/plot-x11.gih", []),  # not the choice
        ("/usr/share/man/man1/plot-nox.1.gz", []),
    ],
)
def test_a_kept_file_brings_its_names_by_update_alternatives(path: str, names: list[str]) -> None:
    closure = trees.closed(trees.world(ALTERNATIVES), links.RULES, path)
    assert [p for p in trees.paths(closure) if p != path and not p.startswith("/etc/alternatives/")] == names
