"""Two randomised groups compared: difference in means, noise that was known beforehand taken out, intervals for skewed
money, and intervals that may be read every night.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

__all__ = [
    "MAX_DRAWN_ROWS",
    "Comparison",
    "PairMoments",
    "compare",
    "compare_moments",
    "cuped",
    "joined_strata",
    "stratified_difference",
    "two_sided",
]

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

N_DRAWS = 999
"""Draws for one comparison; for several that are to hold together so many times their number, unless they are large."""
MAX_DRAWN_VALUES = 2_000_000
"""Draws times rows of the smaller group above which there are no more draws: the tails of many rows are smooth."""
MAX_DRAWN_ROWS = 200_000
"""Rows above which the skew that is left is corrected by formula: drawing anew would take seconds and change little."""
_MIN_BEYOND = 10
"""Draws beyond a quantile below which it is not read off them, but stretched from one nearer the middle."""
_CHUNK = 1_000_000
"""Values shuffled at a time."""


class Comparison(NamedTuple):
    """Difference in means of two groups. `below` and `above`: arms of the interval at `level`, in standard errors.

    `chance`: two-sided p-value of no effect, of this comparison alone; None: where the interval touches zero.
    """

    effect: float
    se: float
    below: float
    above: float
    level: float = 0.95
    chance: float | None = None

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
        z = two_sided(each) if elapsed is None else float(-ndtri((1 - each) / 4) / np.sqrt(min(elapsed, 1.0)))
        stretch = z / two_sided(self.level) * self.se
        return self.effect - self.below * stretch, self.effect + self.above * stretch

    def p_value(self, groups: int = 1) -> float:
        """Two-sided, corrected for so many comparisons (Šidák)."""
        p = self._touching() if self.chance is None else self.chance
        return float(-np.expm1(groups * np.log1p(-p))) if p < 1 else 1.0

    def _touching(self) -> float:
        """One minus the level at which the interval touches zero."""
        if self.se == 0:
            return float(self.effect == 0)
        arm = self.below if self.effect > 0 else self.above
        return float(2 * ndtr(-two_sided(self.level) * abs(self.effect) / (arm * self.se)))


def two_sided(level: float) -> float:
    """Standard deviations to either side of its mean within which this share of a normal distribution lies."""
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


def compare(
    y: Array,
    treated: Flags,
    stratum: npt.NDArray[Any],
    *,
    level: float = 0.95,
    groups: int = 1,
    draws: int = N_DRAWS,
    seed: int = 0,
) -> Comparison:
    """Difference in means with arms of its interval from the studentised randomisation distribution.

    The groups are drawn anew within the strata from what was observed less the effect found, and the difference over
    its standard error looked up there (Wu & Ding 2021, JASA 116; Janssen 1997). So a few large orders that happen to
    lie in a small control group, or not, are allowed for; with unequal variances it is right in large samples. The
    p-value comes from the groups drawn anew from what was observed as it is: with nothing sent it is exact at any skew
    and any number of buyers. An interval leaves zero only where that does, too.

    level, groups: the interval that will be read, and how many are to hold together: its quantiles lie that far out,
    where those of few buyers are nothing like the normal's. Above `MAX_DRAWN_ROWS` rows by Edgeworth expansion instead.
    """
    code = joined_strata(treated, stratum)
    effect, se = stratified_difference(y, treated, code)
    each = level ** (1 / groups)
    if se == 0:
        return Comparison(effect, 0.0, 1.0, 1.0)
    if len(y) > MAX_DRAWN_ROWS:
        return _expanded(effect, se, _skewness(y - effect * treated, treated, code), each)
    few = int(min(treated.sum(), (~treated).sum()))
    count = max(draws, min(draws * groups, MAX_DRAWN_VALUES // few))
    rest, as_is = (_drawn_anew(v, treated, code, count, np.random.default_rng(seed)) for v in (y - effect * treated, y))
    z = two_sided(each)
    below, above = (max(_quantile(sign * rest, each), z / 2) for sign in (1.0, -1.0))
    if effect > 0:
        below = max(below, _quantile(as_is, each))
    else:
        above = max(above, _quantile(-as_is, each))
    return Comparison(effect, se, below, above, each, _chance(as_is, effect / se))


class PairMoments(NamedTuple):
    """Of the pairs (x, y) of a group: how many, their means, and at [i, j] the sum of (x - mean x)^i (y - mean y)^j."""

    n: int
    x: float
    y: float
    central: Array
    """(4, 4); read where i + j is 2 or 3."""

    def sums_of(self, theta: float) -> tuple[float, float]:
        """The sums of squares and of cubes of y - theta x less its mean."""
        c = self.central
        square = c[0, 2] - 2 * theta * c[1, 1] + theta**2 * c[2, 0]
        cube = c[0, 3] - 3 * theta * c[1, 2] + 3 * theta**2 * c[2, 1] - theta**3 * c[3, 0]
        return float(square), float(cube)


def compare_moments(treated: PairMoments, control: PairMoments, *, level: float = 0.95) -> tuple[Comparison, float]:
    """`compare` of what `cuped` leaves of y, and the share of variance that it removes, for groups of one stratum and
    more than `MAX_DRAWN_ROWS` rows of which only moments are known.
    """
    covariance, variance, total = (float(treated.central[at] + control.central[at]) for at in ((1, 1), (2, 0), (0, 2)))
    known = variance > 0 and total > 0
    theta, removed = (covariance / variance, covariance**2 / (variance * total)) if known else (0.0, 0.0)
    effect = treated.y - control.y - theta * (treated.x - control.x)
    n, m = treated.n, control.n
    (square, cube), (other_square, other_cube) = treated.sums_of(theta), control.sums_of(theta)
    se = float(np.sqrt(square / (n - 1) / n + other_square / (m - 1) / m))
    if se == 0:
        return Comparison(effect, 0.0, 1.0, 1.0), removed
    second = (square + other_square) / (n + m) * (1 / n + 1 / m)
    third = (cube + other_cube) / (n + m) * (1 / n**2 - 1 / m**2)
    return _expanded(effect, se, third / second**1.5, level), removed


def _expanded(effect: float, se: float, skewness: float, level: float) -> Comparison:
    """The comparison whose interval allows for the skewness by Edgeworth expansion."""
    z = two_sided(level)
    shift = skewness * (2 * z**2 + 1) / 6
    below, above = (float(np.clip(arm, z / 2, 3 * z)) for arm in (z - shift, z + shift))
    return Comparison(effect, se, below, above, level)


def _quantile(drawn: Array, level: float) -> float:
    """Upper end of the two-sided interval at the level: of so many draws plus one, as many lie at it or beyond."""
    size = len(drawn) + 1
    read = min(level, 1 - 2 * _MIN_BEYOND / size)
    beyond = int((1 - read) / 2 * size + 1e-9)
    return float(np.partition(drawn, -beyond)[-beyond]) * two_sided(level) / two_sided(read)


def _chance(drawn: Array, found: float) -> float:
    """Two-sided p-value: twice the share of the draws, with the one that was made, that lie as far out (Phipson & Smyth
    2010); beyond the last of them as the normal falls off.
    """
    outwards = drawn if found > 0 else -drawn
    beyond = 1 + int((outwards >= abs(found) * (1 - 1e-9)).sum())
    p = min(1.0, 2 * beyond / (len(drawn) + 1))
    if beyond > _MIN_BEYOND:
        return p
    level = 1 - 2 * _MIN_BEYOND / (len(drawn) + 1)
    farthest = _quantile(outwards, level)
    return min(p, float(2 * ndtr(-two_sided(level) * abs(found) / farthest))) if farthest > 0 else p


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
    # A difference without any noise lies farther out than all others, and yet the arms stay finite.
    apart = np.where(np.abs(difference) > 1e-12 * np.abs(y).max(), np.copysign(1.0 * len(y), difference), 0.0)
    return np.divide(difference, noise, out=apart, where=noise > 1e-9 * np.abs(difference))


def _drawn_sums(values: Array, few: int, draws: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Sums of the values and of their squares over `few` rows without replacement, for each draw.

    One shuffle gives as many draws as it has blocks of `few` rows: each by itself is a fair one.
    """
    blocks = len(values) // few
    shuffles = -(-draws // blocks)
    total, squares = np.empty((shuffles, blocks)), np.empty((shuffles, blocks))
    step = max(1, _CHUNK // len(values))
    for start in range(0, shuffles, step):
        own = slice(start, min(start + step, shuffles))
        drawn = rng.permuted(np.broadcast_to(values, (own.stop - own.start, len(values))), axis=1)
        drawn = drawn[:, : blocks * few].reshape(-1, blocks, few)
        total[own] = drawn.sum(axis=2)
        squares[own] = np.einsum("ijk,ijk->ij", drawn, drawn)
    return total.ravel()[:draws], squares.ravel()[:draws]
