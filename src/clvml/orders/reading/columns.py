"""Which column is what, and what each becomes: the SQL of the typed lines of a log."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Mapping

from clvml.errors import DataError, OptionError, did_you_mean, listed
from clvml.orders.engines.duckdb import SCALE, Dialect, quoted
from clvml.orders.reading.dates import DayOrder, date_sql
from clvml.tables import SUMMARY

__all__ = [
    "MISSING_WORDS",
    "Columns",
    "Probe",
    "earned_sql",
    "finite",
    "flag_words",
    "lines_sql",
    "missing_id",
    "number_of",
    "source_sql",
    "text_of",
    "whole_id",
]

MONEY = f"DECIMAL(18, {SCALE})"
MISSING_WORDS = "('', 'nan', 'none', 'null', '<na>', 'nat')"
_WHOLE = r"^(0|-?[1-9][0-9]{0,17})([.]0+)?$"
_INT64 = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_FLOATS = ("FLOAT", "DOUBLE")
_NO_ID = re.compile(r"BOOLEAN|DATE|TIME|INTERVAL|STRUCT|MAP|UNION|ARRAY|.*\]$")
"""How the types begin, or end, that are no ids: as a rule another column was named by mistake."""
_EARLIEST = -25571
"""Day number of 1900-01-01. What is earlier is a placeholder (0001-01-01, 1899-12-30), no order."""


@dataclasses.dataclass(frozen=True)
class Columns:
    """The caller's names of the columns; margin (a share) and service_cost (per order) may be numbers instead."""

    customer: str
    date: str
    amount: str
    order: str | None = None
    is_return: str | None = None
    margin: str | float | None = None
    cost: str | None = None
    service_cost: str | float | None = None
    channel: str | None = None
    covariates: tuple[str, ...] = ()

    def named(self) -> dict[str, str]:
        """Roles that are columns, with the caller's names."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "covariates"}
        return {role: name for role, name in plain.items() if isinstance(name, str)} | dict(self.covariate_roles())

    def covariate_roles(self) -> Iterator[tuple[str, str]]:
        """Roles of the covariates: covariate_0, covariate_1, …"""
        yield from ((f"covariate_{i}", name) for i, name in enumerate(self.covariates))

    def check(self, known: Iterable[str], index: Iterable[str] = ()) -> None:
        """Raise DataError for a column that the log does not have, OptionError for settings that contradict.

        index: what a frame has as its index, which is no column.
        """
        known = list(known)
        self._check_kinds(known)
        for role, name in self.named().items():
            if name not in known:
                setting = "covariates" if role.startswith("covariate_") else role
                if name in index:
                    raise DataError(f"'{name}' is the frame's index, not a column: reset_index() makes it one.")
                raise DataError(
                    f"The log has no column '{name}' (wanted as {setting}).{did_you_mean(name, known)} "
                    f"It has: {listed(known) or 'no columns'}. Say which column it is with {setting}='…'."
                )
        taken = {"channel", *(column.name for column in SUMMARY)} & set(self.covariates)
        if taken:
            raise OptionError(
                f"The covariate '{min(taken)}' would overwrite a column of the summary. Rename it in the log."
            )
        if self.margin is not None and self.cost is not None:
            raise OptionError("Pass margin (a share of the amount) or cost (money per line), not both.")
        if isinstance(self.margin, int | float) and not self.margin <= 1:
            raise OptionError(f"margin={self.margin!r} is a share of the amount: at most 1, for example 0.4 for 40%.")

    def _check_kinds(self, known: Iterable[str]) -> None:
        """Raise OptionError for what is no name of a column, nor a number where one may stand."""
        for field in dataclasses.fields(self):
            value, numbers = getattr(self, field.name), field.name in ("margin", "service_cost")
            for name in value if field.name == "covariates" else (value,):
                number = numbers and isinstance(name, int | float) and not isinstance(name, bool)
                left_out = name is None and field.default is None
                if isinstance(name, str) or left_out or (number and math.isfinite(name)):
                    continue
                wanted = "a column or a finite number" if numbers else "a column"
                has = ", ".join(map(str, known)) or "no columns"
                raise OptionError(f"{field.name}={name!r} does not name {wanted}. The log has: {has}.")


@dataclasses.dataclass(frozen=True)
class Probe:
    """What follows from one look at the text columns."""

    whole_ids: bool
    """Whether all ids are whole numbers: then 7, '7' and '7.0' are one customer."""
    day_order: DayOrder
    mixed_zones: bool = False
    """Whether some times have a zone, and others none."""
    text_ids: bool = False
    """Whether ids stay text even where all are whole numbers, for that is how they came."""


def source_sql(columns: Columns, raw: str, names: Iterable[str], dialect: Dialect) -> str:
    """The columns needed, under the names of their roles, and a hash of the whole line."""
    wanted = [f"{quoted(name)} AS src_{role}" for role, name in columns.named().items()]
    line = dialect.row_hash.format(x=", ".join(dialect.hashed.format(x=quoted(name)) for name in names))
    return f"SELECT {', '.join(wanted)}, {line} AS line_hash FROM {raw}"


def text_of(kind: str, column: str, dialect: Dialect) -> str:
    """A column as trimmed text."""
    if kind in _FLOATS:
        return dialect.float_text.format(x=column)
    return dialect.trimmed.format(x=column if kind == "VARCHAR" else f"CAST({column} AS STRING)")


def whole_id(kind: str, dialect: Dialect) -> str:
    """Whether an id is a whole number in the way numbers are written: no leading zero, not more than 18 digits."""
    if kind in _INT64:
        return "TRUE"
    text = text_of(kind, "src_customer", dialect)
    return f"({_plain_id(kind)} OR {dialect.matches.format(x=text, p=_WHOLE)})"


def _plain_id(kind: str) -> str:
    """Whether an id is a text that only a whole number has: no white space, no decimals. Most are, and this is a quick
    way to tell.
    """
    if kind != "VARCHAR":
        return "FALSE"
    written = "CAST(TRY_CAST(src_customer AS BIGINT) AS STRING)"
    return f"(LENGTH(src_customer) <= 18 AND COALESCE({written} = src_customer, FALSE))"


def missing_id(kind: str, dialect: Dialect) -> str:
    """Whether there is no id: NULL, blank, or a word such as nan."""
    if kind in _INT64:
        return "(src_customer IS NULL)"
    word = f"LOWER({text_of(kind, 'src_customer', dialect)}) IN {MISSING_WORDS}"
    return f"(src_customer IS NULL OR (NOT {_plain_id(kind)} AND {word}))"


def lines_sql(
    columns: Columns, types: Mapping[str, str], probe: Probe, dialect: Dialect, excluded: str = "FALSE"
) -> str:
    """Every row of the source, typed: customer_id, day, amount, order_id, contribution, service, and the source itself.

    The first three are NULL where they cannot be had; a row counts (`clean`) where all are there and its
    customer is not excluded. None is dropped. Raises DataError for a type that is no id, or no day.
    """
    kinds = {name.removeprefix("src_"): kind for name, kind in types.items()}
    if _NO_ID.match(kinds["customer"]):
        raise DataError(
            f"The customer column '{columns.customer}' holds {kinds['customer']}. Ids of customers are whole numbers "
            "or texts. Say which column it is with customer='…'."
        )
    inner = ", ".join(
        [
            f"{_customer(kinds['customer'], probe, dialect)} AS customer_id",
            f"{_day(kinds['date'], probe, dialect)} AS day",
            f"{_amount(columns, kinds, dialect)} AS amount",
            f"{_text_or_null('order', kinds, dialect)} AS order_id",
            "*",
        ]
    )
    clean = "customer_id IS NOT NULL AND day IS NOT NULL AND amount IS NOT NULL"
    clean += "" if excluded == "FALSE" else f" AND NOT {excluded}"
    earned = earned_sql(columns, types, dialect)
    return f"SELECT *, {clean} AS clean, {earned} FROM (SELECT {inner} FROM source) AS typed"


def earned_sql(columns: Columns, types: Mapping[str, str], dialect: Dialect) -> str:
    """Contribution and service of a line, from its typed amount and the columns of the source."""
    kinds = {name.removeprefix("src_"): kind for name, kind in types.items()}
    return f"{_contribution(columns, kinds, dialect)} AS contribution, {_service(columns, kinds, dialect)} AS service"


def _customer(kind: str, probe: Probe, dialect: Dialect) -> str:
    text = text_of(kind, "src_customer", dialect)
    if not probe.whole_ids:
        return f"CASE WHEN NOT {missing_id(kind, dialect)} THEN {text} END"
    if kind in _INT64:
        return "CAST(src_customer AS BIGINT)"
    number = (
        f"CASE WHEN {_plain_id(kind)} THEN TRY_CAST(src_customer AS BIGINT) WHEN NOT {missing_id(kind, dialect)} "
        f"THEN TRY_CAST(regexp_replace({text}, '[.]0+$', '') AS BIGINT) END"
    )
    return f"CAST({number} AS STRING)" if probe.text_ids else number


def _day(kind: str, probe: Probe, dialect: Dialect) -> str:
    value = text_of(kind, "src_date", dialect) if kind == "VARCHAR" else "src_date"
    number = dialect.day_number.format(x=date_sql(kind, value, probe.day_order, dialect))
    return f"CAST(CASE WHEN {number} >= {_EARLIEST} THEN {number} END AS INTEGER)"


def number_of(role: str, types: Mapping[str, str], dialect: Dialect) -> str:
    """A column as a DOUBLE, NULL where it is none."""
    column = f"src_{role}"
    return dialect.text_number.format(x=column) if types[column] == "VARCHAR" else f"TRY_CAST({column} AS DOUBLE)"


def finite(number: str) -> str:
    """Whether a DOUBLE is neither infinite nor NaN, which counts as greater than all else; NULL where it is NULL."""
    return f"(ABS({number}) < CAST('Infinity' AS DOUBLE))"


def _money(role: str, kinds: Mapping[str, str], dialect: Dialect) -> str:
    """A column as money, NULL where it is none."""
    column, kind = f"src_{role}", kinds[role]
    if kind == "VARCHAR":
        return dialect.text_money.format(x=column)
    return dialect.float_money.format(x=column) if kind in _FLOATS else f"TRY_CAST({column} AS {MONEY})"


def _amount(columns: Columns, kinds: Mapping[str, str], dialect: Dialect) -> str:
    money = _money("amount", kinds, dialect)
    if columns.is_return is None:
        return money
    return f"CASE WHEN {_flag(kinds['is_return'], dialect)} THEN -ABS({money}) ELSE {money} END"


def flag_words(value: bool) -> str:
    """Texts and numbers that stand for true or false."""
    return "('true', 't', 'yes', 'y', '1', '1.0')" if value else "('false', 'f', 'no', 'n', '0', '0.0')"


def _flag(kind: str, dialect: Dialect) -> str:
    if kind == "BOOLEAN":
        return "COALESCE(src_is_return, FALSE)"
    return f"COALESCE(LOWER({text_of(kind, 'src_is_return', dialect)}) IN {flag_words(True)}, FALSE)"


def _text_or_null(role: str, kinds: Mapping[str, str], dialect: Dialect) -> str:
    if role not in kinds:
        return "CAST(NULL AS STRING)"
    text = text_of(kinds[role], f"src_{role}", dialect)
    return f"CASE WHEN LOWER({text}) NOT IN {MISSING_WORDS} THEN {text} END"


def _contribution(columns: Columns, kinds: Mapping[str, str], dialect: Dialect) -> str:
    """Net amount times margin, or less cost; goods that come back bring their cost back. Unknown margin or cost: 0."""
    if columns.cost is not None:
        cost = f"ABS({_money('cost', kinds, dialect)})"
        earned = f"CASE WHEN amount > 0 THEN amount - {cost} WHEN amount < 0 THEN amount + {cost} ELSE amount END"
        return f"CAST(COALESCE({earned}, 0) AS {MONEY})"
    if isinstance(columns.margin, str):
        share = number_of("margin", {f"src_{role}": kind for role, kind in kinds.items()}, dialect)
        earned = dialect.float_money.format(x=f"(CAST(amount AS DOUBLE) * {share})")
        return f"CAST(CASE WHEN {finite(share)} THEN {earned} ELSE 0 END AS {MONEY})"
    if columns.margin is None:
        return f"CAST(amount AS {MONEY})"
    return dialect.float_money.format(x=f"(CAST(amount AS DOUBLE) * {float(columns.margin)!r})")


def _service(columns: Columns, kinds: Mapping[str, str], dialect: Dialect) -> str:
    """What serving the order costs; a flat cost is taken once an order, in its total."""
    if isinstance(columns.service_cost, str):
        return f"CAST(COALESCE({_money('service_cost', kinds, dialect)}, 0) AS {MONEY})"
    return f"CAST(0 AS {MONEY})"
