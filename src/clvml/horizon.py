"""Days and horizons: the one place that turns '39w', '12m' or a date into whole days."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from typing import Any

from clvml.errors import OptionError

__all__ = [
    "EPOCH",
    "MAX_HORIZON_DAYS",
    "add_months",
    "as_date",
    "day_number",
    "day_of_number",
    "horizon_days",
    "latest_start",
]

EPOCH = dt.date(1970, 1, 5)
"""A Monday, so that floor(day / 7) is an ISO week. Day numbers count from here, in SQL and in Python alike."""

MAX_HORIZON_DAYS = 36_525
"""A hundred years: beyond it no log says anything."""

_FORM = re.compile(r"\s*(\d{1,18})\s*([dwmy]?)\s*", re.IGNORECASE)


def as_date(day: Any, name: str = "as_of") -> dt.date:
    """The calendar day of an ISO string, date, datetime, Timestamp or numpy datetime64.

    Raises OptionError where it is none of these.
    """
    if isinstance(day, dt.datetime) and day == day:  # a missing Timestamp is not equal to itself  # noqa: PLR0124
        return day.date()
    if isinstance(day, dt.date) and not isinstance(day, dt.datetime):
        return day
    text = str(day).strip()
    try:  # of a text with a time after the day, all must be one
        return dt.date.fromisoformat(text) if len(text) <= len("YYYY-MM-DD") else dt.datetime.fromisoformat(text).date()
    except ValueError:
        raise OptionError(f"{name}={day!r} is not a day. Write it as YYYY-MM-DD, for example 1997-09-30.") from None


def day_number(day: Any) -> int:
    """Whole days since Monday 1970-01-05."""
    return (as_date(day) - EPOCH).days


def day_of_number(number: int) -> dt.date:
    """The calendar day of a day number."""
    return EPOCH + dt.timedelta(days=int(number))


def add_months(day: dt.date, months: int) -> dt.date:
    """The same day of the month `months` later, or the last day of that month where it has no such day."""
    years, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + years, month + 1
    return day.replace(year=year, month=month, day=min(day.day, calendar.monthrange(year, month)[1]))


def horizon_days(horizon: int | str, as_of: Any = None, name: str = "horizon") -> int:
    """A horizon in days: 273, '273d', '39w', '12m' (calendar months from `as_of`), '1y'.

    Months and years have no fixed length, so they need `as_of`. Raises OptionError on anything else, under the name.
    """
    found = _FORM.fullmatch(str(horizon))
    number = int(found[1]) if found else 0
    if found is None or number < 1:
        raise OptionError(
            f"{name}={horizon!r} is not a length of time. "
            "Give whole days (273 or '273d'), weeks ('39w'), calendar months ('12m') or years ('1y'), at least 1."
        )
    days = _days(horizon, number, found[2].lower(), as_of, name)
    if days > MAX_HORIZON_DAYS:
        raise OptionError(f"{name}={horizon!r} is more than the hundred years that can be looked ahead.")
    return days


def latest_start(horizon: int | str, end: dt.date) -> dt.date:
    """The last day whose horizon ends by another: six months have 181 to 184 days."""
    start = end - dt.timedelta(days=max(horizon_days(horizon, end) - 3, 1))
    while start + dt.timedelta(days=horizon_days(horizon, start)) > end:
        start -= dt.timedelta(days=1)
    return start


def _days(horizon: int | str, number: int, unit: str, as_of: Any, name: str) -> int:
    if unit in ("", "d"):
        return number
    if unit == "w":
        return 7 * number
    if as_of is None:
        raise OptionError(
            f"{name}={horizon!r} counts calendar months from as_of, and no as_of is known here. Pass days instead."
        )
    start = as_date(as_of)
    try:
        return (add_months(start, number * (12 if unit == "y" else 1)) - start).days
    except (ValueError, OverflowError):
        raise OptionError(f"{name}={horizon!r} from {start} ends beyond the calendar. Choose a shorter one.") from None
