"""A log on Spark: the same statements in a session of our own, so that the caller's settings and views stay as they
are. Only numbers and counts come to the driver.
"""

from __future__ import annotations

import contextlib
import functools
import textwrap
import uuid
import weakref
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from clvml.errors import DataError, OptionError
from clvml.maths.customers import SummarySettings
from clvml.orders.engines.duckdb import ID_KEY, SCALE, Dialect, Engine, id_key
from clvml.tables import canonical_ids

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

__all__ = [
    "SPARK",
    "SparkBookings",
    "SparkEngine",
    "as_data_error",
    "gathered",
    "one_line",
    "rows_of_customers",
    "spark_errors",
]

_MONEY = f"DECIMAL(18, {SCALE})"

SPARK = Dialect(
    day_number="DATEDIFF({x}, DATE '1970-01-05')",
    trimmed="BTRIM({x}, chr(32) || chr(9) || chr(10) || chr(13) || chr(160))",
    matches="({x} RLIKE '{p}')",
    row_hash="XXHASH64({x})",
    hashed="{x}, ISNULL({x})",  # xxhash64 passes over NULL, so that (NULL, 1) and (1, NULL) would be equal
    instant="TIMESTAMP",
    # Spark writes 12345678.0 as 1.2345678E7.
    float_text="CASE WHEN {x} = FLOOR({x}) AND ABS({x}) < 1e16 THEN CAST(TRY_CAST({x} AS DECIMAL(18, 1)) AS STRING) "
    "ELSE CAST({x} AS STRING) END",
    # Java reads 1.5d, 1.5f and 0x1p3 as numbers.
    text_number="CASE WHEN {x} RLIKE '^[^0-9]*$|^[-+.0-9eE \t\r\n]*$' THEN TRY_CAST({x} AS DOUBLE) END",
    text_money=f"CASE WHEN {{x}} RLIKE '^[-+.0-9eE \t\r\n]*$' THEN TRY_CAST({{x}} AS {_MONEY}) END",
    # Spark rounds the shortest text of a double, DuckDB its product with 10000. Times a DECIMAL of 1 that is exact.
    float_money=f"TRY_CAST(TRY_CAST(ROUND(CAST({{x}} AS DOUBLE) * 1e{SCALE}) AS DECIMAL(20, 0)) * 1e-{SCALE}BD "
    f"AS {_MONEY})",
    line_number="",
)

_SETTINGS = {
    "spark.sql.ansi.enabled": "true",  # a sum that overflows is an error, not NULL
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.optimizer.canChangeCachedPlanOutputPartitioning": "true",  # a small log is no 200 tasks
}
_TYPES = {
    "string": "VARCHAR",
    "tinyint": "TINYINT",
    "smallint": "SMALLINT",
    "int": "INTEGER",
    "bigint": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "timestamp_ntz": "TIMESTAMP",
    "binary": "BLOB",
    "void": "NULL",
}
"""What our statements call the types of Spark."""


class SparkEngine(Engine):
    """The verbs of `Engine` on the cluster of a Spark frame, in a session of its own beside the frame's.

    Spark's TIMESTAMP is a moment, whatever it is shown as: its day is that of `timezone`. TIMESTAMP_NTZ is a time
    without a zone and is taken as it is. What is kept goes to the executors' disks and is freed with the engine.

    Raises OptionError for a frame of Spark Connect before 4.3 (it has no session beside it that shares the frame) and
    for an unknown time zone.
    """

    dialect = SPARK
    gathers = False

    def __init__(self, frame: DataFrame, timezone: str = "UTC") -> None:
        caller = frame.sparkSession
        if not hasattr(caller, "newSession"):
            raise OptionError(
                "Frames of Spark Connect are read from pyspark 4.3 on: its sessions share nothing before. Install it "
                "here and on the server, or run the job on the cluster itself."
            )
        self.session: SparkSession = caller.newSession()
        for key, value in {**_changed(caller), **_SETTINGS}.items():
            self.session.conf.set(key, value)
        try:
            self.session.conf.set("spark.sql.session.timeZone", timezone)
        except spark_errors():
            raise OptionError(
                f"timezone={timezone!r} is unknown. Name one of the IANA data base, such as 'UTC' or 'Europe/London'."
            ) from None
        self._kept: dict[str, DataFrame] = {}
        weakref.finalize(self, _free, self._kept).atexit = False

    def register(self, name: str, table: DataFrame) -> None:
        """Hand a frame of the caller's session over, by a view that all sessions see."""
        shared = f"clvml_{uuid.uuid4().hex}"
        table.createOrReplaceGlobalTempView(shared)
        base = table.sparkSession.conf.get("spark.sql.globalTempDatabase", "global_temp")
        self.session.table(f"{base}.{shared}").createOrReplaceTempView(name)
        level = table.storageLevel
        if not (level.useMemory or level.useDisk):  # else dropping the view would free what the caller keeps
            table.sparkSession.catalog.dropGlobalTempView(shared)

    def register_rows(self, name: str, rows: pa.Table) -> None:
        """Make a small table of ours with the column id, text, readable as a relation."""
        self.session.createDataFrame(rows.to_pandas(), "id STRING").createOrReplaceTempView(name)

    def run(self, sql: str) -> None:
        """Execute a statement for its effect."""
        with as_data_error():
            self.session.sql(sql)

    def relation(self, sql: str) -> DataFrame:
        """A statement as a frame of the engine's session."""
        with as_data_error():
            return self.session.sql(sql)

    def by_customer(self, sql: str) -> DataFrame:
        """A statement with each customer's rows together, in the order of days."""
        return self.relation(sql).repartition("customer_id").sortWithinPartitions("customer_id", "day")

    def view(self, name: str, sql: str) -> None:
        """Name a statement; it runs when it is read."""
        self.relation(sql).createOrReplaceTempView(name)

    def keep(self, name: str, sql: str) -> None:
        """Name a statement whose rows are kept on the executors' disks, once they are first read.

        An executor that is lost takes its part with it, which is then made again.
        """
        self.keep_frame(name, self.relation(sql))

    def keep_frame(self, name: str, frame: DataFrame) -> None:
        """The same for a frame of the engine's session."""
        from pyspark import StorageLevel

        self._kept[name] = frame.persist(StorageLevel.DISK_ONLY)
        frame.createOrReplaceTempView(name)

    @contextlib.contextmanager
    def kept(self, frame: DataFrame) -> Iterator[str]:
        """The name under which the rows of a frame are kept for the time of the with statement."""
        name = f"clvml_{uuid.uuid4().hex}"
        self.keep_frame(name, frame)
        try:
            yield name
        finally:
            self.free(name)

    def free(self, name: str) -> None:
        """Free what was kept under a name; what still reads it makes it again."""
        _free({name: self._kept.pop(name)})

    def broadcast(self, thing: object) -> Any:
        """An object of ours that every executor is handed once; over Spark Connect, which cannot, every task."""
        return _Handed(thing) if _is_connect(self.session) else self.session.sparkContext.broadcast(thing)

    def columns(self, name: str) -> dict[str, str]:
        """Column names of a relation with their SQL types, as DuckDB names them."""
        return {column: _TYPES.get(kind, kind.upper()) for column, kind in self.session.table(name).dtypes}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of a small result."""
        with as_data_error():
            return [tuple(row) for row in self.session.sql(sql).collect()]

    def frame(self, sql: str) -> pd.DataFrame:
        """A small result as a pandas frame."""
        return gathered(self.relation(sql))

    def arrow(self, sql: str) -> pa.Table:
        """A small result as an arrow table."""
        import pyarrow as pa

        relation = self.relation(sql)
        with as_data_error():
            return relation.toArrow() if hasattr(relation, "toArrow") else pa.Table.from_pandas(relation.toPandas())


class _Handed(NamedTuple):
    """What is sent along with a function."""

    value: object


class SparkBookings(NamedTuple):
    """What was booked in a log on Spark, each customer's rows together in the order of days."""

    engine: SparkEngine
    frame: DataFrame
    settings: SummarySettings
    """With which `clvml.orders.summaries.customer_days` reads the frame."""


def gathered(frame: DataFrame) -> pd.DataFrame:
    """A small Spark frame as a pandas frame."""
    with as_data_error():
        found: pd.DataFrame = frame.toArrow().to_pandas() if hasattr(frame, "toArrow") else frame.toPandas()
        return found


def rows_of_customers(frame: DataFrame, ids: Iterable[object]) -> pd.DataFrame:
    """The rows of some customers of a Spark frame, collected: at most as many as there are ids, where each has one."""
    import pandas as pd

    wanted = canonical_ids(ids)
    keys = pd.DataFrame({"id": sorted({id_key(i) for i in wanted})})
    with as_data_error("read the scores"):
        there = frame.sparkSession.createDataFrame(keys, "id STRING")
        near = gathered(frame.selectExpr("*", f"{ID_KEY.format(x='customer_id')} AS id").join(there, "id").drop("id"))
    return near[pd.Series(canonical_ids(near["customer_id"])).isin(wanted).to_numpy()].reset_index(drop=True)


def _changed(session: SparkSession) -> dict[str, str]:
    """Settings of a session that a new one would not have."""
    settings = {row[0]: row[1] for row in session.sql("SET").collect()}
    return {
        key: value for key, value in settings.items() if key.startswith("spark.sql.") and session.conf.isModifiable(key)
    }


def _free(kept: dict[str, DataFrame]) -> None:
    for frame in kept.values():
        if not _is_stopped(frame.sparkSession):
            frame.unpersist()


def _is_connect(session: SparkSession) -> bool:
    """Whether it is a client of a Spark Connect server."""
    return not hasattr(session, "_jsparkSession")


def _is_stopped(session: SparkSession) -> bool:
    stopped: bool = session.is_stopped if _is_connect(session) else session.sparkContext._jsc is None
    return stopped


@functools.cache
def spark_errors() -> tuple[type[Exception], ...]:
    """What Spark raises."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    return PySparkException, Py4JError


@contextlib.contextmanager
def as_data_error(what: str = "read the log") -> Iterator[None]:
    """Spark's own message, in one line, as DataError."""
    try:
        yield
    except spark_errors() as error:
        raise DataError(f"Spark could not {what}: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    """What Spark says, or the cause that it names."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = [line for line in lines if line.startswith("Caused by:")]
    return textwrap.shorten((cause or lines or [type(error).__name__])[-1 if cause else 0], 400)
