"""A log, wherever its lines are kept: its report, its days, and what was booked of each customer on each of them."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from clvml.errors import DataError
from clvml.horizon import as_date, day_number, day_of_number
from clvml.orders.data_report import Counts, DataReport, Rule, with_examples
from clvml.orders.engines.duckdb import SCALE, statement
from clvml.orders.lines import RETURNS_FILTERS, Extent, Lines
from clvml.orders.outliers import Outliers, find_outliers
from clvml.orders.reading.encodings import UTF_8
from clvml.orders.reading.rules import Condition

__all__ = ["PERIODS", "Log"]

PERIODS = {"day": "day", "week": "CAST(FLOOR(day / 7.0) AS INTEGER) * 7"}
"""The SQL of the day that stands for a purchase's period, by the setting `grain`."""

NEVER_DAY, FIRST_DAY = 99_999_999, -99_999_999
"""Day numbers after and before all others."""
SMALLINT_DAY = 2**15
"""Days from 1970 on whose numbers fit in two bytes: until 2059."""
DECIMAL9_AMOUNT = 0.99 * 10 ** (9 - SCALE)
"""Amounts below, with four digits after the point, fit in four bytes."""

_CANCELLED = "EXISTS (SELECT 1 FROM cancelled_days AS v WHERE v.customer_id = t.customer_id AND v.day = t.day)"
"""Customer-days of which something is cancelled: few, so that the others need no second sum."""


class Log:
    """lines (typed, nothing dropped) -> order totals -> ledger (what was booked, with the day of its cancellation)."""

    def __init__(self, lines: Lines, grain: str) -> None:
        self.lines, self.engine, self.columns, self.policy = lines, lines.engine, lines.columns, lines.policy
        self._period = PERIODS[grain]
        self._has_ledger = False

    @property
    def usable(self) -> Extent:
        """How far the log reaches, refunds counted where they matter.

        Raises DataError where no line counts, or one is refused.
        """
        found = self.lines.extent
        if not found.usable:
            raise DataError(self.report(examples=True).why_empty())
        if found.refunds and self.policy.returns == "error":
            raise DataError(self._refused_refunds())
        return found if self.policy.returns == "net" else found._replace(refunds=0)

    @property
    def span(self) -> tuple[dt.date, dt.date]:
        """First and last day of the lines that count. Raises DataError where none does."""
        found = self.usable
        assert found.first is not None
        assert found.last is not None
        return day_of_number(found.first), day_of_number(found.last)

    def report(self, as_of: Any = None, *, examples: bool = False, known: Counts | None = None) -> DataReport:
        """The counts of every rule, with the lines after `as_of`; examples: the first row that breaks each.

        known: what a reader of all lines has counted already.
        """
        counted = self.lines.count(known)
        rules = [*counted.rules]
        if self.policy.encoding is None and self.lines.encoding != UTF_8:
            message = (
                f"not all files are UTF-8; those are read as {self.lines.encoding}: encoding='…' says what they are "
                "where texts look wrong"
            )
            rules.append(Rule("encoding", counted.rows, "", "converted", message))
        later = _after(as_of)
        for condition in later:
            some = counted.last is not None and counted.last > as_date(as_of)
            rows = self.engine.rows(f"SELECT COUNT(*) FROM lines WHERE {condition.sql}")[0][0] if some else 0
            rules.append(Rule(condition.name, rows, "", condition.action, condition.message))
        found = dataclasses.replace(
            counted, rules=tuple(rules), outliers=self.outliers(as_of).rules if examples and counted.usable else ()
        )
        shown = self.lines.conditions if examples else []
        return with_examples(found, self.engine, self.columns, [*shown, *later]) if shown else found

    def outliers(self, as_of: Any = None) -> Outliers:
        """What would head lists and carry totals wrongly, of the lines up to a day."""
        return find_outliers(
            self.engine,
            by_order=self.columns.order is not None,
            whole_ids=self.lines.whole_ids,
            kept=RETURNS_FILTERS[self.policy.returns],
            as_of=NEVER_DAY if as_of is None else day_number(as_date(as_of)),
        )

    def days(self, as_of: dt.date, after: dt.date | None = None) -> str:
        """The SELECT of customer-days booked after one day and known on another; see sql/days.sql."""
        span = {"as_of": day_number(as_of), "after": FIRST_DAY if after is None else day_number(after)}
        period = self._period
        apart = self.columns.order is None and period == PERIODS["day"]
        if apart and not self.usable.refunds:
            return statement("plain_days", order_totals=self._order_totals(), **span)
        self._make_ledger()
        if not apart:
            return statement("days", ledger="ledger", period=period, **span)
        totals = f"SELECT * FROM order_totals AS t WHERE NOT {_CANCELLED}"
        plain = statement("plain_days", order_totals=totals, **span)
        cancelled = f"(SELECT * FROM ledger AS t WHERE {_CANCELLED}) AS t"
        return f"{plain} UNION ALL {statement('days', ledger=cancelled, period=period, **span)}"

    def bookings(self, as_of: dt.date, *, line_hash: bool = False) -> str:
        """The SELECT of what was booked by a day, for `clvml.orders.summaries`: a row a customer and day, or several.

        line_hash: with a hash of the whole line, of a log that is plain.
        """
        if self.is_plain:
            return self._plain_lines(as_of, line_hash)
        return statement("bookings", days=self.days(as_of))

    @property
    def is_plain(self) -> bool:
        """Whether all that is needed of a customer-day is the sum of its lines."""
        if self._period != PERIODS["day"]:
            return False
        flat = isinstance(self.columns.service_cost, int | float)  # of each customer-day
        return not (flat or self.columns.order or self.usable.refunds or self.policy.free_orders)

    @property
    def counts_duplicates(self) -> bool:
        """Whether whoever reads the bookings should count their customers and duplicates, for a report not yet made:
        they are lines, and all lines that count.
        """
        plain = self.is_plain and not self.lines.extent.refunds and self.engine.gathers
        return plain and not self.lines.counted

    def counts_of_bookings(self, as_of: dt.date, customers: int, repeats: int) -> Counts:
        """Counts of the whole log from those of its bookings up to a day, of a log that is plain and without refunds.

        customers: how many there are; repeats: lines that repeat another. What was not booked by then is asked of the
        engine.
        """
        found, others = self.lines.extent, 0
        if found.lines > found.usable or self.span[1] > as_of:
            later = f"NOT COALESCE(clean AND day <= {day_number(as_of)}, FALSE)"
            columns = "COUNT(CASE WHEN clean THEN 1 END), COUNT(*) - COUNT(DISTINCT line_hash)"
            others, more = self.engine.rows(f"SELECT {columns} FROM lines WHERE {later}")[0]
            repeats += more
        return Counts(None if others else customers, repeats)

    def _plain_lines(self, as_of: dt.date, line_hash: bool) -> str:
        settings = (self.columns.margin, self.columns.cost, self.columns.service_cost)
        costly = any(setting is not None for setting in settings)
        more = f",\n    CAST(contribution - service AS DECIMAL(18, {SCALE})) AS contribution" if costly else ""
        more += ",\n    line_hash" if line_hash else ""
        # Sorting 6 bytes a line instead of 12 takes a quarter less.
        near = day_number(self.span[0]) > -SMALLINT_DAY and day_number(self.span[1]) < SMALLINT_DAY
        net = f"CAST(amount AS DECIMAL(9, {SCALE}))" if self.usable.largest < DECIMAL9_AMOUNT else "amount"
        day, kept = "CAST(day AS SMALLINT)" if near else "day", RETURNS_FILTERS[self.policy.returns]
        return statement("plain_lines", day=day, net=net, more=more, kept=kept, as_of=day_number(as_of))

    def _order_totals(self) -> str:
        """The SELECT of the order totals: of those kept, where the ledger needed them."""
        return "SELECT * FROM order_totals" if self._has_ledger else _order_totals_sql(self.lines)

    def _make_ledger(self) -> None:
        """The relations order_totals, cancellations, cancelled_days and ledger, made once."""
        if self._has_ledger:
            return
        refunds = self.usable.refunds
        self.engine.keep("order_totals", _order_totals_sql(self.lines))
        self.engine.keep("cancellations", statement("cancellations") + ("" if refunds else " LIMIT 0"))
        self.engine.keep("cancelled_days", "SELECT DISTINCT customer_id, day FROM cancellations")
        self.engine.view("ledger", statement("ledger", never=NEVER_DAY))
        self._has_ledger = True

    def _refused_refunds(self) -> str:
        rule = self.report(examples=True).rule("negative amount")
        return (
            f"returns='error', and {rule.rows:,} lines are refunds{rule.first and f', the first: {rule.first}'}. "
            "Use returns='net' to take them out of the money, or 'ignore' to leave them out."
        )


def _order_totals_sql(lines: Lines) -> str:
    """The SELECT of what was sold, returned and earned in each order, from the lines that count; without refunds a
    third of the time is saved.
    """
    columns, policy = lines.columns, lines.policy
    by_order, flat = columns.order is not None, columns.service_cost
    refunds = policy.returns == "net" and lines.extent.refunds > 0
    sold, returned = (f"SUM(CASE WHEN amount {sign} 0 THEN ABS(amount) ELSE 0 END)" for sign in "><")
    costly = columns.margin is not None or columns.cost is not None or flat is not None
    flat_cost = repr(float(flat)) if isinstance(flat, int | float) else "0"
    cost = f"CASE WHEN gross > 0 OR free > 0 THEN {flat_cost} ELSE 0 END"
    # A column tells the cost of an order on every line of it; a line without an order id is one.
    service = "CASE WHEN order_id IS NULL THEN SUM(service) ELSE MAX(service) END" if by_order else "SUM(service)"
    return statement(
        "order_totals",
        keys="customer_id, day, order_id" if by_order else "customer_id, day",
        order="order_id" if by_order else "CAST(NULL AS STRING)",
        gross=sold if refunds else "SUM(amount)",
        refunds=returned if refunds else "0",
        contribution=f"contribution - service - {cost}" if costly else "gross - refunds",
        service=service,
        free="CAST(SUM(CASE WHEN amount = 0 THEN 1 ELSE 0 END) AS INTEGER)" if policy.free_orders else "0",
        kept=RETURNS_FILTERS[policy.returns],
    )


def _after(as_of: Any) -> list[Condition]:
    if as_of is None:
        return []
    day = as_date(as_of)
    message = f"booked after {day}: unknown then"
    return [Condition("date after as_of", f"clean AND day > {day_number(day)}", "ignored", message)]
