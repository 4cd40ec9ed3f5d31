"""The lines of a log behind its engine: the source loaded, its columns typed, its rules counted."""

from __future__ import annotations

import functools
from typing import NamedTuple, Protocol

from clvml.errors import DataError, OptionError
from clvml.orders.data_report import Counts, DataReport, count_rules
from clvml.orders.engines.duckdb import Engine, statement
from clvml.orders.reading.columns import Columns, Probe, lines_sql, missing_id, source_sql, text_of, whole_id
from clvml.orders.reading.csv_files import scan_csv
from clvml.orders.reading.databases import LINE, DuckDBFile, Postgres, SqlDatabase
from clvml.orders.reading.dates import DayOrder, shows_day_first, shows_month_first, zoned_text, zoneless_text
from clvml.orders.reading.encodings import UTF_8, readable_files
from clvml.orders.reading.numbers import check_plain, reading_decimals
from clvml.orders.reading.rules import Condition, Policy, line_rules, log_rules
from clvml.orders.reading.sources import Source
from clvml.resources import WHOLE_MACHINE, Resources

__all__ = [
    "NO_EVIDENCE",
    "RETURNS_FILTERS",
    "Extent",
    "Lines",
    "LoadedLines",
    "Policy",
    "TextEvidence",
]

RETURNS_FILTERS = {"net": "TRUE", "ignore": "amount >= 0", "error": "TRUE"}
"""Which lines enter the ledger, by the setting `returns`."""


class Extent(NamedTuple):
    """How far a log reaches."""

    lines: int
    usable: int
    """Lines with an id, a day and an amount."""
    first: int | None
    """Day number of the first usable line."""
    last: int | None
    refunds: int
    """Usable lines with a negative amount."""
    largest: float
    """The largest amount either way."""

    def plus(self, other: Extent) -> Extent:
        """That of two logs together."""
        return Extent(
            self.lines + other.lines,
            self.usable + other.usable,
            min((day for day in (self.first, other.first) if day is not None), default=None),
            max((day for day in (self.last, other.last) if day is not None), default=None),
            self.refunds + other.refunds,
            max(self.largest, other.largest),
        )


class TextEvidence(NamedTuple):
    """What the text columns show, in numbers of lines: ids that are no whole numbers; dates that can only be day, or
    month, first; times with a zone, and times without one. And how often ids were text though the log has types.
    """

    other_ids: int
    day_first: int
    month_first: int
    zoned: int
    zoneless: int
    text_ids: int

    def plus(self, other: TextEvidence) -> TextEvidence:
        """That of two logs together."""
        return TextEvidence(*map(sum, zip(self, other, strict=True)))

    def probe(self) -> Probe:
        """What follows from it."""
        order = DayOrder.shown_by(self.day_first, self.month_first)
        mixed_zones = self.zoned > 0 and self.zoneless > 0
        return Probe(not self.other_ids, order, mixed_zones=mixed_zones, text_ids=self.text_ids > 0)


NO_EVIDENCE = TextEvidence(0, 0, 0, 0, 0, 0)


class Lines(Protocol):
    """Typed lines as the relation `lines` of an engine, wherever they come from."""

    engine: Engine
    columns: Columns
    policy: Policy
    encoding: str
    """Of the text files."""

    @property
    def extent(self) -> Extent:
        """How far the log reaches."""

    @property
    def whole_ids(self) -> bool:
        """Whether all ids are whole numbers."""

    @property
    def conditions(self) -> list[Condition]:
        """The rules of which an example can be shown."""

    @property
    def counted(self) -> bool:
        """Whether the rules have been counted."""

    def count(self, known: Counts | None = None) -> DataReport:
        """The counts that hold for every as_of; known: those that a reader of all lines has made already."""


class LoadedLines:
    """The lines of a source."""

    def __init__(
        self,
        source: Source,
        columns: Columns,
        policy: Policy,
        resources: Resources = WHOLE_MACHINE,
        before: TextEvidence = NO_EVIDENCE,
        folder: str | None = None,
    ) -> None:
        """before: what lines showed that were read another day; folder: of a state, which the engine works in.

        Raises DataError where the source cannot be read, lacks a column, or holds no dates where they should be.
        """
        self.columns, self.policy = columns, policy
        self.engine = _engine(source, policy.timezone, resources)
        self.engine.dialect = reading_decimals(self.engine.dialect, policy.decimal)
        self.encoding = _load(self.engine, source, columns, policy.encoding, resources)
        if not source.on_spark:
            self.engine.close_files(() if source.once else source.files, folder)
        self.types = self.engine.columns("source")
        if policy.decimal is None and self.types["src_amount"] == "VARCHAR":
            check_plain(self.engine, "src_amount", columns.amount)
        self.evidence = _text_evidence(self.engine, self.types, untyped=_is_untyped(source, self.types))
        self.probe = before.plus(self.evidence).probe()
        lines = lines_sql(columns, self.types, self.probe, self.engine.dialect, policy.excluded_sql)
        if source.once:
            self.engine.keep("lines", lines)  # text takes long to type: once, not whenever lines are read
            self.engine.run("DROP TABLE source")
        else:
            self.engine.view("lines", lines)
        self._report: DataReport | None = None

    @functools.cached_property
    def extent(self) -> Extent:
        """How far the log reaches."""
        return Extent(*self.engine.rows(statement("extent"))[0])

    @functools.cached_property
    def line_rules(self) -> list[Condition]:
        """The rules that a line can break alone."""
        return line_rules(self.columns, self.types, self.probe, self.engine.dialect, self.policy)

    @functools.cached_property
    def log_rules(self) -> list[Condition]:
        """The rules of the whole log."""
        return log_rules(self.columns, self.types, self.probe, self.engine.dialect)

    @property
    def whole_ids(self) -> bool:
        """Whether all ids are whole numbers."""
        return self.probe.whole_ids

    @property
    def conditions(self) -> list[Condition]:
        """All rules."""
        return [*self.line_rules, *self.log_rules]

    def count(self, known: Counts | None = None) -> DataReport:
        """The counts of all rules, made once."""
        if self._report is None:
            self._report = count_rules(self.engine, self.line_rules, self.log_rules, known)
        return self._report

    @property
    def counted(self) -> bool:
        """Whether the rules have been counted."""
        return self._report is not None


def _engine(source: Source, timezone: str, resources: Resources) -> Engine:
    if not source.on_spark:
        return Engine(timezone, resources)
    if resources != WHOLE_MACHINE:
        raise OptionError("memory, threads and spill are not for Spark: its own configuration says what a job may use.")
    from clvml.orders.engines.spark import SparkEngine

    return SparkEngine(source.table, timezone)


def _load(
    engine: Engine, source: Source, columns: Columns, encoding: str | None = None, resources: Resources = WHOLE_MACHINE
) -> str:
    """Make the relation `source`: a view where the log can be scanned again, else a copy of the columns needed.

    Gives the encoding of the text files.
    """
    if source.csv:
        return _load_csv(engine, source, columns, encoding, resources)
    if encoding is not None:
        raise OptionError(f"encoding={encoding!r} is for CSV files, and the log is a {source.label}. Leave it out.")
    if source.database is not None:
        _load_database(engine, source.database, columns)
        return UTF_8
    if source.table is not None:
        engine.register("raw", source.table)
    else:
        engine.view("raw", source.parquet)
    (engine.keep if source.once else engine.view)("source", _source_sql(engine, source, columns))
    return UTF_8


def _source_sql(engine: Engine, source: Source, columns: Columns) -> str:
    names = list(engine.columns("raw"))
    columns.check(names, source.index_names)
    return source_sql(columns, "raw", names, engine.dialect)


def _load_csv(engine: Engine, source: Source, columns: Columns, encoding: str | None, resources: Resources) -> str:
    with readable_files(source.csv, encoding, resources.temporary()) as texts:
        engine.view("raw", scan_csv(texts.paths))
        sql = _source_sql(engine, source, columns)
        try:
            engine.keep("source", sql)
        except DataError as error:
            if encoding is not None or "not utf-8 encoded" not in str(error):
                raise
            texts.find_others()
            engine.view("raw", scan_csv(texts.paths))
            engine.keep("source", sql)
        return texts.others


def _load_database(engine: Engine, database: DuckDBFile | Postgres | SqlDatabase, columns: Columns) -> None:
    """A table of a DuckDB file stays where it is; a query, and what a server sends, is kept."""
    if not isinstance(database, DuckDBFile):
        with database.rows(columns.named().values()) as (names, rows):
            columns.check(names)
            engine.register("raw", rows)
            engine.keep("source", source_sql(columns, "raw", [LINE], engine.dialect))
        return
    raw = database.attach(engine)
    names = list(engine.columns(f"SELECT * FROM {raw}"))
    columns.check(names)
    make = engine.keep if database.table is None else engine.view
    make("source", source_sql(columns, raw, names, engine.dialect))


def _is_untyped(source: Source, types: dict[str, str]) -> bool:
    """Whether all is text for want of types, as in CSV: then ids of digits become numbers. Elsewhere they stay text.

    A Spark frame does not tell where it was read from; one of nothing but text is as good as a CSV file.
    """
    kinds = {kind for name, kind in types.items() if name.startswith("src_")}
    return bool(source.csv) or (source.on_spark and kinds == {"VARCHAR"})


def _text_evidence(engine: Engine, types: dict[str, str], *, untyped: bool) -> TextEvidence:
    """One look at the columns whose types leave something open."""
    id_kind, date_kind = types["src_customer"], types["src_date"]
    text_ids = not untyped and (id_kind == "VARCHAR" or id_kind.startswith("ENUM"))
    text = text_of(date_kind, "src_date", engine.dialect)
    is_text = date_kind == "VARCHAR"
    sql = statement(
        "probe",
        missing=missing_id(id_kind, engine.dialect),
        whole=whole_id(id_kind, engine.dialect),
        day_first=shows_day_first(text, engine.dialect) if is_text else "FALSE",
        month_first=shows_month_first(text, engine.dialect) if is_text else "FALSE",
        zoned=zoned_text(text, engine.dialect) if is_text else "FALSE",
        zoneless=zoneless_text(text, engine.dialect) if is_text else "FALSE",
    )
    return TextEvidence(*map(int, (*engine.rows(sql)[0], text_ids)))
