"""Rules: what belongs to what is kept. One subject a module; each exports `RULES`."""

from __future__ import annotations

import functools
import importlib

from debloat.closure import Rule
from debloat.core.platform import Platform

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
    "debloat.rules.system.accounts",
    "debloat.rules.knowledge.families",
    "debloat.rules.knowledge.plugins",
    "debloat.rules.system.links",
    "debloat.rules.knowledge.tools",
    "debloat.rules.system.configfiles",
    "debloat.rules.system.pam",
    "debloat.rules.languages.shell.rules",
    "debloat.rules.languages.python.rules",
    "debloat.rules.languages.python.programs",
    "debloat.rules.languages.node.rules",
    "debloat.rules.languages.perl.rules",
    "debloat.rules.languages.ruby.rules",
    "debloat.rules.languages.php.rules",
    "debloat.rules.languages.java.rules",
    "debloat.rules.languages.java.classfile",
    "debloat.rules.subprocesses",
    "debloat.rules.languages.compiled.rules",
    "debloat.rules.system.package",
)
"""Every module with rules. Their order does not matter to a closure."""


@functools.cache
def all_rules() -> tuple[Rule, ...]:
    """The rules of every module; each runs from its own level on."""
    return tuple(rule for name in MODULES for rule in importlib.import_module(name).RULES)


def prepare(platform: Platform) -> None:
    """Load the rules and what they have ready for every image of a platform: for a moment that waits anyway."""
    from debloat.rules.knowledge.families import compile_all

    all_rules()
    compile_all(platform)
