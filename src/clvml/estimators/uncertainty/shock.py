"""The common shock: how far totals fell from what was predicted of them, at earlier days of the same log."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from clvml.errors import DataError
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.uncertainty.draws import laplace_draws
from clvml.estimators.uncertainty.totals import LEAST_SHOCK, Shock, total_draws
from clvml.horizon import as_date, day_number, day_of_number, horizon_days
from clvml.orders.origins import plan_origins
from clvml.orders.transactions import Transactions

__all__ = ["learn_shock"]

_PRIOR = 2.0
"""Windows that LEAST_SHOCK counts for."""
_DRAWS = 200
"""Draws that tell how far a total would fall from its expectation without any shock."""


def learn_shock(
    log: Transactions, as_of: Any, horizon: int | str, model: LifetimeValueModel | None = None, *, seed: int = 0
) -> Shock:
    """The size of the common shock, from the origins before `as_of` whose windows have passed by then.

    model: the kind and settings to fit at each origin (LifetimeValueModel()). Only origins that look no further ahead,
    for their history, than is asked for now count: others err for want of history. What people and parameters explain
    of an error is taken off. Windows overlap, so they are worth n = (days they cover) / (days of one); and LEAST_SHOCK
    is taken to be known from two more: sd^2 = (n mean(error^2 - noise^2) + 2 LEAST_SHOCK^2) / (n + 2), never below
    LEAST_SHOCK^2.

    Raises DataError where no earlier origin counts.
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
            f"Use shock=None for the least shock ({LEAST_SHOCK:g}), or a longer log."
        )
    kind = model or LifetimeValueModel()
    errors = pd.DataFrame([_error(log, o, plan.window, kind, seed) for o in origins])
    n = 1.0 + (max(origins) - min(origins)) / plan.window
    return Shock(
        _size(errors["error"], errors["noise"], n), _size(errors["spend_error"], errors["spend_noise"], n), errors
    )


def _error(log: Transactions, origin: int, window: int, kind: LifetimeValueModel, seed: int) -> dict[str, Any]:
    """What was predicted at an origin for the window after it, and what came."""
    summary, holdout = log.split(day_of_number(origin), day_of_number(origin + window))
    model = type(kind)(**kind.get_params(deep=False)).fit(summary)
    parameters = laplace_draws(model.purchases_, summary, _DRAWS, seed=seed)
    drawn = total_draws(model, summary, window, shock=0.0, parameters=parameters, seed=seed)
    told = {
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
        told[name] = _log(told[actual]) - _log(told[expected])
        told[name.replace("error", "noise")] = float(np.std(_log(totals)))
    return told


def _log(total: Any) -> Any:
    """Of a total; one that is nothing, or less, counts as a half."""
    return np.log(np.maximum(np.asarray(total, dtype=np.float64), 0.5))


def _size(error: pd.Series, noise: pd.Series, n: float) -> float:
    surplus = float((error.to_numpy(float) ** 2 - noise.to_numpy(float) ** 2).mean())
    pooled = (n * surplus + _PRIOR * LEAST_SHOCK**2) / (n + _PRIOR)
    return max(LEAST_SHOCK, math.sqrt(max(0.0, pooled)))
