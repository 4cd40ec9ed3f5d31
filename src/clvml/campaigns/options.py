"""Customers x treatments: who may get what, what it would bring, and why the others may not."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.campaigns.control import Holdout
from clvml.campaigns.gain import LEARNED, Array, Belief, Customers, Economics, economics, sd_of
from clvml.campaigns.learning.measured import MeasuredEffect
from clvml.campaigns.learning.pooled import LearnedEffect, StatedEffect, learn_effects
from clvml.campaigns.treatments import Plan, Treatment
from clvml.errors import DataError, OptionError, did_you_mean
from clvml.redaction import shown_id
from clvml.tables import canonical_ids

__all__ = [
    "NEEDED",
    "UNIT",
    "Options",
    "beliefs_of",
    "checked",
    "customers_of",
    "decline_of",
    "eligible",
    "kept_out",
    "may_get",
    "options_of",
    "outlay_of",
    "rounded",
]

NEEDED = (
    "customer_id", "frequency", "days_since_last", "churn_probability", "value_if_kept", "clv", "expected_spend",
    "expected_purchases", "tier", "state", "as_of", "horizon_days",
)  # fmt: skip
_MONEY = ("churn_probability", "value_if_kept", "clv", "expected_spend", "expected_purchases")
_WHOLE = ("frequency", "days_since_last", "horizon_days")
NUMBERS = (*_MONEY, *_WHOLE)
_OPTIONAL = ("p_return", "p_alive", "clv_low", "clv_high", "value_at_risk", "decline")
_RANGES = {
    **dict.fromkeys(("churn_probability", "p_return", "p_alive", "decline"), (0.0, 1.0)),
    **dict.fromkeys(("expected_purchases", "frequency", "days_since_last"), (0.0, np.inf)),
    "horizon_days": (1.0, np.inf),
}
UNIT = 10_000.0
"""Costs are counted in whole ten-thousandths, so that no sum of them can slip over the budget."""


class Options(NamedTuple):
    """Treatments x customers, ready to be allocated."""

    economics: tuple[Economics, ...]
    beliefs: tuple[Belief, ...]
    gain: Array  # (n, treatments), −inf where it may not or does not pay
    cost: Array  # in ten-thousandths
    why: npt.NDArray[Any]  # reason of those without any option, '' otherwise
    sources: tuple[str, ...]

    @property
    def candidate(self) -> npt.NDArray[np.bool_]:
        """Whom at least one treatment would pay."""
        return np.asarray(np.isfinite(self.gain).any(axis=1))


# --- who may be treated ---


def checked(scores: pd.DataFrame, plan: Plan) -> tuple[pd.DataFrame, list[str]]:
    """Scores in order of id, whatever order they came in, and their ids as text."""
    wanted = {*NEEDED, *(c for t in plan.treatments for c in t.where)}
    for name in sorted(wanted):
        if name not in scores:
            raise DataError(f"The scores have no column '{name}'.{did_you_mean(name, map(str, scores))}")
    if not len(scores):
        raise DataError("The scores hold no customers.")
    ids = np.array(canonical_ids(scores["customer_id"]), dtype=object)
    order = np.argsort(ids, kind="stable")
    table = scores.iloc[order].reset_index(drop=True)
    ids = ids[order]
    twice = np.flatnonzero(ids[1:] == ids[:-1])
    if len(twice):
        raise DataError(
            f"{len(twice)} customers stand twice in the scores, first '{shown_id(ids[twice[0]])}'. Keep one row each."
        )
    for name in (*NUMBERS, *(c for c in _OPTIONAL if c in table)):
        values = _number(table[name], name, ids)
        table[name] = values.astype(np.int64) if name in _WHOLE else rounded(values)
    for name, hint in (("as_of", "the scores of one day"), ("horizon_days", "scores of one horizon")):
        found = table[name].astype("string").unique()
        if len(found) != 1:
            raise DataError(f"The scores mix {len(found)} values of {name} ({', '.join(found[:3])}). Plan from {hint}.")
    return table, [str(i) for i in ids]


def _number(column: pd.Series, name: str, ids: npt.NDArray[Any]) -> Array:
    """A column of the scores as finite numbers within their range. Raises DataError."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    low, high = _RANGES.get(name, (-np.inf, np.inf))
    bad = ~(np.isfinite(values) & (values >= low) & (values <= high))
    if name in _WHOLE:
        bad |= values != np.trunc(values)
    if bad.any():
        row = int(bad.argmax())
        kind = "a whole number" if name in _WHOLE else "a finite number"
        span = f" of at least {low:g}" if high == np.inf and low > -np.inf else ""
        raise DataError(
            f"{bad.sum():,} customers have no usable '{name}', "
            f"the first is '{shown_id(ids[row])}' with {column.iloc[row]}: "
            f"it must be {kind + span if high == np.inf else f'a share between {low:g} and {high:g}'}."
        )
    return values


def rounded(values: Array) -> Array:
    """To 10 significant digits: what machines and libraries add behind them must not change who is chosen."""
    exponent = np.floor(np.log10(np.abs(values), out=np.zeros_like(values), where=values != 0))
    unit = 10.0 ** (9 - exponent)
    return np.asarray(np.round(values * unit) / unit)


def kept_out(
    ids: list[str], plan: Plan, suppressed: set[str], often: set[str], under_way: Mapping[str, str]
) -> npt.NDArray[Any]:
    """Why a customer may not be touched at all, '' where they may. under_way: the campaign that a customer is in."""
    held = Holdout(plan.salt, plan.holdout_share).has(ids)
    why = np.where(held, "held out of all campaigns, to measure them together", "").astype(object)
    why = np.array([under_way.get(i, reason) for i, reason in zip(ids, why, strict=True)], dtype=object)
    why[[i in often for i in ids]] = f"contacted {plan.max_contacts} times or more in {plan.contact_days} days"
    why[[i in suppressed for i in ids]] = "on the suppression list"
    return why


def eligible(t: Treatment, table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whom the treatment is for, by tier, state, decline, number of purchases, value, days of silence, and further
    columns.
    """
    falling = decline_of(table) > 0
    allowed = _among(table, "state", t.allowed("states"))
    if t.declining is not None:
        allowed = allowed | falling if t.declining else allowed & ~falling
    for column, words in (("tier", t.allowed("tiers")), *t.where.items()):
        allowed = allowed & _among(table, column, words)
    if t.buyers is not None:
        allowed = allowed & ((table["frequency"].to_numpy() == 0) == t.buyers)
    for column, least, most in (
        ("value_if_kept", t.min_value, t.max_value),
        ("days_since_last", t.min_days, t.max_days),
    ):
        value = table[column].to_numpy(np.float64)
        allowed = allowed & (value >= (-np.inf if least is None else least))
        allowed = allowed & (value <= (np.inf if most is None else most))
    return allowed


def _among(table: pd.DataFrame, column: str, words: tuple[str, ...] | None) -> npt.NDArray[np.bool_]:
    """Whose word in the column is one of these; everybody's where None."""
    if words is None:
        return np.ones(len(table), dtype=np.bool_)
    return table[column].astype("string").isin(list(words)).to_numpy(np.bool_)


def decline_of(table: pd.DataFrame) -> Array:
    """As the scores have it; none where they are another's."""
    return table["decline"].to_numpy(np.float64) if "decline" in table else np.zeros(len(table))


# --- what it would bring ---


def beliefs_of(
    table: pd.DataFrame, plan: Plan, measured: Mapping[str, MeasuredEffect], past: pd.DataFrame | None
) -> tuple[tuple[Belief, ...], tuple[str, ...]]:
    """What each treatment is believed to do, and where that comes from: one experiment, all past campaigns, the plan.

    Raises OptionError where an effect names no treatment of the plan.
    """
    names = [t.name for t in plan.treatments]
    for name in measured:
        if name not in names:
            raise OptionError(f"measured names '{name}', which is no treatment of the plan.{did_you_mean(name, names)}")
    stated = {t.name: _stated(t) for t in plan.treatments if t.name not in measured}
    learned = {} if past is None else learn_effects(past, stated)
    found = [_belief(t, table, measured.get(t.name), learned.get(t.name)) for t in plan.treatments]
    return tuple(belief for belief, _ in found), tuple(source for _, source in found)


def _stated(t: Treatment) -> StatedEffect:
    kind, value = t.effect
    return StatedEffect(kind, value, float(sd_of(Belief(kind, np.array([value]), t.effect_sd))[0]))


def _belief(
    t: Treatment, table: pd.DataFrame, measured: MeasuredEffect | None, learned: LearnedEffect | None
) -> tuple[Belief, str]:
    if measured is not None:
        return measured.belief(table), str(measured)
    if learned is None:
        kind, value = t.effect
        return Belief(kind, np.full(len(table), value), t.effect_sd), t.effect_source
    mean, sd = learned.effect(table)
    summed = functools.partial(learned.sd_of_sum, table)
    belief = Belief(LEARNED, rounded(mean), rounded(sd), summed, learned.campaigns, learned.draw, len(learned.mean))
    return belief, str(learned)


def may_get(table: pd.DataFrame, plan: Plan, out: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(customers, treatments): who may get what: it is for them, they are not out, and no discount for a sure buyer."""
    sure = 1 - customers_of(table).churn >= plan.sure_buyer
    return np.column_stack([eligible(t, table) & ~(sure & t.discounts) & ~out for t in plan.treatments])


def options_of(
    table: pd.DataFrame,
    plan: Plan,
    beliefs: tuple[Belief, ...],
    sources: tuple[str, ...],
    kept_out: npt.NDArray[Any],
) -> Options:
    """Economics of every treatment for every customer; what may not or does not pay has gain −inf."""
    customers = customers_of(table)
    n = len(table)
    found = []
    gain, cost = np.full((n, len(plan.treatments)), -np.inf), np.zeros((n, len(plan.treatments)))
    rank = np.zeros(n, dtype=np.intp)  # the nearest a customer came to being treated: 0 not eligible … 3 pays
    for a, t in enumerate(plan.treatments):
        e = economics(t, beliefs[a], customers, plan.window_days)
        found.append(e)
        meant = eligible(t, table)
        would_buy = meant & t.discounts & (1 - customers.churn >= plan.sure_buyer)
        paying = meant & ~would_buy & (e.gain > 0)
        taken = paying & (e.sure >= plan.confidence)
        gain[taken & (kept_out == ""), a] = rounded(e.gain[taken & (kept_out == "")])
        cost[:, a] = outlay_of(plan, t, e)
        for level, rows in ((1, would_buy), (2, meant & ~would_buy), (3, paying), (4, taken)):
            rank = np.where(rows, np.maximum(rank, level), rank)
    why = np.array(
        [
            "no treatment of the plan is for them",
            "would buy anyway: no discount",
            "treating them does not pay",
            "too unsure that treating them pays",
            "",
        ],
        dtype=object,
    )[rank]
    losing = _among(table, "state", ("late", "at risk")) | (customers.decline > 0)
    why[(rank == 2) & losing] = "at risk or in decline, but with too little to gain by treating them"
    why = np.where(kept_out != "", kept_out, why)
    return Options(tuple(found), beliefs, gain, cost, why, sources)


def outlay_of(plan: Plan, t: Treatment, e: Economics) -> Array:
    """What a treatment counts against the budget, in UNITs, rounded up."""
    outlay = e.cost if plan.budget_counts == "expected" else t.contact_cost + e.incentive
    return np.asarray(np.ceil(np.round(outlay * UNIT, 3)))


def customers_of(table: pd.DataFrame) -> Customers:
    """The score columns that the formulas need."""
    columns = [table[name].to_numpy(np.float64) for name in (*_MONEY, "horizon_days")]
    return Customers(*columns, *[decline_of(table)])
