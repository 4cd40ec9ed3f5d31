"""Figures of how right a model was: over time, by tenth of the customers, beside simpler rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from clvml.checks import check_choice
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.purchases.model import PurchaseModel
from clvml.evaluation import fit_checks
from clvml.evaluation.backtest import OURS, Backtest
from clvml.orders.transactions import Split
from clvml.report.plots.style import (
    DASHES,
    INK,
    MARKERS,
    SERIES,
    SOFT,
    date_axis,
    forest_rows,
    group_names,
    legend,
    legend_below,
    money_axis,
    new_axes,
    percent_axis,
    spread_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["calibration", "differences", "gain", "holdout_purchases", "lift", "totals", "tracking"]

_UNITS = {"purchases": "purchases", "spend": "spend", "return": "share who return"}


def tracking(table: pd.DataFrame, cumulative: bool = False, ax: Axes | None = None) -> Axes:
    """Repeat purchases by period, actual and expected, with the interval after the day that the model knows.

    Parameters
    ----------
    table : pandas.DataFrame
        The output of `track_purchases`.
    cumulative : bool, default False
        Added up rather than by period.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> from clvml import BetaGeoModel, Transactions, load_cdnow, plots, track_purchases
    >>> log = Transactions(load_cdnow(sample=True))
    >>> table = track_purchases(BetaGeoModel().fit(log.summarize("1997-09-30")), log, "1997-09-30")
    >>> plots.tracking(table, cumulative=True).get_ylabel()
    'repeat purchases, added up'
    """
    end = "_total" if cumulative else ""
    y = "repeat purchases, added up" if cumulative else f"repeat purchases in {table.attrs.get('period', 7)} days"
    ax = new_axes(ax, "Repeat purchases, actual and expected", "", y, grid="y")
    before, later = table[table["known"]], table[~table["known"]]
    if cumulative and len(before):
        # After that day it goes on from what came, not from what was expected of new customers.
        known = before.iloc[[-1]]
        came = {f"{name}_total": known["actual_total"] for name in ("expected", "low", "high")}
        later = pd.concat([known.assign(**came), later])
    ax.plot(table["end"], table[f"actual{end}"], color=INK, linewidth=1.5, label="actual")
    parts = [before, later] if cumulative else [table]
    for part in parts:
        name = "expected" if part is parts[0] else "_"
        ax.plot(part["end"], part[f"expected{end}"], color=SERIES[0], linewidth=2, label=name)
    if not table["known"].all():
        name = f"{table.attrs.get('level', 0.9):.0%} interval"
        ax.fill_between(
            later["end"], later[f"low{end}"], later[f"high{end}"], color=SERIES[0], alpha=0.18, linewidth=0, label=name
        )
        day = before["end"].max()
        ax.axvline(day, color=SOFT, linewidth=1, linestyle="--")
        ax.annotate(
            "the model knows so far", (day, 1.0), xycoords=("data", "axes fraction"), xytext=(-4, -4),
            textcoords="offset points", ha="right", va="top", color=SOFT, fontsize=9,
        )  # fmt: skip
    date_axis(ax.xaxis)
    ax.set_ylim(bottom=0)
    money_axis(ax.yaxis)
    legend(ax, loc="upper center", ncols=3, bbox_to_anchor=(0.5, -0.1))
    return ax


def holdout_purchases(
    model: PurchaseModel | LifetimeValueModel, split: Split, most: int | None = None, ax: Axes | None = None
) -> Axes:
    """Purchases after a day by the number of repeat purchases before it, actual and expected.

    Parameters
    ----------
    model : PurchaseModel or LifetimeValueModel
        Fitted to the summary of the split.
    split : Split
        What `Transactions.split` gave.
    most : int, optional
        The last point stands for so many and more: 7 unless given, but where more than a tenth of the customers have
        more than 12, points are of groups of equal width.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes
        Bars are 95% intervals of the actual mean.

    Raises
    ------
    DataError, NotFittedError

    Examples
    --------
    >>> from clvml import BetaGeoModel, Transactions, load_cdnow, plots
    >>> split = Transactions(load_cdnow(sample=True)).split("1997-09-30", "1998-06-30")
    >>> ax = plots.holdout_purchases(BetaGeoModel().fit(split.summary), split)
    >>> [line.get_label() for line in ax.lines][-1]
    'BG/NBD'
    """
    table = fit_checks.holdout_by_past(model, split, most)
    name = fit_checks.purchases_of(model).name
    ax = new_axes(
        ax, "Purchases after the cut, by those before it", "repeat purchases before the cut",
        "mean purchases after it", grid="y",
    )  # fmt: skip
    starts = fit_checks.groups_of_repeats(split.summary, most)
    at = np.searchsorted(starts, table["past"])
    ax.vlines(at, table["low"], table["high"], color=INK, linewidth=1.5)
    ax.plot(at, table["actual"], "o", color=INK, label="actual, 95% interval")
    ax.plot(at, table["expected"], "D-", color=SERIES[0], markersize=5, label=name)
    names = group_names(starts)
    ax.set_xticks(at, [names[i] for i in at])
    ax.set_ylim(bottom=0)
    legend(ax, loc="upper left")
    return ax


def calibration(
    tested: Backtest, target: Literal["purchases", "spend", "return"] = "spend", ax: Axes | None = None
) -> Axes:
    """Predicted against actual by tenth of the customers; on the line the level was right.

    Parameters
    ----------
    tested : Backtest
        What `backtest` gave.
    target : {'purchases', 'spend', 'return'}
        What is compared.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes
        On scales that spread small numbers. Bars are 95% intervals of the actual mean; each cut has a marker
        and a colour of its own.

    Raises
    ------
    OptionError

    Examples
    --------
    >>> import pandas as pd
    >>> from clvml import plots
    >>> from clvml.evaluation.backtest import Backtest
    >>> none = pd.DataFrame()
    >>> tenths = {"target": "return", "cut": "2011-06-30", "predicted": [0.1, 0.5], "actual": [0.2, 0.5]}
    >>> deciles = pd.DataFrame(tenths | {"low": [0.1, 0.4], "high": [0.3, 0.6]})
    >>> tested = Backtest(none, none, none, deciles, none, 91)
    >>> plots.calibration(tested, "return").get_xlabel()
    'predicted share who return, by tenth of customers'
    """
    unit = _UNITS[check_choice("target", target, _UNITS)]
    each = "" if target == "return" else " per customer"
    title = f"{target.capitalize()}: predicted and actual"
    ax = new_axes(ax, title, f"predicted {unit}{each}, by tenth of customers", f"actual {unit}{each}", size=(5.2, 4.6))
    rows = tested.deciles[tested.deciles["target"] == target]
    end = float(np.nanmax(rows[["predicted", "actual", "high"]].to_numpy())) * 1.08
    if target == "return":
        end = min(end, 1.0)
    ax.plot([0, end], [0, end], color=SOFT, linewidth=1, label="exact")
    for i, (cut, own) in enumerate(rows.groupby("cut")):
        colour = SERIES[i % len(SERIES)]
        ax.vlines(own["predicted"], own["low"].clip(lower=0), own["high"], color=colour, linewidth=1.5, alpha=0.6)
        ax.plot(
            own["predicted"], own["actual"], MARKERS[i % len(MARKERS)], color=colour, markersize=5.5, label=str(cut)
        )
    write = percent_axis if target == "return" else money_axis
    for axis in spread_axes(ax, rows[["predicted", "actual"]].to_numpy(np.float64), end):
        write(axis)
    ax.set(xlim=(0, end), ylim=(0, end))
    legend(ax, loc="upper left")
    return ax


def gain(tested: Backtest, target: Literal["purchases", "spend"] = "spend", ax: Axes | None = None) -> Axes:
    """Share of all that came which the best so many per cent of the customers brought, by each model's order.

    Parameters
    ----------
    tested : Backtest
        What `backtest` gave; means over its cuts are drawn.
    target : {'purchases', 'spend'}
        What came.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    OptionError

    Examples
    --------
    >>> import pandas as pd
    >>> from clvml import plots
    >>> from clvml.evaluation.backtest import Backtest
    >>> none = pd.DataFrame()
    >>> gains = pd.DataFrame({"model": "clvml", "target": "spend", "share": [0.5, 1.0], "captured": [0.8, 1.0]})
    >>> tested = Backtest(none, none, none, none, gains, 91)
    >>> [text.get_text() for text in plots.gain(tested).get_legend().get_texts()][-1]
    'at random'
    """
    curves = _gains(tested, target)
    ax = new_axes(
        ax, f"What the best customers brought: {target}", "% of the customers, the best predicted first",
        f"% of the {target}",
    )  # fmt: skip
    for i, (name, row) in enumerate(curves.items()):
        ax.plot(
            [0.0, *row.index], [0.0, *row], label=str(name), **_line(str(name), i),
        )  # fmt: skip
    ax.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=":", label="at random")
    ax.set(xlim=(0, 1), ylim=(0, 1.02))
    percent_axis(ax.xaxis)
    percent_axis(ax.yaxis)
    legend(ax, loc="lower right")
    return ax


def lift(tested: Backtest, target: Literal["purchases", "spend"] = "spend", ax: Axes | None = None) -> Axes:
    """How many times the mean customer the best so many per cent are worth, by each model's order.

    Parameters
    ----------
    tested : Backtest
        What `backtest` gave; means over its cuts are drawn.
    target : {'purchases', 'spend'}
        What came.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    OptionError

    Examples
    --------
    >>> import pandas as pd
    >>> from clvml import plots
    >>> from clvml.evaluation.backtest import Backtest
    >>> none = pd.DataFrame()
    >>> gains = pd.DataFrame({"model": "clvml", "target": "spend", "share": [0.5, 1.0], "captured": [0.8, 1.0]})
    >>> tested = Backtest(none, none, none, none, gains, 91)
    >>> plots.lift(tested).get_ylabel()
    'times the mean customer'
    """
    curves = _gains(tested, target)
    ax = new_axes(
        ax, f"Lift of the best customers: {target}", "% of the customers, the best predicted first",
        "times the mean customer",
    )  # fmt: skip
    for i, (name, row) in enumerate(curves.items()):
        ax.plot(
            row.index, row / row.index, label=str(name), **_line(str(name), i),
        )  # fmt: skip
    ax.axhline(1.0, color=SOFT, linewidth=1, linestyle=":", label="at random")
    ax.set_xlim(0, 1)
    ax.set_ylim(bottom=0)
    percent_axis(ax.xaxis)
    legend(ax)
    return ax


def _gains(tested: Backtest, target: str) -> pd.DataFrame:
    """Mean captured share over the cuts: shares x models."""
    check_choice("target", target, ("purchases", "spend"))
    rows = tested.gains[tested.gains["target"] == target]
    table = rows.groupby(["share", "model"], sort=False)["captured"].mean().unstack("model")
    return table[list(dict.fromkeys(rows["model"]))]


def _line(name: str, i: int) -> dict[str, Any]:
    """Ours is drawn thick and above the others, in its own colour; of these, neighbours differ in their dashes too."""
    if name == OURS:
        return {"color": SERIES[0], "linewidth": 2.5, "zorder": 3}
    others = (*SERIES[1:], INK)
    return {"color": others[(i - 1) % len(others)], "linewidth": 1.4, "zorder": 2, "linestyle": DASHES[i % len(DASHES)]}


def totals(tested: Backtest, target: Literal["purchases", "spend"] = "spend", ax: Axes | None = None) -> Axes:
    """What was predicted in total at each cut, with its 90% interval, and what came.

    Parameters
    ----------
    tested : Backtest
        What `backtest` gave.
    target : {'purchases', 'spend'}
        What is added up.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    OptionError

    Examples
    --------
    >>> import pandas as pd
    >>> from clvml import plots
    >>> from clvml.evaluation.backtest import Backtest
    >>> none = pd.DataFrame()
    >>> ends = {"purchases_low": 8, "purchases_high": 15, "spend_low": 80.0, "spend_high": 150.0}
    >>> cuts = pd.DataFrame([{"cut": "2011-06-30", "purchases": 10, "spend": 100.0} | ends])
    >>> tested = Backtest(none, none, cuts, none, none, 91)
    >>> plots.totals(tested).get_xlabel()
    'spend in the 91 days after the cut'
    """
    check_choice("target", target, ("purchases", "spend"))
    rows = tested.totals()
    rows = rows[rows["target"] == target].sort_values("cut")
    middle = np.sqrt(rows["low"] * rows["high"])  # the interval is symmetric in its logarithm
    ax = new_axes(
        ax, "Totals: predicted and actual", f"{target} in the {tested.horizon} days after the cut", "",
        size=(6.4, 1.8 + 0.4 * len(rows)), grid="x",
    )  # fmt: skip
    forest_rows(ax, [str(c) for c in rows["cut"]], middle, rows["low"], rows["high"], zero=None)
    at = np.arange(len(rows))[::-1]
    ax.plot([], [], "o-", color=SERIES[0], linewidth=2, label="predicted, 90% interval")
    ax.plot(rows["actual"], at, "D", color=SERIES[1], markersize=7, label="actual")
    ax.set_xlim(left=0)
    money_axis(ax.xaxis)
    legend_below(ax)
    return ax


def differences(
    tested: Backtest,
    target: Literal["purchases", "spend", "return"] = "spend",
    metric: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """How much better or worse than each simpler forecast the model was, with 95% intervals.

    Parameters
    ----------
    tested : Backtest
        What `backtest` gave.
    target : {'purchases', 'spend', 'return'}
        What was predicted.
    metric : str, optional
        Of `Backtest.differences`; unless given deviance, of returns Brier.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes
        Blue is better, orange worse, grey no clear difference.

    Raises
    ------
    OptionError

    Examples
    --------
    >>> import pandas as pd
    >>> from clvml import plots
    >>> from clvml.evaluation.backtest import Backtest
    >>> none = pd.DataFrame()
    >>> row = {"cut": "2011-06-30", "baseline": "own rate", "target": "spend", "metric": "deviance", "difference": -3.0}
    >>> differences = pd.DataFrame([row | {"low": -4.0, "high": -2.0, "verdict": "better"}])
    >>> tested = Backtest(none, differences, none, none, none, 91)
    >>> plots.differences(tested).get_xlabel()
    'deviance of spend, ours less theirs (lower is better)'
    """
    rows = tested.differences[tested.differences["target"] == check_choice("target", target, _UNITS)]
    chosen = metric or ("brier" if target == "return" else "deviance")
    check_choice("metric", chosen, dict.fromkeys(rows["metric"]))
    rows = rows[rows["metric"] == chosen]
    names, cuts = list(dict.fromkeys(rows["baseline"])), sorted(set(rows["cut"]))
    way = "lower" if chosen in ("deviance", "brier") else "higher"
    ax = new_axes(
        ax,
        f"{OURS} beside simpler forecasts",
        f"{_METRICS.get(chosen, chosen)} of {target}, ours less theirs ({way} is better)",
        "",
        size=(6.4, 1.9 + 0.22 * len(names) * (1 + len(cuts))),
        grid="x",
    )
    _scale_differences(ax, rows)
    for i, (_, own) in enumerate(rows.groupby("cut", sort=True)):
        aside = 0.0 if len(cuts) == 1 else 0.25 - 0.5 * i / (len(cuts) - 1)
        for row in own.to_dict("records"):
            at = len(names) - 1 - names.index(row["baseline"]) + aside
            colour = _VERDICTS.get(row["verdict"], SOFT)
            ax.plot([row["low"], row["high"]], [at, at], color=colour, linewidth=1.8)
            ax.plot(row["difference"], at, MARKERS[i % len(MARKERS)], color=colour, markersize=5)
        ax.plot([], [], MARKERS[i % len(MARKERS)], color=SOFT, markersize=5, label=str(cuts[i]))
    ax.axvline(0.0, color=SOFT, linewidth=1)
    ax.set_yticks(np.arange(len(names))[::-1], names)
    ax.set_ylim(-0.6, len(names) - 0.4)
    if len(cuts) > 1:
        legend_below(ax, ncols=4)
    return ax


_METRICS = {"brier": "Brier score", "gini": "Gini", "auc": "AUC"}
_VERDICTS = {"better": SERIES[0], "worse": SERIES[1]}


def _scale_differences(ax: Axes, rows: pd.DataFrame) -> None:
    """A scale that spreads small differences, where some are many times as large as others."""
    sizes = rows["difference"].abs()
    sizes = sizes[sizes > 0]
    if len(sizes) and sizes.max() > 20.0 * sizes.min():
        near = float(max(sizes.quantile(0.25), sizes.max() / 1e3))
        ax.set_xscale("symlog", linthresh=near, linscale=0.6)
        ax.xaxis.set_major_formatter(lambda value, _: "" if 0 < abs(value) < near else f"{value:g}")  # no room there
