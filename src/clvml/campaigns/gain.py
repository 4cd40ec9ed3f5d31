"""What treating a customer is expected to bring and to cost. Pure arrays, one entry a customer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, norm

from clvml.campaigns.treatments import Treatment

__all__ = ["Array", "Belief", "Customers", "Economics", "break_even", "economics", "incentive_of", "linear_gain"]

Array = npt.NDArray[np.float64]
PRIOR_WEIGHT = 20.0
"""A save rate of .30 is then Beta(6, 14), the default of Verbraken et al. 2013 (IEEE TKDE 25) for an offer."""


class Customers(NamedTuple):
    """What the formulas need of the scores."""

    churn: Array  # p: probability of no purchase within the horizon
    value: Array  # V: discounted contribution if the customer buys, minus if silent
    clv: Array  # discounted contribution expected over the horizon
    spend: Array  # undiscounted amount expected over the horizon
    purchases: Array  # purchases expected over the horizon
    horizon: Array  # days


class Belief(NamedTuple):
    """What the treatment is believed to do: an effect for each customer and how sure it is."""

    kind: str  # one of treatments.EFFECTS
    mean: Array
    sd: float | None  # None: Beta of PRIOR_WEIGHT for a save rate, half of the mean otherwise


class Economics(NamedTuple):
    """One treatment for every customer."""

    gain: Array  # D: expected incremental contribution after incentive and contact cost
    cost: Array  # expected outlay: contact cost and redeemed incentives
    sure: Array  # P(D > 0) over the belief
    threshold: Array  # churn probability above which treating pays; NaN where the effect does not work through it
    extra_return: Array  # expected rise of the return probability; NaN where it is not known
    incentive: Array  # d: what one redemption costs


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

    save_rate g:           D = p g (V − d) − (1 − p) rho d − f      (ACCURACY §3.1; Verbraken et al. 2013 with own V)
    extra_return e:        D = e (V − d) − (1 − p) rho d − f
    extra_contribution m:  D = m − (1 − p) rho d − f
    lift l:                D = l CLV − (1 − p) rho d − f
    The second term is the discount for those who would have bought anyway.
    """
    slope = {
        "save_rate": c.churn * (c.value - d),
        "extra_return": c.value - d,
        "extra_contribution": np.ones_like(d),
        "lift": c.clv,
    }[kind]
    return slope, (1 - c.churn) * rho * d + f


def break_even(g: Array, c: Customers, d: Array, rho: float, f: float) -> Array:
    """p* = (f + rho d) / (g (V − d) + rho d): the churn probability at which a save rate of g just pays."""
    bottom = g * (c.value - d) + rho * d
    return np.divide(f + rho * d, bottom, out=np.full_like(d, np.inf), where=(bottom > 0) & (c.value > d))


def economics(t: Treatment, belief: Belief, c: Customers, window_days: float | None) -> Economics:
    """Expected gain, outlay and certainty of one treatment for every customer."""
    d = incentive_of(t, c, window_days)
    effect = np.minimum(belief.mean, c.churn) if belief.kind == "extra_return" else belief.mean
    slope, fixed = linear_gain(belief.kind, c, d, t.redemption, t.contact_cost)
    none = np.full_like(d, np.nan)
    extra = {"save_rate": c.churn * effect, "extra_return": effect}.get(belief.kind, none)
    won = np.where(np.isfinite(extra), extra, 0.0)
    return Economics(
        gain=effect * slope - fixed,
        cost=t.contact_cost + d * (won + (1 - c.churn) * t.redemption),
        sure=_sure(belief, c, slope, fixed),
        threshold=break_even(effect, c, d, t.redemption, t.contact_cost) if belief.kind == "save_rate" else none,
        extra_return=extra,
        incentive=d,
    )


def _sure(belief: Belief, c: Customers, slope: Array, fixed: Array) -> Array:
    """P(effect · slope > fixed). The gain is linear in the effect, so this is one tail probability."""
    needed = np.divide(fixed, slope, out=np.full_like(fixed, np.inf), where=slope > 0)
    if belief.kind == "save_rate":
        weight = PRIOR_WEIGHT if belief.sd is None else _weight(belief.mean, belief.sd)
        a, b = np.maximum(weight * belief.mean, 1e-9), np.maximum(weight * (1 - belief.mean), 1e-9)
        chance = beta.sf(np.minimum(needed, 1.0), a, b)
    else:
        sd = np.abs(belief.mean) / 2 if belief.sd is None else np.full_like(fixed, belief.sd)
        chance = np.where(sd > 0, norm.sf(needed, belief.mean, np.maximum(sd, 1e-12)), belief.mean > needed)
        if belief.kind == "extra_return":
            chance = np.where(needed < c.churn, chance, 0.0)
    return np.where(slope > 0, chance, 0.0)


def _weight(mean: Array, sd: float) -> Array:
    """Sum a + b of the Beta distribution with this mean and standard deviation (at least 2)."""
    return np.maximum(mean * (1 - mean) / max(sd, 1e-6) ** 2 - 1, 2.0)
