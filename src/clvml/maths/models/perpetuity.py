"""Discounted purchases in perpetuity (DERT; Fader, Hardie & Lee 2005, JMR 42(4)) of regular buyers, by one quadrature.

A customer who is alive, has passed j of k stages since the last purchase, buys at the rate lambda ~ Gamma(s + j, A) a
stage, and leaves after each purchase with probability p ~ Beta(a, B). The nth purchase is n k - j stages away, each of
which discounts it by v = lambda / (lambda + delta), and they are there for it with the chance E(1 - p)^(n-1) =
(B)_(n-1) / (a + B)_(n-1):

    D_j = sum over n of E[v^(n k - j)] E(1 - p)^(n-1) = E[v^(k - j) 2F1(1, B; a + B; v^k)]
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from clvml.maths.sample import Floats

__all__ = ["discounted_perpetuity"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(128)
_LOG_FALL = 40.0
"""Where an integrand has fallen by exp(-40) from its peak it no longer counts."""
_BATCH_ROWS = 256
"""Rows worked on at once, so that the working arrays, one column a node, stay in the processor's cache."""
_MAX_LOG_FALL = 700.0
"""So many 1 / shape below its peak an integrand is nothing in any case."""


def discounted_perpetuity(k: int, s: Floats, A: Floats, a: float, B: Floats, delta: float) -> Floats:
    """D_j, (n, k), for arrays of n customers and a rate delta > 0 per unit of time."""
    out = np.empty((s.size, k))
    for i in range(0, s.size, _BATCH_ROWS):
        rows = slice(i, i + _BATCH_ROWS)
        out[rows] = _quadrature(k, s[rows], A[rows], a, B[rows], delta)
    return out


def _quadrature(k: int, s: Floats, A: Floats, a: float, B: Floats, delta: float) -> Floats:
    """Gauss-Legendre in y = log(lambda A), where every factor of the integrand but 2F1 is log-concave.

    The same nodes serve all j: from where the integrand of j = 0 begins to where that of j = k - 1 ends.
    """
    forget = np.log(A * delta)
    low, high = _ends(s, k, forget, left=True), _ends(s + (k - 1.0), 1, forget, left=False)
    y = 0.5 * (low + high)[:, None] + 0.5 * (high - low)[:, None] * _NODES
    log_v = -np.logaddexp(0.0, forget[:, None] - y)
    value = _one_by_one(B[:, None], a, k * log_v) * _WEIGHTS * 0.5 * (high - low)[:, None]
    rate, shape, total = np.exp(y), s[:, None] + np.arange(k), np.empty((s.size, k))
    norm = gammaln(shape)
    for j in range(k):
        total[:, j] = (value * np.exp(shape[:, j, None] * y - rate - norm[:, j, None] + (k - j) * log_v)).sum(axis=1)
    return total


def _ends(shape: Floats, stages: int, forget: Floats, *, left: bool) -> Floats:
    """Where shape y - exp(y) + stages log v has fallen by 40 from its peak, by bisection on either side of it."""

    def curve(y: Floats) -> Floats:
        value: Floats = shape * y - np.exp(y) - stages * np.logaddexp(0.0, forget - y)
        return value

    # The peak lies between those without any stage and with all of them, where the curve is lower by little.
    least, most = np.log(shape), np.log(shape + stages)
    floor = np.maximum(curve(least), curve(most)) - _LOG_FALL - 5.0
    inside = least if left else most
    outside = least - _MAX_LOG_FALL / shape if left else np.log(shape + stages + 60.0 + 15.0 * np.sqrt(shape + stages))
    for _ in range(50):
        middle = 0.5 * (inside + outside)
        lower = curve(middle) < floor
        inside, outside = np.where(lower, inside, middle), np.where(lower, middle, outside)
    return outside


def _one_by_one(B: Floats, a: float, log_w: Floats) -> Floats:
    """2F1(1, B; a + B; w), the discounted purchases still to come at the time of one, by Gauss's continued fraction.

    1 / (1 - g_1 w / (1 - (1 - g_1) g_2 w / (1 - ...))) with g_(2m+1) = (B + m) / (a + B + 2m) and g_2m = m / (a + B +
    2m - 1) (Wall 1948, ch. 18): all denominators are positive, and its tail is near (1 + sqrt(1 - w)) / 2.
    """
    w, root = np.exp(log_w), np.sqrt(-np.expm1(log_w))
    # Each pair of terms takes the error down by ((1 - root) / (1 + root))^2.
    pairs = int(np.ceil(20.0 / np.log((1.0 + root.min()) / (1.0 - root.min()) + 1e-300) * 0.5)) + 4
    c, below = a + B, 0.5 * (1.0 + root)
    for m in range(pairs, 0, -1):
        odd, even, before = (B + m) / (c + 2.0 * m), m / (c + (2.0 * m - 1.0)), (B + (m - 1.0)) / (c + 2.0 * (m - 1.0))
        below = 1.0 - (1.0 - even) * odd * w / below
        below = 1.0 - (1.0 - before) * even * w / below
    value: Floats = 1.0 / (1.0 - B / c * w / below)
    return value
