"""Summary, features and fitted models make the table of Scores, one row a customer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.estimators.forecast import ForecastCache
from clvml.estimators.learned.hybrid import HybridValueModel
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.maths import rhythm
from clvml.scores import segments
from clvml.tables import SCORES

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ScoredRows", "base_cutoffs", "to_frame", "scores_table", "score_rows"]

Floats = NDArray[np.float64]

_FARTHEST_DUE = 3650
"""A due date later than ten years ahead is written as ten years ahead."""


class ScoredRows(NamedTuple):
    """Scores but for what needs the whole base: tier, flagged and reason."""

    columns: dict[str, Any]
    """Arrays, one entry a customer: the columns of Scores that need no others, and those that `scores_table` needs:
    tier_value (value if kept over the model's own horizon), overdue (share of own gaps), usual_gap (days), state (its
    place in segments.STATES).
    """
    as_of: str
    horizon_days: int
    model: str


def score_rows(
    frame: pd.DataFrame,
    model: HybridValueModel | LifetimeValueModel,
    *,
    as_of: str,
    horizon: int,
    own_horizon: int,
    threshold: float,
    name: str,
    margin: float,
    cache: ForecastCache | None = None,
) -> ScoredRows:
    """Scores of a frame of summaries and features but for what needs the whole base.

    Each row depends on itself alone, so a base may be scored in parts.

    threshold: churn probability above which a late customer is at risk, chosen out of time; own_horizon: days ahead
    that it, and the tiers, are about; margin: what of the amount is earned, used where the frame has no contribution of
    its own; cache: what the batches of a base have in common, see `clvml.estimators.forecast`.
    """
    ahead = model._customer_forecast(frame, cache)
    forecast = model._prediction_columns(ahead, horizon)
    own = forecast if horizon == own_horizon else model._value_columns(ahead, own_horizon)
    kept = _value_if_kept(forecast)
    overdue, usual_gap, due_gap = _rhythm(model.value_ if isinstance(model, HybridValueModel) else model, frame)
    state = segments.assign_states(overdue, forecast["p_alive"])
    T, recency = frame["T"].to_numpy(), frame["recency"].to_numpy()
    columns = {
        "customer_id": frame["customer_id"] if "customer_id" in frame else np.arange(len(frame)),
        **{column: frame[column].to_numpy() for column in ("frequency", "recency", "T", "monetary_value")},
        "contribution": _contribution(frame, margin),
        **forecast,
        "value_if_kept": kept,
        "next_purchase_due": _due(as_of, due_gap - (T - recency)),
        "state": state,
        "at_risk": segments.is_late(state) & (1.0 - own["p_return"] > threshold),
        "tier_value": kept if own is forecast else _value_if_kept(own),
        "overdue": overdue,
        "usual_gap": usual_gap,
    }
    return ScoredRows(columns, as_of, horizon, name)


def scores_table(rows: ScoredRows, cutoffs: segments.Cutoffs) -> pa.Table:
    """The table of Scores of what `score_rows` gave, with the tiers of a base whose cutoffs are given."""
    import pyarrow as pa

    columns = dict(rows.columns)
    columns["days_since_last"] = columns["T"] - columns["recency"]
    columns["churn_probability"] = 1.0 - columns["p_return"]
    columns["value_at_risk"] = columns["churn_probability"] * columns["value_if_kept"]
    columns["tier"] = segments.assign_tiers(columns["tier_value"], columns["contribution"], cutoffs)
    columns["flagged"] = columns["at_risk"] & (columns["tier"] == segments.GOOD)
    inputs = segments.ReasonInputs(*(columns[name] for name in segments.ReasonInputs._fields))
    columns["reason"] = segments.reasons(inputs, rows.horizon_days)
    columns["horizon_days"] = np.full(len(columns["T"]), rows.horizon_days)
    none = np.zeros(len(columns["T"]), dtype=np.int8)
    words = {"tier": (columns["tier"], segments.TIERS), "state": (columns["state"], segments.STATES)}
    words |= {"as_of": (none, (rows.as_of,)), "model": (none, (rows.model,))}
    columns |= {
        name: pa.DictionaryArray.from_arrays(pa.array(rank), pa.array(names)) for name, (rank, names) in words.items()
    }
    return pa.table({column.name: pa.array(columns[column.name]) for column in SCORES})


def to_frame(scores: pa.Table) -> pd.DataFrame:
    """A table of Scores as a frame."""
    import pyarrow as pa

    plain = [pa.string() if pa.types.is_dictionary(field.type) else field.type for field in scores.schema]
    frame: pd.DataFrame = scores.cast(pa.schema(list(zip(scores.column_names, plain, strict=True)))).to_pandas()
    return frame


def base_cutoffs(
    frame: pd.DataFrame, model: HybridValueModel | LifetimeValueModel, horizon: int, margin: float, *shares: float
) -> segments.Cutoffs:
    """Where the tiers of this base begin; shares: of good and of bad customers."""
    value = _value_if_kept(model._value_columns(model._customer_forecast(frame), horizon))
    return segments.cutoffs(value, _contribution(frame, margin), *shares)


def _contribution(frame: pd.DataFrame, margin: float) -> Floats:
    """What each customer has brought; from the amount where the frame has no such column."""
    bought = frame["frequency"].to_numpy() * frame["monetary_value"].to_numpy(float)
    return _column(frame, "contribution", _column(frame, "amount", bought) * margin)


def _column(frame: pd.DataFrame, name: str, otherwise: Floats) -> Floats:
    return frame[name].to_numpy(float) if name in frame else otherwise


def _value_if_kept(table: Mapping[str, Floats]) -> Floats:
    """Expected discounted contribution over the horizon if the customer buys in it: CLV over the probability that they
    do.

    Nothing is earned from the silent, so E[Y] = P(return) E[Y | return]; and who returns buys at least once.
    """
    purchases = table["expected_purchases"]
    once = table["clv"] / np.maximum(purchases, 1e-300)
    kept: Floats = once * np.maximum(purchases / np.maximum(table["p_return"], 1e-300), 1.0)
    return kept


def _rhythm(value: LifetimeValueModel, frame: pd.DataFrame) -> tuple[Floats, Floats, Floats]:
    """(share of own gaps that would have ended by now, usual gap, gap from which they are late) of each customer."""
    purchases = value.purchases_
    r, alpha = purchases.params_.r, purchases.params_.alpha * purchases.unit_days
    x, t_x = frame["frequency"].to_numpy(float), frame["recency"].to_numpy(float)
    overdue = rhythm.overdue_share(r, alpha, x, t_x, frame["T"].to_numpy(float) - t_x)
    return overdue, rhythm.median_gap(r, alpha, x, t_x), rhythm.gap_quantile(rhythm.LATE_SHARE, r, alpha, x, t_x)


def _due(as_of: str, ahead: Floats) -> NDArray[np.datetime64]:
    """The last day before a customer is late by their own rhythm: past where they are."""
    days = (np.ceil(np.minimum(ahead, _FARTHEST_DUE)) - 1.0).astype("timedelta64[D]")
    return (np.datetime64(as_of, "D") + days).astype("datetime64[s]")
