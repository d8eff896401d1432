"""Images of registries: pulled and pushed over the OCI distribution protocol, without an engine."""

from __future__ import annotations

import functools
import hashlib
import io
import tempfile
import zlib
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import quote, urlencode, urlsplit

from debloat.core.errors import UsageError
from debloat.core.platform import Wanted
from debloat.core.reference import full_name
from debloat.image.oci import (
    INDEX,
    LAYER,
    MANIFEST,
    Document,
    LayerFile,
    Referrer,
    Written,
    artifact,
    artifact_entry,
    describe,
    descriptor,
    digest_of,
    index,
    manifest,
)
from debloat.store import choice
from debloat.store.base import Blob, ImageStore, NewIndex, Place, StoredImage, StoredIndex, StoreError, Variant
from debloat.store.client import Answer, Client
from debloat.store.documents import (
    MANIFESTS,
    MAX_MANIFEST,
    Index,
    manifest_or_index,
    parse_json,
)
from debloat.store.index import copied, index_of, row_of, text_of
from debloat.store.location import Location
from debloat.store.mirrors import endpoints
from debloat.store.streams import PIECE, Verified, damaged

_CHUNK = 8 << 20
"""Bytes of a chunk, where a registry does not take a blob in one piece."""
_TOO_LARGE = 413

Content = Callable[[int], bytes | BinaryIO]
"""What of a blob begins at an offset."""


def _split(name: str) -> tuple[str, str, str, str]:
    """Host, repository, tag and digest; a digest makes the tag meaningless."""
    full = full_name(name)
    base, _, digest = full.partition("@")
    head, _, last = base.rpartition("/")
    last, _, tag = last.partition(":")
    host, _, path = f"{head}/{last}".partition("/")
    return host, path, tag or "latest", digest


class RegistryImage:
    """An image in a repository of a registry; mirrors are asked first."""

    def __init__(self, location: Location) -> None:
        self.where = str(location)
        self._location = location
        host, path, tag, digest = _split(location.name)
        self._client, self._variants, self._attestations = self._first(
            [Client(endpoint) for endpoint in endpoints(host, path, by_digest=bool(digest))], digest or tag
        )

    def _first(self, clients: list[Client], reference: str) -> tuple[Client, tuple[Variant, ...], int]:
        """The first server that has the image."""
        for client in clients:
            self._client = client
            try:
                return client, *self._resolve(client, reference)
            except (StoreError, UsageError):
                client.close()
                if client is clients[-1]:
                    raise
        raise AssertionError("a repository has an endpoint")

    def _resolve(self, client: Client, reference: str) -> tuple[tuple[Variant, ...], int]:
        data = self._manifest(client, reference)
        with choice.readable(self.where):
            found = manifest_or_index(data)
        self._whole = {digest_of(data): data}
        self._named = data
        if isinstance(found, Index):
            return choice.flattened(found.variants, self._small, self.where)
        return (Variant(Blob(MANIFEST, digest_of(data), len(data))),), 0

    def _manifest(self, client: Client, reference: str) -> bytes:
        with client.ask(
            "GET", f"manifests/{quote(reference, safe=':')}", headers={"Accept": ", ".join(MANIFESTS)}
        ) as answer:
            if answer.status == 404:
                raise UsageError(
                    f"cannot find {self._location.name} in its registry",
                    "check the spelling, and whether it was pushed",
                )
            if answer.status != 200:
                raise client.refused(answer, f"pull {self._location.name}")
            data = answer.body(MAX_MANIFEST)
            said = reference if ":" in reference else answer.headers.get("Docker-Content-Digest", "")
        algorithm, _, expected = said.partition(":")
        if algorithm in ("sha256", "sha512") and hashlib.new(algorithm, data).hexdigest() != expected:
            raise damaged(self.where, "its manifest has another digest than it is asked for by")
        return data

    def _small(self, blob: Blob) -> bytes:
        if blob.digest not in self._whole:
            self._whole[blob.digest] = self._manifest(self._client, blob.digest)
        return self._whole[blob.digest]

    def variants(self) -> tuple[Variant, ...]:
        """The manifests that the reference leads to, one a platform."""
        return self._variants

    def image(self, wanted: Wanted | None = None) -> StoredImage:
        """The image for a platform."""
        variant = choice.chosen(self._variants, wanted, self.where)
        return choice.stored(self, variant, self._location.name, wanted, self._attestations, self.where)

    def index(self) -> StoredIndex | None:
        """The index that the reference names."""
        with choice.readable(self.where):
            return index_of(self._named, self._location.name)

    def open(self, blob: Blob) -> BinaryIO:
        """A blob as it comes, held against its digest and size; a manifest is one too."""
        if blob.media_type in MANIFESTS or blob.digest in {v.blob.digest for v in self._variants} | set(self._whole):
            return Verified(io.BytesIO(self._small(blob)), blob, self.where)  # type: ignore[return-value]
        answer = self._client.ask("GET", f"blobs/{blob.digest}", size=blob.size)
        if answer.status != 200:
            with answer:
                raise self._client.refused(answer, f"pull a blob of {self._location.name}")
        return Verified(answer.stream(), blob, self.where)  # type: ignore[return-value]

    def place(self, blob: Blob) -> Place | None:
        """Nothing of it is here."""
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()


class RegistrySink:
    """Pushes to a repository. Its tag is moved last, when all that it leads to is there."""

    def __init__(self, location: Location) -> None:
        self._location = location
        host, path, self._tag, digest = _split(location.name)
        if digest:
            raise UsageError(f"cannot push to {location}: a digest is no name for a new image", "name a tag")
        (endpoint,) = endpoints(host, path, pull=False)
        self._client = Client(endpoint, "pull,push")

    def must_accept(self) -> None:
        """StoreError where nobody answers, UsageError where nobody may push.

        An upload is begun, of which no byte comes: the registry forgets it in time. It is not given up by DELETE: many
        know no such thing, and distribution 2.8 then keeps a file for ever (findings/registry-cancelled-upload.sh).
        """
        try:
            self._begun()
        finally:
            self._client.close()

    def write(self, image: Written, names: Iterable[str], referrers: Iterable[Referrer] = ()) -> str:
        """Push the image under the location's own tag; layers travel as gzip."""
        try:
            document = self._push_image(image)
            self._put(document, self._tag, MANIFEST)
            found = describe(MANIFEST, document)
            for referrer in referrers:
                self._refer(referrer, found)
            return digest_of(document)
        finally:
            self._client.close()

    def write_index(self, new: NewIndex, names: Iterable[str]) -> str:
        """Push all that an index leads to, then the index under the location's own tag."""
        try:
            rows = []
            for member in new.members:
                if member.image is None:
                    self._push_parts(new.source, member.parts)
                    rows.append(member.fields)
                else:
                    document = self._push_image(member.image)
                    self._put(document, digest_of(document), MANIFEST)
                    rows.append(row_of(member.fields, document))
            text = text_of(new.fields, rows)
            self._put(text, self._tag, INDEX)
            return digest_of(text)
        finally:
            self._client.close()

    def _push_image(self, image: Written) -> bytes:
        """Push what an image is made of; its manifest, which is not pushed yet."""
        layers = [self._push_packed(stored) for stored in image.layers]
        self._push_bytes(image.config)
        return manifest(image, layers)

    def _push_parts(self, source: ImageStore, parts: tuple[Blob, ...]) -> None:
        """Push what another store has: blobs, and their manifest, which is the last."""
        *blobs, last = parts
        for blob in blobs:
            with tempfile.TemporaryFile(prefix="debloat-") as file:
                file.writelines(copied(source, blob))
                file.flush()
                self._push(blob.digest, blob.size, functools.partial(_at, file))
        self._put(b"".join(copied(source, last)), last.digest, last.media_type)

    def _push_packed(self, stored: LayerFile) -> Document:
        """Push a layer as gzip; its descriptor."""
        with tempfile.TemporaryFile(prefix="debloat-") as packed:
            size, digest = _gzip(stored, packed)
            self._push(digest, size, lambda start: _at(packed, start))
            return descriptor(f"{LAYER}+gzip", digest, size)

    def _push_bytes(self, data: bytes) -> None:
        self._push(digest_of(data), len(data), lambda start: data[start:])

    def _push(self, digest: str, size: int, content: Content) -> None:
        """Upload a blob, unless it is there already; `content(start)` is what of it begins there."""
        client = self._client
        with client.ask("HEAD", f"blobs/{digest}") as answer:
            if answer.status == 200:
                return
        target, _ = self._begun()
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        with client.ask("PUT", _with(target, digest), headers=headers, body=lambda: content(0), size=size) as answer:
            if answer.status == 201:
                return
            if answer.status != _TOO_LARGE:
                raise self._refused(answer)
        self._push_chunks(digest, size, content)

    def _push_chunks(self, digest: str, size: int, content: Content) -> None:
        client = self._client
        target, chunk = self._begun()
        for start in range(0, size, chunk):
            part = content(start)
            data = part[:chunk] if isinstance(part, bytes) else part.read(chunk)
            headers = {
                "Content-Type": "application/octet-stream",
                "Content-Range": f"{start}-{start + len(data) - 1}",
                "Content-Length": str(len(data)),
            }
            with client.ask("PATCH", target, headers=headers, body=data, size=len(data)) as answer:
                if answer.status != 202:
                    raise self._refused(answer)
                target = client.location(answer)
        with client.ask("PUT", _with(target, digest), headers={"Content-Length": "0"}) as answer:
            if answer.status != 201:
                raise self._refused(answer)

    def _begun(self) -> tuple[str, int]:
        """Where an upload that begins goes, and the bytes of its chunks."""
        with self._client.ask("POST", "blobs/uploads/", headers={"Content-Length": "0"}) as answer:
            if answer.status != 202:
                raise self._refused(answer)
            least = answer.headers.get("OCI-Chunk-Min-Length", "")
            return self._client.location(answer), max(_CHUNK, min(int(least), 1 << 30) if least.isdigit() else 0)

    def _refused(self, answer: Answer) -> StoreError | UsageError:
        return self._client.refused(answer, f"push to {self._location.name}")

    def _put(self, document: bytes, reference: str, media_type: str) -> str:
        """Put a manifest; what the server says of the subject that it refers to (`OCI-Subject`)."""
        headers = {"Content-Type": media_type}
        with self._client.ask(
            "PUT", f"manifests/{quote(reference, safe=':')}", headers=headers, body=document
        ) as answer:
            if answer.status != 201:
                raise self._client.refused(answer, f"push {self._location.name}")
            said = answer.headers.get("Docker-Content-Digest", "")
            if said.startswith("sha256:") and said != digest_of(document):
                raise damaged(str(self._location), "the registry stored another manifest than it was given")
            return answer.headers.get("OCI-Subject", "")

    def _refer(self, referrer: Referrer, subject: Document) -> None:
        """Push what refers to the image; where the registry keeps no list of these, in the tag that stands in for it.

        (Distribution specification, "Pushing manifests with subject" and "Unavailable referrers API".)
        """
        document, parts = artifact(referrer, subject)
        for part in parts:
            self._push_bytes(part)
        if self._put(document, digest_of(document), MANIFEST):
            return
        tag = subject["digest"].replace(":", "-")
        listed: list[Document] = []
        with self._client.ask("GET", f"manifests/{tag}", headers={"Accept": INDEX}) as answer:
            if answer.status == 200:
                data = answer.body(MAX_MANIFEST)
                with choice.readable(str(self._location)):
                    if isinstance(manifest_or_index(data), Index):
                        listed = parse_json(data, "the list of referrers")["manifests"]
        entry = artifact_entry(document, referrer)
        others = [row for row in listed if row["digest"] != entry["digest"]]
        self._put(index(sorted([*others, entry], key=lambda row: str(row["digest"]))), tag, INDEX)


def _with(target: str, digest: str) -> str:
    """An upload's address with the digest that ends it."""
    return f"{target}{'&' if urlsplit(target).query else '?'}{urlencode({'digest': digest})}"


def _at(file: BinaryIO, start: int) -> BinaryIO:
    file.seek(start)
    return file


def _gzip(stored: LayerFile, out: BinaryIO) -> tuple[int, str]:
    """The layer as gzip without a time in it; its size and digest. The same zlib gives the same bytes."""
    packer, digest, size = zlib.compressobj(6, zlib.DEFLATED, 31), hashlib.sha256(), 0
    with stored.file.open("rb") as file:
        while True:
            piece = file.read(PIECE)
            data = packer.compress(piece) if piece else packer.flush()
            digest.update(data)
            size += len(data)
            out.write(data)
            if not piece:
                break
    out.flush()
    return size, f"sha256:{digest.hexdigest()}"
