"""Transactions: a log of orders, which column is what, and the tables that everything else works on."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from clvml.columns import Columns, Probe, lines_sql, missing_id, source_sql, text_of, whole_id
from clvml.csvfiles import scan_csv
from clvml.dates import DayOrder, shows_day_first, shows_month_first
from clvml.engines import Engine, statement
from clvml.errors import DataError, OptionError
from clvml.horizon import EPOCH, as_date, day_number
from clvml.report import DataReport, Rule, count_rules, with_examples
from clvml.rules import Condition, line_rules, log_rules
from clvml.sources import Source, open_source

__all__ = ["Split", "Transactions"]

_NEVER = 99_999_999
_ALWAYS = -99_999_999
_PERIODS = {"day": "day", "week": "CAST(FLOOR(day / 7.0) AS INTEGER) * 7"}
_KEPT = {"net": "TRUE", "ignore": "amount >= 0", "error": "TRUE"}


class Split(NamedTuple):
    """What was known at the cut, and what came after it."""

    summary: pd.DataFrame
    """One row a customer known at the cut."""
    holdout: pd.DataFrame
    """The same customers in the same order: purchases, spend, returned; `attrs` tell of those who joined later."""


class Transactions:
    """A log of orders, read where it lies and left unchanged.

    source: pandas or polars frame, pyarrow Table, Dataset or RecordBatchReader, DuckDB relation, or Parquet or CSV by path, glob or list.
    customer, date, amount: its columns. order: order id, so that an order refunded in full under its own id is no purchase.
    is_return: a flag of lines that book a refund though their amount is positive: their sign is turned. Where the flag marks the original
        sale of an order that came back, use returns="ignore": the sale is taken out, and nothing is subtracted.
    margin: share of the amount that is contribution, a number or a column; or cost: a column of cost per line.
    service_cost: cost of serving one order, a number or a column (the same on every line of its order).
    channel: where the customer came from, taken from the first day known; covariates: columns carried along, from the last day known.
    returns: "net" takes refunds out of the money; "ignore" leaves refund lines out altogether; "error" refuses a log that has any.
    grain: "day", or "week" (Monday to Sunday), within which several orders are one purchase.
    timezone: the business's own, for times that name a zone (default UTC). Times without a zone are taken as they are.

    free_orders: whether a day of nothing but zero amounts is a purchase, as lifetimes and the published CDNOW figures take it.

    Everything is by booking time: what is booked after `as_of`, cancellations too, is unknown at `as_of`.

    Raises DataError where the log cannot be read or lacks a column, OptionError for settings that do not exist.
    """

    def __init__(
        self,
        source: Any,
        *,
        customer: str = "customer_id",
        date: str = "date",
        amount: str = "amount",
        order: str | None = None,
        is_return: str | None = None,
        margin: str | float | None = None,
        cost: str | None = None,
        service_cost: str | float | None = None,
        channel: str | None = None,
        covariates: Sequence[str] = (),
        returns: Literal["net", "ignore", "error"] = "net",
        grain: Literal["day", "week"] = "day",
        timezone: str | None = None,
        free_orders: bool = False,
    ) -> None:
        _choice("returns", returns, _KEPT)
        _choice("grain", grain, _PERIODS)
        self._columns = Columns(
            customer, date, amount, order, is_return, margin, cost, service_cost, channel, tuple(covariates)
        )
        self._returns, self._grain, self._free_orders = returns, grain, free_orders
        self._zone = timezone or "UTC"
        self._engine = Engine(self._zone)
        self._encoding = _load(self._engine, open_source(source), self._columns)
        self._types = self._engine.columns("source")

    def __repr__(self) -> str:
        return f"Transactions({', '.join(f'{role}={name!r}' for role, name in self._columns.named().items())})"

    @property
    def first_date(self) -> dt.date:
        """Day of the first line that counts."""
        return self._span[0]

    @property
    def last_date(self) -> dt.date:
        """Day of the last line that counts."""
        return self._span[1]

    def check(self, as_of: Any = None) -> DataReport:
        """What is unusual about the log and what is done about it, rule by rule. `as_of` adds the lines dated after it."""
        conditions = self._conditions(as_of)
        report = self._counted(as_of)
        return with_examples(report, self._engine, self._columns, conditions)

    def summarize(self, as_of: Any) -> pd.DataFrame:
        """One row a customer with a purchase by `as_of`, sorted by customer_id; see `clvml.tables.SUMMARY` for the columns.

        Raises DataError where nothing was bought by then, OptionError where `as_of` is no day.
        """
        day = as_date(as_of)
        days = self._known(day)
        table = self._engine.frame(statement("summary", days=days, rhythm=self._rhythm(day, "SELECT * FROM days")))
        if table.empty:
            raise DataError(
                f"No purchase up to {day}: all lines up to then are refunds, zero, or orders cancelled in full."
            )
        summary = _dated(table)
        for pick, role, name in self._traits():
            summary[name] = self._trait(role, pick, day, summary["customer_id"])
        summary.attrs = {"as_of": day.isoformat(), "data_report": self._counted(day).to_dict()}
        return summary

    def counts(self, as_of: Any) -> pd.DataFrame:
        """frequency, recency, T and how many customers share them: all that a BTYD likelihood needs."""
        day = as_date(as_of)
        days = self._known(day)
        return self._engine.frame(statement("counts", rhythm=self._rhythm(day, days))).rename(columns={"age": "T"})

    def split(self, cut: Any, end: Any) -> Split:
        """The summary as of `cut`, and the purchases of its customers in (cut, end].

        holdout: customer_id, purchases (purchase days), spend (their net amount), returned (bool); attrs: cut, end, late_joiners,
        late_joiner_purchases, late_joiner_spend, and last_date, before which `end` should lie.
        """
        first, last = as_date(cut, "cut"), as_date(end, "end")
        if last <= first:
            raise OptionError(f"end={last} must lie after cut={first}.")
        summary = self.summarize(first)
        known, later = self._known(first), self._days(last, after=first)
        holdout = self._engine.frame(statement("holdout", known=known, later=later))
        holdout["customer_id"] = summary["customer_id"]
        holdout["returned"] = holdout["purchases"] > 0
        joined = self._engine.rows(statement("late_joiners", known=known, later=later))[0]
        late = dict(zip(("late_joiners", "late_joiner_purchases", "late_joiner_spend"), joined, strict=True))
        holdout.attrs = {
            "cut": first.isoformat(),
            "end": last.isoformat(),
            "last_date": self.last_date.isoformat(),
            **late,
        }
        return Split(summary, holdout)

    def purchase_days(self, as_of: Any) -> str:
        """The SELECT of all customer-days known at `as_of`: customer_id, day (number since Monday 1970-01-05), gross, net, refunds,
        contribution, orders, sold, purchase (1 or 0: gross > 0, or a free order that counts). `frame` runs statements built on it.
        """
        return self._known(as_date(as_of))

    def frame(self, sql: str) -> pd.DataFrame:
        """Run a SELECT built on `purchase_days` and give its rows."""
        return self._engine.frame(sql)

    @functools.cached_property
    def _probed(self) -> Probe:
        """What the text columns show; makes the typed lines readable."""
        probe = _probe(self._engine, self._types)
        self._engine.view("lines", lines_sql(self._columns, self._types, probe, self._engine.dialect))
        return probe

    @functools.cached_property
    def _rules(self) -> tuple[list[Condition], list[Condition]]:
        """The rules of single lines, and those of the whole log."""
        zero = (
            "a purchase (free_orders=True)"
            if self._free_orders
            else "no purchase by itself; free_orders=True counts it"
        )
        zone = self._zone + ("" if self._zone != "UTC" else " (name the business's own with timezone='…')")
        told = {"zero": zero, "zone": zone, "returns": self._returns}
        lines = line_rules(self._columns, self._types, self._probed, self._engine.dialect, told)
        return lines, log_rules(self._columns, self._types, self._probed)

    @functools.cached_property
    def _report(self) -> DataReport:
        """The counts that hold for every as_of."""
        return count_rules(self._engine, *self._rules)

    def _conditions(self, as_of: Any) -> list[Condition]:
        return [*self._rules[0], *self._rules[1], *_after(as_of)]

    def _counted(self, as_of: Any) -> DataReport:
        """The report without examples: the counts, with those after `as_of`."""
        rules = [*self._report.rules]
        if self._encoding != "utf-8":
            rules.append(
                Rule("encoding", self._report.rows, "", "converted", f"the file is not UTF-8: read as {self._encoding}")
            )
        for condition in _after(as_of):
            rows = self._engine.rows(f"SELECT COUNT(*) FROM lines WHERE {condition.sql}")[0][0]
            rules.append(Rule(condition.name, rows, "", condition.action, condition.message))
        return dataclasses.replace(self._report, rules=tuple(rules))

    @functools.cached_property
    def _span(self) -> tuple[dt.date, dt.date]:
        if self._report.first is None or self._report.last is None:
            raise DataError(self.check().why_empty())
        return self._report.first, self._report.last

    @functools.cached_property
    def _ledger(self) -> None:
        """The book of all customer-days, made once."""
        self._span  # noqa: B018  raises where no line counts
        if self._returns == "error":
            self._refuse_refunds()
        self._engine.keep("tickets", self._tickets())
        self._engine.keep("voids", statement("voids"))
        self._engine.view("ledger", statement("ledger", never=_NEVER))

    def _tickets(self) -> str:
        flat = self._columns.service_cost
        by_order = self._columns.order is not None
        return statement(
            "tickets",
            keys="customer_id, day, order_id" if by_order else "customer_id, day",
            order="order_id" if by_order else "CAST(NULL AS VARCHAR)",
            # A column tells the cost on every line of an order; without order ids each line is one.
            service="CASE WHEN order_id IS NULL THEN SUM(service) ELSE MAX(service) END"
            if by_order
            else "SUM(service)",
            order_cost=repr(float(flat)) if isinstance(flat, int | float) else "0",
            kept=_KEPT[self._returns],
            free=int(self._free_orders),
            paid=">= 0" if self._free_orders else "> 0",
        )

    def _refuse_refunds(self) -> None:
        rule = self.check().rule("negative amount")
        if rule.rows:
            raise DataError(
                f"returns='error', and {rule.rows:,} lines are refunds, the first: {rule.first}. Use returns='net' or 'ignore'."
            )

    def _known(self, as_of: dt.date) -> str:
        if as_of < self.first_date:
            raise DataError(
                f"Nothing was booked up to {as_of}: the log begins on {self.first_date} and ends on {self.last_date}."
            )
        return self._days(as_of)

    def _days(self, as_of: dt.date, after: dt.date | None = None) -> str:
        self._ledger  # noqa: B018
        start = _ALWAYS if after is None else day_number(after)
        return statement("days", as_of=day_number(as_of), after=start, period=_PERIODS[self._grain])

    def _rhythm(self, as_of: dt.date, days: str) -> str:
        number = day_number(as_of)
        return statement("rhythm", days=days, as_of=number // 7 * 7 if self._grain == "week" else number)

    def _traits(self) -> list[tuple[str, str, str]]:
        first = [("MIN", "channel", "channel")] if self._columns.channel else []
        return first + [("MAX", role, name) for role, name in self._columns.traits()]

    def _trait(self, role: str, pick: str, as_of: dt.date, customers: pd.Series) -> pd.Series:
        sql = statement("trait", column=f"src_{role}", pick=pick, as_of=day_number(as_of))
        values = self._engine.frame(sql).set_index("customer_id")["value"]
        return customers.map(values)


def _after(as_of: Any) -> list[Condition]:
    if as_of is None:
        return []
    day = as_date(as_of)
    return [
        Condition(
            "date after as_of", f"clean AND day > {day_number(day)}", "ignored", f"booked after {day}: unknown then"
        )
    ]


def _choice(name: str, value: object, known: dict[str, str]) -> None:
    if value not in known:
        raise OptionError(f"{name}={value!r} is not a choice. Take one of: {', '.join(repr(k) for k in known)}.")


def _load(engine: Engine, source: Source, columns: Columns) -> str:
    """Make the relation `source`: a view where the log can be scanned again, a copy of the columns needed where not. Gives the encoding."""
    encoding = "utf-8"
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
        if "not utf-8" not in str(error):
            raise
        encoding = "latin-1"
        engine.view("raw", scan_csv(source.csv, encoding))
        engine.keep("source", sql)
    return encoding


def _probe(engine: Engine, types: dict[str, str]) -> Probe:
    """Look once at the columns whose types leave something open."""
    id_kind, date_kind = types["src_customer"], types["src_date"]
    text = text_of(date_kind, "src_date", engine.dialect)
    is_text = date_kind == "VARCHAR"
    sql = statement(
        "probe",
        missing=missing_id(id_kind, engine.dialect),
        whole=whole_id(id_kind, engine.dialect),
        day_first=shows_day_first(text) if is_text else "FALSE",
        month_first=shows_month_first(text) if is_text else "FALSE",
    )
    other, day_first, month_first = engine.rows(sql)[0]
    order = DayOrder.UNKNOWN
    if bool(day_first) != bool(month_first):
        order = DayOrder.DAY_FIRST if day_first else DayOrder.MONTH_FIRST
    return Probe(whole_ids=not other, day_order=order)


def _dated(table: pd.DataFrame) -> pd.DataFrame:
    """Day numbers as dates, in the order of the contract."""
    origin = np.datetime64(EPOCH.isoformat(), "us")
    for column in ("first", "last"):
        days = table.pop(f"{column}_day").to_numpy().astype("timedelta64[D]")
        table.insert(1 if column == "first" else 2, f"{column}_date", origin + days)
    return table.rename(columns={"age": "T"})
