"""What treating a customer is expected to bring and to cost. Pure arrays, one entry a customer."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import betaincc, ndtr, ndtri

from clvml.campaigns.treatments import Treatment
from clvml.estimators.learned.leaving.decline import share_lost

__all__ = [
    "BASES",
    "LEARNED",
    "NORMAL_90",
    "Array",
    "Belief",
    "Customers",
    "Economics",
    "break_even",
    "drawn_effect",
    "economics",
    "incentive_of",
    "linear_gain",
    "sd_of",
    "sd_of_sum",
    "value_at_risk",
]

Array = npt.NDArray[np.float64]
PRIOR_WEIGHT = 20.0
"""A save rate of .30 is then Beta(6, 14), the default of Verbraken et al. 2013 (IEEE TKDE 25) for an offer."""


NORMAL_90 = float(ndtri(0.95))
"""Standard deviations from the middle to either end of a 90% interval."""
LEARNED = "learned"
"""The kind of an effect in money that past campaigns taught; through it customers return who would have stayed away."""


def _column(name: str) -> Callable[[pd.DataFrame], Array]:
    return lambda table: np.asarray(table[name].to_numpy(np.float64))


def value_at_risk(table: pd.DataFrame) -> Array:
    """As the scores have it, who count a decline in it; where they are another's, of silence alone."""
    if "value_at_risk" in table:
        return _column("value_at_risk")(table)
    return _column("churn_probability")(table) * _column("value_if_kept")(table)


BASES: dict[str, Callable[[pd.DataFrame], Array]] = {
    "save_rate": value_at_risk,
    "extra_return": _column("value_if_kept"),
    "extra_contribution": lambda table: np.ones(len(table)),
    "lift": _column("clv"),
}
"""What one unit of each kind of effect is worth for a customer, before incentives and contact costs."""


class Customers(NamedTuple):
    """What the formulas need of the scores."""

    churn: Array  # p: probability of no purchase within the horizon
    value: Array  # V: discounted contribution if the customer buys, minus if silent
    clv: Array  # discounted contribution expected over the horizon
    spend: Array  # undiscounted amount expected over the horizon
    purchases: Array  # purchases expected over the horizon
    horizon: Array  # days
    decline: Array  # share by which spend fell below the own level; 0 where it did not


class Belief(NamedTuple):
    """What the treatment is believed to do: an effect for each customer and how sure it is."""

    kind: str  # one of treatments.EFFECTS, or LEARNED
    mean: Array
    sd: float | Array | None  # None: Beta of PRIOR_WEIGHT for a save rate, half of the mean otherwise
    sd_of_sum: Callable[[Array], float] | None = None  # of a weighted sum over customers; None: all share one error
    campaigns: int = 0  # past ones that taught it
    draw: Callable[[pd.DataFrame, Array], Array] | None = None  # effects on customers, by `unknown` standard normals
    unknown: int = 1

    @property
    def assumed(self) -> bool:
        """Whether it is a plan's bare statement: nothing measured, and nothing said of how sure it is."""
        return self.campaigns == 0 and self.sd is None


class Economics(NamedTuple):
    """One treatment for every customer."""

    gain: Array  # D: expected incremental contribution after incentive and contact cost
    cost: Array  # expected outlay: contact cost and redeemed incentives
    sure: Array  # P(D > 0) over the belief
    threshold: Array  # churn probability above which treating pays; NaN where the effect does not work through it
    extra_return: Array  # expected rise of the return probability; NaN where it is not known
    incentive: Array  # d: what one redemption costs
    slope: Array  # change of the gain with one unit of the effect
    fixed: Array  # what it costs where it changes nothing: contact, and the incentives of those who buy anyway


def sd_of(belief: Belief) -> Array:
    """Standard deviation of the effect on each customer."""
    if belief.sd is not None:
        return np.broadcast_to(np.asarray(belief.sd, dtype=np.float64), belief.mean.shape)
    if belief.kind == "save_rate":
        return np.asarray(np.sqrt(np.maximum(belief.mean * (1 - belief.mean), 0) / (PRIOR_WEIGHT + 1)))
    return np.abs(belief.mean) / 2


def sd_of_sum(belief: Belief, weight: Array) -> float:
    """Standard deviation of a weighted sum of effects; where nothing else is known, all customers share one error."""
    if belief.sd_of_sum is not None:
        return belief.sd_of_sum(weight)
    return abs(float(weight @ sd_of(belief)))


def drawn_effect(belief: Belief, customers: pd.DataFrame, rows: npt.NDArray[np.intp], normal: Array) -> Array:
    """One draw of what may be, for the customers of these rows of the scores; where nothing else is known, all share
    one error.
    """
    if belief.draw is not None:
        return belief.draw(customers, normal)
    return np.asarray(belief.mean[rows] + normal[0] * sd_of(belief)[rows])


def incentive_of(t: Treatment, c: Customers, window_days: float | None) -> Array:
    """Cost of one redemption: fixed, plus the discount on all that a buyer spends while it runs.

    Spending of a buyer within the window: at least one ticket, at most the horizon's spending given a purchase.
    """
    if t.incentive_share == 0:
        return np.full(len(c.churn), float(t.incentive))
    given_return = c.spend / np.maximum(1 - c.churn, 1e-6)
    ticket = np.divide(c.spend, c.purchases, out=np.zeros_like(c.spend), where=c.purchases > 0)
    part = 1.0 if window_days is None else np.minimum(1.0, window_days / c.horizon)
    return t.incentive + t.incentive_share * np.maximum(np.minimum(ticket, given_return), part * given_return)


def linear_gain(kind: str, c: Customers, d: Array, rho: float, f: float) -> tuple[Array, Array]:
    """(slope, fixed) of D = effect · slope − fixed.

    save_rate g:           D = p g (V − d) + (1 − p) g s V − (1 − p) rho d − f      (Verbraken et al. 2013, with own V;
                           s: the share that who buys on for less will lose, see `share_lost`)
    extra_return e:        D = e (V − d) − (1 − p) rho d − f
    extra_contribution m:  D = m − (1 − p) rho d − f
    lift l:                D = l CLV − (1 − p) rho d − f
    learned m:             D = m (1 − d / V) − (1 − p) rho d − f, for m / V more customers return and redeem
    The second term is the discount for those who would have bought anyway.
    """
    slope = {
        "save_rate": c.churn * (c.value - d) + (share_lost(c.churn, c.decline) - c.churn) * c.value,
        "extra_return": c.value - d,
        "extra_contribution": np.ones_like(d),
        "lift": c.clv,
        LEARNED: np.where(c.value > 0, np.clip(1 - d / np.where(c.value > 0, c.value, 1.0), 0.0, 1.0), d == 0),
    }[kind]
    return slope, (1 - c.churn) * rho * d + f


def break_even(g: Array, c: Customers, d: Array, rho: float, f: float) -> Array:
    """p* = (f + rho d − g s V) / (g (V − d) + rho d − g s V): the churn probability at which a save rate of g just
    pays; 0 where what it saves of a decline pays for it alone.
    """
    of_decline = g * share_lost(0.0, c.decline) * c.value
    bottom = g * (c.value - d) + rho * d - of_decline
    found = np.divide(f + rho * d - of_decline, bottom, out=np.full_like(d, np.inf), where=(bottom > 0) & (c.value > d))
    return np.maximum(found, 0.0)


def economics(t: Treatment, belief: Belief, c: Customers, window_days: float | None) -> Economics:
    """Expected gain, outlay and certainty of one treatment for every customer."""
    d = incentive_of(t, c, window_days)
    effect = np.minimum(belief.mean, c.churn) if belief.kind == "extra_return" else belief.mean
    slope, fixed = linear_gain(belief.kind, c, d, t.redemption, t.contact_cost)
    none = np.full_like(d, np.nan)
    extra = none
    if belief.kind in ("save_rate", "extra_return"):
        extra = c.churn * effect if belief.kind == "save_rate" else effect
    elif belief.kind == LEARNED:
        extra = np.clip(np.divide(effect, c.value, out=np.zeros_like(d), where=c.value > 0), 0.0, c.churn)
    won = np.where(np.isfinite(extra), extra, 0.0)
    return Economics(
        gain=effect * slope - fixed,
        cost=t.contact_cost + d * (won + (1 - c.churn) * t.redemption),
        sure=_sure(belief, c, slope, fixed),
        threshold=break_even(effect, c, d, t.redemption, t.contact_cost) if belief.kind == "save_rate" else none,
        extra_return=extra,
        incentive=d,
        slope=slope,
        fixed=fixed,
    )


def _sure(belief: Belief, c: Customers, slope: Array, fixed: Array) -> Array:
    """P(effect · slope > fixed). The gain is linear in the effect, so this is one tail probability."""
    needed = np.divide(fixed, slope, out=np.full_like(fixed, np.inf), where=slope > 0)
    if belief.kind == "save_rate":
        weight = PRIOR_WEIGHT if belief.sd is None else _weight(belief.mean, sd_of(belief))
        a, b = np.maximum(weight * belief.mean, 1e-9), np.maximum(weight * (1 - belief.mean), 1e-9)
        chance = betaincc(a, b, np.clip(needed, 0.0, 1.0))
    else:
        sd = sd_of(belief)
        chance = np.where(sd > 0, ndtr((belief.mean - needed) / np.maximum(sd, 1e-12)), belief.mean > needed)
        if belief.kind == "extra_return":
            chance = np.where(needed < c.churn, chance, 0.0)
    return np.where(slope > 0, chance, 0.0)


def _weight(mean: Array, sd: Array) -> Array:
    """Sum a + b of the Beta distribution with this mean and standard deviation (at least 2)."""
    return np.asarray(np.maximum(mean * (1 - mean) / np.maximum(sd, 1e-6) ** 2 - 1, 2.0))
