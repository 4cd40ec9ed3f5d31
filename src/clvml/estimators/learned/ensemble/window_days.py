"""Parts of the label window: the season within it, by the same weeks of a year ago.

A season moves the whole window by one factor, see `level`, and a part of the window by another: of a quarter before
Christmas October is not busier than most months. So a horizon within the window counts as the days after which BTYD
would expect the share of the window's purchases that had come by then a year ago. What grows with BTYD's days grows
with those of the calendar: purchases, spend, returns and their intervals, of every customer.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from clvml.estimators.learned.ensemble.level import credibility, trust_of_history

__all__ = ["PLAIN_DAYS", "WindowDays"]

Floats = NDArray[np.float64]

_YEAR, _WEEK = 365.0, 7.0


class WindowDays(NamedTuple):
    """Some days of the window and what they count as, both from 0 to the window; days between them in proportion."""

    days: tuple[float, ...]
    counted: tuple[float, ...]

    @classmethod
    def learn(cls, days: list[int], purchases: Floats, expected: Floats, history: int, window: int) -> Self:
        """purchases: that came a year ago within so many days, the last of which are the window's or a year;
        expected: those that BTYD, fitted as of then to so much history, had expected. Of few the ratio is chance.
        """
        whole, due = purchases[-1], expected[-1]
        if len(days) < 2 or whole <= 0.0 or due <= 0.0:
            return cls(*PLAIN_DAYS)
        trust = np.array([credibility(n) for n in np.maximum(purchases, expected)]) * trust_of_history(history)
        ratio = np.maximum(purchases, 1e-3 * expected) / expected * (due / whole)
        share = np.minimum(np.maximum.accumulate(ratio**trust * expected / due), 1.0)
        share[-1] = 1.0
        known = np.array([0.0, *days])
        counted = np.interp(share, np.r_[0.0, expected / due], known)
        return cls((0.0, *map(float, days[:-1]), float(window)), (0.0, *counted[:-1].tolist(), float(window)))

    @classmethod
    def from_lists(cls, payload: list[list[float]]) -> Self:
        """The inverse of a list of both. Raises ValueError where they are no days that grow together."""
        found = cls(*(tuple(map(float, days)) for days in payload))
        if len(found.days) != len(found.counted) or any((np.diff(days) < 0).any() for days in found):
            raise ValueError("window_days are no days that grow together")
        return found

    def of(self, horizon: int, elapsed: int = 0) -> int:
        """What a horizon counts as, in whole days; itself, where it is the window or more.

        elapsed: days since the window began. The season of a year goes around, that of a shorter window ends with it.
        """
        if not self.days or horizon >= self.days[-1]:
            return horizon
        begin, part, whole = self._counted(np.array([0.0, horizon, self.days[-1]]) + elapsed)
        return max(1, round(self.days[-1] * (part - begin) / max(whole - begin, 1e-9)))

    def _counted(self, days: Floats) -> list[float]:
        window = self.days[-1]
        around = np.floor(days / window) * window if abs(window - _YEAR) <= _WEEK else np.maximum(days - window, 0.0)
        found: list[float] = (around + np.interp(days - around, self.days, self.counted)).tolist()
        return found


PLAIN_DAYS = WindowDays((), ())
"""Where no year ago is known: every day counts as one."""
