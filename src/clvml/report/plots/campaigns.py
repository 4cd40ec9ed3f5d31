"""Figures of campaigns: what a budget buys, what a treatment did, whom it moved, which channels pay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clvml.campaigns.outcome.result import Outcome
from clvml.campaigns.result import Audience
from clvml.campaigns.uplift.effect import AverageEffect
from clvml.campaigns.uplift.study import UpliftResult
from clvml.errors import DataError, OptionError
from clvml.insights.channels import Channels
from clvml.report.plots.style import (
    INK,
    MARKERS,
    PALE,
    SERIES,
    SOFT,
    forest_rows,
    legend,
    legend_below,
    money_axis,
    new_axes,
    percent_axis,
    short,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["budget_curve", "channels", "effects", "outcome", "policies", "uplift_curve"]

_RANKED = ("by expected gain", "by value", "by risk", "random")


def budget_curve(audience: Audience, ax: Axes | None = None) -> Axes:
    """What the best plan brings for every budget, and where the plan stands.

    Parameters
    ----------
    audience : Audience
        What `plan_audience` gave; without a budget it holds the whole curve.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        Where nobody is treated.

    Examples
    --------
    >>> import pandas as pd
    >>> from clvml import plots
    >>> from clvml.campaigns.result import Audience
    >>> curve = [{"cost": 0.0, "expected_gain": 0.0}, {"cost": 50.0, "expected_gain": 90.0}]
    >>> plan = {"budget_curve": curve, "totals": {"cost": 50.0, "expected_gain": 90.0, "treated": 12}}
    >>> plots.budget_curve(Audience(pd.DataFrame(), pd.DataFrame(), plan)).get_xlabel()
    'cost'
    """
    points, totals = pd.DataFrame(audience.plan["budget_curve"]), audience.plan["totals"]
    if points.empty:
        raise DataError("The plan treats nobody, so there is no curve to draw.")
    ax = new_axes(ax, "What a budget brings", "cost", "expected gain, after cost")
    ax.plot([0.0, *points["cost"]], [0.0, *points["expected_gain"]], color=SERIES[0], linewidth=2)
    ax.plot(totals["cost"], totals["expected_gain"], "o", color=SERIES[1], markersize=8, zorder=3)
    ax.annotate(
        f"the plan: {totals['treated']:,} treated,\n{short(totals['cost'])} spent to gain "
        f"{short(totals['expected_gain'])}",
        (0.97, 0.06), xycoords="axes fraction", ha="right", va="bottom", color=INK, fontsize=9,
    )  # fmt: skip
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=min(0.0, float(points["expected_gain"].min())))
    for axis in (ax.xaxis, ax.yaxis):
        money_axis(axis)
    return ax


def effects(found: Sequence[AverageEffect], outcome: str | None = None, ax: Axes | None = None) -> Axes:
    """What each treatment did on average, with its interval; right of zero it brought something.

    Parameters
    ----------
    found : sequence of AverageEffect
        What `average_effects` gave.
    outcome : str, optional
        The outcome to draw; the first one's unless given, for outcomes have units of their own.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError, OptionError

    Examples
    --------
    >>> from clvml import plots
    >>> from clvml.campaigns.uplift.effect import AverageEffect
    >>> effect = AverageEffect("spend", "mail", 500, 500, 2.0, 0.7, 0.2, 1.2, 0.25, 0.005, "adjusted")
    >>> plots.effects([effect]).get_xlabel()
    'effect on spend per customer, with its interval'
    """
    if not found:
        raise DataError("There is no effect to draw.")
    name = outcome or found[0].outcome
    rows = [effect for effect in found if effect.outcome == name]
    if not rows:
        raise OptionError(f"No effect on '{name}' was measured. Measured: {', '.join(_names(found))}.")
    ax = new_axes(
        ax, "Effect of each treatment", f"effect on {name} per customer, with its interval", "",
        size=(6.4, 1.3 + 0.4 * len(rows)), grid="x",
    )  # fmt: skip
    forest_rows(
        ax, [r.arm for r in rows], [r.effect for r in rows], [r.low for r in rows], [r.high for r in rows],
        colours=[_shade(r.low, r.high) for r in rows],
    )  # fmt: skip
    return ax


def _names(found: Sequence[AverageEffect]) -> list[str]:
    return list(dict.fromkeys(effect.outcome for effect in found))


def _shade(low: float, high: float) -> str:
    """Blue for a gain, orange for a loss, grey where none is shown."""
    return SERIES[0] if low > 0 else SERIES[1] if high < 0 else SOFT


def outcome(result: Outcome, measure: str = "contribution", ax: Axes | None = None) -> Axes:
    """What came of a campaign: treated less control, for all and by part of the audience.

    Parameters
    ----------
    result : Outcome
        What `measure_outcome` gave.
    measure : {'contribution', 'revenue', 'returned'}
        What is compared.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    OptionError
        Where it was not measured.

    Examples
    --------
    >>> from clvml import plots
    >>> from clvml.campaigns.outcome.result import Lift, Outcome
    >>> lift = Lift("all", "contribution", 500, 500, 9.0, 8.0, 1.0, 0.4, 0.2, 1.8, -0.1, 2.1, 0.01, 0.3)
    >>> days = ("2011-06-30", "2011-09-30", "2011-09-30")
    >>> result = Outcome("spring", *days, 500, 500, (lift,), 100.0, 400.0, 0.0, 800.0, -100.0, 900.0, "It paid.")
    >>> plots.outcome(result).get_yticklabels()[0].get_text()
    'all'
    """
    result.lift_of(measure=measure)  # refuses what was not measured
    rows = [lift for lift in result.lifts if lift.measure == measure]
    unit = "points of the customers who buy" if measure == "returned" else f"{measure} per customer"
    ax = new_axes(
        ax, f"Campaign '{result.campaign}', {result.start} to {result.end}",
        f"treated less control, {unit} ({result.level:.0%} interval)", "",
        size=(6.4, 1.3 + 0.4 * len(rows)), grid="x",
    )  # fmt: skip
    scale = 100.0 if measure == "returned" else 1.0
    forest_rows(
        ax, [r.customers for r in rows], [scale * r.effect for r in rows], [scale * r.low for r in rows],
        [scale * r.high for r in rows], colours=[_shade(r.low, r.high) for r in rows],
    )  # fmt: skip
    return ax


def uplift_curve(result: UpliftResult, ax: Axes | None = None) -> Axes:
    """What treating the best so many per cent brings, those with the highest expected gain first (the Qini curve).

    Parameters
    ----------
    result : UpliftResult
        What `study_uplift` gave.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes
        Choosing is worth the area between the curve and the straight line of as many at random.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from clvml import Experiment, plots, study_uplift
    >>> x, mailed = np.tile(np.linspace(-1, 1, 200), 2), np.repeat([True, False], 200)
    >>> data = pd.DataFrame({"x": x, "arm": np.where(mailed, "mail", "none"), "y": x * mailed})
    >>> experiment = Experiment.from_frame(data, treatment="arm", control="none", outcomes=["y"], features=["x"])
    >>> plots.uplift_curve(study_uplift(experiment, "y", learners=["dr"], bases=["ridge"])).get_ylabel()
    'gain in y, per customer of the base'
    """
    curve = pd.DataFrame(result.curve, columns=["share", "value", "low", "high"])
    ax = new_axes(
        ax, "Whom to treat: uplift", "% of the customers treated, the highest expected gain first",
        f"gain in {result.outcome}, per customer of the base",
    )  # fmt: skip
    x = [0.0, *curve["share"]]
    ax.fill_between(
        x, [0.0, *curve["low"]], [0.0, *curve["high"]], color=SERIES[0], alpha=0.18, linewidth=0, label="95% interval"
    )
    ax.plot(x, [0.0, *curve["value"]], color=SERIES[0], linewidth=2, label="by expected gain")
    ax.plot([0, 1], [0, curve["value"].iloc[-1]], color=SOFT, linestyle=":", linewidth=1.5, label="at random")
    ax.axhline(0, color=PALE, linewidth=1)
    ax.set_xlim(0, 1)
    percent_axis(ax.xaxis)
    legend(ax, loc="upper left")
    return ax


def policies(result: UpliftResult, ax: Axes | None = None) -> Axes:
    """The value of each targeting rule by the share of customers that it treats.

    Parameters
    ----------
    result : UpliftResult
        What `study_uplift` gave.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes
        Per customer of the whole base, by the doubly robust estimate; bars are 95% intervals.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from clvml import Experiment, plots, study_uplift
    >>> x, mailed = np.tile(np.linspace(-1, 1, 200), 2), np.repeat([True, False], 200)
    >>> data = pd.DataFrame({"x": x, "arm": np.where(mailed, "mail", "none"), "y": x * mailed})
    >>> experiment = Experiment.from_frame(data, treatment="arm", control="none", outcomes=["y"], features=["x"])
    >>> ax = plots.policies(study_uplift(experiment, "y", learners=["dr"], bases=["ridge"]))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['by expected gain', 'random', 'treat all: mail', 'treat none']
    """
    rows = result.to_frame()
    rows = rows[(rows["method"] == "dr") & (rows["against"] == result.uniform)]
    ax = new_axes(
        ax, "Targeting rules compared", "% of the customers treated", f"{result.outcome} per customer of the base"
    )
    for i, order in enumerate(_RANKED):
        own = rows[rows["policy"].str.startswith(f"{order}, ") & ~rows["policy"].str.endswith("free")]
        if len(own):
            aside = 0.006 * (i - 1.5)
            ax.vlines(own["share"] + aside, own["low"], own["high"], color=SERIES[i], alpha=0.45, linewidth=1.5)
            ax.plot(own["share"] + aside, own["value"], f"{MARKERS[i]}-", color=SERIES[i], markersize=5, label=order)
    uniform = rows[rows["policy"].str.startswith("treat ")].sort_values("share", ascending=False, kind="stable")
    for i, (policy, value) in enumerate(zip(uniform["policy"], uniform["value"].tolist(), strict=True)):
        ax.axhline(value, color=SOFT, linewidth=1.2, linestyle=("--", ":", "-.")[i % 3], label=str(policy))
    ax.set_xlim(left=0)
    percent_axis(ax.xaxis)
    legend(ax, loc="upper center", ncols=3, bbox_to_anchor=(0.5, -0.13))
    return ax


def channels(found: Channels, ax: Axes | None = None) -> Axes:
    """What a customer of each channel is worth, with its interval, against what they cost.

    Parameters
    ----------
    found : Channels
        What `channel_values` gave.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new ones unless given.

    Returns
    -------
    matplotlib.axes.Axes
        In the order of the rows; a bar for the cost where it was given.

    Examples
    --------
    >>> from clvml import plots
    >>> from clvml.insights.channels import Channels, ChannelValue
    >>> money = (60.0, 30.0, 90.0, 70.0, 110.0, 88.0, 90.0, 70.0, 110.0, 25.0, 3.6, 2.0, 95.0, 0.05)
    >>> row = ChannelValue("web", 40, 6.0, *money)
    >>> plots.channels(Channels((row,), "2011-06-30", 365, ("nothing",))).get_xlabel()
    'per customer: contribution so far and in the next 365 days'
    """
    rows = found.rows
    ax = new_axes(
        ax, "Worth of a customer, by channel",
        f"per customer: contribution so far and in the next {found.horizon_days} days", "",
        size=(6.4, 1.8 + 0.4 * len(rows)), grid="x",
    )  # fmt: skip
    at = np.arange(len(rows))[::-1]
    cost = np.array([row.cac for row in rows])
    if np.isfinite(cost).any():
        ax.barh(at, np.nan_to_num(cost), color=SERIES[4], alpha=0.55, height=0.6, label="cost of winning one")
    names = [f"{row.channel} ({row.customers:,})" for row in rows]
    forest_rows(ax, names, [r.ltv for r in rows], [r.low for r in rows], [r.high for r in rows], zero=None)
    ax.plot([], [], "o-", color=SERIES[0], linewidth=2, label="worth, 90% interval")
    ax.set_xlim(left=min(0.0, *(r.low for r in rows)))
    money_axis(ax.xaxis)
    legend_below(ax)
    return ax
