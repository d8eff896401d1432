"""Python's rules against Debian's interpreter, its packages and wheels: what is kept runs, confined to it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from debloat.closure import World
from debloat.core.model import ImageConfig
from debloat.debian import dpkg
from debloat.rules.languages.python import programs, rules
from tests.support import network
from tests.support.chroots import kept, run, size
from tests.support.debs import deb_world, fetch
from tests.support.hosttree import host_rootfs

pytestmark = pytest.mark.network

RULES = (*rules.RULES, *programs.RULES)

PYTHON = (
    *("python3", "python3-minimal", "python3.11", "python3.11-minimal", "libpython3-stdlib"),
    *("libpython3.11-minimal", "libpython3.11-stdlib", "python3-distutils", "python3-lib2to3", "python3-tk"),
    *("libc6", "libexpat1", "zlib1g", "libssl3", "libffi8", "libsqlite3-0", "libbz2-1.0", "liblzma5", "libuuid1"),
    *("libncursesw6", "libtinfo6", "libreadline8", "libdb5.3", "libcrypt1", "media-types"),
)
WEB = (
    *("python3-flask", "python3-werkzeug", "python3-jinja2", "python3-markupsafe", "python3-itsdangerous"),
    *("python3-click", "python3-requests", "python3-urllib3", "python3-idna", "python3-certifi", "python3-chardet"),
    *("python3-charset-normalizer", "python3-six", "python3-setuptools", "python3-pkg-resources", "python3-pip"),
    *("python3-blinker", "python3-simplejson", "python3-yaml", "ca-certificates", "python3-gunicorn", "gunicorn"),
)

STANDARD = (
    *("asyncio", "base64", "bz2", "cmd", "code", "codecs", "collections.abc", "concurrent.futures", "configparser"),
    *("csv", "ctypes", "curses", "datetime", "decimal", "difflib", "email.mime.text", "encodings.idna", "fractions"),
    *("gzip", "hashlib", "html.parser", "http.server", "imaplib", "importlib.resources", "ipaddress", "json"),
    *("logging.config", "lzma", "mailbox", "mimetypes", "multiprocessing.pool", "pickle", "plistlib", "pydoc"),
    *("queue", "readline", "sched", "secrets", "smtplib", "sqlite3", "ssl", "statistics", "tarfile"),
    *("tempfile", "timeit", "unittest.mock", "urllib.request", "uuid", "venv", "wsgiref.simple_server"),
    *("xml.etree.ElementTree", "xmlrpc.client", "zipfile", "zoneinfo"),
)

WORKS = """
import importlib, json, sys
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
for name in ("idna", "punycode", "cp1252", "utf-16", "shift_jis", "big5", "gb18030", "koi8-r", "rot13", "zlib"):
    __import__("codecs").lookup(name)
import ctypes, hashlib, sqlite3, ssl, bz2, lzma, zlib, decimal, logging.config, pickle
assert sqlite3.connect(":memory:").execute("select 1").fetchone() == (1,)
assert hashlib.sha3_256(b"").hexdigest() and lzma.decompress(lzma.compress(b"x")) == b"x"
assert "münchen.de".encode("idna") == b"xn--mnchen-3ya.de"
ssl.create_default_context()
logging.config.dictConfig({"version": 1, "handlers": {"h": {"class": "logging.handlers.MemoryHandler", "capacity": 1}}})
print("works", sys.version_info[:2])
"""


def test_standard_library_works_and_its_idle_parts_are_gone(tmp_path: Path) -> None:
    world = deb_world(*PYTHON)
    closure = kept(world, RULES, "/usr/bin/python3")
    argv = ["/usr/bin/python3", "-c", WORKS, json.dumps(STANDARD)]
    assert run(world, closure, tmp_path, argv) == "works (3, 11)\n"
    for gone in ("tkinter", "lib2to3", "distutils", "pydoc_data", "test"):
        assert not [p for p in closure.evidence if p.startswith(f"/usr/lib/python3.11/{gone}/")]
    assert size(world, closure, "/usr/lib/python3.11/") < 12_000_000


def test_a_program_that_imports_an_idle_part_gets_it(tmp_path: Path) -> None:
    text = "import shelve\nfrom distutils.version import LooseVersion\nimport dbm.ndbm\nprint(LooseVersion('1.2'))\n"
    world = deb_world(*PYTHON, extra={"/app/main.py": text})
    closure = kept(world, RULES, "/usr/bin/python3", "/app/main.py")
    assert run(world, closure, tmp_path, ["/usr/bin/python3", "-W", "ignore", "/app/main.py"]) == "1.2\n"


APP = """
import flask
app = flask.Flask(__name__)

@app.route("/")
def index():
    return "hello"

@app.route("/later")
def later():
    import requests, yaml
    from markupsafe import escape
    try:
        requests.get("http://127.0.0.1:9/")
    except requests.ConnectionError:
        pass
    return flask.render_template_string("{{ x|tojson }} {{ y }}", x=yaml.safe_load("[1]"), y=escape("<"))

if __name__ == "__main__":
    client = app.test_client()
    print(client.get("/").text, client.get("/later").text, client.get("/none").status_code)
"""


def test_flask_application_of_debian_packages(tmp_path: Path) -> None:
    world = deb_world(*PYTHON, *WEB, extra={"/app/main.py": APP})
    closure = kept(world, RULES, "/usr/bin/python3", "/app/main.py")
    assert run(world, closure, tmp_path, ["/usr/bin/python3", "/app/main.py"]) == "hello [1] &lt; 404\n"
    assert "Werkzeug 2" in run(world, closure, tmp_path, ["/usr/bin/python3", "-m", "flask", "--version"])
    dist = "/usr/lib/python3/dist-packages"
    for gone in ("pip", "setuptools", "gunicorn"):
        assert f"{dist}/{gone}/__init__.py" not in closure
    assert f"{dist}/requests-2.28.1.egg-info/PKG-INFO" in closure


def test_gunicorns_script_names_its_distribution(tmp_path: Path) -> None:
    world = deb_world(*PYTHON, *WEB)
    closure = kept(world, RULES, "/usr/bin/gunicorn", "/usr/bin/python3")
    assert run(world, closure, tmp_path, ["/usr/bin/gunicorn", "--version"]).startswith("gunicorn")


def wheels(*names: str) -> Path:
    """A site directory with wheels for Python 3.11 as pip installs them; cached outside of the checkout."""
    network.require("a wheel")
    target = network.CACHE / "wheels" / "-".join(names)
    if not target.is_dir():
        building = target.with_name(f"{target.name}.{os.getpid()}")
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-compile", "--target", str(building)]
        command += ["--python-version", "3.11", "--only-binary", ":all:", *names]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            shutil.rmtree(building, ignore_errors=True)
            pytest.skip("needs a package index")
        building.rename(target)
    return target


@pytest.mark.parametrize(
    ("names", "code", "printed"),
    [
        (("numpy",), "import numpy as n; print(n.linalg.inv(n.eye(2)).sum(), n.fft.fft([1]).size)", "2.0 1\n"),
        (
            ("fastapi", "httpx", "pandas", "sqlalchemy"),
            "import fastapi, pandas, sqlalchemy\n"
            "from fastapi.testclient import TestClient\n"
            "app = fastapi.FastAPI()\n"
            "app.get('/')(lambda: pandas.DataFrame({'a': [1]}).to_dict())\n"
            "e = sqlalchemy.create_engine('sqlite://')\n"
            "print(TestClient(app).get('/').json(), e.connect().exec_driver_sql('select 2').scalar())\n",
            "{'a': {'0': 1}} 2\n",
        ),
    ],
)
def test_wheels(tmp_path: Path, names: tuple[str, ...], code: str, printed: str) -> None:
    site = "/usr/local/lib/python3.11/dist-packages"
    source = wheels(*names)
    root = tmp_path / "full"
    shutil.copytree(fetch(*PYTHON, "libstdc++6", "libgcc-s1"), root, symlinks=True)
    shutil.copytree(source, f"{root}{site}", symlinks=True)
    (root / "app").mkdir()
    (root / "app/main.py").write_text(code)
    tree = host_rootfs(root)
    world = World(tree, dpkg.read(tree), ImageConfig({}))
    closure = kept(world, RULES, "/usr/bin/python3", "/app/main.py")
    (tmp_path / "kept").mkdir()
    assert run(world, closure, tmp_path / "kept", ["/usr/bin/python3", "-W", "ignore", "/app/main.py"]) == printed
    assert not [p for p in closure.evidence if p.startswith(site) and "/tests/test_" in p]


def test_interpreter_alone_brings_no_distribution() -> None:
    world = deb_world(*PYTHON, *WEB)
    closure = kept(world, RULES, "/usr/bin/python3")
    assert not [p for p in closure.evidence if p.startswith("/usr/lib/python3/dist-packages/")]
