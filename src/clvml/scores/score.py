"""Summary and features times fitted models: the table of Scores, one row a customer."""

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

__all__ = ["Staged", "edges_of", "frame_of", "placed", "staged"]

Floats = NDArray[np.float64]

_FARTHEST_DUE = 3650
"""A due date later than ten years ahead is told as ten years ahead."""


class Staged(NamedTuple):
    """Scores but for what needs the whole base: tier, flagged and reason."""

    columns: dict[str, Any]
    """Arrays, one entry a customer: the columns of Scores that are not told of others, and those that `placed` needs:
    worth (value if kept over the model's own horizon), overdue (share of own gaps), usual_gap (days), state (its place
    in segments.STATES).
    """
    as_of: str
    horizon_days: int
    model: str


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
    cache: ForecastCache | None = None,
) -> Staged:
    """Scores of a frame of summaries and features but for what needs the whole base.

    Each row depends on itself alone, so a base may be staged in parts.

    threshold: churn probability above which a late customer is at risk, chosen out of time; own_horizon: days ahead
    that it, and the tiers, are about; margin: what of the amount is earned, used where the frame has no contribution of
    its own; cache: what the batches of a base have in common, see `clvml.estimators.forecast`.
    """
    ahead = model._customer_forecast(frame, cache)
    told = model._prediction_columns(ahead, horizon)
    own = told if horizon == own_horizon else model._value_columns(ahead, own_horizon)
    kept = _value_if_kept(told)
    overdue, gap = _rhythm(model.value_ if isinstance(model, HybridValueModel) else model, frame)
    state = segments.states(overdue, told["p_alive"])
    T, recency = frame["T"].to_numpy(), frame["recency"].to_numpy()
    columns = {
        "customer_id": frame["customer_id"] if "customer_id" in frame else np.arange(len(frame)),
        **{column: frame[column].to_numpy() for column in ("frequency", "recency", "T", "monetary_value")},
        "contribution": _contribution(frame, margin),
        **told,
        "value_if_kept": kept,
        "next_purchase_due": _due(as_of, gap - (T - recency)),
        "state": state,
        "at_risk": segments.slipping(state) & (1.0 - own["p_return"] > threshold),
        "worth": kept if own is told else _value_if_kept(own),
        "overdue": overdue,
        "usual_gap": gap,
    }
    return Staged(columns, as_of, horizon, name)


def placed(part: Staged, edges: segments.Cutoffs) -> pa.Table:
    """The Scores (DESIGN 5.2) of what `staged` gave, with the tiers of a base whose edges are given."""
    import pyarrow as pa

    told = dict(part.columns)
    told["days_since_last"] = told["T"] - told["recency"]
    told["churn_probability"] = 1.0 - told["p_return"]
    told["value_at_risk"] = told["churn_probability"] * told["value_if_kept"]
    told["tier"] = segments.tiers(told["worth"], told["contribution"], edges)
    told["flagged"] = told["at_risk"] & (told["tier"] == segments.GOOD)
    told["reason"] = segments.reasons(segments.Told(*(told[n] for n in segments.Told._fields)), part.horizon_days)
    told["horizon_days"] = np.full(len(told["T"]), part.horizon_days)
    none = np.zeros(len(told["T"]), dtype=np.int8)
    words = {"tier": (told["tier"], segments.TIERS), "state": (told["state"], segments.STATES)}
    words |= {"as_of": (none, (part.as_of,)), "model": (none, (part.model,))}
    told |= {
        name: pa.DictionaryArray.from_arrays(pa.array(rank), pa.array(names)) for name, (rank, names) in words.items()
    }
    return pa.table({column.name: pa.array(told[column.name]) for column in SCORES})


def frame_of(scores: pa.Table) -> pd.DataFrame:
    """A table of Scores as a frame."""
    import pyarrow as pa

    plain = [pa.string() if pa.types.is_dictionary(field.type) else field.type for field in scores.schema]
    frame: pd.DataFrame = scores.cast(pa.schema(list(zip(scores.column_names, plain, strict=True)))).to_pandas()
    return frame


def edges_of(
    frame: pd.DataFrame, model: HybridValueModel | LifetimeValueModel, horizon: int, margin: float, *shares: float
) -> segments.Cutoffs:
    """Where the tiers of this base begin; shares: of good and of bad customers."""
    worth = _value_if_kept(model._value_columns(model._customer_forecast(frame), horizon))
    return segments.cutoffs(worth, _contribution(frame, margin), *shares)


def _contribution(frame: pd.DataFrame, margin: float) -> Floats:
    """What each customer has brought; from the amount where the frame does not tell."""
    bought = frame["frequency"].to_numpy() * frame["monetary_value"].to_numpy(float)
    return _column(frame, "contribution", _column(frame, "amount", bought) * margin)


def _column(frame: pd.DataFrame, name: str, otherwise: Floats) -> Floats:
    return frame[name].to_numpy(float) if name in frame else otherwise


def _value_if_kept(table: Mapping[str, Floats]) -> Floats:
    """Expected discounted contribution over the horizon if the customer buys in it: CLV over the probability that he
    does.

    Nothing is earned from the silent, so E[Y] = P(return) E[Y | return]; and who returns buys at least once.
    """
    purchases = table["expected_purchases"]
    once = table["clv"] / np.maximum(purchases, 1e-300)
    kept: Floats = once * np.maximum(purchases / np.maximum(table["p_return"], 1e-300), 1.0)
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
