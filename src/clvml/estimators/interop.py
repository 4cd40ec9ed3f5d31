"""To and from fitters of lifetimes, so that notebooks written for it go on working. Only this file imports lifetimes.

lifetimes mutes FutureWarning for the whole process and sets an option of pandas when it is imported; both are put back.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NoReturn

import numpy as np
import pandas as pd

from clvml.errors import ClvWarning, DataError, ModelError, OptionError, did_you_mean
from clvml.estimators.baselines import Forecast
from clvml.estimators.fit import FitStatus, natural_covariance
from clvml.estimators.purchases.covariates import CovariateModel
from clvml.estimators.purchases.models import BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel, PurchaseModel
from clvml.estimators.saved import ESTIMATOR_FORMAT, jsonable
from clvml.estimators.spend import GammaGammaModel
from clvml.maths.models import gammagamma
from clvml.maths.models.gammagamma import spend_of
from clvml.maths.sample import Floats, Objective, sample_of
from clvml.tables import check_summary

__all__ = ["from_lifetimes", "lifetimes_forecast", "to_lifetimes"]

_FITTERS: dict[type[PurchaseModel] | type[GammaGammaModel], str] = {
    BetaGeoModel: "BetaGeoFitter",
    ModifiedBetaGeoModel: "ModifiedBetaGeoFitter",
    ParetoNBDModel: "ParetoNBDFitter",
    GammaGammaModel: "GammaGammaFitter",
}
_GENERATORS = {
    "BetaGeoFitter": "beta_geometric_nbd_model",
    "ModifiedBetaGeoFitter": "modified_beta_geometric_nbd_model",
    "ParetoNBDFitter": "pareto_nbd_model",
}
"""What draws new customers, in lifetimes.generate_data."""

_MAX_NEWTON_GAIN = 0.01
"""A maximum is where one more Newton step would gain less log-likelihood than this."""


def to_lifetimes(model: PurchaseModel | GammaGammaModel, summary: pd.DataFrame | None = None) -> Any:
    """The lifetimes fitter with this model's parameters, in this model's unit of time, and with its standard errors.

    Parameters
    ----------
    model : BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel or GammaGammaModel
        Fitted.
    summary : pandas.DataFrame, optional
        The customers (a clvml summary, in days), for plots that draw them or take their range from them; a model keeps
        no customers, so without it `max_frequency` and `max_recency` must be given to a plot.

    Returns
    -------
    lifetimes.BetaGeoFitter, ModifiedBetaGeoFitter, ParetoNBDFitter or GammaGammaFitter

    Raises
    ------
    ModelError
        For a model that lifetimes does not have, such as one with covariates.
    NotFittedError

    Examples
    --------
    >>> from clvml import BetaGeoModel, Transactions, interop, load_cdnow
    >>> summary = Transactions(load_cdnow(sample=True)).summarize("1997-09-30")
    >>> model = BetaGeoModel(time_unit="week").fit(summary)
    >>> fitter = interop.to_lifetimes(model, summary)
    >>> fitter
    <lifetimes.BetaGeoFitter: fitted with 2349 subjects, a: 0.79, alpha: 4.42, b: 2.42, r: 0.24>
    >>> interop.from_lifetimes(fitter, time_unit="week").params_ == model.params_
    True
    """
    name = _FITTERS.get(type(model))
    if name is None:
        known = ", ".join(cls.__name__ for cls in _FITTERS)
        raise ModelError(f"lifetimes has no counterpart of {type(model).__name__}. It has one of: {known}.")
    model._check_fitted("params_")
    if isinstance(model, CovariateModel) and model.coded_:
        raise ModelError("lifetimes knows no covariates. Fit the model without them first.")
    if isinstance(model, GammaGammaModel) and model.slope_.value:
        raise ModelError("lifetimes has no spend that depends on frequency. Fit without frequency_effect to export it.")
    with _lifetimes("lifetimes") as lifetimes:
        fitter = getattr(lifetimes, name)(penalizer_coef=0.0)
    names = list(model.params_._fields)
    fitter.params_ = pd.Series(model.params_._asdict())
    if np.isfinite(model.covariance_).all():
        fitter.variance_matrix_ = pd.DataFrame(model.covariance_, index=names, columns=names)
        fitter.standard_errors_ = pd.Series(model.standard_errors_._asdict())
        fitter.confidence_intervals_ = fitter._compute_confidence_intervals()
    fitter.data = _NoCustomers() if summary is None else _customers(model, summary)
    if isinstance(model, PurchaseModel):
        fitter.predict = fitter.conditional_expected_number_of_purchases_up_to_time
        if summary is not None:
            fitter.generate_new_data = _generator(name, model, fitter.data["T"].to_numpy())
    return fitter


def from_lifetimes(fitter: Any, time_unit: Literal["day", "week"] = "day") -> PurchaseModel | GammaGammaModel:
    """The clvml model with a lifetimes fitter's parameters; predictions then take summaries in days.

    Standard errors, covariance and log-likelihood are computed anew from the customers that the fitter keeps (those of
    lifetimes are wrong off the diagonal); where it keeps none, or its parameters are not those of maximum likelihood,
    they are missing and a ClvWarning says so. So does one where the customers that it keeps do not look like days.

    Parameters
    ----------
    fitter : lifetimes.BetaGeoFitter, ModifiedBetaGeoFitter, ParetoNBDFitter or GammaGammaFitter
        Fitted.
    time_unit : {'day', 'week'}, default 'day'
        In which the fitter was fitted ("D" or "W" of lifetimes); of no account to Gamma-Gamma.

    Returns
    -------
    BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel or GammaGammaModel

    Raises
    ------
    ModelError
        For anything but such a fitter, fitted.
    """
    cls = _counterpart(fitter)
    params = _params(fitter, cls)
    saved = {"type": cls.__name__, "format": ESTIMATOR_FORMAT, "params": params, "n_excluded": 0.0} | _quality(
        fitter, cls, params
    )
    saved["settings"] = {} if cls is GammaGammaModel else {"time_unit": time_unit}
    if cls is not GammaGammaModel and time_unit == "day":
        _tell_of_weeks(fitter)
    model: PurchaseModel | GammaGammaModel = cls.from_dict(saved)
    return model


def _quality(fitter: Any, cls: Any, params: dict[str, float]) -> dict[str, Any]:
    """What the customers that the fitter keeps say of its parameters, as `to_dict` saves it."""
    data = getattr(fitter, "data", None)
    unknown = jsonable(np.diag([math.inf] * len(params)))
    saved = {"covariance": unknown, "log_likelihood": None, "status": FitStatus.TAKEN_OVER.name}
    if not isinstance(data, pd.DataFrame):
        _warn(fitter, "it keeps no customers")
        return saved | {"n_customers": 0.0, "n_rows": 0}
    histories = [c for c in ("frequency", "recency", "T") if c in data.columns]
    counts = {"n_customers": float(_weights(data).sum()), "n_rows": len(data.drop_duplicates(histories))}
    found = (_of_spend if cls is GammaGammaModel else _of_purchases)(cls, params, data)
    covariance = _covariance(params, found)
    if covariance is None:
        _warn(fitter, "its parameters are not those of maximum likelihood (a penalizer, or a fit that stopped early)")
        return saved | counts | {"log_likelihood": found.value}
    status = FitStatus.CONVERGED.name
    return counts | {"covariance": jsonable(covariance), "log_likelihood": found.value, "status": status}


def _tell_of_weeks(fitter: Any) -> None:
    """Warns of a fitter whose customers have times that are hardly days."""
    data = getattr(fitter, "data", None)
    if not isinstance(data, pd.DataFrame) or not {"frequency", "recency", "T"} <= set(data.columns):
        return
    x, t_x, T = (data[name].to_numpy(np.float64) for name in ("frequency", "recency", "T"))
    odd = (t_x % 1 != 0) | (T % 1 != 0) | (x > t_x)
    if odd.any():
        warnings.warn(
            f"recency and T do not look like days for {odd.sum():,} of {odd.size:,} customers of this "
            f"{type(fitter).__name__}. If it was fitted in weeks, say so with time_unit='week'; otherwise 39 weeks "
            "ahead are taken for 273.",
            ClvWarning,
            stacklevel=3,
        )


class _NoCustomers:
    """Stands where a fitter of lifetimes has its customers, and says how to give it some."""

    _ADVICE = "This needs the customers: to_lifetimes(model, summary) takes them along."

    def __getitem__(self, name: str) -> NoReturn:
        raise DataError(self._ADVICE)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(self._ADVICE)


def _imported(module: str) -> Any:
    if importlib.util.find_spec("lifetimes") is None:
        raise OptionError("lifetimes is not installed. Nothing else needs it: pip install lifetimes.")
    return importlib.import_module(module)


@contextmanager
def _lifetimes(module: str) -> Iterator[Any]:
    """A module of lifetimes; warning filters and pandas' option are afterwards what they were before its import."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of lifetimes' own import, which no caller of ours can mend
        try:
            before = pd.get_option("mode.chained_assignment")
        except pd.errors.OptionError:  # pandas 4 has it no longer
            yield _imported(module)
            return
        try:
            yield _imported(module)
        finally:
            pd.set_option("mode.chained_assignment", before)


def _customers(model: PurchaseModel | GammaGammaModel, summary: pd.DataFrame) -> pd.DataFrame:
    """The columns that a fitter of lifetimes keeps, in the model's unit of time."""
    if isinstance(model, GammaGammaModel):
        check_summary(summary, ("frequency", "monetary_value"))
        kept = summary.loc[
            (summary["frequency"] > 0) & (summary["monetary_value"] > 0), ["monetary_value", "frequency"]
        ]
        return kept.assign(weights=1)
    check_summary(summary, ("frequency", "recency", "T"))
    unit = model.unit_days
    columns = {"frequency": summary["frequency"], "recency": summary["recency"] / unit, "T": summary["T"] / unit}
    return pd.DataFrame(columns | {"weights": 1}, index=summary.index)


def _generator(name: str, model: PurchaseModel, ages: Floats) -> Any:
    """New customers drawn by lifetimes, as its plots call it."""
    with _lifetimes("lifetimes.generate_data") as generate:
        draw = getattr(generate, _GENERATORS[name])
    return lambda size=1: draw(ages, *model.params_, size=size)


def _counterpart(fitter: Any) -> Any:
    home, name = type(fitter).__module__.partition(".")[0], type(fitter).__name__
    for cls, known in _FITTERS.items():
        if home == "lifetimes" and name == known:
            return cls
    raise ModelError(
        f"{name} is no fitter of lifetimes that clvml has a model for.{did_you_mean(name, _FITTERS.values())} "
        f"It has one for: {', '.join(_FITTERS.values())}."
    )


def _params(fitter: Any, cls: Any) -> dict[str, float]:
    """Parameters by name, all finite and above 0."""
    saved = getattr(fitter, "params_", None)
    if saved is None:
        raise ModelError(f"This {type(fitter).__name__} has no params_: fit it first.")
    names = gammagamma.Params._fields if cls is GammaGammaModel else cls._module.Params._fields
    params = {name: float(saved[name]) for name in names if name in saved}
    bad = [name for name in names if not 0.0 < params.get(name, math.nan) < math.inf]
    if bad:
        raise ModelError(
            f"params_['{bad[0]}'] = {params.get(bad[0])} is no number above 0. Fit the {type(fitter).__name__} again."
        )
    return params


def _weights(data: pd.DataFrame) -> Floats:
    return data["weights"].to_numpy(float) if "weights" in data.columns else np.ones(len(data))


def _of_purchases(cls: Any, params: dict[str, float], data: pd.DataFrame) -> Objective:
    """Log-likelihood of the customers kept, with its derivatives in the logarithms of the parameters."""
    sample = sample_of(data["frequency"], data["recency"], data["T"], _weights(data))
    found: Objective = cls._module.value_gradient_hessian(cls._module.Params(**params), sample)
    return found


def _of_spend(cls: Any, params: dict[str, float], data: pd.DataFrame) -> Objective:
    """The same of Gamma-Gamma, which is computed in units of the mean amount."""
    del cls
    sample = spend_of(data["frequency"].to_numpy(float), data["monetary_value"].to_numpy(float), _weights(data))
    scaled = gammagamma.Params(**params)._replace(v=params["v"] / sample.unit)
    found = gammagamma.value_gradient_hessian(scaled, sample)
    return found._replace(value=found.value - sample.customers * math.log(sample.unit))


def _covariance(params: dict[str, float], found: Objective) -> Floats | None:
    """Of the parameters, where they are a maximum of the likelihood; else None."""
    theta = np.log(list(params.values()))
    covariance = natural_covariance(theta, found.hessian)
    if not np.isfinite(covariance).all():
        return None
    slope = found.gradient / np.exp(theta)
    return covariance if 0.5 * float(slope @ covariance @ slope) < _MAX_NEWTON_GAIN else None


def _warn(fitter: Any, why: str) -> None:
    warnings.warn(
        f"The parameters of this {type(fitter).__name__} were taken over without standard errors or covariance: {why}. "
        "Fit the clvml model to a summary to have them.",
        ClvWarning,
        stacklevel=4,
    )


def lifetimes_forecast(frame: pd.DataFrame, days: int) -> Forecast:
    """BG/NBD and Gamma-Gamma as the documentation of lifetimes uses them: fitted by lifetimes, predicted by lifetimes.

    Its churn score is P(alive). Where a fit does not converge, the penalizer that its error message asks for is
    raised step by step.

    Parameters
    ----------
    frame : pandas.DataFrame
        A summary: `frequency`, `recency`, `T` (days) and `monetary_value`.
    days : int
        How far ahead.

    Returns
    -------
    Forecast
        Purchases, spend and P(alive), arrays of shape (n,).

    Raises
    ------
    ModelError
        Where no penalizer helps.
    """
    x, t_x, T = (frame[name].to_numpy(dtype=np.float64) for name in ("frequency", "recency", "T"))
    money = frame["monetary_value"].to_numpy(dtype=np.float64)
    again = (x > 0) & (money > 0)
    with _lifetimes("lifetimes") as lifetimes, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own overflows and deprecations, which are what is being measured
        orders = _fitted(lifetimes.BetaGeoFitter, x, t_x, T)
        spend = _fitted(lifetimes.GammaGammaFitter, x[again], money[again])
        purchases = np.asarray(
            orders.conditional_expected_number_of_purchases_up_to_time(days, x, t_x, T), dtype=np.float64
        )
        ticket = np.asarray(spend.conditional_expected_average_profit(x, money), dtype=np.float64)
        alive = np.asarray(orders.conditional_probability_alive(x, t_x, T), dtype=np.float64)
    return Forecast(np.nan_to_num(purchases), np.nan_to_num(purchases * ticket), np.nan_to_num(alive))


def _fitted(fitter: Any, *columns: Floats) -> Any:
    """A fitter of lifetimes with the smallest penalizer with which it converges."""
    for penalizer in (0.0, 0.001, 0.01, 0.1):
        try:
            return fitter(penalizer_coef=penalizer).fit(*columns)
        except Exception as error:  # noqa: BLE001  ConvergenceError and whatever its optimiser throws
            last = error
    raise ModelError(
        f"lifetimes' {fitter.__name__} does not converge on these customers, with any penalizer up to 0.1: {last}"
    )
