"""Tier, state and reason: who is good, who is late by their own rhythm, and the sentence that says so.

The one definition of a tier, for arrays (`assign_tiers`) and for SQL (`tier_sql`).
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
    "ReasonInputs",
    "assign_states",
    "assign_tiers",
    "cutoffs",
    "is_late",
    "rank_of_cutoffs",
    "reasons",
    "tier_sql",
]

Floats = NDArray[np.float64]
Ranks = NDArray[np.int8]

STATES = ("on rhythm", "late", "at risk", "lapsed")
"""By the share of a customer's own gaps that would have ended by now: below .75, below .90, below .98, above."""
_STATE_EDGES = (LATE_SHARE, AT_RISK_SHARE, LAPSED_SHARE)
_LAPSED_P_ALIVE = 0.10
"""Below this p_alive a customer counts as lapsed whatever their rhythm says."""
TIERS = ("good", "middle", "bad")
GOOD, MIDDLE, BAD = range(3)
_MAX_GAP = 2**20
"""More days than a gap has."""


class Cutoffs(NamedTuple):
    """Where the tiers begin, learned from a whole base so that one customer can be placed without the others."""

    good_value: float
    """Least value if kept of a good customer."""
    bad_contribution: float
    """A customer is bad with less contribution so far than this, or with none."""


def cutoffs(value_if_kept: Floats, contribution: Floats, good_share: float = 0.2, bad_share: float = 0.2) -> Cutoffs:
    """The tiers' cutoffs for a base: its `good_share` by value if kept, its `bad_share` by contribution so far."""
    return Cutoffs(
        float(np.quantile(value_if_kept, 1 - good_share, method="higher")),
        float(np.quantile(contribution, bad_share, method="higher")),
    )


def rank_of_cutoffs(n: int, good_share: float, bad_share: float) -> tuple[int, int]:
    """How many of `n` customers precede the two cutoffs when sorted by value if kept, and by contribution."""
    return int(np.ceil((n - 1) * (1 - good_share))), int(np.ceil((n - 1) * bad_share))


def assign_tiers(value_if_kept: Floats, contribution: Floats, cutoffs: Cutoffs) -> Ranks:
    """The place in TIERS of each customer.

    good: value if kept at or above the cutoff, and contribution so far above zero; bad: contribution below the cutoff,
    or not above zero; middle: the rest. So ties share a tier, and nobody needs the others to be placed. A customer who
    is both is good: they have brought little so far because they are new.
    """
    good = (value_if_kept >= cutoffs.good_value) & (contribution > 0)
    bad = (contribution <= 0) | (contribution < cutoffs.bad_contribution)
    return np.where(good, GOOD, np.where(bad, BAD, MIDDLE)).astype(np.int8)


def tier_sql(value_if_kept: str, contribution: str, good_value: float, bad_contribution: float) -> str:
    """`assign_tiers` as a SQL expression of two columns.

    The columns may hold numbers that only sort as the amounts do, with 0 for 0, if the cutoffs are of the same kind.
    """
    good = f"{value_if_kept} >= {good_value!r} AND {contribution} > 0"
    bad = f"{contribution} < {bad_contribution!r} OR {contribution} <= 0"
    return f"CASE WHEN {good} THEN '{TIERS[GOOD]}' WHEN {bad} THEN '{TIERS[BAD]}' ELSE '{TIERS[MIDDLE]}' END"


def assign_states(overdue: Floats, p_alive: Floats) -> Ranks:
    """The place in STATES of each customer, from the overdue share of his rhythm; lapsed where the model takes them
    for gone.
    """
    state = np.searchsorted(_STATE_EDGES, overdue, side="right")
    return np.where(p_alive < _LAPSED_P_ALIVE, STATES.index("lapsed"), state).astype(np.int8)


def is_late(state: Ranks) -> NDArray[np.bool_]:
    """Whether a customer is late or at risk: off their rhythm, and not yet lapsed."""
    return (state > STATES.index("on rhythm")) & (state < STATES.index("lapsed"))


class ReasonInputs(NamedTuple):
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


def reasons(inputs: ReasonInputs, horizon_days: int) -> pa.Array:
    """One sentence a customer that a campaign manager understands.

    Put together column by column from what few distinct numbers say: a sentence at a time takes twenty times as long.
    """
    import pyarrow.compute as pc

    once, gap = inputs.frequency == 0, np.maximum(1.0, np.rint(inputs.usual_gap))
    bought = np.where(once, 0.0, inputs.frequency * _MAX_GAP + np.minimum(gap, _MAX_GAP - 1.0))
    late = np.where(once, -2, np.where(inputs.state == STATES.index("on rhythm"), -1, np.rint(100 * inputs.overdue)))
    bad = (inputs.tier == BAD) & (inputs.contribution <= 0)
    amount = np.rint(np.where(bad, inputs.contribution, inputs.value_if_kept))
    ahead = _days(horizon_days)

    def rhythm(code: int) -> str:
        purchases, days = divmod(code, _MAX_GAP)
        return f"{purchases + 1} purchases, usually every {_days(days)}; silent for " if code else "One purchase, "

    def chance(code: int) -> str:
        percent, loses = divmod(code, 2)
        return f"; {percent} % likely not to buy in the next {ahead}, {'has brought' if loses else 'worth about'} "

    def worth(code: int) -> str:
        money, loses = divmod(code, 2)
        return f"{money:,} so far." if loses else f"{money:,} if they do."

    parts = (
        _words(bought, rhythm),
        _words(inputs.days_since_last, _days),
        _words(late, lambda k: {-2: " ago", -1: ""}.get(k, f", longer than {k} % of their own gaps")),
        _words(2 * np.rint(100 * inputs.churn_probability) + bad, chance),
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
