"""Scores of a base of any size: read, scored and written in parts, so that memory holds a few of them at a time.

The tiers need the whole base. So the parts are scored first and kept on disk; then, with the cutoffs known, each gets
its tiers and sentences and goes into the file. Parts are scored by as many threads as allowed, and written in
order: the same log gives the same bytes.
"""

from __future__ import annotations

import collections
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.errors import DataError, OptionError
from clvml.estimators.forecast import ForecastCache
from clvml.horizon import as_date
from clvml.orders.breaks import warn_of_silence
from clvml.orders.summaries import CustomerDays, no_purchase
from clvml.orders.transactions import Transactions
from clvml.resources import each_in_order, in_order
from clvml.scores import segments
from clvml.scores.cutoffs import part_rows
from clvml.scores.model import ClvModel
from clvml.scores.score import ScoredRows, scores_table, to_frame
from clvml.scores.sinks.files import Sink, write_file
from clvml.scores.sinks.tables import ScoresTable, target_of, write_table
from clvml.scores.totals import variance_within

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ScoredBase", "Tally", "scored_base", "stream_scores"]

_TOP_ROWS = 10
"""Flagged customers that are printed."""

Floats = NDArray[np.float64]
Step = Callable[[int], None]


def _unwatched(_customers: int) -> None:
    """Nobody watches."""


@dataclass
class Tally:
    """Counts and sums of scores, printed once they are written."""

    as_of: str = ""
    horizon_days: int = 0
    customers: int = 0
    tiers: collections.Counter[str] = field(default_factory=collections.Counter)
    states: collections.Counter[str] = field(default_factory=collections.Counter)
    purchases: float = 0.0
    spend: float = 0.0
    clv: float = 0.0
    purchases_variance: float = 0.0
    clv_variance: float = 0.0
    """Of the totals, customers being independent of each other."""
    flag_candidates: int = 0
    """Good customers who are late, at risk or in decline, whether treating pays or not."""
    flagged: int = 0
    win_back: int = 0
    value_at_risk: float = 0.0
    top: pd.DataFrame = field(default_factory=pd.DataFrame)
    """The flagged with the most value at risk."""

    @classmethod
    def of(cls, scores: pa.Table) -> Tally:
        """Those of a part."""
        import pyarrow.compute as pc

        counts = {
            n: {c["values"]: c["counts"] for c in pc.value_counts(scores[n]).to_pylist()} for n in ("tier", "state")
        }
        sums = {n: pc.sum(scores[n]).as_py() for n in ("expected_purchases", "expected_spend", "clv")}
        flagged = scores.filter(scores["flagged"])
        return cls(
            as_of=scores["as_of"][0].as_py(),
            horizon_days=scores["horizon_days"][0].as_py(),
            customers=len(scores),
            tiers=collections.Counter(counts["tier"]),
            states=collections.Counter(counts["state"]),
            purchases=sums["expected_purchases"],
            spend=sums["expected_spend"],
            clv=sums["clv"],
            purchases_variance=_variance(scores, "purchases"),
            clv_variance=_variance(scores, "clv"),
            flag_candidates=segments.n_flag_candidates(scores.select(["tier", "state", "decline"]).to_pandas()),
            flagged=len(flagged),
            win_back=pc.sum(scores["win_back"], min_count=0).as_py(),
            value_at_risk=pc.sum(flagged["value_at_risk"], min_count=0).as_py(),
            top=to_frame(flagged).nlargest(_TOP_ROWS, "value_at_risk"),
        )

    def add(self, part: Tally) -> None:
        """Add a later part."""
        self.as_of, self.horizon_days = part.as_of, part.horizon_days
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(part, name))
        self.tiers += part.tiers
        self.states += part.states
        known = [top for top in (self.top, part.top) if len(top)] or [part.top]
        self.top = pd.concat(known).nlargest(_TOP_ROWS, "value_at_risk")


_SUMMED = (
    *("customers", "purchases", "spend", "clv", "purchases_variance", "clv_variance"),
    *("flag_candidates", "flagged", "win_back", "value_at_risk"),
)
"""Fields of a tally that add up over parts."""


def _variance(scores: pa.Table, name: str) -> float:
    low, high = (scores[f"{name}_{end}"].to_numpy() for end in ("low", "high"))
    return float(variance_within(low, high).sum())


def stream_scores(
    model: ClvModel, log: Transactions, out: str | os.PathLike[str], *, as_of: Any, horizon: int | str | None = None
) -> Tally:
    """Score every customer of a log into a Parquet or CSV file, a folder of Parquet files, or a table of a data base
    (`postgresql://user@host/db?table=scores`): whole or not at all.

    The scores are those of `model.score(log, as_of, horizon)`, in its order; memory holds a few parts of them.
    Raises as that does, and OptionError where the file cannot be written.
    """
    with scored_base(model, log, as_of=as_of, horizon=horizon) as base:
        return base.write(target_of(os.fspath(out)))


@contextmanager
def scored_base(
    model: ClvModel, log: Transactions, *, as_of: Any, horizon: int | str | None = None, step: Step = _unwatched
) -> Iterator[ScoredBase]:
    """A base scored but for its tiers, on disk for the time of the with statement.

    step: called with the number of customers done.
    """
    resources, cache, day = log.resources, ForecastCache(log.lines), as_date(as_of)
    warn_of_silence(log.last_date, day)
    threads = resources.n_workers
    rows = part_rows(resources)

    def score(part: CustomerDays) -> ScoredRows | None:
        frame = part.summary()
        frame.attrs = {"as_of": day.isoformat()}
        return model.score_rows(frame, horizon, cache=cache) if len(frame) else None

    aside = resources.temporary()
    try:
        with _spilling_to(aside):
            aside.mkdir()
        parts = _PartsFile(aside / "scored.arrow")
        for part in each_in_order(score, log.customer_days(day, model.window_, rows), threads):
            if part is not None:
                parts.put(part)
                step(len(part.columns["tier_value"]))
        if not parts.tier_values:
            raise DataError(no_purchase(day))
        cutoffs = model.tier_cutoffs(np.concatenate(parts.tier_values), np.concatenate(parts.contributions))
        yield ScoredBase(parts, cutoffs, threads)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


class ScoredBase:
    """A base whose tiers are known, ready to be written."""

    def __init__(self, parts: _PartsFile, cutoffs: segments.Cutoffs, threads: int) -> None:
        self._parts, self._cutoffs, self._threads = parts, cutoffs, threads
        self.customers = sum(map(len, parts.tier_values))

    def write(self, *targets: Path | ScoresTable, step: Step = _unwatched) -> Tally:
        """Write the scores to each target: a table of a data base, or what `write_file` makes of a path."""
        tallies: list[Tally] = []
        self._into(targets, [], lambda sinks: tallies.append(self._fill(sinks, step)))
        return tallies[0]

    def _into(
        self, targets: Sequence[Path | ScoresTable], sinks: list[Sink], fill: Callable[[list[Sink]], None]
    ) -> None:
        """Open all targets aside, fill them together, and put each in its place."""
        if not targets:
            fill(sinks)
            return
        first, *rest = targets

        def onwards(sink: Sink) -> None:
            self._into(rest, [*sinks, sink], fill)

        if isinstance(first, ScoresTable):
            write_table(first, onwards)
        else:
            write_file(first, onwards)

    def _fill(self, sinks: Sequence[Sink], step: Step) -> Tally:
        total = Tally()

        def work(number: int) -> tuple[pa.Table, Tally]:
            scores = scores_table(self._parts.read(number), self._cutoffs)
            return scores, Tally.of(scores)

        self._parts.close()
        for scores, tally in in_order(work, range(len(self._parts.tier_values)), self._threads - 1):  # this one writes
            for sink in sinks:
                sink.write(scores)
            total.add(tally)
            step(len(scores))
        return total


@contextmanager
def _spilling_to(aside: Path) -> Iterator[None]:
    """Where temporary files are written."""
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise OptionError(
            f"Temporary files could not be written in {aside.parent}: {why}. Name a folder with room as spill."
        ) from error


class _PartsFile:
    """Scored parts on disk, and what of them the cutoffs of the tiers need in memory: sixteen bytes a customer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None
        self._about: tuple[Any, ...] = ()
        self.tier_values: list[Floats] = []
        self.contributions: list[Floats] = []

    def put(self, part: ScoredRows) -> None:
        """Append a part."""
        import pyarrow as pa

        columns, self._about = part.columns, part[1:]
        self.tier_values.append(columns["tier_value"])
        self.contributions.append(columns["contribution"])
        batch = pa.record_batch({name: pa.array(values) for name, values in columns.items()})
        with _spilling_to(self._path.parent):
            if self._writer is None:
                self._writer = pa.ipc.new_file(self._path, batch.schema)
            self._writer.write_batch(batch)

    def close(self) -> None:
        """No more parts; again does nothing."""
        if self._writer is not None:
            with _spilling_to(self._path.parent):
                self._writer.close()
            self._writer = None

    def read(self, number: int) -> ScoredRows:
        """The part that came so many parts after the first; once the file is closed, by any thread."""
        import pyarrow as pa

        with pa.OSFile(str(self._path)) as held:  # a mapped file would count as memory of the process
            batch = pa.ipc.open_file(held).get_batch(number)
        return ScoredRows(dict(_arrays(batch)), *self._about)


def _arrays(batch: pa.RecordBatch) -> Iterator[tuple[str, Any]]:
    """The columns as numpy has them, but the ids, which may be text."""
    for name in batch.schema.names:
        column = batch.column(name)
        yield name, column if name == "customer_id" else column.to_numpy(zero_copy_only=False)
