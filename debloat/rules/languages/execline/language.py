"""execline, the language of s6's scripts: each program does its part and becomes the next."""

from __future__ import annotations

from debloat.rules.language import Language

LANGUAGE = Language("execline", interpreters="execlineb", rules=("rules",))
