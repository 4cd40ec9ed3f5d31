"""Unique pairs: what depends on two numbers of a customer alone is worked out once for each pair of them.

A million customers of two years of orders are some thirty thousand pairs of frequency and age.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clvml.maths.sample import Floats

__all__ = ["UniquePairs", "distinct"]

_MAX_GRID_CELLS = 2**26
"""Of the grid in which pairs of whole numbers are looked up: a daily buyer of twenty years fits."""
_DENSE_CELLS = 4, 10**6
"""A grid of all values of either number pays up to so many cells a pair, and so many in all."""


class Pairs(NamedTuple):
    """Distinct pairs, one entry each."""

    x: Floats
    y: Floats


class UniquePairs:
    """The distinct pairs (x, y) found so far, and quantities of them, each worked out when it is first read.

    Threads may share one. A quantity must not depend on which other pairs it is worked out with: then it is the same
    whatever was found before.
    """

    def __init__(self) -> None:
        self._pairs = Pairs(np.empty(0), np.empty(0))
        self._grid = np.zeros((1, 1), dtype=np.int32)
        self._columns: dict[Hashable, Floats] = {}
        self._lock = threading.RLock()

    def find(self, x: NDArray[np.generic], y: NDArray[np.generic]) -> NDArray[np.intp]:
        """The place of each pair among all found so far, in the shape of x and y, which are at least 0."""
        if np.ndim(x) > 1:
            return self.find(np.ravel(x), np.ravel(y)).reshape(np.shape(x))
        whole = [np.asarray(v).astype(np.intp) for v in (x, y)]
        shape = tuple(int(v.max(initial=0)) + 1 for v in whole)
        if shape[0] * shape[1] > _MAX_GRID_CELLS or not all((v == w).all() for v, w in zip((x, y), whole, strict=True)):
            return self._without_grid(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
        grid = self._grid
        held = grid.shape[0] >= shape[0] and grid.shape[1] >= shape[1]
        place = grid[whole[0], whole[1]] if held else np.zeros(len(whole[0]), dtype=np.int32)
        new = np.flatnonzero(place == 0)
        if new.size:
            place[new] = self._insert(whole[0][new], whole[1][new], shape)
        found: NDArray[np.intp] = place.astype(np.intp) - 1
        return found

    def column(self, key: Hashable, compute: Callable[[Floats, Floats], Floats]) -> Floats:
        """A quantity of all pairs found so far, by their places: compute(x, y) (n,), or (n, k) for several
        numbers each.

        key: what it is remembered by. Of pairs found at other times one may have more numbers than another,
        which then ends in zeros.
        """
        with self._lock:
            column = self._columns.get(key)
            known = 0 if column is None else len(column)
            if column is None or known < self._pairs.x.size:
                more = compute(self._pairs.x[known:], self._pairs.y[known:])
                column = more if column is None else _below(column, more)
                self._columns[key] = column
        return column

    def _insert(self, x: NDArray[np.intp], y: NDArray[np.intp], shape: tuple[int, ...]) -> NDArray[np.int32]:
        """What the grid says of pairs, those that it did not know added."""
        with self._lock:
            self._widen(shape)
            new = np.flatnonzero(self._grid[x, y] == 0)
            cells = _ascending(x[new] * self._grid.shape[1] + y[new], self._grid.size)
            at = np.divmod(cells, self._grid.shape[1])
            self._grid[at] = self._add(*(v.astype(np.float64) for v in at)) + 1
            found: NDArray[np.int32] = self._grid[x, y]
            return found

    def _without_grid(self, x: Floats, y: Floats) -> NDArray[np.intp]:
        """Pairs that no grid holds are not remembered."""
        first, place = distinct(x, y)
        with self._lock:
            return self._add(x[first], y[first])[place]

    def _add(self, x: Floats, y: Floats) -> NDArray[np.intp]:
        known = self._pairs.x.size
        self._pairs = Pairs(np.concatenate([self._pairs.x, x]), np.concatenate([self._pairs.y, y]))
        return np.arange(known, known + x.size)

    def _widen(self, shape: tuple[int, ...]) -> None:
        """Make room; cells that are never touched take no memory."""
        if all(have >= want for have, want in zip(self._grid.shape, shape, strict=True)):
            return
        sizes = [2 ** max(have, want).bit_length() for have, want in zip(self._grid.shape, shape, strict=True)]
        grid = np.zeros(sizes, dtype=np.int32)
        grid[: self._grid.shape[0], : self._grid.shape[1]] = self._grid
        self._grid = grid


def distinct(x: Floats, y: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(where each distinct pair stands first or later, which of them each pair is); x, y (n,)."""
    (xs, i), (ys, j) = (np.unique(v, return_inverse=True) for v in (x, y))
    key = i * ys.size + j
    if xs.size * ys.size > _DENSE_CELLS[0] * x.size + _DENSE_CELLS[1]:
        _, first, place = np.unique(key, return_index=True, return_inverse=True)
        return first, place
    table = np.full(xs.size * ys.size, -1)
    table[key] = np.arange(key.size)
    one = np.flatnonzero(table >= 0)
    at = table[one]
    table[one] = np.arange(one.size)
    return at, table[key]


def _ascending(cells: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Distinct whole numbers below `size` in ascending order."""
    if size > _DENSE_CELLS[0] * cells.size + _DENSE_CELLS[1]:
        return np.unique(cells)
    there = np.zeros(size, dtype=np.bool_)
    there[cells] = True
    return np.flatnonzero(there)


def _below(above: Floats, rows: Floats) -> Floats:
    """Rows put under others, the narrower ones filled up with zeros."""
    if above.ndim == 1 or above.shape[1] == rows.shape[1]:
        return np.concatenate([above, rows])
    both = np.zeros((len(above) + len(rows), max(above.shape[1], rows.shape[1])))
    both[: len(above), : above.shape[1]] = above
    both[len(above) :, : rows.shape[1]] = rows
    return both
