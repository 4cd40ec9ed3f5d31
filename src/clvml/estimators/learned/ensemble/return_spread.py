"""How far apart BTYD's customers are in truth, in whether they return."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from clvml.maths.learners import glm

__all__ = ["ReturnSpread"]

Floats = NDArray[np.float64]

_MIN_CUSTOMERS = 100
"""Fewer customers than these correct nothing."""
_MIN_SLOPE = 0.1
"""No log turns BTYD's order of customers around."""


class ReturnSpread(NamedTuple):
    """BTYD's log hazards of return, drawn together or apart: by a slope about a centre.

    Where purchases come in bursts BTYD takes a burst for a high rate and the pause after it for a farewell, and is far
    too sure of both: those who came back at earlier origins were closer together than it says.
    """

    centre: float = 0.0
    slope: float = 1.0

    @classmethod
    def learn(cls, hazard: Floats, returned: Floats, level: Floats, weight: Floats, penalty: float) -> Self:
        """From log hazards and who returned; level: of each one's origin. The penalty draws the slope to 1."""
        if weight.sum() < _MIN_CUSTOMERS:
            return cls()
        centre = float(np.average(hazard, weights=weight))
        _, more = glm.fit(glm.HAZARD, (hazard - centre)[:, None], returned, hazard + level, weight, penalty)
        return cls(centre, max(_MIN_SLOPE, 1.0 + float(more)))

    def correction(self, hazard: Floats) -> Floats:
        """What is added to log hazards over the label window, and to those over any other time."""
        return (self.slope - 1.0) * (hazard - self.centre)
