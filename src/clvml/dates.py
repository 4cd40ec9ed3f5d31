"""Dates of any kind as SQL that gives a DATE, or NULL where the value is none. Day and month are never guessed."""

from __future__ import annotations

from enum import Enum

from clvml.errors import DataError

__all__ = ["DayOrder", "date_sql", "day_month_text", "is_zoned", "shows_day_first", "shows_month_first", "zoned_text"]

_DAY_MONTH = r"^\d{1,2}[-/.]\d{1,2}[-/.]\d{4}([T ,].*)?$"
_YEAR_FIRST = r"^\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ,].*)?$"
_COMPACT = r"^\d{8}([.]0+|[T ].*)?$"
_ZONED = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}[0-9:.,]* ?(Z|UTC|GMT|[+-]\d{2}(:?\d{2})?)$"
_NUMBERS = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "FLOAT",
    "DOUBLE",
    "NULL",
)
_NAMED = "['%d %b %Y', '%d %B %Y', '%b %d %Y', '%B %d %Y', '%Y %b %d', '%Y %B %d']"


class DayOrder(Enum):
    """How texts such as 03/04/2011 are read: by what the column shows; not at all where it shows nothing or both."""

    UNKNOWN = "unknown"
    DAY_FIRST = "day/month/year"
    MONTH_FIRST = "month/day/year"


def day_month_text(text: str) -> str:
    """Whether a text is a date whose day and month could be taken for each other: 03/04/2011."""
    return f"regexp_matches({text}, '{_DAY_MONTH}')"


def shows_day_first(text: str) -> str:
    """Whether a text can only be day/month/year: its first number is above 12."""
    return f"({day_month_text(text)} AND CAST(regexp_extract({text}, '^\\d+') AS INTEGER) > 12)"


def shows_month_first(text: str) -> str:
    """Whether a text can only be month/day/year: its second number is above 12."""
    return f"({day_month_text(text)} AND CAST(regexp_extract({text}, '^\\d+[-/.](\\d+)', 1) AS INTEGER) > 12)"


def zoned_text(text: str) -> str:
    """Whether a text is a time with a zone or an offset."""
    return f"(LENGTH({text}) > 16 AND regexp_matches({text}, '{_ZONED}'))"


def is_zoned(kind: str, value: str) -> str:
    """Whether a value of SQL type `kind` names its time zone."""
    if "TIME ZONE" in kind:
        return f"({value} IS NOT NULL)"
    return zoned_text(value) if kind == "VARCHAR" else "FALSE"


def date_sql(kind: str, value: str, order: DayOrder) -> str:
    """The DATE of a column of SQL type `kind`; times with a zone are converted to the session's zone first."""
    if kind == "DATE":
        return value
    if kind.startswith("TIMESTAMP"):
        return f"CAST({value} AS DATE)"
    if kind == "VARCHAR":
        return _text_date(value, order)
    if kind in _NUMBERS or kind.startswith("DECIMAL"):
        return _number_date(value)
    raise DataError(
        f"The date column holds {kind}. Dates are dates, times, texts such as 2011-12-09, or numbers such as 20111209."
    )


def _number_date(value: str) -> str:
    """19970101, also as 19970101.0."""
    whole = f"TRY_CAST({value} AS BIGINT)"
    date = f"CAST(TRY_STRPTIME(CAST({whole} AS VARCHAR), '%Y%m%d') AS DATE)"
    return f"CASE WHEN {whole} = {value} AND {whole} BETWEEN 10000101 AND 99991231 THEN {date} END"


def _text_date(text: str, order: DayOrder) -> str:
    year_first = f"TRY_CAST(REPLACE(REPLACE(regexp_extract({text}, '^[0-9/.-]+'), '/', '-'), '.', '-') AS DATE)"
    # DuckDB reads offsets with a colon only.
    instant = (
        f"TRY_CAST(regexp_replace(REPLACE({text}, ',', '.'), '([+-]\\d{{2}})(\\d{{2}})$', '\\1:\\2') AS TIMESTAMPTZ)"
    )
    date = f"regexp_replace({text}, '[ T]\\d{{1,2}}:\\d{{2}}.*$', '')"
    words = f"TRIM(regexp_replace({date}, '[-/., ]+', ' ', 'g'))"
    return f"""CASE
        WHEN {zoned_text(text)} THEN CAST({instant} AS DATE)
        WHEN regexp_matches({text}, '{_YEAR_FIRST}') THEN {year_first}
        WHEN regexp_matches({text}, '{_COMPACT}') THEN CAST(TRY_STRPTIME(LEFT({text}, 8), '%Y%m%d') AS DATE)
        WHEN regexp_matches({text}, '{_DAY_MONTH}') THEN {_day_month(text, order)}
        WHEN regexp_matches({text}, '[A-Za-z]{{3}}') THEN CAST(TRY_STRPTIME({words}, {_NAMED}) AS DATE)
    END"""


def _day_month(text: str, order: DayOrder) -> str:
    if order is DayOrder.UNKNOWN:
        return "NULL"
    groups = (3, 2, 1) if order is DayOrder.DAY_FIRST else (3, 1, 2)
    year, month, day = (f"regexp_extract({text}, '^(\\d+)[-/.](\\d+)[-/.](\\d{{4}})', {group})" for group in groups)
    return f"TRY_CAST({year} || '-' || {month} || '-' || {day} AS DATE)"
