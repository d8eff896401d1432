"""Options that several verbs share, as frozen values: each is a field of a verb's own options (`options.py`)."""

from typing import Literal

import click

from debloat.cli.declared import group, option, options


@options
class Probes:
    """What is asked of a container, how it is run, and how it is recorded."""

    http: tuple[str, ...] = option(
        "--http", metavar="[METHOD ]PATH", text="HTTP request to make; `:PORT/PATH` picks a port."
    )
    probe: tuple[str, ...] = option(
        "--probe",
        metavar="URL",
        text="Server to talk to: `redis://:6379`, `smtp://`, ... (docs/probes.md).",
    )
    crawl: int | None = option(
        "--crawl", type=click.IntRange(min=1), metavar="N", text="Follow links from `/`, to at most N pages."
    )
    openapi: str | None = option(
        "--openapi", metavar="DOCUMENT", text="OpenAPI document, a file or a path of the service: ask its operations."
    )
    har: tuple[str, ...] = option("--har", metavar="FILE", text="Recorded session of a browser to replay.")
    run: tuple[str, ...] = option("--run", metavar="HOSTCMD", text="Client or test suite to run on this machine.")
    exec: tuple[str, ...] = option("--exec", metavar="CMD", text="Command to run inside the container.")
    args: tuple[str, ...] = option(
        "--args",
        metavar='"ARGV"',
        text="One more scenario: the container started with these arguments in place of CMD.",
    )
    env: tuple[str, ...] = option("-e", "--env", metavar="K=V", text="Environment of the container.")
    volumes: tuple[str, ...] = option(
        "-v", "--volume", metavar="VOL", text="Volume or bind mount, as `docker run` has it."
    )
    network: str | None = option("--network", metavar="N", text="Network of the container.")
    user: str | None = option("-u", "--user", metavar="U", text="Run as this user instead of the image's USER.")
    read_only: bool = option("--read-only", text="Run with a read-only root file system.")
    tmpfs: tuple[str, ...] = option("--tmpfs", metavar="PATH", text="Mount a tmpfs there.")
    init: bool = option("--init", text="Run an init as PID 1, as `docker run --init` does.")
    config: str | None = option(
        "-c", "--config", metavar="FILE", text="Read this debloat.toml (default: the one found here)."
    )
    mechanism: Literal["auto", "notify", "ptrace"] = option(
        "--mechanism", default="auto", show_default=True, text="How file accesses are recorded."
    )


@options
class Policy:
    """What is kept."""

    level: Literal["exact", "safe", "package"] | None = option(
        "--level",
        text="How far beyond the trace to keep: what was touched; what can be reached (default); whole packages.",
    )
    keep: tuple[str, ...] = option("--keep", metavar="GLOB", text="Keep what matches, and all below it.")
    drop: tuple[str, ...] = option("--drop", metavar="GLOB", text="Drop what matches, whatever wants it.")
    keep_packages: tuple[str, ...] = option("--keep-package", metavar="NAME", text="Keep this package whole.")


@options
class Result:
    """What is made, and what is written about it."""

    tag: str | None = option("-t", "--tag", metavar="NEW", text="Name of the result (default: NAME:TAG-slim).")
    traces: tuple[str, ...] = option("--trace", metavar="FILE", text="Add a saved trace.")
    save_trace: str | None = option("--save-trace", metavar="FILE", text="Save what was recorded.")
    lock: str | None = option("--lock", metavar="FILE", text="Write the lock, for `apply` and `check` (docs/lock.md).")
    output: str | None = option(
        "--output",
        metavar="WHERE",
        text="Write the image there: a FILE for `docker load`, oci:DIR, oci-archive:FILE, docker://REGISTRY/NAME:TAG.",
    )
    canary: str | None = option(
        "--canary",
        metavar="TAG",
        text="Make a canary of the result too, which notes what it lacks, for `debloat heal` (docs/traces.md).",
    )
    json: str | None = option(
        "--json",
        metavar="FILE",
        text="Write the report as JSON (docs/report.md), with --dry-run the plan; - is stdout.",
    )
    html: str | None = option("--html", metavar="FILE", text="Write the report as a page.")
    earlier: tuple[str, ...] = option(
        "--earlier",
        metavar="LOCK",
        text="An earlier lock, for sizes over time in the page; the oldest first.",
        needs=("--html",),
    )
    scan: str | None = option(
        "--scan",
        metavar="FILE",
        text="Count vulnerabilities by a report of Trivy or Grype on IMAGE, or by Debian's security tracker.",
    )
    attest: str | None = option(
        "--attest", metavar="DIR", text="Write in-toto statements there: bills of materials, provenance, test results."
    )
    seccomp: str | None = option(
        "--seccomp",
        metavar="FILE",
        text="Write a seccomp profile that allows what the image's programs need, once they have answered under it.",
    )
    no_verify: bool = option("--no-verify", text="Do not replay the probes on the result.")
    force: bool = option(
        "--force",
        text="Tag the result although it answers differently (exit code stays 5).",
        excludes=("--no-verify",),
    )
    dry_run: bool = option("--dry-run", text="Only print what would be started, asked, kept and written.")


@options
class Verbosity:
    """How much is printed on the way."""

    quiet: bool = option("-q", "--quiet", text="Print nothing but the result and errors.")
    verbose: bool = option("--verbose", text="Print more details on the way.")


@options
class OnEngine:
    """What runs containers."""

    engine: Literal["docker", "podman", "embedded"] | None = option(
        "--engine",
        text="What runs containers (default: $DEBLOAT_ENGINE, else the daemon that answers, else debloat itself).",
    )


@options
class Where:
    """Which of an image's platforms is meant, and on which engine."""

    on: OnEngine = group(OnEngine)

    platform: str | None = option(
        "--platform",
        metavar="OS/ARCH",
        text="Platform of the image (default: $DOCKER_DEFAULT_PLATFORM, or the engine's).",
    )


@options
class WhereAll(Where):
    """The same for a verb that takes all platforms of an index."""

    platform: str | None = option(
        "--platform",
        metavar="OS/ARCH",
        text="Platform of the image (default: $DOCKER_DEFAULT_PLATFORM, or the engine's), or `all` of an index "
        "(docs/stores.md).",
    )
