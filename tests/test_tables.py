"""The gate of the summary: what it lets through and what it says of the rest."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clvml.errors import DataError
from clvml.tables import SCORES, SUMMARY, check_summary

BTYD = ("frequency", "recency", "T")


def summary(**columns):
    return pd.DataFrame(
        {
            "customer_id": [7, 8, 9],
            "frequency": [0, 2, 1],
            "recency": [0, 5, 3],
            "T": [9, 9, 3],
            "monetary_value": [0, 2.5, 4],
        }
        | columns
    )


@pytest.mark.parametrize("as_type", ["int64", "float64", "Int64", "int64[pyarrow]"])
def test_a_good_summary_passes_unchanged(as_type):
    frame = summary().astype(dict.fromkeys(BTYD, as_type))
    assert check_summary(frame, BTYD) is frame


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"recency": [0, 10, 3]},
            r"wrong in 1 of 3 rows: recency is greater than T.*First: row 1 \(customer_id=8, recency=10, T=9\)",
        ),
        (
            {"recency": [9, 4, 0]},
            r"wrong in 1 of 3 rows: recency is not 0 though there is no repeat purchase.*T - days_since_last.*row 0",
        ),
        ({"recency": [0, 0, 0]}, r"wrong in 2 of 3 rows: recency is 0 though there are repeat purchases.*row 1"),
        ({"frequency": [0, -2, 1]}, r"frequency is negative\. First: row 1 \(customer_id=8, frequency=-2\)"),
        ({"frequency": [0, 1.5, 1]}, "no whole number"),
        ({"T": [9, np.nan, np.inf]}, "wrong in 2 of 3 rows: T is missing or infinite"),
        ({"T": pd.array([9, None, 3], dtype="Int64")}, "wrong in 1 of 3 rows: T is missing or infinite"),
        ({"T": ["9", "9", "3"]}, "'T' holds (str|object), not numbers"),
        (
            {"customer_id": [7, 8, 7]},
            r"stands in an earlier row already.*sample_weight.*First: row 2 \(customer_id=7\)",
        ),
    ],
)
def test_what_is_wrong_is_named(columns, message):
    with pytest.raises(DataError, match=message):
        check_summary(summary(**columns), BTYD)


def test_missing_columns():
    with pytest.raises(DataError, match=r"no column 'frequency'\. Did you mean 'Frequency'\? It has: Frequency"):
        check_summary(pd.DataFrame({"Frequency": [1]}), BTYD)
    with pytest.raises(DataError, match=r"no column 'frequency'\. It has: none\. Transactions.*makes one\.$"):
        check_summary(pd.DataFrame(), BTYD)
    with pytest.raises(
        DataError, match=r"one pandas DataFrame with the columns frequency, recency, T, not a builtins.dict"
    ):
        check_summary({}, BTYD)
    with pytest.raises(DataError, match=r"It has: c0, .*c19, and 80 more\. Transactions"):
        check_summary(pd.DataFrame(np.zeros((1, 100)), columns=[f"c{i}" for i in range(100)]), BTYD)


def test_only_what_is_needed_is_checked():
    check_summary(summary(recency=[5, 5, 99], monetary_value=[np.nan] * 3), ("frequency",))
    with pytest.raises(DataError, match="monetary_value is missing"):
        check_summary(summary(monetary_value=[np.nan] * 3), ("frequency", "monetary_value"))


def test_contracts_name_every_column_once():
    for table in (SUMMARY, SCORES):
        names = [column.name for column in table]
        assert len(names) == len(set(names))
        assert all(column.meaning and column.dtype for column in table)
    assert [c.name for c in SCORES][:7] == ["customer_id", *BTYD, "days_since_last", "monetary_value", "contribution"]
    assert SCORES[-1].name == "model"
    assert len(SCORES) == 35
