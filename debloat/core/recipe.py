"""What the user wants done: probes, scenarios, policy and how the container is run; from a file, then from flags."""

from __future__ import annotations

import dataclasses
import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from debloat.core.errors import UsageError
from debloat.core.model import Level, Policy

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_TARGET = re.compile(r"(?:(?P<scheme>https?)://)?(?::?(?P<port>\d{1,5})(?=[/:?]|$):?)?(?P<path>/.*|)")


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """An HTTP request; `port` 0 is every port that answers HTTP, `scheme` empty tries http, then https."""

    method: str = "GET"
    path: str = "/"
    port: int = 0
    scheme: str = ""

    @property
    def name(self) -> str:
        where = f"{self.scheme + '://' if self.scheme else ''}{':' + str(self.port) if self.port else ''}"
        return f"http {self.method} {where}{self.path}"

    @classmethod
    def parse(cls, text: str) -> HttpProbe:
        """`[METHOD ][SCHEME://][:PORT]/PATH`: `/`, `POST /login`, `:8080/x`, `https://:8443/`; UsageError otherwise."""
        method, _, target = text.strip().rpartition(" ")
        method = method.strip().upper() or "GET"
        match = _TARGET.fullmatch(target)
        if method not in _METHODS or not match or not target:
            raise UsageError(
                f"{text!r} is no HTTP probe", "write [METHOD ]PATH, for example `/health`, `POST /login`, `:8080/`"
            )
        return cls(method, match["path"] or "/", int(match["port"] or 0), match["scheme"] or "")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How the container is run, in production as in the recording."""

    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    volumes: tuple[str, ...] = ()
    network: str = ""
    user: str = ""
    read_only: bool = False
    tmpfs: tuple[str, ...] = ()
    init: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    group_add: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """One start of the container and what is asked of it.

    `args` None starts it with its own CMD. A scenario without probes whose container exposes nothing is run to its end.
    """

    name: str = "default"
    args: tuple[str, ...] | None = None
    http: tuple[HttpProbe, ...] = ()
    exec: tuple[str, ...] = ()
    run: tuple[str, ...] = ()
    options: RunOptions = RunOptions()

    @property
    def probes(self) -> bool:
        return bool(self.http or self.exec or self.run)


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that a run is told. `ready` is the readiness limit in seconds, `timeout` that of one probe."""

    scenarios: tuple[Scenario, ...] = (Scenario(),)
    policy: Policy = Policy()
    ready: float = 60.0
    timeout: float = 60.0


_LISTS = ("http", "exec", "run", "args", "keep", "drop", "keep_packages")
_OPTION_KEYS = {f.name for f in dataclasses.fields(RunOptions)}
_TOP_KEYS = {*_LISTS, "level", "levels", "run_options", "scenario", "ready", "timeout", "budget", "policy"}
_SCENARIO_KEYS = {"name", "args", "http", "exec", "run", "run_options"}


def read(path: Path) -> dict[str, Any]:
    """The settings in a `debloat.toml`, or in `[tool.debloat]` of a `pyproject.toml`; checked, not yet combined."""
    try:
        raw = tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "name the file with -c FILE") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    if path.name == "pyproject.toml":
        raw = raw.get("tool", {}).get("debloat", {})
    check(raw, str(path))
    return raw


def find(directory: Path) -> Path | None:
    """The configuration in a directory: `debloat.toml`, else a `pyproject.toml` with a `[tool.debloat]` table."""
    candidate = directory / "debloat.toml"
    if candidate.is_file():
        return candidate
    candidate = directory / "pyproject.toml"
    if candidate.is_file():
        try:
            if "debloat" in tomllib.loads(candidate.read_text()).get("tool", {}):
                return candidate
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, AttributeError):
            return None
    return None


def check(raw: Mapping[str, Any], where: str) -> None:
    """UsageError for an unknown key or a value of the wrong type, naming the nearest known key."""
    _known(raw, _TOP_KEYS, where)
    for key in _LISTS:
        _strings(raw, key, where)
    _run_options(raw.get("run_options", {}), where)
    for number, scenario in enumerate(_tables(raw, "scenario", where), 1):
        place = f"{where}, scenario {number}"
        _known(scenario, _SCENARIO_KEYS, place)
        for key in ("http", "exec", "run"):
            _strings(scenario, key, place)
        _run_options(scenario.get("run_options", {}), place)
    for key in ("ready", "timeout"):
        value = raw.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise UsageError(f"{where}: {key} must be a number of seconds above 0, not {value!r}")
    for key in ("levels", "budget", "policy"):
        if not isinstance(raw.get(key, {}), dict):
            raise UsageError(f"{where}: {key} must be a table")
    if "budget" in raw or "policy" in raw:
        from debloat.gate.rules import rules_of

        rules_of(raw, where)


def recipe(raw: Mapping[str, Any]) -> Recipe:
    """The recipe that checked settings stand for."""
    options = _run_options(raw.get("run_options", {}), "run_options")
    probes = _probes(raw)
    scenarios: list[Scenario] = []
    lines = [_words(a, "args") for a in raw.get("args", ())]
    tables = [_scenario(t, options, i) for i, t in enumerate(raw.get("scenario", ()), 1)]
    if any(probes.values()) or not (lines or tables):
        scenarios.append(Scenario("default", None, options=options, **probes))
    scenarios += [Scenario(f"args {shlex.join(words)}", words, options=options) for words in lines]
    policy = Policy(
        level=_level(raw.get("level", "safe")),
        levels=tuple((glob, _level(value)) for glob, value in raw.get("levels", {}).items()),
        keep=tuple(raw.get("keep", ())),
        drop=tuple(raw.get("drop", ())),
        keep_packages=tuple(raw.get("keep_packages", ())),
    )
    for glob in (*policy.keep, *policy.drop, *(g for g, _ in policy.levels)):
        if not glob.startswith("/"):
            raise UsageError(f"the pattern {glob!r} must be absolute", f"write /{glob.lstrip('./')} or /**/{glob}")
    return Recipe(_distinct(scenarios + tables), policy, float(raw.get("ready", 60.0)), float(raw.get("timeout", 60.0)))


def merged(base: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a file with flags on top: lists grow, tables merge, values replace."""
    result = dict(base)
    for key, value in flags.items():
        if not value:
            continue
        if isinstance(value, list | tuple):
            result[key] = list(dict.fromkeys([*result.get(key, ()), *value]))
        elif isinstance(value, dict):
            result[key] = merged(result.get(key, {}), value)
        else:
            result[key] = value
    return result


def _scenario(raw: Mapping[str, Any], base: RunOptions, number: int) -> Scenario:
    words = raw.get("args")
    args = None if words is None else _words(words, "args") if isinstance(words, str) else tuple(words)
    own = raw.get("run_options", {})
    changed = _run_options(own, f"scenario {number}")
    options = dataclasses.replace(base, **{key: getattr(changed, key) for key in own})
    return Scenario(str(raw.get("name", f"scenario {number}")), args, options=options, **_probes(raw))


def _probes(raw: Mapping[str, Any]) -> dict[str, Any]:
    for command in raw.get("exec", ()):
        _words(command, "exec")
    return {
        "http": tuple(HttpProbe.parse(text) for text in raw.get("http", ())),
        "exec": tuple(raw.get("exec", ())),
        "run": tuple(raw.get("run", ())),
    }


def _distinct(scenarios: list[Scenario]) -> tuple[Scenario, ...]:
    """Scenarios under names that differ: evidence and answers are told apart by them."""
    seen: dict[str, int] = {}
    result = []
    for scenario in scenarios:
        seen[scenario.name] = count = seen.get(scenario.name, 0) + 1
        result.append(scenario if count == 1 else dataclasses.replace(scenario, name=f"{scenario.name} ({count})"))
    return tuple(result)


def _words(text: str, key: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"cannot split {key} {text!r} into words: {error}", "balance the quotes") from error
    return words


def _level(text: object) -> Level:
    try:
        return Level[str(text).upper()]
    except KeyError:
        raise UsageError(f"{text!r} is no level", "choose exact, safe or package") from None


def _run_options(raw: Any, where: str) -> RunOptions:
    if not isinstance(raw, dict):
        raise UsageError(f"{where}: run_options must be a table")
    _known(raw, _OPTION_KEYS, f"{where}, run_options")
    values: dict[str, Any] = {}
    for key, value in raw.items():
        kind = next(f.type for f in dataclasses.fields(RunOptions) if f.name == key)
        if key == "env":
            if not isinstance(value, dict):
                raise UsageError(f"{where}: env must be a table of strings")
            values[key] = MappingProxyType({k: str(v) for k, v in value.items()})
        elif "tuple" in str(kind):
            values[key] = tuple(_strings(raw, key, where))
        elif not isinstance(value, bool if kind == "bool" else str):
            raise UsageError(f"{where}: {key} must be {'true or false' if kind == 'bool' else 'a string'}")
        else:
            values[key] = value
    return RunOptions(**values)


def _known(raw: Mapping[str, Any], keys: set[str], where: str) -> None:
    import difflib

    for key in raw:
        if key not in keys:
            near = difflib.get_close_matches(key, sorted(keys), 1)
            raise UsageError(
                f"{where}: unknown key {key!r}",
                f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(keys))}",
            )


def _strings(raw: Mapping[str, Any], key: str, where: str) -> list[str]:
    value = raw.get(key, [])
    if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
        raise UsageError(f'{where}: {key} must be a list of strings, as in {key} = ["..."]')
    return list(value)


def _tables(raw: Mapping[str, Any], key: str, where: str) -> list[Mapping[str, Any]]:
    value = raw.get(key, [])
    if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
        raise UsageError(f"{where}: {key} must be an array of tables, [[{key}]]")
    return value
