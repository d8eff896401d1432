"""The plots of the documentation, from result files; they need matplotlib (the extra `bench`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import store
from bench.stats import share

WIDTH, HEIGHT = 7.0, 4.2
COLOURS = {"exact": "#b3541e", "safe": "#1e6fb3", "package": "#4c8c3b"}


def draw(results: dict[str, dict[str, Any]], directory: Path = store.IMAGES) -> list[Path]:
    """Draw what there are results for, by subject; the paths written. None where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        return []
    matplotlib.use("svg")
    # Text as text and a fixed salt for its ids: the same figures give the same file.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "debloat", "font.size": 9})
    directory.mkdir(parents=True, exist_ok=True)
    return [_figure(PLOTS[s], results[s], directory / f"{s}.svg") for s in PLOTS if results.get(s)]


def _figure(plot: Callable[[Any, dict[str, Any]], None], result: dict[str, Any], path: Path) -> Path:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(WIDTH, HEIGHT), layout="constrained")
    plot(axes, result)
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    return path


def _generality(axes: Any, result: dict[str, Any]) -> None:
    """Size against held-out rate: a small dot for each fixture, a large one for each level, joined to a curve."""
    curve = []
    for sums in result["totals"]:
        level, points = sums["level"], []
        for fixture in result["fixtures"]:
            found = fixture["levels"].get(level)
            if found and not found["code"]:
                size = share(found["bytes"], fixture["original"]["bytes"])
                points.append((size, share(*found["heldout"])))
        if points:
            colour = COLOURS[level]
            axes.scatter(*zip(*points, strict=True), s=14, alpha=0.5, color=colour)
            curve.append((sums["median_share"], sums["heldout_rate"]))
            axes.scatter(*curve[-1], s=90, color=colour, label=level, zorder=3)
    if curve:
        axes.plot(*zip(*curve, strict=True), color="#555555", linewidth=1, zorder=2)
        axes.legend(title="level (median size, all checks)", loc="lower right")
    axes.set(xlabel="bytes kept, % of the original", ylabel="held-out checks passed, %", xlim=(0, 100), ylim=(0, 103))
    axes.grid(alpha=0.3)


def _overhead(axes: Any, result: dict[str, Any]) -> None:
    rows = result["workloads"][::-1]
    for at, row in enumerate(rows):
        ratio = row["ratio"]
        error = [[ratio["median"] - ratio["low"]], [ratio["high"] - ratio["median"]]]
        axes.barh(at, ratio["median"], xerr=error, color=COLOURS["safe"], height=0.6, capsize=3)
        if row["bar"]:
            axes.plot([row["bar"]] * 2, [at - 0.4, at + 0.4], color=COLOURS["exact"], linewidth=2)
        if floor := row.get("floor"):
            axes.plot([floor["median"]], [at], color="#222222", marker="d", markersize=5)
    axes.axvline(1.0, color="#555555", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.set(xlabel="time recorded / not recorded (line: at most; diamond: the kernel's part alone)")


def _growth(axes: Any, result: dict[str, Any]) -> None:
    """Seconds and memory by size; the names say what was added."""
    rows = result["sizes"]
    places = range(len(rows))
    axes.bar(places, [r["wall"]["median"] for r in rows], color=COLOURS["safe"], width=0.5, label="seconds")
    axes.set_xticks(places, [r["name"] for r in rows], rotation=20)
    axes.set(ylabel="seconds")
    memory = axes.twinx()
    memory.plot(places, [r["rss"] / 1e6 for r in rows], color=COLOURS["exact"], marker="o", label="peak RSS")
    memory.set(ylabel="peak RSS, MB", ylim=(0, None))


def _cost(axes: Any, result: dict[str, Any]) -> None:
    rows = result["fixtures"][::-1]
    left = [0.0] * len(rows)
    for stage in dict.fromkeys(s for row in rows for s in row["stages"]):
        widths = [row["stages"].get(stage, 0.0) for row in rows]
        axes.barh(range(len(rows)), widths, left=left, height=0.6, label=stage)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.set(xlabel="seconds")
    axes.legend(ncols=3, fontsize=7)


def _fleet(axes: Any, result: dict[str, Any]) -> None:
    """Efficiency by workers: of a first run, and of a later one."""
    rows = result["fleets"]
    workers = [row["workers"] for row in rows]
    for which, colour, text in (("later", "safe", "times known"), ("first", "exact", "the first run")):
        axes.fill_between(workers, *([row[which][end] * 100 for row in rows] for end in ("low", "high")), alpha=0.2)
        found = [row[which]["median"] * 100 for row in rows]
        axes.plot(workers, found, color=COLOURS[colour], marker="o", label=text)
    axes.axhline(90, color="#555555", linewidth=0.8)
    axes.set(xscale="log", xlabel="workers", ylabel="efficiency, %", ylim=(0, 103))
    axes.set_xticks(workers, [str(n) for n in workers])
    axes.set_xticks([], minor=True)
    axes.legend(loc="lower left")
    axes.grid(alpha=0.3)


PLOTS: dict[str, Callable[[Any, dict[str, Any]], None]] = {
    "generality": _generality,
    "cost": _cost,
    "overhead": _overhead,
    "growth": _growth,
    "fleet": _fleet,
}
