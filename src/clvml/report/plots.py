"""Figures. Each takes what clvml's tables hold, draws on the axes given (or new ones) and returns them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clvml.estimators.lifetime_value import LifetimeValueModel
    from clvml.evaluation.backtest import Backtest

__all__ = ["calibration", "rate_and_dropout", "return_by_recency", "value_at_risk"]

_INK, _ACCENT, _PALE = "#1f3b57", "#d1603d", "#9fb4c7"


def _axes(ax: Axes | None, title: str, x: str, y: str) -> Axes:
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(6.4, 4.2), layout="constrained").add_subplot()
    ax.set(title=title, xlabel=x, ylabel=y)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def rate_and_dropout(value: LifetimeValueModel, ax: Axes | None = None) -> Axes:
    """How buying rates differ between customers: the gamma density behind the BTYD model, purchases per year while
    alive.
    """
    from scipy.stats import gamma

    purchases = value.purchases_
    r, alpha = purchases.params_.r, purchases.params_.alpha * purchases.unit_days / 365.25
    top = float(gamma.ppf(0.99, r, scale=1 / alpha))
    rate = np.linspace(top / 400, top, 400)
    ax = _axes(ax, "Buying rates of the customers, while alive", "purchases a year", "density")
    ax.fill_between(rate, gamma.pdf(rate, r, scale=1 / alpha), color=_PALE, alpha=0.5)
    ax.axvline(r / alpha, color=_ACCENT, label=f"mean {r / alpha:.2f}")
    ax.set_ylim(0, float(gamma.pdf(rate[20], r, scale=1 / alpha)) * 1.3)
    ax.set_xlim(0, top)
    ax.legend(frameon=False)
    return ax


def calibration(tested: Backtest, target: str = "spend", ax: Axes | None = None) -> Axes:
    """Predicted against actual in tenths of the predicted order; on the line the level is right. target: purchases,
    spend or return.
    """
    ax = _axes(
        ax, f"{target.capitalize()}, predicted and actual, by tenth of customers", "mean predicted", "mean actual"
    )
    for cut, rows in tested.deciles[tested.deciles["target"] == target].groupby("cut"):
        ax.plot(rows["predicted"], rows["actual"], "o-", color=_INK, label=str(cut))
    end = max(*ax.get_xlim(), *ax.get_ylim())
    ax.plot([0, end], [0, end], color=_ACCENT, linewidth=1, label="exact")
    ax.legend(frameon=False)
    return ax


def return_by_recency(scores: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Return probability by days since the last purchase: one-time buyers and repeat buyers apart, medians with the
    middle half.
    """
    ax = _axes(
        ax, "Who comes back: the return probability by silence", "days since the last purchase", "return probability"
    )
    for once, colour, label in ((True, _PALE, "one purchase"), (False, _INK, "several purchases")):
        rows = scores[(scores["frequency"] == 0) == once]
        if len(rows) < 20:
            continue
        bins = pd.qcut(rows["days_since_last"], min(20, rows["days_since_last"].nunique()), duplicates="drop")
        groups = rows.groupby(bins, observed=True)
        middle, chance = groups["days_since_last"].median(), groups["p_return"]
        ax.fill_between(middle, chance.quantile(0.25), chance.quantile(0.75), color=colour, alpha=0.3)
        ax.plot(middle, chance.median(), color=colour, label=label)
    ax.set_ylim(0, 1)
    ax.legend(frameon=False)
    return ax


def value_at_risk(scores: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Churn probability against value if kept, the flagged picked out."""
    ax = _axes(ax, "Value at risk: who is worth keeping, and may go", "value if kept", "churn probability")
    rest, flagged = scores[~scores["flagged"]], scores[scores["flagged"]]
    ax.scatter(
        rest["value_if_kept"],
        rest["churn_probability"],
        s=4,
        color=_PALE,
        rasterized=True,
        label=f"{len(rest):,} others",
    )
    ax.scatter(
        flagged["value_if_kept"],
        flagged["churn_probability"],
        s=14,
        color=_ACCENT,
        rasterized=True,
        label=f"{len(flagged):,} flagged",
    )
    ax.set_xscale("symlog", linthresh=max(1.0, float(scores["value_if_kept"].median())))
    ax.legend(frameon=False)
    return ax
