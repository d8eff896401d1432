"""The application is whole; leftovers, generated files, runtimes and language packages are not the application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from msgspec.structs import replace

from debloat.cli.why import explain
from debloat.closure import UNRECORDED, World, recorded
from debloat.core.model import Closure, Level, Policy, Trace
from debloat.rules import prepare_image
from debloat.rules.application import survey as rule
from debloat.rules.application.runtimes import runtimes
from debloat.rules.application.survey import RULES, application, is_application, survey
from tests.support.dpkgdb import debian_world, md5
from tests.support.trees import Table, closed, paths, tree, world

DEBIAN: Table = {"/usr/lib/os-release": "ID=debian", "/usr/bin/nginx": "x", "/etc/nginx/nginx.conf": "old"}
OWNED = {"base-files": ["/usr/lib/os-release"], "nginx": ["/usr/bin/nginx", "/etc/nginx/nginx.conf"]}
CONFFILE = {"nginx": {"Conffiles": f"\n /etc/nginx/nginx.conf {md5('old')}"}}


def image(
    table: Table,
    *history: str,
    owned: Mapping[str, Sequence[str]] | None = None,
    shipped: Mapping[str, str] | None = None,
    workdir: str = "/",
) -> World:
    return debian_world(
        {**DEBIAN, **table},
        {**OWNED, **(owned or {})},
        shipped=shipped,
        fields=CONFFILE,
        history=history,
        config={"WorkingDir": workdir},
    )


def kept(world: World, *seeds: str) -> list[str]:
    """The kept paths but for parent directories and the directories of the application themselves."""
    return [path for path in paths(_closed(world, *seeds)) if not world.rootfs.is_dir(path)]


def _closed(world: World, *seeds: str) -> Closure:
    return closed(world, RULES, *seeds)


@pytest.mark.parametrize("path", ["/app/a.py", "/srv/x/index.html", "/opt/t/t.jar", "/home/u/d", "/var/www/html/i.php"])
def test_what_no_package_owns_is_kept_untouched(path: str) -> None:
    world = image({path: "x", "/usr/bin/idle": "x"}, owned={"idle": ["/usr/bin/idle"]})
    assert kept(world) == [path]
    assert is_application(world, path)
    assert not is_application(world, "/usr/bin/idle")


def test_empty_directories_programs_and_configuration_are_the_application_too() -> None:
    table: Table = {
        "/data/": "",
        "/usr/local/bin/run": "x",
        "/usr/bin/tini": "x",
        "/etc/app/c.yml": "x",
        "/x": "-> data",
    }
    world = image(table)
    expected = ["/data", "/etc/app", "/etc/app/c.yml", "/usr/bin/tini", "/usr/local/bin/run", "/x"]
    assert sorted(application(world)) == expected


def test_reasons_name_the_instruction_or_the_place() -> None:
    world = image({"/app/a/b.py": "x", "/srv/www/i": "x", "/start": "x"}, "COPY src /app # buildkit", workdir="/app")
    reasons = application(world)
    assert reasons["/app/a/b.py"] == "COPY /app"
    assert reasons["/srv/www/i"] == "unowned below /srv/www"
    assert reasons["/start"] == "unowned"
    chain = _closed(world).why("/app/a/b.py")
    assert [(ev.rule, ev.source) for _, ev in chain] == [("application", "dockerfile:COPY /app")]


LEFTOVERS: Table = {
    "/app/.git/config": "x",
    "/app/sub/.svn/entries": "x",
    "/app/.DS_Store": "x",
    "/app/.pytest_cache/x": "x",
    "/app/native/Makefile": "x",
    "/app/native/deep/m.o": "x",
    "/app/__pycache__/gone.cpython-311.pyc": "x",
    "/root/.cache/pip/wheel": "x",
    "/root/.npm/_cacache/x": "x",
    "/root/.ssh/id_rsa": "x",
    "/root/.bashrc": "x",
    "/tmp/build.log": "x",
    "/var/tmp/x": "x",
    "/usr/src/redis-7/src/server.c": "x",
    "/var/lib/apt/lists/x": "x",
    "/var/cache/debconf/config.dat": "x",
    "/var/cache/apt/pkgcache.bin": "x",
    "/var/log/dpkg.log": "",
    "/var/mail/ann": "",
    "/var/log/app/old.log": "x",
    "/run/x.pid": "1",
    "/etc/ld.so.cache": "x",
    "/etc/shadow": "x",
    "/etc/passwd-": "x",
    "/etc/ssl/certs/ca-certificates.crt": "x",
    "/etc/ssl/certs/abc.0": "-> x.pem",
    "/etc/ssl/private/ssl-cert-snakeoil.key": "x",
    "/etc/rc2.d/S01x": "-> ../init.d/x",
    "/etc/systemd/system/multi-user.target.wants/x.service": "-> /x",
    "/etc/alternatives/x": "-> /usr/bin/nginx",
    "/usr/lib/locale/locale-archive": "x",
    "/usr/share/mime/mime.cache": "x",
    "/usr/share/icons/hicolor/icon-theme.cache": "x",
    "/usr/lib/x86_64-linux-gnu/gconv/gconv-modules.cache": "x",
    "/usr/share/tool/__pycache__/x.pyc": "x",
    "/opt/sw/bin/sw": "x",
    "/opt/sw/include/sw.h": "x",
    "/opt/sw/lib/libsw.a": "x",
    "/opt/sw/lib/pkgconfig/sw.pc": "x",
    "/opt/sw/share/man/man1/sw.1": "x",
    "/opt/sw/lib/libsw.so.1": "x",
}


def test_leftovers_and_generated_files_are_not_the_application() -> None:
    world = image(LEFTOVERS)
    assert kept(world) == ["/app/native/Makefile", "/opt/sw/bin/sw", "/opt/sw/lib/libsw.so.1"]


def test_a_directory_in_the_mail_spool_is_the_applications() -> None:
    """useradd(8) makes a file for each account; directories are of who keeps mailboxes of his own."""
    world = image({"/var/mail/ann": "", "/var/mail/virtual/": "", "/var/mail/hosts/a.test/box": "x"})
    expected = {f"/var/mail/{name}" for name in ("virtual", "hosts", "hosts/a.test", "hosts/a.test/box")}
    assert set(application(world)) == expected


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/root/.ssh/id_rsa", "a credential of the build"),
        ("/app/.git/config", "version control data"),
        ("/opt/sw/include/sw.h", "a header"),
        ("/var/lib/apt/lists/x", "generated by a maintainer script"),
        ("/opt/sw/bin/sw", ""),
        ("/usr/bin/nginx", ""),
    ],
)
def test_for_what_a_file_was_taken_is_told(path: str, reason: str) -> None:
    world = image(LEFTOVERS)
    assert rule.leftover_reason(world, path) == reason
    told = explain(world, _closed(world, "/opt/sw/bin/sw"), path)
    assert (f"  nothing of the application, but {reason}" in told) == bool(reason)


DIST = "/usr/local/lib/python3.11/site-packages"
GEMS = "/usr/local/bundle/specifications"
ARCHIVES: Table = {
    f"{DIST}/Flask_Cors-4.0.1.dist-info/METADATA": "x",
    "/usr/local/bundle/gems/rack-3.0.8/lib/rack.rb": "x",
    f"{GEMS}/rack-3.0.8.gemspec": "x",
    f"{GEMS}/nokogiri-1.16.0-x86_64-linux.gemspec": "x",
    "/wheels/flask_cors-4.0.1-py3-none-any.whl": "x",
    "/wheels/flask.cors-4.0.1-1-py3-none-any.whl": "x",
    "/app/vendor/cache/rack-3.0.8.gem": "x",
    "/app/vendor/cache/nokogiri-1.16.0-x86_64-linux.gem": "x",
    "/debs/tool_1.0-1_amd64.deb": "x",
    "/debs/tool_2%3a1.0-1_amd64.deb": "x",
}
NOT_INSTALLED: Table = {
    "/wheels/flask_cors-4.0.2-py3-none-any.whl": "x",
    "/wheels/flask-4.0.1-py3-none-any.whl": "x",
    "/wheels/flask_cors-4.0.1.whl": "x",
    "/wheels/flask_cors-4.0.1.tar.gz": "x",
    "/app/vendor/cache/rack-3.0.9.gem": "x",
    "/app/vendor/cache/nokogiri-1.16.0.gem": "x",
    "/debs/tool_1.0-2_amd64.deb": "x",
    "/debs/tool_1.0-1_arm64.deb": "x",
    "/debs/other_1.0-1_amd64.deb": "x",
    "/debs/tool.deb": "x",
    "/debs/removed_1.0-1_all.deb": "x",
}


@pytest.mark.parametrize("epoch", ["", "2:"])
def test_archives_of_what_is_installed_are_left_over(epoch: str) -> None:
    world = debian_world(
        {**DEBIAN, **ARCHIVES, **NOT_INSTALLED},
        {**OWNED, "tool": [], "removed": []},
        fields={
            "tool": {"Architecture": "amd64", "Version": f"{epoch}1.0-1"},
            "removed": {"Status": "deinstall ok config-files"},
        },
        history=["COPY flask_cors-4.0.1-py3-none-any.whl /wheels/ # buildkit", "COPY . /app # buildkit"],
    )
    assert set(kept(world)) == set(NOT_INSTALLED)
    told = explain(world, _closed(world), "/wheels/flask_cors-4.0.1-py3-none-any.whl")
    assert "  nothing of the application, but an archive of a package that is installed" in told


def test_an_archive_that_is_read_stays() -> None:
    assert "/debs/tool_1.0-1_amd64.deb" in kept(image(ARCHIVES), "/debs/tool_1.0-1_amd64.deb")


def test_what_resembles_leftovers_in_an_application_stays() -> None:
    table: Table = {
        "/app/include/page.inc": "<?php",
        "/app/lib/x.php": "x",
        "/app/bpf/probe.o": "x",
        "/app/m.py": "x",
        "/app/__pycache__/m.cpython-311.pyc": "x",
        "/app/only.pyc": "x",
        "/root/.cache/huggingface/model.bin": "x",
        "/var/log/app/app.log": ("0644 5:5", ""),
        "/var/log/web.log": "-> /dev/stdout",
        "/run/php/": "",
    }
    world = image(table)
    assert [path for path in table if path.rstrip("/") not in application(world)] == []


def test_an_instruction_makes_a_leftover_place_the_application() -> None:
    table: Table = {"/usr/src/app/server.js": "x", "/usr/src/redis/x.c": "x", "/usr/src/app/.git/x": "x"}
    assert kept(image(table, "WORKDIR /usr/src/redis", "WORKDIR /usr/src/app", workdir="/usr/src/app")) == [
        "/usr/src/app/server.js"
    ]
    assert kept(image(table, "COPY . /usr/src/app # buildkit")) == ["/usr/src/app/server.js"]
    assert kept(image(table)) == []


@pytest.mark.parametrize(
    "path",
    [
        "/usr/local/lib/python3.11/site-packages/flask/app.py",
        "/usr/local/lib/python3.11/dist-packages/flask/app.py",
        "/app/node_modules/express/index.js",
        "/app/vendor/bundle/ruby/3.1.0/gems/rack-3/lib/rack.rb",
        "/var/lib/gems/3.1.0/gems/rack-3/lib/rack.rb",
        "/app/.venv/bin/flask",
    ],
)
def test_packages_of_languages_are_left_to_their_rules(path: str) -> None:
    table: Table = {
        path: "x",
        "/app/.venv/pyvenv.cfg": "home = /usr/bin",
        "/app/.venv/bin/python3": "-> /usr/bin/nginx",
        "/app/vendor/bundle/ruby/3.1.0/specifications/rack.gemspec": "x",
        "/app/vendor/bundle/ruby/3.1.0/gems/": "",
        "/var/lib/gems/3.1.0/gems/": "",
        "/var/lib/gems/3.1.0/specifications/rack.gemspec": "x",
        "/app/main": "x",
    }
    assert kept(image(table, "COPY . /app # buildkit")) == ["/app/main"]


def test_scripts_that_pip_gem_and_npm_put_beside_are_parts_of_their_packages() -> None:
    site = "/usr/local/lib/python3.11/dist-packages"
    table: Table = {
        f"{site}/g-1.dist-info/RECORD": 'g/g.py,sha256=x,1\n../../../bin/gunicorn,sha256=y,2\n"../../../share/g/a",,\n',
        "/usr/local/bin/gunicorn": ("0755", "#!/usr/bin/python3"),
        "/usr/local/share/g/a": "x",
        "/usr/local/bin/mine": ("0755", "#!/bin/sh"),
        "/var/lib/gems/3.1.0/gems/rack/x.rb": "x",
        "/var/lib/gems/3.1.0/specifications/rack.gemspec": "x",
        "/usr/local/bin/rackup": ("0755", "#!/usr/bin/ruby\n#\n# This file was generated by RubyGems.\n"),
        "/usr/local/lib/node_modules/pm2/bin/pm2": "x",
        "/usr/local/bin/pm2": "-> ../lib/node_modules/pm2/bin/pm2",
    }
    assert kept(image(table)) == ["/usr/local/bin/mine"]


RUNTIMES: dict[str, Table] = {
    "Python": {
        "/opt/py/bin/python3.12": "x",
        "/opt/py/lib/python3.12/os.py": "x",
        "/opt/py/lib/python3.12/test/big.py": "x",
        "/opt/py/lib/libpython3.12.so.1.0": "x",
        "/opt/py/include/python3.12/Python.h": "x",
    },
    "Node": {
        "/opt/n/bin/node": "x",
        "/opt/n/bin/npm": "-> ../lib/node_modules/npm/bin/npm-cli.js",
        "/opt/n/lib/node_modules/npm/bin/npm-cli.js": "x",
        "/opt/n/include/node/node.h": "x",
        "/opt/n/CHANGELOG.md": "x",
    },
    "Ruby": {
        "/opt/rb/bin/ruby": "x",
        "/opt/rb/lib/ruby/3.3.0/rubygems.rb": "x",
        "/opt/rb/lib/libruby.so.3.3": "x",
    },
    "Perl": {"/opt/pl/bin/perl5.38.0": "x", "/opt/pl/lib/perl5/5.38.0/strict.pm": "x"},
    "Java": {
        "/opt/jdk/release": "x",
        "/opt/jdk/bin/java": "x",
        "/opt/jdk/lib/modules": "x",
        "/opt/jdk/lib/src.zip": "x",
    },
    "Go": {"/opt/go/VERSION": "x", "/opt/go/bin/go": "x", "/opt/go/src/runtime/runtime.go": "x"},
    "PHP": {"/opt/php/bin/php": "x", "/opt/php/include/php/main/php.h": "x", "/opt/php/lib/php/build/x": "x"},
}


@pytest.mark.parametrize("language", sorted(RUNTIMES))
def test_a_runtime_built_from_source_is_cut_like_the_distribution(language: str) -> None:
    table = RUNTIMES[language]
    prefix = next(iter(table)).split("/")[2]
    world = image(
        {**table, f"/opt/{prefix}/etc/own.conf": "x"}, f"COPY --from=b /opt/{prefix} /opt/{prefix} # buildkit"
    )
    assert [runtime.name for runtime in runtimes(world)] == [language]
    own = [] if language in ("Java", "Go") else [f"/opt/{prefix}/etc/own.conf"]
    assert kept(world) == own


def test_a_runtime_is_known_by_its_content_not_by_a_name() -> None:
    table: Table = {"/usr/local/bin/node": "x", "/opt/go/main": "x", "/app/lib/modules": "x", "/opt/python3.12/x": "x"}
    world = image(table)
    assert runtimes(world) == ()
    assert sorted(kept(world)) == sorted(table)


def test_changed_configuration_follows_its_package() -> None:
    world = image({"/etc/nginx/nginx.conf": "edited"})
    assert kept(world) == []
    closure = _closed(world, "/usr/bin/nginx")
    assert [path for path, _ in closure.why("/etc/nginx/nginx.conf")] == ["/etc/nginx/nginx.conf", "/usr/bin/nginx"]
    assert kept(image({}), "/usr/bin/nginx") == [] or "/etc/nginx/nginx.conf" not in kept(image({}), "/usr/bin/nginx")


def test_a_file_that_copy_wrote_over_is_the_applications() -> None:
    shipped = {"/usr/bin/nginx": "x"}
    table: Table = {"/etc/nginx/nginx.conf": "mine", "/usr/bin/nginx": "patched"}
    history = (
        "COPY nginx.conf /etc/nginx/ # buildkit",
        "/bin/sh -c #(nop) COPY file:0123456789abcdef01 in /usr/bin/nginx ",
    )
    assert kept(image(table, *history, shipped=shipped)) == ["/etc/nginx/nginx.conf", "/usr/bin/nginx"]
    assert kept(image({}, *history, shipped=shipped)) == [], "what is as it was shipped was not written over"


@pytest.mark.parametrize(
    "copy", ["COPY build.sh /tmp/ # buildkit", "/bin/sh -c #(nop) COPY file:0123456789abcdef01 in /tmp/ "]
)
def test_what_is_copied_among_temporary_files_is_one_whoever_built_the_image(copy: str) -> None:
    world = image({"/tmp/build.sh": "x", "/app/a.py": "x"}, copy, owned={"base": ["/tmp"]})
    assert kept(world) == ["/app/a.py"]


@pytest.mark.parametrize(
    "copy",
    ["COPY r.json /tmp/rules.json # buildkit", "/bin/sh -c #(nop) COPY file:0123456789abcdef01 in /tmp/rules.json "],
)
def test_a_temporary_file_that_is_named_is_the_applications_whoever_built_the_image(copy: str) -> None:
    assert kept(image({"/tmp/rules.json": "x"}, copy, owned={"base": ["/tmp"]})) == ["/tmp/rules.json"]


def test_data_below_a_packages_own_directory_follows_the_package() -> None:
    owned = {"postgresql-15": ["/usr/lib/postgresql/15/bin/postgres", "/var/lib/postgresql/15"]}
    table: Table = {
        "/usr/lib/postgresql/15/bin/postgres": "x",
        "/var/lib/postgresql/15/main/PG_VERSION": "15",
        "/var/lib/postgresql/15/main/base/1/112": "x",
    }
    world = image(table, owned=owned)
    assert kept(world) == []
    data = "/var/lib/postgresql/15/main/base/1/112"
    closure = _closed(world, "/usr/lib/postgresql/15/bin/postgres")
    assert data in closure
    assert [path for path, _ in closure.why(data)] == [
        data,
        "/var/lib/postgresql/15/main",
        "/usr/lib/postgresql/15/bin/postgres",
    ]


def test_an_instruction_into_a_packages_directory_makes_its_files_the_applications() -> None:
    table: Table = {"/etc/nginx/conf.d/site.conf": "x", "/etc/nginx/other": "x"}
    world = image(table, "COPY site.conf /etc/nginx/conf.d/ # buildkit", owned={"c": ["/etc/nginx/conf.d"]})
    assert kept(world) == ["/etc/nginx/conf.d/site.conf"]


def test_without_a_package_database_only_what_is_named_or_on_own_ground_counts() -> None:
    table: Table = {
        "/usr/lib/os-release": "x",
        "/usr/bin/bash": "x",
        "/etc/conf": "x",
        "/app/a": "x",
        "/usr/local/bin/t": "x",
    }
    lost = World(tree(table), debian_world({}, {}).packages, debian_world({}, {}).config)
    assert sorted(p for p in application(lost) if not lost.rootfs.is_dir(p)) == ["/app/a", "/usr/local/bin/t"]
    scratch = World(tree({"/server": "x", "/etc/conf": "x"}), lost.packages, lost.config)
    assert sorted(application(scratch)) == ["/etc/conf", "/server"]


def test_touched_leftovers_stay_as_anything_that_is_touched() -> None:
    assert kept(image(LEFTOVERS), "/etc/shadow", "/tmp/build.log")[:1] == ["/app/native/Makefile"]
    assert {"/etc/shadow", "/tmp/build.log"} <= set(kept(image(LEFTOVERS), "/etc/shadow", "/tmp/build.log"))


def test_the_survey_does_not_depend_on_the_order_of_packages() -> None:
    table: Table = {"/var/lib/two/x": "x", "/usr/bin/a": "x", "/usr/bin/b": "x"}
    owned = {"a": ["/usr/bin/a", "/var/lib/two"], "b": ["/usr/bin/b", "/var/lib/two"]}
    forward, backward = image(table, owned=owned), image(table, owned=dict(reversed(owned.items())))
    assert rule.survey(forward) == rule.survey(backward)
    assert "/var/lib/two/x" in kept(forward, "/usr/bin/b")


@pytest.mark.parametrize(
    ("policy", "early"),
    [
        (Policy(Level.SAFE), True),
        (Policy(Level.PACKAGE), True),
        (Policy(Level.EXACT), False),
        (Policy(Level.EXACT, (("/srv/**", Level.SAFE),)), True),
    ],
)
def test_it_is_made_before_the_trace_is_there_where_it_is_needed(policy: Policy, early: bool) -> None:
    unrecorded = replace(world({"/srv/app": "x"}), trace=UNRECORDED, policy=policy)
    prepare_image(unrecorded)
    assert (survey.__wrapped__ in unrecorded.memo.values) is early  # type: ignore[attr-defined]
    assert application(recorded(unrecorded, Trace())) == application(world({"/srv/app": "x"}))
