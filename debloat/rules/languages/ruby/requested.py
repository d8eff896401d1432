"""Gems that were installed by name. RubyGems does not mark them, so the history is the witness.

Of an archive whose name the builder's shell made up (`gem install /tmp/*.gem`), those gems count which no other gem
depends on.
"""

from __future__ import annotations

from collections.abc import Iterator

from debloat.closure import World
from debloat.rules.application.build import build
from debloat.rules.application.installs import is_pattern, matching
from debloat.rules.language import Installed
from debloat.rules.languages.ruby.packages import library
from debloat.rules.languages.ruby.rules import stubs, use


def installed(world: World) -> Iterator[Installed]:
    """The gems that were asked for, sorted."""
    patterns = build(world).asked("gem")
    gems = library(world).gems if patterns else {}
    needed = {name for versions in gems.values() for gem in versions for name in gem.depends}
    requested = set[str]()
    for pattern in patterns:
        names = set(matching(pattern, gems))
        requested |= names - needed if is_pattern(pattern) else names
    for name in sorted(requested & gems.keys()):
        own = stubs(world).get(name, ())
        for gem in gems[name]:
            if not gem.default and not world.packages.owners(gem.specification):
                yield Installed(name, (*use(gem, world), *own), gem.directories, own)
