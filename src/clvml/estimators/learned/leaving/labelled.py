"""Rows of earlier days, labelled: who was asked then, and who returned within their own days."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.estimators.learned.leaving.features import Asked, Rules, asked_of, base_log_hazard, features
from clvml.estimators.learned.leaving.purchase_days import PurchaseDays
from clvml.estimators.purchases.model import PurchaseModel
from clvml.estimators.purchases.regular_gaps import regularities_of, regularity_of, rhythm_of
from clvml.estimators.purchases.season_clock import SeasonClock

__all__ = ["Labelled", "Rows", "enough", "labelled_at", "rules_at"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

_MIN_ROWS, _MIN_EVENTS = 300, 50
"""Rows, and outcomes of either kind among them, with which anything is learned."""


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

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The rows of several origins."""
        customer, origin, asked, raw, *some = zip(*parts, strict=True)
        return cls(
            pd.concat(customer, ignore_index=True),
            np.concatenate(origin),
            Asked(*map(np.concatenate, zip(*asked, strict=True))),
            np.concatenate(raw, axis=1),
            *map(np.concatenate, some),
        )


def enough(returned: Floats) -> bool:
    """Whether something can be learned from so many outcomes."""
    return len(returned) >= _MIN_ROWS and _MIN_EVENTS <= returned.sum() <= len(returned) - _MIN_EVENTS


def rules_at(
    purchases: PurchaseModel,
    frame: pd.DataFrame,
    days: PurchaseDays,
    day: int,
    clock: SeasonClock | None,
    limits: tuple[float, float],
) -> Rules:
    """What the customers of a frame are asked by on its day: rates as the model has them, regularity as the gaps show.

    By a clock one regularity is everybody's: how regular a customer's gaps are by it their summary does not tell.
    """
    rhythm = rhythm_of(purchases, regularity_of(frame))
    return Rules(rhythm, regularities_of(frame) if clock is None else None, days.second_purchase(day, clock), limits)


def labelled_at(
    origin: int,
    frame: pd.DataFrame,
    purchases: PurchaseModel,
    days: PurchaseDays,
    today: int,
    clock: SeasonClock | None,
    limits: tuple[float, float],
) -> Labelled:
    """The rows of one origin: whose own days have passed, and who had not been silent for twice as long.

    frame: its summary and features; purchases: fitted to them.
    """
    to_calendar = None if clock is None else partial(clock.calendar_days, origin)
    rules = rules_at(purchases, frame, days, origin, clock, limits)
    asked = asked_of(frame, purchases.p_alive(frame), rules, to_calendar)
    following = days.following(frame["customer_id"], origin)
    end = origin + asked.until
    rows = np.flatnonzero((end <= today) & (asked.since < 2 * asked.days))
    some = Asked(*(values[rows] for values in asked))
    base = base_log_hazard(some, rules.rhythm)
    return Labelled(
        frame["customer_id"].iloc[rows],
        np.full(len(rows), origin),
        some,
        features(some, frame.iloc[rows], base),
        base,
        (following <= end)[rows].astype(np.float64),
        (following < np.inf)[rows].astype(np.float64),
    )
