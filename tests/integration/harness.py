"""The real command line on the real engine, in a place of its own that must be left as it was found."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import docker
import docker.errors
import pytest

from debloat.cli.main import main
from debloat.engine.base import PENDING_REPOSITORY
from tests.support.engines import BASE, Images

LABEL = "debloat.test"
"""Label of a place's images; containers and minimal images inherit it, so what is left of one is told from others'."""

LIMIT = 120.0


@dataclass(frozen=True, slots=True)
class Done:
    """How a run of the command line ended."""

    code: int
    out: str
    err: str


class Place:
    """Images, a working directory and a directory for temporary files that belong to one test."""

    def __init__(self, directory: Path, client: docker.APIClient) -> None:
        self.here = directory / "here"
        self.scratch = directory / "scratch"
        self.here.mkdir()
        self.scratch.mkdir()
        self.client = client
        self.images = Images(directory / "contexts")
        self.token = self.images.repository
        self._begun = int(time.time())
        self._originals: dict[str, str] = {}

    def build(self, dockerfile: str, files: Mapping[str, str | bytes] | None = None, tag: str = "app") -> str:
        """An image of a Dockerfile and some files (a name that ends in `!` is executable), under a name of its own."""
        name = self.images.build(tag, f"{dockerfile}\nLABEL {LABEL}={self.token}\n", files)
        return self.adopt(name)

    def adopt(self, name: str) -> str:
        """Hold an original against what it was in the end."""
        self._originals[name] = self.client.inspect_image(name)["Id"]
        return name

    def imported(self, tar: bytes, *options: str, tag: str = "app") -> str:
        """An image of one layer, as `docker import` makes it."""
        name = self.images.name(tag)
        argv = ["docker", "import", "-c", f"LABEL {LABEL}={self.token}", *options, "-", name]
        subprocess.run(argv, input=tar, check=True, capture_output=True)
        return self.adopt(name)

    def debloat(self, *argv: str) -> Done:
        """The command line in this process, in the working directory."""
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(self.here),
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            patch.setattr(tempfile, "tempdir", str(self.scratch))
            code = main(list(argv))
        return Done(code, out.getvalue(), err.getvalue())

    def start(
        self, *argv: str, before: tuple[str, ...] = (), cwd: Path | None = None, **env: str
    ) -> subprocess.Popen[str]:
        """The command line in a process of its own, its output in pipes."""
        return subprocess.Popen(
            [*before, sys.executable, "-m", "debloat", *argv],
            cwd=cwd or self.here,
            env={**os.environ, "TMPDIR": str(self.scratch), **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
        )

    def run(self, *argv: str, before: tuple[str, ...] = (), **env: str) -> Done:
        """The same, waited for."""
        process = self.start(*argv, before=before, cwd=None, **env)
        out, err = process.communicate(timeout=LIMIT)
        return Done(process.returncode, out, err)

    def config(self, text: str) -> None:
        """Put a `debloat.toml` into the working directory."""
        (self.here / "debloat.toml").write_text(text)

    def containers(self) -> list[str]:
        found = self.client.containers(all=True, filters={"label": f"{LABEL}={self.token}"})
        return sorted(c["Id"] for c in found)

    def left(self) -> list[str]:
        """What a run has left behind: containers, images that wait, volumes, temporary files, changed originals."""
        found = [f"container {c}" for c in self.containers()]
        for image in self.client.images(filters={"label": f"{LABEL}={self.token}"}):
            names = image.get("RepoTags") or ["<none>:<none>"]
            found += [f"image {n}" for n in names if n.startswith((PENDING_REPOSITORY, "<none>"))]
        found += [f"volume {v}" for v in self._volumes()]
        found += [f"file {p}" for p in self.scratch.iterdir()]
        for name, image_id in self._originals.items():
            with contextlib.suppress(docker.errors.ImageNotFound):
                if self.client.inspect_image(name)["Id"] == image_id:
                    continue
            found.append(f"the original {name} is another image now")
        return found

    def _volumes(self) -> Iterator[str]:
        """Volumes that were mounted in containers of this place and still exist."""
        # Up to now: for what is to come the engine would wait.
        events = list(self.client.events(since=self._begun, until=int(time.time()), decode=True))
        own = {
            e["Actor"]["ID"]
            for e in events
            if e["Type"] == "container" and e["Actor"]["Attributes"].get(LABEL) == self.token
        }
        for event in events:
            attributes = event["Actor"]["Attributes"]
            if event["Type"] == "volume" and attributes.get("container") in own:
                with contextlib.suppress(docker.errors.NotFound):
                    yield str(self.client.inspect_volume(event["Actor"]["ID"])["Name"])

    def remove(self) -> None:
        """Take everything away, whatever state it is in."""
        for container in self.containers():
            self.client.remove_container(container, force=True, v=True)
        for image in self.client.images(filters={"label": f"{LABEL}={self.token}"}):
            for name in image.get("RepoTags") or [image["Id"]]:
                with contextlib.suppress(docker.errors.APIError):
                    self.client.remove_image(name)
        self.images.remove()


def until(holds: Callable[[], object], what: str, limit: float = LIMIT) -> None:
    """Poll until something holds."""
    deadline = time.monotonic() + limit
    while not holds():
        assert time.monotonic() < deadline, f"still waiting for {what}"
        time.sleep(0.01)


# ------------------------------------------------------------------------------------- images as the engine saves them


@dataclass(frozen=True, slots=True)
class Node:
    """One name of an image, as a layer's tar has it; `group` are the names that share its content."""

    kind: str
    mode: int
    owner: tuple[int, int]
    mtime: int
    target: str
    device: tuple[int, int]
    xattrs: tuple[tuple[str, str], ...]
    size: int
    digest: str
    group: frozenset[str]


_KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "link",
    tarfile.FIFOTYPE: "fifo",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
}


def saved(image: str, only: Callable[[str], bool] = lambda path: True) -> dict[str, Node]:
    """The tree of an image by absolute path, read from `docker save`: its layers with whiteouts, no code of debloat's.

    Contents are read of the paths in `only`; other files have no digest.
    """
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run(["docker", "save", image], stdout=file, check=True)
        with tarfile.open(file.name) as outer:
            manifest = json.load(_member(outer, "manifest.json"))[0]
            tree: dict[str, Node] = {}
            for name in manifest["Layers"]:
                with tarfile.open(fileobj=_member(outer, name), mode="r:", errors="surrogateescape") as layer:
                    _overlay(tree, layer, only)
    return tree


def _member(tar: tarfile.TarFile, name: str) -> Any:
    member = tar.getmember(name)
    if member.issym():  # `docker save` links a layer that it has written already
        member = tar.getmember(os.path.normpath(os.path.join(os.path.dirname(name), member.linkname)))
    found = tar.extractfile(member)
    assert found is not None
    return found


def _overlay(tree: dict[str, Node], layer: tarfile.TarFile, only: Callable[[str], bool]) -> None:
    groups: dict[str, set[str]] = {}
    for member in layer:
        path = "/" + member.name.removeprefix("./").strip("/").removeprefix(".")
        head, _, last = path.rpartition("/")
        if last == ".wh..wh..opq":
            _forget(tree, head, keep_root=True)
        elif last.startswith(".wh."):
            _forget(tree, f"{head}/{last.removeprefix('.wh.')}")
        else:
            _place(tree, path, member, layer, only, groups)
    for names in groups.values():
        for name in names & tree.keys():
            tree[name] = replace(tree[name], group=frozenset(names))


def _place(
    tree: dict[str, Node],
    path: str,
    member: tarfile.TarInfo,
    layer: tarfile.TarFile,
    only: Callable[[str], bool],
    groups: dict[str, set[str]],
) -> None:
    old = tree.get(path)
    if old is not None and old.kind == "dir" and not member.isdir():
        _forget(tree, path)
    if member.islnk():
        first = "/" + member.linkname.removeprefix("./").strip("/")
        groups.setdefault(first, {first}).add(path)
        tree[path] = (
            tree[first] if tree[first].digest else replace(tree[first], digest=_digest(layer, member, only(path)))
        )
        return
    prefix = "SCHILY.xattr."
    found = sorted((k.removeprefix(prefix), v) for k, v in member.pax_headers.items() if k.startswith(prefix))
    tree[path] = Node(
        kind=_KINDS[member.type],
        mode=0 if member.issym() else member.mode & 0o7777,  # some writers put the kind there too
        owner=(member.uid, member.gid),
        mtime=int(member.mtime),
        target=member.linkname if member.issym() else "",
        device=(member.devmajor, member.devminor) if member.isdev() and not member.isfifo() else (0, 0),
        xattrs=tuple(found),
        size=member.size,
        digest=_digest(layer, member, member.isreg() and only(path)),
        group=frozenset(),
    )


def _digest(layer: tarfile.TarFile, member: tarfile.TarInfo, wanted: bool) -> str:
    content = layer.extractfile(member) if wanted else None
    # A member's file is a BufferedReader, which typeshed does not say.
    return "" if content is None else hashlib.file_digest(cast(io.BufferedReader, content), "sha256").hexdigest()


def _forget(tree: dict[str, Node], path: str, *, keep_root: bool = False) -> None:
    for name in [n for n in tree if n.startswith(f"{path}/") or (n == path and not keep_root)]:
        del tree[name]


def in_base(*lines: str) -> str:
    """A Dockerfile on the base image."""
    return "\n".join((f"FROM {BASE}", *lines))
