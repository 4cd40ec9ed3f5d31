"""What a customer earns over their life: month by month until it has paid back what they cost, and by rule of thumb."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.estimators.baselines import MONTH_DAYS, months_as_customer, shopkeepers_formula
from clvml.orders.summaries import BookedDays

__all__ = ["life_curve", "lifetime_by_formula", "payback_month"]

Array = npt.NDArray[np.float64]


def life_curve(booked: BookedDays, table: pd.DataFrame) -> dict[str, Array]:
    """Mean cumulative contribution by completed month of life of each channel. table: channel, T, and place (of the
    customer among those of `booked`).

    Month k averages only customers who have lived through it (maturity-matched), so that young cohorts cannot pull a
    curve down.
    """
    codes, names = pd.factorize(table["channel"], sort=True)
    lived = np.floor(table["T"].to_numpy(np.float64) / MONTH_DAYS).astype(np.intp)
    channel, months = np.full(booked.begin.size, -1), np.zeros(booked.begin.size, dtype=np.intp)
    channel[table["place"]], months[table["place"]] = codes, lived
    age = booked.day - np.repeat(booked.first_day, booked.counts)
    days = np.arange(max(int(age.max(initial=0)), 0) + 1)
    month_of_day = np.maximum(np.ceil(days / MONTH_DAYS).astype(np.intp) - 1, 0)  # the first day is of the first month
    month = month_of_day[np.maximum(age, 0)]
    of = np.repeat(channel, booked.counts)
    full = np.flatnonzero((age >= 0) & (of >= 0) & (month < np.repeat(months, booked.counts)))
    earned = np.zeros((len(names), int(lived.max()) + 1), dtype=np.int64)
    np.add.at(earned.ravel(), of[full] * earned.shape[1] + month[full], booked.contribution[full])  # fast for one axis
    curves = {}
    for code, name in enumerate(names):
        own = lived[codes == code]
        mature = len(own) - np.searchsorted(np.sort(own), np.arange(int(own.max())), "right")
        curves[str(name)] = np.cumsum(earned[code, : len(mature)] / booked.units / mature)
    return curves


def payback_month(curve: Array, cac: float) -> float:
    """The first month by whose end the curve has reached the CAC; NaN where it has not within what was seen."""
    reached = np.flatnonzero(curve >= cac) if np.isfinite(cac) else np.empty(0)
    return float(reached[0] + 1) if len(reached) else float("nan")


def lifetime_by_formula(table: pd.DataFrame, margin: float, horizon_days: float) -> float:
    """The shopkeeper's formula for a mean customer of a channel, over the age so far and the horizon."""
    purchases = table["frequency"].to_numpy(np.float64) + 1
    months = months_as_customer(table["T"].to_numpy(np.float64))
    amount, per_month = float(table["amount"].sum() / purchases.sum()), float(purchases.sum() / months.sum())
    return float(shopkeepers_formula(amount, per_month, float(months.mean() + horizon_days / MONTH_DAYS), margin))
