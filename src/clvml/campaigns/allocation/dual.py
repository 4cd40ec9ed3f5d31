"""The Lagrangian dual: what one more unit of money, and one more place of a treatment, is worth; and a bound."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from clvml.campaigns.gain import Array

__all__ = ["Prices", "dual_bound", "prices_of"]

_SAMPLE = 20_000
"""Rows from which the prices are found before all rows settle them."""


class Prices(NamedTuple):
    """Multipliers: of the budget, and of each treatment's capacity (0 where it is not short)."""

    money: float
    places: Array


def prices_of(gain: Array, cost: Array, budget: float, capacity: Array) -> Prices:
    """Prices near the minimum of the dual, by descent along one price at a time, exact in each.

    gain, cost: (n, treatments) of those who can be treated. Many rows: every k-th of them first, with budget and
    capacities in proportion.
    """
    found = Prices(0.0, np.zeros(len(capacity)))
    if not len(gain):
        return found
    gain, cost = np.asfortranarray(gain), np.asfortranarray(cost)  # columns are read one by one
    stride = -(-len(gain) // _SAMPLE)
    if stride > 1:
        few = slice(None, None, stride)
        found = _descent(gain[few], cost[few], budget / stride, capacity / stride, found, 30)
    return _descent(gain, cost, budget, capacity, found, 3 if stride > 1 else 30)


def dual_bound(gain: Array, cost: Array, budget: float, capacity: Array, prices: Prices) -> float:
    """No allocation gains more than L(price, mu) = price · budget + Σ_a mu_a capacity_a + Σ_i max(0, max_a gain −
    price · cost − mu_a), for any prices of at least 0 (Fisher 1981, Manag. Sci. 27).
    """
    short = prices.places > 0
    net = _best(gain[:, a] - prices.money * cost[:, a] - prices.places[a] for a in range(gain.shape[1]))
    return float(
        np.sum(net) + prices.places[short] @ capacity[short] + (prices.money * budget if prices.money else 0.0)
    )


def _best(nets: Iterable[Array]) -> Array | float:
    """The best of several columns, at least 0; column by column, which is quicker than along short rows."""
    best: Array | float = 0.0
    for net in nets:
        best = np.maximum(best, net)
    return best


def _descent(gain: Array, cost: Array, budget: float, capacity: Array, start: Prices, rounds: int) -> Prices:
    now, places = start, start.places.copy()
    last = np.inf
    for _ in range(rounds):
        money = _price_of_money(gain, cost, budget, now._replace(places=places)) if np.isfinite(budget) else 0.0
        for a in np.flatnonzero(np.isfinite(capacity)):
            places[a] = _price_of_place(gain, cost, Prices(money, places), int(a), int(capacity[a]))
        now = Prices(money, places.copy())
        bound = dual_bound(gain, cost, budget, capacity, now)
        if not (places > 0).any() or bound > last * (1 - 1e-7):
            break
        last = bound
    if np.isfinite(budget) and (places > 0).any():
        now = now._replace(money=_price_of_money(gain, cost, budget, now))
    return now


def _price_of_place(gain: Array, cost: Array, prices: Prices, a: int, slots: int) -> float:
    """The price at which as many want treatment `a` as there are places: between the last in and the first out."""
    others = (b for b in range(gain.shape[1]) if b != a)
    rest = _best(gain[:, b] - prices.money * cost[:, b] - prices.places[b] for b in others)
    ahead = gain[:, a] - prices.money * cost[:, a] - rest
    if slots >= len(ahead):
        return 0.0
    out = len(ahead) - slots - 1  # where the first one out stands
    parts = np.partition(ahead, [out, min(out + 1, len(ahead) - 1)])
    if slots == 0:
        return max(0.0, float(parts[-1]))
    return float(parts[out] + parts[out + 1]) / 2 if parts[out] > 0 else 0.0


def _price_of_money(gain: Array, cost: Array, budget: float, near: Prices) -> float:
    """The price at which what is worth buying fits the budget: bisection on a falling demand, from the price before."""

    def demand(price: float) -> float:
        best, spent = np.zeros(len(gain)), np.zeros(len(gain))
        for a in range(gain.shape[1]):
            net = gain[:, a] - price * cost[:, a] - near.places[a]
            spent = np.where(net > best, cost[:, a], spent)
            best = np.maximum(best, net)
        return float(spent.sum())

    if demand(0.0) <= budget:
        return 0.0
    useful = (gain > 0) & (cost > 0)
    low, high = 0.0, float(np.max(gain[useful] / cost[useful])) * 1.01
    if near.money > 0:  # a bracket around the price before, if it holds
        low = near.money * 0.98 if demand(near.money * 0.98) > budget else 0.0
        high = near.money * 1.02 if low > 0 and demand(near.money * 1.02) <= budget else high
    for _ in range(40):
        if high - low <= 1e-8 * high:
            break
        middle = (low + high) / 2
        low, high = (middle, high) if demand(middle) > budget else (low, middle)
    return high
