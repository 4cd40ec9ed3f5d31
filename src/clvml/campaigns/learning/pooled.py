"""The effect of a treatment, learned from all past campaigns that gave it: a partially pooled posterior, prior × data.

The effect on contribution is a sum of bases (value at risk, value, CLV, a constant: what a save rate, an extra return,
a lift, an extra contribution would be), each with a coefficient of its own that may deviate by tier and by state:
tau(x) = b(x)'theta. The plan's stated effect is the prior of its own basis; that of the others, of the deviations and
of the differences between campaigns is centred on none, and how wide it is, is averaged over by its evidence.

Data enter by Robinson's residuals with the propensities that were drawn (Nie & Wager 2021, Biometrika 108, eq. 4):
y − m(x) = (treated − e) tau(x) + noise, weighted by the variance that the scores predicted. Given these, all is a
Gaussian linear model (Gelman et al. 2013, Bayesian Data Analysis, ch. 14–15).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.campaigns.gain import BASES, Array
from clvml.scores.segments import STATES, TIERS

__all__ = ["LearnedEffect", "learn_effect"]

_CELLS = (("tier", TIERS), ("state", STATES))
_WIDTHS = tuple(itertools.product((0.0, 0.5, 1.0), (0.0, 0.3, 1.0), (0.0, 0.2)))
"""Widths of the prior, as shares of the stated effect: of each basis, of deviations by cell, between campaigns."""
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

    def __str__(self) -> str:
        return (
            f"learned from {self.campaigns} past campaigns ({self.treated:,} treated, {self.control:,} control) "
            "and the plan's own assumption"
        )


def learn_effect(past: pd.DataFrame, treatment: str, kind: str, mean: float, sd: float) -> LearnedEffect | None:
    """The posterior of one treatment's effect; None where no past campaign gave it to enough customers.

    past: rows of PAST_CAMPAIGNS. kind, mean, sd: the effect that the plan states, one of `EFFECTS`, and how sure it is.
    """
    own = past[past["planned_treatment"] == treatment]
    parts = [rows for _, rows in own.groupby(["campaign", "as_of"]) if rows["group"].value_counts().min() >= _FEW]
    parts = [rows for rows in parts if rows["group"].nunique() == 2]
    if not parts:
        return None
    used = pd.concat(parts)
    scale = np.array([max(float(np.abs(basis(used)).mean()), 1e-9) for basis in BASES.values()])
    lessons = [_lesson(rows, scale) for rows in parts]
    size, at = len(lessons[0].score), [*BASES].index(kind)
    centre = np.zeros(size)
    centre[at] = mean * scale[at]
    posterior = _averaged([*_posteriors(lessons, centre, at, sd * scale[at])])
    treated = int((used["group"] == "treat").sum())
    return LearnedEffect(*posterior, scale, len(parts), treated, len(used) - treated)


def _design(table: pd.DataFrame, scale: Array) -> Array:
    """A column for each basis, then one for each basis within each tier, then within each state."""
    bases = np.column_stack([basis(table) for basis in BASES.values()]) / scale
    cells = [table[column].astype("string").to_numpy() == word for column, words in _CELLS for word in words]
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
    log_evidence: float
    mean: Array
    covariance: Array  # for a campaign to come


def _posteriors(lessons: list[_Lesson], centre: Array, at: int, sd: float) -> Iterator[_Posterior]:
    """A posterior for every width of the prior."""
    size, k = len(centre), len(BASES)
    unit = np.eye(size)
    amplitude = float(np.hypot(centre[at], sd))
    for basis, cell, between in _WIDTHS:
        variance = np.full(size, (cell * amplitude) ** 2)
        variance[:k] = (basis * amplitude) ** 2
        variance[at] += sd**2
        other = np.zeros(size)
        other[:k] = (between * amplitude) ** 2 / k
        prior, differing = np.diag(variance), np.diag(other)
        information, score, evidence = np.zeros((size, size)), np.zeros(size), 0.0
        for lesson in lessons:
            off = lesson.score - lesson.information @ centre
            shrink = np.linalg.inv(unit + lesson.information @ differing)
            information += shrink @ lesson.information
            score += shrink @ off
            evidence += 0.5 * off @ differing @ shrink @ off + 0.5 * np.linalg.slogdet(shrink)[1]
        shrink = np.linalg.inv(unit + information @ prior)
        covariance = prior @ shrink
        move = covariance @ score
        evidence += 0.5 * float(score @ move) + 0.5 * np.linalg.slogdet(shrink)[1]
        yield _Posterior(float(evidence), centre + move, (covariance + covariance.T) / 2 + differing)


def _averaged(found: list[_Posterior]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and covariance of the mixture, each part by its evidence."""
    evidence = np.array([p.log_evidence for p in found])
    share = np.exp(evidence - evidence.max())
    share /= share.sum()
    mean = sum(w * p.mean for w, p in zip(share, found, strict=True))
    apart = [p.mean - mean for p in found]
    covariance = sum(w * (p.covariance + np.outer(d, d)) for w, p, d in zip(share, found, apart, strict=True))
    return np.asarray(mean), np.asarray(covariance)
