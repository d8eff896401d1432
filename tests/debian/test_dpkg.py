"""Who owns a file: the dpkg database against merged /usr, diversions, alternatives and changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from debloat.debian import dpkg
from debloat.debian.packages import NoPackages
from debloat.image.rootfs import Rootfs
from tests.support import debs, work
from tests.support.dpkgdb import database, debian_world, md5, stanza
from tests.support.trees import Table, tree

MERGED: Table = {"/usr/bin/": "", "/usr/lib/": "", "/bin": "-> usr/bin", "/lib": "-> usr/lib"}


def read(table: Table) -> dpkg.Database:
    packages = dpkg.read(tree(table))
    assert isinstance(packages, dpkg.Database)
    return packages


def test_an_image_without_a_database_owns_nothing() -> None:
    assert isinstance(dpkg.read(tree({"/bin/tool": "x"})), NoPackages)
    assert isinstance(dpkg.read(tree({"/var/lib/dpkg/status": "garbage\xff"})), NoPackages)


def test_paths_are_followed_through_merged_usr() -> None:
    db = read(
        {
            **MERGED,
            "/usr/bin/dash": "x",
            "/usr/lib/x86_64-linux-gnu/libc.so.6": "x",
            "/usr/bin/own": "x",
            **database({"dash": ["/bin/dash"], "libc6:amd64": ["/lib/x86_64-linux-gnu/libc.so.6"]}),
        }
    )
    assert db.owners("/usr/bin/dash") == ("dash",)
    assert db.owners("/usr/lib/x86_64-linux-gnu/libc.so.6") == ("libc6:amd64",)
    assert db.owners("/usr/bin") == ("dash",)
    assert db.owners("/bin") == (), "no package brought the link"
    assert db.owners("/usr/bin/own") == ()
    assert "/usr/bin/dash" in db.files("dash")
    assert db.files("libc6") == db.files("libc6:amd64") != ()
    assert db.files("nothing") == ()


def test_a_link_that_a_package_ships_is_its_own_and_not_what_it_leads_to() -> None:
    db = read(
        {
            "/usr/lib/a.so.1": "-> a.so.1.2",
            "/usr/lib/a.so.1.2": "x",
            "/usr/share/doc/b": "-> a",
            "/usr/share/doc/a/copyright": "x",
            **database(
                {"a": ["/usr/lib/a.so.1", "/usr/lib/a.so.1.2", "/usr/share/doc/a/copyright"], "b": ["/usr/share/doc/b"]}
            ),
        }
    )
    assert db.owners("/usr/lib/a.so.1") == ("a",)
    assert db.files("b") == ("/", "/usr", "/usr/share", "/usr/share/doc", "/usr/share/doc/b")
    assert db.owners("/usr/share/doc/a") == ("a",)


def test_a_diverted_file_belongs_to_its_package_and_the_name_to_the_diverting_one() -> None:
    db = read(
        {
            "/usr/bin/perf": "wrapper",
            "/usr/bin/perf.real": "real",
            "/usr/bin/local.moved": "x",
            "/var/lib/dpkg/diversions": "/usr/bin/perf\n/usr/bin/perf.real\nwrap\n"
            "/usr/bin/local\n/usr/bin/local.moved\n:\n",
            **database({"wrap": ["/usr/bin/perf"], "perf": ["/usr/bin/perf", "/usr/bin/local"]}),
        }
    )
    assert db.owners("/usr/bin/perf") == ("wrap",)
    assert db.owners("/usr/bin/perf.real") == ("perf",)
    assert db.owners("/usr/bin/local.moved") == ("perf",)


def test_alternatives_belong_to_what_they_point_at() -> None:
    db = read(
        {
            "/usr/bin/awk": "-> /etc/alternatives/awk",
            "/etc/alternatives/awk": "-> /usr/bin/mawk",
            "/usr/bin/mawk": "x",
            "/usr/bin/mine": "-> /etc/alternatives/awk",
            "/var/lib/dpkg/alternatives/awk": "auto\n/usr/bin/awk\n\n/usr/bin/mawk\n5\n\n",
            **database({"mawk": ["/usr/bin/mawk"]}),
        }
    )
    assert db.owners("/usr/bin/awk") == ("mawk",)
    assert db.owners("/etc/alternatives/awk") == ("mawk",)
    assert db.owners("/usr/bin/mine") == (), "a link that the application made is no alternative"
    assert "/usr/bin/awk" not in db.files("mawk")


def test_multi_arch_twins_own_together() -> None:
    db = read(
        {
            "/usr/share/doc/z/copyright": "x",
            "/usr/lib/i386-linux-gnu/z.so": "x",
            **database(
                {
                    "z:amd64": ["/usr/share/doc/z/copyright"],
                    "z:i386": ["/usr/share/doc/z/copyright", "/usr/lib/i386-linux-gnu/z.so"],
                }
            ),
        }
    )
    assert db.names() == ("z:amd64", "z:i386")
    assert db.owners("/usr/share/doc/z/copyright") == ("z:amd64", "z:i386")
    assert db.providers("z") == ("z:amd64", "z:i386")
    package = db.get("z")
    assert package is not None
    assert package.name == "z:amd64"


def test_what_differs_from_what_was_installed_is_modified() -> None:
    conffiles = {"a": {"Conffiles": f"\n /etc/kept.conf {md5('old')}\n /etc/edited.conf {md5('old')}"}}
    world = debian_world(
        {"/etc/kept.conf": "old", "/etc/edited.conf": "new", "/usr/bin/a": "x", "/usr/bin/b": "patched", "/srv/z": "z"},
        {"a": ["/usr/bin/a", "/usr/bin/b", "/etc/kept.conf", "/etc/edited.conf"]},
        shipped={"/usr/bin/a": "x", "/usr/bin/b": "y"},
        fields=conffiles,
    )
    changed = [path for path in world.rootfs if world.packages.modified(path)]
    assert changed == ["/etc/edited.conf", "/usr/bin/b"]
    assert world.packages.conffile("/etc/kept.conf")
    assert not world.packages.conffile("/usr/bin/a")


def test_a_removed_package_owns_the_configuration_that_it_left() -> None:
    db = read(
        {
            "/etc/left.conf": "x",
            **database({"gone": ["/etc/left.conf"]}, fields={"gone": {"Status": "deinstall ok config-files"}}),
        }
    )
    assert db.names() == ()
    assert db.owners("/etc/left.conf") == ("gone",)
    assert db.providers("gone") == ()


def test_distroless_stanzas_are_read_with_their_digests() -> None:
    db = read(
        {
            "/var/lib/dpkg/status.d/base": stanza("base-files", Status="install ok installed"),
            "/var/lib/dpkg/status.d/netbase": stanza("netbase").replace("Status: install ok installed\n", ""),
            "/var/lib/dpkg/status.d/netbase.md5sums": f"{md5('x')}  etc/services\n",
            "/etc/services": "x",
        }
    )
    assert db.names() == ("base-files", "netbase")
    assert db.owners("/etc/services") == ("netbase",)
    assert not db.modified("/etc/services")


def test_hostile_paths_stay_inside_the_root() -> None:
    db = read(
        {
            "/usr/bin/x": "x",
            "/loop": "-> loop",
            "/var/lib/dpkg/info/evil.md5sums": "",
            "/var/lib/dpkg/status": stanza("evil"),
            "/var/lib/dpkg/info/evil.list": "/../../usr/bin/x\n/usr/bin/../bin/x\n/loop/a\n/loop\n/"
            + "a/" * 5000
            + "\n//\n",
        }
    )
    assert set(db.files("evil")) <= {"/", "/usr/bin/x", "/loop"}


def owned_files(packages: int, each: int) -> Rootfs:
    names = [f"p{i}" for i in range(packages)]
    owned = {n: [f"/usr/share/{n}/d{j % 7}/file{j}" for j in range(each)] for n in names}
    return tree({**{p: "" for paths in owned.values() for p in paths}, **database(owned)})


def owners(rootfs: Rootfs) -> list[tuple[str, ...]]:
    db = dpkg.read(rootfs)
    return [db.owners(path) for path in rootfs]


def test_ownership_is_known_of_every_file() -> None:
    assert sum(map(bool, owners(owned_files(40, 60)))) > 40 * 60


@pytest.mark.parametrize("shape", ["more packages", "more files in each"])
def test_ownership_grows_with_the_files(shape: str) -> None:
    def reading(size: int) -> Callable[[], object]:
        return partial(owners, owned_files(size, 20) if shape == "more packages" else owned_files(20, size))

    assert work.growth(reading, 30) < 2.2


@pytest.mark.network
def test_real_packages_are_owned_file_by_file() -> None:
    world = debs.deb_world("dash", "libc6", "tzdata")
    db = world.packages
    assert db.owners("/usr/bin/dash") == ("dash",)
    assert db.owners("/usr/lib/x86_64-linux-gnu/libc.so.6") in ((), ("libc6:amd64",))
    unowned = [
        e.path
        for e in world.rootfs.entries()
        if e.is_file and not e.path.startswith("/var/lib/dpkg/") and not db.owners(e.path)
    ]
    assert unowned == []
    assert not [p for n in db.names() for p in db.files(n) if world.rootfs.is_file(p) and db.modified(p)]
