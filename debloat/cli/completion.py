"""`debloat completion SHELL`: what makes a shell complete the verbs and options, as click writes it."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from debloat.core.errors import UsageError


def completion(shell: str, cli: click.Command) -> None:
    """Print the script for the shell."""
    made = get_completion_class(shell)
    if made is None:
        raise UsageError(f"cannot complete in {shell}: click does not know it", "name bash, zsh or fish")
    click.echo(made(cli, {}, "debloat", "_DEBLOAT_COMPLETE").source())
