"""Figures of customers: one of them through time, all of them by risk and value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clvml.checks import check_whole
from clvml.errors import DataError
from clvml.estimators.histories import Customers
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.purchases.model import PurchaseModel
from clvml.evaluation import fit_checks
from clvml.horizon import horizon_days
from clvml.insights.score_tables import require_columns
from clvml.orders.transactions import Transactions
from clvml.report.plots.style import (
    INK,
    PALE,
    SERIES,
    SOFT,
    date_axis,
    legend,
    legend_below,
    log_money_axis,
    money_axis,
    new_axes,
    percent_axis,
    whole_axis,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "customer_history", "customer_purchases", "exposure", "purchase_gaps", "return_by_recency", "value_at_risk",
]  # fmt: skip

Purchases = PurchaseModel | LifetimeValueModel

_SMALL_GROUP = 20
"""Customers below which no line is drawn."""
_STEPS = 20
_MANY_PURCHASES = 60
"""Lines or bars of one customer beyond which lines are drawn as marks at the foot, and bars without gaps."""


def customer_history(
    model: Purchases,
    log: Transactions,
    customer_id: Any,
    as_of: Any = None,
    horizon: int | str = "3m",
    ax: Axes | None = None,
) -> Axes:
    """One customer's purchases, with the probabilities of being alive and of returning as they were on each day.

    Parameters
    ----------
    model : PurchaseModel or LifetimeValueModel
        Fitted.
    log : Transactions
        The order log.
    customer_id : int or str
        Whose history is drawn.
    as_of : date or str, optional
        The last day; that of the log unless given.
    horizon : int or str, default '3m'
        Of the return.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        Where the customer has no purchase by then.
    NotFittedError, OptionError

    Examples
    --------
    >>> from clvml import ParetoNBDModel, Transactions, load_cdnow, plots
    >>> log = Transactions(load_cdnow(sample=True))
    >>> model = ParetoNBDModel().fit(log.summarize("1997-09-30"))
    >>> plots.customer_history(model, log, 1, "1997-09-30").get_title(loc="left")
    'Customer 1: 3 purchases'
    """
    day = log.last_date if as_of is None else as_of
    table = fit_checks.customer_history(model, log, customer_id, day, horizon)
    bought = table.loc[table["purchase"], "day"]
    title = f"Customer {customer_id}: {len(bought)} purchase{'s' if len(bought) > 1 else ''}"
    ax = new_axes(ax, title, "", "probability", grid="y")
    rug = len(bought) > _MANY_PURCHASES  # lines of that many would cover the rest
    ax.vlines(
        bought, 0, 0.06 if rug else 1, color=SOFT if rug else PALE, linewidth=0.8 if rug else 1.5, label="purchase"
    )
    days = horizon_days(horizon, day)
    ax.plot(table["day"], table["p_alive"], color=SERIES[0], linewidth=1.5, linestyle="--", label="is a customer")
    ax.plot(table["day"], table["p_return"], color=SERIES[1], linewidth=2, label=f"buys in the next {days} days")
    ax.set_ylim(0, 1.02)
    percent_axis(ax.yaxis)
    date_axis(ax.xaxis)
    legend(ax, loc="upper center", ncols=3, bbox_to_anchor=(0.5, -0.1))
    return ax


def customer_purchases(
    model: Purchases, customer: Customers, horizon: int | str = 365, level: float = 0.9, ax: Axes | None = None
) -> Axes:
    """How many purchases one customer will make within the horizon: the chance of each number.

    Parameters
    ----------
    model : PurchaseModel or LifetimeValueModel
        Fitted.
    customer : dict, pandas.Series or pandas.DataFrame of one row
        `frequency`, `recency` and `T` in days.
    horizon : int or str, default 365
        How far ahead.
    level : float, default 0.9
        Of the interval that is drawn darker.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        Also for more than one customer.
    NotFittedError, OptionError

    Examples
    --------
    >>> from clvml import BetaGeoModel, Transactions, load_cdnow, plots
    >>> model = BetaGeoModel().fit(Transactions(load_cdnow(sample=True)).summarize("1997-09-30"))
    >>> ax = plots.customer_purchases(model, {"frequency": 2, "recency": 213, "T": 273}, "39w")
    >>> print(round(ax.patches[0].get_height(), 2))  # none
    0.45
    """
    purchases = fit_checks.purchases_of(model)
    low, high = purchases.purchases_interval(customer, horizon, level)
    if len(low) != 1:
        raise DataError(f"{len(low):,} customers were given; this figure is of one.")
    most = int(purchases.purchases_interval(customer, horizon, 0.99)[1][0]) + 1
    at = np.arange(max(most, 3) + 1)
    chance = np.array([float(purchases.pmf(customer, int(n), horizon)[0]) for n in at])
    inside = (at >= low[0]) & (at <= high[0])
    mean = float(purchases.expected_purchases(customer, horizon)[0])
    ax = new_axes(ax, "Purchases to come of one customer", _ahead(horizon), "probability", grid="y")
    for part, colour, label in (
        (inside, SERIES[0], f"{level:.0%} interval: {low[0]:.0f} to {high[0]:.0f}"),
        (~inside, PALE, "outside it"),
    ):
        ax.bar(at[part], chance[part], color=colour, width=1.0 if most > _MANY_PURCHASES else 0.85, label=label)
    ax.axvline(mean, color=INK, linewidth=1.5, linestyle="--", label=f"mean {mean:.3g}")
    whole_axis(ax.xaxis)
    percent_axis(ax.yaxis)
    legend(ax)
    return ax


def _ahead(horizon: int | str) -> str:
    return f"purchases within {horizon} days" if isinstance(horizon, int) else f"purchases within {horizon}"


def exposure(summary: pd.DataFrame, customers: int = 60, ax: Axes | None = None) -> Axes:
    """Since when customers are there, and until when they bought: the time that a model learns from.

    Parameters
    ----------
    summary : pandas.DataFrame
        One row a customer: `frequency`, `recency`, `T`.
    customers : int, default 60
        How many are drawn, evenly from the oldest to the youngest.
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
    >>> from clvml import Transactions, load_cdnow, plots
    >>> ax = plots.exposure(Transactions(load_cdnow(sample=True)).summarize("1997-09-30"))
    >>> ax.get_xlabel()
    'days before as_of'
    """
    most = min(check_whole("customers", customers), len(summary))
    ordered = summary.sort_values(["T", "recency"], ascending=False, kind="stable")
    drawn = ordered.iloc[np.linspace(0, len(ordered) - 1, most).round().astype(int)]
    age, last = drawn["T"].to_numpy(float), drawn["recency"].to_numpy(float)
    at = np.arange(most)
    more = f", {most:,} of {len(summary):,}" if most < len(summary) else ""
    ax = new_axes(ax, "From the first purchase to today", "days before as_of", f"customers{more}", grid="x")
    ax.hlines(at, -age, 0, color=PALE, linewidth=1, label="silent since")
    ax.hlines(at, -age, last - age, color=SERIES[0], linewidth=2, label="first to last purchase")
    once = drawn["frequency"].to_numpy() == 0
    ax.plot(-age[once], at[once], "o", color=SERIES[1], markersize=3.5, label="bought once")
    ax.set_yticks([])
    ax.set_xlim(-float(age.max()) * 1.02, 0)
    ax.xaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
    legend(ax, loc="upper center", ncols=3, bbox_to_anchor=(0.5, -0.13))
    return ax


def purchase_gaps(log: Transactions, as_of: Any = None, ax: Axes | None = None) -> Axes:
    """Days between the purchases of a customer: all gaps that have ended.

    Long gaps are still open, and so are missing the more the longer they are.

    Parameters
    ----------
    log : Transactions
        The order log.
    as_of : date or str, optional
        The last day that is looked at; that of the log unless given.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        Where nobody has bought twice.
    OptionError

    Examples
    --------
    >>> from clvml import Transactions, load_cdnow, plots
    >>> ax = plots.purchase_gaps(Transactions(load_cdnow(sample=True)), "1997-09-30")
    >>> ax.get_xlabel()
    'days from one purchase to the next'
    """
    days = log.purchase_days(log.last_date if as_of is None else as_of)
    days = days[days["purchase"] == 1]
    gaps = days.groupby("customer_id")["day"].diff().dropna().to_numpy(float)
    if not len(gaps):
        raise DataError("Nobody has bought twice by then, so there is no time between purchases.")
    half, most = np.quantile(gaps, [0.5, 0.9])
    top = float(np.quantile(gaps, 0.99))
    width = max(1.0, np.ceil(top / 50))
    edges = np.arange(0.5, top + width, width)
    ax = new_axes(ax, "Time between purchases", "days from one purchase to the next", "gaps", grid="y")
    ax.hist(gaps, bins=edges.tolist(), color=PALE, edgecolor="white", linewidth=0.5)
    for value, name, style in ((half, "half", "-"), (most, "nine of ten", "--")):
        ax.axvline(value, color=SERIES[0], linestyle=style, linewidth=1.5, label=f"{name} within {value:.0f} days")
    money_axis(ax.yaxis)
    legend_below(ax)
    return ax


def return_by_recency(scores: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Return probability by days since the last purchase: one-time buyers and repeat buyers apart, medians with the
    middle half.

    Parameters
    ----------
    scores : pandas.DataFrame
        Scores of one day: the output of `ClvModel.score` or of `clvml predict`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from clvml import plots
    >>> days = np.arange(200)
    >>> scores = pd.DataFrame({"frequency": 1, "days_since_last": days, "p_return": 1 / (1 + days / 50)})
    >>> len(plots.return_by_recency(scores).lines)
    1
    """
    require_columns(scores, ("frequency", "days_since_last", "p_return"), "scores")
    ax = new_axes(ax, "Who comes back, by silence", "days since the last purchase", "probability of a purchase")
    once = scores["frequency"] == 0
    for rows, colour, label in (
        (scores[once], SERIES[1], "bought once"),
        (scores[~once], SERIES[0], "bought several times"),
    ):
        if len(rows) < _SMALL_GROUP:
            continue
        steps = min(_STEPS, rows["days_since_last"].nunique(), len(rows) // _SMALL_GROUP)
        groups = rows.groupby(pd.qcut(rows["days_since_last"], steps, duplicates="drop"), observed=True)
        middle, chance = groups["days_since_last"].median(), groups["p_return"]
        ax.fill_between(middle, chance.quantile(0.25), chance.quantile(0.75), color=colour, alpha=0.2, linewidth=0)
        ax.plot(middle, chance.median(), "o-", markersize=3, color=colour, label=label)
    ax.set_ylim(0, 1)
    ax.set_xlim(left=0)
    percent_axis(ax.yaxis)
    legend(ax, title="median, middle half", title_fontsize=9)
    return ax


def value_at_risk(scores: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Churn probability against value if kept: how many customers are where, and the flagged among them.

    Parameters
    ----------
    scores : pandas.DataFrame
        Scores of one day: the output of `ClvModel.score` or of `clvml predict`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes
        Customers without a value to keep are left out; dashed lines join equal value at risk.

    Raises
    ------
    DataError

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from clvml import plots
    >>> scores = pd.DataFrame({"value_if_kept": np.arange(1.0, 101.0), "churn_probability": 0.5, "flagged": False})
    >>> plots.value_at_risk(scores).get_xlabel()
    'value if kept'
    """
    require_columns(scores, ("value_if_kept", "churn_probability", "flagged"), "scores")
    rows = scores[scores["value_if_kept"] > 0]
    if rows.empty:
        raise DataError("No customer has a value to keep.")
    ax = new_axes(ax, "Who is worth keeping, and may go", "value if kept", "probability of no purchase", grid="none")
    ax.set_xscale("log")
    low, high = np.quantile(rows["value_if_kept"], [0.001, 1.0])
    reach = (float(np.log10(low)), float(np.log10(max(high, 1.01 * low))), 0.0, 1.0)
    shown = rows[rows["value_if_kept"] >= low]
    cells = ax.hexbin(
        shown["value_if_kept"], shown["churn_probability"], gridsize=(40, 22), xscale="log", extent=reach, bins="log",
        mincnt=1, cmap="Greys", linewidths=0.2, rasterized=True,
    )  # fmt: skip
    most = float(np.max(np.asarray(cells.get_array())))
    cells.set_clim(0.3, 3.0 * most)  # the darkest cell stays grey, so that the flagged stand out
    flagged = shown[shown["flagged"]]
    size = float(np.clip(3_000 / max(len(flagged), 1), 3, 30))
    ax.scatter(
        flagged["value_if_kept"], flagged["churn_probability"], s=size, color=SERIES[1], alpha=0.7, linewidths=0,
        rasterized=True, clip_on=False, zorder=3,
    )  # fmt: skip
    name = f"{len(flagged):,} flagged of {len(scores):,} (grey: how many customers)"
    ax.scatter([], [], s=16, color=SERIES[1], label=name)
    value = np.geomspace(low, high, 200)
    for line in _round_steps(float(low), float(high)):
        ax.plot(value, np.where(value >= line, line / value, np.nan), "--", color=SOFT, linewidth=0.8)
        ax.text(
            line / 0.96, 0.96, f"{line:,g} at risk", color=SOFT, fontsize=8, va="top", clip_on=True,
            ha="right",
            bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1.0},
        )  # fmt: skip
    ax.set(ylim=(0, 1), xlim=(low, high))
    log_money_axis(ax.xaxis, float(low), float(high))
    percent_axis(ax.yaxis)
    legend(ax, loc="upper center", bbox_to_anchor=(0.5, -0.13))
    return ax


def _round_steps(low: float, high: float) -> list[float]:
    """Round amounts between two others, at most four."""
    found = [m * 10.0**k for k in range(-6, 12) for m in (1, 2, 5) if 2 * low < m * 10.0**k < 0.7 * high]
    return found[:: max(1, -(-len(found) // 4))]
