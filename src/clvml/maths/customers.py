"""One row a customer from the days on which something was booked: the summary, and what a snapshot tells of rhythm,
trend and spend beyond it.

Days stand in the order of customer and day, so that everything about a customer is a stretch of each array: a sum is
the difference of two running sums. Money is whole units of its last digit and logarithms are whole units of 1e-12, so
that sums are exact: the same in any order of lines, on any number of threads, on any engine.

frequency, recency and T are worked out in `clvml/orders/engines/sql/counts.sql` too, where the customers do not leave
the engine. Each is the oracle of the other: tests/orders/test_transactions.py holds them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_SUM", "Days", "SummarySettings", "customers", "merged"]

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

LOG_UNITS = 1e12
MAX_SUM = 2.0**62
"""Units of money up to which sums are exact."""


class Days(NamedTuple):
    """What was booked, one entry a customer and day, in that order; money in whole units of its last digit."""

    first: NDArray[np.bool_]
    """Whether the entry is the first of its customer; the very first entry is."""
    day: Whole
    """Day number."""
    purchase: NDArray[np.bool_]
    """Whether the day is a purchase."""
    net: Whole
    """Sales less refunds, without orders cancelled in full."""
    contribution: Whole
    """May be `net` itself."""
    booked: tuple[Whole, Whole] | None
    """All sales that were booked, and all refunds, at least 0; None where there are no refunds, so that `net` tells."""


class SummarySettings(NamedTuple):
    """What may be known, and how far features look back."""

    as_of: int
    """Day number at which ages are taken."""
    today: int
    """Day number from which features look back; the same, but for weeks."""
    window: int | None
    """Days that a label looks ahead: features look back shares and multiples of it, so that they mean the same at every
    horizon. None: no features."""
    units: float
    """Units of money that make 1."""


def merged(first: NDArray[np.bool_], day: Whole, *money: Whole) -> tuple[NDArray[np.bool_], Whole, list[Whole]]:
    """Entries of the same customer and day, which stand beside each other, added up.

    Raises OverflowError where a sum of money has more digits than fit.
    """
    starts = np.ones(day.size, dtype=np.bool_)
    np.not_equal(day[1:], day[:-1], out=starts[1:])
    starts |= first
    again = np.flatnonzero(~starts)
    if not again.size:
        return first, day, list(money)
    _check(first, money)
    entry = again - np.arange(1, again.size + 1)  # the last one that stays before it
    sums = [v[starts].astype(np.int64) for v in money]
    for total, v in zip(sums, money, strict=True):
        np.add.at(total, entry, v[again])
    return first[starts], day[starts], sums


class Stretches(NamedTuple):
    """The purchases, those of a customer beside each other."""

    day: Whole
    paid: Whole
    begin: NDArray[np.intp]
    """Where each customer's purchases begin."""
    end: NDArray[np.intp]
    """The place after the last of them."""


def customers(days: Days, settings: SummarySettings) -> tuple[NDArray[np.intp], dict[str, NDArray[np.generic]]]:
    """Which of the customers have a purchase (their rank among all), and what is known of each of those, by column.

    first_day, last_day and the columns of `clvml.tables.SUMMARY` from frequency on, then, with a window, those of
    `clvml.orders.origins.FEATURES`; NaN for a gap that there is not. monetary_value is the net of all days after the
    first purchase over the repeat purchases, so refunds booked on other days count, and amount = first_amount +
    frequency monetary_value, less refunds before the first purchase.

    Raises OverflowError where a sum of money has more digits than fit.
    """
    _check(days.first, (days.net, days.contribution, *(days.booked or ())))
    start = np.flatnonzero(days.first)
    end = np.append(start[1:], days.day.size)
    bought = np.flatnonzero(days.purchase)
    every = bought.size == days.day.size
    upto = np.append(start, days.day.size) if every else np.searchsorted(bought, np.append(start, days.day.size))
    who = np.flatnonzero(np.diff(upto))
    start, end, begin, finish = start[who], end[who], upto[who], upto[who + 1]
    day, paid = (days.day, days.net) if every else (days.day[bought], days.net[bought])

    net = _running(days.net)
    first_net = paid[begin]
    early = 0 if every else net[bought[begin]] - net[start]  # refunds before the first purchase
    total_net = _total(net, start, end)
    later_net = total_net - first_net - early
    contribution = total_net if days.contribution is days.net else _total(_running(days.contribution), start, end)
    if days.booked is None:
        sold, refunds, n_returns = total_net, np.zeros_like(total_net), np.zeros_like(total_net)
    else:
        sold, refunds = (_total(_running(money), start, end) for money in days.booked)
        n_returns = _total(_running(days.booked[1] > 0), start, end)

    first_day, last_day = day[begin].astype(np.int64), day[finish - 1].astype(np.int64)
    again = finish - begin - 1
    gap = np.empty_like(day)
    np.subtract(day[1:], day[:-1], out=gap[1:])
    gap[begin] = 0
    with np.errstate(divide="ignore", invalid="ignore"):
        columns: dict[str, NDArray[np.generic]] = {
            "first_day": first_day,
            "last_day": last_day,
            "frequency": again,
            "recency": last_day - first_day,
            "T": settings.as_of - first_day,
            "days_since_last": settings.as_of - last_day,
            "monetary_value": np.where(again > 0, later_net / settings.units / again, 0.0),
            "first_amount": first_net / settings.units,
            "amount": (sold - refunds) / settings.units,
            "gross": sold / settings.units,
            "returns_value": refunds / settings.units,
            "n_returns": n_returns,
            "contribution": contribution / settings.units,
            "log_gaps": _total(_running(_logs(int(gap.max(initial=0)))[gap]), begin, finish) / LOG_UNITS,
        }
    if settings.window is not None:
        spent = net if every else _running(paid)
        columns |= _features(Stretches(day, paid, begin, finish), gap, spent, settings, settings.window)
    return who, columns


def _features(
    purchases: Stretches, gap: Whole, spent: Whole, settings: SummarySettings, window: int
) -> dict[str, NDArray[np.generic]]:
    """What a snapshot tells of rhythm, trend and spend beyond the summary. gap: days since the purchase before, 0 at a
    customer's first; spent: the running sum of what was paid.
    """
    day, paid, begin, finish = purchases
    n, span = finish - begin, day[finish - 1].astype(np.int64) - day[begin]
    again, squares = n - 1, _total(_running(np.multiply(gap, gap, dtype=np.int64)), begin, finish)
    silent = settings.today - day
    quarter, half, one, two = (_total(_running(silent < window * share), begin, finish) for share in (0.25, 0.5, 1, 2))
    once = np.where(again > 0, 0.0, np.nan)  # added to what a single purchase has not got
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "gap_mean": span / again,
            "gap_sd": np.sqrt(again * squares - span * span) / np.where(again > 1, again, np.nan),
            "gap_max": _greatest(gap, begin) + once,
            "gap_last": gap[finish - 1] + once,
            "purchases_quarter": quarter.astype(np.float64),
            "purchases_half": half.astype(np.float64),
            "purchases_one": one.astype(np.float64),
            "purchases_two": two.astype(np.float64),
            "spend_half": (spent[finish] - spent[finish - half]) / settings.units,  # of the latest so many purchases
            "spend_one": (spent[finish] - spent[finish - one]) / settings.units,
            "last_amount": paid[finish - 1] / settings.units,
            "max_amount": _greatest(paid, begin) / settings.units,
            "mean_amount": _total(spent, begin, finish) / settings.units / n,
        }


def _running(values: NDArray[np.generic]) -> Whole:
    """The sum of all values before each place, and of all of them at the end."""
    sums = np.empty(values.size + 1, dtype=np.int64)
    sums[0] = 0
    np.cumsum(values, out=sums[1:])
    return sums


def _total(running: Whole, start: NDArray[np.intp], end: NDArray[np.intp]) -> Whole:
    """The sums from each start up to before its end."""
    sums: Whole = running[end] - running[start]
    return sums


def _greatest(values: Whole, start: NDArray[np.intp]) -> Whole:
    """The greatest value of each stretch, which reaches from its start to the next."""
    most: Whole = np.maximum.reduceat(values, start) if start.size else values[:0]
    return most


def _logs(longest: int) -> Whole:
    """Natural logarithms of 1 to `longest` days, and 0 in the first place, in whole units."""
    days = np.arange(longest + 1.0)
    days[0] = 1.0
    units: Whole = np.rint(np.log(days) * LOG_UNITS).astype(np.int64)
    return units


def _check(first: NDArray[np.bool_], booked: Sequence[Whole]) -> None:
    """Raise OverflowError where a customer's money might not fit."""
    longest = int(np.diff(np.flatnonzero(first), append=first.size).max(initial=0))
    for money in {id(v): v for v in booked}.values():
        most = max(float(money.max(initial=0)), -float(money.min(initial=0)))
        if most * longest >= MAX_SUM:
            raise OverflowError(f"a customer with {longest:,} entries, and up to {most:.3g} units of money in one")
