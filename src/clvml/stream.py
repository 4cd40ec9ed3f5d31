"""Scores of a base of any size: read, scored and written in parts, so that memory holds a few of them at a time.

The tiers need the whole base. So the parts are scored first and laid aside on disk; then, with the edges known, each gets
its tiers and sentences and goes into the file. Parts are scored by as many threads as allowed, and written in order: the
same log gives the same bytes.
"""

from __future__ import annotations

import collections
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd

from clvml import segments
from clvml.errors import DataError
from clvml.estimators.outlook import tables_for
from clvml.files import write_aside, write_folder_aside
from clvml.intake import Transactions
from clvml.model import ClvModel
from clvml.score import placed
from clvml.tables import SCORES

__all__ = ["Tally", "stream_scores"]

_ROW_BYTES = 6_000
"""What a customer takes while he is scored: inputs, design matrix, what is read off the tables, scores."""
_MOST_ROWS = 100_000
_FILE_ROWS = 1_000_000
"""Customers in one file of a folder."""
_CONSTANT = ("as_of", "horizon_days", "model")

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class Tally:
    """What is told of scores once they are written."""

    as_of: str = ""
    horizon_days: int = 0
    customers: int = 0
    tiers: collections.Counter[str] = field(default_factory=collections.Counter)
    states: collections.Counter[str] = field(default_factory=collections.Counter)
    purchases: float = 0.0
    spend: float = 0.0
    clv: float = 0.0
    flagged: int = 0
    value_at_risk: float = 0.0
    top: pd.DataFrame = field(default_factory=pd.DataFrame)
    """The flagged with the most value at risk."""

    def add(self, scores: pd.DataFrame, most: int = 10) -> None:
        """Count a part."""
        self.as_of, self.horizon_days = str(scores["as_of"].iloc[0]), int(scores["horizon_days"].iloc[0])
        self.customers += len(scores)
        self.tiers.update(scores["tier"].value_counts().to_dict())
        self.states.update(scores["state"].value_counts().to_dict())
        self.purchases += float(scores["expected_purchases"].sum())
        self.spend += float(scores["expected_spend"].sum())
        self.clv += float(scores["clv"].sum())
        flagged = scores[scores["flagged"]]
        self.flagged += len(flagged)
        self.value_at_risk += float(flagged["value_at_risk"].sum())
        self.top = pd.concat([self.top, flagged.nlargest(most, "value_at_risk")]).nlargest(most, "value_at_risk")


class Sink(Protocol):
    """Where scores go, part by part."""

    def write(self, scores: pd.DataFrame) -> None:
        """Add a part."""

    def close(self) -> None:
        """No more parts."""


def stream_scores(
    model: ClvModel,
    log: Transactions,
    out: Path,
    *,
    as_of: Any,
    horizon: int | str | None = None,
    step: Callable[[str, int], None] = lambda _stage, _customers: None,
) -> Tally:
    """Score every customer of a log into a Parquet or CSV file, or a folder of Parquet files, whole or not at all.

    step: called with the stage ('score', 'write') and the customers it has done. The scores are those of
    `model.score(log, as_of, horizon)`. Raises as that does, and OptionError where the file cannot be written.
    """
    resources = log.resources
    threads = resources.threads or os.cpu_count() or 1
    rows = int(np.clip(resources.arrays // (_ROW_BYTES * (threads + 1)), 5_000, _MOST_ROWS))
    tables = tables_for(log.lines)

    def score(frame: pd.DataFrame) -> pd.DataFrame:
        return model.staged(frame, horizon, tables=tables)

    with tempfile.TemporaryDirectory(prefix="clvml-", dir=resources.folder) as aside:
        shelf = _Shelf(Path(aside) / "staged.arrow")
        for part in _in_order(score, log.batches(as_of, model.window_, rows), threads):
            shelf.put(part)
            step("score", len(part))
        if not shelf.worth:
            raise DataError(f"No purchase up to {as_of}: all lines are refunds, zero, or orders cancelled in full.")
        edges = segments.cutoffs(
            np.concatenate(shelf.worth), np.concatenate(shelf.earned), model.good_share, model.bad_share
        )
        tally = Tally()

        def write(target: Path, sink: Callable[[Path], Sink]) -> None:
            into = sink(target)
            try:
                for scores in _in_order(lambda part: placed(part, edges), shelf.parts(), threads):
                    into.write(scores)
                    tally.add(scores)
                    step("write", len(scores))
            finally:
                into.close()

        suffix = out.suffix.lower()
        if suffix in _SINKS:
            write_aside(out, lambda path: write(path, _SINKS[suffix]))
        else:
            write_folder_aside(out, lambda path: write(path, _FolderSink))
    return tally


def _in_order(work: Callable[[T], R], parts: Iterable[T], threads: int) -> Iterator[R]:
    """work(part) of each part in turn, a few at a time on threads; the parts are drawn on this thread."""
    if threads == 1:
        yield from map(work, parts)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: collections.deque[Future[R]] = collections.deque()
        for part in parts:
            waiting.append(pool.submit(work, part))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class _Shelf:
    """Staged parts on disk, and what of them the edges of the tiers need in memory: sixteen bytes a customer."""

    def __init__(self, path: Path) -> None:
        self._path, self._writer, self._told = path, None, {}
        self.worth: list[np.ndarray] = []
        self.earned: list[np.ndarray] = []

    def put(self, part: pd.DataFrame) -> None:
        """Lay a part aside."""
        import pyarrow as pa

        self._told = {name: part[name].iloc[0] for name in _CONSTANT}
        self.worth.append(part["worth"].to_numpy())
        self.earned.append(part["contribution"].to_numpy())
        table = pa.Table.from_pandas(part.drop(columns=list(_CONSTANT)), preserve_index=False)
        if self._writer is None:
            self._writer = pa.ipc.new_file(self._path, table.schema)
        self._writer.write_table(table)

    def parts(self) -> Iterator[pd.DataFrame]:
        """The parts in the order in which they came."""
        import pyarrow as pa

        if self._writer is not None:
            self._writer.close()
            self._writer = None
        with pa.memory_map(str(self._path)) as held:
            reader = pa.ipc.open_file(held)
            for i in range(reader.num_record_batches):
                yield reader.get_batch(i).to_pandas().assign(**self._told)


class _ParquetSink:
    def __init__(self, path: Path) -> None:
        self._path, self._writer = path, None

    def write(self, scores: pd.DataFrame) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(scores, preserve_index=False)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class _CsvSink:
    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._begun = False

    def write(self, scores: pd.DataFrame) -> None:
        scores.to_csv(self._file, index=False, header=not self._begun)
        self._begun = True

    def close(self) -> None:
        self._file.close()


class _FolderSink:
    """Parquet files of at most a million customers each."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._files, self._rows = folder, 0, 0
        self._sink: _ParquetSink | None = None

    def write(self, scores: pd.DataFrame) -> None:
        if self._sink is None or self._rows + len(scores) > _FILE_ROWS:
            self.close()
            self._sink = _ParquetSink(self._folder / f"part-{self._files:05}.parquet")
            self._files, self._rows = self._files + 1, 0
        self._sink.write(scores)
        self._rows += len(scores)

    def close(self) -> None:
        if self._sink is not None:
            self._sink.close()
        self._sink = None


_SINKS: dict[str, Callable[[Path], Sink]] = {".parquet": _ParquetSink, ".csv": _CsvSink}
assert {c.name for c in SCORES} >= set(_CONSTANT)
