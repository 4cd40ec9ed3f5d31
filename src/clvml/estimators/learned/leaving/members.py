"""What foretells a return: four members on the log-hazard scale, and how they are blended."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from clvml.estimators.learned.ensemble.boosting import Trees
from clvml.estimators.learned.expectation import hazard_shift
from clvml.estimators.learned.leaving.features import FEATURES
from clvml.maths.learners import glm
from clvml.maths.learners.trees import Forest

__all__ = ["Blend", "Members"]

Floats = NDArray[np.float64]

_PRIOR_EVENTS = 150.0
"""Outcomes for which the base counts in the blend."""
_MIN_BASE = 0.15
_STACK_EVENTS = 50.0
"""Outcomes for which the members' prior weights, and the base's level, count against what a later origin shows."""
_PENALTY = 20.0
_TREES = Trees(max_iter=40, max_leaf_nodes=6)


class Members(NamedTuple):
    """Log hazards of return within the own days, learned apart from the level of their origins."""

    mean: Floats
    spread: Floats
    line: Floats
    """Coefficients of the regression that has the base as its offset."""
    silence: Floats
    """Coefficients of the regression on silence over the own gap alone."""
    trees: Forest
    shift: Floats
    """Added to line, silence and trees, so that each has the base's level."""

    @classmethod
    def learn(
        cls, raw: Floats, base: Floats, returned: Floats, origin: NDArray[Any], weight: Floats, seed: int
    ) -> Self:
        """Raw (features, n), base: log hazard (n,), returned (n,) of 0 and 1."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        mean, spread = raw.mean(axis=1), raw.std(axis=1)
        spread = np.where(spread > 1e-9, spread, 1.0)
        X = _standard(raw, mean, spread)
        level = np.zeros(len(returned))
        balance = weight.copy()
        overall = np.average(returned, weights=weight)
        for day in np.unique(origin):
            rows = origin == day
            level[rows] = _shift(base[rows], returned[rows], weight[rows])
            share = np.clip(np.average(returned[rows], weights=weight[rows]), 0.01, 0.99)
            balance[rows] *= np.where(returned[rows] > 0, overall / share, (1 - overall) / (1 - share))
        line = glm.fit(glm.HAZARD, X, returned, base + level, weight, _PENALTY)
        ratio = _silence(raw)
        silence = glm.fit(glm.HAZARD, ratio, returned, level, weight, _PENALTY)
        trees = _TREES.grow(HistGradientBoostingClassifier, X, returned.astype(np.int64), balance, seed)
        found = cls(mean, spread, line, silence, trees, np.zeros(3))
        members = found.log_hazards(raw, base)
        target = float(np.average(-np.expm1(-np.exp(base)), weights=weight))
        return found._replace(
            shift=np.array([hazard_shift(np.clip(m, -12.0, 4.0), target, weight) for m in members[1:]])
        )

    def log_hazards(self, raw: Floats, base: Floats) -> Floats:
        """(4, n): base, line, silence, trees."""
        X = _standard(raw, self.mean, self.spread)
        line = base + self.line[0]
        for column, slope in zip(X.T, self.line[1:], strict=True):
            line += slope * column
        ratio = _silence(raw)
        silence = self.silence[0] + self.silence[1] * ratio[:, 0] + self.silence[2] * ratio[:, 1]
        trees = np.log(np.logaddexp(0.0, np.clip(self.trees.sums(X), -12.0, 12.0)))  # ln -ln(1 - p) of a logit
        return np.stack([base, line + self.shift[0], silence + self.shift[1], trees + self.shift[2]])


class Blend(NamedTuple):
    """A weighted mean of the members' log hazards, with a slope about a centre, and a level."""

    weights: Floats
    slope: float
    centre: float
    level: float

    def apply(self, members: Floats) -> Floats:
        """The log hazard (n,)."""
        mixed: Floats = self.weights @ members
        return mixed + self.slope * (mixed - self.centre) + self.level

    @classmethod
    def prior(cls, events: float) -> Self:
        """The base for so much of it, the others for the rest: line and trees more than silence alone."""
        base = max(_MIN_BASE, _PRIOR_EVENTS / (_PRIOR_EVENTS + events))
        return cls(np.array([base, *((1 - base) * np.array([0.4, 0.2, 0.4]))]), 0.0, 0.0, 0.0)

    def learn(self, members: Floats, returned: Floats) -> Blend:
        """These weights, moved by what customers showed whom the members had not seen."""
        if not returned.size:
            return self
        mixed = self.weights @ members
        centre = float(mixed.mean())
        away = members[1:] - members[0]
        X = np.column_stack([np.ones_like(mixed), mixed - centre, away.T])
        ridge = np.sqrt([_STACK_EVENTS, _STACK_EVENTS, *[2 * _STACK_EVENTS] * len(away)])
        ones = np.ones_like(mixed)
        level, slope, *more = glm.fit(glm.HAZARD, X / ridge, returned, mixed, ones, 1.0, intercept=False) / ridge
        moved = self.weights + np.array([-sum(more), *more]) / (1 + max(slope, -0.9))
        return Blend(moved, float(max(slope, -0.9)), centre, float(level))


def _standard(raw: Floats, mean: Floats, spread: Floats) -> Floats:
    """(n, features), within four spreads of the mean; in memory column after column."""
    X = np.subtract(raw, mean[:, None])
    np.divide(X, spread[:, None], out=X)
    return np.clip(X, -4.0, 4.0, out=X).T


def _silence(raw: Floats) -> Floats:
    """Silence over the own gap and its square, logarithms (n, 2)."""
    ratio = raw[FEATURES.index("silence")]
    return np.column_stack([ratio, ratio**2])


def _shift(base: Floats, returned: Floats, weight: Floats) -> float:
    """What must be added to log hazards to give the share that returned."""
    return hazard_shift(base, float(np.clip(np.average(returned, weights=weight), 1e-3, 1 - 1e-3)), weight)
