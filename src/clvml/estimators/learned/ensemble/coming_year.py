"""The season of windows that begin on another day than the one that a level was learned for.

A model goes on scoring for weeks or months after it was trained, and the season of the weeks after its training is not
theirs. Of a window that begins s days later the same weeks of a year ago began 365 - s days before that day: they are a
past window as well, and what it brought beyond BTYD's expectation is the season, as it is of the first one. Past
windows stand a month apart; between them the season is interpolated, and believed as far as the nearest overlaps.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np

from clvml.estimators.learned.ensemble.special_days import Calendar, log_factor
from clvml.estimators.learned.expectation import CommonFactors

__all__ = ["ComingYear"]

_YEAR = 365


class ComingYear(NamedTuple):
    """What a year of windows brings beyond the expectation, by the day on which they begin."""

    day: int
    """Day number that the level was learned for."""
    window: int
    """Days of a window."""
    starts: tuple[int, ...]
    """Days after that day on which windows begin whose season is known, from 0 to 365, which is 0 again."""
    factors: tuple[CommonFactors, ...]
    """Their seasons."""
    calendar: Calendar
    """Special days after that day."""

    @classmethod
    def learn(
        cls, day: int, window: int, first: CommonFactors | None, past: dict[int, CommonFactors], calendar: Calendar
    ) -> Self:
        """first: the season of the window that begins on that day, None where it is not known; past: those of windows a
        year later than past ones, by the day number on which these began.
        """
        known = {start + _YEAR - day: season for start, season in past.items() if 0 < start + _YEAR - day < _YEAR}
        if first is not None:
            known |= {0: first, _YEAR: first}
        starts = sorted(known)
        later = {when: factor for when, factor in calendar.items() if when > day}
        return cls(day, window, tuple(starts), tuple(known[s] for s in starts), later)

    def at(self, day: int) -> CommonFactors:
        """Of the window that begins on a day, its special days included."""
        special = log_factor(self.calendar, day, self.window)
        return self._season((day - self.day) % _YEAR).plus(CommonFactors(special, special, special))

    def _season(self, start: int) -> CommonFactors:
        if not self.starts:
            return CommonFactors(0.0, 0.0, 0.0)
        off = min(abs(start - known) for known in self.starts)
        overlap = max(0.0, 1.0 - off / self.window)
        return CommonFactors(*(float(np.interp(start, self.starts, f)) * overlap for f in np.array(self.factors).T))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        days = sorted(self.calendar.items())
        return self._asdict() | {"factors": [list(f) for f in self.factors], "calendar": [list(d) for d in days]}

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises ValueError where its parts do not fit together."""
        starts, factors = tuple(map(int, payload["starts"])), tuple(CommonFactors(*f) for f in payload["factors"])
        if len(starts) != len(factors) or (np.diff(starts) <= 0).any():
            raise ValueError("coming_year has seasons without a day of their own")
        calendar = {int(day): float(factor) for day, factor in payload["calendar"]}
        return cls(int(payload["day"]), int(payload["window"]), starts, factors, calendar)
