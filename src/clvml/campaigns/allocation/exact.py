"""The allocation as an integer programme, solved by HiGHS: optimal, for some thousand customers."""

from __future__ import annotations

import numpy as np

from clvml.campaigns.allocation.allocate import Allocation, allocate
from clvml.campaigns.allocation.path import totals
from clvml.campaigns.allocation.programme import solved
from clvml.campaigns.gain import Array

__all__ = ["allocate_exact"]


def allocate_exact(gain: Array, cost: Array, budget: float, capacity: Array, weight: Array, tie: Array) -> Allocation:
    """The same as `allocate`, at the optimum; control follows `allocate`, and so does all where time runs out."""
    near = allocate(gain, cost, budget, capacity, weight, tie)
    can_be = np.where(weight[:, None] > 0, gain, -np.inf)
    found = solved(can_be, cost, budget, capacity, near=1e-9, seconds=60)
    if found is None:
        return near
    choice, bound = found
    total, spent = totals(gain, cost, choice, weight)
    if total <= near.gain or spent > budget:
        return near
    choice = np.where(weight > 0, choice, near.choice)
    return near._replace(choice=choice, gain=total, cost=spent, bound=max(total, min(near.bound, bound)))
