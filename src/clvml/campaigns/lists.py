"""Lists that keep customers out of a campaign: those never to be treated, and those contacted often enough."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.campaigns.treatments import Plan
from clvml.errors import DataError, did_you_mean
from clvml.horizon import as_date
from clvml.orders.reading.day_column import days_of_column
from clvml.redaction import shown_id
from clvml.tables import canonical_ids

__all__ = ["in_running", "matched_ids", "often_contacted", "suppressed_ids"]


def suppressed_ids(suppress: Iterable[object] | pd.DataFrame | None) -> set[str]:
    """Ids of a list or of the customer_id column of a table; blanks are no ids."""
    if suppress is None:
        return set()
    if isinstance(suppress, pd.DataFrame):
        suppress = _column(suppress, "customer_id", "suppression list")
    if isinstance(suppress, str):
        raise DataError(
            f"suppress={shown_id(suppress)!r} is one word. Pass a list of customer ids or a table with customer_id."
        )
    return _ids(suppress)


def matched_ids(listed: set[str], known: set[str], what: str) -> list[str]:
    """A note on entries of a list that are no customer of the scores. Raises DataError where none of them is one."""
    strangers = listed - known
    if not strangers:
        return []
    first = shown_id(min(strangers))
    if strangers == listed:
        raise DataError(
            f"None of the {len(listed):,} customers of the {what} is among the scores, the first is '{first}' "
            f"(the scores have '{shown_id(min(known))}'). Is it the right list, and are the ids written in the same "
            "way?"
        )
    return [
        f"{len(strangers):,} of {len(listed):,} customers of the {what} are not among the scores, first '{first}': "
        "check how ids are written"
    ]


def often_contacted(contacts: pd.DataFrame, as_of: dt.date, days: int, most: int) -> set[str]:
    """Ids that had, or are going to have, `most` contacts within some `days` in a row that as_of is one of.

    contacts: a row of customer_id and date each, behind and ahead of as_of; dates are read as those of a log are.
    """
    dates = days_of_column(_column(contacts, "date", "contact list"))
    unread = np.isnat(dates)
    if unread.any():
        row = int(unread.argmax())
        raise DataError(
            f"The contact list has {unread.sum():,} of {len(dates):,} dates that cannot be read, first "
            f"'{contacts['date'].iloc[row]}' in row {row}. Write 2011-12-09; 03/04/2011 is read only where other dates "
            "of the column tell the day from the month."
        )
    offset = (dates - np.datetime64(as_of)).astype(np.int64)  # days after as_of
    near = np.abs(offset) < days
    ids = np.array(canonical_ids(_column(contacts, "customer_id", "contact list")), dtype=object)[near]
    code, names = pd.factorize(ids)
    often = _most_in_a_row(code.astype(np.int64), offset[near], days, len(names)) >= most
    return {str(i) for i in names[often]}


def _most_in_a_row(
    code: npt.NDArray[np.int64], offset: npt.NDArray[np.int64], days: int, n: int
) -> npt.NDArray[np.int64]:
    """The most contacts of each of n customers in any `days` in a row that hold day 0; offsets are nearer to 0."""
    at = np.sort(code * 4 * days + offset)  # customers lie so far apart that no run of days holds two of them
    starts = np.concatenate([at[(at + days) % (4 * days) <= days], np.arange(n) * 4 * days])
    held = np.searchsorted(at, starts + days) - np.searchsorted(at, starts)
    most = np.zeros(n, dtype=np.int64)
    np.maximum.at(most, (starts + days) // (4 * days), held)
    return most


def in_running(campaigns: Iterable[pd.DataFrame], plan: Plan, as_of: dt.date) -> dict[str, str]:
    """Customers of other campaigns that end after as_of, treated or control, and what to say of them.

    campaigns: audiences as `read_audience` gives them. A campaign ends on its day `until`, or after its horizon.
    """
    found: dict[str, str] = {}
    for audience in campaigns:
        if not len(audience):
            continue
        first = audience.iloc[0]
        if "until" not in audience and "horizon_days" not in audience:
            raise DataError("A running campaign tells neither until nor horizon_days: give the planner's own file.")
        begun = as_date(first["as_of"])
        end = as_date(first["until"]) if "until" in audience else begun + dt.timedelta(int(first["horizon_days"]))
        name = str(first.get("campaign", ""))
        if name != plan.name and as_of < end:
            found |= dict.fromkeys(audience["customer_id"], f"in the campaign '{name}' until {end}")
    return found


def _ids(values: Iterable[object]) -> set[str]:
    given = pd.Series([*values], dtype=object)
    return {i for i in canonical_ids(given[given.notna()]) if i}


def _column(table: pd.DataFrame, name: str, what: str) -> pd.Series:
    if name not in table:
        raise DataError(
            f"The {what} has no column '{name}'.{did_you_mean(name, map(str, table))} "
            f"It has: {', '.join(map(str, table))}."
        )
    return table[name]
