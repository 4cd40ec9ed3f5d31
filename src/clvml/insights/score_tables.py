"""What the insights ask of a table of scores: that the columns are there, and one row a customer."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from clvml.errors import DataError, did_you_mean
from clvml.tables import canonical_ids

__all__ = ["by_customer", "require_columns"]


def require_columns(frame: pd.DataFrame, names: Sequence[str], what: str) -> None:
    """Raise DataError for the first column that is missing; what: the table in words, such as 'earlier scores'."""
    for name in names:
        if name not in frame:
            have = "has" if what == "history" else "have"
            raise DataError(f"The {what} {have} no column '{name}'.{did_you_mean(name, map(str, frame))}")


def by_customer(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """These columns indexed by canonical customer_id. Raises DataError where a customer has two rows."""
    table = frame[list(names)].assign(customer_id=canonical_ids(frame["customer_id"])).set_index("customer_id")
    if table.index.has_duplicates:
        raise DataError(f"Customer '{table.index[table.index.duplicated()][0]}' stands twice in the scores.")
    return table
