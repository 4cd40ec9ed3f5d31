"""What is to come of the customers of one frame: everything that several predictions of them share, worked out once."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.estimators.histories import Histories
from clvml.maths.predictive import Future, purchases_quantile, spend_quantile
from clvml.maths.sample import Floats
from clvml.maths.tabled import LifeTables

if TYPE_CHECKING:
    from clvml.estimators.lifetime_value import LifetimeValueModel

__all__ = ["TABLED_FROM", "Outlook", "Tables", "tables_for"]

TABLED_FROM = 300_000
"""Lines of a log from which on intervals are read off tables, which moves them by less than 0.5 % of their width."""
_SMOOTH = 10.0
"""Gamma-Gamma's p up to which the tables bear it: above, the prices of a customer hardly differ, and the distribution
of his total is a stair of one step a purchase, which cannot be read off between a few points."""

Tables = dict[float, LifeTables]
"""By horizon, in the model's unit: shared between the batches of a base."""


def tables_for(lines: int) -> Tables | None:
    """What the base of a log of so many lines is worked out with: an empty set of tables, or None where it is small."""
    return {} if lines >= TABLED_FROM else None


class _Living(NamedTuple):
    """The future of those alive, once for all who are alike, and where each history finds its own."""

    future: Future
    place: NDArray[np.intp]


class Outlook:
    """The future of the customers of a summary by a fitted model; one entry a row.

    tables: an empty dict, to have the intervals read off tables which it then keeps; None: each interval is solved for.
    """

    def __init__(self, value: LifetimeValueModel, summary: pd.DataFrame, tables: Tables | None = None) -> None:
        self._value, self.summary, self._purchases = value, summary, value.purchases_
        self._as_of = summary.attrs.get("as_of")
        self._rows: Histories = self._purchases.histories(summary)
        self._tables = tables if self._purchases.forgets and value.spend_.params_.p <= _SMOOTH else None

    @functools.cached_property
    def _future(self) -> Future:
        return self._purchases.future(self._rows)

    @functools.cached_property
    def _living(self) -> _Living | None:
        """By frequency and age, where these are all that matters of the living."""
        if not self._purchases.forgets:
            return None
        key = self._rows.x * (self._rows.T.max() + 1.0) + self._rows.T
        _, first, place = np.unique(key, return_index=True, return_inverse=True)
        return _Living(self._purchases.living(self._rows.x[first], self._rows.T[first]), place)

    @functools.cached_property
    def p_alive(self) -> Floats:
        """Probability of not having left by as_of."""
        return self._future.p_alive[self._rows.place]

    @functools.cached_property
    def ticket(self) -> Floats:
        """Expected mean net amount per purchase."""
        return self._value.spend_.expected_spend(self.summary)

    def time(self, horizon: int | str) -> float:
        """A horizon in the unit of the model of purchases."""
        return self._purchases.time(horizon, self._as_of)

    def p_return(self, horizon: int | str) -> Floats:
        """Probability of at least one purchase within the horizon."""
        t = self.time(horizon)
        if self._living is None:
            return self._future.p_return(t)[self._rows.place]
        chance = self._future.p_alive * self._living.future.p_return(t)[self._living.place]
        return chance[self._rows.place]

    def expected_purchases(self, horizon: int | str) -> Floats:
        """Expected number of purchases within the horizon."""
        return self._future.expected(self.time(horizon))[self._rows.place]

    def discounted_purchases(self, horizon: int | str, daily_rate: float) -> Floats:
        """The same, each purchase discounted by its day."""
        delta = daily_rate * self._purchases.unit_days
        return self._future.discounted(self.time(horizon), delta)[self._rows.place]

    def intervals(self, horizon: int | str, level: float) -> tuple[Floats, Floats, Floats, Floats]:
        """Central predictive intervals: purchases low and high, spend low and high, not discounted."""
        below = 0.5 * (1.0 - level)
        found = self._quantiles(self.time(horizon), (below, 1.0 - below))
        scale, place = self._value.spend_.scale(self.summary), self._rows.place
        (few, little), (many, much) = found
        return few[place], many[place], little[place] * scale, much[place] * scale

    def _quantiles(self, t: float, levels: tuple[float, ...]) -> list[tuple[Floats, Floats]]:
        """(purchases, spend over (v + x m)) at each level, by history: given it, the latter has one distribution."""
        p, q, _ = self._value.spend_.params_
        x, T = self._rows.x, self._rows.T / self._purchases.unit_days
        if self._tables is None:
            c = p * x + q
            return [(purchases_quantile(self._future, t, n), spend_quantile(self._future, t, n, p, c)) for n in levels]
        if t not in self._tables:
            self._tables[t] = LifeTables(self._at, self._purchases.ageing, t, p, q)
        return self._tables[t].quantiles(x, T, self._future.p_alive, levels)

    def _at(self, x: Floats, T: Floats) -> Future:
        return self._purchases.living(x, T * self._purchases.unit_days)

    def median_wait(self) -> Floats:
        """Median days until the next purchase of one who is alive; inf where none is to be expected."""
        return self._purchases.unit_days * self._future.median_wait()[self._rows.place]
