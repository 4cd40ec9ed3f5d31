"""One sentence a customer that a campaign manager understands, of what is so and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.scores.segments import BAD, ON_RHYTHM, ONCE_EARLY, Ranks

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MIN_OWN_GAPS", "ReasonInputs", "reasons"]

Floats = NDArray[np.float64]

MIN_OWN_GAPS = 3
"""Gaps from which a customer's own mean gap is a rhythm; with fewer they are compared with customers like them."""
_MAX_DAYS = 2**20
"""More days than a gap has."""
_SMALL = 10.0
"""Below it an amount is written with its cents."""


class ReasonInputs(NamedTuple):
    """What a sentence speaks of, one entry a customer."""

    frequency: NDArray[Any]
    recency: NDArray[Any]
    days_since_last: NDArray[Any]
    overdue: Floats
    """Share of the gaps of customers like them, or of all second purchases, that are shorter than the silence."""
    gaps: Floats
    """The silence over their mean gap."""
    longest: NDArray[np.bool_]
    """Whether the silence is longer than every gap before it."""
    by_season: NDArray[np.bool_]
    """Whether overdue and gaps count days by the season."""
    p_leaving: Floats
    leaving_days: Floats
    decline: Floats
    decline_days: NDArray[Any]
    """Those of late, in which the decline shows."""
    value_if_kept: Floats
    contribution: Floats
    state: Ranks
    tier: Ranks


def reasons(inputs: ReasonInputs, horizon_days: int) -> pa.Array:
    """The sentences.

    Put together column by column from what few distinct numbers say: a sentence at a time takes twenty times as long.
    """
    import pyarrow.compute as pc

    bad = (inputs.tier == BAD) & (inputs.contribution <= 0)
    amount = np.where(bad, inputs.contribution, inputs.value_if_kept)
    cents = np.rint(100 * np.where(np.abs(amount) < _SMALL, amount, np.rint(amount)))
    ahead = _days(horizon_days)

    def money(code: int) -> str:
        whole, loses = divmod(code, 2)
        worth = f"{whole / 100:,.{0 if abs(whole) >= 100 * _SMALL or whole == 0 else 2}f}"
        return f"; has brought {worth} so far." if loses else f"; worth {worth} over {ahead} if they buy."

    parts = (
        _texts(_history_codes(inputs), _history),
        _texts(_silence_codes(inputs), _silence),
        _texts(_late_codes(inputs), _late),
        _texts(np.rint(100 * inputs.p_leaving), lambda code: f"; {_percent(code)} likely to buy nothing in the next "),
        _texts(inputs.leaving_days, _days),
        _texts(_decline_codes(inputs), _decline),
        _texts(2 * cents + bad, money),
    )
    return pc.binary_join_element_wise(*parts, "")


def _history_codes(inputs: ReasonInputs) -> NDArray[Any]:
    """Repeat purchases and mean gap in one number; 0 where there is one purchase."""
    gap = np.maximum(1.0, np.rint(inputs.recency / np.maximum(inputs.frequency, 1)))
    return np.where(inputs.frequency == 0, 0.0, inputs.frequency * _MAX_DAYS + np.minimum(gap, _MAX_DAYS - 1.0))


def _history(code: int) -> str:
    gaps, days = divmod(code, _MAX_DAYS)
    if gaps == 0:
        return "Bought once"
    if gaps == 1:
        return f"2 purchases, {_days(days)} apart"
    return f"{gaps + 1:,} purchases, {_days(days)} apart on average"


def _silence_codes(inputs: ReasonInputs) -> NDArray[Any]:
    codes: NDArray[Any] = 2 * inputs.days_since_last + (inputs.frequency == 0)
    return codes


def _silence(code: int) -> str:
    days, once = divmod(code, 2)
    if days == 0:
        return ", on the last day that is known" if once else "; bought on the last day that is known"
    return f", {_days(days)} ago" if once else f"; no purchase for {_days(days)}"


_IN_TIME, _FEW, _ONCE, _OWN = range(4)


def _late_codes(inputs: ReasonInputs) -> NDArray[Any]:
    """Kind of the comparison, and its number: tenths of the own mean gap, or percent of others'."""
    once, few = inputs.frequency == 0, inputs.frequency < MIN_OWN_GAPS
    in_time = np.isin(inputs.state, (ON_RHYTHM, ONCE_EARLY))
    kind = np.select([in_time, once, few], [_IN_TIME, _ONCE, _FEW], _OWN)
    tenths = np.minimum(np.rint(10 * inputs.gaps), 9_999)
    number = np.where(kind == _OWN, 2 * tenths + inputs.longest, np.floor(100 * inputs.overdue))
    return np.where(kind == _IN_TIME, 0.0, 2 * (kind + 4 * number) + inputs.by_season)


def _late(code: int) -> str:
    rest, by_season = divmod(code, 2)
    number, kind = divmod(rest, 4)
    season = "by the season " if by_season else ""
    if kind == _IN_TIME:
        return ""
    if kind == _ONCE:
        return f"; {season}{number}% of second purchases come sooner"
    if kind == _FEW:
        return f", {season}longer than {number}% of the gaps of customers like them"
    tenths, longest = divmod(number, 2)
    times = f"{season}{tenths / 10:,.1f} times their mean gap"
    if longest and by_season:  # which the longest gap is not told by
        return f", longer than any gap before and {times}"
    return f", {times}{' and longer than any gap before' if longest else ''}"


def _decline_codes(inputs: ReasonInputs) -> NDArray[Any]:
    percent = np.rint(100 * inputs.decline)
    return np.where(percent == 0, 0.0, 101 * inputs.decline_days + percent)


def _decline(code: int) -> str:
    days, percent = divmod(code, 101)
    return "" if percent == 0 else f"; spent {_percent(percent)} less in the last {_days(days)} than before"


def _percent(rounded: int) -> str:
    """A share in percent; what is rounded to 0 or 100 is neither."""
    return {0: "less than 1%", 100: "more than 99%"}.get(rounded, f"{rounded}%")


def _texts(codes: NDArray[Any], text: Callable[[int], str]) -> pa.Array:
    """text(code) for whole numbers, each distinct one written once."""
    import pyarrow as pa

    place, distinct = pd.factorize(codes)
    return pa.array([text(int(code)) for code in distinct], pa.string()).take(pa.array(place))


def _days(n: int) -> str:
    return f"{n} day" if n == 1 else f"{n:,} days"
