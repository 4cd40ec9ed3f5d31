"""The trial: a classifier that learned without the latest labelled origin predicts it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.estimators.learned.audit import Audit, audit, best_threshold
from clvml.estimators.learned.ensemble.boosting import Trees
from clvml.estimators.learned.ensemble.level import NO_PAST
from clvml.estimators.learned.ensemble.model import Ensemble, Labelled
from clvml.estimators.learned.expectation import Expectation, expect
from clvml.estimators.purchases.model import PurchaseModel
from clvml.estimators.purchases.regular_gaps import regularity_of
from clvml.maths.rhythm import LAPSED_SHARE, LATE_SHARE, overdue_share
from clvml.orders.origins import Snapshots

__all__ = ["Settings", "Trial"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

_MIN_LATE = 20
"""Returns, and losses, among the late below which the threshold is learned from everybody."""
_MIN_ROWS = 500
_MIN_OUTCOMES = 100
"""Rows, and returns and losses among them, with which labels that ended before the tested origin are enough."""
_FOLDS = 3
_TREE_ROWS = 20_000
"""Rows that the trial's trees are grown on: enough for its figures."""


class Settings(NamedTuple):
    """How the members are learned."""

    penalty: float
    trees: Trees
    seed: int


class Trial(NamedTuple):
    """What it shows."""

    threshold: float
    """Of the churn probability over the horizon."""
    audit: Audit

    @classmethod
    def of(cls, labelled: Labelled, snapshots: Snapshots, settings: Settings) -> Trial:
        """From all labelled rows."""
        origin = labelled.rows["origin"].to_numpy()
        tested = np.flatnonzero(origin == origin.max())
        before = np.flatnonzero(origin + snapshots.window <= origin.max())
        bought = labelled.bought
        later = len(before) >= _MIN_ROWS and _MIN_OUTCOMES <= bought[before].sum() <= len(before) - _MIN_OUTCOMES
        then = labelled.take(tested)
        fitted = labelled.fitted[int(origin.max())]
        far = expect(fitted, then.rows, snapshots.horizon, regularity_of(then.rows))
        p_return, p_far = np.empty((2, len(tested)))
        settings = settings._replace(trees=settings.trees._replace(max_rows=_TREE_ROWS))
        for fold, training in _folds(labelled, tested, before if later else None, settings.seed):
            asked, longer = then.take(fold), far.take(fold)
            p_return[fold], p_far[fold] = _p_return(labelled.take(training), asked, longer, snapshots.window, settings)
        expected = then.expected
        stake = expected.ticket * np.maximum(expected.purchases / np.maximum(expected.p_return, 1e-9), 1.0)
        some = _asked(fitted.purchases_, then.rows, then.bought)
        threshold = best_threshold(then.bought[some], 1.0 - p_far[some], stake[some])
        return cls(threshold, audit(then.rows, then.bought, p_return, expected.p_return, snapshots, bool(later)))


def _folds(labelled: Labelled, tested: Rows, before: Rows | None, seed: int) -> list[tuple[Rows, Rows]]:
    """(positions among the tested, training rows): one fold where a purged past is long enough, else other
    customers' earlier rows.
    """
    if before is not None:
        return [(np.arange(len(tested)), before)]
    customers = labelled.rows["customer_id"].astype("category").cat.codes.to_numpy()
    part = np.random.default_rng(seed).integers(0, _FOLDS, customers.max() + 1)[customers]
    origin = labelled.rows["origin"].to_numpy()
    earlier = origin < origin.max()
    earlier = earlier if earlier.any() else ~earlier
    return [(np.flatnonzero(part[tested] == k), np.flatnonzero(earlier & (part != k))) for k in range(_FOLDS)]


def _p_return(
    training: Labelled, asked: Labelled, far: Expectation, window: int, settings: Settings
) -> tuple[Floats, Floats]:
    """Return probabilities within the label window, and within the horizon."""
    near = asked.expected
    if not len(training.rows) or not 0 < training.bought.sum() < len(training.rows):
        return near.p_return, far.p_return
    ensemble = Ensemble.learn(training, window, *settings, spend=False)
    ensemble = ensemble.levelled(asked.rows, near, near, NO_PAST, int(asked.rows["origin"].max()), {})
    return ensemble.forecast(asked.rows, near, near).p_return, ensemble.forecast(asked.rows, near, far).p_return


def _share_of_gaps_ended(purchases: PurchaseModel, frame: pd.DataFrame, since: Floats) -> Floats:
    """The share of each customer's own gaps that would have ended within `since` days."""
    r, alpha = purchases.params_.r, purchases.params_.alpha * purchases.unit_days
    return overdue_share(r, alpha, frame["frequency"].to_numpy(float), frame["recency"].to_numpy(float), since)


def _asked(purchases: PurchaseModel, frame: pd.DataFrame, bought: Floats) -> NDArray[np.bool_]:
    """Those of whom a threshold is asked: late by their own rhythm, not yet lapsed; everybody where too few of them
    are.
    """
    overdue = _share_of_gaps_ended(purchases, frame, frame["days_since_last"].to_numpy(float))
    late = (overdue >= LATE_SHARE) & (overdue < LAPSED_SHARE)
    enough = min(bought[late].sum(), (1 - bought[late]).sum()) >= _MIN_LATE
    return late if enough else np.ones_like(late)
