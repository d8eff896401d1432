"""Rules: what belongs to what is kept. One subject a module; each exports `RULES`."""

from __future__ import annotations

import functools
import importlib

from debloat.closure import Rule

MODULES = (
    "debloat.rules.trace",
    "debloat.rules.config",
    "debloat.rules.kernel",
    "debloat.rules.elf",
    "debloat.rules.glibc",
    "debloat.debian.prune",
    "debloat.rules.application",
    "debloat.rules.repositories",
    "debloat.rules.accounts",
    "debloat.rules.families",
    "debloat.rules.plugins",
    "debloat.rules.links",
    "debloat.rules.tools",
    "debloat.rules.configfiles",
    "debloat.rules.pam",
    "debloat.rules.shell",
    "debloat.rules.python",
    "debloat.rules.node",
    "debloat.rules.perl",
    "debloat.rules.ruby",
    "debloat.rules.php",
    "debloat.rules.java",
    "debloat.rules.subprocesses",
    "debloat.rules.classfile",
    "debloat.rules.compiled",
    "debloat.rules.package",
)
"""Every module with rules. Their order does not matter to a closure."""


@functools.cache
def all_rules() -> tuple[Rule, ...]:
    """The rules of every module; each runs from its own level on."""
    return tuple(rule for name in MODULES for rule in importlib.import_module(name).RULES)


def prepare(architecture: str) -> None:
    """Load the rules and what they have ready for every image of an architecture: for a moment that waits anyway."""
    from debloat.rules.families import compile_all

    all_rules()
    compile_all(architecture)
