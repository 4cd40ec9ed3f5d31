"""The customer-base audit: who buys, how that has changed, and what each year's new customers have become.

Fader, Hardie & Ross (2022), The Customer-Base Audit: five ways of looking at one table of customers and periods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.checks import check_whole
from clvml.errors import DataError
from clvml.horizon import EPOCH, as_date, day_number
from clvml.orders.summaries import BookedDays
from clvml.orders.transactions import Transactions

__all__ = ["BaseAudit", "audit_days", "base_audit"]

Whole = NDArray[np.int64]

GROUPS = ("new", "came back", "grew", "shrank", "lapsed")
"""What became of a customer between two periods. Came back: bought before both, not in the first, and in the second."""
MAX_COHORTS = 6
MIN_PERIOD_DAYS = 28
QUARTER_DAYS = 91


@dataclass(frozen=True, repr=False)
class BaseAudit:
    """Five views of a customer base; each a table.

    Attributes
    ----------
    as_of : str
        The last day that was known.
    period_days : int
        Length of a period, in days; the last one ends at `as_of`.
    one_period : DataFrame
        One period: tenths of the buyers of the last period, the best first: `tenth, customers, purchases, net, share`.
    two_periods : DataFrame
        Two periods: what became of the customers between the last two: `group, customers, before, after, change`
        (net amounts). Empty where the log has not two whole periods.
    cohorts : DataFrame
        Cohorts over time and beside each other: `cohort` (quarter of the first purchase, such as "2011-Q1"), `age` (in
        quarters), `customers, active` (share that bought in that quarter of their life), `net` (per customer of the
        cohort). Quarters that are not over yet are left out.
    whole : DataFrame
        The base as a whole: `quarter, cohort` (year of the first purchase), `customers` (who bought), `net`.
    """

    as_of: str
    period_days: int
    one_period: pd.DataFrame
    two_periods: pd.DataFrame
    cohorts: pd.DataFrame
    whole: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """All tables as lists of plain records."""
        tables = ("one_period", "two_periods", "cohorts", "whole")
        return {
            "as_of": self.as_of,
            "period_days": self.period_days,
            **{name: getattr(self, name).to_dict("records") for name in tables},
        }

    def sentences(self) -> list[str]:
        """What the tables say, in words."""
        buyers, net = int(self.one_period["customers"].sum()), float(self.one_period["net"].sum())
        top = float(self.one_period["share"].iloc[0])
        found = [
            f"In the {self.period_days} days up to {self.as_of}, {buyers:,} customers bought for {net:,.0f} net; "
            f"the best tenth of them brought {top:.0%} of it."
        ]
        if len(self.two_periods):
            before, after = (float(self.two_periods[when].sum()) for when in ("before", "after"))
            moves = zip(*(self.two_periods[name] for name in ("group", "customers", "change")), strict=True)
            parts = [f"{change:+,.0f} from {customers:,} who {_WHO[group]}" for group, customers, change in moves]
            found.append(
                f"The period before brought {before:,.0f}, a change of {after - before:+,.0f}: {', '.join(parts)}."
            )
        return found

    def __str__(self) -> str:
        return "\n".join(self.sentences())

    def __repr__(self) -> str:
        return str(self)


_WHO = {
    "new": "are new",
    "came back": "came back",
    "grew": "spent more",
    "shrank": "spent less",
    "lapsed": "bought before and not since",
}


def base_audit(log: Transactions, as_of: Any, period: int | None = None) -> BaseAudit:
    """Look at a customer base in the five ways of the customer-base audit.

    Parameters
    ----------
    log : Transactions
        The order log.
    as_of : date or str
        The last day that may be known; the last period ends there.
    period : int, optional
        Length of a period in days; by default a year, or half of a shorter history.

    Returns
    -------
    BaseAudit
        A table for each view, and sentences.

    Raises
    ------
    OptionError
        Where `period` is not a whole number of days from 28.
    DataError
        Where nobody bought in the last period.

    References
    ----------
    Fader, P., Hardie, B. & Ross, M. (2022), The Customer-Base Audit, Wharton School Press.

    Examples
    --------
    >>> from clvml import Transactions, load_cdnow
    >>> audit = base_audit(Transactions(load_cdnow(sample=True)), "1998-06-30", period=180)
    >>> audit.two_periods["group"].tolist()
    ['new', 'came back', 'grew', 'shrank', 'lapsed']
    """
    if period is not None:
        check_whole("period", period, least=MIN_PERIOD_DAYS)
    day = as_date(as_of)
    return audit_days(log.summary_and_days(day)[1], day, period)


def audit_days(booked: BookedDays, as_of: Any, period: int | None = None) -> BaseAudit:
    """`base_audit` of what was booked of every customer by a day."""
    day = as_date(as_of)
    end, earliest = day_number(day), int(booked.day.min())
    if period is None:
        period = max(MIN_PERIOD_DAYS, min(365, (end - earliest + 1) // 2))
    first = booked.first_day
    before, after = (_of_period(booked, last, period) for last in (end - period, end))
    one = _one_period(after, booked.units)
    if one.empty:
        raise DataError(f"Nobody bought in the {period} days up to {day}. Choose an earlier day or a longer period.")
    two = _no_periods()
    if earliest <= end - 2 * period + 1:
        two = _two_periods(before, after, first > end - period, booked.units)
    return BaseAudit(day.isoformat(), period, one, two, _cohorts(booked, first, end), _whole(booked, first))


class _Period(NamedTuple):
    """What each customer booked in a period."""

    net: Whole
    purchases: Whole


def _of_period(booked: BookedDays, last: int, period: int) -> _Period:
    """The `period` days up to one."""
    inside = (booked.day > last - period) & (booked.day <= last)
    net = np.add.reduceat(np.where(inside, booked.amount, 0), booked.begin)
    return _Period(net, np.add.reduceat((inside & booked.purchase).view(np.int8), booked.begin, dtype=np.int64))


def _one_period(each: _Period, units: float) -> pd.DataFrame:
    buyers = np.flatnonzero(each.purchases > 0)
    buyers = buyers[np.argsort(-each.net[buyers], kind="stable")]
    tenth = np.arange(len(buyers)) * 10 // max(len(buyers), 1)
    net = _sums(tenth, each.net[buyers], 10) / units
    table = pd.DataFrame(
        {
            "tenth": np.arange(1, 11),
            "customers": np.bincount(tenth, minlength=10),
            "purchases": _sums(tenth, each.purchases[buyers], 10),
            "net": net,
            "share": net / net.sum() if net.sum() else np.nan,
        }
    )
    return table[table["customers"] > 0].reset_index(drop=True)


def _two_periods(before: _Period, after: _Period, is_new: NDArray[np.bool_], units: float) -> pd.DataFrame:
    """What became of everybody who bought in one of the last two periods; by net amount."""
    then, now = before.purchases > 0, after.purchases > 0
    conditions = [now & is_new, now & ~then, then & ~now, after.net >= before.net]
    group = np.select(conditions, [GROUPS.index(g) for g in ("new", "came back", "lapsed", "grew")], len(GROUPS) - 2)
    group, net = group[then | now], [period.net[then | now] for period in (before, after)]
    sums = [_sums(group, money, len(GROUPS)) / units for money in net]
    table = pd.DataFrame({"group": list(GROUPS), "customers": np.bincount(group, minlength=len(GROUPS))})
    return table.assign(before=sums[0], after=sums[1], change=sums[1] - sums[0])


def _no_periods() -> pd.DataFrame:
    return pd.DataFrame(columns=["group", "customers", "before", "after", "change"])


def _cohorts(booked: BookedDays, first: Whole, end: int) -> pd.DataFrame:
    """The latest cohorts, by quarter of the first purchase, each quarter of their life that all of them have lived."""
    quarter = _quarter(first)
    found = np.unique(quarter)[-MAX_COHORTS:]
    place = np.searchsorted(found, quarter)
    recent = quarter >= found[0]
    size = np.bincount(place[recent], minlength=len(found))
    youngest = np.array([first[quarter == q].max() for q in found])
    lived = (end - youngest + 1) // QUARTER_DAYS
    rows = np.repeat(recent, booked.counts)
    cohort, age = (np.repeat(of, booked.counts)[rows] for of in (place, first))
    age = (booked.day[rows] - age) // QUARTER_DAYS
    ages = max(int(lived.max()), 1)
    kept = (age >= 0) & (age < lived[cohort])
    rows = np.flatnonzero(rows)[kept]
    table = _by_key(booked, rows, (cohort * ages + age)[kept], len(found) * ages)
    cohort, age = table["key"].to_numpy() // ages, table["key"].to_numpy() % ages
    return pd.DataFrame(
        {
            "cohort": [_quarter_name(int(q)) for q in found[cohort]],
            "age": age,
            "customers": size[cohort],
            "net": table["net"].to_numpy() / size[cohort],
            "active": table["buyers"].to_numpy() / size[cohort],
        }
    )


def _whole(booked: BookedDays, first: Whole) -> pd.DataFrame:
    """Every quarter, by the year of the first purchase."""
    quarter, year = _quarter(booked.day), _quarter(first) // 4
    begin, end, oldest = int(quarter.min()), int(quarter.max()), int(year.min())
    years = int(year.max()) - oldest + 1
    key = (quarter - begin) * years + np.repeat(year - oldest, booked.counts)
    table = _by_key(booked, slice(None), key, (end - begin + 1) * years)
    quarter, year = begin + table["key"].to_numpy() // years, oldest + table["key"].to_numpy() % years
    return pd.DataFrame(
        {
            "quarter": [_quarter_name(int(q)) for q in quarter],
            "cohort": [str(1970 + y) for y in year],
            "net": table["net"],
            "customers": table["buyers"],
        }
    )


def _by_key(booked: BookedDays, rows: NDArray[np.intp] | slice, key: NDArray[np.intp], size: int) -> pd.DataFrame:
    """Of the entries `rows`, whose keys below `size` never fall while a customer's days go on: each key there is, its
    net amount and how many customers bought under it.
    """
    customer = np.repeat(np.arange(booked.begin.size, dtype=np.int32), booked.counts)[rows]
    bought = booked.purchase[rows]
    who, under = (customer, key) if bought.all() else (customer[bought], key[bought])
    again = (who[1:] == who[:-1]) & (under[1:] == under[:-1])
    buyers = np.bincount(under[np.append(True, ~again)] if under.size else under, minlength=size)
    found = np.flatnonzero(np.bincount(key, minlength=size))
    net = _sums(key, booked.amount[rows], size)[found] / booked.units
    return pd.DataFrame({"key": found, "net": net, "buyers": buyers[found]})


def _sums(key: NDArray[np.intp], values: Whole, size: int) -> Whole:
    """The sum of the values under each key; of whole numbers, so exact."""
    sums = np.zeros(size, dtype=np.int64)
    np.add.at(sums, key, values)
    return sums


def _quarter(day: Whole) -> NDArray[np.intp]:
    """Quarters since that of 1970-01-01, of day numbers."""
    earliest = int(day.min())
    days = np.datetime64(EPOCH.isoformat(), "D") + np.arange(earliest, int(day.max()) + 1)
    quarters = days.astype("datetime64[M]").astype(np.intp) // 3
    found: NDArray[np.intp] = quarters[day - earliest]
    return found


def _quarter_name(quarter: int) -> str:
    return f"{1970 + quarter // 4}-Q{quarter % 4 + 1}"
