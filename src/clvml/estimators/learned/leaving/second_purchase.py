"""When those who buy a second time do so: what a customer who has bought once can be compared with."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clvml.maths.rhythm import AT_RISK_SHARE, LATE_SHARE
from clvml.maths.waiting import waiting_curve

__all__ = ["SecondPurchase"]

Floats = NDArray[np.float64]

_PERCENT = np.arange(1, 100) / 100
_MIN_AT_RISK = 30
"""Customers still watched, down to whom the curve is drawn."""


class SecondPurchase(NamedTuple):
    """The time from the first purchase to the second, of those who make one."""

    days: Floats
    """(99,): by how many days 1% to 99% of the second purchases have come; inf where none has."""
    ever: float
    """Share of all customers who make one, as far as the log shows."""

    @classmethod
    def of(cls, first: Floats, second: Floats, as_of: float) -> Self:
        """Day numbers of first and second purchases, inf where there is none, as known on the day `as_of`."""
        known = first <= as_of
        first, acted = first[known], second[known] <= as_of
        waited = np.where(acted, second[known], as_of) - first
        curve = waiting_curve(waited, acted, min(_MIN_AT_RISK, max(1, len(waited) // 10)))
        return cls(curve.quantile(_PERCENT), curve.ever)

    def share_sooner(self, since: ArrayLike) -> Floats:
        """The share of second purchases that come within so many days."""
        return np.searchsorted(self.days, np.asarray(since, dtype=np.float64), side="right") / 100

    @property
    def overdue(self) -> float:
        """Days from which a second purchase is overdue: three of four have come."""
        return float(self.days[round(100 * LATE_SHARE) - 1])

    @property
    def lapsed(self) -> float:
        """Days from which hardly any comes: nine of ten have."""
        return float(self.days[round(100 * AT_RISK_SHARE) - 1])
