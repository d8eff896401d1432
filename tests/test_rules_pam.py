"""PAM: stacks name their modules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.model import Level
from debloat.rules import families, pam
from debloat.rules.pam import modules
from tests.support import trees
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


@given(st.text("authsession [=]#\\\n@-/.", max_size=60))
def test_garbage_is_read_without_error(text: str) -> None:
    assert all(name for name in modules(text))


def test_debian_s_stacks() -> None:
    extra = {
        "/etc/pam.d/common-auth": "auth [success=1 default=ignore] pam_unix.so nullok\nauth requisite pam_deny.so\n",
        "/etc/pam.d/su": "auth sufficient pam_rootok.so\n",
    }
    world = deb_world("libpam0g", "libpam-modules", "libpam-modules-bin", "libpam-runtime", extra=extra)
    start = "/usr/lib/x86_64-linux-gnu/libpam.so.0.85.1"
    kept = trees.paths(trees.closed(world, (*families.RULES, *pam.RULES), start))
    for name in ("pam_unix.so", "pam_deny.so", "pam_rootok.so"):
        assert f"{LIB}/{name}" in kept
    assert "/usr/sbin/unix_chkpwd" in kept
    assert f"{LIB}/pam_userdb.so" in world.rootfs
    assert f"{LIB}/pam_userdb.so" not in kept
