"""What those bring who buy after all, by state and tier, against what had been expected of them."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from clvml.scores.segments import STATES, Ranks

__all__ = ["StateValue"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_SPREAD = 0.2
"""Standard deviation of the logarithm of a factor before anything is seen of it."""
_MIN_RETURNS = 5


class StateValue(NamedTuple):
    """Factors on the value if kept, one a state: of good customers and of all others.

    Somebody who has been silent for long and buys after all buys less than somebody in the middle of their rhythm. How
    much less, the last origin shows, predicted by a trial that had not seen it. A state of which few returned is
    believed little, the less the more customers differ.
    """

    good: Floats
    others: Floats

    @classmethod
    def unknown(cls) -> Self:
        """Where nothing could be learned."""
        return cls(np.ones(len(STATES)), np.ones(len(STATES)))

    @classmethod
    def learn(cls, state: Ranks, good: Mask, expected: Floats, came: Floats) -> Self:
        """From those who bought: what had been expected if they do (n,), and what they brought (n,).

        The level of all together is left out: it is that of one season.
        """
        if came.sum() <= 0 or expected.sum() <= 0:
            return cls.unknown()
        expected = expected * (came.sum() / expected.sum())
        noise = float(((came - expected) ** 2).sum() / (expected**2).sum())
        logs = np.zeros((2, len(STATES)))
        for place in range(len(STATES)):
            own = state == place
            whole = _drawn(expected[own], came[own], noise, 0.0)
            logs[:, place] = [_drawn(expected[r], came[r], noise, whole) for r in (own & good, own & ~good)]
        return cls(*np.exp(logs))

    def factor(self, state: Ranks, good: Mask) -> Floats:
        """Of each customer."""
        return np.where(good, self.good[state], self.others[state])


def _drawn(expected: Floats, came: Floats, noise: float, prior: float) -> float:
    """Logarithm of what came over what had been expected, drawn to the prior by how uncertain it is.

    noise: variance of what one customer brings over the square of what had been expected of them, of all together: of
    a few customers it cannot be told.
    """
    if len(came) < _MIN_RETURNS or came.sum() <= 0:
        return prior
    variance = noise * float((expected**2).sum() / expected.sum() ** 2)
    weight = _SPREAD**2 / (_SPREAD**2 + variance)
    return float(weight * np.log(came.sum() / expected.sum()) + (1.0 - weight) * prior)
