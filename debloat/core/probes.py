"""What a probe answered, and when two answers are the same.

An answer is compared in its normal form: times, addresses, ids and durations differ from run to run without anything
being broken, so they are masked before texts are compared.
"""

from __future__ import annotations

import hashlib
import re

from msgspec import Struct

MAX_TEXT = 4 << 20
"""Bytes of an output that are compared; what follows counts by its presence alone."""

HEADERS = ("content-type", "content-encoding", "location", "www-authenticate", "allow", "content-disposition")
"""Response headers that mean something to a client and do not change from run to run."""

Masked = str | re.Pattern[str]
"""What is masked beside that: a word of the run (container, host, port), or an expression of the user's."""

_VOLATILE = (
    re.compile(r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b"),
    re.compile(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? |(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\b"),
    re.compile(r"\b(?=[0-9a-fA-F]*[0-9])[0-9a-fA-F]{7,}\b"),
    re.compile(r"(?<![A-Za-z0-9+/_-])(?=[A-Za-z0-9+/_-]*[0-9])(?=[A-Za-z0-9+/_-]*[A-Z])[A-Za-z0-9+/_-]{20,}={0,2}"),
    re.compile(r"\d+"),
)


class ProbeResult(Struct, frozen=True):
    """One exercise and what it answered.

    `ok` says whether it counts as working at all (status below 500, exit code 0, connected). `status` is an HTTP
    status or an exit code, `headers` those of `HEADERS`, `shape` the digest of the normalised output, `text` a bounded
    excerpt of the output for people, `detail` why it is not ok.
    """

    name: str
    ok: bool
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    shape: str = ""
    text: str = ""
    detail: str = ""

    def differs(self, other: ProbeResult) -> str:
        """How `other` differs from this answer, in words; empty where it does not."""
        if self.ok != other.ok or self.status != other.status:
            return f"{self.outcome()} before, {other.outcome()} now" + (f" ({other.detail})" if other.detail else "")
        for (name, before), (_, now) in zip(self.headers, other.headers, strict=False):
            if before != now:
                return f"header {name}: {before!r} before, {now!r} now"
        if self.shape != other.shape:
            return "the output differs"
        return ""

    def aspects(self, other: ProbeResult) -> frozenset[str]:
        """In what `other` differs from this answer: its outcome, headers by name, its output."""
        differences = {
            name for (name, before), (_, now) in zip(self.headers, other.headers, strict=False) if before != now
        }
        if self.ok != other.ok or self.status != other.status:
            differences.add("outcome")
        if self.shape != other.shape:
            differences.add("output")
        return frozenset(differences)

    def outcome(self) -> str:
        """How the probe ended, for people: `status 200`, `not connected`, `exit code 1`."""
        if self.name.startswith("http "):
            return f"status {self.status}" if self.status else "no answer"
        if self.name.startswith("websocket "):
            return f"status {self.status}" if self.status else "no answer"
        if self.name.startswith("grpc "):
            return f"gRPC status {self.status}"
        if self.name.startswith("connect "):
            return "connected" if self.ok else "not connected"
        if self.name.startswith("bound "):
            return "bound" if self.ok else "not bound"
        if self.name.startswith("probe "):
            return "answered" if self.ok else "no answer"
        if self.name.startswith("ready: "):
            return "ready" if self.ok else "not ready"
        return f"exit code {self.status}" if self.status >= 0 else "no end"


def masked(text: str, *names: Masked) -> str:
    """A text with what is not to be compared masked: first what expressions match, then words, the longest first."""
    for name in names:
        if isinstance(name, re.Pattern):
            text = name.sub("MASK", text)
    for word in sorted((name for name in names if name and isinstance(name, str)), key=len, reverse=True):
        text = text.replace(word, "NAME")
    return text


def normalised(data: bytes, *names: Masked) -> str:
    """An output with what changes from run to run masked, `names` as well."""
    text = masked(data[:MAX_TEXT].decode("utf-8", "replace"), *names)
    for pattern in _VOLATILE:
        text = pattern.sub("#", text)
    return re.sub(r"#(?:[ .:,/+-]*#)*", "#", text)


def shape(data: bytes, *names: Masked) -> str:
    """The digest of an output's normal form; an output with a NUL in it is binary and counts as it is."""
    plain = data if b"\0" in data[:8192] else normalised(data, *names).encode()
    return hashlib.sha256(plain).hexdigest()[:32]


def excerpt(data: bytes, limit: int = 2000) -> str:
    """The end of an output as printable text, for messages; never a control character but the line end."""
    text = data[-limit:].decode("utf-8", "replace").strip()
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
