"""The allocation as an integer programme, solved by HiGHS: optimal, for some thousand customers."""

from __future__ import annotations

import numpy as np

from clvml.campaigns.allocation.allocate import Allocation, allocate
from clvml.campaigns.gain import Array

__all__ = ["allocate_exact"]


def allocate_exact(gain: Array, cost: Array, budget: float, capacity: Array, weight: Array, tie: Array) -> Allocation:
    """The same as `allocate`, at the optimum; control follows `allocate`, and so does all where time runs out."""
    near = allocate(gain, cost, budget, capacity, weight, tie)
    rows, cols = np.nonzero((gain > 0) & (weight[:, None] > 0))
    found = _solved(gain, cost, budget, capacity, rows, cols) if len(rows) else None
    if found is None:
        return near
    taken, bound = found
    total, spent = float(gain[rows, cols][taken].sum()), float(cost[rows, cols][taken].sum())
    if total <= near.gain or spent > budget:
        return near
    choice = np.where(weight > 0, -1, near.choice)
    choice[rows[taken]] = cols[taken]
    return near._replace(choice=choice, gain=total, cost=spent, bound=max(total, min(near.bound, bound)))


def _solved(
    gain: Array, cost: Array, budget: float, capacity: Array, rows: np.ndarray, cols: np.ndarray
) -> tuple[np.ndarray, float] | None:
    """Which options are taken, and a bound of the gain; None where HiGHS finds none in time."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array, vstack

    at = np.arange(len(rows))
    groups = [csr_array((np.ones(len(rows)), (rows, at)), shape=(len(gain), len(rows)))]
    limits = [np.ones(len(gain))]
    if np.isfinite(budget):
        groups.append(csr_array((cost[rows, cols], (np.zeros_like(at), at)), shape=(1, len(rows))))
        limits.append(np.array([budget]))
    for a in np.flatnonzero(np.isfinite(capacity)):
        groups.append(csr_array(((cols == a) * 1.0, (np.zeros_like(at), at)), shape=(1, len(rows))))
        limits.append(capacity[[a]])
    found = milp(
        -gain[rows, cols],
        constraints=LinearConstraint(vstack(groups), -np.inf, np.concatenate(limits)),
        integrality=np.ones_like(at),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 1e-9, "time_limit": 60},
    )
    return None if found.x is None else (np.flatnonzero(found.x > 0.5), -float(found.mip_dual_bound))
