"""What regular gaps say of customers beyond a model that takes gaps to be random, and how far that is believed.

A customer who bought every four weeks and has been silent for ten has probably left, which a model of random gaps calls
a long gap. How regular the gaps of a log are its gaps show; how far silence follows from it, its own past: customers of
one log are regular in different ways, pause, and place orders between their regular ones.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.estimators.forecast import CustomerForecast
from clvml.estimators.purchases.model import PurchaseModel
from clvml.maths.regularity import Regularities, regularity
from clvml.maths.rhythm import Rhythm

__all__ = ["RANDOM", "REGULARITY", "OpenGaps", "regularities_of", "regularity_of", "rhythm_of"]

Floats = NDArray[np.float64]

REGULARITY = 0.5, 20.0
"""Between which the regularity of the gaps is taken to lie."""
RANDOM = 1.0
"""The regularity of random gaps."""


def regularity_of(frame: pd.DataFrame) -> float:
    """How regular the gaps of these customers are, as the gaps show it; RANDOM where they do not."""
    if "log_gaps" not in frame:
        return RANDOM
    x, t_x, logs = (frame[name].to_numpy(np.float64) for name in ("frequency", "recency", "log_gaps"))
    k, _ = regularity(x, t_x, logs, np.ones_like(x))
    return float(np.clip(k, *REGULARITY)) if np.isfinite(k) else RANDOM


def regularities_of(frame: pd.DataFrame) -> Regularities | None:
    """How the regularity of gaps is spread over these customers; None where the gaps do not show it."""
    if "log_gaps" not in frame or not (frame["frequency"] > 1).any():
        return None
    x, t_x, logs = (frame[name].to_numpy(np.float64) for name in ("frequency", "recency", "log_gaps"))
    return Regularities.learn(x, t_x, logs, regularity_of(frame))


def rhythm_of(purchases: PurchaseModel, k: float) -> Rhythm:
    """Rates as the model has them, of this regularity."""
    return Rhythm(float(purchases.params_.r), float(purchases.params_.alpha * purchases.unit_days), k)


class OpenGaps(NamedTuple):
    """The gap that is open, of each customer: by the model, which takes gaps to be random, and by regular gaps."""

    random_gaps: Rhythm
    regular_gaps: Rhythm
    x: Floats
    t_x: Floats
    since: Floats
    p_alive: Floats
    silent: tuple[Floats, Floats]
    """Logarithm of the share of gaps that last as long as the silence."""

    @classmethod
    def of(cls, ahead: CustomerForecast, purchases: PurchaseModel, k: float) -> Self:
        """Of the customers of a forecast by a model of purchases."""
        x, t_x, T = (ahead.summary[name].to_numpy(np.float64) for name in ("frequency", "recency", "T"))
        random, regular = rhythm_of(purchases, RANDOM), rhythm_of(purchases, k)
        silent = random.log_share_open(x, t_x, T - t_x), regular.log_share_open(x, t_x, T - t_x)
        return cls(random, regular, x, t_x, T - t_x, np.clip(ahead.p_alive, 1e-300, 1.0), silent)

    def regular(self, p_return: Floats, purchases: Floats, days: int) -> tuple[Floats, Floats]:
        """p_return and purchases within some days if gaps are regular; what the model expects of either is given.

        As many of those who are alive are taken to leave before they buy as by the model.
        """
        alive = self.regular_gaps.p_alive(self.p_alive, self.silent)
        ended, regular_ended = (
            -np.expm1(rhythm.log_share_open(self.x, self.t_x, self.since + days) - silent)
            for rhythm, silent in zip((self.random_gaps, self.regular_gaps), self.silent, strict=True)
        )
        if_alive = np.minimum(1.0, p_return / self.p_alive * regular_ended / np.maximum(ended, 1e-300))
        return alive * if_alive, alive * np.maximum(purchases / self.p_alive, if_alive)
