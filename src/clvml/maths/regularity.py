"""How regular purchases are: the k of Erlang-k gaps, from what a summary knows of the gaps.

Wheat & Morrison (1990), Estimating purchase regularity with two interpurchase times, J. Marketing Research 27(1): with
gaps that are Gamma(k, lambda), the share of the first in two gaps is Beta(k, k) whatever the customer's rate. Of x
gaps the shares of their sum are Dirichlet(k, ..., k), whose logarithms are sufficient for k, so all gaps of all
customers are used here, and only the sum of their logarithms is needed. Given x and the sum of the gaps, neither the
rates nor drop-out matter. k = 1: purchases are random (Poisson); above: regular; below: in bursts.

Customers of one log are regular in different ways: some on standing orders, others when they run out. So the k of each
is drawn from how they are spread over all, a distribution on a grid that is fitted by EM.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from scipy.special import digamma, gammaln, polygamma

from clvml.maths.sample import Floats

__all__ = ["REGULARITIES", "Regularities", "regularity"]

_MIN_K, _MAX_K = 1e-2, 1e3
"""Where k is looked for; at either end it is not measurable."""

REGULARITIES = np.exp(np.linspace(np.log(0.5), np.log(50.0), 12))
"""The k that a customer can have."""
_PRIOR_CUSTOMERS = 20.0
"""For whom the k of all customers together counts."""
_ROUNDS = 60
_STEPS = 10.0
"""In a logarithm of k, to which it is rounded, so that few values occur."""


class Regularities(NamedTuple):
    """How k is spread over the customers of a log."""

    weights: Floats
    """Of REGULARITIES; their sum is 1."""

    @classmethod
    def learn(cls, x: Floats, t_x: Floats, log_gaps: Floats, k: float) -> Self:
        """From x gaps that add up to t_x; k: of all customers together."""
        some = x > 1.0
        prior = np.zeros(len(REGULARITIES))
        prior[np.abs(np.log(REGULARITIES / k)).argmin()] = _PRIOR_CUSTOMERS
        prior += _PRIOR_CUSTOMERS / len(prior) / 10.0  # none is out of the question
        logs = _log_likelihoods(x[some], t_x[some], log_gaps[some])
        likelihood = np.exp(logs - logs.max(axis=1, keepdims=True))
        weights = np.full(len(prior), 1.0 / len(prior))
        for _ in range(_ROUNDS):
            counts = prior + weights * (likelihood / (likelihood @ weights)[:, None]).sum(axis=0)
            weights = counts / counts.sum()
        return cls(weights)

    def each(self, x: Floats, t_x: Floats, log_gaps: Floats, k: float) -> Floats:
        """The k of each customer, by their own gaps; k: of all together, for those with fewer than two gaps."""
        some = x > 1.0
        logs = _log_likelihoods(x[some], t_x[some], log_gaps[some]) + np.log(self.weights)
        chance = np.exp(logs - logs.max(axis=1, keepdims=True))
        chance /= chance.sum(axis=1, keepdims=True)
        found = np.full(len(x), k)
        found[some] = np.exp(np.round(_STEPS * (chance @ np.log(REGULARITIES))) / _STEPS)
        return found


def _log_likelihoods(x: Floats, t_x: Floats, log_gaps: Floats) -> Floats:
    """(n, REGULARITIES): of the shares of each customer's gaps in their sum, Dirichlet(k, ..., k)."""
    xs, place = np.unique(x, return_inverse=True)
    constant = gammaln(REGULARITIES * xs[:, None]) - xs[:, None] * gammaln(REGULARITIES)
    log_shares = log_gaps - x * np.log(t_x)
    found: Floats = constant[place] + (REGULARITIES - 1.0) * log_shares[:, None]
    return found


def regularity(x: Floats, t_x: Floats, log_gaps: Floats, weight: Floats) -> tuple[float, float]:
    """The most likely k and its standard error, from x gaps that add up to t_x; nan where nobody has two gaps.

    Gaps in whole days make k a little too high where gaps of a day or two are common.
    """
    some = (x > 1.0) & (weight > 0.0)
    x, n = x[some], weight[some]
    if not n.size:
        return np.nan, np.nan
    log_shares = float(n @ (log_gaps[some] - x * np.log(t_x[some])))
    xs, place = np.unique(x, return_inverse=True)
    many = np.bincount(place, weights=n) * xs

    def slope(k: float) -> float:
        return float(many @ (digamma(k * xs) - digamma(k))) + log_shares

    low, high = np.log(_MIN_K), np.log(_MAX_K)
    for _ in range(60):  # the log-likelihood is concave in k
        middle = 0.5 * (low + high)
        low, high = (middle, high) if slope(np.exp(middle)) > 0.0 else (low, middle)
    k = float(np.exp(high))
    curvature = float(many @ (polygamma(1, k) - xs * polygamma(1, k * xs)))
    return k, float(1.0 / np.sqrt(curvature)) if 1.001 * _MIN_K < k < 0.999 * _MAX_K else np.inf
