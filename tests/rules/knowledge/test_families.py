"""Families: the schema, the matching, and each family against the real Debian packages (tests/data/families.toml)."""

from __future__ import annotations

import re
import struct
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.closure import World, close
from debloat.core.globs import glob_regex, matcher
from debloat.core.model import Image, ImageConfig, Level, Policy, Trace, Want
from debloat.core.platform import of_image
from debloat.core.recipe import Recipe
from debloat.debian.packages import NoPackages
from debloat.pipeline import world_of
from debloat.rules.knowledge.families import (
    RULES,
    FamilyError,
    Index,
    Members,
    all_families,
    canonical,
    parse,
    render,
)
from debloat.rules.platforms import platforms
from tests.support import trees
from tests.support.archive import RELEASES, names_in
from tests.support.debs import deb_world

CASES = tomllib.loads((Path(__file__).parents[2] / "data" / "families.toml").read_text())["case"]
ON = [(case, release) for case in CASES for release in RELEASES if release in case.get("on", RELEASES)]
NUMBERED = ("bullseye", "bookworm", "trixie")
"""Releases whose packages no longer grow."""
BY_NAME = {family.name: family for family in all_families()}
MULTIARCH = "x86_64-linux-gnu"


def closed(world: World, start: str | None) -> Mapping[str, Any]:
    return close(world, RULES, [Want(start, "seed", "probe:test")] if start else []).evidence


@pytest.mark.network
@pytest.mark.parametrize(("case", "release"), ON, ids=[f"{case['family']}-{release}" for case, release in ON])
def test_real_packages(case: Mapping[str, Any], release: str) -> None:
    case = {**case, **case.get(release, {})}
    packages = [name for package in case["packages"] for name in names_in(release, package)]
    world = deb_world(*packages, extra=case.get("extra"), config={"Env": case.get("env", [])}, release=release)
    kept = closed(world, present(world, case["start"])[-1] if "start" in case else None)
    for pattern in case["keep"]:
        assert [p for p in present(world, pattern) if p not in kept] == []
    for pattern in case["gone"]:
        assert [p for p in present(world, pattern) if p in kept] == []
    assert any(e.rule == f"family.{case['family']}" for evidence in kept.values() for e in evidence)
    size = sum(entry.size for p in kept if (entry := world.rootfs.get(p)))
    assert size <= case["most"] * 1024 or release not in NUMBERED


def present(world: World, pattern: str) -> tuple[str, ...]:
    """What a glob stands for, or the path itself; one that does not exist would prove nothing."""
    literal = (pattern,) if pattern in world.rootfs else ()
    found = literal or world.rootfs.glob(pattern)
    assert found, f"{pattern} does not exist"
    return found


def test_every_family_has_a_case() -> None:
    assert sorted({case["family"] for case in CASES}) == sorted(BY_NAME)


def test_the_documentation_is_up_to_date() -> None:
    document = Path(__file__).parents[3] / "docs" / "families.md"
    assert document.read_text() == render(all_families())


# Schema

GOOD = 'name = "a"\nwhy = "w"\nsource = "s"\nwhen = ["/a"]\nkeep = ["/b"]\n'


def test_schema_accepts() -> None:
    (family,) = parse(f"[[family]]\n{GOOD}level = 'package'")
    assert (family.name, family.when, family.keep, family.level) == ("a", ("/a",), ("/b",), Level.PACKAGE)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"[[family]]\n{GOOD}colour = 'red'", "colour"),
        (f"[[family]]\n{GOOD}less = 'x'", "less"),
        (f"[[family]]\n{GOOD}less = []", "less"),
        (f"[[family]]\n{GOOD}level = 'most'", "level most"),
        (f"[[family]]\n{GOOD}env = [1]", "env"),
        (f"[[family]]\n{GOOD}[[family]]\n{GOOD}", "more than one"),
        ("[[family]]\n" + GOOD.replace('keep = ["/b"]', ""), "without keep"),
        ("[[family]]\n" + GOOD.replace('when = ["/a"]', ""), "`when` or `env`"),
        ("[[family]]\n" + GOOD.replace('when = ["/a"]', 'env = ["A"]\ncalls = ["f"]'), "need `when`"),
        ("[[family]]\n" + GOOD.replace('"/b"', '"b"'), "not absolute"),
        ("[[family]]\n" + GOOD.replace('"/b"', '"/${home}"'), "unknown variable"),
        ("[[family]]\n" + GOOD.replace('"a"', '"A b"'), "lower-case"),
        ("[[families]]", "families"),
        ("[[family", "Expected"),
    ],
)
def test_schema_refuses(text: str, says: str) -> None:
    with pytest.raises(FamilyError, match=says):
        parse(text)


# Matching


@given(st.sampled_from(sorted(p for f in all_families() for p in f.when)), st.text("abc.so6/lib", max_size=12))
def test_the_index_finds_what_the_globs_match(pattern: str, text: str) -> None:
    index = Index(all_families(), [MULTIARCH])
    pattern = pattern.replace("${multiarch}", MULTIARCH)
    for path in (pattern, pattern.replace("**", "usr/lib").replace("*", "1").replace("?", "2"), "/usr/lib/" + text):
        plain = {f.name for f in all_families() for p in f.when if _matches(p.replace("${multiarch}", MULTIARCH), path)}
        assert {family.name for family, _ in index.match(path)} == plain


def _matches(pattern: str, path: str) -> bool:
    return glob_regex(pattern).fullmatch(path) is not None


@pytest.mark.parametrize(
    ("path", "result"),
    [
        ("/lib/x.so", "/usr/lib/x.so"),
        ("/bin/git", "/usr/bin/git"),
        ("/usr/bin/git", "/usr/bin/git"),
        ("/etc/x", "/etc/x"),
    ],
)
def test_canonical(path: str, result: str) -> None:
    assert canonical(path) == result


def test_usr_that_is_not_merged() -> None:
    lib = "/lib/x86_64-linux-gnu"
    world = trees.world({f"{lib}/libc.so.6": "", f"{lib}/gconv/UTF-16.so": "", "/usr/lib/x": ""})
    assert f"{lib}/gconv/UTF-16.so" in closed(world, f"{lib}/libc.so.6")


def test_other_architecture() -> None:
    lib = "/usr/lib/aarch64-linux-gnu"
    base = trees.world({f"{lib}/libc.so.6": "", f"{lib}/gconv/UTF-16.so": ""})
    world = World(base.rootfs, base.packages, base.config, platform=of_image("arm64"))
    assert f"{lib}/gconv/UTF-16.so" in closed(world, f"{lib}/libc.so.6")


def elf(platform: str, names: bytes) -> bytes:
    """A program that is nothing but a header and some names."""
    bits, machine = {"amd64": (64, 62), "i386": (32, 3), "arm64": (64, 183)}[platform]
    ident = b"\x7fELF" + bytes([bits // 32, 1, 1])
    return (ident.ljust(16, b"\0") + struct.pack("<HHI", 2, machine, 1)).ljust(64, b"\0") + names


@pytest.mark.parametrize(
    ("start", "platforms"),
    [
        ("/opt/app/for-i386", {"i386"}),
        ("/opt/app/for-amd64", {"amd64"}),
        ("/opt/app/for-arm64", set()),
        ("/usr/lib/i386-linux-gnu/lua/5.4/iconv.so", {"i386"}),
        ("/usr/bin/iconv", {"amd64", "i386"}),
    ],
)
def test_i386_beside_amd64(start: str, platforms: set[str]) -> None:
    """A program gets the modules of its own platform, whatever the image is made for; a script those of all."""
    gconv = {
        "amd64": "/usr/lib/x86_64-linux-gnu/gconv/EUC-JP.so",
        "i386": "/usr/lib/i386-linux-gnu/gconv/EUC-JP.so",
    }
    table: trees.Table = {
        **{f"/opt/app/for-{name}": ("0755", elf(name, b"\0iconv_open\0")) for name in ("amd64", "i386", "arm64")},
        **dict.fromkeys(gconv.values(), ""),
        "/usr/bin/iconv": ("0755", "#!/bin/sh\n"),
        "/usr/lib/i386-linux-gnu/lua/5.4/iconv.so": elf("i386", b""),
    }
    kept = closed(trees.world(table), start)
    assert {name for name, path in gconv.items() if path in kept} == platforms


def test_an_image_for_arm_is_of_the_platform_that_it_has_libraries_of() -> None:
    """An image of Debian's armel need not say its variant; armhf is what `arm` means elsewhere."""
    gconv = "/usr/lib/arm-linux-gnueabi/gconv/UTF-16.so"
    base = trees.world({"/usr/lib/arm-linux-gnueabi/libc.so.6": "", gconv: ""})
    world = World(base.rootfs, base.packages, base.config, platform=of_image("arm"))
    assert [platform.debian for platform in platforms(world)] == ["armel"]
    assert gconv in closed(world, "/usr/lib/arm-linux-gnueabi/libc.so.6")


PLATFORM_NAMES = {
    "386": "i386-linux-gnu",
    "amd64": "x86_64-linux-gnu",
    "arm": "arm-linux-gnueabihf",
    "arm/v5": "arm-linux-gnueabi",
    "arm64": "aarch64-linux-gnu",
    "arm64/v8": "aarch64-linux-gnu",
    "mips64le": "mips64el-linux-gnuabi64",
    "ppc64le": "powerpc64le-linux-gnu",
    "riscv64": "riscv64-linux-gnu",
    "s390x": "s390x-linux-gnu",
}
"""As images call them, and where Debian keeps their libraries."""
VARIABLE = "${multiarch}"


@pytest.mark.parametrize("name", PLATFORM_NAMES)
def test_no_family_loses_its_multiarch_members(name: str) -> None:
    """Every member and every trigger that is in a multi-arch directory is known on each platform."""
    directory, (architecture, _, variant) = PLATFORM_NAMES[name], name.partition("/")
    paths = {
        (family.name, role): [example(p.replace(VARIABLE, directory)) for p in patterns if VARIABLE in p]
        for family in all_families()
        for role, patterns in (("keep", family.keep), ("when", family.when))
    }
    image = Image("i", "", "linux", architecture, variant, "", ImageConfig({}))
    rootfs = trees.tree({path: "" for found in paths.values() for path in found})
    members = Members(world_of(image, rootfs, NoPackages(), Recipe(), Trace()))
    for family in all_families():
        missing = set(paths[family.name, "keep"]) - set(members.of(family, members.multiarchs, groups=("x",) * 9))
        assert not {path for path in missing if not matcher(family.less)(path)}, family.name
        for path in paths[family.name, "when"]:
            assert family.name in {match[0].name for match in members.index.match(path)}
    assert sum(map(len, paths.values())) > 40


def example(pattern: str) -> str:
    """A path that a glob matches."""
    pattern = re.sub(r"\$\{dir\}", "/usr/lib", re.sub(r"\$\{\w+\}", "x", pattern.replace("${dir}", "/usr/lib")))
    return re.sub(r"\[(\w)[^\]]*\]", r"\1", pattern.replace("**", "x").replace("*", "x").replace("?", "x"))


@pytest.mark.parametrize("start", ["/usr/bin/bash", "/usr/bin/cmp", "/usr/bin/tool", "/usr/share/tool"])
def test_iconv_is_kept_for_programs_that_convert_only(start: str) -> None:
    gconv = f"/usr/lib/{MULTIARCH}/gconv/EUC-JP.so"
    names = b"\x7fELF...iconv_open\0"
    table: trees.Table = {
        "/usr/bin/bash": ("0755", names),
        "/usr/bin/cmp": ("0755", names),
        "/usr/bin/tool": ("0755", names.replace(b"iconv", b"nvico")),
        "/usr/share/tool": ("0644", names),
        "/opt/app/convert": ("0755", names),
        gconv: "",
    }
    world = trees.world(table)
    assert gconv not in closed(world, start)
    assert gconv in closed(world, "/opt/app/convert")


def test_nothing_at_exact() -> None:
    table = {"/usr/lib/x86_64-linux-gnu/libc.so.6": "", "/etc/services": "", "/usr/share/zoneinfo/UTC": ""}
    world = trees.world(table, level=Level.EXACT, config={"Env": ["TZ=UTC"]})
    assert "/etc/services" not in closed(world, "/usr/lib/x86_64-linux-gnu/libc.so.6")
    assert "/usr/share/zoneinfo/UTC" not in closed(world, None)


def test_the_level_of_the_path_decides() -> None:
    libc = "/usr/lib/x86_64-linux-gnu/libc.so.6"
    base = trees.world({libc: "", "/etc/services": ""})
    for level, exception, kept in (Level.EXACT, Level.SAFE, True), (Level.SAFE, Level.EXACT, False):
        policy = Policy(level, levels=((libc, exception),))
        world = World(base.rootfs, base.packages, base.config, policy=policy)
        assert ("/etc/services" in closed(world, libc)) is kept
