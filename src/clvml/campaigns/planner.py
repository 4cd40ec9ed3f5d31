"""From scores to an audience: options, control group, allocation, account."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.campaigns.allocation import Allocation, allocate, allocate_exact
from clvml.campaigns.control import Power, draw_control, hash_uniform, power_of
from clvml.campaigns.gain import Array
from clvml.campaigns.lists import matched_ids, often_contacted, suppressed_ids
from clvml.campaigns.options import (
    UNIT,
    MeasuredEffect,
    Options,
    check_measured,
    checked,
    eligible,
    kept_out,
    options_of,
)
from clvml.campaigns.result import Audience
from clvml.campaigns.table import Draft, account_of, left_out_of, strata_of, table_of
from clvml.campaigns.treatments import Plan
from clvml.checks import check_amount
from clvml.horizon import as_date

__all__ = ["plan_audience", "treatment_gains"]

Mask = npt.NDArray[np.bool_]
_UNPOWERED = 0.10
"""Control share where no share allowed could show the expected effect."""


def plan_audience(
    scores: pd.DataFrame,
    plan: Plan,
    *,
    budget: float | None = None,
    suppress: Iterable[object] | pd.DataFrame | None = None,
    contacts: pd.DataFrame | None = None,
    measured: Mapping[str, MeasuredEffect] | None = None,
) -> Audience:
    """Choose whom to treat with what, so that the expected incremental contribution is largest.

    scores: the columns of a score file. budget: most that may be spent, expected outlay counted; None: what pays.
    suppress: ids never to be treated. contacts: past contacts (customer_id, date) for the plan's frequency cap.
    measured: treatment name -> effect of a past experiment, in place of the plan's own. The control group is drawn from
    all whom treating would pay, before the budget is looked at, and follows the same rule as the others after that.
    Raises DataError where the scores or lists break their contract, OptionError for the settings.
    """
    if budget is not None:
        check_amount("budget", budget, "; None stands for whatever pays")
    check_measured(plan, measured)
    table, ids = checked(scores, plan)
    as_of = as_date(table["as_of"].iloc[0])
    listed, often, lists = _lists(plan, set(ids), as_of, suppress, contacts)
    options = options_of(table, plan, measured or {}, kept_out(ids, plan, listed, often))
    tie = hash_uniform(ids, plan.salt, f"{plan.name}|tie")
    limit = float("inf") if budget is None else float(np.floor(budget * UNIT + 1e-6))
    share, notes = _share(plan, table, options, tie, limit)
    notes += lists
    notes += [f"'{t.name}' is for nobody in these scores" for t in plan.treatments if not eligible(t, table).any()]
    control = _draw(table, ids, plan, options, share)
    found = _allocate(plan, options, limit, control, tie)
    free = found if budget is None else _allocate(plan, options, float("inf"), control, tie)
    power = _power(table, options, found.choice, control)
    draft = Draft(table, plan, budget, options, control, found, free, share, power, as_of, tuple(notes))
    frame, left_out = table_of(draft), left_out_of(draft)
    return Audience(frame, left_out, account_of(draft, frame, left_out), power)


def treatment_gains(
    scores: pd.DataFrame, plan: Plan, *, measured: Mapping[str, MeasuredEffect] | None = None
) -> pd.DataFrame:
    """What every treatment would bring every customer it is for, before budget, lists and control.

    Columns: customer_id, treatment, gain (D: expected contribution more, after all costs), cost, certainty (P(D > 0)),
    threshold (churn probability from which it pays; NaN where it does not work through it), pays (gain > 0, certain
    enough, and no discount for a sure buyer). In order of id; treatments not for a customer are left out.
    """
    check_measured(plan, measured)
    table, ids = checked(scores, plan)
    options = options_of(table, plan, measured or {}, np.full(len(ids), "", dtype=object))
    parts = []
    for a, t in enumerate(plan.treatments):
        e, rows = options.economics[a], np.flatnonzero(eligible(t, table))
        part = {"gain": e.gain, "cost": e.cost, "certainty": e.sure, "threshold": e.threshold}
        values = {name: column[rows] for name, column in part.items()}
        pays = np.isfinite(options.gain[rows, a])
        parts.append(pd.DataFrame({"row": rows, "treatment": t.name, **values, "pays": pays}))
    found = pd.concat(parts, ignore_index=True).sort_values("row", kind="stable", ignore_index=True)
    found.insert(0, "customer_id", table["customer_id"].to_numpy()[found.pop("row").to_numpy()])
    return found


def _lists(
    plan: Plan,
    known: set[str],
    as_of: dt.date,
    suppress: Iterable[object] | pd.DataFrame | None,
    contacts: pd.DataFrame | None,
) -> tuple[set[str], set[str], list[str]]:
    """Ids never to be treated, ids contacted often enough, and what to say of the lists. Raises DataError."""
    listed, often = suppressed_ids(suppress), set()
    notes = matched_ids(listed, known, "suppression list")
    if suppress is not None and not listed:
        notes.append("the suppression list is empty: nobody is kept out by it")
    if contacts is not None and plan.max_contacts is None:
        notes.append("past contacts were given, but the plan sets no max_contacts: they keep nobody out")
    elif contacts is not None and plan.max_contacts is not None:
        often = often_contacted(contacts, as_of, plan.contact_days, plan.max_contacts)
        notes += matched_ids(suppressed_ids(contacts), known, "contact list")
    return listed, often, notes


def _share(plan: Plan, table: pd.DataFrame, options: Options, tie: Array, limit: float) -> tuple[float, list[str]]:
    """The control share, and a note where the power asked for cannot be had."""
    if not isinstance(plan.control_share, str):
        return float(plan.control_share), []
    nobody = np.zeros(len(table), dtype=np.bool_)
    trial = _allocate(plan, options, limit, nobody, tie)
    shares = [p.needed_share for p in _power(table, options, trial.choice, nobody)]
    possible = [s for s in shares if s <= plan.max_control_share]
    if possible:
        return float(np.ceil(200 * min(possible)) / 200), []
    return _UNPOWERED, [
        f"no control share allowed would show the expected effect: {_UNPOWERED:.0%} are kept as control"
    ]


def _draw(table: pd.DataFrame, ids: list[str], plan: Plan, options: Options, share: float) -> Mask:
    """Control among all whom treating would pay."""
    rows = np.flatnonzero(options.candidate)
    control = np.zeros(len(table), dtype=np.bool_)
    efficiency: Array = np.max(options.gain[rows] / np.maximum(options.cost[rows], 1.0), axis=1).astype(np.float64)
    uniform = hash_uniform([ids[i] for i in rows], plan.salt, f"{plan.name}|control")
    control[rows] = draw_control(strata_of(table).to_numpy(dtype=object)[rows].astype(str), efficiency, uniform, share)
    return control


def _allocate(plan: Plan, options: Options, limit: float, control: Mask, tie: Array) -> Allocation:
    """Over candidates only; gains in money, costs and limit in UNITs."""
    rows = np.flatnonzero(options.candidate)
    capacity = np.array([np.inf if t.capacity is None else float(t.capacity) for t in plan.treatments])
    solve = allocate_exact if plan.method == "exact" else allocate
    found = solve(options.gain[rows], options.cost[rows], limit, capacity, np.where(control[rows], 0.0, 1.0), tie[rows])
    choice = np.full(len(control), -1, dtype=np.intp)
    choice[rows] = found.choice
    return found._replace(choice=choice)


def _power(table: pd.DataFrame, options: Options, choice: npt.NDArray[np.intp], control: Mask) -> tuple[Power, ...]:
    """What treated against control can show, on returning and on contribution, with CUPED from the scores.

    CUPED by the prediction leaves the variance within customers: p(1 − p) of returning, and the square of a 90 %
    predictive interval's width over 3.29 of contribution.
    """
    rows = np.flatnonzero(choice >= 0)
    treated, held = int((~control[rows]).sum()), int(control[rows].sum())
    if not len(rows):
        return (power_of("return", "share", 0.0, float("nan"), 0, 0),)
    extra = np.array([e.extra_return for e in options.economics])[choice[rows], rows]
    gross = np.array([e.gain + e.cost for e in options.economics])[choice[rows], rows]
    p = 1 - table["churn_probability"].to_numpy(np.float64)[rows]
    # On returning only those count whose treatment names an effect on it, if any does.
    known = np.isfinite(extra) if np.isfinite(extra).any() else np.ones(len(rows), dtype=np.bool_)
    own = control[rows][known]
    variance = float((p * (1 - p))[known].mean())
    found = [power_of("return", "share", variance, float(extra[known].mean()), int((~own).sum()), int(own.sum()))]
    if {"clv_low", "clv_high"} <= set(table):
        sd = (table["clv_high"] - table["clv_low"]).to_numpy(np.float64)[rows] / 3.29
        found.append(power_of("contribution", "money", float((sd**2).mean()), float(gross.mean()), treated, held))
    return tuple(found)
