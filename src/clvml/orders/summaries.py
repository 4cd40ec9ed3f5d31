"""Tables with a row a customer, made of a log's days in the order of customer and day: some customers at a time."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.errors import DataError
from clvml.horizon import EPOCH
from clvml.maths.customers import MAX_SUM, Days, SummarySettings, customers, merged

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "HISTORY",
    "BookedDays",
    "CustomerDays",
    "FitTables",
    "concat_columns",
    "customer_days",
    "fit_tables",
    "joined_days",
    "net_spend",
    "no_purchase",
]

HISTORY = ["frequency", "recency", "T"]
"""What a BTYD likelihood knows of a customer."""
MAX_DAYS = 16
"""Days, or lines, a customer that a part of a log has at most, so that its size in memory is known."""

PartRows = list[tuple["pa.RecordBatch", NDArray[np.bool_]]]
"""Rows of some customers, and whether each is the first of its customer."""


class BookedDays(NamedTuple):
    """What was booked of the customers of a summary, in its order: one entry a customer and day, in that order."""

    begin: NDArray[np.intp]
    """Where each customer's entries begin."""
    day: NDArray[np.int64]
    """Day number."""
    purchase: NDArray[np.bool_]
    """Whether the day is a purchase; every customer has one."""
    amount: NDArray[np.int64]
    """All money booked, refunds taken out, in whole units."""
    contribution: NDArray[np.int64]
    """In whole units; may be `amount` itself."""
    units: float
    """Units of money that make 1."""

    @property
    def counts(self) -> NDArray[np.intp]:
        """How many entries each customer has."""
        return np.diff(self.begin, append=self.day.size)

    @property
    def first_day(self) -> NDArray[np.int64]:
        """Day of the first purchase of each customer."""
        bought = np.flatnonzero(self.purchase)
        return self.day[bought[np.searchsorted(bought, self.begin)]]


class CustomerDays(NamedTuple):
    """Some customers: their ids, one each, and what was booked of them."""

    ids: pa.Array
    first: NDArray[np.bool_]
    """Whether a row is the first of its customer."""
    columns: dict[str, NDArray[np.int64]]
    """The rows of sql/bookings.sql or sql/plain_lines.sql: whole numbers, money in units of its last digit."""
    settings: SummarySettings

    def summary(self) -> pd.DataFrame:
        """Summary and features of those who have a purchase, one row each; see `clvml.maths.customers`.

        Raises DataError where money has too many digits.
        """
        return concat_columns([self.summary_columns()])

    def summary_columns(self, days: Days | None = None) -> dict[str, Any]:
        """The columns of that table, with the numbers of first_day and last_day instead of dates. days: `days()`, where
        it has been called already.
        """
        with _exact_sums():
            who, columns = customers(days or self.days(), self.settings)
        return {"customer_id": self.ids if who.size == len(self.ids) else self.ids.take(who)} | columns

    def purchase_days(self, days: Days | None = None) -> pd.DataFrame:
        """customer_id and day number of every purchase, in the order of customer and day. days: as for
        `summary_columns`.
        """
        days = days or self.days()
        place = np.cumsum(days.first)[days.purchase] - 1
        return pd.DataFrame({"customer_id": self.ids.take(place).to_pandas(), "day": days.day[days.purchase]})

    def duplicates(self) -> int:
        """How many lines repeat another, where the rows are lines with a hash of each: only lines of the same customer
        and day can.
        """
        day, line_hash = self.columns["day"], self.columns["line_hash"]
        again = np.zeros(day.size + 1, dtype=np.bool_)
        np.equal(day[1:], day[:-1], out=again[1:-1])
        again[:-1] &= ~self.first
        repeats = np.flatnonzero(again)
        pair = ~(again[repeats - 1] | again[repeats + 1])  # the day has two lines
        duplicates = np.count_nonzero(line_hash[repeats[pair]] == line_hash[repeats[pair] - 1])
        more = repeats[~pair]
        lines = np.unique(np.concatenate([more, more - 1]))
        run, line_hash = np.cumsum(~again[lines]), line_hash[lines]
        order = np.lexsort((line_hash, run))
        run, line_hash = run[order], line_hash[order]
        return int(duplicates + np.count_nonzero((run[1:] == run[:-1]) & (line_hash[1:] == line_hash[:-1])))

    def booked(self, days: Days) -> BookedDays:
        """What was booked of those who have a purchase. days: what `days()` gave."""
        amount = days.net if days.booked is None else days.booked[0] - days.booked[1]
        contribution = amount if days.booked is None and days.contribution is days.net else days.contribution
        first, day, bought = days.first, days.day, days.purchase
        begin = np.flatnonzero(first)
        buyers = np.logical_or.reduceat(bought, begin)
        if not buyers.all():
            kept = np.repeat(buyers, np.diff(begin, append=day.size))
            own = amount[kept]
            contribution = own if contribution is amount else contribution[kept]
            begin, day, bought, amount = np.flatnonzero(first[kept]), day[kept], bought[kept], own
        return BookedDays(begin, day, bought, amount, contribution, self.settings.units)

    def days(self) -> Days:
        """What was booked, one entry a customer and day."""
        columns = self.columns
        if "purchase" in columns:
            booked = columns["sold"], columns["refunds"]
            bought = columns["purchase"] > 0
            return Days(self.first, columns["day"], bought, columns["net"], columns["contribution"], booked)
        money = [columns[name] for name in ("net", "contribution") if name in columns]
        with _exact_sums():
            first, day, (net, *contribution) = merged(self.first, columns["day"], *money)
        return Days(first, day, net > 0, net, contribution[0] if contribution else net, None)


def customer_days(batches: Iterable[pa.RecordBatch], rows: int, settings: SummarySettings) -> Iterator[CustomerDays]:
    """Parts of `rows` customers, fewer where these have many days, from the rows of sql/bookings.sql or
    sql/plain_lines.sql in the order of customer and day.
    """
    held: PartRows = []
    people, last = 0, None
    for batch in batches:
        if not batch.num_rows:
            continue
        rest, first = batch, _first(batch.column(0), last)
        last, people = batch.column(0)[-1:], people + int(np.count_nonzero(first))
        while people > rows or (people > 1 and first.any() and _row_count(held) + len(first) > MAX_DAYS * rows):
            # At the customer who is one too many; or where days are, at the last one.
            starts = np.flatnonzero(first)
            ahead = people - rows if people > rows else 1
            cut = int(starts[-ahead])
            yield _part([*held, (rest[:cut], first[:cut])], settings)
            held, rest, first, people = [], rest[cut:], first[cut:], ahead
        held.append((rest, first))
    if held:
        yield _part(held, settings)


@contextlib.contextmanager
def _exact_sums() -> Iterator[None]:
    """A block in which money is added up; DataError where it has too many digits."""
    try:
        yield
    except OverflowError as error:
        raise DataError(f"The amounts are too large to be summed exactly: {error}. Give them in thousands.") from None


def joined_days(parts: Sequence[BookedDays]) -> BookedDays:
    """Those of all the parts, one after the other. Raises DataError where the sum of all money might not fit."""
    sizes = np.array([part.day.size for part in parts])
    begin = np.concatenate([part.begin + shift for part, shift in zip(parts, np.cumsum(sizes) - sizes, strict=True)])
    amount = np.concatenate([part.amount for part in parts]).astype(np.int64, copy=False)
    same = all(part.contribution is part.amount for part in parts)
    contribution = amount if same else np.concatenate([part.contribution for part in parts]).astype(np.int64)
    for money in (amount, contribution):
        if np.abs(money, dtype=np.float64).sum() >= MAX_SUM:
            raise DataError("The amounts are too large to be summed exactly over all. Give them in thousands.")
    day, purchase = (np.concatenate([getattr(part, name) for part in parts]) for name in ("day", "purchase"))
    return BookedDays(begin, day, purchase, amount, contribution, parts[0].units)


def _row_count(held: PartRows) -> int:
    return sum(len(first) for _, first in held)


def _first(ids: pa.Array, before: pa.Array | None) -> NDArray[np.bool_]:
    """Whether each id is another than the one before it."""
    import pyarrow.compute as pc

    first = np.ones(len(ids), dtype=np.bool_)
    first[1:] = pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
    first[0] = before is None or ids[0] != before[0]
    return first


def _part(held: PartRows, settings: SummarySettings) -> CustomerDays:
    import pyarrow as pa

    held = [(batch, first) for batch, first in held if batch.num_rows]
    ids = pa.concat_arrays([batch.column(0).filter(pa.array(first)) for batch, first in held])
    columns = {
        name: np.concatenate([_whole(batch.column(name)) for batch, _ in held]) for name in held[0][0].schema.names[1:]
    }
    return CustomerDays(ids, np.concatenate([first for _, first in held]), columns, settings)


def _whole(column: pa.Array) -> NDArray[np.int64]:
    """Whole numbers; of a DECIMAL that fits in 64 bits, its units: the lower half of the 128 that Arrow gives it."""
    import pyarrow as pa

    if not pa.types.is_decimal(column.type):
        whole: NDArray[np.int64] = column.to_numpy()
        return whole.astype(np.int32) if whole.dtype == np.int16 else whole  # differences of days are longer
    halves = np.frombuffer(column.buffers()[1], dtype="<i8")
    return halves[2 * column.offset : 2 * (column.offset + len(column)) : 2]


def concat_columns(parts: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The table of several parts, one after the other."""
    import pyarrow as pa

    ids = pa.table({"customer_id": pa.chunked_array([part["customer_id"] for part in parts])})
    origin, columns = np.datetime64(EPOCH.isoformat(), "us"), {"customer_id": ids.to_pandas()["customer_id"]}
    for name in list(parts[0])[1:]:
        column = parts[0][name] if len(parts) == 1 else np.concatenate([part[name] for part in parts])
        if name.endswith("_day"):
            columns[name.replace("_day", "_date")] = origin + column.astype("timedelta64[D]")
        else:
            columns[name] = column
    return pd.DataFrame(columns, copy=False)


class FitTables(NamedTuple):
    """All customers without their ids: what the BTYD models of a customer base of any size are fitted to."""

    counts: pd.DataFrame
    """frequency, recency, T, and how many customers share them."""
    spend: pd.DataFrame
    """frequency and monetary_value of customers with repeat purchases, and how many customers share them."""
    amount: float
    """Net amount of all customers so far."""
    contribution: float


def net_spend(amount: NDArray[np.float64]) -> NDArray[np.float64]:
    """What customers spent in a window, of all money that was booked for them in it, refunds taken out.

    A refund may be of a purchase before the window: who got back more than they spent has spent nothing, and what is
    missing then comes off all others, so that the sum stays what the shop has taken.
    """
    kept = np.maximum(amount, 0.0)
    total, whole = float(amount.sum()), float(kept.sum())
    return kept if whole in (total, 0.0) else kept * (max(total, 0.0) / whole)


def no_purchase(as_of: dt.date) -> str:
    """What is wrong with a log in which nobody has bought by a day."""
    return f"No purchase up to {as_of}: all lines are refunds, zero, or orders cancelled in full."


def fit_tables(summaries: Iterable[pd.DataFrame], as_of: dt.date) -> FitTables:
    """Those of the customers in some summaries. Raises DataError where there are none."""
    counts, spend, amount, contribution = list[pd.DataFrame](), list[pd.DataFrame](), 0.0, 0.0
    for summary in summaries:
        counts.append(summary.groupby(HISTORY, as_index=False).size())
        spend.append(summary.loc[summary["frequency"] > 0, ["frequency", "monetary_value"]].assign(customers=1))
        amount += float(summary["amount"].sum())
        contribution += float(summary["contribution"].sum())
    if not counts:
        raise DataError(no_purchase(as_of))
    known = pd.concat(counts).rename(columns={"size": "customers"}).groupby(HISTORY, as_index=False).sum()
    known.attrs = {"as_of": as_of.isoformat()}
    return FitTables(known, pd.concat(spend, ignore_index=True), amount, contribution)
