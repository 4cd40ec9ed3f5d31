"""The customer-base audit: who buys, how that has changed, and what each year's new customers have become.

Fader, Hardie & Ross (2022), The Customer-Base Audit: five ways of looking at one table of customers and periods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clvml.errors import DataError, OptionError
from clvml.horizon import as_date, day_number, day_of_number
from clvml.orders.transactions import Transactions

__all__ = ["BaseAudit", "base_audit"]

GROUPS = ("new", "came back", "grew", "shrank", "lapsed")
"""What became of a customer between two periods. Came back: bought before both, not in the first, and in the second."""
_MAX_COHORTS = 6
_MIN_PERIOD = 28


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
    if period is not None and (isinstance(period, bool) or not isinstance(period, int) or period < _MIN_PERIOD):
        raise OptionError(
            f"period={period!r} is not a length in days. Give a whole number from {_MIN_PERIOD}, such as 365."
        )
    day = as_date(as_of)
    days = _purchase_days(log, day)
    end = day_number(day)
    if period is None:
        period = max(_MIN_PERIOD, min(365, (end - int(days["day"].min()) + 1) // 2))
    one = _one_period(days, end, period)
    if one.empty:
        raise DataError(f"Nobody bought in the {period} days up to {day}. Choose an earlier day or a longer period.")
    whole_periods = int(days["day"].min()) <= end - 2 * period + 1
    two = _two_periods(days, end, period) if whole_periods else _no_periods()
    return BaseAudit(day.isoformat(), period, one, two, _cohorts(days, end), _whole(days))


def _purchase_days(log: Transactions, day: Any) -> pd.DataFrame:
    """customer, day, net, purchase, first (day of the first purchase); customers without a purchase left out."""
    days = log.purchase_days(day).rename(columns={"amount": "net"})
    first = days[days["purchase"] > 0].groupby("customer_id")["day"].min().rename("first")
    return days.join(first, on="customer_id", how="inner")


def _one_period(days: pd.DataFrame, end: int, period: int) -> pd.DataFrame:
    inside = days[days["day"] > end - period]
    each = inside.groupby("customer_id").agg(net=("net", "sum"), purchases=("purchase", "sum"))
    each = each[each["purchases"] > 0].sort_values("net", ascending=False, kind="stable")
    tenth = np.arange(len(each)) * 10 // max(len(each), 1) + 1
    table = each.groupby(tenth).agg(customers=("net", "size"), purchases=("purchases", "sum"), net=("net", "sum"))
    table.insert(0, "tenth", table.index)
    total = float(table["net"].sum())
    return table.assign(share=table["net"] / total if total else np.nan).reset_index(drop=True)


def _two_periods(days: pd.DataFrame, end: int, period: int) -> pd.DataFrame:
    """What became of everybody who bought in one of the last two periods; by net amount."""
    recent = days[days["day"] > end - 2 * period]
    late = recent["day"] > end - period
    sums = {
        "before": recent["net"].where(~late, 0.0),
        "after": recent["net"].where(late, 0.0),
        "n_before": recent["purchase"].where(~late, 0),
        "n_after": recent["purchase"].where(late, 0),
    }
    each = pd.DataFrame(sums).groupby(recent["customer_id"]).sum()
    each["first"] = recent.groupby("customer_id")["first"].first()
    then, now = each["n_before"] > 0, each["n_after"] > 0
    conditions = [now & (each["first"] > end - period), now & ~then, then & ~now, each["after"] >= each["before"]]
    each["group"] = np.select(conditions, ["new", "came back", "lapsed", "grew"], "shrank")
    each = each[then | now]
    table = each.groupby("group").agg(customers=("before", "size"), before=("before", "sum"), after=("after", "sum"))
    table = table.reindex(list(GROUPS), fill_value=0).reset_index()
    return table.assign(change=table["after"] - table["before"])


def _no_periods() -> pd.DataFrame:
    return pd.DataFrame(columns=["group", "customers", "before", "after", "change"])


_QUARTER = 91


def _cohorts(days: pd.DataFrame, end: int) -> pd.DataFrame:
    """The latest cohorts, by quarter of the first purchase, each quarter of their life that all of them have lived."""
    dates = pd.to_datetime([day_of_number(int(d)) for d in np.unique(days["first"])])
    names = dict(zip(np.unique(days["first"]), (f"{d.year}-Q{d.quarter}" for d in dates), strict=True))
    table = days.assign(cohort=days["first"].map(names), age=(days["day"] - days["first"]) // _QUARTER)
    starts = table.groupby("cohort").agg(customers=("customer_id", "nunique"), youngest=("first", "max"))
    lived = (end - starts["youngest"] + 1) // _QUARTER
    wanted = starts.index.sort_values()[-_MAX_COHORTS:]
    rows = table[table["cohort"].isin(wanted) & (table["age"] >= 0) & (table["age"] < table["cohort"].map(lived))]
    bought = rows[rows["purchase"] > 0].groupby(["cohort", "age"])["customer_id"].nunique()
    found = rows.groupby(["cohort", "age"]).agg(net=("net", "sum")).join(bought.rename("active")).fillna(0.0)
    found = found.reset_index()
    found.insert(2, "customers", starts["customers"].reindex(found["cohort"]).to_numpy())
    return found.assign(active=found["active"] / found["customers"], net=found["net"] / found["customers"])


def _whole(days: pd.DataFrame) -> pd.DataFrame:
    def labelled(column: str, label: str) -> pd.Series:
        unique = np.unique(days[column])
        dates = [day_of_number(int(d)) for d in unique]
        words = [f"{d.year}-Q{(d.month + 2) // 3}" if label == "quarter" else str(d.year) for d in dates]
        return days[column].map(dict(zip(unique, words, strict=True)))

    table = days.assign(quarter=labelled("day", "quarter"), cohort=labelled("first", "year"))
    sums = table.groupby(["quarter", "cohort"]).agg(net=("net", "sum"))
    buyers = table[table["purchase"] > 0].groupby(["quarter", "cohort"])["customer_id"].nunique().rename("customers")
    return sums.join(buyers).fillna({"customers": 0}).astype({"customers": "int64"}).reset_index()
