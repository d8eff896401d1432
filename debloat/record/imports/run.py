"""What another tool's file tells of one run of one container: the value that every parser here makes."""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

from debloat.core.model import Access, Image
from debloat.core.reference import full_name

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Run(Struct, frozen=True):
    """One run as a foreign trace has it.

    `context` names it, for `why`: the probe of all its accesses. `images` is what it says of its image: names, digests,
    ids; empty where it says nothing. `patterns` are accesses whose paths stand for several (`kubescape.matching`).
    `unresolved` counts paths that were relative to a directory that the trace does not tell, or were cut off.
    """

    context: str
    images: tuple[str, ...] = ()
    accesses: frozenset[Access] = frozenset()
    patterns: frozenset[Access] = frozenset()
    unresolved: int = 0

    def united(self, other: Run) -> Run:
        """Both as one run, of the same context and image."""
        return replace(
            self,
            accesses=self.accesses | other.accesses,
            patterns=self.patterns | other.patterns,
            unresolved=self.unresolved + other.unresolved,
        )


def is_of(run: Run, image: Image) -> bool:
    """Whether a run says that it is of the image: by a digest or id of it, or by one of its names.

    A name says less than a digest. But the digest that a cluster knows is that of a manifest in its registry, which an
    engine that built the image never saw: so where digests do not agree, a name that does is enough.
    """
    names = {full_name(name) for name in (image.reference, *image.names)}
    digests = {image.id, *_DIGEST.findall(" ".join(names))}
    for said in run.images:
        plain = said.rpartition("://")[2]
        if digests & set(_DIGEST.findall(plain)) or full_name(plain.partition("@")[0]) in names:
            return True
        if re.fullmatch(r"[0-9a-f]{12,64}", plain) and image.id.startswith(f"sha256:{plain}"):
            return True
    return False
