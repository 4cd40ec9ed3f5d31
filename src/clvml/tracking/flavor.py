"""What MLflow loads a registered model with: `mlflow models serve`, `mlflow.pyfunc.load_model` and `spark_udf`.

The artifact is data only and names this module, the code of the installed package. It does not import MLflow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from clvml.errors import OptionError, did_you_mean
from clvml.horizon import as_date
from clvml.scores.model import ClvModel
from clvml.tables import SUMMARY

__all__ = ["PARAMS", "Scorer"]

PARAMS = ("horizon", "as_of")
"""What a request may say beside its rows: days ahead, and the last day that the rows know."""

_COUNTS = tuple(c.name for c in SUMMARY if c.dtype == "int64")


class Scorer:
    """Rows of `ClvModel.frame` in, rows of Scores out, in the same order."""

    def __init__(self, model: ClvModel) -> None:
        self.model = model

    def predict(self, rows: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Scores; numbers may come as any numeric type.

        params: horizon in days (default: the model's own), as_of (default: the last day the model was trained on).
        Raises OptionError for other parameters. MLflow itself drops those that the signature does not name before they
        come here, with a line in its log.
        """
        params = params or {}
        for name in params:
            if name not in PARAMS:
                raise OptionError(
                    f"'{name}' is no parameter.{did_you_mean(name, PARAMS)} There are: {', '.join(PARAMS)}."
                )
        frame = _numbers(rows)
        frame.attrs["as_of"] = as_date(params.get("as_of") or self.model.as_of_).isoformat()
        return self.model.predict(frame, params.get("horizon"))


def _numbers(rows: pd.DataFrame) -> pd.DataFrame:
    """A copy with whole counts as int64 and all else that is numeric as float64; JSON's null as NaN."""
    frame = pd.DataFrame(rows).copy()
    for name in frame.columns.difference(["customer_id"]):
        values = pd.to_numeric(frame[name]) if frame[name].dtype == object else frame[name]
        if pd.api.types.is_numeric_dtype(values.dtype):
            numbers = values.to_numpy(dtype=float, na_value=np.nan)
            whole = name in _COUNTS and bool(np.all(np.isfinite(numbers)) and np.all(numbers % 1 == 0))
            frame[name] = numbers.astype(np.int64) if whole else numbers
    return frame


def _load_pyfunc(path: str) -> Scorer:
    """MLflow's entry point: the folder of a saved model."""
    return Scorer(ClvModel.load(path))
