"""What knowing more of the effects would be worth: more than that is not spent on learning them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.campaigns.allocation import allocate
from clvml.campaigns.explore import EXPLORED_CONTROL
from clvml.campaigns.gain import Array, Belief, economics
from clvml.campaigns.options import Options, customers_of, eligible, rounded
from clvml.campaigns.treatments import Plan

__all__ = ["MIN_LEARNING", "learning_scale"]

MIN_LEARNING = 0.2
"""Part of the shares stated for learning that is kept however much is known: times change."""
_CUSTOMERS, _DRAWS = 2_000, 24
"""On so many the worth of knowing more is seen."""


class _Problem(NamedTuple):
    """The plan on a part of the customers, budget and capacities."""

    plan: Plan
    table: pd.DataFrame
    allowed: npt.NDArray[np.bool_]
    cost: Array
    limit: float
    capacity: Array

    def gains(self, kinds: Sequence[str], effects: Sequence[Array]) -> Array:
        """Gain of every treatment for every customer if these were the effects."""
        customers, rows = customers_of(self.table), zip(self.plan.treatments, kinds, effects, strict=True)
        return np.column_stack(
            [economics(t, Belief(kind, e, 0.0), customers, self.plan.window_days).gain for t, kind, e in rows]
        )

    def best(self, gain: Array) -> npt.NDArray[np.intp]:
        """The choice that gains most."""
        paying = np.where(self.allowed & (gain > 0), rounded(gain), -np.inf)
        some = np.flatnonzero(np.isfinite(paying).any(axis=1))
        choice = np.full(len(gain), -1, dtype=np.intp)
        tie = some.astype(np.float64)
        found = allocate(paying[some], self.cost[some], self.limit, self.capacity, np.ones(len(some)), tie)
        choice[some] = found.choice
        return choice


def learning_scale(table: pd.DataFrame, plan: Plan, options: Options, limit: float, control_share: float) -> float:
    """How much of the shares stated for learning is worth its cost, between `MIN_LEARNING` and 1.

    Learning gives up the control share of the gain, and half of the part explored. Knowing all would bring the expected
    value of perfect information (Raiffa & Schlaifer 1961): the best plan under each draw of what is believed, less the
    plan by what is expected, under the same draw. 1 where a treatment has never been tried.
    """
    cost = control_share + plan.explore_share * EXPLORED_CONTROL
    draws = [belief.draws for belief in options.beliefs if belief.draws is not None]
    if cost == 0 or len(draws) < len(options.beliefs):
        return 1.0
    rows = np.arange(0, len(table), max(1, len(table) // _CUSTOMERS))
    own, part = table.iloc[rows].reset_index(drop=True), len(rows) / len(table)
    problem = _Problem(
        plan,
        own,
        np.stack([eligible(t, own) for t in plan.treatments], axis=1),
        options.cost[rows],
        float(np.floor(limit * part)),
        np.array([np.inf if t.capacity is None else np.floor(t.capacity * part) for t in plan.treatments]),
    )
    kinds = [belief.kind for belief in options.beliefs]
    expected = problem.gains(kinds, [belief.mean[rows] for belief in options.beliefs])
    planned = problem.best(expected)
    rng, more = np.random.default_rng(0), 0.0
    for effects in zip(*(own_draws(rows, rng, _DRAWS) for own_draws in draws), strict=True):
        drawn = problem.gains(kinds, effects)
        more += (_total(problem.best(drawn), drawn) - _total(planned, drawn)) / _DRAWS
    gain = _total(planned, expected)
    return 1.0 if gain <= 0 else float(np.clip(more / (cost * gain), MIN_LEARNING, 1.0))


def _total(choice: npt.NDArray[np.intp], gain: Array) -> float:
    rows = np.flatnonzero(choice >= 0)
    return float(gain[rows, choice[rows]].sum())
