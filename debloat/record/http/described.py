"""The requests that a scenario's files lead to: recorded sessions, and a description of the service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from debloat.core.errors import UsageError
from debloat.core.http import HttpProbe
from debloat.core.recipe import Scenario
from debloat.record.http import description, har, openapi


def described(scenario: Scenario) -> Iterator[tuple[str, str, HttpProbe, tuple[HttpProbe, ...]]]:
    """Kind (`har`, `openapi`), source, where it is asked for, and the requests; none for a document of the service.

    UsageError for a file that cannot be read, or is none of its kind.
    """
    for path in scenario.har:
        try:
            with Path(path).open("rb") as file:
                yield "har", path, HttpProbe(), har.requests_of(file, path)
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}", "name a HAR file") from None
    if (api := scenario.openapi) is None:
        return
    if api.is_file:
        found = openapi.requests_of(description.of_file(api.document), api.headers)
        yield "openapi", api.document, HttpProbe(), found
    else:
        yield "openapi", api.document, api.where, ()
