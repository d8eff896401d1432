"""A fleet as OpenMetrics text (OpenMetrics 1.0), for what collects metrics out of files, such as node_exporter.

What is not known has no sample. Metrics are in the order of `_FAMILIES`, their samples in that of the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct

from debloat.core.text import name
from debloat.fleet.model import FleetReport, Outcome, Sharing, Status

PREFIX = "debloat_fleet_"

Samples = Iterable[tuple[Mapping[str, str], float]]


class Family(Struct, frozen=True):
    """A metric: what it is called behind the prefix, its unit ("" for none), what it means, its samples of a report."""

    name: str
    unit: str
    text: str
    samples: Callable[[FleetReport], Samples]
    kind: str = "gauge"


def render(report: FleetReport) -> str:
    """The metrics of a run as text, to its end mark."""
    lines = [line for family in _FAMILIES for line in _lines(family, report)]
    return "\n".join([*lines, "# EOF", ""])


def _lines(family: Family, report: FleetReport) -> Iterator[str]:
    samples = list(family.samples(report))
    if not samples:
        return
    full = PREFIX + family.name
    yield f"# TYPE {full} {family.kind}"
    if family.unit:
        yield f"# UNIT {full} {family.unit}"
    yield f"# HELP {full} {family.text}"
    for labels, value in samples:
        yield f"{full}{'_info' if family.kind == 'info' else ''}{_labels(labels)} {value + 0!r}"


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(text: str) -> str:
    """The value of a label: names come from outside, and control characters of theirs are made visible first."""
    return name(text).replace("\\", "\\\\").replace('"', '\\"')


def _once(value: Callable[[FleetReport], float]) -> Callable[[FleetReport], Samples]:
    return lambda report: [({}, value(report))]


def _made_by(report: FleetReport) -> Samples:
    yield {"fleet": report.fleet, "verb": str(report.verb), "tool": report.tool, "executor": report.executor}, 1


def _by_status(report: FleetReport) -> Samples:
    return (({"status": str(status)}, report.count(status)) for status in Status)


def _by_image(value: Callable[[Outcome], float]) -> Callable[[FleetReport], Samples]:
    """A sample an image, where its figure is known (not negative)."""
    return lambda report: (
        ({"image": row.name, "target": row.target}, value(row)) for row in report.outcomes if value(row) >= 0
    )


def _after(row: Outcome) -> float:
    return row.bytes_after if row.status.well else -1


def _seconds(row: Outcome) -> float:
    return row.seconds if row.seconds > 0 else -1


def _shared(value: Callable[[Sharing], float]) -> Callable[[FleetReport], Samples]:
    return lambda report: [] if report.sharing is None else [({}, value(report.sharing))]


def _own_layers(report: FleetReport) -> Samples:
    images = report.sharing.images if report.sharing is not None else ()
    return (({"target": image.target}, image.own) for image in images)


_FAMILIES = (
    Family("run", "", "The run that the figures are of.", _made_by, "info"),
    Family("passed", "", "Whether no image failed.", _once(lambda report: report.passed)),
    Family("duration_seconds", "seconds", "How long the run took.", _once(lambda report: report.seconds)),
    Family("workers", "", "Workers that carried it out.", _once(lambda report: len(report.workers))),
    Family("images", "", "Images by what became of them.", _by_status),
    Family(
        "original_bytes",
        "bytes",
        "Files of the originals of which there is a minimal image.",
        _once(lambda report: report.bytes_before),
    ),
    Family("minimal_bytes", "bytes", "Files of the minimal images.", _once(lambda report: report.bytes_after)),
    Family("image_well", "", "Whether an image has a result that can be used.", _by_image(lambda row: row.status.well)),
    Family("image_original_bytes", "bytes", "Files of an original.", _by_image(lambda row: row.bytes_before)),
    Family("image_minimal_bytes", "bytes", "Files of a minimal image.", _by_image(_after)),
    Family("image_duration_seconds", "seconds", "How long the work on an image took.", _by_image(_seconds)),
    Family("layers_single_bytes", "bytes", "Layers, had each image one of its own.", _shared(lambda s: s.before)),
    Family("layers_bytes", "bytes", "Layers of all images, each once.", _shared(lambda s: s.after)),
    Family("layers_shared_bytes", "bytes", "Layers of several images, each once.", _shared(lambda s: s.shared)),
    Family("layers_shared", "", "How many layers several images have in common.", _shared(lambda s: s.layers)),
    Family("layer_own_bytes", "bytes", "The layer that an image alone has.", _own_layers),
)
