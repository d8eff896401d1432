"""The application shipped as a Debian package: known by its files and fields, and whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from debloat.closure import World, close
from debloat.debian.documentation import is_documentation
from debloat.rules import all_rules
from debloat.rules.application.shipped import closing, shipped
from debloat.rules.application.survey import is_application
from tests.support.dpkgdb import debian_world
from tests.support.trees import Table

RUN = "/bin/sh -c apt-get install -y ./shop_2.1_all.deb"


def doc(name: str) -> list[str]:
    return [f"/usr/share/doc/{name}/copyright", f"/usr/share/doc/{name}/changelog.Debian.gz"]


def shop(
    packages: Mapping[str, Sequence[str]],
    fields: Mapping[str, Mapping[str, str]] | None = None,
    history: Sequence[str] = (RUN,),
    more: Table | None = None,
) -> World:
    table: Table = {path: "x" for paths in packages.values() for path in paths}
    return debian_world({**table, **(more or {})}, packages, fields=fields, history=history)


@pytest.mark.parametrize(
    ("files", "fields", "history", "said"),
    [
        (["/opt/shop/run", *doc("shop")], {}, "apt-get install shop", "/opt/shop/run"),
        (["/srv/www/x", *doc("shop")], {}, "apt-get install shop", "/srv/www/x"),
        (["/usr/lib/shop/x"], {}, "apt-get install shop", "no /usr/share/doc"),
        (["/usr/lib/shop/x", "/usr/share/doc/shop/copyright"], {}, "apt-get install shop", "no changelog"),
        (["/usr/lib/shop/x", *doc("shop")], {"Vendor": "none"}, "apt-get install shop", "Vendor"),
        (["/usr/lib/shop/x", *doc("shop")], {"License": "MIT"}, "apt-get install shop", "License"),
        (["/usr/lib/shop/x", *doc("shop")], {"Maintainer": "S <s@shop.example>"}, "dpkg -i /t/shop_1_all.deb", "file"),
        (["/usr/lib/shop/x", *doc("shop")], {"Maintainer": "S <s@debian.org>"}, "dpkg -i /t/shop_1_all.deb", ""),
        (["/usr/lib/shop/x", *doc("shop")], {"Origin": "Debian"}, "apt-get install shop", ""),
        (["/usr/lib/shop/x", *doc("shop")], {}, "apt-get install shop", ""),
        (["/opt/shop/run"], {}, "echo", ""),
    ],
)
def test_whose_a_package_is(files: list[str], fields: dict[str, str], history: str, said: str) -> None:
    found = shipped(shop({"shop": files}, {"shop": fields}, (f"/bin/sh -c {history}",)))
    assert (said in found.get("shop", "")) if said else not found


def test_it_is_whole_and_the_applications() -> None:
    files = [
        *(
            "/opt/shop/bin/shop",
            "/opt/shop/templates/a.html",
            "/etc/shop/shop.conf",
            "/usr/bin/shop",
            "/usr/lib/shop/late.py",
        ),
        *("/usr/share/locale/de/LC_MESSAGES/shop.mo", "/usr/share/man/man1/shop.1.gz", "/usr/include/shop.h"),
        "/usr/share/doc/shop/copyright",
    ]
    base = ["/usr/bin/tool", "/usr/lib/tool/plugin", *doc("tool")]
    world = shop(
        {"shop": files, "tool": base},
        more={"/opt/shop/bin/shop": ("0755", "#!/bin/sh\ntool\n"), "/usr/bin/tool": ("0755", "x")},
    )
    kept = close(closing(world), all_rules()).evidence
    assert {f for f in files if not is_documentation(f) and "include" not in f} <= kept.keys()
    # A script of the application may name any program, which a package's may not.
    assert "/usr/bin/tool" in kept
    assert "/usr/lib/tool/plugin" not in kept
    assert "/usr/share/man/man1/shop.1.gz" not in kept
    assert "/usr/include/shop.h" not in kept
    assert {"/usr/share/doc/shop/copyright", "/var/lib/dpkg/info/shop.list"} <= kept.keys()
    assert is_application(closing(world), "/opt/shop/templates/a.html")
    assert world.packages.owners("/opt/shop/templates/a.html") == ("shop",)


def test_what_it_depends_on_is_its_own_if_no_archive_has_it() -> None:
    packages = {
        "shop": ["/opt/shop/run"],
        "shop-data": ["/usr/lib/shop/data"],
        "libx": ["/usr/lib/libx.so", *doc("libx")],
    }
    world = shop(packages, {"shop": {"Depends": "shop-data (>= 1), libx"}})
    assert list(shipped(world)) == ["shop", "shop-data"]


def test_a_package_that_nobody_asked_for_nor_used() -> None:
    world = shop({"other": ["/opt/other/run"]})
    assert not shipped(world)
    assert closing(world) is world
