"""Plug-in directories from behaviour, and the private directories of packages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.closure import close
from debloat.core.model import Access, Level, Op, Trace
from debloat.rules.commands import optional_interpreter
from debloat.rules.knowledge.plugins import (
    MAX_PLUGIN_DIR_ENTRIES,
    MAX_PRIVATE_BYTES,
    RULES,
    suffix_of,
)
from tests.support import elves, trees
from tests.support.debs import deb_world
from tests.support.dpkgdb import debian_world

LIB = "/usr/lib/x86_64-linux-gnu"
PROGRAM = "/usr/sbin/daemon"
IMAGE: dict[str, str] = {
    PROGRAM: "",
    f"{LIB}/daemon/mod_a.so": "",
    f"{LIB}/daemon/mod_b.so": "",
    f"{LIB}/daemon/mod_b.so.2": "",
    f"{LIB}/daemon/helper": "",
    f"{LIB}/daemon/other.so": "",
    f"{LIB}/daemon/own.so": "",
    f"{LIB}/daemon/sub/deep.so": "",
    f"{LIB}/libx.so.1": "",
    f"{LIB}/liby.so.1": "",
    "/etc/daemon.d/a.conf": "",
    "/etc/daemon.d/b.conf": "",
    "/etc/daemon.d/b": "",
    "/etc/daemon.d/admin.conf": "",
    "/etc/daemon.d/other.conf": "",
    "/etc/a.conf": "",
    "/etc/b.conf": "",
    "/usr/lib/python3/dist-packages/a.py": "",
    "/usr/lib/python3/dist-packages/b.py": "",
    "/usr/bin/one": "",
    "/usr/bin/two": "",
    "/var/lib/daemon/many/f0": "",
    **{f"/var/lib/daemon/many/f{i}": "" for i in range(MAX_PLUGIN_DIR_ENTRIES + 1)},
    "/usr/libexec/daemon/run-job": "",
    "/usr/share/daemon/table": "",
    "/usr/share/daemon/doc/guide": "",
    "/usr/share/daemon/foreign": "",
    "/usr/share/daemonic/table": "",
}
OTHER = [f"{LIB}/daemon/other.so", "/etc/daemon.d/other.conf", "/usr/share/daemon/foreign"]
UNOWNED = ["/etc/daemon.d/admin.conf", f"{LIB}/daemon/own.so"]
OWNED = {"other": OTHER, "daemon": [p for p in IMAGE if p not in OTHER and p not in UNOWNED]}


def kept(*accesses: tuple[str, Op], program: str = PROGRAM, level: Level = Level.SAFE) -> list[str]:
    trace = Trace(frozenset(Access(path, op, "r", "p", program) for path, op in accesses))
    return trees.paths(close(trees.world(IMAGE, owned=OWNED, trace=trace, level=level), RULES[:1]))


def test_a_library_loaded_by_name_brings_its_kind_of_its_package() -> None:
    assert kept((f"{LIB}/daemon/mod_a.so", Op.OPEN)) == [f"{LIB}/daemon/mod_b.so", f"{LIB}/daemon/mod_b.so.2"]


def test_what_a_family_leaves_out_stays_out() -> None:
    base = "/usr/lib/postgresql/15/lib"
    files = [f"{base}/plpgsql.so", f"{base}/hstore.so", f"{base}/llvmjit.so"]
    trace = Trace(frozenset({Access(files[0], Op.OPEN, "r", "p", PROGRAM)}))
    world = trees.world({**dict.fromkeys(files, ""), PROGRAM: ""}, owned={"postgresql-15": files}, trace=trace)
    assert trees.paths(close(world, RULES[:1])) == [files[1]]


def test_a_file_from_a_listed_directory_brings_its_package() -> None:
    assert kept(("/etc/daemon.d", Op.LIST), ("/etc/daemon.d/a.conf", Op.OPEN)) == [
        "/etc/daemon.d/b",
        "/etc/daemon.d/b.conf",
    ]


@pytest.mark.parametrize(
    "accesses",
    [
        [("/etc/daemon.d", Op.LIST)],
        [("/etc/daemon.d/a.conf", Op.OPEN)],
        [("/etc/daemon.d", Op.LIST), ("/etc/daemon.d/a.conf", Op.STAT)],
        [("/etc/daemon.d", Op.LIST), ("/etc/daemon.d/admin.conf", Op.OPEN)],
        [("/etc", Op.LIST), ("/etc/a.conf", Op.OPEN)],
        [("/usr/bin", Op.LIST), ("/usr/bin/one", Op.OPEN)],
        [(f"{LIB}/libx.so.1", Op.OPEN)],
        [(f"{LIB}", Op.LIST), (f"{LIB}/libx.so.1", Op.OPEN)],
        [("/usr/lib/python3/dist-packages", Op.LIST), ("/usr/lib/python3/dist-packages/a.py", Op.OPEN)],
        [("/var/lib/daemon/many", Op.LIST), ("/var/lib/daemon/many/f1", Op.OPEN)],
        [(f"{LIB}/daemon/own.so", Op.OPEN)],
        [(f"{LIB}/daemon/none.so", Op.OPEN)],
    ],
)
def test_what_is_no_choice(accesses: list[tuple[str, Op]]) -> None:
    assert kept(*accesses) == []


def test_programs_beside_a_listed_one_are_no_choice() -> None:
    files = ["/opt/venv/bin/serve", "/opt/venv/bin/idle"]
    accesses = {Access("/opt/venv/bin", Op.LIST, "", "p", PROGRAM), Access(files[0], Op.OPEN, "r", "p", PROGRAM)}
    world = trees.world({**dict.fromkeys(files, ""), PROGRAM: ""}, trace=Trace(frozenset(accesses)))
    assert trees.paths(close(world, RULES[:1])) == []


def test_another_program_lists_for_itself() -> None:
    listing = Access("/etc/daemon.d", Op.LIST, "r", "p", "/usr/bin/one")
    opening = Access("/etc/daemon.d/a.conf", Op.OPEN, "r", "p", PROGRAM)
    world = trees.world(IMAGE, owned=OWNED, trace=Trace(frozenset({listing, opening})))
    assert trees.paths(close(world, RULES[:1])) == []


def test_nothing_at_exact() -> None:
    assert kept((f"{LIB}/daemon/mod_a.so", Op.OPEN), level=Level.EXACT) == []


def test_a_sweep_that_reads_a_few_files_makes_no_choices() -> None:
    table = {f"/usr/share/p/d{i}/sub/f{j}": "" for i in range(5) for j in range(10)}
    world = trees.world(table, owned={"p": ["/usr/share/p", *table]})
    directories = [e.path for e in world.rootfs.walk("/usr/share/p") if e.is_dir] + ["/usr/share/p"]
    used = {Access(d, Op.LIST, "-", "p", PROGRAM) for d in directories}
    used.add(Access("/usr/share/p/d1/sub/f1", Op.OPEN, "r", "p", PROGRAM))
    world = trees.world(table, owned={"p": ["/usr/share/p", *table]}, trace=Trace(frozenset(used)))
    assert trees.paths(close(world, RULES[:1])) == []


def test_a_private_directory_follows_a_program_that_was_run() -> None:
    trace = Trace(frozenset({Access(PROGRAM, Op.EXEC, "-", "p", "/usr/bin/one")}))
    private = trees.paths(close(trees.world(IMAGE, owned=OWNED, trace=trace), RULES[1:]))
    assert [p for p in private if not p.startswith(LIB)] == ["/usr/libexec/daemon/run-job", "/usr/share/daemon/table"]
    assert f"{LIB}/daemon/helper" in private
    assert f"{LIB}/daemon/other.so" not in private


def test_a_helper_for_a_recommended_interpreter_is_left_out() -> None:
    table: trees.Table = {
        "/usr/sbin/d": ("0755", ""),
        "/usr/bin/perl": ("0755", ""),
        "/usr/share/d/sh-helper": ("0755", "#!/usr/sbin/d"),
        "/usr/share/d/perl-helper": ("0755", "#!/usr/bin/perl"),
    }
    owned = {"d": [p for p in table if p != "/usr/bin/perl"], "perl": ["/usr/bin/perl"]}
    trace = Trace(frozenset({Access("/usr/sbin/d", Op.EXEC, "", "p", "/usr/sbin/d")}))
    kept_paths = trees.paths(close(trees.world(table, owned=owned, trace=trace), RULES[1:]))
    assert kept_paths == ["/usr/share/d/sh-helper"]


LANGUAGES = {
    "perl-base": ["/usr/bin/perl"],
    "perl": ["/usr/bin/perlbug"],
    "libdb-perl": ["/usr/share/perl5/Db.pm"],
    "python3-minimal": ["/usr/bin/python3"],
    "python3.11-minimal": ["/usr/bin/python3.11"],
    "python3": ["/usr/bin/pydoc3"],
    "php8.2-cli": ["/usr/bin/php8.2"],
    "php-cli": ["/usr/share/doc/php-cli/copyright"],
    "admin": ["/usr/share/admin/questions"],
    "coreutils": ["/usr/bin/env"],
    "mawk": ["/usr/bin/mawk"],
    "base-files": ["/etc/debian_version"],
    "sed": ["/usr/bin/sed"],
}
LANGUAGE_FIELDS: dict[str, dict[str, str]] = {
    "perl-base": {"Source": "perl", "Essential": "yes", "Section": "perl"},
    "perl": {"Depends": "perl-base (= 5.36)", "Section": "perl"},
    "libdb-perl": {"Depends": "perl:any", "Section": "perl"},
    "python3-minimal": {"Source": "python3-defaults", "Depends": "python3.11-minimal", "Section": "python"},
    "python3.11-minimal": {"Source": "python3.11", "Section": "python"},
    "python3": {"Source": "python3-defaults", "Depends": "python3-minimal", "Section": "python"},
    "php8.2-cli": {"Source": "php8.2", "Section": "php"},
    "php-cli": {"Source": "php-defaults", "Depends": "php8.2-cli", "Section": "php"},
    "admin": {"Depends": "perl-base", "Section": "admin"},
    "coreutils": {"Essential": "yes"},
    "mawk": {"Provides": "awk"},
    "base-files": {"Essential": "yes", "Pre-Depends": "awk"},
    "sed": {"Essential": "yes"},
}


@pytest.mark.parametrize(
    ("line", "depends", "needed"),
    [
        ("/usr/bin/perl", "", False),
        ("/usr/bin/perl", "admin", False),
        ("/usr/bin/perl", "python3", False),
        ("/usr/bin/perl", "perl-base", True),
        ("/usr/bin/perl -w", "perl:any", True),
        ("/usr/bin/perl", "admin, libdb-perl (>= 1)", True),
        ("/usr/bin/python3", "python3:any (>= 3.5~)", True),
        ("/usr/bin/python3.11", "python3.11-minimal", True),
        ("/usr/bin/python3", "perl", False),
        ("/usr/bin/php8.2", "php-cli", True),
        ("/usr/bin/env perl", "", False),
        ("/usr/bin/env perl", "perl", True),
        ("/usr/bin/env -S python3 -u", "python3", True),
        ("/usr/bin/env bash", "", True),
        ("/usr/bin/env nowhere", "", True),
        ("/bin/sh", "", True),
        ("/usr/bin/mawk -f", "", True),
        ("/usr/bin/env -S sed -f", "", True),
    ],
)
def test_who_depends_on_a_language_in_service(line: str, depends: str, needed: bool) -> None:
    """On the package that has the interpreter, on another of the same source, or on modules of the language."""
    table: trees.Table = {
        **{path: ("0755", "") for files in LANGUAGES.values() for path in files},
        "/usr/bin/tool": ("0755", f"#!{line}\n"),
        "/usr/bin/python3": "-> python3.11",
    }
    owned = {**LANGUAGES, "tool": ["/usr/bin/tool"]}
    fields = LANGUAGE_FIELDS | {"tool": {"Depends": depends} if depends else {}}
    world = debian_world(table, owned, fields=fields)
    entry = world.rootfs.lookup("/usr/bin/tool")
    assert entry is not None
    assert bool(optional_interpreter(entry, "tool", world)) != needed


def test_a_program_that_was_not_run_brings_nothing() -> None:
    trace = Trace(frozenset({Access(PROGRAM, Op.STAT, "-", "p", "/usr/bin/none")}))
    assert trees.paths(close(trees.world(IMAGE, owned=OWNED, trace=trace), RULES[1:])) == []


NAMING: dict[str, str] = {
    f"{LIB}/x-1/drv_a.so": "",
    f"{LIB}/x-1/drv_b-1.so": "",
    f"{LIB}/x-1/drv.so": "-> drv_a.so",
    f"{LIB}/x-1/table": "",
    f"{LIB}/x-1/other.so": "",
    f"{LIB}/x-12/drv.so": "",
    f"{LIB}/linked/liby.so": "",
    f"{LIB}/gio/modules/known.so": "",
}


def named(text: str, start: str = f"{LIB}/libx.so.1", runpath: str = "", elf: bool = True) -> list[str]:
    """What follows from a library with a text in it."""
    head = elves.library("libx.so.1", runpath=runpath) if elf else b""
    table: trees.Table = NAMING | {start: ("0644", head + f"\0{text}\0".encode())}
    mine = [p for p in table if "other" not in p]
    world = trees.world(table, owned={"x": mine, "other": [p for p in table if "other" in p]})
    closure = trees.closed(world, RULES, start)
    return [p for p in trees.paths(closure) if "plugin.named" in trees.rules_for(closure, p)]


DRIVERS = [f"{LIB}/x-1/drv_a.so", f"{LIB}/x-1/drv_b-1.so"]


@elves.needs_compiler
@pytest.mark.parametrize("text", [f"{LIB}/x-1", f"{LIB}/x-1/%s.so", f"/usr/local/lib:{LIB[4:]}/x-1:/opt"])
def test_a_directory_that_a_library_names_brings_its_libraries(text: str) -> None:
    assert named(text) == DRIVERS


@elves.needs_compiler
@pytest.mark.parametrize("text", [f"{LIB}/x-12", f"{LIB}/x-1.conf", f"{LIB}/gio/modules", LIB, "x-1"])
def test_another_directory_one_that_a_family_knows_and_a_common_one_do_not(text: str) -> None:
    assert not {*DRIVERS, f"{LIB}/gio/modules/known.so"} & set(named(text))


@elves.needs_compiler
def test_what_the_loader_searches_a_text_and_a_library_of_another_package_do_not() -> None:
    assert named("x", runpath=f"{LIB}/x-1") == []
    assert named(f"{LIB}/x-1", elf=False) == []
    assert named(f"{LIB}/x-1", f"{LIB}/libother.so") == [f"{LIB}/x-1/other.so"]


MODULES: trees.Table = {
    PROGRAM: ("0755", ""),
    "/usr/bin/asker": ("0755", ""),
    "/usr/lib/daemon/mod_sql.so": "",
    "/usr/lib/daemon/mod_ldap.so": "",
    "/usr/lib/daemon/mod_stray.so": "",
    "/usr/lib/asked/table": "",
    "/usr/lib/daemon/libnet.cpython-311-x86_64-linux-gnu.so.0": "",
}
MODULE_PACKAGES = {
    "daemon": [PROGRAM],
    "python3-daemon=daemon": ["/usr/lib/daemon/libnet.cpython-311-x86_64-linux-gnu.so.0"],
    "daemon-sql=daemon": ["/usr/lib/daemon/mod_sql.so"],
    "asked": ["/usr/lib/daemon/mod_ldap.so", "/usr/lib/asked/table", "/usr/bin/asker"],
    "stray": ["/usr/lib/daemon/mod_stray.so"],
}


def test_module_packages_of_a_program_that_was_run() -> None:
    """From the same source, or asked for; not what came by another way, is private to another package, or Python's."""
    trace = Trace(frozenset({Access(PROGRAM, Op.EXEC, "-", "p", PROGRAM)}))
    history = ("/bin/sh -c apt-get install -y daemon asked",)
    world = trees.world(MODULES, owned=MODULE_PACKAGES, trace=trace, history=history)
    assert trees.paths(close(world, RULES[1:])) == ["/usr/lib/daemon/mod_ldap.so", "/usr/lib/daemon/mod_sql.so"]


def test_of_a_large_package_the_small_directories() -> None:
    table: trees.Table = {
        PROGRAM: ("0755", ""),
        "/usr/lib/daemon/libs/huge.so": "x" * (MAX_PRIVATE_BYTES + 1),
        "/usr/lib/daemon/auth/krb5.so": "x",
        "/usr/lib/daemon/tables/t1": "x" * (MAX_PRIVATE_BYTES // 2),
    }
    trace = Trace(frozenset({Access(PROGRAM, Op.EXEC, "-", "p", PROGRAM)}))
    world = trees.world(table, owned={"daemon": list(table)}, trace=trace)
    assert trees.paths(close(world, RULES[1:])) == ["/usr/lib/daemon/auth/krb5.so"]


@pytest.mark.parametrize(("asked", "follows"), [("scanner", True), ("other", False)])
def test_large_private_data_follows_a_program_that_the_dockerfile_asks_for(asked: str, follows: bool) -> None:
    """As a port scanner's databases: too large for a program that came along, the point of one that was asked for."""
    data = "/usr/share/scanner/services.db"
    table: trees.Table = {"/usr/bin/scanner": ("0755", ""), data: "x" * (MAX_PRIVATE_BYTES + 1)}
    world = trees.world(
        table,
        owned={"scanner": ["/usr/bin/scanner"], "scanner-common=scanner": [data]},
        trace=Trace(frozenset({Access("/usr/bin/scanner", Op.EXEC, "-", "p", "/usr/bin/scanner")})),
        history=(f"/bin/sh -c apt-get install -y {asked}",),
    )
    assert (data in trees.paths(close(world, RULES[1:]))) is follows


# Real packages


@pytest.mark.network
def test_sasl_mechanisms_follow_the_one_that_was_loaded() -> None:
    used = Access(f"{LIB}/sasl2/libplain.so", Op.OPEN, "r", "p", "/usr/bin/ldapsearch")
    world = deb_world("libsasl2-2", "libsasl2-modules", "libsasl2-modules-db", trace=Trace(frozenset({used})))
    closure = close(world, RULES)
    assert f"{LIB}/sasl2/libcrammd5.so.2.0.25" in closure
    assert f"{LIB}/sasl2/libsasldb.so.2.0.25" not in closure, "of another package"


@pytest.mark.network
def test_a_library_that_comes_through_runpath_is_no_plugin() -> None:
    program = Access("/usr/bin/sudo", Op.EXEC, "-", "p", "/usr/bin/sudo")
    linked = Access("/usr/libexec/sudo/libsudo_util.so.0", Op.OPEN, "r", "p", "/usr/bin/sudo")
    plugin = Access("/usr/libexec/sudo/sudoers.so", Op.OPEN, "r", "p", "/usr/bin/sudo")
    for used, follows in ({program, linked}, False), ({program, linked, plugin}, True):
        closure = close(deb_world("sudo", trace=Trace(frozenset(used))), RULES[:1])
        assert ("/usr/libexec/sudo/system_group.so" in closure) is follows


@pytest.mark.network
@pytest.mark.parametrize(
    ("package", "program", "private", "other"),
    [
        ("postfix", "/usr/sbin/postfix", "/usr/lib/postfix/sbin/smtpd", "/usr/sbin/qshape"),
        ("nginx-common", "/usr/sbin/nginx", None, "/etc/nginx/mime.types"),
        (
            "exim4-config",
            "/usr/sbin/update-exim4.conf",
            "/etc/exim4/conf.d/main/02_exim4-config_options",
            "/etc/email-addresses",
        ),
        ("texlive-base", "/usr/bin/allcm", None, "/usr/share/texlive/texmf-dist/web2c/texmf.cnf"),
    ],
)
def test_private_directories(package: str, program: str, private: str | None, other: str) -> None:
    world = deb_world(package, trace=Trace(frozenset({Access(program, Op.EXEC, "-", "p", program)})))
    closure = close(world, RULES[1:])
    assert private is None or private in closure
    assert other in world.rootfs
    assert other not in closure


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("a.so", ".so"), ("a.so.2.0", ".so"), ("a.tar.gz", ".gz"), ("a", ""), (".x", ""), ("1.2.conf", ".conf")],
)
def test_suffix(name: str, suffix: str) -> None:
    assert suffix_of(name) == suffix


@given(
    st.sets(
        st.builds(Access, st.text(max_size=20), st.sampled_from(Op), st.just("-"), st.just("p"), st.text()), max_size=9
    )
)
def test_any_trace_is_read(used: set[Access]) -> None:
    world = trees.world(IMAGE, owned=OWNED, trace=Trace(frozenset(used)))
    assert set(close(world, RULES).evidence) <= {*world.rootfs}
