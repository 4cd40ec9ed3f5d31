"""The window of a campaign, and what the customers of an audience bought in it."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.errors import DataError, OptionError
from clvml.horizon import as_date, horizon_days
from clvml.orders.transactions import Transactions
from clvml.redaction import shown_id
from clvml.tables import canonical_ids

__all__ = ["Arms", "Window", "arms_of", "campaign_log", "check_booked", "measures_of", "purchases_within", "window_of"]

Array = npt.NDArray[np.float64]
_PREDICTORS = {"returned": "p_return", "revenue": "expected_spend", "contribution": "clv"}
"""What the scores said beforehand about each measure: CUPED takes it out (Deng et al. 2013, WSDM)."""


class Window(NamedTuple):
    """Purchases after `start` until `end` count; the campaign is over at `planned_end`."""

    start: dt.date
    end: dt.date
    planned_end: dt.date

    @property
    def elapsed(self) -> float:
        """Share of the planned window that is over, in (0, 1]."""
        return min(1.0, (self.end - self.start).days / (self.planned_end - self.start).days)


class Arms(NamedTuple):
    """Who is compared, row by row of the audience, and what came of it."""

    treated: npt.NDArray[np.bool_]
    stratum: npt.NDArray[Any]
    measures: dict[str, Array]
    predictors: dict[str, Array]


def window_of(table: pd.DataFrame, log: Transactions, start: Any, end: Any) -> Window:
    """The window asked for. Raises DataError where the log ends before it does, OptionError for dates out of order."""
    if not len(table):
        raise DataError("The audience is empty: nobody was treated, so there is nothing to measure.")
    as_of = as_date(table["as_of"].iloc[0])
    first = as_of if start is None else as_date(start, "start")
    if first < as_of:
        raise OptionError(f"start={first} lies before the audience's as_of={as_of}: that was known when it was drawn.")
    planned = (
        first + dt.timedelta(days=horizon_days(int(table["horizon_days"].iloc[0]))) if "horizon_days" in table else None
    )
    if end is not None:
        last = as_date(end, "end")
    elif planned is not None:
        last = planned
    else:
        raise OptionError("The audience has no horizon_days. Pass end=<last day of the campaign's window>.")
    if last <= first:
        raise OptionError(f"end={last} must lie after start={first}.")
    check_booked(log, last)
    return Window(first, last, planned or last)


def check_booked(log: Transactions, last: dt.date) -> None:
    """Raises DataError where the log ends before the day."""
    if last > log.last_date:
        raise DataError(
            f"The log ends on {log.last_date}, before the window does on {last}. "
            f"What is not booked yet would count as no purchase: wait, "
            f"or pass end='{log.last_date}' for a look before the end."
        )


def campaign_log(log: Transactions, *ids: Iterable[object]) -> Transactions:
    """The log itself; of one on Spark the lines of these customers, collected: those of the campaigns to be read."""
    return log.of_customers(itertools.chain(*ids)) if log.on_spark else log


def purchases_within(log: Transactions, first: dt.date, last: dt.date) -> pd.DataFrame:
    """purchases, revenue, contribution within (first, last] of all customers of the log, by customer_id (text)."""
    found = log.activity(first, last).rename(columns={"amount": "revenue"})
    return found.assign(customer_id=canonical_ids(found["customer_id"])).set_index("customer_id")


def arms_of(table: pd.DataFrame, after: pd.DataFrame) -> Arms:
    """The groups of the audience with their measures after the campaign. Raises DataError where they do not fit."""
    groups = table["group"].astype("string").str.strip().str.lower()
    odd = ~groups.isin(["treat", "control"])
    if odd.any():
        raise DataError(
            f"{odd.sum()} rows of the audience have a group that is neither treat nor control, "
            f"first '{table['group'][odd].iloc[0]}'."
        )
    if not table["customer_id"].isin(after.index).any():
        raise DataError(
            f"None of the {len(table):,} customers of the audience is in the log, "
            f"the first is '{shown_id(table['customer_id'].iloc[0])}'. "
            "Is it the right log, and are the ids written in the same way?"
        )
    rows = after.reindex(table["customer_id"]).fillna(0.0)
    stratum = (
        table["stratum"].astype("string").fillna("?").to_numpy(dtype=object)
        if "stratum" in table
        else np.zeros(len(table))
    )
    predictors = {m: table[c].to_numpy(np.float64) for m, c in _PREDICTORS.items() if c in table}
    return Arms((groups == "treat").to_numpy(np.bool_), stratum, measures_of(rows), predictors)


def measures_of(rows: pd.DataFrame) -> dict[str, Array]:
    """Returned (1 or 0), revenue, contribution from the columns of `purchases_within`."""
    return {
        "returned": (rows["purchases"].to_numpy(np.float64) > 0) * 1.0,
        "revenue": rows["revenue"].to_numpy(np.float64),
        "contribution": rows["contribution"].to_numpy(np.float64),
    }
