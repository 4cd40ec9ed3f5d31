"""A log looked at on several earlier days: sorted once, where what was known then is a part of what is known now."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.errors import DataError
from clvml.horizon import day_of_number
from clvml.maths.customers import Days
from clvml.orders.summaries import CustomerDays, concat_columns, net_spend, no_purchase
from clvml.orders.transactions import Transactions

__all__ = ["Past"]

Floats = NDArray[np.float64]


class Past:
    """What a log knew on each day up to one; the same as the log's own summaries and activity, but sooner."""

    def __init__(self, log: Transactions, until: dt.date) -> None:
        self._log, self._until = log, until
        self._parts: list[_Part] | None = None
        if log.is_plain:
            self._parts = [_Part(people, people.days()) for people in log.customer_days(until)]

    def summarize(self, origin: int, window: int) -> pd.DataFrame:
        """Summary and features as of a day. Raises DataError where nobody had bought by then."""
        if self._parts is None:
            return self._log.summarize(day_of_number(origin), window)
        return _table([part.known(origin, window) for part in self._begun(origin)], origin)

    def labelled(self, origin: int, window: int) -> pd.DataFrame:
        """The same, with purchases and spend within the window after that day, which has passed."""
        if self._parts is None:
            return _labelled(self._log, origin, window)
        parts = self._begun(origin)
        return _table([part.known(origin, window) | part.within(origin, window) for part in parts], origin)

    def purchases(self) -> pd.DataFrame:
        """customer_id and day number of every purchase."""
        if self._parts is None:
            found = [people.purchase_days() for people in self._log.customer_days(self._until)]
        else:
            found = [people.purchase_days(days) for people, days in self._parts]
        return pd.concat(found, ignore_index=True)

    def _begun(self, origin: int) -> list[_Part]:
        return [part for part in self._parts or [] if part.days.day.min() <= origin]


class _Part(NamedTuple):
    """Some customers, and what was booked of them."""

    people: CustomerDays
    days: Days

    def known(self, origin: int, window: int) -> dict[str, Any]:
        """The columns of their summary as of a day."""
        import pyarrow as pa

        some, days = self.days.day <= origin, self.days
        net = days.net[some]
        contribution = net if days.contribution is days.net else days.contribution[some]
        then = Days(days.first[some], days.day[some], days.purchase[some], net, contribution, None)
        ids = self.people.ids.filter(pa.array(some[days.first]))
        settings = self.people.settings._replace(as_of=origin, today=origin, window=window)
        return CustomerDays(ids, then.first, {}, settings).summary_columns(then)

    def within(self, origin: int, window: int) -> dict[str, Any]:
        """What those who had bought by then bought in the days after it."""
        days, begin = self.days, np.flatnonzero(self.days.first)
        customers = np.logical_or.reduceat(days.purchase & (days.day <= origin), begin)
        bought = days.purchase & (days.day > origin) & (days.day <= origin + window)
        purchases, spend = (np.add.reduceat(v, begin)[customers] for v in (bought * 1, bought * days.net))
        return {
            "origin": np.full(len(purchases), origin),
            "purchases": purchases.astype(np.float64),
            "spend": spend / self.people.settings.units,
        }


def _table(parts: list[dict[str, Any]], origin: int) -> pd.DataFrame:
    table, day = concat_columns(parts) if parts else pd.DataFrame(), day_of_number(origin)
    if table.empty:
        raise DataError(no_purchase(day))
    table.attrs = {"as_of": day.isoformat()}
    return table


def _labelled(log: Transactions, origin: int, window: int) -> pd.DataFrame:
    """By the engine: what was cancelled by then is known there."""
    start = day_of_number(origin)
    rows = log.summarize(start, window)
    labels = log.activity(start, day_of_number(origin + window)).set_index("customer_id").loc[rows["customer_id"]]
    spend = net_spend(labels["amount"].to_numpy(np.float64))
    return rows.assign(origin=origin, purchases=labels["purchases"].to_numpy(np.float64), spend=spend)
