"""A finished check of the gate, in full: everything that a renderer needs."""

from __future__ import annotations

import hashlib

from msgspec import Struct

from debloat.footprint import Footprint
from debloat.gate.rules import RULES, GateRule, Severity
from debloat.lock.compare import EMPTY_DIFF, Diff
from debloat.lock.seeds import Gone, Move


class Location(Struct, frozen=True):
    """The file, relative to the working directory, and the line that a finding is shown at."""

    file: str
    line: int = 1


NOWHERE = Location("Dockerfile")


class Finding(Struct, frozen=True):
    """What a rule reports about an image. `path`, `package` and `reason` are empty where they do not apply.

    `reason` is why the path is kept: rule and source. `known` says that the baseline has the finding already.
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
        """Identifies the finding across runs: a hash of rule, package (without architecture) and path, 32 hex digits.

        Versions, sizes and line numbers change from run to run, so they are not part of it.
        """
        text = "\0".join((self.rule, self.package.partition(":")[0], self.path))
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


class GateReport(Struct, frozen=True):
    """The result of a check.

    `lock` is the lock's file name, empty without one. `minimal` is true where the image was checked as it is, false
    where the minimal image was that the lock would cut from it. `before` is the lock's footprint, `after` that of what
    was checked, `original` that of the image before the cut. `checked` are the ids of the rules that ran.
    """

    tool: str
    reference: str
    image_id: str
    lock: str
    minimal: bool
    before: Footprint | None
    after: Footprint
    original: Footprint | None
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
        """The rules that were checked, in the order of the documentation."""
        return tuple(rule for rule in RULES if rule.id in self.checked)

    def of(self, rule: str) -> tuple[Finding, ...]:
        """The findings of one rule."""
        return tuple(f for f in self.findings if f.rule == rule)
