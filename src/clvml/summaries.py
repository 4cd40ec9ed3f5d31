"""Tables with a row a customer, made of a log's days in the order of customer and day: some customers at a time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.errors import DataError
from clvml.horizon import EPOCH
from clvml.maths.customers import Days, Known, customers, merged

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Base", "Part", "base_of", "parts", "summary_of"]

_DAYS = 16
"""Days, or lines, a customer that a part has at most, so that its size in memory is known."""


class Part(NamedTuple):
    """Some customers: their ids, one each, and what was booked of them."""

    ids: pa.Array
    days: Days


def parts(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[Part]:
    """Parts of `rows` customers, fewer where these have many days, from the rows of sql/booked.sql or
    sql/plain_lines.sql in the order of customer and day.
    """
    held: list[tuple[pa.RecordBatch, NDArray[np.bool_]]] = []
    customers, last = 0, None
    for batch in batches:
        if not batch.num_rows:
            continue
        rest, first = batch, _first(batch.column(0), last)
        last, customers = batch.column(0)[-1:], customers + int(np.count_nonzero(first))
        while customers > rows or (customers > 1 and first.any() and _days(held) + len(first) > _DAYS * rows):
            # At the customer who is one too many; or where days are, at the last one.
            starts = np.flatnonzero(first)
            ahead = customers - rows if customers > rows else 1
            cut = int(starts[-ahead])
            yield _part([*held, (rest[:cut], first[:cut])])
            held, rest, first, customers = [], rest[cut:], first[cut:], ahead
        held.append((rest, first))
    if held:
        yield _part(held)


def _days(held: list[tuple[pa.RecordBatch, NDArray[np.bool_]]]) -> int:
    return sum(len(first) for _, first in held)


def _first(ids: pa.Array, before: pa.Array | None) -> NDArray[np.bool_]:
    """Whether each id is another than the one before it."""
    import pyarrow.compute as pc

    first = np.ones(len(ids), dtype=np.bool_)
    first[1:] = pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
    first[0] = before is None or ids[0] != before[0]
    return first


def _part(held: list[tuple[pa.RecordBatch, NDArray[np.bool_]]]) -> Part:
    import pyarrow as pa

    held = [(batch, first) for batch, first in held if batch.num_rows]
    ids = pa.concat_arrays([batch.column(0).filter(pa.array(first)) for batch, first in held])
    first = np.concatenate([first for _, first in held])
    columns = {
        name: np.concatenate([_whole(batch.column(name)) for batch, _ in held]) for name in held[0][0].schema.names[1:]
    }
    if "purchase" in columns:
        booked = columns["sold"], columns["refunds"]
        days = Days(first, columns["day"], columns["purchase"] > 0, columns["net"], columns["earned"], booked)
        return Part(ids, days)
    first, day, (net, *earned) = merged(first, *columns.values())
    return Part(ids, Days(first, day, net > 0, net, earned[0] if earned else net, None))


def _whole(column: pa.Array) -> NDArray[np.int64]:
    """Whole numbers; of a DECIMAL that fits in 64 bits, its units: the lower half of the 128 that Arrow gives it."""
    import pyarrow as pa

    if not pa.types.is_decimal(column.type):
        whole: NDArray[np.int64] = column.to_numpy()
        return whole.astype(np.int32) if whole.dtype == np.int16 else whole  # differences of days are longer
    halves = np.frombuffer(column.buffers()[1], dtype="<i8")
    return halves[2 * column.offset : 2 * (column.offset + len(column)) : 2]


def summary_of(part: Part, known: Known) -> pd.DataFrame:
    """Summary and features of those of a part who have a purchase, one row each; see `clvml.maths.customers`.

    Raises DataError where money has too many digits.
    """
    try:
        who, columns = customers(part.days, known)
    except OverflowError as error:
        raise DataError(f"The amounts are too large to be summed exactly: {error}. Tell them in thousands.") from None
    ids = part.ids if who.size == len(part.ids) else part.ids.take(who)
    origin = np.datetime64(EPOCH.isoformat(), "us")
    days = {end: columns.pop(f"{end}_day").astype("timedelta64[D]") for end in ("first", "last")}
    dates = {f"{end}_date": origin + day for end, day in days.items()}
    return pd.DataFrame({"customer_id": _values(ids)} | dates | columns, copy=False)


def _values(ids: pa.Array) -> pd.Series:
    import pyarrow as pa

    values: pd.Series = pa.table({"ids": ids}).to_pandas()["ids"]
    return values


class Base(NamedTuple):
    """A base without its customers: what the BTYD models of a base of any size learn from."""

    counts: pd.DataFrame
    """frequency, recency, T, and how many customers share them."""
    spend: pd.DataFrame
    """frequency and monetary_value of every customer with repeat purchases."""
    amount: float
    """Net amount of all customers so far."""
    contribution: float


def base_of(summaries: Iterable[pd.DataFrame], as_of: dt.date) -> Base:
    """The base of these customers. Raises DataError where there are none."""
    histories = ["frequency", "recency", "T"]
    counts, spend, amount, earned = list[pd.DataFrame](), list[pd.DataFrame](), 0.0, 0.0
    for summary in summaries:
        counts.append(summary.groupby(histories, as_index=False).size())
        spend.append(summary.loc[summary["frequency"] > 0, ["frequency", "monetary_value"]])
        amount, earned = amount + float(summary["amount"].sum()), earned + float(summary["contribution"].sum())
    if not counts:
        raise DataError(f"No purchase up to {as_of}: all lines are refunds, zero, or orders cancelled in full.")
    known = pd.concat(counts).rename(columns={"size": "customers"}).groupby(histories, as_index=False).sum()
    known.attrs = {"as_of": as_of.isoformat()}
    return Base(known, pd.concat(spend, ignore_index=True), amount, earned)
