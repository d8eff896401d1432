"""`--attest DIR`: statements about the minimal image as files, for cosign and its like to sign."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from debloat.attest import bill
from debloat.core.errors import UsageError
from debloat.core.written import written_whole
from debloat.image.oci import Referrer, digest_of, manifest, plain_layers
from debloat.result import Outcome, Sink
from debloat.store.location import Location, Transport

if TYPE_CHECKING:
    from debloat.attest.statements import Made


def must_be_possible(directory: Path) -> None:
    """UsageError, before anything is started, where statements cannot be made, or not be written to a directory."""
    for form in bill.FORMATS:
        bill.renderer(form)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to {directory}: {error.strerror}", "name a directory") from error


def save(directory: Path, made: Made) -> None:
    """Write `LABEL.intoto.json` for each statement."""
    from debloat.attest.statements import attestations

    for attestation in attestations(made):
        with written_whole(directory / f"{attestation.label}.intoto.json") as draft:
            draft.write_bytes(attestation.data)


def sink(directory: Path) -> Sink:
    """Writes the statements about what a run made."""
    must_be_possible(directory)

    def write(outcome: Outcome) -> None:
        from debloat.attest.statements import made_by

        if outcome.report.result:
            save(directory, made_by(outcome))

    return write


_BESIDE = (Transport.OCI, Transport.OCI_ARCHIVE, Transport.REGISTRY)
"""Places that have room for what refers to an image."""


def referrers(made: Made, to: Location) -> tuple[Referrer, ...]:
    """The statements as what refers to the image at a place; none where it has no room for them.

    Their subject is the manifest too where that is known beforehand: in a registry the layer is packed on the way, and
    the artifact names the manifest.
    """
    if to.transport not in _BESIDE:
        return ()
    from debloat.attest.statements import Subject, attestations, minimal_image

    image, written = minimal_image(made), made.minimal.written
    subjects = [Subject(image.reference, image.id)]
    if to.transport is not Transport.REGISTRY:
        subjects.append(Subject(image.reference, digest_of(manifest(written, plain_layers(written)))))
    return tuple(
        Referrer(a.media_type, a.media_type, a.data, MappingProxyType(dict(a.annotations)))
        for a in attestations(made, subjects)
    )
