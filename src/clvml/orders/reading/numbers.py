"""Numbers as people write them: with a decimal comma, and with signs between thousands."""

from __future__ import annotations

from collections.abc import Iterable

from clvml.errors import DataError
from clvml.orders.engines.duckdb import Dialect, Engine
from clvml.redaction import ids_are_hidden

__all__ = ["DECIMALS", "check_plain", "number_example", "reading_decimals"]

DECIMALS = (".", ",")
_THOUSANDS = " \u00a0\u202f'\u2019"
"""Signs between thousands beside the other one of DECIMALS: spaces, two of which do not break, and apostrophes."""
_PARTED = "[1-9][0-9]?[0-9]?([.][0-9][0-9][0-9])+"
MIN_PARTED = 10
"""Amounts such as 1.072 that are no chance: decimals of random length are hardly three digits ten times."""
MIN_COMMAS, MIN_COMMA_SHARE = 10, 0.01
"""Of the lines, how many amounts with a comma are more than a slip: many, or a large part, and never a single one."""


def number_example(decimal: str | None) -> str:
    """A number that is read, for messages."""
    return {None: "1234.50", ".": "1,234.50", ",": "1.234,50"}[decimal]


def reading_decimals(dialect: Dialect, decimal: str | None) -> Dialect:
    """The dialect in which texts are numbers with this sign before their decimals; None: plain numbers alone.

    Signs between thousands are taken out where they part groups of three, so that 12.50 is no number where a comma
    stands before decimals, and not 1,250.
    """
    if decimal is None:
        return dialect
    plain = f"TRANSLATE({dialect.trimmed}, '{_in_sql(decimal + _signs(decimal))}', '.')"
    word = _matches(dialect, "^[^0-9]*$")  # NaN and infinite are no numbers of another kind than 12 EUR
    text = f"(CASE WHEN {_written(dialect, decimal)} THEN {plain} WHEN {word} THEN {{x}} END)"
    return dialect._replace(
        text_number=dialect.text_number.replace("{x}", text), text_money=dialect.text_money.replace("{x}", text)
    )


def check_plain(engine: Engine, column: str, name: str) -> None:
    """Raise DataError where texts that are to be plain numbers (1234.50) are written in another way: many with a comma
    would be dropped, and 1.072 beside 950 read as little more than 1, though it is 1072.
    """
    texts = f"(SELECT {column} AS x FROM source WHERE {column} IS NOT NULL) AS texts"
    parted, below = (_matches(engine.dialect, f"^[-+]?{form}$") for form in (_PARTED, "[0-9][0-9]?[0-9]?"))
    conditions = ("TRUE", "x LIKE '%,%'", "x LIKE '%.%'", parted.format(x="x"), below.format(x="x"))
    lines, commas, points, thousands, small = _counts(engine, texts, conditions)
    if MIN_PARTED <= points == thousands and 0 < small == lines - points:
        raise DataError(
            f"{points:,} of {lines:,} amounts in '{name}' have three digits after a point"
            f"{_such_as(engine, texts, '.')}, and the others, below 1000, have no point. Say what it is: decimal=',' "
            "takes it for a thousands sign, decimal='.' for a decimal point."
        )
    if commas >= MIN_COMMAS or commas > max(1.0, MIN_COMMA_SHARE * lines):
        _refuse_commas(engine, texts, name, commas, lines)


def _refuse_commas(engine: Engine, texts: str, name: str, commas: int, lines: int) -> None:
    """Raise DataError where a decimal sign makes numbers of most of the texts with a comma."""
    written = [f"x LIKE '%,%' AND {_written(engine.dialect, sign).format(x='x')}" for sign in DECIMALS]
    by_point, by_comma = _counts(engine, texts, written)
    if 2 * max(by_point, by_comma) < commas:
        return
    if by_point == by_comma:
        advice = "Say what it is: decimal=',' takes it for a decimal comma, decimal='.' for a thousands sign."
    else:
        advice = f"With decimal='{',' if by_comma > by_point else '.'}' they are read."
    raise DataError(f"{commas:,} of {lines:,} amounts in '{name}' have a comma{_such_as(engine, texts, ',')}. {advice}")


def _counts(engine: Engine, texts: str, conditions: Iterable[str]) -> list[int]:
    """How many of the texts meet each."""
    counts = (f"COALESCE(SUM(CASE WHEN {condition} THEN 1 ELSE 0 END), 0)" for condition in conditions)
    return [int(number) for number in engine.rows(f"SELECT {', '.join(counts)} FROM {texts}")[0]]


def _such_as(engine: Engine, texts: str, sign: str) -> str:
    if ids_are_hidden():  # a column named by mistake may hold them
        return ""
    longest = f"SELECT x FROM {texts} WHERE x LIKE '%{sign}%' ORDER BY LENGTH(x) DESC, x LIMIT 1"
    return f", such as {engine.rows(longest)[0][0].strip()[:30]}"


def _signs(decimal: str) -> str:
    return _THOUSANDS + ("." if decimal == "," else ",")


def _written(dialect: Dialect, decimal: str) -> str:
    """Whether the text {x} is a number with this sign before its decimals."""
    grouped = f"[0-9][0-9]?[0-9]?([{_signs(decimal)}][0-9][0-9][0-9])+"
    number = f"(([0-9]+|{grouped})([{decimal}][0-9]*)?|[{decimal}][0-9]+)([eE][-+]?[0-9]+)?"
    return _matches(dialect, f"^[-+]?{number}$")


def _matches(dialect: Dialect, pattern: str) -> str:
    """Whether the trimmed text {x} matches."""
    return dialect.matches.replace("{x}", dialect.trimmed).replace("{p}", _in_sql(pattern))


def _in_sql(text: str) -> str:
    return text.replace("'", "''")
