"""The options of `debloat fleet`, as values (`options.py` says how they are declared)."""

from typing import Literal

import click

from debloat.cli.declared import argument, group, option, options
from debloat.cli.options import Verbosity, Where


@options
class Which:
    """Which of the images of a fleet, and where is kept what was done with them."""

    only: tuple[str, ...] = option("--only", metavar="IMAGE", text="Only this image; may be given several times.")
    state: str | None = option(
        "--state", metavar="DIR", text="Where rows, logs and locks are kept (default: .debloat-fleet beside the file)."
    )


@options
class Said:
    """Where else it is said what came of a fleet."""

    json: str | None = option("--json", metavar="FILE", text="Write the report as JSON (docs/fleet.md); - is stdout.")
    html: str | None = option("--html", metavar="FILE", text="Write the report as a page (docs/fleet.md).")
    metrics: str | None = option(
        "--metrics", metavar="FILE", text="Write the report as OpenMetrics text, for dashboards."
    )


@options
class FleetCheck:
    file: str = argument(default="fleet.toml")
    which: Which = group(Which)
    jobs: int = option(
        "-j",
        "--jobs",
        default=0,
        type=click.IntRange(min=0),
        metavar="N",
        text="Images at a time on this machine (default: as many as it has processors and memory for).",
    )
    scheduler: str | None = option(
        "--scheduler", metavar="ADDRESS", text="Have a Dask cluster do it: the address of its scheduler."
    )
    said: Said = group(Said)
    verbosity: Verbosity = group(Verbosity)
    where: Where = group(Where)


@options
class FleetRun(FleetCheck):
    share: bool = option(
        "--share", text="Give images layers in common, of files that each of them keeps (docs/fleet.md#shared-layers)."
    )
    layers: int = option(
        "--layers",
        default=10,
        show_default=True,
        type=click.IntRange(min=1, max=100),
        metavar="N",
        text="Layers that an image may have with --share, its own counted.",
        needs=("--share",),
    )


@options
class FleetApply(FleetRun):
    """The same as `FleetRun`."""


@options
class FleetStatus:
    file: str = argument(default="fleet.toml")
    verb: Literal["run", "apply", "check"] = option(
        "--verb", default="run", show_default=True, text="What was to be done."
    )
    which: Which = group(Which)
    said: Said = group(Said)


@options
class FleetPlan:
    file: str = argument(default="fleet.toml")
    verb: Literal["run", "apply", "check"] = option(
        "--verb", default="run", show_default=True, text="What is to be done."
    )
    format: Literal["list", "github", "gitlab", "kubernetes"] = option(
        "--format",
        default="list",
        show_default=True,
        text="A line an image, a matrix for GitHub, a child pipeline for GitLab, or Jobs for Kubernetes.",
    )
    image: str | None = option(
        "--image",
        metavar="IMAGE",
        text="The image with debloat in which GitLab's jobs and pods run.",
        needs=("--format gitlab", "--format kubernetes"),
    )
    only: tuple[str, ...] = option("--only", metavar="IMAGE", text="Only this image; may be given several times.")
    output: str | None = option("--output", metavar="FILE", text="Write it there, not to standard output.")
    where: Where = group(Where)


@options
class FleetWork:
    task: str | None = argument(required=False)
