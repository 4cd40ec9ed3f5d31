"""The one look of all figures: axes, colours, and how numbers are written on them.

Set on the axes themselves, so that a user's own settings of matplotlib stay as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from clvml.progress import in_notebook

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

__all__ = [
    "DASHES", "GRID", "INK", "MARKERS", "PALE", "SERIES", "SOFT", "date_axis", "forest_rows", "group_names", "legend",
    "legend_below", "log_money_axis", "money_axis", "new_axes", "percent_axis", "short", "spread_axes", "whole_axis",
]  # fmt: skip

Array = npt.NDArray[np.float64]

INK, SOFT, PALE, GRID = "#22303c", "#5b6874", "#b9c6d1", "#e3e8ec"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe & Ito (2008), which the colour-blind can distinguish too."""
MARKERS = "osD^vP"
DASHES = ("-", (0, (5, 1.5)), (0, (5, 1.5, 1, 1.5)))
"""Line styles, by which lines differ without their colours."""
_TEXT = 9
_SPREAD = 10.0
"""How many times as large as the smallest number the largest is, where a logarithmic scale is of use."""


def new_axes(
    ax: Axes | None,
    title: str,
    x: str,
    y: str,
    *,
    size: tuple[float, float] = (6.4, 4.0),
    grid: Literal["both", "x", "y", "none"] = "both",
) -> Axes:
    """The axes given, or those of a new figure, in the look of the package. grid: 'both', 'x', 'y' or 'none'."""
    ax = _figure(size) if ax is None else ax
    ax.set_title(title, loc="left", color=INK, fontsize=11, fontweight="bold")
    ax.set_xlabel(x, color=INK, fontsize=_TEXT)
    ax.set_ylabel(y, color=INK, fontsize=_TEXT)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["bottom", "left"]].set_color(PALE)
    ax.tick_params(which="both", colors=SOFT, length=0, labelsize=_TEXT)
    ax.set_axisbelow(True)
    if grid != "none":
        ax.grid(color=GRID, linewidth=0.8, axis=grid)
    return ax


def _figure(size: tuple[float, float]) -> Axes:
    """Axes of a new figure; one of pyplot's where pyplot is at work or a notebook is to show it."""
    if "matplotlib.pyplot" in sys.modules or in_notebook():
        from matplotlib import pyplot as plt

        return plt.figure(figsize=size, layout="constrained").add_subplot()
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained").add_subplot()


def legend(ax: Axes, **where: Any) -> None:
    """A legend without a frame."""
    ax.legend(**{"frameon": False, "fontsize": _TEXT, "labelcolor": INK} | where)


def legend_below(ax: Axes, ncols: int = 2) -> None:
    """A legend below the label of the x axis, however high the axes are."""
    from matplotlib.transforms import ScaledTranslation

    below = ScaledTranslation(0, -0.4, ax.get_figure(root=True).dpi_scale_trans)  # type: ignore[union-attr]
    legend(ax, loc="upper center", ncols=ncols, bbox_to_anchor=(0.5, 0.0), bbox_transform=ax.transAxes + below)


def log_money_axis(axis: Any, low: float, high: float) -> None:
    """Amounts between two ends on a logarithmic scale: round ones, as many as there is room for."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 1e3 * low else (1.0,)))
    axis.set_minor_formatter(NullFormatter())
    money_axis(axis)


def spread_axes(ax: Axes, values: Array, end: float) -> tuple[Axis, Axis]:
    """Both axes logarithmic above the smallest value that is not 0, or a thousandth of the end; ticks at 1, 2, 5, …

    Where no value is a tenth of another they stay as they are: no tick would be between them.
    """
    from matplotlib.ticker import FixedLocator, NullLocator

    least = max(float(values[values > 0].min(initial=end)), end / 1000.0)
    if end < _SPREAD * least:
        return ax.xaxis, ax.yaxis
    ticks = [m * 10.0**k for k in range(-4, 10) for m in (1, 2, 5) if least < m * 10.0**k < end]
    step = max(1, -(-len(ticks) // 6))
    for axis, scale in ((ax.xaxis, ax.set_xscale), (ax.yaxis, ax.set_yscale)):
        scale("symlog", linthresh=least, linscale=0.5)
        axis.set_major_locator(FixedLocator([0.0, *ticks[::-1][::step][::-1]]))
        axis.set_minor_locator(NullLocator())
    return ax.xaxis, ax.yaxis


def short(value: float) -> str:
    """A number in few characters: 12k, 3.4m."""
    for size, letter in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
        if abs(value) >= size * (0.99995 if size > 1e3 else 1.0):
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def group_names(starts: Sequence[int] | npt.NDArray[Any]) -> list[str]:
    """Whole numbers from one start to the next in few characters; the last group has no end: 0, 1–10, 11+."""
    ends = [*(int(n) - 1 for n in starts[1:]), None]
    pairs = [(int(a), b) for a, b in zip(starts, ends, strict=True)]
    return [f"{a}+" if b is None else f"{a}" if a == b else f"{a}–{b}" for a, b in pairs]


def money_axis(axis: Any) -> None:
    """Amounts in few characters."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def percent_axis(axis: Any) -> None:
    """Shares as percent."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(100 * value, 6):g}%"))


def whole_axis(axis: Any) -> None:
    """Ticks at whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True))


def date_axis(axis: Any) -> None:
    """Days, written as short as is unambiguous."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    # With fewer at least, no span is too long for the intervals there are: by months, 43 to 59 of them would be.
    locator = AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
    axis.set_major_locator(locator)
    axis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def forest_rows(
    ax: Axes,
    names: Sequence[str],
    middle: Iterable[float],
    low: Iterable[float],
    high: Iterable[float],
    *,
    colours: Sequence[str] | None = None,
    known: Sequence[bool] | None = None,
    zero: float | None = 0.0,
) -> None:
    """An interval a name, the first on top; those that are not known are hollow."""
    at = np.arange(len(names))[::-1]
    shades = list(colours or [SERIES[0]] * len(names))
    filled = list(known or [True] * len(names))
    for y, m, a, b, colour, sure in zip(at, middle, low, high, shades, filled, strict=True):
        ax.plot([a, b], [y, y], color=colour, linewidth=2, solid_capstyle="round")
        ax.plot(m, y, "o", color=colour, markersize=6, markerfacecolor=colour if sure else "white")
    if zero is not None:
        ax.axvline(zero, color=SOFT, linewidth=1)
    ax.set_yticks(at, list(names))
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.tick_params(axis="y", labelcolor=INK)
