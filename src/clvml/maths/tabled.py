"""Quantiles of purchases and spend of many customers, read off tables of the living.

Where a model's future depends on the last purchase through p_alive alone (BG/NBD, MBG/NBD, Pareto/NBD, NBD), what those
who are alive will do is a smooth function of frequency x and age T. So it is computed exactly at ages spaced evenly in
log(scale + T), and read off between them by Lagrange's formula on six of them: a hundred million customers need no more
tables than a hundred thousand. Every entry is the same whoever else is asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from clvml.maths.predictive import Future, spend_quantiles_alive
from clvml.maths.sample import Floats

__all__ = ["LifeTables"]

_STEP = 0.125 * np.log(2.0)
"""Between ages, in log(scale + T)."""
_GRID = np.arange(-9.0, 4.6, 0.5)
"""log((1 - v) / v) of the chances v at which spend is tabled: down to a rarest of 0.05, with three to spare."""
_STENCIL = np.arange(-2, 4)
_LEAST = 0.02
"""Counts are tabled as long as they are reached with more than this chance."""
_BLOCK = 100_000
"""Rows read off at once."""


class LifeTables:
    """Tables for one horizon; they grow with the (x, T) asked for.

    future_at: the future of customers with given x and T; scale: the smallest number that is added to T in it; t: the
    horizon, in the model's unit; p, q: of Gamma-Gamma.
    """

    def __init__(self, future_at: Callable[[Floats, Floats], Future], scale: float, t: float, p: float, q: float):
        self._future_at, self._scale, self._t, self._p, self._q = future_at, scale, t, p, q
        self._spots: dict[tuple[int, int], int] = {}
        self._some, self._spend = np.empty(0), np.empty((0, _GRID.size))
        self._counts = np.empty((0, 1))
        self._lock = threading.Lock()

    def quantiles(
        self, x: Floats, T: Floats, p_alive: Floats, levels: tuple[float, ...]
    ) -> list[tuple[Floats, Floats]]:
        """(purchases, spend over (v + x m)) at each level, between 0 and 0.95, per customer."""
        place = np.log((T + self._scale) / self._scale) / _STEP
        base = np.floor(place).astype(np.int64)
        with self._lock:  # threads that score parts of one base share the tables
            spots = self._find(x.astype(np.int64), base)
        weight = _lagrange(place - base)
        found = [(np.empty(x.size), np.empty(x.size)) for _ in levels]
        for start in range(0, x.size, _BLOCK):
            rows = slice(start, start + _BLOCK)
            for level, (purchases, spend) in zip(levels, found, strict=True):
                with np.errstate(divide="ignore"):
                    chance = (1.0 - level) / p_alive[rows]
                purchases[rows] = self._purchases(spots[rows], weight[rows], chance)
                spend[rows] = self._spent(spots[rows], weight[rows], chance)
        return found

    def _purchases(self, spots: NDArray[np.intp], weight: Floats, chance: Floats) -> Floats:
        """Smallest n that the living exceed with no more than `chance`: bisection on the tabled tail."""
        low, high = np.zeros(chance.size, dtype=np.intp), np.full(chance.size, self._counts.shape[1], dtype=np.intp)
        while (open_ := low < high).any():
            middle = (low + high) // 2
            tail = (self._counts[spots, middle[:, None]] * weight).sum(axis=1)
            enough = tail <= chance
            high, low = np.where(open_ & enough, middle, high), np.where(open_ & ~enough, middle + 1, low)
        return low.astype(np.float64)

    def _spent(self, spots: NDArray[np.intp], weight: Floats, chance: Floats) -> Floats:
        v = chance / (self._some[spots] * weight).sum(axis=1)
        out = np.zeros(v.shape)
        rows = np.flatnonzero(v < 1.0)
        z = np.log((1.0 - v[rows]) / v[rows])
        place = np.clip((z - _GRID[0]) / (_GRID[1] - _GRID[0]), 2.0, _GRID.size - 4.0)
        base = np.floor(place).astype(np.intp)
        columns = (base[:, None] + _STENCIL)[:, None, :]
        near = self._spend[spots[rows][:, :, None], columns]
        y = np.einsum("nij,ni,nj->n", near, weight[rows], _lagrange(place - base))
        # Below the table the spend is that of one small purchase: P(0 < u) grows like u^p.
        below = np.minimum(z - (_GRID[0] + 2.0 * (_GRID[1] - _GRID[0])), 0.0) / self._p
        out[rows] = np.exp(y + below)
        return out

    def _find(self, x: NDArray[np.int64], base: NDArray[np.int64]) -> NDArray[np.intp]:
        """(n, 6): where the six ages around each customer's stand in the tables, which grow where they lack one."""
        first = int(base.min()) + int(_STENCIL[0])
        width = int(base.max()) + int(_STENCIL[-1]) - first + 1
        wanted = np.zeros((int(x.max()) + 1, width), dtype=bool)
        for step in _STENCIL:
            wanted[x, base + step - first] = True
        xs, ages = np.nonzero(wanted)
        keys = list(zip(xs.tolist(), (ages + first).tolist(), strict=True))
        new = [key for key in keys if key not in self._spots]
        if new:
            self._grow(new)
        where = np.full(wanted.shape, -1, dtype=np.intp)
        where[xs, ages] = [self._spots[key] for key in keys]
        found: NDArray[np.intp] = where[x[:, None], base[:, None] + _STENCIL - first]
        return found

    def _grow(self, keys: list[tuple[int, int]]) -> None:
        x, j = np.array(keys, dtype=float).T
        living = self._future_at(x, self._scale * np.expm1(j * _STEP))
        some = living.at_least(1.0, self._t)
        counts, left, n = [some], np.arange(x.size), 1.0
        while left.size:
            n += 1.0
            tail = np.zeros(x.size)
            tail[left] = living.take(left).at_least(n, self._t)
            counts.append(tail)
            left = left[tail[left] > _LEAST]
        table = np.stack(counts, axis=1)
        width = max(table.shape[1], self._counts.shape[1])
        held = np.zeros((self._counts.shape[0] + x.size, width))
        held[: self._counts.shape[0], : self._counts.shape[1]] = self._counts
        held[self._counts.shape[0] :, : table.shape[1]] = table
        self._counts = held
        self._spots.update(zip(keys, range(self._some.size, self._some.size + x.size), strict=True))
        self._some = np.concatenate([self._some, some])
        v = 1.0 / (1.0 + np.exp(_GRID))
        spend = spend_quantiles_alive(living, self._t, v, self._p, self._p * x + self._q)
        self._spend = np.concatenate([self._spend, np.log(spend)])


def _lagrange(f: Floats) -> Floats:
    """(n, 6): weights of the values at -2, -1, ..., 3 in the polynomial through them, at f between 0 and 1."""
    apart = _STENCIL[:, None] - _STENCIL
    np.fill_diagonal(apart, 1)
    away = f[:, None] - _STENCIL
    weight = np.empty_like(away)
    for i in range(_STENCIL.size):
        others = np.delete(away, i, axis=1)
        weight[:, i] = others.prod(axis=1) / float(apart[i].prod())
    return weight
