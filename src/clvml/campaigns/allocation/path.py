"""One path of rising cost: every customer's options form a concave chain of (cost, gain), and the steps of all chains
are taken by gain per money until the budget is spent (Sinha & Zoltners 1979, Oper. Res. 27; Kellerer, Pferschy &
Pisinger 2004, ch. 11). The path does not depend on the budget, only its end does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from clvml.campaigns.gain import Array

__all__ = ["Index", "Limits", "Walk", "fill", "totals", "walk"]

Index = npt.NDArray[np.intp]
Point = tuple[float, float, int]

_MANY = 4_096
"""Rows from which on it is worth asking first whom a path can reach."""


class Limits(NamedTuple):
    """What may be used up, by whom."""

    budget: float
    capacity: Array  # (treatments,), inf where there is none
    weight: Array  # (n,): 0 for those who follow the rule but use nothing
    tie: Array  # (n,): any order among equals


class Walk(NamedTuple):
    """Where a path ended."""

    choice: Index  # (n,): the treatment's position or −1
    points: tuple[Point, ...]  # cost, gain, customers treated on the way
    stopped: bool  # by the budget


class _Steps(NamedTuple):
    """Moves of customers to a dearer and better option, best first."""

    row: Index
    start: Index
    to: Index
    cost: Array
    gain: Array


def totals(gain: Array, cost: Array, choice: Index, weight: Array) -> tuple[float, float]:
    """(gain, cost) of a choice, over those who can be treated."""
    return _sum_of(gain, choice, weight), _sum_of(cost, choice, weight)


def walk(gain: Array, cost: Array, limits: Limits, choice: Index | None = None, true_gain: Array | None = None) -> Walk:
    """The path from a choice (default: nobody is treated) until budget, capacities or gains end.

    true_gain: what is gained, where the path goes by less than that. Then a step may lose, and the choice is the best
    on the way, so that a path that goes further never gains less.
    """
    now = np.full(len(gain), -1, np.intp) if choice is None else choice
    shut, best = limits.capacity < 1, (-np.inf, now)
    points: list[Point] = [(0.0, 0.0, 0)]
    while True:
        before_gain, before_cost = totals(gain, cost, now, limits.weight)
        rows = _within_reach(gain, cost, now, shut, limits.budget - before_cost, limits.weight)
        steps = _steps(gain, cost, now, limits.tie, shut, rows)
        weight = limits.weight[steps.row]
        spent = before_cost + np.cumsum(weight * steps.cost)
        end = int(np.searchsorted(spent, limits.budget, side="right"))
        full, end_full = _first_full(steps, now, limits, shut)
        take = min(end, end_full)
        treated = float(limits.weight[now >= 0].sum())
        points += _points(steps, weight, take, spent, before_gain, treated)
        if true_gain is not None:
            best = _best_on_the_way(best, steps, now, take, true_gain, limits.weight)
        now = _taken(now, steps, take)
        if end <= end_full or full < 0:
            return Walk(now if true_gain is None else best[1], tuple(_thin(points)), end < len(steps.row))
        shut = shut.copy()
        shut[full] = True


def _taken(now: Index, steps: _Steps, count: int) -> Index:
    """The choice after the first steps."""
    after = now.copy()
    after[steps.row[:count]] = steps.to[:count]  # a row's later step stands behind its earlier one and wins
    return after


def _best_on_the_way(
    best: tuple[float, Index], steps: _Steps, now: Index, take: int, gain: Array, weight: Array
) -> tuple[float, Index]:
    """(gain, choice) where most is gained: the best so far, or what the next steps lead to one after another."""
    row, start, to = (part[:take] for part in (steps.row, steps.start, steps.to))
    left = np.where(start >= 0, gain[row, np.maximum(start, 0)], 0.0)
    reached = np.cumsum([_sum_of(gain, now, weight), *(weight[row] * (gain[row, to] - left))])
    count = int(reached.argmax())
    return (float(reached[count]), _taken(now, steps, count)) if reached[count] > best[0] else best


def _sum_of(values: Array, choice: Index, weight: Array) -> float:
    rows = np.flatnonzero((choice >= 0) & (weight > 0))
    return float(values[rows, choice[rows]].sum())


def fill(gain: Array, cost: Array, limits: Limits, found: Walk) -> Walk:
    """On from where the budget stopped a path, past the steps that are too dear for what is left."""
    while found.stopped:
        everybody = np.arange(len(cost))
        spent_by, gained_by = (np.where(found.choice >= 0, m[everybody, found.choice], 0.0) for m in (cost, gain))
        _, spent = totals(gain, cost, found.choice, limits.weight)
        fits = cost - spent_by[:, None] <= limits.budget - spent
        rows = np.flatnonzero((fits & (gain > gained_by[:, None])).any(axis=1))  # nobody else can move
        choice, open_to = found.choice[rows], fits[rows] | _chosen(found.choice[rows], gain.shape[1])
        rest = _less_others(gain, cost, limits, found.choice, rows)
        more = walk(np.where(open_to, gain[rows], -np.inf), cost[rows], rest, choice)
        if np.array_equal(more.choice, choice):
            break
        after = found.choice.copy()
        after[rows] = more.choice
        found = Walk(after, found.points, more.stopped)
    return found


def _less_others(gain: Array, cost: Array, limits: Limits, choice: Index, rows: Index) -> Limits:
    """What is left for some rows if all others keep their choice."""
    others = choice.copy()
    others[rows] = -1
    _, spent = totals(gain, cost, others, limits.weight)
    taken = np.bincount(others[(others >= 0) & (limits.weight > 0)], minlength=gain.shape[1])
    return Limits(limits.budget - spent, limits.capacity - taken, limits.weight[rows], limits.tie[rows])


def _chosen(choice: Index, k: int) -> npt.NDArray[np.bool_]:
    return np.asarray(choice[:, None] == np.arange(k))


def _within_reach(
    gain: Array, cost: Array, choice: Index, shut: npt.NDArray[np.bool_], left: float, weight: Array
) -> Index:
    """All rows but those whom the budget ends before: the first steps of others, of more gain per money, spend it all.
    Later steps gain less per money, so that the path up to its end is the same without them.
    """
    n, count = len(gain), _MANY
    if n <= count or not np.isfinite(left):
        return np.arange(n)
    at_cost, at_gain = (np.where(choice >= 0, m[np.arange(n), choice], 0.0) for m in (cost, gain))
    best, dearer = np.full(n, -1.0), np.zeros(n)
    for a in np.flatnonzero(~shut):
        more, extra = gain[:, a] - at_gain, cost[:, a] - at_cost
        slope = np.divide(more, extra, out=np.full(n, -1.0), where=(more > 0) & (extra > 0))
        slope[(more > 0) & (extra == 0)] = np.inf
        dearer = np.where(slope > best, extra, dearer)
        best = np.maximum(best, slope)
    while count < n:
        first = np.argpartition(best, n - count)[n - count :]
        if float(weight[first] @ dearer[first]) > left * (1 + 1e-9):
            return np.flatnonzero(best >= best[first].min())
        count *= 8
    return np.flatnonzero(best > 0)


def _steps(gain: Array, cost: Array, choice: Index, tie: Array, shut: npt.NDArray[np.bool_], rows: Index) -> _Steps:
    """The concave chain of each row from where it stands, merged over rows by gain per money, then level, then tie."""
    rows = rows[np.argsort(tie[rows], kind="stable")]
    at = choice[rows]
    at_cost, at_gain = (np.where(at >= 0, m[rows, at], 0.0) for m in (cost, gain))
    parts: list[tuple[npt.NDArray[np.generic], ...]] = []
    for _ in range(gain.shape[1]):
        more, extra = gain[rows] - at_gain[:, None], cost[rows] - at_cost[:, None]
        slope = np.full_like(more, -1.0)
        useful = (more > 0) & ~shut
        np.divide(more, extra, out=slope, where=useful & (extra > 0))
        slope[useful & (extra == 0)] = np.inf
        best = slope.max(axis=1, initial=-1.0)
        keep = best > 0
        rows, at, best, slope, more = rows[keep], at[keep], best[keep], slope[keep], more[keep]
        if not len(rows):
            break
        top = np.where(slope == best[:, None], more, -np.inf).argmax(axis=1)
        here = np.arange(len(rows))
        at_cost, at_gain = cost[rows, top], gain[rows, top]
        parts.append((rows, at, top, extra[keep][here, top], more[here, top], best))
        at = top
    if not parts:
        none, nobody = np.empty(0), np.empty(0, dtype=np.intp)
        return _Steps(nobody, nobody, nobody, none, none)
    row, start, to, dearer, better, efficiency = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(-efficiency, kind="stable")
    return _Steps(row[order], start[order], to[order], dearer[order], better[order])


def _first_full(steps: _Steps, now: Index, limits: Limits, shut: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """The capped treatment that overflows first, and before which step; (−1, number of steps) if none."""
    first, which = len(steps.row), -1
    weight = limits.weight[steps.row]
    for a in np.flatnonzero(np.isfinite(limits.capacity) & ~shut):
        arrivals = weight * ((steps.to == a) * 1.0 - (steps.start == a))
        over = limits.weight[now == a].sum() + np.cumsum(arrivals) > limits.capacity[a]
        if over.any() and over.argmax() < first:
            first, which = int(over.argmax()), int(a)
    return which, first


def _points(steps: _Steps, weight: Array, take: int, spent: Array, gain: float, treated: float) -> list[Point]:
    if take == 0:
        return []
    gained = gain + np.cumsum(weight[:take] * steps.gain[:take])
    reached = treated + np.cumsum(weight[:take] * (steps.start[:take] < 0))
    at = np.unique(np.linspace(0, take - 1, 20).astype(int))
    return [(float(spent[i]), float(gained[i]), int(reached[i])) for i in at]


def _thin(points: list[Point]) -> list[Point]:
    at = np.unique(np.linspace(0, len(points) - 1, 21).astype(int))
    return [points[i] for i in at]
