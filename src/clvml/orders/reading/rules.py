"""The rules of a log: each a condition on its typed lines, what is done with the rows that meet it, and what to say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from clvml.horizon import day_number
from clvml.orders.engines.duckdb import ID_KEY, SCALE, Dialect, id_key, literal
from clvml.orders.reading.columns import MISSING_WORDS, Columns, Probe, finite, flag_words, number_of, text_of
from clvml.orders.reading.dates import DayOrder, day_month_text, is_zoned, zoneless_text
from clvml.orders.reading.numbers import number_example

__all__ = ["Condition", "Policy", "line_rules", "log_rules"]


PLACEHOLDER_DAYS = tuple(day_number(day) for day in ("1900-01-01", "1970-01-01", "9999-12-31"))
"""Days that often stand for no date."""


class Policy(NamedTuple):
    """What is made of the lines."""

    returns: str
    timezone: str
    free_orders: bool
    exclude: tuple[str, ...] = ()
    """Canonical ids of customers whose lines do not count."""
    decimal: str | None = None
    """The sign before the decimals of numbers that are text; None: plain numbers alone."""
    encoding: str | None = None
    """Of CSV files; None: found out, a file at a time."""

    @property
    def excluded_sql(self) -> str:
        """Whether the customer of a line is one of them."""
        ids = ", ".join(literal(id_key(customer)) for customer in self.exclude)
        return f"({ID_KEY.format(x='customer_id')} IN ({ids}))" if ids else "FALSE"


class Condition(NamedTuple):
    """A rule, before it is counted."""

    name: str
    sql: str
    """What is true of a row of `lines` that breaks the rule."""
    action: str
    """dropped (the row counts nowhere), netted, kept, converted or ignored."""
    message: str
    counted: str = ""
    """The statement that counts the rows, where that is not the number of rows that meet `sql`."""


def line_rules(
    columns: Columns, types: Mapping[str, str], probe: Probe, dialect: Dialect, policy: Policy
) -> list[Condition]:
    """The rules that one row can break alone.

    Only of the few lines without a day or an amount is the text looked at: half the time of all rules.
    """
    no_date, no_amount = (_blank(role, types, dialect) for role in ("date", "amount"))
    number = number_of("amount", types, dialect)
    plain, zone = finite(number), policy.timezone
    rules = [
        Condition("missing id", "customer_id IS NULL", "dropped", "nobody to count it for"),
        Condition("missing date", f"day IS NULL AND {no_date}", "dropped", "no day to count it on"),
        Condition("unparsable date", f"day IS NULL AND NOT {no_date}", "dropped", _date_hint(probe)),
        Condition(
            "missing amount",
            f"amount IS NULL AND {no_amount}",
            "dropped",
            "blank or NaN; if it means nothing was paid, write 0",
        ),
        Condition(
            "non-finite amount",
            f"amount IS NULL AND NOT {no_amount} AND COALESCE(NOT {plain}, FALSE)",
            "dropped",
            "infinite, or not a number",
        ),
        Condition(
            "unparsable amount",
            f"amount IS NULL AND NOT {no_amount} AND COALESCE({plain}, TRUE)",
            "dropped",
            _number_hint(policy.decimal),
        ),
        Condition(
            "placeholder date",
            f"clean AND day IN ({', '.join(map(str, PLACEHOLDER_DAYS))})",
            "kept",
            "1900-01-01, 1970-01-01 and 9999-12-31 often stand for no date; leave such lines out if they do",
        ),
        Condition(
            "zero amount",
            "clean AND amount = 0",
            "kept",
            "a purchase (free_orders=True)"
            if policy.free_orders
            else "no purchase by itself; free_orders=True makes it one",
        ),
        Condition("negative amount", "clean AND amount < 0", *_REFUNDS[policy.returns]),
        Condition(
            "fine amount",
            f"clean AND ABS({number} - ROUND({number}, {SCALE})) > 1e-9 * (1 + ABS({number}))",
            "converted",
            f"rounded to {SCALE} digits after the point",
        ),
        Condition(
            "time zone",
            f"clean AND {_zoned(types, dialect)}",
            "converted",
            f"to {zone if zone != 'UTC' else _UNNAMED_ZONE}; the day may differ from the one written",
        ),
        Condition(
            "mixed time zones",
            f"clean AND {zoneless_text(text_of('VARCHAR', 'src_date', dialect), dialect)}"
            if probe.mixed_zones
            else "FALSE",
            "kept",
            "without a zone, where other times have one; their day is taken as written",
        ),
        Condition(
            "day and month",
            _ordered(types, probe, dialect),
            "converted",
            f"read as {probe.day_order.value}: only this fits all dates of the column",
        ),
        Condition("padded id", _padded(types, dialect), "converted", "white space around the id is taken off"),
    ]
    if policy.exclude:
        left_out = f"day IS NOT NULL AND amount IS NOT NULL AND COALESCE({policy.excluded_sql}, FALSE)"
        rules.append(Condition("excluded customer", left_out, "dropped", "left out, as exclude says"))
    return rules + _optional_rules(columns, types, dialect)


_UNNAMED_ZONE = "UTC (name the business's own with timezone='…')"
_REFUNDS = {
    "net": ("netted", "taken out of the money; never a purchase"),
    "ignore": ("ignored", "left out altogether (returns='ignore')"),
    "error": ("kept", "refused by returns='error'"),
}


def _optional_rules(columns: Columns, types: Mapping[str, str], dialect: Dialect) -> list[Condition]:
    """Rules for columns that not every log has."""
    rules = []
    if types["src_amount"] == "BOOLEAN":
        message = "true is taken for 1, false for 0; is it the right column?"
        rules.append(Condition("boolean amount", "clean", "converted", message))
    if columns.is_return is not None and types["src_is_return"] != "BOOLEAN":
        text = f"LOWER({text_of(types['src_is_return'], 'src_is_return', dialect)})"
        known = f"{text} IN {flag_words(True)} OR {text} IN {flag_words(False)} OR {text} IN {MISSING_WORDS}"
        rules.append(
            Condition(
                "unknown return flag",
                f"clean AND NOT COALESCE({known}, TRUE)",
                "kept",
                "taken for no return; write true or false",
            )
        )
    for role in ("margin", "cost"):
        if f"src_{role}" in types:
            unknown = f"clean AND NOT COALESCE({finite(number_of(role, types, dialect))}, FALSE)"
            rules.append(Condition(f"missing {role}", unknown, "kept", "such a line adds amount, but no contribution"))
    return rules


def log_rules(columns: Columns, types: Mapping[str, str], probe: Probe, dialect: Dialect) -> list[Condition]:
    """The rules that need the whole log."""
    rules = [_exact_duplicates()]
    if columns.order is not None:
        rules.append(_torn("order on two dates", "day", "each date is a purchase of its own"))
        rules.append(_torn("order of two customers", "customer_id", "an order for each customer"))
    if not probe.whole_ids:
        rules.append(_look_alike())
    if columns.is_return is not None:
        rules.append(_flagged_alone(types, dialect))
    return rules


def _exact_duplicates() -> Condition:
    """Lines that repeat an earlier one in every column of the log."""
    repeated = "line_hash IN (SELECT line_hash FROM lines GROUP BY line_hash HAVING COUNT(*) > 1)"
    message = "the same in every column; drop them beforehand if they are errors"
    count = "SELECT COUNT(*) - COUNT(DISTINCT line_hash) FROM lines"
    return Condition("exact duplicate", repeated, "kept", message, count)


def _torn(name: str, column: str, message: str) -> Condition:
    """Orders whose sales have several values of a column. Refunds of an order on a later day are as they should be."""
    sales = "clean AND amount > 0 AND order_id IS NOT NULL"
    torn = f"FROM lines WHERE {sales} GROUP BY order_id HAVING MIN({column}) <> MAX({column})"
    count = f"SELECT COALESCE(SUM(n), 0) FROM (SELECT COUNT(*) AS n {torn}) AS orders"
    return Condition(name, f"{sales} AND order_id IN (SELECT order_id {torn})", "kept", message, count)


def _look_alike() -> Condition:
    """Ids such as 'A1' and 'a1', 'B7' and 'B7.0', '007' and '7'."""
    bare = "regexp_replace(LOWER(customer_id), '[.]0+$', '')"
    plain = f"COALESCE(NULLIF(regexp_extract({bare}, '^0+([0-9].*)$', 1), ''), {bare})"
    alike = f"SELECT {plain} FROM lines WHERE clean GROUP BY 1 HAVING MIN(customer_id) <> MAX(customer_id)"
    message = (
        "differ by case, leading zeros or '.0' only; counted as several customers: write them alike if they are one"
    )
    return Condition("look-alike ids", f"clean AND {plain} IN ({alike})", "kept", message)


def _flagged_alone(types: Mapping[str, str], dialect: Dialect) -> Condition:
    """Lines that the return flag made negative, without a sale of that amount up to then."""
    turned = f"clean AND amount < 0 AND {number_of('amount', types, dialect)} > 0"
    same = "s.customer_id = lines.customer_id AND s.amount = -lines.amount AND s.day <= lines.day"
    alone = f"NOT EXISTS (SELECT 1 FROM lines AS s WHERE s.clean AND {same})"
    message = "no sale of that amount before: if the flag marks the sale itself, use returns='ignore'"
    return Condition("flagged without a sale", f"{turned} AND {alone}", "netted", message)


def _blank(role: str, types: Mapping[str, str], dialect: Dialect) -> str:
    column, kind = f"src_{role}", types[f"src_{role}"]
    if kind != "VARCHAR":
        return f"({column} IS NULL)"
    words = MISSING_WORDS if role == "date" else "('', 'none', 'null', '<na>')"
    return f"({column} IS NULL OR LOWER({text_of(kind, column, dialect)}) IN {words})"


def _date_hint(probe: Probe) -> str:
    hint = "write YYYY-MM-DD"
    if probe.day_order is DayOrder.UNKNOWN:
        return hint + "; whether 03/04/2011 is in March or April is never guessed"
    return hint


def _number_hint(decimal: str | None) -> str:
    hint = f"no number such as {number_example(decimal)} (or above 14 digits); leave currencies out"
    return hint if decimal is not None else f"{hint}; decimal=',' reads {number_example(',')} too"


def _zoned(types: Mapping[str, str], dialect: Dialect) -> str:
    kind = types["src_date"]
    return is_zoned(kind, text_of(kind, "src_date", dialect) if kind == "VARCHAR" else "src_date", dialect)


def _ordered(types: Mapping[str, str], probe: Probe, dialect: Dialect) -> str:
    if types["src_date"] != "VARCHAR" or probe.day_order is DayOrder.UNKNOWN:
        return "FALSE"
    return f"clean AND {day_month_text(text_of('VARCHAR', 'src_date', dialect), dialect)}"


def _padded(types: Mapping[str, str], dialect: Dialect) -> str:
    if types["src_customer"] != "VARCHAR":
        return "FALSE"
    return f"clean AND LENGTH(src_customer) <> LENGTH({text_of('VARCHAR', 'src_customer', dialect)})"
