"""Calibration and gain by the predicted order: what was predicted and what came, on average and added up."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.maths.metrics import NORMAL_95

__all__ = ["captured", "decile_table"]

Floats = NDArray[np.float64]


def decile_table(actual: Mapping[str, Floats], predicted: Mapping[str, Floats | None]) -> pd.DataFrame:
    """One row a target and tenth: target, decile (1 is the lowest prediction), predicted, actual (means), and the 95%
    interval of the actual mean, low and high.

    Targets that were not predicted (None) are left out.
    """
    rows = []
    for target, p in predicted.items():
        if p is not None:
            y = actual[target]
            groups = [g for g in np.array_split(np.argsort(p, kind="stable"), 10) if len(g)]
            rows += [
                (target, k + 1, float(p[g].mean()), float(y[g].mean()), *_interval(y[g], share=target == "return"))
                for k, g in enumerate(groups)
            ]
    return pd.DataFrame(rows, columns=["target", "decile", "predicted", "actual", "low", "high"])


def _interval(y: Floats, *, share: bool) -> tuple[float, float]:
    """95% interval of a mean: of a share Wilson's, which never leaves 0 to 1; otherwise by the standard error."""
    n, mean, z = len(y), float(y.mean()), NORMAL_95
    if share:
        centre, within = (mean + z * z / (2 * n)) / (1 + z * z / n), mean * (1 - mean) / n + z * z / (4 * n * n)
        reach = z * float(np.sqrt(within)) / (1 + z * z / n)
        return max(centre - reach, 0.0), min(centre + reach, 1.0)
    reach = z * float(y.std(ddof=1)) / float(np.sqrt(n)) if n > 1 else float("nan")
    return mean - reach, mean + reach


def captured(actual: Floats, predicted: Floats, shares: Floats) -> Floats:
    """Share of all that came which the best so many customers by the prediction brought; ties by expectation."""
    order = np.argsort(-predicted, kind="stable")
    p, total = predicted[order], np.concatenate([[0.0], np.cumsum(actual[order])])
    last = np.flatnonzero(np.diff(p) != 0) + 1  # customers with equal predictions share what they bring
    at = np.concatenate([[0], last, [len(p)]])
    return np.interp(shares * len(p), at, total[at]) / total[-1] if total[-1] > 0 else np.full(shares.shape, np.nan)
