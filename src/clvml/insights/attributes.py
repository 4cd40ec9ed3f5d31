"""What is known of a customer at the first order, or as of a day: what profiles and look-alikes compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from clvml.errors import DataError, OptionError, did_you_mean
from clvml.horizon import as_date, day_number
from clvml.orders.transactions import Transactions

__all__ = ["KnownAt", "attributes_of", "attributes_of_lines", "bought_after"]

KnownAt = Literal["first_order", "as_of"]
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_COMMON = 20
"""Words kept apart; the rarer ones count as 'other'."""


def attributes_of(log: Transactions, as_of: Any, *, known_at: KnownAt = "as_of") -> pd.DataFrame:
    """One row a customer by the log's own columns, customer_id first; see `attributes_of_lines` for more columns.

    first_order: amount, weekday and month of the first purchase day, and the channel. as_of: rhythm, spending, returns
    and covariates as well.
    """
    _check_known_at(known_at)
    summary = log.summarize(as_of)
    table = _first_day(summary["customer_id"], summary["first_date"], summary["first_amount"])
    if "channel" in summary:
        table["channel"] = _words(summary["channel"])
    if known_at == "first_order":
        return table
    gaps = summary["frequency"].to_numpy(np.float64)
    table["purchases"] = gaps + 1
    table["mean gap (days)"] = np.where(gaps > 0, summary["recency"] / np.maximum(gaps, 1), np.nan)
    table["days since last purchase"] = summary["days_since_last"].astype(np.float64)
    table["amount per purchase"] = summary["amount"] / (gaps + 1)
    table["returned share"] = summary["returns_value"] / summary["gross"].where(summary["gross"] > 0)
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
    """One row a customer from the order lines themselves, with any of their columns.

    columns: further columns of the lines (category, discount, country …); numbers become a customer's mean, words the
    one with most money. first_order keeps only the lines of a customer's first day, so that nothing enters that
    was not known then. Raises DataError for a missing column or a log without sales by `as_of`.
    """
    _check_known_at(known_at)
    for name in (customer, date, amount, *columns):
        if name not in lines:
            raise DataError(f"The log has no column '{name}'.{did_you_mean(name, map(str, lines))}")
    day = pd.to_datetime(lines[date]).dt.normalize()
    seen = lines[customer].notna() & (day <= pd.Timestamp(as_date(as_of))) & (lines[amount] > 0)
    sold = lines[seen].assign(**{date: day[seen]})
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
    end, known = as_date(as_of), log.purchase_days(as_of)
    inside = f"d.day > f.first_day AND d.day <= f.first_day + {int(days)}"
    frame = log.frame(
        "SELECT d.customer_id AS customer_id, f.first_day AS first_day, "
        f"CAST(SUM(CASE WHEN {inside} THEN d.contribution ELSE 0 END) AS DOUBLE) AS contribution FROM ({known}) AS d "
        f"JOIN (SELECT customer_id, MIN(day) AS first_day FROM ({known}) AS e WHERE purchase = 1 GROUP BY customer_id) "
        f"AS f ON d.customer_id = f.customer_id WHERE f.first_day + {int(days)} <= {day_number(end)} "
        "GROUP BY d.customer_id, f.first_day ORDER BY d.customer_id"
    )
    origin = np.datetime64("1970-01-05", "s")
    first = frame.pop("first_day").to_numpy().astype("timedelta64[D]")
    frame.insert(1, "first_date", origin + first)
    return frame


def _check_known_at(known_at: str) -> None:
    if known_at not in ("first_order", "as_of"):
        raise OptionError(f"known_at='{known_at}' is neither 'first_order' nor 'as_of'.")


def _first_day(ids: pd.Series, first: pd.Series, amount: pd.Series) -> pd.DataFrame:
    dates = pd.DatetimeIndex(first.to_numpy())
    return pd.DataFrame(
        {
            "customer_id": ids.to_numpy(),
            "first order amount": amount.to_numpy(np.float64),
            "weekday of the first order": np.array(_WEEKDAYS)[dates.day_of_week],
            "month of the first order": np.array(_MONTHS)[dates.month - 1],
        }
    )


def _column(used: pd.DataFrame, customer: str, amount: str, name: str) -> pd.Series:
    if pd.api.types.is_numeric_dtype(used[name]):
        return used.groupby(customer)[name].mean().astype(np.float64)
    money = (
        used.assign(**{name: used[name].astype("string").fillna("(missing)")}).groupby([customer, name])[amount].sum()
    )
    top = money.reset_index().sort_values([customer, amount, name], ascending=[True, False, True])
    return top.drop_duplicates(customer).set_index(customer)[name]


def _words(values: pd.Series) -> pd.Series:
    """Words as text, the rare ones as 'other'."""
    words = values.astype("string").fillna("(missing)")
    common = words.value_counts().index[:_COMMON]
    return words.where(words.isin(common), "other").astype(object)
