"""What was asked of pip, npm, yarn, pnpm and gem by name: who is found, for what it was asked, and that it runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from debloat.cli.why import explain
from debloat.closure import World, close
from debloat.core.model import Access, Closure, ImageConfig, Level, Op, Policy, Trace
from debloat.debian import dpkg
from debloat.rules.application import modules, payload, survey
from debloat.rules.application.modules import asked_modules, dropped_modules
from debloat.rules.languages.node import rules as node_rules
from debloat.rules.languages.python import programs as python_programs
from debloat.rules.languages.python import rules as python_rules
from debloat.rules.languages.ruby import rules as ruby_rules
from debloat.rules.system import config
from tests.support import chroots, network, trees
from tests.support.debs import fetch
from tests.support.hosttree import host_rootfs
from tests.support.trees import Table

RULES = (
    *(*modules.RULES, *payload.RULES, *survey.RULES, *config.RULES, *node_rules.RULES, *ruby_rules.RULES),
    *(*python_rules.RULES, *python_programs.RULES),
)

GLOBAL = "/usr/local/lib/node_modules"
YARN = "/usr/local/share/.config/yarn/global"
PNPM = "/root/.local/share/pnpm"
SITE = "/usr/local/lib/python3.11/site-packages"
GEMS = "/var/lib/gems/3.1.0"
ELF = ("0755", "\x7fELF")


def script(text: str) -> tuple[str, str]:
    return ("0755", text)


def npm_package(place: str, manifest: str = "{}") -> dict[str, str | tuple[str, str]]:
    return {
        f"{place}/package.json": manifest,
        f"{place}/cli.js": script("#!/usr/bin/env node\nrequire('./lib/' + process.argv[2])\n"),
        f"{place}/lib/lazy.js": "",
        f"{place}/README.md": "",
    }


def gem(name: str, depends: str = "") -> dict[str, str | tuple[str, str]]:
    needs = f's.add_runtime_dependency(%q<{depends}>, [">= 0"])\n' if depends else ""
    return {
        f"{GEMS}/specifications/{name}-1.0.gemspec": f'Gem::Specification.new do |s|\ns.name = "{name}"\n{needs}end\n',
        f"{GEMS}/gems/{name}-1.0/lib/{name}.rb": "",
        f"{GEMS}/gems/{name}-1.0/lib/{name}/lazy.rb": "",
        f"{GEMS}/gems/{name}-1.0/test/test_{name}.rb": "",
        f"/usr/local/bin/{name}": script(f"#!/usr/bin/ruby\nload Gem.activate_bin_path('{name}', '{name}', '>= 0')\n"),
    }


def wheel(name: str, marked: bool = True) -> dict[str, str | tuple[str, str]]:
    info = f"{SITE}/{name}-1.0.dist-info"
    return {
        f"{SITE}/{name}/__init__.py": "",
        f"{SITE}/{name}/worker.py": "",
        f"/usr/local/bin/{name}": script(f"#!/usr/local/bin/python3\nfrom {name} import main\n"),
        f"{info}/METADATA": f"Name: {name}\n\n",
        f"{info}/RECORD": f"{name}/__init__.py,,\n{name}/worker.py,,\n../../../bin/{name},,\n",
        **({f"{info}/REQUESTED": ""} if marked else {}),
    }


IMAGE: Table = {
    **dict.fromkeys(("/usr/bin/node", "/usr/bin/env", "/usr/bin/ruby", "/usr/local/bin/python3.11"), ELF),
    "/usr/local/bin/python3": "-> python3.11",
    "/usr/local/lib/python3.11/os.py": "",
    "/usr/bin/sh": ELF,
    **npm_package(f"{GLOBAL}/pm", '{"bin": {"pm": "cli.js"}, "dependencies": {"inner": "1"}}'),
    **npm_package(f"{GLOBAL}/pm/node_modules/inner"),
    **npm_package(f"{GLOBAL}/@scope/tool", '{"bin": "cli.js"}'),
    **npm_package(f"{GLOBAL}/typescript", '{"bin": {"tsc": "cli.js"}}'),
    "/usr/local/bin/pm": "-> ../lib/node_modules/pm/cli.js",
    "/usr/local/bin/scoped": "-> ../lib/node_modules/@scope/tool/cli.js",
    "/usr/local/bin/tsc": "-> ../lib/node_modules/typescript/cli.js",
    f"{YARN}/package.json": '{"dependencies": {"serve": "^14"}}',
    **npm_package(f"{YARN}/node_modules/serve", '{"bin": "cli.js"}'),
    **npm_package(f"{YARN}/node_modules/idle"),
    f"{YARN}/node_modules/.bin/serve": "-> ../serve/cli.js",
    "/usr/local/bin/serve": "-> ../share/.config/yarn/global/node_modules/.bin/serve",
    f"{PNPM}/global/5/package.json": '{"dependencies": {"zx": "8"}}',
    f"{PNPM}/global/5/node_modules/zx": "-> .pnpm/zx@8/node_modules/zx",
    **npm_package(f"{PNPM}/global/5/node_modules/.pnpm/zx@8/node_modules/zx"),
    f"{PNPM}/zx": script(
        '#!/bin/sh\nexec node "$basedir/global/5/node_modules/.pnpm/zx@8/node_modules/zx/cli.js" "$@"\n'
    ),
    **gem("foreman", "thor"),
    **gem("thor"),
    **gem("lint"),
    **wheel("server"),
    **wheel("needed", marked=False),
    **wheel("pip"),
    "/srv/x": ELF,
    # The dependencies of an application, in the directory that it happens to call lib.
    "/srv/lib/package.json": "{}",
    **npm_package("/srv/lib/node_modules/local"),
}
ENV = {"Env": [f"PATH=/usr/local/bin:/usr/bin:{PNPM}", f"PNPM_HOME={PNPM}"]}
GEM_INSTALL = "RUN gem install foreman:1.0 lint"


def image(*history: str, ran: tuple[str, ...] = (), cmd: tuple[str, ...] = ("/srv/x",), **policy: object) -> World:
    world = trees.world(IMAGE, config={**ENV, "Cmd": list(cmd)}, history=history)
    trace = Trace(frozenset(Access(path, Op.EXEC, "-", "p", path) for path in ran))
    return replace(world, trace=trace, policy=Policy(**{"level": Level.SAFE, **policy}))  # type: ignore[arg-type]


def purposes(world: World) -> Mapping[str, str]:
    return {asked.request.package: str(asked.request.purpose) for asked in asked_modules(world)}


ON_DISK = {"npm:@scope/tool", "npm:pm", "npm:serve", "npm:typescript", "npm:zx", "pip:pip", "pip:server"}


def test_who_was_asked_for_is_on_disk_and_of_gems_in_the_history() -> None:
    assert purposes(image()).keys() == ON_DISK
    assert purposes(image(GEM_INSTALL)).keys() == ON_DISK | {"gem:foreman", "gem:lint"}
    # Of archives whose names the history does not have: what no other gem needs.
    assert purposes(image("RUN gem install --local /tmp/*.gem")).keys() == ON_DISK | {"gem:foreman", "gem:lint"}
    assert purposes(image("RUN gem install /tmp/thor-*.gem /tmp/l*.gem")).keys() == ON_DISK | {"gem:lint"}
    assert purposes(image("RUN bundle install")).keys() == ON_DISK


@pytest.mark.parametrize(
    ("name", "programs", "files", "unused"),
    [
        (
            "npm:pm",
            ["/usr/local/bin/pm", "/usr/bin/node"],
            [f"{GLOBAL}/pm/lib/lazy.js", f"{GLOBAL}/pm/node_modules/inner/lib/lazy.js"],
            [f"{GLOBAL}/pm/README.md"],
        ),
        ("npm:@scope/tool", ["/usr/local/bin/scoped"], [f"{GLOBAL}/@scope/tool/lib/lazy.js"], []),
        (
            "npm:serve",
            ["/usr/local/bin/serve", f"{YARN}/node_modules/.bin/serve"],
            [f"{YARN}/node_modules/serve/lib/lazy.js"],
            [f"{YARN}/node_modules/idle/cli.js"],
        ),
        (
            "npm:zx",
            [f"{PNPM}/zx", f"{PNPM}/global/5/node_modules/zx"],
            [f"{PNPM}/global/5/node_modules/.pnpm/zx@8/node_modules/zx/lib/lazy.js"],
            [],
        ),
        (
            "gem:foreman",
            ["/usr/local/bin/foreman"],
            [f"{GEMS}/gems/foreman-1.0/lib/foreman/lazy.rb", f"{GEMS}/gems/thor-1.0/lib/thor/lazy.rb"],
            [f"{GEMS}/gems/foreman-1.0/test/test_foreman.rb"],
        ),
        ("pip:server", ["/usr/local/bin/server"], [f"{SITE}/server/worker.py"], [f"{SITE}/needed/worker.py"]),
    ],
)
def test_what_was_asked_for_stays_with_its_programs(
    name: str, programs: list[str], files: list[str], unused: list[str]
) -> None:
    world = image(GEM_INSTALL)
    assert purposes(world)[name] == "run"
    kept = trees.paths(close(world, RULES))
    assert {*programs, *files} <= set(kept)
    assert set(unused).isdisjoint(kept)


def test_exact_keeps_what_was_touched() -> None:
    assert (
        not {f"{GLOBAL}/pm/cli.js", "/usr/local/bin/foreman"}
        & close(image(GEM_INSTALL, level=Level.EXACT), [r for r in RULES if r.level <= Level.EXACT]).evidence.keys()
    )


@pytest.mark.parametrize(
    ("history", "ran", "expected"),
    [
        # A RUN instruction runs it, and nothing at run time does.
        (("RUN pm build",), (), {"npm:pm": "build"}),
        (("RUN cd /srv && /usr/local/bin/scoped build /srv",), (), {"npm:@scope/tool": "build"}),
        ((GEM_INSTALL, "RUN lint --fix ."), (), {"gem:lint": "build", "gem:foreman": "run"}),
        (("RUN server migrate",), (), {"pip:server": "build"}),
        # To look whether it is there is no use; and what is used at run time too is for run time.
        (("RUN pm --version",), (), {"npm:pm": "run"}),
        (("RUN pm build",), ("/usr/local/bin/pm",), {"npm:pm": "run"}),
        # What installs and builds others, unless it ran.
        ((), (), {"npm:typescript": "build", "pip:pip": "build"}),
        ((), ("/usr/local/bin/tsc", "/usr/local/bin/pip"), {"npm:typescript": "run", "pip:pip": "run"}),
    ],
)
def test_the_purpose(history: tuple[str, ...], ran: tuple[str, ...], expected: dict[str, str]) -> None:
    found = purposes(image(*history, ran=ran))
    assert {name: found[name] for name in expected} == expected


def test_in_a_toolbox_every_request_stands() -> None:
    assert set(purposes(image("RUN pm build", cmd=("bash",))).values()) == {"run"}


def test_the_configuration_overrules_the_evidence() -> None:
    chosen = (("npm:pm", "build"), ("server", "build"), ("typescript", "run"))
    found = {a.request.package: a.request for a in asked_modules(image(packages=chosen))}
    assert [str(found[name].purpose) for name in ("npm:pm", "pip:server", "npm:typescript")] == [
        "build",
        "build",
        "run",
    ]
    assert found["npm:pm"].evidence == '[packages] says "build" of npm:pm'
    assert found["npm:@scope/tool"].evidence == "asked for by name, of npm"


def test_a_bare_name_is_debian_s_package_where_there_is_one() -> None:
    world = trees.world(IMAGE, owned={"server": ["/usr/bin/server"]}, config=ENV)
    found = purposes(replace(world, policy=Policy(Level.SAFE, packages=(("server", "build"),))))
    assert found["pip:server"] == "run"


def test_what_was_asked_for_and_is_gone() -> None:
    world = image("RUN pm build && tsc -p .")
    assert dropped_modules(world, close(world, RULES).evidence) == ("npm:pm",)
    assert dropped_modules(replace(world, policy=Policy(Level.EXACT)), {}) == ()


def test_why_says_what_was_taken_for_the_build() -> None:
    world = image("RUN pm build")
    told = explain(world, close(world, RULES), f"{GLOBAL}/pm/cli.js")
    assert "  npm:pm was taken for the build: RUN pm build runs pm, and nothing of it was used while recorded" in told
    told = explain(world, close(world, RULES), f"{SITE}/server/worker.py")
    assert "    because of pip:server" in told


RUBY = (
    *("ruby3.1", "libruby3.1", "ruby-rubygems", "rubygems-integration", "libc6", "libgmp10", "libssl3", "zlib1g"),
    *("libcrypt1", "libyaml-0-2", "libffi8", "libgcc-s1", "coreutils", "libacl1", "libattr1", "libselinux1"),
    *("libpcre2-8-0", "dash"),
)
GREETER = {
    "greeter.gemspec": "Gem::Specification.new do |s|\n"
    "s.name, s.version, s.summary, s.authors = 'greeter', '1.0', 'x', ['a']\n"
    "s.executables = ['greet']\ns.files = Dir['lib/**/*'] + ['bin/greet', 'test/test_x.rb']\ns.bindir = 'bin'\nend\n",
    "bin/greet": "#!/usr/bin/env ruby\nrequire 'greeter'\nputs Greeter.say(ARGV[0])\n",
    "lib/greeter.rb": "module Greeter\n"
    "  def self.say(word) = (require \"greeter/#{word}\"; File.read(File.join(__dir__, 'words', word)))\nend\n",
    "lib/greeter/late.rb": "",
    "lib/words/late": "hello",
    "test/test_x.rb": "",
}


@pytest.mark.network
@pytest.mark.parametrize("archive", ["greeter-1.0.gem", "*.gem"])
def test_a_gem_that_was_installed_runs_from_what_is_kept(tmp_path: Path, archive: str) -> None:
    if os.geteuid():
        pytest.skip("needs root for chroot")
    root = tmp_path / "full"
    shutil.copytree(fetch(*RUBY), root, symlinks=True)
    for name, text in GREETER.items():
        (root / "build" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "build" / name).write_text(text)
    (root / "build/bin/greet").chmod(0o755)
    (root / "usr/bin/ruby").symlink_to("ruby3.1")
    (root / "usr/local/bin").mkdir(parents=True)
    chroots.make_devices(root)
    install = "cd /build && gem3.1 build greeter.gemspec && gem3.1 install --local --no-document greeter-1.0.gem"
    done = subprocess.run(["chroot", root, "/bin/sh", "-c", install], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("build", "dev"):
        shutil.rmtree(root / name)
    closure = _closed(root, f"RUN gem install --local --no-document {archive}")
    (tmp_path / "kept").mkdir()
    answer = chroots.run(*closure, tmp_path / "kept", ["/usr/bin/env", "greet", "late"])
    assert answer == "hello\n"
    assert not [path for path in closure[1].evidence if path.endswith("test_x.rb")]


NODE = (
    *("nodejs", "libnode108", "node-undici", "node-cjs-module-lexer", "node-acorn", "node-busboy", "node-xtend"),
    *("libc6", "libstdc++6", "libgcc-s1", "libuv1", "libc-ares2", "libnghttp2-14", "libbrotli1", "libssl3", "zlib1g"),
    *("libicu72", "coreutils", "libacl1", "libattr1", "libselinux1", "libpcre2-8-0"),
)


def npm_prefix(*names: str) -> Path:
    """A prefix into which npm installed packages globally; cached outside of the checkout."""
    network.require("an npm package")
    target = network.CACHE / "npm-global" / "-".join(names)
    if not target.is_dir():
        if shutil.which("npm") is None:
            pytest.skip("needs npm")
        building = target.with_name(f"{target.name}.{os.getpid()}")
        command = ["npm", "install", "-g", "--prefix", str(building), "--no-audit", "--no-fund", "--ignore-scripts"]
        if subprocess.run([*command, *names], capture_output=True, check=False).returncode:
            shutil.rmtree(building, ignore_errors=True)
            pytest.skip("needs a package registry")
        building.rename(target)
    return target


@pytest.mark.network
def test_what_npm_installed_for_everyone_runs_from_what_is_kept(tmp_path: Path) -> None:
    root = tmp_path / "full"
    shutil.copytree(fetch(*NODE), root, symlinks=True)
    shutil.copytree(npm_prefix("semver@7", "prettier@3"), root / "usr/local", symlinks=True, dirs_exist_ok=True)
    closure = _closed(root, "RUN npm install -g semver prettier && prettier --write /srv")
    (tmp_path / "kept").mkdir()
    answer = chroots.run(*closure, tmp_path / "kept", ["/usr/bin/env", "semver", "-i", "minor", "1.2.3"])
    assert answer == "1.3.0\n"
    assert not trees.paths(closure[1], "/usr/local/lib/node_modules/prettier")


def _closed(root: Path, *history: str) -> tuple[World, Closure]:
    """The image of a directory that runs `env`, and what is kept of it."""
    tree = host_rootfs(root)
    path = {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "Cmd": ["/usr/bin/env"]}
    world = World(tree, dpkg.read(tree), ImageConfig(path), history=history)
    return world, chroots.kept(world, RULES, "/usr/bin/env")
