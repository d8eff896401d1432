"""`--scan FILE`: vulnerabilities before and after, by a report that somebody else made."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from debloat.core.errors import UsageError
from debloat.result import Outcome, Report


class Counting:
    """A sink that holds a report against both images of a run, while they can be read."""

    def __init__(self, file: str) -> None:
        try:
            self._data = Path(file).read_bytes()
        except OSError as error:
            raise UsageError(
                f"cannot read the report {file}: {error.strerror}", "name a file that can be read"
            ) from error
        self._file = file
        self._found: tuple[list[str], list[str]] = ([], [])
        from debloat.attest.scans import is_report

        is_report(self._data, file)

    def __call__(self, outcome: Outcome) -> None:
        from debloat.attest.minimal import minimal_rootfs
        from debloat.attest.vex import Contents, vulnerabilities
        from debloat.debian import dpkg
        from debloat.inventory.read import read

        minimal = minimal_rootfs(outcome.world.rootfs, outcome.minimal)
        both = ((outcome.world.rootfs, outcome.world.packages), (minimal, dpkg.read(minimal)))
        original, after = (Contents(rootfs, read(rootfs, packages, files=False)) for rootfs, packages in both)
        self._found = vulnerabilities(self._data, self._file, original, after)

    def told(self, report: Report) -> Report:
        """The report with what was counted."""
        before, after = map(tuple, self._found)
        surface = report.surface
        return replace(
            report,
            surface=replace(
                surface,
                before=replace(surface.before, vulnerabilities=before),
                after=replace(surface.after, vulnerabilities=after),
            ),
        )


def counting(file: str | None) -> list[Counting]:
    """One where a report is named; UsageError where it cannot be read, or the extra `sbom` is not installed."""
    if not file:
        return []
    try:
        import debloat.attest.vex  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"cannot count vulnerabilities: {error.name or error} is not installed", 'pip install "debloat[sbom]"'
        ) from error
    return [Counting(file)]
