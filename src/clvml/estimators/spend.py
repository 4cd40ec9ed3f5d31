"""Gamma-Gamma as an estimator: how much a customer spends at a purchase."""

from __future__ import annotations

import math
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from clvml.checks import check_choice
from clvml.errors import DataError, ModelError
from clvml.estimators.base import Estimator
from clvml.estimators.fit import NO_SLOPE, Fit, FitStatus, Slope, fit_slope, fit_spend
from clvml.estimators.histories import counts_of
from clvml.estimators.saved import FORMAT, jsonable, params_from, quality_from, settings_from
from clvml.maths.models import gammagamma
from clvml.maths.models.gammagamma import MeanSpend, Params, spend_of
from clvml.maths.sample import Floats
from clvml.tables import check_summary

__all__ = ["GammaGammaModel"]


class GammaGammaModel(Estimator):
    """Gamma-Gamma (Fader & Hardie 2013): params_ p, q, v (v in the log's currency).

    Learned from customers with repeat purchases of positive mean value; how many were left out is n_excluded_. The
    mean of the fitted distribution is always finite: where the likelihood wants none, status_ says what was done
    instead.

    frequency_effect: whether spend may depend on frequency, which Gamma-Gamma rules out. Then v is multiplied by a
    power of the frequency: slope_.value, that of maximum likelihood shrunk by its error. `spend_tests` tells
    whether it matters; params_ are those of a customer of mean log-frequency.

    Also learned: slope_ (a Slope), standard_errors_, covariance_ (3 x 3), log_likelihood_, status_, n_customers_.
    """

    def __init__(self, *, prior: Literal["weak"] | None = None, frequency_effect: bool = False) -> None:
        self.prior = prior
        self.frequency_effect = frequency_effect

    def fit(self, summary: pd.DataFrame, y: None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to frequency and monetary_value; to first_amount where nobody has a repeat purchase of value.

        Raises DataError where there is no positive amount at all.
        """
        del y  # scikit-learn's pipelines pass it
        check_summary(summary, ("frequency", "monetary_value"))
        prior = check_choice("prior", self.prior, (None, "weak"))
        self.slope_ = NO_SLOPE
        sample, poor = self._mean_spend(summary, sample_weight)
        if check_choice("frequency_effect", self.frequency_effect, (False, True)) and poor is None:
            self.slope_ = fit_slope(sample)
            sample, _ = self._mean_spend(summary, sample_weight)
        customers = float(counts_of(len(summary), sample_weight).sum())
        self.n_customers_, self.n_excluded_ = sample.customers, customers - (0.0 if poor else sample.customers)
        found = fit_spend(sample, prior=prior, poor=poor)
        evened = float(sample.weight @ np.log(self.slope_.factor(sample.x)))
        return self._set(found._replace(log_likelihood=found.log_likelihood - evened))

    def _mean_spend(
        self, summary: pd.DataFrame, sample_weight: ArrayLike | None = None
    ) -> tuple[MeanSpend, FitStatus | None]:
        """What `fit` learns from: repeat purchases of value, evened by the factor of their frequency; else first
        purchases, and the status that says so.
        """
        weight = counts_of(len(summary), sample_weight)
        repeats = _repeat_spend(summary, weight, self.slope_)
        return (_first_spend(summary, weight), FitStatus.FIRST_PURCHASES) if repeats is None else (repeats, None)

    def _set(self, found: Fit[Params]) -> Self:
        self.params_: Params = found.params
        self.covariance_, self.log_likelihood_, self.status_ = found.covariance, found.log_likelihood, found.status
        self.standard_errors_ = Params(*(float(v) for v in np.sqrt(np.diag(found.covariance))))
        return self

    def expected_spend(self, summary: pd.DataFrame) -> Floats:
        """Expected mean net amount per purchase; for one-time buyers the mean of all customers (`mean_`)."""
        self._check_fitted("params_")
        check_summary(summary, ("frequency", "monetary_value"))
        x, m = (summary[c].to_numpy(float) for c in ("frequency", "monetary_value"))
        factor = self._frequency_factor(x)
        return factor * gammagamma.expected_spend(self.params_, x, m / factor)

    def _frequency_factor(self, frequency: Floats) -> Floats:
        """What v is multiplied by for customers of these frequencies: 1 without a frequency effect."""
        self._check_fitted("params_")
        return self.slope_.factor(frequency)

    def _spend_scale(self, summary: pd.DataFrame) -> Floats:
        """The sum v + x m of each customer: what the beta-prime of a total to come is multiplied by."""
        x, m = (summary[c].to_numpy(float) for c in ("frequency", "monetary_value"))
        return np.asarray(self._frequency_factor(x) * self.params_.v + x * np.maximum(m, 0.0))

    @property
    def mean_(self) -> float:
        """Mean net amount per purchase of a new customer."""
        self._check_fitted("params_")
        return gammagamma.mean(self.params_) * float(self.slope_.factor(np.zeros(1))[0])

    def to_dict(self) -> dict[str, Any]:
        """Everything needed to predict, as JSON knows it: no code, no customers. Variances that are inf become None."""
        self._check_fitted("params_")
        return {
            "type": type(self).__name__,
            "format": FORMAT,
            "settings": self.get_params(),
            "params": self.params_._asdict(),
            "covariance": jsonable(self.covariance_),
            "log_likelihood": self.log_likelihood_,
            "status": self.status_.name,
            "n_customers": self.n_customers_,
            "n_excluded": self.n_excluded_,
            "slope": self.slope_._asdict(),
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """The model that `to_dict` told. Raises ModelError where it is not one."""
        model = cls(
            **settings_from(cls, saved, ("params", "covariance", "log_likelihood", "n_customers", "n_excluded"))
        )
        model.slope_ = _slope_from(saved.get("slope", NO_SLOPE._asdict()))
        model.n_customers_, model.n_excluded_ = float(saved["n_customers"]), float(saved["n_excluded"])
        return model._set(Fit(params_from(Params, saved), *quality_from(saved, 3), evaluations=0))


def _slope_from(told: Any) -> Slope:
    try:
        slope = Slope(**{name: float(value) for name, value in told.items()})
    except (AttributeError, TypeError, ValueError):
        slope = NO_SLOPE._replace(value=math.nan)
    if not all(map(math.isfinite, slope)):
        raise ModelError(f"The saved model's slope {told!r} is not made of numbers. The file is damaged.")
    return slope


def _repeat_spend(summary: pd.DataFrame, weight: Floats, slope: Slope) -> MeanSpend | None:
    """Customers with repeat purchases of positive mean value, if any."""
    x, m = summary["frequency"].to_numpy(float), summary["monetary_value"].to_numpy(float)
    known = (x > 0) & (m > 0) & (weight > 0)
    return spend_of(x[known], m[known] / slope.factor(x[known]), weight[known]) if known.any() else None


def _first_spend(summary: pd.DataFrame, weight: Floats) -> MeanSpend:
    """First purchases of positive value, each customer's only one."""
    first = summary["first_amount"].to_numpy(float) if "first_amount" in summary.columns else np.zeros(len(summary))
    known = (first > 0) & (weight > 0)
    if not known.any():
        raise DataError(
            f"None of the {len(summary)} customers has a repeat purchase of positive monetary_value, "
            "nor a positive first_amount, so nothing can be learned about spend. Check the amount column of the log."
        )
    return spend_of(np.ones(int(known.sum())), first[known], weight[known])
