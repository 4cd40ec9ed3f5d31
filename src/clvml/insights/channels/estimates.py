"""The mean value of a channel's customers: its error, drawn towards that of all, and with the same mix of customers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.estimators.encoding import Encoding
from clvml.maths.comparison import two_sided
from clvml.scores.totals import variance_within

__all__ = ["mean_value", "pooled_errors", "same_mix", "shrink"]

Array = npt.NDArray[np.float64]


def mean_value(table: pd.DataFrame, value: Array, name: str, level_sd: float) -> tuple[float, float, float]:
    """Mean value of a channel's customers, its standard error (between customers and within them), and that of the
    level, which all channels share.
    """
    own = (table["channel"] == name).to_numpy(np.bool_)
    within = variance_within(table["clv_low"], table["clv_high"])[own]
    between = float(value[own].var(ddof=1)) if own.sum() > 1 else float("nan")
    common = level_sd * float(table["clv"].to_numpy(np.float64)[own].mean())
    return float(value[own].mean()), float(np.sqrt((between + within.mean()) / own.sum())), common


def shrink(means: Array, errors: Array) -> Array:
    """Empirical Bayes towards the precision-weighted mean, between-variance by DerSimonian & Laird 1986."""
    known = np.isfinite(errors) & (errors > 0)
    if known.sum() < 2:
        return means
    w = 1 / errors[known] ** 2
    centre = float(w @ means[known] / w.sum())
    spread = float(w @ (means[known] - centre) ** 2) - (known.sum() - 1)
    between = max(0.0, spread / float(w.sum() - (w**2).sum() / w.sum()))
    weight = np.where(known, between / (between + np.where(known, errors, 1.0) ** 2), 0.0)
    return centre + weight * (means - centre)


def pooled_errors(errors: Array, customers: npt.NDArray[np.intp]) -> Array:
    """Standard errors of the means by the variance that all channels have in common.

    Money is skewed: a channel of which a few good customers are missed looks poor and exact at once, and would draw all
    others down.
    """
    known = np.isfinite(errors)
    if not known.any():
        return errors
    variance = float((errors[known] ** 2 * customers[known] ** 2).sum() / customers[known].sum())
    return np.sqrt(variance / customers)


def same_mix(
    table: pd.DataFrame, facts: pd.DataFrame, value: Array, names: list[str]
) -> list[tuple[float, float, float]]:
    """(mean, 90% low, high) of every channel with the mix of the whole base: least squares, robust errors (HC0).

    Customers of the same channel and facts share a row of the regression: sums over them are all that it needs.
    """
    cell, first = _cells([table["channel"], *(facts[name] for name in facts)])
    n = np.bincount(cell).astype(np.float64)
    mean = np.bincount(cell, weights=value) / n
    within = np.bincount(cell, weights=(value - mean[cell]) ** 2)
    alike = facts.iloc[first]
    M = Encoding.of(facts).matrix(alike)
    channel = pd.Index(names).get_indexer(pd.Index(table["channel"].iloc[first]))
    D = (channel[:, None] == np.arange(len(names))).astype(np.float64)
    X = np.hstack([D, M - n @ M / n.sum()])
    bread = np.linalg.pinv(X.T @ (X * n[:, None]))
    beta = bread @ (X.T @ (n * mean))
    squares = within + n * (mean - X @ beta) ** 2  # of the residuals of a cell
    errors = np.sqrt(np.diag(bread @ (X.T @ (X * squares[:, None])) @ bread))[: len(names)]
    z = two_sided(0.9)
    return [(float(b), float(b - z * se), float(b + z * se)) for b, se in zip(beta[: len(names)], errors, strict=True)]


def _cells(columns: Sequence[pd.Series]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The number of each row's combination of values, and the first row of each combination."""
    cell = np.zeros(len(columns[0]), dtype=np.intp)
    for column in columns:
        codes, found = pd.factorize(column)
        cell = pd.factorize(cell * (len(found) + 1) + codes + 1)[0]
    first = np.empty(int(cell.max()) + 1, dtype=np.intp)
    first[cell[::-1]] = np.arange(len(cell))[::-1]
    return cell, first
