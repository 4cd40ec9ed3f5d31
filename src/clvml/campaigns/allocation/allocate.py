"""Paths and roundings of the dual compared: the best of them is the allocation, a dual bound says how good it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from clvml.campaigns.allocation.core import improved
from clvml.campaigns.allocation.dual import Prices, dual_bound, prices_of
from clvml.campaigns.allocation.path import Index, Limits, Walk, fill, totals, walk
from clvml.campaigns.gain import Array

__all__ = ["Allocation", "allocate"]

_NEAR = 1e-4
"""Share of the bound that may be missing where many customers make another path not worth its time."""
_FEW = 2_000
"""Customers up to which every path is tried, at prices that do not depend on the budget."""
_LEVELS = 16
"""Of few customers: prices of money at which paths are walked, and options that paths begin with."""


class Allocation(NamedTuple):
    """`choice` (n,): the treatment's position or −1. Rows of weight 0 (control) follow the rule but use no money."""

    choice: Index
    gain: float
    cost: float
    bound: float  # no allocation can gain more
    price: float  # gain of the next unit of money; 0 where money is not short
    curve: tuple[tuple[float, float, int], ...]  # cost, gain, customers treated, as the budget grows


def allocate(gain: Array, cost: Array, budget: float, capacity: Array, weight: Array, tie: Array) -> Allocation:
    """gain, cost: (n, treatments), gain −inf where not allowed; capacity: (treatments,), inf where there is none.

    weight: 1 for customers that can be treated, 0 for those who only show what the rule would have done. tie: any order
    among equals. The best of several ways is taken: the path by gain per money; the same on gain less the price of the
    places, where capacities are short. Of up to 2,000 customers, lest one dear customer block a small budget, also
    paths without the dearest options, and those that begin with one of the options that gain most; more budget never
    gives less gain. Of more, also the choice at the dual's prices, completed along the path; and where a ten-thousandth
    of the bound may be missing, the customers about whom the prices hardly decide are allocated at the optimum.
    """
    limits = Limits(budget, capacity, weight, tie)
    rows = weight > 0
    prices = prices_of(gain[rows], cost[rows], budget, capacity)
    bound = dual_bound(gain[rows], cost[rows], budget, capacity, prices)
    best: Walk | None = None
    top, curve = (-1.0, 0.0), None
    for way in _ways(gain, cost, limits, prices):
        found = fill(gain, cost, limits, way) if len(gain) > _FEW else way
        reached = totals(gain, cost, found.choice, weight)
        curve = found if curve is None or (len(found.points) > 1 and reached[0] > top[0]) else curve
        if best is None or reached[0] > top[0]:
            best, top = found, reached
        if len(gain) > _FEW and top[0] >= (1 - _NEAR) * bound:
            break
    assert best is not None
    assert curve is not None
    if len(gain) > _FEW and top[0] < (1 - _NEAR) * bound:
        best = best._replace(choice=improved(gain, cost, limits, prices, best.choice, bound - top[0]))
        top = totals(gain, cost, best.choice, weight)
    return Allocation(best.choice, *top, max(bound, top[0]), prices.money, _ending(curve.points, best, top, weight))


def _ways(gain: Array, cost: Array, limits: Limits, prices: Prices) -> Iterator[Walk]:
    """Allocations worth comparing, the likely best first where there are many customers."""
    short = (prices.places > 0).any()
    if short and len(gain) > _FEW:
        yield _along(gain, cost, limits, prices.places)
        yield _at_prices(gain, cost, limits, prices)
    yield walk(gain, cost, limits)
    if len(gain) <= _FEW and np.isfinite(limits.capacity).any():
        for places in _place_prices(gain, cost, limits):
            yield _along(gain, cost, limits, places)
    if len(gain) <= _FEW:
        for level in _cost_levels(gain, cost):
            yield walk(np.where(cost <= level, gain, -np.inf), cost, limits)
        for start in _best_alone(gain, cost, limits):
            yield walk(gain, cost, limits, start)


def _along(gain: Array, cost: Array, limits: Limits, places: Array) -> Walk:
    """The path on gain less the price of the places; where that ends before the budget does, on to what is free."""
    first = walk(gain - places, cost, limits, true_gain=gain)
    if first.stopped:
        return first._replace(points=_regained(first, gain, limits.weight, places))
    last = walk(gain, cost, limits, first.choice)
    return last._replace(points=_regained(first, gain, limits.weight, places))


def _regained(found: Walk, gain: Array, weight: Array, places: Array) -> tuple[tuple[float, float, int], ...]:
    """The points of a path on reduced gains, in gains: what was paid for places is spread over it evenly."""
    rows = np.flatnonzero((found.choice >= 0) & (weight > 0))
    reduced = found.points[-1][1]
    paid = float(places[found.choice[rows]].sum())
    factor = 1 + paid / reduced if reduced > 0 else 1.0
    return tuple((cost, value * factor, treated) for cost, value, treated in found.points)


def _at_prices(gain: Array, cost: Array, limits: Limits, prices: Prices) -> Walk:
    """What each customer would choose at the dual's prices, less what does not fit, completed along the path."""
    net = gain - prices.money * cost - prices.places
    at = np.arange(len(gain))
    choice = net.argmax(axis=1).astype(np.intp)
    won = net[at, choice]
    choice[won <= 0] = -1
    for a in np.flatnonzero(np.isfinite(limits.capacity)):
        own = np.flatnonzero((choice == a) & (limits.weight > 0))
        surplus = len(own) - int(limits.capacity[a])
        if surplus > 0:
            choice[own[np.lexsort((limits.tie[own], won[own]))[:surplus]]] = -1
    own = np.flatnonzero((choice >= 0) & (limits.weight > 0))
    own = own[np.lexsort((limits.tie[own], -won[own]))]
    choice[own[np.cumsum(cost[own, choice[own]]) > limits.budget]] = -1
    return walk(gain, cost, limits, choice)._replace(points=())


def _place_prices(gain: Array, cost: Array, limits: Limits) -> Iterator[Array]:
    """Prices of the places at several prices of money, none of which depends on the budget."""
    rows = limits.weight > 0
    gain, cost = gain[rows], cost[rows]
    useful = (gain > 0) & (cost > 0)
    if not (gain > 0).any():
        return
    rates = np.quantile(gain[useful] / cost[useful], np.linspace(0, 0.98, _LEVELS - 1)) if useful.any() else np.empty(0)
    for money in np.unique([0.0, *rates]):
        yield prices_of(gain - money * cost, cost, np.inf, limits.capacity).places


def _cost_levels(gain: Array, cost: Array) -> list[float]:
    """Cost levels from the dearest option down to the cheapest: all, or 33."""
    used = cost[(gain > 0) & (cost > 0)]
    if not len(used):
        return []
    return [float(level) for level in np.unique(np.quantile(used, np.linspace(0, 1, 33), method="lower"))[::-1]]


def _best_alone(gain: Array, cost: Array, limits: Limits) -> Iterator[Index]:
    """Choices of one option, of those that gain most by themselves: what a path by gain per money comes to too late."""
    row, to = np.nonzero((gain > 0) & (limits.weight[:, None] > 0) & (limits.capacity >= 1))
    for i in np.lexsort((to, limits.tie[row], -gain[row, to]))[:_LEVELS]:
        if cost[row[i], to[i]] <= limits.budget:
            choice = np.full(len(gain), -1, dtype=np.intp)
            choice[row[i]] = to[i]
            yield choice


def _ending(
    points: tuple[tuple[float, float, int], ...], best: Walk, top: tuple[float, float], weight: Array
) -> tuple[tuple[float, float, int], ...]:
    """A curve that ends where the allocation stands, and never falls."""
    gain, cost = top
    end = (cost, gain, int(weight[best.choice >= 0].sum()))
    return (*(p for p in points if p[0] <= cost and p[1] < gain * (1 - 1e-12)), end)
