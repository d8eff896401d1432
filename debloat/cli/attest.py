"""`--attest DIR`: statements about the minimal image as files, for cosign and its like to sign."""

from __future__ import annotations

from pathlib import Path

from debloat.attest import bill
from debloat.core.errors import UsageError
from debloat.engine.workspace import written_whole
from debloat.pipeline import Outcome, Sink


def sink(directory: Path) -> Sink:
    """Writes `LABEL.intoto.json` for each statement; UsageError, before anything is started, for what cannot work."""
    for form in bill.FORMATS:
        bill.renderer(form)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to {directory}: {error.strerror}", "name a directory") from error

    def write(outcome: Outcome) -> None:
        from debloat.attest.statements import attestations

        if outcome.report.result:
            for attestation in attestations(outcome):
                with written_whole(directory / f"{attestation.label}.intoto.json") as draft:
                    draft.write_bytes(attestation.data)

    return write
