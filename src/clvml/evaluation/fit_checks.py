"""A fitted model of purchases against the log itself: purchases over time, repeat counts, spend, a customer's history.

What `clvml.plots` draws of a fit. Expectations up to `as_of` are those of customers of whom only the first purchase is
known, as the papers compare them; after it, those of customers with their histories.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.checks import check_level, check_whole
from clvml.errors import DataError, OptionError
from clvml.estimators.histories import Histories
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.purchases.model import PurchaseModel
from clvml.estimators.spend import GammaGammaModel
from clvml.estimators.uncertainty.totals import COMMON_LEVEL_SD, LevelSd, as_level_sd
from clvml.horizon import as_date, day_number, day_of_number
from clvml.maths.metrics import NORMAL_95
from clvml.maths.models import gammagamma
from clvml.maths.predictive import purchases_quantile
from clvml.orders.transactions import Split, Transactions
from clvml.scores.totals import total_interval_around

__all__ = [
    "counts_of_repeats",
    "customer_history",
    "groups_of_repeats",
    "holdout_by_past",
    "purchases_of",
    "spend_density",
    "track_purchases",
]

Floats = NDArray[np.float64]
Purchases = PurchaseModel | LifetimeValueModel

_TAIL_CHANCE = 1e-6
_HISTORY_POINTS = 250
"""Days at which a customer's history is looked at, at most, beside those of the purchases."""
_USUAL_GROUPS, _MANY_REPEATS, _MOST_GROUPS = 7, 12, 10
"""Numbers of repeat purchases that stand alone; what a tenth must exceed before they do not; groups then."""
_LEAST_GROUP = 5
"""Customers of a group below which its mean has no interval."""


def track_purchases(
    model: Purchases,
    log: Transactions,
    as_of: Any,
    until: Any = None,
    *,
    period: int = 7,
    level: float = 0.9,
    level_sd: float | LevelSd = COMMON_LEVEL_SD,
) -> pd.DataFrame:
    """Set the repeat purchases of each period beside what the model expects: in what it was fitted to, and after it.

    Parameters
    ----------
    model : PurchaseModel or LifetimeValueModel
        Fitted to the summary as of `as_of`.
    log : Transactions
        The order log.
    as_of : date or str
        The day that the model knows everything up to.
    until : date or str, optional
        How far to look; the last day of the log unless given.
    period : int, default 7
        Days of a period.
    level : float, default 0.9
        Of the intervals after `as_of`.
    level_sd : float or LevelSd, optional
        How far the level of all customers together can be off, as the standard deviation of a logarithm; what logs show
        in general unless given.

    Returns
    -------
    pandas.DataFrame
        One row a period: end (its last day), known (whether the model was fitted to it), actual, expected, low, high,
        and the same added up: actual_total, expected_total, low_total, high_total. Customers known by `as_of` alone;
        intervals are missing up to it. After it, expected_total starts from the actual total of that day.

    Raises
    ------
    DataError, NotFittedError
    OptionError
        If a period is no whole number of days, or `until` lies before `as_of`.

    References
    ----------
    Fader, P. S., Hardie, B. G. S. and Lee, K. L. (2005). "Counting your customers" the easy way: an alternative to the
    Pareto/NBD model. Marketing Science 24(2), figures 2 and 3.

    Examples
    --------
    >>> from clvml import BetaGeoModel, Transactions, load_cdnow, track_purchases
    >>> log = Transactions(load_cdnow(sample=True))
    >>> model = BetaGeoModel().fit(log.summarize("1997-09-30"))
    >>> table = track_purchases(model, log, "1997-09-30", period=91)
    >>> table.loc[~table["known"], ["actual", "expected"]].round(0).values.tolist()
    [[726.0, 628.0], [661.0, 543.0], [495.0, 482.0]]
    """
    purchases, day = purchases_of(model), as_date(as_of)
    end = log.last_date if until is None else as_date(until, "until")
    days = check_whole("period", period)
    if end < day:
        raise OptionError(f"until={end} lies before as_of={day}.")
    check_level(level)
    off = as_level_sd(level_sd).purchases
    summary = log.summarize(day)
    edges = _edges(day_number(summary["first_date"].min().date()), day_number(day), day_number(end), days)
    actual = _repeats(log, summary, edges, end)
    expected_total = _expected_totals(purchases, summary, edges, day_number(day))
    known = edges[1:] <= day_number(day)
    table = pd.DataFrame({"end": [pd.Timestamp(day_of_number(int(e))) for e in edges[1:]], "known": known})
    table["actual"], table["expected"] = actual, np.diff(expected_total)
    table["actual_total"] = np.cumsum(actual)
    done = float(actual[known].sum())
    after = np.where(known, 0.0, expected_total[1:] - expected_total[:-1])
    table["expected_total"] = np.where(known, expected_total[1:], done + np.cumsum(after))
    excess = _excess(purchases, summary, int(edges[-1]) - day_number(day))
    later = table["expected"].where(~known)
    for name, mean, base in (("", later, 0.0), ("_total", later.cumsum(), done)):
        variance = mean + excess * mean**2
        low, high = total_interval_around(mean.to_numpy(), variance.to_numpy(), off, level)
        table[f"low{name}"], table[f"high{name}"] = (np.where(known, np.nan, base + v) for v in (low, high))
    table.attrs = {"as_of": day.isoformat(), "level": level, "period": days}
    return table


def groups_of_repeats(summary: pd.DataFrame, most: int | None = None) -> NDArray[np.int64]:
    """Numbers of repeat purchases at which groups of customers begin; the last group has no end.

    One by one up to `most`; unless given up to 7, and where more than a tenth of the customers have more than 12,
    one-time buyers and groups of equal width.
    """
    if most is not None:
        return np.arange(check_whole("most", most) + 1)
    usual = float(summary["frequency"].quantile(0.9))
    if usual <= _MANY_REPEATS:
        return np.arange(_USUAL_GROUPS + 1)
    width = next(m * 10**k for k in range(12) for m in (1, 2, 5) if usual <= _MOST_GROUPS * m * 10**k)
    return np.concatenate([[0], np.arange(1, int(usual) + width + 1, width)])


def counts_of_repeats(model: Purchases, summary: pd.DataFrame, most: int | None = None) -> pd.DataFrame:
    """How many customers made 0, 1, … repeat purchases, and how many the model expects at their ages.

    One row a group (`groups_of_repeats`): count (where it begins; the last has no end), actual, expected.
    """
    purchases = purchases_of(model)
    rows, starts = _by_age(purchases, summary), groups_of_repeats(summary, most)
    future, t = purchases._future(_as_new(rows)), rows.T / purchases.unit_days
    reached = [float(rows.weight @ future.at_least(np.full(t.shape, float(n)), t)) for n in starts]
    groups = np.searchsorted(starts, summary["frequency"].to_numpy(), side="right") - 1
    expected = -np.diff(reached, append=0.0)
    return pd.DataFrame({"count": starts, "actual": np.bincount(groups, minlength=len(starts)), "expected": expected})


def holdout_by_past(model: Purchases, split: Split, most: int | None = None) -> pd.DataFrame:
    """Mean purchases after the cut by the number of repeat purchases before it, beside those expected.

    One row a group (`groups_of_repeats`): past (where it begins; the last has no end), customers, expected, actual, low
    and high (95% interval of the actual mean; missing for fewer than five customers).
    """
    days = (as_date(split.holdout.attrs["end"]) - as_date(split.holdout.attrs["cut"])).days
    starts = groups_of_repeats(split.summary, most)
    table = pd.DataFrame(
        {
            "past": starts[np.searchsorted(starts, split.summary["frequency"].to_numpy(), side="right") - 1],
            "expected": purchases_of(model).expected_purchases(split.summary, days),
            "actual": split.holdout["purchases"].to_numpy(np.float64),
        }
    )
    groups = table.groupby("past")
    found = groups.agg(customers=("actual", "size"), expected=("expected", "mean"), actual=("actual", "mean"))
    error = NORMAL_95 * groups["actual"].std() / np.sqrt(found["customers"])
    error = error.where(found["customers"] >= _LEAST_GROUP)
    return found.assign(low=(found["actual"] - error).clip(lower=0.0), high=found["actual"] + error).reset_index()


def spend_density(
    model: GammaGammaModel | LifetimeValueModel, summary: pd.DataFrame, points: int = 200
) -> pd.DataFrame:
    """Density of the mean amount per repeat purchase that the model expects of these repeat buyers.

    Columns amount (up to the 99% point of the actual means) and density. Raises DataError where there is no repeat
    buyer.
    """
    spend = model.spend_ if isinstance(model, LifetimeValueModel) else model
    repeat = summary[(summary["frequency"] > 0) & (summary["monetary_value"] > 0)]
    if repeat.empty:
        raise DataError("Nobody in the summary has a repeat purchase with an amount, so there is no spend to draw.")
    counts = repeat["frequency"].value_counts()
    x, weight = counts.index.to_numpy(np.float64), counts.to_numpy(np.float64) / len(repeat)
    top = float(repeat["monetary_value"].quantile(0.99))
    amount = np.linspace(top / points, top, points)
    factor = spend._frequency_factor(x)[:, None]
    density = np.exp(gammagamma.log_likelihood(spend.params_, x[:, None], amount / factor)) / factor
    return pd.DataFrame({"amount": amount, "density": weight @ density})


def customer_history(
    model: Purchases, log: Transactions, customer_id: Any, as_of: Any, horizon: int | str = "3m"
) -> pd.DataFrame:
    """One customer from the first purchase to a day, as the model would have seen them on each day.

    One row a day, some left out of a long history: day, purchase (whether one was made on it), p_alive and p_return
    within the horizon from that day. Raises DataError where the customer has no purchase by then.
    """
    purchases, last = purchases_of(model), as_date(as_of)
    days = log.purchase_days(last)
    own = days.loc[(days["customer_id"] == customer_id) & (days["purchase"] == 1), "day"].to_numpy(np.int64)
    if not len(own):
        raise DataError(f"Customer {customer_id!r} has no purchase by {last}.")
    end = day_number(last)
    grid = np.linspace(own[0], end, min(_HISTORY_POINTS, end - int(own[0]) + 1)).round().astype(np.int64)
    at = np.unique(np.concatenate([grid, own, own[1:] - 1]))
    repeats = np.searchsorted(own, at, side="right") - 1
    rows = pd.DataFrame({"frequency": repeats, "recency": own[repeats] - own[0], "T": at - own[0]})
    rows.attrs["as_of"] = last.isoformat()
    return pd.DataFrame(
        {
            "day": [pd.Timestamp(day_of_number(int(d))) for d in at],
            "purchase": np.isin(at, own),
            "p_alive": purchases.p_alive(rows),
            "p_return": purchases.p_return(rows, horizon),
        }
    )


def purchases_of(model: Purchases) -> PurchaseModel:
    """The model of purchases, fitted."""
    model._check_fitted("params_" if isinstance(model, PurchaseModel) else "purchases_")
    return model if isinstance(model, PurchaseModel) else model.purchases_


def _edges(first: int, day: int, end: int, period: int) -> NDArray[np.int64]:
    """Days between which periods lie, `day` among them; the last period ends by `end`."""
    before, after = -(-(day - first) // period), (end - day) // period
    return day + period * np.arange(-before, after + 1)


def _repeats(log: Transactions, summary: pd.DataFrame, edges: NDArray[np.int64], end: dt.date) -> Floats:
    """Repeat purchases of the summary's customers in each period (edges[i], edges[i + 1]]."""
    days = log.purchase_days(end)
    days = days[(days["purchase"] == 1) & days["customer_id"].isin(summary["customer_id"])]
    repeats = days.loc[days["customer_id"].duplicated(), "day"].to_numpy(np.int64)
    place = np.searchsorted(edges, repeats, side="left") - 1
    within = (place >= 0) & (place < len(edges) - 1)
    return np.bincount(place[within], minlength=len(edges) - 1).astype(np.float64)


def _expected_totals(purchases: PurchaseModel, summary: pd.DataFrame, edges: NDArray[np.int64], day: int) -> Floats:
    """Expected repeat purchases by each edge: up to `day` of new customers, after it of those known."""
    rows = _by_age(purchases, summary)
    new, unit = purchases._future(_as_new(rows)), purchases.unit_days
    before = [
        float(rows.weight @ new.expected(np.maximum(rows.T - (day - e), 0.0) / unit)) for e in edges[edges <= day]
    ]
    known = purchases._histories(summary)
    future = purchases._future(known)
    after = [
        before[-1] + float(known.weight @ future.expected(np.full(known.x.shape, (e - day) / unit)))
        for e in edges[edges > day]
    ]
    return np.array([*before, *after])


def _excess(purchases: PurchaseModel, summary: pd.DataFrame, days: int) -> float:
    """By how much the variance of the total after `as_of` exceeds its mean, over the mean's square.

    Customers differ in their rates beyond their histories, and some have left: that part of the variance grows with
    the square of the mean, so that one number serves every period within the days.
    """
    if days <= 0:
        return 0.0
    rows = purchases._histories(summary)
    future, t = purchases._future(rows), days / purchases.unit_days
    mean, most = future.expected(np.full(rows.x.shape, t)), purchases_quantile(future, t, 1.0 - _TAIL_CHANCE)
    square = np.zeros(rows.x.shape)
    for n in range(1, int(most.max()) + 1):
        some = np.flatnonzero(most >= n)
        square[some] += (2 * n - 1) * future.take(some).at_least(np.full(some.shape, float(n)), t)
    total = float(rows.weight @ mean)
    return max(float(rows.weight @ (square - mean**2)) - total, 0.0) / max(total, 1e-12) ** 2


def _by_age(purchases: PurchaseModel, summary: pd.DataFrame) -> Histories:
    """The histories; where nothing but the age matters, one for each age."""
    rows = purchases._histories(summary)
    if rows.covariates is not None:
        return rows
    ages, place = np.unique(rows.T, return_inverse=True)
    weight = np.bincount(place, weights=rows.weight, minlength=ages.size).astype(np.float64)
    zero = np.zeros(ages.size)
    return Histories(zero, zero, ages, weight, np.arange(ages.size))


def _as_new(rows: Histories) -> Histories:
    """The same customers when they had just made their first purchase."""
    zero = np.zeros(rows.x.size)
    return rows._replace(x=zero, t_x=zero, T=zero)
