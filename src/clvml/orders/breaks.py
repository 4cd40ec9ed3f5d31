"""Where a log breaks off, or in two: days and customers that look like lost customers and are none.

A log that ended before the day it is asked about, or that has no orders for weeks, makes everybody silent. Where
customers get new ids on one day, all old ids end and as many new ones begin: no healthy log has a day that nobody's
purchases stand on both sides of. Where customers who had stopped buying are deleted, nobody's last purchase lies before
some day: in a healthy log some customers are lost at all times.
"""

from __future__ import annotations

import datetime as dt
import itertools
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clvml.errors import ClvWarning
from clvml.horizon import day_number, day_of_number

__all__ = [
    "Closure",
    "Deletion",
    "Restart",
    "break_notes",
    "closed_note",
    "closures",
    "deletion_of",
    "restart_of",
    "silence_note",
    "unusual_closures",
    "warn_of_restart",
    "warn_of_silence",
]

Ints = NDArray[np.int64]

_QUIET_DAYS = 14
"""A log may end so many days before as_of without a word: weekends, holidays, and loads that come once a week."""
_MIN_CLOSED_DAYS, _MIN_CLOSED_LINES, _AROUND_WEEKS = 7, 30, 4
"""Days on end without a line, for fewer are holidays; lines that they should have brought by the least of the weeks on
either side, of which by chance there are none once in 10^13; and so many weeks.
"""
_MIN_LONG_DAYS = 28
"""Fewer days without orders are holidays, which come again and which a model can bear."""
_YEAR = 365
_MIN_REPEATERS = 50
"""Customers who buy across some day before it, and across some day after it, without whom nothing is said of ids."""
_MAX_BOTH = 0.2
"""Share of these that may stand across a day on which ids start anew: some keep theirs. In 190 real logs and days the
least share was 0.92.
"""
_DELETION_DAYS, _FROM_BEGIN, _TO_END = 30, 60, 90
"""Days after a deletion in which customers are lost as ever; and least days from either end of the log."""
_MIN_LOST, _MIN_LOST_SHARE = 20, 0.01
"""Last purchases in these days, and their share of those who bought before."""
_MIN_CLIFF = 10.0
"""So many times as many as ever before. In 190 real logs and days it was 1.1 at most."""


class Closure(NamedTuple):
    """Days without any line though the weeks before and after have many on such days of the week."""

    first: int
    """Day number."""
    last: int
    missed: int
    """Lines by the least of the weeks around."""

    @property
    def days(self) -> int:
        """How many."""
        return self.last - self.first + 1

    def shifted(self, days: int) -> Closure:
        """The same so many days later."""
        return self._replace(first=self.first + days, last=self.last + days)

    def __str__(self) -> str:
        first, last = day_of_number(self.first), day_of_number(self.last)
        return f"{first}" if first == last else f"{first} to {last}"


def closures(lines: Ints, begin: int) -> list[Closure]:
    """Those of a log: a file is missing, or the shop was closed. lines: of each day from the first one, begin, on."""
    found = []
    for last, after in itertools.pairwise(np.flatnonzero(lines)):
        if after - last <= _MIN_CLOSED_DAYS:
            continue
        days, weeks = np.arange(last + 1, after), 7 * np.arange(_AROUND_WEEKS)[:, None]
        around = np.concatenate([last - (last - days) % 7 - weeks, after + (days - after) % 7 + weeks])
        inside = np.clip(around, 0, len(lines) - 1)
        missed = int(np.where(around == inside, lines[inside], 0).min(axis=0).sum())
        if missed >= _MIN_CLOSED_LINES:
            found.append(Closure(begin + int(last) + 1, begin + int(after) - 1, missed))
    return found


def unusual_closures(lines: Ints, begin: int) -> list[Closure]:
    """The long ones that are no season: the log knows the same weeks of another year, and has orders in them.

    Arguments are those of `closures`.
    """
    found, end = closures(lines, begin), begin + len(lines)

    def is_unusual(closure: Closure) -> bool:
        years = [closure.shifted(days) for days in (-_YEAR, _YEAR)]
        known = any(begin <= year.first and year.last < end for year in years)
        return known and not any(year.first <= c.last and c.first <= year.last for year in years for c in found)

    return [closure for closure in found if closure.days >= _MIN_LONG_DAYS and is_unusual(closure)]


class Restart(NamedTuple):
    """A day on which the ids of customers start anew."""

    day: int
    """Day number."""
    before: int
    """Customers who bought before it."""
    both: int
    """Of these, who bought on it or later."""
    after: int
    """Customers who bought on it for the first time, or later."""

    def __str__(self) -> str:
        some = f"only {self.both:,}" if self.both else "none"
        return (
            f"{self.before:,} customers bought before {day_of_number(self.day)} and {some} of them from then on, when "
            f"{self.after:,} others did: ids seem to start anew there. Old ids look lost, and new ones like new "
            "customers, so all are valued wrongly: give the two ids of a customer one, or leave out what was before"
        )


class Deletion(NamedTuple):
    """A day before which nobody's last purchase lies."""

    day: int
    """Day number."""
    before: int
    """Customers who bought before it."""
    lost: int
    """Of these, who did not buy on it or later."""

    def __str__(self) -> str:
        all_of = f"all but {self.lost:,} of them" if self.lost else "all of them"
        return (
            f"{self.before:,} customers bought before {day_of_number(self.day)} and {all_of} since, where of those who "
            "bought then many have not: who had stopped buying seems to have been deleted or left out. Those who are "
            "left came back more often than customers do, so more is expected of all: keep what the others bought in "
            "the log, under ids that name nobody"
        )


def restart_of(first: ArrayLike, last: ArrayLike, customers: ArrayLike = 1) -> Restart | None:
    """The day on which ids start anew; None in a log of which they do not.

    first, last: day numbers of first and last purchases; customers: how many share them.

    Examples
    --------
    >>> import numpy as np
    >>> from clvml.orders.breaks import restart_of
    >>> first, last = np.arange(200), np.arange(200) + 80
    >>> restart_of(first, last), restart_of([*first, *first + 280], [*last, *last + 280])
    (None, Restart(day=280, before=200, both=0, after=200))
    """
    begin, firsts, _, across = _spans(first, last, customers)
    lesser = np.minimum(np.maximum.accumulate(across), np.maximum.accumulate(across[::-1])[::-1])
    share = np.where(lesser >= _MIN_REPEATERS, across / np.maximum(lesser, 1), np.inf)
    day = int(np.flatnonzero(share == share.min())[-1])
    if share[day] > _MAX_BOTH:
        return None
    before = int(firsts[:day].sum())
    return Restart(begin + day, before, int(across[day]), int(firsts[day:].sum()))


def deletion_of(first: ArrayLike, last: ArrayLike, customers: ArrayLike = 1) -> Deletion | None:
    """The day before which nobody was lost, as nobody is where the lost are deleted; None in other logs.

    Arguments are those of `restart_of`.

    Examples
    --------
    >>> import numpy as np
    >>> from clvml.orders.breaks import deletion_of
    >>> first, last = np.arange(400), np.arange(400) + 30
    >>> deletion_of(first, last), deletion_of(first, np.where(last < 250, 250 + first // 2, last))
    (None, Deletion(day=250, before=250, lost=0))
    """
    begin, firsts, lasts, _ = _spans(first, last, customers)
    days = np.arange(_FROM_BEGIN, len(firsts) - 1 - _TO_END)
    if not len(days):
        return None
    bought, lost = (np.concatenate([[0], np.cumsum(counts)]) for counts in (firsts, lasts))
    after = lost[days + _DELETION_DAYS] - lost[days]
    is_much = (after >= _MIN_LOST) & (after >= _MIN_LOST_SHARE * bought[days])
    cliff = np.where(is_much, after / (lost[days] + 1.0), 0.0)
    place = int(cliff.argmax())
    if cliff[place] < _MIN_CLIFF:
        return None
    day = int(days[place])
    return Deletion(begin + day, int(bought[day]), int(lost[day]))


def _spans(first: ArrayLike, last: ArrayLike, customers: ArrayLike) -> tuple[int, Ints, Ints, Ints]:
    """The first day; and of each day from it to the one after the last: customers whose first, and whose last, purchase
    is on it, and who bought both before it and on it or later.
    """
    begins, ends = np.asarray(first, dtype=np.int64), np.asarray(last, dtype=np.int64)
    weights = np.broadcast_to(np.asarray(customers, dtype=np.int64), begins.shape)
    begin = int(begins.min())
    days = int(ends.max()) - begin + 2
    firsts, lasts = (np.bincount(d - begin, weights, days).astype(np.int64) for d in (begins, ends))
    begun, ended = (np.concatenate([[0], np.cumsum(counts)])[:-1] for counts in (firsts, lasts))
    return begin, firsts, lasts, begun - ended


def closed_note(closed: Sequence[Closure]) -> str | None:
    """What to say of weeks on end without an order."""
    if not closed:
        return None
    return (
        f"The log has no order on {sum(c.days for c in closed):,} days where the weeks around have many: "
        f"{', '.join(map(str, closed))}. If orders are missing, load them. If the shop was closed, its past around "
        "these days tells nothing of the level, and who bought before looks more silent than they are: too little may "
        "be expected of them."
    )


def break_notes(histories: pd.DataFrame, day: dt.date) -> list[str]:
    """What to say of the customers of a log before a model of it is trusted.

    histories: recency and T as of the day, and where rows stand for several, customers.
    """
    spans = _spans_of(histories, day)
    found = restart_of(*spans), deletion_of(*spans)
    return [f"Look at the customers: {note}." for note in found if note is not None]


def warn_of_restart(histories: pd.DataFrame, day: dt.date) -> None:
    """A ClvWarning where ids start anew, of histories as of the day."""
    found = restart_of(*_spans_of(histories, day))
    if found is not None:
        warnings.warn(f"Look at the customers: {found}.", ClvWarning, stacklevel=3)


def _spans_of(histories: pd.DataFrame, day: dt.date) -> tuple[Ints, Ints, Ints | int]:
    """First and last days, and how many customers share them."""
    first = day_number(day) - histories["T"].to_numpy(np.int64)
    customers = histories["customers"].to_numpy(np.int64) if "customers" in histories else 1
    return first, first + histories["recency"].to_numpy(np.int64), customers


def silence_note(last: dt.date, day: dt.date) -> str | None:
    """What to say of a log that ends long before the day; None of one that does not. last: its last day."""
    quiet = (day - last).days
    if quiet <= _QUIET_DAYS:
        return None
    return (
        f"as_of={day} is {quiet} days after the last order of the log ({last}): the days between count as "
        "silence of every customer. If orders are missing, load them; else choose an earlier as_of."
    )


def warn_of_silence(last: dt.date, day: dt.date) -> None:
    """The same as a ClvWarning."""
    note = silence_note(last, day)
    if note:
        warnings.warn(note, ClvWarning, stacklevel=3)
