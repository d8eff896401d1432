"""From the file of a fleet to its items: patterns become images, templates names, recipes digests.

Nothing is started, and no image is looked at; what is wrong in the file, a recipe or a lock is said here.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from debloat.core import config, table
from debloat.core.errors import UsageError
from debloat.core.globs import glob_regex
from debloat.core.model import Level
from debloat.core.recipe import Settings, recipe
from debloat.core.reference import default_target, full_name, must_be_name, split_reference
from debloat.fleet.config import EntrySettings, FleetFile, Inline
from debloat.fleet.model import Item, Verb
from debloat.gate.rules import rules_of
from debloat.lock.manifest import recipe_digest
from debloat.record.concrete import must_be_usable
from debloat.store.location import Location, Transport, image_location
from debloat.store.write import must_take

_PATTERN = re.compile(r"[*?\[]")

Names = Callable[[], Iterable[str]]
"""The names of the images that patterns are held against; asked once at most, and only for a pattern."""


class _Entry(Struct, frozen=True):
    """An entry with the defaults: what is done with each image that it means."""

    settings: EntrySettings
    recipes: tuple[str, ...]
    recipe: str
    level: str
    lock: str
    target: str
    has_rules: bool


def plan(
    fleet: FleetFile, verb: Verb, version: str, names: Names, only: Iterable[str] = (), *, as_known: bool = False
) -> tuple[Item, ...]:
    """The items of a fleet by name, those of `only` where it names some; `version` is debloat's own.

    With `as_known`, `names` are not all that there are, and a pattern may mean none of them. UsageError where an entry
    means no image, two results have one name, or a recipe or a lock cannot be used.
    """
    asks = verb is Verb.RUN and not as_known
    entries = [_with_defaults(fleet, entry, asks) for entry in fleet.settings.entry]
    wanted = frozenset(only)
    known = functools.cache(lambda: tuple(names()))
    meant = list(_images(entries, known, as_known))
    chosen = [(entry, image) for entry, image in meant if not wanted or image in wanted]
    if missing := sorted(wanted - {image for _, image in chosen}):
        raise UsageError(
            f"{fleet.path} has no image that is called {missing[0]}", "`debloat fleet status` lists those that it has"
        )
    items = sorted(
        (_item(fleet, entry, image, verb, version) for entry, image in chosen), key=lambda i: (i.name, i.target)
    )
    _must_differ(items, verb)
    return tuple(items)


def _with_defaults(fleet: FleetFile, entry: EntrySettings, asks: bool) -> _Entry:
    """An entry as it stands; UsageError where it `asks` by files that cannot be used."""
    defaults = fleet.settings.defaults
    level = defaults.level if entry.level is None else entry.level
    said = [r for r in (defaults.recipe, entry.recipe) if r is not None]
    recipes = tuple(_recipe_text(fleet.directory, r) for r in said)
    if level is not None:
        recipes = (*recipes, json.dumps({"level": str(level)}))
    settings = settled(recipes)
    asked = recipe(settings)
    if asks:
        must_be_usable(asked)
    return _Entry(
        entry,
        recipes,
        recipe_digest(asked),
        str(Level.SAFE if settings.level is None else settings.level),
        entry.lock or defaults.lock or "",
        entry.target or defaults.target or "",
        rules_of(settings).any,
    )


def _recipe_text(directory: Path, said: str | Inline) -> str:
    """A recipe as JSON; UsageError, with the file and the line, where the file has no such thing."""
    if isinstance(said, Inline):
        return said.json
    document = config.document(directory / said, "paths in the file of a fleet begin at its directory")
    document.as_table(Settings)
    return json.dumps(document.raw)


def settled(recipes: tuple[str, ...]) -> Settings:
    """What tables of `debloat.toml`, as JSON, come to: the later over the earlier."""
    settings = Settings()
    for each in recipes:
        settings = table.merged(settings, config.settings(json.loads(each)))
    return settings


# ------------------------------------------------------------------------------------------ which images


def is_pattern(image: str) -> bool:
    """Whether it stands for all images whose names match."""
    return _PATTERN.search(image) is not None


def _images(
    entries: list[_Entry], known: Callable[[], tuple[str, ...]], as_known: bool
) -> Iterator[tuple[_Entry, str]]:
    """Each entry with each image that it means; a pattern does not mean what another entry does, nor results."""
    named = {entry.settings.image for entry in entries if not is_pattern(entry.settings.image)}
    meant = [(entry, _meant(entry.settings, known)) for entry in entries]
    # What an earlier run made may be called as a pattern says as well, and is no original.
    results = {_target(entry, image) for entry, images in meant for image in images}
    taken = set(named)
    for entry, images in meant:
        image = entry.settings.image
        if not is_pattern(image):
            yield entry, image
            continue
        found = [name for name in images if name not in results]
        if not found and not as_known:
            raise UsageError(
                f"no image of the engine matches {image!r}", "`*` matches within a component, `**` across slashes"
            )
        yield from ((entry, name) for name in found if name not in taken)
        taken.update(found)


def _meant(entry: EntrySettings, known: Callable[[], tuple[str, ...]]) -> list[str]:
    """The images that an entry means by itself."""
    if is_pattern(entry.image):
        return matches(entry.image, entry.exclude, known())
    image_location(entry.image)  # UsageError for what nothing can be called
    return [entry.image]


def matches(pattern: str, exclude: Iterable[str], names: Iterable[str]) -> list[str]:
    """The names that a pattern means, without those that another of `exclude` matches, sorted."""
    wanted, not_wanted = glob_regex(pattern).fullmatch, [glob_regex(each).fullmatch for each in exclude]
    return sorted(name for name in names if wanted(name) and not any(match(name) for match in not_wanted))


# ------------------------------------------------------------------------------------------ one item


def _item(fleet: FleetFile, entry: _Entry, image: str, verb: Verb, version: str) -> Item:
    target = "" if verb is Verb.CHECK else _target(entry, image)
    lock = str(fleet.directory / _filled(entry.lock, image, entry.level)) if entry.lock else ""
    digest = ""
    if verb is not Verb.RUN:
        digest = _lock_digest(fleet, entry, image, verb, lock)
    if target:
        location = image_location(target)
        if location.on_engine:
            must_be_name(target, f"{image}: target")
        must_take(location)
    return Item(image, verb, target, entry.recipes, entry.recipe, entry.level, version, lock, digest)


def _lock_digest(fleet: FleetFile, entry: _Entry, image: str, verb: Verb, lock: str) -> str:
    if not lock:
        if verb is Verb.CHECK and entry.has_rules:
            return ""
        against = "it by: no lock" if verb is Verb.APPLY else "it against: no lock, no [budget] and no [policy]"
        raise UsageError(
            f"cannot {verb} {image}: there is nothing to {'make' if verb is Verb.APPLY else 'hold'} {against}",
            'write lock = "FILE" into its entry or the defaults; `debloat fleet run` writes it',
        )
    try:
        return hashlib.sha256(Path(lock).read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(
            f"cannot read the lock {lock} of {image}: {error.strerror}", "`debloat fleet run` writes it"
        ) from error


def _target(entry: _Entry, image: str) -> str:
    if entry.target:
        return _filled(entry.target, image, entry.level)
    location = image_location(image)
    if not location.name:
        raise UsageError(f"cannot name the result of {image}", 'give its entry a target = "NAME:TAG"')
    return default_target(location.name)


def _filled(text: str, image: str, level: str) -> str:
    """A template with the names of an image; one by digest has the tag `latest`."""
    name, tag = split_reference(_reference(image_location(image)).partition("@")[0])
    return text.format(name=name, short=name.rpartition("/")[2], tag=tag, level=level)


def _reference(location: Location) -> str:
    return location.name or location.path.name.partition(".")[0]


def _place(target: str) -> str:
    """What is written where a result goes: two names in one archive are one file, in one layout they are two images."""
    location = image_location(target)
    if location.transport in (Transport.DOCKER_ARCHIVE, Transport.OCI_ARCHIVE):
        return str(location.path.absolute())
    return location.lasting if location.transport is Transport.OCI else full_name(target)


def _must_differ(items: list[Item], verb: Verb) -> None:
    """UsageError where two items would write the same."""
    originals = {full_name(item.name): item.name for item in items}
    for what, values in (
        ("make", [(item.target, item.name) for item in items if item.target]),
        ("write", [(item.lock, item.name) for item in items if item.lock and verb is Verb.RUN]),
    ):
        seen: dict[str, str] = {}
        for value, name in values:
            written = _place(value) if what == "make" else str(Path(value).absolute())
            if written in seen:
                raise UsageError(
                    f"{seen[written]} and {name} would both {what} {value}",
                    f"say more in the template: {', '.join(f'{{{field}}}' for field in ('name', 'tag', 'level'))}",
                )
            if what == "make" and written in originals:
                raise UsageError(
                    f"the result of {name} would take the name of {originals[written]}, which is an original",
                    "choose another target",
                )
            seen[written] = name
