"""Models of repeat purchases as estimators, and the way back from their saved form."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from clvml.checks import check_choice, check_whole
from clvml.errors import ModelError, OptionError, did_you_mean
from clvml.estimators.fit import fit
from clvml.estimators.histories import Histories, counts_of
from clvml.estimators.purchases.covariates import CovariateModel
from clvml.estimators.purchases.discrete import BetaGeoBetaBinomialModel
from clvml.estimators.purchases.model import PurchaseModel
from clvml.maths import HistoryModule, PurchaseModule
from clvml.maths.models import bgnbd, mbgnbd, nbd, paretonbd
from clvml.maths.models.cnbdk import Erlang
from clvml.maths.sample import Floats
from clvml.maths.unique_pairs import UniquePairs
from clvml.tables import check_summary

__all__ = [
    "BetaGeoBetaBinomialModel",
    "BetaGeoErlangModel",
    "BetaGeoModel",
    "ModifiedBetaGeoErlangModel",
    "ModifiedBetaGeoModel",
    "NBDModel",
    "ParetoNBDModel",
    "PurchaseModel",
    "purchase_model_from",
]


class BetaGeoModel(CovariateModel):
    """BG/NBD: purchases at a Gamma rate, and a chance to leave right after each repeat purchase.

    While alive, customers buy at a rate lambda ~ Gamma(r, alpha); after each repeat purchase they leave with
    probability p ~ Beta(a, b). One-time buyers are alive for certain: judge them by `p_return`.

    Parameters
    ----------
    time_unit : {'day', 'week'}, default 'day'
        The unit of `params_` and `log_likelihood_`; predictions do not depend on it.
    prior : {None, 'weak'}, default None
        'weak' for a prior that counts as much as about one customer, for samples of a few dozen.
    covariates : sequence of str, default ()
        Columns of the summary that the rate of purchases and drop-out may depend on.
    penalty : float, default 1.0
        0.5 penalty log(multiplier)^2 is taken from the log-likelihood for each effect of a covariate.

    Attributes
    ----------
    params_ : NamedTuple of r, alpha, a, b
        alpha is a time; with covariates, their multipliers too (see `effects`).
    standard_errors_, covariance_, summary_, log_likelihood_, aic_, bic_, status_, n_customers_, n_rows_
        As of every model of purchases: how sure the parameters are, and how the fit ended.

    References
    ----------
    Fader, P. S., Hardie, B. G. S. and Lee, K. L. (2005). "Counting your customers" the easy way: an alternative to the
    Pareto/NBD model. Marketing Science 24(2): the likelihood is eq. (6), expected purchases eq. (10).

    Examples
    --------
    >>> from clvml import BetaGeoModel, Transactions, load_cdnow
    >>> summary = Transactions(load_cdnow(sample=True)).summarize("1997-09-30")
    >>> model = BetaGeoModel(time_unit="week").fit(summary)
    >>> model
    BetaGeoModel(time_unit='week')
    BG/NBD, 2,349 customers, log-likelihood -9,578.20
             coef      se   95% interval
    r      0.2439  0.0126   0.22 to 0.27
    alpha   4.422   0.379   3.74 to 5.23
    a      0.7925   0.186  0.501 to 1.25
    b       2.423   0.704   1.37 to 4.28
    Converged.
    >>> print(f"{model.expected_purchases(summary, '39w').sum():,.0f} purchases in the next 39 weeks")
    1,653 purchases in the next 39 weeks
    >>> model.p_return({"frequency": 2, "recency": 213, "T": 273}, "39w").round(3)
    array([0.553])
    """

    _kind: ClassVar[str] = "BG/NBD"
    _module: ClassVar[HistoryModule[Any]] = bgnbd


class ModifiedBetaGeoModel(CovariateModel):
    """MBG/NBD: as BG/NBD, but customers may leave right after their first purchase too.

    Parameters
    ----------
    time_unit : {'day', 'week'}, default 'day'
        The unit of `params_` and `log_likelihood_`; predictions do not depend on it.
    prior : {None, 'weak'}, default None
        'weak' for a prior that counts as much as about one customer, for samples of a few dozen.
    covariates : sequence of str, default ()
        Columns of the summary that the rate of purchases and drop-out may depend on.
    penalty : float, default 1.0
        0.5 penalty log(multiplier)^2 is taken from the log-likelihood for each effect of a covariate.

    Attributes
    ----------
    params_ : NamedTuple of r, alpha, a, b
        alpha is a time; with covariates, their multipliers too (see `effects`).
    standard_errors_, covariance_, summary_, log_likelihood_, aic_, bic_, status_, n_customers_, n_rows_
        As of every model of purchases: how sure the parameters are, and how the fit ended.

    References
    ----------
    Batislam, E. P., Denizel, M. and Filiztekin, A. (2007). Empirical validation and comparison of models for customer
    base analysis. International Journal of Research in Marketing 24(3): the likelihood is eq. (5).

    Hoppe, D. and Wagner, U. (2007). Customer base analysis: the case for a central variant of the Betageometric/NBD
    model. Marketing Journal of Research and Management 3(2).

    Examples
    --------
    >>> from clvml import ModifiedBetaGeoModel, Transactions, load_cdnow
    >>> summary = Transactions(load_cdnow(sample=True)).summarize("1997-09-30")
    >>> model = ModifiedBetaGeoModel().fit(summary)
    >>> bool(model.p_alive({"frequency": 0, "recency": 0, "T": 270}) < 1.0)
    True
    """

    _kind: ClassVar[str] = "MBG/NBD"
    _module: ClassVar[HistoryModule[Any]] = mbgnbd


class ParetoNBDModel(CovariateModel):
    """Pareto/NBD: purchases at a Gamma rate while alive, and customers may leave at any time.

    While alive, customers buy at a rate lambda ~ Gamma(r, alpha); they leave at a rate mu ~ Gamma(s, beta).

    Parameters
    ----------
    time_unit : {'day', 'week'}, default 'day'
        The unit of `params_` and `log_likelihood_`; predictions do not depend on it.
    prior : {None, 'weak'}, default None
        'weak' for a prior that counts as much as about one customer, for samples of a few dozen.
    covariates : sequence of str, default ()
        Columns of the summary that the rate of purchases and drop-out may depend on.
    penalty : float, default 1.0
        0.5 penalty log(multiplier)^2 is taken from the log-likelihood for each effect of a covariate.

    Attributes
    ----------
    params_ : NamedTuple of r, alpha, s, beta
        alpha and beta are times; with covariates, their multipliers too (see `effects`).
    standard_errors_, covariance_, summary_, log_likelihood_, aic_, bic_, status_, n_customers_, n_rows_
        As of every model of purchases: how sure the parameters are, and how the fit ended.

    References
    ----------
    Schmittlein, D. C., Morrison, D. G. and Colombo, R. (1987). Counting your customers: who are they and what will they
    do next? Management Science 33(1): expected purchases are eq. (22).

    Fader, P. S. and Hardie, B. G. S. (2005). A note on deriving the Pareto/NBD model. brucehardie.com, note 009.

    Examples
    --------
    >>> from clvml import ParetoNBDModel, Transactions, load_cdnow
    >>> summary = Transactions(load_cdnow(sample=True)).summarize("1997-09-30")
    >>> model = ParetoNBDModel(time_unit="week").fit(summary)
    >>> model.summary_.loc[["r", "alpha", "s", "beta"], "coef"].round(3).tolist()
    [0.556, 10.603, 0.608, 11.737]
    """

    _kind: ClassVar[str] = "Pareto/NBD"
    _module: ClassVar[HistoryModule[Any]] = paretonbd

    def _p_alive_of(self, x: Floats, t_x: Floats, T: Floats, cached: UniquePairs) -> Floats:
        """As in PurchaseModel; an integral for each frequency and age, here those at the last purchase and now."""
        self._check_fitted("params_")
        unit = self.unit_days
        places = [cached.find(x, when) for when in (t_x, T)]
        leaving = cached.column("leaving_weight", lambda x, age: paretonbd.leaving_weight(self.params_, x, age / unit))
        early, late = (leaving[place] for place in places)
        return paretonbd.p_alive_given(self.params_, x, t_x / unit, T / unit, early, late)


class NBDModel(PurchaseModel):
    """NBD: purchases at a Gamma rate for ever; nobody leaves. A baseline, and the limit of the other models.

    Parameters
    ----------
    time_unit : {'day', 'week'}, default 'day'
        The unit of `params_` and `log_likelihood_`; predictions do not depend on it.
    prior : {None, 'weak'}, default None
        'weak' for a prior that counts as much as about one customer, for samples of a few dozen.

    Attributes
    ----------
    params_ : NamedTuple of r, alpha
        alpha is a time.
    standard_errors_, covariance_, summary_, log_likelihood_, aic_, bic_, status_, n_customers_, n_rows_
        As of every model of purchases: how sure the parameters are, and how the fit ended.

    References
    ----------
    Ehrenberg, A. S. C. (1959). The pattern of consumer purchases. Applied Statistics 8(1).

    Examples
    --------
    >>> from clvml import NBDModel, Transactions, load_cdnow
    >>> summary = Transactions(load_cdnow(sample=True)).summarize("1997-09-30")
    >>> float(NBDModel().fit(summary).p_alive(summary).min())
    1.0
    """

    _kind: ClassVar[str] = "NBD"
    _module: ClassVar[PurchaseModule[Any]] = nbd

    @property
    def _memoryless(self) -> bool:
        """As in PurchaseModel."""
        return True


class BetaGeoErlangModel(PurchaseModel):
    """BG/CNBD-k: as BG/NBD, for regular buyers, whose gaps are Erlang-k. The summary needs `log_gaps` as well.

    Parameters
    ----------
    time_unit : {'day', 'week'}, default 'day'
        The unit of `params_` and `log_likelihood_`; predictions do not depend on it.
    prior : {None, 'weak'}, default None
        'weak' for a prior that counts as much as about one customer, for samples of a few dozen.
    k : int from 1 to 12, or None
        Stages that a gap has; None, the default, to choose it by likelihood. 1 is a random gap.

    Attributes
    ----------
    params_ : NamedTuple of r, alpha, a, b
        alpha is the time of a stage, of which a purchase takes k.
    k_ : int
        Stages used.
    standard_errors_, covariance_, summary_, log_likelihood_, aic_, bic_, status_, n_customers_, n_rows_
        As of every model of purchases: how sure the parameters are, and how the fit ended.

    References
    ----------
    Reutterer, T., Platzer, M. and Schröder, N. (2021). Leveraging purchase regularity for predicting customer behavior
    the easy way. International Journal of Research in Marketing 38(1).

    Examples
    --------
    >>> from clvml import BetaGeoErlangModel, Transactions, load_cdnow
    >>> summary = Transactions(load_cdnow(sample=True)).summarize("1997-09-30")
    >>> BetaGeoErlangModel().fit(summary).k_  # CDNOW's buyers are not regular
    1
    """

    _kind: ClassVar[str] = "BG/CNBD-k"
    _module: ClassVar[PurchaseModule[Any]] = bgnbd
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
        """As every model, to `log_gaps` (the sum of the logarithms of a customer's gaps in days) too.

        Parameters
        ----------
        summary : pandas.DataFrame
            `frequency`, `recency`, `T` and `log_gaps`, as `Transactions.summarize` gives them.
        y : None
            Not used.
        sample_weight : array-like of shape (n,), optional
            Customers that each row stands for.

        Returns
        -------
        the fitted model itself

        Raises
        ------
        DataError, OptionError
        """
        del y
        prior = check_choice("prior", self.prior, (None, "weak"))
        rows = self._histories(check_summary(summary, ("log_gaps",)), sample_weight)
        log_gaps = float(counts_of(len(summary), sample_weight) @ summary["log_gaps"].to_numpy(float))
        sample = self._sample(rows)
        sample = sample._replace(log_gaps=log_gaps - sample.purchases * float(np.log(self.unit_days)))
        first, *more = range(1, MAX_STAGES + 1) if self.k is None else (check_whole("k", self.k, most=MAX_STAGES),)
        self.k_, found = first, fit(Erlang(first, self._extra_flips), sample, prior=prior)
        for k in more:
            tried = fit(Erlang(k, self._extra_flips), sample, prior=prior)
            if tried.log_likelihood <= found.log_likelihood:
                break
            self.k_, found = k, tried
        return self._learn(found, rows)

    def _check_settings(self) -> None:
        super()._check_settings()
        if self.k is not None:
            check_whole("k", self.k, most=MAX_STAGES)

    def score_samples(self, summary: pd.DataFrame) -> Floats:
        """As of every model; it needs `log_gaps` too."""
        each = super().score_samples(check_summary(summary, ("log_gaps",)))
        x, log_gaps = (summary[name].to_numpy(float) for name in ("frequency", "log_gaps"))
        return each + (self.k_ - 1) * (log_gaps - x * self._log_unit)

    def _columns(self) -> tuple[str, ...]:
        return *super()._columns(), "log_gaps"

    @property
    def _n_parameters(self) -> int:
        """With k, where it was chosen by likelihood."""
        return super()._n_parameters + (self.k is None)

    @property
    def name(self) -> str:
        """The model with its k, where it has one."""
        k = getattr(self, "k_", self.k)
        return self._kind if k is None else self._kind.replace("-k", f"-{k}")

    def _module_for(self, rows: Histories) -> Erlang:
        return Erlang(self.k_, self._extra_flips)

    def to_dict(self) -> dict[str, Any]:
        """As every model, and k."""
        return super().to_dict() | {"k": self.k_}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """The model that `to_dict` saved. Raises ModelError where it is not one."""
        model = super().from_dict(saved)
        try:
            model.k_ = check_whole("k", saved.get("k"), most=MAX_STAGES)
        except OptionError as error:
            raise ModelError(f"The saved model is damaged: {error}") from None
        return model


class ModifiedBetaGeoErlangModel(BetaGeoErlangModel):
    """MBG/CNBD-k: as BG/CNBD-k, but customers may leave right after their first purchase too.

    Parameters
    ----------
    time_unit : {'day', 'week'}, default 'day'
        The unit of `params_` and `log_likelihood_`; predictions do not depend on it.
    prior : {None, 'weak'}, default None
        'weak' for a prior that counts as much as about one customer, for samples of a few dozen.
    k : int from 1 to 12, or None
        Stages that a gap has; None, the default, to choose it by likelihood. 1 is a random gap.

    Attributes
    ----------
    params_ : NamedTuple of r, alpha, a, b
        alpha is the time of a stage, of which a purchase takes k.
    k_ : int
        Stages used.
    standard_errors_, covariance_, summary_, log_likelihood_, aic_, bic_, status_, n_customers_, n_rows_
        As of every model of purchases: how sure the parameters are, and how the fit ended.

    References
    ----------
    Reutterer, T., Platzer, M. and Schröder, N. (2021). Leveraging purchase regularity for predicting customer behavior
    the easy way. International Journal of Research in Marketing 38(1).

    Examples
    --------
    >>> from clvml import ModifiedBetaGeoErlangModel, Transactions, load_cdnow
    >>> summary = Transactions(load_cdnow(sample=True)).summarize("1997-09-30")
    >>> ModifiedBetaGeoErlangModel(k=2).fit(summary).name
    'MBG/CNBD-2'
    """

    _kind: ClassVar[str] = "MBG/CNBD-k"
    _module: ClassVar[PurchaseModule[Any]] = mbgnbd
    _extra_flips: ClassVar[float] = 1.0


MAX_STAGES = 12


_MODELS: dict[str, type[PurchaseModel]] = {
    cls.__name__: cls
    for cls in (
        BetaGeoModel,
        ModifiedBetaGeoModel,
        ParetoNBDModel,
        NBDModel,
        BetaGeoErlangModel,
        ModifiedBetaGeoErlangModel,
        BetaGeoBetaBinomialModel,
    )
}


def purchase_model_from(saved: dict[str, Any]) -> PurchaseModel:
    """The model of purchases that a `to_dict` saved, whichever it is. Raises ModelError where it is none of them."""
    name = saved.get("type") if isinstance(saved, dict) else None
    if not isinstance(name, str) or name not in _MODELS:
        raise ModelError(
            f"{name!r} is no model of purchases.{did_you_mean(str(name), _MODELS)} It is one of {', '.join(_MODELS)}."
        )
    return _MODELS[name].from_dict(saved)
