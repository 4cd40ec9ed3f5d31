"""Charts of the page, as inline SVG: drawn by matplotlib, coloured by the page's own style sheet.

SVG in the page rather than a charting library in the browser: nothing to load, nothing to run, it prints, and the
content security policy can forbid every script but the page's own.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.report.plots.style import MARKERS, SERIES, spread_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

__all__ = [
    "bars",
    "changes",
    "cohort_lines",
    "concentration",
    "inline_svg",
    "new_axes",
    "points",
    "ranges",
    "stacked",
    "whale",
]

Array = npt.NDArray[np.float64]
Write = Callable[[float], str]
"""How an amount is written at an axis."""

INK, GRID = "#010203", "#040506"
_VARIABLES = {INK: "currentColor", GRID: "var(--line)", **{c: f"var(--c{i})" for i, c in enumerate(SERIES, 1)}}


def new_axes(width: float = 5.0, height: float = 2.9) -> Axes:
    """Axes in the colours that the page replaces by its own."""
    from matplotlib.figure import Figure

    ax = Figure(figsize=(width, height), layout="constrained").add_subplot()
    ax.set_facecolor("none")
    ax.spines[["top", "right"]].set_visible(False)
    for spine in ax.spines.values():
        spine.set_color(GRID)
    ax.tick_params(colors=INK, length=0, labelsize=10)
    ax.grid(color=GRID, linewidth=0.6)
    ax.set_axisbelow(True)
    return ax


def inline_svg(ax: Axes, name: str, description: str) -> str:
    """The figure of the axes as an SVG element. name: makes ids unique in the page; description: for screen readers."""
    import matplotlib as mpl

    for text in (ax.xaxis.label, ax.yaxis.label):
        text.set(color=INK, fontsize=10)
    legend = ax.get_legend()
    if legend is not None:
        for text in (*legend.get_texts(), legend.get_title()):
            text.set(color=INK, fontsize=10)
    file = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure = ax.get_figure(root=True)
        assert figure is not None
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\b(id|xlink:href|clip-path)="(url\()?(#?)', rf'\1="\2\3{name}-', svg)
    svg = re.sub(rf"url\(#(?!{re.escape(name)}-)", f"url(#{name}-", svg)
    svg = re.sub(r"font: ?([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    box = re.search(r'viewBox="([^"]*)"', svg)
    assert box is not None
    opening = f'<svg viewBox="{box[1]}" role="img" aria-label="{html.escape(description, quote=True)}" class="chart">'
    return opening + svg[svg.index(">") + 1 :]


def _money_axis(axis: Axis, money: Write) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(5))
    axis.set_major_formatter(FuncFormatter(lambda value, _: money(value)))


def bars(names: Sequence[str], values: Sequence[float], *, label: str, write: Write = str) -> Axes:
    """A bar a name, the first on top."""
    ax = new_axes(height=0.5 + 0.34 * len(names))
    place = np.arange(len(names))[::-1]
    ax.barh(place, list(values), color=SERIES[0], height=0.7)
    ax.set_yticks(place, list(names))
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(label)
    _money_axis(ax.xaxis, write)
    return ax


def ranges(
    names: Sequence[str],
    middle: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    *,
    marks: Sequence[float],
    label: str,
    range_name: str,
    mark_name: str,
    write: Write,
) -> Axes:
    """An interval a name, the first on top, with a mark of something else beside it; a mark may be NaN."""
    ax = new_axes(height=1.0 + 0.36 * len(names))
    place = np.arange(len(names))[::-1]
    ax.hlines(place, list(low), list(high), color=SERIES[0], linewidth=2.5)
    ax.plot(list(middle), place, "o", color=SERIES[0], markersize=7)
    ax.plot([], [], "o-", color=SERIES[0], linewidth=2.5, label=range_name)
    if np.isfinite(np.asarray(marks, dtype=np.float64)).any():
        ax.plot(list(marks), place, "D", color=SERIES[1], markersize=7, label=mark_name)
    ax.set_yticks(place, list(names))
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.set_xlim(left=min(0.0, *low))
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(label)
    ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    _money_axis(ax.xaxis, write)
    return ax


def concentration(values: Array, *, label: str) -> Axes:
    """Share of the whole that the best so many per cent of the customers bring."""
    ordered = np.sort(values)[::-1]
    share = np.concatenate([[0.0], np.cumsum(ordered)]) / ordered.sum()
    at = np.unique(np.linspace(0, len(ordered), 201).round().astype(int))
    ax = new_axes()
    ax.plot(100 * at / len(ordered), 100 * share[at], color=SERIES[0], linewidth=2)
    ax.plot([0, 100], [0, 100], color=GRID, linewidth=1)
    ax.set(xlabel="% of the customers, the best first", ylabel=label, xlim=(0, 100))
    ax.set_ylim(bottom=0)
    return ax


def whale(curve: Array) -> Axes:
    """Contribution added up from the best customer to the worst; above 100% where some lose money. curve: (n, 2)."""
    ax = new_axes()
    at = np.unique(np.linspace(0, len(curve) - 1, 201).round().astype(int))
    ax.plot(100 * curve[at, 0], 100 * curve[at, 1], color=SERIES[0], linewidth=2)
    ax.axhline(100, color=INK, linewidth=1)
    ax.set(xlabel="% of the customers, the best first", ylabel="% of the contribution", xlim=(0, 100))
    ax.set_ylim(bottom=0)
    return ax


def changes(names: Sequence[str], values: Sequence[float], *, before: float, after: float, write: Write) -> Axes:
    """From one total to the next, by what each group added or took."""
    ax = new_axes()
    at, level = np.arange(len(names) + 2), before
    ax.bar(0, before, color=SERIES[5])
    for i, value in enumerate(values, 1):
        ax.bar(i, value, bottom=level, color=SERIES[2] if value >= 0 else SERIES[1])
        level += value
    ax.bar(len(names) + 1, after, color=SERIES[5])
    ax.set_xticks(at, ["before", *(name.replace(" ", "\n") for name in names), "after"])
    ax.set_ylim(top=ax.dataLim.y1 * 1.06)
    ax.grid(visible=False, axis="x")
    _money_axis(ax.yaxis, write)
    return ax


def cohort_lines(cohorts: pd.DataFrame) -> Axes:
    """Share of each cohort that still buys, by the quarters since the first purchase."""
    ax = new_axes()
    names = list(cohorts["cohort"].unique())
    later = cohorts[cohorts["age"] > 0]
    for i, name in enumerate(names):
        own = later[later["cohort"] == name]
        marker, colour = MARKERS[i % len(MARKERS)], SERIES[i % len(SERIES)]
        ax.plot(own["age"], 100 * own["active"], marker=marker, markersize=4, color=colour, label=str(name))
    ax.set(xlabel="quarters since the first purchase", ylabel="% that bought in the quarter")
    ax.set_xticks(np.arange(1, int(later["age"].max()) + 1, max(1, int(later["age"].max()) // 8)))
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0.0, 1.0))
    return ax


def stacked(table: pd.DataFrame, *, write: Write) -> Axes:
    """Money by quarter, stacked by the year of the customers' first purchase. table: quarters x cohorts."""
    ax = new_axes()
    bottom = np.zeros(len(table))
    for i, name in enumerate(table.columns):
        values = table[name].to_numpy(np.float64)
        ax.bar(np.arange(len(table)), values, bottom=bottom, color=SERIES[i % len(SERIES)], label=f"first in {name}")
        bottom += values
    step = max(1, -(-len(table) // 5))
    ax.set_xticks(np.arange(len(table))[::step], list(table.index[::step]))
    ax.grid(visible=False, axis="x")
    if len(table.columns) > 1:
        ax.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0.0, 1.0))
    _money_axis(ax.yaxis, write)
    return ax


def points(deciles: pd.DataFrame, *, label: str, write: Write) -> Axes:
    """Predicted against actual, with the interval of the actual mean; on the line the level is right. Both axes on a
    scale that spreads small numbers. deciles: cut, predicted, actual, low, high.
    """
    ax = new_axes(height=3.6)
    numbers = deciles[["predicted", "actual"]].to_numpy(np.float64)
    for i, (name, own) in enumerate(deciles.groupby("cut", sort=True)):
        colour = SERIES[i % len(SERIES)]
        ax.vlines(own["predicted"], own["low"].clip(lower=0), own["high"], color=colour, linewidth=1.2, alpha=0.7)
        ax.plot(own["predicted"], own["actual"], MARKERS[i % len(MARKERS)], color=colour, label=str(name), markersize=5)
    end = max(float(numbers.max()), float(deciles["high"].max())) * 1.1
    ax.plot([0, end], [0, end], color=INK, linewidth=1)
    for axis in spread_axes(ax, numbers, end):
        axis.set_major_formatter(lambda value, _: write(value))
    ax.set(xlabel=f"predicted {label}", ylabel=f"actual {label}", xlim=(0, end), ylim=(0, end))
    ax.legend(frameon=False, title="predicted on")
    return ax
