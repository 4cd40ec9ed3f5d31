"""Pareto/NBD: Schmittlein, Morrison & Colombo (1987), Management Science 33(1).

While alive a customer buys at a rate lambda ~ Gamma(r, alpha); they leave at a rate mu ~ Gamma(s, beta), at any time.
Averaged over both, with tau the time of leaving, the likelihood of a history is

    G(r + x) / G(r) alpha^r beta^s [(alpha + T)^-(r+x) (beta + T)^-s + int_t_x^T s (alpha + tau)^-(r+x) (beta +
    tau)^-(s+1) dtau]

The literature writes the integral as a difference of two 2F1 (Fader & Hardie 2005, "A note on deriving the
Pareto/NBD model"), which cancels for frequent buyers. Here it is a Gauss-Legendre sum of positive terms, so that a
history is a mixture over "alive" and the nodes, and its derivatives are moments over that mixture.

x: repeat purchases; t_x: age at the last purchase; T: age now; in any unit of time, the same throughout.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, digamma, gammaln, polygamma

from clvml.maths.discount import discounted
from clvml.maths.models.betageo import NEVER
from clvml.maths.rhythm import lomax_quantile
from clvml.maths.sample import Floats, Numbers, Objective, Penalty, Sample, Terms, row_sums
from clvml.maths.unique_pairs import distinct

__all__ = [
    "TIME",
    "Params",
    "ParetoFuture",
    "p_alive_given",
    "each",
    "future",
    "leaving_weight",
    "future_if_alive",
    "log_likelihood",
    "p_alive",
    "start",
    "value_gradient_hessian",
    "weak_prior",
    "without_dropout",
]

TIME = ("alpha", "beta")
"""The parameters that are times, and change with the unit."""
_LEGENDRE = {n: np.polynomial.legendre.leggauss(n) for n in (12, 32)}
_SHORT_FALL, _SHORT_REACH = 12.0, 2.0
"""Where an integrand falls by no more than exp(-12) over no more than 2 of y, 12 nodes are exact to 1e-14: of four in
five customers."""
_FINE_NODES, _FINE_WEIGHTS = np.polynomial.legendre.leggauss(64)
_MAX_PANEL, _TURN_LENGTH, _ASYMPTOTE_AT = 40.0, 12.0, 36.0
"""An integral over more than 40 of y is cut in three, around where it turns from the slope of the smaller of alpha and
beta to that of both; 36 behind it the integrand is its asymptote."""
_LOG_FALL = 40.0
"""Where an integrand has fallen by exp(-40) from its peak it no longer counts."""
_BATCH_ROWS = 512
"""Rows worked on at once, so that the working arrays, one column a node, stay in the processor's cache."""
_SHORT_BATCH_ROWS = 1_024


class Params(NamedTuple):
    """All positive. Mean rate of purchases r / alpha; mean rate of leaving s / beta."""

    r: float
    alpha: float
    s: float
    beta: float


def start(sample: Sample) -> Params:
    """A first guess: twice the overall rate while alive, and half of all leaving within a typical age or so."""
    rate = (sample.purchases + 0.5) / (sample.exposure + 0.5 * sample.typical_age)
    return Params(0.7, 0.35 / rate, 0.6, 0.5 * sample.typical_age)


def weak_prior(sample: Sample) -> Penalty:
    """Worth about one customer: mean purchases by now, spread of rates, mean times left by now, spread of lifetimes."""
    age = np.log(sample.typical_age)
    rows = np.array([[1.0, -1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0], [0.0, 0.0, 1.0, 0.0]])
    return Penalty(rows, np.array([-age, -0.5, -age - 0.5, -0.5]), np.array([1.5, 1.0, 1.5, 1.0]))


def without_dropout(r: float, alpha: float) -> Params:
    """The limit in which nobody leaves: NBD."""
    return Params(r, alpha, NEVER, 1.0)


class _Mixture(NamedTuple):
    """The ways to a history: row 0 alive at T, the others gone at tau. Columns are histories."""

    a: Floats  # alpha + tau; tau = T where alive
    b: Floats  # beta + tau
    ln_a: Floats
    ln_b: Floats
    log_weight: Floats  # log of what each way adds to the bracket


def _mixture(params: Params, x: Floats, t_x: Floats, T: Floats, nodes: int) -> _Mixture:
    """Gauss-Legendre in y = log((m + tau) / (m + t_x)), m the smaller of alpha and beta, where the log-integrand is
    concave.
    """
    r, alpha, s, beta = params
    places, weights = _LEGENDRE[nodes]
    k, m = r + x, np.minimum(alpha, beta)
    base = m + t_x
    reach = _reach(params, k, t_x, base, np.log((m + T) / base))
    smaller, larger, ln_smaller = (np.empty((1 + nodes, x.size)) for _ in range(3))
    np.multiply(0.5 * reach, 1.0 + places[:, None], out=ln_smaller[1:])
    np.multiply(base, np.exp(ln_smaller[1:]), out=smaller[1:])
    smaller[0] = m + T
    ln_smaller[0] = np.log(smaller[0])
    ln_smaller[1:] += np.log(base)
    ln_larger = np.log(np.add(smaller, np.abs(alpha - beta), out=larger))
    a, b, ln_a, ln_b = _in_order(alpha, beta, smaller, larger, ln_smaller, ln_larger)
    log_weight = -k * ln_a - s * ln_b
    with np.errstate(divide="ignore"):  # T = t_x: no time to leave in
        # The density of y: dtau = (m + tau) dy.
        leaving = (np.log(s) if s > NEVER else -np.inf) + np.log(0.5 * reach) + np.log(weights)[:, None]
    log_weight[1:] += leaving + ln_smaller[1:] - ln_b[1:]
    return _Mixture(a, b, ln_a, ln_b, log_weight)


def _in_order(
    alpha: Numbers, beta: Numbers, smaller: Floats, larger: Floats, ln_smaller: Floats, ln_larger: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """a, b, ln a and ln b from the smaller and the larger of them; alpha and beta may differ between histories."""
    first = np.asarray(alpha <= beta)
    if first.ndim == 0:
        return (smaller, larger, ln_smaller, ln_larger) if first else (larger, smaller, ln_larger, ln_smaller)
    pairs = ((smaller, larger), (larger, smaller), (ln_smaller, ln_larger), (ln_larger, ln_smaller))
    a, b, ln_a, ln_b = (np.where(first, *pair) for pair in pairs)
    return a, b, ln_a, ln_b


def _reach(params: Params, k: Floats, t_x: Floats, base: Floats, longest: Floats) -> Floats:
    """The y at which the integrand has fallen by exp(-40), or `longest`: Newton from beyond it, where concavity keeps
    it beyond.
    """
    _, alpha, s, beta = params
    per_A, per_B, y, rows = base / (alpha + t_x), base / (beta + t_x), longest.copy(), np.arange(longest.size)
    for _ in range(5):
        grown, in_a, in_b, ki = np.expm1(y[rows]), per_A[rows], per_B[rows], k[rows]
        fall = ki * np.log1p(in_a * grown) + (s + 1.0) * np.log1p(in_b * grown) - y[rows]
        slope = (grown + 1.0) * (ki * in_a / (1.0 + in_a * grown) + (s + 1.0) * in_b / (1.0 + in_b * grown)) - 1.0
        beyond = (fall > _LOG_FALL) & (slope > 0.0)  # most histories never fall so far
        rows = rows[beyond]
        if not rows.size:
            break
        y[rows] -= (fall[beyond] - _LOG_FALL) / slope[beyond]
    return y


def _bracket(mixture: _Mixture) -> tuple[Floats, Floats]:
    """Log of the bracket, and the posterior probability of each way."""
    top = mixture.log_weight.max(axis=0)
    share = np.exp(mixture.log_weight - top)
    total = row_sums(share.T)
    share /= total
    return top + np.log(total), share


def log_likelihood(params: Params, x: Numbers, t_x: Numbers, T: Numbers) -> Floats:
    """Log-likelihood of each history."""
    r, alpha, s, beta = params
    x, t_x, T = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (x, t_x, T)))
    shape, (x, t_x, T) = x.shape, (v.ravel() for v in (x, t_x, T))
    bracket = np.empty(x.shape)
    for i, nodes in _batches(params, x, t_x, T):
        bracket[i] = _bracket(_mixture(_of(params, i), x[i], t_x[i], T[i], nodes))[0]
    ln: Floats = bracket + gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta)
    return ln.reshape(shape)


def _batches(params: Params, x: Floats, t_x: Floats, T: Floats) -> Iterator[tuple[NDArray[np.intp], int]]:
    """The histories in parts, and how many nodes each part needs, by what its histories are like alone."""
    r, alpha, s, beta = params
    by_a, by_b = np.log((alpha + T) / (alpha + t_x)), np.log((beta + T) / (beta + t_x))
    short = ((r + x) * by_a + (s + 1.0) * by_b <= _SHORT_FALL) & (np.maximum(by_a, by_b) <= _SHORT_REACH)
    for some, nodes, rows in ((short, 12, _SHORT_BATCH_ROWS), (~short, 32, _BATCH_ROWS)):
        places = np.flatnonzero(some)
        yield from ((places[part], nodes) for part in _parts(places.size, rows) if places.size)


def _of(params: Any, rows: slice | NDArray[np.intp]) -> Params:
    """The parameters of some of the histories, where alpha and beta differ between them."""
    return Params(*(v if np.ndim(v) == 0 else v[rows] for v in params))


def _parts(size: int, rows: int = _BATCH_ROWS) -> list[slice]:
    return [slice(i, i + rows) for i in range(0, max(size, 1), rows)]


def value_gradient_hessian(params: Params, sample: Sample) -> Objective:
    """Sum over a sample, with its derivatives with respect to log r, log alpha, log s, log beta."""
    total = _by_x(params, sample.xs).total(sample.xs_weight)
    for i, nodes in _batches(params, sample.x, sample.t_x, sample.T):
        total = total.plus(_ways(params, sample.x[i], sample.t_x[i], sample.T[i], nodes).total(sample.weight[i]))
    return total.in_logs(params)


def each(params: Params, x: Floats, t_x: Floats, T: Floats) -> Terms:
    """The same of each history; alpha and beta may differ between them."""
    return _by_x(params, x).plus(_ways(params, x, t_x, T, 32).terms()).in_logs(params)


def _by_x(params: Params, x: Floats) -> Terms:
    """The factors before the bracket: value, gradient, Hessian in r, alpha, s, beta."""
    r, alpha, s, beta = params
    zero, log_alpha, log_beta = np.zeros_like(x), np.log(alpha), np.log(beta)
    value = gammaln(r + x) - gammaln(r) + r * log_alpha + s * log_beta
    gradient = [digamma(r + x) - digamma(r) + log_alpha, r / alpha + zero, log_beta + zero, s / beta + zero]
    hessian = np.zeros((4, 4, x.size))
    hessian[0, 0] = polygamma(1, r + x) - polygamma(1, r)
    hessian[0, 1] = hessian[1, 0] = 1.0 / alpha
    hessian[1, 1] = -r / alpha**2
    hessian[2, 3] = hessian[3, 2] = 1.0 / beta
    hessian[3, 3] = -s / beta**2
    return Terms(value, np.stack(gradient), hessian)


class _Ways(NamedTuple):
    """The bracket of each history as a mixture: its slopes are means over the ways, its curvature the mean curvature
    and the variance of the slopes. Derivatives in r, alpha, s, beta; the curvature of a way follows from its slopes.
    """

    params: Params
    k: Floats  # r + x
    value: Floats
    share: Floats  # (ways, n), posterior probability of each way
    per_a: Floats  # (ways, n)
    per_b: Floats
    slopes: Floats  # (4, ways, n)

    def total(self, weight: Floats) -> Objective:
        """The sum over histories. By einsum: such thin products are no work for threads of a BLAS, whose waiting takes
        eight times as long.
        """
        s, share = self.params.s, self.share * weight
        moments = self.slopes * share
        slopes = moments.sum(axis=1)
        hessian = np.empty((4, 4))
        for i, j in itertools.combinations_with_replacement(range(4), 2):
            hessian[i, j] = hessian[j, i] = np.einsum("wn,wn->", moments[i], self.slopes[j])
        hessian -= np.einsum("in,jn->ij", slopes / np.maximum(weight, 1e-300), slopes)
        hessian[0, 1] = hessian[1, 0] = hessian[0, 1] + (slopes[1] / self.k).sum()
        hessian[1, 1] -= np.einsum("wn,wn->", moments[1], self.per_a)
        hessian[2, 2] -= share[1:].sum() / s**2
        hessian[2, 3] = hessian[3, 2] = hessian[2, 3] - np.einsum("wn,wn->", share, self.per_b)
        hessian[3, 3] -= np.einsum("wn,wn->", moments[3], self.per_b)
        return Objective(float(weight @ self.value), slopes.sum(axis=1), hessian)

    def terms(self) -> Terms:
        """Each history's own."""
        s, moments = self.params.s, self.slopes * self.share
        gradient = moments.sum(axis=1)
        hessian = -gradient * gradient[:, None]
        for i, j in itertools.combinations_with_replacement(range(4), 2):
            hessian[i, j] += (moments[i] * self.slopes[j]).sum(axis=0)
            hessian[j, i] = hessian[i, j]
        hessian[0, 1] = hessian[1, 0] = hessian[0, 1] + gradient[1] / self.k
        hessian[1, 1] -= (moments[1] * self.per_a).sum(axis=0)
        hessian[2, 2] -= self.share[1:].sum(axis=0) / s**2
        hessian[2, 3] = hessian[3, 2] = hessian[2, 3] - (self.share * self.per_b).sum(axis=0)
        hessian[3, 3] -= (moments[3] * self.per_b).sum(axis=0)
        return Terms(self.value, gradient, hessian)


def _ways(params: Params, x: Floats, t_x: Floats, T: Floats, nodes: int) -> _Ways:
    r, _, s, _ = params
    a, b, ln_a, ln_b, log_weight = mixture = _mixture(params, x, t_x, T, nodes)
    log_bracket, share = _bracket(mixture)
    k, per_a, per_b = r + x, np.reciprocal(a, out=a), np.reciprocal(b, out=b)
    slopes = np.empty((4, *log_weight.shape))
    np.negative(ln_a, out=slopes[0])
    np.multiply(per_a, -k, out=slopes[1])
    np.negative(ln_b, out=slopes[2])
    np.multiply(per_b, -s, out=slopes[3])
    slopes[2, 1:] += 1.0 / s
    slopes[3, 1:] -= per_b[1:]
    return _Ways(params, k, log_bracket, share, per_a, per_b, slopes)


class ParetoFuture(NamedTuple):
    """What is to come: a customer is alive with probability p_alive; if so lambda ~ Gamma(R, A), mu ~ Gamma(s, B)."""

    p_alive: Floats
    R: Floats
    A: Floats
    s: float
    B: Floats

    def p_return(self, t: Numbers) -> Floats:
        """Probability of at least one purchase within t."""
        return self.at_least(1.0, t)

    def expected(self, t: Numbers) -> Floats:
        """Expected number of purchases within t; Schmittlein et al. (1987), eq. (22), the singularity at s = 1
        removed.
        """
        e, length = self.s - 1.0, np.log1p(t / self.B)
        lived = self.B * (-np.expm1(-e * length) / e if e != 0.0 else length)
        return self.p_alive * self.R / self.A * lived

    def discounted(self, t: Numbers, delta: float) -> Floats:
        """Expected purchases within t (which may be inf), each weighted by exp(-delta s) at its time s."""
        return discounted(lambda rows: self.take(rows).expected, np.minimum(self.A, self.B), t, delta)

    def at_least(self, n: Numbers, t: Numbers) -> Floats:
        """P(Y >= n): the nth purchase would come before t, and the customer is still there when it does.

        int_0^t (B / (B + tau))^s dP(nth purchase <= tau), by Gauss-Legendre in y = log(tau / A) where the density is
        log-concave.
        """
        n, t = (np.broadcast_to(v, self.R.shape).astype(np.float64).ravel() for v in (n, t))
        flat = self.p_alive.ravel(), self.R.ravel(), self.A.ravel(), self.B.ravel()
        chance = [self._at_least(n[i], t[i], *(v[i] for v in flat)) for i in _parts(n.size)]
        return np.concatenate(chance).reshape(self.R.shape)

    def _at_least(self, n: Floats, t: Floats, p_alive: Floats, R: Floats, A: Floats, B: Floats) -> Floats:
        m, some = np.maximum(n, 1.0), t > 0.0
        low, high = _span(m, R, np.log(np.where(some, t, 1.0) / A))
        y = 0.5 * (high - low) * _FINE_NODES[:, None] + 0.5 * (low + high)
        tau = np.exp(y)  # over A
        density = np.multiply(m, y, out=y)
        density -= (m + R) * np.log(1.0 + tau)
        tau *= A / B
        tau += 1.0
        density -= self.s * np.log(tau, out=tau)
        density -= betaln(m, R)
        mass = np.multiply(np.exp(density, out=density), _FINE_WEIGHTS[:, None], out=density)
        chance = p_alive * row_sums(mass.T) * 0.5 * (high - low)
        return np.where(n > 0, np.where(some, np.minimum(chance, 1.0), 0.0), 1.0)

    def pmf(self, n: Numbers, t: Numbers) -> Floats:
        """P(Y = n), as the difference of two tails."""
        return np.maximum(self.at_least(n, t) - self.at_least(np.asarray(n) + 1.0, t), 0.0)

    def median_wait(self) -> Floats:
        """Median time to the next purchase of one who is alive and stays: (A / (A + t))^R = 1/2."""
        return lomax_quantile(0.5, self.R, self.A)

    def simulate(self, t: float, rng: np.random.Generator) -> Floats:
        """One draw of the purchases of each customer within t: a Poisson count over the time they stay."""
        with np.errstate(divide="ignore", over="ignore"):  # mu = 0, or nearly: never leaves
            stays = rng.standard_exponential(self.R.shape) / (rng.gamma(self.s, size=self.R.shape) / self.B)
        lived = np.where(rng.random(self.R.shape) < self.p_alive, np.minimum(stays, t), 0.0)
        return rng.poisson(rng.gamma(self.R) / self.A * lived).astype(np.float64)

    def take(self, rows: NDArray[np.intp]) -> ParetoFuture:
        """The future of some of the customers."""
        return ParetoFuture(self.p_alive[rows], self.R[rows], self.A[rows], self.s, self.B[rows])


def _span(n: Floats, R: Floats, end: Floats) -> tuple[Floats, Floats]:
    """Where n y - (n + R) log(1 + e^y) is within 40 of its peak before `end`: Newton from outside on both sides of a
    concave curve.
    """

    def curve(y: Floats) -> Floats:
        value: Floats = n * y - (n + R) * np.logaddexp(0.0, y)
        return value

    peak = np.minimum(end, np.log(n / R))
    floor = curve(peak) - _LOG_FALL
    low, high = floor / n, np.maximum(-floor / R, peak)  # on its asymptotes n y and -R y the curve lies below
    for _ in range(5):
        low = low - (curve(low) - floor) / (n - (n + R) / (1.0 + np.exp(-low)))
        steep = n - (n + R) / (1.0 + np.exp(-high))
        high = np.where(steep < 0.0, high - (curve(high) - floor) / np.where(steep < 0.0, steep, -1.0), high)
    return low, np.minimum(high, end)


def leaving_weight(params: Params, x: Numbers, tau: Numbers) -> Floats:
    """The weight of leaving after age tau, without another purchase, over that of being there at tau; in 0..1.

    int_tau^inf s (alpha + u)^-(r+x) (beta + u)^-(s+1) du, times (alpha + tau)^(r+x) (beta + tau)^s. Gauss-Legendre in
    y = log((m + u) / (m + tau)), m the smaller of alpha and beta, where the log-integrand is concave.
    """
    x, tau = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (x, tau)))
    flat = x.ravel(), tau.ravel()
    parts = [_leaving_weight_of(_of(params, i), *(v[i] for v in flat)) for i in _parts(x.size)]
    return np.concatenate(parts).reshape(x.shape)


def _leaving_weight_of(params: Params, x: Floats, tau: Floats) -> Floats:
    r, alpha, s, beta = params
    if not np.any(s > NEVER):
        return np.zeros(x.shape)
    k, base = r + x, np.minimum(alpha, beta) + tau
    per_A, per_B = base / (alpha + tau), base / (beta + tau)
    turn, fall = -np.log(np.minimum(per_A, per_B)), -(s + 1.0) * np.log(per_B) - k * np.log(per_A)
    beyond = (_LOG_FALL + fall) / (k + s)  # by the asymptote
    end = turn + _ASYMPTOTE_AT
    reach = _reach(params, k, tau, base, np.minimum(beyond, end))

    def panel(low: Floats, high: Floats) -> Floats:
        y = low[:, None] + 0.5 * (high - low)[:, None] * (1.0 + _FINE_NODES)
        grown = np.expm1(y)
        ln = y - k[:, None] * np.log1p(per_A[:, None] * grown) - (s + 1.0) * np.log1p(per_B[:, None] * grown)
        # Each row summed by itself, so that it is the same whatever rows are beside it.
        mass: Floats = 0.5 * (high - low) * (np.exp(ln) * _FINE_WEIGHTS).sum(axis=1)
        return mass

    total, slow = panel(np.zeros(reach.shape), reach), (reach > _MAX_PANEL) | (beyond > end)
    if slow.any():
        first, second = np.minimum(turn, reach), np.minimum(turn + _TURN_LENGTH, reach)
        parts = panel(np.zeros(reach.shape), first) + panel(first, second) + panel(second, reach)
        rest = np.where(beyond > end, np.exp(fall - (k + s) * end) / (k + s), 0.0)
        total = np.where(slow, parts + rest, total)
    weight: Floats = s * per_B * total
    return weight


def p_alive_given(params: Params, x: Floats, t_x: Floats, T: Floats, early: Floats, late: Floats) -> Floats:
    """p_alive from `leaving` at t_x (early) and at T (late): 1 / (1 + the weight of having left between them)."""
    r, alpha, s, beta = params
    since = T - t_x
    with np.errstate(over="ignore"):  # as good as gone
        silent = np.exp((r + x) * np.log1p(since / (alpha + t_x)) + s * np.log1p(since / (beta + t_x)))
        left = np.multiply(early, silent, where=early > 0.0, out=np.zeros(early.shape)) - late
    chance: Floats = 1.0 / (1.0 + np.maximum(left, 0.0))
    return chance


def future(params: Params, x: Numbers, t_x: Numbers, T: Numbers) -> ParetoFuture:
    """The posterior after a history: of the same form with r + x, alpha + T, s, beta + T."""
    x, t_x, T = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (x, t_x, T)))
    twice = np.concatenate([x.ravel(), x.ravel()]), np.concatenate([t_x.ravel(), T.ravel()])
    if np.ndim(params.alpha) or np.ndim(params.beta):
        own: Any = [np.tile(v, 2) if np.ndim(v) else v for v in params]
        early, late = leaving_weight(Params(*own), *twice).reshape(2, *x.shape)
    else:
        first, place = distinct(*twice)
        early, late = leaving_weight(params, *(v[first] for v in twice))[place].reshape(2, *x.shape)
    return future_if_alive(params, x, T)._replace(p_alive=p_alive_given(params, x, t_x, T, early, late))


def future_if_alive(params: Params, x: Floats, T: Floats) -> ParetoFuture:
    """The posterior of those who are alive."""
    return ParetoFuture(np.ones(x.shape), params.r + x, params.alpha + T, params.s, params.beta + T)


def p_alive(params: Params, x: Numbers, t_x: Numbers, T: Numbers) -> Floats:
    """Probability of not having left by T."""
    return future(params, x, t_x, T).p_alive
