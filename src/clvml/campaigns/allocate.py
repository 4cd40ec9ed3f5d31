"""Who gets what under a budget and capacities: multiple-choice knapsack, solved along one path of rising cost.

Every customer's options form a concave chain of (cost, gain); the steps of all chains are taken by gain per money until
the budget is spent (Sinha & Zoltners 1979, Oper. Res. 27; Kellerer, Pferschy & Pisinger 2004, ch. 11). The path
does not depend on the budget, only its end does: more budget never gives less gain. A dual bound says how far from the
optimum the result can be at most.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from clvml.campaigns.gain import Array

__all__ = ["Allocation", "allocate", "allocate_exact", "dual_bound"]

Index = npt.NDArray[np.intp]


class Allocation(NamedTuple):
    """`choice` (n,): the treatment's position or −1. Rows of weight 0 (control) follow the rule but use no money."""

    choice: Index
    gain: float
    cost: float
    bound: float  # no allocation can gain more
    price: float  # gain of the next unit of money; 0 where money is not short
    curve: tuple[tuple[float, float, int], ...]  # cost, gain, customers treated, as the budget grows


class _Steps(NamedTuple):
    """Moves of customers to a dearer and better option, best first."""

    row: Index
    to: Index
    cost: Array
    gain: Array
    efficiency: Array


class _State(NamedTuple):
    choice: Index
    spent: Array  # of each row
    gained: Array


def allocate(gain: Array, cost: Array, budget: float, capacity: Array, weight: Array, tie: Array) -> Allocation:
    """gain, cost: (n, treatments), gain −inf where not allowed; capacity: (treatments,), inf where there is none.

    weight: 1 for customers that can be treated, 0 for those who only show what the rule would have done. tie: any order
    among equals. Options above a cost level are left out in turn, so that one dear customer cannot block a small
    budget; the best of these paths is taken.
    """
    best, curve = _path(gain, cost, budget, capacity, weight, tie)
    if np.isfinite(capacity).any() or curve.stopped:
        for level in _levels(gain, cost):
            other, _ = _path(np.where(cost <= level, gain, -np.inf), cost, budget, capacity, weight, tie)
            if weight @ other.gained > weight @ best.gained:
                best = other
    bound, price = dual_bound(gain, cost, budget, capacity, weight)
    total = float(weight @ best.gained)
    return Allocation(best.choice, total, float(weight @ best.spent), max(bound, total), price, curve.points)


def allocate_exact(gain: Array, cost: Array, budget: float, capacity: Array, weight: Array, tie: Array) -> Allocation:
    """The same as an integer programme (HiGHS): optimal, for some thousand customers. Control follows `allocate`."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array, vstack

    near = allocate(gain, cost, budget, capacity, weight, tie)
    rows, cols = np.nonzero((gain > 0) & (weight[:, None] > 0))
    if len(rows) == 0:
        return near
    one = np.ones(len(rows))
    at = np.arange(len(rows))
    groups = [csr_array((one, (rows, at)), shape=(len(gain), len(rows)))]
    limits = [np.ones(len(gain))]
    if np.isfinite(budget):
        groups.append(csr_array((cost[rows, cols], (np.zeros_like(at), at)), shape=(1, len(rows))))
        limits.append(np.array([budget]))
    for a in np.flatnonzero(np.isfinite(capacity)):
        groups.append(csr_array(((cols == a) * 1.0, (np.zeros_like(at), at)), shape=(1, len(rows))))
        limits.append(capacity[[a]])
    rule = LinearConstraint(vstack(groups), -np.inf, np.concatenate(limits))
    found = milp(
        -gain[rows, cols],
        constraints=rule,
        integrality=np.ones_like(at),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 1e-9, "time_limit": 60},
    )
    if found.x is None:
        return near
    taken = np.flatnonzero(found.x > 0.5)
    total, spent = float(gain[rows, cols][taken].sum()), float(cost[rows, cols][taken].sum())
    if total <= near.gain or spent > budget:
        return near
    choice = np.where(weight > 0, -1, near.choice)
    choice[rows[taken]] = cols[taken]
    return near._replace(
        choice=choice, gain=total, cost=spent, bound=max(total, min(near.bound, -float(found.mip_dual_bound)))
    )


class _Curve(NamedTuple):
    points: tuple[tuple[float, float, int], ...]
    stopped: bool  # by the budget


def _path(gain: Array, cost: Array, budget: float, capacity: Array, weight: Array, tie: Array) -> tuple[_State, _Curve]:
    n = len(gain)
    now = _State(np.full(n, -1, np.intp), np.zeros(n), np.zeros(n))
    shut = capacity <= 0
    points: list[tuple[float, float, int]] = [(0.0, 0.0, 0)]
    while True:
        steps = _steps(np.where(shut, -np.inf, gain), cost, now, tie)
        spent = weight @ now.spent + np.cumsum(weight[steps.row] * steps.cost)
        end = int(np.searchsorted(spent, budget, side="right"))
        full, end_full = _first_full(steps, now, capacity, weight, shut)
        take = min(end, end_full)
        points += _points(steps, now, weight, take, spent)
        now = _apply(steps, now, take)
        if end <= end_full or full < 0:
            return now, _Curve(tuple(_thin(points)), end < len(steps.row))
        shut = shut.copy()
        shut[full] = True


def _steps(gain: Array, cost: Array, now: _State, tie: Array) -> _Steps:
    """The concave chain of each row from where it stands, merged over rows by gain per money."""
    at_cost, at_gain = now.spent.copy(), now.gained.copy()
    parts: list[tuple[Array, ...]] = []
    rows = np.arange(len(gain))
    for depth in range(gain.shape[1]):
        more = gain[rows] - at_gain[rows, None]
        extra = cost[rows] - at_cost[rows, None]
        useful = (more > 0) & (extra >= 0)
        slope = np.where(useful, np.divide(more, extra, out=np.full_like(more, np.inf), where=extra > 0), -1.0)
        best = slope.max(axis=1, initial=-1.0)
        top = np.where(slope == best[:, None], more, -np.inf).argmax(axis=1)
        keep = best > 0
        rows, top, best = rows[keep], top[keep], best[keep]
        if not len(rows):
            break
        parts.append(
            (
                rows,
                top,
                cost[rows, top] - at_cost[rows],
                gain[rows, top] - at_gain[rows],
                best,
                np.full(len(rows), depth),
            )
        )
        at_cost[rows], at_gain[rows] = cost[rows, top], gain[rows, top]
    if not parts:
        none = np.empty(0)
        return _Steps(none.astype(np.intp), none.astype(np.intp), none, none, none)
    row, to, dearer, better, efficiency, level = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((level, tie[row], -efficiency))
    return _Steps(row[order], to[order], dearer[order], better[order], efficiency[order])


def _first_full(
    steps: _Steps, now: _State, capacity: Array, weight: Array, shut: npt.NDArray[np.bool_]
) -> tuple[int, int]:
    """The capped treatment that overflows first, and before which step; (−1, number of steps) if none."""
    first, which = len(steps.row), -1
    before = _previous(steps, now)
    for a in np.flatnonzero(np.isfinite(capacity) & ~shut):
        held = weight[now.choice == a].sum() + np.cumsum(weight[steps.row] * ((steps.to == a) * 1.0 - (before == a)))
        over = np.flatnonzero(held > capacity[a])
        if len(over) and over[0] < first:
            first, which = int(over[0]), int(a)
    return which, first


def _previous(steps: _Steps, now: _State) -> Index:
    """Where each step starts from."""
    before = now.choice[steps.row].copy()
    order = np.argsort(steps.row, kind="stable")
    same = steps.row[order][1:] == steps.row[order][:-1]
    before[order[1:][same]] = steps.to[order[:-1][same]]
    return before


def _apply(steps: _Steps, now: _State, take: int) -> _State:
    choice, spent, gained = now.choice.copy(), now.spent.copy(), now.gained.copy()
    rows = steps.row[:take]
    choice[rows] = steps.to[:take]  # a row's later step stands behind its earlier one and wins
    np.add.at(spent, rows, steps.cost[:take])
    np.add.at(gained, rows, steps.gain[:take])
    return _State(choice, spent, gained)


def _points(steps: _Steps, now: _State, weight: Array, take: int, spent: Array) -> list[tuple[float, float, int]]:
    if take == 0:
        return []
    rows = steps.row[:take]
    gained = weight @ now.gained + np.cumsum(weight[rows] * steps.gain[:take])
    treated = weight[now.choice >= 0].sum() + np.cumsum(weight[rows] * (_previous(steps, now)[:take] < 0))
    at = np.unique(np.linspace(0, take - 1, 20).astype(int))
    return [(float(spent[i]), float(gained[i]), int(treated[i])) for i in at]


def _thin(points: list[tuple[float, float, int]]) -> list[tuple[float, float, int]]:
    at = np.unique(np.linspace(0, len(points) - 1, 21).astype(int))
    return [points[i] for i in at]


def _levels(gain: Array, cost: Array) -> list[float]:
    """Cost levels, each a tenth of the one before, down to the cheapest option that costs anything."""
    used = cost[(gain > 0) & (cost > 0)]
    if not len(used):
        return []
    steps = int(np.ceil(np.log10(used.max() / used.min()))) + 1
    return [float(used.max()) / 10**k for k in range(1, min(steps, 8) + 1)]


def dual_bound(gain: Array, cost: Array, budget: float, capacity: Array, weight: Array) -> tuple[float, float]:
    """Upper bound of the gain, and the price of money, by Lagrangian duality.

    L(price, mu) = price · budget + sum_a mu_a capacity_a + sum_i max(0, max_a gain − price · cost − mu_a) bounds the
    optimum for any price, mu >= 0; it is convex and is lowered one coordinate at a time (exact in each).
    """
    rows = weight > 0
    gain, cost = gain[rows], cost[rows]
    mu = np.zeros(len(capacity))
    price, best = 0.0, (np.inf, 0.0)
    capped = np.flatnonzero(np.isfinite(capacity))
    for _ in range(5 if len(capped) else 1):
        price = _price(gain, cost, budget, mu) if np.isfinite(budget) else 0.0
        for a in capped:
            worth = gain - price * cost - mu
            rest = np.delete(worth, a, axis=1).max(axis=1, initial=0.0)
            ahead = np.sort(gain[:, a] - price * cost[:, a] - np.maximum(rest, 0.0))[::-1]
            slots = int(capacity[a])
            mu[a] = max(0.0, float(ahead[slots])) if slots < len(ahead) else 0.0
        best = min(best, (_lagrangian(gain, cost, budget, capacity, price, mu), price))
    return best


def _lagrangian(gain: Array, cost: Array, budget: float, capacity: Array, price: float, mu: Array) -> float:
    worth = (gain - price * cost - mu).max(axis=1, initial=0.0)
    held = float(mu[np.isfinite(capacity)] @ capacity[np.isfinite(capacity)])
    return float(np.maximum(worth, 0.0).sum()) + held + (price * budget if price > 0 else 0.0)


def _price(gain: Array, cost: Array, budget: float, mu: Array) -> float:
    """The price of money at which what is worth buying just fits the budget: bisection on a falling demand."""

    def demand(price: float) -> float:
        worth = gain - price * cost - mu
        best = worth.argmax(axis=1)
        at = np.arange(len(gain))
        return float(cost[at, best][worth[at, best] > 0].sum())

    if not len(gain) or demand(0.0) <= budget:
        return 0.0
    useful = (gain > 0) & (cost > 0)
    low, high = 0.0, float(np.max(gain[useful] / cost[useful])) * 1.01
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if demand(middle) > budget else (low, middle)
    return high
