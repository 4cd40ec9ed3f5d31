"""The checks of single arguments: one definition of a choice, a share, a whole number, an amount, for all rooms.

Each gives the value back, so that a check stands where the value is used. `name` is what the message calls it: the
argument, or the plan and the setting in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import TypeVar

from clvml.errors import OptionError, did_you_mean

__all__ = ["check_amount", "check_choice", "check_level", "check_rate", "check_seed", "check_share", "check_whole"]

T = TypeVar("T")


def check_choice(name: str, value: T, known: Iterable[object]) -> T:
    """The value, if it is one of those known."""
    known = list(known)
    if value not in known:
        raise OptionError(
            f"{name}={value!r} is unknown.{did_you_mean(str(value), map(str, known))} "
            f"It is one of {', '.join(map(repr, known))}."
        )
    return value


def check_share(name: str, value: object, *, zero: bool = False, one: bool = False, example: object = 0.2) -> float:
    """A number between 0 and 1; zero, one: whether that end is a share too."""
    share = _number(value)
    if not (0.0 < share < 1.0 or (zero and share == 0.0) or (one and share == 1.0)):
        bounds = _BOUNDS[zero, one]
        raise OptionError(f"{name}={value!r} is not a share {bounds}, such as {example}.")
    return share


_BOUNDS = {
    (False, False): "between 0 and 1",
    (True, False): "from 0 to below 1",
    (False, True): "above 0 and up to 1",
    (True, True): "from 0 to 1",
}


def check_level(level: object) -> float:
    """The probability that an interval is to hold."""
    return check_share("level", level, example=0.9)


def check_whole(name: str, value: object, least: int = 1, most: int | None = None) -> int:
    """A whole number of at least `least`, at most `most`."""
    number = _number(value)
    if not (number.is_integer() and least <= number and (most is None or number <= most)):
        bounds = f"{least:,} or more" if most is None else f"{least:,} to {most:,}"
        raise OptionError(f"{name}={value!r} is not a whole number of {bounds}.")
    return int(value) if isinstance(value, Integral) else int(number)


def check_seed(seed: object) -> int:
    """A seed that numpy and scikit-learn both take."""
    return check_whole("seed", seed, least=0, most=2**32 - 1)


def check_amount(name: str, value: object, hint: str = "") -> float:
    """A finite number of at least 0; hint: the end of the message."""
    amount = _number(value)
    if not 0.0 <= amount < math.inf:
        raise OptionError(f"{name}={value!r} is not a number of at least 0{hint}.")
    return amount


def check_rate(rate: object) -> float:
    """A yearly discount rate."""
    found = check_amount("discount_rate", rate, ", such as 0.10 for 10% a year")
    if found > _MAX_RATE:
        raise OptionError(f"discount_rate={rate!r} is more than {_MAX_RATE:,.0f} times as much a year. 0.10 is 10%.")
    return found


_MAX_RATE = 1_000.0


def _number(value: object) -> float:
    """The value as a float; NaN, which no bound holds, where it is no number (True is none)."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return math.nan
