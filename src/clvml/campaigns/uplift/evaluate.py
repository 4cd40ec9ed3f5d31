"""How good is a rule for whom to treat, by one randomised campaign: value per customer and its error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from clvml.campaigns.uplift.experiment import Array, Experiment
from clvml.campaigns.uplift.learners import BASES, LEARNERS, Tau, fit_arms, folds_of

__all__ = [
    "Held",
    "Measured",
    "dr_scores",
    "fit_effects",
    "gain_curve",
    "held_out",
    "ipw_scores",
    "mean_of",
    "prior_weights",
    "qini",
    "qini_difference",
    "rank_within",
    "stack_weights",
    "value_of",
]


_PRIOR_SUM = 0.5
"""Sum of the weights of a stack before any data."""
_PRIOR_SD = 0.15
"""How far weights of a stack may lie from those before any data until data are needed to take them there."""


class Measured(NamedTuple):
    """A mean with its standard error."""

    value: float
    se: float

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided normal interval."""
        z = float(ndtri(0.5 + level / 2))
        return self.value - z * self.se, self.value + z * self.se

    def lower(self, alpha: float) -> float:
        """One-sided lower bound that the truth undercuts with probability alpha."""
        return self.value - float(ndtri(1 - alpha)) * self.se

    @property
    def p_value(self) -> float:
        """Two-sided, of no difference from zero."""
        if self.se == 0:
            return 1.0 if self.value == 0 else 0.0
        return float(2 * ndtr(-abs(self.value) / self.se))


class Held(NamedTuple):
    """Predictions for rows that their models have not seen. Scores: outcome under each arm, unbiased row by row."""

    fold: npt.NDArray[np.intp]
    tau: Array  # (rows, treated arms), of the stack
    parts: Array  # (rows, treated arms, candidates)
    weights: Array  # of the candidates in the stack, learned on all rows
    weights_covariance: Array  # what is not known of them
    models: tuple[tuple[tuple[Tau, ...], ...], ...]  # by fold, treated arm, candidate
    dr: Array  # (rows, arms)
    ipw: Array  # (rows, arms)
    best: npt.NDArray[np.intp]  # the best arm for everyone as the training rows of the fold saw it (0 = none)
    best_treated: npt.NDArray[np.intp]  # the same among treated arms only


def mean_of(values: Array) -> Measured:
    """Mean and its standard error."""
    return Measured(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))))


def ipw_scores(y: Array, arm: npt.NDArray[Any], propensity: Array) -> Array:
    """1[arm = a] y / e_a, (rows, arms) (Hitsch, Misra & Zhang 2024, eq. 6)."""
    return np.where(arm[:, None] == np.arange(propensity.shape[1]), y[:, None] / propensity, 0.0)


def dr_scores(y: Array, arm: npt.NDArray[Any], propensity: Array, m: Array) -> Array:
    """m_a + 1[arm = a] (y − m_a) / e_a, (rows, arms) (Robins, Rotnitzky & Zhao 1994)."""
    return m + np.where(arm[:, None] == np.arange(propensity.shape[1]), (y[:, None] - m) / propensity, 0.0)


def held_out(
    experiment: Experiment, y: Array, X: Array, candidates: Sequence[tuple[str, str]], *, folds: int, seed: int
) -> Held:
    """Effects and scores for every row from models of the other folds. candidates: (learner, base) names.

    The outcome models of the scores are the mean of those of all bases named.
    """
    n, arms = experiment.propensity.shape
    fold = folds_of(experiment.arm, folds, seed)
    parts, m = np.empty((n, arms - 1, len(candidates))), np.zeros((n, arms))
    best, best_treated = np.empty(n, np.intp), np.empty(n, np.intp)
    bases = sorted({base for _, base in candidates})
    models = []
    for k in range(folds):
        train, held = fold != k, fold == k
        arm = experiment.arm[train]
        for base in bases:
            outcome = fit_arms(X[train], y[train], arm, arms, BASES[base], seed)
            m[held] += np.stack([model(X[held]) for model in outcome], axis=1) / len(bases)
        means = np.array([y[train][arm == a].mean() for a in range(arms)])
        best[held], best_treated[held] = means.argmax(), means[1:].argmax() + 1
        models.append(fit_effects(X[train], y[train], arm, experiment.propensity[train], candidates, seed))
        for a, c in np.ndindex(arms - 1, len(candidates)):
            parts[held, a, c] = models[-1][a][c](X[held])
    dr = dr_scores(y, experiment.arm, experiment.propensity, m)
    effect = dr[:, 1:] - dr[:, :1]
    tau, prior = np.empty((n, arms - 1)), prior_weights(candidates)
    for k in range(folds):
        own = fold != k
        tau[fold == k] = parts[fold == k] @ stack_weights(parts[own], effect[own], fold[own], prior)[0]
    weights, covariance = stack_weights(parts, effect, fold, prior)
    ipw = ipw_scores(y, experiment.arm, experiment.propensity)
    return Held(fold, tau, parts, weights, covariance, tuple(models), dr, ipw, best, best_treated)


def fit_effects(
    X: Array, y: Array, arm: npt.NDArray[Any], propensity: Array, candidates: Sequence[tuple[str, str]], seed: int
) -> tuple[tuple[Tau, ...], ...]:
    """The effect of every treated arm against the control by every candidate."""
    found = []
    for a in range(1, propensity.shape[1]):
        pair = (arm == 0) | (arm == a)
        chance = propensity[pair, a] / (propensity[pair, 0] + propensity[pair, a])
        rows = (X[pair], y[pair], arm[pair] == a, chance)
        found.append(tuple(LEARNERS[learner](*rows, BASES[base], seed) for learner, base in candidates))
    return tuple(found)


def prior_weights(candidates: Sequence[tuple[str, str]]) -> Array:
    """Weights before any data: equal among the S-learners, which vary least with the sample, else among all; half in
    all, for about half of the differences that they find between customers is chance (`benchmarks/uplift.md`).
    """
    single = np.array([learner == "s" for learner, _ in candidates])
    some = single if single.any() else np.ones(len(candidates), dtype=np.bool_)
    return np.asarray(_PRIOR_SUM * some / some.sum())


def stack_weights(parts: Array, effect: Array, fold: npt.NDArray[Any], prior: Array) -> tuple[Array, Array]:
    """Non-negative weights of the candidates: least squares of the doubly robust scores on the held-out effects. And
    the covariance of what is not known of them.

    Both are centred within folds, so only who gains more than others counts (the loss of Nie & Wager 2021, Biometrika
    108, section 4.2; van der Laan et al. 2007 for stacking). Pulled towards the prior weights, of sd `_PRIOR_SD`, which
    decide where the data are too few to.
    """
    from scipy.optimize import nnls

    x, y = parts.copy(), effect.copy()
    for k in np.unique(fold):
        rows = fold == k
        x[rows] -= x[rows].mean(axis=0)
        y[rows] -= y[rows].mean(axis=0)
    count, noise = parts.shape[2], max(float(y.std()), 1e-12)
    pull = noise / _PRIOR_SD
    design = np.vstack([x.reshape(-1, count), pull * np.eye(count)])
    weights = nnls(design, np.concatenate([y.ravel(), pull * prior]))[0]
    return np.asarray(weights, dtype=np.float64), noise**2 * np.linalg.inv(design.T @ design)


def value_of(policy: npt.NDArray[Any], scores: Array) -> Array:
    """Row-wise score of the arm that the policy gives: the mean is its value, a difference of two is paired."""
    return np.take_along_axis(scores, policy[:, None].astype(np.intp), axis=1)[:, 0]


def rank_within(priority: Array, fold: npt.NDArray[Any], seed: int) -> Array:
    """Rank of each row in its own fold as a share in (0, 1), the highest priority near 0, ties in random order.

    Ranks are never pooled over folds: the model of a fold is low where the fold is high, which would bias the result.
    """
    tie = np.random.default_rng(seed).random(len(priority))
    rank = np.empty(len(priority))
    for k in np.unique(fold):
        rows = np.flatnonzero(fold == k)
        order = rows[np.lexsort((tie[rows], -priority[rows]))]
        rank[order] = (np.arange(len(rows)) + 0.5) / len(rows)
    return rank


def gain_curve(rank: Array, effect: Array, shares: Sequence[float]) -> list[Measured]:
    """Gain per customer of the base when the first share by rank is treated: mean of effect · 1[rank <= share]."""
    return [mean_of(np.where(rank <= share, effect, 0.0)) for share in shares]


def qini(rank: Array, effect: Array) -> Measured:
    """Area between the gain curve and the straight line of random targeting: E[effect (½ − rank)].

    The standard error is that of a U-statistic, because the rank of a row depends on all others (Yadlowsky et al.
    2025, JASA: RATE with Qini weights).
    """
    value, rows = _qini_rows(rank, effect)
    return Measured(value, float(rows.std(ddof=1) / np.sqrt(len(rank))))


def qini_difference(rank: Array, effect: Array, other_rank: Array, other_effect: Array) -> Measured:
    """Qini of one order less that of another on the same rows, each with the effect of the arms that it gives."""
    (value, rows), (other, others) = _qini_rows(rank, effect), _qini_rows(other_rank, other_effect)
    return Measured(value - other, float((rows - others).std(ddof=1) / np.sqrt(len(rank))))


def _qini_rows(rank: Array, effect: Array) -> tuple[float, Array]:
    """(Qini, influence of each row on it)."""
    order = np.argsort(rank, kind="stable")
    centred = effect - effect.mean()
    running = np.empty(len(rank))
    running[order] = np.cumsum(centred[order]) / len(rank)
    each = centred * (0.5 - rank)
    return float(each.mean()), each + running
