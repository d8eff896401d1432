"""The shells, sh and its near relatives."""

from __future__ import annotations

from debloat.rules.language import Language, Leftovers

LANGUAGE = Language(
    "Shell",
    suffixes=(".sh", ".bash", ".ksh"),
    leftovers=Leftovers(caches=(".bash_history",)),
    rules=("rules",),
)
