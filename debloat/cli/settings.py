"""From the options of the command line and the configuration file to a recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from debloat.cli.options import Policy, Probes
from debloat.core import config, table
from debloat.core.errors import UsageError
from debloat.core.recipe import Recipe, Settings, recipe
from debloat.core.reference import must_be_name


def recipe_of(
    probes: Probes, policy: Policy | None = None, directory: Path | None = None, tests: tuple[str, ...] = ()
) -> Recipe:
    """The recipe: the configuration's settings (`-c`, else what is found in the directory), flags and tests on top.

    UsageError for what the run would end by (`must_be_usable`).
    """
    from debloat.record.concrete import must_be_usable  # all protocols: what asks nothing does not load them

    given = replace(settings_of(probes, policy or Policy()), tests=tests)
    found = recipe(table.merged(configuration(probes.config, directory), given))
    must_be_usable(found)
    return found


def target_of(tag: str | None, option: str = "-t") -> str:
    """The name given to the result, empty for none; UsageError for one that no image can have."""
    if tag:
        must_be_name(tag, option)
    return tag or ""


def configuration(named: str | None, directory: Path | None = None) -> Settings:
    """The settings of the configuration file that is named, or found in `directory` (default: here)."""
    path = Path(named) if named else config.find(directory or Path())
    return config.read(path) if path else Settings()


def settings_of(probes: Probes, policy: Policy) -> Settings:
    """Command line options as settings, checked by the same rows as those of a file."""
    run_options = {
        "env": _environment(probes.env),
        "volumes": probes.volumes,
        "network": probes.network,
        "user": probes.user,
        "read_only": probes.read_only,
        "tmpfs": probes.tmpfs,
        "init": probes.init,
    }
    values = {
        "http": probes.http,
        "crawl": probes.crawl,
        "openapi": probes.openapi,
        "har": probes.har,
        "probe": probes.probe,
        "run": probes.run,
        "exec": probes.exec,
        "args": probes.args,
        "level": policy.level,
        "keep": policy.keep,
        "drop": policy.drop,
        "keep_packages": policy.keep_packages,
        "run_options": {key: value for key, value in run_options.items() if value},
    }
    return config.settings({key: value for key, value in values.items() if value})


def _environment(given: tuple[str, ...]) -> dict[str, str]:
    environment = {}
    for item in given:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise UsageError(f"-e {item!r} is not K=V", "write -e NAME=VALUE")
        environment[key] = value
    return environment
