"""Exploration: a share of the budget is left to chance, so that nobody is given up for ever by bad luck.

Customers are drawn by hash, whatever is believed of them, and so is the treatment that each may get: about the same
money goes to each of equal standing. Half of them are control, as it takes to learn most. What is learned of customers
drawn by chance holds for all. The share falls as campaigns teach (Sutton & Barto 2018, Reinforcement Learning, ch. 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.campaigns.control import draw_control, hash_uniform
from clvml.campaigns.gain import Array
from clvml.campaigns.options import Options, may_get
from clvml.campaigns.treatments import Plan

__all__ = ["EXPLORED_CONTROL", "MIN_LEARNING", "Exploration", "explored", "left_to_learn"]

EXPLORED_CONTROL = 0.5
"""Share of the explored customers that is control: two halves show the smallest effect."""
MIN_LEARNING = 0.1
"""Part of the shares stated for learning that is kept however many campaigns have taught: times change."""
_CHEAP = 0.1
"""A treatment that costs less than this part of the dearest is tried as if it cost that."""


class Exploration(NamedTuple):
    """The treatment that chance gave each customer, −1 for those it did not draw; and who of them is control."""

    choice: npt.NDArray[np.intp]
    control: npt.NDArray[np.bool_]


def left_to_learn(campaigns: Sequence[int], matter: Array) -> tuple[float, Array]:
    """Of the shares stated for learning the part that is left, and how the money for exploration is split.

    A treatment leaves all before any campaign gave it, then a half, a third and so on, so what is given up in all grows
    with the logarithm of the number of campaigns, as the least possible does (Auer, Cesa-Bianchi & Fischer 2002,
    Machine Learning 47, epsilon-n-greedy). matter: its share of the money if what all do were known. By it treatments
    count here, and get money by chance: of one that would get none, more is not worth its price.
    """
    taught = np.asarray(campaigns)
    left = np.maximum(1 / (1 + taught), MIN_LEARNING)
    return float(left @ matter), np.where(taught > 0, np.maximum(matter, MIN_LEARNING), 1 / len(taught))


def explored(
    table: pd.DataFrame,
    ids: list[str],
    plan: Plan,
    options: Options,
    out: npt.NDArray[np.bool_],
    limit: float,
    part: Array,
) -> Exploration:
    """Customers in the order of their hash, as many as the share of the budget and of each treatment's capacity pays,
    at the most that share of all customers.

    out: who may not be touched. limit: the budget, in the units of `options.cost`. part: of the money for exploration
    that each treatment gets, relative to the others.
    """
    nobody = Exploration(np.full(len(ids), -1, dtype=np.intp), np.zeros(len(ids), dtype=np.bool_))
    choice = _treatment_by_chance(table, ids, plan, options, out, part)
    place = hash_uniform(ids, plan.salt, f"{plan.name}|explore")
    rows = np.flatnonzero(choice >= 0)
    rows = rows[np.argsort(place[rows], kind="stable")]
    rows = rows[: int(plan.explore_share * len(rows))]
    if plan.explore_share == 0 or not len(rows):
        return nobody
    words = table["tier"].astype("string").fillna("?") + table["state"].astype("string").fillna("?")
    strata = words.to_numpy(dtype=object).astype(str)[rows] + choice[rows].astype(str)
    uniform = hash_uniform([ids[i] for i in rows], plan.salt, f"{plan.name}|explored control")
    control = draw_control(strata, -place[rows], uniform, EXPLORED_CONTROL)
    kept = _that_fit(choice[rows], control, options.cost[rows, choice[rows]], plan, limit)
    found = nobody.choice, nobody.control
    found[0][rows[kept]], found[1][rows[kept]] = choice[rows[kept]], control[kept]
    return Exploration(*found)


def _treatment_by_chance(
    table: pd.DataFrame, ids: list[str], plan: Plan, options: Options, out: npt.NDArray[np.bool_], part: Array
) -> npt.NDArray[np.intp]:
    """One of the treatments that are for the customer, the likelier the less it costs; −1 where there is none."""
    may = may_get(table, plan, out)
    outlay = np.array([options.cost[may[:, a], a].mean() if may[:, a].any() else 0.0 for a in range(may.shape[1])])
    weight = may * part / np.maximum(outlay, max(_CHEAP * outlay.max(), 1.0))
    upto = weight.cumsum(axis=1)
    drawn = hash_uniform(ids, plan.salt, f"{plan.name}|explored treatment") * upto[:, -1]
    place = np.minimum((upto <= drawn[:, None]).sum(axis=1), may.shape[1] - 1)
    return np.where(may.any(axis=1), place, -1).astype(np.intp)


def _that_fit(
    choice: npt.NDArray[np.intp],
    control: npt.NDArray[np.bool_],
    cost: Array,
    plan: Plan,
    limit: float,
) -> npt.NDArray[np.bool_]:
    """Who comes before a treatment's places, then before the money for exploration, is used up."""
    kept = np.ones(len(choice), dtype=np.bool_)
    for a, t in enumerate(plan.treatments):
        if t.capacity is not None:
            taken = np.cumsum((choice == a) & ~control)
            kept &= (choice != a) | (taken <= np.floor(t.capacity * plan.explore_share + 1e-9))
    spent = np.cumsum(np.where(kept & ~control, cost, 0.0))
    return kept & (spent <= limit * plan.explore_share)
