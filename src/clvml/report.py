"""The report on a log: per rule how many rows, where first, and what is done with them."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any

from clvml.columns import Columns
from clvml.engines import Engine
from clvml.errors import DataError
from clvml.horizon import as_date, day_number, day_of_number

__all__ = ["DataReport", "Rule", "check_lines"]


@dataclasses.dataclass(frozen=True)
class Rule:
    """One rule and the rows that break it."""

    name: str
    rows: int
    first: str
    """The first such row, readable; empty where there is none."""
    action: str
    """dropped, netted, kept or converted."""
    message: str


@dataclasses.dataclass(frozen=True)
class DataReport:
    """What is unusual about a log."""

    rows: int
    customers: int
    first: dt.date | None
    last: dt.date | None
    rules: tuple[Rule, ...]

    def rule(self, name: str) -> Rule:
        """The rule of that name."""
        return next(rule for rule in self.rules if rule.name == name)

    def to_dict(self) -> dict[str, Any]:
        """Counts alone, no customer's row: what travels with a summary."""
        return {
            "rows": self.rows,
            "customers": self.customers,
            "first": self.first and self.first.isoformat(),
            "last": self.last and self.last.isoformat(),
            "rules": {rule.name: {"rows": rule.rows, "action": rule.action} for rule in self.rules},
        }

    def why_empty(self) -> str:
        """The message for a log of which no row counts."""
        if not self.rows:
            return "The log is empty: it has no rows."
        told = "; ".join(f"{rule.rows:,} with {rule.name}" for rule in self.rules if rule.rows and rule.action == "dropped")
        return f"None of the {self.rows:,} rows can be used: {told}."


def check_lines(engine: Engine, columns: Columns, types: Mapping[str, str], as_of: Any) -> DataReport:
    """Apply every rule to the typed lines."""
    sql = "SELECT COUNT(*), COUNT(DISTINCT CASE WHEN clean THEN customer_id END), MIN(CASE WHEN clean THEN day END), MAX(CASE WHEN clean THEN day END) FROM lines"
    rows, customers, first, last = engine.rows(sql)[0]
    found = []
    for name, condition in (("missing id", "customer_id IS NULL"), ("unparsable date", "day IS NULL"), ("unparsable amount", "amount IS NULL")):
        n = engine.rows(f"SELECT COUNT(*) FROM lines WHERE {condition}")[0][0]
        found.append(Rule(name, n, "", "dropped", ""))
    n = engine.rows("SELECT COUNT(*) FROM lines WHERE amount < 0")[0][0]
    found.append(Rule("negative amount", n, "", "netted", ""))
    return DataReport(rows, customers, None if first is None else day_of_number(first), None if last is None else day_of_number(last), tuple(found))
