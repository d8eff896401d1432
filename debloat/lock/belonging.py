"""Whether a lock is of the application that an image holds: applied to another's it would cut what that needs.

A newer build has lost little of what the lock's own image used, and starts a program that it started. Another
application on the same base has its base's files all the same (libc, the account files, perhaps an interpreter), so
what is lost is held against what was used, and more of it is forgiven where the image still has its name.
"""

from __future__ import annotations

import contextlib
import re

from msgspec import Struct

from debloat.core.errors import UsageError
from debloat.core.model import Image, Op
from debloat.core.reference import split_reference
from debloat.core.text import count, name
from debloat.lock.format import Lock
from debloat.lock.seeds import Gone, tree_of
from debloat.rules.recorded.sweeps import is_outside_image
from debloat.store.location import image_location

RENAMED = 0.25
"""The share of the used files, or of the application's own, that may be gone of an image with another name than the
lock's; none of the programs that it is started by may."""
REBUILT = 2 / 3
"""The share of the used files that may be gone of one with its name: a bundler may name all anew that it makes."""
RESTARTED = 1 / 3
"""The share of those, or of the application's own, of one that has none of the programs that it was started by."""


class Loss(Struct, frozen=True):
    """The paths that a lock's image used: all, the `own` of its application, those by which it is started and asked
    (ENTRYPOINT, HEALTHCHECK, commands of probes), and which of them another image has in no version."""

    used: frozenset[str]
    own: frozenset[str]
    started: frozenset[str]
    gone: frozenset[str]

    def share(self, of: frozenset[str]) -> float:
        """The share of some paths that is gone."""
        return len(of & self.gone) / len(of) if of else 0.0

    def is_of_another(self, same_name: bool) -> bool:
        """Whether that is too much for another build of the same application."""
        most = max(self.share(self.used), self.share(self.own))
        if same_name:
            return most > RESTARTED if self.share(self.started) == 1 else self.share(self.used) > REBUILT
        return bool(self.started & self.gone) or most > RENAMED


def loss(lock: Lock, gone: tuple[Gone, ...]) -> Loss:
    """What is lost of what the lock's image used, where `gone` is what another has in no version (`Seeds.gone`)."""
    locked, packages = tree_of(lock.manifest), {item.path: item.package for item in lock.manifest}
    used: set[str] = set()
    started: set[str] = set()
    for access in lock.trace.accesses:
        path = None if is_outside_image(access.path) else locked.resolve(access.path, follow=access.follows).path
        if path is None or locked.is_dir(path):
            continue
        used.add(path)
        if access.op is Op.EXEC and is_outside_image(access.program):  # by the sensor, not by a program of the image
            started.add(path)
    own = frozenset(path for path in used if not packages.get(path))
    return Loss(frozenset(used), own, frozenset(started), frozenset(used & {g.path for g in gone}))


def must_belong(lock: Lock, image: Image, gone: tuple[Gone, ...]) -> None:
    """UsageError for an image of another application than the lock's."""
    lost = loss(lock, gone)
    if not lost.is_of_another(_same_name(lock, image)):
        return
    without = sorted(lost.started & lost.gone)
    among = f", {name(without[0])} among them" if without else ""
    raise UsageError(
        f"cannot apply the lock of {lock.reference} to {image.reference}: that is another application. Of the "
        f"{count(len(lost.used), 'used file')} it has {len(lost.gone):,} in no version{among}",
        f"name its own lock with --lock, or make one: `debloat lock {image.reference}`",
    )


def _same_name(lock: Lock, image: Image) -> bool:
    """Whether one of the image's names is the lock's but for registry and tag."""
    own = {_short_name(known) for known in (image.reference, *image.names)} - {""}
    return _short_name(lock.reference) in own


_ID = re.compile("(sha256:)?[0-9a-f]{12,64}")


def _short_name(reference: str) -> str:
    """The last component of what an image is called, without tag and digest; empty for an id or a mere file."""
    with contextlib.suppress(UsageError):
        called = image_location(reference).name
        return "" if _ID.fullmatch(called) else split_reference(called.partition("@")[0])[0].rpartition("/")[2]
    return ""
