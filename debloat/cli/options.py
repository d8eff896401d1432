"""The options of each verb as a frozen value, which click makes from the fields here and only here.

A field is an option or an argument. Its annotation says what it holds: `bool` is a flag, `tuple[str, ...]` may be given
several times, `Literal[...]` lists what may be chosen, `str | None` may be left out. Options that several verbs share
are a class of their own in `shared.py` (`Probes`, `Policy`, `Result`, `Verbosity`), which is a field of each verb's.

To add an option, add a field. To add a verb, add a class, a function in `main.py` that hands its value on, and a module
`debloat/cli/VERB.py` that does the work.
"""

from typing import Literal

import click

from debloat.cli.declared import CONTEXT, argument, group, option, options, parameters, value, verb
from debloat.cli.shared import OnEngine as OnEngine
from debloat.cli.shared import Policy as Policy
from debloat.cli.shared import Probes as Probes
from debloat.cli.shared import Result as Result
from debloat.cli.shared import Verbosity as Verbosity
from debloat.cli.shared import Where as Where
from debloat.cli.shared import WhereAll as WhereAll


@options
class Init:
    image: str | None = argument(required=False)
    output: str = option(
        "-o",
        "--output",
        metavar="FILE",
        default="debloat.toml",
        show_default=True,
        text="Where it goes; - is standard output.",
    )
    force: bool = option("--force", text="Write over settings that are there.")
    where: Where = group(Where)


@options
class Slim:
    image: str = argument()
    probes: Probes = group(Probes)
    policy: Policy = group(Policy)
    result: Result = group(Result)
    verbosity: Verbosity = group(Verbosity)
    where: Where = group(WhereAll)


@options
class Lock(Slim):
    """The same as `Slim`; the lock has a default."""


@options
class Run(Slim):
    """The same as `Slim`, with a test suite of the user's, or a session by hand."""

    command: tuple[str, ...] = argument(nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
    pause: bool = option("--pause", text="Let somebody use the container until Ctrl-C, before it is stopped.")


@options
class Build:
    context: str = argument(default=".")
    dockerfile: str | None = option(
        "-f", "--file", metavar="Dockerfile", text="Dockerfile to build (default: CONTEXT/Dockerfile)."
    )
    build_args: tuple[str, ...] = option("--build-arg", metavar="K=V", text="Build argument, as `docker build` has it.")
    target: str | None = option("--target", metavar="STAGE", text="Build stage to stop at.")
    build_options: tuple[str, ...] = option("--build-option", metavar="OPT", text="Any other option of `docker build`.")
    probes: Probes = group(Probes)
    policy: Policy = group(Policy)
    result: Result = group(Result)
    verbosity: Verbosity = group(Verbosity)
    where: Where = group(Where)


@options
class Compose:
    services: tuple[str, ...] = argument(nargs=-1, required=True, metavar="SERVICE...")
    files: tuple[str, ...] = option(
        "-f", "--file", metavar="FILE", text="Compose file (default: the one that Compose finds here); may be repeated."
    )
    profiles: tuple[str, ...] = option("--profile", metavar="NAME", text="Start the services of this profile too.")
    mechanism: Literal["auto", "notify", "ptrace"] = option(
        "--mechanism", default="auto", show_default=True, text="How file accesses are recorded."
    )
    policy: Policy = group(Policy)
    lock: str | None = option("--lock", metavar="FILE", text="Write the lock; {service} in FILE is the service's name.")
    json: str | None = option("--json", metavar="FILE", text="Write the report as JSON; FILE as with --lock.")
    html: str | None = option("--html", metavar="FILE", text="Write the report as a page; FILE as with --lock.")
    save_trace: str | None = option("--save-trace", metavar="FILE", text="Save what was recorded; FILE as with --lock.")
    no_verify: bool = option("--no-verify", text="Do not start the stack again with the minimal images.")
    force: bool = option(
        "--force",
        text="Tag the results although one answers differently (exit code stays 5).",
        excludes=("--no-verify",),
    )
    verbosity: Verbosity = group(Verbosity)
    on: OnEngine = group(OnEngine)


@options
class Record:
    image: str = argument()
    probes: Probes = group(Probes)
    save_trace: str = option("--save-trace", metavar="FILE", required=True, text="Where the trace goes.")
    pause: bool = option("--pause", text="Let somebody use the container until Ctrl-C, before it is stopped.")
    verbosity: Verbosity = group(Verbosity)
    where: Where = group(Where)


@options
class Combine:
    traces: tuple[str, ...] = argument(nargs=-1, required=True, metavar="TRACE...")
    save_trace: str = option("-o", "--save-trace", metavar="FILE", required=True, text="Where the union goes.")


@options
class Import:
    image: str = argument()
    files: tuple[str, ...] = argument(nargs=-1, required=True, metavar="FILE...")
    save_trace: str = option("-o", "--save-trace", metavar="FILE", required=True, text="Where the trace goes.")
    any_image: bool = option("--any-image", text="Take what was recorded of other images too.")
    verbosity: Verbosity = group(Verbosity)
    where: Where = group(Where)


@options
class Pod:
    image: str = argument()
    name: str = option(
        "--name", metavar="NAME", default="recorded", show_default=True, text="Name of the pod and its container."
    )
    args: str | None = option("--args", metavar='"ARGV"', text="Arguments in place of CMD.")
    user: str | None = option("-u", "--user", metavar="U", text="Run as this user instead of the image's USER.")
    where: Where = group(Where)


@options
class Why:
    image: str = argument()
    path: str = argument()
    traces: tuple[str, ...] = option("--trace", metavar="FILE", text="Explain by these traces, not by the last run.")
    policy: Policy = group(Policy)
    where: Where = group(Where)


@options
class Doctor:
    json: bool = option("--json", text="As JSON.")
    on: OnEngine = group(OnEngine)


@options
class Gc:
    dry_run: bool = option("--dry-run", text="Only list.")
    all: bool = option("--all", text="Those of runs on other machines too, however young.")
    on: OnEngine = group(OnEngine)


@options
class Apply:
    image: str = argument()
    lock: str | None = option("--lock", metavar="FILE", text="The lock (default: debloat.lock here).")
    tag: str | None = option("-t", "--tag", metavar="NEW", text="Name of the result (default: NAME:TAG-slim).")
    verify: bool = option(
        "--verify", text="Run the probes of debloat.toml on IMAGE and on the result; tag if the answers agree."
    )
    config: str | None = option(
        *("-c", "--config"),
        metavar="FILE",
        text="Read this debloat.toml (default: the one found here).",
        needs=("--verify",),
    )
    update_lock: bool = option("--update-lock", text="Write the lock again, as the result is now.")
    output: str | None = option(
        "--output", metavar="WHERE", text="Write the image there, as `slim` does; oci:DIR needs no engine."
    )
    canary: str | None = option(
        "--canary",
        metavar="TAG",
        text="Make a canary of the result too, which notes what it lacks, for `debloat heal` (docs/traces.md).",
    )
    attest: str | None = option(
        "--attest", metavar="DIR", text="Write in-toto statements there, as `slim` does; test results with --verify."
    )
    json: str | None = option(
        "--json", metavar="FILE", text="Write the outcome as JSON, with --dry-run the plan; - is stdout."
    )
    force: bool = option(
        "--force", text="Tag the result although it answers differently (exit code stays 5).", needs=("--verify",)
    )
    dry_run: bool = option(
        "--dry-run", text="Only print what would stay, has moved and is gone, and what would be started and written."
    )
    verbosity: Verbosity = group(Verbosity)
    where: Where = group(WhereAll)


@options
class Heal:
    notes: tuple[str, ...] = argument(nargs=-1, required=True, metavar="NOTES...")
    image: str | None = option("--image", metavar="IMAGE", text="The build to cut anew (default: the lock's).")
    any_image: bool = option("--any-image", text="Take what canaries of other builds noted too.")
    lock: str | None = option("--lock", metavar="FILE", text="The lock to add to (default: debloat.lock here).")
    tag: str | None = option("-t", "--tag", metavar="NEW", text="Name of the result (default: NAME:TAG-slim).")
    verify: bool = option(
        "--verify", text="Run the probes of debloat.toml on IMAGE and on the result; tag if the answers agree."
    )
    config: str | None = option(
        *("-c", "--config"),
        metavar="FILE",
        text="Read this debloat.toml (default: the one found here).",
        needs=("--verify",),
    )
    canary: str | None = option(
        "--canary",
        metavar="TAG",
        text="Make a canary of the result too, which notes what it lacks, for `debloat heal` (docs/traces.md).",
    )
    verbosity: Verbosity = group(Verbosity)
    where: Where = group(Where)


@options
class Check:
    image: str | None = argument(required=False)
    lock: str | None = option("--lock", metavar="FILE", text="The lock (default: debloat.lock here, if there is one).")
    config: str | None = option(
        "-c", "--config", metavar="FILE", text="Read rules from this debloat.toml (default: the one found here)."
    )
    probe: bool = option("--probe", text="Replay the probes too.")
    as_is: bool = option("--as-is", text="Look at IMAGE itself, not at what the lock would cut out of it.")
    baseline: str | None = option(
        "--baseline", metavar="FILE", text="Fail on findings that this earlier JSON report does not have."
    )
    fail_on: Literal["error", "warning", "note"] = option(
        "--fail-on", default="error", show_default=True, text="The least severity that fails."
    )
    no_fail: bool = option("--no-fail", text="Exit 0 whatever is found.")
    formats: tuple[str, ...] = option(
        "--format",
        metavar="NAME[=FILE]",
        text="terminal (default), json, sarif, junit, gitlab, github or markdown; may be given several times.",
    )
    output: str | None = option("--output", metavar="FILE", text="Write the last format there, not to standard output.")
    dockerfile: str | None = option(
        "--dockerfile", metavar="FILE", text="Show findings in this file (default: Dockerfile)."
    )
    verbosity: Verbosity = group(Verbosity)
    where: Where = group(Where)


@options
class Diff:
    before: str = argument(metavar="A")
    after: str = argument(metavar="B")
    format: Literal["table", "tree", "json"] = option(
        "--format",
        default="tree",
        show_default=True,
        text="A row for each package, packages with their files, or JSON.",
    )
    json: bool = option("--json", text="The same as --format json.", excludes=("--format table",))
    sort: Literal["size", "files", "name"] = option(
        "--sort",
        default="name",
        show_default=True,
        text="Which package is first: by change of size, by files, by name.",
    )
    limit: int = option(
        "--limit", default=0, type=click.IntRange(min=0), metavar="N", text="Show N packages only. JSON has all."
    )
    files: int = option(
        "--files",
        default=0,
        type=click.IntRange(min=0),
        metavar="N",
        text="Show N files of each package only.",
        needs=("--format tree",),
        excludes=("--json",),
    )
    exit_code: bool = option("--exit-code", text="Exit 1 where they differ.")
    where: Where = group(Where)


@options
class Inspect:
    image: str = argument()
    format: Literal["table", "tree", "json"] = option(
        "--format", default="table", show_default=True, text="Tables, directories as a tree, or JSON (docs/report.md)."
    )
    json: bool = option("--json", text="The same as --format json.", excludes=("--format tree",))
    only: tuple[
        Literal["packages", "unowned", "layers", "binaries", "privileged", "credentials", "duplicates"], ...
    ] = option("--only", text="Show, and look for, this only; may be given several times.")
    sort: Literal["size", "files", "name"] = option(
        "--sort", default="size", show_default=True, text="What is first in tables of packages, places and directories."
    )
    limit: int = option(
        "--limit",
        default=10,
        show_default=True,
        type=click.IntRange(min=0),
        metavar="N",
        text="Rows of each table, names in each directory; 0 is all. JSON has all.",
    )
    depth: int = option(
        "--depth",
        default=3,
        show_default=True,
        type=click.IntRange(min=1),
        metavar="N",
        text="Depth of the tree.",
        needs=("--format tree",),
    )
    where: Where = group(Where)


@options
class Explore:
    image: str = argument()
    minimal: str | None = argument(required=False)
    where: Where = group(Where)


@options
class Sbom:
    image: str = argument()
    format: Literal["cyclonedx", "spdx"] = option(
        "--format", default="cyclonedx", show_default=True, text="Which bill of materials."
    )
    no_files: bool = option("--no-files", text="List packages only, not each file with its digest.")
    output: str | None = option("--output", metavar="FILE", text="Write it there, not to standard output.")
    where: Where = group(Where)


@options
class Vex:
    image: str = argument()
    report: str = option(
        "--report", metavar="FILE", required=True, text="What a scanner says of the original: JSON of Trivy or Grype."
    )
    original: str | None = option(
        "--original", metavar="IMAGE", text="The original (default: the one that IMAGE's labels name)."
    )
    code: tuple[str, ...] = option(
        "--code", metavar="ID=PATH", text="The file of the original that holds the code of this vulnerability."
    )
    format: Literal["openvex", "cyclonedx"] = option(
        "--format", default="openvex", show_default=True, text="Which document."
    )
    output: str | None = option("--output", metavar="FILE", text="Write it there, not to standard output.")
    where: Where = group(Where)


@options
class HookInstall:
    image: str | None = argument(required=False)
    chain: bool = option(
        "--chain", text="Keep a pre-push hook that is there, and run it first.", excludes=("--uninstall",)
    )
    uninstall: bool = option("--uninstall", text="Remove the hook, and put back the one it was chained to.")


@options
class HookRun:
    image: str | None = argument(required=False)


@options
class Debug:
    container: str = argument()
    command: tuple[str, ...] = argument(nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND...]")
    image: str | None = option(
        "--image", metavar="IMAGE", text="Whose tools to use (default: the original that the labels name)."
    )
    notes: str | None = option(
        "--notes", metavar="FILE", text="Write there what was looked up in vain, for `debloat heal`."
    )


@options
class PluginInstall:
    """Nothing can be said to it."""


@options
class PluginUninstall:
    """Nothing can be said to it."""


@options
class Completion:
    shell: Literal["bash", "zsh", "fish"] = argument(type=click.Choice(("bash", "zsh", "fish")))


__all__ = ["CONTEXT", "argument", "group", "option", "options", "parameters", "value", "verb"]
