"""How far regular gaps are believed: as far as those who came back at earlier origins bear it out."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from clvml.estimators.learned.expectation import Expectation, hazard_shift, log_hazard
from clvml.maths.learners import glm

__all__ = ["Believed"]

Floats = NDArray[np.float64]

_MIN_EXPECTED = 0.01
"""Least expectation, as a share of the mean, that purchases are compared with."""


class Believed(NamedTuple):
    """The shares, from 0 to 1, of gaps that are as regular as they look, the others being random: of those that decide
    who returns, and of those that decide how many purchases come.
    """

    returns: float = 0.0
    purchases: float = 0.0

    @classmethod
    def learn(cls, expected: Expectation, purchases: Floats, factors: Floats, weight: Floats, penalty: float) -> Self:
        """From what came; factors: (n, 3), the CommonFactors of each one's origin; penalty: as of the ridges, so that
        gaps count as random where customers are few.
        """
        bought = (purchases > 0).astype(float)
        unit = max(float(purchases.mean()), 1e-9)
        returned = float(np.average(bought, weights=weight))
        n = purchases / unit

        def returns(share: float) -> Floats:
            hazard = log_hazard(_mixed(share, expected.p_return, expected.regular_return)) + factors[:, 2]
            return glm.HAZARD.log_likelihood(bought, hazard + hazard_shift(hazard, returned, weight))

        def counts(share: float) -> Floats:
            mean = _mixed(share, expected.purchases, expected.regular_purchases) / unit
            mean = np.maximum(mean, _MIN_EXPECTED) * np.exp(factors[:, 0])
            return glm.POISSON.log_likelihood(n, np.log(mean * (weight @ n) / (weight @ mean)))

        return cls(*(_best_share(of, weight, penalty) for of in (returns, counts)))

    def of(self, expected: Expectation) -> Expectation:
        """What is expected with gaps as regular as that. A return is at most as likely as purchases are expected."""
        if self == Believed():
            return expected
        p_return = _mixed(self.returns, expected.p_return, expected.regular_return)
        purchases = _mixed(self.purchases, expected.purchases, expected.regular_purchases)
        return Expectation.of(p_return, np.maximum(purchases, p_return), expected.ticket)

    def factors_of(self, factors: Floats, expected: Expectation, origin: NDArray[np.int64]) -> Floats:
        """(n, 3): the same CommonFactors, beyond what is expected then."""
        regular, found = self.of(expected), factors.copy()
        for day in np.unique(origin):
            rows = origin == day
            before, after = expected.take(rows), regular.take(rows)
            of_all = factors[rows][0]
            returned = float(-np.expm1(-np.exp(log_hazard(before.p_return) + of_all[2])).mean())
            found[rows] = (
                of_all[0] + np.log(before.purchases.sum() / after.purchases.sum()),
                of_all[1] + np.log(before.spend.sum() / after.spend.sum()),
                hazard_shift(log_hazard(after.p_return), returned),
            )
        return found


def _mixed(share: float, random: Floats, regular: Floats) -> Floats:
    return (1.0 - share) * random + share * regular


def _best_share(log_likelihood: Callable[[float], Floats], weight: Floats, penalty: float) -> float:
    """The share that is most likely, as far as the penalty allows."""
    from scipy.optimize import minimize_scalar

    def loss(share: float) -> float:
        return 0.5 * penalty * share**2 - float(weight @ log_likelihood(share))

    found = minimize_scalar(loss, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-3})
    return float(found.x) if found.fun < loss(0.0) else 0.0
