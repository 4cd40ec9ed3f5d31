"""Tables and lists of customers that a command is given as files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from clvml.errors import ClvError, DataError, OptionError
from clvml.spreadsheets import read_csv

__all__ = ["read_customers", "read_table"]


def read_table(path: Path, what: str, separators: str = ",") -> pd.DataFrame:
    """A table from Parquet (a folder of such files, too, as Spark writes it) or CSV, customer ids of a CSV as text.

    separators: of the fields of a CSV, those that may be; the one that its first line has most of is taken.
    Raises DataError where it cannot be read.
    """
    if path.is_dir():
        return _read_folder(path, what)
    if not path.is_file():
        raise DataError(f"There is no file '{path}' for the {what}.")
    kind = path.suffix.lower()
    if kind not in (".parquet", ".csv"):
        raise OptionError(f"The {what} '{path}' end in neither .parquet nor .csv.")
    with _as_data_error(path, what, kind[1:]):
        return pd.read_parquet(path) if kind == ".parquet" else read_csv(path, _separator(path, separators))


def _separator(path: Path, separators: str) -> str:
    if len(separators) == 1:
        return separators
    with path.open(encoding="utf-8-sig") as file:
        return max(separators, key=file.readline().count)


def _read_folder(path: Path, what: str) -> pd.DataFrame:
    """A Delta table, or Parquet files."""
    from clvml.orders.reading.lakes import check_no_lake, delta_table, is_delta

    if is_delta(path):
        with _as_data_error(path, what, "Delta table"):
            found: pd.DataFrame = delta_table(str(path)).to_table().to_pandas()
        return found
    files = [str(file) for file in path.glob("*.parquet")]
    if not files:
        raise DataError(f"The folder '{path}' for the {what} holds no Parquet file.")
    check_no_lake(files)
    with _as_data_error(path, what, "parquet"):
        return pd.read_parquet(path)


@contextlib.contextmanager
def _as_data_error(path: Path, what: str, kind: str) -> Iterator[None]:
    """A block that reads a file; DataError with its first line where it cannot be read."""
    try:
        yield
    except ClvError:
        raise
    except (ValueError, OSError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"The {what} '{path}' cannot be read as {kind}: {first}") from None


def read_customers(path: Path, what: str) -> pd.DataFrame | list[str]:
    """A table with customer_id, or a text file of one id a line. Raises DataError where it cannot be read."""
    if path.suffix.lower() != ".txt":
        return read_table(path, what)
    if not path.is_file():
        raise DataError(f"There is no file '{path}' for the {what}.")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The {what} '{path}' cannot be read: {error}") from None
    return [line.strip() for line in lines if line.strip()]
