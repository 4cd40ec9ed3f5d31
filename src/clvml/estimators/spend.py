"""Gamma-Gamma as an estimator: how much a customer spends at a purchase."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from clvml.checks import check_choice
from clvml.errors import DataError, ModelError
from clvml.estimators.fit import NO_SLOPE, FitStatus, Slope, fit_slope, fit_spend
from clvml.estimators.fitted import FittedModel
from clvml.estimators.histories import Customers, counts_of, summary_frame
from clvml.estimators.saved import customers_from
from clvml.maths.models import gammagamma
from clvml.maths.models.gammagamma import MeanSpend, Params, spend_of
from clvml.maths.sample import Floats
from clvml.tables import check_summary

__all__ = ["GammaGammaModel"]


class GammaGammaModel(FittedModel[Params]):
    """Gamma-Gamma: how much customers spend at a purchase, given that amounts do not depend on how often they buy.

    Learned from customers with repeat purchases of positive mean value. The mean of the fitted distribution is always
    finite: where the likelihood wants none, `status_` says what was done instead.

    Parameters
    ----------
    prior : {None, 'weak'}, default None
        As of the models of purchases.
    frequency_effect : bool, default False
        Whether spend may depend on frequency, which Gamma-Gamma rules out. Then v is multiplied by a power of the
        frequency: `slope_.value`, that of maximum likelihood shrunk by its error; `params_` are those of a customer of
        mean log-frequency.

    Attributes
    ----------
    params_, standard_errors_ : NamedTuple of p, q, v
        v in the log's currency.
    covariance_ : numpy.ndarray of shape (3, 3)
    summary_ : pandas.DataFrame
    log_likelihood_, aic_, bic_ : float
    status_ : FitStatus
    mean_ : float
        Mean net amount per purchase of a new customer.
    slope_ : Slope
    n_customers_, n_excluded_ : float
        Customers learned from, and those left out: without a repeat purchase, or whose mean is not above 0.

    References
    ----------
    Fader, P. S. and Hardie, B. G. S. (2013). The Gamma-Gamma model of monetary value. brucehardie.com, note 025.

    Examples
    --------
    >>> from clvml import GammaGammaModel, Transactions, load_cdnow
    >>> summary = Transactions(load_cdnow(sample=True)).summarize("1997-09-30")
    >>> spend = GammaGammaModel().fit(summary)
    >>> spend
    GammaGammaModel()
    Gamma-Gamma, 946 customers, log-likelihood -4,055.92
        coef    se  95% interval
    p   6.25  1.19   4.3 to 9.08
    q  3.744  0.29  3.22 to 4.36
    v  15.44  4.16  9.11 to 26.2
    Converged.
    >>> spend.expected_spend({"frequency": 4, "monetary_value": 60.0}).round(2)
    array([57.54])
    """

    _kind: ClassVar[str] = "Gamma-Gamma"

    slope_: Slope
    n_excluded_: float

    def __init__(self, *, prior: Literal["weak"] | None = None, frequency_effect: bool = False) -> None:
        self.prior = prior
        self.frequency_effect = frequency_effect

    def fit(self, summary: pd.DataFrame, y: None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit by maximum likelihood to the mean spend of repeat buyers; of first purchases where nobody is one.

        Parameters
        ----------
        summary : pandas.DataFrame
            One row a customer: `frequency` and `monetary_value` (mean net amount per repeat purchase); `first_amount`
            is used where nobody has a repeat purchase of value.
        y : None
            Not used; scikit-learn's pipelines pass it.
        sample_weight : array-like of shape (n,), optional
            Customers that each row stands for.

        Returns
        -------
        the fitted model itself

        Raises
        ------
        DataError
            Where the summary breaks its contract, or holds no positive amount at all.
        OptionError
        """
        del y
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

    def expected_spend(self, summary: Customers) -> Floats:
        """Expected mean net amount per purchase: the posterior mean, eq. (5) of the note.

        Parameters
        ----------
        summary : pandas.DataFrame, pandas.Series or dict
            Customers with `frequency` and `monetary_value`; a Series or dict is a single customer.

        Returns
        -------
        numpy.ndarray of shape (n,)
            In the log's currency; for one-time buyers the mean of all customers (`mean_`).

        Raises
        ------
        DataError, NotFittedError
        """
        self._check_fitted("params_")
        frame = check_summary(summary_frame(summary), ("frequency", "monetary_value"))
        x, m = (frame[c].to_numpy(float) for c in ("frequency", "monetary_value"))
        factor = self._frequency_factor(x)
        return factor * gammagamma.expected_spend(self.params_, x, m / factor)

    def _expected_spend_given_all(self, summary: pd.DataFrame) -> Floats:
        """`expected_spend` given all that was bought net of refunds (`amount`), the first purchase included: `fit`
        leaves it out as often unlike those that follow, yet of those who bought once it is all there is.

        Of an outsize purchase, only as much counts as the model believes possible.
        """
        x, amount = (summary[c].to_numpy(float) for c in ("frequency", "amount"))
        factor = self._frequency_factor(x)
        if "max_amount" in summary:
            amount = self._without_outsize(x, amount / factor, summary["max_amount"].to_numpy(float) / factor) * factor
        return factor * gammagamma.expected_spend(self.params_, x + 1.0, amount / (x + 1.0) / factor)

    def _without_outsize(self, frequency: Floats, amount: Floats, largest: Floats) -> Floats:
        """The totals, each customer's largest purchase counted up to what, after their others, the model expects to be
        exceeded by one customer of as many as it was fitted to.

        Amounts of one customer are taken to be gamma distributed, which have no outsize ones: Gamma-Gamma would carry
        on a single huge order for ever, as if it were their custom.
        """
        customers = self.n_customers_ + self.n_excluded_
        if customers < 1.0:  # unknown: the parameters come from elsewhere
            return amount
        others = np.maximum(amount - np.maximum(largest, 0.0), 0.0)
        limit = gammagamma.amount_exceeded(self.params_, frequency, others, 1.0 / (customers + 1.0))
        return np.minimum(amount, others + limit)

    def score_samples(self, summary: pd.DataFrame) -> Floats:
        """Log-density of each customer's mean spend per repeat purchase.

        Parameters
        ----------
        summary : pandas.DataFrame
            As of `fit`.

        Returns
        -------
        numpy.ndarray of shape (n,)
            0 for customers who show nothing: without a repeat purchase of positive value.

        Raises
        ------
        DataError, NotFittedError
        """
        self._check_fitted("params_")
        shows = self._counts(summary) > 0
        x, m = (summary[c].to_numpy(float) for c in ("frequency", "monetary_value"))
        density, factor = np.zeros(len(summary)), self.slope_.factor(x)
        even = m[shows] / factor[shows]
        density[shows] = gammagamma.log_likelihood(self.params_, x[shows], even) - np.log(factor[shows])
        return density

    def _counts(self, summary: pd.DataFrame) -> Floats:
        """As in FittedModel: 1 for customers with a repeat purchase of positive value."""
        check_summary(summary, ("frequency", "monetary_value"))
        shows = (summary["frequency"] > 0) & (summary["monetary_value"] > 0)
        return shows.to_numpy().astype(np.float64)

    def _columns(self) -> tuple[str, ...]:
        return "frequency", "monetary_value"

    @property
    def mean_(self) -> float:
        """Mean net amount per purchase of a new customer."""
        self._check_fitted("params_")
        return gammagamma.mean(self.params_) * float(self.slope_.factor(np.zeros(1))[0])

    def to_dict(self) -> dict[str, Any]:
        """As every model, and the customers left out and the effect of frequency."""
        return super().to_dict() | {"n_excluded": self.n_excluded_, "slope": self.slope_._asdict()}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """The model that `to_dict` saved. Raises ModelError where it is not one."""
        model = super().from_dict(saved)
        if not _P[0] <= model.params_.p <= _P[1]:
            raise ModelError(f"The saved model's p = {model.params_.p:g} is none of a fit. The file is damaged.")
        if not model.params_.q > 1.0:
            raise ModelError(
                f"Gamma-Gamma with q = {model.params_.q:g} has no mean, and so gives none to customers who "
                "bought once. Fit it again: clvml then holds the mean at that of the data."
            )
        model.slope_ = _slope_from(saved.get("slope", NO_SLOPE._asdict()))
        model.n_excluded_ = customers_from(saved, "n_excluded")
        return model

    def _check_settings(self) -> None:
        check_choice("prior", self.prior, (None, "weak"))
        check_choice("frequency_effect", self.frequency_effect, (False, True))

    @classmethod
    def _params_type(cls, saved: dict[str, Any]) -> type[Params]:
        return Params

    def _mean_spend(
        self, summary: pd.DataFrame, sample_weight: ArrayLike | None = None
    ) -> tuple[MeanSpend, FitStatus | None]:
        """What `fit` learns from: repeat purchases of value, evened by the factor of their frequency; else first
        purchases, and the status that says so.
        """
        weight = counts_of(len(summary), sample_weight)
        repeats = _repeat_spend(summary, weight, self.slope_)
        return (_first_spend(summary, weight), FitStatus.FIRST_PURCHASES) if repeats is None else (repeats, None)

    def _frequency_factor(self, frequency: Floats) -> Floats:
        """What v is multiplied by for customers of these frequencies: 1 without a frequency effect."""
        self._check_fitted("params_")
        return self.slope_.factor(frequency)

    def _spend_scale(self, summary: pd.DataFrame) -> Floats:
        """The sum v + x m of each customer: what the beta-prime of a total to come is multiplied by."""
        x, m = (summary[c].to_numpy(float) for c in ("frequency", "monetary_value"))
        return np.asarray(self._frequency_factor(x) * self.params_.v + x * np.maximum(m, 0.0))


_P = 1e-9, 1e9
"""Between these Gamma-Gamma's p lies."""
_MAX_SLOPE_NUMBER = 20.0
"""Spend in proportion to a higher power of the frequency, or a mean log frequency above it, is none of a fit."""


def _slope_from(payload: Any) -> Slope:
    try:
        slope = Slope(**{name: float(value) for name, value in payload.items()})
    except (AttributeError, TypeError, ValueError):
        slope = NO_SLOPE._replace(value=math.nan)
    sane = max(abs(slope.value), abs(slope.centre)) <= _MAX_SLOPE_NUMBER
    if not (sane and all(map(math.isfinite, slope))):
        raise ModelError(f"The saved model's slope {payload!r} is not made of numbers of a fit. The file is damaged.")
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
