"""How many customers would move between tiers of value if nobody had changed.

A tier is made of estimates. Whoever is placed high by luck falls back, and whoever buys or keeps silent moves although
they are who they were. How often is told by simulation: BTYD is fitted to the earlier day, every customer is carried
forward to the later one by it, and valued again.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.errors import OptionError, did_you_mean
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.purchases.models import ParetoNBDModel
from clvml.estimators.uncertainty.later import simulate_later
from clvml.scores import segments

__all__ = ["VALUES", "expected_moves"]

Floats = NDArray[np.float64]

HISTORY = ("frequency", "recency", "T", "monetary_value")
MAX_CUSTOMERS = 20_000
"""Customers that are simulated: of a larger base a sample, of a smaller one each several times."""


VALUES: dict[str, Callable[[LifetimeValueModel, pd.DataFrame], Floats]] = {
    "clv": LifetimeValueModel.clv,
    "expected_spend": LifetimeValueModel.expected_spend,
    "expected_purchases": LifetimeValueModel.expected_purchases,
}
"""Columns of Scores of which it is known how they move, by BTYD."""


def expected_moves(before: pd.DataFrame, days: int, value: str, good: float, bad: float, *, seed: int = 0) -> Floats:
    """P(tier after | tier before) if nobody changed, (3, 3) in the order of `segments.TIERS`; on each day the tiers are
    shares of the base.

    before: scores of the earlier day; days: from it to the later one. Raises OptionError for another value.
    """
    if value not in VALUES:
        raise OptionError(
            f"value='{value}': how it moves by chance is not known.{did_you_mean(value, VALUES)} "
            f"Choose one of {', '.join(VALUES)}."
        )
    rng = np.random.default_rng(seed)
    history = before[list(HISTORY)].astype(np.float64).reset_index(drop=True)
    model = LifetimeValueModel(purchases=ParetoNBDModel(), horizon=int(before["horizon_days"].iloc[0])).fit(history)
    if len(history) > MAX_CUSTOMERS:
        history = history.iloc[np.sort(rng.choice(len(history), MAX_CUSTOMERS, replace=False))]
    now = VALUES[value](model, history)
    start = segments.tiers_of_shares(now, good, bad)
    moves = np.zeros((len(segments.TIERS),) * 2)
    for _ in range(-(-MAX_CUSTOMERS // len(history))):
        later = VALUES[value](model, simulate_later(model, history, days, rng))
        np.add.at(moves, (start, segments.tiers_of_shares(later, good, bad)), 1.0)
    return np.asarray(moves / np.maximum(moves.sum(axis=1, keepdims=True), 1.0))
