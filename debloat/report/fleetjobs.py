"""The plan of a fleet for Kubernetes: for each image a ConfigMap with its task, and a Job that carries it out.

The Job's pod uses debloat's own engine, whose results go with it; so they have to go to a registry.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from debloat.core.errors import UsageError
from debloat.fleet.model import Item, Task, Verb
from debloat.fleet.work import as_text, request_of
from debloat.store.location import IN_FILES, image_location

_MOST_DATA = 1 << 20
"""Bytes that a ConfigMap may hold (kubernetes.io, Concepts, ConfigMaps)."""
_MOST_NAME = 52
"""Of the 63 characters of a label, what leaves room for the suffix of a pod's name."""
_AT = "/task"
_FILE = "task.json"


def kubernetes(tasks: Iterable[Task], image: str, version: str) -> str:
    """A `List` as JSON. UsageError where a result would not outlive its pod, or a task is larger than a ConfigMap."""
    items = [part for task in tasks for part in _parts(task, image, version)]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2)


def must_outlive_pods(items: Iterable[Item]) -> None:
    """UsageError where an image would be looked for, or its result left, on a machine that goes with its pod."""
    for item in items:
        for what, text in (("image", item.name), ("result", item.target)):
            location = image_location(text) if text else None
            pulled = what == "image" and location is not None and location.on_engine
            if location is not None and not pulled and (location.on_engine or location.transport in IN_FILES):
                raise UsageError(
                    f"cannot plan Jobs: the {what} of {item.name} would lie in its pod, and go with it",
                    'name a registry: target = "docker://REGISTRY/{name}:{tag}-slim"',
                )


def _parts(task: Task, image: str, version: str) -> Iterator[dict[str, Any]]:
    name, data = job_name(task), as_text({**request_of(task), "version": version})
    if len(data) > _MOST_DATA:
        raise UsageError(
            f"cannot plan a Job for {task.name}: its lock is larger than the megabyte that a ConfigMap holds",
            "let a runner or a Dask cluster do it",
        )
    labels = {"app.kubernetes.io/name": "debloat", "app.kubernetes.io/managed-by": "debloat-fleet"}
    metadata = {"name": name, "labels": labels, "annotations": {"debloat.image": task.name}}
    yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {_FILE: data}}
    container = {
        "name": "debloat",
        "image": image,
        "command": ["debloat", "fleet", "work", f"{_AT}/{_FILE}"],
        "env": [{"name": "DEBLOAT_ENGINE", "value": "embedded"}],
        # Containers are made within it (docs/engines.md). An apply or a check of a registry's image starts none.
        "securityContext": {"privileged": task.verb is Verb.RUN},
        "volumeMounts": [{"name": "task", "mountPath": _AT, "readOnly": True}],
    }
    pod = {
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [{"name": "task", "configMap": {"name": name}}],
    }
    spec = {"backoffLimit": 2, "template": {"metadata": {"labels": labels}, "spec": pod}}
    yield {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def job_name(task: Task) -> str:
    """A name of a Job (RFC 1123, in lower case): the image's, and a digest that tells it from others alike."""
    digest = hashlib.sha256(f"{task.verb} {task.name} {task.target}".encode()).hexdigest()[:8]
    readable = re.sub(r"[^a-z0-9]+", "-", task.name.lower()).strip("-")
    return f"{f'debloat-{readable}'[: _MOST_NAME - len(digest) - 1].rstrip('-')}-{digest}"
