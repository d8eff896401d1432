"""The plan of a fleet for the pipelines of GitHub and GitLab: a job an image, each a `debloat fleet` of that alone."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

from debloat.fleet.model import Item

MOST_JOBS = 256
"""Jobs that a matrix of GitHub may have (docs.github.com, workflow syntax, `jobs.<job_id>.strategy.matrix`)."""


def github(items: Sequence[Item], fleet: str) -> str:
    """A matrix as one line of JSON, for `fromJSON`: `name` and `command` of each job.

    Beyond 256 images a job has several.
    """
    shares = -(-len(items) // MOST_JOBS) or 1
    groups = [items[at : at + shares] for at in range(0, len(items), shares)]
    rows = [
        {
            "name": group[0].name + (f" and {len(group) - 1} more" if len(group) > 1 else ""),
            "command": command(group, fleet),
        }
        for group in groups
    ]
    return json.dumps({"include": rows})


def gitlab(items: Sequence[Item], fleet: str, image: str) -> str:
    """A child pipeline as JSON, which is YAML: a job an image, in `image` where one is named."""
    document: dict[str, Any] = {"stages": ["debloat"]}
    if image:
        document["default"] = {"image": image}
    for item in items:
        document[f"debloat {item.name} {item.target}".strip()] = {
            "stage": "debloat",
            "script": [command([item], fleet)],
        }
    return json.dumps(document, indent=2)


def command(items: Sequence[Item], fleet: str) -> str:
    """The command line that does these items and no others."""
    only = [word for name in sorted({item.name for item in items}) for word in ("--only", name)]
    return shlex.join(["debloat", "fleet", str(items[0].verb), fleet, *only])
