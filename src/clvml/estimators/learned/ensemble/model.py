"""Everything learned from the log's own past as one: features, members, their blend, and its level."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.errors import DataError
from clvml.estimators.learned.ensemble.believed import Believed
from clvml.estimators.learned.ensemble.blend import Blend, Predicted
from clvml.estimators.learned.ensemble.boosting import Trees
from clvml.estimators.learned.ensemble.coming_year import ComingYear
from clvml.estimators.learned.ensemble.level import (
    NO_LEVEL,
    NO_PAST,
    Level,
    PastWindow,
    PastWindows,
    drawn_to_base,
    season_again,
)
from clvml.estimators.learned.ensemble.members import Examples, Members
from clvml.estimators.learned.ensemble.special_days import Calendar, log_factor
from clvml.estimators.learned.ensemble.window_days import PLAIN_DAYS, WindowDays
from clvml.estimators.learned.expectation import (
    CommonFactors,
    Expectation,
    expect,
    expect_origins,
    expected_over,
    log_hazard,
)
from clvml.estimators.learned.features import Design
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.purchases.regular_gaps import RANDOM
from clvml.horizon import day_number
from clvml.orders.origins import Snapshots, one_vote, some_rows

__all__ = ["Ensemble", "Labelled", "labelled_rows", "past_windows", "window_days"]

Floats = NDArray[np.float64]

_MIN_PURCHASES = 20
_MAX_TEACHING_LOG_RATIO = 2.0
"""An origin with fewer purchases, or with totals further than this from BTYD's expectation, teaches nothing: there BTYD
failed to fit, which later origins would have to pay for. A season goes as far as 1.7, and who buys more than whom is
learned from it as well as from other weeks."""


class Labelled(NamedTuple):
    """Rows of earlier origins, with what BTYD, fitted at each to what it knew, expected of them."""

    rows: pd.DataFrame
    expected: Expectation
    factors: Floats
    """(n, 3): the CommonFactors of each row's origin, over all of its customers."""
    fitted: dict[int, LifetimeValueModel]
    """BTYD of each origin (day number)."""

    def take(self, some: NDArray[np.intp]) -> Labelled:
        """Some of the rows."""
        rows = self.rows.iloc[some].reset_index(drop=True)
        return self._replace(rows=rows, expected=self.expected.take(some), factors=self.factors[some])

    @property
    def bought(self) -> Floats:
        """1 for who bought within the window, else 0."""
        return (self.rows["purchases"].to_numpy() > 0).astype(float)

    def with_regular_gaps(self, believed: Believed) -> Labelled:
        """The same, expected with gaps as regular as is believed."""
        factors = believed.factors_of(self.factors, self.expected, self.rows["origin"].to_numpy(np.int64))
        return self._replace(expected=believed.of(self.expected), factors=factors)

    def examples(self, design: Design) -> Examples:
        """What members learn from."""
        return Examples(
            design.matrix(self.rows, self.expected),
            self.rows["purchases"].to_numpy(float),
            np.maximum(self.rows["spend"].to_numpy(float), 0.0),
            self.expected,
            self.factors,
            one_vote(self.rows["customer_id"]),
        )


class Ensemble(NamedTuple):
    """What corrects BTYD."""

    window: int
    """Days that the labels looked ahead."""
    believed: Believed
    """How far gaps are taken to be regular; the base takes them to be random."""
    design: Design
    members: Members
    blend: Blend
    level: Level
    window_days: WindowDays = PLAIN_DAYS
    """What horizons within the window count as."""
    coming_year: ComingYear | None = None
    """The season of windows that begin on another day than the level's; None where labels gave it."""

    @classmethod
    def learn(
        cls, labelled: Labelled, window: int, penalty: float, trees: Trees, seed: int, *, spend: bool = True
    ) -> Self:
        """Members and blend; the level is not set until `levelled`. spend: as of `Members.learn`."""
        weight = one_vote(labelled.rows["customer_id"])
        purchases = labelled.rows["purchases"].to_numpy(float)
        believed = Believed.learn(labelled.expected, purchases, labelled.factors, weight, penalty)
        labelled = labelled.with_regular_gaps(believed)
        design = Design.learn(labelled.rows, labelled.expected)
        examples = labelled.examples(design)
        members = Members.learn(examples, penalty, trees, seed, spend=spend)
        return cls(window, believed, design, members, Blend.by_evidence(examples), NO_LEVEL)

    def levelled(
        self,
        frame: pd.DataFrame,
        near: Expectation,
        far: Expectation,
        past: PastWindows,
        day: int,
        calendar: Calendar,
        *,
        seasonality: bool = True,
    ) -> Self:
        """Itself at the level of these customers: today's, or those of an origin, of this day; see `Level.learn`.

        calendar: special days; seasonality: whether what the same weeks of a year ago brought recurs.
        """
        blended = self._replace(level=NO_LEVEL).forecast(frame, near, far)
        past = past.with_spread(self.members.spread)
        past = past.with_todays_history(day) if seasonality else past.plain()
        special = log_factor(calendar, day, self.window)
        level = Level.learn(drawn_to_base(blended, far), past.lasting, past.year_ago, self.window, special)
        again = {w.origin: season_again(w, self.window) for w in past.seasons}
        first = None if past.year_ago is None else season_again(past.year_ago, self.window)
        return self._replace(level=level, coming_year=ComingYear.learn(day, self.window, first, again, calendar))

    def on(self, day: int) -> Self:
        """Itself in the season of a day."""
        if self.coming_year is None or day == self.coming_year.day:
            return self
        return self._replace(level=self.level._replace(season=self.coming_year.at(day)))

    def counted_days(self, horizon: int, day: int | None) -> int:
        """What a horizon within the label window counts as; day: on which it begins, None: the level's."""
        elapsed = 0 if day is None or self.coming_year is None else day - self.coming_year.day
        return self.window_days.of(horizon, max(0, elapsed))

    def levelled_by_labels(self, labelled: Labelled, near: Expectation) -> Self:
        """Itself at the level of labels of which nothing else is known; near: what the base expects of their rows."""
        found = self._replace(level=NO_LEVEL).forecast(labelled.rows, near, near)
        purchases, spend = (labelled.rows[name].to_numpy(float) for name in ("purchases", "spend"))
        shown = Expectation.of(found.p_return, found.purchases, found.spend / np.maximum(found.purchases, 1e-300))
        to_labels = CommonFactors.of(purchases, spend, shown)
        level = NO_LEVEL._replace(to_base=to_labels, source="labels", reason="The level is that of the labels.")
        return self._replace(level=level)

    def forecast(self, frame: pd.DataFrame, near: Expectation, far: Expectation) -> Predicted:
        """near, far: what BTYD expects of the customers of a frame over the label window and over the horizon."""
        regular = self.believed.of(near)
        further = regular if far is near else self.believed.of(far)
        return self.predict(self.design.matrix(frame, regular), regular, further)

    def predict(self, X: Floats, near: Expectation, far: Expectation) -> Predicted:
        """X: the design matrix; near, far: what is expected with gaps as regular as is believed."""
        return self.level.of(self.blend.of(self.members.views(X, near, far), far), near, far)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "window": self.window,
            "believed": list(self.believed),
            "design": self.design.to_dict(),
            "members": self.members.to_dict(),
            "blend": list(self.blend),
            "level": self.level.to_dict(),
            "window_days": [list(days) for days in self.window_days],
            "coming_year": None if self.coming_year is None else self.coming_year.to_dict(),
        }

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(
            int(payload["window"]),
            Believed(*map(float, payload["believed"])),
            Design.from_dict(payload["design"]),
            Members.from_dict(payload["members"]),
            Blend(*map(float, payload["blend"])),
            Level.from_dict(payload["level"]),
            WindowDays.from_lists(payload["window_days"]),
            None if payload["coming_year"] is None else ComingYear.from_dict(payload["coming_year"]),
        )


def labelled_rows(
    value: LifetimeValueModel, snapshots: Snapshots, max_rows: int, seed: int, threads: int = 1
) -> Labelled:
    """The rows to learn from: of good origins, at most so many, drawn by customer.

    Raises DataError where there is nothing to tell apart.
    """
    rows = snapshots.labelled
    _check_outcomes(rows, snapshots)
    expected, fitted = expect_origins(value, rows, snapshots.window, threads)
    factors, good = np.zeros((len(rows), 3)), np.zeros(len(rows), dtype=bool)
    purchases, spend = rows["purchases"].to_numpy(float), rows["spend"].to_numpy(float)
    for place in rows.groupby("origin", sort=False).indices.values():
        some = np.asarray(place, dtype=np.intp)
        found = CommonFactors.of(purchases[some], spend[some], expected.take(some))
        factors[some], good[some] = found, _teaches(purchases[some].sum(), found)
    if not good.any():
        raise DataError(
            f"In none of {len(snapshots.origins)} earlier snapshots did {_MIN_PURCHASES} purchases come within "
            f"{snapshots.window} days, about as many as BTYD had expected, so there is nothing to learn corrections "
            "from. Use a longer log or another horizon."
        )
    kept = np.flatnonzero(good)
    kept = kept[some_rows(rows["customer_id"].iloc[kept], max_rows, seed)]
    return Labelled(rows, expected, factors, fitted).take(kept)


def past_windows(value: LifetimeValueModel, snapshots: Snapshots, calendar: Calendar) -> PastWindows:
    """What came in earlier windows against what BTYD, fitted as of then, had expected; and the same weeks a year ago.
    What the calendar says of a window is taken out. value: BTYD fitted as of today.
    """
    found, rows = list[PastWindow](), snapshots.past
    if rows.empty:
        return NO_PAST
    first = day_number(snapshots.first_day)
    for origin, some in rows.groupby("origin", sort=False).indices.items():
        frame = rows.iloc[some].reset_index(drop=True)
        then = value._refitted(frame)
        purchases, spend = frame["purchases"].to_numpy(float), frame["spend"].to_numpy(float)
        expected = expect(then, frame, snapshots.window)
        day, factors = int(str(origin)), CommonFactors.of(purchases, spend, expected)
        known = -log_factor(calendar, day, snapshots.window)
        totals = float(purchases.sum()), float(expected.purchases.sum())
        factors, returned = factors.plus(CommonFactors(known, known, known)), float((purchases > 0).mean())
        found.append(PastWindow(day, *totals, factors, day - first, log_hazard(expected.p_return), returned))
    return PastWindows(
        [w for w in found if w.purchases >= _MIN_PURCHASES and w.origin not in snapshots.seasons],
        next((w for w in found if w.origin == snapshots.year_ago), None),
        [w for w in found if w.tells_season(snapshots.window)],
    )


def window_days(value: LifetimeValueModel, snapshots: Snapshots) -> WindowDays:
    """What parts of the window count as, by those of a year ago. value: BTYD fitted as of today."""
    parts = snapshots.parts
    if parts is None:
        return PLAIN_DAYS
    then, days = value._refitted(parts.rows), list(parts.purchases)
    expected = expected_over(then._customer_forecast(parts.rows), then.purchases_, RANDOM, *days)
    due = np.array([part.purchases.sum() for part in expected])
    return WindowDays.learn(days, np.array([*parts.purchases.values()]), due, parts.history, snapshots.window)


def _teaches(purchases: float, factors: CommonFactors) -> bool:
    return purchases >= _MIN_PURCHASES and max(map(abs, factors[:2])) <= _MAX_TEACHING_LOG_RATIO


def _check_outcomes(rows: pd.DataFrame, snapshots: Snapshots) -> None:
    bought = rows["purchases"].to_numpy() > 0
    if bought.min() == bought.max():
        who = "everybody" if bought[0] else "nobody"
        raise DataError(
            f"In all {len(snapshots.origins)} earlier snapshots {who} of {rows['customer_id'].nunique():,} "
            f"customers bought again within {snapshots.window} days, so there is nothing to tell apart. "
            "Use a longer log or another horizon."
        )
