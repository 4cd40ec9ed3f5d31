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

from clvml.estimators.forecast import ForecastCache
from clvml.horizon import as_date
from clvml.maths.customers import SummarySettings
from clvml.orders.breaks import warn_of_silence
from clvml.orders.summaries import customer_days
from clvml.orders.transactions import Transactions
from clvml.scores.cutoffs import KEYS, SPARK_ROWS, cutoff_keys, sortable
from clvml.scores.score import scores_table
from clvml.scores.segments import GOOD, LAPSED, STATES, TIERS, tier_sql
from clvml.tables import SCORES

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from clvml.scores.model import ClvModel

__all__ = ["score_spark"]


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
    warn_of_silence(log.last_date, day)
    engine, booked, settings = log.spark_bookings(day, model.window_)
    # What batches have in common is filled on each executor and kept there from batch to batch.
    broadcast = engine.broadcast((model, ForecastCache(log.lines)))
    batches = _Batches(broadcast, settings, day.isoformat(), horizon)
    scored = booked.mapInArrow(batches, f"{_schema(booked)}, {', '.join(f'{key} BIGINT' for key in KEYS)}")
    name = f"scored_{uuid.uuid4().hex}"
    engine.keep_frame(name, scored)
    cutoffs = cutoff_keys(engine, name, model.good_share, model.bad_share, day.isoformat())
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
        for part in customer_days(batches, SPARK_ROWS, self._settings):
            frame = part.summary()
            if len(frame):
                frame.attrs = {"as_of": self._as_of}
                rows = model.score_rows(frame, self._horizon, cache=cache)
                # Tier and flag by the cutoffs of the training, until those of this base are known.
                scores = scores_table(rows, model.cutoffs_)
                for key, column in KEYS.items():
                    scores = scores.append_column(key, [sortable(rows.columns[column])])
                yield from _arrow(scores, part.ids.type)


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
    value_key, contribution_key = KEYS
    tier = tier_sql(value_key, contribution_key, *cutoffs)
    good = f"{tier} = '{TIERS[GOOD]}'"
    assigned = {
        "tier": f"{tier} AS tier",
        "flagged": f"(at_risk AND {good}) AS flagged",
        "win_back": f"(state = '{STATES[LAPSED]}' AND {good}) AS win_back",
    }
    return ", ".join(assigned.get(c.name, c.name) for c in SCORES)
