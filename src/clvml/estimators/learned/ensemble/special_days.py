"""A calendar given by hand: days on which more, or less, is bought than on others, such as a sale or a moving feast."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from clvml.errors import OptionError
from clvml.horizon import as_date, day_number

__all__ = ["Calendar", "calendar_of", "log_factor"]

Calendar = dict[int, float]
"""Day number -> purchases on that day, compared with those on the same day without it."""


def calendar_of(table: pd.DataFrame | Mapping[Any, float] | None) -> Calendar:
    """From a frame with columns day and factor, or a mapping of days to factors.

    Raises OptionError where it is neither.
    """
    if table is None:
        return {}
    if isinstance(table, pd.DataFrame):
        missing = [name for name in ("day", "factor") if name not in table.columns]
        if missing:
            raise OptionError(
                f"calendar has no column {missing[0]!r}; it has {', '.join(map(str, table.columns))}. "
                "Give a row for each special day: its day, and the factor by which purchases change on it."
            )
        rows = list(zip(table["day"], table["factor"], strict=True))
    elif isinstance(table, Mapping):
        rows = list(table.items())
    else:
        raise OptionError(f"calendar={table!r} is no table of days and factors. Give a frame or a mapping.")
    found: Calendar = {}
    for day, factor in rows:
        if not isinstance(factor, int | float) or isinstance(factor, bool) or not 0.0 <= factor < math.inf:
            raise OptionError(f"calendar: the factor of {day} is {factor!r}. Give a number from 0, such as 2.5.")
        found[day_number(as_date(day, "calendar"))] = float(factor)
    return found


def log_factor(calendar: Calendar, origin: int, days: int) -> float:
    """Logarithm of what the calendar makes of the purchases in the days after an origin, all days being alike
    otherwise.
    """
    more = sum(factor - 1.0 for day, factor in calendar.items() if origin < day <= origin + days)
    return math.log(max(1.0 + more / days, 1e-3))
