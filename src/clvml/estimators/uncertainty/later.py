"""What a summary would be some days later if a fitted model were right: one draw of every customer."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.maths.models import gammagamma

__all__ = ["simulate_later"]


def simulate_later(
    model: LifetimeValueModel, summary: pd.DataFrame, days: int, rng: np.random.Generator
) -> pd.DataFrame:
    """frequency, recency, T and monetary_value of each customer `days` later, drawn from the model.

    How many purchases come, and what they are worth, is drawn from the predictive distributions; the last of n
    purchases falls on the largest of n days spread evenly over the time.
    """
    x, t_x, T, m = (summary[c].to_numpy(np.float64) for c in ("frequency", "recency", "T", "monetary_value"))
    purchases = model.purchases_
    rows = purchases._histories(summary)
    n = purchases._future(rows).take(rows.place).simulate(purchases._units(days), rng)
    spend = gammagamma.simulate(model.spend_.params_, x, m, n, rng)
    last = T + np.ceil(days * rng.beta(np.maximum(n, 1.0), 1.0))
    total = x + n
    return pd.DataFrame(
        {
            "frequency": total,
            "recency": np.where(n > 0, last, t_x),
            "T": T + days,
            "monetary_value": np.divide(x * m + spend, total, out=np.zeros_like(total), where=total > 0),
        }
    )
