"""Whether customers have shifted between two days: the population stability index, of all and of those of like age."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["MIN_JUDGED_CUSTOMERS", "drift_table", "stability_index"]

Floats = NDArray[np.float64]

MIN_JUDGED_CUSTOMERS = 30
"""Customers on each side below which a ranking, and customers in a bin below which an age, is not judged."""


def drift_table(then: pd.DataFrame, now: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """One row a column: column, psi, and same_age (the index among customers of like age; NaN where there are too few,
    and of T, which is the age).
    """
    rows = []
    for name in columns:
        a, b = then[name].to_numpy(np.float64), now[name].to_numpy(np.float64)
        ages = then["T"].to_numpy(np.float64), now["T"].to_numpy(np.float64)
        rows.append((name, stability_index(a, b), float("nan") if name == "T" else _at_same_age(a, b, *ages)))
    return pd.DataFrame(rows, columns=["column", "psi", "same_age"])


def _at_same_age(then: Floats, now: Floats, age_then: Floats, age_now: Floats) -> float:
    """The index with `now` weighted to the ages of `then`, over tenths of age that both have; NaN for under a half.

    A customer's purchases add up as they grow older: in a log without new customers their count shifts though nothing
    has changed.
    """
    edges = np.unique(np.quantile(age_then, np.linspace(0, 1, 11)))
    bins = len(edges) + 1
    i, j = np.searchsorted(edges, age_then, side="right"), np.searchsorted(edges, age_now, side="right")
    p, q = np.bincount(i, minlength=bins), np.bincount(j, minlength=bins)
    both = (p >= MIN_JUDGED_CUSTOMERS) & (q >= MIN_JUDGED_CUSTOMERS)
    if p[both].sum() < len(then) / 2:
        return float("nan")
    weight = np.divide(p, q, out=np.zeros(bins), where=both)
    return stability_index(then[both[i]], now[both[j]], weight[j][both[j]])


def stability_index(then: Floats, now: Floats, weight: Floats | None = None) -> float:
    """Population stability index sum (q - p) ln(q / p) over tenths of `then`; an empty tenth counts as half a row.

    weight: of the rows of `now`.
    """
    edges = np.unique(np.quantile(then, np.linspace(0, 1, 11)[1:-1]))
    bins = len(edges) + 1
    p = np.bincount(np.searchsorted(edges, then, side="right"), minlength=bins) / len(then)
    q = np.bincount(np.searchsorted(edges, now, side="right"), weights=weight, minlength=bins)
    q = q / q.sum()
    either = (p > 0) | (q > 0)
    p, q = np.maximum(p[either], 0.5 / len(then)), np.maximum(q[either], 0.5 / len(now))
    return float(((q - p) * np.log(q / p)).sum())
