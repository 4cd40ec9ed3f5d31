"""Who was a customer before the log begins: their first order in it is not their first.

New customers come about evenly. Where far more are first seen in the first weeks of a log than in those after, most of
these were customers before; a shop that opened with many looks the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["BEGINNING_DAYS", "Beginning", "beginning_of"]

BEGINNING_DAYS = 28
TIMES = 2.0
"""So many times as many customers are first seen in the first days as in as many days after."""
ERRORS = 3.0
"""Standard errors of the difference of the two counts, beyond chance."""


class Beginning(NamedTuple):
    """How many customers were first seen in the first days of a log, and in as many days after these."""

    first: int
    after: int

    def __str__(self) -> str:
        return (
            f"first seen in the first {BEGINNING_DAYS} days of the log, {self.after:,} in the {BEGINNING_DAYS} after: "
            "most bought before it begins, so that their first order here is not their first"
        )


def beginning_of(first_days: ArrayLike, last: float, customers: ArrayLike = 1) -> Beginning | None:
    """The customers of the first days, where most of them were customers before.

    first_days: day numbers of first purchases; customers: how many had theirs then; last: the last day of the log. None
    too where the log has not twice as many days.

    Examples
    --------
    >>> from clvml.orders.beginning import beginning_of
    >>> beginning_of([*[3] * 90, *range(100)], 200).first, beginning_of(range(100), 200)
    (118, None)
    """
    days = np.asarray(first_days, dtype=np.float64)
    weights = np.broadcast_to(np.asarray(customers, dtype=np.float64), days.shape)
    begin = float(days.min())
    if last - begin + 1 < 2 * BEGINNING_DAYS:
        return None
    place = (days - begin) // BEGINNING_DAYS
    first, after = (int(weights[place == n].sum()) for n in (0, 1))
    is_many = first > TIMES * after and first - after > ERRORS * float(np.sqrt(first + after))
    return Beginning(first, after) if is_many else None
