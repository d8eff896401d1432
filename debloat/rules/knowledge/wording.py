"""What an image's own words ask for: on its command lines, in its environment, in files of configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from debloat.closure import World

MAX_FILES = 256
MAX_TEXT = 1 << 20
MAX_LINE = 4096
"""Characters that are looked at: of files in which somebody sets something, a person could read the whole."""


def environment(world: World) -> dict[str, tuple[str, ...]]:
    """What the image's environment says of locale, time zone and terminal: names that are safe in a glob."""
    env = world.config.env
    locales: set[str] = set()
    for name, value in env.items():
        if name in ("LANG", "LANGUAGE") or name.startswith("LC_"):
            for text in value.split(":"):
                locales |= _locale_names(text)
    zone = env.get("TZ", "").removeprefix(":")
    return {
        "locale": tuple(sorted(locales)),
        "tz": (zone,) if re.fullmatch(r"[\w+-]+(/[\w+-]+)*", zone) else (),
        "term": tuple(t for t in (env.get("TERM", ""),) if re.fullmatch(r"[\w+-][\w.+-]*", t)),
    }


def _locale_names(text: str) -> set[str]:
    """Directories in which glibc looks for a locale and its messages (setlocale(3), codeset normalised)."""
    match = re.fullmatch(r"([A-Za-z]{2,3})(_[A-Z]{2})?(\.[\w-]+)?(@\w+)?", text)
    if match is None:
        return set()
    language, territory, codeset, modifier = (part or "" for part in match.groups())
    plain = "." + re.sub(r"[^a-z0-9]", "", codeset.lower()) if codeset else ""
    lands, sets, mods = {territory, ""}, {codeset, plain, ""}, {modifier, ""}
    return {language + land + name + mod for land in lands for name in sets for mod in mods}


def says(world: World, patterns: Iterable[re.Pattern[str]], paths: Iterable[str]) -> bool:
    """Whether a word of the image's configuration, or a line of one of the files, matches one of the patterns."""
    expressions = tuple(patterns)
    return any(pattern.search(line) for line in _lines(world, paths) for pattern in expressions)


def _lines(world: World, paths: Iterable[str]) -> Iterator[str]:
    config = world.config
    for word in (*config.entrypoint, *config.cmd, *config.healthcheck, *config.env.values()):
        yield word[:MAX_LINE]
    files = (entry for path in paths if (entry := world.rootfs.lookup(path)) is not None and entry.is_file)
    for entry in islice(files, MAX_FILES):
        if entry.size <= MAX_TEXT:
            yield from (line[:MAX_LINE] for line in world.rootfs.text(entry.path).splitlines())
