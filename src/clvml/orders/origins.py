"""What snapshots of a log are made of, before anybody reads the log: features, where they stand, their rows."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.horizon import day_of_number
from clvml.orders.breaks import Closure

__all__ = [
    "FEATURES",
    "YEAR",
    "OriginPlan",
    "Snapshots",
    "YearAgo",
    "one_vote",
    "past_origins",
    "plan_origins",
    "season_origins",
    "some_rows",
    "year_ago_days",
    "year_ago_origin",
]

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

LONG_HISTORY_HORIZONS = 2.2
"""Below so many horizons of history, labels look ahead a share of the history instead; BTYD carries them further."""
SHORT_HISTORY_WINDOW = 0.4
_MIN_PAST_HISTORY = 45
_PAST_STEP = 30
YEAR = 365
_MAX_SEASON = 300
_PARTS = 28, 60, 91, 182, 273
"""Days after which parts of a window end."""
_MIN_YEAR_AGO_HISTORY = 90
"""Days of history before an origin with which what BTYD expected of the window after it tells the level."""


class OriginPlan(NamedTuple):
    """Where the snapshots stand: origins as day numbers, latest first, and the days that each label looks ahead."""

    origins: tuple[int, ...]
    window: int


class YearAgo(NamedTuple):
    """The log a year ago, and how much came within parts of the window after that day."""

    rows: pd.DataFrame
    """One row a customer as of then."""
    purchases: dict[int, float]
    """By days after it, the last of which are the window's, or a year's."""
    history: int
    """Days of the log before it."""


@dataclass(frozen=True)
class Snapshots:
    """A log's own past, labelled, to train on: the result of `take_snapshots`.

    Attributes
    ----------
    labelled : DataFrame
        One row a customer and origin: summary, the columns of FEATURES, `origin` (day number), and `purchases` and
        `spend` (money) in the window after it.
    now : DataFrame
        One row a customer as of `as_of`: summary and features.
    past : DataFrame
        One row a customer and past origin, as far back as there are any: as `labelled`. They show the level of
        all customers together, so a sample stands for a large base.
    year_ago : int or None
        The origin among them whose window holds the same weeks of a year ago; None where the log does not know them.
    window : int
        Days that each label looks ahead.
    horizon : int
        Days ahead that are asked for; more than `window` where the history is short.
    as_of : date
    first_day : date
        Of the log.
    parts : YearAgo or None
        The parts of the window a year ago; None where the log does not know them.
    seasons : tuple of int
        Origins of `past` that are there for the season alone: windows of the coming year repeat theirs.
    closed : tuple of Closure
        Four weeks and more without any order that are no season: no day of them is in `past`, `year_ago`, `parts` and
        `seasons`.
    """

    labelled: pd.DataFrame
    now: pd.DataFrame
    past: pd.DataFrame
    year_ago: int | None
    window: int
    horizon: int
    as_of: dt.date
    first_day: dt.date
    parts: YearAgo | None = None
    seasons: tuple[int, ...] = ()
    closed: tuple[Closure, ...] = ()

    @property
    def origins(self) -> list[dt.date]:
        """The days of the snapshots, latest first."""
        return [day_of_number(o) for o in sorted(self.labelled["origin"].unique(), reverse=True)]

    def to_xy(self) -> tuple[pd.DataFrame, pd.Series]:
        """Rows and labels, as a classifier takes them.

        Returns
        -------
        X : pandas.DataFrame
            `labelled` without what came after each origin.
        y : pandas.Series
            `churned`: 1 for who bought nothing in the window after it, else 0.
        """
        X = self.labelled.drop(columns=["purchases", "spend"])
        return X, (self.labelled["purchases"] == 0).astype("int64").rename("churned")


def plan_origins(first: int, as_of: int, horizon: int, n_origins: int = 6) -> OriginPlan:
    """The origins for a log that begins on day `first`: each with some history before it and a whole window after it.

    The window is the horizon where the history is long enough (2.2 horizons), else 40% of the history. A log of a few
    days has no origin.
    """
    history = as_of - first
    window = horizon if history >= LONG_HISTORY_HORIZONS * horizon else max(7, int(SHORT_HISTORY_WINDOW * history))
    step = max(7, window // 6)
    least = max(14, min(window, 90) // 2)
    origins = (as_of - window - step * j for j in range(n_origins))
    return OriginPlan(tuple(o for o in origins if o - first >= least), window)


def past_origins(first: int, as_of: int, window: int, most: int = 12) -> tuple[int, ...]:
    """Origins over the whole past of a log, latest first, each a window and some history from either end."""
    latest, earliest = as_of - window, first + _MIN_PAST_HISTORY
    step = max(_PAST_STEP, -(-(latest - earliest) // most))
    return tuple(range(latest, earliest - 1, -step))


def year_ago_origin(first: int, as_of: int, window: int) -> int | None:
    """The origin whose window holds the same weeks of a year ago, where a quarter of history stands before it; of a
    window of most of a year there is no season to speak of.
    """
    origin = as_of - YEAR
    return origin if window <= _MAX_SEASON and origin - first >= _MIN_YEAR_AGO_HISTORY else None


def season_origins(first: int, as_of: int, window: int) -> tuple[int, ...]:
    """Origins of the last year, a month apart, whose windows have passed: those of a year later repeat their season."""
    origins = range(as_of - window, as_of - YEAR, -_PAST_STEP)
    return tuple(o for o in origins if year_ago_origin(first, o + YEAR, window) is not None)


def year_ago_days(first: int, as_of: int, window: int) -> list[int]:
    """Parts of the window, and the window or a year of it, as days after the same day a year ago; none where the log
    does not know them, or the window is too short to have parts.
    """
    parts = [days for days in _PARTS if days < window]
    known = as_of - YEAR - first >= _MIN_YEAR_AGO_HISTORY
    return [*parts, min(window, YEAR)] if known and parts else []


def one_vote(customers: pd.Series) -> np.ndarray:
    """Weights that give each customer one vote, shared among the origins that know them."""
    return 1.0 / customers.groupby(customers).transform("size").to_numpy(dtype=float)


def some_rows(customers: pd.Series, max_rows: int, seed: int) -> NDArray[np.intp]:
    """Places of all rows, or of those of customers drawn at random so that about max_rows remain."""
    if len(customers) <= max_rows:
        return np.arange(len(customers))
    kept = customers.drop_duplicates().sort_values().sample(frac=max_rows / len(customers), random_state=seed)
    return np.flatnonzero(customers.isin(kept))
