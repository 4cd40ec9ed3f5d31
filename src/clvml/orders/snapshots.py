"""Snapshots of one log at earlier dates: what was known then, and what came in the window after it.

An origin sees only what was booked by it; every label window ends by `as_of`. So a learner can be trained on the past
of the log, tested on a later part of its past, and never sees what it will be asked about.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from clvml.checks import check_whole
from clvml.errors import DataError
from clvml.horizon import as_date, day_number, horizon_days
from clvml.orders.breaks import Closure, unusual_closures
from clvml.orders.origins import (
    FEATURES,
    YEAR,
    OriginPlan,
    Snapshots,
    YearAgo,
    one_vote,
    past_origins,
    plan_origins,
    season_origins,
    year_ago_days,
    year_ago_origin,
)
from clvml.orders.past import Past
from clvml.orders.transactions import Transactions, check_log

__all__ = ["FEATURES", "OriginPlan", "Snapshots", "one_vote", "plan_origins", "take_snapshots"]

_PAST_CUSTOMERS = 20_000
"""Enough to show the level of all."""


def take_snapshots(log: Transactions, as_of: Any, horizon: int | str, *, n_origins: int = 6) -> Snapshots:
    """Snapshots of a log at earlier days, each labelled with what came in the window after it, and as of today.

    Parameters
    ----------
    log : Transactions
        The whole log.
    as_of : date or str
        Today: the last day that may be known, and the end of the last label window.
    horizon : int or str
        Days that a forecast looks ahead; also "39w", "12m". Where the history is short, labels look ahead less.
    n_origins : int
        The most earlier days, at least one.

    Returns
    -------
    Snapshots

    Raises
    ------
    DataError
        Where the log is too short for a single origin before `as_of`.
    OptionError
        For a horizon or day that is none.

    Examples
    --------
    >>> from clvml import Transactions, load_cdnow, take_snapshots
    >>> snapshots = take_snapshots(Transactions(load_cdnow(sample=True)), "1998-06-30", "13w", n_origins=2)
    >>> [str(day) for day in snapshots.origins], snapshots.window
    (['1998-03-31', '1998-03-16'], 91)
    >>> int(snapshots.labelled["purchases"].sum())
    1055
    """
    check_log(log)
    day = as_date(as_of)
    days = horizon_days(horizon, day)
    check_whole("n_origins", n_origins)
    plan = plan_origins(day_number(log.first_date), day_number(day), days, n_origins)
    if not plan.origins:
        raise DataError(
            f"The log begins on {log.first_date}, only {(day - log.first_date).days} days before as_of={day}: "
            "too short for a single earlier snapshot. "
            f"At least {_least_history()} days are needed to learn who comes back."
        )
    now = log.summarize(day, plan.window)
    earlier = Past(log, day)
    labelled = pd.concat([earlier.labelled(origin, plan.window) for origin in plan.origins], ignore_index=True)
    first, last = day_number(log.first_date), day_number(day)
    few = Past(log.sample(_PAST_CUSTOMERS, day), day)
    closed = _closed(few)
    usual = partial(_is_usual, window=plan.window, closed=closed)
    known = year_ago_origin(first, last, plan.window)
    year_ago = known if known is not None and usual(known) else None
    past = {*filter(usual, past_origins(first, last, plan.window)), *([] if year_ago is None else [year_ago])}
    seasons = tuple(o for o in season_origins(first, last, plan.window) if o not in past and usual(o))
    return Snapshots(
        labelled,
        now,
        _past(few, sorted({*past, *seasons}, reverse=True), plan.window, labelled),
        year_ago,
        plan.window,
        days,
        day,
        log.first_date,
        _parts(few, first, last, plan.window) if usual(last - YEAR) else None,
        seasons,
        closed,
    )


def _closed(few: Past) -> tuple[Closure, ...]:
    """Weeks on end without an order that are no season."""
    days = few.purchases()["day"].to_numpy(np.int64)
    return tuple(unusual_closures(np.bincount(days - days.min()), int(days.min())))


def _is_usual(origin: int, window: int, closed: Iterable[Closure]) -> bool:
    """Whether a window holds no day of a closed shop, nor begins so soon after one that the base, which takes it for
    silence, expects too little.
    """
    return not any(c.first <= origin + window and origin < c.last + c.days for c in closed)


def _past(few: Past, origins: list[int], window: int, like: pd.DataFrame) -> pd.DataFrame:
    """Rows of past origins, without those by which nobody had bought."""
    found = [rows for origin in origins if (rows := _known(few, origin, window)) is not None]
    return pd.concat(found, ignore_index=True) if found else like.iloc[:0]


def _parts(few: Past, first: int, last: int, window: int) -> YearAgo | None:
    """What came within parts of the window a year ago."""
    days = year_ago_days(first, last, window)
    origin = last - YEAR
    rows = _known(few, origin, days[-1]) if days else None
    if rows is None:
        return None
    purchases = {n: float(few.labelled(origin, n)["purchases"].sum()) for n in days[:-1]}
    return YearAgo(rows, purchases | {days[-1]: float(rows["purchases"].sum())}, origin - first)


def _known(few: Past, origin: int, window: int) -> pd.DataFrame | None:
    """Rows of an origin; None where nobody had bought by then."""
    try:
        return few.labelled(origin, window)
    except DataError:
        return None


def _least_history() -> int:
    """Days of history with which `plan_origins` finds an origin, whatever the horizon."""
    return next(n for n in range(1, 400) if all(plan_origins(0, n, horizon).origins for horizon in range(1, n + 1)))
