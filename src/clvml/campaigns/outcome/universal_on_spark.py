"""The universal holdout against everybody else in a log on Spark: drawn and added up where the customers are."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clvml.campaigns.control import Holdout
from clvml.campaigns.outcome.measure import MIN_GROUP_CUSTOMERS, Compared, compare_arms, lift_of
from clvml.campaigns.outcome.window import Arms, measures_of
from clvml.maths.comparison import MAX_DRAWN_ROWS, PairMoments, compare_moments
from clvml.orders.transactions import Transactions
from clvml.tables import canonical_ids

if TYPE_CHECKING:
    import pyarrow as pa

    from clvml.orders.engines.spark import SparkEngine

__all__ = ["compare_on_spark"]

MEASURES = ("returned", "revenue", "contribution")
_POWERS = [(i, j) for i in range(4) for j in range(4) if 2 <= i + j <= 3]


def compare_on_spark(
    log: Transactions, window: tuple[dt.date, dt.date, dt.date], holdout: Holdout, level: float
) -> Compared:
    """Of the customers of a log on Spark, in what they bought before and after the second of the days.

    What up to `MAX_DRAWN_ROWS` customers bought comes to this machine, where `compare_arms` draws the groups anew; of
    more, whose intervals need no draws, nothing but sums does.
    """
    begin, first, last = window
    engine = log.spark_engine
    before, after = log.spark_activity(begin, first), log.spark_activity(first, last)
    bought = ("purchases", "amount", "contribution")
    later = after.selectExpr("customer_id", *(f"{name} AS {name}_after" for name in bought))
    both = before.join(later, "customer_id", "left").fillna(0.0, [f"{name}_after" for name in bought])
    kind = dict(both.dtypes)["customer_id"]
    columns = ", ".join(f"{name} DOUBLE" for measure in MEASURES for name in (f"{measure}_before", measure))
    name = f"arms_{uuid.uuid4().hex}"
    engine.keep_frame(name, both.mapInArrow(_Measured(holdout), f"customer_id {kind}, treated BOOLEAN, {columns}"))
    try:
        if engine.rows(f"SELECT COUNT(*) FROM {name}")[0][0] <= MAX_DRAWN_ROWS:
            return compare_arms(_collected(engine, name), level)
        return _compare_sums(engine, name, level)
    finally:
        engine.free(name)


class _Measured:
    """Group and measures of each customer, from what they bought before and after."""

    def __init__(self, holdout: Holdout) -> None:
        self._holdout = holdout

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            rows = batch.to_pandas()
            found: dict[str, object] = {
                "customer_id": batch.column("customer_id"),
                "treated": ~self._holdout.has(canonical_ids(rows["customer_id"])),
            }
            before, after = (
                measures_of(
                    pd.DataFrame(
                        {
                            "purchases": rows[f"purchases{end}"],
                            "revenue": rows[f"amount{end}"],
                            "contribution": rows[f"contribution{end}"],
                        }
                    )
                )
                for end in ("", "_after")
            )
            for measure in MEASURES:
                found |= {f"{measure}_before": before[measure], measure: after[measure]}
            yield pa.RecordBatch.from_pydict(found)


def _collected(engine: SparkEngine, name: str) -> Arms:
    """The customers in the order of one machine."""
    rows = engine.frame(f"SELECT * FROM {name} ORDER BY customer_id")
    after, before = ({m: rows[f"{m}{end}"].to_numpy(np.float64) for m in MEASURES} for end in ("", "_before"))
    return Arms(rows["treated"].to_numpy(np.bool_), np.zeros(len(rows)), after, before)


def _compare_sums(engine: SparkEngine, name: str, level: float) -> Compared:
    means = ", ".join(f"AVG({m}_before), AVG({m})" for m in MEASURES)
    found = {row[0]: row[1:] for row in engine.rows(f"SELECT treated, COUNT(*), {means} FROM {name} GROUP BY treated")}
    n, n_held = (int(found[group][0]) if group in found else 0 for group in (True, False))
    if min(n, n_held) < MIN_GROUP_CUSTOMERS:
        return Compared(n, n_held, ())
    groups = {group: _moments(engine, name, group, found[group]) for group in (True, False)}
    lifts = []
    for measure in MEASURES:
        treated, control = groups[True][measure], groups[False][measure]
        comparison, removed = compare_moments(treated, control, level=level)
        shown = treated.y, control.y
        lifts.append(lift_of("all", measure, (n, n_held), shown, comparison, level, removed=removed, elapsed=1.0))
    return Compared(n, n_held, tuple(lifts))


def _moments(engine: SparkEngine, name: str, treated: bool, known: Sequence[float]) -> dict[str, PairMoments]:
    """Of one group, whose number and means of each measure before and after are known."""
    n, means = int(known[0]), dict(zip(MEASURES, zip(known[1::2], known[2::2], strict=True), strict=True))
    sums = ", ".join(
        f"SUM({' * '.join([f'({m}_before - {x!r}D)'] * i + [f'({m} - {y!r}D)'] * j)})"
        for m, (x, y) in means.items()
        for i, j in _POWERS
    )
    values = iter(engine.rows(f"SELECT {sums} FROM {name} WHERE treated = {treated}")[0])
    found = {}
    for measure, (x, y) in means.items():
        central = np.zeros((4, 4))
        for power in _POWERS:
            central[power] = next(values)
        found[measure] = PairMoments(n, x, y, central)
    return found
