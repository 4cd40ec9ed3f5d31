"""A clock that runs as the season of a shop does: a day counts by what all customers buy at that time of the year.

Where nearly all is bought in spring, silence through the winter says little, and three weeks of silence in May say
much. What the log shows of its season is believed as far as one year foretells another (`SeasonClock.learn`).
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clvml.maths.learners import glm

__all__ = ["MIN_WEEKS", "SeasonClock"]

Floats = NDArray[np.float64]

_YEAR = 365.25
_WEEK = 7.0
MIN_WEEKS = 53
"""Of a log that knows a year."""
_HARMONICS = 8
"""Of the year that a season is made of: a peak of three weeks shows."""
_HARMONIC_SD = 0.5
"""Of the coefficients of the first wave, as a prior; those of shorter ones are smaller in proportion."""
_BIN_WEEKS = 4
"""Weeks that are compared with those of another year: neighbours differ by the same accidents."""
_MIN_OTHER_WEEKS = 26
"""Weeks of other years that a season can be told from."""
_MIN_LIKELIHOOD_GAIN = 4.0
"""By how much the log-likelihood of a year must gain by the season of the others: by chance fewer than one log in 200
do (chi-squared, of one degree of freedom).
"""
_MIN_EXPECTED = 1e-9
"""Purchases that are expected in a week."""
_ROUNDING_DAYS = 1e-6
"""Of days."""


class SeasonClock(NamedTuple):
    """Days as the season counts them; a year is a year."""

    pace: Floats
    """(365,): what a day of the year counts, on average 1."""

    @classmethod
    def learn(cls, bought: Floats, expected: Floats, today: int) -> Self | None:
        """From repeat purchases and how many were expected without a season, week by week up to today (the last).

        None where the log does not know a year, or the years do not bear each other out.
        """
        weeks = len(bought)
        if weeks < MIN_WEEKS:
            return None
        expected = np.maximum(expected, _MIN_EXPECTED)
        middle: Floats = today - 3.0 - _WEEK * np.arange(weeks - 1, -1, -1, dtype=np.float64)
        year = ((today - middle) // _YEAR).astype(np.intp)
        noise = _noise(bought, expected, middle)
        parts = []
        for part in range(year[0] + 1):
            other = year != part
            if other.sum() < _MIN_OTHER_WEEKS:
                continue
            covered = ~other & _covered(middle, middle[other])
            if covered.sum() >= 2 * _BIN_WEEKS:
                found = _season(bought[other], expected[other], middle[other], noise)
                parts.append(_bins(bought[covered], expected[covered], _pace(found)[_phase(middle[covered])]))
        believed = _believed(parts)
        if believed == 0.0:
            return None
        return cls(1.0 - believed + believed * _pace(_season(bought, expected, middle, noise)))

    @property
    def reason(self) -> str:
        """What it does, in words."""
        most, least = (int(place) for place in (self.pace.argmax(), self.pace.argmin()))
        new_year = dt.date(2001, 1, 1)
        fast, slow = (f"{new_year + dt.timedelta(days=place):%B}" for place in (most, least))
        return (
            "Silence is counted by the season, as far as one year of the log foretells another: a day in "
            f"{fast} counts for up to {self.pace[most]:.1f}, one in {slow} for down to {self.pace[least]:.2f}."
        )

    def time(self, day: ArrayLike) -> Floats:
        """What the clock shows at the end of a day, by its number."""
        years, within = np.divmod(np.asarray(day, dtype=np.float64), _YEAR)
        shown: Floats = years * _YEAR + np.interp(within, *self._table())
        return shown

    def day(self, time: ArrayLike) -> Floats:
        """The inverse of `time`."""
        years, within = np.divmod(np.asarray(time, dtype=np.float64), _YEAR)
        days, times = self._table()
        shown: Floats = years * _YEAR + np.interp(within, times, days)
        return shown

    def calendar_days(self, today: int, days: Floats) -> Floats:
        """Whole days by the calendar after which so many have passed by the clock: above 0 where these are."""
        found = np.ceil(self.day(self.time(today) + days) - today - _ROUNDING_DAYS)
        return np.where(days > 0, np.maximum(found, 1.0), np.minimum(found, 0.0))

    def summary(self, frame: pd.DataFrame, today: int) -> pd.DataFrame:
        """A summary as of a day, in days by the clock: whole, and at least one between purchases."""
        x, t_x, T = (frame[name].to_numpy(np.float64) for name in ("frequency", "recency", "T"))
        first, last, now = (np.rint(self.time(day)) for day in (today - T, today - T + t_x, today))
        t_x = np.maximum(last - first, x)
        return frame.assign(recency=t_x, T=t_x + (now - last))

    def _table(self) -> tuple[Floats, Floats]:
        days = np.linspace(0.0, _YEAR, len(self.pace) + 1)
        times = np.r_[0.0, np.cumsum(self.pace)]
        return days, times * (_YEAR / times[-1])


def _phase(day: Floats) -> NDArray[np.intp]:
    return (day % _YEAR * (365 / _YEAR)).astype(np.intp)


def _harmonics(day: Floats) -> Floats:
    """(n, 2 _HARMONICS): of prior spread 1."""
    angle = 2 * np.pi * day[:, None] / _YEAR * np.arange(1, _HARMONICS + 1)
    scale = _HARMONIC_SD / np.arange(1, _HARMONICS + 1)
    return np.concatenate([scale * np.cos(angle), scale * np.sin(angle)], axis=1)


def _season(bought: Floats, expected: Floats, day: Floats, noise: float) -> Floats:
    """Coefficients of the waves; a trend beside them."""
    trend = (day - day.mean()) / _YEAR
    X = np.column_stack([trend, _harmonics(day)])
    return glm.fit(glm.POISSON, X, bought, np.log(expected), np.full(len(day), 1.0 / noise), 1.0)[2:]


def _pace(coefficients: Floats) -> Floats:
    """(365,)."""
    middle = np.linspace(0.0, _YEAR, 366)[:-1] + 0.5 * _YEAR / 365
    pace: Floats = np.exp(_harmonics(middle.astype(np.float64)) @ coefficients)
    pace /= pace.mean()
    return pace


def _noise(bought: Floats, expected: Floats, day: Floats) -> float:
    """How much more than by chance weeks differ from the season that fits all of them; at least 1."""
    fit = _season(bought, expected, day, 1.0)
    mean = expected * _pace(fit)[_phase(day)]
    trend = np.polyfit(day, np.log((bought + 1.0) / (mean + 1.0)), 1)
    mean = mean * np.exp(np.polyval(trend, day))
    mean *= bought.sum() / mean.sum()
    free = max(len(bought) - 2 * _HARMONICS - 2, 5)
    return max(1.0, float(((bought - mean) ** 2 / np.maximum(mean, 1.0)).sum() / free))


def _covered(day: Floats, other: Floats) -> NDArray[np.bool_]:
    """Whether the same weeks are among the others."""
    apart = np.abs((day[:, None] - other + _YEAR / 2) % _YEAR - _YEAR / 2)
    covered: NDArray[np.bool_] = apart.min(axis=1) <= _WEEK
    return covered


def _bins(bought: Floats, expected: Floats, pace: Floats) -> Floats:
    """(3, n): what was bought in some weeks together, expected, and expected by the season of other years."""
    starts = np.arange(0, len(bought) - _BIN_WEEKS + 1, _BIN_WEEKS)
    return np.add.reduceat(np.stack([bought, expected, expected * pace]), starts, axis=1)


def _believed(parts: list[Floats]) -> float:
    """How far, from 0 to 1, the season of other years foretells when in a year is bought, whatever its total."""
    if not parts or not sum(part[0].sum() for part in parts):
        return 0.0
    shares = np.linspace(0.0, 1.0, 101)
    likely, off = np.zeros(len(shares)), np.zeros(len(shares))
    bins = 0
    for bought, flat, seasonal in parts:
        of = (1 - shares[:, None]) * flat / flat.sum() + shares[:, None] * seasonal / seasonal.sum()
        likely += np.log(of) @ bought
        off += ((bought - of * bought.sum()) ** 2 / np.maximum(of * bought.sum(), 1.0)).sum(axis=1)
        bins += len(bought) - 1
    best = int(likely.argmax())
    noise = max(1.0, float(off[best]) / max(bins, 1))
    gain = float(likely[best] - likely[0]) / noise
    return float(shares[best] * (1 - 0.5 / gain)) if gain > _MIN_LIKELIHOOD_GAIN else 0.0
