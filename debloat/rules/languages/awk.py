"""AWK."""

from __future__ import annotations

from debloat.rules.language import Language

# GNU's alone may be missing: each Debian has an awk (base-files depends on one).
LANGUAGE = Language("AWK", suffixes=(".awk",), shell_words=("gawk",))
