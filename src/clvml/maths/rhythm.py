"""A customer's own rhythm: the distribution of gaps learned from those they have shown, with everybody's as the prior.

While alive they buy at a rate lambda ~ Gamma(r, alpha) over customers (Schmittlein, Morrison & Colombo 1987). x gaps
that add up to t_x make it Gamma(r + x, alpha + t_x), so the next gap is Lomax: P(gap > u) = ((alpha + t_x) / (alpha +
t_x + u))^(r + x).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "LAPSED_SHARE",
    "LATE_SHARE",
    "AT_RISK_SHARE",
    "gap_quantile",
    "lomax_quantile",
    "median_gap",
    "overdue_share",
]

Floats = NDArray[np.float64]

LATE_SHARE, AT_RISK_SHARE, LAPSED_SHARE = 0.75, 0.90, 0.98
"""Shares of a customer's own gaps that have ended: from which they are late, at risk, lapsed."""


def overdue_share(r: float, alpha: float, x: ArrayLike, t_x: ArrayLike, since: ArrayLike) -> Floats:
    """The share of a customer's own gaps that would have ended within `since`, in 0..1."""
    x, t_x, since = (np.asarray(v, dtype=np.float64) for v in (x, t_x, since))
    return -np.expm1(-(r + x) * np.log1p(since / (alpha + t_x)))


def gap_quantile(share: float, r: float, alpha: float, x: ArrayLike, t_x: ArrayLike) -> Floats:
    """The time within which a share of a customer's own gaps end; inf where the rate is too near zero to say."""
    x, t_x = (np.asarray(v, dtype=np.float64) for v in (x, t_x))
    return lomax_quantile(share, r + x, alpha + t_x)


def lomax_quantile(share: float, shape: Floats, scale: Floats) -> Floats:
    """The wait within which a share of gaps end, at a rate ~ Gamma(shape, scale): (scale / (scale + wait))^shape = 1 -
    share; inf where the rate is too near zero to say.
    """
    with np.errstate(over="ignore"):
        wait: Floats = scale * np.expm1(-np.log1p(-share) / shape)
    return wait


def median_gap(r: float, alpha: float, x: ArrayLike, t_x: ArrayLike) -> Floats:
    """The gap that half of a customer's own gaps exceed; inf where the rate is too near zero to say."""
    return gap_quantile(0.5, r, alpha, x, t_x)
