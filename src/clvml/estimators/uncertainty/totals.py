"""Totals of groups of customers, with intervals that add up all that is uncertain: people, parameters, and the times.

People: given the parameters, customers buy independently of each other. Parameters: draws of them (`draws`).
Times: a season, a campaign or a rival moves all customers at once, which no model of single customers knows; the size
of that common shock is learned from how far earlier totals fell from what was predicted of them (`learn_shock`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clvml.checks import check_level
from clvml.errors import DataError, OptionError
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.purchases.model import PurchaseModel
from clvml.estimators.uncertainty.draws import ParameterDraws, parameter_draws
from clvml.estimators.uncertainty.sums import Job, totals
from clvml.maths.sample import Floats, tally

__all__ = ["LEAST_SHOCK", "Shock", "TotalDraws", "total_draws", "total_interval"]

LEAST_SHOCK = 0.08
"""Standard deviation, in logs, of a common shock that nothing has been learned of: totals taken as independent
customers
miss by three to five of their standard deviations on real logs."""


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
class Shock:
    """How far all customers together fall from what is predicted of them: standard deviations of log(actual /
    predicted).
    """

    purchases: float
    spend: float
    errors: pd.DataFrame
    """One row an earlier origin: origin, window (days), purchases, expected_purchases, spend, expected_spend, error and
    spend_error (logs of actual over predicted), noise and spend_noise (standard deviations of people and
    parameters)."""


def total_interval(
    model: PurchaseModel | LifetimeValueModel,
    summary: pd.DataFrame,
    horizon: int | str,
    level: float = 0.9,
    groups: str | ArrayLike | None = None,
    draws: int = 1000,
    shock: float | Shock | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Predictive intervals of what groups of customers will buy and spend together; see `total_draws`.

    One row a group: group, customers, purchases (expected), purchases_low, purchases_high and, for a
    LifetimeValueModel, spend, spend_low, spend_high (undiscounted amounts).
    """
    below = 0.5 * (1.0 - check_level(level))
    drawn = total_draws(model, summary, horizon, groups, draws, shock=shock, seed=seed)
    place = _places(summary, groups)[1]
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
    groups: str | ArrayLike | None = None,
    draws: int = 1000,
    *,
    shock: float | Shock | None = None,
    parameters: ParameterDraws | None = None,
    seed: int = 0,
) -> TotalDraws:
    """Draws of the totals of groups over the horizon.

    groups: a column of the summary, or a label a row; None for all together. shock: standard deviation of the logarithm
    of what all customers share, the Shock that `learn_shock` found, 0 for none, None for LEAST_SHOCK. parameters: draws
    of the purchase model's parameters; None for Laplace draws where the summary is the one the model was fitted to, and
    for its normal approximation elsewhere.
    """
    labels, place = _places(summary, groups)
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
    sd_counts, sd_amounts = _shock_sizes(shock)
    z = rng.standard_normal((len(counts), 1))
    counts = np.floor(counts * np.exp(sd_counts * z) + rng.random(counts.shape))  # rounded at random: the mean stays
    amounts = amounts * np.exp(sd_amounts * z)
    effective = theta.effective if phi is None else min(theta.effective, phi.effective)
    size = np.bincount(place, minlength=len(labels))
    return TotalDraws(labels, size, counts, None if spend is None else amounts, effective)


def _places(summary: pd.DataFrame, groups: str | ArrayLike | None) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """The groups' labels, sorted, and the place of each row's among them."""
    if groups is None:
        return np.array(["all"]), np.zeros(len(summary), dtype=np.intp)
    if isinstance(groups, str):
        if groups not in summary.columns:
            raise OptionError(
                f"groups={groups!r} is no column of the summary. Its columns: {', '.join(summary.columns)}."
            )
        told = summary[groups].to_numpy()
    else:
        told = np.asarray(groups)
    if told.shape != (len(summary),):
        raise DataError(f"groups has shape {told.shape}, the summary has {len(summary)} rows. Give one label a row.")
    missing = pd.isna(told)
    if missing.any():
        raise DataError(
            f"groups is missing in {int(missing.sum())} of {len(told)} rows, first in row {int(missing.argmax())}. "
            "Give those customers a group of their own, such as 'unknown'."
        )
    labels, place = np.unique(told, return_inverse=True)
    return labels, place.astype(np.intp)


def _shock_sizes(shock: float | Shock | None) -> tuple[float, float]:
    """Standard deviations for purchases and for spend."""
    if shock is None:
        return LEAST_SHOCK, LEAST_SHOCK
    if isinstance(shock, Shock):
        return shock.purchases, shock.spend
    if isinstance(shock, bool) or not isinstance(shock, int | float) or not 0.0 <= shock < math.inf:
        raise OptionError(
            f"shock={shock!r} is no standard deviation of a logarithm. Give a number such as 0.1, 0 for none, "
            "or what learn_shock found."
        )
    return float(shock), float(shock)
