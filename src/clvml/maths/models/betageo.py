"""What BG/NBD and MBG/NBD share: gamma rates and beta-geometric drop-out.

A customer buys at a rate lambda ~ Gamma(r, alpha) while alive, and each of `flips` purchases was an occasion to
leave with probability p ~ Beta(a, b): the x repeat purchases in BG/NBD, the first purchase as well in MBG/NBD (flips
= x + 1). The likelihood of a history is

    G(r + x) / G(r) alpha^r  B(a, b + flips) / B(a, b)  [(alpha + T)^-(r+x) + {flips > 0} a / (b + flips - 1) (alpha +
    t_x)^-(r+x)]

with the two ways to it in brackets: alive at T, or gone right after the last purchase.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaln, digamma, expit, gammaln, polygamma, xlogy

from clvml.maths.discount import discounted
from clvml.maths.models.hyp import beta_geometric_mean
from clvml.maths.rhythm import lomax_quantile
from clvml.maths.sample import Floats, Numbers, Objective, Penalty, Sample, Terms

__all__ = [
    "NEVER",
    "BetaGeoFuture",
    "Params",
    "each",
    "future",
    "leave",
    "future_if_alive",
    "log_likelihood",
    "objective",
    "start",
    "weak_prior",
    "without_dropout",
]

NEVER = 1e-100
"""A value of `a` that stands for the limit 0, in which nobody leaves, while its logarithm stays finite."""


_MAX_EVEN_PURCHASES = 500.0
"""Purchases within a time of A up to which expectations bend on that scale."""
_BATCH_ROWS = 8192
"""Rows worked on at once, so that the working arrays stay in the processor's cache."""


class Params(NamedTuple):
    """All positive. Mean rate r / alpha per unit of time while alive; mean drop-out probability a / (a + b)."""

    r: float
    alpha: float
    a: float
    b: float


def start(sample: Sample) -> Params:
    """A first guess: twice the overall rate while alive, and a fifth leaving at each purchase."""
    rate = (sample.purchases + 0.5) / (sample.exposure + 0.5 * sample.typical_age)
    return Params(0.5, 0.25 / rate, 0.6, 2.4)


def weak_prior(sample: Sample) -> Penalty:
    """Worth about one customer: mean purchases by now, spread of rates, odds of drop-out, spread of drop-out."""
    rows = np.array([[1.0, -1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0], [0.0, 0.0, 0.5, 0.5]])
    centre = np.array([-np.log(sample.typical_age), -0.5, -1.0, 0.0])
    return Penalty(rows, centre, np.array([1.5, 1.0, 1.5, 1.0]))


def without_dropout(r: float, alpha: float) -> Params:
    """The limit in which nobody leaves: NBD."""
    return Params(r, alpha, NEVER, 1.0)


def _log_odds_gone(params: Params, x: Floats, t_x: Floats, T: Floats, flips: Floats) -> Floats:
    """Log odds of being gone at T given the history: the second term in brackets over the first; -inf before any
    flip.
    """
    r, alpha, a, b = params
    left = np.where(flips > 0, b + (flips - 1.0), np.inf)
    return _log_odds(a, left, (r + x) * (np.log(alpha + T) - np.log(alpha + t_x)))


def _log_odds(a: float, left: Floats, silence: Floats) -> Floats:
    """The same from b + flips - 1 (inf before any flip) and the log-likelihood ratio of having been silent."""
    odds: Floats = (np.log(a) if a > NEVER else -np.inf) - np.log(left) + silence
    return odds


def log_likelihood(params: Params, x: Floats, t_x: Floats, T: Floats, flips: Floats) -> Floats:
    """Log-likelihood of each history."""
    r, alpha, a, b = params
    buying = gammaln(r + x) - gammaln(r) + r * np.log(alpha) - (r + x) * np.log(alpha + T)
    staying = betaln(a, b + flips) - betaln(a, b)
    ln: Floats = buying + staying + np.logaddexp(0.0, _log_odds_gone(params, x, t_x, T, flips))
    return ln


def objective(params: Params, sample: Sample, extra_flips: float) -> Objective:
    """The log-likelihood of a sample where flips = x + extra_flips, with its derivatives."""
    total = by_x(params, sample, extra_flips)
    for i in range(0, sample.x.size, _BATCH_ROWS):
        x, t_x, T, n = (v[i : i + _BATCH_ROWS] for v in sample[:4])
        total = total.plus(_bracket(params, x, t_x, T, x + extra_flips).total(n))
    return total.in_logs(params)


def each(params: Params, x: Floats, t_x: Floats, T: Floats, extra_flips: float) -> Terms:
    """The log-likelihood of each history, with its derivatives in the logarithms. alpha and b may differ between
    histories.
    """
    flips = x + extra_flips
    return _by_x(params, x, flips).plus(_bracket(params, x, t_x, T, flips).terms()).in_logs(params)


def by_x(params: Params, sample: Sample, extra_flips: float, k: int = 1) -> Objective:
    """The sum over a sample of the factors that depend on x alone: derivatives in r, alpha, a, b.

    k: stages a purchase takes; one, but for Erlang gaps.
    """
    return _by_x(params, k * sample.xs, sample.xs + extra_flips).total(sample.xs_weight)


def _by_x(params: Params, stages: Floats, flips: Floats) -> Terms:
    """The factors before the bracket: value, gradient, Hessian in r, alpha, a, b."""
    r, alpha, a, b = params
    zero, log_alpha = np.zeros_like(stages), np.log(alpha)
    value = r * log_alpha + gammaln(r + stages) - gammaln(r)
    value = value + gammaln(b + flips) - gammaln(b) + gammaln(a + b) - gammaln(a + b + flips)
    d_a = digamma(a + b) - digamma(a + b + flips)
    d_aa = polygamma(1, a + b) - polygamma(1, a + b + flips)
    gradient = np.stack(
        [
            log_alpha + digamma(r + stages) - digamma(r),
            r / alpha + zero,
            d_a,
            d_a + digamma(b + flips) - digamma(b),
        ]
    )
    hessian = np.zeros((4, 4, stages.size))
    hessian[0, 0] = polygamma(1, r + stages) - polygamma(1, r)
    hessian[0, 1] = hessian[1, 0] = 1.0 / alpha
    hessian[1, 1] = -r / alpha**2
    hessian[2, 2] = hessian[2, 3] = hessian[3, 2] = d_aa
    hessian[3, 3] = d_aa + polygamma(1, b + flips) - polygamma(1, b)
    return Terms(value, gradient, hessian)


class _Bracket(NamedTuple):
    """(alpha + T)^-(r+x) times the bracket's 1 + odds of being gone, one entry a history: derivatives in r, alpha, a,
    b. The Hessian of each is spread * slope slope' and the bends.
    """

    value: Floats
    gradient: Floats  # (4, n)
    slope: Floats  # (4, n), of the log odds
    spread: Floats
    bends: tuple[tuple[int, int, Floats], ...]

    def total(self, weight: Floats) -> Objective:
        """The sum over histories."""
        hessian = (self.slope * (weight * self.spread)) @ self.slope.T
        for i, j, bend in self.bends:
            hessian[i, j] += bend @ weight
        return Objective(float(self.value @ weight), self.gradient @ weight, hessian)

    def terms(self) -> Terms:
        """Each history's own."""
        hessian = self.spread * self.slope * self.slope[:, None]
        for i, j, bend in self.bends:
            hessian[i, j] += bend
        return Terms(self.value, self.gradient, hessian)


def _bracket(params: Params, x: Floats, t_x: Floats, T: Floats, flips: Floats) -> _Bracket:
    r, alpha, a, b = params
    s, log_T, per_T, per_t = r + x, np.log(alpha + T), 1.0 / (alpha + T), 1.0 / (alpha + t_x)
    longer = log_T - np.log(alpha + t_x)
    left = np.where(flips > 0, b + (flips - 1.0), np.inf)
    log_odds = _log_odds(a, left, s * longer)
    gone = expit(log_odds)
    # Derivatives of the log odds, one row a parameter; those of the odds' logarithm in a are constants.
    slope, per_left, later = np.empty((4, s.size)), 1.0 / left, per_T - per_t
    slope[0], slope[1], slope[2], slope[3] = longer, s * later, 1.0 / a, -per_left
    gradient = slope * gone
    gradient[0] -= log_T
    gradient[1] -= s * per_T
    cross = gone * later - per_T
    bends = (
        (0, 1, cross),
        (1, 0, cross),
        (1, 1, s * (gone * (per_t**2 - per_T**2) + per_T**2)),
        (2, 2, -gone / a**2),
        (3, 3, gone * per_left**2),
    )
    either = np.maximum(log_odds, 0.0) + np.log1p(np.exp(-np.abs(log_odds)))  # a third of the time of logaddexp
    return _Bracket(either - s * log_T, gradient, slope, gone * (1.0 - gone), bends)


class BetaGeoFuture(NamedTuple):
    """What is to come of customers: alive with probability p_alive, and if so lambda ~ Gamma(R, A), p ~ Beta(a, B).

    One entry a customer; `a` is shared. Every later purchase is an occasion to leave.
    """

    p_alive: Floats
    R: Floats
    A: Floats
    a: float
    B: Floats

    def p_return(self, t: Numbers) -> Floats:
        """Probability of at least one purchase within t."""
        chance: Floats = self.p_alive * -np.expm1(-self.R * np.log1p(t / self.A))
        return chance

    def expected(self, t: Numbers) -> Floats:
        """Expected number of purchases within t; Fader, Hardie & Lee (2005), eq. (10)."""
        mean: Floats = self.p_alive * beta_geometric_mean(self.R, self.a, self.B, t / self.A)
        return mean

    def discounted(self, t: Numbers, delta: float) -> Floats:
        """Expected purchases within t (which may be inf), each weighted by exp(-delta s) at its time s."""
        bends = np.where(self.R > _MAX_EVEN_PURCHASES, self.A / self.R, self.A)  # drop-out bends it sooner
        return discounted(lambda rows: self.take(rows).expected, bends, t, delta)

    def at_least(self, n: Numbers, t: Numbers) -> Floats:
        """P(Y >= n), n >= 0: surviving the first n - 1 occasions to leave, where the rate alone brings n purchases by
        t.
        """
        n = np.asarray(n, dtype=np.float64)
        m = np.maximum(n, 1.0)
        stays = np.exp(betaln(self.a, self.B + m - 1.0) - betaln(self.a, self.B))
        return np.where(n > 0, self.p_alive * stays * betainc(m, self.R, t / (self.A + t)), 1.0)

    def pmf(self, n: Numbers, t: Numbers) -> Floats:
        """P(Y = n), eq. (8): n purchases and still alive, or gone right after the nth; for n = 0 also gone already."""
        n = np.asarray(n, dtype=np.float64)
        m, R, B, z = np.maximum(n, 1.0), self.R, self.B, t / (self.A + t)
        stays = np.exp(betaln(self.a, B + m - 1.0) - betaln(self.a, B))
        log_nb = gammaln(R + m) - gammaln(R) - gammaln(m + 1.0) - R * np.log1p(t / self.A) + xlogy(m, z)
        leaves = self.a / (self.a + B + m - 1.0)
        some = self.p_alive * stays * ((1.0 - leaves) * np.exp(log_nb) + leaves * betainc(m, R, z))
        return np.where(n > 0, some, 1.0 - self.p_return(t))

    def median_wait(self) -> Floats:
        """Median time to the next purchase of one who is alive: (A / (A + t))^R = 1/2."""
        return lomax_quantile(0.5, self.R, self.A)

    def simulate(self, t: float, rng: np.random.Generator) -> Floats:
        """One draw of the purchases of each customer within t: those their rate brings, until they leave."""
        alive = rng.random(self.R.shape) < self.p_alive
        counts = np.where(alive, rng.poisson(rng.gamma(self.R) * (t / self.A)), 0).astype(np.float64)
        return leave(counts, self.a, self.B, rng)

    def take(self, rows: NDArray[np.intp]) -> BetaGeoFuture:
        """The future of some of the customers."""
        return BetaGeoFuture(self.p_alive[rows], self.R[rows], self.A[rows], self.a, self.B[rows])


def leave(counts: Floats, a: float | Floats, B: Floats, rng: np.random.Generator) -> Floats:
    """The purchases that would come, cut off after the one at which each customer leaves: geometric, p ~ Beta(a, B)."""
    out, some = counts.copy(), np.flatnonzero(counts)
    p = rng.beta(np.broadcast_to(a, counts.shape)[some], B[some])
    with np.errstate(divide="ignore", over="ignore"):  # p = 0, or nearly, or 1: never leaves, or at once
        occasions = 1.0 + np.floor(-rng.standard_exponential(some.size) / np.log1p(-p))
    out[some] = np.minimum(counts[some], occasions)
    return out


def future(params: Params, x: Numbers, t_x: Numbers, T: Numbers, extra_flips: float) -> BetaGeoFuture:
    """The posterior after a history. A history of (0, 0, 0) gives a customer who has just made the first purchase."""
    x, t_x, T = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (x, t_x, T)))
    flips = x + extra_flips
    p_alive = expit(-_log_odds_gone(params, x, t_x, T, flips))
    return future_if_alive(params, x, T, extra_flips)._replace(p_alive=p_alive)


def future_if_alive(params: Params, x: Floats, T: Floats, extra_flips: float) -> BetaGeoFuture:
    """The posterior of those who are alive."""
    return BetaGeoFuture(np.ones(x.shape), params.r + x, params.alpha + T, params.a, params.b + (x + extra_flips))
