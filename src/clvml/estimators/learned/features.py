"""The design matrix of the learners: one column a feature, free of the currency, on scales where straight lines make
sense.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.estimators.learned.expectation import Expectation, log_hazard

__all__ = ["FEATURE_WORDS", "Design"]

Floats = NDArray[np.float64]

FEATURE_WORDS = {
    "model_return": "chance of return by the BTYD model",
    "model_purchases": "purchases expected by the BTYD model",
    "model_ticket": "amount of a purchase expected by the BTYD model",
    "frequency": "number of repeat purchases",
    "one_time": "having bought only once",
    "since": "days since the last purchase",
    "since_squared": "days since the last purchase",
    "one_time_since": "days since the only purchase",
    "model_since": "days since the last purchase",
    "age": "time as a customer",
    "silent_share": "share of the time as a customer that has been silent",
    "overdue": "silence compared with the usual gap",
    "gap_mean": "usual gap between purchases",
    "gap_last": "last gap",
    "gap_max": "longest gap",
    "gap_spread": "irregular gaps",
    "purchases_quarter": "very recent purchases",
    "purchases_half": "recent purchases",
    "purchases_one": "purchases in the last window",
    "purchases_two": "purchases in the last two windows",
    "first_amount": "amount of the first purchase",
    "last_amount": "amount of the last purchase",
    "mean_amount": "usual amount of a purchase",
    "max_amount": "largest purchase",
    "spend_half": "recent spend",
    "spend_one": "spend in the last window",
    "amount": "spend in all",
    "refunds": "share of spend that was refunded",
}
"""Column of the matrix -> the feature in words."""
_LOGS = (
    "frequency",
    "gap_mean",
    "gap_last",
    "gap_max",
    "purchases_quarter",
    "purchases_half",
    "purchases_one",
    "purchases_two",
)
"""Columns of the frame of which the feature is the logarithm of one more."""
_MONEY = ("first_amount", "last_amount", "mean_amount", "max_amount", "spend_half", "spend_one", "amount")
"""Columns of the frame that are money."""


class Design(NamedTuple):
    """How a frame becomes a matrix: the currency's scale, and each feature's mean and spread where the learner was
    trained.
    """

    money: float
    mean: Floats
    spread: Floats

    @classmethod
    def learn(cls, frame: pd.DataFrame, expected: Expectation) -> Self:
        """From training rows. `money` is the median of the customers' mean purchase."""
        money = float(np.median(np.maximum(frame["mean_amount"].to_numpy(float), 0.0))) or 1.0
        raw = _features(frame, expected, money)
        spread = raw.std(axis=1)
        return cls(money, raw.mean(axis=1), np.where(spread > 1e-9, spread, 1.0))

    def matrix(self, frame: pd.DataFrame, expected: Expectation) -> Floats:
        """(n, features): standardised, and kept within four spreads so that no outlier carries a prediction away.

        In memory column after column, as those who read it do.
        """
        columns = _features(frame, expected, self.money)
        for column, mean, spread in zip(columns, self.mean, self.spread, strict=True):
            np.subtract(column, mean, out=column)
            np.divide(column, spread, out=column)
            np.clip(column, -4.0, 4.0, out=column)
        return columns.T

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"money": self.money, "mean": self.mean.tolist(), "spread": self.spread.tolist()}

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(
            float(payload["money"]),
            np.asarray(payload["mean"], dtype=float),
            np.asarray(payload["spread"], dtype=float),
        )


def _features(frame: pd.DataFrame, expected: Expectation, money: float) -> Floats:
    """(features, n): not standardised. What a one-time buyer has not got, such as a gap, is 0."""
    names = list(FEATURE_WORDS)
    columns = np.empty((len(names), len(frame)))

    def column(name: str) -> Floats:
        values: Floats = frame[name].to_numpy(dtype=np.float64)
        return np.where(np.isnan(values), 0.0, values) if frame[name].dtype.kind == "f" else values

    def put(name: str, values: Floats) -> None:
        columns[names.index(name)] = values

    for name in _LOGS:
        np.log1p(np.maximum(column(name), 0.0), out=columns[names.index(name)])
    for name in _MONEY:
        np.arcsinh(column(name) / money, out=columns[names.index(name)])
    once = (column("frequency") == 0).astype(float)
    since, age, gap = column("days_since_last"), column("T"), column("gap_mean")
    log_since, model = np.log1p(since), log_hazard(expected.p_return)
    put("model_return", model)
    put("model_purchases", np.log(np.maximum(expected.purchases, 1e-3)))
    put("model_ticket", np.log(np.maximum(expected.ticket / money, 1e-3)))
    put("one_time", once)
    put("since", log_since)
    put("since_squared", log_since**2)
    put("one_time_since", once * log_since)
    put("model_since", model * log_since)
    put("age", np.log1p(age))
    put("silent_share", since / np.maximum(age, 1.0))
    put("overdue", np.log1p(np.where(once > 0, 0.0, since / np.maximum(gap, 1.0))))
    put("gap_spread", np.where(gap > 0, column("gap_sd") / np.maximum(gap, 1.0), 0.0))
    put("refunds", column("returns_value") / np.maximum(column("gross"), 1e-9 * money))
    return columns
