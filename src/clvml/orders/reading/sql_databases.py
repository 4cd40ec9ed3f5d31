"""Logs in any data base that SQLAlchemy reaches: MariaDB, MySQL, SQLite; read as a stream of rows.

Whole numbers stay such, all else becomes text, which is exact: a decimal is its digits; a number of SQLite, which has
no decimals, the shortest decimal that stands for it, which is what was stored as long as that had 15 digits.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from clvml.errors import DataError, OptionError

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Connection, Engine

__all__ = ["DRIVERS", "Driver", "connected", "driver_of", "is_new_file", "stream_rows", "words_of"]


class Driver(NamedTuple):
    """How a kind of data base is reached."""

    name: str
    address: str
    """What the address begins with for SQLAlchemy, unless the caller names a driver."""
    install: str
    """What pip installs."""
    begin: tuple[str, ...] = ()
    """Statements that make the session read-only and its times UTC."""
    instants: tuple[int, ...] = ()
    """Codes of column types that are instants, which the driver gives as times without a zone."""
    writes: bool = False
    """Whether scores may be written there."""


_MYSQL = ("SET SESSION TRANSACTION READ ONLY", "SET time_zone = '+00:00'")
DRIVERS = {
    "mysql": Driver("MySQL", "mysql+pymysql", "'clvml[mysql]'", _MYSQL, (7,), True),
    "mariadb": Driver("MariaDB", "mariadb+pymysql", "'clvml[mysql]'", _MYSQL, (7,), True),
    "sqlite": Driver("SQLite", "sqlite", "clvml", ("PRAGMA query_only = ON",), writes=True),
    "mssql": Driver("SQL Server", "mssql+pymssql", "pymssql"),
    "snowflake": Driver("Snowflake", "snowflake", "snowflake-sqlalchemy"),
    "bigquery": Driver("BigQuery", "bigquery", "sqlalchemy-bigquery"),
}
"""By the scheme of the address. The last three were never run."""
_ADDRESS = re.compile(rf"(?P<kind>{'|'.join(DRIVERS)})(?P<driver>\+\w+)?://", re.IGNORECASE)
_ROWS = 20_000
"""Rows in memory at once."""
_MAX_WHOLE = 2**63 - 1


def driver_of(source: str) -> Driver | None:
    """How an address is reached; None where it is none of these."""
    found = _ADDRESS.match(source)
    return None if found is None else DRIVERS[found["kind"].lower()]


@contextlib.contextmanager
def connected(address: str, *, write: bool = False) -> Iterator[Connection]:
    """A connection, closed at the end without a commit, unless the caller commits.

    Raises OptionError without the driver, and where the file of SQLite is not there.
    """
    engine = _engine(address, write=write)
    try:
        with engine.connect() as connection:
            driver = driver_of(address)
            for statement in () if write or driver is None else driver.begin:
                connection.exec_driver_sql(statement)
            if not write:
                connection.rollback()  # what is asked next begins a transaction of that kind
            yield connection
    finally:
        engine.dispose()


def _engine(address: str, *, write: bool) -> Engine:
    import sqlalchemy

    found, driver = _ADDRESS.match(address), driver_of(address)
    assert found is not None
    assert driver is not None
    address = (found[0].lower() if found["driver"] else f"{driver.address}://") + address[found.end() :]
    try:
        url = sqlalchemy.make_url(address)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise OptionError(f"This is no address of {driver.name}. Write {found['kind']}://user@host/database.") from None
    if url.get_backend_name() == "sqlite":
        url = _sqlite_file(url, write=write)
    elif url.get_backend_name() in ("mysql", "mariadb") and url.password is None and "MYSQL_PWD" in os.environ:
        url = url.set(password=os.environ["MYSQL_PWD"])
    try:
        return sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    except (ImportError, sqlalchemy.exc.NoSuchModuleError):
        raise _missing(address) from None


def is_new_file(address: str) -> bool:
    """Whether it is that of an SQLite file to come. Raises DataError where it has no folder."""
    import sqlalchemy

    if not address.lower().startswith("sqlite"):
        return False
    _sqlite_file(sqlalchemy.make_url(address), write=True)
    return not Path(unquote(sqlalchemy.make_url(address).database or "")).is_file()


def _sqlite_file(url: Any, *, write: bool) -> Any:
    """The address that opens a file which is there, and only for reading unless it is to be written."""
    path = Path(unquote(url.database or ""))
    if not path.is_file() and not (write and path.parent.is_dir() and path.name):
        raise DataError(f"There is no SQLite file {path}. Write sqlite:///shop.db, or sqlite:////data/shop.db.")
    mode = "rwc" if write else "ro"
    return url.set(database=path.absolute().as_uri(), query={**url.query, "mode": mode, "uri": "true"})


def _missing(address: str) -> OptionError:
    driver = driver_of(address)
    assert driver is not None
    return OptionError(f"{driver.name} needs its driver: pip install {driver.install}.")


@contextlib.contextmanager
def stream_rows(
    address: str, query: str, wanted: Iterable[str], line: str
) -> Iterator[tuple[list[str], pa.RecordBatchReader]]:
    """Names of all columns, and the rows of those of `wanted` that are among them, as texts, with a hash of the whole
    row under the name `line`.
    """
    import pyarrow as pa
    from sqlalchemy.exc import SQLAlchemyError

    driver, broken = driver_of(address), list[SQLAlchemyError | DataError]()
    assert driver is not None
    with connected(address) as connection:
        streamed = connection.execution_options(stream_results=True, max_row_buffer=_ROWS, no_parameters=True)
        result = streamed.exec_driver_sql(f"SELECT * FROM ({query}) AS log")
        names = list(result.keys())
        kept = [names.index(name) for name in dict.fromkeys(wanted) if name in names]
        instants = {i for i, about in enumerate(result.cursor.description) if about[1] in driver.instants}
        parts = result.partitions(_ROWS)
        first = next(parts, [])
        whole = [_is_whole(column) for column in zip(*first, strict=True)] or [False] * len(names)
        schema = pa.schema(
            [(names[i], pa.int64() if whole[i] else pa.string()) for i in kept] + [(line, pa.int64())],
        )

        def batches() -> Iterator[pa.RecordBatch]:
            try:
                for rows in itertools.chain([first] if first else [], parts):
                    columns = [
                        _wholes(column, names[i]) if whole[i] else _texts(column, i in instants)
                        for i, column in enumerate(zip(*rows, strict=True))
                    ]
                    hashes = list(map(_row_hash, zip(*columns, strict=True)))
                    yield pa.record_batch([*(columns[i] for i in kept), hashes], schema=schema)
            except (SQLAlchemyError, DataError) as error:
                broken.append(error)
                raise

        with contextlib.closing(result):
            try:
                yield names, pa.RecordBatchReader.from_batches(schema, batches())
            except DataError:  # the engine's, of a reader that broke
                if broken:
                    raise broken[0] from None
                raise


def _row_hash(row: tuple[Any, ...]) -> int:
    """The same for equal rows in every process; Python's own is not, and is one for -1 and -2."""
    return int.from_bytes(hashlib.blake2b(repr(row).encode(), digest_size=8).digest(), "little", signed=True)


def _is_whole(values: Sequence[Any]) -> bool:
    """Whether a column holds whole numbers: ids keep the type they came in."""
    return {type(value) for value in values} - {type(None)} == {int} and not any(
        value is not None and abs(value) > _MAX_WHOLE for value in values
    )


def _wholes(values: Sequence[Any], name: str) -> Sequence[Any]:
    """The column, once it is checked to go on as it began."""
    other = next((v for v in values if v is not None and (type(v) is not int or abs(v) > _MAX_WHOLE)), None)
    if other is not None:
        raise DataError(
            f"Column {name} begins with whole numbers, and has one beyond 64 bits, or another type, further on. Make "
            f"it text: query='SELECT CAST({name} AS CHAR), …'."
        )
    return values


def _texts(values: Sequence[Any], instants: bool) -> list[str | None]:
    zone = "+00:00" if instants else ""
    return [None if v is None else _TEXT.get(type(v), str)(v) + zone for v in values]


def _time(value: dt.datetime) -> str:
    return value.isoformat(sep=" ")


_MAX_PLAIN = 2**53
"""Whole numbers below are exact as floats, and written as whole ones."""
_TEXT: dict[type, Callable[[Any], str]] = {
    str: str,
    float: lambda value: f"{value:.0f}" if value.is_integer() and abs(value) < _MAX_PLAIN else repr(value),
    dt.datetime: _time,
    Decimal: "{:f}".format,
    bytes: lambda value: f"\\x{value.hex()}",
}
"""How a value is written; others as Python prints them. Bytes in a way that no number is."""


def words_of(error: Exception) -> str:
    """What the data base says, without the statement and the advice of its driver."""
    original = getattr(error, "orig", None) or error
    return str(original.args[-1] if original.args else original)
