"""What a shopkeeper would guess without a model. A model that does not beat these has not earned its keep."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Forecast", "last_period", "own_rate", "recency_alone", "shopkeepers_formula"]

Floats = NDArray[np.float64]


class Forecast(NamedTuple):
    """Purchases and spend (undiscounted) within the horizon, and a score of return: what a model has no word on is
    None.
    """

    purchases: Floats | None
    spend: Floats | None
    p_return: Floats | None
    is_probability: bool = True
    """Whether p_return is one; else it only ranks."""


def _column(frame: pd.DataFrame, name: str) -> Floats:
    return frame[name].to_numpy(dtype=np.float64)


def own_rate(frame: pd.DataFrame, days: int) -> Forecast:
    """Repeat purchases go on at their rate x / T, each for the customer's own mean."""
    purchases = _column(frame, "frequency") / np.maximum(_column(frame, "T"), 1.0) * days
    return Forecast(purchases, purchases * _column(frame, "mean_amount"), None)


def shopkeepers_formula(frame: pd.DataFrame, days: int) -> Forecast:
    """Ticket x purchases per month x lifetime, for a lifetime of the horizon: all purchases over the time as a
    customer.
    """
    month = 365.25 / 12
    per_month = (_column(frame, "frequency") + 1.0) / np.maximum(_column(frame, "T") / month, 1.0)
    purchases = per_month * days / month
    return Forecast(purchases, purchases * _column(frame, "mean_amount"), None)


def last_period(purchases: Floats, spend: Floats) -> Forecast:
    """The same as in the period of equal length before."""
    return Forecast(purchases, spend, None)


def recency_alone(frame: pd.DataFrame) -> Forecast:
    """Who bought last comes back first."""
    return Forecast(None, None, -_column(frame, "days_since_last"), is_probability=False)
