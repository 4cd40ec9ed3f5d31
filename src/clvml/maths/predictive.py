"""Exact predictive distributions of one customer: how many purchases they will make, and how much they will spend.

Both start from the closed-form tail P(Y >= n) of a model's future. Spend: given Y = n > 0, the total over v + x m is a
beta-prime(p n, p x + q), see `clvml.maths.models.gammagamma`, so

    P(S <= s) = P(Y = 0) + sum over n > 0 of P(Y = n) I_{u / (1 + u)}(p n, p x + q),   u = s / (v + x m)

and the quantile of u depends on the customer's history alone: it is found once per distinct history.
"""

from __future__ import annotations

from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaln

from clvml.maths.sample import Floats, Numbers, row_sums

__all__ = ["Future", "counts_alive", "purchases_quantile", "spend_alive", "spend_at_most", "spend_quantile"]

_TAIL_CHANCE = 1e-6
"""Probability of more purchases than are looked at."""
_MAX_COUNT = 2.0**20
"""Purchases are counted up to here: nobody makes more, and whatever the parameters, the count ends."""
_MAX_RISE = 1e3
"""Of log spend with the logit of its chance: above it the distribution has no density where it is looked at."""
_NO_CHANCE = 1e-12
"""A number of purchases with less chance than this is not looked at."""
_BATCH_ROWS = 96
"""Rows worked on at once: few, so that those who need many counts do not widen the table of the others."""
_MIN_STEP = 1e-9
"""A step shorter than this gives no slope, and nothing more is to be gained."""
_LAST_STEP, _LAST_TABLE_STEP = 1e-4, 1e-3
"""A step of Newton's method so short leaves an error of about its square; of the tables a millionth is enough."""
_MAX_STEPS = 100
"""Ends a search that finds nothing, whatever the parameters; five or six are usual."""


class Future(Protocol):
    """What is to come of customers, one entry each; every model has one."""

    @property
    def p_alive(self) -> Floats:
        """Probability of not having left yet."""

    def p_return(self, t: Numbers) -> Floats:
        """Probability of at least one purchase within t."""

    def expected(self, t: Numbers) -> Floats:
        """Expected purchases within t."""

    def discounted(self, t: Numbers, delta: float) -> Floats:
        """Expected purchases within t (or inf), each discounted by exp(-delta s)."""

    def at_least(self, n: Numbers, t: Numbers) -> Floats:
        """P(Y >= n) for purchases within t."""

    def pmf(self, n: Numbers, t: Numbers) -> Floats:
        """P(Y = n) for purchases within t."""

    def median_wait(self) -> Floats:
        """Median time to the next purchase of one who is alive."""

    def simulate(self, t: float, rng: np.random.Generator) -> Floats:
        """One draw of the purchases within t."""

    def take(self, rows: Any) -> Self:
        """The same for some of the customers."""


def purchases_quantile(future: Future, t: float, level: Numbers) -> Floats:
    """Smallest n with P(Y <= n) >= level, per customer: doubling, then bisection on the closed-form tail."""
    out = np.zeros(future.p_alive.shape)
    above = np.broadcast_to(1.0 - np.asarray(level), out.shape)
    rows = np.flatnonzero(future.at_least(1.0, t) > above)
    ahead, above = future.take(rows), above[rows]
    low, high = np.zeros(rows.size), np.ones(rows.size)  # P(Y <= low) < level
    short = ahead.at_least(high + 1.0, t) > above
    while short.any():
        low[short] = high[short]
        high[short] *= 2.0
        short[short] = future.take(rows[short]).at_least(high[short] + 1.0, t) > above[short]
        short &= high < _MAX_COUNT
    while (open_ := high - low > 1.0).any():
        middle = np.floor(0.5 * (low + high))
        enough = ahead.at_least(middle + 1.0, t) <= above
        high, low = np.where(open_ & enough, middle, high), np.where(open_ & ~enough, middle, low)
    out[rows] = high
    return out


def spend_quantile(future: Future, t: float, level: Numbers, p: float, c: Floats) -> Floats:
    """Quantile of u = spend within t over (v + x m), per customer, to 1e-6 relative; c = p x + q. 0 where silence is
    likelier.
    """
    out, chance = np.zeros(c.shape), np.broadcast_to(1.0 - np.asarray(level, dtype=np.float64), c.shape)
    rows = np.flatnonzero(future.at_least(1.0, t) > chance)
    most = purchases_quantile(future.take(rows), t, 1.0 - _TAIL_CHANCE)
    typical = np.maximum(purchases_quantile(future.take(rows), t, 1.0 - chance[rows]), 1.0)
    order = np.argsort(most, kind="stable")  # neighbours need about as many counts
    rows, typical, most = rows[order], typical[order], most[order]
    for start in range(0, rows.size, _BATCH_ROWS):
        part = slice(start, start + _BATCH_ROWS)
        mass, shape = _by_count(future.take(rows[part]), t, p, most[part])
        ci = c[rows[part]]
        norm, above = betaln(shape, ci[:, None]), chance[rows[part]]
        out[rows[part]] = np.exp(_solve(mass, shape, ci, norm, above, np.log(p * typical[part] / ci)))
    return out


def counts_alive(future: Future, t: float, v: Floats) -> tuple[Floats, Floats]:
    """(n, k) twice: y = log(m - 1) of the m = 2, 3, ... purchases that those who buy within t reach with each of the k
    chances v, and how y rises with z = log((1 - v) / v); v below 1, and in evenly spaced steps of z.

    Between whole numbers, m is where the formula of P(Y >= m) has the chance. So n purchases are exceeded with a
    smaller one than v if n + 1 > m. By the secant method in y and z, which is nearly a straight line.
    """
    out, slope = np.empty((2, future.p_alive.size, v.size))
    some, aims = future.at_least(1.0, t), np.log1p(-v) - np.log(v)

    def rarity(rows: NDArray[np.intp], y: Floats) -> Floats:
        reached = np.clip(future.take(rows).at_least(1.0 + np.exp(y), t) / some[rows], 1e-300, 1.0 - 1e-16)
        z: Floats = np.log1p(-reached) - np.log(reached)
        return z

    every, found, step = np.arange(some.size), list[tuple[Floats, Floats]](), float(aims[1] - aims[0])
    y = np.log(np.maximum(purchases_quantile(future, t, 1.0 - v[0] * some), 1.0) - 0.5)
    z, rise = rarity(every, y), np.ones(y.shape)
    for k, aim in enumerate(aims):
        rows, aside = every, _onwards(found, step) - y if found else np.full(y.shape, 1e-3)
        for _ in range(_MAX_STEPS):
            if not rows.size:
                break
            moved = np.abs(aside) > _MIN_STEP
            new = rarity(rows, y[rows] + aside)
            rise[rows] = np.maximum(np.where(moved, (new - z[rows]) / np.where(moved, aside, 1.0), rise[rows]), 1e-3)
            y[rows], z[rows] = y[rows] + aside, new
            rows = rows[moved & (np.abs(aim - new) > _LAST_STEP**1.5)]
            aside = np.clip((aim - z[rows]) / rise[rows], -1.0, 1.0)
        out[:, k], slope[:, k] = y, 1.0 / rise
        found = [*found[-1:], (out[:, k], slope[:, k])]
    return out, slope


def spend_alive(future: Future, t: float, v: Floats, p: float, c: Floats) -> tuple[Floats, Floats]:
    """(n, k) twice: log of the u that those who buy within t exceed with each of the k chances v, and how it rises with
    z = log((1 - v) / v); v below 1, and in evenly spaced steps of z; c = p x + q (n,).

    What u = spend over (v + x m) is, given at least one purchase. The counts are looked at once for all of v.
    """
    out, slope = np.empty((2, c.size, v.size))
    some, step = future.at_least(1.0, t), float(np.log1p(-v[1]) - np.log(v[1]) - np.log1p(-v[0]) + np.log(v[0]))
    most = purchases_quantile(future, t, 1.0 - _TAIL_CHANCE)
    order = np.argsort(most, kind="stable")
    for start in range(0, c.size, _BATCH_ROWS):
        part = order[start : start + _BATCH_ROWS]
        mass, shape = _by_count(future.take(part), t, p, most[part])
        y = np.log(row_sums(mass * shape) / np.maximum(some[part], 1e-300) / c[part])
        found, norm = list[tuple[Floats, Floats]](), betaln(shape, c[part, None])
        for k, chance in enumerate(v):
            y = _solve(
                mass, shape, c[part], norm, chance * some[part], _onwards(found, step) if found else y, _LAST_TABLE_STEP
            )
            density = np.maximum(_density(mass, shape, c[part], norm, y), 1e-300)
            rise = np.minimum(chance * (1.0 - chance) * some[part] / density, _MAX_RISE)
            out[part, k], slope[part, k] = y, rise
            found = [*found[-1:], (y, rise)]
    return out, slope


def _onwards(found: list[tuple[Floats, Floats]], step: float) -> Floats:
    """Where the next of evenly spaced values is to be looked for: on the cubic through the last two and their slopes,
    or on a straight line.
    """
    (y, slope), *before = found[::-1]
    if not before:
        return y + step * slope
    last, rise = before[0]
    return 5.0 * last - 4.0 * y + step * (2.0 * rise + 4.0 * slope)


def spend_at_most(future: Future, t: float, u: Floats, p: float, c: Floats) -> Floats:
    """P(spend within t <= u (v + x m)) per customer, u >= 0; c = p x + q. At u = 0 the chance of silence."""
    out = 1.0 - future.p_return(t)
    rows = np.flatnonzero(u > 0.0)
    most = purchases_quantile(future.take(rows), t, 1.0 - _TAIL_CHANCE)
    order = np.argsort(most, kind="stable")
    rows, most = rows[order], most[order]
    for start in range(0, rows.size, _BATCH_ROWS):
        part, last = rows[start : start + _BATCH_ROWS], most[start : start + _BATCH_ROWS]
        mass, shape = _by_count(future.take(part), t, p, last)
        out[part] += (mass * betainc(shape, c[part, None], (u[part] / (1.0 + u[part]))[:, None])).sum(axis=1)
    return out


def _by_count(future: Future, t: float, p: float, most: Floats) -> tuple[Floats, Floats]:
    """Chance of each number of purchases, in bins, one row a customer; and the shape p n of the spend in each bin.

    Each customer is looked at as far as their own `most`, so that no result depends on who else is in the batch.
    """
    most = np.maximum(most, 1.0)
    edges = _edges(most.max())
    tail = np.stack([future.at_least(e, t) for e in edges], axis=1)
    mass = np.where(edges[:-1] <= most[:, None], tail[:, :-1] - tail[:, 1:], 0.0)
    return mass, p * 0.5 * (edges[:-1] + edges[1:] - 1.0)


def _solve(
    mass: Floats, shape: Floats, c: Floats, log_norm: Floats, above: Floats, y: Floats, close: float = _LAST_STEP
) -> Floats:
    """Log of the u that spend exceeds with chance `above`: Newton's method from y, kept within what the signs so
    far allow.

    mass (n, k) and shape (k,) as of _by_count; log_norm (n, k) = betaln(shape, c); c, above, y (n,).
    """
    low, high, active = np.full(y.shape, -np.inf), np.full(y.shape, np.inf), np.arange(y.size)
    for _ in range(_MAX_STEPS):
        yi, ci = y[active, None], c[active, None]
        log1p_u, of = np.logaddexp(0.0, yi), mass[active]
        tail = betainc(ci, shape, np.exp(-log1p_u), where=of > _NO_CHANCE, out=np.zeros(of.shape))
        over = row_sums(of * tail) - above[active]
        density = _density(of, shape, c[active], log_norm[active], y[active])
        low[active] = np.where(over > 0.0, yi[:, 0], low[active])
        high[active] = np.where(over > 0.0, high[active], yi[:, 0])
        step = np.clip(over / np.maximum(density, 1e-300), -2.0, 2.0)
        new = yi[:, 0] + step
        outside = (new <= low[active]) | (new >= high[active])
        # A step too small to move y ends on the bound it came from; the middle is for where both bounds are known.
        halved = outside & np.isfinite(low[active]) & np.isfinite(high[active]) & (step != 0.0)
        y[active] = np.where(
            halved, 0.5 * (np.where(halved, low[active], 0.0) + np.where(halved, high[active], 0.0)), new
        )
        active = active[np.abs(y[active] - yi[:, 0]) > np.where(halved, 1e-7, close)]
        if active.size == 0:
            break
    return y


def _density(mass: Floats, shape: Floats, c: Floats, log_norm: Floats, y: Floats) -> Floats:
    """Of log u at y (n,), from what _solve is given."""
    ln = shape * y[:, None] - (shape + c[:, None]) * np.logaddexp(0.0, y[:, None]) - log_norm
    return row_sums(mass * np.exp(ln))


def _edges(most: float) -> NDArray[np.float64]:
    """Purchase counts 1, 2, ... and, from 16 on, bins a half standard deviation of a Poisson wide, up to `most`."""
    edges = [1.0]
    while edges[-1] <= most:
        edges.append(edges[-1] + max(1.0, np.floor(np.sqrt(edges[-1]) / 4.0)))
    return np.array(edges)
