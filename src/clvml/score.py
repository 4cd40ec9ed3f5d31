"""Summary and features times fitted models: the table of Scores, one row a customer."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml import segments
from clvml.estimators.hybrid import HybridValueModel
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.outlook import Tables
from clvml.maths import rhythm
from clvml.tables import SCORES

__all__ = ["edges_of", "placed", "staged"]

Floats = NDArray[np.float64]

_FARTHEST_DUE = 3650
"""A due date later than ten years ahead is told as ten years ahead."""


def staged(
    frame: pd.DataFrame,
    model: HybridValueModel | LifetimeValueModel,
    *,
    as_of: str,
    horizon: int,
    own_horizon: int,
    threshold: float,
    name: str,
    margin: float,
    tables: Tables | None = None,
) -> pd.DataFrame:
    """Scores of a frame of summaries and features but for what needs the whole base: tier, flagged and reason.

    Each row depends on itself alone, so a base may be staged in parts. Beside the columns of Scores there are those
    that `placed` needs: worth (value if kept over the model's own horizon), overdue (share of own gaps), usual_gap
    (days).

    threshold: churn probability above which a late customer is at risk, chosen out of time; own_horizon: days ahead
    that it, and the tiers, are about; margin: what of the amount is earned, used where the frame has no contribution of
    its own; tables: as in Outlook.
    """
    value = model.value_ if isinstance(model, HybridValueModel) else model
    table = model.predict(frame, horizon, tables=tables)
    table["churn_probability"] = 1.0 - table["p_return"]
    table["value_if_kept"] = _value_if_kept(table)
    table["value_at_risk"] = table["churn_probability"] * table["value_if_kept"]
    own = table if horizon == own_horizon else model.worth(frame, own_horizon)
    overdue, gap = _rhythm(value, frame)
    T = frame["T"].to_numpy()
    table["contribution"] = _contribution(frame, margin)
    for name_ in ("frequency", "recency", "T", "monetary_value"):
        table[name_] = frame[name_].to_numpy()
    table["days_since_last"] = T - frame["recency"].to_numpy()
    table["state"] = segments.states(overdue, table["p_alive"].to_numpy())
    table["at_risk"] = table["state"].isin(("late", "at risk")) & (1.0 - own["p_return"].to_numpy() > threshold)
    table["next_purchase_due"] = _due(as_of, gap - table["days_since_last"].to_numpy())
    table["as_of"], table["horizon_days"], table["model"] = as_of, horizon, name
    if "customer_id" not in table:
        table["customer_id"] = np.arange(len(table))
    return table.assign(worth=_value_if_kept(own), overdue=overdue, usual_gap=gap).reset_index(drop=True)


def placed(table: pd.DataFrame, edges: segments.Cutoffs) -> pd.DataFrame:
    """The Scores (DESIGN 5.2) of what `staged` gave, with the tiers of a base whose edges are given."""
    tier = segments.tiers(table["worth"].to_numpy(), table["contribution"].to_numpy(), edges)
    scores = table.assign(tier=tier, flagged=table["at_risk"].to_numpy() & (tier == "good"))
    scores["reason"] = segments.reasons(scores, table["overdue"].to_numpy(), table["usual_gap"].to_numpy())
    return scores[[c.name for c in SCORES]]


def edges_of(
    frame: pd.DataFrame, model: HybridValueModel | LifetimeValueModel, horizon: int, margin: float, *shares: float
) -> segments.Cutoffs:
    """Where the tiers of this base begin; shares: of good and of bad customers."""
    return segments.cutoffs(_value_if_kept(model.worth(frame, horizon)), _contribution(frame, margin), *shares)


def _contribution(frame: pd.DataFrame, margin: float) -> Floats:
    """What each customer has brought; from the amount where the frame does not tell."""
    bought = frame["frequency"].to_numpy() * frame["monetary_value"].to_numpy(float)
    return _column(frame, "contribution", _column(frame, "amount", bought) * margin)


def _column(frame: pd.DataFrame, name: str, otherwise: Floats) -> Floats:
    return frame[name].to_numpy(float) if name in frame else otherwise


def _value_if_kept(table: pd.DataFrame) -> Floats:
    """Expected discounted contribution over the horizon if the customer buys in it: CLV over the probability that he
    does.

    Nothing is earned from the silent, so E[Y] = P(return) E[Y | return]; and who returns buys at least once.
    """
    purchases = table["expected_purchases"].to_numpy()
    once = table["clv"].to_numpy() / np.maximum(purchases, 1e-300)
    kept: Floats = once * np.maximum(purchases / np.maximum(table["p_return"].to_numpy(), 1e-300), 1.0)
    return kept


def _rhythm(value: LifetimeValueModel, frame: pd.DataFrame) -> tuple[Floats, Floats]:
    """(share of own gaps that would have ended by now, usual gap in days) of each customer."""
    purchases = value.purchases_
    r, alpha = purchases.params_.r, purchases.params_.alpha * purchases.unit_days
    x, t_x = frame["frequency"].to_numpy(float), frame["recency"].to_numpy(float)
    return rhythm.overdue_share(r, alpha, x, t_x, frame["T"].to_numpy(float) - t_x), rhythm.median_gap(r, alpha, x, t_x)


def _due(as_of: str, ahead: Floats) -> NDArray[np.datetime64]:
    """The day on which half of a customer's own gaps would have ended; in the past where he is overdue."""
    days = np.ceil(np.minimum(ahead, _FARTHEST_DUE)).astype("timedelta64[D]")
    return (np.datetime64(as_of, "D") + days).astype("datetime64[s]")
