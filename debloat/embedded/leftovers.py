"""What runs left on debloat's own engine: containers, images that are not proven, and what was being made."""

from __future__ import annotations

from debloat.core.reference import split_reference
from debloat.embedded import container as containers
from debloat.embedded.images import Images
from debloat.embedded.place import Place
from debloat.engine.base import PENDING_REPOSITORY, Leftover
from debloat.engine.run_id import owner


def found(place: Place, images: Images, run: str) -> tuple[Leftover, ...]:
    """What one run left, or all."""
    left = [Leftover("container", one, of, one[:12]) for one, of in containers.left(place) if run in ("", of)]
    with place.locked():
        for name in images.names():
            repository, tag = split_reference(name.name)
            if repository == PENDING_REPOSITORY and run in ("", tag):
                left.append(Leftover("image", name.id, tag, name.name))
    for draft in sorted(place.drafts.iterdir()):
        of = draft.name.rpartition("-")[0]
        if owner(of) and run in ("", of):
            left.append(Leftover("directory", draft.name.rpartition("-")[2], of, str(draft)))
    return tuple(sorted(left, key=lambda one: (one.kind, one.run, one.id)))
