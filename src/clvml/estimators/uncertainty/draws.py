"""How sure the parameters are: draws from their posterior, or from a bootstrap, in a second or two.

Laplace: a t-distribution with the curvature of the likelihood at its maximum, in log-parameters, corrected by
importance weights (Tierney & Kadane 1986; Geweke 1989) whose effective sample size is told. Bootstrap: customers are
drawn anew as multinomial counts of the distinct histories, and each fit starts from the maximum (Efron 1979). Both cost
what the distinct rows cost, not the customers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from clvml.checks import check_choice, check_whole
from clvml.estimators.fit import fit_spend, maximise
from clvml.estimators.purchases.model import PurchaseModel
from clvml.estimators.spend import GammaGammaModel
from clvml.maths.models import gammagamma
from clvml.maths.models.gammagamma import spend_of
from clvml.maths.sample import Floats, sample_of

__all__ = ["ParameterDraws", "bootstrap_draws", "laplace_draws", "parameter_draws"]

_HEAVIER = 7.0
"""Degrees of freedom of the proposals: tails heavier than the posterior's keep the weights bounded."""
_BUDGET = 3e7
"""Histories times draws that are weighed, a few seconds: larger data need fewer draws, for they leave less to draw."""
_FAR = 12.0
"""Log-parameters further from the estimate than this are those of limits; `fit` looks no further either."""
_LEAST = 100
"""Draws that are weighed in any case."""
_POOR = 0.1
"""Below this share of effective draws the posterior is too unlike a normal one, and the bootstrap is used."""
_REFITS = 200
"""Refits where the bootstrap stands in for Laplace; each is used several times where more draws are asked for."""
_DELTA = 1e-3
"""Step of the differences, in standard deviations."""
_SETTLED = 1e-3
"""A Newton step that promises less log-likelihood than this says that the parameters were learned from these rows."""


@dataclass(frozen=True)
class ParameterDraws:
    """Equally likely parameters of a model."""

    values: Floats
    """(draws, k), in the order of the model's params_."""
    names: tuple[str, ...]
    method: str
    """'laplace' (weighed by the likelihood), 'normal' (not weighed: the rows are not those of the fit), 'bootstrap'."""
    effective: float
    """Effective sample size of the importance weights; the number of draws where there are none."""

    def to_frame(self) -> pd.DataFrame:
        """One column a parameter."""
        return pd.DataFrame(self.values, columns=list(self.names))


@dataclass(frozen=True)
class _Problem:
    """A log-density in coordinates theta that range over all numbers, and the ways to the parameters themselves."""

    theta: Floats  # the estimate
    factor: Floats  # (k, free): a square root of the covariance of theta
    rows: int  # what one evaluation costs
    value: Callable[[Floats], float]
    natural: Callable[[Floats], Floats]
    weight: Floats  # customers a distinct row
    refit: Callable[[Floats], Floats]  # the parameters fitted to other such counts


def parameter_draws(
    model: PurchaseModel | GammaGammaModel,
    summary: pd.DataFrame,
    draws: int = 1000,
    *,
    method: Literal["auto", "laplace", "bootstrap"] = "auto",
    seed: int = 0,
    n_jobs: int = 1,
) -> ParameterDraws:
    """Draw equally likely parameters of a fitted model.

    Parameters
    ----------
    model : PurchaseModel or GammaGammaModel
        Fitted.
    summary : pandas.DataFrame
        The rows that it was fitted to. For others, such as a later day's, the draws are those of the normal
        approximation that the model carries.
    draws : int, default 1000
        How many.
    method : {"auto", "laplace", "bootstrap"}
        "auto" is Laplace, and the bootstrap where fewer than a tenth of the Laplace draws are effective.
    seed : int
        Of the draws.
    n_jobs : int, default 1
        Processes for the refits of the bootstrap; it does not change the result.

    Returns
    -------
    ParameterDraws

    Raises
    ------
    OptionError
        If `method` is unknown, or `draws` is no whole number above 0.

    References
    ----------
    Tierney, L. and Kadane, J. B. (1986). Journal of the American Statistical Association 81, 82-86.
    Efron, B. (1979). Annals of Statistics 7, 1-26.

    Examples
    --------
    >>> from clvml import BetaGeoModel, Transactions, load_cdnow, parameter_draws
    >>> summary = Transactions(load_cdnow(sample=True)).summarize("1997-09-30")
    >>> drawn = parameter_draws(BetaGeoModel().fit(summary), summary, draws=200)
    >>> drawn.names, drawn.values.shape
    (('r', 'alpha', 'a', 'b'), (200, 4))
    """
    chosen = check_choice("method", method, ("auto", "laplace", "bootstrap"))
    if chosen == "bootstrap":
        return bootstrap_draws(model, summary, draws, seed=seed, n_jobs=n_jobs)
    found = laplace_draws(model, summary, draws, seed=seed)
    if chosen == "auto" and found.effective < _POOR * draws:
        few = bootstrap_draws(model, summary, min(draws, _REFITS), seed=seed, n_jobs=n_jobs)
        return replace(few, values=np.resize(few.values, (draws, few.values.shape[1])))
    return found


def laplace_draws(
    model: PurchaseModel | GammaGammaModel, summary: pd.DataFrame, draws: int = 1000, *, seed: int = 0
) -> ParameterDraws:
    """Draws from the posterior under a flat prior on the log-parameters (with the weak one where the fit had it).

    Parameters that the data do not identify stay at their estimates. Gamma-Gamma's q is drawn as log(q - 1), so that
    every draw has a mean.
    """
    problem, rng = _problem(model, summary), np.random.default_rng(seed)
    free = problem.factor.shape[1]
    names = type(model.params_)._fields
    if free == 0 or not _is_maximum(problem):
        z = rng.standard_normal((check_whole("draws", draws), free))
        values = np.array([problem.natural(problem.theta + problem.factor @ row) for row in z])
        return ParameterDraws(values, names, "normal", float(draws))
    proposals = int(np.clip(_BUDGET / problem.rows, min(_LEAST, check_whole("draws", draws)), draws))
    z = rng.standard_normal((proposals, free)) * np.sqrt(_HEAVIER / rng.chisquare(_HEAVIER, proposals))[:, None]
    theta = problem.theta + z @ problem.factor.T
    near = np.abs(theta - problem.theta).max(axis=1) < _FAR
    log_weight = np.array([problem.value(row) if ok else -np.inf for row, ok in zip(theta, near, strict=True)])
    log_weight += 0.5 * (_HEAVIER + free) * np.log1p((z**2).sum(axis=1) / _HEAVIER)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    effective = float(1.0 / (weight**2).sum()) * draws / proposals
    places = np.minimum((rng.random() + np.arange(draws)) / draws, 1.0)  # systematic resampling
    chosen = rng.permutation(np.minimum(np.searchsorted(np.cumsum(weight), places), proposals - 1))
    return ParameterDraws(np.array([problem.natural(row) for row in theta[chosen]]), names, "laplace", effective)


def bootstrap_draws(
    model: PurchaseModel | GammaGammaModel,
    summary: pd.DataFrame,
    draws: int = 1000,
    *,
    seed: int = 0,
    n_jobs: int = 1,
) -> ParameterDraws:
    """Parameters fitted to customers drawn anew. Each draw has a seed of its own: n_jobs does not change the result."""
    from joblib import Parallel, delayed

    problem, seeds = _problem(model, summary), np.random.SeedSequence(seed).spawn(check_whole("draws", draws))
    parts = np.array_split(np.arange(draws), max(1, min(draws, 4 * abs(n_jobs))))
    found = Parallel(n_jobs=n_jobs)(delayed(_refits)(problem, [seeds[i] for i in part]) for part in parts)
    return ParameterDraws(np.concatenate(found), type(model.params_)._fields, "bootstrap", float(draws))


def _refits(problem: _Problem, seeds: list[np.random.SeedSequence]) -> Floats:
    customers, share = round(problem.weight.sum()), problem.weight / problem.weight.sum()
    counts = (np.random.default_rng(seed).multinomial(customers, share) for seed in seeds)
    return np.array([problem.refit(c.astype(np.float64)) for c in counts])


def _is_maximum(problem: _Problem) -> bool:
    """Whether the estimate maximises this density, in the directions in which it is free: differences of it say."""
    slopes = (
        problem.value(problem.theta + _DELTA * way) - problem.value(problem.theta - _DELTA * way)
        for way in problem.factor.T
    )
    return 0.5 * sum((slope / (2.0 * _DELTA)) ** 2 for slope in slopes) < _SETTLED


def _problem(model: PurchaseModel | GammaGammaModel, summary: pd.DataFrame) -> _Problem:
    return _spend_problem(model, summary) if isinstance(model, GammaGammaModel) else _purchases_problem(model, summary)


def _purchases_problem(model: PurchaseModel, summary: pd.DataFrame) -> _Problem:
    rows, params = model._histories(summary), np.array(model.params_)
    target, theta = model._objective(rows), np.log(params)
    x, t_x, T, *_ = target.sample

    def refit(counts: Floats) -> Floats:
        known = counts > 0
        drawn = sample_of(x[known], t_x[known], T[known], counts[known])
        return np.asarray(np.exp(maximise(replace(target, sample=drawn), theta).theta))

    factor = _root(model.covariance_ / np.outer(params, params))
    return _Problem(theta, factor, rows.x.size, target.value, _exp, rows.weight, refit)


def _spend_problem(model: GammaGammaModel, summary: pd.DataFrame) -> _Problem:
    """In log p, log(q - 1), log v, where every point has a mean, and a mean that is held is a straight line."""
    sample, poor = model._mean_spend(summary)
    params = np.array(model.params_)
    shift = np.array([0.0, 1.0, 0.0])
    from_prior = model.prior is not None or model.status_.from_prior
    penalty = gammagamma.weak_prior(sample) if from_prior else None

    def natural(theta: Floats) -> Floats:
        return np.asarray(np.exp(theta) + shift)

    def value(theta: Floats) -> float:
        p, q, v = natural(theta)
        here = gammagamma.Params(p, q, v / sample.unit)
        found = float(sample.weight @ gammagamma.log_likelihood(here, sample.x, sample.m))
        return found if penalty is None else found - penalty.at(np.log(here))

    def refit(counts: Floats) -> Floats:
        known = counts > 0
        drawn = spend_of(sample.x[known], sample.m[known] * sample.unit, counts[known])
        return np.array(fit_spend(drawn, prior=model.prior, poor=poor).params)

    free = params - shift
    factor = _root(model.covariance_ / np.outer(free, free))
    return _Problem(np.log(free), factor, sample.x.size, value, natural, sample.weight, refit)


def _exp(theta: Floats) -> Floats:
    return np.asarray(np.exp(theta), dtype=np.float64)


def _root(covariance: Floats) -> Floats:
    """A square root of a covariance, one column a free direction; what is not identified (inf) does not move."""
    held = ~np.isfinite(np.diag(covariance))
    known = np.where(held[:, None] | held[None, :], 0.0, covariance)
    variance, axes = np.linalg.eigh(0.5 * (known + known.T))
    free = variance > 1e-10 * max(float(variance.max(initial=0.0)), 1e-300)
    root: Floats = axes[:, free] * np.sqrt(variance[free])
    return root
