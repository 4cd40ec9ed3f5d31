"""Hybrid value: what BTYD expects of purchases, spend and return, corrected by what the log's own past shows."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.estimators.base import Estimator
from clvml.estimators.forecast import CustomerForecast, ForecastCache
from clvml.estimators.learned.churn import ChurnClassifier
from clvml.estimators.learned.distribution import predictive_intervals
from clvml.estimators.learned.ensemble.level import Level
from clvml.estimators.lifetime_value import LifetimeValueModel, prediction_frame
from clvml.orders.origins import Snapshots

__all__ = ["HybridValueModel"]

Floats = NDArray[np.float64]

_TINY = 1e-300


class HybridValueModel(Estimator):
    """Purchases, spend and return by one ensemble: BTYD, and what snapshots of the log at earlier dates add to it.

    Shape and level are learned apart. Shape, who buys more than whom: ridge regressions with BTYD's expectation as
    their offset and boosted trees that know it as one feature among others, blended with BTYD itself, which counts for
    more where there were few purchases to learn from. Level, how much all buy together: BTYD's, and what the same weeks
    a year ago, or all past windows, brought beyond it. Intervals, means and the return probability belong to one
    distribution: see `clvml.estimators.learned.distribution`.

    Parameters
    ----------
    churn : ChurnClassifier, optional
        The classifier to fit, whose settings all members share; by default `ChurnClassifier()`.

    Attributes
    ----------
    value_ : LifetimeValueModel
        BTYD as of the latest day.
    churn_ : ChurnClassifier
        Fitted.
    level_ : Level
        Which level was used, and why.

    Examples
    --------
    >>> from clvml import HybridValueModel, Transactions, load_cdnow, take_snapshots
    >>> snapshots = take_snapshots(Transactions(load_cdnow(sample=True)), "1997-09-30", "13w", n_origins=2)
    >>> table = HybridValueModel().fit(snapshots).predict(snapshots.now)
    >>> bool((table["p_return"] <= table["expected_purchases"]).all())
    True
    """

    _fitted: ClassVar[str] = "value_"
    _takes_frame: ClassVar[bool] = False

    def __init__(self, *, churn: ChurnClassifier | None = None) -> None:
        self.churn = churn

    def fit(self, snapshots: Snapshots, y: None = None) -> Self:
        """Learn from labelled snapshots.

        Parameters
        ----------
        snapshots : Snapshots
            What `take_snapshots` gave.
        y : None
            Not used; scikit-learn's pipelines pass it.

        Returns
        -------
        HybridValueModel
            Itself.

        Raises
        ------
        DataError
            As `ChurnClassifier.fit` does.
        """
        del y
        churn = self.churn or ChurnClassifier()
        self.churn_ = type(churn)(**churn.get_params(deep=False)).fit(snapshots)
        self.value_ = self.churn_.value_
        return self

    @property
    def level_(self) -> Level:
        """Which level was used, and why."""
        self._check_fitted("churn_")
        return self.churn_.level_

    def rebased(self, value: LifetimeValueModel) -> Self:
        """Apply the corrections to another fit of the same BTYD model: that of a base of which the snapshots hold a
        sample.

        Parameters
        ----------
        value : LifetimeValueModel
            Fitted to the whole base.

        Returns
        -------
        HybridValueModel
            Itself.
        """
        self._check_fitted("churn_")
        self.value_ = self.churn_.value_ = value
        return self

    def _customer_forecast(self, frame: pd.DataFrame, cache: ForecastCache | None = None) -> CustomerForecast:
        """What BTYD expects of these customers, to be asked once or several times."""
        self._check_fitted("churn_")
        return self.value_._customer_forecast(frame, cache)

    def predict(
        self, frame: pd.DataFrame, horizon: int | str | None = None, *, cache: ForecastCache | None = None
    ) -> pd.DataFrame:
        """The table of LifetimeValueModel.predict, with purchases, spend and return corrected.

        Parameters
        ----------
        frame : DataFrame
            Summary and features, one row a customer.
        horizon : int or str, optional
            Days, '39w', '12m' or '1y'; by default as trained.
        cache : ForecastCache, optional
            What the batches of a base have in common, see `clvml.estimators.forecast`.

        Returns
        -------
        DataFrame
            One row a customer. A return is at most as likely as purchases are expected, and both belong to the
            distribution of which the intervals are quantiles. Discounting takes off what it takes off BTYD.
        """
        ahead = self._customer_forecast(frame, cache)
        return prediction_frame(ahead, self._prediction_columns(ahead, horizon))

    def _value_columns(self, ahead: CustomerForecast, horizon: int) -> dict[str, Floats]:
        """The columns of `predict` that need no intervals, in a third of the time."""
        table = self.value_._value_columns(ahead, horizon)
        p_return, purchases, spend = self.churn_.predict_ahead(ahead, horizon)
        worth = self._worth(table["clv"], table["expected_spend"])
        return {"p_return": p_return, "expected_purchases": purchases, "expected_spend": spend, "clv": worth * spend}

    def _worth(self, clv: Floats, spend: Floats) -> Floats:
        """What discounting and the margin leave of an amount; the margin, where BTYD expects nothing to divide by."""
        return np.divide(clv, spend, out=np.full_like(spend, self.value_.margin), where=spend > _TINY)

    def _prediction_columns(self, ahead: CustomerForecast, horizon: int | str | None = None) -> dict[str, Floats]:
        """The columns of `predict` that are numbers."""
        days = self.churn_._days(horizon, ahead.summary)
        table = self.value_._value_columns(ahead, days)
        predicted = self.churn_.predict_ahead(ahead, days)
        worth = self._worth(table["clv"], table["expected_spend"])
        few, many, little, much = predictive_intervals(
            ahead, self.churn_.counted_days(days, ahead.summary.attrs.get("as_of")), predicted
        )
        return {
            "p_alive": ahead.p_alive,
            "p_return": predicted.p_return,
            "expected_purchases": predicted.purchases,
            "expected_spend": predicted.spend,
            "clv": worth * predicted.spend,
            "clv_low": worth * little,
            "clv_high": worth * much,
            "purchases_low": few,
            "purchases_high": many,
        }

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        self._check_fitted("churn_")
        return {"type": "HybridValueModel", "churn": self.churn_.to_dict()}

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        model = cls()
        model.churn_ = ChurnClassifier.from_dict(payload["churn"])
        model.value_ = model.churn_.value_
        return model
