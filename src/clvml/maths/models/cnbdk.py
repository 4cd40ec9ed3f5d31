"""BG/CNBD-k and MBG/CNBD-k: Reutterer, Platzer & Schröder (2021), IJRM 38(1): regular buyers, by Erlang-k gaps.

A gap between purchases is k stages, each passed at the rate lambda ~ Gamma(r, alpha); k = 1 gives BG/NBD and
MBG/NBD. Drop-out is theirs: each of `flips` purchases was an occasion to leave with probability p ~ Beta(a, b). With
s = r + k x, j the stages passed since the last purchase and d = T - t_x, the likelihood of a history with gaps D_1 ..
D_x is

    prod(D)^(k-1) / (k-1)!^x  G(s) / G(r) alpha^r  B(a, b + flips) / B(a, b)
        [sum over j < k of G(s + j) / (G(s) j!) d^j (alpha + T)^-(s+j)  +  {flips > 0} a / (b + flips - 1) (alpha +
        t_x)^-s]

so a history is a mixture over j and "gone". Given j, lambda ~ Gamma(s + j, alpha + T) and the nth purchase is n k -
j stages away: P(Y >= n) is closed, where the literature approximates the expectation.

x: repeat purchases; t_x: age at the last purchase; T: age now; in any unit of time, the same throughout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaln, gammaln

from clvml.maths.discount import discounted
from clvml.maths.models import betageo
from clvml.maths.models.betageo import NEVER
from clvml.maths.models.perpetuity import discounted_perpetuity
from clvml.maths.sample import Floats, Numbers, Objective, Penalty, Sample

__all__ = ["Erlang", "ErlangFuture"]

_BATCH_ROWS = 4096
"""Rows worked on at once."""
_SUMMED_COUNTS = 32
"""Counts of purchases that are added up one by one."""
_SUMMED_STAGES = 4096
"""Stages that are added up one by one; where more may be passed, purchases are counted and integrated instead."""
_MAX_LOG_SMALLNESS = 600.0
"""exp(-600) is the smallest probability that such sums may start from."""
_TAIL_CHANCE = 1e-13
"""Sums over purchases end where the chance of more, of one who is alive, has fallen to this."""


@dataclass(frozen=True)
class Erlang:
    """The model for one k, with the names that every module of `clvml.maths` has. extra_flips: 0 for BG, 1 for MBG."""

    k: int
    extra_flips: float

    TIME: ClassVar[tuple[str, ...]] = ("alpha",)
    Params: ClassVar[type[betageo.Params]] = betageo.Params

    def start(self, sample: Sample) -> betageo.Params:
        """As BG/NBD, with k stages in the time of one purchase."""
        guess = betageo.start(sample)
        return guess._replace(alpha=guess.alpha / self.k)

    def weak_prior(self, sample: Sample) -> Penalty:
        """As BG/NBD."""
        prior = betageo.weak_prior(sample)
        prior.centre[0] += np.log(self.k)
        return prior

    def without_dropout(self, r: float, alpha: float) -> betageo.Params:
        """The limit in which nobody leaves: CNBD-k."""
        return betageo.without_dropout(r, alpha)

    def log_likelihood(
        self, params: betageo.Params, x: Numbers, t_x: Numbers, T: Numbers, log_gaps: Numbers = 0.0
    ) -> Floats:
        """Log-likelihood of each history; log_gaps: the sum of the logarithms of its gaps."""
        r, alpha, a, b = params
        x, t_x, T = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (x, t_x, T)))
        flips, s = x + self.extra_flips, r + self.k * x
        ln: Floats = gammaln(s) - gammaln(r) + r * np.log(alpha) + betaln(a, b + flips) - betaln(a, b)
        ln += np.logaddexp.reduce(_ways(params, self, x, t_x, T), axis=0)
        return ln + (self.k - 1.0) * log_gaps - x * gammaln(self.k)

    def value_gradient_hessian(self, params: betageo.Params, sample: Sample) -> Objective:
        """Sum over a sample, with its derivatives with respect to log r, log alpha, log a, log b."""
        total = betageo.by_x(params, sample, self.extra_flips, self.k)
        constant = (self.k - 1.0) * sample.log_gaps - sample.purchases * float(gammaln(self.k))
        total = total._replace(value=total.value + constant)
        for i in range(0, sample.x.size, _BATCH_ROWS):
            rows = slice(i, i + _BATCH_ROWS)
            total = total.plus(_by_row(params, self, *(v[rows] for v in sample[:4])))
        return total.in_logs(params)

    def future(self, params: betageo.Params, x: Numbers, t_x: Numbers, T: Numbers) -> ErlangFuture:
        """What is to come after each history."""
        x, t_x, T = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (x, t_x, T)))
        ways = _ways(params, self, x, t_x, T)
        share = np.exp(ways - np.logaddexp.reduce(ways, axis=0))
        flips = x + self.extra_flips
        s, A = params.r + self.k * x, params.alpha + T
        alive = np.minimum(share[:-1].sum(axis=0), 1.0)
        return ErlangFuture(alive, np.moveaxis(share[:-1], 0, -1), s, A, params.b + flips, params.a)

    def p_alive(self, params: betageo.Params, x: Numbers, t_x: Numbers, T: Numbers) -> Floats:
        """Probability of not having left by T."""
        return self.future(params, x, t_x, T).p_alive


def _ways(params: betageo.Params, model: Erlang, x: Floats, t_x: Floats, T: Floats) -> Floats:
    """Logs of the terms in brackets: k ways to be alive, by the stages passed since the last purchase, then gone."""
    r, alpha, a, b = params
    flips, s = x + model.extra_flips, r + model.k * x
    ln_T = np.log(alpha + T)
    with np.errstate(divide="ignore"):  # bought today: no stage has been passed
        ln_d = np.log(T - t_x) - ln_T
    ways, passed = [-s * ln_T], np.zeros_like(s)
    for j in range(1, model.k):
        passed = passed + np.log(s + j - 1.0) - np.log(j)
        ways.append(passed - s * ln_T + j * ln_d)
    tried = flips > 0
    hazard = (np.log(a) if a > NEVER else -np.inf) - np.log(np.where(tried, b + (flips - 1.0), 1.0))
    return np.stack([*ways, np.where(tried, hazard - s * np.log(alpha + t_x), -np.inf)])


def _by_row(params: betageo.Params, model: Erlang, x: Floats, t_x: Floats, T: Floats, n: Floats) -> Objective:
    """The bracket: its slopes are means over the ways, its curvature the mean curvature and the variance of the
    slopes.
    """
    r, alpha, a, b = params
    k, s, flips = model.k, r + model.k * x, x + model.extra_flips
    ways = _ways(params, model, x, t_x, T)
    top = np.logaddexp.reduce(ways, axis=0)
    share = np.exp(ways - top)
    left = np.where(flips > 0, b + (flips - 1.0), 1.0)
    stages = s + np.arange(k)[:, None]  # s + j, alive with j stages passed
    zero = np.zeros((1, s.size))
    harmonic = np.concatenate([zero, np.cumsum(1.0 / stages[:-1], axis=0)])
    square = np.concatenate([zero, np.cumsum(1.0 / stages[:-1] ** 2, axis=0)])
    per_T, per_t = 1.0 / (alpha + T), 1.0 / (alpha + t_x)
    slopes = np.zeros((4, k + 1, s.size))
    slopes[0, :k], slopes[0, k] = harmonic + np.log(per_T), np.log(per_t)
    slopes[1, :k], slopes[1, k] = -stages * per_T, -s * per_t
    slopes[2, k], slopes[3, k] = 1.0 / a, -1.0 / left
    means = (slopes * share).sum(axis=1)
    weighted = n * share
    flat = slopes.reshape(4, -1)
    hessian = (flat * weighted.ravel()) @ flat.T - (means * n) @ means.T
    hessian[0, 0] -= (weighted[:k] * square).sum()
    hessian[[0, 1], [1, 0]] -= (weighted[:k] * per_T).sum() + (weighted[k] * per_t).sum()
    hessian[1, 1] += (weighted[:k] * stages * per_T**2).sum() + (weighted[k] * s * per_t**2).sum()
    hessian[2, 2] -= weighted[k].sum() / a**2
    hessian[3, 3] += (weighted[k] / left**2).sum()
    return Objective(float(n @ top), means @ n, hessian)


class ErlangFuture(NamedTuple):
    """What is to come of customers: alive having passed j stages with probability stage[..., j], lambda ~ Gamma(s +
    j, A).
    """

    p_alive: Floats
    stage: Floats  # one row a customer, k columns
    s: Floats
    A: Floats
    B: Floats  # p ~ Beta(a, B)
    a: float

    def at_least(self, n: Numbers, t: Numbers) -> Floats:
        """P(Y >= n): staying through n - 1 occasions to leave, and passing the n k - j stages that are missing by t."""
        n = np.asarray(n, dtype=np.float64)
        m, k, z = np.maximum(n, 1.0), self.stage.shape[-1], np.asarray(t / (self.A + t))
        stays = np.exp(betaln(self.a, self.B + m - 1.0) - betaln(self.a, self.B))
        passes = sum(self.stage[..., j] * betainc(m * k - j, self.s + j, z) for j in range(k))
        return np.where(n > 0, np.minimum(stays * passes, 1.0), 1.0)

    def pmf(self, n: Numbers, t: Numbers) -> Floats:
        """P(Y = n), as the difference of two tails."""
        return np.maximum(self.at_least(n, t) - self.at_least(np.asarray(n) + 1.0, t), 0.0)

    def p_return(self, t: Numbers) -> Floats:
        """Probability of at least one purchase within t."""
        return self.at_least(1.0, t)

    def expected(self, t: Numbers) -> Floats:
        """Expected number of purchases within t: the sum of P(Y >= n)."""
        shape = np.broadcast_shapes(np.shape(t), self.s.shape)
        k = self.stage.shape[-1]
        s, A, B = self.s.ravel(), self.A.ravel(), self.B.ravel()
        flat = ErlangFuture(self.p_alive.ravel(), self.stage.reshape(-1, k), s, A, B, self.a)
        times, out = np.broadcast_to(t, shape).ravel(), np.zeros(flat.s.size)
        work = _stages_needed(flat, times)
        short = (work < _SUMMED_STAGES) & (flat.s * np.log1p(times / A) < _MAX_LOG_SMALLNESS)
        for rule, some in ((_stage_sum, np.flatnonzero(short)), (_tail_sum, np.flatnonzero(~short))):
            order = some[np.argsort(work[some], kind="stable")]  # neighbours need about as many terms
            for i in range(0, order.size, _BATCH_ROWS):
                rows = order[i : i + _BATCH_ROWS]
                out[rows] = rule(flat.take(rows), times[rows])
        return out.reshape(shape)

    def discounted(self, t: Numbers, delta: float) -> Floats:
        """Expected purchases within t (which may be inf), each weighted by exp(-delta s) at its time s."""
        if delta > 0.0 and np.isinf(t).all():
            return self._perpetuity(delta)
        return discounted(lambda rows: self.take(rows).expected, self.A, t, delta)

    def _perpetuity(self, delta: float) -> Floats:
        """Customers of one number of purchases and age differ in how likely each stage is alone."""
        k = self.stage.shape[-1]
        table = np.column_stack([self.s.ravel(), self.A.ravel(), self.B.ravel()])
        few, place = np.unique(table, axis=0, return_inverse=True)
        by_stage = discounted_perpetuity(k, few[:, 0], few[:, 1], self.a, few[:, 2], delta)[place.ravel()]
        total: Floats = (self.stage.reshape(-1, k) * by_stage).sum(axis=1).reshape(self.s.shape)
        return total

    def median_wait(self) -> Floats:
        """Median time to the next purchase of one who is alive, by bisection in z = t / (A + t)."""
        low, high, k = np.zeros(self.s.shape), np.ones(self.s.shape), self.stage.shape[-1]
        for _ in range(60):
            z = 0.5 * (low + high)
            late = sum(self.stage[..., j] * betainc(k - j, self.s + j, z) for j in range(k)) < 0.5 * self.p_alive
            low, high = np.where(late, z, low), np.where(late, high, z)
        with np.errstate(divide="ignore"):  # z = 1: not to be expected, and infinity says so
            wait: Floats = self.A * high / (1.0 - high)
        return wait

    def simulate(self, t: float, rng: np.random.Generator) -> Floats:
        """One draw of the purchases of each customer within t: the stages they pass, k a purchase, until they leave."""
        k, u = self.stage.shape[-1], rng.random(self.s.shape)
        passed = (u[..., None] > np.cumsum(self.stage, axis=-1)).sum(axis=-1)  # k: gone
        stages = rng.poisson(rng.gamma(self.s + np.minimum(passed, k - 1)) * (t / self.A))
        counts = np.where(passed < k, (stages + passed) // k, 0).astype(np.float64)
        return betageo.leave(counts, self.a, self.B, rng)

    def take(self, rows: NDArray[np.intp]) -> ErlangFuture:
        """The future of some of the customers."""
        return ErlangFuture(self.p_alive[rows], self.stage[rows], self.s[rows], self.A[rows], self.B[rows], self.a)


def _stages_needed(ahead: ErlangFuture, t: Floats) -> Floats:
    """About how many stages may be passed within t: their negative-binomial tail falls by t / (A + t) a stage."""
    with np.errstate(divide="ignore"):  # t = 0: none
        fall = np.log1p(ahead.A / t)
    needed: Floats = (ahead.s + 10.0 * np.sqrt(ahead.s) + 34.0) / fall
    return needed


def _stage_sum(ahead: ErlangFuture, t: Floats) -> Floats:
    """Sum over the stages l passed since the last purchase, those of today included, of their probability
    times the purchases expected of one who passes them: l // k, less what drop-out takes. Recurrences, no functions.
    """
    k, z = ahead.stage.shape[-1], t / (ahead.A + t)
    passed = ahead.stage.T * np.exp(-np.log1p(t / ahead.A) * (ahead.s + np.arange(k)[:, None]))  # of l, given j: l = j
    total, bought, stays, grow = np.zeros(t.size), np.zeros(t.size), np.ones(t.size), np.empty(t.size)
    for stages in range(10 * _SUMMED_STAGES):
        known = min(stages + 1, k)  # j up to l
        if stages and stages % k == 0:
            n = stages // k
            bought += stays
            stays *= (ahead.B + (n - 1.0)) / (ahead.a + ahead.B + (n - 1.0))
        chance = passed[:known].sum(axis=0)
        total += bought * chance
        np.multiply(ahead.s + stages, z, out=grow)
        passed[:known] *= grow
        passed[:known] /= stages + 1.0 - np.arange(known)[:, None]
        if stages % 16 == 15:
            left = 1.0 - grow / (stages + 1.0)  # from here on the terms fall by at least this share
            if (left > 0.0).all() and (chance * (bought + 1.0 / left) <= _TAIL_CHANCE * left * total).all():
                break
    return total


def _tail_sum(ahead: ErlangFuture, t: Floats) -> Floats:
    """Sum of P(Y >= n) over n: the first 32 one by one, the others as an integral (Euler-Maclaurin, midpoint form:
    f'(32.5) / 24 - 7 f'''(32.5) / 5760, from differences).
    """
    tails, total = [ahead.at_least(1.0, t)], np.zeros(t.size)
    for n in range(2, _SUMMED_COUNTS + 3):
        if n <= _SUMMED_COUNTS + 1:
            total += tails[-1]
            if (tails[-1] <= _TAIL_CHANCE * ahead.p_alive).all():
                return total
        tails = [*tails[-3:], ahead.at_least(float(n), t)]
    a, b, c, d = tails  # at 31, 32, 33, 34
    total += (c - b) / 24.0 - (d - 3.0 * c + 3.0 * b - a) * 17.0 / 5760.0
    rows = np.flatnonzero(c > _TAIL_CHANCE * ahead.p_alive)
    total[rows] += _integral(ahead.take(rows), t[rows])
    return total


def _integral(ahead: ErlangFuture, t: Floats) -> Floats:
    """The integral of P(Y >= n) over n > 32.5, by Gauss-Legendre in log n: where it is smooth, then where it falls to
    nothing.
    """
    start, k = _SUMMED_COUNTS + 0.5, ahead.stage.shape[-1]
    centre = ahead.s / ahead.A * t / k + 1.0
    spread = np.sqrt(1.0 / ahead.s + 1.0 / (centre * k))
    bend = np.log(np.maximum(start, centre * (1.0 - 10.0 * spread)))
    end = np.log(np.maximum(start, centre * (1.0 + 10.0 * spread + 34.0 / ahead.s) + 34.0))
    total = np.zeros(t.size)
    for low, high, nodes in ((np.full(t.size, np.log(start)), bend, 16), (bend, end, 64)):
        for node, weight in zip(*np.polynomial.legendre.leggauss(nodes), strict=True):
            n = np.exp(0.5 * (low + high) + 0.5 * (high - low) * node)
            total += weight * 0.5 * (high - low) * n * ahead.at_least(n, t)
    return total
