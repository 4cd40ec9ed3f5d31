"""NBD: Ehrenberg (1959); the limit of every model here in which nobody leaves.

A customer buys at a rate lambda ~ Gamma(r, alpha) for ever. Likelihood of a history: G(r + x) / G(r) alpha^r (alpha
+ T)^-(r+x).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import digamma, gammaln, polygamma

from clvml.maths.models.betageo import NEVER, BetaGeoFuture
from clvml.maths.sample import Floats, Numbers, Objective, Penalty, Sample

__all__ = [
    "TIME",
    "Params",
    "future",
    "future_if_alive",
    "log_likelihood",
    "p_alive",
    "start",
    "value_gradient_hessian",
    "weak_prior",
]

TIME = ("alpha",)
"""The parameters that are times, and change with the unit."""


class Params(NamedTuple):
    """Both positive. Mean rate r / alpha per unit of time."""

    r: float
    alpha: float


def start(sample: Sample) -> Params:
    """The overall rate, and customers who differ much."""
    rate = (sample.purchases + 0.5) / (sample.exposure + 0.5 * sample.typical_age)
    return Params(0.5, 0.5 / rate)


def weak_prior(sample: Sample) -> Penalty:
    """Worth about one customer: mean purchases by now, spread of rates."""
    rows = np.array([[1.0, -1.0], [1.0, 0.0]])
    return Penalty(rows, np.array([-np.log(sample.typical_age), -0.5]), np.array([1.5, 1.0]))


def log_likelihood(params: Params, x: Numbers, t_x: Numbers, T: Numbers) -> Floats:
    """Log-likelihood of each history; t_x does not matter."""
    r, alpha = params
    x, T = np.asarray(x, dtype=np.float64), np.asarray(T, dtype=np.float64)
    ln: Floats = gammaln(r + x) - gammaln(r) + r * np.log(alpha) - (r + x) * np.log(alpha + T)
    return ln


def value_gradient_hessian(params: Params, sample: Sample) -> Objective:
    """Sum over a sample, with its derivatives with respect to log r, log alpha."""
    r, alpha = params
    x, n, xs, nx, N = sample.x, sample.weight, sample.xs, sample.xs_weight, sample.customers
    log_T, per_T = np.log(alpha + sample.T), 1.0 / (alpha + sample.T)
    value = nx @ (gammaln(r + xs) - gammaln(r)) + N * r * np.log(alpha) - n @ ((r + x) * log_T)
    d_r = nx @ (digamma(r + xs) - digamma(r)) + N * np.log(alpha) - n @ log_T
    d_alpha = N * r / alpha - n @ ((r + x) * per_T)
    d_rr = nx @ (polygamma(1, r + xs) - polygamma(1, r))
    d_ra = N / alpha - n @ per_T
    d_aa = -N * r / alpha**2 + n @ ((r + x) * per_T**2)
    hessian = np.array([[d_rr, d_ra], [d_ra, d_aa]])
    return Objective(float(value), np.array([d_r, d_alpha]), hessian).in_logs(params)


def future(params: Params, x: Numbers, t_x: Numbers, T: Numbers) -> BetaGeoFuture:
    """What is to come after each history: alive for certain, at rate Gamma(r + x, alpha + T)."""
    x, _, T = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (x, t_x, T)))
    return future_if_alive(params, x, T)


def future_if_alive(params: Params, x: Floats, T: Floats) -> BetaGeoFuture:
    """The same: everybody is alive."""
    return BetaGeoFuture(np.ones(x.shape), params.r + x, params.alpha + T, NEVER, np.ones(x.shape))


def p_alive(params: Params, x: Numbers, t_x: Numbers, T: Numbers) -> Floats:
    """One, for everyone."""
    return future(params, x, t_x, T).p_alive
