"""The column contracts of the tables that are handed over, and the one gate that checks them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.errors import DataError, did_you_mean, listed
from clvml.redaction import shown_id

__all__ = [
    "SCORES",
    "SUMMARY",
    "Column",
    "canonical_ids",
    "check_frame",
    "check_summary",
    "comparable_ids",
    "finite_column",
]


Numbers = NDArray[np.float64] | NDArray[np.int64]

_BYTE_ORDER_MARK = "\ufeff"
"""Stands before the first id of a text file that a Windows program wrote."""
_WHOLE_WITH_DECIMALS = re.compile(r"(?:0|-?[1-9][0-9]*)\.0+")
"""A whole number as a spreadsheet or a column with gaps writes it."""


class Column(NamedTuple):
    """One column of a table: name, pandas dtype, meaning, and unit ('' where it has none)."""

    name: str
    dtype: str
    meaning: str
    unit: str = ""


SUMMARY = (
    Column("customer_id", "int64 or str", "the customer; whole numbers where all ids of the log are"),
    Column("first_date", "datetime64", "day of the first purchase"),
    Column("last_date", "datetime64", "day of the last purchase"),
    Column("frequency", "int64", "repeat purchases", "purchases"),
    Column("recency", "int64", "age at the last purchase: from the first purchase to the last", "days"),
    Column("T", "int64", "age: from the first purchase to as_of", "days"),
    Column("days_since_last", "int64", "from the last purchase to as_of", "days"),
    Column("monetary_value", "float64", "mean net amount per repeat purchase, 0 where there is none", "money"),
    Column("first_amount", "float64", "net amount of the first purchase day", "money"),
    Column("amount", "float64", "net amount in all, up to as_of", "money"),
    Column("gross", "float64", "amount before refunds", "money"),
    Column("returns_value", "float64", "amount refunded, at least 0", "money"),
    Column("n_returns", "int64", "days with refunds", "days"),
    Column(
        "contribution", "float64", "net amount times margin (or less cost), less service cost; may be negative", "money"
    ),
    Column("log_gaps", "float64", "sum of the natural logarithms of the gaps between purchases", "log days"),
)
"""One row a customer, sorted by customer_id; then channel and the covariates. `attrs`: as_of, data_report."""

SCORES = (
    *(
        c
        for c in SUMMARY
        if c.name in ("customer_id", "frequency", "recency", "T", "days_since_last", "monetary_value", "contribution")
    ),
    Column(
        "p_alive", "float64", "probability that the customer has not dropped out for good, by the model", "probability"
    ),
    Column("p_return", "float64", "probability of at least one purchase within the horizon", "probability"),
    Column(
        "churn_probability",
        "float64",
        "probability of no purchase within the horizon: the same days for everybody",
        "probability",
    ),
    Column(
        "p_leaving",
        "float64",
        "probability of no purchase within leaving_days, so that slow and fast buyers are asked the same; learned from "
        "the log's own past",
        "probability",
    ),
    Column(
        "leaving_days",
        "int64",
        "three of the customer's own mean gaps, at most a year or, where that is longer, a third of the log; of a "
        "one-time buyer, the days by which 90% of second purchases come; by the season where the log knows it, so that "
        "they are more days out of season",
        "days",
    ),
    Column(
        "break_even",
        "float64",
        "probability of losing the customer from which treating pays, by the model's contact_cost, incentive, "
        "save_rate and redemption; 1 where it never does",
        "probability",
    ),
    Column(
        "decline",
        "float64",
        "share by which recent spend fell below the own level of a customer on rhythm; 0 where that may be chance",
    ),
    Column("expected_purchases", "float64", "expected purchases within the horizon", "purchases"),
    Column("expected_spend", "float64", "expected amount over the horizon, not discounted", "money"),
    Column("clv", "float64", "expected discounted contribution over the horizon", "money"),
    Column("clv_low", "float64", "5% point of its predictive distribution", "money"),
    Column("clv_high", "float64", "95% point of its predictive distribution", "money"),
    Column("purchases_low", "float64", "5% point of purchases within the horizon", "purchases"),
    Column("purchases_high", "float64", "95% point of purchases within the horizon", "purchases"),
    Column(
        "next_purchase_due",
        "datetime64",
        "last day before the customer is late: 75% of their own gaps would have ended by then; of a one-time buyer, "
        "the day by which 75% of second purchases come; by the season where the log knows it",
    ),
    Column(
        "value_if_kept",
        "float64",
        "expected discounted contribution if the customer buys in the horizon, less that if silent",
        "money",
    ),
    Column(
        "value_at_risk",
        "float64",
        "value_if_kept times the share that may be lost: churn_probability, and of the rest a third of a decline",
        "money",
    ),
    Column("tier", "str", "good, middle or bad, by contribution and the value if kept before they fell silent"),
    Column(
        "state",
        "str",
        "on rhythm, late, at risk or lapsed, by the customer's own rhythm, and by the season where the log knows it; "
        "bought once: early, overdue or lapsed",
    ),
    Column(
        "at_risk",
        "bool",
        "late, at risk or in decline, and treating pays: the lesser of p_leaving and churn_probability, or with it a "
        "third of the decline, is at least break_even",
    ),
    Column("flagged", "bool", "tier good and at_risk: the list to act on"),
    Column("win_back", "bool", "tier good and lapsed: too late to keep, a list of its own"),
    Column("reason", "str", "one sentence why"),
    Column("as_of", "str", "the last day that was known, YYYY-MM-DD"),
    Column("horizon_days", "int64", "how far ahead", "days"),
    Column(
        "purchases_level_sd",
        "float64",
        "how far the level of all customers together can be off, the same in each row: standard deviation of the "
        "logarithm of total purchases",
    ),
    Column("spend_level_sd", "float64", "the same of total spend and CLV"),
    Column("model", "str", "name and version of the model"),
)
"""One row a customer: what `predict` writes."""


class _Rule(NamedTuple):
    """What must hold for the columns named; breaks(values by column) marks the rows where it does not."""

    columns: tuple[str, ...]
    breaks: Callable[[Mapping[str, Numbers]], NDArray[np.bool_]]
    says: str


_COUNTS = ("frequency", "recency", "T", "days_since_last", "n_returns", "returns_value")
_RECENCY = "recency is the age at the last purchase (days from the first purchase to the last)"
_SINCE = f"{_RECENCY}, not the days since it: pass T - days_since_last"

_RULES = (
    _Rule(
        ("frequency",),
        lambda f: f["frequency"] != np.trunc(f["frequency"]),
        "frequency is no whole number of repeat purchases",
    ),
    _Rule(
        ("recency", "T"),
        lambda f: f["recency"] > f["T"],
        f"recency is greater than T, so the two may be swapped. {_RECENCY}, T the age at as_of",
    ),
    _Rule(
        ("frequency", "recency"),
        lambda f: (f["frequency"] == 0) & (f["recency"] != 0),
        f"recency is not 0 though there is no repeat purchase. {_SINCE}",
    ),
    _Rule(
        ("frequency", "recency"),
        lambda f: (f["frequency"] > 0) & (f["recency"] == 0),
        f"recency is 0 though there are repeat purchases. {_SINCE}",
    ),
)


def check_summary(frame: pd.DataFrame, needs: Iterable[str]) -> pd.DataFrame:
    """The frame itself, once the columns needed are there and make sense.

    Refused: a missing column, text, missing or infinite numbers, negative counts or times, recency that is greater
    than T or looks like days since the last purchase, a customer_id that stands twice.
    Raises DataError: what, in how many rows, the first of them.
    """
    needs = tuple(needs)
    check_frame(frame, needs)
    for name in needs:
        if name not in frame.columns:
            known = [str(c) for c in frame.columns]
            make = " Transactions(orders, …).summarize(as_of) makes one." if "frequency" not in known else ""
            raise DataError(
                f"The summary has no column '{name}'.{did_you_mean(name, known)} It has: {listed(known) or 'none'}."
                f"{make}"
            )
    numeric = [c.name for c in SUMMARY if c.name in needs and c.dtype in ("int64", "float64")]
    values = {name: _numbers(frame, name) for name in numeric}
    for rule in _RULES:
        if set(rule.columns) <= set(needs):
            _refuse(frame, rule.breaks(values), rule.says, rule.columns)
    if "customer_id" in frame.columns and not _ascending(frame["customer_id"]):
        _refuse(
            frame,
            frame["customer_id"].duplicated(),
            "the customer_id stands in an earlier row already. A summary has a row a customer; of customers drawn with "
            "replacement give each once, with sample_weight, or leave customer_id out",
            ("customer_id",),
        )
    return frame


def check_frame(frame: object, needs: Iterable[str] = ()) -> pd.DataFrame:
    """The summary itself. Raises DataError, with what to do, where it is no frame of pandas: arrays one by one, as
    other packages take them, or another library's frame.
    """
    if isinstance(frame, pd.DataFrame):
        return frame
    kind = f"{type(frame).__module__.partition('.')[0]}.{type(frame).__name__}"
    way = (
        "Its to_pandas() makes one." if hasattr(frame, "to_pandas")
        else "Of arrays, pd.DataFrame({'frequency': x, 'recency': t_x, 'T': T}) makes one."
    )  # fmt: skip
    columns = ", ".join(tuple(needs) or ("frequency", "recency", "T"))
    raise DataError(f"A summary is one pandas DataFrame with the columns {columns}, not a {kind}. {way}")


def _ascending(ids: pd.Series) -> bool:
    """Whether each is greater than the one before: seen in one pass, where a search for equal ones takes twenty."""
    index = pd.Index(ids)
    return bool(index.is_monotonic_increasing and index.is_unique)


def _numbers(frame: pd.DataFrame, name: str) -> Numbers:
    """A column as finite numbers, not negative where it counts something; whole ones as they are, without a copy."""
    column = frame[name]
    if not pd.api.types.is_numeric_dtype(column.dtype):
        raise DataError(f"The summary's column '{name}' holds {column.dtype}, not numbers.")
    values: Numbers = column.to_numpy()
    if values.dtype != np.int64:
        values = column.to_numpy(dtype=float, na_value=np.nan)
        _refuse(frame, ~np.isfinite(values), f"{name} is missing or infinite", (name,))
    if name in _COUNTS and values.size and values.min() < 0:
        _refuse(frame, values < 0, f"{name} is negative", (name,))
    return values


def _refuse(frame: pd.DataFrame, broken: pd.Series | NDArray[np.bool_], says: str, columns: tuple[str, ...]) -> None:
    marks = np.asarray(broken, dtype=bool)
    if not marks.any():
        return
    row = int(marks.argmax())
    shown = [c for c in ("customer_id", *columns) if c in frame.columns]
    values = {c: frame[c].iloc[row] for c in shown}
    if "customer_id" in values:
        values["customer_id"] = shown_id(values["customer_id"])
    first = ", ".join(f"{c}={value}" for c, value in values.items())
    raise DataError(
        f"The summary is wrong in {int(marks.sum()):,} of {len(frame):,} rows: {says}. First: row {row} ({first})."
    )


def finite_column(
    table: pd.DataFrame, name: str, what: str, low: float = -np.inf, high: float = np.inf
) -> NDArray[np.float64]:
    """A column of numbers within a range, none missing or infinite; what: the table in words, such as 'scores'.

    Raises DataError: in how many rows there is no such number, and the first of them.
    """
    values = pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    bad = ~(np.isfinite(values) & (values >= low) & (values <= high))
    if bad.any():
        kind = "a finite number" if low == -np.inf else f"a number from {low:g} to {high:g}"
        raise DataError(
            f"The column '{name}' of the {what} does not hold {kind} in {bad.sum():,} of {len(bad):,} rows, first in "
            f"row {int(bad.argmax()) + 1}."
        )
    return values


def canonical_ids(ids: Iterable[object]) -> list[str]:
    """Ids as text that is the same for 17, 17.0, '17', '17.0', ' 17 ', and '17' behind a byte-order mark.

    A leading zero is part of an id: '007' is another than '7'.
    """
    if isinstance(ids, pd.Series) and ids.dtype.kind in "iu":
        return [*map(str, ids.tolist())]
    return [_canonical_id(i) for i in ids]


def comparable_ids(*columns: pd.Series) -> list[Any]:
    """Columns of ids that can be compared: as they are where all are whole numbers, else `canonical_ids` of each."""
    if all(column.dtype.kind in "iu" for column in columns):
        return [column.to_numpy() for column in columns]
    return [canonical_ids(column) for column in columns]


def _canonical_id(i: object) -> str:
    if isinstance(i, (float, np.floating)) and float(i).is_integer():
        return str(int(i))
    text = str(i).strip().lstrip(_BYTE_ORDER_MARK).strip()
    return text.partition(".")[0] if _WHOLE_WITH_DECIMALS.fullmatch(text) else text
