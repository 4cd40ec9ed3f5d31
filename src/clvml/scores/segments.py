"""Tier, state and flag: who is good, who is late by his own rhythm, and who is therefore on the list. DESIGN words,
one place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.maths.rhythm import AT_RISK_SHARE, LAPSED_SHARE, LATE_SHARE

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "BAD",
    "GOOD",
    "MIDDLE",
    "STATES",
    "TIERS",
    "Cutoffs",
    "Ranks",
    "Told",
    "cutoffs",
    "rank_of_edges",
    "reasons",
    "slipping",
    "states",
    "tiers",
]

Floats = NDArray[np.float64]
Ranks = NDArray[np.int8]

STATES = ("on rhythm", "late", "at risk", "lapsed")
"""By the share of a customer's own gaps that would have ended by now: below .75, below .90, below .98, above."""
_STATE_EDGES = (LATE_SHARE, AT_RISK_SHARE, LAPSED_SHARE)
_GONE = 0.10
"""Below this p_alive a customer counts as lapsed whatever his rhythm says."""
TIERS = ("good", "middle", "bad")
GOOD, MIDDLE, BAD = range(3)
_GAPS = 2**20
"""More days than a gap has."""


class Cutoffs(NamedTuple):
    """Where the tiers begin, learned from a whole base so that one customer can be placed without the others."""

    good_value: float
    """Least value if kept of a good customer."""
    bad_contribution: float
    """A customer is bad with less contribution so far than this, or with none."""


def cutoffs(value_if_kept: Floats, contribution: Floats, good_share: float = 0.2, bad_share: float = 0.2) -> Cutoffs:
    """The tiers' edges for a base: its `good_share` by value if kept, its `bad_share` by contribution so far."""
    return Cutoffs(
        float(np.quantile(value_if_kept, 1 - good_share, method="higher")),
        float(np.quantile(contribution, bad_share, method="higher")),
    )


def rank_of_edges(n: int, good_share: float, bad_share: float) -> tuple[int, int]:
    """How many of `n` customers precede the two edges when sorted by value if kept, and by contribution."""
    return int(np.ceil((n - 1) * (1 - good_share))), int(np.ceil((n - 1) * bad_share))


def tiers(value_if_kept: Floats, contribution: Floats, edges: Cutoffs) -> Ranks:
    """The place in TIERS of each customer. good: value if kept in the top share and contribution so far above zero;
    bad: contribution in the lowest share, or none.

    A customer in both shares is good: what he earned so far is little because he is new.
    """
    good = (value_if_kept >= edges.good_value) & (contribution > 0)
    bad = (contribution <= 0) | (contribution < edges.bad_contribution)
    return np.where(good, GOOD, np.where(bad, BAD, MIDDLE)).astype(np.int8)


def states(overdue: Floats, p_alive: Floats) -> Ranks:
    """The place in STATES of each customer, from the overdue share of his rhythm; lapsed where the model thinks him
    gone.
    """
    state = np.searchsorted(_STATE_EDGES, overdue, side="right")
    return np.where(p_alive < _GONE, STATES.index("lapsed"), state).astype(np.int8)


def slipping(state: Ranks) -> NDArray[np.bool_]:
    """Whether a customer is late or at risk: off his rhythm, and not yet lapsed."""
    return (state > STATES.index("on rhythm")) & (state < STATES.index("lapsed"))


class Told(NamedTuple):
    """What a sentence speaks of, one entry a customer."""

    frequency: NDArray[Any]
    days_since_last: NDArray[Any]
    usual_gap: Floats
    overdue: Floats
    churn_probability: Floats
    value_if_kept: Floats
    contribution: Floats
    state: Ranks
    tier: Ranks


def reasons(told: Told, horizon_days: int) -> pa.Array:
    """One sentence a customer that a campaign manager understands.

    Put together column by column from what few distinct numbers say: a sentence at a time takes twenty times as long.
    """
    import pyarrow.compute as pc

    once, gap = told.frequency == 0, np.maximum(1.0, np.rint(told.usual_gap))
    bought = np.where(once, 0.0, told.frequency * _GAPS + np.minimum(gap, _GAPS - 1.0))
    late = np.where(once, -2, np.where(told.state == STATES.index("on rhythm"), -1, np.rint(100 * told.overdue)))
    bad = (told.tier == BAD) & (told.contribution <= 0)
    amount = np.rint(np.where(bad, told.contribution, told.value_if_kept))
    ahead = _days(horizon_days)

    def rhythm(code: int) -> str:
        purchases, days = divmod(code, _GAPS)
        return f"{purchases + 1} purchases, usually every {_days(days)}; silent for " if code else "One purchase, "

    def chance(code: int) -> str:
        percent, loses = divmod(code, 2)
        return f"; {percent} % likely not to buy in the next {ahead}, {'has brought' if loses else 'worth about'} "

    def worth(code: int) -> str:
        money, loses = divmod(code, 2)
        return f"{money:,} so far." if loses else f"{money:,} if they do."

    parts = (
        _words(bought, rhythm),
        _words(told.days_since_last, _days),
        _words(late, lambda k: {-2: " ago", -1: ""}.get(k, f", longer than {k} % of their own gaps")),
        _words(2 * np.rint(100 * told.churn_probability) + bad, chance),
        _words(2 * amount + bad, worth),
    )
    return pc.binary_join_element_wise(*parts, "")


def _words(codes: NDArray[Any], tell: Callable[[int], str]) -> pa.Array:
    """tell(code) for whole numbers, each distinct one told once."""
    import pyarrow as pa

    place, distinct = pd.factorize(codes)
    return pa.array([tell(int(code)) for code in distinct], pa.string()).take(pa.array(place))


def _days(n: int) -> str:
    return f"{n} day" if n == 1 else f"{n:,} days"
