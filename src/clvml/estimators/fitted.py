"""What every fitted model of a likelihood shows and saves: its parameters, how sure they are, and how the fit ended."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from clvml.display import Figure, card, table_of
from clvml.errors import DataError, ModelError, OptionError
from clvml.estimators.base import Estimator
from clvml.estimators.fit import Fit, FitStatus
from clvml.estimators.histories import counts_of
from clvml.estimators.saved import (
    ESTIMATOR_FORMAT,
    customers_from,
    gain_from,
    jsonable,
    params_from,
    quality_from,
    settings_from,
)
from clvml.maths.metrics import NORMAL_95
from clvml.maths.sample import Floats, Parameters

__all__ = ["FittedModel", "LikelihoodScore"]

P = TypeVar("P", bound=Parameters)

_SAVED_KEYS = ("params", "covariance", "log_likelihood", "n_customers")


class LikelihoodScore(ABC):
    """`score` by likelihood, in the manner of scikit-learn's density estimators."""

    @abstractmethod
    def score_samples(self, summary: pd.DataFrame) -> Floats:
        """Log-likelihood of each customer."""

    def score(self, summary: pd.DataFrame, y: None = None, sample_weight: ArrayLike | None = None) -> float:
        """Mean log-likelihood per customer: what `cross_val_score` and `GridSearchCV` compare models by.

        Parameters
        ----------
        summary : pandas.DataFrame
            Customers, as of `fit`; others than the model was fitted to, for a fair figure.
        y : None
            Not used; scikit-learn's pipelines pass it.
        sample_weight : array-like of shape (n,), optional
            Customers that each row stands for.

        Returns
        -------
        float

        Raises
        ------
        DataError, NotFittedError
        """
        del y
        weight = counts_of(len(summary), sample_weight) * self._counts(summary)
        if not weight.any():
            raise DataError(
                f"None of the {len(summary):,} customers shows anything that {type(self).__name__} explains, so there "
                "is no score. Use more customers, or fewer folds."
            )
        return float(weight @ self.score_samples(summary) / weight.sum())

    def _counts(self, summary: pd.DataFrame) -> Floats:
        """1 for customers who count in `score`, else 0."""
        return np.ones(len(summary))


class FittedModel(LikelihoodScore, Estimator, Generic[P]):
    """A model fitted by maximum likelihood: `summary_`, `aic_`, `bic_`, a `repr` that shows it, and its saved form."""

    _kind: ClassVar[str]
    _fitted: ClassVar[str] = "params_"

    params_: P
    covariance_: Floats
    standard_errors_: P
    log_likelihood_: float
    status_: FitStatus
    _dropout_gain: float
    n_customers_: float

    @property
    def name(self) -> str:
        """The model as the literature calls it."""
        return self._kind

    @property
    def summary_(self) -> pd.DataFrame:
        """Parameters, one row each: `coef`, `se` (standard error), `low` and `high` (95% interval), `z` (coef / se).

        Parameters are positive, so intervals are those of their logarithms, exp(log coef -+ 1.96 se / coef); from 0 to
        inf where the data do not identify a parameter.
        """
        self._check_fitted("params_")
        coef, se = (np.array([*v], dtype=np.float64) for v in (self.params_, self.standard_errors_))
        with np.errstate(over="ignore", divide="ignore"):
            factor = np.exp(NORMAL_95 * se / coef)
            columns = {"coef": coef, "se": se, "low": coef / factor, "high": coef * factor, "z": coef / se}
        return pd.DataFrame(columns, index=pd.Index(self.params_._fields, name="parameter"))

    @property
    def aic_(self) -> float:
        """Akaike's information criterion, 2 k - 2 log-likelihood with k parameters; lower is better."""
        self._check_fitted("params_")
        return 2.0 * (self._n_parameters - self.log_likelihood_)

    @property
    def bic_(self) -> float:
        """The Bayesian information criterion, k log(n_customers_) - 2 log-likelihood; lower is better."""
        self._check_fitted("params_")
        return math.log(self.n_customers_) * self._n_parameters - 2.0 * self.log_likelihood_

    @property
    def _n_parameters(self) -> int:
        """How many numbers were chosen by likelihood."""
        return len(self.params_)

    def __repr__(self) -> str:
        """The settings that differ from their defaults; once fitted, the parameters and what they are worth too."""
        if not hasattr(self, "params_"):
            return super().__repr__()
        table = self.summary_
        shown = pd.DataFrame(
            {
                "coef": table["coef"].map("{:.4g}".format),
                "se": table["se"].map(_rounded),
                "95% interval": [f"{_rounded(low)} to {_rounded(high)}" for low, high in table[["low", "high"]].values],
            }
        ).rename_axis(None)
        customers = f"{self.n_customers_:,.0f} customers" if self.n_customers_ else "customers unknown"
        return (
            f"{super().__repr__()}\n{self.name}, {customers}, log-likelihood {self.log_likelihood_:,.2f}\n"
            f"{shown.to_string()}\n{self._ending}"
        )

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        if not hasattr(self, "params_"):
            return card(super().__repr__())
        rows = [
            (str(name), f"{row['coef']:.4g}", _rounded(row["se"]), f"{_rounded(row['low'])} to {_rounded(row['high'])}")
            for name, row in self.summary_.iterrows()
        ]
        return card(
            self.name,
            figures=(
                Figure("customers", f"{self.n_customers_:,.0f}" if self.n_customers_ else "unknown"),
                Figure("log-likelihood", f"{self.log_likelihood_:,.2f}"),
                Figure("AIC", f"{self.aic_:,.1f}"),
            ),
            tables=(table_of("", ("parameter", "estimate", "standard error", "95% interval"), rows),),
            notes=(super().__repr__(), self._ending),
        )

    @abstractmethod
    def _check_settings(self) -> None:
        """Raise OptionError for a setting that is none."""

    def _set(self, found: Fit[P]) -> Self:
        self.params_, self.covariance_ = found.params, found.covariance
        self.standard_errors_ = type(found.params)(*(float(v) for v in np.sqrt(np.diag(found.covariance))))
        self.log_likelihood_, self.status_ = found.log_likelihood, found.status
        self._dropout_gain = found.dropout_gain
        return self

    @property
    def _ending(self) -> str:
        """How the fit ended, in words; of a limit without drop-out also what it gave up for it."""
        self._check_fitted("status_")
        words = str(self.status_.value)
        if self.status_ is not FitStatus.NO_DROPOUT:
            return words
        return f"{words} With drop-out the log-likelihood would be {self._dropout_gain:.2f} higher."

    def to_dict(self) -> dict[str, Any]:
        """Everything needed to predict, as JSON knows it.

        Returns
        -------
        dict
            Type, settings, parameters, covariance (None where a variance is infinite), log-likelihood, status and
            counts: no code, no customers.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        self._check_fitted("params_")
        return {
            "type": type(self).__name__,
            "format": ESTIMATOR_FORMAT,
            "settings": self.get_params(),
            "params": self.params_._asdict(),
            "covariance": jsonable(self.covariance_),
            "log_likelihood": self.log_likelihood_,
            "status": self.status_.name,
            "dropout_gain": self._dropout_gain,
            "n_customers": self.n_customers_,
        }

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """The model that `to_dict` saved.

        Parameters
        ----------
        saved : dict
            As `to_dict` returns it.

        Returns
        -------
        the fitted model

        Raises
        ------
        ModelError
            Where it is not a saved model of this class: another type or format, a number missing or out of range.
        """
        model = cls(**settings_from(cls, saved, _SAVED_KEYS))
        try:
            model._check_settings()
        except OptionError as error:
            raise ModelError(f"The saved model is damaged: {error}") from None
        params = params_from(cls._params_type(saved), saved)
        model.n_customers_ = customers_from(saved, "n_customers")
        gain = gain_from(saved)
        return model._set(Fit(params, *quality_from(saved, len(params)), evaluations=0, dropout_gain=gain))

    @classmethod
    @abstractmethod
    def _params_type(cls, saved: dict[str, Any]) -> type[P]:
        """The type of a saved model's parameters."""


def _rounded(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "unknown"
