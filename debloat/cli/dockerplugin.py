"""`docker debloat`: the command line as a plug-in of Docker's.

docker finds executables called `docker-NAME` in the directory `cli-plugins` of its configuration, asks each for
`docker-cli-plugin-metadata`, and runs it with all arguments that it was given, global options first (docker/cli,
`cli-plugins`).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

import click

from debloat import __version__

NAME = "debloat"

METADATA = {
    "SchemaVersion": "0.1.0",
    "Vendor": "debloat",
    "Version": __version__,
    "ShortDescription": "Cut an image down to what its application can reach",
    "URL": "https://github.com/debloat/debloat",
}

_ENVIRONMENT = {
    "--config": "DOCKER_CONFIG",
    "--context": "DOCKER_CONTEXT",
    "-c": "DOCKER_CONTEXT",
    "--host": "DOCKER_HOST",
    "-H": "DOCKER_HOST",
}
"""Global options of docker that say which engine is meant, by the variables that say the same."""

_WITH_VALUE = ("-l", "--log-level", "--tlscacert", "--tlscert", "--tlskey")


def own_arguments(argv: Sequence[str]) -> list[str]:
    """The arguments after docker's own; what these say of the engine is put into the environment."""
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == NAME:
            return rest
        option, equals, value = word.partition("=")
        if option in _ENVIRONMENT or option in _WITH_VALUE:
            value = value if equals else rest.pop(0) if rest else ""
            if variable := _ENVIRONMENT.get(option):
                os.environ[variable] = value
        elif not word.startswith("-"):
            return [word, *rest]
    return []


def main() -> int:
    """What docker runs."""
    if sys.argv[1:2] == ["docker-cli-plugin-metadata"]:
        click.echo(json.dumps(METADATA))
        return 0
    from debloat.cli.main import main as command

    return command(own_arguments(sys.argv[1:]))


if __name__ == "__main__":
    sys.exit(main())
