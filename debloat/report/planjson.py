"""A plan as JSON, for machines; the format is described in docs/report.md and `debloat/schemas/plan.json`."""

from __future__ import annotations

import json
from typing import Any

from debloat.core.values import as_dict
from debloat.image.reader import SENSOR
from debloat.lock import compare
from debloat.plan import Plan, PlannedContainer, PlannedCut

FORMAT = "debloat-plan"
VERSION = 1


def document(plan: Plan) -> dict[str, Any]:
    """The plan as dictionaries and lists, for JSON, with the format's name and version."""
    policy = plan.policy
    return {
        "format": FORMAT,
        "version": VERSION,
        "tool": plan.tool,
        "verb": plan.verb,
        "reference": plan.reference,
        "image_id": plan.image_id,
        "platform": plan.platform,
        "size": plan.size,
        "target": plan.target,
        "commands": [list(command) for command in plan.commands],
        "containers": [_container(container) for container in plan.containers],
        "probes": [as_dict(probe) for probe in plan.probes],
        "ready": plan.ready,
        "timeout": plan.timeout,
        "level": str(policy.level),
        "levels": [{"glob": glob, "level": str(level)} for glob, level in policy.levels],
        "keep": list(policy.keep),
        "drop": list(policy.drop),
        "keep_packages": list(policy.keep_packages),
        "packages": dict(policy.packages),
        "known": [as_dict(known) for known in plan.known],
        "cut": _cut(plan.cut) if plan.cut else None,
        "outputs": [as_dict(output) for output in plan.outputs],
        "notes": list(plan.notes),
    }


def _container(container: PlannedContainer) -> dict[str, Any]:
    spec = container.spec
    return {
        "stage": container.stage,
        "scenario": container.scenario,
        "image": "minimal" if container.minimal else "original",
        "program": list(container.program),
        "user": container.user,
        "recorded": bool(container.program) and spec.entrypoint[:1] == (SENSOR,),
        "env": sorted(spec.env),
        "ports": list(spec.ports),
        "volumes": list(spec.volumes),
        "tmpfs": list(spec.tmpfs),
        "network": spec.network,
        "cap_add": list(spec.cap_add),
        "cap_drop": list(spec.cap_drop),
        "group_add": list(spec.group_add),
        "read_only": spec.read_only,
        "init": spec.init,
    }


def _cut(cut: PlannedCut) -> dict[str, Any]:
    return {
        "before": as_dict(cut.before),
        "after": as_dict(cut.after),
        "layer": cut.layer,
        "identical": cut.identical,
        "moves": [as_dict(move) for move in cut.moves],
        "gone": [as_dict(gone) for gone in cut.gone],
        "diff": compare.document(cut.diff),
    }


def render(plan: Plan) -> str:
    """The plan as JSON text; bytes of names that are not UTF-8 are escapes of lone surrogates."""
    return json.dumps(document(plan), indent=2)
