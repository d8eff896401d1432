"""Whether rules declare all that they can say something of: the index of the worklist must never hide an answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from debloat.closure import Rule, World
from debloat.core.model import Entry
from debloat.selector import Selector

BY_SELECTOR_ALONE = frozenset(
    {
        *("accounts.profile", "accounts.shell", "accounts.tools", "link.alternative", "link.program", "package.state"),
        *("glibc.cache", "glibc.databases", "glibc.ldconfig", "glibc.localtime", "glibc.nss", "glibc.unwinder"),
        *("java.archive", "node.dependency", "perl.parts", "perl.unit", "php.extension", "php.include"),
        *("python.native_import", "python.requirements", "python.unit", "ruby.bundle"),
    }
)
"""Rules that look at whatever they are shown: their selector is what they are about, and no short cut to it."""


def hidden(rules: Sequence[Rule], world: World, entries: Iterable[Entry]) -> list[str]:
    """What rules would say of entries that their selectors hide from them, as texts; nothing where all is right.

    Of the kinds of entries each rule is only ever shown those that it declares.
    """
    asked = [rule for rule in rules if type(rule).wants is not Rule.wants and rule.name not in BY_SELECTOR_ALONE]
    selectors = [(rule, rule.select(world)) for rule in asked]
    entries = list(entries)
    world.rootfs.fetch(entry.path for entry in entries)
    return [
        f"{rule.name} of {entry.path}: {want.path}"
        for entry in entries
        for rule, selector in selectors
        if entry.kind in selector.kinds and not _shown(selector, entry, world)
        for want in rule.wants(entry, world)
    ]


def _shown(selector: Selector, entry: Entry, world: World) -> bool:
    return selector.general or selector.holds(entry, world.rootfs)
