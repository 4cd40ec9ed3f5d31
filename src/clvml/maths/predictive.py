"""Exact predictive distributions of one customer: how many purchases he will make, and how much he will spend.

Both start from the closed-form tail P(Y >= n) of a model's future. Spend: given Y = n > 0, the total over v + x m is a
beta-prime(p n, p x + q), see `clvml.maths.gammagamma`, so

    P(S <= s) = P(Y = 0) + sum over n > 0 of P(Y = n) I_{u / (1 + u)}(p n, p x + q),   u = s / (v + x m)

and the quantile of u depends on the customer's history alone: it is found once per distinct history.
"""

from __future__ import annotations

from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaln

from clvml.maths.sample import Floats, Numbers

__all__ = ["Future", "purchases_quantile", "spend_at_most", "spend_quantile", "spend_quantiles_alive"]

_TAIL = 1e-6
"""Probability of more purchases than are looked at."""
_NOTHING = 1e-12
"""A number of purchases with less chance than this is not looked at."""
_ROWS = 256
"""Rows worked on at once: few, so that those who need many counts do not widen the table of the others."""
_CLOSE = 1e-4
"""A step of Newton's method so short leaves an error of about its square."""


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


def purchases_quantile(future: Future, t: float, level: float) -> Floats:
    """Smallest n with P(Y <= n) >= level, per customer: doubling, then bisection on the closed-form tail."""
    out = np.zeros(future.p_alive.shape)
    rows = np.flatnonzero(future.at_least(1.0, t) > 1.0 - level)
    ahead = future.take(rows)
    low, high = np.zeros(rows.size), np.ones(rows.size)  # P(Y <= low) < level
    short = ahead.at_least(high + 1.0, t) > 1.0 - level
    while short.any():
        low[short] = high[short]
        high[short] *= 2.0
        short[short] = future.take(rows[short]).at_least(high[short] + 1.0, t) > 1.0 - level
    while (open_ := high - low > 1.0).any():
        middle = np.floor(0.5 * (low + high))
        enough = ahead.at_least(middle + 1.0, t) <= 1.0 - level
        high, low = np.where(open_ & enough, middle, high), np.where(open_ & ~enough, middle, low)
    out[rows] = high
    return out


def spend_quantile(future: Future, t: float, level: float, p: float, c: Floats) -> Floats:
    """Quantile of u = spend within t over (v + x m), per customer, to 1e-6 relative; c = p x + q. 0 where silence is
    likelier.
    """
    out = np.zeros(c.shape)
    rows = np.flatnonzero(future.at_least(1.0, t) > 1.0 - level)
    most = purchases_quantile(future.take(rows), t, 1.0 - _TAIL)
    typical = np.maximum(purchases_quantile(future.take(rows), t, level), 1.0)
    order = np.argsort(most, kind="stable")  # neighbours need about as many counts
    rows, typical, most = rows[order], typical[order], most[order]
    for start in range(0, rows.size, _ROWS):
        part = slice(start, start + _ROWS)
        mass, shape = _by_count(future.take(rows[part]), t, p, most[part])
        ci = c[rows[part]]
        norm, above = betaln(shape, ci[:, None]), np.full(ci.shape, 1.0 - level)
        out[rows[part]] = _solve(mass, shape, ci, norm, above, np.log(p * typical[part] / ci))
    return out


def spend_quantiles_alive(future: Future, t: float, v: Floats, p: float, c: Floats) -> Floats:
    """(n, k): the u that those who buy within t exceed with each of the k chances v, below 1 and in evenly spaced steps
    of log((1 - v) / v); c = p x + q (n,).

    What u = spend over (v + x m) is, given at least one purchase. The counts are looked at once for all of v.
    """
    out = np.empty((c.size, v.size))
    some = future.at_least(1.0, t)
    most = purchases_quantile(future, t, 1.0 - _TAIL)
    order = np.argsort(most, kind="stable")
    for start in range(0, c.size, _ROWS):
        part = order[start : start + _ROWS]
        mass, shape = _by_count(future.take(part), t, p, most[part])
        y = np.log((mass @ shape) / np.maximum(some[part], 1e-300) / c[part])
        found, norm = list[Floats](), betaln(shape, c[part, None])
        for k, chance in enumerate(v):
            out[part, k] = _solve(mass, shape, c[part], norm, chance * some[part], _onwards(found, y))
            found = [*found[-3:], np.log(out[part, k])]
    return out


def _onwards(found: list[Floats], y: Floats) -> Floats:
    """Where the next of evenly spaced values is to be looked for: on the polynomial through the last four."""
    if not found:
        return y
    weights = {1: (1.0,), 2: (-1.0, 2.0), 3: (1.0, -3.0, 3.0), 4: (-1.0, 4.0, -6.0, 4.0)}[len(found)]
    ahead: Floats = np.sum([weight * value for weight, value in zip(weights, found, strict=True)], axis=0)
    return ahead


def spend_at_most(future: Future, t: float, u: Floats, p: float, c: Floats) -> Floats:
    """P(spend within t <= u (v + x m)) per customer, u >= 0; c = p x + q. At u = 0 the chance of silence."""
    out = 1.0 - future.p_return(t)
    rows = np.flatnonzero(u > 0.0)
    most = purchases_quantile(future.take(rows), t, 1.0 - _TAIL)
    order = np.argsort(most, kind="stable")
    rows, most = rows[order], most[order]
    for start in range(0, rows.size, _ROWS):
        part, last = rows[start : start + _ROWS], most[start : start + _ROWS]
        mass, shape = _by_count(future.take(part), t, p, last)
        out[part] += (mass * betainc(shape, c[part, None], (u[part] / (1.0 + u[part]))[:, None])).sum(axis=1)
    return out


def _by_count(future: Future, t: float, p: float, most: Floats) -> tuple[Floats, Floats]:
    """Chance of each number of purchases, in bins, one row a customer; and the shape p n of the spend in each bin.

    Each customer is looked at as far as his own `most`, so that no result depends on who else is in the batch.
    """
    edges = _edges(most.max())
    tail = np.stack([future.at_least(e, t) for e in edges], axis=1)
    mass = np.where(edges[:-1] <= most[:, None], tail[:, :-1] - tail[:, 1:], 0.0)
    return mass, p * 0.5 * (edges[:-1] + edges[1:] - 1.0)


def _solve(mass: Floats, shape: Floats, c: Floats, log_norm: Floats, above: Floats, y: Floats) -> Floats:
    """The u that spend exceeds with chance `above`: Newton's method in log u from y, kept within what the signs seen so
    far allow.

    mass (n, k) and shape (k,) as of _by_count; log_norm (n, k) = betaln(shape, c); c, above, y (n,).
    """
    low, high, active = np.full(y.shape, -np.inf), np.full(y.shape, np.inf), np.arange(y.size)
    for _ in range(100):
        yi, ci = y[active, None], c[active, None]
        log1p_u, of = np.logaddexp(0.0, yi), mass[active]
        tail = betainc(ci, shape, np.exp(-log1p_u), where=of > _NOTHING, out=np.zeros(of.shape))
        over = (of * tail).sum(axis=1) - above[active]
        density = (of * np.exp(shape * yi - (shape + ci) * log1p_u - log_norm[active])).sum(axis=1)
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
        active = active[np.abs(y[active] - yi[:, 0]) > np.where(halved, 1e-7, _CLOSE)]
        if active.size == 0:
            break
    return np.exp(y)


def _edges(most: float) -> NDArray[np.float64]:
    """Purchase counts 1, 2, ... and, from 16 on, bins a half standard deviation of a Poisson wide, up to `most`."""
    edges = [1.0]
    while edges[-1] <= most:
        edges.append(edges[-1] + max(1.0, np.floor(np.sqrt(edges[-1]) / 4.0)))
    return np.array(edges)
