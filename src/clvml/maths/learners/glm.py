"""Penalised generalised linear models with an offset: a correction exp(X beta) of an expectation that is known already.

With a ridge penalty the correction shrinks to 1 where data are few, so the known expectation is what remains.
Every family here has eta = offset + X beta and mean or hazard exp(eta):

    poisson   counts           log-likelihood  y eta - exp(eta)
    gamma     amounts > 0      log-likelihood  -y exp(-eta) - eta
    hazard    0 or 1           P(1) = 1 - exp(-exp(eta)), the complementary log-log link: exp(X beta) multiplies the
                               cumulative hazard, so that one fit serves every horizon whose own hazard is the offset
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["GAMMA", "HAZARD", "POISSON", "Family", "fit"]

Floats = NDArray[np.float64]
_LIMIT = 25.0
_STEPS = 60
_SMALL = 1e-6
"""A last step: Newton's error is about the square of it."""
_ROUNDING = 1e-13
_START_ROWS = 10_000
"""Rows that are enough for a start."""
_BLOCK = 2_048


class Family(NamedTuple):
    """Pointwise log-likelihood, which is concave in eta, its derivative (score), and minus the second (weight)."""

    name: str
    log_likelihood: Callable[[Floats, Floats], Floats]
    score_weight: Callable[[Floats, Floats], tuple[Floats, Floats]]


def _hazard_log_likelihood(y: Floats, eta: Floats) -> Floats:
    hazard = np.exp(eta)
    return np.where(y > 0, np.log(-np.expm1(-np.maximum(hazard, 1e-300))), -hazard)


def _hazard_score_weight(y: Floats, eta: Floats) -> tuple[Floats, Floats]:
    hazard = np.exp(eta)
    ratio = hazard / np.expm1(np.minimum(np.maximum(hazard, 1e-300), 700.0))  # h / (e^h - 1): odds of silence times h
    return np.where(y > 0, ratio, -hazard), np.where(y > 0, ratio * (hazard + ratio - 1.0), hazard)


def _gamma_score_weight(y: Floats, eta: Floats) -> tuple[Floats, Floats]:
    ratio = y * np.exp(-eta)
    return ratio - 1.0, ratio


POISSON = Family("poisson", lambda y, eta: y * eta - np.exp(eta), lambda y, eta: (y - np.exp(eta), np.exp(eta)))
GAMMA = Family("gamma", lambda y, eta: -y * np.exp(-eta) - eta, _gamma_score_weight)
HAZARD = Family("hazard", _hazard_log_likelihood, _hazard_score_weight)


def fit(
    family: Family, X: Floats, y: Floats, offset: Floats, weight: Floats, penalty: float, *, intercept: bool = True
) -> Floats:
    """beta, intercept first where there is one: maximises sum weight * log-likelihood - penalty / 2 * |beta|^2.

    X: (n, k), standardised by the caller, so that one penalty suits all columns; the intercept goes free. Newton's
    method with step halving: the objective falls by no more than rounding; it stops after a step below 1e-6, whose
    square is the error left. Of many rows some are fitted first, from where few steps are left.
    """
    Z = np.column_stack([np.ones(len(X)), X]) if intercept else X
    ridge = np.full(Z.shape[1], penalty)
    if intercept:
        ridge[0] = 1e-8 * max(float(weight.sum()), 1.0)  # keeps it finite where nothing, or everything, happened
    data = _Data(family, Z, y, offset, weight, ridge)
    beta, every = np.zeros(Z.shape[1]), len(y) // _START_ROWS
    return _maximum(data, _maximum(data.every(every), beta) if every > 1 else beta)


class _Data(NamedTuple):
    """What is maximised over."""

    family: Family
    Z: Floats
    y: Floats
    offset: Floats
    weight: Floats
    ridge: Floats

    def every(self, step: int) -> Self:
        """Every so-manyth row, standing for the others."""
        Z, y, offset, weight = (values[::step] for values in (self.Z, self.y, self.offset, self.weight))
        return self._replace(Z=Z, y=y, offset=offset, weight=step * weight)

    def eta(self, beta: Floats) -> Floats:
        """(n,)."""
        return np.clip(self.offset + self.Z @ beta, -_LIMIT, _LIMIT)

    def objective(self, beta: Floats) -> float:
        """Penalised log-likelihood."""
        each = self.family.log_likelihood(self.y, self.eta(beta))
        return float(self.weight @ each - 0.5 * self.ridge @ beta**2)

    def step(self, beta: Floats) -> Floats:
        """Newton's."""
        score, curved = self.family.score_weight(self.y, self.eta(beta))
        root = np.sqrt(self.weight * curved)
        curvature: Floats = np.diag(self.ridge)
        for begin in range(0, len(root), _BLOCK):  # whose rows stay in the processor's cache
            rows = slice(begin, begin + _BLOCK)
            block = self.Z[rows] * root[rows, None]
            curvature += block.T @ block
        ascent = self.Z.T @ (self.weight * score) - self.ridge * beta
        return np.asarray(np.linalg.solve(curvature, ascent), dtype=np.float64)


def _maximum(data: _Data, beta: Floats) -> Floats:
    """The beta to which steps from this one lead."""
    value = data.objective(beta)
    for _ in range(_STEPS):
        step = data.step(beta)
        beta, value = _climb(data.objective, beta, step, value)
        if np.abs(step).max() <= _SMALL:
            break
    return beta


def _climb(objective: Callable[[Floats], float], beta: Floats, step: Floats, value: float) -> tuple[Floats, float]:
    """Where the first of step, step / 2, step / 4, ... leads that does not lose, and the objective there.

    Near the top gains drown in rounding while steps still carry digits, so a loss as small as rounding is none.
    """
    least = value - _ROUNDING * (abs(value) + 1.0)
    for halving in range(30):
        trial = beta + step / 2**halving
        there = objective(trial)
        if there >= least:
            return trial, there
    return beta, value
