"""The days on which all customers bought: when next, when again, and in what season."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.estimators.histories import NEW
from clvml.estimators.learned.leaving.second_purchase import SecondPurchase
from clvml.estimators.purchases.model import PurchaseModel
from clvml.estimators.purchases.season_clock import MIN_WEEKS, SeasonClock

__all__ = ["PurchaseDays"]

Floats = NDArray[np.float64]

_SPAN = 10**7
"""More than any number of a day."""


class PurchaseDays(NamedTuple):
    """The days on which customers bought, in the order of customer and day."""

    ids: pd.Index
    key: NDArray[np.int64]
    """Place of the customer times _SPAN, plus the day number."""

    @classmethod
    def of(cls, bought: pd.DataFrame, customers: pd.Series) -> Self:
        """customer_id and day of every purchase; of these customers alone."""
        ids = pd.Index(customers)
        code, day = ids.get_indexer(pd.Index(bought["customer_id"])), bought["day"].to_numpy(np.int64)
        known = code >= 0
        return cls(ids, np.sort(code[known].astype(np.int64) * _SPAN + day[known]))

    def following(self, customers: pd.Series, origin: int) -> Floats:
        """The day of each customer's first purchase after the origin, inf where there is none."""
        code = self.ids.get_indexer(pd.Index(customers))
        found = self.key[np.minimum(np.searchsorted(self.key, code * _SPAN + origin, side="right"), len(self.key) - 1)]
        return np.where((found // _SPAN == code) & (found % _SPAN > origin), found % _SPAN, np.inf)

    def second_purchase(self, as_of: int, clock: SeasonClock | None) -> SecondPurchase:
        """The time to the second purchase as known on a day, by the clock where there is one."""
        code, day = np.divmod(self.key, _SPAN)
        begin = np.flatnonzero(np.diff(code, prepend=-1))
        after = np.minimum(begin + 1, len(code) - 1)
        again = (code[after] == code[begin]) & (after > begin) & (day[after] <= as_of)
        day, now = (day, as_of) if clock is None else (np.rint(clock.time(day)), float(np.rint(clock.time(as_of))))
        return SecondPurchase.of(day[begin].astype(np.float64), np.where(again, day[after], np.inf), now)

    def season_clock(self, purchases: PurchaseModel, today: int) -> SeasonClock | None:
        """The clock of the season that these days show, against what a model expects without one."""
        code, day = np.divmod(self.key, _SPAN)
        if today - day.min() < 7 * MIN_WEEKS:
            return None
        first = np.diff(code, prepend=-1) != 0
        week = (today - day.min()) // 7 - (today - day) // 7  # counted back from today; the first is not a whole one
        weeks = int(week.max()) + 1
        new, again = (np.bincount(week[some], minlength=weeks).astype(np.float64) for some in (first, ~first))
        future = purchases._future(NEW)
        by_age = np.array([float(future.expected(7.0 * age / purchases.unit_days)[0]) for age in range(1, weeks + 1)])
        expected = np.convolve(new, np.diff(by_age, prepend=0.0))[:weeks]
        return SeasonClock.learn(again[1:], expected[1:], today)

    def by_clock(self, clock: SeasonClock, frame: pd.DataFrame, origin: int) -> pd.DataFrame:
        """The summary as of a day by the clock, the logarithms of the gaps included."""
        code, day = np.divmod(self.key[self.key % _SPAN <= origin], _SPAN)
        gaps = np.diff(np.rint(clock.time(day)), prepend=0.0)
        logs = np.where(np.diff(code, prepend=-1) != 0, 0.0, np.log(np.maximum(gaps, 1.0)))
        sums = np.bincount(code, weights=logs, minlength=len(self.ids))
        return clock.summary(frame, origin).assign(log_gaps=sums[self.ids.get_indexer(pd.Index(frame["customer_id"]))])
