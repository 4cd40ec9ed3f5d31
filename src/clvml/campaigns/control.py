"""The control group: drawn before anything is sent, by a hash that anybody can repeat."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clvml.campaigns.gain import Array

__all__ = ["Holdout", "draw_control", "hash_uniform"]


def hash_uniform(ids: Sequence[str], salt: str, purpose: str) -> Array:
    """A number in [0, 1) for each customer: the first 52 bits of sha256(salt|purpose|customer). No other state."""
    head = f"{salt}|{purpose}|".encode()
    bits = [int.from_bytes(hashlib.sha256(head + i.encode()).digest()[:7], "big") >> 4 for i in ids]
    return np.array(bits, dtype=np.float64) / 2.0**52


class Holdout(NamedTuple):
    """The customers that no plan of this salt treats, so that all campaigns together can be measured."""

    salt: str
    share: float

    def has(self, ids: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Whether each customer is held out."""
        return hash_uniform(ids, self.salt, "holdout") < self.share


def draw_control(strata: npt.NDArray[Any], priority: Array, uniform: Array, share: float) -> npt.NDArray[np.bool_]:
    """Exactly round(share · n) rows, spread evenly over the strata and, within them, over the priority.

    Rows are put in order of stratum and falling priority and cut into equal blocks; in each block the row with the
    smallest hash is drawn. So the share of a stratum is right to one row, and so is that of its first rows by priority,
    those that a budget will pick.
    """
    n = len(priority)
    drawn = np.zeros(n, dtype=np.bool_)
    count = round(share * n)
    if count == 0:
        return drawn
    order = np.lexsort((uniform, -priority, strata))
    block = np.empty(n, dtype=np.intp)
    block[order] = np.arange(n) * count // n
    first = np.lexsort((uniform, block))
    starts = np.searchsorted(block[first], np.arange(count))
    drawn[first[starts]] = True
    return drawn
