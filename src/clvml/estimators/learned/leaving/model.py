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
from clvml.estimators.learned.ensemble.boosting import Trees
from clvml.estimators.learned.expectation import hazard_shift
from clvml.estimators.learned.leaving.features import FEATURES, Asked, Rules, asked_of, base_log_hazard, features
from clvml.estimators.learned.leaving.purchase_days import PurchaseDays
from clvml.estimators.learned.leaving.second_purchase import SecondPurchase
from clvml.estimators.purchases.model import PurchaseModel
from clvml.estimators.purchases.models import ParetoNBDModel
from clvml.estimators.purchases.regular_gaps import regularities_of, regularity_of, rhythm_of
from clvml.estimators.purchases.season_clock import SeasonClock
from clvml.horizon import as_date, day_number, day_of_number
from clvml.maths import metrics
from clvml.maths.learners import glm
from clvml.maths.learners.trees import Forest
from clvml.maths.regularity import Regularities
from clvml.maths.rhythm import Rhythm
from clvml.orders.origins import one_vote, some_rows
from clvml.orders.past import Past
from clvml.orders.transactions import Transactions
from clvml.resources import each_in_order, one_thread, side_by_side

__all__ = ["KnownReturn", "LeavingAudit", "LeavingModel"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

_ORIGINS = 6
_MIN_WINDOW = 30
_WINDOW_SHARE = 0.4
"""Most of the history that the labels of the latest origin take."""
_MIN_HISTORY = 45
_TYPICAL = 0.8
"""Share of repeat buyers whose own days have passed since the latest origin."""
_MIN_ROWS, _MIN_EVENTS = 300, 50
"""Rows, and outcomes of either kind among them, with which anything is learned."""
_MAX_ROWS = 200_000
"""Rows learned from at most, drawn by customer."""
_PRIOR_EVENTS = 150.0
"""Outcomes for which the base counts in the blend."""
_MIN_BASE = 0.15
_STACK_EVENTS = 50.0
"""Outcomes for which the members' prior weights, and the base's level, count against what a later origin shows."""
_PENALTY = 20.0
_FOLDS = 3
_TREES = Trees(max_iter=40, max_leaf_nodes=6)


class LeavingAudit(NamedTuple):
    """How a trial did on the latest origin, on repeat buyers who were not yet silent for three of their own gaps."""

    origin: str
    customers: int
    left: int
    """Of these, how many stayed silent through three of their own gaps."""
    predicted: float
    """How many had been expected to, each by what other customers showed, on that day too."""
    auc: float
    auc_alive: float
    """Of 1 - P(alive)."""
    auc_silence: float
    """Of the silence over the own mean gap."""
    calibration_error: float
    came_back: float
    """Share of those who stayed away, at any origin, who bought later all the same, as far as the log goes."""


class Members(NamedTuple):
    """Log hazards of return within the own days, learned apart from the level of their origins."""

    mean: Floats
    spread: Floats
    line: Floats
    """Coefficients of the regression that has the base as its offset."""
    silence: Floats
    """Coefficients of the regression on silence over the own gap alone."""
    trees: Forest
    shift: Floats
    """Added to line, silence and trees, so that each has the base's level."""

    @classmethod
    def learn(
        cls, raw: Floats, base: Floats, returned: Floats, origin: NDArray[Any], weight: Floats, seed: int
    ) -> Self:
        """Raw (features, n), base: log hazard (n,), returned (n,) of 0 and 1."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        mean, spread = raw.mean(axis=1), raw.std(axis=1)
        spread = np.where(spread > 1e-9, spread, 1.0)
        X = _standard(raw, mean, spread)
        level = np.zeros(len(returned))
        balance = weight.copy()
        overall = np.average(returned, weights=weight)
        for day in np.unique(origin):
            rows = origin == day
            level[rows] = _shift(base[rows], returned[rows], weight[rows])
            share = np.clip(np.average(returned[rows], weights=weight[rows]), 0.01, 0.99)
            balance[rows] *= np.where(returned[rows] > 0, overall / share, (1 - overall) / (1 - share))
        line = glm.fit(glm.HAZARD, X, returned, base + level, weight, _PENALTY)
        ratio = _silence(raw)
        silence = glm.fit(glm.HAZARD, ratio, returned, level, weight, _PENALTY)
        trees = _TREES.grow(HistGradientBoostingClassifier, X, returned.astype(np.int64), balance, seed)
        found = cls(mean, spread, line, silence, trees, np.zeros(3))
        members = found.log_hazards(raw, base)
        target = float(np.average(-np.expm1(-np.exp(base)), weights=weight))
        return found._replace(
            shift=np.array([hazard_shift(np.clip(m, -12.0, 4.0), target, weight) for m in members[1:]])
        )

    def log_hazards(self, raw: Floats, base: Floats) -> Floats:
        """(4, n): base, line, silence, trees."""
        X = _standard(raw, self.mean, self.spread)
        line = base + self.line[0]
        for column, slope in zip(X.T, self.line[1:], strict=True):
            line += slope * column
        ratio = _silence(raw)
        silence = self.silence[0] + self.silence[1] * ratio[:, 0] + self.silence[2] * ratio[:, 1]
        trees = np.log(np.logaddexp(0.0, np.clip(self.trees.sums(X), -12.0, 12.0)))  # ln -ln(1 - p) of a logit
        return np.stack([base, line + self.shift[0], silence + self.shift[1], trees + self.shift[2]])


class Blend(NamedTuple):
    """A weighted mean of the members' log hazards, with a slope about a centre, and a level."""

    weights: Floats
    slope: float
    centre: float
    level: float

    def apply(self, members: Floats) -> Floats:
        """The log hazard (n,)."""
        mixed: Floats = self.weights @ members
        return mixed + self.slope * (mixed - self.centre) + self.level

    @classmethod
    def prior(cls, events: float) -> Self:
        """The base for so much of it, the others for the rest: line and trees more than silence alone."""
        base = max(_MIN_BASE, _PRIOR_EVENTS / (_PRIOR_EVENTS + events))
        return cls(np.array([base, *((1 - base) * np.array([0.4, 0.2, 0.4]))]), 0.0, 0.0, 0.0)

    def learn(self, members: Floats, returned: Floats) -> Blend:
        """These weights, moved by what customers showed whom the members had not seen."""
        if not returned.size:
            return self
        mixed = self.weights @ members
        centre = float(mixed.mean())
        away = members[1:] - members[0]
        X = np.column_stack([np.ones_like(mixed), mixed - centre, away.T])
        ridge = np.sqrt([_STACK_EVENTS, _STACK_EVENTS, *[2 * _STACK_EVENTS] * len(away)])
        ones = np.ones_like(mixed)
        level, slope, *more = glm.fit(glm.HAZARD, X / ridge, returned, mixed, ones, 1.0, intercept=False) / ridge
        moved = self.weights + np.array([-sum(more), *more]) / (1 + max(slope, -0.9))
        return Blend(moved, float(max(slope, -0.9)), centre, float(level))


class Labelled(NamedTuple):
    """Rows of earlier origins whose own days have passed."""

    customer: pd.Series
    origin: NDArray[np.int64]
    asked: Asked
    raw: Floats
    base: Floats
    returned: Floats
    came_back: Floats
    """Whether they bought after their own days, as far as the log goes."""

    def take(self, rows: Rows) -> Labelled:
        """Some of them."""
        asked = Asked(*(values[rows] for values in self.asked))
        some = (values[rows] for values in (self.base, self.returned, self.came_back))
        return Labelled(self.customer.iloc[rows], self.origin[rows], asked, self.raw[:, rows], *some)


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
        self.rhythm_ = _rhythm(purchases, now)
        self.regularities_ = _regularities(now, clock)
        self.second_ = days.second_purchase(today, clock)
        self.members_: Members | None = None
        self.audit_: LeavingAudit | None = None
        self.blend_ = Blend.prior(0.0)
        with one_thread():
            labelled = self._labelled(past, log.resources.n_workers, today, first, purchases, window, now, days)
            if labelled is None or not _enough(labelled.returned):
                self.regularities_ = None
                return self
            labelled = labelled.take(some_rows(labelled.customer, _MAX_ROWS, self.seed))
            (self.blend_, self.audit_), self.members_ = side_by_side(
                lambda: self._trial(labelled), lambda: self._members(labelled), log.resources.n_workers
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
        return Rules(self.rhythm_, self.regularities_, self.second_.lapsed, self.limits_)

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
        p: Floats = np.exp(-np.exp(np.clip(hazard + weight * (carried - hazard), -12.0, 4.0)))
        p = np.where(asked.until <= known.days, np.maximum(p, silent), p)
        return np.where(asked.until >= known.days, np.minimum(p, silent), p)

    def without_members(self) -> Self:
        """The same by its base alone and one regularity for all, which needs no features."""
        base = copy.copy(self)
        base.members_, base.blend_, base.audit_, base.regularities_ = None, Blend.prior(0.0), None, None
        return base

    def _labelled(
        self,
        past: Past,
        threads: int,
        today: int,
        first: int,
        purchases: PurchaseModel,
        window: int,
        now: pd.DataFrame,
        days: PurchaseDays,
    ) -> Labelled | None:
        """The rows of all origins."""

        def rows(origin: int, frame: pd.DataFrame | None) -> Labelled | None:
            if frame is None:
                return None
            if self.season_ is not None:
                frame = days.by_clock(self.season_.clock, frame, origin)
            try:
                return self._origin(frame, purchases._refitted(frame), origin, today, days)
            except DataError:  # too few to fit, so early
                return None

        frames = ((origin, _known(past, origin, window)) for origin in self._origins(now, first, today))
        found = each_in_order(lambda part: rows(*part), frames, threads)
        parts = [part for part in found if part is not None and len(part.origin)]
        if not parts:
            return None
        asked = Asked(*(np.concatenate(values) for values in zip(*(p.asked for p in parts), strict=True)))
        return Labelled(
            pd.concat([p.customer for p in parts], ignore_index=True),
            np.concatenate([p.origin for p in parts]),
            asked,
            np.concatenate([p.raw for p in parts], axis=1),
            *(np.concatenate(v) for v in zip(*((p.base, p.returned, p.came_back) for p in parts), strict=True)),
        )

    def _origins(self, now: pd.DataFrame, first: int, today: int) -> list[int]:
        """Day numbers, latest first: the own days of most customers have passed since the latest."""
        again = now["frequency"].to_numpy() > 0
        if not again.any():
            return []
        alive = np.ones(int(again.sum()))
        days = asked_of(now[again], alive, self._rules).days
        window = int(min(np.quantile(days, _TYPICAL), _WINDOW_SHARE * (today - first)))
        step = max(7, window // 3)
        origins = [today - window - step * j for j in range(_ORIGINS)]
        return [origin for origin in origins if origin - first >= _MIN_HISTORY]

    def _origin(
        self, frame: pd.DataFrame, fitted: PurchaseModel, origin: int, today: int, days: PurchaseDays
    ) -> Labelled:
        """The rows of one origin: whose own days have passed, and who had not been silent for twice as long."""
        rhythm = _rhythm(fitted, frame)
        clock = None if self.season_ is None else self.season_.clock
        to_calendar = None if clock is None else partial(clock.calendar_days, origin)
        once_days = days.second_purchase(origin, clock).lapsed
        rules = Rules(rhythm, _regularities(frame, clock), once_days, self.limits_)
        asked = asked_of(frame, fitted.p_alive(frame), rules, to_calendar)
        following = days.following(frame["customer_id"], origin)
        end = origin + asked.until
        rows = np.flatnonzero((end <= today) & (asked.since < 2 * asked.days))
        some = Asked(*(values[rows] for values in asked))
        base = base_log_hazard(some, rhythm)
        return Labelled(
            frame["customer_id"].iloc[rows],
            np.full(len(rows), origin),
            some,
            features(some, frame.iloc[rows], base),
            base,
            (following <= end)[rows].astype(np.float64),
            (following < np.inf)[rows].astype(np.float64),
        )

    def _members(self, labelled: Labelled) -> Members:
        weight = one_vote(labelled.customer.reset_index(drop=True))
        return Members.learn(labelled.raw, labelled.base, labelled.returned, labelled.origin, weight, self.seed)

    def _trial(self, labelled: Labelled) -> tuple[Blend, LeavingAudit | None]:
        """Predict the latest origin by what other customers showed at earlier ones; what weights and level that shows.

        Their labels may overlap with it in time. Members taught by labels that had ended by then alone are those of a
        younger log, in which slow buyers had hardly come to their second purchase: their weights are not these
        members'.
        """
        latest = _latest(labelled)
        tested = np.flatnonzero(labelled.origin == latest)
        earlier = labelled.origin < latest
        earlier = earlier if earlier.any() else ~earlier
        customer = pd.factorize(labelled.customer)[0]
        part = np.random.default_rng(self.seed).integers(0, _FOLDS, customer.max() + 1)[customer]
        members = np.tile(labelled.base[tested], (4, 1))
        for j in range(_FOLDS):
            fold, training = np.flatnonzero(part[tested] == j), np.flatnonzero(earlier & (part != j))
            if _enough(labelled.returned[training]):
                found = self._members(labelled.take(training))
                rows = tested[fold]
                members[:, fold] = found.log_hazards(labelled.raw[:, rows], labelled.base[rows])
        events = min(labelled.returned.sum(), (1 - labelled.returned).sum())
        returned = labelled.returned[tested]
        prior = Blend.prior(float(events))
        expected = np.empty(len(tested))
        for j in range(_FOLDS):
            fold = part[tested] == j
            blend = prior.learn(members[:, ~fold], returned[~fold])
            expected[fold] = np.exp(-np.exp(blend.apply(members[:, fold])))
        return prior.learn(members, returned), _audit(labelled, tested, expected)

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


def _rhythm(purchases: PurchaseModel, frame: pd.DataFrame) -> Rhythm:
    """The gaps of these customers: rates as the model has them, regularity as the gaps show it."""
    return rhythm_of(purchases, regularity_of(frame))


def _regularities(frame: pd.DataFrame, clock: SeasonClock | None) -> Regularities | None:
    """How regularity is spread over these customers. By a clock one is everybody's: how regular a customer's gaps are
    by it their summary does not tell.
    """
    return regularities_of(frame) if clock is None else None


def _standard(raw: Floats, mean: Floats, spread: Floats) -> Floats:
    """(n, features), within four spreads of the mean; in memory column after column."""
    X = np.subtract(raw, mean[:, None])
    np.divide(X, spread[:, None], out=X)
    return np.clip(X, -4.0, 4.0, out=X).T


def _silence(raw: Floats) -> Floats:
    """Silence over the own gap and its square, logarithms (n, 2)."""
    ratio = raw[FEATURES.index("silence")]
    return np.column_stack([ratio, ratio**2])


def _enough(returned: Floats) -> bool:
    return len(returned) >= _MIN_ROWS and _MIN_EVENTS <= returned.sum() <= len(returned) - _MIN_EVENTS


def _shift(base: Floats, returned: Floats, weight: Floats) -> float:
    """What must be added to log hazards to give the share that returned."""
    return hazard_shift(base, float(np.clip(np.average(returned, weights=weight), 1e-3, 1 - 1e-3)), weight)


def _latest(labelled: Labelled) -> int:
    """The latest origin at which enough repeat buyers were asked; where there is none, the latest.

    Where all buy at much the same rate, all are asked over much the same days, which at the latest origin may be one
    more than have passed since.
    """
    again, origins = labelled.asked.x > 0, np.unique(labelled.origin)[::-1]
    asked = (day for day in origins if _enough(labelled.returned[again & (labelled.origin == day)]))
    return int(next(asked, origins[0]))


def _audit(labelled: Labelled, tested: Rows, leaving: Floats) -> LeavingAudit | None:
    """Figures of the tested origin; None where all repeat buyers did the same."""
    asked = labelled.asked
    some = (asked.x[tested] > 0) & (asked.since[tested] < asked.days[tested])
    rows = tested[some]
    left = 1.0 - labelled.returned[rows]
    if not len(rows) or left.min() == left.max():
        return None
    gone = labelled.returned == 0
    return LeavingAudit(
        origin=day_of_number(int(labelled.origin[tested].max())).isoformat(),
        customers=len(rows),
        left=int(left.sum()),
        predicted=float(leaving[some].sum()),
        auc=metrics.auc(left, leaving[some]),
        auc_alive=metrics.auc(left, 1.0 - asked.p_alive[rows]),
        auc_silence=metrics.auc(left, asked.since[rows] / asked.gap[rows]),
        calibration_error=metrics.expected_calibration_error(left, leaving[some]),
        came_back=float(labelled.came_back[gone].mean()) if gone.any() else float("nan"),
    )
