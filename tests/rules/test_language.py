"""Records of languages: a language that is only a package on the registry's path is known to every list."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from debloat.rules import languages
from debloat.rules.language import Language, Leftovers

PACKAGE = Path(languages.__path__[0])

TOY = {
    "whistle/__init__.py": "",
    "whistle/language.py": """
from debloat.rules.language import *

def _installed(world, name):
    from debloat.rules.languages.whistle.packages import installed
    return installed(world, name)

def _outside(world):
    yield "/usr/local/bin/tune"

LANGUAGE = Language(
    "Whistle",
    suffixes=(".wsl",),
    interpreters="whistle",
    shell_words=("whistle",),
    command_lines=CommandLines((b"blow",), (calls("blow", "blow"),), (r"<<([^>]+)>>",), suffixes=(".wst",)),
    configures=(".wsc",),
    runtimes=(
        Runtime("Whistle", r"lib/whistle/\\d+", ("reed.wsl",), (("bin/whistle",),), ("bin/whistle", "lib/whistle/**")),
    ),
    package_directories=("whistle_parts",),
    package_homes=(PackageHome(("tunes", "scores"), frozenset({"tunes", "scores", "drafts"})),),
    vendored=("borrowed_tunes",),
    stores=(in_library("whistle"),),
    bytecode=("__notes__", ".wsl"),
    importer=Importer("/lib/whistle", "/whistle", r".*\\.wlib"),
    package_managers=("wpm",),
    build_programs=("wcc",),
    registry="wpm",
    requested="requested",
    leftovers=Leftovers(
        (".wcache",), (".wkey",), ("wtmp",), ("Whistlefile",), (".wo",),
        {"/opt/whistle/echo": "echoes"}, (("/usr/**/*.wnote", "notes"),), ("/usr/local/whistle",),
    ),
    archives={".wpk": _installed},
    scripts_outside=_outside,
    rules=("rules",),
)
""",
    "whistle/packages.py": """
def installed(world, name):
    return f"/usr/lib/whistle/{name}" in world.rootfs
""",
    "whistle/requested.py": """
from debloat.rules.language import Installed

def installed(world):
    yield Installed("tune", ("/usr/share/tune",), ("/usr/share/tune",))
""",
    "whistle/rules.py": """
from debloat.closure import Rule
from debloat.rules.languages.whistle.language import LANGUAGE

class Tunes(Rule):
    name = "whistle.tune"

    def wants(self, entry, world):
        if entry.path.endswith(LANGUAGE.suffixes):
            yield self.want("/usr/share/tune", entry.path)

RULES = (Tunes(),)
""",
    "hum.py": """
from debloat.rules.language import Language

LANGUAGE = Language("Hum", suffixes=(".hum",), compiled=True)
""",
}


def _python(*words: str) -> str:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=PACKAGE.parents[2])
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What every list says in a process that has two more languages on the registry's path."""
    directory = tmp_path_factory.mktemp("languages")
    for name, text in TOY.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)
    found: dict[str, Any] = json.loads(_python("-m", "tests.support.toylists", str(directory)))
    return found


def test_a_package_and_a_module_are_collected_in_order(seen: dict[str, Any]) -> None:
    assert {"Whistle", "Hum"} <= set(seen["names"])
    assert len(seen["names"]) == len(languages.known()) + 2


def test_its_runtime_is_recognised_and_the_rest_of_the_prefix_is_the_applications(seen: dict[str, Any]) -> None:
    assert seen["runtimes"] == [["Whistle", "/opt/w"]]
    assert seen["leftovers"]["/opt/w/bin/whistle"] == "a part of a runtime"
    assert "/opt/w/lib/own.conf" in seen["application"]


def test_its_rules_run(seen: dict[str, Any]) -> None:
    assert "whistle.tune" in seen["rules"]


def test_commands_in_its_source_are_reached(seen: dict[str, Any]) -> None:
    assert seen["programs"] == {
        "/app/song.wsl": ["/usr/bin/play", "/usr/bin/sox"],
        "/app/song.wst": ["/usr/bin/flac"],
        "/app/script": ["/usr/bin/flac"],
    }


def test_its_packages_are_the_business_of_its_rules(seen: dict[str, Any]) -> None:
    assert seen["leftovers"]["/app/whistle_parts"] == "packages of a language"
    assert seen["stores"] == [True, True, False]
    assert seen["third party"] == [True, True]
    assert seen["imported"] == [True, True, True]
    assert seen["interpreters"] == ["whistle"]
    home = [path for path in seen["application"] if path.startswith("/app/home/")]
    assert home == ["/app/home/other", "/app/home/other/x"]
    assert seen["leftovers"]["/usr/local/bin/tune"] == "a part of a language's package"


def test_what_was_installed_by_name_stays(seen: dict[str, Any]) -> None:
    assert seen["asked for"] == ["wpm:tune"]


def test_what_its_tools_leave_behind_is_not_the_application(seen: dict[str, Any]) -> None:
    reasons = {path: reason for path, reason in seen["leftovers"].items() if path.startswith("/app/")}
    assert reasons == {
        "/app/.wcache": "a cache",
        "/app/.wkey": "a credential of the build",
        "/app/__notes__/gone.wn": "a cache",
        "/app/a-1.wpk": "an archive of a package that is installed",
        "/app/made/a.wo": "a leftover of the build",
        "/app/whistle_parts": "packages of a language",
        "/app/wtmp": "a leftover of the build",
    }
    assert seen["places"] == ["echoes", "notes", True]


def test_lists_of_programs_and_suffixes_have_it(seen: dict[str, Any]) -> None:
    assert (seen["package manager"], seen["build program"], seen["configuration"]) == (True, True, True)
    # Source that is compiled is run by nothing, and opened by nothing.
    assert (seen["scripts"], seen["source"]) == ([True, False], [False, True])


def test_records_are_cheap() -> None:
    loaded = _python(
        "-c",
        "import sys; from debloat.rules import language; before = set(sys.modules)\n"
        "from debloat.rules import languages; languages.known(); print(*sorted(set(sys.modules) - before))",
    ).split()
    assert {
        name for name in loaded if not name.startswith(("debloat.rules.languages", "pkgutil", "zipimport"))
    } == set()
    inner = {name.rpartition(".")[2] for name in loaded if name.count(".") == 4}
    assert inner == {"language"}


@pytest.mark.parametrize("language", languages.known(), ids=lambda language: language.name)
def test_a_record_is_sound(language: Language) -> None:
    for pattern in (language.handed(), *language.stores, *(runtime.directory for runtime in language.runtimes)):
        re.compile(pattern)
    forms = language.command_lines
    for calls in forms.calls if forms else ():
        assert re.compile(calls.pattern).groups == 2
    for quote in forms.quotes if forms else ():
        assert re.compile(quote).groups == 1
    assert all(suffix.startswith(".") for suffix in (*language.suffixes, *language.configures, *language.archives))
    left: Leftovers = language.leftovers
    assert all(path.startswith("/") for path in (*left.places, *left.skeleton, *(glob for glob, _ in left.globs)))


def test_each_name_is_given_once() -> None:
    names = [language.name for language in languages.known()]
    suffixes = [suffix for language in languages.known() for suffix in language.suffixes]
    assert len(set(names)) == len(names)
    assert len(set(suffixes)) == len(suffixes)


@pytest.mark.parametrize(
    "package", sorted(p for p in PACKAGE.iterdir() if (p / "__init__.py").exists()), ids=lambda p: p.name
)
def test_the_inner_names_are_the_same(package: Path) -> None:
    """Every package has a record and rules, and its record names each module that has any."""
    modules = {path.stem: path.read_text() for path in package.glob("*.py")}
    assert {"language", "rules"} <= set(modules)
    having = {name for name, text in modules.items() if re.search(r"^RULES\b", text, re.MULTILINE)}
    named = {name.rpartition(".")[2] for name in languages.rule_modules() if f".{package.name}." in name}
    assert having == named
