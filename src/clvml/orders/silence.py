"""A log that ended before the day it is asked about: its last days are no silence of customers."""

from __future__ import annotations

import datetime as dt
import warnings

from clvml.errors import ClvWarning
from clvml.orders.transactions import Transactions

__all__ = ["silence_note", "warn_of_silence"]

_QUIET_DAYS = 14
"""A log may end so many days before as_of without a word: weekends, holidays, and loads that come once a week."""


def silence_note(log: Transactions, day: dt.date) -> str | None:
    """What to say of a log that ends long before the day; None of one that does not."""
    quiet = (day - log.last_date).days
    if quiet <= _QUIET_DAYS:
        return None
    return (
        f"as_of={day} is {quiet} days after the last order of the log ({log.last_date}): the days between count as "
        "silence of every customer. If orders are missing, load them; else choose an earlier as_of."
    )


def warn_of_silence(log: Transactions, day: dt.date) -> None:
    """The same as a ClvWarning."""
    note = silence_note(log, day)
    if note:
        warnings.warn(note, ClvWarning, stacklevel=3)
