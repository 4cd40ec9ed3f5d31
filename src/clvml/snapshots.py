"""Snapshots of one log at earlier dates: what was known then, and what came in the window after it.

An origin sees only what was booked by it; every label window ends by `as_of`. So a learner can be trained on the past of the log,
tested on a later part of its past, and never sees what it will be asked about.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from clvml.engines import statement
from clvml.errors import DataError
from clvml.horizon import as_date, day_number, day_of_number, horizon_days
from clvml.intake import Transactions

__all__ = ["FEATURES", "Plan", "Snapshots", "plan_origins", "snapshot", "take_snapshots"]

FEATURES = {
    "gap_mean": "mean gap between purchases, days",
    "gap_sd": "standard deviation of the gaps, days; empty with fewer than two",
    "gap_max": "longest gap, days",
    "gap_last": "last gap, days",
    "purchases_quarter": "purchases in the last quarter of a window",
    "purchases_half": "purchases in the last half of a window",
    "purchases_one": "purchases in the last window",
    "purchases_two": "purchases in the last two windows",
    "spend_half": "net spend in the last half of a window",
    "spend_one": "net spend in the last window",
    "last_amount": "net amount of the last purchase",
    "max_amount": "largest net amount of a purchase",
    "mean_amount": "mean net amount of a purchase",
}
"""What a snapshot knows beyond the summary; a window is the number of days that its label looks ahead."""

_SHORT_HISTORY = 2.2
"""Below so many horizons of history, labels look ahead a share of the history instead, and BTYD carries them to the horizon."""
_WINDOW_SHARE = 0.4


class Plan(NamedTuple):
    """Where the snapshots stand: origins as day numbers, latest first, and the window in days that each label looks ahead."""

    origins: tuple[int, ...]
    window: int


@dataclass(frozen=True)
class Snapshots:
    """Labelled rows of earlier origins, and today's rows without a label."""

    labelled: pd.DataFrame
    """One row a customer and origin: summary and features, `origin` (day number), `purchases` and `spend` within the window after it."""
    now: pd.DataFrame
    """One row a customer as of `as_of`: summary and features."""
    window: int
    """Days that each label looks ahead."""
    horizon: int
    """Days ahead that are asked for; more than `window` where the history is short."""
    as_of: dt.date

    @property
    def origins(self) -> list[dt.date]:
        """The days of the snapshots, latest first."""
        return [day_of_number(o) for o in sorted(self.labelled["origin"].unique(), reverse=True)]


def plan_origins(first: int, as_of: int, horizon: int, n_origins: int = 6) -> Plan:
    """The origins for a log that begins on day `first`: each with some history before it and a whole window after it.

    The window is the horizon where the history is long enough (2.2 horizons), else 40 % of the history. A log of a few days has no origin.
    """
    history = as_of - first
    window = horizon if history >= _SHORT_HISTORY * horizon else max(7, int(_WINDOW_SHARE * history))
    step = max(7, window // 6)
    least = max(14, min(window, 90) // 2)
    origins = (as_of - window - step * j for j in range(n_origins))
    return Plan(tuple(o for o in origins if o - first >= least), window)


def snapshot(log: Transactions, as_of: Any, window: int) -> pd.DataFrame:
    """The summary as of a day with the columns of FEATURES beside it, one row a customer."""
    summary = log.summarize(as_of)
    features = log.frame(statement("features", days=log.purchase_days(as_of), as_of=day_number(as_of), window=window))
    joined = pd.concat([summary, features[list(FEATURES)]], axis=1)
    joined.attrs = dict(summary.attrs)
    return joined


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
            f"too short for a single earlier snapshot. At least {_least_history()} days are needed to learn who comes back."
        )
    parts = []
    for origin in plan.origins:
        rows = snapshot(log, day_of_number(origin), plan.window)
        labels = _labels(log, origin, plan.window)
        parts.append(rows.assign(origin=origin, purchases=labels["purchases"].to_numpy(float), spend=labels["spend"].to_numpy(float)))
    labelled = pd.concat(parts, ignore_index=True)
    return Snapshots(labelled, snapshot(log, day, plan.window), plan.window, days, day)


def _least_history() -> int:
    """Days of history with which `plan_origins` finds an origin, whatever the horizon."""
    return next(n for n in range(1, 400) if all(plan_origins(0, n, horizon).origins for horizon in range(1, n + 1)))


def one_vote(customers: pd.Series) -> np.ndarray:
    """Weights that give each customer one vote, shared among the origins that know him."""
    return 1.0 / customers.groupby(customers).transform("size").to_numpy(dtype=float)
