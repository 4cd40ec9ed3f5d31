"""Two randomised groups compared: difference in means, noise that was known beforehand taken out, intervals for skewed
money, and intervals that may be read every night.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

__all__ = ["Comparison", "compare", "cuped", "joined_strata", "stratified_difference"]

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

N_DRAWS = 999
MAX_DRAWN_ROWS = 200_000
"""Rows above which the skew that is left is corrected by formula: drawing anew would take seconds and change little."""
_BASE_LEVEL = 0.95
"""Level at which the quantiles are read off the draws; others follow by the ratio of the normal's."""


class Comparison(NamedTuple):
    """Difference in means of two groups. `below` and `above`: arms of the 95% interval, in standard errors."""

    effect: float
    se: float
    below: float
    above: float

    def interval(self, level: float = 0.95, *, groups: int = 1, elapsed: float | None = None) -> tuple[float, float]:
        """(low, high) at the level.

        groups: how many intervals are to hold together (Šidák 1967). elapsed: share of the planned window that is over,
        for an interval that holds at all looks within the window together, a confidence sequence that ends with it: the
        constant boundary of O'Brien & Fleming (1979) read at every instant (Jennison & Turnbull 1989, JRSS B 51,
        repeated confidence intervals; sup |W| of a Wiener process: 4 Φ(−z) = 1 − level), with the variance at the end
        of the window projected from today's. Boundaries that hold forever (Waudby-Smith et al. 2024, Annals of
        Statistics 52) are a third wider at the end, where a planned effect must show. Its chance of a miss at any look
        is at most 1 − level where what a customer spends early and late is not negatively correlated (Slepian).
        """
        each = level ** (1 / groups)
        z = _two_sided(each) if elapsed is None else float(-ndtri((1 - each) / 4) / np.sqrt(min(elapsed, 1.0)))
        stretch = z / _two_sided(_BASE_LEVEL) * self.se
        return self.effect - self.below * stretch, self.effect + self.above * stretch

    def p_value(self, groups: int = 1) -> float:
        """Two-sided: one minus the level at which the interval touches zero; corrected for so many comparisons."""
        if self.se == 0:
            return float(self.effect == 0)
        arm = self.below if self.effect > 0 else self.above
        p = float(2 * ndtr(-_two_sided(_BASE_LEVEL) * abs(self.effect) / (arm * self.se)))
        return float(-np.expm1(groups * np.log1p(-p))) if p < 1 else 1.0


def _two_sided(level: float) -> float:
    return float(ndtri(0.5 + level / 2))


def cuped(y: Array, x: Array, treated: Flags) -> tuple[Array, float]:
    """(y − theta (x − mean x), share of variance removed), theta pooled within groups (Deng et al. 2013, eq. 4).

    x is known before the campaign, so the mean effect is untouched; only its noise becomes smaller.
    """
    covariance = variance = total = 0.0
    for rows in (treated, ~treated):
        if rows.any():
            u, v = x[rows] - x[rows].mean(), y[rows] - y[rows].mean()
            covariance, variance, total = covariance + float(u @ v), variance + float(u @ u), total + float(v @ v)
    if variance <= 0 or total <= 0:
        return y, 0.0
    return y - covariance / variance * (x - x.mean()), covariance**2 / (variance * total)


def joined_strata(treated: Flags, stratum: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """A code for each stratum: those with fewer than two rows in a group are put together, or with all the others."""
    code = np.unique(stratum, return_inverse=True)[1].astype(np.intp)
    counts = np.stack([np.bincount(code[rows], minlength=code.max() + 1) for rows in (treated, ~treated)])
    thin = np.flatnonzero((counts < 2).any(axis=0))
    code = np.where(np.isin(code, thin), -1, code)
    if len(thin) and min((code[treated] == -1).sum(), (code[~treated] == -1).sum()) < 2:
        return np.zeros_like(code)
    return code


def stratified_difference(y: Array, treated: Flags, stratum: npt.NDArray[Any]) -> tuple[float, float]:
    """(difference in means, standard error), strata weighted by their size (Imbens & Rubin 2015, section 9.3)."""
    code = joined_strata(treated, stratum)
    difference = variance = 0.0
    for s in np.unique(code):
        ours, theirs = y[treated & (code == s)], y[~treated & (code == s)]
        weight = (len(ours) + len(theirs)) / len(y)
        difference += weight * float(ours.mean() - theirs.mean())
        variance += weight**2 * float(ours.var(ddof=1) / len(ours) + theirs.var(ddof=1) / len(theirs))
    return difference, float(np.sqrt(variance))


def compare(y: Array, treated: Flags, stratum: npt.NDArray[Any], *, draws: int = N_DRAWS, seed: int = 0) -> Comparison:
    """Difference in means with arms of its interval from the studentised randomisation distribution.

    The groups are drawn anew within the strata from what was observed less the effect found, and the difference over
    its standard error looked up there (Wu & Ding 2021, JASA 116; Janssen 1997). So a few large orders that happen to
    lie in a small control group, or not, are allowed for: with nothing sent the test is exact at any skew, with
    unequal variances it is right in large samples. Above `MAX_DRAWN_ROWS` rows by Edgeworth expansion instead.
    """
    code = joined_strata(treated, stratum)
    effect, se = stratified_difference(y, treated, code)
    if se == 0:
        return Comparison(effect, 0.0, 1.0, 1.0)
    rest = y - effect * treated
    z = _two_sided(_BASE_LEVEL)
    if len(y) > MAX_DRAWN_ROWS:
        shift = _skewness(rest, treated, code) * (2 * z**2 + 1) / 6
        return Comparison(effect, se, *(float(np.clip(arm, z / 2, 3 * z)) for arm in (z - shift, z + shift)))
    found = _drawn_anew(rest, treated, code, draws, np.random.default_rng(seed))
    low, high = np.quantile(found, [(1 - _BASE_LEVEL) / 2, (1 + _BASE_LEVEL) / 2])
    return Comparison(effect, se, max(float(high), z / 2), max(float(-low), z / 2))


def _skewness(y: Array, treated: Flags, code: npt.NDArray[np.intp]) -> float:
    """Skewness of the difference in means, the third moment from both groups together (Hall 1992, section 3.10)."""
    third = second = 0.0
    for s in np.unique(code):
        rows = code == s
        n, n_t = int(rows.sum()), int((rows & treated).sum())
        centred = y[rows] - y[rows].mean()
        weight = n / len(y)
        third += weight**3 * float((centred**3).mean()) * (1 / n_t**2 - 1 / (n - n_t) ** 2)
        second += weight**2 * float((centred**2).mean()) * (1 / n_t + 1 / (n - n_t))
    return third / second**1.5 if second > 0 else 0.0


def _drawn_anew(y: Array, treated: Flags, code: npt.NDArray[np.intp], draws: int, rng: np.random.Generator) -> Array:
    """Difference over its standard error in so many other draws of the groups, each stratum's sizes kept."""
    difference, variance = np.zeros(draws), np.zeros(draws)
    for s in np.unique(code):
        rows = np.flatnonzero(code == s)
        n, n_t = len(rows), int(treated[rows].sum())
        centred = y[rows] - y[rows].mean()
        few = min(n_t, n - n_t)
        total, squares = _drawn_sums(centred, few, draws, rng)
        mean, other = total / few, -total / (n - few)
        own = (squares - few * mean**2) / (few - 1) / few
        others = (float(centred @ centred) - squares - (n - few) * other**2) / (n - few - 1) / (n - few)
        difference += n / len(y) * (mean - other) * (1.0 if few == n_t else -1.0)
        variance += (n / len(y)) ** 2 * (np.maximum(own, 0.0) + np.maximum(others, 0.0))
    noise = np.sqrt(variance)
    return np.divide(difference, noise, out=np.zeros(draws), where=noise > 1e-12 * (np.abs(difference) + 1e-300))


def _drawn_sums(values: Array, few: int, draws: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Sums of the values and of their squares over `few` rows without replacement, for each draw.

    One shuffle gives as many draws as it has blocks of `few` rows: each by itself is a fair one.
    """
    blocks = len(values) // few
    shuffles = -(-draws // blocks)
    total, squares = np.empty((shuffles, blocks)), np.empty((shuffles, blocks))
    for i in range(shuffles):
        drawn = rng.permutation(values)[: blocks * few].reshape(blocks, few)
        total[i] = drawn.sum(axis=1)
        squares[i] = np.einsum("ij,ij->i", drawn, drawn)
    return total.ravel()[:draws], squares.ravel()[:draws]
