"""PAM: stacks name their modules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.core.model import Level
from debloat.rules.knowledge import families
from debloat.rules.system import pam
from debloat.rules.system.pam import files, modules
from tests.support import trees
from tests.support.archive import RELEASES
from tests.support.debs import deb_world

LIB = "/usr/lib/x86_64-linux-gnu/security"
IMAGE: trees.Table = {
    "/etc/pam.d/login": "auth\t[success=1 default=ignore]\tpam_unix.so nullok\n@include x\n-session optional /opt/p.so",
    f"{LIB}/pam_unix.so": "",
    f"{LIB}/pam_userdb.so": "",
    "/usr/sbin/unix_chkpwd": ("0755", ""),
    "/usr/sbin/mkhomedir_helper": ("0755", ""),
    "/opt/p.so": "",
}


def test_a_stack_brings_its_modules_and_their_helpers() -> None:
    kept = trees.paths(trees.closed(trees.world(IMAGE), pam.RULES, "/etc/pam.d/login"))
    assert kept == ["/etc/pam.d/login", "/opt/p.so", f"{LIB}/pam_unix.so", "/usr/sbin/unix_chkpwd"]


def test_nothing_at_exact() -> None:
    world = trees.world(IMAGE, level=Level.EXACT)
    assert trees.paths(trees.closed(world, pam.RULES, "/etc/pam.d/login")) == ["/etc/pam.d/login"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("account required pam_unix.so", ["pam_unix.so"]),
        ("other auth include x", ["x"]),
        ("# auth required pam_a.so\nauth required \\\n pam_b.so debug", ["pam_b.so"]),
        ("session [default=1]   pam_permit.so\nsession requisite pam_deny.so", ["pam_permit.so", "pam_deny.so"]),
        ("@include common-auth", []),
        ("auth [broken", []),
    ],
)
def test_modules(text: str, names: list[str]) -> None:
    assert list(modules(text)) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("auth required pam_listfile.so item=user sense=deny file=/etc/ftpusers onerr=succeed", ["/etc/ftpusers"]),
        ("auth optional pam_exec.so expose_authtok /usr/local/bin/check --x", ["/usr/local/bin/check"]),
        ("auth [success=1 default=ignore] /opt/p.so [conf=/etc/a b] /etc/c", ["/etc/a", "/etc/c"]),
        ("auth required pam_a.so x # /etc/b", []),
        ("/etc/d", []),
    ],
)
def test_files(text: str, names: list[str]) -> None:
    assert list(files(text)) == names


def test_files_that_are_handed_to_a_module() -> None:
    image = {"/etc/pam.d/ftp": "auth required pam_listfile.so file=/etc/f dir=/srv", "/etc/f": "", "/srv/x": ""}
    kept = trees.paths(trees.closed(trees.world(image), pam.RULES, "/etc/pam.d/ftp"))
    assert kept == ["/etc/f", "/etc/pam.d/ftp"]


@given(st.text("authsession [=]#\\\n@-/.", max_size=60))
def test_garbage_is_read_without_error(text: str) -> None:
    assert all(name for name in (*modules(text), *files(text)))


@pytest.mark.network
@pytest.mark.parametrize("release", RELEASES)
def test_debian_s_stacks(release: str) -> None:
    extra = {
        "/etc/pam.d/common-auth": "auth [success=1 default=ignore] pam_unix.so nullok\nauth requisite pam_deny.so\n",
        "/etc/pam.d/su": "auth sufficient pam_rootok.so\n",
        "/usr/lib/pam.d/polkit-1": "account required pam_time.so\n",
    }
    packages = ("libpam0g", "libpam-modules", "libpam-modules-bin", "libpam-runtime")
    world = deb_world(*packages, extra=extra, release=release)
    (start,) = world.rootfs.glob("/usr/lib/x86_64-linux-gnu/libpam.so.0.*")
    kept = trees.paths(trees.closed(world, (*families.RULES, *pam.RULES), start))
    for name in ("pam_unix.so", "pam_deny.so", "pam_rootok.so", "pam_time.so"):
        assert f"{LIB}/{name}" in kept
    assert "/usr/sbin/unix_chkpwd" in kept
    assert f"{LIB}/pam_userdb.so" in world.rootfs
    assert f"{LIB}/pam_userdb.so" not in kept
