"""Node's rules: on tables, what each brings and what it must leave; on real packages, that what is kept runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.closure import World
from debloat.core.model import ImageConfig
from debloat.core.platform import PLATFORMS, Platform, of_image
from debloat.debian import dpkg
from debloat.rules.languages.node.packages import bare, manifest, needs
from debloat.rules.languages.node.rules import RULES
from debloat.rules.languages.node.source import MAX_PARSED, references, specifiers
from tests.support import network
from tests.support.chroots import kept as kept_really
from tests.support.chroots import run
from tests.support.debs import fetch
from tests.support.hosttree import host_rootfs
from tests.support.trees import Table, closed, paths, rules_for, tree, world

MODULES = "/app/node_modules"


def kept(table: Table, *seeds: str, **options: object) -> list[str]:
    """What a table's image keeps, which has Node as well."""
    table = {"/usr/bin/node": "\x7fELF", **table}
    return paths(closed(world(table, **options), RULES, *seeds))  # type: ignore[arg-type]


def package(name: str, **fields: object) -> dict[str, str]:
    return {f"{name}/package.json": json.dumps(fields), f"{name}/index.js": ""}


@pytest.mark.parametrize(
    "text",
    [
        "const a = require('dep')",
        "if (x) { require('dep/lib/deep') }",
        "import a from 'dep'",
        "import 'dep'",
        "export * from 'dep'",
        "const a = await import('dep')",
        "require.resolve('dep')",
        "const r = createRequire(import.meta.url); r('x'); module.require(`dep`)",
        "function f() { try { return require('dep') } catch {} }",
        "import type { T } from 'dep'; const x: T = require('dep')",
        "const x = <div>{require('dep')}</div>",
    ],
)
def test_ways_to_import(text: str) -> None:
    table: Table = {"/app/main.js": text, **package(f"{MODULES}/dep"), **package(f"{MODULES}/idle")}
    found = kept(table, "/app/main.js")
    assert f"{MODULES}/dep/index.js" in found
    assert f"{MODULES}/idle/index.js" not in found


@pytest.mark.parametrize(
    "text", ["// require('dep')", "x = 'require(\"dep\")'", "require(dep)", "require('pre' + dep)"]
)
def test_what_is_no_import(text: str) -> None:
    table: Table = {"/app/main.js": text, **package(f"{MODULES}/dep"), **package(f"{MODULES}/pre")}
    assert kept(table, "/app/main.js") == ["/app/main.js"]


def test_relative_files_are_resolved_as_node_does() -> None:
    table: Table = {
        "/usr/share/tool/main.js": "for (const x of [require('./a'), require('./dir'), require('./main-dir')]) {"
        "require('./x.json'); import('./e.mjs') }",
        "/usr/share/tool/a.js": "require('..')",
        "/usr/share/tool/dir/index.js": "",
        "/usr/share/tool/main-dir/package.json": '{"main": "lib/start"}',
        "/usr/share/tool/main-dir/lib/start.js": "",
        "/usr/share/tool/x.json": "{}",
        "/usr/share/tool/e.mjs": "",
        "/usr/share/tool/unused.js": "",
    }
    found = set(kept(table, "/usr/share/tool/main.js"))
    assert found == set(table) - {"/usr/share/tool/unused.js", "/usr/share/tool/main-dir/package.json"}


UNIT: Table = {
    "/app/main.js": "require('dep')",
    f"{MODULES}/dep/package.json": '{"bin": {"dep-cli": "cli.js"}, "dependencies": {"needed": "1"}, '
    '"devDependencies": {"builder": "1"}}',
    f"{MODULES}/dep/index.js": "",
    f"{MODULES}/dep/cli.js": "#!/usr/bin/env node\nrequire('builder')",
    f"{MODULES}/dep/data/table.txt": "",
    f"{MODULES}/dep/LICENSE.md": "",
    f"{MODULES}/dep/README.md": "",
    f"{MODULES}/dep/index.d.ts": "",
    f"{MODULES}/dep/alone.d.ts": "",
    f"{MODULES}/dep/index.js.map": "",
    f"{MODULES}/dep/test/index.js": "",
    f"{MODULES}/dep/src/addon.cc": "",
    f"{MODULES}/dep/prebuilds/linux-x64/addon.node": "",
    f"{MODULES}/dep/prebuilds/linux-arm64/addon.node": "",
    f"{MODULES}/dep/prebuilds/win32-x64/addon.node": "",
    f"{MODULES}/dep/node_modules/nested/index.js": "",
    f"{MODULES}/.bin/dep-cli": "-> ../dep/cli.js",
    f"{MODULES}/.bin/other": "-> ../other/cli.js",
    **package(f"{MODULES}/needed"),
    **package(f"{MODULES}/builder"),
}


def test_package_is_a_unit_less_what_never_runs() -> None:
    found = kept(UNIT, "/app/main.js")
    names = [p.removeprefix(f"{MODULES}/") for p in found if not world(UNIT).rootfs.is_dir(p)]
    assert names == [
        "/app/main.js",
        ".bin/dep-cli",
        "dep/LICENSE.md",
        "dep/alone.d.ts",
        "dep/cli.js",
        "dep/data/table.txt",
        "dep/index.js",
        "dep/package.json",
        "dep/prebuilds/linux-x64/addon.node",
        "needed/index.js",
        "needed/package.json",
    ]


@pytest.mark.parametrize(
    ("architecture", "directories"),
    [
        ("amd64", {"linux-x64", "linux-x64-musl", "linux-x64+arm64"}),
        ("arm64", {"linux-arm64", "linux-x64+arm64"}),
        ("arm", {"linux-arm"}),
        ("386", {"linux-ia32"}),
        ("ppc64le", {"linux-ppc64"}),
        ("riscv64", {"linux-riscv64"}),
        ("s390x", {"linux-s390x"}),
    ],
)
def test_prebuilt_modules_of_the_image_s_platform(architecture: str, directories: set[str]) -> None:
    named = ["linux-x64", "linux-x64-musl", "linux-x64+arm64", "linux-arm64", "linux-arm", "linux-ia32"]
    named += ["linux-ppc64", "linux-riscv64", "linux-s390x", "darwin-x64+arm64", "win32-ia32"]
    prebuilt = {f"{MODULES}/dep/prebuilds/{name}/addon.node": "" for name in named}
    table: Table = {"/app/main.js": "require('dep')", **package(f"{MODULES}/dep"), **prebuilt}
    closure = closed(world(table, platform=of_image(architecture)), RULES, "/app/main.js")
    assert {path.split("/")[-2] for path in prebuilt if path in closure} == directories


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.debian)
def test_debian_s_compiled_modules_on_each_platform(platform: Platform) -> None:
    home = f"/usr/lib/{platform.multiarch}/nodejs"
    table: Table = {"/app/main.js": "require('dep')", **package(f"{home}/dep")}
    assert f"{home}/dep/index.js" in closed(world(table, platform=platform), RULES, "/app/main.js")


def test_a_touched_file_keeps_its_package() -> None:
    found = closed(world(UNIT), RULES, f"{MODULES}/dep/data/table.txt")
    assert list(rules_for(found, f"{MODULES}/dep/index.js")) == ["node.package"]


def test_packages_import_undeclared_neighbours_but_not_their_own_tools() -> None:
    table: Table = {
        "/app/main.js": "require('dep')",
        **package(f"{MODULES}/dep", devDependencies={"linter": "1"}),
        f"{MODULES}/dep/lib.js": "require('hoisted'); require('buffer'); require('./test/helper')",
        f"{MODULES}/dep/lint.config.js": "require('linter')",
        f"{MODULES}/dep/test/helper.js": "",
        f"{MODULES}/dep/test/other.js": "",
        **package(f"{MODULES}/hoisted"),
        **package(f"{MODULES}/linter"),
        **package(f"{MODULES}/buffer"),
    }
    found = kept(table, "/app/main.js")
    assert {f"{MODULES}/hoisted/index.js", f"{MODULES}/dep/test/helper.js"} <= set(found)
    for gone in ("linter/index.js", "buffer/index.js", "dep/test/other.js"):
        assert f"{MODULES}/{gone}" not in found


def test_applications_manifest_brings_what_it_declares_and_what_start_runs() -> None:
    table: Table = {
        "/app/package.json": json.dumps(
            {
                "dependencies": {"driver": "1", "@scope/part": "1"},
                "peerDependencies": {"peer": "1"},
                "optionalDependencies": {"absent": "1"},
                "devDependencies": {"builder": "1"},
                "scripts": {"start": "NODE_ENV=x serve -l 80", "build": "pack"},
            }
        ),
        **package(f"{MODULES}/driver"),
        **package(f"{MODULES}/@scope/part"),
        **package(f"{MODULES}/@scope/unused"),
        **package("/node_modules/peer"),
        **package(f"{MODULES}/builder"),
        **package(f"{MODULES}/server", bin={"serve": "index.js"}),
        f"{MODULES}/.bin/serve": "-> ../server/index.js",
        f"{MODULES}/.bin/pack": "-> ../builder/index.js",
    }
    found = kept(table, "/app/package.json")
    assert [p for p in found if p.endswith("index.js")] == [
        f"{MODULES}/@scope/part/index.js",
        f"{MODULES}/driver/index.js",
        f"{MODULES}/server/index.js",
        "/node_modules/peer/index.js",
    ]
    assert f"{MODULES}/.bin/serve" in found


def test_linked_packages_keep_the_link_and_the_store() -> None:
    store = f"{MODULES}/.pnpm/dep@1/node_modules"
    table: Table = {
        "/app/main.js": "require('dep'); require('@me/lib'); require('debian')",
        f"{MODULES}/dep": "-> .pnpm/dep@1/node_modules/dep",
        **package(f"{store}/dep", dependencies={"inner": "1"}),
        f"{store}/inner": "-> ../../inner@1/node_modules/inner",
        **package(f"{MODULES}/.pnpm/inner@1/node_modules/inner"),
        **package(f"{MODULES}/.pnpm/idle@1/node_modules/idle"),
        f"{MODULES}/@me/lib": "-> ../../../packages/lib",
        **package("/packages/lib"),
        "/usr/share/nodejs/debian": "-> ../javascript/debian",
        **package("/usr/share/javascript/debian"),
    }
    found = kept(table, "/app/main.js")
    assert {f"{MODULES}/dep", f"{store}/inner", f"{MODULES}/@me/lib", "/usr/share/nodejs/debian"} <= set(found)
    assert f"{MODULES}/.pnpm/inner@1/node_modules/inner/index.js" in found
    assert {"/packages/lib/index.js", "/usr/share/javascript/debian/index.js"} <= set(found)
    assert not [p for p in found if "idle" in p]


def test_the_nearest_package_wins() -> None:
    table: Table = {
        f"{MODULES}/a/package.json": '{"dependencies": {"b": "2"}}',
        f"{MODULES}/a/node_modules/b/index.js": "",
        **package(f"{MODULES}/b"),
    }
    found = kept(table, f"{MODULES}/a/package.json")
    assert f"{MODULES}/a/node_modules/b/index.js" in found
    assert f"{MODULES}/b/index.js" not in found


def test_npm_is_reached_only_when_it_is_run() -> None:
    npm = "/usr/local/lib/node_modules/npm"
    table: Table = {
        "/usr/local/bin/node": ("0755", b"\x7fELF"),
        "/usr/local/include/node/v8.h": "",
        f"{npm}/package.json": '{"dependencies": {"nopt": "1"}}',
        f"{npm}/bin/npm-cli.js": ("0755", b"#!/usr/bin/env node\n"),
        **package(f"{npm}/node_modules/nopt"),
        "/usr/local/bin/npm": "-> ../lib/node_modules/npm/bin/npm-cli.js",
    }
    assert kept(table, "/usr/local/bin/node") == ["/usr/local/bin/node"]
    assert f"{npm}/node_modules/nopt/index.js" in kept(table, "/usr/local/bin/npm")


def test_commands_are_found_on_the_path() -> None:
    text = "const {execFile, spawn} = require('child_process'); execFile('convert', ['a']); spawn(`gs -q ${x}`)"
    table: Table = {f"/usr/bin/{name}": ("0755", b"\x7fELF") for name in ("convert", "gs", "identify")}
    found = kept({**table, "/app/main.mjs": text}, "/app/main.mjs")
    assert found == ["/app/main.mjs", "/usr/bin/convert", "/usr/bin/gs"]
    assert kept({**table, "/app/main.js": "require('x'); spawn('convert')"}, "/app/main.js") == ["/app/main.js"]


@pytest.mark.parametrize(
    "text",
    [
        # As TypeScript and Babel compile calls of what is imported by name.
        'const cp_1 = require("node:child_process"); (0, cp_1.exec)("tool -a | filter");',
        'const cp_1 = require("child_process"); const util_1 = require("util");'
        ' await (0, util_1.promisify)(cp_1.exec)("tool | filter");',
        "const {exec} = require('child_process'); promisify(exec)('tool | filter')",
        "const run = util.promisify(require('child_process').exec);\nrun('tool | filter')",
        "require('child_process'); const run = (0, u.promisify)(child_process_1.exec), x = 1; run('tool | filter')",
        "import { exec as run } from 'child_process'; run('tool | filter')",
        "const { execSync: run } = require('child_process'); run('tool | filter')",
        # Escapes and substitutions are no end of a line.
        "require('child_process').exec('tool \\'a\\n\\' | filter')",
        "require('child_process').exec(`tool ${file} | filter >${out}`)",
        # A shell and a wrapper by name, their lines among the arguments.
        "require('child_process').spawn('sh', ['-c', 'tool | filter'])",
        "require('child_process').execFile('env', ['A=1', 'sh', '-c', 'tool; filter'])",
    ],
)
def test_ways_to_run_commands(text: str) -> None:
    table: Table = {f"/usr/bin/{name}": ("0755", b"\x7fELF") for name in ("tool", "filter", "idle", "env", "sh")}
    assert {"/usr/bin/tool", "/usr/bin/filter"} <= set(kept({**table, "/app/main.js": text}, "/app/main.js"))


@pytest.mark.parametrize(
    "text",
    [
        # An expression's match, an object's method, another function's argument, a name that is half told.
        "require('child_process'); const run = /a/.exec(text); run('idle')",
        "require('child_process'); const run = other; run('idle')",
        "require('child_process'); (0, x.parse)('idle'); promisify(readFile)('idle')",
        "require('child_process').exec(`idle${x}`); require('child_process').spawn(`${x}/idle`)",
        "require('child_process').spawn('git', ['idle', 'sh -c idle'])",
    ],
)
def test_what_runs_no_command(text: str) -> None:
    table: Table = {f"/usr/bin/{name}": ("0755", b"\x7fELF") for name in ["idle"]}
    assert kept({**table, "/app/main.js": text}, "/app/main.js") == ["/app/main.js"]


@pytest.mark.parametrize(
    "config",
    [
        {"Cmd": ["node", "-r", "dep/config", "main.js"]},
        {"Cmd": ["node", "--import=dep", "main.js"]},
        {"Entrypoint": ["/bin/sh", "-c", "npx dep -l 80"]},
        {"Env": ["NODE_OPTIONS=--require dep"]},
    ],
)
def test_command_line(config: dict[str, object]) -> None:
    table: Table = {**package(f"{MODULES}/dep"), **package(f"{MODULES}/idle")}
    found = kept(table, config={**config, "WorkingDir": "/app"})
    assert f"{MODULES}/dep/index.js" in found
    assert f"{MODULES}/idle/index.js" not in found


def test_node_path() -> None:
    table: Table = {"/app/main.js": "require('dep')", **package("/opt/modules/dep")}
    assert "/opt/modules/dep/index.js" in kept(table, "/app/main.js", config={"Env": ["NODE_PATH=/opt/modules"]})
    assert kept(table, "/app/main.js") == ["/app/main.js"]


def test_names() -> None:
    assert bare("@s/p/deep/x.js") == "@s/p"
    assert bare("lodash/fp") == "lodash"
    assert [bare(s) for s in ("./a", "../a", "/a", "node:fs", "fs/promises", "https://x/y", "", "@x", "#inner")] == [
        None
    ] * 9
    assert bare("buffer/") == "buffer"
    assert needs({"dependencies": {"a": 1, "../x": 1}, "peerDependencies": []}) == ("a",)
    assert manifest(tree({"/p": "[1]"}), "/p") == manifest(tree({"/p": "[" * 100_000}), "/p") == {}


def test_large_files_are_read_roughly() -> None:
    assert references(b"require('a')\n" + b"/" * MAX_PARSED).modules == {"a"}


def test_what_nothing_in_the_image_runs_is_read_roughly() -> None:
    page = b"// as from './old.js'\nimport './page.js'; run(`./x`);\n"
    assert references(page).modules == {"./page.js"}
    assert references(page, runs=False).modules == {"./page.js", "./old.js"}
    assert references(page + b"require('child_process').exec('ls')", runs=False).commands == {"ls"}


@pytest.mark.parametrize("runtime", ["/usr/bin/node", "/opt/deno/bin/deno", "/opt/App/resources/app.asar"])
def test_a_runtime_in_the_image_makes_its_scripts_be_parsed(runtime: str) -> None:
    table: Table = {"/srv/a.js": "// from './b.js'\n", "/srv/b.js": ""}
    assert paths(closed(world(table), RULES, "/srv/a.js")) == ["/srv/a.js", "/srv/b.js"]
    assert paths(closed(world({**table, runtime: "\x7fELF"}), RULES, "/srv/a.js")) == ["/srv/a.js"]


@given(st.binary(max_size=300) | st.text(alphabet="require import('\"`){}.$\\/ab", max_size=200).map(str.encode))
def test_any_bytes_are_read(data: bytes) -> None:
    references(b"require " + data)
    specifiers(data)
    for name in specifiers(data):
        bare(name)


RUNTIME = (
    *("nodejs", "libnode108", "node-undici", "node-cjs-module-lexer", "node-acorn", "node-busboy"),
    *("libc6", "libstdc++6", "libgcc-s1", "libuv1", "libc-ares2", "libnghttp2-14", "libbrotli1", "libssl3", "zlib1g"),
    *("libicu72", "node-xtend"),
)

SERVER = """
const express = require('express');
const app = express();
app.set('views', __dirname);
app.set('view engine', 'ejs');
app.get('/', (q, r) => r.send('hello'));
app.get('/later', (q, r) => r.render('page', { n: 1 }));
const server = app.listen(0, '127.0.0.1', async () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  const [a, b] = [await (await fetch(url)).text(), await (await fetch(url + '/later')).text()];
  console.log(a, b);
  process.exit(0);
});
"""


def installed(*names: str) -> Path:
    """An application's directory with npm packages installed; cached outside of the checkout."""
    network.require("an npm package")
    target = network.CACHE / "npm" / "-".join(names)
    if not target.is_dir():
        if shutil.which("npm") is None:
            pytest.skip("needs npm")
        building = target.with_name(f"{target.name}.{os.getpid()}")
        building.mkdir(parents=True)
        (building / "package.json").write_text('{"name": "app"}')
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *names]
        if subprocess.run(command, cwd=building, capture_output=True, check=False).returncode:
            shutil.rmtree(building)
            pytest.skip("needs a package registry")
        building.rename(target)
    return target


@pytest.mark.network
def test_express_application_on_debians_node(tmp_path: Path) -> None:
    source = installed("express@4", "ejs@3", "lodash@4", "typescript@5")
    root = tmp_path / "full"
    shutil.copytree(fetch(*RUNTIME), root, symlinks=True)
    shutil.copytree(source, root / "app", symlinks=True)
    declared = {"dependencies": {"express": "4", "ejs": "3"}, "devDependencies": {"typescript": "5"}}
    for name, text in {"package.json": json.dumps(declared), "main.js": SERVER, "page.ejs": "page <%= n %>"}.items():
        (root / "app" / name).write_text(text)
    rootfs = host_rootfs(root)
    world = World(rootfs, dpkg.read(rootfs), ImageConfig({"WorkingDir": "/app"}))
    seeds = ("/app/main.js", "/app/package.json", "/app/page.ejs", "/usr/bin/node")
    closure = kept_really(world, RULES, *seeds)
    (tmp_path / "kept").mkdir()
    assert run(world, closure, tmp_path / "kept", ["/usr/bin/node", "/app/main.js"]) == "hello page 1\n"
    for gone in ("typescript", "lodash"):
        assert f"/app/node_modules/{gone}/package.json" not in closure
