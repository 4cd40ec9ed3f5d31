"""Recalibration: intervals that hold what they promise, by what came of earlier ones (Gneiting et al. 2007).

At an earlier day of the log each customer's outcome y has a place in what was predicted of him: F(y), uniform over
customers if the prediction is right, spread over (F(y - 1), F(y)) where counts are discrete (Czado, Gneiting & Held
2009). The distribution G of these places, by class of frequency, turns nominal levels into actual ones: the quantile at
level a is the model's own at G^-1(a).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clvml.checks import check_level
from clvml.errors import DataError, ModelError
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.purchases.model import PurchaseModel
from clvml.horizon import as_date, day_number, day_of_number, horizon_days
from clvml.maths.predictive import purchases_quantile, spend_at_most, spend_quantile
from clvml.maths.sample import Floats
from clvml.orders.origins import plan_origins
from clvml.orders.transactions import Transactions

__all__ = ["Places", "Recalibration", "Recalibrations", "coverage", "learn_recalibration", "places", "spend_places"]

_CLASSES = np.array([1.0, 2.0, 4.0, 8.0])
"""Where classes of frequency begin: none, 1, 2-3, 4-7, 8 and more repeat purchases."""
_LEVELS = np.linspace(0.0, 1.0, 401)
_SHARED = 50.0
"""Customers that the curve of all counts for in the curve of each class."""
_YEAR = 396
"""Days, 13 months: a log as long as this has seen the season that is to come."""
_UNSEEN = 0.5
"""How much of a narrowing is believed where the log has not: an unusual season errs by more than a narrow interval has
room for."""


class Places(NamedTuple):
    """Where outcomes fall in what was predicted: somewhere between these, one entry a customer."""

    below: Floats  # P(Y < y)
    upto: Floats  # P(Y <= y)


@dataclass(frozen=True)
class Recalibration:
    """Curves of actual over nominal levels, one a class of frequency."""

    curves: Floats
    """(5, 401): share of customers whose outcome lies below the model's quantile at 0, 1/400, ..., 1."""
    narrowing: float = 1.0
    """How much of a narrowing is believed, 0 to 1; a widening always is."""

    @classmethod
    def learn(cls, found: Places, frequency: ArrayLike, narrowing: float = 1.0) -> Self:
        """From the places of outcomes (n,) and the repeat purchases (n,) of the same customers."""
        group = _class(frequency)
        if group.size == 0:
            raise DataError("No customer to learn a recalibration from. Choose an origin at which the log has some.")
        everybody = _shares(found)
        curves = []
        for k in range(_CLASSES.size + 1):
            some = group == k
            own = _shares(Places(found.below[some], found.upto[some])) if some.any() else everybody
            curves.append((some.sum() * own + _SHARED * everybody) / (some.sum() + _SHARED))
        return cls(np.array(curves), narrowing)

    def levels(self, frequency: ArrayLike, level: float) -> tuple[Floats, Floats]:
        """The model's levels at the ends of a central interval that is to hold `level`, one a customer."""
        low = 0.5 * (1.0 - check_level(level))
        group = _class(frequency)
        ends = np.array([np.interp([low, 1.0 - low], curve, _LEVELS) for curve in self.curves])
        inward = (ends - [low, 1.0 - low]) * [1.0, -1.0]
        believed = np.where(inward > 0.0, self.narrowing, 1.0) * inward * [1.0, -1.0] + [low, 1.0 - low]
        return believed[group, 0], believed[group, 1]

    def purchases_interval(
        self, model: PurchaseModel, summary: pd.DataFrame, horizon: int | str, level: float = 0.9
    ) -> tuple[Floats, Floats]:
        """As the model's own, with these levels."""
        rows = model._histories(summary)
        ahead, t = model._future(rows), model._units(horizon, summary.attrs.get("as_of"))
        out = []
        for ends in self.levels(rows.x, level):
            end = np.zeros(rows.x.size)
            for one in np.unique(ends):
                some = np.flatnonzero(ends == one)
                end[some] = purchases_quantile(ahead.take(some), t, float(one))
            out.append(end[rows.place])
        return out[0], out[1]

    def spend_interval(
        self, model: LifetimeValueModel, summary: pd.DataFrame, horizon: int | str, level: float = 0.9
    ) -> tuple[Floats, Floats]:
        """As the model's own, with these levels."""
        purchases, (p, q, _) = model.purchases_, model.spend_.params_
        rows = purchases._histories(summary)
        ahead, t = purchases._future(rows), purchases._units(horizon, summary.attrs.get("as_of"))
        scale, out = model.spend_._spend_scale(summary), []
        for ends in self.levels(rows.x, level):
            end = np.zeros(rows.x.size)
            for one in np.unique(ends):
                some = np.flatnonzero(ends == one)
                end[some] = spend_quantile(ahead.take(some), t, float(one), p, p * rows.x[some] + q)
            out.append(end[rows.place] * scale)
        return out[0], out[1]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"curves": np.round(self.curves, 6).tolist(), "narrowing": self.narrowing}

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Self:
        """What `to_dict` told. Raises ModelError where the curves do not rise from 0 to 1."""
        try:
            curves, narrowing = np.array(told["curves"], dtype=np.float64), float(told["narrowing"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"The saved recalibration is damaged ({error}). Train the model again.") from None
        shape = (_CLASSES.size + 1, _LEVELS.size)
        if curves.shape != shape or not 0.0 <= narrowing <= 1.0 or not _rise(curves):
            raise ModelError(
                f"The saved recalibration is damaged: not {shape} curves from 0 to 1. Train the model again."
            )
        return cls(curves, narrowing)


class Recalibrations(NamedTuple):
    """What was learned at one earlier day of a log."""

    purchases: Recalibration
    spend: Recalibration


def places(model: PurchaseModel, summary: pd.DataFrame, purchases: ArrayLike, horizon: int | str) -> Places:
    """Where the purchases that came lie in what the model predicted of each row of the summary."""
    rows = model._histories(summary)
    ahead, t = model._future(rows).take(rows.place), model._units(horizon, summary.attrs.get("as_of"))
    y = np.asarray(purchases, dtype=np.float64)
    return Places(1.0 - ahead.at_least(y, t), 1.0 - ahead.at_least(y + 1.0, t))


def spend_places(model: LifetimeValueModel, summary: pd.DataFrame, spend: ArrayLike, horizon: int | str) -> Places:
    """The same of the amount that came; nothing, or less, lies anywhere in the chance of silence."""
    rows, (p, q, _) = model.purchases_._histories(summary), model.spend_.params_
    ahead = model.purchases_._future(rows).take(rows.place)
    t = model.purchases_._units(horizon, summary.attrs.get("as_of"))
    u = np.maximum(np.asarray(spend, dtype=np.float64), 0.0) / model.spend_._spend_scale(summary)
    upto = spend_at_most(ahead, t, u, p, p * rows.x[rows.place] + q)
    return Places(np.where(u > 0.0, upto, 0.0), upto)


def coverage(found: Places, low: ArrayLike, high: ArrayLike) -> float:
    """Share of outcomes between two of the model's levels, a discrete outcome counted by the part of it that is."""
    width = np.maximum(found.upto - found.below, 1e-300)

    def share(level: ArrayLike) -> Floats:
        return np.clip((np.asarray(level) - found.below) / width, 0.0, 1.0)

    return float((share(high) - share(low)).mean())


def learn_recalibration(
    log: Transactions, as_of: Any, horizon: int | str, model: LifetimeValueModel | None = None
) -> Recalibrations:
    """From the latest origin before `as_of` whose window has passed by then; see `plan_origins`.

    model: the kind and settings to fit there (LifetimeValueModel()). A log of less than 13 months has not seen the
    season ahead, and is believed half of any narrowing. Raises DataError where the log is too short for an origin.
    """
    day = as_date(as_of)
    first, last = day_number(log.first_date), day_number(day)
    plan = plan_origins(first, last, horizon_days(horizon, day), n_origins=1)
    if not plan.origins:
        raise DataError(
            f"The {last - first} days of history before as_of={day} hold no origin whose outcome is known. "
            "Intervals stay the model's own."
        )
    origin = plan.origins[0]
    summary, holdout = log.split(day_of_number(origin), day_of_number(origin + plan.window))
    kind = model or LifetimeValueModel()
    fitted = type(kind)(**kind.get_params(deep=False)).fit(summary)
    narrowing = 1.0 if last - first >= _YEAR else _UNSEEN
    found = (
        places(fitted.purchases_, summary, holdout["purchases"], plan.window),
        spend_places(fitted, summary, holdout["spend"], plan.window),
    )
    return Recalibrations(*(Recalibration.learn(each, summary["frequency"], narrowing) for each in found))


def _class(frequency: ArrayLike) -> NDArray[np.intp]:
    return np.digitize(np.asarray(frequency, dtype=np.float64), _CLASSES)


def _shares(found: Places) -> Floats:
    """Mean over customers of the share of (below, upto) that lies under each level."""
    width = np.maximum(found.upto - found.below, 1e-300)
    return np.array([np.clip((v - found.below) / width, 0.0, 1.0).mean() for v in _LEVELS])


def _rise(curves: Floats) -> bool:
    ends = (np.abs(curves[:, 0]) < 1e-6).all() and (np.abs(curves[:, -1] - 1.0) < 1e-6).all()
    return bool(ends and (np.diff(curves, axis=1) >= 0.0).all())
