"""What a later snapshot teaches of a classifier: level, slope and whom to trust, where to cut, and how good it is."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.maths import metrics
from clvml.maths.learners import glm
from clvml.orders.origins import Snapshots

__all__ = ["Audit", "Calibration", "audit", "best_threshold"]

Floats = NDArray[np.float64]

_PRIOR_EVENTS = 50.0
"""The calibration's ridge: as if the uncalibrated probabilities had been right for so many returns."""
_PERSISTENCE = 1 / 3
"""How much of one origin's error of level is taken to last: levels move with the season, J / (J + 2) for J = 1 origin.
"""


class Calibration(NamedTuple):
    """The members' mean log hazard, moved by what out-of-time returns showed: + level + slope (mean - centre)
    + line (line - BTYD) + trees (trees - BTYD). All shrunk towards 0, which leaves the mean as it is.
    """

    level: float
    slope: float
    centre: float
    line: float
    trees: float

    @classmethod
    def learn(cls, members: Floats, bought: Floats) -> Self:
        """From the members (3, n) of customers whose returns they had not seen."""
        mean = members.mean(axis=0)
        centre = float(mean.mean())
        X = np.column_stack([np.ones_like(mean), mean - centre, *(members[1:] - members[0])])
        ridge = np.sqrt([_PRIOR_EVENTS, _PRIOR_EVENTS, *[2 * _PRIOR_EVENTS] * 2])
        weight = np.ones_like(mean)
        level, slope, line, trees = glm.fit(glm.HAZARD, X / ridge, bought, mean, weight, 1.0, intercept=False) / ridge
        return cls(_PERSISTENCE * float(level), float(max(slope, -0.9)), centre, float(line), float(trees))

    def apply(self, members: Floats) -> Floats:
        """The calibrated log hazard (n,)."""
        mean: Floats = members.mean(axis=0)
        trusted: Floats = self.line * (members[1] - members[0]) + self.trees * (members[2] - members[0])
        return mean + self.level + self.slope * (mean - self.centre) + trusted


class Audit(NamedTuple):
    """How the classifier did on a later snapshot than those it was trained on, beside recency alone and BTYD's
    p_return.
    """

    origin: str
    """Day of the snapshot it was tested and calibrated on."""
    later: bool
    """Whether the training labels ended before that day; else the two overlap in time, and other customers were held
    out.
    """
    customers: int
    returned: int
    auc: float
    auc_recency: float
    auc_btyd: float
    brier: float
    brier_btyd: float
    calibration_error: float
    came_back: float
    """Share of those labelled as lost who bought after their window, as far as the log goes; NaN where it ends with
    the window.
    """


def best_threshold(bought: Floats, churn: Floats, stake: Floats) -> float:
    """The churn probability that best parts lost from kept value: largest (lost value above it) - (kept value above
    it), as shares.
    """
    order = np.argsort(-churn, kind="stable")
    lost, kept = stake * (bought == 0), stake * (bought > 0)
    gain = np.cumsum(lost[order]) / max(lost.sum(), 1e-12) - np.cumsum(kept[order]) / max(kept.sum(), 1e-12)
    ends = np.r_[np.flatnonzero(np.diff(churn[order])), len(churn) - 1]
    best = ends[np.argmax(gain[ends])]
    following = churn[order][min(best + 1, len(churn) - 1)]
    return float((churn[order][best] + following) / 2)


def audit(rows: pd.DataFrame, bought: Floats, p: Floats, p_btyd: Floats, snapshots: Snapshots, later: bool) -> Audit:
    """The figures of a test: bought (0 or 1), the calibrated p and BTYD's p_btyd of the rows of one origin."""
    origin = snapshots.labelled["origin"].max()
    return Audit(
        origin=snapshots.origins[0].isoformat(),
        later=later,
        customers=len(bought),
        returned=int(bought.sum()),
        auc=metrics.auc(bought, p),
        auc_recency=metrics.auc(bought, -rows["days_since_last"].to_numpy(float)),
        auc_btyd=metrics.auc(bought, p_btyd),
        brier=metrics.brier(bought, p),
        brier_btyd=metrics.brier(bought, p_btyd),
        calibration_error=metrics.expected_calibration_error(bought, p),
        came_back=_came_back(snapshots, int(origin)),
    )


def _came_back(snapshots: Snapshots, latest: int) -> float:
    """Of all labelled as lost at earlier origins: the share whose last known purchase falls after their window."""
    rows = snapshots.labelled
    rows = rows[(rows["purchases"] == 0) & (rows["origin"] < latest)]
    if rows.empty:
        return float("nan")
    since = snapshots.now.set_index("customer_id")["days_since_last"].reindex(rows["customer_id"]).to_numpy()
    follow_up = latest - rows["origin"].to_numpy()  # days between the end of the window and today
    return float(np.mean(since < follow_up))
