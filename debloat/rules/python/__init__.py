"""Static reachability for Python: which modules, distributions and programs kept Python code can reach.

`source` reads one file's text, `layout` says where an image's Pythons look, `units` which distribution a file
belongs to, `stdlib` what of the standard library stays, `reach` follows references, `rules` makes claims of
them, and `foreign` reads what is not Python.

Bytecode caches are never claimed: what a program read of them is in the trace, and Python does without the rest.
"""

from __future__ import annotations

from debloat.closure import Rule
from debloat.rules.python import foreign, rules

RULES: tuple[Rule, ...] = (*rules.RULES, *foreign.RULES)

__all__ = ["RULES"]
