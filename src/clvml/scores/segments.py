"""Tier and state: who is good, and who is late by their own rhythm.

The one definition of a tier, for arrays (`assign_tiers`) and for SQL (`tier_sql`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = [
    "BAD",
    "AT_RISK",
    "GOOD",
    "LAPSED",
    "LATE",
    "ONCE_EARLY",
    "ON_RHYTHM",
    "MIDDLE",
    "ONCE_STATES",
    "STATES",
    "TIERS",
    "Cutoffs",
    "Ranks",
    "StateLimits",
    "assign_states",
    "assign_tiers",
    "cutoffs",
    "is_late",
    "n_flag_candidates",
    "flag_candidates_sql",
    "rank_of_cutoffs",
    "tier_sql",
]

Floats = NDArray[np.float64]
Ranks = NDArray[np.int8]

ONCE_STATES = ("bought once: early", "bought once: overdue", "bought once: lapsed")
"""Of those who have no rhythm yet, by the share of all second purchases that come sooner: below 75%, below 90%, above.
"""
STATES = ("on rhythm", "late", "at risk", "lapsed", *ONCE_STATES)
"""Of repeat buyers by the share of their own gaps that would have ended by now: below 75%, below 90%, above; and lapsed
who have been silent through three of their own gaps."""
ON_RHYTHM, LATE, AT_RISK, LAPSED, ONCE_EARLY, ONCE_OVERDUE, ONCE_LAPSED = range(7)
LAPSED_P_ALIVE = 0.10
"""Below this p_alive a late customer counts as lapsed."""
TIERS = ("good", "middle", "bad")
GOOD, MIDDLE, BAD = range(3)


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


def tiers_of_shares(value: Floats, good_share: float, bad_share: float) -> Ranks:
    """The place in TIERS of each customer, by one value alone: its highest and its lowest share."""
    edges = cutoffs(value, value, good_share, bad_share)
    return assign_tiers(value, value, edges)


def tier_sql(value_if_kept: str, contribution: str, good_value: float, bad_contribution: float) -> str:
    """`assign_tiers` as a SQL expression of two columns.

    The columns may hold numbers that only sort as the amounts do, with 0 for 0, if the cutoffs are of the same kind.
    """
    good = f"{value_if_kept} >= {good_value!r} AND {contribution} > 0"
    bad = f"{contribution} < {bad_contribution!r} OR {contribution} <= 0"
    return f"CASE WHEN {good} THEN '{TIERS[GOOD]}' WHEN {bad} THEN '{TIERS[BAD]}' ELSE '{TIERS[MIDDLE]}' END"


class StateLimits(NamedTuple):
    """Days of silence from which a customer is in a state; those of one-time buyers are everybody's."""

    late: Floats
    """Late, or of a one-time buyer overdue (n,)."""
    at_risk: Floats
    lapsed: Floats


def assign_states(frequency: NDArray[Any], since: NDArray[Any], limits: StateLimits, p_alive: Floats) -> Ranks:
    """The place in STATES of each customer, by the days since their last purchase.

    A repeat buyer who is late is lapsed, too, where the model takes them for gone.
    """
    gone = (since >= limits.lapsed) | ((since >= limits.late) & (p_alive < LAPSED_P_ALIVE))
    late = since >= limits.late
    again = np.select([gone, late & (since >= limits.at_risk), late], [LAPSED, AT_RISK, LATE], ON_RHYTHM)
    once = np.select([since >= limits.lapsed, late], [ONCE_LAPSED, ONCE_OVERDUE], ONCE_EARLY)
    return np.where(frequency > 0, again, once).astype(np.int8)


def is_late(state: Ranks) -> NDArray[np.bool_]:
    """Whether a customer is late or at risk: off their rhythm, and not yet lapsed."""
    late: NDArray[np.bool_] = (state == LATE) | (state == AT_RISK)
    return late


def n_flag_candidates(scores: pd.DataFrame) -> int:
    """How many good customers are late, at risk or in decline: those of whom the flag names who is worth treating."""
    candidate = scores["state"].isin([STATES[LATE], STATES[AT_RISK]])
    if "decline" in scores:
        candidate |= scores["decline"] > 0
    return int((candidate & (scores["tier"] == TIERS[GOOD])).sum())


def flag_candidates_sql() -> str:
    """Of whom `n_flag_candidates` counts, as a SQL condition."""
    return f"tier = '{TIERS[GOOD]}' AND (state IN ('{STATES[LATE]}', '{STATES[AT_RISK]}') OR decline > 0)"
