"""The parsers of dpkg's text formats."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debloat.debian import control
from tests.support.dpkgdb import md5, stanza

STATUS = b"""Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Source: glibc (2.36-9)
Version: 2.36-9+deb12u10
Pre-Depends: dpkg (>= 1.0)
Depends: libgcc-s1, libcrypt1 (>= 1:4.4.10-10~) | libcrypt-compat:any
Provides: libc6-virtual (= 1), other
Section: libs
Essential: yes
Conffiles:
 /etc/ld.so.conf.d/with space.conf d4e7a7b88a71b5ffd9e2644e71a0cfab
 /etc/old.conf 00e7a7b88a71b5ffd9e2644e71a0cfab obsolete
Description: GNU C Library
 text

Package: removed
Status: deinstall ok config-files
Architecture: all
Version: 1

Package: never
Status: install ok not-installed
Architecture: all
"""


def test_a_stanza_is_read_field_by_field() -> None:
    libc, removed = control.stanzas(STATUS)
    package = libc.package
    assert (package.name, package.package, package.source) == ("libc6:amd64", "libc6", "glibc")
    assert package.version == "2.36-9+deb12u10"
    assert package.depends == (("dpkg",), ("libgcc-s1",), ("libcrypt1", "libcrypt-compat"))
    assert package.provides == ("libc6-virtual", "other")
    assert (package.section, package.essential, package.installed) == ("libs", True, True)
    assert libc.conffiles == (
        ("/etc/ld.so.conf.d/with space.conf", "d4e7a7b88a71b5ffd9e2644e71a0cfab"),
        ("/etc/old.conf", "00e7a7b88a71b5ffd9e2644e71a0cfab"),
    )
    assert libc.raw == STATUS.split(b"\n\n")[0]
    assert (removed.package.name, removed.package.installed) == ("removed", False)


ODD = (b"\xff", "\u2028".encode(), b"\xc2\x85", b"\x0c", b"\r", b"\x0b", b"\x1c", "\u2800".encode())
"""What editors and mail put into a maintainer's name or a description; dpkg takes every byte but a line feed."""


@pytest.mark.parametrize("odd", ODD)
def test_a_stanza_may_hold_any_byte(odd: bytes) -> None:
    line = b"Maintainer: J" + odd + b"rg <j@example.com>\n"
    conffile = b"Conffiles:\n /etc/a" + odd + b"b 00e7a7b88a71b5ffd9e2644e71a0cfab\n"
    (found,) = control.stanzas(b"Package: a\nStatus: install ok installed\n" + line + conffile + b"Version: 1-2\n")
    assert (found.package.name, found.package.version) == ("a", "1-2")
    assert found.conffiles == ((control.text(b"/etc/a" + odd + b"b"), "00e7a7b88a71b5ffd9e2644e71a0cfab"),)


@given(st.binary(max_size=40).filter(lambda data: b"\n" not in data))
def test_no_byte_of_a_field_changes(value: bytes) -> None:
    found = control._fields(b"Package: a\nX: x" + value + b"x\nVersion: 1")
    assert found == {"package": "a", "x": control.text(b"x" + value + b"x"), "version": "1"}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"PACKAGE: a\npackage : b \nX:\n", {"package": "b", "x": ""}),
        (b"# Package: a\nX: 1\n#\n two\n\tthree \nnothing\n more\n", {"x": "1\n two\n\tthree\n more"}),
        (b" before\nX: 1\n \t\nY: 2\n", {"x": "1"}),
        (b": none\n:\nX:Y:Z\n", {"x": "Y:Z"}),
    ],
)
def test_fields_as_deb822_has_them(raw: bytes, expected: dict[str, str]) -> None:
    assert control._fields(raw) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [("", ("a", "")), ("bzip2", ("bzip2", "")), ("bzip2 (1.0.8-5)", ("bzip2", "1.0.8-5")), ("x ()", ("x", ""))],
)
def test_the_source_of_a_package_has_a_version_of_its_own(source: str, expected: tuple[str, str]) -> None:
    (found,) = control.stanzas(stanza("a", Source=source).encode() if source else stanza("a").encode())
    assert (found.package.source, found.package.source_version) == expected


CONFFILES = b"Package: a\nConffiles:\n /etc/a 00\n /etc/b c 11 obsolete\nDescription: x\n y"


@pytest.mark.parametrize(
    ("stay", "expected"),
    [
        ({"/etc/a", "/etc/b c"}, CONFFILES),
        ({"/etc/b c"}, b"Package: a\nConffiles:\n /etc/b c 11 obsolete\nDescription: x\n y"),
        (set(), b"Package: a\nDescription: x\n y"),
    ],
)
def test_a_stanza_without_the_configuration_files_that_are_gone(stay: set[str], expected: bytes) -> None:
    assert control.without_conffiles(CONFFILES, stay.__contains__) == expected
    assert control.without_conffiles(b"Package: a\nVersion: 1", stay.__contains__) == b"Package: a\nVersion: 1"


@pytest.mark.parametrize(
    ("state", "counts"),
    [
        ("install ok installed", True),
        ("install reinstreq half-configured", True),
        ("install ok triggers-pending", True),
        ("purge ok not-installed", False),
        ("", False),
    ],
)
def test_only_packages_with_files_on_disk_count(state: str, counts: bool) -> None:
    assert bool(control.stanzas(stanza("a", Status=state).encode())) is counts


def test_the_lines_of_lists_and_digests() -> None:
    assert control.listed(b"/.\n/usr\n\nrelative\n/with\xff\n") == ("/", "/usr", "/with\udcff")
    digest = md5("x")
    sums = f"{digest}  usr/bin/a b\n\n{digest}  ./etc/x\nno digest here at all, but long enough\n{digest}\n"
    assert control.md5sums(sums.encode()) == ((digest, "/usr/bin/a b"), (digest, "/etc/x"))
    assert control.conffiles(b"/etc/a\nremove-on-upgrade /etc/b\n") == ("/etc/a",)


def test_a_diversion_is_three_lines() -> None:
    data = b"/bin/sh\n/bin/sh.distrib\ndash\n/x\n/y\n:\n/left\n"
    assert control.diversions(data) == (
        control.Diversion("/bin/sh", "/bin/sh.distrib", "dash"),
        control.Diversion("/x", "/y", ":"),
    )


AWK = b"""auto
/usr/bin/awk
awk.1.gz
/usr/share/man/man1/awk.1.gz

/usr/bin/gawk
10

/usr/bin/mawk
5
/usr/share/man/man1/mawk.1.gz

"""


def test_a_group_of_alternatives_is_read_and_written_back() -> None:
    group = control.alternative("awk", AWK)
    assert group is not None
    assert group.links == (("awk", "/usr/bin/awk"), ("awk.1.gz", "/usr/share/man/man1/awk.1.gz"))
    assert group.choices == (
        ("10", ("/usr/bin/gawk", "")),
        ("5", ("/usr/bin/mawk", "/usr/share/man/man1/mawk.1.gz")),
    )
    assert group.render() == AWK
    assert control.alternative("README", b"Please read the update-alternatives(1) man page.\n") is None


GARBAGE = (
    *(b"Package: a", b"Status: install ok installed", b"", b" ", b"Conffiles:", b" /a b", b"-----BEGIN PGP"),
    *(b"Depends: a | (, b", b"\x00\xff", b"/x", b"auto", b"#c", b"Package:", b"Version: \xff", b"\r", b":"),
)


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=400),
        st.lists(
            st.sampled_from(GARBAGE),
            max_size=14,
        ).map(b"\n".join),
    )
)
def test_no_parser_raises_on_garbage(data: bytes) -> None:
    for stanza_read in control.stanzas(data):
        assert stanza_read.package.package
    assert all(path.startswith("/") for path in control.listed(data))
    assert all(len(digest) == 32 for digest, _ in control.md5sums(data))
    control.conffiles(data)
    control.diversions(data)
    group = control.alternative("name", data)
    if group is not None:
        assert control.alternative("name", group.render()) == group
