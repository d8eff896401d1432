"""Where a finding is shown: the line of the Dockerfile that it most likely comes from."""

from __future__ import annotations

import re
from dataclasses import dataclass

from debloat.gate.findings import Finding, Location
from debloat.lock.seeds import stem

_INSTRUCTION = re.compile(r"\s*([A-Za-z]+)\s+\S")
_BY_RULE = {
    "policy-non-root": "USER",
    "drift-user": "USER",
    "drift-port": "EXPOSE",
    "probe": "ENTRYPOINT",
}


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A Dockerfile's name, relative to the working directory, and its text; the text may be missing."""

    name: str
    text: str = ""

    def locate(self, finding: Finding) -> Location:
        """The line that names the package or the path, has the instruction in question, or begins the last stage."""
        lines = self.text.splitlines()
        wanted = _BY_RULE.get(finding.rule)
        if wanted:
            return Location(self.name, _last(lines, wanted) or self._stage(lines))
        package = finding.package.partition(":")[0]
        for word in filter(None, (finding.path, finding.path.rpartition("/")[2], package, _bare(package))):
            pattern = re.compile(rf"(?<![\w.+-]){re.escape(word)}(?![\w+-])")
            for number, line in enumerate(lines, 1):
                if not line.lstrip().startswith("#") and pattern.search(line):
                    return Location(self.name, number)
        return Location(self.name, self._stage(lines))

    def _stage(self, lines: list[str]) -> int:
        return _last(lines, "FROM") or 1


NO_DOCKERFILE = Dockerfile("Dockerfile")
"""Where findings are shown when there is no Dockerfile at hand."""


def _bare(package: str) -> str:
    """A library's package as its tool is called: `libssl3` says nothing, `nginx-common` is nginx's."""
    return stem(package).partition("-")[0].strip("#") if package and not package.startswith("lib") else ""


def _last(lines: list[str], instruction: str) -> int:
    found = 0
    for number, line in enumerate(lines, 1):
        match = _INSTRUCTION.match(line)
        if match and match[1].upper() == instruction:
            found = number
    return found
