"""Rows of customers and whether each of them churned, as the learners take a log's past."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.errors import DataError, did_you_mean
from clvml.estimators.learned.expectation import expect_origins
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.horizon import day_number, day_of_number, horizon_days
from clvml.orders.origins import FEATURES, Snapshots

__all__ = ["COLUMNS", "labelled_snapshots", "one_customer_a_row"]

COLUMNS = (
    "frequency",
    "recency",
    "T",
    "monetary_value",
    "days_since_last",
    "gross",
    "returns_value",
    "amount",
    "first_amount",
    *FEATURES,
)
"""What the learners take from a frame."""


def labelled_snapshots(X: pd.DataFrame, y: Any, value: LifetimeValueModel, horizon: int | str) -> Snapshots:
    """The snapshots that rows and labels stand for. How much those who came back bought is what BTYD expects of it.

    X: rows of `Transactions.summarize(day, window)`, with a column `origin` (day number) where there are several days.
    y: 1 for who did not buy within the horizon, else 0. Raises DataError where they do not fit.
    """
    churned = _labels(y, len(X))
    rows = _with_origins(X)
    check_columns(rows)
    as_of = day_of_number(int(rows["origin"].max()))
    days = horizon_days(horizon, as_of)
    expected, _ = expect_origins(value, rows, days)
    purchases = (1.0 - churned) * expected.purchases / np.maximum(expected.p_return, 1e-300)
    labelled = rows.assign(purchases=purchases, spend=purchases * expected.ticket)
    now = rows[rows["origin"] == rows["origin"].max()].drop(columns="origin").reset_index(drop=True)
    now.attrs["as_of"] = as_of.isoformat()
    return Snapshots(labelled, now, labelled.iloc[:0], None, days, days, as_of, as_of)


def check_columns(frame: pd.DataFrame) -> None:
    """Raises DataError for a column that is missing."""
    for name in COLUMNS:
        if name not in frame.columns:
            known = [str(c) for c in frame.columns]
            raise DataError(
                f"The rows have no column '{name}'.{did_you_mean(name, known)} Make them with "
                "Transactions.summarize(as_of, window=days), whose window is the days that the labels look ahead."
            )


def one_customer_a_row(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of several days without the ids, of which each stands there several times."""
    return frame.drop(columns="customer_id", errors="ignore") if "origin" in frame.columns else frame


def _labels(y: Any, rows: int) -> NDArray[np.float64]:
    labels = np.asarray(y)
    if labels.shape != (rows,):
        raise DataError(f"y has shape {labels.shape}, X has {rows} rows. Give one label a row.")
    bad = ~np.isin(labels, (0, 1))
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"y is neither 0 nor 1 in {int(bad.sum()):,} of {rows:,} rows, first in row {row} ({labels[row]}). "
            "1 is a customer who did not buy within the horizon."
        )
    return labels.astype(np.float64)


def _with_origins(X: pd.DataFrame) -> pd.DataFrame:
    """X with `origin` and `customer_id`: where they are missing, one day and as many customers as rows."""
    if not isinstance(X, pd.DataFrame):
        raise DataError(f"X is a pandas DataFrame of one row a customer, not a {type(X).__name__}.")
    rows = X.reset_index(drop=True)
    if "customer_id" not in rows.columns:
        rows = rows.assign(customer_id=np.arange(len(rows)))
    if "origin" in rows.columns:
        return rows
    as_of = X.attrs.get("as_of")
    return rows.assign(origin=0 if as_of is None else day_number(as_of))
