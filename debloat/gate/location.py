"""Where a finding is shown: the line of the Dockerfile that most likely causes it."""

from __future__ import annotations

import re

from msgspec import Struct

from debloat.gate.findings import Finding, Location
from debloat.lock.seeds import stem

_INSTRUCTION = re.compile(r"\s*([A-Za-z]+)\s+\S")
_BY_RULE = {
    "policy-non-root": "USER",
    "drift-user": "USER",
    "drift-port": "EXPOSE",
    "probe": "ENTRYPOINT",
}


class Dockerfile(Struct, frozen=True):
    """A Dockerfile's name, relative to the working directory, and its text, empty where it is not at hand."""

    name: str
    text: str = ""

    def locate(self, finding: Finding) -> Location:
        """The last line with the instruction that the rule is about; else the first line that names the finding's path,
        file name or package; else the beginning of the last stage.
        """
        lines = self.text.splitlines()
        instruction = _BY_RULE.get(finding.rule)
        if instruction:
            return Location(self.name, _last(lines, instruction) or self._stage(lines))
        package = finding.package.partition(":")[0]
        for word in filter(None, (finding.path, finding.path.rpartition("/")[2], package, _program_name(package))):
            pattern = re.compile(rf"(?<![\w.+-]){re.escape(word)}(?![\w+-])")
            for number, line in enumerate(lines, 1):
                if not line.lstrip().startswith("#") and pattern.search(line):
                    return Location(self.name, number)
        return Location(self.name, self._stage(lines))

    def _stage(self, lines: list[str]) -> int:
        return _last(lines, "FROM") or 1


NO_DOCKERFILE = Dockerfile("Dockerfile")
"""Where findings are shown when there is no Dockerfile at hand."""


def _program_name(package: str) -> str:
    """The program that a package belongs to: `nginx` for `nginx-common`, empty for `libssl3`."""
    return stem(package).partition("-")[0].strip("#") if package and not package.startswith("lib") else ""


def _last(lines: list[str], instruction: str) -> int:
    last = 0
    for number, line in enumerate(lines, 1):
        match = _INSTRUCTION.match(line)
        if match and match[1].upper() == instruction:
            last = number
    return last
