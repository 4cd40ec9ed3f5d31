"""Whether customers buy less often, or less at a time, than they used to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, betainc

__all__ = ["MIN_BEFORE", "SHORTFALL_SHARE", "decline", "share_lost"]

Floats = NDArray[np.float64]

_CHANCE = 0.001
"""So seldom would steady customers show as much by chance, in either test. Few fall: at one in a hundred most of those
found are found by chance, and spend next as they used to.
"""
SHORTFALL_SHARE = 1 / 3
"""Of a fall, how far what follows stays below what is expected of the customer. The rest is in the expectation already,
or was chance: those who fell the most did so in part by chance (`benchmarks/households.md`, Declines).
"""
MIN_BEFORE = 4
"""Purchases before, with which there is a level to fall from."""


def share_lost(gone: Floats | float, fall: Floats) -> Floats:
    """The share of the value if kept that may be lost: all of it with the probability to be gone, otherwise what a
    fall of spend takes that is not expected already.
    """
    return np.asarray(gone + (1.0 - gone) * SHORTFALL_SHARE * fall)


def decline(
    recent: Floats,
    before: Floats,
    spend_recent: Floats,
    spend_before: Floats,
    days: float,
    days_before: Floats,
    shape: float,
) -> Floats:
    """The share by which spend a day fell below the customer's own level before; 0 where that may be chance.

    recent, before: purchases in the last `days`, and in the `days_before` before them (n,); spend_...: what they paid;
    shape: of the gamma distribution of one customer's purchases. Either the purchases are fewer than a steady rate
    allows (given their number, those of late are binomial), or they are smaller than the spread of purchases allows
    (given what was paid in all, the share paid of late has a beta distribution: a single small purchase says little
    where purchases differ much).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        part = days / (days + days_before)
        fewer = bdtr(recent, (recent + before).astype(np.int64), part) <= _CHANCE
        paid = spend_recent / (spend_recent + spend_before)
        smaller = betainc(shape * np.maximum(recent, 1), shape * np.maximum(before, 1), paid) <= _CHANCE
        fall = 1.0 - (spend_recent / days) / (spend_before / days_before)
    measured = (before >= MIN_BEFORE) & (recent >= 1) & (days_before >= days) & (fewer | smaller) & (fall > 0)
    return np.where(measured, fall, 0.0)
