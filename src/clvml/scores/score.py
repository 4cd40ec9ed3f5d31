"""Summary, features and fitted models make the table of Scores, one row a customer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.estimators.forecast import ForecastCache
from clvml.estimators.learned.hybrid import HybridValueModel
from clvml.estimators.learned.leaving.decline import MIN_BEFORE, decline, share_lost
from clvml.estimators.learned.leaving.features import GAPS_TO_LEAVE, Asked
from clvml.estimators.learned.leaving.model import KnownReturn, LeavingModel
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.uncertainty.totals import LevelSd
from clvml.maths import rhythm
from clvml.scores import segments
from clvml.scores.flag import NEVER, Economics
from clvml.scores.reasons import MIN_OWN_GAPS, ReasonInputs, reasons
from clvml.tables import SCORES

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "ScoredRows",
    "TierRule",
    "TierValues",
    "score_rows",
    "scores_table",
    "to_frame",
]

Floats = NDArray[np.float64]

_FARTHEST_DUE = 3650
"""A due date later than ten years ahead is written as ten years ahead."""


class ScoredRows(NamedTuple):
    """Scores but for what needs the whole base: tier, flagged and reason."""

    columns: dict[str, Any]
    """Arrays, one entry a customer: the columns of Scores that need no others, and those that `scores_table` needs:
    tier_value (value if kept over the model's own horizon, before they fell silent), state (its place in
    segments.STATES), and what only reasons.ReasonInputs speaks of.
    """
    as_of: str
    horizon_days: int
    model: str
    level_sd: tuple[float, float]
    """How far the level of all customers together can be off: of purchases, and of spend."""


class TierValues(NamedTuple):
    """Of each customer, over the model's own horizon."""

    value_if_kept: Floats
    tier_value: Floats
    """The same as it was before they fell silent."""
    contribution: Floats


def score_rows(
    frame: pd.DataFrame,
    model: HybridValueModel | LifetimeValueModel,
    leaving: LeavingModel,
    economics: Economics,
    *,
    as_of: str,
    horizon: int,
    own_horizon: int,
    name: str,
    margin: float,
    level_sd: LevelSd | None = None,
    cache: ForecastCache | None = None,
) -> ScoredRows:
    """Scores of a frame of summaries and features but for what needs the whole base.

    Each row depends on itself alone, so a base may be scored in parts.

    leaving, economics: who is about to leave, and whom to keep; own_horizon: days ahead that tiers and flag are about;
    margin: what of the amount is earned, used where the frame has no contribution of its own; level_sd: of the model,
    which the scores carry along (None: what logs show in general); cache: what the batches of a base have in common,
    see `clvml.estimators.forecast`.
    """
    ahead = model._customer_forecast(frame, cache)
    forecast = model._prediction_columns(ahead, horizon)
    own = forecast if horizon == own_horizon else model._value_columns(ahead, own_horizon)
    kept = _value_if_kept(forecast)
    own_kept = kept if own is forecast else _value_if_kept(own)
    asked = leaving.asked(frame, forecast["p_alive"], as_of)
    learned = isinstance(model, HybridValueModel)
    p_leaving = leaving.p_leaving_of(
        asked, frame, KnownReturn(own["p_return"], own_horizon, as_of) if learned else None
    )
    limits = _state_limits(leaving, asked)
    state = segments.assign_states(asked.x, asked.since, limits, asked.p_alive)
    value = model.value_ if isinstance(model, HybridValueModel) else model
    falling = np.where(state == segments.ON_RHYTHM, _decline(frame, leaving.window_, value), 0.0)
    contribution = _contribution(frame, margin)
    tier_value = _before_silence(own_kept, leaving, asked, leaving.clock_days(own_horizon, as_of))
    break_even = economics.break_even(own_kept)
    # To the flag who is gone stays silent through the horizon and through three own gaps. Three gaps of a fast buyer
    # are soon over, and many are back within the horizon; a slow one may well be silent for the horizon and on rhythm.
    # The longer silence implies the shorter, so that its probability is the lesser of both.
    risk = share_lost(np.minimum(p_leaving, 1.0 - own["p_return"]), falling)
    columns = {
        "customer_id": frame["customer_id"] if "customer_id" in frame else np.arange(len(frame)),
        **{column: frame[column].to_numpy() for column in ("frequency", "recency", "T", "monetary_value")},
        "contribution": contribution,
        **forecast,
        "p_leaving": KnownReturn(forecast["p_return"], horizon, as_of).bound(p_leaving, asked.until),
        "leaving_days": asked.until.astype(np.int64),
        "break_even": break_even,
        "decline": falling,
        "value_if_kept": kept,
        "next_purchase_due": _due(as_of, leaving, limits.late - asked.since),
        "state": state,
        "at_risk": (segments.is_late(state) | (falling > 0)) & (risk >= break_even) & (break_even < NEVER),
        "tier_value": tier_value,
        "overdue": _share_sooner(leaving, asked, state),
        "gaps": asked.since / np.maximum(asked.t_x / np.maximum(asked.x, 1.0), 1.0),
        "longest": _longest(frame),
        "decline_days": np.full(len(state), -(-leaving.window_ // 2)),
        "by_season": np.full(len(state), leaving.season_ is not None),
    }
    off = level_sd or LevelSd()
    return ScoredRows(columns, as_of, horizon, name, (off.purchases, off.spend))


def scores_table(rows: ScoredRows, cutoffs: segments.Cutoffs) -> pa.Table:
    """The table of Scores of what `score_rows` gave, with the tiers of a base whose cutoffs are given."""
    import pyarrow as pa

    columns = dict(rows.columns)
    columns["days_since_last"] = columns["T"] - columns["recency"]
    columns["churn_probability"] = 1.0 - columns["p_return"]
    lost = share_lost(columns["churn_probability"], columns["decline"])
    columns["value_at_risk"] = lost * columns["value_if_kept"]
    columns["tier"] = segments.assign_tiers(columns["tier_value"], columns["contribution"], cutoffs)
    good = columns["tier"] == segments.GOOD
    columns["flagged"] = columns["at_risk"] & good
    columns["win_back"] = good & (columns["state"] == segments.LAPSED)
    inputs = ReasonInputs(*(columns[name] for name in ReasonInputs._fields))
    columns["reason"] = reasons(inputs, rows.horizon_days)
    columns["horizon_days"] = np.full(len(columns["T"]), rows.horizon_days)
    for name, sd in zip(("purchases_level_sd", "spend_level_sd"), rows.level_sd, strict=True):
        columns[name] = np.full(len(columns["T"]), sd)
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


class TierRule(NamedTuple):
    """What the tiers of a base are cut by: a fitted model, and the shares of the tiers."""

    model: HybridValueModel | LifetimeValueModel
    leaving: LeavingModel
    horizon: int
    margin: float
    good_share: float
    bad_share: float
    as_of: str

    def values(self, frame: pd.DataFrame, cache: ForecastCache | None = None) -> TierValues:
        """Of some customers. cache: what the parts of a base have in common."""
        frame.attrs = {"as_of": self.as_of}
        ahead = self.model._customer_forecast(frame, cache)
        kept = _value_if_kept(self.model._value_columns(ahead, self.horizon))
        asked = self.leaving.asked(frame, ahead.p_alive, self.as_of)
        before = _before_silence(kept, self.leaving, asked, self.leaving.clock_days(self.horizon, self.as_of))
        return TierValues(kept, before, _contribution(frame, self.margin))


def _before_silence(kept: Floats, leaving: LeavingModel, asked: Asked, horizon: float) -> Floats:
    """Value if kept as it was before a repeat buyer fell silent, through three of their own gaps.

    Silence says two things: that they may have left, which is not in this value, and, if they have not, that they buy
    less often than they seemed to. By the latter the good would drop out of the good while they leave, before they are
    flagged. At a rate of n purchases a horizon, who returns buys n / (1 - e^-n).
    """
    rhythm = leaving.rhythm_
    uncounted = np.where(asked.x > 0, np.minimum(asked.since, GAPS_TO_LEAVE * asked.gap), 0.0)
    expected = np.maximum(horizon * (rhythm.r + asked.x) / (rhythm.alpha + asked.T), 1e-9)
    before = expected * (rhythm.alpha + asked.T) / (rhythm.alpha + asked.T - uncounted)
    value: Floats = kept * (before / -np.expm1(-before)) / (expected / -np.expm1(-expected))
    return value


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


def _state_limits(leaving: LeavingModel, asked: Asked) -> segments.StateLimits:
    """Days of silence by the own rhythm; of one-time buyers by the population's time to a second purchase."""
    once, second, own = asked.x == 0, leaving.second_, leaving.rhythm_.of(asked.k)
    late, at_risk = (own.quantile(share, asked.x, asked.t_x) for share in (rhythm.LATE_SHARE, rhythm.AT_RISK_SHARE))
    left = np.maximum(GAPS_TO_LEAVE * asked.gap, leaving.limits_[0])
    return segments.StateLimits(
        np.where(once, second.overdue + 1.0, np.minimum(late, left)),
        at_risk,
        np.where(once, second.lapsed + 1.0, left),
    )


def _share_sooner(leaving: LeavingModel, asked: Asked, state: segments.Ranks) -> Floats:
    """Of those with few gaps who are late, the share of the gaps of customers like them that are shorter than their
    silence; of one-time buyers the share of second purchases that come sooner. 0 of the others, who need it not.
    """
    share = np.zeros(len(state))
    few = np.flatnonzero((asked.x > 0) & (asked.x < MIN_OWN_GAPS) & (state != segments.ON_RHYTHM))
    share[few] = leaving.rhythm_.of(asked.k[few]).share_ended(asked.x[few], asked.t_x[few], asked.since[few])
    once = np.flatnonzero(asked.x == 0)
    share[once] = leaving.second_.share_sooner(asked.since[once] - 1.0)
    return share


def _longest(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Whose silence is longer than any gap before it; nobody's where the frame has no features."""
    if "gap_max" not in frame:
        return np.zeros(len(frame), dtype=bool)
    longest: NDArray[np.bool_] = (frame["T"] - frame["recency"]).to_numpy(float) > frame["gap_max"].to_numpy(float)
    return longest


def _decline(frame: pd.DataFrame, window: int, value: LifetimeValueModel) -> Floats:
    """The share by which the spend of the last half window fell below the own level before it; 0 where that may be
    chance, or the frame has no features.
    """
    if "purchases_half" not in frame:
        return np.zeros(len(frame))
    days = window / 2.0
    recent, spent = (frame[name].to_numpy(np.float64) for name in ("purchases_half", "spend_half"))
    x, T = (frame[name].to_numpy(np.float64) for name in ("frequency", "T"))
    rows = np.flatnonzero((x >= recent + MIN_BEFORE) & (recent >= 1) & (2 * days <= T))
    found = np.zeros(len(frame))
    recent, spent, x, T = recent[rows], spent[rows], x[rows], T[rows]
    mean = frame["mean_amount"].to_numpy(np.float64)[rows]
    before = x - recent
    spent_before = np.maximum((mean * (x + 1.0) - spent) * before / (before + 1.0), 1e-9)  # without the first purchase
    shape = float(value.spend_.params_.p)
    found[rows] = decline(recent, before, np.maximum(spent, 1e-9), spent_before, days, T - days, shape)
    return found


def _due(as_of: str, leaving: LeavingModel, due_in: Floats) -> NDArray[np.datetime64]:
    """The last day before a customer is late, or a second purchase overdue: past where that is so."""
    due_in = leaving.calendar_days(np.minimum(due_in, _FARTHEST_DUE), as_of)
    days = (np.ceil(due_in) - 1.0).astype("timedelta64[D]")
    return (np.datetime64(as_of, "D") + days).astype("datetime64[s]")
