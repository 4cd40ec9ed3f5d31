"""What BTYD models of a log on Spark are fitted to: the executors make histories by the code of one machine, and only
counts of them come to the driver.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from clvml.errors import DataError
from clvml.maths.customers import SummarySettings
from clvml.orders.engines.duckdb import UNITS
from clvml.orders.engines.spark import SparkBookings, SparkEngine
from clvml.orders.summaries import HISTORY, FitTables, customer_days, no_purchase

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["fit_tables_on_spark"]

MAX_SPEND_ROWS = 4_000_000
"""Distinct pairs of frequency and mean spend that come to the driver as they are: 100 MB. There are fewer of them than
customers, but their number grows with the prices.
"""
SPEND_STEPS = 10_000
"""Where there are more, means within 0.01% of each other are taken together at their mean, by frequency: some ten
thousand rows a decade of prices. Gamma-Gamma's log-likelihood is smooth in the logarithm of the mean, so that this
moves it by the square of the step, a part in 1e9.
"""
_ROWS = 50_000
"""Customers whose histories are made at once."""
_SCHEMA = "frequency BIGINT, recency BIGINT, T BIGINT, monetary_value DOUBLE, amount BIGINT, contribution BIGINT"
_SPEND = "SELECT frequency, monetary_value, COUNT(*) AS customers FROM {name} WHERE frequency > 0 GROUP BY 1, 2"
_NEAR = (
    "SELECT frequency, SUM(monetary_value * customers) / SUM(customers) AS monetary_value, SUM(customers) AS customers "
    "FROM {spend} GROUP BY frequency, CASE WHEN monetary_value > 0 THEN FLOOR(LN(monetary_value) * {steps}) END"
)


def fit_tables_on_spark(booked: SparkBookings, as_of: dt.date, max_rows: int = MAX_SPEND_ROWS) -> FitTables:
    """Counts of histories, of pairs of frequency and mean spend, and the money of all customers.

    Raises DataError where nobody has bought by the day.
    """
    engine, frame, settings = booked
    with engine.kept(frame.mapInArrow(_Histories(settings), _SCHEMA)) as name:
        totals = _totals(engine, name)
        if not totals.customers:
            raise DataError(no_purchase(as_of))
        history = ", ".join(HISTORY)
        counts = _sorted(engine, f"SELECT {history}, COUNT(*) AS customers FROM {name} GROUP BY {history}", HISTORY)
        counts.attrs = {"as_of": as_of.isoformat()}
        with engine.kept(engine.relation(_SPEND.format(name=name))) as spend:
            pairs = _spend(engine, spend, max_rows)
    return FitTables(counts, pairs, totals.amount, totals.contribution)


class _Totals(NamedTuple):
    customers: int
    amount: float
    contribution: float


def _totals(engine: SparkEngine, name: str) -> _Totals:
    """Of all customers; money is summed in whole units, so that the order of the parts does not matter."""
    sums = ", ".join(f"CAST(COALESCE(SUM(CAST({c} AS DECIMAL(38, 0))), 0) AS DECIMAL(38, 0))" for c in _MONEY)
    customers, *money = engine.rows(f"SELECT COUNT(*), {sums} FROM {name}")[0]
    amount, contribution = (float(units) / UNITS for units in money)
    return _Totals(int(customers), amount, contribution)


_MONEY = ("amount", "contribution")


def _spend(engine: SparkEngine, spend: str, max_rows: int) -> pd.DataFrame:
    """The distinct pairs, or, where there are too many for a driver, those of near means taken together."""
    rows = engine.rows(f"SELECT COUNT(*) FROM {spend}")[0][0]
    sql = f"SELECT * FROM {spend}" if rows <= max_rows else _NEAR.format(spend=spend, steps=SPEND_STEPS)
    return _sorted(engine, sql, ["frequency", "monetary_value"])


def _sorted(engine: SparkEngine, sql: str, by: list[str]) -> pd.DataFrame:
    """A small result in an order that does not depend on the cluster's."""
    return engine.frame(sql).sort_values(by, ignore_index=True)


class _Histories:
    """What is known of each customer's history, from batches of what was booked, customer by customer."""

    def __init__(self, settings: SummarySettings) -> None:
        self._settings = settings

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for part in customer_days(batches, _ROWS, self._settings):
            summary = part.summary()
            columns = {name: summary[name].to_numpy() for name in (*HISTORY, "monetary_value")}
            units = {name: np.rint(summary[name].to_numpy() * UNITS) for name in _MONEY}
            whole = {name: v.astype(np.int64) for name, v in ({n: columns[n] for n in HISTORY} | units).items()}
            yield from pa.table(columns | whole).to_batches()
