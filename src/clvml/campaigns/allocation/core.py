"""Where few places or little money leave a gap: the few hundred customers about whom the prices hardly decide are
allocated anew, at the optimum, all others kept as they are (the core of a knapsack; Balas & Zemel 1980, Oper. Res. 28).
"""

from __future__ import annotations

import numpy as np

from clvml.campaigns.allocation.dual import Prices
from clvml.campaigns.allocation.path import Index, Limits, totals
from clvml.campaigns.allocation.programme import solved
from clvml.campaigns.gain import Array

__all__ = ["improved"]

_CORE = 400
"""Customers that are allocated anew."""
_NEAR, _NODES = 1e-4, 500
"""Where HiGHS may stop: after nodes, not seconds, so that the same problem has the same answer on every machine."""


def improved(gain: Array, cost: Array, limits: Limits, prices: Prices, choice: Index, gap: float) -> Index:
    """A choice that gains at least as much.

    gap: what the choice may lack of the optimum. No better choice gives anybody an option that is worth less at the
    prices than their best one by more than that, so nobody is allocated anew whose other options all are.
    """
    rows = np.flatnonzero((limits.weight > 0) & (gain > 0).any(axis=1))
    net = np.column_stack([np.zeros(len(rows)), gain[rows] - prices.money * cost[rows] - prices.places])
    at = _undecided(net, choice[rows], limits.tie[rows], gap)
    rows, loss = rows[at], net[at].max(axis=1, keepdims=True) - net[at, 1:]
    after = choice.copy()
    after[rows] = -1
    _, spent = totals(gain, cost, after, limits.weight)
    taken = np.bincount(after[(after >= 0) & (limits.weight > 0)], minlength=gain.shape[1])
    few = np.where((loss <= gap) | (choice[rows, None] == np.arange(gain.shape[1])), gain[rows], -np.inf)
    found = solved(few, cost[rows], limits.budget - spent, limits.capacity - taken, near=_NEAR, nodes=_NODES)
    if found is None:
        return choice
    after[rows] = found[0]
    reached, cheap = totals(gain, cost, after, limits.weight)
    return after if reached > totals(gain, cost, choice, limits.weight)[0] and cheap <= limits.budget else choice


def _undecided(net: Array, choice: Index, tie: Array, gap: float) -> Index:
    """Rows whose choice is not the best at the prices, those that lose most first; then those whose second best option
    (none is one) is nearest to the best.
    """
    own = net[np.arange(len(net)), choice + 1]
    second, best = np.partition(net, -2, axis=1)[:, -2:].T
    order = np.lexsort((tie, best - second, own - best))[:_CORE]
    return np.asarray(order[(best - np.minimum(second, own))[order] <= gap], dtype=np.intp)
