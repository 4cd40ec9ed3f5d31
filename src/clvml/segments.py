"""Tier, state and flag: who is good, who is late by his own rhythm, and who is therefore on the list. DESIGN words,
one place.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.maths.rhythm import LAPSED, LATE, RISKY

__all__ = ["STATES", "TIERS", "Cutoffs", "cutoffs", "rank_of_edges", "reasons", "states", "tiers"]

Floats = NDArray[np.float64]

STATES = ("on rhythm", "late", "at risk", "lapsed")
"""By the share of a customer's own gaps that would have ended by now: below .75, below .90, below .98, above."""
_STATE_EDGES = (LATE, RISKY, LAPSED)
_GONE = 0.10
"""Below this p_alive a customer counts as lapsed whatever his rhythm says."""
TIERS = ("good", "middle", "bad")


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


def tiers(value_if_kept: Floats, contribution: Floats, edges: Cutoffs) -> NDArray[np.str_]:
    """good: value if kept in the top share and contribution so far above zero; bad: contribution in the lowest share,
    or none.

    A customer in both shares is good: what he earned so far is little because he is new.
    """
    good = (value_if_kept >= edges.good_value) & (contribution > 0)
    bad = ((contribution <= 0) | (contribution < edges.bad_contribution)) & ~good
    return np.where(good, "good", np.where(bad, "bad", "middle"))


def states(overdue: Floats, p_alive: Floats) -> NDArray[np.str_]:
    """The state of each customer from the overdue share of his rhythm, and lapsed where the model thinks him gone."""
    state = np.array(STATES)[np.searchsorted(_STATE_EDGES, overdue, side="right")]
    return np.where(p_alive < _GONE, "lapsed", state)


def reasons(scores: pd.DataFrame, overdue: Floats, usual_gap: Floats) -> list[str]:
    """One sentence a customer that a campaign manager understands."""
    columns = (
        "frequency",
        "days_since_last",
        "churn_probability",
        "value_if_kept",
        "tier",
        "state",
        "horizon_days",
        "contribution",
    )
    rows = zip(*(scores[c].tolist() for c in columns), overdue.tolist(), usual_gap.tolist(), strict=True)
    return [_sentence(*row) for row in rows]


def _sentence(
    frequency: int,
    since: int,
    churn: float,
    value: float,
    tier: str,
    state: str,
    horizon: int,
    contribution: float,
    overdue: float,
    gap: float,
) -> str:
    if frequency == 0:
        habit = f"One purchase, {_days(since)} ago"
    else:
        habit = f"{frequency + 1} purchases, usually every {_days(max(1, round(gap)))}; silent for {_days(since)}"
        if state != "on rhythm":
            habit += f", longer than {100 * overdue:.0f} % of their own gaps"
    outlook = f"{100 * churn:.0f} % likely not to buy in the next {_days(horizon)}"
    worth = f"worth about {value:,.0f} if they do"
    if tier == "bad" and contribution <= 0:
        worth = f"has brought {contribution:,.0f} so far"
    return f"{habit}; {outlook}, {worth}."


def _days(n: int) -> str:
    return f"{n} day" if n == 1 else f"{n:,} days"
