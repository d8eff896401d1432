"""What glibc loads and reads by itself: the loader's cache, NSS, databases, the unwinder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.core.model import Level
from debloat.rules.system import glibc
from tests.support.archive import RELEASES
from tests.support.debs import deb_world
from tests.support.elves import library, needs_compiler, versioned
from tests.support.trees import Table, closed, paths, rules_for, world

LIB = "/usr/lib/x86_64-linux-gnu"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("passwd: files systemd\nhosts:files mdns4_minimal [NOTFOUND=return] dns\n", "dns files mdns4_minimal systemd"),
        ("# passwd: compat\n\ngroup:\tcompat # ldap\n", "compat"),
        ("hosts: files [!UNAVAIL=return success=continue] myhostname", "files myhostname"),
        ("passwd: ../../evil files/x\n", ""),
        ("no colon here", ""),
    ],
)
def test_services(text: str, want: str) -> None:
    assert " ".join(glibc.nss_services(text)) == want


@given(st.text())
def test_services_of_any_text(text: str) -> None:
    assert all("/" not in service for service in glibc.nss_services(text))


def image(*versions: str) -> dict[str, bytes | str]:
    modules = ("files", "dns", "compat", "systemd", "ldap")
    return {
        f"{LIB}/libc.so.6": versioned("libc.so.6", *versions),
        f"{LIB}/libgcc_s.so.1": library("libgcc_s.so.1"),
        **{f"{LIB}/libnss_{m}.so.2": library(f"libnss_{m}.so.2", needs=("libcap.so.2",)) for m in modules},
        f"{LIB}/libcap.so.2": library("libcap.so.2"),
        "/etc/nsswitch.conf": "passwd: files systemd\ngroup: compat\nhosts: files dns absent\n",
        "/etc/host.conf": "multi on\n",
        "/etc/passwd": "",
        "/etc/shadow": "",
        "/etc/services": "",
        "/etc/motd": "",
    }


@needs_compiler
def test_nss_modules_that_nsswitch_names() -> None:
    closure = closed(world(image("GLIBC_2.2.5", "GLIBC_2.34"), level=Level.EXACT), glibc.RULES, f"{LIB}/libc.so.6")
    assert paths(closure) == [
        "/etc/nsswitch.conf",
        f"{LIB}/libc.so.6",
        f"{LIB}/libnss_compat.so.2",
        f"{LIB}/libnss_systemd.so.2",
    ]
    assert list(rules_for(closure, f"{LIB}/libnss_compat.so.2")) == ["glibc.nss"]


@needs_compiler
@pytest.mark.parametrize(
    ("localtime", "follows"),
    [
        ("-> /usr/share/zoneinfo/Europe/Berlin", ["/etc/localtime", "/usr/share/zoneinfo/Europe/Berlin"]),
        ("TZif2", ["/etc/localtime"]),
        ("-> /usr/share/zoneinfo/Etc/UTC", []),
        ("-> /usr/share/zoneinfo/Nowhere", []),
    ],
)
def test_the_time_zone_that_the_image_sets(localtime: str, follows: list[str]) -> None:
    zones = {"/usr/share/zoneinfo/Europe/Berlin": "TZif2", "/usr/share/zoneinfo/Etc/UTC": "TZif2"}
    there = world({**image("GLIBC_2.34"), **zones, "/etc/localtime": localtime})
    found = paths(closed(there, [glibc.LocalTime()], f"{LIB}/libc.so.6"))
    assert [path for path in found if not path.startswith(LIB)] == follows


@pytest.mark.network
@pytest.mark.parametrize("release", RELEASES)
def test_glibc_of_each_release(release: str) -> None:
    extra = {
        "/etc/localtime": "-> /usr/share/zoneinfo/Europe/Berlin",
        "/etc/nsswitch.conf": "passwd: files compat\n",
        "/etc/passwd": "",
    }
    there = deb_world("libc6", "tzdata", "libgcc-s1", extra=extra, release=release)
    found = set(paths(closed(there, glibc.RULES, f"{LIB}/libc.so.6")))
    assert {*extra, f"{LIB}/libnss_compat.so.2", f"{LIB}/libgcc_s.so.1"} <= found
    assert (f"{LIB}/libnss_files.so.2" in found) is (release == "bullseye")


@needs_compiler
def test_before_glibc_2_34_files_and_dns_are_modules() -> None:
    closure = closed(world(image("GLIBC_2.2.5"), level=Level.EXACT), glibc.RULES, f"{LIB}/libc.so.6")
    assert {f"{LIB}/libnss_files.so.2", f"{LIB}/libnss_dns.so.2"} <= set(paths(closure))


@needs_compiler
def test_without_nsswitch_the_built_in_default() -> None:
    table = {path: data for path, data in image("GLIBC_2.2.5").items() if path != "/etc/nsswitch.conf"}
    closure = closed(world(table, level=Level.EXACT), glibc.RULES, f"{LIB}/libc.so.6")
    assert paths(closure) == [f"{LIB}/libc.so.6", f"{LIB}/libnss_dns.so.2", f"{LIB}/libnss_files.so.2"]


@needs_compiler
def test_nothing_without_libc() -> None:
    table = {**image("GLIBC_2.34"), "/static": "x" * 100, "/opt/libcrypto.so": library("libcrypto.so")}
    assert paths(closed(world(table), glibc.RULES, "/static", "/opt/libcrypto.so")) == ["/opt/libcrypto.so", "/static"]


@needs_compiler
def test_safe_adds_databases_and_the_unwinder() -> None:
    table = image("GLIBC_2.34")
    exact = set(closed(world(table, level=Level.EXACT), glibc.RULES, f"{LIB}/libc.so.6").evidence)
    safe = set(closed(world(table), glibc.RULES, f"{LIB}/libc.so.6").evidence)
    added = {"/etc/host.conf", "/etc/passwd", "/etc/shadow", "/etc/services", f"{LIB}/libgcc_s.so.1"}
    assert safe - exact == added


@needs_compiler
def test_cache_with_the_loader_only() -> None:
    table: Table = {
        "/lib64/ld-linux-x86-64.so.2": library("ld-linux-x86-64.so.2"),
        "/etc/ld.so.cache": "x",
        "/ldata": "ld.so.1",
    }
    here = world(table, level=Level.EXACT)
    assert "/etc/ld.so.cache" in closed(here, glibc.RULES, "/lib64/ld-linux-x86-64.so.2")
    assert "/etc/ld.so.cache" not in closed(here, glibc.RULES, "/ldata")


def test_configuration_with_ldconfig_only() -> None:
    table: Table = {
        "/sbin/ldconfig": ("0755", b"x"),
        "/etc/ld.so.conf": "include",
        "/etc/ld.so.conf.d/a.conf": "/a",
        "/etc/ld.so.conf.d/README": "",
        "/bin/other": ("0755", b"x"),
    }
    conf = ["/etc/ld.so.conf", "/etc/ld.so.conf.d/a.conf", "/sbin/ldconfig"]
    assert paths(closed(world(table), glibc.RULES, "/sbin/ldconfig")) == conf
    assert paths(closed(world(table), glibc.RULES, "/bin/other")) == ["/bin/other"]
    assert paths(closed(world(table, level=Level.EXACT), glibc.RULES, "/sbin/ldconfig")) == ["/sbin/ldconfig"]
