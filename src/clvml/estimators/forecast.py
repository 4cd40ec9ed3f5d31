"""What is to come of the customers of one frame: everything that several predictions of them share, worked out once."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.estimators.histories import Histories, counts_of
from clvml.estimators.spend import GammaGammaModel
from clvml.maths.predictive import Future, purchases_quantile, spend_quantile
from clvml.maths.quantile_tables import QuantileTables, exceeded
from clvml.maths.sample import Floats
from clvml.maths.unique_pairs import UniquePairs
from clvml.tables import check_summary

__all__ = ["MIN_CORRECTED_TABLE_LINES", "MIN_TABLE_LINES", "CustomerForecast", "ForecastCache", "customer_forecast"]

MIN_TABLE_LINES, MIN_CORRECTED_TABLE_LINES = 300_000, 10_000
"""Lines of a log from which on intervals are read off tables, which moves them by less than 0.5% of their width:
where the chance of return is the model's own, and each distinct history is solved for; and where it is corrected, and
each customer is. The tables take more than a second however few customers there are, as long as some 2,500 of them."""
_TABLE_P = 0.05, 10.0
"""Gamma-Gamma's p between which the tables bear it: above, the prices of a customer hardly differ, and the distribution
of their total is a stair of one step a purchase, which cannot be read off between a few points; below, prices differ by
so many powers of ten that it has no slope there."""

_TINY = 1e-300

Intervals = tuple[Floats, Floats, Floats, Floats]


class FittedPurchases(Protocol):
    """What a forecast asks of a fitted model of purchases; `clvml.estimators.purchases.model.PurchaseModel` has it."""

    @property
    def _memoryless(self) -> bool:
        """Whether the future of a customer who is alive depends on frequency and age alone, not on recency."""

    @property
    def unit_days(self) -> float:
        """Days in the model's unit of time."""

    @property
    def _smallest_scale(self) -> float:
        """The smallest time that the model adds to an age, in its unit."""

    def _histories(self, summary: pd.DataFrame) -> Histories:
        """The distinct histories of a summary."""

    def _future(self, rows: Histories) -> Future:
        """What is to come after distinct histories."""

    def _future_if_alive(self, x: Floats, T: Floats) -> Future:
        """The future of customers who are alive; x purchases, age T in days."""

    def _p_alive_of(self, x: Floats, t_x: Floats, T: Floats, cached: UniquePairs) -> Floats:
        """p_alive by frequency, recency and age in days."""

    def _units(self, horizon: int | str, as_of: Any = None) -> float:
        """A horizon in the model's unit of time."""


class ForecastCache:
    """What the batches of a base have in common, all predicted by one model: it grows with them.

    lines: of the whole log, so that intervals are found in one way whatever the batches.
    """

    def __init__(self, lines: int) -> None:
        self._lines = lines
        self.if_alive = UniquePairs()
        """What is to come of those alive, by frequency and age in days."""
        self.cached = UniquePairs()
        """What else depends on a frequency and an age in days."""
        self.tables: dict[float, QuantileTables] = {}
        """What intervals are read off, by the horizon in the model's unit."""

    def __reduce__(self) -> tuple[Any, ...]:
        return ForecastCache, (self._lines,)

    def use_tables(self, *, corrected: bool) -> bool:
        """Whether intervals are read off tables; otherwise each is solved for. corrected: the chance of return is."""
        return self._lines >= (MIN_CORRECTED_TABLE_LINES if corrected else MIN_TABLE_LINES)


def customer_forecast(
    purchases: FittedPurchases,
    summary: pd.DataFrame,
    spend: GammaGammaModel | None = None,
    cache: ForecastCache | None = None,
) -> CustomerForecast:
    """The future of the customers of a summary by fitted models. Raises DataError for a summary that is none.

    cache: by default that of a log of one line a customer.
    """
    if purchases._memoryless:
        return _MemorylessForecast(purchases, summary, spend, cache or ForecastCache(len(summary)))
    return _HistoryForecast(purchases, summary, spend)


class CustomerForecast(ABC):
    """The future of the customers of a summary by fitted models; one entry a row."""

    def __init__(self, purchases: FittedPurchases, summary: pd.DataFrame, spend: GammaGammaModel | None) -> None:
        self._purchases, self.summary, self._spend = purchases, summary, spend
        self._as_of = summary.attrs.get("as_of")

    @functools.cached_property
    def _rows(self) -> Histories:
        return self._purchases._histories(self.summary)

    @functools.cached_property
    def _future(self) -> Future:
        return self._purchases._future(self._rows)

    @property
    def spend(self) -> GammaGammaModel:
        """The model of spend per purchase."""
        assert self._spend is not None
        return self._spend

    @functools.cached_property
    def spend_per_purchase(self) -> Floats:
        """Expected mean net amount per purchase."""
        return self.spend.expected_spend(self.summary)

    @functools.cached_property
    def spend_given_all(self) -> Floats:
        """The same given the first purchase, too, of frames that know `amount`."""
        return self.spend._expected_spend_given_all(self.summary)

    def _units(self, horizon: int | str | None) -> float:
        """A horizon in the unit of the model of purchases; None: for ever."""
        return np.inf if horizon is None else self._purchases._units(horizon, self._as_of)

    @property
    @abstractmethod
    def p_alive(self) -> Floats:
        """Probability of not having left by as_of."""

    @abstractmethod
    def p_return(self, horizon: int | str) -> Floats:
        """Probability of at least one purchase within the horizon."""

    @abstractmethod
    def expected_purchases(self, horizon: int | str) -> Floats:
        """Expected number of purchases within the horizon."""

    @abstractmethod
    def discounted_purchases(self, horizon: int | str | None, daily_rate: float) -> Floats:
        """The same, each purchase discounted by its day."""

    @abstractmethod
    def purchases_if_returning(self, horizon: int | str) -> Floats:
        """Expected number of purchases within the horizon of those who make one: also where hardly anybody does."""

    @abstractmethod
    def median_wait(self) -> Floats:
        """Median days until the next purchase of one who is alive; inf where none is to be expected."""

    def intervals(self, horizon: int | str, level: float, p_return: Floats | None = None) -> Intervals:
        """Central predictive intervals: purchases low and high, spend low and high, not discounted.

        p_return: the chance of return to take instead of the model's own; what those who return do stays the model's.
        """
        future, x, own, place = self._conditional(horizon, p_return)
        below, t, found = 0.5 * (1.0 - level), self._units(horizon), list[tuple[Floats, Floats]]()
        p, q, _ = self.spend.params_
        for above in (1.0 - below, below):
            at = 1.0 - np.minimum(above * own, 1.0)
            found.append((purchases_quantile(future, t, at), spend_quantile(future, t, at, p, p * x + q)))
        (few, little), (many, much) = found
        scale = self.spend._spend_scale(self.summary)
        return few[place], many[place], little[place] * scale, much[place] * scale

    def _conditional(
        self, horizon: int | str, p_return: Floats | None
    ) -> tuple[Future, Floats, Floats, NDArray[np.intp]]:
        """What intervals are solved for: futures, their frequencies, by what a chance among all is multiplied to be one
        among them, and the place of each customer among them.
        """
        rows = self._rows
        if p_return is None:  # given the history, spend over (v + x m) has one distribution
            return self._future, rows.x, np.ones(rows.x.size), rows.place
        own = self.p_return(horizon) / np.maximum(p_return, _TINY)
        return self._future.take(rows.place), rows.x[rows.place], own, np.arange(own.size)


class _HistoryForecast(CustomerForecast):
    """Each distinct history looked at once."""

    @functools.cached_property
    def p_alive(self) -> Floats:
        return self._future.p_alive[self._rows.place]

    def p_return(self, horizon: int | str) -> Floats:
        return self._future.p_return(self._units(horizon))[self._rows.place]

    def expected_purchases(self, horizon: int | str) -> Floats:
        return self._future.expected(self._units(horizon))[self._rows.place]

    def purchases_if_returning(self, horizon: int | str) -> Floats:
        t = self._units(horizon)
        expected, some = self._future.expected(t), self._future.p_return(t)
        return np.divide(expected, some, out=np.ones_like(some), where=some > _TINY)[self._rows.place]

    def discounted_purchases(self, horizon: int | str | None, daily_rate: float) -> Floats:
        delta = daily_rate * self._purchases.unit_days
        return self._future.discounted(self._units(horizon), delta)[self._rows.place]

    def median_wait(self) -> Floats:
        return self._purchases.unit_days * self._future.median_wait()[self._rows.place]


class _MemorylessForecast(CustomerForecast):
    """By a model whose future depends on the last purchase through p_alive alone: all else is that of those alive, by
    frequency and age.
    """

    def __init__(
        self, purchases: FittedPurchases, summary: pd.DataFrame, spend: GammaGammaModel | None, cache: ForecastCache
    ) -> None:
        super().__init__(purchases, check_summary(summary, ("frequency", "recency", "T")), spend)
        counts_of(len(summary), None)  # refuses a summary of nobody
        self._cache = cache
        self._x, self._t_x, self._T = (summary[c].to_numpy(np.float64) for c in ("frequency", "recency", "T"))

    @functools.cached_property
    def _place(self) -> NDArray[np.intp]:
        return self._cache.if_alive.find(self._x, self._T)

    def _each(self, key: Any, quantity: Callable[[Future], Floats]) -> Floats:
        """A quantity of those alive, for each customer's frequency and age."""
        at = self._place  # before the column, which then knows all of them
        return self._cache.if_alive.column(key, lambda x, T: quantity(self._purchases._future_if_alive(x, T)))[at]

    @functools.cached_property
    def p_alive(self) -> Floats:
        return self._purchases._p_alive_of(self._x, self._t_x, self._T, self._cache.cached)

    def p_return(self, horizon: int | str) -> Floats:
        t = self._units(horizon)
        return self.p_alive * self._each(("p_return", t), lambda future: future.p_return(t))

    def expected_purchases(self, horizon: int | str) -> Floats:
        t = self._units(horizon)
        return self.p_alive * self._each(("expected", t), lambda future: future.expected(t))

    def purchases_if_returning(self, horizon: int | str) -> Floats:
        t = self._units(horizon)
        expected, some = (
            self._each(("expected", t), lambda future: future.expected(t)),
            self._each(("p_return", t), lambda future: future.p_return(t)),
        )
        return np.divide(expected, some, out=np.ones_like(some), where=some > _TINY)

    def discounted_purchases(self, horizon: int | str | None, daily_rate: float) -> Floats:
        t, delta = self._units(horizon), daily_rate * self._purchases.unit_days
        return self.p_alive * self._each(("discounted", t, delta), lambda future: future.discounted(t, delta))

    def median_wait(self) -> Floats:
        return self._purchases.unit_days * self._each("wait", lambda future: future.median_wait())

    def intervals(self, horizon: int | str, level: float, p_return: Floats | None = None) -> Intervals:
        p, q, _ = self.spend.params_
        if not _TABLE_P[0] <= p <= _TABLE_P[1] or not self._cache.use_tables(corrected=p_return is not None):
            return super().intervals(horizon, level, p_return)
        place, t = self._place, self._units(horizon)
        tables = self._cache.tables.setdefault(
            t, QuantileTables(self._purchases._future_if_alive, self._scale, t, p, q)
        )
        some = self._each(("p_return", t), lambda future: future.p_return(t))
        table = self._cache.if_alive.column(("tables", t), tables.of)
        with np.errstate(divide="ignore"):  # chance among the living, of what has this chance among all
            own = 1.0 / self.p_alive if p_return is None else some / np.maximum(p_return, _TINY)
        below, found = 0.5 * (1.0 - level), list[tuple[Floats, Floats]]()
        for above in (1.0 - below, below):
            found.append(exceeded(table, place, some, above * own))
        (few, little), (many, much) = found
        scale = self.spend._spend_scale(self.summary)
        return few, many, little * scale, much * scale

    def _conditional(
        self, horizon: int | str, p_return: Floats | None
    ) -> tuple[Future, Floats, Floats, NDArray[np.intp]]:
        """With a given chance of return the future of those alive: for one who has almost surely left, a level among
        all would round to 1, and its quantile would be without bound.
        """
        if p_return is None:
            return super()._conditional(horizon, p_return)
        t = self._units(horizon)
        own = self._each(("p_return", t), lambda future: future.p_return(t)) / np.maximum(p_return, _TINY)
        return self._purchases._future_if_alive(self._x, self._T), self._x, own, np.arange(own.size)

    @property
    def _scale(self) -> float:
        """The smallest number of days that the model adds to an age."""
        return self._purchases._smallest_scale * self._purchases.unit_days
