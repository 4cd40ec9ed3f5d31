"""A customer's own rhythm: the distribution of gaps learned from those they have shown, with everybody's as the prior.

While alive they buy at a rate lambda ~ Gamma(r, alpha) over customers (Schmittlein, Morrison & Colombo 1987). x gaps
that add up to t_x make it Gamma(r + x, alpha + t_x), so the next gap is Lomax: P(gap > u) = ((alpha + t_x) / (alpha +
t_x + u))^(r + x).

Gaps that are more regular than chance are Erlang: Gamma(k, k lambda), of the same mean (Wheat & Morrison 1990). Then
k lambda is Gamma(r + k x, alpha / k + t_x) after x gaps, and u / (alpha / k + t_x + u) is Beta(k, r + k x). With k = 1
that is the Lomax again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaincinv

__all__ = ["LAPSED_SHARE", "LATE_SHARE", "AT_RISK_SHARE", "Rhythm", "lomax_quantile", "overdue_share"]

Floats = NDArray[np.float64]

LATE_SHARE, AT_RISK_SHARE, LAPSED_SHARE = 0.75, 0.90, 0.98
"""Shares of a customer's own gaps that have ended: from which they are late, at risk, lapsed."""


_MIN_LOG_SHARE = -690.0
"""Of shares too near to zero for a float."""


class Rhythm(NamedTuple):
    """The gaps of a population of which each customer has a rate of their own."""

    r: float
    alpha: float
    """Shape, and rate in days, of the gamma distribution of purchase rates."""
    k: float | Floats = 1.0
    """Regularity of the gaps of one customer: 1 where they are random, above where they are regular. Of each customer
    who is asked about their own, where customers differ (n,).
    """

    def of(self, k: Floats) -> Rhythm:
        """The same of customers whose regularity is given (n,)."""
        return self._replace(k=k)

    @property
    def _random(self) -> bool:
        return np.ndim(self.k) == 0 and self.k == 1.0

    def share_ended(self, x: ArrayLike, t_x: ArrayLike, since: ArrayLike) -> Floats:
        """The share of a customer's own gaps that end within `since` days, in 0..1; x gaps that add up to t_x days."""
        x, t_x, since = (np.asarray(v, dtype=np.float64) for v in (x, t_x, since))
        if self._random:
            return overdue_share(self.r, self.alpha, x, t_x, since)
        below = since / (self.alpha / self.k + t_x + since)
        return np.asarray(betainc(self.k, self.r + self.k * x, below), dtype=np.float64)

    def log_share_open(self, x: ArrayLike, t_x: ArrayLike, since: ArrayLike) -> Floats:
        """The logarithm of the share of a customer's own gaps that last longer than `since` days; -690 at the least."""
        x, t_x, since = (np.asarray(v, dtype=np.float64) for v in (x, t_x, since))
        if self._random:
            return np.maximum(-(self.r + x) * np.log1p(since / (self.alpha + t_x)), _MIN_LOG_SHARE)
        x, t_x, since, k = np.broadcast_arrays(x, t_x, since, self.k)
        open_, once = np.empty(x.shape), (x == 0) & (t_x == 0)
        # Who has bought once differs by silence and regularity alone: few values, and the integral takes long.
        pairs, place = _distinct(since[once], k[once])
        open_[once] = self.of(pairs[1])._share_open(0.0, 0.0, pairs[0])[place]
        open_[~once] = self.of(k[~once])._share_open(x[~once], t_x[~once], since[~once])
        return np.log(np.maximum(open_, np.exp(_MIN_LOG_SHARE)))

    def p_alive(self, p_alive: Floats, silent: tuple[Floats, Floats]) -> Floats:
        """P(alive) for gaps as regular as they are; silent: the logarithms of the shares of gaps that last as long as
        the silence where gaps are random, as the given P(alive) takes them to be, and of these.

        The odds of being alive are in proportion to that share. What stands against it, the chance of having left
        within the silence, is the same to within a few percent once a gap is over.
        """
        random, regular = silent
        gone = (1.0 - p_alive) / np.maximum(p_alive, 1e-300) * np.exp(np.minimum(random - regular, -_MIN_LOG_SHARE))
        alive: Floats = 1.0 / (1.0 + gone)
        return alive

    def _share_open(self, x: Floats | float, t_x: Floats | float, since: Floats) -> Floats:
        """The share of gaps that last longer, in 0..1."""
        scale = self.alpha / self.k + t_x
        return np.asarray(betainc(self.r + self.k * x, self.k, scale / (scale + since)), dtype=np.float64)

    def quantile(self, share: float, x: ArrayLike, t_x: ArrayLike) -> Floats:
        """Days within which that share of a customer's own gaps end; inf where the rate is too near zero to say.

        In proportion to alpha / k + t_x, and so solved for once for each number of gaps and regularity.
        """
        x, t_x, k = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (x, t_x, self.k)))
        (gaps, each), place = _distinct(x.ravel(), k.ravel())
        with np.errstate(over="ignore", divide="ignore"):
            if self._random:
                times = lomax_quantile(share, self.r + gaps, np.ones_like(gaps))
            else:
                below = betaincinv(each, self.r + each * gaps, share)
                times = below / (1.0 - below)
            days: Floats = (self.alpha / k + t_x) * times[place].reshape(x.shape)
        return days

    def mean_gap(self, x: ArrayLike, t_x: ArrayLike) -> Floats:
        """Days between purchases at a customer's expected rate: their own mean gap, drawn to that of the population."""
        x, t_x = (np.asarray(v, dtype=np.float64) for v in (x, t_x))
        gap: Floats = (self.alpha + self.k * t_x) / (self.r + self.k * x)
        return gap


def _distinct(first: Floats, second: Floats) -> tuple[tuple[Floats, Floats], NDArray[np.intp]]:
    """The distinct pairs of two columns, and the place of each row among them."""
    pairs, place = np.unique(first + 1j * second, return_inverse=True)
    return (pairs.real, pairs.imag), place


def overdue_share(r: float, alpha: float, x: ArrayLike, t_x: ArrayLike, since: ArrayLike) -> Floats:
    """The share of a customer's own gaps that would have ended within `since`, in 0..1, where gaps are random."""
    x, t_x, since = (np.asarray(v, dtype=np.float64) for v in (x, t_x, since))
    return -np.expm1(-(r + x) * np.log1p(since / (alpha + t_x)))


def lomax_quantile(share: float, shape: Floats, scale: Floats) -> Floats:
    """The wait within which a share of gaps end, at a rate ~ Gamma(shape, scale): (scale / (scale + wait))^shape = 1 -
    share; inf where the rate is too near zero to say.
    """
    with np.errstate(over="ignore"):
        wait: Floats = scale * np.expm1(-np.log1p(-share) / shape)
    return wait
