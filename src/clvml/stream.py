"""Scores of a base of any size: read, scored and written in parts, so that memory holds a few of them at a time.

The tiers need the whole base. So the parts are scored first and laid aside on disk; then, with the edges known, each
gets its tiers and sentences and goes into the file. Parts are scored by as many threads as allowed, and written in
order: the same log gives the same bytes.
"""

from __future__ import annotations

import collections
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd

from clvml import segments
from clvml.errors import DataError, OptionError
from clvml.estimators.outlook import tables_for
from clvml.files import write_aside, write_folder_aside
from clvml.intake import Transactions
from clvml.model import ClvModel
from clvml.score import placed
from clvml.tables import SCORES

__all__ = ["StagedBase", "Tally", "staged_base", "stream_scores"]

_ROW_BYTES = 6_000
"""What a customer takes while he is scored: inputs, design matrix, what is read off the tables, scores."""
_LEAST_ROWS, _MOST_ROWS = 5_000, 122_880
"""The most are those of a row group of DuckDB, beyond whose end no part goes."""
_FILE_ROWS = 1_000_000
"""Customers in one file of a folder."""
_CONSTANT = ("as_of", "horizon_days", "model")

_PLAIN = {"customer_id", "reason", *(c.name for c in SCORES if c.dtype == "float64")} - {
    "purchases_low",
    "purchases_high",
}
"""Columns that hardly ever repeat a value: where Parquet looks for repetitions, it takes longer and writes more."""

T = TypeVar("T")
R = TypeVar("R")
Step = Callable[[int], None]


def _nobody(_customers: int) -> None:
    """Nobody watches."""


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
        for tier, customers in scores["tier"].value_counts().items():
            self.tiers[str(tier)] += int(customers)
        for state, customers in scores["state"].value_counts().items():
            self.states[str(state)] += int(customers)
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
    model: ClvModel, log: Transactions, out: str | os.PathLike[str], *, as_of: Any, horizon: int | str | None = None
) -> Tally:
    """Score every customer of a log into a Parquet or CSV file, or a folder of Parquet files: whole or not at all.

    The scores are those of `model.score(log, as_of, horizon)`, in its order; memory holds a few parts of them.
    Raises as that does, and OptionError where the file cannot be written.
    """
    with staged_base(model, log, as_of=as_of, horizon=horizon) as base:
        return base.write(Path(out))


@contextmanager
def staged_base(
    model: ClvModel, log: Transactions, *, as_of: Any, horizon: int | str | None = None, step: Step = _nobody
) -> Iterator[StagedBase]:
    """A base scored but for its tiers, on disk for the time of the with statement. step: told of customers done."""
    resources, tables = log.resources, tables_for(log.lines)
    threads = resources.threads or os.cpu_count() or 1
    rows = max(_LEAST_ROWS, min(_MOST_ROWS, resources.arrays // (_ROW_BYTES * (threads + 1))))

    def score(frame: pd.DataFrame) -> pd.DataFrame:
        return model.staged(frame, horizon, tables=tables)

    aside = resources.temporary()
    try:
        with _room(aside):
            aside.mkdir()
        shelf = _Shelf(aside / "staged.arrow")
        for part in _in_order(score, log.batches(as_of, model.window_, rows), threads):
            shelf.put(part)
            step(len(part))
        if not shelf.worth:
            raise DataError(f"No purchase up to {as_of}: all lines are refunds, zero, or orders cancelled in full.")
        yield StagedBase(shelf, shelf.edges(model.good_share, model.bad_share), threads)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


class StagedBase:
    """A base whose tiers are known, ready to be written."""

    def __init__(self, shelf: _Shelf, edges: segments.Cutoffs, threads: int) -> None:
        self._shelf, self._edges, self._threads = shelf, edges, threads
        self.customers = sum(map(len, shelf.worth))

    def write(self, *targets: Path, step: Step = _nobody) -> Tally:
        """Write the scores to each target: by its ending Parquet or CSV, else a folder of Parquet files."""
        told: list[Tally] = []
        self._into(targets, [], lambda sinks: told.append(self._fill(sinks, step)))
        return told[0]

    def _into(self, targets: Sequence[Path], sinks: list[Sink], fill: Callable[[list[Sink]], None]) -> None:
        """Open all targets aside, fill them together, and put each in its place."""
        if not targets:
            fill(sinks)
            return
        first, *rest = targets
        kind = _SINKS.get(first.suffix.lower(), _FolderSink)

        def fill_aside(aside: Path) -> None:
            with closing(kind(aside)) as sink:
                self._into(rest, [*sinks, sink], fill)

        (write_folder_aside if kind is _FolderSink else write_aside)(first, fill_aside)

    def _fill(self, sinks: Sequence[Sink], step: Step) -> Tally:
        tally = Tally()
        for scores in _in_order(lambda part: placed(part, self._edges), self._shelf.parts(), self._threads):
            for sink in sinks:
                sink.write(scores)
            tally.add(scores)
            step(len(scores))
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


@contextmanager
def _room(aside: Path) -> Iterator[None]:
    """Where temporary files are written."""
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise OptionError(
            f"Temporary files could not be written in {aside.parent}: {why}. Name a folder with room as spill."
        ) from error


class _Shelf:
    """Staged parts on disk, and what of them the edges of the tiers need in memory: sixteen bytes a customer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None
        self._told: dict[str, Any] = {}
        self.worth: list[np.ndarray] = []
        self.earned: list[np.ndarray] = []

    def put(self, part: pd.DataFrame) -> None:
        """Lay a part aside."""
        import pyarrow as pa

        self._told = {name: part[name].iloc[0] for name in _CONSTANT}
        self.worth.append(part["worth"].to_numpy())
        self.earned.append(part["contribution"].to_numpy())
        table = pa.Table.from_pandas(part.drop(columns=list(_CONSTANT)), preserve_index=False)
        with _room(self._path.parent):
            if self._writer is None:
                self._writer = pa.ipc.new_file(self._path, table.schema)
            self._writer.write_table(table)

    def edges(self, good_share: float, bad_share: float) -> segments.Cutoffs:
        """Where the tiers of all that was laid aside begin."""
        return segments.cutoffs(np.concatenate(self.worth), np.concatenate(self.earned), good_share, bad_share)

    def parts(self) -> Iterator[pd.DataFrame]:
        """The parts in the order in which they came."""
        import pyarrow as pa

        if self._writer is not None:
            with _room(self._path.parent):
                self._writer.close()
            self._writer = None
        with pa.OSFile(str(self._path)) as held:  # a mapped file would count as memory of the process
            reader = pa.ipc.open_file(held)
            for i in range(reader.num_record_batches):
                yield reader.get_batch(i).to_pandas().assign(**self._told)


class _ParquetSink:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    def write(self, scores: pd.DataFrame) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(scores, preserve_index=False)
        if self._writer is None:
            words = [name for name in table.column_names if name not in _PLAIN]
            self._writer = pq.ParquetWriter(self._path, table.schema, use_dictionary=words)
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
