"""What every model of repeat purchases can do: a thin shell over one module of `clvml.maths`."""

from __future__ import annotations

import math
import warnings
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from clvml.checks import check_choice, check_level, check_rate, check_whole
from clvml.errors import ClvWarning, OptionError
from clvml.estimators.fit import Fit, FitStatus, PenalizedLikelihood, fit, penalized_likelihood
from clvml.estimators.fitted import FittedModel
from clvml.estimators.forecast import CustomerForecast, customer_forecast
from clvml.estimators.histories import NEW, Customers, Histories, histories_of, summary_frame
from clvml.estimators.saved import count_from
from clvml.horizon import horizon_days
from clvml.maths import MemorylessModule, PurchaseModule, discount
from clvml.maths.predictive import Future, purchases_quantile
from clvml.maths.sample import Floats, Sample, sample_of
from clvml.maths.unique_pairs import UniquePairs

__all__ = ["PurchaseModel"]

_UNIT_DAYS = {"day": 1.0, "week": 7.0}


class PurchaseModel(FittedModel[Any]):
    """What every model of repeat purchases can do. Choose one: `BetaGeoModel`, `ParetoNBDModel`, …, or by
    `clvml.compare_models`.

    Parameters
    ----------
    time_unit : {'day', 'week'}, default 'day'
        The unit of `params_` and `log_likelihood_`. Predictions do not depend on it; summaries are in days always.
    prior : {None, 'weak'}, default None
        None for maximum likelihood; 'weak' for the most probable parameters under a prior that counts as much as about
        one customer and has no unit: for samples of a few dozen.

    Attributes
    ----------
    params_, standard_errors_ : NamedTuple
        Maximum-likelihood estimates, all positive, and their standard errors (inf where not identified).
    covariance_ : numpy.ndarray of shape (k, k)
        Of the parameters.
    summary_ : pandas.DataFrame
        The parameters with standard errors and 95% intervals, one row each.
    log_likelihood_, aic_, bic_ : float
    status_ : FitStatus
        How the fit ended; `status_.value` says it in words.
    n_customers_ : float
    n_rows_ : int
        Distinct histories.
    """

    _module: ClassVar[PurchaseModule[Any]]

    n_rows_: int
    _near: Any = None
    """Parameters that a fit searches from, while `_refitted` fits."""

    def __init__(self, *, time_unit: Literal["day", "week"] = "day", prior: Literal["weak"] | None = None) -> None:
        self.time_unit = time_unit
        self.prior = prior

    def fit(self, summary: pd.DataFrame, y: None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit by maximum likelihood to distinct histories and their counts.

        Parameters
        ----------
        summary : pandas.DataFrame
            One row a customer, as `Transactions.summarize` gives it: `frequency` (repeat purchases), `recency` (age at
            the last purchase, days) and `T` (age now, days).
        y : None
            Not used; scikit-learn's pipelines pass it.
        sample_weight : array-like of shape (n,), optional
            Customers that each row stands for; the same as repeating the row.

        Returns
        -------
        the fitted model itself

        Raises
        ------
        DataError
            Where the summary breaks its contract, with how many rows and the first of them.
        OptionError
            For a setting that does not exist.
        """
        del y
        prior = check_choice("prior", self.prior, (None, "weak"))
        rows = self._histories(summary, sample_weight)
        return self._learn(fit(self._module_for(rows), self._sample(rows), prior=prior, near=self._near), rows)

    def _refitted(self, summary: pd.DataFrame) -> Self:
        """The same settings fitted to much the same customers: as a fit of its own, but sooner, as the search begins at
        these parameters.
        """
        self._check_fitted("params_")
        other = type(self)(**self.get_params(deep=False))
        other._near = self.params_ if self.status_ is FitStatus.CONVERGED else None
        other.fit(summary)
        del other._near
        return other

    def p_alive(self, summary: Customers) -> Floats:
        """Probability of not having left by `as_of`. A property of the model: act on `p_return` instead.

        Parameters
        ----------
        summary : pandas.DataFrame, pandas.Series or dict
            Customers with `frequency`, `recency` and `T` in days; a Series or dict is a single customer.

        Returns
        -------
        numpy.ndarray of shape (n,)
            In the summary's order; one entry for a single customer.

        Raises
        ------
        DataError, NotFittedError
        """
        return self._forecast(summary).p_alive

    def p_return(self, summary: Customers, horizon: int | str) -> Floats:
        """Probability of at least one purchase within the horizon.

        Parameters
        ----------
        summary : pandas.DataFrame, pandas.Series or dict
            As of `p_alive`.
        horizon : int or str
            Days, or text such as '39w', '12m' or '1y'; months and years are those of the calendar from `as_of`, which
            the summary's attrs (of a single customer, the key `as_of`) must then say.

        Returns
        -------
        numpy.ndarray of shape (n,)

        Raises
        ------
        DataError, NotFittedError, OptionError
        """
        return self._forecast(summary).p_return(horizon)

    def expected_purchases(self, summary: Customers, horizon: int | str) -> Floats:
        """Expected number of purchases within the horizon.

        Parameters
        ----------
        summary : pandas.DataFrame, pandas.Series or dict
            As of `p_alive`.
        horizon : int or str
            As of `p_return`.

        Returns
        -------
        numpy.ndarray of shape (n,)

        Raises
        ------
        DataError, NotFittedError, OptionError
        """
        return self._forecast(summary).expected_purchases(horizon)

    def discounted_purchases(self, summary: Customers, horizon: int | str | None, discount_rate: float) -> Floats:
        """Expected purchases, each counted as 1 / (1 + discount_rate)^(years from as_of).

        Parameters
        ----------
        summary : pandas.DataFrame, pandas.Series or dict
            As of `p_alive`.
        horizon : int, str or None
            As of `p_return`; None for perpetuity: the discounted expected residual transactions, DERT.
        discount_rate : float
            A year, at least 0: 0.10 is 10%.

        Returns
        -------
        numpy.ndarray of shape (n,)

        Raises
        ------
        DataError, NotFittedError
        OptionError
            Also for perpetuity at a rate of 0, which has no finite sum.
        """
        rate = discount.daily_rate(check_rate(discount_rate))
        if horizon is None and rate == 0.0:
            raise OptionError(
                "Purchases for ever have no finite sum at discount_rate=0. Give a horizon, or a rate above 0."
            )
        return self._forecast(summary).discounted_purchases(horizon, rate)

    def pmf(self, summary: Customers, n: int, horizon: int | str) -> Floats:
        """Probability of exactly n purchases within the horizon.

        Parameters
        ----------
        summary : pandas.DataFrame, pandas.Series or dict
            As of `p_alive`.
        n : int
            A number of purchases, from 0.
        horizon : int or str
            As of `p_return`.

        Returns
        -------
        numpy.ndarray of shape (n,)

        Raises
        ------
        DataError, NotFittedError, OptionError
        """
        count = check_whole("n", n, least=0)
        ahead, rows, t = self._ahead(summary, horizon)
        return ahead.pmf(float(count), t)[rows.place]

    def purchases_interval(self, summary: Customers, horizon: int | str, level: float = 0.9) -> tuple[Floats, Floats]:
        """Central predictive interval of the number of purchases: of the count itself, not of its mean.

        Parameters
        ----------
        summary : pandas.DataFrame, pandas.Series or dict
            As of `p_alive`.
        horizon : int or str
            As of `p_return`.
        level : float, default 0.9
            Probability that the interval is to hold; counts are whole, so it holds at least that.

        Returns
        -------
        low, high : numpy.ndarray of shape (n,)

        Raises
        ------
        DataError, NotFittedError, OptionError
        """
        below = 0.5 * (1.0 - check_level(level))
        ahead, rows, t = self._ahead(summary, horizon)
        return purchases_quantile(ahead, t, below)[rows.place], purchases_quantile(ahead, t, 1.0 - below)[rows.place]

    def score_samples(self, summary: pd.DataFrame) -> Floats:
        """Log-likelihood of each customer's history, whose times are in days whatever `time_unit` is.

        Parameters
        ----------
        summary : pandas.DataFrame
            As of `fit`.

        Returns
        -------
        numpy.ndarray of shape (n,)
            Comparable between models, and with other units of time; see `score`.

        Raises
        ------
        DataError, NotFittedError
        """
        self._check_fitted("params_")
        rows = self._histories(summary)
        each = self._module_for(rows).log_likelihood(self.params_, *self._in_units(rows))
        return (each - rows.x * self._log_unit)[rows.place]

    def expected_purchases_new(self, horizon: int | str) -> float:
        """Expected repeat purchases, within the horizon, of customers who have just made their first purchase.

        Parameters
        ----------
        horizon : int or str
            Days or weeks, as of `p_return`.

        Returns
        -------
        float

        Raises
        ------
        NotFittedError, OptionError
        """
        self._check_fitted("params_")
        return float(self._future(NEW).expected(self._units(horizon))[0])

    def median_wait(self, summary: Customers) -> Floats:
        """Median days from as_of to the next purchase, given that the customer is alive.

        Parameters
        ----------
        summary : pandas.DataFrame, pandas.Series or dict
            As of `p_alive`.

        Returns
        -------
        numpy.ndarray of shape (n,)
            Days; inf where no purchase is to be expected.

        Raises
        ------
        DataError, NotFittedError
        """
        return self._forecast(summary).median_wait()

    def _columns(self) -> tuple[str, ...]:
        return "frequency", "recency", "T"

    @property
    def _log_unit(self) -> float:
        """What the density of a purchase gains by the unit of time."""
        return math.log(self.unit_days)

    @property
    def unit_days(self) -> float:
        """Days in this model's unit of time."""
        return _UNIT_DAYS[check_choice("time_unit", self.time_unit, tuple(_UNIT_DAYS))]

    def _check_settings(self) -> None:
        check_choice("prior", self.prior, (None, "weak"))
        _ = self.unit_days  # refuses a unit that is none

    def to_dict(self) -> dict[str, Any]:
        """As every model, and the number of distinct histories."""
        return super().to_dict() | {"n_rows": self.n_rows_}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """The model that `to_dict` saved. Raises ModelError where it is not one."""
        model = super().from_dict(saved)
        model.n_rows_ = count_from(saved, "n_rows")
        return model

    @classmethod
    def _params_type(cls, saved: dict[str, Any]) -> type[Any]:
        return cls._module.Params

    # What the other parts of the package ask of a model, in arrays.

    def _histories(self, summary: pd.DataFrame, sample_weight: ArrayLike | None = None) -> Histories:
        """The distinct histories of a summary, as far as they matter to this model."""
        return histories_of(summary, sample_weight)

    def _in_units(self, rows: Histories) -> tuple[Floats, Floats, Floats]:
        """x, t_x, T of the histories in this model's unit of time."""
        unit = self.unit_days
        return rows.x, rows.t_x / unit, rows.T / unit

    def _sample(self, rows: Histories) -> Sample:
        return sample_of(*self._in_units(rows), rows.weight)

    def _learn(self, found: Fit[Any], rows: Histories) -> Self:
        _tell_of_units(rows)
        self.n_customers_, self.n_rows_ = float(rows.weight.sum()), rows.x.size
        return self._set(found)

    def _module_for(self, rows: Histories) -> PurchaseModule[Any]:
        """The formulas with whatever else was learned about them, as they apply to these histories."""
        return self._module

    def _units(self, horizon: int | str, as_of: Any = None) -> float:
        """A horizon in this model's unit of time."""
        return horizon_days(horizon, as_of) / self.unit_days

    def _future(self, rows: Histories, params: Any = None) -> Future:
        """What is to come after distinct histories, in this model's unit of time (see `unit_days`).

        params: others than the fitted ones, such as draws of what they may be.
        """
        self._check_fitted("params_")
        params = self.params_ if params is None else params
        return self._module_for(rows).future(params, *self._in_units(rows))

    def _forecast(self, summary: Customers) -> CustomerForecast:
        self._check_fitted("params_")
        return customer_forecast(self, summary_frame(summary))

    def _ahead(self, summary: Customers, horizon: int | str) -> tuple[Future, Histories, float]:
        """The future of the distinct histories, where each row finds its own, and the horizon in the model's unit."""
        self._check_fitted("params_")
        frame = summary_frame(summary)
        rows = self._histories(frame)
        return self._future(rows), rows, self._units(horizon, frame.attrs.get("as_of"))

    @property
    def _memoryless(self) -> bool:
        """Whether the future of customers who are alive depends on frequency and age alone, not on recency."""
        return False

    def _future_if_alive(self, x: Floats, T: Floats) -> Future:
        """The future, in this model's unit of time, of customers who are alive; x purchases, age T in days (n,)."""
        assert isinstance(self._module, MemorylessModule)
        return self._module.future_if_alive(self.params_, x, T / self.unit_days)

    def _p_alive_of(self, x: Floats, t_x: Floats, T: Floats, cached: UniquePairs) -> Floats:
        """p_alive of each customer by frequency, recency and age (days), for a model that is memoryless.

        cached: keeps what depends on two of them.
        """
        del cached
        return self._module.p_alive(self.params_, x, t_x / self.unit_days, T / self.unit_days)

    @property
    def _smallest_scale(self) -> float:
        """The smallest time that the model adds to an age, in its unit."""
        return float(min(getattr(self.params_, name, np.inf) for name in ("alpha", "beta")))

    def _objective(self, rows: Histories) -> PenalizedLikelihood[Any]:
        """What `fit` maximises over these histories. Of an Erlang model without the constant that the gaps add."""
        self._check_fitted("status_")
        prior = self.prior or ("weak" if self.status_.from_prior else None)
        return penalized_likelihood(self._module_for(rows), self._sample(rows), prior=prior)


def _tell_of_units(rows: Histories) -> None:
    """Warns of times that are hardly days."""
    odd = ((rows.t_x % 1 != 0) | (rows.T % 1 != 0) | (rows.x > rows.t_x)) & (rows.weight > 0)
    if not odd.any():
        return
    first, n = int(odd.argmax()), f"{rows.weight[odd].sum():,.0f} of {rows.weight.sum():,.0f}"
    shown = f"frequency={rows.x[first]:g}, recency={rows.t_x[first]:g}, T={rows.T[first]:g}"
    warnings.warn(
        f"recency and T do not look like days for {n} customers, such as {shown}: they are no whole numbers, or there "
        "were more repeat purchases than days between the first and the last. A summary is in days, and so are "
        "horizons: multiply weeks by 7. time_unit='week' is the unit of params_ alone.",
        ClvWarning,
        stacklevel=3,
    )
