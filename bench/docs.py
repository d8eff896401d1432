"""The documentation's plots and tables, made from the committed results."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import (
    canary,
    cost,
    fleet,
    foreign,
    generality,
    growth,
    hostile,
    imports,
    overhead,
    plots,
    profiles,
    protocols,
    since,
    store,
)

PAGES = (
    store.ROOT / "README.md",
    *(store.ROOT / "docs" / f"{name}.md" for name in ("fleet", "generality", "performance", "profiles")),
)


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "generality": lambda result: generality.summary(result["fixtures"], generality.LEVELS, markdown=True),
    "cost": lambda result: cost.summary(result, markdown=True),
    "overhead": lambda result: overhead.summary(result, markdown=True),
    "growth": lambda result: growth.summary(result, markdown=True),
    "import": lambda result: imports.summary(result, markdown=True),
    "hostile": lambda result: hostile.summary(result, markdown=True),
    "fleet": lambda result: fleet.summary(result, markdown=True),
    "protocols": lambda result: protocols.summary(result, markdown=True),
    "canary": lambda result: canary.summary(result, markdown=True),
    "foreign": lambda result: foreign.summary(result, markdown=True),
    "since": lambda result: since.summary(result, markdown=True),
    "profiles": lambda result: profiles.summary(result, markdown=True),
}


def machine(result: dict[str, Any]) -> str:
    """What a result was measured on, as a line under its table."""
    on = result["machine"]
    return (
        f"{on['date']}, {on['cpus']} processors ({on['cpu']}), Linux {on['kernel']}, Docker {on['engine']},"
        f" Python {on['python']}, load average {on['load']:g} at the end."
    )


def filled(page: str, tables: dict[str, str]) -> str:
    """A page with the text between `<!-- bench NAME -->` and `<!-- end -->` replaced by the table of that name."""

    def replaced(match: re.Match[str]) -> str:
        table = tables.get(match[2])
        return match[0] if table is None else f"{match[1]}\n{table}\n<!-- end -->"

    return re.sub(r"(<!-- bench (\w+) -->)\n.*?<!-- end -->", replaced, page, flags=re.DOTALL)


def write() -> list[Path]:
    """Bring pages and plots up to date; the files that were written."""
    results = {s: found for s in TABLES if (found := store.read(store.RESULTS / f"{s}.json"))}
    tables = {s: f"{TABLES[s](result)}\n\n{machine(result)}" for s, result in results.items()}
    if "generality" in results:
        tables["images"] = generality.images(results["generality"]["fixtures"])
    for page in PAGES:
        page.write_text(filled(page.read_text("utf-8"), tables), "utf-8")
    return [*PAGES, *plots.draw(results)]
