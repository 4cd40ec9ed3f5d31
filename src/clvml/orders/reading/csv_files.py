"""CSV as text, without guessing: header and delimiter are read here, so that no line is skipped or retyped."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path

from clvml.errors import DataError

__all__ = ["scan_csv"]

_DELIMITERS = ",;\t|"


def scan_csv(files: Sequence[str], encoding: str = "utf-8") -> str:
    """The SQL that reads CSV files by column name, every field as text.

    Raises DataError for a file that cannot be read, has no header, or one name twice.
    """
    layouts: dict[tuple[str, ...], list[str]] = {}
    for file in files:
        layouts.setdefault(_layout(file, encoding), []).append(file)
    return " UNION ALL BY NAME ".join(_scan(group, layout, encoding) for layout, group in layouts.items())


def _scan(files: list[str], layout: tuple[str, ...], encoding: str) -> str:
    delimiter, *names = layout
    columns = ", ".join(f"{text(name)}: 'VARCHAR'" for name in names)
    form = f"""delim = {text(delimiter)}, quote = '"', escape = '"', encoding = '{encoding}'"""
    options = f"auto_detect = false, header = true, {form}"
    return f"SELECT * FROM read_csv([{', '.join(map(text, files))}], columns = {{{columns}}}, {options})"


def text(value: str) -> str:
    """A text as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def _layout(file: str, encoding: str) -> tuple[str, ...]:
    """The delimiter, then the column names."""
    try:
        with gzip.open(file, "rb") if file.lower().endswith(".gz") else Path(file).open("rb") as stream:
            head = stream.readline(1_000_000)
    except OSError as error:
        raise DataError(f"{file} could not be read: {error}.") from error
    header = head.decode("utf-8-sig" if encoding == "utf-8" else encoding, errors="replace").rstrip("\r\n")
    if not header.strip():
        raise DataError(f"{file} is empty: a log in CSV starts with a line of column names.")
    delimiter = max(_DELIMITERS, key=header.count)
    names = [name.strip() or f"column{i}" for i, name in enumerate(next(csv.reader([header], delimiter=delimiter)), 1)]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise DataError(f"{file}: the column name '{min(twice)}' stands twice in the first line. Rename one of them.")
    return delimiter, *names
