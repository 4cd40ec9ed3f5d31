"""Snapshots of one log at earlier dates: what was known then, and what came in the window after it.

An origin sees only what was booked by it; every label window ends by `as_of`. So a learner can be trained on the past
of the log, tested on a later part of its past, and never sees what it will be asked about.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from clvml.errors import DataError
from clvml.horizon import as_date, day_number, day_of_number, horizon_days
from clvml.orders.engines.duckdb import statement
from clvml.orders.origins import FEATURES, Plan, Snapshots, one_vote, plan_origins
from clvml.orders.transactions import Transactions

__all__ = ["FEATURES", "Plan", "Snapshots", "one_vote", "plan_origins", "snapshot", "take_snapshots"]


def snapshot(log: Transactions, as_of: Any, window: int) -> pd.DataFrame:
    """The summary as of a day with the columns of FEATURES beside it, one row a customer."""
    return log.summarize(as_of, window)


def _labels(log: Transactions, origin: int, window: int) -> pd.DataFrame:
    """Purchases and spend of every customer known at the origin, within the window after it."""
    start, end = day_of_number(origin), day_of_number(origin + window)
    return log.frame(statement("holdout", known=log.purchase_days(start), later=log.purchase_days(end, after=start)))


def take_snapshots(log: Transactions, as_of: Any, horizon: int | str, n_origins: int = 6) -> Snapshots:
    """Snapshots of a log at up to `n_origins` days before `as_of`, and as of that day.

    Raises DataError where the log is too short for a single origin before `as_of`.
    """
    day = as_date(as_of)
    days = horizon_days(horizon, day)
    plan = plan_origins(day_number(log.first_date), day_number(day), days, n_origins)
    if not plan.origins:
        raise DataError(
            f"The log begins on {log.first_date}, only {(day - log.first_date).days} days before as_of={day}: "
            "too short for a single earlier snapshot. "
            f"At least {_least_history()} days are needed to learn who comes back."
        )
    parts = []
    for origin in plan.origins:
        rows = snapshot(log, day_of_number(origin), plan.window)
        labels = _labels(log, origin, plan.window)
        parts.append(
            rows.assign(
                origin=origin, purchases=labels["purchases"].to_numpy(float), spend=labels["spend"].to_numpy(float)
            )
        )
    labelled = pd.concat(parts, ignore_index=True)
    return Snapshots(labelled, snapshot(log, day, plan.window), plan.window, days, day)


def _least_history() -> int:
    """Days of history with which `plan_origins` finds an origin, whatever the horizon."""
    return next(n for n in range(1, 400) if all(plan_origins(0, n, horizon).origins for horizon in range(1, n + 1)))
