"""What the leaving head knows of a customer: silence against their own rhythm, and what changed of late."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.estimators.learned.leaving.second_purchase import SecondPurchase
from clvml.maths.regularity import Regularities
from clvml.maths.rhythm import Rhythm

__all__ = ["FEATURES", "GAPS_TO_LEAVE", "Asked", "Rules", "asked_of", "base_log_hazard", "features"]

Floats = NDArray[np.float64]

GAPS_TO_LEAVE = 3.0
"""Who stays silent through so many of their own gaps has left."""

FEATURES = (
    "base",
    "alive",
    "silence",
    "silence_longest",
    "gap",
    "last_gap",
    "gap_spread",
    "frequency",
    "age",
    "half",
    "quarter",
    "one",
    "basket",
    "basket_half",
    "refunds",
    "once",
    "once_since",
)
"""Rows of what `features` gives: on scales where straight lines make sense, free of the currency."""


class Asked(NamedTuple):
    """A customer's rhythm and the question that is asked of them, one entry each; days by the clock of the season,
    where the log has one.
    """

    x: Floats
    t_x: Floats
    T: Floats
    since: Floats
    """Days since the last purchase."""
    p_alive: Floats
    gap: Floats
    """Own mean gap, drawn to that of the population where few have been shown; days."""
    days: Floats
    """Days ahead: three own gaps, within limits; whole."""
    until: Floats
    """The same by the calendar."""
    k: Floats
    """How regular their gaps are."""


class Rules(NamedTuple):
    """What everybody is asked by."""

    rhythm: Rhythm
    regularities: Regularities | None
    """None where one regularity is everybody's."""
    second: SecondPurchase
    """Those who have bought once are asked until it has lapsed."""
    limits: tuple[float, float]
    """The least and the most days that anybody is asked over."""


def asked_of(
    frame: pd.DataFrame, p_alive: Floats, rules: Rules, to_calendar: Callable[[Floats], Floats] | None = None
) -> Asked:
    """frame: a summary, whose P(alive) is given; to_calendar: days by the calendar for those by the clock, if any."""
    x, t_x, T = (frame[name].to_numpy(np.float64) for name in ("frequency", "recency", "T"))
    rhythm, limits = rules.rhythm, rules.limits
    k = np.full(len(x), rhythm.k)
    if rules.regularities is not None and "log_gaps" in frame:
        k = rules.regularities.each(x, t_x, frame["log_gaps"].to_numpy(np.float64), float(rhythm.k))
    gap = rhythm.of(k).mean_gap(x, t_x)
    days = np.clip(np.where(x > 0, np.rint(GAPS_TO_LEAVE * gap), rules.second.lapsed), *limits)
    until = days if to_calendar is None else np.clip(to_calendar(days), 1.0, limits[1])
    return Asked(x, t_x, T, T - t_x, p_alive, gap, days, until, k)


def base_log_hazard(asked: Asked, rhythm: Rhythm) -> Floats:
    """Log hazard of return within the days asked: alive now, and then the gap that is open ends within them."""
    random, rhythm = Rhythm(rhythm.r, rhythm.alpha), rhythm.of(asked.k)
    silent = rhythm.log_share_open(asked.x, asked.t_x, asked.since)
    further = rhythm.log_share_open(asked.x, asked.t_x, asked.since + asked.days)
    by_chance = random.log_share_open(asked.x, asked.t_x, asked.since)
    p = rhythm.p_alive(asked.p_alive, (by_chance, silent)) * -np.expm1(further - silent)
    hazard: Floats = np.log(-np.log1p(-np.clip(p, 1e-5, 1 - 1e-5)))
    return hazard


def features(asked: Asked, frame: pd.DataFrame, base: Floats) -> Floats:
    """(FEATURES, n): of a frame of summary and features of a snapshot. What a one-time buyer has not got is 0."""
    out = np.empty((len(FEATURES), len(base)))
    row = iter(out)

    def column(name: str) -> Floats:
        values: Floats = np.nan_to_num(frame[name].to_numpy(np.float64), nan=0.0)
        return values

    def put(values: Floats) -> None:
        next(row)[:] = values

    once = asked.x == 0
    bought = np.log(asked.x + 1.0)
    age = np.log1p(asked.T)
    mean = np.maximum(column("mean_amount"), 1e-9)
    gap_mean = np.maximum(column("gap_mean"), 1.0)
    half = column("purchases_half")
    put(base)
    put(np.log(-np.log1p(-np.clip(asked.p_alive, 1e-5, 1 - 1e-5))))
    put(np.log1p(asked.since / asked.gap))
    put(np.where(once, 0.0, np.log1p(asked.since / np.maximum(column("gap_max"), 1.0))))
    put(np.log(asked.gap))
    put(np.where(once, 0.0, np.log1p(column("gap_last") / gap_mean)))
    put(column("gap_sd") / gap_mean)
    put(bought)
    put(age)
    for count in (half, column("purchases_quarter"), column("purchases_one")):
        put(np.log1p(count) - bought + age)
    put(np.log1p(np.clip(column("last_amount") / mean, 0.0, 50.0)))
    recent = column("spend_half") / np.maximum(half, 1.0)
    put(np.where(half > 0, np.log1p(np.clip(recent / mean, 0.0, 50.0)), np.log(2.0)))
    put(np.clip(column("returns_value") / np.maximum(column("gross"), 1e-9), 0.0, 2.0))
    put(once)
    put(np.where(once, np.log1p(asked.since), 0.0))
    return out
