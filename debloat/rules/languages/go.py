"""Go."""

from __future__ import annotations

from debloat.rules.language import Language, Leftovers, Runtime

LANGUAGE = Language(
    "Go",
    suffixes=(".go",),
    compiled=True,
    runtimes=(Runtime("Go", "src/runtime", ("runtime.go", "runtime2.go"), (("VERSION",), ("bin/go",)), ("**",)),),
    leftovers=Leftovers(places={"/go/pkg/mod/cache": "Go's module cache"}),
)
