"""Figures of the value of the base: who brings it, and how it has moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from clvml.errors import DataError
from clvml.insights import profit
from clvml.insights.audit import BaseAudit
from clvml.insights.over_time.migration import Migration
from clvml.insights.profit import ProfitTiers
from clvml.report.plots.style import (
    INK,
    MARKERS,
    SERIES,
    SOFT,
    date_axis,
    legend,
    money_axis,
    new_axes,
    percent_axis,
    whole_axis,
)
from clvml.scores.segments import TIERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["cohorts", "migration", "value_over_time", "whale_curve"]

_POINTS = 401


def whale_curve(contribution: ProfitTiers | ArrayLike, ax: Axes | None = None) -> Axes:
    """Contribution added up from the best customer to the worst: above 100% where some lose money.

    Parameters
    ----------
    contribution : ProfitTiers or array-like of shape (n,)
        What each customer has brought.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        Where the customers together have brought nothing, so that there are no shares of it.

    Examples
    --------
    >>> from clvml import plots
    >>> ax = plots.whale_curve([60.0, 30.0, 20.0, -10.0])
    >>> ax.lines[0].get_ydata().round(2).tolist()
    [0.0, 0.6, 0.9, 1.1, 1.0]
    """
    if isinstance(contribution, ProfitTiers):
        contribution = contribution.table["contribution"]
    values = np.asarray(contribution, dtype=np.float64)
    if not len(values) or values.sum() <= 0:
        raise DataError("The customers together have brought nothing, so there are no shares of it to draw.")
    curve = profit.whale_curve(values)
    at = np.unique(np.linspace(0, len(curve) - 1, min(_POINTS, len(curve))).round().astype(int))
    peak = int(curve[:, 1].argmax())
    fifth = float(np.interp(0.2, curve[:, 0], curve[:, 1]))
    ax = new_axes(ax, "Who brings the money", "% of the customers, the best first", "% of the contribution, added up")
    ax.plot(curve[at, 0], curve[at, 1], color=SERIES[0], linewidth=2)
    ax.axhline(1.0, color=SOFT, linewidth=1)
    ax.plot(0.2, fifth, "o", color=SERIES[1], markersize=6)
    ax.annotate(
        f"the best fifth: {fifth:.0%}", (0.2, fifth), xytext=(8, -12), textcoords="offset points", color=INK, fontsize=9
    )
    if curve[peak, 1] > 1.005:
        ax.annotate(
            f"without those who cost money: {curve[peak, 1]:.0%}", (curve[peak, 0], curve[peak, 1]), xytext=(0, 5),
            textcoords="offset points", ha="center", color=INK, fontsize=9,
        )  # fmt: skip
    ax.set(xlim=(0, 1))
    ax.set_ylim(0, max(1.08, float(curve[peak, 1]) * 1.08))
    percent_axis(ax.xaxis)
    percent_axis(ax.yaxis)
    return ax


def migration(found: Migration, ax: Axes | None = None) -> Axes:
    """Who moved between tiers: the share of each earlier tier, beside what chance alone would give.

    Parameters
    ----------
    found : Migration
        What `clvml.migration` gave.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes
        Darker is more; bold where it differs from chance by more than two standard errors.

    Examples
    --------
    >>> import pandas as pd
    >>> from clvml import plots
    >>> from clvml.insights.over_time.migration import Migration
    >>> rows = [
    ...     {"from": a, "to": b, "customers": 30, "share": 1 / 3, "expected": 0.3, "alert": False}
    ...     for a in ("bad", "middle", "good") for b in ("bad", "middle", "good")
    ... ]
    >>> ax = plots.migration(Migration("2011-06-30", "2011-09-30", 270, 0, 0, pd.DataFrame(rows)))
    >>> len(ax.texts)
    9
    """
    order = sorted(set(found.table["from"]), key=["good", "middle", "bad"].index)
    assert set(order) <= set(TIERS)
    table = found.table.set_index(["from", "to"])
    share = np.array([[float(table.loc[(a, b), "share"]) for b in order] for a in order])
    ax = new_axes(
        ax, f"From {found.before} to {found.after}", "tier at the end", "tier at the beginning", size=(5.2, 4.2),
        grid="none",
    )  # fmt: skip
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1.3, aspect="auto")
    for i, a in enumerate(order):
        for j, b in enumerate(order):
            cell = table.loc[(a, b)]
            text = f"{cell['share']:.0%}\nby chance {cell['expected']:.0%}\n{cell['customers']:,.0f} customers"
            ax.text(
                j, i, text, ha="center", va="center", color="white" if share[i, j] > 0.75 else INK, fontsize=9,
                fontweight="bold" if cell["alert"] else "normal",
            )  # fmt: skip
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(range(len(order)), order)
    ax.spines[:].set_visible(False)
    return ax


def value_over_time(table: pd.DataFrame, total: bool = True, ax: Axes | None = None) -> Axes:
    """The value of the base, or of its parts, day by day of the kept scores.

    Parameters
    ----------
    table : pandas.DataFrame
        The output of `clvml.value_over_time`, by one column or none.
    total : bool, default True
        The total; otherwise the mean of a customer.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import pandas as pd
    >>> from clvml import plots, value_over_time
    >>> history = pd.DataFrame({"as_of": ["2011-07-31"] * 2 + ["2011-08-31"] * 2, "clv": [10.0, 30.0, 20.0, 40.0]})
    >>> plots.value_over_time(value_over_time(history)).get_ylabel()
    'expected value in total'
    """
    by = [c for c in table.columns if c not in ("as_of", "customers", "total", "mean")]
    y, label = ("total", "expected value in total") if total else ("mean", "expected value of a customer")
    ax = new_axes(ax, "Value over time", "", label, grid="y")
    parts = [("", table)] if not by else list(table.groupby(by[0], sort=True))
    for i, (name, own) in enumerate(parts):
        ax.plot(
            pd.to_datetime(own["as_of"]), own[y], f"{MARKERS[i % len(MARKERS)]}-", color=SERIES[i % len(SERIES)],
            markersize=5, linewidth=2, label=str(name),
        )  # fmt: skip
    if by:
        legend(ax, loc="upper center", ncols=4, bbox_to_anchor=(0.5, -0.1))
    date_axis(ax.xaxis)
    ax.set_ylim(bottom=min(0.0, float(table[y].min())))
    money_axis(ax.yaxis)
    return ax


def cohorts(audit: BaseAudit, ax: Axes | None = None) -> Axes:
    """How many of each cohort still buy, by the quarters since the first purchase.

    Parameters
    ----------
    audit : BaseAudit
        What `clvml.base_audit` gave.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        Where no cohort is a quarter old yet.

    Examples
    --------
    >>> from clvml import Transactions, base_audit, load_cdnow, plots
    >>> plots.cohorts(base_audit(Transactions(load_cdnow(sample=True)), "1998-06-30")).get_xlabel()
    'quarters since the first purchase'
    """
    later = audit.cohorts[audit.cohorts["age"] > 0]
    if later.empty:
        raise DataError("No cohort is a quarter old yet, so there is nothing to compare.")
    ax = new_axes(
        ax, "How many still buy, by cohort", "quarters since the first purchase", "% that bought in the quarter",
        grid="y",
    )  # fmt: skip
    for i, (name, own) in enumerate(later.groupby("cohort", sort=True)):
        ax.plot(
            own["age"], own["active"], f"{MARKERS[i % len(MARKERS)]}-", color=SERIES[i % len(SERIES)], markersize=4,
            label=str(name),
        )  # fmt: skip
    whole_axis(ax.xaxis)
    ax.set_ylim(bottom=0)
    percent_axis(ax.yaxis)
    legend(ax, ncols=3, title="first bought", title_fontsize=9)
    return ax
