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
