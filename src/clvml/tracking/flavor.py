"""What MLflow loads a registered model with: `mlflow models serve`, `mlflow.pyfunc.load_model` and `spark_udf`.

The artifact is data only and names this module, the code of the installed package. It does not import MLflow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from clvml.errors import DataError, OptionError, did_you_mean
from clvml.horizon import as_date
from clvml.orders.origins import FEATURES
from clvml.orders.transactions import Transactions
from clvml.scores.model import ClvModel
from clvml.tables import SUMMARY

__all__ = ["ORDERS", "PARAMS", "Scorer"]

PARAMS = ("horizon", "as_of")
"""What a request may say beside its rows: days ahead, and the last day that the rows know."""
ORDERS = ("customer_id", "date", "amount")
"""The columns of rows that are orders."""

_COUNTS = tuple(c.name for c in SUMMARY if c.dtype == "int64")


class Scorer:
    """Rows in, rows of Scores out. The rows may be of three kinds, known by their columns:

    - rows of `ClvModel.frame`: their scores, in the same order;
    - rows of `frequency`, `recency`, `T` (days) and `monetary_value` alone: the scores of BTYD without corrections,
      which take more to know, and `model` says so;
    - orders, of `customer_id`, `date` and `amount`: the scores of these customers, sorted by customer_id.
    """

    def __init__(self, model: ClvModel) -> None:
        self.model = model

    def predict(self, rows: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Scores; numbers may come as any numeric type.

        params: horizon in days (default: the model's own), as_of (default: the last day the model was trained on).
        Raises OptionError for other parameters, DataError for rows of no kind. MLflow itself drops parameters that the
        signature does not name before they come here, with a line in its log.
        """
        params = params or {}
        for name in params:
            if name not in PARAMS:
                raise OptionError(
                    f"'{name}' is no parameter.{did_you_mean(name, PARAMS)} There are: {', '.join(PARAMS)}."
                )
        as_of = as_date(params.get("as_of") or self.model.as_of_).isoformat()
        rows = pd.DataFrame(rows)
        model, frame = self._understood(rows, as_of)
        scores = model.predict(frame, params.get("horizon"))
        if "date" in rows.columns and not pd.api.types.is_numeric_dtype(rows["customer_id"]):
            scores["customer_id"] = scores["customer_id"].astype(str)  # a log reads "17" as 17
        return scores

    def _understood(self, rows: pd.DataFrame, as_of: str) -> tuple[ClvModel, pd.DataFrame]:
        """Which model predicts which frame."""
        if "date" in rows.columns:
            return self.model, self.model.frame(_log(rows, as_of), as_of)
        frame, needs = _numbers(rows), self.model.needs()
        frame.attrs["as_of"] = as_of
        missing = [name for name in needs if name not in frame.columns]
        if not missing or set(missing) & set(needs[:4]):  # the latter are refused by name
            return self.model, frame
        if not set(FEATURES) & set(frame.columns):
            return self.model.without_corrections(), frame
        raise DataError(
            f"The rows lack {', '.join(missing)}. Send all columns of ClvModel.frame; or frequency, recency, T and "
            "monetary_value alone; or orders: customer_id, date and amount."
        )


def _log(rows: pd.DataFrame, as_of: str) -> Transactions:
    """The orders as a log, none of which is later than as_of."""
    missing = [name for name in ORDERS if name not in rows.columns]
    if missing:
        raise DataError(f"Rows with a date are orders, and these lack {', '.join(missing)}.")
    orders = rows[list(ORDERS)].assign(
        date=pd.to_datetime(rows["date"], errors="coerce", format="ISO8601"),
        amount=pd.to_numeric(rows["amount"], errors="coerce"),
    )
    bad = orders.isna().any(axis=1)
    if bad.any():
        row = int(bad.argmax())
        first = ", ".join(f"{name}={rows[name].iloc[row]!r}" for name in ORDERS)
        raise DataError(f"{int(bad.sum()):,} of {len(rows):,} orders are not readable, first row {row} ({first}).")
    last = orders["date"].max().date().isoformat()
    if last > as_of:
        raise OptionError(f"The orders go on until {last}, after as_of={as_of}. Say as_of in the request's params.")
    return Transactions(orders)


def _numbers(rows: pd.DataFrame) -> pd.DataFrame:
    """A copy with whole counts as int64 and all else that is numeric as float64; JSON's null as NaN."""
    frame = rows.copy()
    for name in frame.columns.difference(["customer_id"]):
        values = frame[name]
        if values.dtype == object:
            try:
                values = pd.to_numeric(values)
            except (TypeError, ValueError):
                raise DataError(f"The column '{name}' holds something that is no number.") from None
        if pd.api.types.is_numeric_dtype(values.dtype):
            numbers = values.to_numpy(dtype=float, na_value=np.nan)
            whole = name in _COUNTS and bool(np.all(np.isfinite(numbers)) and np.all(numbers % 1 == 0))
            frame[name] = numbers.astype(np.int64) if whole else numbers
    return frame


def _load_pyfunc(path: str) -> Scorer:
    """MLflow's entry point: the folder of a saved model."""
    return Scorer(ClvModel.load(path))
