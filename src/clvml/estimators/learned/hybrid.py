"""Hybrid value: what BTYD expects of purchases, spend and return, corrected by what the log's own past shows."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.estimators.base import Estimator
from clvml.estimators.forecast import CustomerForecast, ForecastCache
from clvml.estimators.learned.churn import ChurnClassifier
from clvml.estimators.learned.corrections import Head, amounts, fit_amount_head
from clvml.estimators.learned.features import foresee
from clvml.estimators.lifetime_value import LifetimeValueModel, prediction_frame
from clvml.maths.learners import glm
from clvml.orders.origins import Snapshots, one_vote

__all__ = ["HybridValueModel"]

Floats = NDArray[np.float64]

_UPPER = 0.95
"""Level at the upper end of the intervals."""


class HybridValueModel(Estimator):
    """Purchases and spend as the mean of BTYD and two corrections of it; the return probability by a ChurnClassifier.

    The corrections are factors on BTYD's own expectation, learned on snapshots at earlier dates: a ridge regression
    (Poisson for purchases, Tweedie for spend) and boosted trees, each with the expectation as its offset. Where data
    are few the ridge leaves BTYD as it is, and there are no trees.

    churn: the classifier to fit (ChurnClassifier()), whose settings the corrections share.

    Learned: value_ (BTYD as of the latest day), churn_, purchases_head_, spend_head_, design_.
    """

    def __init__(self, *, churn: ChurnClassifier | None = None) -> None:
        self.churn = churn

    def fit(self, snapshots: Snapshots, y: None = None) -> Self:
        """Learn from labelled snapshots; raises as ChurnClassifier.fit does."""
        del y
        churn = self.churn or ChurnClassifier()
        labelled, expected = churn.training(snapshots)
        self.churn_ = type(churn)(**churn.get_params(deep=False)).fit(snapshots, training=(labelled, expected))
        self.value_, self.design_ = self.churn_.value_, self.churn_.design_
        X, weight = self.design_.matrix(labelled, expected), one_vote(labelled["customer_id"])
        purchases, spend = labelled["purchases"].to_numpy(float), np.maximum(labelled["spend"].to_numpy(float), 0.0)
        self.unit_ = (max(float(purchases.mean()), 1e-9), max(float(spend.mean()), 1e-9))
        self.purchases_head_ = self._head(glm.POISSON, X, purchases, expected.purchases, weight, self.unit_[0])
        self.spend_head_ = self._head(glm.TWEEDIE, X, spend, expected.spend, weight, self.unit_[1])
        return self

    def _head(self, family: glm.Family, X: Floats, y: Floats, expected: Floats, weight: Floats, unit: float) -> Head:
        settings = self.churn_
        return fit_amount_head(
            family, X, y / unit, expected / unit, weight, settings.penalty, settings.trees, settings.seed
        )

    def rebased(self, value: LifetimeValueModel) -> Self:
        """Itself, its corrections now applied to another fit of the same BTYD model: that of a base of which the
        snapshots hold a sample.
        """
        self._check_fitted("spend_head_")
        self.value_ = self.churn_.value_ = value
        return self

    def correct(self, frame: pd.DataFrame, horizon: int) -> tuple[Floats, Floats, Floats]:
        """(p_return, purchases, spend) over the horizon in days; frame: summary and features."""
        return self._corrected(self._customer_forecast(frame), horizon)

    def _customer_forecast(self, frame: pd.DataFrame, cache: ForecastCache | None = None) -> CustomerForecast:
        """What BTYD expects of these customers, to be told of once or several times."""
        self._check_fitted("spend_head_")
        return self.value_._customer_forecast(frame, cache)

    def _corrected(self, ahead: CustomerForecast, horizon: int) -> tuple[Floats, Floats, Floats]:
        near = foresee(ahead, self.churn_.window_)
        far = near if horizon == self.churn_.window_ else foresee(ahead, horizon)
        X = self.design_.matrix(ahead.summary, near)
        purchases = self.unit_[0] * np.mean(amounts(self.purchases_head_, X, far.purchases / self.unit_[0]), axis=0)
        spend = self.unit_[1] * np.mean(amounts(self.spend_head_, X, far.spend / self.unit_[1]), axis=0)
        return self.churn_.p_return_given(X, near, far), purchases, spend

    def predict(
        self, frame: pd.DataFrame, horizon: int | None = None, *, cache: ForecastCache | None = None
    ) -> pd.DataFrame:
        """The table of LifetimeValueModel.predict, with purchases, spend and return corrected.

        A return is at most as likely as purchases are expected. The intervals and the discount are BTYD's: scaled by
        what the correction makes of the expectation. cache: what the batches of a base have in common, see
        `clvml.estimators.forecast`.
        """
        ahead = self._customer_forecast(frame, cache)
        return prediction_frame(ahead, self._prediction_columns(ahead, horizon))

    def _value_columns(self, ahead: CustomerForecast, horizon: int) -> dict[str, Floats]:
        """Of the columns of `predict` clv, p_return and expected_purchases alone: no intervals, a third of the time."""
        table = self.value_._value_columns(ahead, horizon)
        p_return, purchases, spend = self._corrected(ahead, horizon)
        more = spend / np.maximum(table["expected_purchases"] * ahead.spend_per_purchase, 1e-12 * self.unit_[1])
        return {
            "clv": table["clv"] * more,
            "p_return": np.minimum(p_return, purchases),
            "expected_purchases": purchases,
        }

    def _prediction_columns(self, ahead: CustomerForecast, horizon: int | None = None) -> dict[str, Floats]:
        """The columns of `predict` that are numbers."""
        days = horizon or self.churn_.horizon_
        table = self.value_._prediction_columns(ahead, days)
        p_return, purchases, spend = self._corrected(ahead, days)
        more = spend / np.maximum(table["expected_spend"], 1e-12 * self.unit_[1])
        often = purchases / np.maximum(table["expected_purchases"], 1e-12)
        for name in ("clv", "clv_low", "clv_high"):
            table[name] = table[name] * more
        p_return = np.minimum(p_return, purchases)
        # To the nearest whole number: outwards they would be wider, and hold still more than they say.
        low, high = (np.round(table[f"purchases_{end}"] * often) for end in ("low", "high"))
        table |= {"purchases_low": low, "purchases_high": np.maximum(high, p_return > 1.0 - _UPPER)}
        return table | {"p_return": p_return, "expected_purchases": purchases, "expected_spend": spend}

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        self._check_fitted("spend_head_")
        return {
            "type": "HybridValueModel",
            "churn": self.churn_.to_dict(),
            "unit": list(self.unit_),
            "purchases": self.purchases_head_.to_dict(),
            "spend": self.spend_head_.to_dict(),
        }

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        model = cls()
        model.churn_ = ChurnClassifier.from_dict(told["churn"])
        model.value_, model.design_ = model.churn_.value_, model.churn_.design_
        model.unit_ = (float(told["unit"][0]), float(told["unit"][1]))
        model.purchases_head_, model.spend_head_ = Head.from_dict(told["purchases"]), Head.from_dict(told["spend"])
        return model
