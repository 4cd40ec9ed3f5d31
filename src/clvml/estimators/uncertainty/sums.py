"""Draws of the totals of groups, given draws of the parameters: by simulation, or by the central limit theorem.
Which of the two depends on how large the groups are.

A large group's total, given the parameters, is normal: variances from a simulation at the estimate, around an
expectation that is taken along the principal axes of the parameters' uncertainty.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clvml.estimators.histories import Histories
from clvml.estimators.purchases.model import PurchaseModel
from clvml.estimators.spend import GammaGammaModel
from clvml.maths.models import gammagamma
from clvml.maths.sample import Floats, tally

__all__ = ["Job", "totals"]

_CELLS = 2e7
"""Customers times draws that are simulated one by one, about three seconds; the largest groups are left out first."""
_FEW = 500
"""Groups of fewer customers are always simulated: a total of so few is not normal."""
_REACH = 1.5
"""Standard deviations at which the expectation is looked at along an axis."""
_MEAN_EXISTS = np.array([0.0, 1.0, 0.0])
"""Gamma-Gamma's parameters are above these."""
_SIMULATED = 1e6
"""Customers that the variance of large groups is learned from; each several times where there are fewer."""


class Job(NamedTuple):
    """Everything that the draws need, on distinct histories and on customers."""

    model: PurchaseModel
    spend: GammaGammaModel | None
    rows: Histories
    x: Floats  # customers' frequency
    m: Floats  # and mean spend, over `factor`
    factor: Floats  # of the scale of their spend
    t: float
    place: NDArray[np.intp]  # customers' group
    groups: int
    rng: np.random.Generator


def totals(job: Job, theta: Floats, phi: Floats | None) -> tuple[Floats, Floats]:
    """Totals of purchases and spend, (draws, groups) each, the level taken as predicted."""
    draws, size = len(theta), np.bincount(job.place, minlength=job.groups)
    order = np.argsort(size, kind="stable")
    small = np.zeros(job.groups, dtype=bool)
    small[order] = (np.cumsum(size[order]) * draws <= _CELLS) | (size[order] < _FEW)
    counts, amounts = np.zeros((draws, job.groups)), np.zeros((draws, job.groups))
    who = np.flatnonzero(small[job.place])
    if who.size:
        for i in range(draws):
            counts[i], amounts[i] = _simulate(job, who, theta[i], None if phi is None else phi[i])
    if not small.all():
        many = _by_limit(job, theta, phi)
        counts[:, ~small], amounts[:, ~small] = many[0][:, ~small], many[1][:, ~small]
    return counts, amounts


def _people(job: Job, who: NDArray[np.intp], theta: Floats, phi: Floats | None) -> tuple[Floats, Floats]:
    """One draw of each customer's purchases and spend."""
    ahead = job.model._future(job.rows, type(job.model.params_)(*theta)).take(job.rows.place[who])
    counts = ahead.simulate(job.t, job.rng)
    if phi is None:
        return counts, np.zeros(counts.shape)
    amounts = gammagamma.simulate(gammagamma.Params(*phi), job.x[who], job.m[who], counts, job.rng)
    return counts, job.factor[who] * amounts


def _simulate(job: Job, who: NDArray[np.intp], theta: Floats, phi: Floats | None) -> tuple[Floats, Floats]:
    """One draw of the totals."""
    counts, amounts = _people(job, who, theta, phi)
    place = job.place[who]
    return tally(place, counts, job.groups), tally(place, amounts, job.groups)


def _by_limit(job: Job, theta: Floats, phi: Floats | None) -> tuple[Floats, Floats]:
    """Normal totals with the right mean, variance and correlation of purchases and spend in every group."""
    at = np.array(job.model.params_)
    at_spend = None if job.spend is None else np.array(job.spend.params_)
    mean = _expected(job, at, at_spend)
    spread = _covariances(job, mean, at, at_spend)
    log_ratio = _along_axes(lambda p: np.concatenate(_sums(job, _expected(job, p, at_spend))), at, theta, 0.0)
    if phi is not None and at_spend is not None:
        ratio = _along_axes(lambda p: np.concatenate(_sums(job, _expected(job, at, p))), at_spend, phi, _MEAN_EXISTS)
        log_ratio = log_ratio + ratio
    totals = np.concatenate(_sums(job, mean)) * np.exp(log_ratio)
    z = job.rng.standard_normal((2, len(theta), job.groups))
    sd = np.sqrt(spread[0])
    slope = np.divide(spread[2], sd, out=np.zeros_like(sd), where=sd > 0)
    rest = np.sqrt(np.maximum(spread[1] - slope**2, 0.0))
    counts = totals[:, : job.groups] + sd * z[0]
    amounts = totals[:, job.groups :] + slope * z[0] + rest * z[1]
    return np.maximum(counts, 0.0), np.maximum(amounts, 0.0)


def _expected(job: Job, theta: Floats, phi: Floats | None) -> tuple[Floats, Floats]:
    """Expected purchases and spend of each customer."""
    counts = job.model._future(job.rows, type(job.model.params_)(*theta)).expected(job.t)[job.rows.place]
    if phi is None:
        return counts, np.zeros(counts.shape)
    return counts, counts * job.factor * gammagamma.expected_spend(gammagamma.Params(*phi), job.x, job.m)


def _sums(job: Job, each: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    return tally(job.place, each[0], job.groups), tally(job.place, each[1], job.groups)


def _covariances(job: Job, mean: tuple[Floats, Floats], theta: Floats, phi: Floats | None) -> Floats:
    """(3, groups): variances of purchases and spend and their covariance, given the parameters, by simulation."""
    everybody, total = np.arange(job.x.size), np.zeros((3, job.groups))
    times = max(2, math.ceil(_SIMULATED / job.x.size))
    for _ in range(times):
        counts, amounts = _people(job, everybody, theta, phi)
        off, apart = counts - mean[0], amounts - mean[1]
        total += [tally(job.place, v, job.groups) for v in (off * off, apart * apart, off * apart)]
    return total / times


def _along_axes(function: Callable[[Floats], Floats], at: Floats, draws: Floats, least: float | Floats) -> Floats:
    """log(function(draw) / function(at)), (draws, outputs), as a parabola along each principal axis of the draws.

    The axes are those of log(parameter - least).
    """
    middle, logs = np.log(at - least), np.log(draws - least)
    variance, axes = np.linalg.eigh(np.cov(logs.T))
    centre = function(at)
    log_ratio = np.zeros((len(draws), centre.size))
    for v, axis in zip(variance, axes.T, strict=True):
        if v > 1e-12:
            reach = _REACH * math.sqrt(v) * axis
            up, down = (_log_ratio(function(np.exp(middle + s * reach) + least), centre) for s in (1.0, -1.0))
            u = ((logs - middle) @ axis / (_REACH * math.sqrt(v)))[:, None]
            log_ratio += 0.5 * (up - down) * u + 0.5 * (up + down) * u**2
    return log_ratio


def _log_ratio(value: Floats, centre: Floats) -> Floats:
    """Zero where there is nothing to expect."""
    return np.log(np.divide(value, centre, out=np.ones_like(centre), where=centre > 0.0))
