"""Scores of a log on Spark: our own scoring of every batch on the executors, written by Spark.

What was booked is brought together by customer and read in the order of days, as on one machine. The BTYD expectations
of a batch are computed on its distinct histories, so no table of distinct histories has to be made, broadcast and
joined; the trees go over the same batch in the same call. Of the customers only counts and the
cutoffs of the tiers come to the driver.
"""

from __future__ import annotations

import uuid
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clvml.errors import DataError
from clvml.estimators.forecast import ForecastCache
from clvml.horizon import as_date
from clvml.maths.customers import SummarySettings
from clvml.orders.engines.spark import SparkEngine
from clvml.orders.summaries import customer_days
from clvml.orders.transactions import Transactions
from clvml.scores.score import scores_table
from clvml.scores.segments import GOOD, LAPSED, STATES, TIERS, rank_of_cutoffs, tier_sql
from clvml.scores.silence import warn_of_silence
from clvml.tables import SCORES

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from clvml.scores.model import ClvModel

__all__ = ["score_spark"]

_SHIFTS = (52, 39, 26, 13, 0)
"""Each count over all customers settles 13 bits of a number: at most 8,192 counts come to the driver at a time."""
_ROWS = 50_000
"""Customers scored at once."""
_KEYS = {"tier_value_key": "tier_value", "contribution_key": "contribution"}
"""What the tiers are cut by, in a form that sorts exactly: the columns of `clvml.scores.score.score_rows`."""


def score_spark(model: ClvModel, log: Transactions, as_of: Any = None, horizon: int | str | None = None) -> DataFrame:
    """Score every customer of a log on Spark; row by row what `ClvModel.score` gives.

    The scores are kept on the executors' disks as long as the frame that is given back lives. clvml, in this version,
    must be installed where the executors run.

    Parameters
    ----------
    model : ClvModel
        Fitted.
    log : Transactions
        Of a Spark frame.
    as_of : str or date, optional
        Of what day; by default that of the training. Tiers are shares of this base on this day.
    horizon : int or str, optional
        How far ahead; by default as trained.

    Returns
    -------
    pyspark.sql.DataFrame
        Scores, one row a customer, in no order; docs/columns.md describes the columns.

    Raises
    ------
    OptionError
        Where the log is not on Spark.
    DataError
        Where nothing was bought by `as_of`.
    """
    model.name  # noqa: B018  raises where the model is not fitted
    day = as_date(as_of or model.as_of_)
    warn_of_silence(log, day)
    engine, booked, settings = log.spark_bookings(day, model.window_)
    # What batches have in common is filled on each executor and kept there from batch to batch.
    broadcast = engine.broadcast((model, ForecastCache(log.lines)))
    batches = _Batches(broadcast, settings, day.isoformat(), horizon)
    scored = booked.mapInArrow(batches, f"{_schema(booked)}, {', '.join(f'{key} BIGINT' for key in _KEYS)}")
    name = f"scored_{uuid.uuid4().hex}"
    engine.keep_frame(name, scored)
    cutoffs = _cutoff_keys(engine, name, model)
    result = engine.relation(f"SELECT {_columns(cutoffs)} FROM {name}")
    weakref.finalize(result, engine.free, name).atexit = False
    return result


class _Batches:
    """The scores of what was booked, customer by customer, with two whole numbers that sort as what the tiers are cut
    by.
    """

    def __init__(self, broadcast: Any, settings: SummarySettings, as_of: str, horizon: int | str | None) -> None:
        self._broadcast, self._settings, self._as_of, self._horizon = broadcast, settings, as_of, horizon

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        model, cache = self._broadcast.value
        for part in customer_days(batches, _ROWS, self._settings):
            frame = part.summary()
            if len(frame):
                frame.attrs = {"as_of": self._as_of}
                rows = model.score_rows(frame, self._horizon, cache=cache)
                # Tier and flag by the cutoffs of the training, until those of this base are known.
                scores = scores_table(rows, model.cutoffs_)
                for key, column in _KEYS.items():
                    scores = scores.append_column(key, [sortable(rows.columns[column])])
                yield from _arrow(scores, part.ids.type)


def sortable(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whole numbers in the order of the doubles."""
    bits = (values + 0.0).view(np.int64)  # -0.0 becomes 0.0
    return np.where(bits < 0, bits ^ np.int64(2**63 - 1), bits)


def _arrow(scores: pa.Table, customer: pa.DataType) -> list[pa.RecordBatch]:
    """The scores in the types of `_schema`."""
    import pyarrow as pa

    def plain(field: pa.Field) -> pa.DataType:
        if field.name == "customer_id":
            return customer
        if pa.types.is_timestamp(field.type):
            return pa.timestamp("us")
        return pa.string() if pa.types.is_dictionary(field.type) else field.type

    schema = pa.schema([(field.name, plain(field)) for field in scores.schema])
    batches: list[pa.RecordBatch] = scores.cast(schema).to_batches()
    return batches


_TYPES = {"int64": "BIGINT", "float64": "DOUBLE", "bool": "BOOLEAN", "str": "STRING", "datetime64": "TIMESTAMP_NTZ"}


def _schema(booked: DataFrame) -> str:
    """The columns of Scores with Spark's types."""
    ids = dict(booked.dtypes)["customer_id"]
    return ", ".join(f"{c.name} {ids if c.name == 'customer_id' else _TYPES[c.dtype]}" for c in SCORES)


def _columns(cutoffs: tuple[int, int]) -> str:
    """The columns of Scores with tier and flag by the keys of these cutoffs."""
    value_key, contribution_key = _KEYS
    tier = tier_sql(value_key, contribution_key, *cutoffs)
    good = f"{tier} = '{TIERS[GOOD]}'"
    assigned = {
        "tier": f"{tier} AS tier",
        "flagged": f"(at_risk AND {good}) AS flagged",
        "win_back": f"(state = '{STATES[LAPSED]}' AND {good}) AS win_back",
    }
    return ", ".join(assigned.get(c.name, c.name) for c in SCORES)


def _cutoff_keys(engine: SparkEngine, name: str, model: ClvModel) -> tuple[int, int]:
    """The keys of `segments.cutoffs` of the whole base, exactly, by counts alone."""
    n = engine.rows(f"SELECT COUNT(*) FROM {name}")[0][0]
    if not n:
        raise DataError("No purchase up to as_of: all lines are refunds, zero, or orders cancelled in full.")
    ranks = rank_of_cutoffs(n, model.good_share, model.bad_share)
    good_value, bad_contribution = (_nth(engine, name, key, rank) for key, rank in zip(_KEYS, ranks, strict=True))
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
