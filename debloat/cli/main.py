"""The command line: its verbs. The options of each stand in `options.py`, what it does in a module of its own.

These modules are imported when they are called: loading the command line has to be quick.
"""

from __future__ import annotations

import contextlib
import errno
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

import click

from debloat.cli import fleetoptions, options
from debloat.cli.engines import Engines
from debloat.cli.options import CONTEXT, verb
from debloat.core.errors import DebloatError, Interrupted, UsageError
from debloat.core.garbage import seldom_collected
from debloat.core.signals import ENDING

if TYPE_CHECKING:
    from debloat.engine.base import Engine

CLOSED_PIPE = 141
"""128 + SIGPIPE, as a shell shows it."""


class Verbs(click.Group):
    """A group whose default command is `slim`: `debloat IMAGE` needs no verb."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"-h", "--help", "--version"}
        if args and args[0] not in self.commands and args[0] not in own:
            args = ["slim", *args]
        return super().parse_args(ctx, args)


def _show_version(context: click.Context, option: click.Parameter, asked: bool) -> None:
    if asked:
        from debloat import __version__

        click.echo(f"debloat, version {__version__}")
        context.exit()


@click.group(cls=Verbs, context_settings=CONTEXT, invoke_without_command=True)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Cut a Debian-based container image down to what its application can reach.

    \b
    debloat IMAGE[:TAG]        watch it, cut it, prove it: makes IMAGE:TAG-slim
    debloat IMAGE --http /     the same, exercising GET / on its port

    IMAGE may lie elsewhere: docker-archive:FILE, oci:DIR, oci-archive:FILE, docker://REGISTRY/NAME:TAG.

    The resulting reference is printed on stdout; everything else goes to stderr.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@verb(cli, options.Slim)
def slim(given: options.Slim, engines: Engines) -> None:
    """Make the minimal image of IMAGE and prove it (the default command)."""
    from debloat.cli import jobs

    jobs.slim(given, engines)


@verb(cli, options.Run)
def run(given: options.Run, engines: Engines) -> None:
    """Make the minimal image of IMAGE by tests of yours: COMMAND runs here, and its exit code is an answer.

    \b
    debloat run shop:1 -- pytest tests/e2e

    COMMAND finds the container by DEBLOAT_URL, DEBLOAT_HOST, DEBLOAT_PORT and DEBLOAT_PORT_80.
    """
    from debloat.cli import run as command

    command.run(given, engines)


@verb(cli, options.Build)
def build(given: options.Build, engines: Engines) -> None:
    """Build CONTEXT with docker build, then make its minimal image."""
    from debloat.cli import build as command

    command.build(given, engines)


@verb(cli, options.Compose)
def compose(given: options.Compose, engines: Engines) -> None:
    """Start a stack with Compose, and make and prove the minimal images of SERVICEs in it (docs/compose.md)."""
    from debloat.cli import compose as command

    command.compose(given, engines)


@verb(cli, options.Init)
def init(given: options.Init, engines: Engines) -> None:
    """Write a debloat.toml to begin with, of what IMAGE says of itself; without IMAGE, of every key."""
    from debloat.cli import init as command

    command.init(given, engines)


@verb(cli, options.Record)
def record(given: options.Record, engines: Engines) -> None:
    """Only record: exercise IMAGE and save the trace."""
    from debloat.cli import record as command

    command.record(given, engines)


@verb(cli, options.Combine)
def combine(given: options.Combine, engines: Engines) -> None:
    """Unite several traces into one."""
    from debloat.cli import record as command

    command.combine(given, engines)


@verb(cli, options.Import, "import")
def import_(given: options.Import, engines: Engines) -> None:
    """Make a trace for IMAGE of what others recorded: strace -f, Inspektor Gadget, Kubescape, the sensor in a pod."""
    from debloat.cli import imported as command

    command.import_(given, engines)


@verb(cli, options.Pod)
def pod(given: options.Pod, engines: Engines) -> None:
    """Print a Kubernetes manifest that runs IMAGE recorded: a pod, and the sensor in a ConfigMap."""
    from debloat.cli import pod as command

    command.pod(given, engines)


@verb(cli, options.Why)
def why(given: options.Why, engines: Engines) -> None:
    """Explain why PATH is kept in the minimal image of IMAGE, or why it is not."""
    from debloat.cli import why as command

    command.why(given, engines)


@verb(cli, options.Doctor)
def doctor(given: options.Doctor, engines: Engines) -> None:
    """Check what works on this machine, and how to fix what does not."""
    from debloat.cli import doctor as command

    command.doctor(given, engines)


@verb(cli, options.Gc)
def gc(given: options.Gc, engines: Engines) -> None:
    """Remove containers, networks, volumes, images and directories that killed runs left; not those of runs at work."""
    from debloat.cli import gc as command

    command.gc(given, engines)


@verb(cli, options.Lock)
def lock(given: options.Lock, engines: Engines) -> None:
    """Make the minimal image of IMAGE and write its lock (default: debloat.lock)."""
    from debloat.cli import lock as command

    command.lock(given, engines)


@verb(cli, options.Apply)
def apply(given: options.Apply, engines: Engines) -> None:
    """Make the minimal image of IMAGE, a newer build, by a lock, without running it."""
    from debloat.cli import jobs

    jobs.apply(given, engines)


@verb(cli, options.Heal)
def heal(given: options.Heal, engines: Engines) -> None:
    """Add what canaries noted in NOTES (canary.jsonl, logs) to the lock, and make the minimal image anew."""
    from debloat.cli import heal as command

    command.heal(given, engines)


@verb(cli, options.Check)
def check(given: options.Check, engines: Engines) -> None:
    """Check IMAGE (default: the lock's) against its lock and the rules of debloat.toml; exit 1 where it fails."""
    from debloat.cli import check as command

    command.check(given, engines)


@verb(cli, options.Diff)
def diff(given: options.Diff, engines: Engines) -> None:
    """Compare two images, locks or traces, by package and by file."""
    from debloat.cli import diff as command

    command.diff(given, engines)


@verb(cli, options.Inspect)
def inspect(given: options.Inspect, engines: Engines) -> None:
    """Show what is in IMAGE: size, packages, attack surface, base."""
    from debloat.cli import inspect as command

    command.inspect(given, engines)


@verb(cli, options.Explore)
def explore(given: options.Explore, engines: Engines) -> None:
    """Look around in IMAGE on the terminal: by path, package and layer, what stays (in MINIMAL) and why."""
    from debloat.cli import explore as command

    command.explore(given, engines)


@verb(cli, options.Sbom)
def sbom(given: options.Sbom, engines: Engines) -> None:
    """Write the software bill of materials of IMAGE as JSON."""
    from debloat.cli import sbom as command

    command.sbom(given, engines)


@verb(cli, options.Vex)
def vex(given: options.Vex, engines: Engines) -> None:
    """Write which vulnerabilities that a scanner found in the original are shown not to be in IMAGE."""
    from debloat.cli import vex as command

    command.vex(given, engines)


@verb(cli, options.Debug)
def debug(given: options.Debug, engines: Engines) -> None:
    """Run a shell, or COMMAND, with the original's tools beside a running CONTAINER: its network, its processes.

    The container is left as it is; its files are below /proc/1/root. What is looked up there in vain although the
    original has it is told at the end.
    """
    from debloat.cli import debug as command

    command.debug(given, engines)


debug.allow_interspersed_args = False  # what follows the container is the command's own


@cli.group(context_settings=CONTEXT)
def fleet() -> None:
    """Do the same with many images, which a file names: FILE, by default fleet.toml."""


@verb(fleet, fleetoptions.FleetRun, "run")
def fleet_run(given: fleetoptions.FleetRun, engines: Engines) -> None:
    """Make and prove the minimal image of each image of FILE that has none yet; write its lock."""
    from debloat.cli import fleet as command
    from debloat.fleet.model import Verb

    command.do(given, engines, Verb.RUN)


@verb(fleet, fleetoptions.FleetApply, "apply")
def fleet_apply(given: fleetoptions.FleetApply, engines: Engines) -> None:
    """Make the minimal image of each image of FILE by its lock, without running it."""
    from debloat.cli import fleet as command
    from debloat.fleet.model import Verb

    command.do(given, engines, Verb.APPLY)


@verb(fleet, fleetoptions.FleetCheck, "check")
def fleet_check(given: fleetoptions.FleetCheck, engines: Engines) -> None:
    """Check each image of FILE against its lock and the rules of its recipe."""
    from debloat.cli import fleet as command
    from debloat.fleet.model import Verb

    command.do(given, engines, Verb.CHECK)


@verb(fleet, fleetoptions.FleetStatus, "status")
def fleet_status(given: fleetoptions.FleetStatus, engines: Engines) -> None:
    """Show what was done with the images of FILE, as it was noted; no engine is asked."""
    from debloat.cli import fleet as command

    command.status(given)


@verb(fleet, fleetoptions.FleetPlan, "plan")
def fleet_plan(given: fleetoptions.FleetPlan, engines: Engines) -> None:
    """Print what would be done with the images of FILE, or jobs for others that do it. Nothing is started."""
    from debloat.cli import fleet as command

    command.plan(given, engines)


@verb(fleet, fleetoptions.FleetWork, "work")
def fleet_work(given: fleetoptions.FleetWork, engines: Engines) -> None:
    """Carry out one task of a plan, a file or standard input: what workers and jobs run."""
    from debloat.cli import fleet as command

    command.work(given, engines)


@cli.group(context_settings=CONTEXT)
def hook() -> None:
    """Check before every git push."""


@verb(hook, options.HookInstall, "install")
def hook_install(given: options.HookInstall, engines: Engines) -> None:
    """Install a pre-push hook in the git repository here: `debloat check IMAGE` when something relevant changed."""
    from debloat.cli import hook as command

    command.install(given)


@verb(hook, options.HookRun, "run")
def hook_run(given: options.HookRun, engines: Engines) -> None:
    """Check if something relevant changed since the last check that passed: what the hook runs."""
    from debloat.cli import hook as command

    command.run(given, engines)


@cli.group(context_settings=CONTEXT)
def plugin() -> None:
    """Say `docker debloat`."""


@verb(plugin, options.PluginInstall, "install")
def plugin_install(given: options.PluginInstall, engines: Engines) -> None:
    """Make this debloat a plug-in of the docker command, in $DOCKER_CONFIG/cli-plugins (default: ~/.docker)."""
    from debloat.cli import plugin as command

    command.install()


@verb(plugin, options.PluginUninstall, "uninstall")
def plugin_uninstall(given: options.PluginUninstall, engines: Engines) -> None:
    """Remove the plug-in."""
    from debloat.cli import plugin as command

    command.uninstall()


@verb(cli, options.Completion)
def completion(given: options.Completion, engines: Engines) -> None:
    """Print what makes SHELL complete verbs and options.

    \b
    debloat completion bash > ~/.local/share/bash-completion/completions/debloat
    debloat completion fish > ~/.config/fish/completions/debloat.fish
    debloat completion zsh  > _debloat       in a directory of $fpath, before compinit
    """
    from debloat.cli import completion as command

    command.completion(given.shell, cli)


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


def main(argv: list[str] | None = None, connect: Callable[[], Engine] | None = None) -> int:
    """Run the command line; the exit code. Errors go to stderr as "debloat: MESSAGE" and a line of advice.

    `connect` makes the engine that verbs get; by default the one that the environment names.
    """
    with interruptible(), seldom_collected():
        return _run(argv, Engines(connect))


def _run(argv: list[str] | None, engines: Engines) -> int:
    try:
        code = cli.main(argv, prog_name="debloat", standalone_mode=False, obj=engines)
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
    """Print what is wrong and what to do; the exit code of its kind."""
    from debloat.core.text import printable

    click.echo(f"debloat: {printable(error.message)}", err=True)
    if error.hint:
        click.echo(f"  hint: {printable(error.hint)}", err=True)
    return error.exit_code
