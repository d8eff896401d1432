"""`debloat hook install` and `debloat hook run`. What is slow to import is imported once something has changed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import click

from debloat.cli.engines import Engines
from debloat.cli.options import Check, HookInstall, HookRun, Verbosity
from debloat.core.errors import DebloatError, UsageError
from debloat.gate import hooks


def install(options: HookInstall) -> None:
    """Install or remove the hook of the repository here."""
    hooks.git_directory(Path.cwd())
    done = subprocess.run(["git", "rev-parse", "--git-path", "hooks"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UsageError(f"git does not say where its hooks are: {done.stderr.strip()}", "does `git status` work here?")
    directory = Path(done.stdout.rstrip("\n"))
    if options.uninstall:
        removed = hooks.uninstall(directory)
        click.echo("removed the pre-push hook" if removed else "there is no pre-push hook of debloat", err=True)
        return
    hook = hooks.install(directory, options.image, chain=options.chain)
    click.echo(f"installed {hook}; skip it once with `git push --no-verify`", err=True)


def run(options: HookRun, engines: Engines) -> None:
    """Check unless nothing relevant has changed. Errors say that the push was refused, and by what."""
    directory = Path.cwd()
    stamp = hooks.git_directory(directory) / hooks.STAMP
    reference = options.image or hooks.locked_reference(directory)
    if not reference:
        raise UsageError(
            "there is no image to check before the push",
            "name it in the hook (`debloat hook install IMAGE`), or write a lock with `debloat lock IMAGE`",
        )
    image_id = hooks.image_id(reference)
    if image_id == "":
        raise UsageError(
            f"the image {reference} is not on this engine, so the push cannot be checked",
            "build it, then push again; `git push --no-verify` skips the check",
        )
    now = hooks.state(directory, image_id or "")
    if image_id and hooks.unchanged(stamp, now):
        return
    if hooks.stale(stamp, now):
        click.echo(f"debloat: the build context has changed, {reference} has not: is it built from it?", err=True)
    _check(reference, engines)
    hooks.remember(stamp, now)


def _check(reference: str, engines: Engines) -> None:
    from debloat.cli.check import refusal, report_of

    try:
        report = report_of(Check(reference, verbosity=Verbosity(quiet=True)), engines)
    except DebloatError as error:
        error.hint = (error.hint + "; " if error.hint else "") + "`git push --no-verify` skips the check"
        raise
    if not report.passed:
        raise refusal(report)
