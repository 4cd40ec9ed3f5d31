"""Logs in data bases: a table or query of a DuckDB file, read in place, or of a server or SQLite, read as a stream."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from clvml.errors import DataError, OptionError, did_you_mean
from clvml.orders.engines.duckdb import literal, quoted
from clvml.orders.reading.sql_databases import driver_of, stream_rows, words_of

if TYPE_CHECKING:
    import pyarrow as pa

    from clvml.orders.engines.duckdb import Engine

__all__ = [
    "LINE",
    "DuckDBFile",
    "Postgres",
    "SqlDatabase",
    "adbc_driver",
    "check_address",
    "is_address",
    "is_duckdb",
    "is_postgres",
    "label_of",
    "open_database",
    "plain_words",
    "postgres_address",
    "without_secrets_of",
]

_PART = r'(?:[^\W\d]\w*|"(?:[^"]|"")+")'
_TABLE = re.compile(rf"{_PART}(?:\.{_PART}){{0,2}}")
_RESERVED = ("memory", "system", "temp")
"""Names of the data bases that every DuckDB has."""
LINE = "clvml_line"
"""A hash of the whole row, made by the server: equal rows are counted though only the columns needed are sent."""


_POSTGRES = re.compile(r"postgres(?:ql)?(?:\+\w+)?://", re.IGNORECASE)
"""Also as SQLAlchemy writes it, with a driver: postgresql+psycopg://."""


def is_postgres(source: str) -> bool:
    """Whether a text is the address of a PostgreSQL data base."""
    return _POSTGRES.match(source) is not None


def postgres_address(source: str) -> str:
    """The address of a PostgreSQL data base as libpq wants it; others as they are."""
    return _POSTGRES.sub("postgresql://", source)


def is_address(source: str) -> bool:
    """Whether a text is the address of a data base."""
    return is_postgres(source) or driver_of(source) is not None


def is_duckdb(path: str) -> bool:
    """Whether a path is a DuckDB file, by its own mark."""
    if not os.path.isfile(path):
        return False
    try:
        with Path(path).open("rb") as file:
            return file.read(12)[8:] == b"DUCK"
    except OSError as error:
        raise DataError(f"{path} could not be read: {error.strerror}.") from error


def open_database(source: str, table: str | None, query: str | None) -> DuckDBFile | Postgres | SqlDatabase:
    """The log in a data base. Raises OptionError unless one of table and query says which."""
    source = postgres_address(source)
    if is_address(source):
        check_address(source)
    if (table is None) == (query is None):
        both = "not both" if table is not None else f"as {label_of(source)} may hold several"
        raise OptionError(f"Say which table is the log with table='orders', or query='SELECT …', {both}.")
    if table is not None and not _TABLE.fullmatch(table):
        raise OptionError(
            f"table={table!r} is no name of a table, such as orders or shop.orders. A query is query='…'."
        )
    sql = f"SELECT * FROM {table}" if query is None else query.strip().rstrip(";") + "\n"  # it may end in a comment
    if driver_of(source) is not None:
        return SqlDatabase(source, sql, table)
    return (Postgres if is_postgres(source) else DuckDBFile)(source, sql, table)


def label_of(source: str) -> str:
    """What may be shown of the address: never a password."""
    if "://" not in source:
        return source
    address = urlsplit(source)
    place = address.netloc.rpartition("@")[2]
    return f"{address.scheme}://{place if re.fullmatch(r'[^:]*(:[0-9]+)?', place) else ''}{address.path}"


class DuckDBFile(NamedTuple):
    """A table or query of a DuckDB file."""

    path: str
    query: str
    table: str | None
    """None: a query, which is run once, before the engine has relations of its own that its names could mean."""

    def attach(self, engine: Engine) -> str:
        """Open the file for reading; gives the relation. Raises DataError where it is being written, or lacks it."""
        stem = Path(self.path).stem
        name = quoted(f"log_{stem}" if stem.lower() in _RESERVED else stem)
        try:
            engine.run(f"ATTACH {literal(self.path)} AS {name} (READ_ONLY)")
        except DataError as error:
            if "lock" not in str(error):
                raise
            raise DataError(_locked(self.path, str(error))) from error
        engine.run(f"USE {name}")
        if self.table is None:  # a query of the caller's reads this data base, and no file beside it
            engine.check_select(self.query)
            engine.close_files()
        raw = f"({self.query}) AS log" if self.table is None else _qualified(name, self.table)
        try:
            engine.columns(f"SELECT * FROM {raw}")
        except DataError as error:
            raise DataError(f"{self.path}: {_plain(error)}{self._tables(engine, stem)}") from error
        return raw

    def _tables(self, engine: Engine, stem: str) -> str:
        """The tables there are, where one was named."""
        if self.table is None:
            return ""
        known = [row[0] for row in engine.rows("SELECT name FROM (SHOW TABLES)")]
        return f"{did_you_mean(self.table, known)} {stem} has: {', '.join(known) or 'no tables'}."


def _qualified(name: str, table: str) -> str:
    """The table by its full name: its own could be that of a relation of the engine."""
    parts = re.findall(_PART, table)
    return ".".join((name, "main", *parts) if len(parts) == 1 else (name, *parts) if len(parts) == 2 else parts)


def _locked(path: str, message: str) -> str:
    holder = re.search(r"\(PID (\d+)\)", message)
    by = f"process {holder[1]}" if holder else "another process"
    return f"{path} is being written by {by}. Run again once it has closed the file, or read a copy of it."


def _plain(error: Exception) -> str:
    return str(error).removeprefix("The log could not be read: ")


class Postgres(NamedTuple):
    """A table or query of a PostgreSQL server: one read-only transaction, rows as a stream of arrow batches."""

    url: str
    """postgresql://user@host:port/database. What it leaves out, the password first of all, comes from where libpq
    looks: PGPASSWORD, ~/.pgpass, PGSERVICE and so on."""
    query: str
    table: str | None

    @contextlib.contextmanager
    def rows(self, wanted: Iterable[str]) -> Iterator[tuple[list[str], pa.RecordBatchReader]]:
        """Names of all columns, and the rows of those of `wanted` that are among them, with LINE.

        Raises OptionError without the driver, DataError where the server refuses.
        """
        _check_select(self.query)
        dbapi = adbc_driver()
        try:
            with dbapi.connect(self.url) as connection, connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION READ ONLY")
                cursor.execute(f"SELECT * FROM ({self.query}) AS log LIMIT 0")
                schema = cursor.fetch_arrow_table().schema
                columns = [_column(schema.field(name)) for name in dict.fromkeys(wanted) if name in schema.names]
                line = f"hashtextextended(CAST(log AS text), 0) AS {LINE}"
                cursor.execute(f"SELECT {', '.join([*columns, line])} FROM ({self.query}) AS log")
                yield schema.names, cursor.fetch_record_batch()
        except dbapi.Error as error:
            raise DataError(f"{label_of(self.url)}: {plain_words(str(error), self.url)}") from None


class SqlDatabase(NamedTuple):
    """A table or query of a data base that SQLAlchemy reaches: read-only, rows as a stream."""

    url: str
    query: str
    table: str | None

    @contextlib.contextmanager
    def rows(self, wanted: Iterable[str]) -> Iterator[tuple[list[str], pa.RecordBatchReader]]:
        """As of Postgres."""
        from sqlalchemy.exc import SQLAlchemyError

        _check_select(self.query)
        try:
            with stream_rows(self.url, self.query, wanted, LINE) as (names, reader):
                yield names, reader
        except SQLAlchemyError as error:
            raise DataError(f"{label_of(self.url)}: {without_secrets_of(words_of(error), self.url)}") from None


def _check_select(query: str) -> None:
    if ";" in _NOT_CODE.sub("", query):
        raise OptionError("query is to be one SELECT, and holds several statements (';'). Give the SELECT alone.")
    if not re.match(r"[\s(]*(SELECT|WITH|VALUES|TABLE)\b", _COMMENT.sub(" ", query), re.IGNORECASE):
        raise OptionError("query is to be one SELECT, and does not begin as one does.")


_COMMENT = re.compile(r"--[^\n]*|/[*].*?[*]/", re.DOTALL)
_NOT_CODE = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/[*].*?[*]/|[$](\w*)[$].*?[$]\1[$]", re.DOTALL)
"""Texts, names and comments of a query."""


def adbc_driver() -> Any:
    """The driver of PostgreSQL. Raises OptionError where it is not installed, or too old to read amounts right."""
    try:
        from adbc_driver_postgresql import __version__, dbapi
    except ImportError:
        raise OptionError("PostgreSQL needs its driver: pip install 'clvml[postgres]'.") from None
    if tuple(map(int, re.findall(r"\d+", __version__)[:2])) < _MIN_DRIVER:
        raise OptionError(
            f"The driver of PostgreSQL is {__version__}, which does not tell amounts of type money, sent in cents, "
            "from whole numbers: they would be read 100 times too large. Update it: pip install -U 'clvml[postgres]'."
        )
    return dbapi


_MIN_DRIVER = (1, 13)
"""The first version whose schemas name the type money."""


def _column(field: pa.Field) -> str:
    """A column as it is to travel: numbers of any size exact, as text; money, which is sent in cents, too."""
    import pyarrow as pa

    name = quoted(field.name)
    if (field.metadata or {}).get(b"POSTGRESQL:type") == b"money":
        return f"CAST(CAST({name} AS numeric) AS text) AS {name}"
    return f"CAST({name} AS text) AS {name}" if isinstance(field.type, pa.BaseExtensionType) else name


def check_address(url: str) -> None:
    """Refuse an address with a password written so that parts of it would be taken, and shown, for a host or port."""
    try:
        address = urlsplit(url)
    except ValueError:
        raise OptionError("The address of the data base has a [ without its ].") from None
    if url.partition("?")[0].count("@") > 1 or "@" in address.path + address.fragment:
        raise OptionError(
            "The address of the data base has @, / or # within the user or the password. Write them as %40, %2F, %23, "
            "or leave the password to PGPASSWORD or ~/.pgpass."
        )


def without_secrets_of(message: str, url: str) -> str:
    """The server's words in a line, the password of the address taken out should they repeat it."""
    address = urlsplit(url)
    secrets = [address.netloc.rpartition("@")[0].partition(":")[2]]
    secrets += [value for name, value in parse_qsl(address.query) if "password" in name]
    line = " ".join(message.split())
    for secret in {s for raw in secrets for s in (raw, unquote(raw)) if s}:
        line = line.replace(secret, "***")
    return line


def plain_words(message: str, url: str) -> str:
    """The same without what libpq and the driver add."""
    noise = r"^.*?(?=ERROR:|FATAL:)|^[A-Z_]+: \[libpq\] |( LINE \d+: .*)?( Query was: .*)?\.? SQLSTATE: \w+$"
    return re.sub(noise, "", without_secrets_of(message, url))
