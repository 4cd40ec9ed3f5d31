"""From scores to an audience: options, control group, allocation, account."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.campaigns.allocation import Allocation, allocate, allocate_exact
from clvml.campaigns.control import draw_control, hash_uniform
from clvml.campaigns.explore import Exploration, explored, left_to_learn
from clvml.campaigns.gain import NORMAL_90, Array, sd_of_sum
from clvml.campaigns.learning.measured import MeasuredEffect
from clvml.campaigns.learning.past import read_campaigns
from clvml.campaigns.learning.promised import promised_and_delivered, track_record
from clvml.campaigns.learning.thompson import shares_if_known
from clvml.campaigns.lists import in_running, matched_ids, often_contacted, suppressed_ids
from clvml.campaigns.options import (
    UNIT,
    Options,
    beliefs_of,
    checked,
    eligible,
    kept_out,
    may_get,
    options_of,
    rounded,
)
from clvml.campaigns.power import CONTRIBUTION, powers_of
from clvml.campaigns.result import Audience, read_audience
from clvml.campaigns.table import Draft, Promised, account_of, left_out_of, strata_of, table_of
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
    past: str | os.PathLike[str] | pd.DataFrame | None = None,
    running: Iterable[Audience | pd.DataFrame | str | os.PathLike[str]] = (),
) -> Audience:
    """Choose whom to treat with what, so that the expected incremental contribution is largest.

    The control group is drawn from all whom treating would pay, before the budget is looked at, and follows the same
    rule as the others after that.

    Parameters
    ----------
    scores : DataFrame, a row a customer
        The columns of a score file, of one `as_of` and one horizon.
    plan : Plan
        Treatments and rules.
    budget : float, optional
        The most that may be spent, expected outlay counted; None: what pays.
    suppress : ids or a table with customer_id, optional
        Customers never to be treated.
    contacts : DataFrame, optional
        Contacts behind and ahead (customer_id, date), for the plan's frequency cap.
    measured : mapping of treatment name to MeasuredEffect, optional
        Effects of one experiment each, in place of the plan's own.
    past : folder or DataFrame, optional
        Finished campaigns (`clvml.campaigns.learning.past`); treatments that they gave are planned by what was learned
        from all of them, with the plan's own effect as the prior.
    running : audiences, optional
        Campaigns under way: their customers, treated or control, are left alone until those end.

    Returns
    -------
    Audience
        Who is treated, who is control, who was left out and why, the promised gain with a 90% interval.

    Raises
    ------
    DataError
        Where scores or lists break their contract.
    OptionError
        For settings out of range.

    Examples
    --------
    >>> import pandas as pd
    >>> from clvml import Plan, Treatment, plan_audience
    >>> scores = pd.DataFrame({"customer_id": [1, 2], "frequency": 3, "days_since_last": 90, "as_of": "2011-08-31",
    ...     "churn_probability": [0.6, 0.1], "value_if_kept": 100.0, "clv": 50.0, "expected_spend": 100.0,
    ...     "expected_purchases": 2.0, "tier": "good", "state": "late", "horizon_days": 90})
    >>> call = Treatment(name="call", contact_cost=4.0, save_rate=0.3)
    >>> found = plan_audience(scores, Plan(name="spring", treatments=(call,), control_share=0.0, holdout_share=0.0))
    >>> found.table[["customer_id", "treatment", "expected_gain"]].values.tolist()
    [[1, 'call', 14.0]]
    """
    if budget is not None:
        check_amount("budget", budget, "; None stands for whatever pays")
    table, ids = checked(scores, plan)
    as_of = as_date(table["as_of"].iloc[0])
    why, lists = _kept_out(plan, ids, as_of, suppress, contacts, running)
    known = None if past is None else read_campaigns(past)
    beliefs, sources = beliefs_of(table, plan, measured or {}, known)
    options = options_of(table, plan, beliefs, sources, why)
    tie = _order_of_equals(table, ids, plan)
    limit = float("inf") if budget is None else float(np.floor(budget * UNIT + 1e-6))
    share, notes = _share(plan, table, options, tie, limit)
    scale, part = 1.0, np.ones(len(plan.treatments))
    if plan.adapt_shares:
        matter = _matter(table, ids, plan, options, why, limit)
        scale, part = left_to_learn([b.campaigns for b in options.beliefs], matter)
        share = share if plan.control_share == "power" else share * scale
        notes += _adapted(plan, options, share, scale * plan.explore_share, matter, budget is not None)
    rules = replace(plan, explore_share=plan.explore_share * scale)
    notes += [] if known is None else track_record(promised_and_delivered(known))
    notes += lists
    notes += [f"'{t.name}' is for nobody in these scores" for t in plan.treatments if not eligible(t, table).any()]
    trial = explored(table, ids, rules, options, why != "", limit, part)
    control, found = _chosen(table, ids, rules, options, trial, share, limit, tie)
    free = found if budget is None else _allocate(plan, options, float("inf"), control, tie)
    drawn = trial.choice >= 0
    power = powers_of(table, options.economics, found.choice, control)
    promised = _promised(options, found, control)
    draft = Draft(
        table, plan, budget, options, control, found, free, share, drawn, promised, power, as_of, tuple(notes)
    )
    frame, left_out = table_of(draft), left_out_of(draft)
    return Audience(frame, left_out, account_of(draft, frame, left_out), power)


def _matter(
    table: pd.DataFrame, ids: list[str], plan: Plan, options: Options, why: npt.NDArray[Any], limit: float
) -> Array:
    """How much each treatment matters: its share of the money if what all do were known; equal before any campaign."""
    if not any(b.campaigns for b in options.beliefs):
        return np.full(len(plan.treatments), 1 / len(plan.treatments))
    return shares_if_known(table, ids, plan, options, may_get(table, plan, why != ""), limit)


def _adapted(
    plan: Plan, options: Options, share: float, explore_share: float, matter: Array, limited: bool
) -> list[str]:
    """What is left to chance, and why so much."""
    known = [b.campaigns for b in options.beliefs]
    of = "of the budget is" if limited else "of those for whom a treatment is are"
    said = f"{explore_share:.1%} {of} left to chance and {share:.1%} of those planned are control"
    if not any(known):
        return [f"{said}: no past campaign has taught what the treatments do"] if plan.explore_share else []
    start = "" if plan.control_share == "power" else f" and {plan.control_share:.1%} control"
    counts = ", ".join(
        f"'{t.name}' {k} ({part:.0%} of the money, if what all do were known)"
        for t, k, part in zip(plan.treatments, known, matter, strict=True)
    )
    return [
        f"{said}; in a first campaign {plan.explore_share:.1%}{start}, divided by one more than the past campaigns "
        f"that taught, at most by ten: {counts}"
    ]


def treatment_gains(
    scores: pd.DataFrame,
    plan: Plan,
    *,
    measured: Mapping[str, MeasuredEffect] | None = None,
    past: str | os.PathLike[str] | pd.DataFrame | None = None,
) -> pd.DataFrame:
    """What every treatment would bring every customer it is for, before budget, lists and control.

    Parameters
    ----------
    scores, plan, measured, past
        As for `plan_audience`.

    Returns
    -------
    DataFrame
        A row a customer and treatment that is for them, in order of id: customer_id, treatment, gain (D: expected
        contribution more, after all costs), cost, certainty (P(D > 0)), threshold (churn probability from which it
        pays; NaN where it does not work through it), pays (gain > 0, certain enough, no discount for a sure buyer).

    Raises
    ------
    DataError
        Where the scores break their contract.
    OptionError
        For settings out of range.

    Examples
    --------
    >>> import pandas as pd
    >>> from clvml import Plan, Treatment, treatment_gains
    >>> scores = pd.DataFrame({"customer_id": [1, 2], "frequency": 3, "days_since_last": 90, "as_of": "2011-08-31",
    ...     "churn_probability": [0.6, 0.1], "value_if_kept": 100.0, "clv": 50.0, "expected_spend": 100.0,
    ...     "expected_purchases": 2.0, "tier": "good", "state": "late", "horizon_days": 90})
    >>> call = Treatment(name="call", contact_cost=4.0, save_rate=0.3)
    >>> found = treatment_gains(scores, Plan(name="spring", treatments=(call,)))
    >>> found[["customer_id", "gain", "threshold", "pays"]].round(3).values.tolist()
    [[1, 14.0, 0.133, True], [2, -1.0, 0.133, False]]
    """
    table, ids = checked(scores, plan)
    beliefs, sources = beliefs_of(table, plan, measured or {}, None if past is None else read_campaigns(past))
    options = options_of(table, plan, beliefs, sources, np.full(len(ids), "", dtype=object))
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


def _kept_out(
    plan: Plan,
    ids: list[str],
    as_of: dt.date,
    suppress: Iterable[object] | pd.DataFrame | None,
    contacts: pd.DataFrame | None,
    running: Iterable[Audience | pd.DataFrame | str | os.PathLike[str]],
) -> tuple[npt.NDArray[Any], list[str]]:
    """Why each customer may not be touched at all, '' where they may; and what to say of the lists."""
    known = set(ids)
    listed, often = suppressed_ids(suppress), set()
    notes = matched_ids(listed, known, "suppression list")
    if suppress is not None and not listed:
        notes.append("the suppression list is empty: nobody is kept out by it")
    if contacts is not None and plan.max_contacts is None:
        notes.append("past contacts were given, but the plan sets no max_contacts: they keep nobody out")
    elif contacts is not None and plan.max_contacts is not None:
        often = often_contacted(contacts, as_of, plan.contact_days, plan.max_contacts)
        notes += matched_ids(suppressed_ids(contacts), known, "contact list")
    under_way = in_running([read_audience(audience) for audience in running], plan, as_of)
    return kept_out(ids, plan, listed, often, under_way), notes


def _order_of_equals(table: pd.DataFrame, ids: list[str], plan: Plan) -> Array:
    """A place for each customer among those with equal gains: by value, then by hash."""
    uniform = hash_uniform(ids, plan.salt, f"{plan.name}|tie")
    place = np.empty(len(ids))
    place[np.lexsort((uniform, -table["value_if_kept"].to_numpy(np.float64)))] = np.arange(len(ids))
    return place


def _chosen(
    table: pd.DataFrame,
    ids: list[str],
    plan: Plan,
    options: Options,
    trial: Exploration,
    share: float,
    limit: float,
    tie: Array,
) -> tuple[Mask, Allocation]:
    """Control and choice: of the explored by chance, of all others by what is expected, with what is left."""
    drawn = trial.choice >= 0
    strata = strata_of(table, drawn).to_numpy(dtype=object).astype(str)
    known = options._replace(gain=np.where(drawn[:, None], -np.inf, options.gain))
    control = _draw(ids, strata, plan, known, share)
    tried = np.flatnonzero(drawn & ~trial.control)
    spent = float(options.cost[tried, trial.choice[tried]].sum())
    places = np.bincount(trial.choice[tried], minlength=len(plan.treatments))
    found = _allocate(plan, known, limit - spent, control, tie, places)
    if not drawn.any():
        return control, found
    control |= trial.control
    choice = np.where(drawn, trial.choice, found.choice)
    rows = np.flatnonzero((choice >= 0) & ~control)
    gain = float(np.array([e.gain for e in options.economics])[choice[rows], rows].sum())
    best = _allocate(plan, options, limit, control, tie)
    return control, best._replace(
        choice=choice, gain=gain, cost=found.cost + spent, bound=max(best.bound, gain), price=found.price
    )


def _promised(options: Options, found: Allocation, control: Mask) -> Promised:
    """What is not known of a treatment's effect is shared by those treated, and by the treatments: who states one too
    high states all too high, and the same past taught all. Of what is assumed alone, no effect at all is one of the
    things that may be.
    """
    sd, stated = 0.0, 0.0
    for a, (belief, e) in enumerate(zip(options.beliefs, options.economics, strict=True)):
        given = (found.choice == a) & ~control
        sd += sd_of_sum(belief, np.where(given, e.slope, 0.0))
        stated += float((e.gain + e.fixed)[given].sum()) if belief.assumed else 0.0
    half = NORMAL_90 * sd
    return Promised(found.gain - max(half, stated), found.gain + half, found.gain - stated)


def _share(plan: Plan, table: pd.DataFrame, options: Options, tie: Array, limit: float) -> tuple[float, list[str]]:
    """The control share: for 'power' what shows the expected effect on money, by which the campaign will be judged;
    on returning, with a note, where no share allowed shows it in money.
    """
    if not isinstance(plan.control_share, str):
        return float(plan.control_share), []
    nobody = np.zeros(len(table), dtype=np.bool_)
    trial = _allocate(plan, options, limit, nobody, tie)
    needed = {p.outcome: p.needed_share for p in powers_of(table, options.economics, trial.choice, nobody)}
    possible = {outcome: float(np.ceil(200 * s) / 200) for outcome, s in needed.items() if s <= plan.max_control_share}
    if CONTRIBUTION in possible:
        return possible[CONTRIBUTION], []
    if possible:
        share = min(possible.values())
        if CONTRIBUTION not in needed:
            return share, []
        return share, [
            f"{share:.1%} are kept as control, to show the expected effect on returning; no control share "
            "allowed would show it in money, by which the campaign is judged: its profit will probably stay unclear"
        ]
    return _UNPOWERED, [
        f"no control share allowed would show the expected effect: {_UNPOWERED:.0%} are kept as control"
    ]


def _draw(ids: list[str], strata: npt.NDArray[Any], plan: Plan, options: Options, share: float) -> Mask:
    """Control among all whom treating would pay."""
    rows = np.flatnonzero(options.candidate)
    control = np.zeros(len(ids), dtype=np.bool_)
    efficiency = rounded(np.max(options.gain[rows] / np.maximum(options.cost[rows], 1.0), axis=1, initial=0.0))
    uniform = hash_uniform([ids[i] for i in rows], plan.salt, f"{plan.name}|control")
    control[rows] = draw_control(strata[rows], efficiency, uniform, share)
    return control


def _allocate(
    plan: Plan,
    options: Options,
    limit: float,
    control: Mask,
    tie: Array,
    places: npt.NDArray[np.intp] | None = None,
) -> Allocation:
    """Over candidates only; gains in money, costs and limit in UNITs. places: of each treatment that are taken."""
    rows = np.flatnonzero(options.candidate)
    capacity = np.array([np.inf if t.capacity is None else float(t.capacity) for t in plan.treatments])
    capacity = capacity if places is None else capacity - places
    solve = allocate_exact if plan.method == "exact" else allocate
    found = solve(options.gain[rows], options.cost[rows], limit, capacity, np.where(control[rows], 0.0, 1.0), tie[rows])
    choice = np.full(len(control), -1, dtype=np.intp)
    choice[rows] = found.choice
    return found._replace(choice=choice)
