"""Leaving: the calibrated probability that a customer stays silent through three of their own gaps.

The chance of a purchase within a fixed horizon asks slow buyers too early and fast ones too late. Here everybody is
asked over days of their own, and learned from the log's own past: at earlier days, what was known of each customer
then, and whether they stayed silent through three of their gaps, as far as those days have passed by now.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.errors import DataError
from clvml.estimators.base import Estimator
from clvml.estimators.learned.leaving.features import Asked, Rules, asked_of, base_log_hazard, features
from clvml.estimators.learned.leaving.labelled import Labelled, enough, labelled_at, rules_at
from clvml.estimators.learned.leaving.members import Blend, Members
from clvml.estimators.learned.leaving.purchase_days import PurchaseDays
from clvml.estimators.learned.leaving.second_purchase import SecondPurchase
from clvml.estimators.learned.leaving.trial import LeavingAudit, learn_members, trial
from clvml.estimators.purchases.model import PurchaseModel
from clvml.estimators.purchases.models import ParetoNBDModel
from clvml.estimators.purchases.season_clock import SeasonClock
from clvml.horizon import as_date, day_number, day_of_number
from clvml.maths.learners.trees import Forest
from clvml.maths.regularity import Regularities
from clvml.maths.rhythm import Rhythm
from clvml.orders.origins import some_rows
from clvml.orders.past import Past
from clvml.orders.transactions import Transactions
from clvml.resources import each_in_order, one_thread, side_by_side

__all__ = ["KnownReturn", "LeavingModel"]

Floats = NDArray[np.float64]

_ORIGINS = 6
_MIN_WINDOW = 30
_WINDOW_SHARE = 0.4
"""Most of the history that the labels of the latest origin take."""
_MIN_HISTORY = 45
_TYPICAL = 0.8
"""Share of repeat buyers whose own days have passed since the latest origin."""
_MAX_ROWS = 200_000
"""Rows learned from at most, drawn by customer."""


class Season(NamedTuple):
    """Of a log whose years bear each other out: all that is asked of customers is in days by this clock."""

    clock: SeasonClock
    purchases: PurchaseModel
    """Fitted to histories by the clock: P(alive) falls with silence in the season."""


class KnownReturn(NamedTuple):
    """What a model that was taught apart says of each customer's return, over the same days for all."""

    p_return: Floats
    days: int
    """Ahead, by the calendar."""
    as_of: Any

    def bound(self, p: Floats, until: Floats) -> Floats:
        """The chance p of a silence of `until` days, at most as likely as a shorter one."""
        silent = 1.0 - self.p_return
        p = np.where(until <= self.days, np.maximum(p, silent), p)
        return np.where(until >= self.days, np.minimum(p, silent), p)


class LeavingModel(Estimator):
    """P(silent through three of one's own gaps), for every customer with a first purchase.

    Four members are blended on the log-hazard scale: P(alive) carried over the own days in closed form; silence over
    the own mean gap; a ridge regression with the former as its offset; and boosted trees. They learn from snapshots
    of the log at earlier days, from which the level of each, and with it the season, is taken out. How much each
    counts, and the calibration, come from the latest snapshot, predicted by what other customers showed at earlier
    days.

    Where the log shows a season, as far as one year foretells another, days are counted by what all customers buy at
    that time of the year (`SeasonClock`): silence out of season says little.

    Parameters
    ----------
    seasonality : bool
        Whether the season is looked for.
    seed : int
        Of the boosting and of the folds.

    Attributes
    ----------
    rhythm_ : Rhythm
        The gaps of the population as of the latest day.
    regularities_ : Regularities or None
        How regularity is spread over customers; None where one is everybody's: by a season's clock, and where the log
        is too short to learn from.
    second_ : SecondPurchase
        The time to the second purchase, by which those are judged who have bought once.
    season_ : Season or None
        The clock that days are counted by; None where they are those of the calendar.
    limits_ : tuple of float
        The least and the most days that anybody is asked over.
    audit_ : LeavingAudit or None
        How a trial did; None where the log is too short to learn from, so that the base alone predicts.

    Examples
    --------
    >>> from clvml import ParetoNBDModel, Transactions, load_cdnow
    >>> log = Transactions(load_cdnow(sample=True))
    >>> now = log.summarize("1997-12-31", 91)
    >>> purchases = ParetoNBDModel().fit(now)
    >>> leaving = LeavingModel().fit(log, "1997-12-31", purchases, 91)
    >>> chance = leaving.p_leaving(now, purchases.p_alive(now))
    >>> bool(((chance > 0) & (chance < 1)).all())
    True
    """

    _fitted: ClassVar[str] = "blend_"
    _takes_frame: ClassVar[bool] = False

    def __init__(self, *, seasonality: bool = True, seed: int = 0) -> None:
        self.seasonality = seasonality
        self.seed = seed

    def fit(
        self, log: Transactions, as_of: Any, purchases: PurchaseModel, window: int, *, now: pd.DataFrame | None = None
    ) -> Self:
        """Learn from the past of a log up to a day.

        Parameters
        ----------
        log : Transactions
            Of the orders.
        as_of : date or str
            The last day that may be known.
        purchases : PurchaseModel
            Fitted as of that day; refitted at each earlier origin.
        window : int
            Days of the features of a snapshot, as they will be predicted from.
        now : DataFrame, optional
            What `log.summarize(as_of, window)` gives, where it has been made.
        """
        day = as_date(as_of)
        first, today = day_number(log.first_date), day_number(day)
        now = log.summarize(day, window) if now is None else now
        self.window_, self.as_of_ = window, today
        self.limits_ = (float(_MIN_WINDOW), float(max(365.0, (today - first) / 3)))
        past = Past(log, day)
        days = PurchaseDays.of(past.purchases(), now["customer_id"])
        clock = days.season_clock(purchases, today) if self.seasonality else None
        if clock is not None:
            now = days.by_clock(clock, now, today)
            purchases = purchases._refitted(now)
        self.season_ = None if clock is None else Season(clock, purchases)
        self.rhythm_, self.regularities_, self.second_, _ = rules_at(purchases, now, days, today, clock, self.limits_)
        self.members_: Members | None = None
        self.audit_: LeavingAudit | None = None
        self.blend_ = Blend.prior(0.0)
        with one_thread():
            origins = self._origins(now, first)
            labelled = self._labelled(past, origins, purchases, days, log.resources.n_workers)
            if labelled is None or not enough(labelled.returned):
                self.regularities_ = None
                return self
            labelled = labelled.take(some_rows(labelled.customer, _MAX_ROWS, self.seed))
            (self.blend_, self.audit_), self.members_ = side_by_side(
                lambda: trial(labelled, self.seed),
                lambda: learn_members(labelled, self.seed),
                log.resources.n_workers,
            )
        return self

    def asked(self, frame: pd.DataFrame, p_alive: Floats, as_of: Any = None) -> Asked:
        """What the members know of each customer; as_of: the day of the frame, by default that of the training."""
        self._check_fitted("blend_")
        today, to_calendar = self.as_of_ if as_of is None else day_number(as_of), None
        if self.season_ is not None:
            clock, purchases = self.season_
            frame, to_calendar = clock.summary(frame, today), partial(clock.calendar_days, today)
            p_alive = purchases.p_alive(frame)
        return asked_of(frame, p_alive, self._rules, to_calendar)

    @property
    def _rules(self) -> Rules:
        return Rules(self.rhythm_, self.regularities_, self.second_, self.limits_)

    def calendar_days(self, days: Floats, as_of: Any) -> Floats:
        """Days by the calendar from a day on, for days by the clock of the season where there is one."""
        return days if self.season_ is None else self.season_.clock.calendar_days(day_number(as_of), days)

    def clock_days(self, days: float, as_of: Any) -> float:
        """The inverse of `calendar_days`."""
        if self.season_ is None:
            return days
        today, clock = day_number(as_of), self.season_.clock
        return float(clock.time(today + days) - clock.time(today))

    def p_leaving(self, frame: pd.DataFrame, p_alive: Floats, as_of: Any = None) -> Floats:
        """Probability of no purchase within `asked(...).until` days; frame: summary and features; its p_alive."""
        return self.p_leaving_of(self.asked(frame, p_alive, as_of), frame)

    def p_leaving_of(self, asked: Asked, frame: pd.DataFrame, known: KnownReturn | None = None) -> Floats:
        """The same from what `asked` gave; known: what a model that was taught apart says of a return, if any.

        Two estimates of one silence err apart: between them is nearer to the truth, and who is picked for a high one
        is picked less for its error. The nearer the days of the other are to the own, the more it counts, up to as much
        as this. And a silence is at most as likely as a shorter one.
        """
        base = base_log_hazard(asked, self.rhythm_)
        hazard = base
        if self.members_ is not None:
            hazard = np.clip(
                self.blend_.apply(self.members_.log_hazards(features(asked, frame, base), base)), -12.0, 4.0
            )
        if known is None:
            return np.exp(-np.exp(hazard))
        silent = 1.0 - known.p_return
        over = asked._replace(days=np.full_like(base, self.clock_days(known.days, known.as_of)))
        carried = np.log(-np.log(np.clip(silent, 1e-5, 1 - 1e-5))) + base - base_log_hazard(over, self.rhythm_)
        weight = 0.5 * np.minimum(asked.until / known.days, known.days / asked.until)
        return known.bound(np.exp(-np.exp(np.clip(hazard + weight * (carried - hazard), -12.0, 4.0))), asked.until)

    def without_members(self) -> Self:
        """The same by its base alone and one regularity for all, which needs no features."""
        base = copy.copy(self)
        base.members_, base.blend_, base.audit_, base.regularities_ = None, Blend.prior(0.0), None, None
        return base

    def _labelled(
        self, past: Past, origins: list[int], purchases: PurchaseModel, days: PurchaseDays, threads: int
    ) -> Labelled | None:
        """The rows of all origins; None where nobody could be asked."""
        clock = None if self.season_ is None else self.season_.clock

        def rows(origin: int, frame: pd.DataFrame | None) -> Labelled | None:
            if frame is None:
                return None
            if clock is not None:
                frame = days.by_clock(clock, frame, origin)
            try:
                fitted = purchases._refitted(frame)
                return labelled_at(origin, frame, fitted, days, self.as_of_, clock, self.limits_)
            except DataError:  # too few to fit, so early
                return None

        frames = ((origin, _known(past, origin, self.window_)) for origin in origins)
        found = each_in_order(lambda part: rows(*part), frames, threads)
        parts = [part for part in found if part is not None and len(part.origin)]
        return Labelled.joined(parts) if parts else None

    def _origins(self, now: pd.DataFrame, first: int) -> list[int]:
        """Day numbers, latest first: the own days of most customers have passed since the latest."""
        again = now["frequency"].to_numpy() > 0
        if not again.any():
            return []
        alive = np.ones(int(again.sum()))
        days, today = asked_of(now[again], alive, self._rules).days, self.as_of_
        window = int(min(np.quantile(days, _TYPICAL), _WINDOW_SHARE * (today - first)))
        step = max(7, window // 3)
        origins = [today - window - step * j for j in range(_ORIGINS)]
        return [origin for origin in origins if origin - first >= _MIN_HISTORY]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        self._check_fitted("blend_")
        members = self.members_
        return {
            "type": "LeavingModel",
            "rhythm": list(self.rhythm_),
            "regularities": None if self.regularities_ is None else self.regularities_.weights.tolist(),
            "second": {
                "days": [v if np.isfinite(v) else None for v in self.second_.days.tolist()],
                "ever": self.second_.ever,
            },
            "limits": list(self.limits_),
            "window": self.window_,
            "as_of": day_of_number(self.as_of_).isoformat(),
            "season": None
            if self.season_ is None
            else {"pace": self.season_.clock.pace.tolist(), "purchases": self.season_.purchases.to_dict()},
            "blend": self.blend_._asdict() | {"weights": self.blend_.weights.tolist()},
            "members": None
            if members is None
            else {n: v.to_dict() if isinstance(v, Forest) else v.tolist() for n, v in members._asdict().items()},
            "audit": None if self.audit_ is None else self.audit_._asdict(),
        }

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        model, members, audit = cls(), payload["members"], payload["audit"]
        model.rhythm_, model.window_ = Rhythm(*map(float, payload["rhythm"])), int(payload["window"])
        spread = payload["regularities"]
        model.regularities_ = None if spread is None else Regularities(np.asarray(spread, dtype=np.float64))
        model.as_of_, season = day_number(payload["as_of"]), payload["season"]
        model.season_ = None
        if season is not None:
            clock = SeasonClock(np.asarray(season["pace"], dtype=np.float64))
            model.season_ = Season(clock, ParetoNBDModel.from_dict(season["purchases"]))
        second = payload["second"]
        days = np.array([np.inf if v is None else float(v) for v in second["days"]])
        model.second_ = SecondPurchase(days, float(second["ever"]))
        low, high = payload["limits"]
        model.limits_ = (float(low), float(high))
        blend = payload["blend"]
        weights = np.asarray(blend["weights"], dtype=np.float64)
        model.blend_ = Blend(weights, *(float(blend[name]) for name in Blend._fields[1:]))
        model.members_ = None
        if members is not None:
            arrays = {n: np.asarray(v, dtype=np.float64) for n, v in members.items() if n != "trees"}
            model.members_ = Members(**arrays, trees=Forest.from_dict(members["trees"]))
        model.audit_ = None if audit is None else LeavingAudit(**audit)
        return model


def _known(past: Past, origin: int, window: int) -> pd.DataFrame | None:
    """The summary as of an origin; None where nobody had bought by then."""
    try:
        return past.summarize(origin, window)
    except DataError:
        return None
