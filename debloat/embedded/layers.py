"""Layers on disk, each unpacked once: a directory for overlayfs, and the headers of the layer's tar beside it.

A layer is known by what it is laid upon too (its chain ID, OCI image specification, config.md): where its names end up
is decided by the links below it. What has another digest than it was asked for is not kept.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import marshal
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from debloat.core.errors import EngineUnavailable
from debloat.core.model import Entry
from debloat.embedded import userns
from debloat.embedded.place import Place
from debloat.embedded.unpack import FIELDS, Stack, Tree
from debloat.engine.base import LayerName
from debloat.engine.run_id import new_run
from debloat.image.contents import Lying, open_file
from debloat.store.base import ImageStore, StoredImage, StoredLayer
from debloat.store.layers import Budget, Spooled, lying, member_path, spool
from debloat.store.streams import damaged
from debloat.store.tar import Damaged, Member, members

FORMAT = f"2-{marshal.version}-{len(Member._fields)}"
"""Of the headers; of another format they are read from the layer's tar anew."""
_PIECE = 1 << 20


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """The chain ID of each layer: what it is, and on which others."""
    chain: list[str] = []
    for diff_id in diff_ids:
        text = f"{chain[-1]} {diff_id}" if chain else ""
        chain.append(f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" if text else diff_id)
    return chain


class Layers:
    """The layers below a place. Several processes may share it. `user`: for overlays in a user namespace."""

    def __init__(self, place: Place, *, user: bool) -> None:
        self._place = place
        self._user = user
        self._flat = not _takes_whiteouts(place.drafts)
        """Whether an image's layers have to be unpacked into one directory, as on another overlay."""

    def has(self, diff_ids: Sequence[str]) -> bool:
        """Whether all layers of an image are there."""
        return all(self._headers(chain_id).exists() for chain_id in self._own(diff_ids))

    def directories(self, diff_ids: Sequence[str]) -> list[Path]:
        """The layers of an image as overlayfs takes them, lowest first.

        Names are short: those of all layers go into one page (mount(2)).
        """
        return [self._directory(chain_id) for chain_id in self._own(diff_ids)]

    def _own(self, diff_ids: Sequence[str]) -> list[str]:
        """The chain IDs by which an image's directories are known."""
        chain = chain_ids(diff_ids)
        return chain[-1:] if self._flat else chain

    def _directory(self, chain_id: str) -> Path:
        return self._place.layers / _short(chain_id)

    def _headers(self, chain_id: str) -> Path:
        return self._place.indexes / f"{_short(chain_id)}.{FORMAT}"

    def add(self, store: ImageStore, image: StoredImage, where: str) -> None:
        """Unpack the layers of an image that are not there. EngineUnavailable where one cannot be written.

        StoreError where one is damaged, or is not what the configuration says.
        """
        chain = chain_ids(image.image.layers)
        there = next((n for n, chain_id in enumerate(chain) if not self._headers(chain_id).exists()), len(chain))
        if self.has(image.image.layers):
            return
        draft = Path(tempfile.mkdtemp(prefix=f"{new_run()}-", dir=self._place.drafts))
        try:
            with ThreadPoolExecutor(2) as pool:
                self._add(store, image, where, draft, pool, range(0 if self._flat else there, len(chain)))
        except OSError as error:
            if self._user and error.errno == errno.EINVAL:  # of chown(2): user_namespaces(7)
                raise EngineUnavailable(
                    f"cannot unpack {where}: its files have owners beyond the ids that this user may map",
                    userns.ranges_advice(),
                ) from error
            raise EngineUnavailable(
                f"cannot unpack {where}: {error.strerror or error}", f"is there space left in {self._place.home}?"
            ) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _add(
        self, store: ImageStore, image: StoredImage, where: str, draft: Path, pool: ThreadPoolExecutor, numbers: range
    ) -> None:
        chain = chain_ids(image.image.layers)
        budget = Budget(draft, where)
        spooling: dict[str, Future[Spooled]] = {}
        for number in numbers:
            layer = image.layers[number]
            if layer.diff_id not in spooling:
                spooling[layer.diff_id] = pool.submit(spool, store, layer, draft, budget, where)
        unpacking = _Unpacking(self._stack(chain[: numbers[0]], where), draft, where, self._user, self._flat)
        try:
            for number in numbers:
                layer = image.layers[number]
                with _as_it_lies(store, layer, spooling[layer.diff_id]) as found:
                    unpacking.lay(found, lambda n: str(self._directory(chain[n])))
                if not self._flat:
                    self._keep(chain[number], unpacking)
            if self._flat:
                self._keep(chain[-1], unpacking)
        except BaseException:
            budget.stop()
            raise
        finally:
            for future in spooling.values():
                if not future.cancel() and future.exception() is None:
                    future.result().file.close()

    def _keep(self, chain_id: str, unpacking: _Unpacking) -> None:
        """Move what was unpacked to where it belongs."""
        size, directory, rows = unpacking.taken()
        headers = directory.with_suffix(".headers")
        with headers.open("wb") as file:
            marshal.dump((chain_id, size), file)
            marshal.dump(rows, file)
        with self._place.locked():
            if not self._headers(chain_id).exists():
                target = self._directory(chain_id)
                if target.exists():
                    target.rename(directory.with_suffix(".old"))  # of another format
                directory.rename(target)
                headers.rename(self._headers(chain_id))

    def files(self, diff_ids: Sequence[str], where: str) -> Files:
        """What is in an image whose layers are there."""
        roots = [str(directory) for directory in self.directories(diff_ids)]
        chain = self._own(diff_ids)
        return Files(
            self._merged(chain, where) if chain else self._stack(chain, where),
            roots * (len(diff_ids) if self._flat else 1),
            lambda: (rows for chain_id in chain for rows in self._rows(chain_id)),
        )

    def _stack(self, chain: Iterable[str], where: str) -> Stack:
        """Layers that are there, laid over each other by name."""
        stack = Stack(where)
        for chain_id in chain:
            for rows in self._rows(chain_id):
                stack.lay(rows)
        return stack

    def _merged(self, chain: Sequence[str], where: str) -> Stack:
        """The same, as it was noted when it was done first."""
        notes = self._place.indexes / f"{_short(chain[-1])}.merged-{FORMAT}-{len(FIELDS)}"
        with contextlib.suppress(OSError, ValueError, EOFError, TypeError, LookupError), notes.open("rb") as file:
            whose, count, rows = marshal.loads(file.read())
            if whose == chain[-1]:
                return Stack.restored(where, count, rows)
        stack = self._stack(chain, where)
        draft = notes.with_name(f".{notes.name}.{new_run()}")
        with contextlib.suppress(OSError), self._place.locked():
            if self._headers(chain[-1]).exists():
                try:
                    draft.write_bytes(marshal.dumps((chain[-1], *stack.rows())))
                    draft.rename(notes)
                finally:
                    draft.unlink(missing_ok=True)
        return stack

    def _rows(self, chain_id: str) -> list[list[Member]]:
        """The headers of what a directory was unpacked from: of one layer, or of all of an image."""
        try:
            with self._headers(chain_id).open("rb") as file:
                if marshal.load(file)[0] != chain_id:
                    raise ValueError("of another layer")
                # Not by `load`, which reads each number and name by itself.
                return [list(map(Member._make, rows)) for rows in marshal.loads(file.read())]
        except (OSError, ValueError, EOFError, TypeError, LookupError) as error:
            raise EngineUnavailable(
                f"cannot read the headers of the layer {chain_id[:19]}: {error}",
                f"remove {self._place.home}, which is filled again when it is needed",
            ) from error

    def size(self, images: Iterable[Sequence[str]]) -> int:
        """Bytes of the files of images, those that they share once, as far as they are there."""
        return sum(map(self._size, {chain_id for diff_ids in images for chain_id in self._own(diff_ids)}))

    def _size(self, chain_id: str) -> int:
        try:
            with self._headers(chain_id).open("rb") as file:
                return int(marshal.load(file)[1])
        except (OSError, ValueError, EOFError, TypeError, LookupError):
            return 0

    def keep_only(self, images: Iterable[Sequence[str]]) -> list[Path]:
        """Take all layers of other images away; where their files are now, to be removed.

        Called by who has locked the place.
        """
        kept = {_short(chain_id) for diff_ids in images for chain_id in self._own(diff_ids)}
        gone = []
        for headers in self._place.indexes.iterdir():
            if headers.name.partition(".")[0] not in kept:
                headers.unlink()
        for tree in sorted(self._place.layers.iterdir()):
            if tree.name not in kept:
                draft = Path(tempfile.mkdtemp(prefix=f"{new_run()}-", dir=self._place.drafts))
                tree.rename(draft / "tree")
                gone.append(draft)
        return gone


@contextlib.contextmanager
def _as_it_lies(store: ImageStore, layer: StoredLayer, spooling: Future[Spooled]) -> Iterator[Spooled]:
    """A layer to be unpacked; one that lies uncompressed on this machine is verified by the end of the block.

    What is wrong with a layer that is not what it should be is that, whatever was found in it.
    """
    found = None if spooling.done() else lying(store, layer)
    if found is None:
        yield spooling.result()
        return
    try:
        with found.file:
            yield found
    finally:
        spooling.result()


class _Unpacking:
    """Layers on their way to the disk: each into a directory of its own, or all into one."""

    def __init__(self, stack: Stack, draft: Path, where: str, user: bool, flat: bool) -> None:
        self._stack = stack
        self._draft = draft
        self._where = where
        self._user = user
        self._flat = flat
        self._count = 0
        self._tree: Tree | None = None
        self._directory = draft
        self._rows: list[list[tuple[Any, ...]]] = []

    def lay(self, layer: Spooled, below: Callable[[int], str]) -> None:
        """Unpack one more layer; `below` gives the directory of an earlier one by its number."""
        source = layer.file.fileno()
        if self._tree is None:
            self._directory = self._draft / f"tree{self._count}"
            self._directory.mkdir(mode=0o755)
            self._directory.chmod(0o755)
            self._tree = Tree(str(self._directory), source, below, user=self._user, flat=self._flat)
        self._tree.source = source
        self._count += 1
        try:
            rows = list(members(lambda size, at: os.pread(source, size, at), layer.start + layer.size, layer.start))
            self._stack.lay(rows, self._tree)
        except Damaged as error:
            raise damaged(self._where, f"a layer has {error}") from None
        self._rows.append([tuple(row) for row in rows])

    def taken(self) -> tuple[int, Path, list[list[tuple[Any, ...]]]]:
        """What has come since the last time: bytes, the directory, and the headers of each layer."""
        tree, rows = self._tree, self._rows
        assert tree is not None
        self._tree, self._rows = None, []
        return tree.size, self._directory, rows


def _takes_whiteouts(directory: Path) -> bool:
    """Whether overlayfs's whiteouts can be made: not on another overlay (kernel, filesystems/overlayfs.rst)."""
    place = directory / f"{new_run()}-whiteout"
    try:
        os.mknod(place, stat.S_IFCHR, os.makedev(0, 0))
    except OSError:
        return False
    finally:
        place.unlink(missing_ok=True)
    return True


def _short(chain_id: str) -> str:
    return chain_id.partition(":")[2][:24]


class Files(Lying):
    """An image's entries, and its files where the layers lie: the contents of a `debloat.image.rootfs.Rootfs`."""

    gone = "was the store emptied meanwhile? Run it again"

    def __init__(self, stack: Stack, roots: list[str], rows: Callable[[], Iterable[list[Member]]]) -> None:
        self.stack = stack
        self._roots = roots
        self._rows = rows

    def entries(self) -> Iterator[Entry]:
        """All entries of the image, in no order."""
        return self.stack.entries()

    def layers(self) -> Iterator[Iterator[LayerName]]:
        """The names in each layer, from the lowest up."""
        for rows in self._rows():
            yield (
                LayerName(member_path(row.name), row.size if row.kind == b"0" else 0, row.kind == b"5") for row in rows
            )

    def volumes_without_directory(self, volumes: Iterable[str]) -> frozenset[str]:
        """The first path on the way to each volume that the image has not, and that engines make in containers."""
        return self.stack.volumes_without_directory(volumes)

    def _open(self, path: str) -> int:
        return open_file(self._roots[self.stack.layer_of(path)] + path)
