"""Do intervals hold what they promise? Where outcomes fall in what was predicted of each customer.

An outcome y has a place in its prediction: F(y), uniform over customers if the prediction is right, spread over
(F(y - 1), F(y)) where counts are discrete (Czado, Gneiting & Held 2009).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.purchases.model import PurchaseModel
from clvml.maths.predictive import spend_at_most
from clvml.maths.sample import Floats

__all__ = ["Places", "coverage", "places", "spend_places"]


class Places(NamedTuple):
    """Where outcomes fall in what was predicted: somewhere between these, one entry a customer."""

    below: Floats  # P(Y < y)
    upto: Floats  # P(Y <= y)


def places(model: PurchaseModel, summary: pd.DataFrame, purchases: ArrayLike, horizon: int | str) -> Places:
    """Where the purchases that came lie in what the model predicted of each row of the summary."""
    rows = model._histories(summary)
    ahead, t = model._future(rows).take(rows.place), model._units(horizon, summary.attrs.get("as_of"))
    y = np.asarray(purchases, dtype=np.float64)
    return Places(1.0 - ahead.at_least(y, t), 1.0 - ahead.at_least(y + 1.0, t))


def spend_places(model: LifetimeValueModel, summary: pd.DataFrame, spend: ArrayLike, horizon: int | str) -> Places:
    """The same of the amount that came; nothing, or less, lies anywhere in the chance of silence."""
    rows, (p, q, _) = model.purchases_._histories(summary), model.spend_.params_
    ahead = model.purchases_._future(rows).take(rows.place)
    t = model.purchases_._units(horizon, summary.attrs.get("as_of"))
    u = np.maximum(np.asarray(spend, dtype=np.float64), 0.0) / model.spend_._spend_scale(summary)
    upto = spend_at_most(ahead, t, u, p, p * rows.x[rows.place] + q)
    return Places(np.where(u > 0.0, upto, 0.0), upto)


def coverage(found: Places, low: ArrayLike, high: ArrayLike) -> float:
    """Share of outcomes between two of the model's levels, a discrete outcome counted by the part of it that is."""
    width = np.maximum(found.upto - found.below, 1e-300)

    def share(level: ArrayLike) -> Floats:
        return np.clip((np.asarray(level) - found.below) / width, 0.0, 1.0)

    return float((share(high) - share(low)).mean())
