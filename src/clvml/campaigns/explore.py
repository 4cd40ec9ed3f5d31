"""Exploration: a share of the budget for what is not known, by Thompson sampling.

Customers are drawn into the exploration by hash, in ten groups. Each group is planned by one draw from what is
believed of every treatment in every tier (Thompson 1933; Russo et al. 2018), so that a treatment is tried as often as
it may be the best. In every other group only those take part whom the plan would leave alone (top-two sampling, Russo
2020, Operations Research 68): who is treated anyway is learned of anyway, and who was given up by bad luck would stay
so. Half of those planned are control, as it takes to learn most.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.campaigns.control import hash_uniform
from clvml.campaigns.gain import Array, Belief, Customers, economics, sd_of
from clvml.campaigns.options import Options, customers_of, eligible, outlay_of, rounded
from clvml.campaigns.treatments import Plan
from clvml.scores.segments import TIERS

__all__ = ["EXPLORED_CONTROL", "drawn_options", "explored"]

EXPLORED_CONTROL = 0.5
"""Share of the explored customers that is control: two halves show the smallest effect."""
_GROUPS = 10


def explored(ids: list[str], plan: Plan) -> npt.NDArray[np.intp]:
    """The group of the exploration that each customer is in; −1 for those who are not."""
    if plan.explore_share == 0:
        return np.full(len(ids), -1, dtype=np.intp)
    at = hash_uniform(ids, plan.salt, f"{plan.name}|explore") / plan.explore_share
    return np.where(at < 1, np.floor(at * _GROUPS), -1).astype(np.intp)


def drawn_options(
    table: pd.DataFrame,
    plan: Plan,
    options: Options,
    kept_out: npt.NDArray[np.bool_],
    group: npt.NDArray[np.intp],
    price: float,
) -> Options:
    """Options of the explored customers, gains by a draw of their group; all others have none.

    price: what the next unit of money would bring in the plan, which treats those who gain more than their cost at it.
    """
    gain, cost = np.full_like(options.gain, -np.inf), options.cost.copy()
    treated_anyway = (options.gain > price * options.cost).any(axis=1)
    for g in np.unique(group[group >= 0]):
        rows = np.flatnonzero((group == g) & ~kept_out & ~(treated_anyway & bool(g % 2)))
        own = table.iloc[rows].reset_index(drop=True)
        c = customers_of(own)
        seed = hashlib.sha256(f"{plan.salt}|{plan.name}|explore|{g}".encode()).hexdigest()
        rng = np.random.default_rng(int(seed[:16], 16))
        for a, t in enumerate(plan.treatments):
            drawn = _drawn(options.beliefs[a], rows, own["tier"].astype("string"), rng)
            e = economics(t, Belief(options.beliefs[a].kind, drawn, 0.0), c, plan.window_days)
            may = eligible(t, own) & (e.gain > 0) & ~_sure(plan, t.discounts, c)
            gain[rows[may], a] = rounded(e.gain[may])
            cost[rows, a] = outlay_of(plan, t, options.economics[a])[rows]
    return options._replace(gain=gain, cost=cost)


def _sure(plan: Plan, discounts: bool, c: Customers) -> npt.NDArray[np.bool_]:
    """Who would buy anyway and so gets no discount, not even to learn."""
    return np.asarray(discounts & (1 - c.churn >= plan.sure_buyer))


def _drawn(belief: Belief, rows: npt.NDArray[np.intp], tier: pd.Series, rng: np.random.Generator) -> Array:
    """The effects if the truth were one draw of what is believed; of what the plan states, a draw for each tier."""
    if belief.draws is not None:
        return np.asarray(belief.draws(rows, rng, 1)[0])
    deviation = np.zeros(len(rows))
    for word in TIERS:
        deviation[(tier == word).to_numpy(np.bool_, na_value=False)] = rng.standard_normal()
    drawn = np.asarray(belief.mean[rows] + deviation * sd_of(belief)[rows])
    return np.clip(drawn, 0.0, 1.0 if belief.kind in ("save_rate", "extra_return") else None)
