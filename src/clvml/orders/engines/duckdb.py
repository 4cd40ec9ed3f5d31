"""Where statements run: an embedded DuckDB, the statements of sql/, and the few words that dialects spell apart."""

from __future__ import annotations

import contextlib
import functools
import importlib.resources
import itertools
import re
import textwrap
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from clvml.errors import DataError, OptionError
from clvml.redaction import HIDDEN, ids_are_hidden
from clvml.resources import WHOLE_MACHINE, Resources

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = [
    "DUCKDB",
    "ID_KEY",
    "SCALE",
    "UNITS",
    "Dialect",
    "Engine",
    "id_key",
    "literal",
    "literals",
    "quoted",
    "statement",
]

SCALE = 4
"""Digits after the point of all money. DECIMAL sums are exact: the same in any row order, on any number of threads, on
any engine. Four digits hold sub-cent prices; 18 in all leave 99,999,999,999,999.9999 for a line or a customer-day.
`check` counts amounts that are finer."""
UNITS = 10**SCALE
"""Units of the last digit that make 1."""
ID_KEY = "regexp_replace(CAST({x} AS STRING), '[.]0+$', '')"
"""The id {x} as text by which customers of two tables are brought together; `id_key` says it of one in Python."""


class Dialect(NamedTuple):
    """The fragments that engines spell differently, as templates. All else in sql/ means the same on each."""

    day_number: str
    """Whole days since Monday 1970-01-05 of the DATE {x}."""
    trimmed: str
    """The text {x} without white space (no-break space too) at either end."""
    matches: str
    """Whether the text {x} contains the regular expression {p}, in which no backslash stands: engines read it apart."""
    row_hash: str
    """64 bits that are equal for equal rows over the columns {x}, each written as `hashed` says."""
    hashed: str
    """What of the column {x} enters the hash."""
    instant: str
    """The type of a moment, whose DATE is that of the session's time zone."""
    float_text: str
    """The float {x} as text: whole numbers as 12345678.0."""
    text_number: str
    """The text {x} as a DOUBLE, NULL where it is none."""
    text_money: str
    """The text {x} as money, rounded half up; NULL where it is none or has too many digits."""
    float_money: str
    """The float {x} as money: whole units of its last digit, after {x} times that many was rounded half up."""
    line_number: str
    """Place of a row in its relation; empty where rows have none."""


_MONEY = f"DECIMAL(18, {SCALE})"

DUCKDB = Dialect(
    day_number="DATE_DIFF('day', DATE '1970-01-05', {x})",
    # To look at either end first takes a quarter of the time.
    trimmed="CASE WHEN ORD({x}) BETWEEN 33 AND 126 AND ORD({x}[-1]) BETWEEN 33 AND 126 THEN {x} "
    "ELSE TRIM({x}, chr(32) || chr(9) || chr(10) || chr(13) || chr(160)) END",
    matches="regexp_matches({x}, '{p}')",
    row_hash="hash({x})",
    hashed="{x}",
    instant="TIMESTAMPTZ",
    float_text="CAST({x} AS STRING)",
    text_number="TRY_CAST({x} AS DOUBLE)",
    text_money=f"TRY_CAST({{x}} AS {_MONEY})",
    float_money=f"TRY_CAST({{x}} AS {_MONEY})",
    line_number="ROW_NUMBER() OVER ()",
)


@functools.cache
def _text(name: str) -> str:
    return (importlib.resources.files("clvml.orders.engines") / "sql" / f"{name}.sql").read_text(encoding="utf-8")


def statement(name: str, **values: int | float | str) -> str:
    """The statement sql/<name>.sql with its {settings} filled in: numbers, fragments of ours, or other statements."""
    return _text(name).format(scale=SCALE, **values).strip().rstrip(";")


def id_key(canonical: str) -> str:
    """`ID_KEY` of a canonical id. Two customers may share one: it only narrows down whom to look at."""
    return re.sub("[.]0+$", "", canonical)


def quoted(name: str) -> str:
    """A column name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A text as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def literals(values: Iterable[str]) -> str:
    """A list of texts in SQL."""
    return f"[{', '.join(map(literal, values))}]"


class Engine:
    """A DuckDB in memory, with its own time zone; what does not fit in memory goes to a folder of temporary files.

    Threads wait for each other: for the end of a statement, and of a stream of batches. Raises OptionError for an
    unknown time zone, and DataError where a source cannot be read.
    """

    dialect = DUCKDB
    gathers = True
    """Whether a frame with a row a customer may be asked for: not where the customers are on a cluster."""

    def __init__(self, timezone: str = "UTC", resources: Resources = WHOLE_MACHINE) -> None:
        import duckdb

        self._error = duckdb.Error
        self._connection, self._closed = duckdb.connect(":memory:"), False
        self._turn, self._asking = threading.Condition(), list[int]()
        with contextlib.suppress(self._error):  # in a notebook without ipywidgets there is none to switch off
            # DuckDB's own would stand between the lines of a result.
            self._connection.execute("SET enable_progress_bar = false")
        spill = str(resources.temporary())
        self.run(f"SET temp_directory = {literal(spill)}")
        if resources.engine_memory is not None:
            self.run(f"SET memory_limit = '{resources.engine_memory} B'")
            self.run("SET preserve_insertion_order = false")
        if resources.threads is not None:
            self.run(f"SET threads = {resources.threads}")
        try:
            self._connection.execute(f"SET TimeZone = {literal(timezone)}")
        except self._error:
            raise OptionError(
                f"timezone={timezone!r} is unknown. Name one of the IANA data base, such as 'UTC' or 'Europe/London'."
            ) from None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """A block in which no other thread asks; what the engine raises becomes DataError. A forgotten stream may be
        ended by another thread than began it.
        """
        me = threading.get_ident()
        with self._turn:
            self._turn.wait_for(lambda: not self._asking or self._asking[0] == me)
            self._asking.append(me)
        try:
            yield
        except self._error as error:
            raise DataError(_message(error)) from error
        finally:
            with self._turn:
                self._asking.pop()
                self._turn.notify_all()

    def close_files(self, files: Sequence[str] = (), folder: str | None = None) -> None:
        """From now on statements reach no files but these, those in this folder, and those that are open already, and
        load no extension and change no setting. There is no way back; a second call changes nothing.
        """
        if self._closed:
            return
        self._closed = True
        self.run(f"SET allowed_paths = {literals(files)}")
        self.run(f"SET allowed_directories = {literals([] if folder is None else [folder])}")
        self.run("SET enable_external_access = false")
        self.run("SET lock_configuration = true")

    def check_select(self, sql: str) -> None:
        """Raise OptionError for what is not one SELECT, by the engine's own parser."""
        try:
            kinds = [statement.type.name for statement in self._connection.extract_statements(sql)]
        except self._error as error:
            raise OptionError(f"query is not one SELECT: {_message(error)}") from error
        if kinds != ["SELECT"]:
            found = ", then ".join(kinds) or "nothing"
            raise OptionError(f"query is to be one SELECT, and is {found}. Give the SELECT alone.")

    def register(self, name: str, table: Any) -> None:
        """Make an arrow table or dataset readable as a relation, without copying it."""
        with self._alone():
            self._connection.register(name, table)

    def register_rows(self, name: str, rows: pa.Table) -> None:
        """Make a small table of ours with the column id, text, readable as a relation."""
        self.register(name, rows)

    def run(self, sql: str) -> None:
        """Execute a statement for its effect."""
        with self._alone():
            self._connection.execute(sql).fetchall()

    def view(self, name: str, sql: str) -> None:
        """Name a statement; it runs when it is read."""
        self.run(f"CREATE OR REPLACE TEMP VIEW {name} AS {sql}")

    def keep(self, name: str, sql: str) -> None:
        """Run a statement once and keep its rows under a name."""
        self.run(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}")

    def columns(self, name: str) -> dict[str, str]:
        """Column names of a relation with their SQL types."""
        return {row[0]: str(row[1]).strip('"') for row in self.rows(f"DESCRIBE {name}")}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of a small result."""
        with self._alone():
            found: list[tuple[Any, ...]] = self._connection.execute(sql).fetchall()
        return found

    def frame(self, sql: str) -> pd.DataFrame:
        """A result as a pandas frame."""
        with self._alone():
            found: pd.DataFrame = self._connection.execute(sql).df()
        return found

    def arrow(self, sql: str) -> pa.Table:
        """A result as an arrow table."""
        with self._alone():
            return self._connection.sql(sql).to_arrow_table()

    def batches(self, sql: str, rows: int) -> Iterator[pa.RecordBatch]:
        """A result in batches of at most so many rows, as they are drawn; until the last is, ask nothing else."""
        import pyarrow as pa

        with self._alone():
            try:
                yield from self._connection.sql(sql).to_arrow_reader(rows)
            except pa.ArrowException as error:
                raise DataError(_message(error)) from error


def _message(error: Exception) -> str:
    """The engine's own message without its advice on options that are not ours."""
    lines = str(error).strip().splitlines()
    kept = itertools.takewhile(lambda line: line and not line.startswith(("Possible", "Candidate")), lines)
    words = textwrap.shorten(" ".join(kept), 400)
    return "The log could not be read: " + (_QUOTED.sub(f"'{HIDDEN}'", words) if ids_are_hidden() else words)


_QUOTED = re.compile(r"'[^']*'")
"""Values, in the engine's messages; names stand in double quotes."""
