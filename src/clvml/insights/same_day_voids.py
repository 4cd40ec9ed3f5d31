"""Baskets that were taken back in full on the day of their sale: nobody's order, to nobody's cost.

What counts is what the log's summaries take for never booked (`corrected` of clvml.orders.engines.sql.cancellations):
refunds of the day under the order's own id that reach what it sold; refunds without such an order that equal all sales
of the customer-day; and else lines of equal and opposite amount, pair by pair.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["same_day_voids"]

Mask = NDArray[np.bool_]


def same_day_voids(customer: pd.Series, day: pd.Series, amount: pd.Series, order: pd.Series | None) -> Mask:
    """Which lines belong to such a basket or are its refund.

    customer, day, amount, order: of each line, in one order; without order, refunds are matched by customer-day.
    """
    lines = pd.DataFrame(
        {"customer": customer.to_numpy(), "day": day.to_numpy(), "amount": amount.to_numpy(np.float64)}
    )
    lines["order"] = None if order is None else order.to_numpy()
    cents = (lines["amount"] * 10_000).round()
    lines["sold"], lines["returned"] = cents.clip(lower=0), (-cents).clip(lower=0)
    named = lines["order"].notna().to_numpy()
    linked, sold = np.zeros((2, len(lines)), np.bool_)
    if named.any():
        linked[named], sold[named] = _linked(lines[named]), _order_sold(lines[named])
    lines["loose"] = (lines["returned"] > 0) & ~sold
    lines["open"] = ~linked
    return linked | _loose(lines)


def _linked(lines: pd.DataFrame) -> Mask:
    """Lines of orders whose refunds of the day, under their own id, are all that they sold on it."""
    sums = lines.groupby(["customer", "day", "order"])[["sold", "returned"]].transform("sum")
    return ((sums["sold"] > 0) & (sums["sold"] == sums["returned"])).to_numpy(np.bool_)


def _order_sold(lines: pd.DataFrame) -> Mask:
    """Whether the order of a line has sold anything."""
    return (lines.groupby(["customer", "order"])["sold"].transform("sum") > 0).to_numpy(np.bool_)


def _loose(lines: pd.DataFrame) -> Mask:
    """Sales and refunds of a customer-day that cancel each other, whose refunds name no order that was sold."""
    day = ["customer", "day"]
    sale, back = lines["open"] & (lines["sold"] > 0), lines["open"] & lines["loose"]
    sums = lines.assign(sold=lines["sold"].where(sale, 0.0), returned=lines["returned"].where(back, 0.0))
    whole = sums.groupby(day)[["sold", "returned"]].transform("sum")
    all_back = (whole["sold"] > 0) & (whole["sold"] == whole["returned"])
    size = [lines["customer"], lines["day"], lines["amount"].abs()]
    pairs = np.minimum(sale.groupby(size).transform("sum"), back.groupby(size).transform("sum"))
    place = sale.groupby([*size, sale]).cumcount()  # of the sales among the sales, of the refunds among the others
    place = place.where(sale, back.groupby([*size, back]).cumcount())
    return ((sale | back) & (all_back | (place < pairs))).to_numpy(np.bool_)
