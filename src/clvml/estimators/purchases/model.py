"""What every model of repeat purchases can do: a thin shell over one module of `clvml.maths`."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from clvml.checks import check_choice, check_level, check_rate, check_whole
from clvml.errors import OptionError
from clvml.estimators.base import Estimator
from clvml.estimators.fit import Fit, FitStatus, PenalizedLikelihood, fit, penalized_likelihood
from clvml.estimators.forecast import CustomerForecast, customer_forecast
from clvml.estimators.histories import NEW, Histories, histories_of
from clvml.estimators.saved import (
    FORMAT,
    jsonable,
    params_from,
    quality_from,
    settings_from,
)
from clvml.horizon import horizon_days
from clvml.maths import MemorylessModule, PurchaseModule, discount
from clvml.maths.predictive import Future, purchases_quantile
from clvml.maths.sample import Floats, Sample, sample_of
from clvml.maths.unique_pairs import UniquePairs

__all__ = ["PurchaseModel"]

_DAYS = {"day": 1.0, "week": 7.0}


class PurchaseModel(Estimator):
    """What every model of repeat purchases can do; the formulas are those of `maths`.

    time_unit: 'day' or 'week', the unit in which params_ and log_likelihood_ are told; predictions do not depend on
    it. prior: None for maximum likelihood; 'weak' for the most probable parameters under a prior that is worth about
    one customer and has no unit, for samples of a few dozen.

    Learned: params_ and standard_errors_ (NamedTuples), covariance_ (k x k), log_likelihood_, status_ (an FitStatus:
    its value says in words how the fit ended), n_customers_, n_rows_ (distinct histories).
    """

    kind: ClassVar[str]
    module: ClassVar[PurchaseModule[Any]]

    def __init__(self, *, time_unit: Literal["day", "week"] = "day", prior: Literal["weak"] | None = None) -> None:
        self.time_unit = time_unit
        self.prior = prior

    def fit(self, summary: pd.DataFrame, y: None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to the columns frequency, recency, T (days). `sample_weight`: customers per row, the same as repeating
        it.
        """
        del y  # scikit-learn's pipelines pass it
        prior = check_choice("prior", self.prior, (None, "weak"))
        rows = self._histories(summary, sample_weight)
        return self._learn(fit(self._module_for(rows), self._sample(rows), prior=prior), rows)

    def _histories(self, summary: pd.DataFrame, sample_weight: ArrayLike | None = None) -> Histories:
        """The distinct histories of a summary, as far as they matter to this model."""
        return histories_of(summary, sample_weight)

    def _sample(self, rows: Histories) -> Sample:
        return sample_of(*self._in_units(rows), rows.weight)

    def _in_units(self, rows: Histories) -> tuple[Floats, Floats, Floats]:
        """x, t_x, T of the histories in this model's unit of time."""
        unit = self.unit_days
        return rows.x, rows.t_x / unit, rows.T / unit

    def _learn(self, found: Fit[Any], rows: Histories) -> Self:
        self.n_customers_, self.n_rows_ = float(rows.weight.sum()), rows.x.size
        return self._set(found.params, found.covariance, found.log_likelihood, found.status)

    def _set(self, params: Any, covariance: Floats, log_likelihood: float, status: FitStatus) -> Self:
        self.params_, self.covariance_ = params, covariance
        self.standard_errors_ = type(params)(*(float(v) for v in np.sqrt(np.diag(covariance))))
        self.log_likelihood_, self.status_ = log_likelihood, status
        return self

    def p_alive(self, summary: pd.DataFrame) -> Floats:
        """Probability of not having left by as_of. A property of the model: act on p_return instead."""
        return self._forecast(summary).p_alive

    def p_return(self, summary: pd.DataFrame, horizon: int | str) -> Floats:
        """Probability of at least one purchase within the horizon."""
        return self._forecast(summary).p_return(horizon)

    def expected_purchases(self, summary: pd.DataFrame, horizon: int | str) -> Floats:
        """Expected number of purchases within the horizon."""
        return self._forecast(summary).expected_purchases(horizon)

    def discounted_purchases(self, summary: pd.DataFrame, horizon: int | str | None, discount_rate: float) -> Floats:
        """Expected purchases, each worth 1 / (1 + discount_rate)^(years from as_of). horizon=None: for ever (the
        DERT).
        """
        rate = discount.daily_rate(check_rate(discount_rate))
        if horizon is None and rate == 0.0:
            raise OptionError(
                "Purchases for ever have no finite sum at discount_rate=0. Give a horizon, or a rate above 0."
            )
        return self._forecast(summary).discounted_purchases(horizon, rate)

    def pmf(self, summary: pd.DataFrame, n: int, horizon: int | str) -> Floats:
        """Probability of exactly n purchases within the horizon."""
        count = check_whole("n", n, least=0)
        ahead, rows, t = self._ahead(summary, horizon)
        return ahead.pmf(float(count), t)[rows.place]

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
        return float(self._future(NEW).expected(self._units(horizon))[0])

    def median_wait(self, summary: pd.DataFrame) -> Floats:
        """Median days from as_of to the next purchase, given that the customer is alive; inf where none is to be
        expected.
        """
        return self._forecast(summary).median_wait()

    def _future(self, rows: Histories, params: Any = None) -> Future:
        """What is to come after distinct histories, in this model's unit of time (see `unit_days`).

        params: others than the fitted ones, such as draws of what they may be.
        """
        self._check_fitted("params_")
        params = self.params_ if params is None else params
        return self._module_for(rows).future(params, *self._in_units(rows))

    @property
    def _memoryless(self) -> bool:
        """Whether the future of customers who are alive depends on frequency and age alone, not on recency."""
        return False

    def _future_if_alive(self, x: Floats, T: Floats) -> Future:
        """The future, in this model's unit of time, of customers who are alive; x purchases, age T in days (n,)."""
        self._check_fitted("params_")
        assert isinstance(self.module, MemorylessModule)
        return self.module.future_if_alive(self.params_, x, T / self.unit_days)

    def _p_alive_of(self, x: Floats, t_x: Floats, T: Floats, cached: UniquePairs) -> Floats:
        """p_alive of each customer by frequency, recency and age (days), for a model that is memoryless.

        cached: keeps what depends on two of them.
        """
        self._check_fitted("params_")
        del cached
        return self.module.p_alive(self.params_, x, t_x / self.unit_days, T / self.unit_days)

    @property
    def _smallest_scale(self) -> float:
        """The smallest time that the model adds to an age, in its unit."""
        return float(min(getattr(self.params_, name, np.inf) for name in ("alpha", "beta")))

    def _objective(self, rows: Histories) -> PenalizedLikelihood[Any]:
        """What `fit` maximises over these histories. Of an Erlang model without the constant that the gaps add."""
        self._check_fitted("status_")
        prior = self.prior or ("weak" if self.status_.from_prior else None)
        return penalized_likelihood(self._module_for(rows), self._sample(rows), prior=prior)

    def _module_for(self, rows: Histories) -> PurchaseModule[Any]:
        """The maths with whatever else was learned about it, as it applies to these histories."""
        return self.module

    @property
    def name(self) -> str:
        """The model as the literature calls it."""
        return self.kind

    @property
    def unit_days(self) -> float:
        """Days in this model's unit of time."""
        return _DAYS[check_choice("time_unit", self.time_unit, tuple(_DAYS))]

    def _units(self, horizon: int | str, as_of: Any = None) -> float:
        """A horizon in this model's unit of time."""
        return horizon_days(horizon, as_of) / self.unit_days

    def _forecast(self, summary: pd.DataFrame) -> CustomerForecast:
        self._check_fitted("params_")
        return customer_forecast(self, summary)

    def _ahead(self, summary: pd.DataFrame, horizon: int | str) -> tuple[Future, Histories, float]:
        """The future of the distinct histories, where each row finds its own, and the horizon in the model's unit."""
        self._check_fitted("params_")
        rows = self._histories(summary)
        return self._future(rows), rows, self._units(horizon, summary.attrs.get("as_of"))

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
            "n_rows": self.n_rows_,
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """The model that `to_dict` told. Raises ModelError where it is not one."""
        model = cls(**settings_from(cls, saved, ("params", "covariance", "log_likelihood", "n_customers", "n_rows")))
        params = params_from(cls._saved_params(saved), saved)
        model.n_customers_, model.n_rows_ = float(saved["n_customers"]), int(saved["n_rows"])
        return model._set(params, *quality_from(saved, len(params)))

    @classmethod
    def _saved_params(cls, saved: dict[str, Any]) -> Any:
        """The type of the saved parameters."""
        return cls.module.Params
