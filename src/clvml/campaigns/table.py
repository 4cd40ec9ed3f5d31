"""The audience table, one sentence a customer, and the plan's account of itself."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.campaigns.allocation import Allocation
from clvml.campaigns.explore import EXPLORED_CONTROL
from clvml.campaigns.gain import NORMAL_90, Array, sd_of_sum, value_at_risk
from clvml.campaigns.options import NEEDED, UNIT, Options, decline_of
from clvml.campaigns.power import Power, predicted_sd
from clvml.campaigns.result import AUDIENCE_COLUMNS
from clvml.campaigns.treatments import Plan
from clvml.display import money, money_in, unit_within
from clvml.files import sha256

__all__ = ["Draft", "Promised", "account_of", "left_out_of", "strata_of", "table_of"]


class Promised(NamedTuple):
    """5 and 95% points of a campaign's gain, and what comes if treatments of assumed effect do nothing."""

    low: float
    high: float
    if_nothing: float


class Draft(NamedTuple):
    """All that was decided, in row order of the scores."""

    table: pd.DataFrame  # scores in order of id
    plan: Plan
    budget: float | None
    options: Options
    control: npt.NDArray[np.bool_]  # drawn as control, whether or not the budget reaches them
    found: Allocation
    free: Allocation  # what would be done if money were no limit
    share: float  # of control among those not explored
    explored: npt.NDArray[np.bool_]  # drawn by chance, and so is their treatment, to learn
    promised: Promised
    power: tuple[Power, ...]
    as_of: dt.date
    notes: tuple[str, ...]


def strata_of(table: pd.DataFrame, explored: npt.NDArray[np.bool_]) -> pd.Series:
    """Tier, state and whether explored: within each, control and treated are alike and equally likely."""
    words = table["tier"].astype("string").fillna("?") + " | " + table["state"].astype("string").fillna("?")
    return words + np.where(explored, " | explored", "")


def control_share_of(draft: Draft) -> Array:
    """The chance of each customer to be control."""
    return np.where(draft.explored, EXPLORED_CONTROL, draft.share)


def table_of(draft: Draft) -> pd.DataFrame:
    """AUDIENCE_COLUMNS of those treated, by falling gain, then of the control group."""
    rows = np.flatnonzero(draft.found.choice >= 0)
    choice, control = draft.found.choice[rows], draft.control[rows]
    scores, treatments = draft.table.iloc[rows].reset_index(drop=True), draft.plan.treatments

    def of(name: str) -> Array:
        values = np.array([getattr(e, name) for e in draft.options.economics])
        return np.asarray(values[choice, rows], dtype=np.float64)

    churn, value = scores["churn_probability"].to_numpy(np.float64), scores["value_if_kept"].to_numpy(np.float64)
    planned = np.array([t.name for t in treatments], dtype=object)[choice]
    cost = draft.options.cost[rows, choice] / UNIT
    gain, threshold = of("gain"), of("threshold")
    held = control_share_of(draft)[rows]
    horizon = int(draft.table["horizon_days"].iloc[0])
    days = horizon if draft.plan.window_days is None else min(horizon, draft.plan.window_days)
    columns = zip(
        control, planned, cost, gain, churn, value, threshold, decline_of(scores), scores["tier"], scores["state"],
        scores["days_since_last"], scores["frequency"], draft.explored[rows], strict=True,
    )  # fmt: skip
    frame = pd.DataFrame(
        {
            "customer_id": scores["customer_id"],
            "treatment": np.where(control, "none", planned),
            "reason": [_reason(*row) for row in columns],
            "cost": np.where(control, 0.0, cost),
            "expected_gain": np.where(control, 0.0, np.round(gain, 6)),
            "group": np.where(control, "control", "treat"),
            "planned_treatment": planned,
            "campaign": draft.plan.name,
            "as_of": str(draft.as_of),
            "horizon_days": scores["horizon_days"],
            "certainty": np.round(of("sure"), 4),
            "churn_probability": np.round(churn, 6),
            "threshold": np.round(threshold, 4),
            "value_if_kept": np.round(value, 4),
            "value_at_risk": np.round(value_at_risk(scores), 4),
            "tier": scores["tier"],
            "state": scores["state"],
            "stratum": strata_of(scores, draft.explored[rows]),
            "control_share": np.round(held.mean(), 6) if len(held) else draft.share,
            "contact_cost": np.array([t.contact_cost for t in treatments], dtype=np.float64)[choice],
            "incentive": np.round(of("incentive"), 4),
            "p_return": np.round(1 - churn, 6),
            "expected_spend": np.round(scores["expected_spend"].to_numpy(np.float64), 4),
            "clv": np.round(scores["clv"].to_numpy(np.float64), 4),
            "effect_source": np.array(draft.options.sources, dtype=object)[choice],
            "explored": draft.explored[rows],
            "propensity": np.round(1 - held, 6),
            "clv_sd": np.round(predicted_sd(scores), 4),
            "promised_low": round(draft.promised.low, 4),
            "promised_high": round(draft.promised.high, 4),
            "until": str(draft.as_of + dt.timedelta(days=days)),
        }
    )[list(AUDIENCE_COLUMNS)]
    order = np.lexsort((frame["customer_id"].astype(str), -frame["expected_gain"], frame["group"] == "control"))
    return frame.iloc[order].reset_index(drop=True)


def _reason(
    control: bool,
    name: str,
    cost: float,
    gain: float,
    churn: float,
    value: float,
    threshold: float,
    decline: float,
    tier: str,
    state: str,
    days: int,
    frequency: int,
    explored: bool,
) -> str:
    if control:
        return f"Control group: gets nothing, so that the effect of '{name}' can be measured."
    who = "Bought once" if frequency == 0 else f"{str(tier).capitalize()} customer"
    state = str(state).removeprefix("bought once: ")
    need = f" (treating pays from {threshold:.0%})" if np.isfinite(threshold) and threshold > 0 else ""
    less = f", spent {decline:.0%} less of late than before" if decline > 0 else ""
    drawn = "drawn by chance, to learn what is not known; " if explored else ""
    return (
        f"{who}, {state}, last purchase {int(days)} days ago: {churn:.0%} likely to stay away{need}{less}, "
        f"worth {money(value)} if kept; {drawn}'{name}' costs {money(cost)} and is expected to bring {money(gain)} net."
    )


def left_out_of(draft: Draft) -> pd.DataFrame:
    """Everybody else, and why."""
    rows = np.flatnonzero(draft.found.choice < 0)
    why = np.where(draft.options.why == "", _why_not_chosen(draft), draft.options.why)
    at_risk = value_at_risk(draft.table)
    columns = {name: draft.table[name].to_numpy()[rows] for name in ("tier", "state")}
    ids = draft.table["customer_id"].to_numpy()
    return pd.DataFrame({"customer_id": ids[rows], "why": why[rows], "value_at_risk": at_risk[rows], **columns})


def _why_not_chosen(draft: Draft) -> npt.NDArray[Any]:
    """Of those whom treating would pay: who would be treated if money were no limit lacks budget, others capacity."""
    limit = "the capacity is spent" if draft.budget is None else "the budget is spent"
    return np.where(draft.free.choice >= 0, limit, "the capacity is spent")


def account_of(draft: Draft, frame: pd.DataFrame, left_out: pd.DataFrame) -> dict[str, Any]:
    """Settings, totals, counts, budget curve and power as plain values; nothing in it depends on the clock."""
    counts = sorted(left_out.groupby("why"), key=lambda group: (-len(group[1]), str(group[0])))
    return {
        "as_of": str(draft.as_of),
        "horizon_days": int(draft.table["horizon_days"].iloc[0]),
        "settings": draft.plan.to_dict(),
        "budget": draft.budget,
        "scores": {"customers": len(draft.table), "digest": _digest(draft.table)},
        "totals": _totals(draft, frame),
        "budget_curve": [
            {"cost": round(cost / UNIT, 4), "expected_gain": round(gain, 4), "treated": treated}
            for cost, gain, treated in draft.free.curve
        ],
        "by_treatment": [_of_treatment(t.name, frame) for t in draft.plan.treatments],
        "assumed": [
            t.name
            for a, t in enumerate(draft.plan.treatments)
            if draft.options.beliefs[a].assumed and (frame["treatment"] == t.name).any()
        ],
        "effects": [_effect_text(draft, a) for a in range(len(draft.plan.treatments))],
        "left_out": [
            {"why": str(why), "customers": len(rows), "value_at_risk": round(float(rows["value_at_risk"].sum()), 2)}
            for why, rows in counts
        ],
        "power": [p.to_dict() for p in draft.power],
        "power_text": [str(p) for p in draft.power],
        "notes": list(draft.notes),
    }


def _effect_text(draft: Draft, a: int) -> str:
    """What a treatment is believed to do; of what campaigns taught, in money for those who get it."""
    t, source, belief = draft.plan.treatments[a], draft.options.sources[a], draft.options.beliefs[a]
    if not belief.campaigns:
        return f"{t.name}: {_stated(*t.effect)}, {source}"
    given = ((draft.found.choice == a) & ~draft.control).astype(np.float64)
    if belief.kind == "extra_return" or not given.any():
        return f"{t.name}: {source}"
    weight = given / given.sum()
    middle, sd = float(weight @ belief.mean), sd_of_sum(belief, weight)
    low, high = middle - NORMAL_90 * sd, middle + NORMAL_90 * sd
    unit = unit_within(low, high)
    figures = ", ".join((money_in(unit, middle), f"90% interval {money_in(unit, low)} to {money_in(unit, high)}"))
    return f"{t.name}: brings {figures} more per customer who gets it here, before its costs; {source}"


def _stated(kind: str, effect: float) -> str:
    """What the plan says that a treatment does, in words."""
    return {
        "save_rate": f"saves {effect:.1%} of the value at risk",
        "extra_return": f"raises the chance to buy by {100 * effect:.1f} points",
        "extra_contribution": f"brings {effect:,.2f} more per customer",
        "lift": f"raises what customers bring by {effect:.1%}",
    }[kind]


def _totals(draft: Draft, frame: pd.DataFrame) -> dict[str, Any]:
    treated = frame["group"] == "treat"
    held = np.flatnonzero((draft.found.choice >= 0) & draft.control)
    gains = np.array([e.gain for e in draft.options.economics])
    return {
        "treated": int(treated.sum()),
        "control": int((~treated).sum()),
        "control_share": draft.share,
        "candidates": int(np.isfinite(draft.options.gain).any(axis=1).sum()),
        "candidates_in_control": int(draft.control.sum()),
        "cost": round(draft.found.cost / UNIT, 4),
        "cost_if_all_redeem": round(float((frame["contact_cost"] + frame["incentive"])[treated].sum()), 4),
        "expected_gain": round(draft.found.gain, 4),
        "expected_gain_low": round(draft.promised.low, 4),
        "expected_gain_high": round(draft.promised.high, 4),
        "expected_gain_if_assumed_do_nothing": round(draft.promised.if_nothing, 4),
        "explored": int(draft.explored[draft.found.choice >= 0].sum()),
        "bound": round(draft.found.bound, 4),
        "gain_forgone": round(float(gains[draft.found.choice[held], held].sum()), 4),
        "gain_of_one_more": round(draft.found.price * UNIT, 6),
        "best_budget": round(draft.free.cost / UNIT, 4),
        "gain_at_best_budget": round(draft.free.gain, 4),
    }


def _of_treatment(name: str, frame: pd.DataFrame) -> dict[str, Any]:
    own = frame[frame["planned_treatment"] == name]
    treated = own[own["group"] == "treat"]
    return {
        "treatment": name,
        "treated": len(treated),
        "control": len(own) - len(treated),
        "cost": round(float(treated["cost"].sum()), 4),
        "expected_gain": round(float(treated["expected_gain"].sum()), 4),
    }


def _digest(table: pd.DataFrame) -> str:
    """sha256 of the score columns that the plan rests on."""
    return sha256(pd.util.hash_pandas_object(table[list(NEEDED)], index=False).to_numpy().tobytes())
