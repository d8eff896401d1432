"""The pruned package database, read the way that dpkg and the scanners read it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from debloat.closure import World
from debloat.core.errors import InternalError
from debloat.core.model import Closure, Level, Policy
from debloat.debian import dpkg
from debloat.debian.prune import PackageShare, Pruned, prune
from debloat.image.rootfs import Rootfs
from debloat.rules.system.database import DebianDatabase
from tests.support import debs
from tests.support.dpkgdb import debian_world, md5, stanza
from tests.support.trees import Table, closed, paths, tree

INFO = "/var/lib/dpkg/info"
TREE: Table = {
    "/etc/os-release": "-> ../usr/lib/os-release",
    "/usr/lib/os-release": "ID=debian",
    "/etc/debian_version": "12.9",
    "/usr/bin/a": "a",
    "/usr/lib/liba.so.1": "-> liba.so.1.0",
    "/usr/lib/liba.so.1.0": "liba",
    "/usr/lib/a/": "",
    "/usr/share/doc/a/copyright": "licence",
    "/usr/share/doc/a/README": "read me",
    "/etc/a.conf": "x",
    "/etc/a.d/b.conf": "y",
    "/usr/bin/gone": "g",
    "/usr/share/doc/gone/copyright": "licence",
    "/var/lib/dpkg/info/a.postinst": "#!/bin/sh",
    "/var/lib/dpkg/info/a.conffiles": "/etc/a.conf\n/etc/a.d/b.conf\n",
    "/var/lib/dpkg/info/format": "1\n",
    "/var/lib/dpkg/status-old": "old",
}
OWNED = {
    "base-files": ["/usr/lib/os-release", "/etc/debian_version"],
    "a": [
        *("/usr/bin/a", "/usr/lib/liba.so.1", "/usr/lib/liba.so.1.0", "/usr/lib/a"),
        *("/usr/share/doc/a/copyright", "/usr/share/doc/a/README", "/etc/a.conf", "/etc/a.d/b.conf"),
    ],
    "gone": ["/usr/bin/gone", "/usr/share/doc/gone/copyright"],
}
SHIPPED = {
    "/usr/bin/a": "a",
    "/usr/lib/liba.so.1.0": "liba",
    "/usr/share/doc/a/copyright": "licence",
    "/usr/bin/gone": "g",
}


def pruned(world: World, *seeds: str) -> tuple[Pruned, Closure]:
    closure = closed(world, [DebianDatabase()], *seeds)
    return prune(world.rootfs, world.packages, frozenset(closure.evidence)), closure


def base(extra: Table | None = None, **more: list[str]) -> World:
    return debian_world({**TREE, **(extra or {})}, {**OWNED, **more}, shipped=SHIPPED)


def lines(result: Pruned, path: str) -> list[str]:
    return result.contents[path].decode().splitlines()


def test_a_stanza_stays_iff_a_file_stays_and_is_never_edited() -> None:
    world = base()
    result, closure = pruned(world, "/usr/bin/a", "/usr/share/doc/gone/copyright")
    status = result.contents["/var/lib/dpkg/status"]
    original = world.rootfs.read("/var/lib/dpkg/status")
    assert status == b"".join(t + b"\n\n" for t in original.split(b"\n\n") if t and b"Package: gone" not in t)
    assert f"{INFO}/gone.list" not in closure
    assert result.dropped == frozenset()


def test_lists_and_digests_speak_of_surviving_files() -> None:
    result, closure = pruned(base(), "/usr/lib/liba.so.1", "/etc/a.conf")
    assert lines(result, f"{INFO}/a.list") == [
        *("/.", "/etc", "/etc/a.conf", "/usr", "/usr/lib", "/usr/lib/liba.so.1", "/usr/lib/liba.so.1.0"),
        *("/usr/share", "/usr/share/doc", "/usr/share/doc/a", "/usr/share/doc/a/copyright"),
    ]
    assert lines(result, f"{INFO}/a.md5sums") == [
        f"{md5('liba')}  usr/lib/liba.so.1.0",
        f"{md5('licence')}  usr/share/doc/a/copyright",
    ]
    assert lines(result, f"{INFO}/a.conffiles") == ["/etc/a.conf"]
    assert f"{INFO}/a.postinst" not in closure
    assert f"{INFO}/format" in closure


def test_a_stanza_names_no_configuration_file_that_is_gone() -> None:
    fields = {"a": {"Conffiles": "\n /etc/a.conf 00e7\n /etc/a.d/b.conf 11e7", "Description": "x"}}
    world = debian_world(TREE, OWNED, shipped=SHIPPED, fields=fields)
    status = pruned(world, "/usr/bin/a", "/etc/a.conf")[0].contents["/var/lib/dpkg/status"].decode()
    assert "Conffiles: \n /etc/a.conf 00e7\nDescription: x\n" in status
    assert "Conffiles" not in pruned(world, "/usr/bin/a")[0].contents["/var/lib/dpkg/status"].decode()


def test_the_package_that_holds_the_licence_of_another_has_a_stanza() -> None:
    table = {**TREE, "/usr/share/doc/a": "-> a-base", "/usr/share/doc/a-base/copyright": "licence"}
    del table["/usr/share/doc/a/copyright"], table["/usr/share/doc/a/README"]
    owned = {**OWNED, "a": ["/usr/bin/a", "/usr/share/doc/a"], "a-base": ["/usr/share/doc/a-base/copyright"]}
    result, closure = pruned(debian_world(table, owned), "/usr/bin/a")
    assert "/usr/share/doc/a-base/copyright" in closure
    assert "Package: a-base\n" in result.contents["/var/lib/dpkg/status"].decode()


def test_an_empty_directory_that_a_package_brings_is_listed() -> None:
    result, _ = pruned(base(), "/usr/bin/a", "/usr/lib/a")
    assert "/usr/lib/a" in lines(result, f"{INFO}/a.list")
    result, _ = pruned(base(), "/usr/bin/a")
    assert "/usr/lib/a" not in lines(result, f"{INFO}/a.list")


def test_the_licence_of_a_kept_package_stays_with_what_its_link_leads_to() -> None:
    linked: Table = {"/usr/lib/b.so": "b", "/usr/share/doc/b": "-> a"}
    result, closure = pruned(base(linked, b=["/usr/lib/b.so", "/usr/share/doc/b"]), "/usr/lib/b.so")
    assert {"/usr/share/doc/b", "/usr/share/doc/a/copyright"} <= set(closure.evidence)
    assert "/usr/share/doc/a/README" not in closure
    assert "/usr/share/doc/b" in lines(result, f"{INFO}/b.list")
    assert lines(result, f"{INFO}/a.list")[-1] == "/usr/share/doc/a/copyright", "its stanza stays, so it has a list"


def test_release_files_stay_and_every_kept_path_has_a_chain() -> None:
    _, closure = pruned(base(), "/usr/bin/a")
    assert {"/etc/os-release", "/usr/lib/os-release", "/etc/debian_version"} <= set(closure.evidence)
    assert [path for path, _ in closure.why("/usr/share/doc/a/copyright")] == [
        "/usr/share/doc/a/copyright",
        f"{INFO}/a.list",
        "/usr/bin/a",
    ]


def test_an_image_without_dpkg_gives_nothing() -> None:
    world = debian_world({"/usr/bin/a": "a", "/etc/os-release": "ID=x", "/var/lib/dpkg/status": ""}, {})
    result, closure = pruned(world, "/usr/bin/a")
    assert result == Pruned()
    assert paths(closure) == ["/usr/bin/a"]


def test_what_was_touched_of_gone_packages_tells_no_untruth() -> None:
    result, _ = pruned(base(), "/usr/bin/a", f"{INFO}/gone.list", f"{INFO}/gone.md5sums", "/var/lib/dpkg/status-old")
    assert result.dropped == {f"{INFO}/gone.list", f"{INFO}/gone.md5sums", "/var/lib/dpkg/status-old"}


def test_shares_count_files_bytes_and_state() -> None:
    result, _ = pruned(base(), "/usr/bin/a")
    assert result.shares == (
        PackageShare("a", "1.0-1", "a", 2, 7, 8, 21, "partly"),
        PackageShare("base-files", "1.0-1", "base-files", 2, 2, 13, 13, "kept"),
        PackageShare("gone", "1.0-1", "gone", 0, 2, 0, 8, "gone"),
    )


def test_diversions_overrides_and_alternatives_speak_of_what_stays() -> None:
    extra: Table = {
        "/var/lib/dpkg/diversions": "/usr/bin/sh\n/usr/bin/sh.distrib\na\n/usr/bin/x\n/usr/bin/x.real\na\n",
        "/var/lib/dpkg/statoverride": "root root 4755 /usr/bin/a\nroot adm 2755 /usr/bin/gone\n",
        "/usr/bin/sh": "sh",
        "/usr/bin/awk": "-> /etc/alternatives/awk",
        "/etc/alternatives/awk": "-> /usr/bin/mawk",
        "/usr/bin/mawk": "m",
        "/usr/bin/gawk": "g",
        "/var/lib/dpkg/alternatives/awk": "auto\n/usr/bin/awk\nawk.1\n/usr/share/man/man1/awk.1\n\n"
        "/usr/bin/gawk\n10\n\n/usr/bin/mawk\n5\n/usr/share/man/man1/mawk.1\n\n",
    }
    world = base(extra, mawk=["/usr/bin/mawk"], gawk=["/usr/bin/gawk"], dash=["/usr/bin/sh"])
    result, closure = pruned(world, "/usr/bin/sh", "/usr/bin/awk", "/usr/bin/a")
    assert lines(result, "/var/lib/dpkg/diversions") == ["/usr/bin/sh", "/usr/bin/sh.distrib", "a"]
    assert lines(result, "/var/lib/dpkg/statoverride") == ["root root 4755 /usr/bin/a"]
    assert result.contents["/var/lib/dpkg/alternatives/awk"] == b"auto\n/usr/bin/awk\n\n/usr/bin/mawk\n5\n\n"
    assert f"{INFO}/mawk.list" in closure
    result, closure = pruned(world, "/usr/bin/a")
    assert "/var/lib/dpkg/alternatives/awk" not in closure


def test_a_kept_file_that_the_database_does_not_account_for_is_an_internal_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = base()
    monkeypatch.setattr("debloat.debian.prune._surviving_lines", lambda *_: iter(("/",)))
    with pytest.raises(InternalError, match="does not account for"):
        pruned(world, "/usr/bin/a")


def test_a_distroless_database_is_pruned_file_by_file() -> None:
    rootfs = tree(
        {
            "/var/lib/dpkg/status.d/a": stanza("a"),
            "/var/lib/dpkg/status.d/a.md5sums": f"{md5('a')}  usr/bin/a\n{md5('z')}  usr/bin/z\n",
            "/var/lib/dpkg/status.d/b": stanza("b"),
            "/var/lib/dpkg/status.d/b.md5sums": f"{md5('b')}  usr/bin/b\n",
            "/usr/bin/a": "a",
            "/usr/bin/z": "z",
            "/usr/bin/b": "b",
        }
    )
    world = World(rootfs, dpkg.read(rootfs), debian_world({}, {}).config, policy=Policy(Level.EXACT))
    result, closure = pruned(world, "/usr/bin/a")
    assert result.contents["/var/lib/dpkg/status.d/a"] == stanza("a").encode()
    assert lines(result, "/var/lib/dpkg/status.d/a.md5sums") == [f"{md5('a')}  usr/bin/a"]
    assert "/var/lib/dpkg/status.d/b" not in closure
    assert "/var/lib/dpkg/status" not in result.contents


REAL = ("base-files", "dash", "libc6", "mawk", "netbase", "tzdata", "zlib1g")
TOUCHED = ("/usr/bin/dash", "/usr/bin/mawk", "/usr/share/zoneinfo/Europe/Berlin", "/etc/protocols")


@pytest.fixture(scope="module")
def minimal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minimal root of real packages on disk, its database pruned."""
    world = debs.deb_world(*REAL)
    result, closure = pruned(world, *TOUCHED)
    root = tmp_path_factory.mktemp("minimal")
    for path in closure.evidence:
        if path not in result.dropped:
            _put(world.rootfs, path, root, result)
    return root


def _put(rootfs: Rootfs, path: str, root: Path, result: Pruned) -> None:
    entry = rootfs.get(path)
    assert entry is not None
    place = root / path[1:]
    if entry.is_dir:
        place.mkdir(exist_ok=True)
    elif entry.is_symlink:
        place.symlink_to(entry.target)
    else:
        place.write_bytes(result.contents.get(path, rootfs.read(path) if path not in result.contents else b""))


def trivy(root: Path) -> tuple[dict[str, str], list[str]]:
    """Packages and files as trivy reads them: regular files only; a digest line without two spaces aborts."""
    if not (root / "etc/debian_version").exists():
        return {}, []
    packages = {}
    for block in (root / "var/lib/dpkg/status").read_text().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and line[0] != " ")
        if fields and "installed" in fields["Status"].split() and "deinstall" not in fields["Status"]:
            packages[fields["Package"]] = fields["Version"]
    files = []
    for sums in (root / "var/lib/dpkg/info").glob("*.md5sums"):
        assert not sums.is_symlink()
        for line in sums.read_text().splitlines():
            digest, separator, path = line.partition("  ")
            assert separator, f"trivy gives up on {line!r}"
            assert len(digest) == 32
            assert not path.startswith("/")
            files.append(path)
    return packages, files


def syft(root: Path) -> dict[str, list[str]]:
    """Each package's files and licence as syft finds them: info/NAME or info/NAME:ARCH, doc/NAME/copyright."""
    found = {}
    for name, arch in _names(root):
        info = [root / f"var/lib/dpkg/info/{stem}" for stem in (f"{name}:{arch}", name)]
        sums = [Path(f"{stem}.md5sums") for stem in info if Path(f"{stem}.md5sums").exists()]
        conffiles = [Path(f"{stem}.conffiles") for stem in info if Path(f"{stem}.conffiles").exists()]
        files = [line.split("  ", 1)[1] for path in sums[:1] for line in path.read_text().splitlines()]
        files += [line.lstrip("/") for path in conffiles[:1] for line in path.read_text().splitlines()]
        assert (root / f"usr/share/doc/{name}/copyright").exists()
        found[name] = files
    return found


def _names(root: Path) -> Iterable[tuple[str, str]]:
    for block in (root / "var/lib/dpkg/status").read_text().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and line[0] != " ")
        if fields:
            yield fields["Package"], fields["Architecture"]


@pytest.mark.network
def test_trivy_sees_the_packages_and_files_that_are_there(minimal: Path) -> None:
    packages, files = trivy(minimal)
    assert sorted(packages) == ["base-files", "dash", "mawk", "netbase", "tzdata"]
    assert [path for path in files if not (minimal / path).exists()] == []
    assert "usr/bin/dash" in [
        path.replace("bin/dash", "usr/bin/dash") if path == "bin/dash" else path for path in files
    ]


@pytest.mark.network
def test_syft_sees_digests_conffiles_and_licences(minimal: Path) -> None:
    found = syft(minimal)
    assert "etc/protocols" in found["netbase"]
    assert [path for files in found.values() for path in files if not (minimal / path).exists()] == []


@pytest.mark.network
def test_the_digests_are_those_of_the_files(minimal: Path) -> None:
    checked = 0
    for sums in (minimal / "var/lib/dpkg/info").glob("*.md5sums"):
        for line in sums.read_text().splitlines():
            digest, _, path = line.partition("  ")
            assert hashlib.md5((minimal / path).read_bytes(), usedforsecurity=False).hexdigest() == digest
            checked += 1
    assert checked > 5


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="needs dpkg-query")
@pytest.mark.network
def test_dpkg_itself_reads_the_database(minimal: Path) -> None:
    def run(*command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        assert done.returncode == 0
        return done.stdout

    admin = f"--admindir={minimal}/var/lib/dpkg"
    shown = run("dpkg-query", admin, "-W", "-f", "${binary:Package} ${db:Status-Status}\n").splitlines()
    assert shown == [f"{name} installed" for name in ("base-files", "dash", "mawk", "netbase", "tzdata")]
    assert "/usr/share/zoneinfo/Europe/Berlin" in run("dpkg-query", admin, "-L", "tzdata").splitlines()
    assert run("dpkg-query", admin, "-S", "/etc/protocols") == "netbase: /etc/protocols\n"
    missing = [
        line
        for line in run("dpkg", f"--root={minimal}", "--verify").splitlines()
        if " c /" not in line  # the stanzas' Conffiles fields are never edited
    ]
    assert missing == []
    assert run("dpkg", f"--root={minimal}", "--audit") == ""
