"""Models of repeat purchases as estimators: thin shells over one module of `clvml.maths` each."""

from __future__ import annotations

from types import ModuleType
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from clvml.errors import ModelError, OptionError, did_you_mean
from clvml.estimators.base import Estimator
from clvml.estimators.histories import Histories, counts_of, histories_of
from clvml.estimators.saved import (
    FORMAT,
    check_choice,
    check_level,
    check_rate,
    jsonable,
    params_from,
    quality_from,
    settings_from,
)
from clvml.fit import Fit, Outcome, fit
from clvml.horizon import horizon_days
from clvml.maths import bgnbd, discount, mbgnbd, nbd, paretonbd
from clvml.maths.cnbdk import Erlang
from clvml.maths.predictive import Future, purchases_quantile
from clvml.maths.sample import Floats, Sample, sample_of
from clvml.tables import check_summary

__all__ = [
    "BetaGeoErlangModel",
    "BetaGeoModel",
    "ModifiedBetaGeoErlangModel",
    "ModifiedBetaGeoModel",
    "NBDModel",
    "ParetoNBDModel",
    "PurchaseModel",
    "purchase_model_from",
]

_DAYS = {"day": 1.0, "week": 7.0}


class PurchaseModel(Estimator):
    """What every model of repeat purchases can do; the formulas are those of `maths`.

    time_unit: 'day' or 'week', the unit in which params_ and log_likelihood_ are told; predictions do not depend on
    it. prior: None for maximum likelihood; 'weak' for the most probable parameters under a prior that is worth about
    one customer and has no unit, for samples of a few dozen.

    Learned: params_ and standard_errors_ (NamedTuples), covariance_ (k x k), log_likelihood_, outcome_ (an Outcome:
    its value says in words how the fit ended), n_customers_, n_rows_ (distinct histories).
    """

    maths: ClassVar[ModuleType]

    def __init__(self, *, time_unit: Literal["day", "week"] = "day", prior: Literal["weak"] | None = None) -> None:
        self.time_unit = time_unit
        self.prior = prior

    def fit(self, summary: pd.DataFrame, y: None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to the columns frequency, recency, T (days). `sample_weight`: customers per row, the same as repeating
        it.
        """
        del y  # scikit-learn's pipelines pass it
        prior = check_choice("prior", self.prior, (None, "weak"))
        rows = histories_of(summary, sample_weight)
        return self._learn(fit(self.maths, self._sample(rows), prior=prior), rows)

    def _sample(self, rows: Histories) -> Sample:
        """The histories in this model's unit of time."""
        unit = self._unit()
        return sample_of(rows.x, rows.t_x / unit, rows.T / unit, rows.weight)

    def _learn(self, found: Fit, rows: Histories) -> Self:
        self.n_customers_, self.n_rows_ = float(rows.weight.sum()), rows.x.size
        return self._set(found.params, found.covariance, found.log_likelihood, found.outcome)

    def _set(self, params: Any, covariance: Floats, log_likelihood: float, outcome: Outcome) -> Self:
        self.params_, self.covariance_ = params, covariance
        self.standard_errors_ = type(params)(*(float(v) for v in np.sqrt(np.diag(covariance))))
        self.log_likelihood_, self.outcome_ = log_likelihood, outcome
        return self

    def p_alive(self, summary: pd.DataFrame) -> Floats:
        """Probability of not having left by as_of. A property of the model: act on p_return instead."""
        ahead, rows, _ = self._ahead(summary)
        return ahead.p_alive[rows.place]

    def p_return(self, summary: pd.DataFrame, horizon: int | str) -> Floats:
        """Probability of at least one purchase within the horizon."""
        ahead, rows, t = self._ahead(summary, horizon)
        return ahead.p_return(t)[rows.place]

    def expected_purchases(self, summary: pd.DataFrame, horizon: int | str) -> Floats:
        """Expected number of purchases within the horizon."""
        ahead, rows, t = self._ahead(summary, horizon)
        return ahead.expected(t)[rows.place]

    def discounted_purchases(self, summary: pd.DataFrame, horizon: int | str | None, discount_rate: float) -> Floats:
        """Expected purchases, each worth 1 / (1 + discount_rate)^(years from as_of). horizon=None: for ever (the
        DERT).
        """
        delta = discount.daily_rate(check_rate(discount_rate)) * self._unit()
        if horizon is None and delta == 0.0:
            raise OptionError(
                "Purchases for ever have no finite sum at discount_rate=0. Give a horizon, or a rate above 0."
            )
        ahead, rows, t = self._ahead(summary, horizon)
        return ahead.discounted(t, delta)[rows.place]

    def pmf(self, summary: pd.DataFrame, n: int, horizon: int | str) -> Floats:
        """Probability of exactly n purchases within the horizon."""
        if n < 0 or n != int(n):
            raise OptionError(f"n={n!r} is not a number of purchases. Give a whole number from 0.")
        ahead, rows, t = self._ahead(summary, horizon)
        return ahead.pmf(float(n), t)[rows.place]

    def purchases_interval(
        self, summary: pd.DataFrame, horizon: int | str, level: float = 0.9
    ) -> tuple[Floats, Floats]:
        """Central predictive interval of the number of purchases: of the count itself, not of its mean."""
        below = 0.5 * (1.0 - check_level(level))
        ahead, rows, t = self._ahead(summary, horizon)
        return purchases_quantile(ahead, t, below)[rows.place], purchases_quantile(ahead, t, 1.0 - below)[rows.place]

    def expected_purchases_new(self, horizon: int | str) -> float:
        """Expected repeat purchases, within the horizon, of a customer who has just made his first purchase."""
        self._check_fitted("params_")
        new = self._formulas().future(self.params_, 0.0, 0.0, 0.0)
        return float(new.expected(horizon_days(horizon) / self._unit()))

    def next_purchase_due(self, summary: pd.DataFrame) -> Floats:
        """Median days from as_of to the next purchase, given that the customer is alive; inf where none is to be
        expected.
        """
        ahead, rows, _ = self._ahead(summary)
        return self._unit() * ahead.median_wait()[rows.place]

    def future(self, rows: Histories) -> Future:
        """What is to come after distinct histories, in this model's unit of time (see `unit_days`)."""
        self._check_fitted("params_")
        unit = self._unit()
        ahead: Future = self._formulas().future(self.params_, rows.x, rows.t_x / unit, rows.T / unit)
        return ahead

    def _formulas(self) -> Any:
        """The maths with whatever else was learned about it."""
        return self.maths

    @property
    def unit_days(self) -> float:
        """Days in this model's unit of time."""
        return self._unit()

    def _ahead(self, summary: pd.DataFrame, horizon: int | str | None = None) -> tuple[Future, Histories, float]:
        """The future of the distinct histories, where each row finds its own, and the horizon in the model's unit."""
        self._check_fitted("params_")
        days = np.inf if horizon is None else horizon_days(horizon, summary.attrs.get("as_of"))
        rows = histories_of(summary)
        return self.future(rows), rows, days / self._unit()

    def _unit(self) -> float:
        return _DAYS[check_choice("time_unit", self.time_unit, tuple(_DAYS))]

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
            "outcome": self.outcome_.name,
            "n_customers": self.n_customers_,
            "n_rows": self.n_rows_,
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """The model that `to_dict` told. Raises ModelError where it is not one."""
        model = cls(
            **settings_from(cls, saved, ("params", "covariance", "log_likelihood", "outcome", "n_customers", "n_rows"))
        )
        params = params_from(cls.maths.Params, saved)
        model.n_customers_, model.n_rows_ = float(saved["n_customers"]), int(saved["n_rows"])
        return model._set(params, *quality_from(saved, len(params)))


class BetaGeoModel(PurchaseModel):
    """BG/NBD (Fader, Hardie & Lee 2005): params_ r, alpha (a time), a, b."""

    maths: ClassVar[ModuleType] = bgnbd


class ModifiedBetaGeoModel(PurchaseModel):
    """MBG/NBD (Batislam et al. 2007): as BG/NBD, but one-time buyers may have left. params_ r, alpha (time), a, b."""

    maths: ClassVar[ModuleType] = mbgnbd


class ParetoNBDModel(PurchaseModel):
    """Pareto/NBD (Schmittlein et al. 1987): customers leave at any time. params_ r, alpha (time), s, beta (time)."""

    maths: ClassVar[ModuleType] = paretonbd


class NBDModel(PurchaseModel):
    """NBD (Ehrenberg 1959): nobody ever leaves; the limit of the others, and a baseline. params_ r, alpha (a time)."""

    maths: ClassVar[ModuleType] = nbd


class BetaGeoErlangModel(PurchaseModel):
    """BG/CNBD-k (Reutterer et al. 2021): regular buyers, whose gaps are Erlang-k. params_ r, alpha (a time), a, b.

    k: stages a gap has, or None to choose it by likelihood, up to 12 (k_ is what was used; 1 is BG/NBD). Needs the
    summary's column log_gaps as well.
    """

    maths: ClassVar[ModuleType] = bgnbd
    _extra_flips: ClassVar[float] = 0.0

    def __init__(
        self,
        *,
        time_unit: Literal["day", "week"] = "day",
        prior: Literal["weak"] | None = None,
        k: int | None = None,
    ) -> None:
        super().__init__(time_unit=time_unit, prior=prior)
        self.k = k

    def fit(self, summary: pd.DataFrame, y: None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to frequency, recency, T (days) and log_gaps, for the k given or the likeliest."""
        del y  # scikit-learn's pipelines pass it
        prior = check_choice("prior", self.prior, (None, "weak"))
        rows = histories_of(check_summary(summary, ("log_gaps",)), sample_weight)
        log_gaps = float(counts_of(len(summary), sample_weight) @ summary["log_gaps"].to_numpy(float))
        sample = self._sample(rows)
        sample = sample._replace(log_gaps=log_gaps - sample.purchases * float(np.log(self._unit())))
        first, *more = range(1, _MOST_STAGES + 1) if self.k is None else (_check_k(self.k),)
        self.k_, found = first, fit(Erlang(first, self._extra_flips), sample, prior=prior)
        for k in more:
            tried = fit(Erlang(k, self._extra_flips), sample, prior=prior)
            if tried.log_likelihood <= found.log_likelihood:
                break
            self.k_, found = k, tried
        return self._learn(found, rows)

    def _formulas(self) -> Erlang:
        return Erlang(self.k_, self._extra_flips)

    def to_dict(self) -> dict[str, Any]:
        """As every model, and k."""
        return super().to_dict() | {"k": self.k_}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """The model that `to_dict` told. Raises ModelError where it is not one."""
        model = super().from_dict(saved)
        try:
            model.k_ = _check_k(saved.get("k"))
        except OptionError as error:
            raise ModelError(f"The saved model is damaged: {error}") from None
        return model


class ModifiedBetaGeoErlangModel(BetaGeoErlangModel):
    """MBG/CNBD-k: as BG/CNBD-k, but one-time buyers may have left."""

    maths: ClassVar[ModuleType] = mbgnbd
    _extra_flips: ClassVar[float] = 1.0


_MOST_STAGES = 12


def _check_k(k: Any) -> int:
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= _MOST_STAGES:
        raise OptionError(f"k={k!r} is not a number of stages. Give a whole number from 1 to {_MOST_STAGES}, or None.")
    return k


_MODELS: dict[str, type[PurchaseModel]] = {
    cls.__name__: cls
    for cls in (
        BetaGeoModel,
        ModifiedBetaGeoModel,
        ParetoNBDModel,
        NBDModel,
        BetaGeoErlangModel,
        ModifiedBetaGeoErlangModel,
    )
}


def purchase_model_from(saved: dict[str, Any]) -> PurchaseModel:
    """The model of purchases that a `to_dict` told, whichever it is. Raises ModelError where it is none of them."""
    name = saved.get("type") if isinstance(saved, dict) else None
    if name not in _MODELS:
        raise ModelError(
            f"{name!r} is no model of purchases.{did_you_mean(str(name), _MODELS)} It is one of {', '.join(_MODELS)}."
        )
    return _MODELS[name].from_dict(saved)
