"""Totals of groups of customers with their uncertainty, from scores alone.

A total is off for two reasons. People: given the level, customers buy independently of each other, each as widely as
the predictive interval in their scores says. The level: a season, a campaign or a competitor moves everybody at once,
which no model of single customers knows; a trained model has learned how far (`ClvModel.level_sd`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clvml.checks import check_level
from clvml.errors import DataError, did_you_mean
from clvml.estimators.uncertainty.totals import LevelSd, as_level_sd
from clvml.maths.comparison import two_sided
from clvml.tables import finite_column

__all__ = ["SCORES_LEVEL", "expected_totals", "level_sd_of", "total_interval_around", "variance_sql", "variance_within"]

Floats = NDArray[np.float64]

SCORES_LEVEL = 0.9
"""Level of the predictive intervals in scores."""
_WIDTH = 2.0 * two_sided(SCORES_LEVEL)
"""Standard deviations between the ends of such an interval of a normal distribution."""


def variance_within(low: ArrayLike, high: ArrayLike) -> Floats:
    """Variance of each customer's outcome, from their 90% predictive interval, as if it were normal.

    Single customers are far from normal. Sums over groups are close: measured on three logs, the sum of these variances
    is 0.9 to 1.3 times the squared errors of purchases (the level taken out), 0.55 to 1.1 times those of spend.
    """
    width = np.asarray(high, dtype=np.float64) - np.asarray(low, dtype=np.float64)
    return np.asarray((width / _WIDTH) ** 2)


def variance_sql(low: str, high: str) -> str:
    """`variance_within` as a SQL expression of two columns."""
    return f"POWER(({high} - {low}) / {_WIDTH!r}, 2)"


def total_interval_around(
    expected: Any, variance: Any, level_sd: float, level: float = SCORES_LEVEL
) -> tuple[Any, Any]:
    """Lognormal interval of a total with this expectation as its median, numbers or arrays.

    variance: of the sum of independent customers; level_sd: of the level, which is common to them.
    """
    mean = np.maximum(np.asarray(expected, dtype=np.float64), 0.0)
    relative = np.divide(variance, mean**2, out=np.zeros_like(mean), where=mean > 0)
    reach = two_sided(check_level(level)) * np.sqrt(level_sd**2 + np.log1p(relative))
    low, high = mean * np.exp(-reach), mean * np.exp(reach)
    return (float(low), float(high)) if low.ndim == 0 else (low, high)


def level_sd_of(scores: pd.DataFrame, given: float | LevelSd | None = None) -> LevelSd:
    """How far the level can be off: as given, else by what scores say of their model; else, as of scores of former
    versions, what logs show in general. Of scores of several models the larger one counts.
    """
    if given is not None:
        return as_level_sd(given)
    general = LevelSd()
    purchases = _highest(scores, "purchases_level_sd", general.purchases)
    return as_level_sd(LevelSd(purchases, _highest(scores, "spend_level_sd", general.spend)))


def _highest(scores: pd.DataFrame, column: str, otherwise: float) -> float:
    highest = scores[column].max() if column in scores else None
    return otherwise if pd.isna(highest) else float(highest)


def expected_totals(
    scores: pd.DataFrame, *, by: str | None = None, level: float = 0.9, level_sd: float | LevelSd | None = None
) -> pd.DataFrame:
    """Add up what groups of customers are expected to buy, to spend and to be worth, each total with its interval.

    Parameters
    ----------
    scores : pandas.DataFrame
        Scores of one day: the output of `ClvModel.score` or of `clvml predict`.
    by : str, optional
        Column of groups, such as ``"tier"``; without it all customers are one group.
    level : float, default 0.9
        Of the intervals.
    level_sd : float or LevelSd, optional
        How far the level of all customers together can be off; by default what the scores say of it, which is
        `ClvModel.level_sd` of their model.

    Returns
    -------
    pandas.DataFrame
        One row a group: group, customers, purchases, purchases_low, purchases_high, spend, spend_low, spend_high
        (undiscounted amounts), clv, clv_low, clv_high (discounted contribution), all over the horizon of the scores.
        Groups share the level: their intervals do not shrink when they are added up.

    Raises
    ------
    DataError
        If a column is missing or holds no finite numbers, an interval ends below where it begins, or a customer has no
        group.
    OptionError
        If `level_sd` or `level` is out of range.

    Examples
    --------
    >>> import pandas as pd
    >>> from clvml import expected_totals
    >>> scores = pd.DataFrame(
    ...     {
    ...         "tier": ["good"] * 100 + ["middle"] * 400,
    ...         "expected_purchases": [5.0] * 100 + [0.5] * 400,
    ...         "purchases_low": [1.0] * 100 + [0.0] * 400,
    ...         "purchases_high": [10.0] * 100 + [2.0] * 400,
    ...         "expected_spend": 10.0,
    ...         "clv": 4.0,
    ...         "clv_low": 0.0,
    ...         "clv_high": 12.0,
    ...     }
    ... )
    >>> found = expected_totals(scores, by="tier")
    >>> found[["group", "customers", "purchases", "purchases_low", "purchases_high"]].round(0).values.tolist()
    [['good', 100, 500.0, 328.0, 762.0], ['middle', 400, 200.0, 131.0, 305.0]]
    """
    needed = ("expected_purchases", "purchases_low", "purchases_high", "expected_spend", "clv", "clv_low", "clv_high")
    for name in (*needed, *([by] if by else [])):
        if name not in scores:
            raise DataError(f"The scores have no column '{name}'.{did_you_mean(name, map(str, scores))}")
    table = pd.DataFrame({name: finite_column(scores, name, "scores") for name in needed}, index=scores.index)
    for name in ("purchases", "clv"):
        turned = int((table[f"{name}_low"] > table[f"{name}_high"]).sum())
        if turned:
            raise DataError(f"{name}_low is above {name}_high in {turned:,} of {len(table):,} rows of the scores.")
    off = level_sd_of(scores, level_sd)
    group = pd.Series("all", index=scores.index) if by is None else scores[by]
    if group.isna().any():
        raise DataError(
            f"{int(group.isna().sum())} of {len(group)} customers have no '{by}'. Give them one of their own."
        )
    parts = table[["expected_purchases", "expected_spend", "clv"]].assign(
        _purchases=variance_within(table["purchases_low"], table["purchases_high"]),
        _clv=variance_within(table["clv_low"], table["clv_high"]),
        _group=group,
    )
    sums = parts.groupby("_group", sort=True).sum()
    purchases, spend, clv = (sums[n].to_numpy(np.float64) for n in ("expected_purchases", "expected_spend", "clv"))
    spend_variance = sums["_clv"].to_numpy(np.float64) * np.square(spend / np.maximum(clv, 1e-300))
    found: dict[str, Any] = {"group": sums.index.to_numpy(), "customers": group.value_counts()[sums.index].to_numpy()}
    for name, total, variance, sd in (
        ("purchases", purchases, sums["_purchases"].to_numpy(np.float64), off.purchases),
        ("spend", spend, spend_variance, off.spend),
        ("clv", clv, sums["_clv"].to_numpy(np.float64), off.spend),
    ):
        low, high = total_interval_around(total, variance, sd, level)
        found |= {name: total, f"{name}_low": low, f"{name}_high": high}
    return pd.DataFrame(found)
