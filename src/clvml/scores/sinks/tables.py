"""Scores in a table of a data base, whole or not at all: a job that is killed leaves the rows of the one before.

PostgreSQL and SQLite delete and insert in one transaction, so that indexes, grants and views of the table stay. MariaDB
and MySQL, where making a table ends a transaction, fill one beside it and exchange their names in one statement.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from clvml.errors import DataError, OptionError
from clvml.orders.reading.databases import (
    adbc_driver,
    check_address,
    is_address,
    is_postgres,
    label_of,
    plain_words,
    postgres_address,
    without_secrets_of,
)
from clvml.orders.reading.sql_databases import connected, driver_of, is_new_file, words_of
from clvml.tables import SCORES

if TYPE_CHECKING:
    import pyarrow as pa
    import sqlalchemy as sa

    from clvml.scores.sinks.files import Sink

__all__ = ["ScoresTable", "target_of", "write_table"]

_NAME = re.compile(r"(?:([A-Za-z_]\w*)\.)?([A-Za-z_]\w*)")
_TABLE = re.compile(r"([?&])table=([^&]*)(&|$)")
_PART, _OLD = "__clvml_part", "__clvml_old"
"""What the names of our own tables beside one end in, where names are exchanged."""


class ScoresTable(NamedTuple):
    """A table that holds scores, or is to."""

    url: str
    schema: str | None
    name: str

    def __str__(self) -> str:
        return f"{label_of(self.url)}, table {self.label}"

    @property
    def label(self) -> str:
        """Its name, with its schema where one was given."""
        return self.name if self.schema is None else f"{self.schema}.{self.name}"

    def check(self) -> None:
        """Ask the data base, before any work, whether it lets us in, and what the table holds.

        Raises OptionError where it is not clvml's, and without the driver; DataError where the data base refuses.
        """
        if not is_new_file(self.url):
            with _session(self) as session:
                session.is_there()


def target_of(out: str) -> Path | ScoresTable:
    """Where scores are to go. Raises OptionError for an address that names no table."""
    if not is_address(out):
        return Path(out)
    check_address(out)
    asked = _TABLE.search(out)
    name = asked and _NAME.fullmatch(asked[2])
    if not asked or not name:
        raise OptionError(f"--out {label_of(out)} does not say which table. End the address in ?table=scores.")
    driver = driver_of(out)
    if driver is not None and not driver.writes:
        raise OptionError(f"--out: {driver.name} is read, but not written to. Write a Parquet file and load that.")
    rest = _TABLE.sub(lambda found: found[1] if found[3] else "", out)
    return ScoresTable(postgres_address(rest), name[1], name[2])


def write_table(target: ScoresTable, fill: Callable[[Sink], object]) -> None:
    """Let `fill` write the rows that take the place of those of the table, which is made where there is none."""
    with _session(target) as session:
        fill(_TableSink(session))
        session.commit()


class _Session(Protocol):
    """A connection that replaces the rows of one table."""

    def is_there(self) -> bool:
        """Whether the table exists. Raises OptionError where it is not one of scores."""

    def begin(self, schema: pa.Schema) -> None:
        """Make ready for new rows of this schema, once."""

    def append(self, rows: pa.Table) -> None:
        """Add rows."""

    def commit(self) -> None:
        """Let the new rows be the table's."""


class _TableSink:
    """Rows of scores for a session."""

    def __init__(self, session: _Session) -> None:
        self._session, self._begun = session, False

    def write(self, scores: pa.Table) -> None:
        """Add a part."""
        rows = _plain(scores)
        if not self._begun:
            self._session.begin(rows.schema)
            self._begun = True
        self._session.append(rows)


def _plain(scores: pa.Table) -> pa.Table:
    """Words as text, times as days, and NULL for a number that is not finite, which MariaDB does not know."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def column(values: pa.ChunkedArray) -> pa.ChunkedArray:
        if pa.types.is_dictionary(values.type):
            return values.cast(pa.string())
        if pa.types.is_timestamp(values.type):
            return values.cast(pa.date32())
        return pc.if_else(pc.is_finite(values), values, None) if pa.types.is_floating(values.type) else values

    return pa.table({name: column(scores[name]) for name in scores.column_names})


@contextmanager
def _session(target: ScoresTable) -> Iterator[_Session]:
    """A session, rolled back at the end unless it was committed; errors of the data base as DataError."""
    from sqlalchemy.exc import SQLAlchemyError

    if is_postgres(target.url):
        dbapi = adbc_driver()
        try:
            with dbapi.connect(target.url) as connection, connection.cursor() as cursor:
                yield _PostgresSession(target, connection, cursor)
        except dbapi.Error as error:
            raise DataError(f"{target}: {plain_words(str(error), target.url)}") from None
        return
    try:
        with connected(target.url, write=True) as connection:
            session = (_SqliteSession if target.url.lower().startswith("sqlite") else _MysqlSession)(target, connection)
            try:
                yield session
            finally:
                session.clean()
    except SQLAlchemyError as error:
        raise DataError(f"{target}: {without_secrets_of(words_of(error), target.url)}") from None


def _is_ours(target: ScoresTable, found: list[str]) -> bool:
    """Whether the table exists, by the names of its columns. Raises OptionError where it is not one of scores."""
    ours = [column.name for column in SCORES]
    if found and found != ours:
        other = next((name for name in found if name not in ours), None)
        why = "lacks columns of them" if other is None else f"has the column {other}"
        raise OptionError(f"--out {target} is no table of clvml's scores: it {why}. Name a new table.")
    return bool(found)


def _definition(target: ScoresTable, schema: pa.Schema, name: str) -> sa.Table:
    """The table to be made for rows of a schema; docs/columns.md has the types."""
    import pyarrow as pa
    import sqlalchemy as sa

    kinds: tuple[tuple[Callable[[Any], bool], Any], ...] = (
        (pa.types.is_floating, sa.Double),
        (pa.types.is_boolean, sa.Boolean),
        (pa.types.is_integer, sa.BigInteger),
        (pa.types.is_date, sa.Date),
    )
    columns = [
        sa.Column(field.name, next((kind for test, kind in kinds if test(field.type)), sa.Text)) for field in schema
    ]
    return sa.Table(name, sa.MetaData(), *columns, schema=target.schema, mysql_charset="utf8mb4")


_COLUMNS = (
    "SELECT column_name FROM information_schema.columns WHERE table_name = '{name}' AND table_schema = {schema} "
    "ORDER BY ordinal_position"
)


class _PostgresSession:
    """One transaction, in which whoever reads sees the rows of before, and nobody else writes."""

    def __init__(self, target: ScoresTable, connection: Any, cursor: Any) -> None:
        self._target, self._connection, self._cursor = target, connection, cursor

    def is_there(self) -> bool:
        """Whether the table exists."""
        schema = "current_schema()" if self._target.schema is None else f"'{self._target.schema}'"
        self._cursor.execute(_COLUMNS.format(name=self._target.name, schema=schema))
        return _is_ours(self._target, [row[0] for row in self._cursor.fetchall()])

    def begin(self, schema: pa.Schema) -> None:
        """Lock the table and take out its rows, or make it."""
        from sqlalchemy.dialects import registry
        from sqlalchemy.schema import CreateTable

        if self.is_there():
            table = ".".join(f'"{part}"' for part in (self._target.schema, self._target.name) if part)
            self._cursor.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE NOWAIT")
            self._cursor.execute(f"DELETE FROM {table}")
        else:
            made = CreateTable(_definition(self._target, schema, self._target.name))
            self._cursor.execute(str(made.compile(dialect=registry.load("postgresql")())))

    def append(self, rows: pa.Table) -> None:
        """Add rows, by COPY."""
        self._cursor.adbc_ingest(self._target.name, rows, mode="append", db_schema_name=self._target.schema)

    def commit(self) -> None:
        """End the transaction."""
        self._connection.commit()


class _SqlSession:
    """What SQLite and MariaDB have in common."""

    def __init__(self, target: ScoresTable, connection: sa.Connection) -> None:
        self._target, self._connection = target, connection
        self._insert: Any = None

    def _make(self, schema: pa.Schema, name: str, *, create: bool) -> None:
        table = _definition(self._target, schema, name)
        if create:
            table.create(self._connection)
        self._insert = table.insert()

    def append(self, rows: pa.Table) -> None:
        """Add rows."""
        self._connection.execute(self._insert, rows.to_pylist())

    def clean(self) -> None:
        """Take away what an end before the commit left."""
        self._connection.rollback()


class _SqliteSession(_SqlSession):
    """One transaction, which holds the file's write lock."""

    def is_there(self) -> bool:
        """Whether the table exists."""
        found = self._connection.exec_driver_sql(f"SELECT name FROM pragma_table_info('{self._target.name}')")
        return _is_ours(self._target, [row[0] for row in found])

    def begin(self, schema: pa.Schema) -> None:
        """Take the lock, and take out the rows or make the table."""
        self._connection.rollback()
        self._connection.exec_driver_sql("BEGIN IMMEDIATE")
        there = self.is_there()
        self._make(schema, self._target.name, create=not there)
        if there:
            self._connection.exec_driver_sql(f'DELETE FROM "{self._target.name}"')

    def commit(self) -> None:
        """End the transaction."""
        self._connection.commit()


class _MysqlSession(_SqlSession):
    """A table beside the old one, under a lock of the server's; then their names are exchanged."""

    def is_there(self) -> bool:
        """Whether the table exists."""
        schema = "DATABASE()" if self._target.schema is None else f"'{self._target.schema}'"
        found = self._connection.exec_driver_sql(_COLUMNS.format(name=self._target.name, schema=schema))
        return _is_ours(self._target, [row[0] for row in found])

    def begin(self, schema: pa.Schema) -> None:
        """Take the lock and make the table beside."""
        if self._connection.exec_driver_sql(f"SELECT GET_LOCK('clvml {self._target.label}', 0)").scalar() != 1:
            raise OptionError(f"--out {self._target} is being written by another job. Wait for it, or name another.")
        self._drop()
        there = self.is_there()
        if there:
            self._run(f"CREATE TABLE {self._named(_PART)} LIKE {self._named()}")
        self._make(schema, self._target.name + _PART, create=not there)

    def commit(self) -> None:
        """Exchange the names."""
        self._connection.commit()
        exchange = f"{self._named()} TO {self._named(_OLD)}, " if self.is_there() else ""
        self._run(f"RENAME TABLE {exchange}{self._named(_PART)} TO {self._named()}")

    def clean(self) -> None:
        """Drop our tables beside, if there are any."""
        super().clean()
        if self._insert is not None and self._connection.invalidated is False:
            self._drop()

    def _drop(self) -> None:
        for end in (_PART, _OLD):
            self._run(f"DROP TABLE IF EXISTS {self._named(end)}")

    def _run(self, statement: str) -> None:
        self._connection.exec_driver_sql(statement)

    def _named(self, end: str = "") -> str:
        schema = "" if self._target.schema is None else f"`{self._target.schema}`."
        return f"{schema}`{self._target.name}{end}`"
