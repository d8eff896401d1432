"""Level `package`, and --keep-package."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from debloat.closure import World
from debloat.core.model import Level, Policy
from debloat.debian.documentation import is_documentation
from debloat.rules.system.database import DebianDatabase
from debloat.rules.system.package import KeepPackage, WholePackage, unknown_packages
from tests.support import debs
from tests.support.archive import RELEASES, names_in
from tests.support.dpkgdb import debian_world
from tests.support.trees import Table, closed, paths, rules_for

PROGRAM = ("0755", b"\x7fELF tool")
TREE: Table = {
    "/usr/bin/tool": PROGRAM,
    "/usr/share/tool/data": "x",
    "/usr/share/locale/de/tool.mo": "x",
    "/var/lib/tool/": "",
    "/usr/share/doc/tool/copyright": "x",
    "/usr/share/doc/tool/README": "x",
    "/usr/share/man/man1/tool.1.gz": "x",
    "/usr/lib/liba.so.1": b"\x7fELF a",
    "/usr/lib/liba.so.1.extra": "x",
    "/usr/lib/libb.so.1": b"\x7fELF b",
    "/usr/sbin/helper": ("0755", "#!/usr/bin/perl"),
    "/usr/share/doc/meta/copyright": "x",
    "/usr/bin/mawk": ("0755", b"\x7fELF awk"),
    "/usr/bin/other": ("0755", b"\x7fELF other"),
}
OWNED = {
    "tool": [p for p in TREE if "tool" in p and not p.endswith("/")] + ["/var/lib/tool"],
    "liba1:amd64": ["/usr/lib/liba.so.1", "/usr/lib/liba.so.1.extra"],
    "libb1": ["/usr/lib/libb.so.1"],
    "helper": ["/usr/sbin/helper"],
    "meta": ["/usr/share/doc/meta/copyright"],
    "mawk": ["/usr/bin/mawk"],
    "other": ["/usr/bin/other"],
}
FIELDS = {
    "tool": {"Depends": "liba1 (>= 1), helper, meta, gone | awk", "Recommends": "other"},
    "liba1:amd64": {"Pre-Depends": "libb1"},
    "meta": {"Depends": "mawk, tool"},
    "mawk": {"Provides": "awk"},
}


def world(level: Level = Level.PACKAGE, **policy: tuple[str, ...]) -> World:
    return debian_world(TREE, OWNED, fields=FIELDS, policy=Policy(level, **policy))  # type: ignore[arg-type]


def test_a_package_is_whole_less_its_documentation() -> None:
    closure = closed(world(), [WholePackage()], "/usr/share/tool/data")
    kept = paths(closure)
    assert {"/usr/bin/tool", "/usr/share/locale/de/tool.mo", "/var/lib/tool"} <= set(kept)
    assert not [path for path in kept if path.startswith(("/usr/share/doc/", "/usr/share/man/"))]


def test_depends_that_carry_code_follow_transitively_and_through_metapackages() -> None:
    kept = set(paths(closed(world(), [WholePackage()], "/usr/bin/tool")))
    assert {"/usr/lib/liba.so.1", "/usr/lib/liba.so.1.extra", "/usr/lib/libb.so.1", "/usr/bin/mawk"} <= kept
    assert "/usr/sbin/helper" not in kept, "a script for maintainer scripts is no code that the program needs"
    assert "/usr/bin/other" not in kept, "Recommends is no dependency"


def test_documentation_keeps_no_package() -> None:
    assert paths(closed(world(), [WholePackage()], "/usr/share/doc/tool/README")) == ["/usr/share/doc/tool/README"]


def test_the_rule_rests_below_its_level_and_follows_levels_by_path() -> None:
    assert "/usr/share/tool/data" not in closed(world(Level.SAFE), [WholePackage()], "/usr/bin/tool")
    mixed = world(Level.SAFE, levels=(("/usr/share/tool/**", Level.PACKAGE),))  # type: ignore[arg-type]
    assert "/usr/bin/tool" in closed(mixed, [WholePackage()], "/usr/share/tool/data")


def test_every_file_of_a_package_leads_to_the_same_closure() -> None:
    seeds = ("/usr/bin/tool", "/usr/share/tool/data", "/usr/share/locale/de/tool.mo")
    closures = [set(closed(world(), [WholePackage()], seed).evidence) for seed in seeds]
    assert closures[0] == closures[1] == closures[2]


def test_keep_package_keeps_its_files_only_and_at_every_level() -> None:
    for level in Level:
        closure = closed(world(level, keep_packages=("liba1",)), [KeepPackage()], "/usr/bin/other")
        assert "/usr/lib/liba.so.1.extra" in closure
        assert "/usr/lib/libb.so.1" not in closure
    assert closure.evidence["/usr/lib/liba.so.1"][0].source == "keep-package:liba1"


def test_unknown_names_are_told() -> None:
    assert unknown_packages(world(keep_packages=("liba1", "liba1:amd64", "tool", "nope", "awk"))) == ("awk", "nope")


@pytest.mark.network
@pytest.mark.parametrize("release", RELEASES)
def test_a_library_goes_by_its_name_before_its_times_had_64_bits(release: str) -> None:
    (libpsl,) = names_in(release, "libpsl5")
    policy = Policy(Level.EXACT, keep_packages=("libpsl5",))
    real = replace(debs.deb_world(libpsl, release=release), policy=policy)
    assert unknown_packages(real) == ()
    closure = closed(real, [KeepPackage()], "/usr")
    assert [path for path in closure.evidence if "/libpsl.so.5." in path]


def test_links_of_merged_usr_make_no_package_whole() -> None:
    table: Table = {"/bin": "-> usr/bin", "/usr/bin/a": PROGRAM, "/usr/bin/b": PROGRAM}
    merged = debian_world(table, {"a": ["/bin/a"], "b": ["/bin/b"]}, policy=Policy(Level.PACKAGE))
    closure = closed(merged, [WholePackage()], "/bin/a")
    assert "/usr/bin/b" not in closure


@pytest.mark.network
def test_real_packages_are_whole_with_their_libraries() -> None:
    real = debs.deb_world("dash", "libc6", "libgcc-s1", "gcc-12-base", "debianutils", "mawk", level=Level.PACKAGE)
    closure = closed(real, [WholePackage(), DebianDatabase()], "/usr/bin/dash")
    code = [p for p in real.packages.files("libc6") if real.rootfs.is_file(p) and not is_documentation(p)]
    assert [path for path in code if path not in closure] == []
    assert any("libgcc_s" in path for path in closure.evidence), "libc6 depends on libgcc-s1"
    assert "/usr/bin/mawk" not in closure
    assert "package.depends" in rules_for(closure, min(p for p in code if "package.depends" in rules_for(closure, p)))
