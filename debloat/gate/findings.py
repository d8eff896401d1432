"""A finished check of the gate, in full: everything that a renderer needs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from debloat.footprint import Footprint
from debloat.gate.rules import RULES, GateRule, Severity
from debloat.lock.compare import EMPTY_DIFF, Diff
from debloat.lock.seeds import Gone, Move


@dataclass(frozen=True, slots=True)
class Location:
    """The file, relative to the working directory, and the line that a finding is shown at."""

    file: str
    line: int = 1


NOWHERE = Location("Dockerfile")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a rule reports. `path`, `package` and `reason` are empty where they say nothing.

    `known` is whether the baseline has it already; `location` where it is shown.
    """

    rule: str
    severity: Severity
    message: str
    path: str = ""
    package: str = ""
    reason: str = ""
    known: bool = False
    location: Location = NOWHERE

    @property
    def fingerprint(self) -> str:
        """What makes it the same finding in another run: rule, package and path, never a figure or a line."""
        text = "\0".join((self.rule, self.package.partition(":")[0], self.path))
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class GateReport:
    """What the gate found.

    `lock` is the lock's file name, empty without one. `minimal` tells whether the image was looked at as it is, or what
    would be cut out of it by the lock. `before` are the lock's figures, `whole` those of an image that would be cut.
    """

    tool: str
    reference: str
    image_id: str
    lock: str
    minimal: bool
    before: Footprint | None
    after: Footprint
    whole: Footprint | None
    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    diff: Diff = EMPTY_DIFF
    moves: tuple[Move, ...] = ()
    gone: tuple[Gone, ...] = ()
    fail_on: Severity = Severity.ERROR

    @property
    def failing(self) -> tuple[Finding, ...]:
        """The findings that decide the verdict: severe enough and not in the baseline."""
        return tuple(f for f in self.findings if f.severity >= self.fail_on and not f.known)

    @property
    def passed(self) -> bool:
        return not self.failing

    @property
    def rules(self) -> tuple[GateRule, ...]:
        """The rules that were looked at, in the order of the documentation."""
        return tuple(rule for rule in RULES if rule.id in self.checked)

    def of(self, rule: str) -> tuple[Finding, ...]:
        """The findings of one rule."""
        return tuple(f for f in self.findings if f.rule == rule)
