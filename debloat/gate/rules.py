"""The gate's rules: which there are, how severe each is, and what `[budget]` and `[policy]` of a configuration set."""

from __future__ import annotations

import difflib
import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from debloat.core.errors import UsageError


class Severity(enum.IntEnum):
    """How much a finding weighs; what is off is not looked for."""

    OFF = 0
    NOTE = 1
    WARNING = 2
    ERROR = 3

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class GateRule:
    """A rule: its id, which never changes, its severity unless `[policy.drift]` says otherwise, and what it means."""

    id: str
    title: str
    severity: Severity
    help: str


_BUDGET = "Raise the budget in debloat.toml, or find out what grew with `debloat diff`."
_POLICY = "Remove it from the image, or allow the path with `allow` in [policy] of debloat.toml."
_DRIFT = "If it is meant, write the lock again (`debloat lock`, or `debloat apply --update-lock`) and commit it."

RULES = tuple(
    GateRule(*row)
    for row in (
        ("budget-max-size", "The image is larger than its budget", Severity.ERROR, _BUDGET),
        ("budget-max-files", "The image has more files than its budget", Severity.ERROR, _BUDGET),
        ("budget-max-packages", "The image has more packages than its budget", Severity.ERROR, _BUDGET),
        ("budget-max-growth", "The image has grown more than its budget since the lock", Severity.ERROR, _BUDGET),
        ("policy-forbid", "A forbidden path is in the image", Severity.ERROR, _POLICY),
        (
            "policy-require",
            "A required path is not in the image",
            Severity.ERROR,
            "Keep it with `keep`, or install it.",
        ),
        ("policy-no-shell", "The image has a shell", Severity.ERROR, _POLICY),
        ("policy-no-setuid", "The image has a setuid or setgid file", Severity.ERROR, _POLICY),
        ("policy-no-package-manager", "The image has a package manager", Severity.ERROR, _POLICY),
        ("policy-no-world-writable", "The image has a path that everyone may write to", Severity.ERROR, _POLICY),
        ("policy-non-root", "The image runs as root", Severity.ERROR, "Set USER to an account other than root."),
        ("drift-missing", "A file that the service used is gone", Severity.ERROR, _DRIFT),
        ("drift-setuid", "A setuid or setgid file that the lock does not have", Severity.ERROR, _DRIFT),
        ("drift-shell", "A shell that the lock does not have", Severity.ERROR, _DRIFT),
        ("drift-package-manager", "A package manager that the lock does not have", Severity.ERROR, _DRIFT),
        ("drift-world-writable", "A path writable by all that the lock does not have", Severity.ERROR, _DRIFT),
        ("drift-port", "The exposed ports are not those of the lock", Severity.ERROR, _DRIFT),
        ("drift-user", "The user is not that of the lock", Severity.ERROR, _DRIFT),
        ("drift-package", "Packages that came or went since the lock", Severity.WARNING, _DRIFT),
        ("drift-recipe", "The recipe has changed since the lock", Severity.WARNING, "Write the lock again."),
        ("drift-file", "Files that came or went since the lock", Severity.NOTE, _DRIFT),
        ("drift-content", "Files whose content, mode or owner changed", Severity.NOTE, _DRIFT),
        ("drift-version", "Packages in another version than the lock's", Severity.NOTE, _DRIFT),
        ("drift-size", "The size is not that of the lock", Severity.NOTE, _DRIFT),
        ("probe", "A probe fails", Severity.ERROR, "Run `debloat lock` to record what the service needs now."),
    )
)
BY_ID = {rule.id: rule for rule in RULES}
DRIFT = tuple(rule.id.removeprefix("drift-") for rule in RULES if rule.id.startswith("drift-"))
SWITCHES = ("no_shell", "no_setuid", "no_package_manager", "no_world_writable", "non_root")


@dataclass(frozen=True, slots=True)
class Rules:
    """What a configuration asks of an image; None and empty are off.

    Sizes are bytes. Growth counts once it is above `growth_percent` *and* above `growth_floor`. `allow` are globs of
    paths that no rule about paths reports.
    """

    max_size: int | None = None
    max_files: int | None = None
    max_packages: int | None = None
    growth_percent: float | None = None
    growth_floor: int = 0
    forbid: tuple[str, ...] = ()
    require: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    switches: frozenset[str] = frozenset()
    drift: Mapping[str, Severity] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def any(self) -> bool:
        """Whether something is asked that needs no lock."""
        limits = (self.max_size, self.max_files, self.max_packages)
        return any(v is not None for v in limits) or bool(self.forbid or self.require or self.switches)

    def severity(self, rule: str) -> Severity:
        """How severe a rule is under this configuration."""
        return self.drift.get(rule.removeprefix("drift-"), BY_ID[rule].severity)

    def off(self, rule: str) -> bool:
        """Whether nothing looks for what a rule reports."""
        switch = rule.removeprefix("policy-").replace("-", "_")
        limits: dict[str, float | None] = {"budget-max-size": self.max_size, "budget-max-files": self.max_files}
        limits |= {"budget-max-packages": self.max_packages, "budget-max-growth": self.growth_percent}
        if rule in limits:
            return limits[rule] is None
        if rule in ("policy-forbid", "policy-require"):
            return not (self.forbid if rule == "policy-forbid" else self.require)
        if switch in SWITCHES:
            return switch not in self.switches
        return self.severity(rule) is Severity.OFF


_BUDGET_KEYS = ("max_size", "max_files", "max_packages", "max_growth")
_POLICY_KEYS = ("forbid", "require", "allow", *SWITCHES, "drift")
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([A-Za-z]{0,3})", re.ASCII)
_PERCENT = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*%", re.ASCII)
DEFAULT_FLOOR = 10**6
"""Bytes that an image may grow whatever the percentage: below, percentages of small images are noise."""


def rules_of(raw: Mapping[str, Any], where: str = "the configuration") -> Rules:
    """The rules in `[budget]` and `[policy]`; UsageError for an unknown key, naming the nearest known one."""
    budget, policy = raw.get("budget", {}), raw.get("policy", {})
    for name, table, keys in (("budget", budget, _BUDGET_KEYS), ("policy", policy, _POLICY_KEYS)):
        if not isinstance(table, Mapping):
            raise UsageError(f"{where}: {name} must be a table")
        _known(table, keys, f"{where}, [{name}]")
    percent, floor = _growth(budget.get("max_growth"), where)
    drift = policy.get("drift", {})
    if not isinstance(drift, Mapping):
        raise UsageError(f"{where}: policy.drift must be a table")
    _known(drift, DRIFT, f"{where}, [policy.drift]")
    return Rules(
        max_size=_bytes(budget["max_size"], "max_size", where) if "max_size" in budget else None,
        max_files=_count(budget, "max_files", where),
        max_packages=_count(budget, "max_packages", where),
        growth_percent=percent,
        growth_floor=floor,
        forbid=_globs(policy, "forbid", where),
        require=_globs(policy, "require", where),
        allow=_globs(policy, "allow", where),
        switches=frozenset(key for key in SWITCHES if _switch(policy, key, where)),
        drift=MappingProxyType({key: _severity(value, key, where) for key, value in sorted(drift.items())}),
    )


def _known(table: Mapping[str, Any], keys: Iterable[str], where: str) -> None:
    for key in table:
        if key not in keys:
            near = difflib.get_close_matches(key, sorted(keys), 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(keys))}"
            raise UsageError(f"{where}: unknown key {key!r}", hint)


def _bytes(value: object, key: str, where: str) -> int:
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if match is None or match[2].lower() not in _UNITS:
        raise UsageError(f"{where}: {key} must be a size, not {value!r}", 'write bytes, or "40MB", "38 MiB"')
    return int(float(match[1]) * _UNITS[match[2].lower()])


def _count(table: Mapping[str, Any], key: str, where: str) -> int | None:
    value = table.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise UsageError(f"{where}: {key} must be a number, not {value!r}")
    return value


def _growth(value: object, where: str) -> tuple[float | None, int]:
    """`"10%"` or `{percent = 10, floor = "1MB"}` as a percentage and a floor in bytes."""
    if value is None:
        return None, 0
    hint = 'write max_growth = {percent = 10, floor = "1MB"}'
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value.strip())):
        return float(match[1]), DEFAULT_FLOOR
    if not isinstance(value, Mapping):
        raise UsageError(f"{where}: max_growth must be a table of percent and floor, not {value!r}", hint)
    _known(value, ("percent", "floor"), f"{where}, max_growth")
    percent = value.get("percent")
    if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 <= percent < float("inf"):
        raise UsageError(f"{where}: max_growth needs a percent of 0 or more, not {percent!r}", hint)
    return float(percent), _bytes(value.get("floor", DEFAULT_FLOOR), "floor", where)


def _globs(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(glob, str) and glob.startswith("/") for glob in value):
        raise UsageError(f'{where}: {key} must be a list of absolute patterns, as in {key} = ["/usr/bin/curl"]')
    return tuple(value)


def _switch(table: Mapping[str, Any], key: str, where: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise UsageError(f"{where}: {key} must be true or false, not {value!r}")
    return value


def _severity(value: object, key: str, where: str) -> Severity:
    try:
        return Severity[str(value).upper()]
    except KeyError:
        raise UsageError(f"{where}: policy.drift.{key} is {value!r}", "choose off, note, warning or error") from None
