"""The trial: members that learned at earlier days from other customers predict the latest."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.estimators.learned.leaving.labelled import Labelled, Rows, enough
from clvml.estimators.learned.leaving.members import Blend, Members
from clvml.horizon import day_of_number
from clvml.maths import metrics
from clvml.orders.origins import one_vote

__all__ = ["LeavingAudit", "learn_members", "trial"]

Floats = NDArray[np.float64]

_FOLDS = 3


class LeavingAudit(NamedTuple):
    """How a trial did on the latest origin, on repeat buyers who were not yet silent for three of their own gaps."""

    origin: str
    customers: int
    left: int
    """Of these, how many stayed silent through three of their own gaps."""
    predicted: float
    """How many had been expected to, each by what other customers showed, on that day too."""
    auc: float
    auc_alive: float
    """Of 1 - P(alive)."""
    auc_silence: float
    """Of the silence over the own mean gap."""
    calibration_error: float
    came_back: float
    """Share of those who stayed away, at any origin, who bought later all the same, as far as the log goes."""


def learn_members(labelled: Labelled, seed: int) -> Members:
    """The members by all these rows; a customer of several origins counts once."""
    weight = one_vote(labelled.customer.reset_index(drop=True))
    return Members.learn(labelled.raw, labelled.base, labelled.returned, labelled.origin, weight, seed)


def trial(labelled: Labelled, seed: int) -> tuple[Blend, LeavingAudit | None]:
    """Predict the latest origin by what other customers showed at earlier ones; what weights and level that shows.

    Their labels may overlap with it in time. Members taught by labels that had ended by then alone are those of a
    younger log, in which slow buyers had hardly come to their second purchase: their weights are not these
    members'.
    """
    latest = _latest(labelled)
    tested = np.flatnonzero(labelled.origin == latest)
    earlier = labelled.origin < latest
    earlier = earlier if earlier.any() else ~earlier
    customer = pd.factorize(labelled.customer)[0]
    part = np.random.default_rng(seed).integers(0, _FOLDS, customer.max() + 1)[customer]
    members = np.tile(labelled.base[tested], (4, 1))
    for j in range(_FOLDS):
        fold, training = np.flatnonzero(part[tested] == j), np.flatnonzero(earlier & (part != j))
        if enough(labelled.returned[training]):
            found = learn_members(labelled.take(training), seed)
            rows = tested[fold]
            members[:, fold] = found.log_hazards(labelled.raw[:, rows], labelled.base[rows])
    events = min(labelled.returned.sum(), (1 - labelled.returned).sum())
    returned = labelled.returned[tested]
    prior = Blend.prior(float(events))
    expected = np.empty(len(tested))
    for j in range(_FOLDS):
        fold = part[tested] == j
        blend = prior.learn(members[:, ~fold], returned[~fold])
        expected[fold] = np.exp(-np.exp(blend.apply(members[:, fold])))
    return prior.learn(members, returned), _audit(labelled, tested, expected)


def _latest(labelled: Labelled) -> int:
    """The latest origin at which enough repeat buyers were asked; where there is none, the latest.

    Where all buy at much the same rate, all are asked over much the same days, which at the latest origin may be one
    more than have passed since.
    """
    again, origins = labelled.asked.x > 0, np.unique(labelled.origin)[::-1]
    asked = (day for day in origins if enough(labelled.returned[again & (labelled.origin == day)]))
    return int(next(asked, origins[0]))


def _audit(labelled: Labelled, tested: Rows, leaving: Floats) -> LeavingAudit | None:
    """Figures of the tested origin; None where all repeat buyers did the same."""
    asked = labelled.asked
    some = (asked.x[tested] > 0) & (asked.since[tested] < asked.days[tested])
    rows = tested[some]
    left = 1.0 - labelled.returned[rows]
    if not len(rows) or left.min() == left.max():
        return None
    gone = labelled.returned == 0
    return LeavingAudit(
        origin=day_of_number(int(labelled.origin[tested].max())).isoformat(),
        customers=len(rows),
        left=int(left.sum()),
        predicted=float(leaving[some].sum()),
        auc=metrics.auc(left, leaving[some]),
        auc_alive=metrics.auc(left, 1.0 - asked.p_alive[rows]),
        auc_silence=metrics.auc(left, asked.since[rows] / asked.gap[rows]),
        calibration_error=metrics.expected_calibration_error(left, leaving[some]),
        came_back=float(labelled.came_back[gone].mean()) if gone.any() else float("nan"),
    )
