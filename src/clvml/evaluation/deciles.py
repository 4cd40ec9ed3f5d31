"""Calibration by tenth of the predicted order: what was predicted and what came, on average."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["decile_table"]

Floats = NDArray[np.float64]


def decile_table(actual: Mapping[str, Floats], predicted: Mapping[str, Floats | None]) -> pd.DataFrame:
    """One row a target and tenth: target, decile (1 is the lowest prediction), predicted, actual (means).

    Targets that were not predicted (None) are left out.
    """
    rows = []
    for target, p in predicted.items():
        if p is not None:
            y = actual[target]
            groups = [g for g in np.array_split(np.argsort(p, kind="stable"), 10) if len(g)]
            rows += [(target, k + 1, float(p[g].mean()), float(y[g].mean())) for k, g in enumerate(groups)]
    return pd.DataFrame(rows, columns=["target", "decile", "predicted", "actual"])
