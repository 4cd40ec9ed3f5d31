"""Gamma-Gamma: Fader & Hardie (2013), "The Gamma-Gamma model of monetary value", brucehardie.com note 025.

The amounts of one customer are Gamma(p, nu) and nu ~ Gamma(q, v) across customers. With m the mean of x amounts, the
posterior is nu ~ Gamma(p x + q, v + x m): mean amount p (v + x m) / (p x + q - 1), total of n further amounts (v + x
m) times a beta-prime(p n, p x + q). The mean amount of a new customer, p v / (q - 1), exists only for q > 1.

x: number of amounts; m: their mean, in any currency unit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv, digamma, gammaln, polygamma

from clvml.maths.sample import Floats, Numbers, Objective, Penalty, tally

__all__ = [
    "MeanSpend", "Params", "amount_exceeded", "expected_spend", "log_likelihood", "mean", "objective_given_mean",
    "objective_with_slope", "simulate", "spend_of", "start", "value_gradient_hessian", "weak_prior",
]  # fmt: skip


class Params(NamedTuple):
    """All positive. p: evenness of one customer's amounts; q: likeness of customers; v: a scale, in money."""

    p: float
    q: float
    v: float


class MeanSpend(NamedTuple):
    """Mean spend per purchase of customers, with what the likelihood needs of it; amounts in units of `unit`."""

    x: Floats  # amounts a customer
    m: Floats  # their mean, over `unit`
    weight: Floats  # customers
    xs: Floats  # distinct x
    xs_weight: Floats  # customers with that x
    unit: float  # mean amount per purchase, in money

    @property
    def customers(self) -> float:
        """How many customers there are."""
        return float(self.xs_weight.sum())


def spend_of(x: Numbers, m: Numbers, weight: Numbers | None = None) -> MeanSpend:
    """MeanSpend from columns with x > 0 and m > 0."""
    x, m = np.asarray(x, dtype=np.float64), np.asarray(m, dtype=np.float64)
    weight = np.ones(x.shape) if weight is None else np.asarray(weight, dtype=np.float64)
    xs, place = np.unique(x, return_inverse=True)
    unit = float(weight @ (x * m)) / float(weight @ x)
    return MeanSpend(x, m / unit, weight, xs, tally(place, weight, xs.size), unit)


def mean(params: Params) -> float:
    """Mean amount of a new customer; inf where it does not exist."""
    p, q, v = params
    return p * v / (q - 1.0) if q > 1.0 else float("inf")


def expected_spend(params: Params, x: Numbers, m: Numbers) -> Floats:
    """Posterior mean amount per purchase. A mean below zero (more was returned than bought) counts as zero."""
    p, q, v = params
    x, m = np.asarray(x, dtype=np.float64), np.maximum(np.asarray(m, dtype=np.float64), 0.0)
    return np.asarray(p * (v + x * m) / (p * x + q - 1.0), dtype=np.float64)


def amount_exceeded(params: Params, x: Numbers, total: Numbers, share: float) -> Floats:
    """What one more amount exceeds with probability `share`, after x amounts, whole numbers, of that total: v + total
    times a quantile of the beta-prime of p and p x + q.
    """
    p, q, v = params
    counts = np.asarray(x, dtype=np.intp)
    odds = np.zeros(counts.max(initial=0) + 1)
    distinct = np.flatnonzero(np.bincount(counts))  # few, where a quantile takes microseconds
    odds[distinct] = 1.0 / betaincinv(p * distinct + q, p, share) - 1.0
    return np.asarray((v + np.asarray(total, dtype=np.float64)) * odds[counts], dtype=np.float64)


def simulate(params: Params, x: Numbers, m: Numbers, counts: Floats, rng: np.random.Generator) -> Floats:
    """One draw of the total of `counts` further amounts of each customer: (v + x m) Gamma(p n) / Gamma(p x + q)."""
    p, q, v = params
    x, m = (np.broadcast_to(np.asarray(w, dtype=np.float64), counts.shape) for w in (x, m))
    out, some = np.zeros(counts.shape), np.flatnonzero(counts)
    scale = v + x[some] * np.maximum(m[some], 0.0)
    out[some] = scale * rng.gamma(p * counts[some]) / rng.gamma(p * x[some] + q)
    return out


def start(sample: MeanSpend) -> Params:
    """A first guess in units of the mean: amounts as uneven as an Erlang-2, customers of moderate likeness."""
    return Params(2.0, 3.0, 1.0)


def weak_prior(sample: MeanSpend) -> Penalty:
    """Worth about one customer: mean amount beside the data's own, evenness within and between customers."""
    rows = np.array([[1.0, -1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    return Penalty(rows, np.log([2 / 3, 2.0, 3.0]), np.array([0.5, 1.0, 0.7]))


def log_likelihood(params: Params, x: Numbers, m: Numbers) -> Floats:
    """Log-density of each customer's mean amount, eq. (1a) of the note."""
    p, q, v = params
    x, m = np.asarray(x, dtype=np.float64), np.asarray(m, dtype=np.float64)
    px = p * x
    ln: Floats = gammaln(px + q) - gammaln(px) - gammaln(q) + q * np.log(v) + (px - 1.0) * np.log(m) + px * np.log(x)
    return ln - (px + q) * np.log(v + x * m)


def _natural(params: Params, sample: MeanSpend) -> Objective:
    """Sum of the log-density with derivatives in p, q, v themselves."""
    p, q, v = params
    x, m, n, xs, nx, _ = sample
    N, a, b = sample.customers, p * xs, p * xs + q
    total = v + x * m
    log_total, share = np.log(total), n / total
    log_x_share = np.log(x * m) - log_total
    value = nx @ (gammaln(b) - gammaln(a)) + N * (q * np.log(v) - gammaln(q))
    value += n @ (p * x * log_x_share - q * log_total - np.log(m))
    d_p = nx @ (xs * (digamma(b) - digamma(a))) + n @ (x * log_x_share)
    d_q = nx @ digamma(b) + N * (np.log(v) - digamma(q)) - n @ log_total
    d_v = N * q / v - share @ (p * x + q)
    curve = polygamma(1, b)
    d_pp = nx @ (xs**2 * (curve - polygamma(1, a)))
    d_pq, d_qq = nx @ (xs * curve), nx @ curve - N * polygamma(1, q)
    d_pv, d_qv = -share @ x, N / v - share.sum()
    d_vv = -N * q / v**2 + (share / total) @ (p * x + q)
    hessian = np.array([[d_pp, d_pq, d_pv], [d_pq, d_qq, d_qv], [d_pv, d_qv, d_vv]])
    return Objective(float(value), np.array([d_p, d_q, d_v]), hessian)


def value_gradient_hessian(params: Params, sample: MeanSpend) -> Objective:
    """Sum of the log-density with derivatives in log p, log q, log v. Amounts and v in the sample's unit."""
    return _natural(params, sample).in_logs(params)


def objective_with_slope(theta: Floats, sample: MeanSpend, z: Floats) -> Objective:
    """The same where customers differ in scale by what z, one a customer, says: v exp(slope z) instead of v.

    theta: log p, log q, log v, slope. With e = exp(slope z), m / e is Gamma-Gamma with v itself.
    """
    params, slope = Params(*np.exp(theta[:3])), float(theta[3])
    evened = sample._replace(m=sample.m * np.exp(-slope * z))
    inner = value_gradient_hessian(params, evened)
    x, m, n, *_ = evened
    k, share, nz = params.p * x + params.q, params.v / (params.v + x * m), n * z
    bent = nz * k * share * (1.0 - share)
    hessian = np.zeros((4, 4))
    hessian[:3, :3] = inner.hessian
    cross = [-params.p * float(nz @ (x * share)), params.q * float(nz @ (1.0 - share)), -float(bent.sum())]
    hessian[3, :3] = hessian[:3, 3] = cross
    hessian[3, 3] = -float(bent @ z)
    gradient = np.append(inner.gradient, float(nz @ (params.q - k * share)))
    return Objective(inner.value - slope * float(nz.sum()), gradient, hessian)


def objective_given_mean(sample: MeanSpend, p: float, s: float) -> Objective:
    """The same where q = 1 + s and v = s / p, so that the mean amount is the sample's own: derivatives in log p, log s.

    For spend so uneven that the free maximum has no mean (q <= 1).
    """
    value, gradient, hessian = _natural(Params(p, 1.0 + s, s / p), sample)
    jacobian = np.array([[p, 0.0], [0.0, s], [-s / p, s / p]])
    second = jacobian.T @ hessian @ jacobian
    second += (
        gradient[0] * np.diag([p, 0.0])
        + gradient[1] * np.diag([0.0, s])
        + gradient[2] * s / p * np.array([[1.0, -1.0], [-1.0, 1.0]])
    )
    return Objective(value, jacobian.T @ gradient, second)
