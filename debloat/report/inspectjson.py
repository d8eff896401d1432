"""What an image is made of as JSON: `debloat/schemas/inspect.json`, described in docs/report.md."""

from __future__ import annotations

import json
from typing import Any

from debloat.anatomy.image import Anatomy
from debloat.core.values import as_dict
from debloat.gate.check import is_minimal
from debloat.report.inspectterminal import base
from debloat.report.tables import ordered

FORMAT = "debloat-inspect"
VERSION = 1


def document(anatomy: Anatomy, sort: str = "name") -> dict[str, Any]:
    """The same as plain values. Parts that were not asked for are left out."""
    image = anatomy.image
    packages = ordered(anatomy.packages, sort, lambda p: (p.bytes, p.files, p.name))
    places = ordered(anatomy.unowned, sort, lambda p: (p.bytes, p.files, p.path))
    parts: dict[str, list[Any]] = {
        "packages": [as_dict(p) for p in packages],
        "unowned": [as_dict(p) for p in places],
        "layers": [as_dict(layer) for layer in anatomy.layers.layers],
        "binaries": [{"path": b.path, **as_dict(b.hardening)} for b in anatomy.binaries],
        "privileged": [as_dict(p) for p in anatomy.privileged],
        "credentials": [as_dict(c) for c in anatomy.credentials],
        "duplicates": [{**as_dict(d), "wasted": d.wasted} for d in anatomy.duplicates],
    }
    return {
        "format": FORMAT,
        "version": VERSION,
        "image": image.reference,
        "id": image.id,
        "platform": image.platform_name,
        "created": image.created,
        "minimal": is_minimal(image),
        "base": base(image),
        "user": image.config.user,
        "ports": list(image.config.ports),
        "footprint": as_dict(anatomy.footprint),
        **{name: parts[name] for name in anatomy.sections},
    }


def render(anatomy: Anatomy, sort: str = "name") -> str:
    """The document as text."""
    return json.dumps(document(anatomy, sort), indent=2)
