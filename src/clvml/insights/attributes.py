"""What is known of a customer at the first order, or as of a day: what profiles and look-alikes compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from clvml.checks import check_choice
from clvml.errors import DataError, did_you_mean
from clvml.horizon import EPOCH, as_date
from clvml.orders.outliers import Beginning, beginning_of
from clvml.orders.transactions import Transactions

__all__ = [
    "DAY_OF_FIRST_ORDER",
    "INGREDIENTS",
    "MISSING",
    "RETURNED_SHARE",
    "KnownAt",
    "attributes_of",
    "attributes_of_lines",
    "attributes_of_summary",
    "bought_after",
    "known_before",
]

KnownAt = Literal["first_order", "as_of"]
INGREDIENTS = ("purchases", "mean gap (days)", "days since last purchase", "amount per purchase")
"""Attributes that a model works the value out from: that the best have more of them says nothing."""
DAY_OF_FIRST_ORDER = ("weekday of the first order", "month of the first order")
RETURNED_SHARE = "returned share"
"""Of what was bought: the attribute that is written in percent."""
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MISSING = "(missing)"
"""The word of those of whom an attribute is not known."""
MAX_WORDS = 20
"""Words of an attribute that are kept apart; the rarer ones count as 'other'."""


def attributes_of(log: Transactions, as_of: Any, *, known_at: KnownAt = "as_of") -> pd.DataFrame:
    """One row a customer by the log's own columns, customer_id first; `attributes_of_lines` takes further columns.

    first_order: amount, weekday and month of the first purchase day, and the channel. as_of: rhythm, spending, returns
    and covariates as well. Weekday and month are left out where most customers bought before the log begins.
    """
    return attributes_of_summary(log.summarize(as_of), known_at=known_at)


def attributes_of_summary(summary: pd.DataFrame, *, known_at: KnownAt = "as_of") -> pd.DataFrame:
    """`attributes_of` a log that has been summarized."""
    _check_known_at(known_at)
    table = _first_day(summary["customer_id"], summary["first_date"], summary["first_amount"])
    if known_before(summary) is not None:
        table = table.drop(columns=list(DAY_OF_FIRST_ORDER))
    if "channel" in summary:
        table["channel"] = _words(summary["channel"])
    if known_at == "first_order":
        return table
    gaps = summary["frequency"].to_numpy(np.float64)
    table["purchases"] = gaps + 1
    table["mean gap (days)"] = np.where(gaps > 0, summary["recency"] / np.maximum(gaps, 1), np.nan)
    table["days since last purchase"] = summary["days_since_last"].astype(np.float64)
    table["amount per purchase"] = summary["amount"] / (gaps + 1)
    table[RETURNED_SHARE] = summary["returns_value"] / summary["gross"].where(summary["gross"] > 0)
    known = {"channel", *(summary.columns[: list(summary.columns).index("log_gaps") + 1])}
    for name in summary.columns:
        if name not in known:
            numeric = pd.api.types.is_numeric_dtype(summary[name])
            table[str(name)] = summary[name].astype(np.float64) if numeric else _words(summary[name])
    return table


def attributes_of_lines(
    lines: pd.DataFrame,
    as_of: Any,
    *,
    customer: str = "customer_id",
    date: str = "date",
    amount: str = "amount",
    columns: Sequence[str] = (),
    known_at: KnownAt = "as_of",
) -> pd.DataFrame:
    """Work out attributes of each customer from the order lines, with any of their columns.

    Parameters
    ----------
    lines : pandas.DataFrame
        Order lines. Lines without a customer, after `as_of`, or with an amount of zero or less are left out.
    as_of : date-like
        The last day that may be known.
    customer, date, amount : str
        Columns of the customer, the day and the amount.
    columns : sequence of str
        Further columns (category, discount, country, …): of numbers a customer's mean is taken, of words the one with
        most money. Only the 20 most frequent words are kept apart; the others become 'other'.
    known_at : {"as_of", "first_order"}
        "first_order" reads only the lines of a customer's first day, so that nothing enters that was not known then.

    Returns
    -------
    pandas.DataFrame
        One row a customer: customer_id, first order amount, weekday and month of the first order, lines of the first
        order, (as_of: purchases, amount per purchase,) and the columns asked for.

    Raises
    ------
    DataError
        If a column is missing, or the log has no sales up to `as_of`.
    OptionError
        If `known_at` is neither.

    Examples
    --------
    >>> import pandas as pd
    >>> from clvml import attributes_of_lines
    >>> lines = pd.DataFrame(
    ...     {
    ...         "customer_id": [1, 1, 2],
    ...         "date": pd.to_datetime(["2011-01-03", "2011-02-01", "2011-03-05"]),
    ...         "amount": [40.0, 100.0, 5.0],
    ...         "kind": ["tea", "pots", "tea"],
    ...     }
    ... )
    >>> found = attributes_of_lines(lines, "2011-12-31", columns=["kind"])
    >>> found[["customer_id", "first order amount", "purchases", "kind"]].values.tolist()
    [[1, 40.0, 2.0, 'pots'], [2, 5.0, 1.0, 'tea']]
    """
    _check_known_at(known_at)
    for name in (customer, date, amount, *columns):
        if name not in lines:
            raise DataError(f"The log has no column '{name}'.{did_you_mean(name, map(str, lines))}")
    day = pd.to_datetime(lines[date]).dt.normalize()
    counted = lines[customer].notna() & (day <= pd.Timestamp(as_date(as_of))) & (lines[amount] > 0)
    sold = lines[counted].assign(**{date: day[counted]})
    if sold.empty:
        raise DataError(f"The log has no sales up to {as_date(as_of)}.")
    first = sold.groupby(customer)[date].transform("min")
    first_lines = sold[sold[date] == first]
    used = first_lines if known_at == "first_order" else sold
    groups = first_lines.groupby(customer)
    table = _first_day(pd.Series(groups.size().index), groups[date].first(), groups[amount].sum())
    table["lines of the first order"] = groups.size().to_numpy(np.float64)
    if known_at == "as_of":
        days = sold.groupby(customer)[date].nunique().to_numpy(np.float64)
        table["purchases"] = days
        table["amount per purchase"] = sold.groupby(customer)[amount].sum().to_numpy(np.float64) / days
    for name in columns:
        table[name] = _column(used, customer, amount, name).reindex(table["customer_id"]).to_numpy()
        if not pd.api.types.is_numeric_dtype(used[name]):
            table[name] = _words(table[name])
    return table


def bought_after(log: Transactions, as_of: Any, days: int) -> pd.DataFrame:
    """customer_id, first_date, contribution in the `days` after the first purchase day, once these are over."""
    periods = log.contribution_by_age(as_of, days)
    over = periods["first_date"] + pd.Timedelta(days=days) <= pd.Timestamp(as_date(as_of))
    customers = periods.loc[over & (periods["period"] == 0), ["customer_id", "first_date"]]
    after = periods.loc[periods["period"] == 1, ["customer_id", "contribution"]]
    return customers.merge(after, on="customer_id", how="left").fillna({"contribution": 0.0})


def known_before(summary: pd.DataFrame) -> Beginning | None:
    """Of whom the log begins after their first order: the day of it is that of the log then, not theirs."""
    if summary.empty:
        return None
    first = (summary["first_date"] - pd.Timestamp(EPOCH)).dt.days.to_numpy(np.float64)
    return beginning_of(first, float((first + summary["T"].to_numpy(np.float64)).max()))


def _check_known_at(known_at: str) -> None:
    check_choice("known_at", known_at, ("first_order", "as_of"))


def _first_day(ids: pd.Series, first: pd.Series, amount: pd.Series) -> pd.DataFrame:
    """The attributes that a first purchase day gives."""
    dates = pd.DatetimeIndex(first.to_numpy())
    return pd.DataFrame(
        {
            "customer_id": ids.to_numpy(),
            "first order amount": amount.to_numpy(np.float64),
            DAY_OF_FIRST_ORDER[0]: np.array(_WEEKDAYS)[dates.day_of_week],
            DAY_OF_FIRST_ORDER[1]: np.array(_MONTHS)[dates.month - 1],
        }
    )


def _column(used: pd.DataFrame, customer: str, amount: str, name: str) -> pd.Series:
    """One attribute by customer: the mean of numbers, or the word with most money."""
    if pd.api.types.is_numeric_dtype(used[name]):
        return used.groupby(customer)[name].mean().astype(np.float64)
    money = used.assign(**{name: used[name].astype("string").fillna(MISSING)}).groupby([customer, name])[amount].sum()
    top = money.reset_index().sort_values([customer, amount, name], ascending=[True, False, True])
    return top.drop_duplicates(customer).set_index(customer)[name]


def _words(values: pd.Series) -> pd.Series:
    """Words as text, the rare ones as 'other'."""
    words = values.astype("string").fillna(MISSING)
    common = words.value_counts().index[:MAX_WORDS]
    return words.where(words.isin(common), "other").astype(object)
