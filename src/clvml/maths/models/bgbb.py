"""BG/BB: Fader, Hardie & Shang (2010), Customer-base analysis in a discrete-time noncontractual setting, Marketing
Science 29(6).

Purchases can be made at chances only: once a year, or at each campaign. While alive a customer takes a chance with
probability p ~ Beta(alpha, beta); before each chance they leave with probability theta ~ Beta(gamma, delta). With m the
chances lived through, the likelihood of a history is eq. (5),

    B(alpha + x, beta + n - x) B(gamma, delta + n) + sum over m = t_x .. n - 1 of B(alpha + x, beta + m - x)
    B(gamma + 1, delta + m),   over B(alpha, beta) B(gamma, delta)

a mixture over "alive at n" and the chance they did not live to see, so its derivatives are moments over that mixture.

x: chances taken; t_x: the last chance taken, 0 where none; n: chances so far. All whole numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, digamma, polygamma

from clvml.maths.models.betageo import NEVER
from clvml.maths.sample import Floats, Numbers, Objective, Penalty, Sample

__all__ = [
    "TIME",
    "ChancesFuture",
    "Params",
    "future",
    "log_likelihood",
    "p_alive",
    "start",
    "value_gradient_hessian",
    "weak_prior",
    "without_dropout",
]

TIME: tuple[str, ...] = ()
"""No parameter is a time: chances are counted."""
_BATCH_CELLS = 1 << 20
"""Ways worked on at once, over all histories."""
_SUMMED_CHANCES = 1024
"""Chances ahead that are added up one by one."""
_MAX_DISCOUNT = 40.0
"""A purchase discounted by exp(-40) counts for nothing."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
Whole = NDArray[np.intp]


class Params(NamedTuple):
    """All positive. Mean chance taken alpha / (alpha + beta); mean drop-out before a chance gamma / (gamma + delta)."""

    alpha: float
    beta: float
    gamma: float
    delta: float


def start(sample: Sample) -> Params:
    """A first guess: twice the overall share of chances taken while alive, and a fifth leaving before each."""
    taken = min(0.8, 2.0 * (sample.purchases + 0.5) / (sample.exposure + 2.0))
    return Params(taken, 1.0 - taken, 0.5, 2.0)


def weak_prior(sample: Sample) -> Penalty:
    """Worth about one customer: odds of a chance taken, of drop-out, and how much customers differ in both."""
    odds, size = [1.0, -1.0], [0.5, 0.5]
    rows = np.array([[*odds, 0.0, 0.0], [*size, 0.0, 0.0], [0.0, 0.0, *odds], [0.0, 0.0, *size]])
    return Penalty(rows, np.array([-0.5, 0.0, -1.0, 0.0]), np.array([1.5, 1.0, 1.5, 1.0]))


def without_dropout(alpha: float, beta: float) -> Params:
    """The limit in which nobody leaves: beta-binomial."""
    return Params(alpha, beta, NEVER, 1.0)


class _Ways(NamedTuple):
    """The ways to a history: column 0 alive at n, the others gone before chance m + 1. Rows are histories."""

    log_weight: Floats  # log of what each way adds to the likelihood; -inf where there are fewer ways
    lived: Whole  # m, chances lived through
    gone: Whole  # 0 in column 0, else 1


def _ways(params: Params, x: Whole, t_x: Whole, n: Whole) -> _Ways:
    alpha, beta, gamma, delta = params
    steps = np.arange(int((n - t_x).max(initial=0)))
    later = t_x[:, None] + steps
    real = later < n[:, None]
    lived = np.concatenate([n[:, None], np.where(real, later, t_x[:, None])], axis=1)
    gone = np.ones_like(lived)
    gone[:, 0] = 0
    taking = betaln(alpha + x[:, None], beta + lived - x[:, None]) - betaln(alpha, beta)
    log_weight = np.asarray(taking + betaln(gamma + gone, delta + lived) - betaln(gamma, delta), dtype=np.float64)
    log_weight[:, 1:][~real] = -np.inf
    return _Ways(log_weight, lived, gone)


def _whole(x: Numbers, t_x: Numbers, n: Numbers) -> tuple[tuple[int, ...], tuple[Whole, Whole, Whole]]:
    """The common shape of a history's columns, and the columns as flat whole numbers."""
    columns = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (x, t_x, n)))
    flat = (v.ravel().astype(np.intp) for v in columns)
    return columns[0].shape, (next(flat), next(flat), next(flat))


def _parts(t_x: Whole, n: Whole) -> list[slice]:
    size = max(1, _BATCH_CELLS // (1 + int((n - t_x).max(initial=0))))
    return [slice(i, i + size) for i in range(0, n.size, size)]


def log_likelihood(params: Params, x: Numbers, t_x: Numbers, n: Numbers) -> Floats:
    """Log-likelihood of each history, eq. (5)."""
    shape, columns = _whole(x, t_x, n)
    ln = np.empty(columns[0].size)
    for i in _parts(*columns[1:]):
        ln[i] = np.logaddexp.reduce(_ways(params, *(v[i] for v in columns)).log_weight, axis=1)
    return ln.reshape(shape)


def value_gradient_hessian(params: Params, sample: Sample) -> Objective:
    """Sum of eq. (5) over a sample (T is n), with its derivatives with respect to the logarithms of the parameters."""
    _, columns = _whole(sample.x, sample.t_x, sample.T)
    total = Objective(0.0, np.zeros(4), np.zeros((4, 4)))
    for i in _parts(*columns[1:]):
        x, t_x, n = (v[i] for v in columns)
        total = total.plus(_of_rows(params, x, t_x, n, sample.weight[i]))
    return total.in_logs(params)


def _of_rows(params: Params, x: Whole, t_x: Whole, n: Whole, weight: Floats) -> Objective:
    """Slopes are means over the ways, curvature the mean curvature and the variance of the slopes."""
    ways = _ways(params, x, t_x, n)
    top = np.logaddexp.reduce(ways.log_weight, axis=1)
    share = np.exp(ways.log_weight - top[:, None])
    slopes, _ = _beta_terms(params, x, ways, digamma)
    flat, weighted = slopes.reshape(4, -1), weight[:, None] * share
    means = (slopes * share).sum(axis=2)
    hessian = (flat * weighted.ravel()) @ flat.T - (means * weight) @ means.T
    own, shared = _beta_terms(params, x, ways, lambda v: polygamma(1, v))
    hessian[range(4), range(4)] += (own * weighted).sum(axis=(1, 2))
    for i in (0, 2):
        hessian[[i, i + 1], [i + 1, i]] += (shared[i // 2] * weighted).sum()
    return Objective(float(weight @ top), means @ weight, hessian)


def _beta_terms(params: Params, x: Whole, ways: _Ways, f: Callable[[Floats], Floats]) -> tuple[Floats, Floats]:
    """Derivatives of each way's two beta functions: with f = digamma in each parameter, with f = trigamma twice in it.

    The second entry: what both parameters of a beta function share, its mixed derivative where f = trigamma.
    """
    alpha, beta, gamma, delta = params
    (lived, gone), x = ways[1:], x[:, None]
    counts = np.arange(int(lived.max()) + 2, dtype=np.float64)

    def rise(base: float, by: Whole) -> Floats:
        table = f(base + counts)
        risen: Floats = table[by] - table[0]
        return risen

    shared = np.stack([-rise(alpha + beta, lived), -rise(gamma + delta, lived + gone)])
    own = [rise(alpha, x), rise(beta, lived - x), rise(gamma, gone), rise(delta, lived)]
    return np.stack([term + shared[i // 2] for i, term in enumerate(own)]), shared


class ChancesFuture(NamedTuple):
    """What is to come: alive at the next chance with probability p_alive, and if so p ~ Beta(a, b), theta ~
    Beta(gamma, d). Time counts chances; t below is rounded down to whole ones.
    """

    p_alive: Floats
    a: Floats
    b: Floats
    gamma: float
    d: Floats

    def p_return(self, t: Numbers) -> Floats:
        """Probability of taking at least one of the next t chances."""
        return self.at_least(1.0, t)

    def expected(self, t: Numbers) -> Floats:
        """Expected number taken of the next t chances, eq. (13)."""
        return self.discounted(t, 0.0)

    def discounted(self, t: Numbers, delta: float) -> Floats:
        """The same, the one at chance j ahead weighted by exp(-delta j); for t = inf the DERT, eq. (14)."""
        d, t = np.broadcast_arrays(self.d, np.asarray(t, dtype=np.float64))
        out = np.empty(d.shape)
        for d_one, t_one in np.unique(np.stack([d.ravel(), t.ravel()], axis=1), axis=0):
            out[(d == d_one) & (t == t_one)] = _lived(self.gamma, d_one, t_one, delta)
        return self.p_alive * self.a / (self.a + self.b) * out

    def at_least(self, n: Numbers, t: Numbers) -> Floats:
        """P(Y >= n): the sum over the chance i >= 0 after the nth from now at which they take their nth."""
        shape = np.broadcast_shapes(np.shape(n), np.shape(t), self.d.shape)
        n, t = np.broadcast_to(n, shape).astype(np.float64), np.floor(np.broadcast_to(t, shape))
        a, b, d, m = self.a, self.b, self.d, np.maximum(n, 1.0)
        term = np.exp(betaln(a + m, b) - betaln(a, b) + betaln(self.gamma, d + m - 1.0) - betaln(self.gamma, d))
        total = np.where(m <= t, term, 0.0)
        for i in range(int((t - m).max(initial=0.0))):
            j = m + i
            term = term * (j / (i + 1.0)) * ((b + i) / (a + b + j)) * ((d + j - 1.0) / (self.gamma + d + j - 1.0))
            total += np.where(j < t, term, 0.0)
        return np.where(n > 0, np.minimum(self.p_alive * total, 1.0), 1.0)

    def pmf(self, n: Numbers, t: Numbers) -> Floats:
        """P(Y = n), as the difference of two tails."""
        return np.maximum(self.at_least(n, t) - self.at_least(np.asarray(n) + 1.0, t), 0.0)

    def median_wait(self) -> Floats:
        """The chance by which one who is alive and stays has more likely than not taken one: B(a, b + w) = B(a, b) / 2.

        Rounded up to a whole one; inf beyond 1e9.
        """
        low, high, half = np.zeros(self.a.shape), np.full(self.a.shape, 21.0), betaln(self.a, self.b) - np.log(2.0)
        for _ in range(60):
            middle = 0.5 * (low + high)
            late = betaln(self.a, self.b + np.expm1(middle)) > half
            low, high = np.where(late, middle, low), np.where(late, high, middle)
        wait: Floats = np.ceil(np.expm1(high) - 1e-9)
        return np.where(wait > 1e9, np.inf, wait)

    def simulate(self, t: float, rng: np.random.Generator) -> Floats:
        """One draw of how many of the next t chances each customer takes: a binomial count over those they live to."""
        theta, p = rng.beta(self.gamma, self.d), rng.beta(self.a, self.b)
        with np.errstate(divide="ignore", over="ignore"):  # theta = 0, or nearly, or 1: stays, or sees no more
            lived = 1.0 + np.floor(-rng.standard_exponential(theta.shape) / np.log1p(-theta))
        lived = np.where(rng.random(theta.shape) < self.p_alive, np.minimum(lived, np.floor(t)), 0.0)
        return rng.binomial(lived.astype(np.int64), p).astype(np.float64)

    def take(self, rows: NDArray[np.intp]) -> ChancesFuture:
        """The future of some of the customers."""
        return ChancesFuture(self.p_alive[rows], self.a[rows], self.b[rows], self.gamma, self.d[rows])


def _lived(gamma: float, d: float, t: float, delta: float) -> float:
    """Sum over the next t chances of the probability to be alive then, given alive at the first, times exp(-delta j).

    The first 1024 one by one, the others as an integral in log j (Euler-Maclaurin, midpoint form).
    """
    last = min(np.floor(t), _MAX_DISCOUNT / delta if delta > 0.0 else np.inf)

    def present_value(j: Floats) -> Floats:
        value: Floats = np.exp(betaln(gamma, d + j - 1.0) - betaln(gamma, d) - delta * j)
        return value

    total = float(present_value(np.arange(1.0, min(last, _SUMMED_CHANCES) + 1.0)).sum())
    if last > _SUMMED_CHANCES:
        low, high = np.log(_SUMMED_CHANCES + 0.5), np.log(last + 0.5)
        j = np.exp(0.5 * (low + high) + 0.5 * (high - low) * _NODES)
        total += 0.5 * (high - low) * float(_WEIGHTS @ (j * present_value(j)))
    return total


def future(params: Params, x: Numbers, t_x: Numbers, n: Numbers) -> ChancesFuture:
    """The posterior after a history; p_alive is that of being alive at the next chance, eq. (11), as published."""
    alpha, beta, gamma, delta = params
    x, t_x, n = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (x, t_x, n)))
    alive = (
        betaln(alpha + x, beta + n - x) - betaln(alpha, beta) + betaln(gamma, delta + n + 1.0) - betaln(gamma, delta)
    )
    p_alive = np.exp(alive - log_likelihood(params, x, t_x, n))
    return ChancesFuture(p_alive, alpha + x, beta + n - x, gamma, delta + n + 1.0)


def p_alive(params: Params, x: Numbers, t_x: Numbers, n: Numbers) -> Floats:
    """Probability of being alive at the next chance."""
    return future(params, x, t_x, n).p_alive
