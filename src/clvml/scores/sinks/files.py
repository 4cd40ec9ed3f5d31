"""Files that scores go into, part by part: Parquet, CSV, or a folder of Parquet files; in their place once whole."""

from __future__ import annotations

import collections
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from clvml.files import write_aside, write_folder_aside
from clvml.scores.score import to_frame
from clvml.spreadsheets import neutralized, warn_of_neutralized
from clvml.tables import SCORES

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Sink", "write_file"]

_FILE_ROWS = 1_000_000
"""Customers in one file of a folder."""

_DISTINCT_COLUMNS = {"customer_id", "reason", *(c.name for c in SCORES if c.dtype == "float64")} - {
    "purchases_low",
    "purchases_high",
    "purchases_level_sd",
    "spend_level_sd",
}
"""Columns that hardly ever repeat a value: where Parquet looks for repetitions, it takes longer and writes more."""
_INCOMPRESSIBLE_COLUMNS = {"p_alive", "p_return", "churn_probability", "expected_purchases", "expected_spend", "clv"}
_INCOMPRESSIBLE_COLUMNS |= {"value_if_kept", "value_at_risk"}
"""Columns that no compression makes smaller."""


class Sink(Protocol):
    """Where scores go, part by part."""

    def write(self, scores: pa.Table) -> None:
        """Add a part."""


class _FileSink(Sink, Protocol):
    def close(self) -> None:
        """No more parts."""


class ParquetSink:
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    def write(self, scores: pa.Table) -> None:
        """Add a part."""
        import pyarrow.parquet as pq

        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._path,
                scores.schema,
                use_dictionary=[name for name in scores.column_names if name not in _DISTINCT_COLUMNS],
                compression={
                    name: "none" if name in _INCOMPRESSIBLE_COLUMNS else "snappy" for name in scores.column_names
                },
                write_statistics=["customer_id"],  # nothing else is in order
                store_schema=False,  # so that words are read as text
            )
        self._writer.write_table(scores)

    def close(self) -> None:
        """No more parts."""
        if self._writer is not None:
            self._writer.close()


class CsvSink:
    """A CSV file, safe to be opened in a spreadsheet."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._begun = False
        self._formulas: collections.Counter[str] = collections.Counter()

    def write(self, scores: pa.Table) -> None:
        """Add a part."""
        frame, formulas = neutralized(to_frame(scores))
        frame.to_csv(self._file, index=False, header=not self._begun)
        self._formulas += formulas
        self._begun = True

    def close(self) -> None:
        """No more parts."""
        self._file.close()
        warn_of_neutralized(self._formulas)


class FolderSink:
    """Parquet files of at most a million customers each."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._files, self._rows = folder, 0, 0
        self._sink: ParquetSink | None = None

    def write(self, scores: pa.Table) -> None:
        """Add a part."""
        if self._sink is None or self._rows + len(scores) > _FILE_ROWS:
            self.close()
            self._sink = ParquetSink(self._folder / f"part-{self._files:05}.parquet")
            self._files, self._rows = self._files + 1, 0
        self._sink.write(scores)
        self._rows += len(scores)

    def close(self) -> None:
        """No more parts."""
        if self._sink is not None:
            self._sink.close()
        self._sink = None


_SINKS: dict[str, Callable[[Path], _FileSink]] = {".parquet": ParquetSink, ".csv": CsvSink}


def write_file(target: Path, fill: Callable[[Sink], object]) -> None:
    """Let `fill` write to a file, Parquet or CSV by its ending, or a folder of Parquet files, put in its place then."""

    def fill_aside(aside: Path) -> None:
        with closing(kind(aside)) as sink:
            fill(sink)

    kind = _SINKS.get(target.suffix.lower(), FolderSink)
    (write_folder_aside if kind is FolderSink else write_aside)(target, fill_aside)
