"""CSV as text, without guessing: header and delimiter are read here, so that no line is skipped or retyped."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from clvml.errors import DataError
from clvml.orders.engines.duckdb import literal, literals
from clvml.orders.reading.encodings import opened

__all__ = ["CSV_ENDINGS", "DELIMITERS", "check_content", "has_rows", "scan_csv"]

CSV_ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz")
DELIMITERS = ",;\t|"

_OTHER_KINDS = {
    b"\x1f\x8b": "compressed by gzip: end its name in .csv.gz",
    b"PAR1": "Parquet: end its name in .parquet",
    b"PK\x03\x04": "a workbook or a zip archive: save the sheet as CSV (UTF-8)",
}
"""How files of other kinds begin, and what to do with them."""


def check_content(file: str) -> None:
    """Raise DataError for a file that is no CSV by its first bytes, or cannot be read."""
    try:
        with Path(file).open("rb") as stream:
            head = stream.read(4)
    except OSError as error:
        raise DataError(f"{file} could not be read: {error.strerror}.") from error
    for mark, advice in _OTHER_KINDS.items():
        if head.startswith(mark) and not (mark == b"\x1f\x8b" and file.lower().endswith(".gz")):
            raise DataError(f"{file} is named as CSV, but is {advice}.")


def has_rows(file: str) -> bool:
    """Whether anything stands below the line of column names."""
    with opened(file) as stream:
        stream.readline()
        return any(line.strip(b"\0 \t\r\n") for line in stream)


def scan_csv(files: Sequence[str]) -> str:
    """The SQL that reads CSV files (UTF-8) by column name, every field as text.

    Raises DataError for a file that cannot be read, has no header, or one name twice.
    """
    layouts: dict[tuple[str, ...], list[str]] = {}
    for file in files:
        layouts.setdefault(_layout(file), []).append(file)
    return " UNION ALL BY NAME ".join(_scan(group, layout) for layout, group in layouts.items())


def _scan(files: list[str], layout: tuple[str, ...]) -> str:
    delimiter, *names = layout
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
    form = f"""delim = {literal(delimiter)}, quote = '"', escape = '"', encoding = 'utf-8'"""
    options = f"auto_detect = false, header = true, {form}"
    return f"SELECT * FROM read_csv({literals(files)}, columns = {{{columns}}}, {options})"


def _layout(file: str) -> tuple[str, ...]:
    """The delimiter, then the column names."""
    try:
        with opened(file) as stream:
            head = stream.readline(1_000_000)
    except OSError as error:
        raise DataError(f"{file} could not be read: {error}.") from error
    if b"\r" in head.rstrip(b"\r\n"):
        raise DataError(
            f"{file}: its lines end in CR alone, as of an old Mac. Save it with line ends of Unix or Windows."
        )
    header = head.decode("utf-8-sig", errors="replace").rstrip("\r\n")
    if not header.strip():
        raise DataError(f"{file} is empty: a log in CSV starts with a line of column names.")
    delimiter = max(DELIMITERS, key=header.count)
    names = [name.strip() or f"column{i}" for i, name in enumerate(next(csv.reader([header], delimiter=delimiter)), 1)]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise DataError(f"{file}: the column name '{min(twice)}' stands twice in the first line. Rename one of them.")
    return delimiter, *names
