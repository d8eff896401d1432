"""PHP: configuration, extensions and includes that follow from kept code, and what must not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debloat.rules.knowledge import families
from debloat.rules.languages.php import rules as php
from debloat.rules.languages.php import source as php_source
from tests.support import chroots, trees
from tests.support.debs import deb_world
from tests.support.trees import Table

DEBIAN: Table = {
    "/usr/bin/php8.2": ("0755", "\x7fELF"),
    "/usr/sbin/php-fpm8.2": ("0755", "\x7fELF"),
    "/etc/php/8.2/cli/php.ini": "auto_prepend_file = /srv/shared/before.php ; always\n;extension=off\n",
    "/etc/php/8.2/cli/conf.d/20-curl.ini": "-> ../../mods-available/curl.ini",
    "/etc/php/8.2/fpm/php.ini": "",
    "/etc/php/8.2/fpm/php-fpm.conf": "",
    "/etc/php/8.2/fpm/pool.d/www.conf": "",
    "/etc/php/8.2/fpm/conf.d/10-opcache.ini": "-> ../../mods-available/opcache.ini",
    "/etc/php/8.2/mods-available/curl.ini": "; priority=20\nextension=curl.so\n",
    "/etc/php/8.2/mods-available/opcache.ini": "zend_extension=opcache\n",
    "/etc/php/8.2/mods-available/off.ini": "extension=off.so\n",
    "/usr/lib/php/20220829/curl.so": "",
    "/usr/lib/php/20220829/opcache.so": "",
    "/usr/lib/php/20220829/off.so": "",
    "/srv/shared/before.php": "",
}


def _kept(table: Table, seed: str, **config: object) -> list[str]:
    kept = trees.paths(trees.closed(trees.world(table, config=config), php.RULES, seed))
    return [p for p in kept if p != seed]


def test_a_sapi_keeps_its_own_configuration_and_what_that_enables() -> None:
    assert _kept(DEBIAN, "/usr/bin/php8.2") == [
        "/etc/php/8.2/cli/conf.d/20-curl.ini",
        "/etc/php/8.2/cli/php.ini",
        "/etc/php/8.2/mods-available/curl.ini",
        "/srv/shared/before.php",
        "/usr/lib/php/20220829/curl.so",
    ]
    assert _kept(DEBIAN, "/usr/sbin/php-fpm8.2") == [
        "/etc/php/8.2/fpm/conf.d/10-opcache.ini",
        "/etc/php/8.2/fpm/php-fpm.conf",
        "/etc/php/8.2/fpm/php.ini",
        "/etc/php/8.2/fpm/pool.d/www.conf",
        "/etc/php/8.2/mods-available/opcache.ini",
        "/usr/lib/php/20220829/opcache.so",
    ]


def test_an_extension_is_of_its_own_php() -> None:
    table: Table = {
        "/etc/php/8.2/mods-available/x.ini": "extension=x",
        "/usr/lib/php/20220829/x.so": "",
        "/usr/lib/php/20190902/x.so": "",
    }
    owned = {"php8.2-x": ["/usr/lib/php/20220829/x.so"], "php7.4-x": ["/usr/lib/php/20190902/x.so"]}
    closure = trees.closed(trees.world(table, owned=owned), php.RULES, "/etc/php/8.2/mods-available/x.ini")
    assert trees.paths(closure, "/usr") == ["/usr/lib/php/20220829/x.so"]


def test_a_php_built_from_source() -> None:
    table: Table = {
        "/usr/local/bin/php": ("0755", ""),
        "/usr/local/etc/php/php.ini-development": "",
        "/usr/local/etc/php/conf.d/docker-php-ext-gd.ini": "extension=gd",
        "/usr/local/etc/php-fpm.d/www.conf": "",
        "/usr/local/lib/php/extensions/no-debug-non-zts-20220829/gd.so": "",
        "/usr/local/lib/php/extensions/no-debug-non-zts-20220829/zip.so": "",
        "/usr/local/lib/php/build/Makefile.global": "",
        "/opt/ini/more.ini": "extension=/opt/own/y.so",
        "/opt/own/y.so": "",
    }
    assert _kept(table, "/usr/local/bin/php", Env=["PHP_INI_SCAN_DIR=:/opt/ini"]) == [
        "/opt/ini/more.ini",
        "/opt/own/y.so",
        "/usr/local/etc/php/conf.d/docker-php-ext-gd.ini",
        "/usr/local/lib/php/extensions/no-debug-non-zts-20220829/gd.so",
    ]


X, Y = ["/srv/www/x.inc"], ["/srv/lib/y.php"]

CASES = [
    ("by the include path", "require_once 'Mail.php';", ["/usr/share/php/Mail.php"]),
    ("beside the file", "include('x.inc');", ["/srv/www/x.inc"]),
    ("__DIR__", "require __DIR__ . '/x.inc';", ["/srv/www/x.inc"]),
    ("dirname(__FILE__)", 'include_once dirname(__FILE__)."/x.inc";', ["/srv/www/x.inc"]),
    ("dirname(__DIR__)", "require dirname(__DIR__) . '/lib/y.php';", ["/srv/lib/y.php"]),
    ("absolute", "require '/srv/lib/y.php';", ["/srv/lib/y.php"]),
    ("over lines", "require\n  __DIR__\n . '/x.inc'\n;", ["/srv/www/x.inc"]),
    ("in capitals", "REQUIRE_ONCE 'Mail.php';", ["/usr/share/php/Mail.php"]),
    ("the directory's separator", "require_once dirname(__FILE__) . DIRECTORY_SEPARATOR . 'x.inc';", X),
    ("steps up", "require __DIR__ . '/../lib/./y.php';", Y),
    ("levels up", "require dirname(__FILE__, 2) . '/lib/y.php';", Y),
    ("levels up by name", "require dirname(path: __DIR__, levels: 1) . '/lib/y.php';", Y),
    ("dirname of dirname", "require dirname(dirname(__FILE__)) . '/lib/y.php';", Y),
    ("realpath", "require realpath(__DIR__ . '/x.inc');", X),
    ("imploded", "require implode(DIRECTORY_SEPARATOR, [__DIR__, 'x.inc']);", X),
    ("a constant by define", "define('ROOT', dirname(__DIR__)); require ROOT . '/lib/y.php';", Y),
    ("a constant", "const ROOT = __DIR__; require_once(ROOT.'/x.inc');", X),
    ("a constant of a class", "class A { const F = 'x.inc'; function f() { include __DIR__.'/'.self::F; } }", X),
    ("a variable", "$inc = __DIR__ . '/x.inc'; include $inc;", X),
    ("a variable in a text", '$d = __DIR__; include "$d/x.inc"; include "{$d}/../lib/y.php";', [*Y, *X]),
    ("one or another", "require $a ? 'x.inc' : '/srv/lib/y.php';", [*Y, *X]),
    ("a loop over a list", "foreach (['x.inc'] as $f) { require __DIR__ . \"/$f\"; }", X),
    (
        "a loop over a variable",
        "$l = array('k' => 'y'); foreach ($l as $k => $f): include \"../lib/$f.php\"; endforeach;",
        Y,
    ),
    ("an assignment within", "include $file = 'x.inc';", X),
    ("a value", "$c = (include 'x.inc')['key'];", X),
    ("with errors silenced", "@include 'x.inc';", X),
    ("in a namespace", "namespace A; require \\dirname(__FILE__) . '/x.inc';", X),
    ("between text", "?><p>require 'Mail.php';</p><?php include 'x.inc' ?>", X),
    ("a comment at the end of a line", "f(); // require 'Mail.php';\ng(); /* include 'x.inc' */ # require 'x.inc'", []),
    ("a comment of many lines", "/*\n require 'Mail.php';\n*/", []),
    ("a text", "echo 'require \"x.inc\";'; echo <<<T\n  require 'Mail.php';\nT;\n", []),
    ("a parameter", "$f = 'x.inc'; function g($f) { require $f; }", []),
    ("a comment", "// require 'Mail.php';\n * include 'x.inc'", []),
    ("a variable", 'require "$x/Mail.php"; $require = "x.inc"; $a->include("x.inc");', []),
]


@pytest.mark.parametrize(("code", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_includes(code: str, expected: list[str]) -> None:
    table: Table = {
        "/srv/www/index.php": "<?php\n" + code,
        "/srv/www/x.inc": "",
        "/srv/lib/y.php": "",
        "/usr/share/php/Mail.php": "",
    }
    assert _kept(table, "/srv/www/index.php") == expected


def test_packaged_code_is_kept_by_the_package_and_program() -> None:
    files = ["/usr/share/tool/a.php", "/usr/share/tool/t/page.twig", "/usr/share/tool/z.php"]
    owned = {"tool": [*files, "/usr/share/doc/tool/README"], "php-mail": ["/usr/share/php/Mail.php"]}
    table: Table = dict.fromkeys([p for paths in owned.values() for p in paths], "")
    closure = trees.closed(trees.world(table, owned=owned), php.RULES, "/usr/share/tool/z.php")
    assert trees.paths(closure) == files


def test_a_link_does_not_stand_for_a_packages_code() -> None:
    """As MediaWiki's LocalSettings.php, whose target the administrator writes, below a directory of another kind."""
    code = ["/usr/share/wiki/api.php", "/usr/share/wiki/index.php"]
    link = {"/usr/share/wiki/Local.php": "-> /etc/wiki/Local.php", "/etc/wiki/Local.php": ""}
    world = trees.world({**dict.fromkeys(code, ""), **link}, owned={"wiki": [*code, "/usr/share/wiki/Local.php"]})
    closure = trees.closed(world, php.RULES, "/usr/share/wiki/index.php")
    assert trees.paths(closure) == sorted([*code, *link])


def test_a_packages_links_to_its_code_are_of_it() -> None:
    """As in MediaWiki's /var/lib/mediawiki, which Apache serves."""
    code = {"/usr/share/wiki/index.php": "", "/usr/share/wiki/static/a.css": "", "/usr/share/wiki/load.php": ""}
    links = {
        "/var/lib/wiki/load.php": "-> /usr/share/wiki/load.php",
        "/var/lib/wiki/static": "-> /usr/share/wiki/static",
    }
    others = {
        "/usr/share/doc/wiki/index.php": "-> ../../wiki/index.php",
        "/var/lib/wiki/gone": "-> /usr/share/nowhere",
        "/var/lib/wiki/mail": "-> /usr/share/php/Mail.php",
        "/usr/share/php/Mail.php": "",
    }
    table: Table = {**code, **links, **others, "/var/lib/other": "-> /usr/share/wiki"}
    world = trees.world(table, owned={"wiki": [p for p in table if p != "/var/lib/other"]})
    closure = trees.closed(world, php.RULES, "/usr/share/wiki/static/a.css", "/usr/share/wiki/index.php")
    assert trees.paths(closure) == sorted([*code, *links, "/usr/share/wiki/static"])


PACKAGES = (
    *(
        "php8.2-cli",
        "php8.2-common",
        "php8.2-opcache",
        "php8.2-readline",
        "php8.2-mbstring",
        "php8.2-sqlite3",
        "php-common",
    ),
    *(
        "libc6",
        "libsqlite3-0",
        "libxml2",
        "libonig5",
        "libssl3",
        "zlib1g",
        "libpcre2-8-0",
        "libsodium23",
        "libargon2-1",
    ),
    *("libedit2", "libbsd0", "libmd0", "libtinfo6", "libicu72", "liblzma5", "libmagic1", "libcrypt1", "libffi8"),
    *("libgcc-s1", "libstdc++6", "tzdata"),
)
CODE = """<?php
$db = new SQLite3(':memory:');
echo $db->querySingle('select 6*7'), mb_strtoupper('ä'), ' ', json_encode(extension_loaded('Zend OPcache')), "\\n";
echo json_encode([extension_loaded('sqlite3'), extension_loaded('xsl'), class_exists('PDO')]), "\\n";
"""


@pytest.mark.network
def test_real_php_runs_from_what_is_kept(tmp_path: Path) -> None:
    # The maintainer scripts' work: phpenmod makes a link per SAPI and module.
    enabled = {"10-opcache": "zend_extension=opcache.so", "20-mbstring": "extension=mbstring.so"}
    enabled |= {"20-sqlite3": "extension=sqlite3.so", "10-pdo": "extension=pdo.so"}
    extra = {f"/etc/php/8.2/mods-available/{n[3:]}.ini": text for n, text in enabled.items()}
    extra |= {f"/etc/php/8.2/cli/conf.d/{n}.ini": f"-> /etc/php/8.2/mods-available/{n[3:]}.ini" for n in enabled}
    world = deb_world(*PACKAGES, extra={**extra, "/app/x.php": CODE})
    closure = chroots.kept(world, (*php.RULES, *families.RULES), "/usr/bin/php8.2", "/app/x.php")
    out = chroots.run(world, closure, tmp_path, ["/usr/bin/php8.2", "/app/x.php"])
    assert out == "42Ä true\n[true,false,true]\n"
    assert "/usr/lib/php/20220829/ffi.so" not in chroots.kept(world, php.RULES, "/usr/bin/php8.2", "/app/x.php")


@given(st.binary(max_size=200) | st.text("require_once'\"()._DIR/ \n;dirname", max_size=200).map(str.encode))
@settings(max_examples=200, deadline=None)
def test_garbage_is_read_without_error(source: bytes) -> None:
    assert isinstance(php_source.includes(source), tuple)


@pytest.mark.parametrize(
    "piece", ["require ", "include(", "require __DIR__ . ", "require '", "dirname(__DIR__", "\n", " ", "a"]
)
def test_long_input_is_read_in_time(piece: str) -> None:
    assert php_source.includes(b"require" + piece.encode() * 50000) is not None
