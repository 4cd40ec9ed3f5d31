"""How much each treatment would get if what it does were known: what is worth learning.

Effects are drawn from what is believed, the budget is spent by each draw as if it were the truth, and the money that
each treatment then gets is averaged (Thompson 1933, Biometrika 25; Russo et al. 2018, A Tutorial on Thompson Sampling).
A treatment that is hardly ever the better choice is hardly worth learning more of.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from clvml.campaigns.allocation import allocate
from clvml.campaigns.control import hash_uniform
from clvml.campaigns.gain import Array, drawn_effect
from clvml.campaigns.options import Options
from clvml.campaigns.treatments import Plan

__all__ = ["shares_if_known"]

_DRAWS = 16
_CUSTOMERS = 4000
"""Customers drawn by hash, on whom budget and capacities in proportion are spent."""


def shares_if_known(
    table: pd.DataFrame, ids: list[str], plan: Plan, options: Options, may: npt.NDArray[np.bool_], limit: float
) -> Array:
    """A share for each treatment, which add up to 1; equal where none would get anything in any draw.

    may: (customers, treatments), who may get what. limit: the budget, in the units of `options.cost`.
    """
    count = len(plan.treatments)
    rows = np.flatnonzero(may.any(axis=1))
    place = hash_uniform([ids[i] for i in rows], plan.salt, f"{plan.name}|known")
    rows = rows[np.argsort(place, kind="stable")[:_CUSTOMERS]]
    part = len(rows) / max(int(may.any(axis=1).sum()), 1)
    capacity = np.array([np.inf if t.capacity is None else np.floor(t.capacity * part) for t in plan.treatments])
    cost, spent = options.cost[rows], np.zeros(count)
    customers = table.iloc[rows]
    for k in range(_DRAWS):
        gain = np.full((len(rows), count), -np.inf)
        for a, (t, belief, e) in enumerate(zip(plan.treatments, options.beliefs, options.economics, strict=True)):
            chance = hash_uniform([f"{k}|{j}" for j in range(belief.unknown)], plan.salt, f"{plan.name}|{t.name}|known")
            effect = drawn_effect(belief, customers, rows, ndtri(np.clip(chance, 1e-9, 1 - 1e-9)))
            gain[:, a] = np.where(may[rows, a], effect * e.slope[rows] - e.fixed[rows], -np.inf)
        gain[gain <= 0] = -np.inf
        some = np.flatnonzero(np.isfinite(gain).any(axis=1))
        if len(some):
            ones, tie = np.ones(len(some)), some.astype(np.float64)
            choice = allocate(gain[some], cost[some], limit * part, capacity, ones, tie).choice
            for a in range(count):
                spent[a] += np.maximum(cost[some[choice == a], a], 1.0).sum()
    return spent / spent.sum() if spent.sum() > 0 else np.full(count, 1 / count)
