"""Tier, state and flag: who is good, who is late by his own rhythm, and who is therefore on the list. DESIGN words,
one place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.maths.rhythm import LAPSED, LATE, RISKY

if TYPE_CHECKING:
    import pyarrow as pa

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


def reasons(scores: pd.DataFrame, overdue: Floats, usual_gap: Floats) -> pd.Series:
    """One sentence a customer that a campaign manager understands; text, in the order of the scores.

    Put together column by column from what few distinct numbers say: a sentence at a time takes twenty times as long.
    """
    import pyarrow.compute as pc

    x, since = scores["frequency"].to_numpy(), scores["days_since_last"].to_numpy()
    once, gap = x == 0, np.maximum(1, np.rint(usual_gap))
    late = np.where(once, -2, np.where(scores["state"].to_numpy(object) == "on rhythm", -1, np.rint(100 * overdue)))
    brought, value = scores["contribution"].to_numpy(), scores["value_if_kept"].to_numpy()
    churn = np.rint(100 * scores["churn_probability"].to_numpy())
    bad = (scores["tier"].to_numpy(object) == "bad") & (brought <= 0)
    parts = (
        _words(x, lambda n: f"{n + 1} purchases, usually every " if n else "One purchase, "),
        _words(np.where(once, -1, gap), lambda days: f"{_days(days)}; silent for " if days > 0 else ""),
        _words(since, _days),
        _words(late, lambda k: {-2: " ago", -1: ""}.get(k, f", longer than {k} % of their own gaps")),
        _words(churn, lambda k: f"; {k} % likely not to buy in the next "),
        _words(scores["horizon_days"].to_numpy(), _days),
        _words(bad, lambda told: ", has brought " if told else ", worth about "),
        _words(np.rint(np.where(bad, brought, value)), lambda amount: f"{amount:,}"),
        _words(bad, lambda told: " so far." if told else " if they do."),
    )
    sentences: pd.Series = pc.binary_join_element_wise(*parts, "").to_pandas()
    return sentences


def _words(codes: NDArray[Any], tell: Callable[[int], str]) -> pa.Array:
    """tell(code) for whole numbers, each distinct one told once."""
    import pyarrow as pa

    place, distinct = pd.factorize(codes)
    return pa.array([tell(int(code)) for code in distinct], pa.string()).take(pa.array(place))


def _days(n: int) -> str:
    return f"{n} day" if n == 1 else f"{n:,} days"
