"""Attributes whose mere presence predicts purchases: they were probably filled in later, for those who came back."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from clvml.estimators.learned.ensemble.model import Labelled
from clvml.orders.origins import FEATURES
from clvml.tables import SUMMARY

__all__ = ["leaking_attributes"]

Floats = NDArray[np.float64]

_MIN_RATIO = 1.5
"""Purchases over expectation of those with an attribute against those without, from which on it is suspected."""
_MIN_Z = 4.0
"""Of the score test that those with and without it exceed their expectation by one factor."""
_MIN_SHARE = 0.02
"""Of customers with, and without, the attribute."""


def leaking_attributes(labelled: Labelled) -> list[str]:
    """What to say of each attribute (channel, covariates) whose presence predicts beyond the history of a customer.

    At the latest labelled origin: an attribute that is known of some customers and not of others, where those with it
    bought much more, or less, than BTYD had expected of them, compared with those without it.
    """
    latest = np.flatnonzero(labelled.rows["origin"] == labelled.rows["origin"].max())
    part = labelled.take(latest)
    known = {column.name for column in SUMMARY} | set(FEATURES) | {"origin", "purchases", "spend"}
    return [note for name in part.rows.columns if name not in known and (note := _note(name, part))]


def _note(name: str, part: Labelled) -> str:
    there = part.rows[name].astype("string").str.strip().fillna("").ne("").to_numpy(bool)
    share = float(there.mean())
    if not _MIN_SHARE <= share <= 1.0 - _MIN_SHARE:
        return ""
    y, expected = part.rows["purchases"].to_numpy(float), part.expected.purchases
    surplus = y - expected * y.sum() / max(expected.sum(), 1e-300)
    contrast = there - expected[there].sum() / max(expected.sum(), 1e-300)
    z = float(contrast @ surplus) / math.sqrt(max(float((contrast**2) @ surplus**2), 1e-300))
    ratio = _ratio(y[there], expected[there]) / _ratio(y[~there], expected[~there])
    if abs(math.log(ratio)) < math.log(_MIN_RATIO) or abs(z) < _MIN_Z:
        return ""
    return (
        f"Attribute {name!r} is known of {share:.0%} of customers, and those bought {ratio:.2g} times "
        "as much as the others with the same history: its mere presence predicts, so it was probably filled in later, "
        "for those who came back. It is not used; leave it out of covariates and profiles too."
    )


def _ratio(y: Floats, expected: Floats) -> float:
    """Purchases over expectation, half a purchase added."""
    return (float(y.sum()) + 0.5) / (float(expected.sum()) + 0.5)
