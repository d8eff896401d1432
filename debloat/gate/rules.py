"""The gate's rules: which there are, how severe each is, and what `[budget]` and `[policy]` of a configuration set."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from debloat.core.limits import DEFAULT_FLOOR
from debloat.core.recipe import Settings


class Severity(enum.IntEnum):
    """How severe a finding is. A rule that is OFF is not checked."""

    OFF = 0
    NOTE = 1
    WARNING = 2
    ERROR = 3

    def __str__(self) -> str:
        return self.name.lower()


class GateRule(Struct, frozen=True):
    """A rule of the gate: an id that never changes, a title, the default severity, and what to do about a finding.

    `[policy.drift]` of debloat.toml sets other severities.
    """

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
SWITCHES = ("no_shell", "no_setuid", "no_package_manager", "no_world_writable", "non_root")


class Rules(Struct, frozen=True):
    """The limits and prohibitions of a configuration; None and empty values are off.

    Sizes are in bytes. Growth is reported once it is above `growth_percent` *and* above `growth_floor`. No rule about
    paths reports those that a glob in `allow` matches. `switches` are names in `SWITCHES`.
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
    drift: Mapping[str, Severity] = MappingProxyType({})

    @property
    def any(self) -> bool:
        """Whether there is a rule that needs no lock."""
        limits = (self.max_size, self.max_files, self.max_packages)
        return any(v is not None for v in limits) or bool(self.forbid or self.require or self.switches)

    def severity(self, rule: str) -> Severity:
        """How severe a rule is under this configuration."""
        return self.drift.get(rule.removeprefix("drift-"), BY_ID[rule].severity)

    def off(self, rule: str) -> bool:
        """Whether a rule is switched off, or has no limit to check."""
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


def rules_of(settings: Settings) -> Rules:
    """The rules in `[budget]` and `[policy]` of a configuration."""
    budget, policy = settings.budget, settings.policy
    growth = budget.max_growth
    return Rules(
        max_size=budget.max_size,
        max_files=budget.max_files,
        max_packages=budget.max_packages,
        growth_percent=growth.percent if growth else None,
        growth_floor=0 if growth is None else DEFAULT_FLOOR if growth.floor is None else growth.floor,
        forbid=policy.forbid,
        require=policy.require,
        allow=policy.allow,
        switches=frozenset(name for name in SWITCHES if getattr(policy, name)),
        drift=MappingProxyType({name: Severity[word.upper()] for name, word in sorted(policy.drift.items())}),
    )
