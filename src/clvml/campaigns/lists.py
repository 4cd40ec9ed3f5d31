"""Customer ids and the lists that keep customers out: suppressed, contacted too often. Ids compare as trimmed text."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.errors import DataError, did_you_mean
from clvml.tables import canonical_ids

__all__ = ["often_contacted", "suppressed_ids"]


def suppressed_ids(suppress: Iterable[object] | pd.DataFrame | None) -> set[str]:
    """Ids of a list or of the customer_id column of a table."""
    if suppress is None:
        return set()
    if isinstance(suppress, pd.DataFrame):
        return set(canonical_ids(_column(suppress, "customer_id", "suppression list").dropna()))
    if isinstance(suppress, str):
        raise DataError(f"suppress={suppress!r} is one word. Pass a list of customer ids or a table with customer_id.")
    return set(canonical_ids(suppress))


def often_contacted(contacts: pd.DataFrame | None, as_of: dt.date, days: int, most: int | None) -> set[str]:
    """Ids with `most` or more contacts within the `days` up to as_of; a row of customer_id and date is a contact."""
    if contacts is None or most is None:
        return set()
    dates = pd.to_datetime(_column(contacts, "date", "contact list"), errors="coerce").to_numpy("datetime64[D]")
    unread: npt.NDArray[np.bool_] = np.isnat(dates)
    if unread.any():
        raise DataError(
            f"The contact list has {unread.sum()} of {len(dates)} dates that cannot be read, "
            f"first in row {int(unread.argmax())}."
        )
    end = np.datetime64(as_of)
    recent = (dates <= end) & (dates > end - np.timedelta64(days, "D"))
    ids = pd.Series(canonical_ids(_column(contacts, "customer_id", "contact list")))[recent]
    counts = ids.value_counts()
    return set(counts.index[counts >= most])


def _column(table: pd.DataFrame, name: str, what: str) -> pd.Series:
    if name not in table:
        raise DataError(
            f"The {what} has no column '{name}'.{did_you_mean(name, map(str, table))} "
            f"It has: {', '.join(map(str, table))}."
        )
    return table[name]
