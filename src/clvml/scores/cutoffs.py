"""Where the tiers of a whole base begin, though a model learns from a sample of it: by two numbers of each customer, on
one machine, or on Spark, where counts alone come to the driver.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clvml.errors import DataError
from clvml.estimators.forecast import ForecastCache
from clvml.horizon import as_date
from clvml.maths.customers import SummarySettings
from clvml.orders.summaries import CustomerDays, customer_days, no_purchase
from clvml.orders.transactions import Transactions
from clvml.resources import Resources, in_order
from clvml.scores.score import TierRule, TierValues
from clvml.scores.segments import Cutoffs, cutoffs, rank_of_cutoffs

if TYPE_CHECKING:
    import pyarrow as pa

    from clvml.orders.engines.spark import SparkEngine

__all__ = ["KEYS", "cutoff_keys", "cutoffs_of_base", "part_rows", "sortable"]

KEYS = {"tier_value_key": "tier_value", "contribution_key": "contribution"}
"""What the tiers are cut by, in a form that sorts exactly: columns of `clvml.scores.score.TierValues`."""
ROW_BYTES = 2_500
"""What a customer takes while being scored: their days, the summary, the design matrix, scores."""
MIN_PART_ROWS, MAX_PART_ROWS = 5_000, 122_880
"""The most are those of a row group of DuckDB, beyond whose end no part goes."""
SPARK_ROWS = 50_000
"""Customers whose values are worked out at once by an executor."""
_SHIFTS = (52, 39, 26, 13, 0)
"""Each count over all customers settles 13 bits of a number: at most 8,192 counts come to the driver at a time."""
_SIGN = np.int64(2**63 - 1)


def part_rows(resources: Resources) -> int:
    """How many customers are scored at once, so that as many parts as there are threads stay within the memory."""
    return max(MIN_PART_ROWS, min(MAX_PART_ROWS, resources.arrays // (ROW_BYTES * (resources.n_workers + 1))))


def cutoffs_of_base(log: Transactions, rule: TierRule, window: int) -> Cutoffs:
    """Of all customers of the log on the rule's day. window: days of the features.

    Raises DataError where nobody has bought by then.
    """
    cache = ForecastCache(log.lines)
    if log.on_spark:
        return _on_spark(log, rule, window, cache)

    def work(part: CustomerDays) -> TierValues | None:
        frame = part.summary()
        return rule.values(frame, cache) if len(frame) else None

    parts = in_order(work, log.customer_days(rule.as_of, window, part_rows(log.resources)), log.resources.n_workers - 1)
    columns = zip(*((values.tier_value, values.contribution) for values in parts if values is not None), strict=True)
    value, contribution = (np.concatenate(column) for column in columns)
    return cutoffs(value, contribution, rule.good_share, rule.bad_share)


def _on_spark(log: Transactions, rule: TierRule, window: int, cache: ForecastCache) -> Cutoffs:
    engine, booked, settings = log.spark_bookings(rule.as_of, window)
    keys = booked.mapInArrow(
        _Keys(engine.broadcast((rule, cache)), settings), ", ".join(f"{key} BIGINT" for key in KEYS)
    )
    with engine.kept(keys) as name:
        found = cutoff_keys(engine, name, rule.good_share, rule.bad_share, rule.as_of)
    return Cutoffs(*_from_sortable(np.array(found)).tolist())


class _Keys:
    """The keys of what was booked, customer by customer."""

    def __init__(self, broadcast: Any, settings: SummarySettings) -> None:
        self._broadcast, self._settings = broadcast, settings

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        rule, cache = self._broadcast.value
        for part in customer_days(batches, SPARK_ROWS, self._settings):
            frame = part.summary()
            if len(frame):
                values = rule.values(frame, cache)
                yield pa.record_batch({key: sortable(getattr(values, column)) for key, column in KEYS.items()})


def sortable(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whole numbers in the order of the doubles."""
    bits = (values + 0.0).view(np.int64)  # -0.0 becomes 0.0
    return np.where(bits < 0, bits ^ _SIGN, bits)


def _from_sortable(keys: NDArray[np.int64]) -> NDArray[np.float64]:
    """The inverse of `sortable`."""
    return np.where(keys < 0, keys ^ _SIGN, keys).view(np.float64)


def cutoff_keys(engine: SparkEngine, name: str, good_share: float, bad_share: float, as_of: str) -> tuple[int, int]:
    """The keys of the cutoffs of a whole base on Spark, exactly, by counts alone.

    Raises DataError where it is empty.
    """
    n = engine.rows(f"SELECT COUNT(*) FROM {name}")[0][0]
    if not n:
        raise DataError(no_purchase(as_date(as_of)))
    ranks = rank_of_cutoffs(n, good_share, bad_share)
    good_value, bad_contribution = (_nth(engine, name, key, rank) for key, rank in zip(KEYS, ranks, strict=True))
    return good_value, bad_contribution


def _nth(engine: SparkEngine, name: str, key: str, rank: int) -> int:
    """The value of a BIGINT column that `rank` others precede: some bits in each pass over the kept column."""
    among, prefix = "TRUE", 0
    for shift in _SHIFTS:
        bucket = f"SHIFTRIGHT({key}, {shift})"
        counts = engine.rows(f"SELECT {bucket} AS b, COUNT(*) FROM {name} WHERE {among} GROUP BY {bucket} ORDER BY b")
        for value, count in counts:
            prefix = value
            if rank < count:
                break
            rank -= count
        among = f"{bucket} = {prefix}"
    return prefix
