"""The command line: what can be said. What is then done stands in `debloat.commands`, imported when it is needed."""

from __future__ import annotations

import contextlib
import errno
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import click

from debloat import __version__
from debloat.core.errors import DebloatError, Interrupted, UsageError
from debloat.core.signals import ENDING

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}

CLOSED_PIPE = 141
"""128 + SIGPIPE, as a shell shows it."""

Command = Callable[..., Any]


def options(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several click options as one decorator."""

    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


PROBES = options(
    click.option(
        "--http", multiple=True, metavar="[METHOD ]PATH", help="Ask this over HTTP. `:PORT/PATH` picks a port."
    ),
    click.option("--run", "run_", multiple=True, metavar="HOSTCMD", help="Run a client or test suite on this machine."),
    click.option("--exec", "exec_", multiple=True, metavar="CMD", help="Run a command inside the container."),
    click.option(
        "--args", multiple=True, metavar='"ARGV"', help="One more scenario: start it with these in place of CMD."
    ),
    click.option("-e", "--env", multiple=True, metavar="K=V", help="Environment of the container."),
    click.option("-v", "--volume", multiple=True, metavar="VOL", help="Volume or bind mount, as `docker run` has it."),
    click.option("--network", metavar="N", help="Network of the container."),
    click.option("-u", "--user", metavar="U", help="Run as this user instead of the image's USER."),
    click.option("--read-only", is_flag=True, help="Run with a read-only root file system."),
    click.option("--tmpfs", multiple=True, metavar="PATH", help="Mount a tmpfs there."),
    click.option("--init", is_flag=True, help="Run an init as PID 1, as `docker run --init` does."),
    click.option("-c", "--config", metavar="FILE", help="Read this debloat.toml (default: the one found here)."),
    click.option(
        "--mechanism",
        type=click.Choice(["auto", "notify", "ptrace"]),
        default="auto",
        show_default=True,
        help="How file accesses are recorded.",
    ),
)
POLICY = options(
    click.option(
        "--level",
        type=click.Choice(["exact", "safe", "package"]),
        help="How far beyond the trace to keep: what was touched; what can be reached (default); whole packages.",
    ),
    click.option("--keep", multiple=True, metavar="GLOB", help="Keep what matches, and all below it."),
    click.option("--drop", multiple=True, metavar="GLOB", help="Drop what matches, whatever wants it."),
    click.option("--keep-package", "keep_packages", multiple=True, metavar="NAME", help="Keep this package whole."),
)
RESULT = options(
    click.option("-t", "--tag", metavar="NEW", help="Name of the result (default: NAME:TAG-slim)."),
    click.option("--trace", "traces", multiple=True, metavar="FILE", help="Add a saved trace."),
    click.option("--save-trace", metavar="FILE", help="Save what was recorded."),
    click.option("--lock", metavar="FILE", help="Write the lock, for `apply` and `check` (docs/lock.md)."),
    click.option("--output", metavar="FILE.tar", help="Write the image as an archive too (docker load, OCI layout)."),
    click.option("--json", "json_", metavar="FILE", help="Write the report as JSON (docs/report.md); - is stdout."),
    click.option("--html", metavar="FILE", help="Write the report as a page."),
    click.option("--no-verify", is_flag=True, help="Do not replay the probes on the result."),
    click.option("--force", is_flag=True, help="Tag the result although it answers differently (exit code stays 5)."),
)
QUIETNESS = options(
    click.option("-q", "--quiet", is_flag=True, help="Say nothing but the result and errors."),
    click.option("--verbose", is_flag=True, help="Say more on the way."),
)


class Verbs(click.Group):
    """A group whose default command is `slim`: `debloat IMAGE` needs no verb."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"-h", "--help", "--version"}
        if args and args[0] not in self.commands and args[0] not in own:
            args = ["slim", *args]
        return super().parse_args(ctx, args)


@click.group(cls=Verbs, context_settings=CONTEXT, invoke_without_command=True)
@click.version_option(__version__, prog_name="debloat")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Cut a Debian-based container image down to what its application can reach.

    \b
    debloat IMAGE[:TAG]        watch it, cut it, prove it: makes IMAGE:TAG-slim
    debloat IMAGE --http /     the same, exercising GET / on its port

    The resulting reference is printed on stdout; everything else goes to stderr.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@cli.command(context_settings=CONTEXT)
@click.argument("image")
@PROBES
@POLICY
@RESULT
@QUIETNESS
def slim(**given: Any) -> None:
    """Make the minimal image of IMAGE and prove it (the default command)."""
    from debloat.cli.slim import run

    run(**given)


@cli.command(context_settings=CONTEXT)
@click.argument("context", default=".")
@click.option(
    "-f", "--file", "dockerfile", metavar="Dockerfile", help="Dockerfile to build (default: CONTEXT/Dockerfile)."
)
@click.option(
    "--build-arg", "build_args", multiple=True, metavar="K=V", help="Build argument, as `docker build` has it."
)
@click.option("--target", metavar="STAGE", help="Build stage to stop at.")
@click.option(
    "--build-option", "build_options", multiple=True, metavar="OPT", help="Any other option of `docker build`."
)
@PROBES
@POLICY
@RESULT
@QUIETNESS
def build(**given: Any) -> None:
    """Build CONTEXT with docker build, then make its minimal image."""
    from debloat.cli.build import run

    run(**given)


@cli.command(context_settings=CONTEXT)
@click.argument("image")
@PROBES
@click.option("--save-trace", metavar="FILE", required=True, help="Where the trace goes.")
@QUIETNESS
def record(**given: Any) -> None:
    """Only record: exercise IMAGE and save the trace."""
    from debloat.cli.record import run

    run(**given)


@cli.command(context_settings=CONTEXT)
@click.argument("traces", nargs=-1, required=True, metavar="TRACE...")
@click.option("-o", "--save-trace", metavar="FILE", required=True, help="Where the union goes.")
def combine(**given: Any) -> None:
    """Unite several traces into one."""
    from debloat.cli.record import unite

    unite(**given)


@cli.command(context_settings=CONTEXT)
@click.argument("image")
@click.argument("path")
@click.option("--trace", "traces", multiple=True, metavar="FILE", help="Explain by these traces, not by the last run.")
@POLICY
def why(**given: Any) -> None:
    """Say why PATH is kept in the minimal image of IMAGE, or why it is not."""
    from debloat.cli.why import run

    run(**given)


@cli.command(context_settings=CONTEXT)
@click.option("--json", "json_", is_flag=True, help="As JSON.")
def doctor(**given: Any) -> None:
    """Say what works here, and what to do about what does not."""
    from debloat.cli.doctor import run

    run(**given)


@cli.command(context_settings=CONTEXT)
@click.option("--dry-run", is_flag=True, help="Only list.")
@click.option("--all", "all_", is_flag=True, help="Those of runs on other machines too, however young.")
def gc(**given: Any) -> None:
    """Remove containers, unproven images and scratch directories that killed runs left; not those of runs at work."""
    from debloat.cli.gc import run

    run(**given)


@cli.command(context_settings=CONTEXT)
@click.argument("image")
@PROBES
@POLICY
@RESULT
@QUIETNESS
def lock(**given: Any) -> None:
    """Make the minimal image of IMAGE and write its lock (default: debloat.lock)."""
    from debloat.cli.lock import run

    run(**given)


@cli.command(context_settings=CONTEXT)
@click.argument("image")
@click.option("--lock", metavar="FILE", help="The lock (default: debloat.lock here).")
@click.option("-t", "--tag", metavar="NEW", help="Name of the result (default: NAME:TAG-slim).")
@click.option("--verify", is_flag=True, help="Ask IMAGE and the result the probes of debloat.toml; tag if they agree.")
@click.option("-c", "--config", metavar="FILE", help="Read this debloat.toml (default: the one found here).")
@click.option("--update-lock", is_flag=True, help="Write the lock again, as the result is now.")
@click.option("--output", metavar="FILE.tar", help="Write the image as an archive too.")
@click.option("--json", "json_", metavar="FILE", help="Write what came of it as JSON.")
@click.option("--force", is_flag=True, help="Tag the result although it answers differently (exit code stays 5).")
@QUIETNESS
def apply(**given: Any) -> None:
    """Make the minimal image of IMAGE, a newer build, by a lock, without running it."""
    from debloat.cli.apply import run

    run(**given)


@cli.command(context_settings=CONTEXT)
@click.argument("image", required=False)
@click.option("--lock", metavar="FILE", help="The lock (default: debloat.lock here, if there is one).")
@click.option("-c", "--config", metavar="FILE", help="Read rules from this debloat.toml (default: the one found here).")
@click.option("--probe", is_flag=True, help="Replay the probes too.")
@click.option("--as-is", is_flag=True, help="Look at IMAGE itself, not at what the lock would cut out of it.")
@click.option("--baseline", metavar="FILE", help="Fail on findings that this earlier JSON report does not have.")
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "note"]),
    default="error",
    show_default=True,
    help="The least severity that fails.",
)
@click.option("--no-fail", is_flag=True, help="Exit 0 whatever is found.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    metavar="NAME[=FILE]",
    help="terminal (default), json, sarif, junit, gitlab, github or markdown; may be given several times.",
)
@click.option("--output", metavar="FILE", help="Write the last format there, not to standard output.")
@click.option("--dockerfile", metavar="FILE", help="Show findings in this file (default: Dockerfile).")
@QUIETNESS
def check(**given: Any) -> None:
    """Hold IMAGE (default: the lock's) against its lock and the rules of debloat.toml; exit 1 where it fails."""
    from debloat.cli.check import run

    run(**given)


@cli.command(context_settings=CONTEXT)
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@click.option("--files", type=click.IntRange(min=0), default=0, metavar="N", help="Show N files of each package only.")
@click.option("--exit-code", is_flag=True, help="Exit 1 where they differ.")
def diff(**given: Any) -> None:
    """Compare two images, locks or traces, by package and by file."""
    from debloat.cli.diff import run

    run(**given)


@cli.command(context_settings=CONTEXT)
@click.argument("image")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
def inspect(**given: Any) -> None:
    """Say what IMAGE amounts to: size, packages, what an attacker would like, its base."""
    from debloat.cli.inspect import run

    run(**given)


@cli.command(context_settings=CONTEXT)
@click.argument("image")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["cyclonedx", "spdx"]),
    default="cyclonedx",
    show_default=True,
    help="Which bill of materials.",
)
@click.option("--output", metavar="FILE", help="Write it there, not to standard output.")
def sbom(**given: Any) -> None:
    """Write the software bill of materials of IMAGE as JSON."""
    from debloat.cli.sbom import run

    run(**given)


@cli.group(context_settings=CONTEXT)
def hook() -> None:
    """Check before every git push."""


@hook.command("install", context_settings=CONTEXT)
@click.argument("image", required=False)
@click.option("--chain", is_flag=True, help="Keep a pre-push hook that is there, and run it first.")
@click.option("--uninstall", is_flag=True, help="Remove the hook, and put back the one it was chained to.")
def hook_install(**given: Any) -> None:
    """Install a pre-push hook in the git repository here: `debloat check IMAGE` when something relevant changed."""
    from debloat.cli.hook import install

    install(**given)


@hook.command("run", context_settings=CONTEXT)
@click.argument("image", required=False)
def hook_run(**given: Any) -> None:
    """Check if something relevant changed since the last check that passed: what the hook runs."""
    from debloat.cli.hook import run

    run(**given)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """A block that SIGINT, SIGTERM and SIGHUP end with `Interrupted`, so that what has begun is given back."""

    def caught(number: int, frame: FrameType | None) -> None:
        raise Interrupted(f"interrupted by {signal.Signals(number).name}")

    previous = {}
    with contextlib.suppress(ValueError):  # not the main thread: the caller handles signals
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                previous[number] = signal.signal(number, caught)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit code. Errors go to stderr as "debloat: MESSAGE" and a line of advice."""
    with interruptible():
        return _run(argv)


def _run(argv: list[str] | None) -> int:
    try:
        code = cli.main(argv, prog_name="debloat", standalone_mode=False)
    except SystemExit:
        return CLOSED_PIPE  # click leaves this way, and only then: nobody reads standard output any more
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show(sys.stderr)
        return 2
    except Interrupted as error:
        click.echo(f"debloat: {error.message}", err=True)
        return Interrupted.exit_code
    except (KeyboardInterrupt, click.Abort):
        return Interrupted.exit_code
    except DebloatError as error:
        return complain(error)
    except BrokenPipeError:
        return CLOSED_PIPE
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            return _bug(error)
        return complain(UsageError(f"cannot write the output: {error.strerror}", "send it to a place with room"))
    except Exception as error:
        return _bug(error)
    return code if isinstance(code, int) else 0  # click gives the code of `ctx.exit` back, else what a command returned


def _bug(error: Exception) -> int:
    import traceback

    traceback.print_exception(error)
    return complain(
        DebloatError(f"internal error: {type(error).__name__}: {error}", "please report it with the lines above")
    )


def complain(error: DebloatError) -> int:
    """Say what is wrong and what to do; the exit code of its kind."""
    from debloat.core.text import printable

    click.echo(f"debloat: {printable(error.message)}", err=True)
    if error.hint:
        click.echo(f"  hint: {printable(error.hint)}", err=True)
    return error.exit_code
