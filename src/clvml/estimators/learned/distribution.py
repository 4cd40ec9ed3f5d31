"""One predictive distribution of a customer: means, return probability and intervals that agree with each other.

No purchase with 1 - p_return; otherwise what BTYD says of those who return, scaled to the corrected means: of the
purchases beyond the first, and of the amount. So for a level a above 1 - p_return

    P(Y > y) = p_return P_BTYD(Y > y | Y > 0) = 1 - a   where   P_BTYD(Y > y) = (1 - a) P_BTYD(Y > 0) / p_return

and at the levels below it the quantile is 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clvml.estimators.forecast import CustomerForecast
from clvml.estimators.learned.ensemble.blend import Predicted

__all__ = ["LEVEL", "predictive_intervals"]

Floats = NDArray[np.float64]

LEVEL = 0.9
"""Of the intervals."""
_TINY = 1e-12


def predictive_intervals(
    ahead: CustomerForecast, days: int, predicted: Predicted
) -> tuple[Floats, Floats, Floats, Floats]:
    """Purchases low and high, in whole numbers, and spend low and high, not discounted.

    predicted: the corrected means. Those of BTYD given a return are taken apart from its chance of one, which may be
    too small to divide by.
    """
    few, many, little, much = ahead.intervals(days, LEVEL, p_return=predicted.p_return)
    p_return, if_returning = np.maximum(predicted.p_return, _TINY), ahead.purchases_if_returning(days)
    more = predicted.purchases / p_return - 1.0
    stretch = np.maximum(more, 0.0) / np.maximum(if_returning - 1.0, _TINY)
    amount = (predicted.spend / p_return) / np.maximum(if_returning * ahead.spend_per_purchase, _TINY)
    return _stretched(few, stretch), _stretched(many, stretch), little * amount, much * amount


def _stretched(purchases: Floats, stretch: Floats) -> Floats:
    """Those beyond the first, to the nearest whole number: outwards intervals would hold still more than they say."""
    return np.where(purchases > 0, 1.0 + np.round((purchases - 1.0) * stretch), 0.0)
