"""The `debloat.toml` to begin with: what an image's own configuration and history suggest, with comments.

What is sure stands as a key; everything else is there as a comment, of which each line beginning with `#` and no blank
becomes a key when the `#` goes.
"""

from __future__ import annotations

import json
import math
import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from debloat import __version__
from debloat.core import config
from debloat.core.errors import InternalError
from debloat.core.limits import Budget, Restrictions
from debloat.core.model import Image, ImageConfig
from debloat.core.recipe import ReadySettings, Recipe, RunSettings, ScenarioSettings, Settings
from debloat.core.table import rows
from debloat.core.text import name, size
from debloat.record.concrete import healthcheck_command
from debloat.rules.application.build import Build, runs
from debloat.rules.application.dockerfile import instructions
from debloat.rules.application.installs import is_pattern

SCHEMA = f"https://raw.githubusercontent.com/debloat/debloat/v{__version__}/debloat/schemas/config.json"

USUAL_HTTP_PORTS = frozenset({80, 3000, 5000, 8000, 8008, 8080, 8081, 8888})
"""Ports that are exposed for HTTP and hardly ever for anything else (IANA's registry; defaults of frameworks)."""

_URL = re.compile(
    r"(?P<scheme>https?)://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1?\])(?::(?P<port>\d{1,5}))?(?P<path>/[^\s\"'|;&)>$`]*)?"
)
_USUAL_PORTS = {"http": 80, "https": 443}


def starter(image: Image | None) -> str:
    """The file as text; of no image in particular with None. What it says when it is read is `suggested(image)`."""
    text = "".join(f"{line}".rstrip() + "\n" for line in _lines(image))
    if config.settings(tomllib.loads(text)) != config.settings(suggested(image)):
        raise InternalError("the file does not say what was meant when it is read back")
    return text


def suggested(image: Image | None) -> dict[str, Any]:
    """The keys that are sure, as TOML has them: probes where it is plain what to ask, a readiness that takes long.

    Naming a probe takes the place of what is asked by default, so none is named where the default asks more.
    """
    if image is None:
        return {}
    found: dict[str, Any] = {}
    if (http := _http(image.config)) and _plain(image.config.healthcheck):
        found["http"] = http
        if image.config.healthcheck:
            found["exec"] = [shlex.join(healthcheck_command(image.config))]
    period = (image.config.raw.get("Healthcheck") or {}).get("StartPeriod") or 0
    if image.config.healthcheck and isinstance(period, int) and period > Recipe().ready * 1e9:
        found["ready"] = {"seconds": math.ceil(period / 1e9) + int(Recipe().ready)}
    return found


def _http(image: ImageConfig) -> list[str]:
    """HTTP probes that the HEALTHCHECK shows, else one on the only port where that is a usual one for HTTP."""
    tcp = {int(port.partition("/")[0]) for port in image.ports if port.endswith("/tcp")}
    found = {}
    for match in _URL.finditer(" ".join(image.healthcheck)):
        port = int(match["port"] or _USUAL_PORTS[match["scheme"]])
        if 0 < port < 65536:
            found[port] = f"{'https://' if match['scheme'] == 'https' else ''}:{port}{match['path'] or '/'}"
    if not found and len(tcp) == 1 and tcp <= USUAL_HTTP_PORTS:
        found = {port: f":{port}/" for port in tcp}
    return [probe for _, probe in sorted(found.items())] if tcp <= set(found) else []


# ------------------------------------------------------------------------------------------ as text


def _lines(image: Image | None) -> Iterator[str]:
    sure = suggested(image)
    empty = ImageConfig({})
    about = image.config if image is not None else empty
    yield f"#:schema {SCHEMA}"
    yield f"# How debloat makes the minimal image{f' of {name(image.reference)}' if image is not None else ''}."
    yield "# A line that begins with # and no blank becomes a key when the # goes; docs/usage.md explains each."
    yield from _facts(image)
    yield from _section("What is asked")
    if not sure.get("http"):
        yield "# With no key here: HEALTHCHECK, then HTTP or a connect on each exposed port; without either, its end."
    args = shlex.join(about.cmd) if about.cmd and _plain(about.cmd) else "--version"
    examples: dict[str, Any] = {
        **{"http": ["/"], "crawl": 20, "openapi": "/openapi.json", "har": ["session.har"], "grpc": True},
        **{"probe": ["redis://:6379"], "talk": False, "exec": ["true"], "run": ['curl -fsS "$DEBLOAT_URL"']},
        **{"tests": ["npm test"], "args": [args], "masks": ["token=[a-z]+"]},
    }
    if about.healthcheck and _plain(about.healthcheck):
        examples["exec"] = [shlex.join(healthcheck_command(about))]
    yield from _keys(Settings, examples, sure)
    yield from _section("What is kept")
    kept = {"level": "safe", "keep": ["/usr/share/zoneinfo/**"], "drop": ["/usr/share/example/**"]}
    yield from _keys(Settings, {**kept, "keep_packages": ["tzdata"]}, sure)
    yield from _section("How long, and when it is ready")
    yield from _keys(Settings, {"timeout": 60}, sure)
    yield from _ready(about, sure.get("ready"))
    if asked := _asked(image):
        yield from _section("What the Dockerfile installed by name: stays usable, unless it was for the build")
        yield "#[packages]"
        yield from (f'#{_quoted(package)} = "run"' for package in asked)
    yield from _section("How it is run, as in production")
    yield "#[run_options]"
    volumes = [f"{_last(path)}:{path}" for path in about.volumes if _plain([path])] or ["data:/var/lib/example"]
    options = {
        "env": {"TZ": "Europe/Berlin"},
        "volumes": volumes,
        "user": about.user if about.user and _plain([about.user]) else "1000:1000",
        "read_only": True,
        "tmpfs": ["/run"],
        "cap_drop": ["ALL"],
    }
    yield from _keys(RunSettings, options, {})
    yield from _section("One more start of the container")
    yield "#[[scenario]]"
    yield from _keys(ScenarioSettings, {"name": "version", "args": "--version"}, {})
    yield from _section("What `debloat check` holds it to")
    yield "#[budget]"
    yield from _keys(Budget, {"max_size": f"{max(1, (image.size if image else 40_000_000) // 1_000_000)}MB"}, {})
    yield "#[policy]"
    yield from _keys(Restrictions, {"no_shell": True}, {})


def _section(title: str) -> Iterator[str]:
    yield ""
    yield f"# {title}"


def _facts(image: Image | None) -> Iterator[str]:
    """What the image says of itself, as comments."""
    if image is None:
        return
    about = image.config
    facts: tuple[tuple[str, Iterable[str]], ...] = (
        ("ENTRYPOINT", [shlex.join(about.entrypoint)] if about.entrypoint else ()),
        ("CMD", [shlex.join(about.cmd)] if about.cmd else ()),
        ("EXPOSE", about.ports),
        ("HEALTHCHECK", [shlex.join(about.healthcheck)] if about.healthcheck else ()),
        ("USER", [about.user] if about.user else ()),
        ("VOLUME", about.volumes),
        ("WORKDIR", [about.workdir] if about.workdir != "/" else ()),
        ("STOPSIGNAL", [about.stop_signal] if about.raw.get("StopSignal") else ()),
    )
    yield "#"
    yield f"# The image, {name(image.os)}/{name(image.architecture)}{f', {size(image.size)}' if image.size else ''}:"
    for word, values in facts:
        if shown := " ".join(values):
            yield f"#   {word:<12} {name(shown)}"


def _keys(table: type, examples: Mapping[str, Any], sure: Mapping[str, Any]) -> Iterator[str]:
    """A line for each key, after what it is for: as a key where it is sure, else as a comment."""
    for key, example in examples.items():
        yield f"# {rows(table)[key].text}"
        yield f"{key} = {_toml(sure[key])}" if key in sure else f"#{key} = {_toml(example)}"


def _ready(about: ImageConfig, sure: Mapping[str, Any] | None) -> Iterator[str]:
    """The table `[ready]`: a key where the image says that it takes long."""
    ports = [int(port.partition("/")[0]) for port in about.ports if port.endswith("/tcp")]
    yield "[ready]" if sure else "#[ready]"
    examples: dict[str, Any] = {"seconds": 60, "port": ports[0] if ports else 8080, "log": "ready", "http": "/health"}
    yield from _keys(ReadySettings, {**examples, "exec": "true", "healthcheck": True}, sure or {})


def _asked(image: Image | None) -> list[str]:
    """The packages that the history installs by name and does not remove, as `[packages]` names them."""
    if image is None:
        return []
    build = Build(runs=runs(instructions(image.history, image.config)))
    found = []
    for manager in ("apt", "pip", "npm", "gem"):
        gone = build.removed(manager)
        wanted = [n for n, number in build.asked(manager).items() if number >= gone.get(n, -1) and not is_pattern(n)]
        found += [package if manager == "apt" else f"{manager}:{package}" for package in wanted if _plain([package])]
    return found


def _last(path: str) -> str:
    """A volume's name for a path: its last part, as engines take names."""
    return re.sub(r"[^A-Za-z0-9_.-]|^[_.-]+", "", path.rstrip("/").rpartition("/")[2]) or "data"


def _plain(words: Iterable[str]) -> bool:
    """Whether words can stand in a TOML file at all: no lone surrogates, which stand for bytes that are not UTF-8."""
    return not any("\ud800" <= char <= "\udfff" for word in words for char in word)


def _quoted(key: str) -> str:
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else _toml(key)


def _toml(value: Any) -> str:
    """A value as TOML (1.0): strings as JSON has them, but for DEL, which TOML wants escaped too."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_quoted(key)} = {_toml(item)}' for key, item in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
