"""A log behind its engine: the source loaded, its lines typed, its rules counted, its ledger kept."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
from typing import Any, NamedTuple

from clvml.errors import DataError, OptionError
from clvml.horizon import as_date, day_number, day_of_number
from clvml.orders.data_report import DataReport, Rule, count_rules, with_examples
from clvml.orders.engines.duckdb import SCALE, Engine, statement
from clvml.orders.reading.columns import Columns, Probe, lines_sql, missing_id, source_sql, text_of, whole_id
from clvml.orders.reading.csv_files import scan_csv
from clvml.orders.reading.databases import LINE, DuckDBFile, Postgres
from clvml.orders.reading.dates import DayOrder, shows_day_first, shows_month_first
from clvml.orders.reading.rules import Condition, line_rules, log_rules
from clvml.orders.reading.sources import Source
from clvml.resources import WHOLE_MACHINE, Resources

__all__ = ["KEPT", "NOTHING_SEEN", "Glance", "Log", "Policy", "Seen", "service_of", "sums_sql"]

_NEVER = 99_999_999
_ALWAYS = -99_999_999
_SHORT = 2**15
"""Days from 1970 on whose numbers fit in two bytes: until 2059."""
_SMALL = 0.99 * 10 ** (9 - SCALE)
"""Amounts below, with four digits after the point, fit in four bytes."""
KEPT = {"net": "TRUE", "ignore": "amount >= 0", "error": "TRUE"}
"""Which lines enter the ledger, by the setting `returns`."""


_TOUCHED = "EXISTS (SELECT 1 FROM touched AS v WHERE v.customer_id = t.customer_id AND v.day = t.day)"
"""Customer-days of which something is cancelled: few, so that the others need no second sum."""


class Glance(NamedTuple):
    """The size of a log: lines, those that count, their first and last day (numbers), how many are refunds, and the
    largest amount either way.
    """

    lines: int
    clean: int
    first: int | None
    last: int | None
    refunds: int
    largest: float


class Seen(NamedTuple):
    """What the text columns show: ids that are no whole numbers; dates that are day, or month, first."""

    other_ids: int
    day_first: int
    month_first: int

    def probe(self) -> Probe:
        """What follows from it."""
        order = DayOrder.UNKNOWN
        if bool(self.day_first) != bool(self.month_first):
            order = DayOrder.DAY_FIRST if self.day_first else DayOrder.MONTH_FIRST
        return Probe(whole_ids=not self.other_ids, day_order=order)


NOTHING_SEEN = Seen(0, 0, 0)


class Policy(NamedTuple):
    """What is made of the lines."""

    returns: str
    timezone: str
    free_orders: bool


class Log:
    """source -> lines (typed, nothing dropped) -> ledger (every customer-day, made once, when it is first wanted)."""

    _asked = False
    """Whether tickets were asked for before."""
    _tallied: tuple[int | None, int | None] = (None, None)
    """Customers, and lines that repeat another, where they were seen on the way to a summary."""

    def __init__(
        self,
        source: Source,
        columns: Columns,
        policy: Policy,
        resources: Resources = WHOLE_MACHINE,
        before: Seen = NOTHING_SEEN,
    ) -> None:
        """before: what lines showed that were read another day."""
        self.columns, self.policy, self.resources, self._before = columns, policy, resources, before
        self.engine = _engine(source, policy.timezone, resources)
        self.encoding, self._once = _load(self.engine, source, columns), source.once
        self.types = self.engine.columns("source")

    def report(self, as_of: Any = None) -> DataReport:
        """The counts of every rule, with the lines after `as_of`, without examples."""
        rules = [*self._counted.rules]
        if self.encoding != "utf-8":
            message = f"the file is not UTF-8: read as {self.encoding}"
            rules.append(Rule("encoding", self._counted.rows, "", "converted", message))
        for condition in _after(as_of):
            some = self._counted.last is not None and self._counted.last > as_date(as_of)
            rows = self.engine.rows(f"SELECT COUNT(*) FROM lines WHERE {condition.sql}")[0][0] if some else 0
            rules.append(Rule(condition.name, rows, "", condition.action, condition.message))
        return dataclasses.replace(self._counted, rules=tuple(rules))

    def report_with_examples(self, as_of: Any = None) -> DataReport:
        """The same, with the first row that breaks each rule."""
        conditions = [*self._rules[0], *self._rules[1], *_after(as_of)]
        return with_examples(self.report(as_of), self.engine, self.columns, conditions)

    @property
    def span(self) -> tuple[dt.date, dt.date]:
        """First and last day of the lines that count. Raises DataError where none does."""
        first, last = self.glance.first, self.glance.last
        assert first is not None
        assert last is not None
        return day_of_number(first), day_of_number(last)

    def days(self, as_of: dt.date, after: dt.date | None, period: str) -> str:
        """The SELECT of customer-days booked after one day and known on another; see sql/days.sql."""
        span = {"as_of": day_number(as_of), "after": _ALWAYS if after is None else day_number(after)}
        apart = self.columns.order is None and period == "day"
        if apart and not self.glance.refunds:
            return statement("plain_days", tickets=self._tickets(), **span)
        self._ledger  # noqa: B018  is made when it is first wanted
        if not apart:
            return statement("days", ledger="ledger", period=period, **span)
        plain = statement("plain_days", tickets=f"SELECT * FROM tickets AS t WHERE NOT {_TOUCHED}", **span)
        booked = f"(SELECT * FROM ledger AS t WHERE {_TOUCHED}) AS touched_days"
        return f"{plain} UNION ALL {statement('days', ledger=booked, period=period, **span)}"

    def booked(self, as_of: dt.date, period: str, *, hashed: bool = False) -> str:
        """The SELECT of what was booked by a day, for `clvml.orders.summaries`: a row a customer and day, or several.

        hashed: with a hash of the whole line, of a log that is `plain`.
        """
        if self.plain(period):
            return self._plain_lines(as_of, hashed)
        return statement("booked", days=self.days(as_of, None, period))

    def plain(self, period: str) -> bool:
        """Whether all that is needed of a customer-day is the sum of its lines."""
        flat = isinstance(self.columns.service_cost, int | float)  # of each customer-day
        return period == "day" and not (flat or self.columns.order or self.glance.refunds or self.policy.free_orders)

    @property
    def tallies(self) -> bool:
        """Whether the lines of `booked` by the day, being all lines that count, also tell what a report asks of the
        whole log: that is quicker than to ask for it.
        """
        return self.plain("day") and not self.sizes.refunds and self.engine.gathers and "_counted" not in self.__dict__

    def tallied(self, as_of: dt.date, customers: int, twins: int) -> None:
        """Take in what the lines up to a day told: how many customers there are, and lines that repeat another."""
        others = 0
        if self.sizes.lines > self.sizes.clean or self.span[1] > as_of:
            later = f"NOT COALESCE(clean AND day <= {day_number(as_of)}, FALSE)"
            found = "COUNT(CASE WHEN clean THEN 1 END), COUNT(*) - COUNT(DISTINCT line_hash)"
            others, more = self.engine.rows(f"SELECT {found} FROM lines WHERE {later}")[0]
            twins += more
        self._tallied = None if others else customers, twins

    def _plain_lines(self, as_of: dt.date, hashed: bool) -> str:
        costly = any(told is not None for told in (self.columns.margin, self.columns.cost, self.columns.service_cost))
        more = f",\n    CAST(contribution - service AS DECIMAL(18, {SCALE})) AS earned" if costly else ""
        more += ",\n    line_hash" if hashed else ""
        # Sorting 6 bytes a line instead of 12 takes a quarter less.
        near = day_number(self.span[0]) > -_SHORT and day_number(self.span[1]) < _SHORT
        net = f"CAST(amount AS DECIMAL(9, {SCALE}))" if self.glance.largest < _SMALL else "amount"
        day, kept = "CAST(day AS SMALLINT)" if near else "day", KEPT[self.policy.returns]
        return statement("plain_lines", day=day, net=net, more=more, kept=kept, as_of=day_number(as_of))

    @functools.cached_property
    def sizes(self) -> Glance:
        """The same, whatever the lines are."""
        self._probe  # noqa: B018  makes the lines readable
        return Glance(*self.engine.rows(statement("glance"))[0])

    @functools.cached_property
    def glance(self) -> Glance:
        """The size of the log in one quick look. Raises DataError where no line counts, or one is refused."""
        found = self.sizes
        if not found.clean:
            raise DataError(self.report_with_examples().why_empty())
        if found.refunds and self.policy.returns == "error":
            self._refuse_refunds()
        return found if self.policy.returns == "net" else found._replace(refunds=0)

    def _tickets(self) -> str:
        """The SELECT of the tickets: of those kept, from the second time on.

        Many logs are asked a single time, which takes half as long where nothing is kept for the next.
        """
        if not self._asked and "_ledger" not in self.__dict__:
            self._asked = True
            return _tickets_sql(self.columns, self._sums)
        self._ledger  # noqa: B018  is made when it is first wanted
        return "SELECT * FROM tickets"

    @functools.cached_property
    def seen(self) -> Seen:
        """What the text columns of these lines show."""
        return _look(self.engine, self.types)

    @functools.cached_property
    def _probe(self) -> Probe:
        """What the text columns show; makes the typed lines readable."""
        probe = Seen(*map(sum, zip(self._before, self.seen, strict=True))).probe()
        lines = lines_sql(self.columns, self.types, probe, self.engine.dialect)
        if not self._once:
            self.engine.view("lines", lines)
            return probe
        self.engine.keep("lines", lines)  # text takes long to type: once, not at every look
        self.engine.run("DROP TABLE source")
        return probe

    @functools.cached_property
    def _rules(self) -> tuple[list[Condition], list[Condition]]:
        """The rules of single lines, and those of the whole log."""
        zone, free = self.policy.timezone, self.policy.free_orders
        told = {
            "zero": "a purchase (free_orders=True)" if free else "no purchase by itself; free_orders=True makes it one",
            "zone": zone if zone != "UTC" else "UTC (name the business's own with timezone='…')",
            "returns": self.policy.returns,
        }
        lines = line_rules(self.columns, self.types, self._probe, self.engine.dialect, told)
        return lines, log_rules(self.columns, self.types, self._probe, self.engine.dialect)

    def line_report(self) -> DataReport:
        """The counts of the rules that a line can break alone."""
        return count_rules(self.engine, self._rules[0], [])

    @functools.cached_property
    def _counted(self) -> DataReport:
        """The counts that hold for every as_of."""
        return count_rules(self.engine, *self._rules, *self._tallied)

    @functools.cached_property
    def _ledger(self) -> None:
        """The book of all customer-days."""
        refunds = self.glance.refunds
        self.engine.keep("tickets", _tickets_sql(self.columns, self._sums))
        self.engine.keep("voids", statement("voids") + ("" if refunds else " LIMIT 0"))
        self.engine.keep("touched", "SELECT DISTINCT customer_id, day FROM voids")
        self.engine.view("ledger", statement("ledger", never=_NEVER))

    @property
    def _sums(self) -> str:
        """The SELECT of what adds up of each ticket."""
        return sums_sql(self.columns, self.policy, refunds=bool(self.glance.refunds))

    def _refuse_refunds(self) -> None:
        rule = self.report_with_examples().rule("negative amount")
        raise DataError(
            f"returns='error', and {rule.rows:,} lines are refunds{rule.first and f', the first: {rule.first}'}. "
            "Use returns='net' to take them out of the money, or 'ignore' to leave them out."
        )


def sums_sql(columns: Columns, policy: Policy, service: str = "", *, refunds: bool = True) -> str:
    """The SELECT of what adds up of each ticket, from the lines. service: its columns, where not that of a ticket.

    refunds: whether there are any; without, a third of the time is saved.
    """
    by_order = columns.order is not None
    sold, returned = (f"SUM(CASE WHEN amount {sign} 0 THEN ABS(amount) ELSE 0 END)" for sign in "><")
    return statement(
        "sums",
        keys="customer_id, day, order_id" if by_order else "customer_id, day",
        order="order_id" if by_order else "CAST(NULL AS STRING)",
        service=service or f"{service_of('SUM(service)', 'MAX(service)', columns)} AS service",
        gross=sold if refunds else "SUM(amount)",
        refunds=returned if refunds else "0",
        kept=KEPT[policy.returns],
        free="CAST(SUM(CASE WHEN amount = 0 THEN 1 ELSE 0 END) AS INTEGER)" if policy.free_orders else "0",
    )


def service_of(lines: str, order: str, columns: Columns) -> str:
    """The cost of serving a ticket: a column tells it on every line of an order; a line without order id is one."""
    return lines if columns.order is None else f"CASE WHEN order_id IS NULL THEN {lines} ELSE {order} END"


def _tickets_sql(columns: Columns, sums: str) -> str:
    flat = columns.service_cost
    flat_cost = repr(float(flat)) if isinstance(flat, int | float) else "0"
    costly = columns.margin is not None or columns.cost is not None or flat is not None
    cost = f"CASE WHEN gross > 0 OR free > 0 THEN {flat_cost} ELSE 0 END"
    return statement("tickets", sums=sums, contribution=f"earned - service - {cost}" if costly else "gross - refunds")


def _after(as_of: Any) -> list[Condition]:
    if as_of is None:
        return []
    day = as_date(as_of)
    message = f"booked after {day}: unknown then"
    return [Condition("date after as_of", f"clean AND day > {day_number(day)}", "ignored", message)]


def _engine(source: Source, timezone: str, resources: Resources) -> Engine:
    if not source.on_spark:
        return Engine(timezone, resources)
    if resources != WHOLE_MACHINE:
        raise OptionError("memory, threads and spill are not for Spark: its own configuration says what a job may use.")
    from clvml.orders.engines.spark import SparkEngine

    return SparkEngine(source.table, timezone)


def _load(engine: Engine, source: Source, columns: Columns) -> str:
    """Make the relation `source`: a view where the log can be scanned again, else a copy of the columns needed.

    Gives the encoding of the text files.
    """
    encoding = "utf-8"
    if source.database is not None:
        _load_database(engine, source.database, columns)
        return encoding
    if source.table is not None:
        engine.register("raw", source.table)
    else:
        engine.view("raw", source.parquet or scan_csv(source.csv, encoding))
    names = list(engine.columns("raw"))
    columns.check(names)
    sql = source_sql(columns, "raw", names, engine.dialect)
    if not source.once:
        engine.view("source", sql)
        return encoding
    try:
        engine.keep("source", sql)
    except DataError as error:
        if "not utf-8 encoded" not in str(error):
            raise
        encoding = "latin-1"
        engine.view("raw", scan_csv(source.csv, encoding))
        engine.keep("source", sql)
    return encoding


def _load_database(engine: Engine, database: DuckDBFile | Postgres, columns: Columns) -> None:
    """A table of a DuckDB file stays where it is; a query, and what a server sends, is kept."""
    if isinstance(database, Postgres):
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


def _look(engine: Engine, types: dict[str, str]) -> Seen:
    """One look at the columns whose types leave something open."""
    id_kind, date_kind = types["src_customer"], types["src_date"]
    text = text_of(date_kind, "src_date", engine.dialect)
    is_text = date_kind == "VARCHAR"
    sql = statement(
        "probe",
        missing=missing_id(id_kind, engine.dialect),
        whole=whole_id(id_kind, engine.dialect),
        day_first=shows_day_first(text, engine.dialect) if is_text else "FALSE",
        month_first=shows_month_first(text, engine.dialect) if is_text else "FALSE",
    )
    return Seen(*map(int, engine.rows(sql)[0]))
