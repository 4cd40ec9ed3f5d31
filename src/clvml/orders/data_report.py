"""The report on a log: per rule how many rows, where first, and what is done with them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from clvml.display import Figure, card, table_of
from clvml.errors import DataError, did_you_mean
from clvml.horizon import day_of_number
from clvml.orders.engines.duckdb import Engine
from clvml.orders.reading.columns import Columns
from clvml.orders.reading.rules import Condition
from clvml.redaction import ids_are_hidden

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Counts", "DataReport", "Rule", "count_rules", "with_examples"]

TERMINAL_WIDTH = 100
OUTLIERS_TITLE = "Look at these before lists and totals are used:"


@dataclasses.dataclass(frozen=True)
class Rule:
    """One rule and the rows that break it.

    Attributes
    ----------
    name : str
        Such as "missing id".
    rows : int
        Rows that break it.
    first : str
        The first such row, readable; empty where there is none, or none was looked for.
    action : str
        What is done with them: dropped (they count nowhere), netted, kept, converted or ignored.
    message : str
        What it means, or what to do.
    """

    name: str
    rows: int
    first: str
    action: str
    message: str


@dataclasses.dataclass(frozen=True, repr=False)
class DataReport:
    """What is unusual about a log, and what is done about it: the result of `Transactions.check`.

    A row can break several rules. Printed, it is a table for the terminal.

    Attributes
    ----------
    rows, usable : int
        All rows, and those with an id, a day and an amount.
    customers : int
        With at least one usable row.
    first, last : date or None
        The days of the first and the last usable row.
    rules : tuple of Rule
        In the order in which they are applied.
    outliers : tuple of Rule
        What would head lists and carry totals: test or house accounts, outsize orders, the revenue of a few. Only what
        was found, where examples were asked for; `rows` is the number of accounts, orders or customers.

    Examples
    --------
    >>> from clvml import Transactions, load_cdnow
    >>> print(Transactions(load_cdnow(sample=True)).check(examples=False))
    6,919 rows, 6,919 usable · 2,357 customers · 1997-01-01 to 1998-06-30
      zero amount                        8  kept: no purchase by itself; free_orders=True makes it one
      exact duplicate                   21  kept: the same in every column; drop them beforehand if they
                                            are errors
    13 of 15 rules found nothing.
    """

    rows: int
    customers: int
    first: dt.date | None
    last: dt.date | None
    rules: tuple[Rule, ...]
    usable: int = 0
    outliers: tuple[Rule, ...] = ()

    def rule(self, name: str) -> Rule:
        """The rule of that name.

        Raises DataError for one that was not applied.

        Examples
        --------
        >>> from clvml import Transactions, load_cdnow
        >>> Transactions(load_cdnow(sample=True)).check().rule("zero amount").rows
        8
        """
        known = {rule.name: rule for rule in self.rules}
        if name not in known:
            raise DataError(f"The report has no rule '{name}'.{did_you_mean(name, known)} It has: {', '.join(known)}.")
        return known[name]

    def to_dict(self) -> dict[str, Any]:
        """Counts alone, no customer's row: what travels with a summary and into a model's record."""
        return {
            "rows": self.rows,
            "usable": self.usable,
            "customers": self.customers,
            "first": self.first and self.first.isoformat(),
            "last": self.last and self.last.isoformat(),
            "rules": {rule.name: {"rows": rule.rows, "action": rule.action} for rule in self.rules},
        } | ({"outliers": {rule.name: rule.rows for rule in self.outliers}} if self.outliers else {})

    def to_frame(self) -> pd.DataFrame:
        """A row a rule: name, rows, action, message, first."""
        import pandas as pd

        columns = ["name", "rows", "action", "message", "first"]
        return pd.DataFrame([dataclasses.asdict(rule) for rule in self.rules], columns=columns)

    def __str__(self) -> str:
        """A table for the terminal, at most 100 columns wide."""
        span = f"{self.first} to {self.last}" if self.first else "no usable day"
        head = f"{self.rows:,} rows, {self.usable:,} usable · {self.customers:,} customers · {span}"
        broken = [rule for rule in self.rules if rule.rows]
        lines = [line for rule in broken for line in _lines_of(rule)]
        clean = len(self.rules) - len(broken)
        lines.append(f"{clean} of {len(self.rules)} rules found nothing.")
        if self.outliers:
            lines += [OUTLIERS_TITLE, *(line for rule in self.outliers for line in _lines_of(rule))]
        return "\n".join([head, *lines])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        broken = [rule for rule in self.rules if rule.rows]
        rows = [(r.name, f"{r.action}: {r.message}", r.first, f"{r.rows:,}") for r in (*broken, *self.outliers)]
        columns = ("what is unusual", "what is done", "first", "rows")
        clean = len(self.rules) - len(broken)
        return card(
            f"{self.first} to {self.last}" if self.first else "A log without a usable day",
            figures=(
                Figure("rows", f"{self.rows:,}"),
                Figure("usable", f"{self.usable:,}"),
                Figure("customers", f"{self.customers:,}"),
            ),
            tables=(table_of("", columns, rows, words=3),) if rows else (),
            notes=(f"{clean} of {len(self.rules)} rules found nothing.",),
        )

    def why_empty(self) -> str:
        """The message for a log of which no row counts."""
        if not self.rows:
            return "The log is empty: it has no rows."
        reasons = "; ".join(
            f"{rule.rows:,} with {rule.name} ({rule.message}{rule.first and f'; first: {rule.first}'})"
            for rule in self.rules
            if rule.rows and rule.action == "dropped"
        )
        return f"None of the {self.rows:,} rows can be used: {reasons}."


def _lines_of(rule: Rule) -> list[str]:
    start = f"  {rule.name:<24}{rule.rows:>12,}  "
    lines = textwrap.wrap(
        f"{rule.action}: {rule.message}", TERMINAL_WIDTH, initial_indent=start, subsequent_indent=" " * len(start)
    )
    return [*lines, _cut(f"      first: {rule.first}")] if rule.first else lines


def _cut(line: str) -> str:
    """No wider than the terminal, and seen to be cut."""
    return line if len(line) <= TERMINAL_WIDTH else f"{line[: TERMINAL_WIDTH - 3].rstrip(', ')}..."


class Counts(NamedTuple):
    """Counts of a log that a reader of all its lines has made."""

    customers: int | None
    """None: not known."""
    duplicates: int | None
    """Lines that repeat another in every column; None: not known."""


def count_rules(
    engine: Engine,
    together: Sequence[Condition],
    apart: Sequence[Condition],
    known: Counts | None = None,
) -> DataReport:
    """Count the rows of each rule: those of one row in one pass, those of the whole log one by one.

    known: counts that need not be made again; duplicates are the rows of the first rule of the whole log.
    """
    customers, duplicates = known or (None, None)
    distinct = "COUNT(DISTINCT CASE WHEN clean THEN customer_id END)" if customers is None else str(customers)
    days = (f"{pick}(CASE WHEN clean THEN day END)" for pick in ("MIN", "MAX"))
    numbers = ", ".join([_number_of("clean"), distinct, *days, *(_number_of(rule.sql) for rule in together)])
    rows, usable, found, first, last, *counts = engine.rows(f"SELECT COUNT(*), {numbers} FROM lines")[0]
    counts += [] if duplicates is None else [duplicates]
    for rule in apart if duplicates is None else apart[1:]:
        counts.append(engine.rows(rule.counted or f"SELECT COUNT(*) FROM lines WHERE {rule.sql}")[0][0])
    rules = tuple(
        Rule(c.name, int(n), "", c.action, c.message) for c, n in zip((*together, *apart), counts, strict=True)
    )
    return DataReport(rows, found, _day(first), _day(last), rules, int(usable))


def _number_of(condition: str) -> str:
    return f"COALESCE(SUM(CASE WHEN {condition} THEN 1 ELSE 0 END), 0)"


def _day(number: int | None) -> dt.date | None:
    return None if number is None else day_of_number(number)


def with_examples(report: DataReport, engine: Engine, columns: Columns, conditions: Sequence[Condition]) -> DataReport:
    """The report with the first row of every rule that is broken."""
    sql = {condition.name: condition.sql for condition in conditions}
    broken = [rule.name for rule in report.rules if rule.rows and rule.name in sql]
    if not broken:
        return report
    shown = {
        name: f"src_{role}"
        for role, name in columns.named().items()
        if role in ("customer", "date", "amount", "order", "is_return")
    }
    find = _first_rows if engine.dialect.line_number else _some_rows
    found = find(engine, {name: sql[name] for name in broken}, ", ".join(_as_text(c) for c in shown.values()))
    excerpts = {name: _excerpt(line, dict(zip(shown, texts, strict=True))) for name, (line, *texts) in found.items()}
    rules = tuple(dataclasses.replace(rule, first=excerpts.get(rule.name, "")) for rule in report.rules)
    return dataclasses.replace(report, rules=rules)


def _as_text(column: str) -> str:
    return f"CAST({column} AS STRING)"


def _first_rows(engine: Engine, conditions: Mapping[str, str], fields: str) -> dict[str, tuple[Any, ...]]:
    """Of each rule the first row that breaks it: its place, then its fields."""
    numbered = f"(SELECT {engine.dialect.line_number} AS line, * FROM lines)"
    firsts = {
        name: engine.rows(f"SELECT MIN(line) FROM {numbered} AS lines WHERE {condition}")[0][0]
        for name, condition in conditions.items()
    }
    wanted = ", ".join(str(line) for line in set(firsts.values()))
    rows = engine.rows(f"SELECT line, {fields} FROM {numbered} AS lines WHERE line IN ({wanted})")
    by_line = {row[0]: row for row in rows}
    return {name: by_line[line] for name, line in firsts.items()}


def _some_rows(engine: Engine, conditions: Mapping[str, str], fields: str) -> dict[str, tuple[Any, ...]]:
    """Of each rule a row that breaks it, where rows have no order: None, then its fields."""
    return {
        name: (None, *engine.rows(f"SELECT {fields} FROM lines WHERE {condition} LIMIT 1")[0])
        for name, condition in conditions.items()
    }


def _excerpt(line: int | None, fields: dict[str, str | None]) -> str:
    text = ", ".join(f"{name}={'nothing' if value is None else _short(value)}" for name, value in fields.items())
    if ids_are_hidden():  # whatever stands in a broken row may be an id
        return "" if line is None else f"row {line:,}"
    return f"a row: {text}" if line is None else f"row {line:,}: {text}"


def _short(value: str) -> str:
    plain = repr(value.removesuffix(" 00:00:00"))
    return plain if value != value.strip() or not value else textwrap.shorten(plain[1:-1], 30)
