"""What a shopkeeper would guess without a model. A model that does not beat these has not earned its keep."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = [
    "MONTH_DAYS",
    "Forecast",
    "last_period",
    "months_as_customer",
    "own_rate",
    "rate_since_first_purchase",
    "recency_alone",
    "shopkeepers_formula",
]

MONTH_DAYS = 365.25 / 12

Floats = NDArray[np.float64]
Numbers = float | Floats


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


def months_as_customer(T: Floats) -> Floats:
    """Age in months, at least one: a purchase of yesterday is no thirty a month."""
    return np.maximum(T / MONTH_DAYS, 1.0)


def shopkeepers_formula(amount: Numbers, per_month: Numbers, months: Numbers, margin: float = 1.0) -> Numbers:
    """Amount per purchase x purchases per month x lifetime in months x margin.

    Whose lifetime is the caller's: the horizon, where it stands beside predictions of the horizon; the age so far and
    the horizon, where it is the worth of a customer as a whole.
    """
    return amount * per_month * months * margin


def rate_since_first_purchase(frame: pd.DataFrame, days: int) -> Forecast:
    """The shopkeeper's formula over the horizon: all purchases, the first one too, over the months as a customer."""
    per_month = (_column(frame, "frequency") + 1.0) / months_as_customer(_column(frame, "T"))
    months = days / MONTH_DAYS
    spend = shopkeepers_formula(_column(frame, "mean_amount"), per_month, months)
    return Forecast(per_month * months, np.asarray(spend), None)


def last_period(purchases: Floats, spend: Floats) -> Forecast:
    """The same as in the period of equal length before."""
    return Forecast(purchases, spend, None)


def recency_alone(frame: pd.DataFrame) -> Forecast:
    """Who bought last comes back first."""
    return Forecast(None, None, -_column(frame, "days_since_last"), is_probability=False)
