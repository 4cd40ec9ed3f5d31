"""What a log may come as: frames, arrow streams, relations, Parquet and CSV files, each made readable to the engine."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from clvml.errors import DataError, OptionError, did_you_mean
from clvml.files import sha256_of_file
from clvml.orders.engines.duckdb import literals
from clvml.orders.reading.csv_files import CSV_ENDINGS, check_content, has_rows
from clvml.orders.reading.databases import (
    DuckDBFile,
    Postgres,
    SqlDatabase,
    is_address,
    is_duckdb,
    label_of,
    open_database,
)
from clvml.orders.reading.lakes import check_no_lake, delta_table, is_delta

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["Source", "check_distinct", "open_source", "source_of_files"]

_PARQUET = (".parquet", ".pq")
_KNOWN = (
    "a pandas, polars or Spark frame, a pyarrow Table, Dataset or RecordBatchReader, a DuckDB relation, "
    "a path, glob or list of paths (Parquet, CSV, a DuckDB file), or postgresql://…, mysql://…, mariadb://…, sqlite:///…"
)


class Source(NamedTuple):
    """A log as the engine sees it."""

    label: str
    """What the log is, for messages."""
    table: Any = None
    """An arrow table, dataset or reader, or a Spark frame; None for files."""
    parquet: str = ""
    """The SQL that reads Parquet files in place."""
    csv: tuple[str, ...] = ()
    """CSV files: read once, as text."""
    once: bool = False
    """Whether it can be read only once (a stream) or only slowly (CSV): then the columns needed are loaded."""
    on_spark: bool = False
    """Whether the table is a Spark DataFrame."""
    database: DuckDBFile | Postgres | SqlDatabase | None = None
    files: tuple[str, ...] = ()
    """The files, where it is files."""
    index_names: tuple[str, ...] = ()
    """What is the index of a pandas frame, and so no column."""


def open_source(source: Any, table: str | None = None, query: str | None = None) -> Source:
    """Recognise a log. Nothing of the caller's is changed. table or query: which of a data base.

    Raises OptionError for a type that is not known and DataError for a path that is not there.
    """
    if isinstance(source, list | tuple) and len(source) == 1:
        source = source[0]
    if isinstance(source, str | os.PathLike) and (is_address(str(source)) or is_duckdb(os.fspath(source))):
        return _from_database(os.fspath(source), table, query)
    if table is not None or query is not None:
        raise OptionError(
            "table and query choose from a data base: a DuckDB file, postgresql://…, mysql://… or sqlite:///… as the "
            "source."
        )
    if is_delta(source):
        return Source(f"Delta table {os.fspath(source)}", table=delta_table(os.fspath(source)))
    if isinstance(source, str | os.PathLike):
        return source_of_files([source])
    if isinstance(source, list | tuple) and source and all(isinstance(s, str | os.PathLike) for s in source):
        return source_of_files(source)
    return _from_frame(source)


def _from_database(source: str, table: str | None, query: str | None) -> Source:
    database = open_database(source, table, query)
    once = not isinstance(database, DuckDBFile) or database.table is None
    return Source(label_of(source), database=database, once=once)


def _from_frame(source: Any) -> Source:
    library = type(source).__module__.partition(".")[0]
    if library == "pyspark":
        return _from_spark(source)
    if library == "pandas" and type(source).__name__ == "DataFrame":
        index = tuple(str(name) for name in source.index.names if name is not None)
        return Source("pandas frame", table=_from_pandas(source), index_names=index)
    if library == "polars" and type(source).__name__ in ("DataFrame", "LazyFrame"):
        return Source("polars frame", table=_from_polars(source))
    if library == "pyarrow":
        return _from_arrow(source)
    if hasattr(source, "__arrow_c_stream__"):
        import pyarrow as pa

        with contextlib.suppress(pa.ArrowInvalid):  # a stream of one column without a name, as a Series is
            return Source(f"{type(source).__name__}", table=pa.RecordBatchReader.from_stream(source), once=True)
    raise OptionError(f"A log of type {type(source).__name__} cannot be read. Pass {_KNOWN}.")


def _from_spark(source: Any) -> Source:
    if type(source).__name__ != "DataFrame":
        raise OptionError(f"A log of type Spark {type(source).__name__} cannot be read. Pass its DataFrame.")
    return Source("Spark frame", table=source, on_spark=True)


def _from_arrow(source: Any) -> Source:
    import pyarrow as pa

    kind = type(source).__name__
    if isinstance(source, pa.RecordBatch):
        source = pa.Table.from_batches([source])
    if isinstance(source, pa.Table):
        _check_names(source.column_names)
        return Source("pyarrow Table", table=_readable(source))
    if isinstance(source, pa.RecordBatchReader):
        return Source("pyarrow RecordBatchReader", table=source, once=True)
    if hasattr(source, "scanner"):
        return Source("pyarrow Dataset", table=source)
    raise OptionError(f"A log of type pyarrow {kind} cannot be read. Pass {_KNOWN}.")


def _readable(table: pa.Table) -> pa.Table:
    """The table with the few types that DuckDB does not know made doubles."""
    import pyarrow as pa

    def plain(kind: pa.DataType) -> pa.DataType:
        return pa.float64() if pa.types.is_float16(kind) or pa.types.is_decimal256(kind) else kind

    schema = pa.schema([pa.field(f.name, plain(f.type)) for f in table.schema])
    return table if schema.types == table.schema.types else table.cast(schema)


def _from_pandas(frame: pd.DataFrame) -> pa.Table:
    """Arrow columns of a frame: numbers, times and arrow-backed text share memory; object columns are converted."""
    import pyarrow as pa

    names = [str(name) for name in frame.columns]
    _check_names(names)
    return _readable(pa.table([_arrow_column(frame.iloc[:, i]) for i in range(len(names))], names=names))


def _from_polars(source: Any) -> pa.Table:
    import pyarrow as pa

    frame = source.collect() if hasattr(source, "collect") else source
    _check_names(frame.columns)
    try:
        return _readable(frame.to_arrow())
    except pa.ArrowException as error:  # whole numbers of 128 bits
        raise DataError(f"The polars frame has a column that Arrow cannot hold. Cast it to text: {error}.") from error


def _check_names(names: Sequence[str]) -> None:
    """Refuse a frame without columns, and two of one name, as in CSV."""
    if not names:
        raise DataError("The log has no columns.")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"The column name '{twice}' stands twice in the log. Rename or drop one of them.")


def _arrow_column(column: pd.Series) -> pa.Array | pa.ChunkedArray:
    """A column as arrow. Mixed objects (17850 beside '17850') become text; whole floats among them lose their '.0'."""
    import pandas as pd
    import pyarrow as pa

    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        instants = pa.array(column.dt.tz_convert(None), from_pandas=True)
        return instants.cast(pa.timestamp(instants.type.unit, "UTC"))
    try:
        return pa.array(column, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):  # a TypeError is what an infinite Decimal is
        return pa.array([_as_text(value) for value in column], pa.string())


def _as_text(value: Any) -> str | None:
    if value is None or value != value or str(value) == "<NA>":  # noqa: PLR0124  NaN and NaT are what does not equal itself
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def source_of_files(paths: Sequence[Any]) -> Source:
    """The log in files, folders and globs. Raises DataError where one is not there, OptionError for other kinds."""
    found = [file for path in paths for file in _expand(os.fspath(path))]
    check_distinct(found)
    check_no_lake(found)
    _check_copies(found)
    label = found[0] if len(found) == 1 else f"{found[0]} and {len(found) - 1} more"
    kinds = {_kind(file) for file in found}
    if len(kinds) > 1:
        raise OptionError(f"Parquet and CSV files cannot be mixed in one log ({label}). Read them apart.")
    if kinds == {"parquet"}:
        # By column name; folders such as day=2026-01-01 are columns.
        sql = f"SELECT * FROM read_parquet({literals(found)}, union_by_name = true)"
        return Source(label, parquet=sql, files=tuple(found))
    return Source(label, csv=tuple(found), once=True, files=tuple(found))


def check_distinct(files: Sequence[str]) -> None:
    """Refuse a file that is named twice, by a link or another path too: its orders would count twice."""
    first: dict[str, str] = {}
    for file in files:
        place = os.path.realpath(file)
        if place in first:
            known = first[place]
            also = "" if known == file else f" (as {known} too)"
            raise OptionError(f"{file} is named twice{also}, so its orders would count twice. Name each file once.")
        first[place] = file


def _check_copies(files: Sequence[str]) -> None:
    """Refuse two files of the same bytes, as one that was delivered twice: their orders would count twice.

    Files without rows may be alike, and those of partitions whose folders tell them apart.
    """
    alike: dict[tuple[object, ...], list[str]] = {}
    for file in files:
        partition = tuple(part for part in Path(file).parts[:-1] if "=" in part)
        alike.setdefault((partition, os.path.getsize(file)), []).append(file)
    for group in alike.values():
        first: dict[str, str] = {}
        for file in group if len(group) > 1 else ():
            known = first.setdefault(sha256_of_file(file), file)
            if known != file and _has_rows(file):
                raise DataError(
                    f"{known} and {file} are the same file twice, so its orders would count twice. Remove one."
                )


def _has_rows(file: str) -> bool:
    if file.lower().endswith(_PARQUET):
        import pyarrow.parquet as pq

        return bool(pq.read_metadata(file).num_rows)
    return has_rows(file)


def _kind(file: str) -> str:
    lowered = file.lower()
    if lowered.endswith(_PARQUET):
        return "parquet"
    if lowered.endswith(CSV_ENDINGS):
        check_content(file)
        return "csv"
    raise OptionError(
        f"{file}: unknown kind of file. A log is Parquet ({', '.join(_PARQUET)}) or CSV ({', '.join(CSV_ENDINGS)})."
    )


def _expand(path: str) -> list[str]:
    """The files behind a path, a glob or a folder of part files."""
    if "://" in path:
        raise OptionError(
            f"{label_of(path)}: remote files are not fetched. Copy it here, or pass a pyarrow Dataset that reads it."
        )
    if os.path.isdir(path):
        files = sorted(str(p) for kind in (*_PARQUET, *CSV_ENDINGS) for p in Path(path).rglob(f"*{kind}"))
        if not files:
            raise DataError(f"The folder {path} holds no Parquet or CSV file.")
        return files
    if os.path.isfile(path):
        return [path]
    found = sorted(glob.glob(os.path.expanduser(path), recursive=True))
    files = [file for file in found if os.path.isfile(file)]
    if files:
        return files
    if glob.has_magic(path):
        raise DataError(f"No file matches {path}.")
    if os.path.islink(path):
        raise DataError(f"{path} is a link to {os.readlink(path)}, which is not there.")
    if os.path.exists(path):
        raise DataError(f"{path} is no ordinary file: a log is read more than once. Write it to a file first.")
    raise DataError(f"There is no file {path}.{_neighbours(path)}")


def _neighbours(path: str) -> str:
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        return f" There is no folder {folder} either."
    return did_you_mean(os.path.basename(path), os.listdir(folder))
