"""dpkg databases written as tables, to be put into the tables of `tests.support.trees`.

tree({"/usr/bin/tool": "x", **installed(tool=["/usr/bin/tool"])})
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from debloat.closure import World
from debloat.core.model import ImageConfig, Level, Policy
from debloat.debian import dpkg
from tests.support.trees import Table, tree


def stanza(name: str, **fields: str) -> str:
    """A stanza of `status`; a field name's `_` stands for `-`."""
    bare, _, architecture = name.partition(":")
    lines = {
        "Package": bare,
        "Status": "install ok installed",
        "Architecture": architecture or "all",
        **({"Multi-Arch": "same"} if architecture else {}),
        "Version": "1.0-1",
        **{key.replace("_", "-"): value for key, value in fields.items()},
    }
    return "".join(f"{key}: {value}\n" for key, value in lines.items())


def listing(paths: Sequence[str]) -> str:
    """A `.list`: the paths, with the directories above them."""
    lines = {"/."}
    for path in paths:
        while path:
            lines.add(path)
            path = path.rpartition("/")[0]
    return "".join(f"{line}\n" for line in sorted(lines))


def database(
    packages: Mapping[str, Sequence[str]],
    shipped: Mapping[str, str] | None = None,
    fields: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, str]:
    """The files of a database: {package: paths}; `shipped` gives contents for `.md5sums`, {path: content}."""
    texts = [stanza(name, **(fields or {}).get(name, {})) for name in sorted(packages)]
    table = {"/var/lib/dpkg/status": "\n".join([*texts, ""])}
    for name, paths in packages.items():
        table[f"/var/lib/dpkg/info/{name}.list"] = listing(paths)
        sums = "".join(f"{md5(data)}  {path[1:]}\n" for path, data in (shipped or {}).items() if path in paths)
        table[f"/var/lib/dpkg/info/{name}.md5sums"] = sums
    return table


def md5(data: str) -> str:
    return hashlib.md5(data.encode(), usedforsecurity=False).hexdigest()


def debian_world(
    table: Table,
    packages: Mapping[str, Sequence[str]],
    *,
    shipped: Mapping[str, str] | None = None,
    fields: Mapping[str, Mapping[str, str]] | None = None,
    config: Mapping[str, object] | None = None,
    history: Sequence[str] = (),
    policy: Policy | None = None,
) -> World:
    """A world whose packages are read from a generated database in its own root file system."""
    rootfs = tree({**database(packages, shipped, fields), **table})
    world = World(rootfs, dpkg.read(rootfs), ImageConfig(config or {}), history=tuple(history))
    return World(rootfs, world.packages, world.config, policy=policy or Policy(Level.SAFE), history=tuple(history))
