"""Dates of any kind as SQL that gives a DATE, or NULL where the value is none. Day and month are never guessed."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from clvml.errors import DataError
from clvml.orders.engines.duckdb import Dialect

__all__ = [
    "DayOrder",
    "date_sql",
    "day_month_text",
    "is_zoned",
    "shows_day_first",
    "shows_month_first",
    "zoned_text",
    "zoneless_text",
]

_CLOCK = "([01]?[0-9]|2[0-4]):[0-5][0-9](:[0-6][0-9]([.,][0-9]+)?)?( ?[AaPp][.]?[Mm][.]?)?"
"""A time of day. Whatever else stands after a day, such as a zone by its name, makes it no date."""
_DAY_MONTH = rf"^([0-9]{{1,2}})[-/.]([0-9]{{1,2}})[-/.]([0-9]{{4}})([T ,]+{_CLOCK})?$"
_YEAR_FIRST = rf"^[0-9]{{4}}[-/.][0-9]{{1,2}}[-/.][0-9]{{1,2}}([T ,]+{_CLOCK})?$"
_COMPACT = rf"^([0-9]{{4}})([0-9]{{2}})([0-9]{{2}})([.]0+|[T ]+{_CLOCK}|[T ]+[0-9]{{4}}([0-9]{{2}})?)?$"
_ZONED = r"^([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2})[0-9:.,]* ?(Z|UTC|GMT|([+-][0-9]{2}):?([0-9]{2})?)$"
_ZONELESS = rf"^[0-9]{{4}}[-/.][0-9]{{1,2}}[-/.][0-9]{{1,2}}[T ,]+{_CLOCK}$"
_MONTHS = "jan01feb02mar03apr04may05jun06jul07aug08sep09oct10nov11dec12"
_MONTH = (
    "(?i:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:tember)?"
    "|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_GAP, _TIME = "[-/., ]+", f"[-/., ]*([ T]{_CLOCK})?$"
_NAMED = (
    (rf"^[-/., ]*([0-9]{{1,2}}){_GAP}({_MONTH}){_GAP}([0-9]{{4}}){_TIME}", (3, 2, 1)),
    (rf"^[-/., ]*({_MONTH}){_GAP}([0-9]{{1,2}}){_GAP}([0-9]{{4}}){_TIME}", (3, 1, 2)),
    (rf"^[-/., ]*([0-9]{{4}}){_GAP}({_MONTH}){_GAP}([0-9]{{1,2}}){_TIME}", (1, 2, 3)),
)
"""Dates whose month is a word, and which group is year, month and day."""
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


class DayOrder(Enum):
    """How texts such as 03/04/2011 are read: by what the column shows; not at all where it shows nothing or both."""

    UNKNOWN = "unknown"
    DAY_FIRST = "day/month/year"
    MONTH_FIRST = "month/day/year"

    @classmethod
    def shown_by(cls, day_first: int, month_first: int) -> DayOrder:
        """What a column shows of which so many texts can only be the one, and so many the other."""
        if bool(day_first) == bool(month_first):
            return cls.UNKNOWN
        return cls.DAY_FIRST if day_first else cls.MONTH_FIRST


def _plain(text: str) -> str:
    """Whether a text is a day as engines themselves write it, 2011-04-03: most are, and this is a quick way to tell."""
    return f"(LENGTH({text}) = 10 AND COALESCE(CAST(TRY_CAST({text} AS DATE) AS STRING) = {text}, FALSE))"


def day_month_text(text: str, dialect: Dialect) -> str:
    """Whether a text is a date whose day and month could be taken for each other: 03/04/2011."""
    return f"(NOT {_plain(text)} AND {dialect.matches.format(x=text, p=_DAY_MONTH)})"


def shows_day_first(text: str, dialect: Dialect) -> str:
    """Whether a text can only be day/month/year: its first number is above 12."""
    return f"({day_month_text(text, dialect)} AND TRY_CAST({_group(text, _DAY_MONTH, 1)} AS INTEGER) > 12)"


def shows_month_first(text: str, dialect: Dialect) -> str:
    """Whether a text can only be month/day/year: its second number is above 12."""
    return f"({day_month_text(text, dialect)} AND TRY_CAST({_group(text, _DAY_MONTH, 2)} AS INTEGER) > 12)"


def zoned_text(text: str, dialect: Dialect) -> str:
    """Whether a text is a time with a zone or an offset."""
    return f"(LENGTH({text}) > 16 AND {dialect.matches.format(x=text, p=_ZONED)})"


def zoneless_text(text: str, dialect: Dialect) -> str:
    """Whether a text is a day with a time of day that has no zone."""
    return f"(LENGTH({text}) > 11 AND {dialect.matches.format(x=text, p=_ZONELESS)})"


def is_zoned(kind: str, value: str, dialect: Dialect) -> str:
    """Whether a value of SQL type `kind` names its time zone."""
    if "TIME ZONE" in kind or "TIMESTAMPTZ" in kind:  # of microseconds, of nanoseconds
        return f"({value} IS NOT NULL)"
    return zoned_text(value, dialect) if kind == "VARCHAR" else "FALSE"


def date_sql(kind: str, value: str, order: DayOrder, dialect: Dialect) -> str:
    """The DATE of a column of SQL type `kind`; times with a zone are converted to the session's zone first."""
    if kind == "DATE":
        return value
    if kind.startswith("TIMESTAMP"):
        return f"CAST({value} AS DATE)"
    if kind == "VARCHAR":
        return _text_date(value, order, dialect)
    if kind in _NUMBERS or kind.startswith("DECIMAL"):
        return _number_date(value)
    raise DataError(
        f"The date column holds {kind}. Dates are dates, times, texts such as 2011-12-09, or numbers such as 20111209."
    )


def _number_date(value: str) -> str:
    """19970101, also as 19970101.0."""
    whole = f"TRY_CAST({value} AS BIGINT)"
    date = _date_of(_group(f"CAST({whole} AS STRING)", _COMPACT, group) for group in (1, 2, 3))
    return f"CASE WHEN {whole} = {value} AND {whole} BETWEEN 10000101 AND 99991231 THEN {date} END"


def _text_date(text: str, order: DayOrder, dialect: Dialect) -> str:
    def looks(pattern: str) -> str:
        return dialect.matches.format(x=text, p=pattern)

    year_first = f"TRY_CAST(REPLACE(REPLACE({_group(text, '^[0-9/.-]+', 0)}, '/', '-'), '.', '-') AS DATE)"
    compact = _date_of(_group(text, _COMPACT, group) for group in (1, 2, 3))
    named = "\n".join(f"WHEN {looks(pattern)} THEN {_named(text, pattern, places)}" for pattern, places in _NAMED)
    return f"""CASE
        WHEN {_plain(text)} THEN TRY_CAST({text} AS DATE)
        WHEN {zoned_text(text, dialect)} THEN CAST({_moment(text, dialect)} AS DATE)
        WHEN {looks(_YEAR_FIRST)} THEN {year_first}
        WHEN {looks(_COMPACT)} THEN {compact}
        WHEN {looks(_DAY_MONTH)} THEN {_day_month(text, order)}
        {named}
    END"""


def _moment(text: str, dialect: Dialect) -> str:
    """A time with a zone, to the minute, in the one form that every engine reads: 2011-12-09 08:26:00+01:00."""
    day, clock, hours, minutes = (_group(text, _ZONED, group) for group in (1, 2, 4, 5))
    offset = f"COALESCE(NULLIF({hours}, ''), '+00') || ':' || COALESCE(NULLIF({minutes}, ''), '00')"
    return f"TRY_CAST({day} || ' ' || {clock} || ':00' || {offset} AS {dialect.instant})"


def _day_month(text: str, order: DayOrder) -> str:
    if order is DayOrder.UNKNOWN:
        return "NULL"
    places = (3, 2, 1) if order is DayOrder.DAY_FIRST else (3, 1, 2)
    return _date_of(_group(text, _DAY_MONTH, group) for group in places)


def _named(text: str, pattern: str, places: tuple[int, int, int]) -> str:
    year, word, day = (_group(text, pattern, group) for group in places)
    number = f"SUBSTR('{_MONTHS}', INSTR('{_MONTHS}', LOWER(SUBSTR({word}, 1, 3))) + 3, 2)"
    return _date_of((year, number, day))


def _date_of(parts: Iterable[str]) -> str:
    """The DATE of texts that are year, month and day; NULL where there is no such day."""
    joined = " || '-' || ".join(parts)
    return f"TRY_CAST({joined} AS DATE)"


def _group(text: str, pattern: str, group: int) -> str:
    """What a group of a regular expression found (0: all of it); '' where it found nothing."""
    return f"regexp_extract({text}, '{pattern}', {group})"
