"""Totals of groups of customers, with intervals that add up all that is uncertain: people, parameters, and the level.

People: given the parameters, customers buy independently of each other. Parameters: draws of them (`draws`).
Level: a season, a campaign or a competitor moves all customers at once, which no model of single customers knows; how
far is learned from how far earlier totals fell from what was predicted of them (`learn_level_sd`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clvml.checks import check_amount, check_level
from clvml.errors import DataError, OptionError
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.purchases.model import PurchaseModel
from clvml.estimators.uncertainty.draws import ParameterDraws, parameter_draws
from clvml.estimators.uncertainty.sums import Job, totals
from clvml.maths.sample import Floats, tally

__all__ = ["COMMON_LEVEL_SD", "LevelSd", "TotalDraws", "as_level_sd", "total_draws", "total_interval"]

COMMON_LEVEL_SD = 0.25
"""Standard deviation of the log of actual over predicted totals where nothing has been learned of it: with it, nine of
ten totals on five real logs lie in their 90% interval (`benchmarks/coverage.md`); taken as sums of independent
customers they miss by three to five of their standard deviations."""


@dataclass(frozen=True)
class TotalDraws:
    """Equally likely totals of each group over one horizon."""

    groups: NDArray[Any]
    """(g,) labels, sorted."""
    customers: NDArray[np.int64]
    """(g,)"""
    purchases: Floats
    """(draws, g), whole numbers."""
    spend: Floats | None
    """(draws, g), undiscounted amounts; None for a model of purchases alone."""
    effective: float
    """Effective sample size of the draws of the parameters, the smaller of purchases and spend."""


@dataclass(frozen=True)
class LevelSd:
    """How far the level of all customers can be off.

    Attributes
    ----------
    purchases, spend : float
        Standard deviations of the log of actual over predicted totals.
    errors : pandas.DataFrame or None
        What they were learned from, one row an earlier origin: origin, window (days), purchases, expected_purchases,
        spend, expected_spend, error and spend_error (logs of actual over predicted), noise and spend_noise (standard
        deviations of people and parameters).
    """

    purchases: float = COMMON_LEVEL_SD
    spend: float = COMMON_LEVEL_SD
    errors: pd.DataFrame | None = None


def total_interval(
    model: PurchaseModel | LifetimeValueModel,
    summary: pd.DataFrame,
    horizon: int | str,
    *,
    by: str | ArrayLike | None = None,
    level: float = 0.9,
    level_sd: float | LevelSd | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Give predictive intervals of what groups of customers will buy and spend together.

    They add up all that is uncertain: people (given the parameters they buy independently of each other), parameters
    (posterior draws) and the level, which a season or a campaign moves for everybody.

    Parameters
    ----------
    model : PurchaseModel or LifetimeValueModel
        Fitted.
    summary : pandas.DataFrame
        One row a customer, as of one day: the output of `Transactions.summarize`.
    horizon : int or str
        How far ahead, in days or as ``"39w"``.
    by : str or array-like, optional
        A column of the summary, or one label a row, to split by; without it all customers are one group.
    level : float, default 0.9
        Of the intervals.
    level_sd : float or LevelSd, optional
        How far the level can be off: what `learn_level_sd` found, a standard deviation of a logarithm, or 0 for not at
        all. Without it COMMON_LEVEL_SD, what logs show in general.
    draws : int, default 1000
        Of the totals.
    seed : int
        Of the draws.

    Returns
    -------
    pandas.DataFrame
        One row a group: group, customers, purchases (expected), purchases_low, purchases_high and, for a
        LifetimeValueModel, spend, spend_low, spend_high (undiscounted amounts in the log's currency).

    Raises
    ------
    OptionError
        If `by` is no column, or a number is out of range.
    DataError
        If labels are missing, or are not one a row.

    Examples
    --------
    >>> from clvml import BetaGeoModel, Transactions, load_cdnow, total_interval
    >>> summary = Transactions(load_cdnow(sample=True)).summarize("1997-09-30")
    >>> row = total_interval(BetaGeoModel().fit(summary), summary, "39w", draws=200).iloc[0]
    >>> bool(row["purchases_low"] < row["purchases"] < row["purchases_high"])
    True

    See Also
    --------
    expected_totals : of scores, by any trained model.
    """
    below = 0.5 * (1.0 - check_level(level))
    drawn = total_draws(model, summary, horizon, by=by, level_sd=level_sd, draws=draws, seed=seed)
    place = _places(summary, by)[1]
    expected = {"purchases": model.expected_purchases(summary, horizon)}
    if isinstance(model, LifetimeValueModel):
        expected["spend"] = model.expected_spend(summary, horizon)
    table: dict[str, Any] = {"group": drawn.groups, "customers": drawn.customers}
    for name, mean in expected.items():
        low, high = np.quantile(getattr(drawn, name), [below, 1.0 - below], axis=0)
        if name == "purchases":
            low, high = np.floor(low), np.ceil(high)
        table |= {name: tally(place, mean, len(drawn.groups)), f"{name}_low": low, f"{name}_high": high}
    return pd.DataFrame(table)


def total_draws(
    model: PurchaseModel | LifetimeValueModel,
    summary: pd.DataFrame,
    horizon: int | str,
    *,
    by: str | ArrayLike | None = None,
    level_sd: float | LevelSd | None = None,
    draws: int = 1000,
    parameters: ParameterDraws | None = None,
    seed: int = 0,
) -> TotalDraws:
    """Draws of the totals of groups over the horizon; see `total_interval`.

    parameters: draws of the purchase model's parameters; None for Laplace draws where the summary is the one the model
    was fitted to, and for its normal approximation elsewhere.
    """
    labels, place = _places(summary, by)
    purchases, spend = (model, None) if isinstance(model, PurchaseModel) else (model.purchases_, model.spend_)
    rows = purchases._histories(summary)
    x = summary["frequency"].to_numpy(float)
    factor = np.ones(len(x)) if spend is None else spend._frequency_factor(x)
    m = np.zeros(len(x)) if spend is None else summary["monetary_value"].to_numpy(float) / factor
    rng = np.random.default_rng(seed)
    t = purchases._units(horizon, summary.attrs.get("as_of"))
    job = Job(purchases, spend, rows, x, m, factor, t, place, len(labels), rng)
    theta = parameters or parameter_draws(purchases, summary, draws, seed=seed)
    phi = None if spend is None else parameter_draws(spend, summary, len(theta.values), seed=seed + 1)
    counts, amounts = totals(job, theta.values, None if phi is None else phi.values)
    off = as_level_sd(LevelSd() if level_sd is None else level_sd)
    z = rng.standard_normal((len(counts), 1))
    counts = np.floor(counts * np.exp(off.purchases * z) + rng.random(counts.shape))  # rounded so that the mean stays
    amounts = amounts * np.exp(off.spend * z)
    effective = theta.effective if phi is None else min(theta.effective, phi.effective)
    size = np.bincount(place, minlength=len(labels))
    return TotalDraws(labels, size, counts, None if spend is None else amounts, effective)


def _places(summary: pd.DataFrame, by: str | ArrayLike | None) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """The groups' labels, sorted, and the place of each row's among them."""
    if by is None:
        return np.array(["all"]), np.zeros(len(summary), dtype=np.intp)
    if isinstance(by, str):
        if by not in summary.columns:
            raise OptionError(f"by={by!r} is no column of the summary. Its columns: {', '.join(summary.columns)}.")
        values = summary[by].to_numpy()
    else:
        values = np.asarray(by)
    if values.shape != (len(summary),):
        raise DataError(f"by has shape {values.shape}, the summary has {len(summary)} rows. Give one label a row.")
    missing = pd.isna(values)
    if missing.any():
        raise DataError(
            f"by is missing in {int(missing.sum())} of {len(values)} rows, first in row {int(missing.argmax())}. "
            "Give those customers a group of their own, such as 'unknown'."
        )
    labels, place = np.unique(values, return_inverse=True)
    return labels, place.astype(np.intp)


def as_level_sd(given: float | LevelSd) -> LevelSd:
    """What was learned, or one number for purchases and spend, once it is a standard deviation. Raises OptionError."""
    found = given if isinstance(given, LevelSd) else LevelSd(given, given)
    for sd in (found.purchases, found.spend):
        check_amount("level_sd", sd, ", the standard deviation of a logarithm, or what learn_level_sd found")
    return found
