"""CSV as text, without guessing: header and delimiter are read here, so that no line is skipped or retyped."""

from __future__ import annotations

import codecs
import csv
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from clvml.errors import DataError
from clvml.orders.engines.duckdb import literal, literals

__all__ = ["CSV_ENDINGS", "DELIMITERS", "check_content", "encodings_of", "has_rows", "scan_csv"]

CSV_ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz")
DELIMITERS = ",;\t|"

_OTHER_KINDS = {
    b"\x1f\x8b": "compressed by gzip: end its name in .csv.gz",
    b"PAR1": "Parquet: end its name in .parquet",
    b"PK\x03\x04": "a workbook or a zip archive: save the sheet as CSV (UTF-8)",
    b"\xff\xfe": "UTF-16: save it as UTF-8",
    b"\xfe\xff": "UTF-16: save it as UTF-8",
}
"""How files of other kinds begin, and what to do with them."""
CHUNK_BYTES = 1 << 20


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
    with _opened(file) as stream:
        stream.readline()
        return any(line.strip() for line in stream)


def encodings_of(files: Sequence[str]) -> dict[str, str]:
    """The encoding of each file: UTF-8 where all of it is, else Latin-1, a file at a time.

    Raises DataError for a file with bytes of Windows-1252 that Latin-1 has not, such as those of € and “.
    """
    return {file: _encoding(file) for file in files}


def _encoding(file: str) -> str:
    decoder, plain, windows = codecs.getincrementaldecoder("utf-8")(), True, False
    with _opened(file) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            windows = windows or any(byte in chunk for byte in _WINDOWS_BYTES)
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                plain = False
                decoder.reset()
    if plain:
        return "utf-8"
    if windows:
        raise DataError(
            f"{file} is not UTF-8, and looks like Windows-1252 (it has € or curly quotes). Save it as UTF-8."
        )
    return "latin-1"


_WINDOWS_BYTES = tuple(bytes([byte]) for byte in (0x80, 0x82, 0x84, 0x85, 0x91, 0x92, 0x93, 0x94, 0x96, 0x97, 0x99))


def _opened(file: str) -> IO[bytes]:
    return gzip.open(file, "rb") if file.lower().endswith(".gz") else Path(file).open("rb")  # type: ignore[return-value]


def scan_csv(files: Sequence[str], encodings: Mapping[str, str] | None = None) -> str:
    """The SQL that reads CSV files by column name, every field as text. encodings: of files that are not UTF-8.

    Raises DataError for a file that cannot be read, has no header, or one name twice.
    """
    layouts: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for file in files:
        encoding = (encodings or {}).get(file, "utf-8")
        layouts.setdefault((encoding, _layout(file, encoding)), []).append(file)
    return " UNION ALL BY NAME ".join(_scan(group, *layout) for layout, group in layouts.items())


def _scan(files: list[str], encoding: str, layout: tuple[str, ...]) -> str:
    delimiter, *names = layout
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
    form = f"""delim = {literal(delimiter)}, quote = '"', escape = '"', encoding = '{encoding}'"""
    options = f"auto_detect = false, header = true, {form}"
    return f"SELECT * FROM read_csv({literals(files)}, columns = {{{columns}}}, {options})"


def _layout(file: str, encoding: str) -> tuple[str, ...]:
    """The delimiter, then the column names."""
    try:
        with _opened(file) as stream:
            head = stream.readline(1_000_000)
    except OSError as error:
        raise DataError(f"{file} could not be read: {error}.") from error
    if b"\r" in head.rstrip(b"\r\n"):
        raise DataError(
            f"{file}: its lines end in CR alone, as of an old Mac. Save it with line ends of Unix or Windows."
        )
    header = head.decode("utf-8-sig" if encoding == "utf-8" else encoding, errors="replace").rstrip("\r\n")
    if not header.strip():
        raise DataError(f"{file} is empty: a log in CSV starts with a line of column names.")
    delimiter = max(DELIMITERS, key=header.count)
    names = [name.strip() or f"column{i}" for i, name in enumerate(next(csv.reader([header], delimiter=delimiter)), 1)]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise DataError(f"{file}: the column name '{min(twice)}' stands twice in the first line. Rename one of them.")
    return delimiter, *names
