"""The allocation as an integer programme, for HiGHS."""

from __future__ import annotations

import numpy as np

from clvml.campaigns.allocation.path import Index
from clvml.campaigns.gain import Array

__all__ = ["solved"]


_ANY_NUMBER = 2**31 - 1


def solved(
    gain: Array,
    cost: Array,
    budget: float,
    capacity: Array,
    *,
    near: float,
    nodes: int = _ANY_NUMBER,
    seconds: float = np.inf,
) -> tuple[Index, float] | None:
    """(choice, bound) of all rows, −1 for none; None where HiGHS finds nothing in time.

    near: how near the bound is near enough, as a share of it.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array, vstack

    rows, cols = np.nonzero(gain > 0)
    choice = np.full(len(gain), -1, dtype=np.intp)
    if not len(rows):
        return choice, 0.0
    at = np.arange(len(rows))
    groups = [csr_array((np.ones(len(rows)), (rows, at)), shape=(len(gain), len(rows)))]
    limits = [np.ones(len(gain))]
    if np.isfinite(budget):
        unit = max(float(cost[rows, cols].mean()), 1e-9)  # HiGHS looks at six digits behind the point
        groups.append(csr_array((cost[rows, cols] / unit, (np.zeros_like(at), at)), shape=(1, len(rows))))
        limits.append(np.array([budget / unit]))
    for a in np.flatnonzero(np.isfinite(capacity)):
        groups.append(csr_array(((cols == a) * 1.0, (np.zeros_like(at), at)), shape=(1, len(rows))))
        limits.append(capacity[[a]])
    table = vstack(groups, format="csc")
    # HiGHS of SciPy 1.13 takes places of 32 bits alone.
    table.indices, table.indptr = table.indices.astype(np.int32), table.indptr.astype(np.int32)
    found = milp(
        -gain[rows, cols],
        constraints=LinearConstraint(table, -np.inf, np.concatenate(limits)),
        integrality=np.ones_like(at),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": near, "node_limit": nodes, "time_limit": seconds},
    )
    if found.x is None:
        return None
    taken = np.flatnonzero(found.x > 0.5)
    choice[rows[taken]] = cols[taken]
    return choice, -float(found.mip_dual_bound)
