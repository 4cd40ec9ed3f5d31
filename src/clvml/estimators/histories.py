"""Distinct histories of a summary: a million customers are a few hundred thousand of them, so everything is computed
once each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clvml.errors import DataError
from clvml.maths.sample import Floats
from clvml.tables import check_frame, check_summary

__all__ = ["NEW", "Customers", "Histories", "counts_of", "histories_of", "summary_frame"]

Customers = pd.DataFrame | pd.Series | Mapping[str, Any]
"""A summary, or a single customer."""


class Histories(NamedTuple):
    """The distinct (frequency, recency, T), in ascending order, so that the order of the summary does not matter."""

    x: Floats  # repeat purchases
    t_x: Floats  # age at the last purchase, days
    T: Floats  # age at as_of, days
    weight: Floats  # customers with this history
    place: NDArray[np.intp]  # for each row of the summary, which history it has
    covariates: Floats | None = (
        None  # one row a history: what else is known of the customers, where a model asks for it
    )


NEW = Histories(np.zeros(1), np.zeros(1), np.zeros(1), np.ones(1), np.zeros(1, dtype=np.intp))
"""The history of customers who have just made their first purchase."""


def summary_frame(customers: Customers) -> pd.DataFrame:
    """A summary as a frame; of a single customer, one row, whose key `as_of` (if any) is that of the summary.

    Raises DataError for what is neither.
    """
    if not isinstance(customers, Mapping) and not (isinstance(customers, pd.Series) and "frequency" in customers.index):
        return check_frame(customers)  # a Series may be a row; a column is none
    fields = dict(customers)
    as_of = fields.pop("as_of", None)
    frame = pd.DataFrame([fields])
    if as_of is not None:
        frame.attrs["as_of"] = as_of
    return frame


def histories_of(
    summary: pd.DataFrame, sample_weight: ArrayLike | None = None, covariates: Floats | None = None
) -> Histories:
    """The distinct histories of a summary, or histories and covariates (one row a customer).

    Raises DataError where the summary breaks its contract or has no rows.
    """
    check_summary(summary, ("frequency", "recency", "T"))
    if sample_weight is not None or summary.empty:
        sample_weight = counts_of(len(summary), sample_weight)
    columns = [summary[name].to_numpy() for name in ("frequency", "recency", "T")]
    if covariates is not None:
        columns.append(_kinds(covariates))
    (x, t_x, T, *_), place = _distinct(columns)
    distinct = None
    if covariates is not None:
        first = np.empty(x.size, dtype=np.intp)
        first[place[::-1]] = np.arange(len(summary) - 1, -1, -1)
        distinct = covariates[first]
    weight = np.bincount(place, weights=sample_weight, minlength=x.size).astype(np.float64)
    return Histories(x, t_x, T, weight, place, distinct)


def _kinds(covariates: Floats) -> NDArray[np.intp]:
    """Which of the distinct rows of covariates, in ascending order, each customer has."""
    columns = pd.DataFrame(covariates)
    return np.asarray(columns.groupby(list(columns.columns), sort=True).ngroup(), dtype=np.intp)


def counts_of(rows: int, sample_weight: ArrayLike | None) -> Floats:
    """How many customers each row stands for: one, unless given. Raises DataError for a weight that is no count."""
    if rows == 0:
        raise DataError("The summary has no rows, so there is nothing to learn or predict. Check the log and as_of.")
    weight = np.ones(rows) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (rows,):
        raise DataError(f"sample_weight has shape {weight.shape}, the summary has {rows} rows. Give one weight a row.")
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if not weight.any():
        raise DataError(f"All {rows} sample weights are zero. A weight is how many customers a row stands for.")
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"sample_weight is negative, missing or infinite in {int(bad.sum())} of {rows} rows, "
            f"first in row {row} ({weight[row]}). It is how many customers a row stands for."
        )
    return weight


def _distinct(columns: list[NDArray[Any]]) -> tuple[list[Floats], NDArray[np.intp]]:
    """The distinct rows in ascending order, by columns, and the rank of each row among them."""
    base = [float(c.max()) + 1.0 for c in columns]
    if float(np.prod(base)) < 2.0**53 and all(c.dtype.kind == "i" or (c == np.floor(c)).all() for c in columns):
        # Whole numbers make one key, which is ten times as fast as comparing rows. In place: memory that is touched for
        # the first time takes longer than the arithmetic.
        key = columns[0].astype(np.int64)
        for column, size in zip(columns[1:], base[1:], strict=True):
            key *= int(size)
            key += column.astype(np.int64, copy=False)
        keys, place = np.unique(key, return_inverse=True)
        return _taken_apart(keys, [int(b) for b in base]), place
    table = pd.DataFrame({i: c.astype(np.float64) for i, c in enumerate(columns)})
    groups = table.groupby(list(table.columns), sort=True)
    rows = groups.size().index.to_frame().to_numpy(dtype=np.float64)
    return list(rows.T.copy()), np.asarray(groups.ngroup(), dtype=np.intp)


def _taken_apart(keys: NDArray[np.int64], base: list[int]) -> list[Floats]:
    """The columns that the keys were made of."""
    columns = []
    for size in base[:0:-1]:
        keys, column = np.divmod(keys, size)
        columns.append(column.astype(np.float64))
    return [keys.astype(np.float64), *columns[::-1]]
