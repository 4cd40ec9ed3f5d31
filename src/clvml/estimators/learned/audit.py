"""What a later snapshot shows of a classifier: where to cut, and how good it is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.maths import metrics
from clvml.orders.origins import Snapshots

__all__ = ["Audit", "audit", "best_threshold"]

Floats = NDArray[np.float64]


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
    returned_later: float
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
        returned_later=_share_returned_later(snapshots, int(origin)),
    )


def _share_returned_later(snapshots: Snapshots, latest: int) -> float:
    """Of all labelled as lost at earlier origins: the share whose last known purchase falls after their window."""
    rows = snapshots.labelled
    rows = rows[(rows["purchases"] == 0) & (rows["origin"] < latest)]
    if rows.empty:
        return float("nan")
    since = snapshots.now.set_index("customer_id")["days_since_last"].reindex(rows["customer_id"]).to_numpy()
    follow_up = latest - rows["origin"].to_numpy()  # days between the end of the window and today
    return float(np.mean(since < follow_up))
