"""The level: how much all customers together will buy, learned apart from who buys more than whom.

The blend is first drawn to BTYD's totals. Then come two parts of what past windows brought beyond BTYD's expectation,
fitted as of their origins. What lasts shows in the mean of all past windows, weighted by the square of the history
before each, as far as their length averages seasons out: windows of u years are believed at u, of a whole year fully.
The season shows in the same weeks of a year ago, where the log knows them: they get 1 - u^2 and the mean, which they
hold already, u^2. A first Christmas cannot be foreseen: the reason says so, and the interval of totals is wider.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from clvml.estimators.learned.ensemble.blend import Predicted
from clvml.estimators.learned.ensemble.return_spread import ReturnSpread
from clvml.estimators.learned.expectation import NO_FACTORS, CommonFactors, Expectation, hazard_shift, log_hazard
from clvml.orders.origins import YEAR, year_ago_origin

__all__ = [
    "NO_LEVEL",
    "NO_PAST",
    "SOURCES",
    "Level",
    "PastWindow",
    "PastWindows",
    "credibility",
    "drawn_to_base",
    "season_again",
    "trust_of_history",
]

Floats = NDArray[np.float64]

SOURCES = ("year ago", "past windows", "base", "labels")
"""Where a level can come from: the same weeks a year ago, all past windows, BTYD alone, or labels that were given."""
_YEAR = 365.0
_TICKET = 0.5
"""How much of past errors in the amount of a purchase is taken to last: a holiday among them must not raise prices."""
_WHOLE_HISTORY = 180.0
"""Days of history before the weeks of a year ago with which they are believed fully; with fewer, in proportion."""
_NOISE_PURCHASES = 100.0
"""Purchases of a window, those that came or those expected, with which their log ratio is as much chance as level. A
few who buy much move it and no one's return, so of returns it is believed as far of that again.
"""
_NOISE_RETURNS = 500.0
"""The same of returns beyond purchases: of both the chance is in it."""
_UNKNOWN_SEASON_SD = (0.20, 0.25)
"""Standard deviations of the log of actual over predicted totals, of purchases and of spend, where the weeks of a year
ago are not known, before a log has shown its own. Measured over all origins of nine logs.
"""
_KNOWN_SEASON_SD = 0.6
"""The same where they are, as a share of that: the years of a log that swings by seasons differ the more."""
_PRIOR_WINDOWS = 4.0
"""Windows for which _UNKNOWN_SEASON_SD counts."""
_MIN_SD = 0.06
_MIN_SHOWN_CHANGE = 0.005
"""Smaller changes are not mentioned."""
_MAX_LASTING_LOG_RATIO = 1.0
"""A past window further than this from BTYD's expectation is a season or a failed fit: it says nothing of what lasts,
but how far the level can be wrong.
"""
_MAX_LASTING_RETURNS = 2.0
"""The same of returns: where purchases come in bursts BTYD gives up so many who pause that all windows are beyond 1."""


class PastWindow(NamedTuple):
    """What came in one past window, against what BTYD, fitted as of its origin, had expected."""

    origin: int
    """Day number."""
    purchases: float
    """That came."""
    expected: float
    """Purchases that BTYD had expected."""
    factors: CommonFactors
    history: int
    """Days of the log before the origin."""
    hazards: Floats | None = None
    """Log hazards of return that BTYD had expected, of each customer."""
    returned: float = 0.0
    """Share of the customers."""
    early: float = 0.0
    """What of its factors is due to a history shorter than today's, see `PastWindows.with_todays_history`."""

    @property
    def evidence(self) -> float:
        """Purchases it rests on, expected ones too: that few came where many were expected says as much."""
        return max(self.purchases, self.expected)

    @property
    def lasts(self) -> bool:
        """Whether it says anything of what lasts."""
        purchases, spend, hazard = map(abs, self.factors)
        return max(purchases, spend) <= _MAX_LASTING_LOG_RATIO and hazard <= _MAX_LASTING_RETURNS

    def tells_season(self, window: int) -> bool:
        """Whether it can be a year ago of a later window."""
        return year_ago_origin(self.origin - self.history, self.origin + YEAR, window) is not None

    def with_spread(self, spread: ReturnSpread) -> Self:
        """The same, with the shift of hazards as far apart as those of the members: from the mean return that BTYD had
        expected to the one that came.
        """
        if self.hazards is None:
            return self
        apart = self.hazards + spread.correction(self.hazards)
        expected = float(-np.expm1(-np.exp(self.hazards)).mean())
        shift = hazard_shift(apart, self.returned) - hazard_shift(apart, expected)
        beyond = shift - hazard_shift(self.hazards, self.returned)
        return self._replace(factors=self.factors.plus(CommonFactors(0.0, 0.0, beyond)))


class PastWindows(NamedTuple):
    """What a level is learned from."""

    lasting: list[PastWindow]
    """Those that show what lasts."""
    year_ago: PastWindow | None
    """The same weeks a year ago, where the log has enough history before them."""
    seasons: list[PastWindow]
    """Those that show the season of windows of the coming year."""

    def with_spread(self, spread: ReturnSpread) -> Self:
        """The same, each with its spread: see `PastWindow.with_spread`."""
        year_ago = None if self.year_ago is None else self.year_ago.with_spread(spread)
        lasting, seasons = ([w.with_spread(spread) for w in windows] for windows in (self.lasting, self.seasons))
        return self._replace(lasting=lasting, year_ago=year_ago, seasons=seasons)

    def with_todays_history(self, day: int) -> Self:
        """The same, where a season is no more than what little history does not explain. day: today's number.

        Where purchases come in bursts, BTYD expects too little at first and less so the more history it has: in
        simulated ones by about c / h after h days. Of the surplus of a year ago, what comes of it is no season.
        """
        surplus = [w.factors.purchases * w.history for w in self.lasting if w.lasts]
        error = max(0.0, float(np.mean(surplus))) if surplus else 0.0

        def of(window: PastWindow) -> PastWindow:
            early = error * (1.0 / window.history - 1.0 / (window.history + day - window.origin))
            return window._replace(early=min(early, max(0.0, window.factors.purchases)))

        year_ago = None if self.year_ago is None else of(self.year_ago)
        return self._replace(year_ago=year_ago, seasons=[of(w) for w in self.seasons])

    def plain(self) -> Self:
        """The same where no season recurs."""
        return self._replace(year_ago=None, seasons=[])


NO_PAST = PastWindows([], None, [])
"""Of a log that has none."""


class Level(NamedTuple):
    """What is done to the blend of all customers, as logarithms; and how far the level can be wrong."""

    to_base: CommonFactors
    lasting: CommonFactors
    """What all past windows brought beyond BTYD's expectation, as far as it is taken to last."""
    season: CommonFactors
    """What the weeks within the label window ahead bring beyond it: by those of a year ago, or by a calendar."""
    source: str
    """One of SOURCES."""
    reason: str
    """In words, for notes and reports."""
    log_sd: tuple[float, float]
    """Standard deviations of the log of actual over predicted totals, of purchases and of spend."""

    @property
    def factor(self) -> float:
        """By which expected purchases are multiplied for what the past says of the level, over the label window."""
        return math.exp(self.lasting.purchases + self.season.purchases)

    def of(self, blended: Predicted, near: Expectation, far: Expectation) -> Predicted:
        """The blend at this level. near, far: BTYD over the label window and over the horizon: a season changes the
        window alone, whatever lies beyond it.
        """
        within = np.minimum(1.0, near.purchases / np.maximum(far.purchases, 1e-300))
        far_hazard = log_hazard(far.p_return)
        hazard_within = np.minimum(1.0, np.exp(log_hazard(near.p_return) - far_hazard))
        all_over = self.to_base.plus(self.lasting)
        hazard = np.exp(log_hazard(blended.p_return) + all_over.hazard) * _partly(self.season.hazard, hazard_within)
        purchases = blended.purchases * math.exp(all_over.purchases) * _partly(self.season.purchases, within)
        spend = blended.spend * math.exp(all_over.spend) * _partly(self.season.spend, within)
        return Predicted(np.minimum(-np.expm1(-hazard), purchases), purchases, spend)

    @classmethod
    def learn(
        cls,
        to_base: CommonFactors,
        past: list[PastWindow],
        year_ago: PastWindow | None,
        window: int,
        calendar: float = 0.0,
    ) -> Self:
        """past: windows that have passed; year_ago: the same window a year ago, where the log has enough history
        before it; both without what a calendar says of them. calendar: log factor of the window ahead.
        """
        years = min(1.0, window / _YEAR)
        known = 0.0 if year_ago is None else _trust(year_ago)
        season, lasts = _season_share(year_ago, window), known * years**2 + (1.0 - known) * years
        usable = [w for w in past if w.lasts]
        lasts *= credibility(_evidence(usable, window))
        recurs = season_again(year_ago, window)
        ahead = recurs.plus(CommonFactors(calendar, calendar, calendar))
        source = "year ago" if known else "past windows" if usable else "base"
        reason = " ".join(_reasons(usable, year_ago, season, lasts, calendar))
        lasting = _lasting(usable, window, lasts, _TICKET * (1.0 - known), 1.0 - season)
        return cls(to_base, lasting, ahead, source, reason, _log_sds(past, known, window))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {name: list(part) if isinstance(part, tuple) else part for name, part in self._asdict().items()}

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        to_base, lasting, season = (CommonFactors(*map(float, payload[n])) for n in ("to_base", "lasting", "season"))
        purchases, spend = map(float, payload["log_sd"])
        return cls(to_base, lasting, season, str(payload["source"]), str(payload["reason"]), (purchases, spend))


def drawn_to_base(blended: Predicted, far: Expectation) -> CommonFactors:
    """What takes the blend's purchases and mean return to BTYD's: past windows tell what BTYD errs by, members do not.
    Spend goes as purchases do, for amounts are learned with their level.
    """
    purchases = math.log(far.purchases.sum() / blended.purchases.sum())
    hazard = hazard_shift(log_hazard(blended.p_return), float(far.p_return.mean()))
    return CommonFactors(purchases, purchases, hazard)


def _partly(log_factor: float, share: Floats) -> Floats:
    """exp(log_factor) on a share of what is expected, 1 on the rest."""
    factor: Floats = 1.0 + math.expm1(log_factor) * share
    return factor


def credibility(purchases: float, noise: float = _NOISE_PURCHASES) -> float:
    """The share of a log ratio of so many purchases that is no chance: n / (n + k), Bühlmann's credibility."""
    return purchases / (purchases + noise)


def _evidence(past: list[PastWindow], window: int) -> float:
    """Purchases that past windows rest on: those of one, as often as their weeks hold one."""
    if not past:
        return 0.0
    origins = [w.origin for w in past]
    windows = 1.0 + (max(origins) - min(origins)) / window
    return windows * float(np.average([w.evidence for w in past], weights=_weights(past)))


def trust_of_history(days: int) -> float:
    """How far what BTYD expected of a window a year ago is believed, by the days of history that it was fitted to."""
    return min(1.0, days / _WHOLE_HISTORY)


def _trust(year_ago: PastWindow) -> float:
    """How far the weeks of a year ago are believed: by the history before them, and by what came or was expected."""
    return trust_of_history(year_ago.history) * credibility(year_ago.evidence)


def _season_share(year_ago: PastWindow | None, window: int) -> float:
    return 0.0 if year_ago is None else _trust(year_ago) * (1.0 - min(1.0, window / _YEAR) ** 2)


def season_again(year_ago: PastWindow | None, window: int) -> CommonFactors:
    """What recurs of a window a year ago: a share, less of what it says of returns."""
    if year_ago is None:
        return NO_FACTORS
    share = _season_share(year_ago, window)
    purchases, spend, hazard = (factor - year_ago.early for factor in year_ago.factors)
    returns = purchases + credibility(year_ago.evidence, _NOISE_RETURNS) * (hazard - purchases)
    return CommonFactors(share * purchases, share * spend, share * credibility(year_ago.evidence) * returns)


def _mean_factors(past: list[PastWindow]) -> CommonFactors:
    """Of past windows, each weighted by the square of the history before it: what BTYD errs by for want of history
    falls with its inverse, and today's fit has more of it than any.
    """
    if not past:
        return NO_FACTORS
    return CommonFactors(*np.average([w.factors for w in past], axis=0, weights=_weights(past)).tolist())


def _weights(past: list[PastWindow]) -> list[float]:
    return [float(w.history) ** 2 for w in past]


def _lasting(
    past: list[PastWindow], window: int, share: float, ticket_share: float, return_share: float
) -> CommonFactors:
    """What is taken to last of the mean of past windows: of purchases a share; of the amount of a purchase, spend over
    purchases, and of returns beyond purchases a share of their own. How many return to make so many purchases is a
    matter of BTYD's shape and no season: it lasts as far as a year ago does not tell it, and as enough purchases do.
    """
    purchases, spend, hazard = _mean_factors(past)
    evidence = _evidence(past, window)
    believed = credibility(evidence)
    return CommonFactors(
        share * purchases,
        share * purchases + ticket_share * believed * (spend - purchases),
        share * believed * purchases + return_share * credibility(evidence, _NOISE_RETURNS) * (hazard - purchases),
    )


def _reasons(
    past: list[PastWindow], year_ago: PastWindow | None, season: float, lasts: float, calendar: float
) -> list[str]:
    """Where the level comes from, in words."""
    found = []
    if year_ago is not None:
        found.append(
            f"The same weeks a year ago brought {_purchases(year_ago.factors.purchases)} the model, fitted "
            f"as of then, expected{_again(year_ago.factors.purchases, season * (1.0 - _early_share(year_ago)))}."
        )
    if past:
        mean = _mean_factors(past).purchases
        found.append(
            f"The {len(past)} past window{'s' * (len(past) > 1)} brought on average {_purchases(mean)} expected"
            f"{' (later ones count for more)' * (len(past) > 1)}{_again(mean, lasts)}."
        )
    if year_ago is None:
        found.append("The log does not know the weeks ahead of an earlier year: a season in them is not foreseen.")
    if calendar:
        found.append(f"The calendar makes it {math.exp(calendar):.2f} times as much.")
    return found


def _early_share(window: PastWindow) -> float:
    return window.early / window.factors.purchases if window.early else 0.0


def _purchases(log_ratio: float) -> str:
    more = math.expm1(log_ratio)
    if abs(more) < _MIN_SHOWN_CHANGE:
        return "as many purchases as"
    return f"{abs(more):.0%} {'more' if more > 0 else 'fewer'} purchases than"


def _again(log_ratio: float, share: float) -> str:
    return "" if abs(math.expm1(log_ratio)) < _MIN_SHOWN_CHANGE else f"; {share:.0%} of that is expected again"


def _log_sds(past: list[PastWindow], known: float, window: int) -> tuple[float, float]:
    """Those of an unknown season, or, as far as the weeks of a year ago are believed, a share of them."""
    share = math.sqrt(1.0 - (1.0 - _KNOWN_SEASON_SD**2) * known**2)
    purchases, spend = (max(_MIN_SD, share * sd) for sd in _unknown_season_sd(past, window))
    return purchases, spend


def _unknown_season_sd(past: list[PastWindow], window: int) -> tuple[float, float]:
    """From past errors of level after what would have been carried then, shrunk to what other logs show; as in the mean
    of past windows, a base fitted to little history tells little of today's.
    """
    if len(past) < 2:
        return _UNKNOWN_SEASON_SD
    ordered = sorted(past)
    errors = []
    for i, now in enumerate(ordered):
        before = [w for w in ordered[:i] if w.origin + window <= now.origin]
        lasts = min(1.0, window / _YEAR) * credibility(_evidence(before, window))
        carried = _lasting(before, window, lasts, _TICKET, 1.0)
        errors.append(np.array(now.factors)[:2] - carried[:2])
    count = 1.0 + (ordered[-1].origin - ordered[0].origin) / window
    measured = np.average(np.square(errors), axis=0, weights=_weights(ordered))
    squares = (count * measured + _PRIOR_WINDOWS * np.square(_UNKNOWN_SEASON_SD)) / (count + _PRIOR_WINDOWS)
    purchases, spend = np.sqrt(squares).tolist()
    return purchases, spend


NO_LEVEL = Level(NO_FACTORS, NO_FACTORS, NO_FACTORS, "base", "", _UNKNOWN_SEASON_SD)
"""That of the members as they are."""
