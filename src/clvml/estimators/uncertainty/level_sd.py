"""The common level_sd: how far totals fell from what was predicted of them, at earlier days of the same log."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from clvml.errors import DataError
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.uncertainty.draws import laplace_draws
from clvml.estimators.uncertainty.totals import COMMON_LEVEL_SD, LevelSd, total_draws
from clvml.horizon import as_date, day_number, day_of_number, horizon_days
from clvml.orders.origins import plan_origins
from clvml.orders.transactions import Transactions

__all__ = ["learn_level_sd"]

PRIOR_WINDOWS = 2.0
"""Windows that COMMON_LEVEL_SD counts for."""
NOISE_DRAWS = 200
"""Draws that tell how far a total would fall from its expectation if the level were right."""


def learn_level_sd(
    log: Transactions, as_of: Any, horizon: int | str, model: LifetimeValueModel | None = None, *, seed: int = 0
) -> LevelSd:
    """Learn how far the level of all customers can be off, from totals predicted at earlier days of the log.

    At each earlier origin whose window has passed by `as_of`, the model is fitted to what was known then, and the log
    of actual over predicted totals taken. What people and parameters explain of these errors is taken off. Windows
    overlap, so they are worth n = (days they cover) / (days of one), and COMMON_LEVEL_SD counts for two more:
    sd² = (n · mean(error² − noise²) + 2 · COMMON_LEVEL_SD²) / (n + 2). Only origins that look no further ahead, for
    their history, than is asked for now count: others err for want of history.

    Parameters
    ----------
    log : Transactions
        The order log.
    as_of : date-like
        The last day that may be known.
    horizon : int or str
        How far ahead the totals look, in days or as ``"39w"``.
    model : LifetimeValueModel, optional
        Kind and settings to fit at each origin.
    seed : int
        Of the draws that tell the noise.

    Returns
    -------
    LevelSd

    Raises
    ------
    DataError
        If no earlier origin counts.

    Examples
    --------
    >>> from clvml import Transactions, learn_level_sd, load_cdnow
    >>> found = learn_level_sd(Transactions(load_cdnow(sample=True)), "1997-09-30", "13w")
    >>> len(found.errors), 0.1 < found.purchases < 0.25
    (6, True)
    """
    day = as_date(as_of)
    days = horizon_days(horizon, day)
    first, last = day_number(log.first_date), day_number(day)
    plan = plan_origins(first, last, days)
    share = min(1.0, (last - first) / days)
    origins = [o for o in plan.origins if o - first >= share * plan.window]
    if not origins:
        raise DataError(
            f"The {last - first} days before as_of={day} hold no earlier prediction to compare with what came. "
            f"Use level_sd=None for what logs show in general ({COMMON_LEVEL_SD:g}), or a longer log."
        )
    kind = model or LifetimeValueModel()
    errors = pd.DataFrame([_error(log, o, plan.window, kind, seed) for o in origins])
    n = 1.0 + (max(origins) - min(origins)) / plan.window
    return LevelSd(
        _size(errors["error"], errors["noise"], n), _size(errors["spend_error"], errors["spend_noise"], n), errors
    )


def _error(log: Transactions, origin: int, window: int, kind: LifetimeValueModel, seed: int) -> dict[str, Any]:
    """What was predicted at an origin for the window after it, and what came."""
    summary, holdout = log.split(day_of_number(origin), day_of_number(origin + window))
    model = type(kind)(**kind.get_params(deep=False)).fit(summary)
    parameters = laplace_draws(model.purchases_, summary, NOISE_DRAWS, seed=seed)
    drawn = total_draws(model, summary, window, level_sd=0.0, parameters=parameters, seed=seed)
    row = {
        "origin": day_of_number(origin),
        "window": window,
        "purchases": float(holdout["purchases"].sum()),
        "expected_purchases": float(model.expected_purchases(summary, window).sum()),
        "spend": float(holdout["spend"].sum()),
        "expected_spend": float(model.expected_spend(summary, window).sum()),
    }
    for name, actual, expected, totals in (
        ("error", "purchases", "expected_purchases", drawn.purchases),
        ("spend_error", "spend", "expected_spend", drawn.spend),
    ):
        row[name] = _log(row[actual]) - _log(row[expected])
        row[name.replace("error", "noise")] = float(np.std(_log(totals)))
    return row


def _log(total: Any) -> Any:
    """Of a total; one that is nothing, or less, counts as a half."""
    return np.log(np.maximum(np.asarray(total, dtype=np.float64), 0.5))


def _size(error: pd.Series, noise: pd.Series, n: float) -> float:
    surplus = float((error.to_numpy(float) ** 2 - noise.to_numpy(float) ** 2).mean())
    pooled = (n * surplus + PRIOR_WINDOWS * COMMON_LEVEL_SD**2) / (n + PRIOR_WINDOWS)
    return math.sqrt(max(0.0, pooled))
