"""Python's rules on tables: what each brings, and what it must leave."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.core.model import Access, Op, Trace
from debloat.rules.languages.python import programs, rules, source
from debloat.rules.languages.python.layout import layout, pyvenv
from debloat.rules.languages.python.packages import distribution, entry_points
from debloat.rules.languages.python.rules import project_dependencies
from debloat.rules.languages.python.source import MAX_PARSED, Import, facts, outline, quoted
from tests.support.trees import Table, closed, paths, rules_for, world

RULES = (*rules.RULES, *programs.RULES)

LIB = "/usr/local/lib/python3.11"
SITE = f"{LIB}/site-packages"

STDLIB: Table = {
    "/usr/local/bin/python3.11": ("0755", b"\x7fELF"),
    "/usr/local/bin/python3": "-> python3.11",
    f"{LIB}/os.py": "import abc",
    f"{LIB}/abc.py": "",
    f"{LIB}/encodings/idna.py": "",
    f"{LIB}/__pycache__/os.cpython-311.pyc": "x",
    f"{LIB}/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so": "x",
    f"{LIB}/lib-dynload/_dbm.cpython-311-x86_64-linux-gnu.so": "x",
    f"{LIB}/lib-dynload/_tkinter.cpython-311-x86_64-linux-gnu.so": "x",
    f"{LIB}/shelve.py": "import dbm",
    f"{LIB}/tkinter/__init__.py": "import _tkinter",
    f"{LIB}/tkinter/ttk.py": "",
    f"{LIB}/tkinter/test/test_x.py": "",
    f"{LIB}/test/regrtest.py": "",
    f"{LIB}/unittest/case.py": "",
    f"{LIB}/unittest/test/test_case.py": "",
    f"{LIB}/config-3.11-x86_64-linux-gnu/libpython3.11.a": "x",
    "/usr/local/include/python3.11/Python.h": "x",
}
WHOLE = [
    f"{LIB}/abc.py",
    f"{LIB}/encodings/idna.py",
    f"{LIB}/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so",
    f"{LIB}/os.py",
    f"{LIB}/shelve.py",
    f"{LIB}/unittest/case.py",
]


def kept(table: Table, *seeds: str, **options: object) -> list[str]:
    return paths(closed(world({**STDLIB, **table}, **options), RULES, *seeds))  # type: ignore[arg-type]


def test_interpreter_brings_its_library_less_the_idle_parts() -> None:
    assert [p for p in kept({}, "/usr/local/bin/python3") if p.startswith(LIB)] == WHOLE


def test_libpython_that_was_loaded_and_not_started_brings_nothing() -> None:
    library = "/usr/local/lib/libpython3.11.so.1.0"
    loaded = Access(library, Op.OPEN, "r", "start", "/usr/sbin/server")
    started = Access(f"{LIB}/encodings/idna.py", Op.STAT, "", "start", "/usr/sbin/server")
    for accesses, brought in ({loaded}, False), ({loaded, started}, True):
        image = world({**STDLIB, library: "x"}, trace=Trace(frozenset(accesses)))
        assert (f"{LIB}/abc.py" in paths(closed(image, RULES, library))) is brought


def test_libpython_brings_the_library() -> None:
    table: Table = {"/usr/local/lib/libpython3.11.so.1.0": "x"}
    assert f"{LIB}/abc.py" in kept(table, "/usr/local/lib/libpython3.11.so.1.0")


def test_interpreter_brings_no_other_versions_library() -> None:
    table: Table = {"/usr/lib/python3.9/os.py": "", "/usr/lib/python3.9/abc.py": "", "/usr/bin/python3.9": "x"}
    assert not [p for p in kept(table, "/usr/local/bin/python3.11") if "3.9" in p]
    assert not [p for p in kept(table, "/usr/bin/python3.9") if "3.11" in p]


@pytest.mark.parametrize(
    ("text", "brought"),
    [
        (
            "import tkinter.ttk",
            [f"{LIB}/lib-dynload/_tkinter.cpython-311-x86_64-linux-gnu.so", f"{LIB}/tkinter/ttk.py"],
        ),
        ("import shelve", [f"{LIB}/lib-dynload/_dbm.cpython-311-x86_64-linux-gnu.so"]),
        ("from test import regrtest", [f"{LIB}/test/regrtest.py"]),
    ],
)
def test_idle_part_comes_with_a_programs_import(text: str, brought: list[str]) -> None:
    found = kept({"/app/main.py": text}, "/app/main.py")
    assert set(brought) <= set(found)
    assert f"{LIB}/tkinter/test/test_x.py" not in found


@pytest.mark.parametrize(
    ("text", "brought"),
    [
        ("exec python3 -m other --x", ["other/__init__.py", "other/__main__.py"]),
        ("python3 -u -m other.deep", ["other/__init__.py", "other/deep.py"]),
        ("until python -c 'import word; word.x()'; do sleep 1; done", ["word.py"]),
        ('python3 -c "from other import deep"', ["other/__init__.py", "other/deep.py"]),
        ("python3 - <<'EOF'\nimport word\nEOF\n", ["word.py"]),
        ("echo 'import word' # python3 -x", []),
        ("python3 manage.py word other", []),
    ],
)
def test_a_shell_script_brings_what_it_tells_a_python_to_run(text: str, brought: list[str]) -> None:
    image: Table = {
        "/entrypoint.sh": ("0755", f"#!/bin/sh\n{text}\n"),
        f"{SITE}/other/__init__.py": "",
        f"{SITE}/other/__main__.py": "",
        f"{SITE}/other/deep.py": "",
        f"{SITE}/word.py": "",
    }
    seen = closed(world({**STDLIB, **image}), RULES, "/entrypoint.sh")
    named = {p.removeprefix(f"{SITE}/") for p in paths(seen) if "python.inline" in rules_for(seen, p)}
    assert named == set(brought)


def test_an_extension_module_brings_the_modules_that_it_names() -> None:
    """Debian's python3-cffi-backend is a package of its own, and only compiled code imports it."""
    names = b"\x7fELF\0_backend\0other.deep\0word\0x_hidden\0_missing\0pkg.own\0"
    image: Table = {
        f"{SITE}/pkg/__init__.py": "",
        f"{SITE}/pkg/own.py": "",
        f"{SITE}/pkg/_fast.abi3.so": ("0755", names),
        f"{SITE}/_backend.cpython-311-x86_64-linux-gnu.so": "x",
        f"{SITE}/_hidden.py": "",
        f"{SITE}/word.py": "",
        f"{SITE}/other/__init__.py": "",
        f"{SITE}/other/deep.py": "",
        f"{LIB}/lib-dynload/_word.cpython-311-x86_64-linux-gnu.so": ("0755", b"\0word.x\0"),
    }
    found = kept(image, f"{SITE}/pkg/_fast.abi3.so", f"{LIB}/lib-dynload/_word.cpython-311-x86_64-linux-gnu.so")
    brought = [p for p in found if p.startswith(SITE) and not p.startswith(f"{SITE}/pkg/")]
    assert brought == [
        f"{SITE}/_backend.cpython-311-x86_64-linux-gnu.so",
        f"{SITE}/other/__init__.py",
        f"{SITE}/other/deep.py",
    ]


PACKAGE: Table = {
    f"{SITE}/pkg/__init__.py": "",
    f"{SITE}/pkg/core.py": "def f():\n    import other.deep\n",
    f"{SITE}/pkg/data/table.json": "{}",
    f"{SITE}/pkg/tests/test_core.py": "import heavy",
    f"{SITE}/pkg/tests/__init__.py": "",
    f"{SITE}/pkg/__pycache__/core.cpython-311.pyc": "x",
    f"{SITE}/pkg.libs/libz.so": "x",
    f"{SITE}/Pkg_Name-1.0.dist-info/METADATA": "Name: pkg-name\nRequires-Dist: needed>=1\n"
    "Requires-Dist: heavy ; extra == 'all'\n\nRequires-Dist: idle",
    f"{SITE}/Pkg_Name-1.0.dist-info/RECORD": "pkg/__init__.py,,\npkg/core.py,,\npkg/data/table.json,,\n"
    "pkg/tests/test_core.py,,\npkg/tests/__init__.py,,\npkg.libs/libz.so,,\n../../../bin/pkg,,\n"
    '"Pkg_Name-1.0.dist-info/METADATA",,\nPkg_Name-1.0.dist-info/RECORD,,\nmissing.py,,\n',
    "/usr/local/bin/pkg": ("0755", b"#!/usr/local/bin/python3\n"),
    f"{SITE}/other/__init__.py": "",
    f"{SITE}/other/deep.py": "",
    f"{SITE}/needed.py": "",
    f"{SITE}/needed-1.0.dist-info/RECORD": "needed.py,,\nneeded-1.0.dist-info/RECORD,,",
    f"{SITE}/heavy/__init__.py": "",
    f"{SITE}/idle/__init__.py": "",
}


def test_distribution_is_a_unit_with_its_imports_and_requirements() -> None:
    found = kept({**PACKAGE, "/app/main.py": "from pkg import core"}, "/app/main.py")
    assert set(found) - {"/app/main.py"} == {
        "/usr/local/bin/pkg",
        f"{SITE}/Pkg_Name-1.0.dist-info/METADATA",
        f"{SITE}/Pkg_Name-1.0.dist-info/RECORD",
        f"{SITE}/needed-1.0.dist-info/RECORD",
        f"{SITE}/needed.py",
        f"{SITE}/other/__init__.py",
        f"{SITE}/other/deep.py",
        f"{SITE}/pkg/__init__.py",
        f"{SITE}/pkg/core.py",
        f"{SITE}/pkg/data/table.json",
        f"{SITE}/pkg.libs/libz.so",
    }


def test_metadata_read_by_a_search_for_plugins_is_no_use_of_a_unit() -> None:
    found = kept(PACKAGE, f"{SITE}/Pkg_Name-1.0.dist-info/METADATA")
    assert found == [f"{SITE}/Pkg_Name-1.0.dist-info/METADATA"]


def test_a_quoted_import_is_none() -> None:
    table: Table = {
        f"{SITE}/pkg/__init__.py": '"""Use it so:\n\nimport heavy\n"""\n',
        f"{SITE}/heavy/__init__.py": "",
        "/app/main.py": "import pkg",
    }
    assert f"{SITE}/heavy/__init__.py" not in kept(table, "/app/main.py")


def test_development_tools_are_not_brought_by_distributions_but_by_applications() -> None:
    table: Table = {
        f"{SITE}/pkg/__init__.py": "def test():\n    import pytest\n",
        f"{SITE}/pytest/__init__.py": "",
        "/app/main.py": "import pkg",
        "/app/run.py": "import pytest",
    }
    assert f"{SITE}/pytest/__init__.py" not in kept(table, "/app/main.py")
    assert f"{SITE}/pytest/__init__.py" in kept(table, "/app/run.py")


def test_a_test_module_that_is_imported_stays() -> None:
    table: Table = {
        f"{SITE}/pkg/__init__.py": "from .tests import helper",
        f"{SITE}/pkg/tests/__init__.py": "",
        f"{SITE}/pkg/tests/helper.py": "from . import more",
        f"{SITE}/pkg/tests/more.py": "",
        f"{SITE}/pkg/tests/test_it.py": "",
        "/app/main.py": "import pkg",
    }
    found = kept(table, "/app/main.py")
    assert {f"{SITE}/pkg/tests/helper.py", f"{SITE}/pkg/tests/more.py"} <= set(found)
    assert f"{SITE}/pkg/tests/test_it.py" not in found


def test_debian_package_is_a_unit_with_its_data() -> None:
    dist = "/usr/lib/python3/dist-packages"
    owned = [f"{dist}/yaml/__init__.py", f"{dist}/yaml/cyaml.py", f"{dist}/yaml.egg-info", "/etc/yaml.conf"]
    owned += ["/usr/share/doc/python3-yaml/copyright"]
    table: Table = dict.fromkeys(owned, "")
    table = {**table, "/usr/lib/python3.11/os.py": "", f"{dist}/apt/__init__.py": "", "/app/main.py": "import yaml"}
    found = kept(table, "/app/main.py", owned={"python3-yaml": owned})
    assert [p for p in found if p in owned] == ["/etc/yaml.conf", *sorted(owned[:3])]
    assert f"{dist}/apt/__init__.py" not in found


def test_start_up_shim_is_no_use_of_its_distribution() -> None:
    record = "_hack/__init__.py,,\nsetup/__init__.py,,\nhack.pth,,\nsetup-1.dist-info/RECORD,,\n"
    table: Table = {
        f"{SITE}/hack.pth": "import os; enabled = 1; enabled and __import__('_hack').go()",
        f"{SITE}/_hack/__init__.py": "import importlib\nimportlib.import_module('setup.x')",
        f"{SITE}/setup/__init__.py": "",
        f"{SITE}/setup-1.dist-info/RECORD": record,
        "/app/main.py": "import setup",
    }
    found = kept(table, f"{SITE}/hack.pth")
    assert f"{SITE}/_hack/__init__.py" in found
    assert f"{SITE}/setup/__init__.py" not in found
    assert f"{SITE}/_hack/__init__.py" in kept(table, "/app/main.py")


def test_pth_files_extend_the_path() -> None:
    table: Table = {
        f"{SITE}/easy.pth": "# comment\n/srv/lib\n./egg.egg\n/missing\n",
        "/srv/lib/extra.py": "",
        f"{SITE}/egg.egg": "zip",
        "/app/main.py": "import extra",
    }
    assert "/srv/lib/extra.py" in kept(table, "/app/main.py")
    assert f"{SITE}/egg.egg" in kept(table, "/usr/local/bin/python3")


VENV: Table = {
    "/opt/venv/pyvenv.cfg": "home = /usr/local/bin\ninclude-system-site-packages = false\n",
    "/opt/venv/bin/python": "-> /usr/local/bin/python3",
    "/opt/venv/lib/python3.11/site-packages/mine/__init__.py": "",
    f"{SITE}/theirs/__init__.py": "",
    "/app/main.py": "import mine, theirs",
}


def test_virtual_environment() -> None:
    trace = Trace(frozenset({Access("/opt/venv/pyvenv.cfg", Op.OPEN, "", "p", "python")}))
    found = kept(VENV, "/app/main.py", "/opt/venv/bin/python", trace=trace)
    assert {"/opt/venv/pyvenv.cfg", "/opt/venv/lib/python3.11/site-packages/mine/__init__.py", *WHOLE} <= set(found)
    assert f"{SITE}/theirs/__init__.py" not in found


def test_virtual_environment_that_shares_the_systems_packages() -> None:
    shared: Table = {**VENV, "/opt/venv/pyvenv.cfg": "home = /usr/local/bin\ninclude-system-site-packages = TRUE\n"}
    trace = Trace(frozenset({Access("/opt/venv/pyvenv.cfg", Op.OPEN, "", "p", "python")}))
    assert f"{SITE}/theirs/__init__.py" in kept(shared, "/app/main.py", trace=trace)


@pytest.mark.parametrize(
    "text",
    [
        "import pkg.sub",
        "from pkg import sub",
        "def f():\n  try:\n    import pkg.sub\n  except ImportError:\n    pass",
        "import importlib\nimportlib.import_module('pkg.sub')",
        "import importlib\nimportlib.import_module('.sub', package='pkg')",
        "__import__('pkg.sub')",
        "import runpy\nrunpy.run_module('pkg.sub')",
        "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'pkg.sub'])",
        "BACKEND = 'pkg.sub.Class'",
        "print 'python 2'\nimport pkg.sub",
        "if TYPE_CHECKING:\n  pass\nelse:\n  import pkg.sub",
        "import sys\nsys.path.insert(0, '/nowhere')\nimport pkg.sub",
    ],
)
def test_ways_to_import(text: str) -> None:
    table: Table = {f"{SITE}/pkg/__init__.py": "", f"{SITE}/pkg/sub.py": "", "/app/main.py": text}
    assert {f"{SITE}/pkg/__init__.py", f"{SITE}/pkg/sub.py"} <= set(kept(table, "/app/main.py"))


@pytest.mark.parametrize(
    "text",
    [
        "if TYPE_CHECKING:\n  import pkg",
        "# import pkg",
        "x = 'a pkg'",
        "x = 'pkg.sub is a module'",
        "pkg = 1",
        "x='pkg'",
    ],
)
def test_what_is_no_import(text: str) -> None:
    table: Table = {f"{SITE}/pkg/__init__.py": "", "/app/main.py": text}
    assert f"{SITE}/pkg/__init__.py" not in kept(table, "/app/main.py")


def test_settings_name_applications_without_a_dot() -> None:
    table: Table = {f"{SITE}/pkg/__init__.py": "", "/app/settings.py": "INSTALLED_APPS = ['pkg']"}
    assert f"{SITE}/pkg/__init__.py" in kept(table, "/app/settings.py")


@pytest.mark.parametrize("name", ["mod.so", "mod.abi3.so", "mod.cpython-311-x86_64-linux-gnu.so", "mod.pyc"])
def test_modules_that_are_no_source(name: str) -> None:
    table: Table = {f"{SITE}/{name}": "x", "/app/main.py": "import mod"}
    assert f"{SITE}/{name}" in kept(table, "/app/main.py")


def test_namespace_package_keeps_the_distributions_that_are_used() -> None:
    table: Table = {
        f"{SITE}/google/a/__init__.py": "",
        f"{SITE}/google/a/x.py": "",
        f"{SITE}/a-1.dist-info/RECORD": "google/a/__init__.py,,\ngoogle/a/x.py,,\n",
        f"{SITE}/google/b/__init__.py": "",
        f"{SITE}/b-1.dist-info/RECORD": "google/b/__init__.py,,\n",
        "/app/main.py": "from google import a",
    }
    found = kept(table, "/app/main.py")
    assert f"{SITE}/google/a/x.py" in found
    assert f"{SITE}/google/b/__init__.py" not in found


def test_relative_imports_of_a_debian_application() -> None:
    table: Table = {
        "/usr/share/tool/main.py": "import helper\nfrom lib import thing",
        "/usr/share/tool/helper.py": "",
        "/usr/share/tool/lib/__init__.py": "from . import more",
        "/usr/share/tool/lib/thing.py": "from .. import nothing",
        "/usr/share/tool/lib/more.py": "",
        "/usr/share/tool/unused.py": "",
        "/usr/bin/tool": (
            "0755",
            b"#!/usr/bin/env python3\nimport sys\nsys.path.insert(0, '/usr/share/tool')\nimport main\n",
        ),
    }
    found = [p for p in kept(table, "/usr/bin/tool") if p.startswith("/usr/share")]
    assert found == sorted(p for p in table if p.startswith("/usr/share") and "unused" not in p)


def test_entry_points_of_a_group_that_is_asked_for() -> None:
    table: Table = {
        f"{SITE}/host/__init__.py": "import importlib.metadata as m\nm.entry_points(group='host.plugins')",
        f"{SITE}/plug/__init__.py": "",
        f"{SITE}/plug/impl.py": "",
        f"{SITE}/plug-1.dist-info/RECORD": "plug/__init__.py,,\nplug/impl.py,,\nplug-1.dist-info/entry_points.txt,,\n",
        f"{SITE}/plug-1.dist-info/entry_points.txt": "[host.plugins]\none = plug.impl:Class\n",
        f"{SITE}/tool/__init__.py": "",
        f"{SITE}/tool-1.dist-info/RECORD": "tool/__init__.py,,\ntool-1.dist-info/entry_points.txt,,\n",
        f"{SITE}/tool-1.dist-info/entry_points.txt": "[console_scripts]\ntool = tool:main\n[other]\nx = tool\n",
        "/app/main.py": "import host",
    }
    found = kept(table, "/app/main.py")
    assert f"{SITE}/plug/impl.py" in found
    assert f"{SITE}/tool/__init__.py" not in found


def test_console_script_that_names_its_distribution() -> None:
    script = (
        b"#!/usr/bin/python3\nfrom importlib.metadata import distribution\nload_entry_point('tool==1.0', 'x', 'y')()\n"
    )
    table: Table = {
        "/usr/bin/tool": ("0755", script),
        f"{SITE}/tool/__init__.py": "",
        f"{SITE}/tool-1.dist-info/RECORD": "tool/__init__.py,,\n",
    }
    assert f"{SITE}/tool/__init__.py" in kept(table, "/usr/bin/tool")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("subprocess.run(['convert', 'a'])", {"convert"}),
        ("subprocess.run(args=['convert'])", {"convert"}),
        ("os.system('A=1 convert a | b')", {"b", "convert"}),
        ("shutil.which('convert')", {"convert"}),
        ("os.execvp('convert', [])", {"convert"}),
        ("os.spawnlp(os.P_WAIT, 'convert', 'x')", {"convert"}),
        ("cmd = ['convert']\nsubprocess.check_call(cmd + ['a'])", {"convert"}),
        ("T = 'convert'\nsubprocess.Popen([T, 'a'])", {"convert"}),
        ("subprocess.getoutput(f'convert {x}')", {"convert"}),
        ("os.popen('convert %s' % x)", {"convert"}),
        ("app.run('convert')", set()),
        ("subprocess.run(x)", set()),
        ("subprocess.run([])", set()),
    ],
)
def test_commands(call: str, words: set[str]) -> None:
    assert facts(f"import subprocess, os, shutil\n{call}\n".encode()).commands == words


def test_commands_are_found_on_the_path() -> None:
    table: Table = {
        "/usr/bin/convert": ("0755", b"\x7fELF"),
        "/usr/bin/identify": ("0755", b"\x7fELF"),
        "/app/main.py": "import subprocess\nsubprocess.run(['convert'])",
    }
    found = closed(world({**STDLIB, **table}), RULES, "/app/main.py")
    assert list(rules_for(found, "/usr/bin/convert")) == ["python.subprocess"]
    assert "/usr/bin/identify" not in found


def test_libraries_that_are_loaded_by_name() -> None:
    table: Table = {
        "/sbin/ldconfig": ("0755", b"\x7fELF"),
        "/etc/ld.so.cache": "x",
        "/usr/lib/x86_64-linux-gnu/libmagic.so.1": "x",
        "/usr/lib/x86_64-linux-gnu/libpango-1.0.so.0": "x",
        "/usr/lib/x86_64-linux-gnu/libother.so.1": "x",
        "/app/a.py": "from ctypes.util import find_library\nfind_library('magic')",
        "/app/b.py": "ffi.dlopen('libpango-1.0.so.0')",
    }
    assert {"/sbin/ldconfig", "/etc/ld.so.cache", "/usr/lib/x86_64-linux-gnu/libmagic.so.1"} <= set(
        kept(table, "/app/a.py")
    )
    found = kept(table, "/app/b.py")
    assert "/usr/lib/x86_64-linux-gnu/libpango-1.0.so.0" in found
    assert "/sbin/ldconfig" not in found
    assert "/usr/lib/x86_64-linux-gnu/libother.so.1" not in found


@pytest.mark.parametrize(
    "config",
    [
        {"Cmd": ["python", "-m", "pkg"]},
        {"Cmd": ["gunicorn", "-k", "pkg.worker.Worker", "x:app"]},
        {"Entrypoint": ["uvicorn", "pkg:app"]},
        {"Cmd": ["/bin/sh", "-c", "exec gunicorn --worker-class=pkg.worker 'main:create()'"]},
    ],
)
def test_command_line(config: dict[str, object]) -> None:
    table: Table = {f"{SITE}/pkg/__init__.py": "", f"{SITE}/pkg/worker.py": "", f"{SITE}/no/__init__.py": ""}
    found = kept(table, config={**config, "WorkingDir": "/app"})
    assert f"{SITE}/pkg/worker.py" in found
    assert f"{SITE}/no/__init__.py" not in found


def test_declared_requirements() -> None:
    table: Table = {
        **PACKAGE,
        "/app/requirements.txt": "# heavy\n-r other.txt\npkg.name[x]==1.0  # comment\n",
        "/app/pyproject.toml": '[project]\ndependencies = ["needed"]\n',
    }
    assert f"{SITE}/pkg/core.py" in kept(table, "/app/requirements.txt")
    assert f"{SITE}/heavy/__init__.py" not in kept(table, "/app/requirements.txt")
    assert f"{SITE}/needed.py" in kept(table, "/app/pyproject.toml")


def test_translations_lose_their_sources() -> None:
    table: Table = {
        f"{SITE}/pkg/__init__.py": "",
        f"{SITE}/pkg/a.po": "",
        f"{SITE}/pkg/a.mo": "",
        f"{SITE}/pkg/b.po": "",
    }
    found = kept({**table, "/app/main.py": "import pkg"}, "/app/main.py")
    assert [p for p in found if p.endswith("o")] == [f"{SITE}/pkg/a.mo", f"{SITE}/pkg/b.po"]


def test_names_and_formats() -> None:
    assert distribution("/x/Foo_Bar-1.0.dist-info") == "foo-bar"
    assert distribution("/x/six-1.16.0.egg-info") == "six"
    assert list(entry_points("[g]\na = m.n:o [x]\n")) == [("g", "m.n")]
    assert list(entry_points("garbage [")) == []
    assert pyvenv(["Home = /usr/bin", "nothing"]) == {"home": "/usr/bin"}
    assert project_dependencies("[tool.poetry.dependencies]\nx='1'") == ["x"]
    assert project_dependencies("[project") == []
    assert facts(b"import os; os.system('A=1 B=2 run x | count')").commands == {"run", "count"}


def test_large_and_deep_files_are_read_roughly() -> None:
    assert Import(0, "a") in facts(b"import a\n" + b"#" * MAX_PARSED).imports
    assert Import(0, "a") in facts(b"import a\nx = " + b"(" * 5000 + b")" * 5000).imports
    assert Import(0, "a") in facts(b"import a\nx = " + b"-" * 100_000 + b"1").imports


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda t: t.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_read(data: bytes) -> None:
    facts(data)
    outline(data)


@given(st.text(alphabet="import from a.b,;()\n\t '\"#:=", max_size=120))
def test_outline_sees_every_import_line(text: str) -> None:
    data = text.encode()
    modules = {(i.level, i.module) for i in outline(data).imports}
    assert {(i.level, i.module) for i in facts(data).imports if i.names or not i.level} <= modules | {
        (0, "")
    } or b"\\" in data


def test_an_import_in_a_docstring_only_is_quoted() -> None:
    data = b'"""\nimport a\nimport b\n"""\nimport b\n'
    assert quoted(data) == {Import(0, "a")}


@given(st.text(alphabet="\"'\nx", max_size=40).map(str.encode))
def test_quotation_ends_where_a_pattern_says(data: bytes) -> None:
    assert source._unquoted(data) == re.sub(rb"(?s)\"{3}.*?\"{3}|'{3}.*?'{3}", b"", data)


@given(st.text(alphabet="ab\n", max_size=40).map(str.encode))
def test_lines_are_found_by_a_word(data: bytes) -> None:
    assert source._lines_with(b"ab", data) == b"\n".join(line for line in data.split(b"\n") if b"ab" in line)


@given(st.text(max_size=400), st.text(max_size=100))
def test_garbage_metadata(text: str, name: str) -> None:
    list(entry_points(text))
    project_dependencies(text)
    distribution(name)
    table: Table = {
        **STDLIB,
        f"{SITE}/x.pth": text.encode("utf-8", "replace"),
        f"{SITE}/a-1.dist-info/RECORD": text.encode("utf-8", "replace"),
    }
    w = world(table)
    assert layout(w).stdlibs == (LIB,)


def test_imports_of_a_module_that_was_compiled() -> None:
    native = "\x7fELF\0PyInit_core\0yaml\0dates.parser\0pip\0absent\0"
    table: Table = {
        "/srv/shop/core.cpython-311-x86_64-linux-gnu.so": ("0755", native),
        **{f"{SITE}/{name}": "x" for name in ("yaml/__init__.py", "dates/__init__.py", "dates/parser.py")},
        f"{SITE}/pip/__init__.py": "x",
        f"{SITE}/other.py": "x",
    }
    found = kept(table, "/srv/shop/core.cpython-311-x86_64-linux-gnu.so", "/usr/local/bin/python3")
    assert {f"{SITE}/yaml/__init__.py", f"{SITE}/dates/parser.py"} <= set(found)
    assert not {f"{SITE}/pip/__init__.py", f"{SITE}/other.py"} & set(found)


@pytest.mark.parametrize(
    ("source", "kept_"),
    [
        ('pd.io.import_optional_dependency("tables")', True),
        ('x = try_import("tables.parts")', True),
        ('importlib.import_module("tables")', True),
        ('_import("tables")', True),
        ('important("tables")', False),
        ('pytest.importorskip("tables")', False),
    ],
)
def test_imports_by_functions_around_importlib(source: str, kept_: bool) -> None:
    table: Table = {"/srv/a.py": source, f"{SITE}/tables/__init__.py": "x", f"{SITE}/tables/parts.py": "x"}
    assert (f"{SITE}/tables/__init__.py" in kept(table, "/srv/a.py", "/usr/local/bin/python3")) is kept_


@pytest.mark.parametrize(
    ("text", "kept_"),
    [
        ("[formatter_json]\nclass = tables.parts.Json\n", True),
        ("plugins: [tables, other]\n", True),
        ('{"backend": "tables"}', True),
        ("title: tables\n", False),
        ("url: http://tables.example/tables.html\n", False),
    ],
)
def test_modules_that_configuration_names(text: str, kept_: bool) -> None:
    table: Table = {"/srv/app.ini": text, f"{SITE}/tables/__init__.py": "x", f"{SITE}/tables/parts.py": "x"}
    found = kept(table, "/srv/app.ini", "/usr/local/bin/python3")
    assert (f"{SITE}/tables/__init__.py" in found) is kept_
    assert (f"{SITE}/tables/parts.py" in found) is kept_
