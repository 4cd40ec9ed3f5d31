"""The effect of each treatment, learned from all past campaigns that gave it: partially pooled, prior × data.

The effect on contribution is a sum of bases (value at risk, value, CLV, a constant: what a save rate, an extra return,
a lift, an extra contribution would be): tau(x) = b(x)'theta. The plan states how large it is, and knows no better than
anybody else how it is spread over the customers: each basis is as likely as the others to be its form, which may be
more or less strong by tier and by state. What the other bases add, the deviations and the differences between campaigns
are centred on none, and how wide they are, is averaged over by its evidence, as the form is.

Data enter by Robinson's residuals with the propensities that were drawn (Nie & Wager 2021, Biometrika 108, eq. 4):
y − m(x) = (treated − e) tau(x) + noise, weighted by the variance that the scores predicted. Given these, all is a
Gaussian linear model (Gelman et al. 2013, Bayesian Data Analysis, ch. 14–15).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import logsumexp

from clvml.campaigns.gain import BASES, Array
from clvml.scores.segments import STATES, TIERS

__all__ = ["LearnedEffect", "StatedEffect", "learn_effects"]

_CELLS = (("tier", TIERS), ("state", STATES))


class _Prior(NamedTuple):
    """The basis that is the form of the effect, and as shares of the stated effect: what is believed of it (a plan may
    promise too much), then the widths of what each basis adds, of deviations by tier and by state, and of differences
    between campaigns.
    """

    form: int
    believed: float
    bases: float
    tier: float
    state: float
    between: float


_PRIORS = tuple(
    itertools.starmap(
        _Prior,
        itertools.product(
            range(len(BASES)), (0.0, 0.5, 1.0), (0.0, 0.5, 2.0), (0.0, 0.3, 1.5), (0.0, 0.3, 1.5), (0.0, 0.2)
        ),
    )
)
_SIMPLER = 2.0
"""How many times likelier none is than each width of additions and deviations, beforehand."""
_FEW = 30
"""Customers in a group below which a campaign teaches nothing."""


class _Lesson(NamedTuple):
    """What one campaign says of the coefficients: its information, and its score at zero."""

    information: Array
    score: Array


@dataclass(frozen=True)
class LearnedEffect:
    """What is believed of one treatment's effect on contribution, before incentives and contact costs."""

    mean: Array  # of the coefficients
    covariance: Array  # of the coefficients, for a campaign to come
    scale: Array  # money of one unit of each basis
    campaigns: int
    treated: int
    control: int

    def effect(self, scores: pd.DataFrame) -> tuple[Array, Array]:
        """(mean, standard deviation) of the effect on each customer."""
        X = _design(scores, self.scale)
        variance = ((X @ self.covariance) * X).sum(axis=1)
        return np.asarray(X @ self.mean), np.sqrt(np.maximum(variance, 0.0))

    def sd_of_sum(self, scores: pd.DataFrame, weight: Array) -> float:
        """Standard deviation of the weighted sum of effects: what is not known is shared by all customers."""
        w = weight @ _design(scores, self.scale)
        return float(np.sqrt(max(float(w @ self.covariance @ w), 0.0)))

    def draw(self, scores: pd.DataFrame, normal: Array) -> Array:
        """One draw of the effect on each customer, by as many standard normals as there are coefficients."""
        values, vectors = np.linalg.eigh(self.covariance)
        root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T  # symmetric: the same whatever signs come back
        return np.asarray(_design(scores, self.scale) @ (self.mean + root @ normal))

    def __str__(self) -> str:
        word = "campaign" if self.campaigns == 1 else "campaigns"
        return (
            f"learned from {self.campaigns} past {word} ({self.treated:,} treated, {self.control:,} control) "
            "and the plan's own assumption"
        )


class StatedEffect(NamedTuple):
    """The effect that a plan states: one of `EFFECTS`, its mean and how sure it is."""

    kind: str
    mean: float
    sd: float


def learn_effects(past: pd.DataFrame, stated: Mapping[str, StatedEffect]) -> dict[str, LearnedEffect]:
    """The posterior of each treatment's effect; without those that no past campaign gave to enough customers.

    past: rows of PAST_CAMPAIGNS. stated: by treatment. How the effect is spread over the customers, its form, is taken
    to be the same for all treatments, so that one which was given often teaches it for one which was given seldom.
    """
    taught = {name: parts for name in stated if (parts := _parts_of(past, name))}
    scales = {name: _scale(pd.concat(parts)) for name, parts in taught.items()}
    found = {name: _posteriors_of(parts, scales[name], stated[name]) for name, parts in taught.items()}
    of_form = {name: _evidence_of_forms(posteriors) for name, posteriors in found.items()}
    together = sum(of_form.values(), start=np.zeros(len(BASES)))
    learned = {}
    for name, parts in taught.items():
        others = together - of_form[name]
        weighed = [p._replace(log_evidence=p.log_evidence + others[prior.form]) for prior, p in found[name].items()]
        treated = sum(int((rows["group"] == "treat").sum()) for rows in parts)
        control = sum(map(len, parts)) - treated
        learned[name] = LearnedEffect(*_averaged(weighed), scales[name], len(parts), treated, control)
    return learned


def _parts_of(past: pd.DataFrame, treatment: str) -> list[pd.DataFrame]:
    """The campaigns that gave the treatment, with enough customers of both groups."""
    own = past[past["planned_treatment"] == treatment]
    parts = [rows for _, rows in own.groupby(["campaign", "as_of"])]
    return [rows for rows in parts if rows["group"].nunique() == 2 and rows["group"].value_counts().min() >= _FEW]


def _scale(rows: pd.DataFrame) -> Array:
    """Mean size of each basis: a coefficient of 1 then is 1 of money for the mean customer, whatever the basis."""
    return np.array([max(float(np.abs(basis(rows)).mean()), 1e-9) for basis in BASES.values()])


def _posteriors_of(parts: list[pd.DataFrame], scale: Array, stated: StatedEffect) -> dict[_Prior, _Posterior]:
    money = float(scale[[*BASES].index(stated.kind)])
    return dict(_posteriors([_lesson(rows, scale) for rows in parts], stated.mean * money, stated.sd * money))


def _evidence_of_forms(found: Mapping[_Prior, _Posterior]) -> Array:
    """Logarithm of what speaks for each basis as the form of the effect."""
    return np.array(
        [
            logsumexp([posterior.log_evidence for prior, posterior in found.items() if prior.form == form])
            for form in range(len(BASES))
        ]
    )


def _design(table: pd.DataFrame, scale: Array) -> Array:
    """A column for each basis, then one for each basis within each tier, then within each state."""
    bases = np.column_stack([basis(table) for basis in BASES.values()]) / scale
    columns = [(table[column].astype("string").to_numpy(dtype=object), words) for column, words in _CELLS]
    cells = [column == word for column, words in columns for word in words]
    return np.concatenate([bases, *(bases * cell[:, None] for cell in cells)], axis=1)


def _lesson(rows: pd.DataFrame, scale: Array) -> _Lesson:
    X, y = _design(rows, scale), rows["contribution"].to_numpy(np.float64)
    sd = rows["clv_sd"].fillna(rows["value_if_kept"].abs()).to_numpy(np.float64)
    weight = 1 / (sd**2 + max(float(np.mean(sd)), 1e-9) ** 2 / 10)
    residual = y - _fitted(X, y, weight)
    weight = weight / float(np.mean(weight * residual**2))
    moved = (rows["group"] == "treat").to_numpy(np.float64) - rows["propensity"].to_numpy(np.float64)
    Z = X * moved[:, None]
    return _Lesson(Z.T @ (Z * weight[:, None]), Z.T @ (weight * residual))


def _fitted(X: Array, y: Array, weight: Array) -> Array:
    """m(x): what was to be expected of a customer, treated or not; a weighted ridge on the same bases."""
    XtW = X.T * weight
    information = XtW @ X
    penalty = 1e-3 * np.trace(information) / len(information)
    return np.asarray(X @ np.linalg.solve(information + penalty * np.eye(len(information)), XtW @ y))


class _Posterior(NamedTuple):
    """What one prior and the lessons say."""

    log_evidence: float
    mean: Array
    covariance: Array  # for a campaign to come


class _Pooled(NamedTuple):
    """What all campaigns say together, differences between them allowed for; all at no effect."""

    information: Array
    score: Array
    spread: Array  # log evidence if c is the effect of all campaigns: constant + linear'c + c'spread c
    linear: Array
    constant: float


def _posteriors(lessons: list[_Lesson], stated: float, sd: float) -> Iterator[tuple[_Prior, _Posterior]]:
    """A posterior for each of `_PRIORS`; stated, sd: the mean effect on a customer in money, and how sure it is."""
    size, k = len(lessons[0].score), len(BASES)
    amplitude = float(np.hypot(stated, sd))
    for between in sorted({prior.between for prior in _PRIORS}):
        differing = np.zeros(size)
        differing[:k] = (between * amplitude) ** 2 / k
        pooled = _pooled(lessons, np.diag(differing))
        for prior in _PRIORS:
            if prior.between == between:
                centre, variance = np.zeros(size), (_widths(prior) * amplitude) ** 2
                centre[prior.form] = prior.believed * stated
                variance[prior.form] += sd**2
                found = _posterior(pooled, centre, variance, differing)
                simpler = float(np.log(_SIMPLER)) * (prior.bases, prior.tier, prior.state).count(0.0)
                yield prior, found._replace(log_evidence=found.log_evidence + simpler)


def _widths(prior: _Prior) -> Array:
    """Of each coefficient: what every basis adds, then the deviations of the form alone within each tier and state."""
    form = np.arange(len(BASES)) == prior.form
    within = [form * width for (_, words), width in zip(_CELLS, (prior.tier, prior.state), strict=True) for _ in words]
    return np.concatenate([np.full(len(BASES), prior.bases), *within])


def _pooled(lessons: list[_Lesson], differing: Array) -> _Pooled:
    """Each campaign's own deviation, of this covariance, integrated out."""
    size = len(differing)
    information, spread = np.zeros((size, size)), np.zeros((size, size))
    score, linear, constant = np.zeros(size), np.zeros(size), 0.0
    for lesson in lessons:
        shrink = np.linalg.inv(np.eye(size) + lesson.information @ differing)
        information += shrink @ lesson.information
        score += shrink @ lesson.score
        half = 0.5 * differing @ shrink  # of the evidence: off' half off, off = score - information c
        both = half + half.T
        spread += lesson.information @ half @ lesson.information - 0.5 * lesson.information
        linear += lesson.score - lesson.information @ both @ lesson.score
        constant += float(lesson.score @ half @ lesson.score) + 0.5 * float(np.linalg.slogdet(shrink)[1])
    return _Pooled(information, score, spread, linear, constant)


def _posterior(pooled: _Pooled, centre: Array, variance: Array, differing: Array) -> _Posterior:
    """By one prior: normal around the centre."""
    free = np.flatnonzero(variance > 0)
    information = pooled.information[np.ix_(free, free)]
    shrink = np.linalg.inv(np.eye(len(free)) + information * variance[free])
    score = (pooled.score - pooled.information @ centre)[free]
    covariance, mean = np.diag(differing), centre.copy()
    own = variance[free, None] * shrink
    move = own @ score
    mean[free] += move
    covariance[np.ix_(free, free)] += (own + own.T) / 2
    evidence = pooled.constant + float(pooled.linear @ centre + centre @ pooled.spread @ centre)
    evidence += 0.5 * float(score @ move) + 0.5 * float(np.linalg.slogdet(shrink)[1])
    return _Posterior(evidence, mean, covariance)


def _averaged(found: list[_Posterior]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and covariance of the mixture, each part by its evidence."""
    evidence = np.array([p.log_evidence for p in found])
    share = np.exp(evidence - evidence.max())
    share /= share.sum()
    mean = sum(w * p.mean for w, p in zip(share, found, strict=True))
    apart = [p.mean - mean for p in found]
    covariance = sum(w * (p.covariance + np.outer(d, d)) for w, p, d in zip(share, found, apart, strict=True))
    return np.asarray(mean), np.asarray(covariance)
