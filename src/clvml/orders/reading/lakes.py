"""Tables of a lake: folders whose Parquet files are not their rows, for what was deleted or replaced stays in them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from clvml.errors import DataError, OptionError

if TYPE_CHECKING:
    import pyarrow.dataset

__all__ = ["DELTA_LOG", "ICEBERG_METADATA", "check_no_lake", "delta_table", "is_delta"]

DELTA_LOG = "_delta_log"
ICEBERG_METADATA = "metadata/*.metadata.json"
"""What tells a table of a lake from a folder of files."""


def is_delta(path: object) -> bool:
    """Whether it is the folder of a Delta table."""
    return isinstance(path, str | os.PathLike) and os.path.isdir(os.path.join(path, DELTA_LOG))


def delta_table(folder: str) -> pyarrow.dataset.Dataset:
    """The latest version of a Delta table, read in place.

    Raises OptionError where delta-rs is missing, DataError for a table that it cannot read.
    """
    try:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError
    except ImportError:
        raise OptionError(
            f"{folder} is a Delta table, whose files hold deleted rows, too. To read it: pip install 'clvml[delta]'."
        ) from None
    try:
        return DeltaTable(folder).to_pyarrow_dataset()
    except (DeltaError, OSError, ValueError) as error:
        raise DataError(f"The Delta table {folder} cannot be read: {str(error).splitlines()[0]}") from error


def check_no_lake(files: Iterable[str]) -> None:
    """Refuse files that belong to a table of a lake, which may have been deleted from it."""
    for folder in {parent for file in files for parent in Path(file).absolute().parents}:
        if is_delta(folder):
            raise OptionError(
                f"{folder} is a Delta table, whose files hold deleted rows, too. Name its folder alone, not the files."
            )
        if any(folder.glob(ICEBERG_METADATA)):
            raise OptionError(
                f"{folder} is an Iceberg table, whose files hold deleted rows, too. Read it with pyiceberg: "
                "Transactions(table.scan().to_arrow_batch_reader())."
            )
