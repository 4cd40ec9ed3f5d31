"""How long customers wait: the share who have acted by each day, from some who have and some who are still watched.

Kaplan & Meier (1958), Nonparametric estimation from incomplete observations, JASA 53(282).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["WaitingCurve", "waiting_curve"]

Floats = NDArray[np.float64]


class WaitingCurve(NamedTuple):
    """Shares by day; each array has one entry a day on which somebody acted."""

    days: Floats
    share: Floats
    """Of all customers, the share who have acted by then."""
    at_risk: Floats
    """Customers who were still watched, and had not acted, just before."""

    @property
    def ever(self) -> float:
        """The share who have acted by the last day."""
        return float(self.share[-1]) if self.share.size else 0.0

    def by(self, days: ArrayLike) -> Floats:
        """The share of all customers who have acted by so many days."""
        place = np.searchsorted(self.days, np.asarray(days, dtype=np.float64), side="right")
        return np.concatenate([[0.0], self.share])[place]

    def quantile(self, share: ArrayLike) -> Floats:
        """Days by which so large a share of those who act at all have acted; inf where nobody does."""
        if not self.share.size:
            return np.full(np.shape(share), np.inf)
        place = np.searchsorted(self.share, np.asarray(share, dtype=np.float64) * self.ever * (1 - 1e-12))
        return self.days[np.minimum(place, len(self.days) - 1)]

    def steepest(self, part: float = 0.5) -> tuple[float, float]:
        """First and last day of the shortest time in which that part of all who act does so; nan where nobody acts."""
        if not self.share.size or self.ever <= 0.0:
            return np.nan, np.nan
        before = np.concatenate([[0.0], self.share[:-1]])
        last = np.searchsorted(self.share, before + part * self.ever * (1 - 1e-12))
        whole = np.flatnonzero(last < len(self.days))
        first = whole[np.argmin(self.days[last[whole]] - self.days[whole])]
        return float(self.days[first]), float(self.days[last[first]])


def waiting_curve(days: ArrayLike, acted: ArrayLike, least_at_risk: int = 1) -> WaitingCurve:
    """The curve of customers who acted after so many days, or were watched for so many and have not.

    least_at_risk: the curve ends where fewer customers than these are left, so that its end hangs on nobody alone.
    """
    days, acted = np.asarray(days, dtype=np.float64), np.asarray(acted, dtype=np.bool_)
    when, events = np.unique(days[acted], return_counts=True)
    at_risk = len(days) - np.searchsorted(np.sort(days), when, side="left")
    kept = at_risk >= least_at_risk
    when, events, at_risk = when[kept], events[kept], at_risk[kept]
    share: Floats = 1.0 - np.cumprod(1.0 - events / at_risk, dtype=np.float64)
    return WaitingCurve(when, share, at_risk.astype(np.float64))
