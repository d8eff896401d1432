"""Rules: what belongs to what is kept. One subject a module; each exports `RULES`, and a language names its own."""

from __future__ import annotations

import functools
import importlib

from debloat.closure import Rule, World
from debloat.core.model import Level
from debloat.core.parsed import cache_path
from debloat.core.platform import Platform
from debloat.rules import languages

MODULES = (
    "debloat.rules.recorded.trace",
    "debloat.rules.system.config",
    "debloat.rules.system.environment",
    "debloat.rules.system.kernel",
    "debloat.rules.system.elf",
    "debloat.rules.system.glibc",
    "debloat.rules.system.database",
    "debloat.rules.application.survey",
    "debloat.rules.application.repositories",
    "debloat.rules.application.payload",
    "debloat.rules.application.modules",
    "debloat.rules.application.shipped",
    "debloat.rules.application.mentions",
    "debloat.rules.application.bare",
    "debloat.rules.application.libraries",
    "debloat.rules.system.accounts",
    "debloat.rules.knowledge.families",
    "debloat.rules.knowledge.plugins",
    "debloat.rules.system.links",
    "debloat.rules.knowledge.tools",
    "debloat.rules.system.configfiles",
    "debloat.rules.system.pam",
    "debloat.rules.subprocesses",
    "debloat.rules.system.package",
)
"""The modules with rules that speak of no language. Their order, as that of languages, does not matter to a closure."""


@functools.cache
def all_rules() -> tuple[Rule, ...]:
    """The rules of every module and language; each runs from its own level on."""
    modules = (*MODULES, *languages.rule_modules())
    return tuple(rule for name in modules for rule in importlib.import_module(name).RULES)


def prepare(platform: Platform) -> None:
    """Load the rules and what they have ready for every image of a platform: for a moment that waits anyway.

    The parser of ELF files takes a third of a second to load. Where an earlier run has left what it read, this one may
    well need it no more.
    """
    from debloat.rules.knowledge import families

    all_rules()
    families.prepare(platform)
    if not cache_path().exists():
        import debloat.elf.parser  # noqa: F401 # for its time


def prepare_image(world: World) -> None:
    """Derive what takes time and follows from the image alone, as soon as that is read; `world` has no trace yet.

    Below `safe` no rule asks for it. Where packages may be the application's, the trace decides which are, and with it
    whose the files are.
    """
    from debloat.rules.application import shipped, survey
    from debloat.rules.knowledge import plugins

    if world.policy.highest >= Level.SAFE and not shipped.foreign_packages(world):
        survey.survey(world)
        plugins.private_directories(world)
