"""Quantiles of purchases and spend of many customers, read off tables of customers who are alive.

Where a model's future depends on the last purchase through p_alive alone (BG/NBD, MBG/NBD, Pareto/NBD, NBD), what those
who are alive will do is a smooth function of frequency x and age T. So it is computed exactly for few of either, spaced
evenly in log(scale + T) and, from 8 purchases on, in sqrt(x), the scale on which a count spreads evenly; and read off
between them by Lagrange's formula on six of each: a hundred million customers need no more tables than a hundred
thousand. Every entry is the same whoever else is asked for.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from clvml.maths.predictive import Future, counts_alive, spend_alive
from clvml.maths.sample import Floats
from clvml.maths.unique_pairs import UniquePairs

__all__ = ["QuantileTables", "exceeded"]

_AGE_STEP = 0.2
"""Between ages, in log(scale + T)."""
_MIN_ROOT_FREQUENCY, _ROOT_STEP = 8, 0.6
"""Frequencies below are tabled each; between those beyond, in sqrt(x)."""
_LOGIT_STEP = 0.5
_LOGITS = np.arange(-9.0, 3.1, _LOGIT_STEP)
"""log((1 - v) / v) of the chances v, of those who buy, that are tabled: down to 0.05, the upper end of the intervals of
who surely buys.
"""
_STENCIL = np.arange(-2, 4)


class QuantileTables:
    """Tables for one horizon; they grow with the (x, T) asked for.

    future_at: the future of customers who are alive with given x and T; scale: the smallest number that is added to T
    in it, T in whole units; t: the horizon, in the unit of the future; p, q: of Gamma-Gamma.
    """

    def __init__(self, future_at: Callable[[Floats, Floats], Future], scale: float, t: float, p: float, q: float):
        self._future_at, self._scale, self._t, self._p, self._q = future_at, scale, t, p, q
        self._spots, self._lines = UniquePairs(), UniquePairs()

    def of(self, x: Floats, T: Floats) -> Floats:
        """(n, 4 k), of those who buy: what `counts_alive` and `spend_alive` give for each of the k chances that are
        tabled, each followed by how it rises from one chance to the next.
        """
        root = (np.sqrt(np.maximum(x, _MIN_ROOT_FREQUENCY)) - np.sqrt(_MIN_ROOT_FREQUENCY)) / _ROOT_STEP
        below = np.floor(root)
        table = np.empty((x.size, 4 * _LOGITS.size))
        each = np.flatnonzero(x < _MIN_ROOT_FREQUENCY)
        table[each] = self._between(self._lines, self._along_ages, [(x[each], T[each])], [np.ones(each.size)])
        rest = np.flatnonzero(x >= _MIN_ROOT_FREQUENCY)
        spots = [(below[rest] + _MIN_ROOT_FREQUENCY + i, T[rest]) for i in range(_STENCIL.size)]
        table[rest] = self._between(self._lines, self._along_ages, spots, _lagrange((root - below)[rest]))
        return table

    def _along_ages(self, spot: Floats, T: Floats) -> Floats:
        """The same at frequencies that are tabled, by the number of each."""
        age = np.log1p(T / self._scale) / _AGE_STEP
        below = np.floor(age)
        spots = [(spot, below + i) for i in range(_STENCIL.size)]
        return self._between(self._spots, self._exactly, spots, _lagrange(age - below))

    def _between(
        self,
        known: UniquePairs,
        compute: Callable[[Floats, Floats], Floats],
        spots: list[tuple[Floats, Floats]],
        weights: list[Floats],
    ) -> Floats:
        """Of what is known at each of some spots, what they make with these weights."""
        places = [known.find(*spot) for spot in spots]
        table = known.column("table", compute)
        total = weights[0][:, None] * table[places[0]]
        for weight, place in zip(weights[1:], places[1:], strict=True):
            total += weight[:, None] * table[place]
        return total

    def _exactly(self, spot: Floats, age: Floats) -> Floats:
        """The same at frequencies and ages that are tabled, by the numbers of both."""
        root = np.sqrt(_MIN_ROOT_FREQUENCY) + _ROOT_STEP * (spot - _MIN_ROOT_FREQUENCY + _STENCIL[0])
        x = np.where(spot < _MIN_ROOT_FREQUENCY, spot, root * root)
        alive = self._future_at(x, self._scale * np.expm1((age + _STENCIL[0]) * _AGE_STEP))
        chances = 1.0 / (1.0 + np.exp(_LOGITS))
        counts, often = counts_alive(alive, self._t, chances)
        spend, much = spend_alive(alive, self._t, chances, self._p, self._p * x + self._q)
        return np.concatenate([counts, often * _LOGIT_STEP, spend, much * _LOGIT_STEP], axis=1)


def exceeded(table: Floats, place: NDArray[np.intp], some: Floats, chance: Floats) -> tuple[Floats, Floats]:
    """Smallest number of purchases that is exceeded with no more than `chance` (n,), and the u = spend over (v + x m)
    that is exceeded with it; 0 where buying at all is no likelier.

    some (n,): the chance that a customer who is alive buys; place: the row of `table` of each. Cubic between the
    chances that are tabled, with the slopes that are known there.
    """
    counts, spend, k = np.zeros(chance.size), np.zeros(chance.size), _LOGITS.size
    rows = np.flatnonzero(some > chance)
    v = chance[rows] / some[rows]
    at = (np.log((1.0 - v) / v) - _LOGITS[0]) / _LOGIT_STEP
    cell = np.clip(np.floor(at), 0, k - 2).astype(np.intp)
    flat, start, f, less = table.ravel(), place[rows] * table.shape[1] + cell, at - cell, np.minimum(at, 0.0)
    f = np.clip(f, 0.0, 1.0)
    found = []
    for first in (0, 2 * k):
        low, high, left, right = (flat[start + first + shift] for shift in (0, 1, k, k + 1))
        rise = high - low
        y = low + f * (left + f * (3.0 * rise - 2.0 * left - right + f * (left + right - 2.0 * rise)))
        found.append(np.exp(y + left * less))
    counts[rows] = np.maximum(np.ceil(found[0]), 1.0)
    spend[rows] = found[1]
    return counts, spend


def _lagrange(f: Floats) -> list[Floats]:
    """Weights of the values at -2, -1, ..., 3 in the polynomial through them, at f (n,) between 0 and 1."""
    weights = []
    for own in _STENCIL:
        weight = np.ones(f.size)
        for other in _STENCIL[own != _STENCIL]:
            weight *= (f - other) / (own - other)
        weights.append(weight)
    return weights
