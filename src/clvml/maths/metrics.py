"""How good a prediction is: plain functions of (actual, predicted, weight), ties shared, strictly proper where it
counts.

`weight` counts customers (a bootstrap's multinomial draws, or repeated rows); `None` is one each. A weight of k is
the same as k identical rows. Predictions of amounts are floored at 1% of the actual mean in the deviances, so that a
baseline's zero costs much but not infinity.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "NORMAL_95",
    "Ranking",
    "auc",
    "auc_of_ranking",
    "average_precision",
    "bias",
    "brier",
    "decile_mape",
    "expected_calibration_error",
    "gain_area",
    "gini",
    "least",
    "log_loss",
    "mae",
    "poisson_deviance",
    "poisson_losses",
    "rmse",
    "share_of_best",
    "spearman",
    "top_share",
    "tweedie_deviance",
    "tweedie_losses",
]

Array = NDArray[np.float64]
NORMAL_95 = 1.959964
"""Standard errors on each side of a 95% interval."""
_TINY = 1e-300


def _arrays(actual: ArrayLike, predicted: ArrayLike, weight: ArrayLike | None) -> tuple[Array, Array, Array]:
    y, p = np.asarray(actual, dtype=float), np.asarray(predicted, dtype=float)
    return y, p, np.ones_like(y) if weight is None else np.asarray(weight, dtype=float)


def bias(actual: ArrayLike, predicted: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Predicted total over actual total, minus one. NaN where nothing happened."""
    y, p, w = _arrays(actual, predicted, weight)
    total = w @ y
    return float(w @ p / total - 1) if total > 0 else float("nan")


def mae(actual: ArrayLike, predicted: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Mean absolute error. It falls when a model predicts too little: shown, never used to choose."""
    y, p, w = _arrays(actual, predicted, weight)
    return float(w @ np.abs(y - p) / w.sum())


def rmse(actual: ArrayLike, predicted: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Root mean squared error."""
    y, p, w = _arrays(actual, predicted, weight)
    return float(np.sqrt(w @ (y - p) ** 2 / w.sum()))


def poisson_losses(actual: ArrayLike, predicted: ArrayLike, floor: float) -> Array:
    """Pointwise Poisson deviance 2 [y ln(y/p) - y + p], predictions floored."""
    y, p, _ = _arrays(actual, predicted, None)
    p = np.maximum(p, max(floor, _TINY))
    return 2 * (np.where(y > 0, y * np.log(np.maximum(y, _TINY) / p), 0.0) - y + p)


def tweedie_losses(actual: ArrayLike, predicted: ArrayLike, floor: float, power: float = 1.5) -> Array:
    """Pointwise Tweedie deviance, 1 < k < 2: 2 [y^(2-k) / ((1-k)(2-k)) - y p^(1-k) / (1-k) + p^(2-k) / (2-k)]; y < 0
    counts as 0.
    """
    y, p, _ = _arrays(actual, predicted, None)
    y, p = np.maximum(y, 0.0), np.maximum(p, max(floor, _TINY))
    a, b = 1 - power, 2 - power
    return 2 * (y**b / (a * b) - y * p**a / a + p**b / b)


def least(actual: ArrayLike, weight: ArrayLike | None = None) -> float:
    """The floor of the deviances: 1% of the actual mean."""
    y, _, w = _arrays(actual, actual, weight)
    return 0.01 * float(w @ y) / float(w.sum())


def poisson_deviance(actual: ArrayLike, predicted: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Mean Poisson deviance of counts, strictly consistent for the mean."""
    y, p, w = _arrays(actual, predicted, weight)
    return float(w @ poisson_losses(y, p, least(y, w)) / w.sum())


def tweedie_deviance(actual: ArrayLike, predicted: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Mean Tweedie deviance (power 1.5) of amounts with many zeros, strictly consistent for the mean."""
    y, p, w = _arrays(actual, predicted, weight)
    return float(w @ tweedie_losses(y, p, least(y, w)) / w.sum())


class Ranking(NamedTuple):
    """Customers from the highest score to the lowest, ties together: the same for all bootstrap samples."""

    order: NDArray[np.intp]
    ends: NDArray[np.intp]
    """The place in it of the last of each group of ties."""

    @classmethod
    def of(cls, score: Array) -> Self:
        """By a score."""
        order = np.argsort(-score, kind="stable")
        return cls(order, np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1))

    def reached(self, values: Array) -> Array:
        """(..., groups): the sum up to the end of each group of ties; values (..., n) in this order."""
        sums = np.cumsum(values, axis=-1)
        return sums if self.ends.size == self.order.size else sums[..., self.ends]


def _area(x: Array, y: Array) -> Array:
    """(...,): the area below straight lines from the origin through points (..., n)."""
    area: Array = np.vecdot(np.diff(x), y[..., 1:] + y[..., :-1]) + x[..., 0] * y[..., 0]
    return area / 2


def gain_area(actual: Array, ranking: Ranking, weight: Array) -> Array:
    """2 x area under the gain curve - 1, best ranked first; the curve is straight inside a group of ties. NaN where
    nothing was gained.

    weight: (..., n).
    """
    w = np.take(weight, ranking.order, axis=-1)
    people, value = ranking.reached(w), ranking.reached(w * actual[ranking.order])
    gained = people[..., -1] * value[..., -1]
    area: Array = 2 * _area(people, value) / np.where(gained > 0, gained, np.nan) - 1
    return area


def gini(actual: ArrayLike, predicted: ArrayLike, weight: ArrayLike | None = None) -> Any:
    """Normalised Gini: area of the gain curve by predicted order over that by actual order (1 perfect, 0 random).

    weight (n,) gives a number; (b, n) gives one for each of b bootstrap samples. NaN where nothing happened or all is
    equal.
    """
    y, p, w = _arrays(actual, predicted, weight)
    return _plain(share_of_best(gain_area(y, Ranking.of(p), w), gain_area(y, Ranking.of(y), w)))


def share_of_best(area: Array, best: Array) -> Array:
    """The normalised Gini from the area by predicted order and that by actual order."""
    some = np.abs(best) > 1e-12
    share: Array = np.where(some, area / np.where(some, best, 1.0), np.nan)
    return share


def _plain(value: Array) -> Any:
    """A number where there is one only."""
    return float(value) if np.ndim(value) == 0 else value


def _top_weight(score: Array, k: int) -> Array:
    """The probability that each customer is among the k highest, ties drawn at random."""
    edge = np.partition(score, len(score) - k)[len(score) - k]
    above, at = score > edge, score == edge
    chance: Array = above + at * (k - above.sum()) / at.sum()
    return chance


def top_share(actual: ArrayLike, predicted: ArrayLike, share: float = 0.2) -> tuple[float, float]:
    """(found, captured): share of the truly best customers among the predicted best, and share of all value they bring.

    The truly best are the top `share` of all, or everyone with anything where those are fewer. Ties by expectation.
    """
    y, p, _ = _arrays(actual, predicted, None)
    k = max(1, round(share * len(y)))
    if y.sum() <= 0:
        return float("nan"), float("nan")
    chosen, truth = _top_weight(p, k), _top_weight(y, k)
    return float((chosen * truth * (y > 0)).sum() / min(k, (y > 0).sum())), float((chosen * y).sum() / y.sum())


def _ranks(values: Array) -> Array:
    """Average ranks from 1; ties share theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def spearman(actual: ArrayLike, predicted: ArrayLike) -> float:
    """Spearman's rank correlation with average ranks; NaN where one side is constant."""
    y, p, _ = _arrays(actual, predicted, None)
    a, b = _ranks(y), _ranks(p)
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else float("nan")


def decile_mape(actual: ArrayLike, predicted: ArrayLike) -> float:
    """Mean over deciles of the predicted order of |mean predicted - mean actual| / mean actual, where the latter is
    above 0.
    """
    y, p, _ = _arrays(actual, predicted, None)
    groups = [g for g in np.array_split(np.argsort(p, kind="stable"), 10) if len(g) and y[g].mean() > 0]
    return float(np.mean([abs(p[g].mean() - y[g].mean()) / y[g].mean() for g in groups])) if groups else float("nan")


def auc(happened: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None) -> Any:
    """Chance that a random customer to whom it happened scores above one to whom it did not; ties count half.

    weight (n,) gives a number; (b, n) gives one for each of b bootstrap samples. NaN where it happened to all or to
    none.
    """
    y, p, w = _arrays(happened, score, weight)
    return _plain(auc_of_ranking(y, Ranking.of(p), w))


def auc_of_ranking(happened: Array, ranking: Ranking, weight: Array) -> Array:
    """The same by a ranking; weight: (..., n)."""
    w = np.take(weight, ranking.order, axis=-1)
    yes = ranking.reached(w * (happened[ranking.order] > 0))
    no = ranking.reached(w) - yes
    pairs = yes[..., -1] * no[..., -1]
    share: Array = np.where(pairs > 0, (pairs - _area(yes, no)) / np.where(pairs > 0, pairs, 1.0), np.nan)
    return share


def average_precision(happened: ArrayLike, score: ArrayLike) -> float:
    """Mean precision over the positives, highest score first; ties are one step."""
    y, p, _ = _arrays(happened, score, None)
    order = np.argsort(-p, kind="stable")
    happens, p = y[order] > 0, p[order]
    ends = np.r_[np.flatnonzero(np.diff(p)), len(p) - 1]
    hits = np.cumsum(happens)[ends]
    return float(np.diff(np.r_[0, hits]) @ (hits / (ends + 1)) / hits[-1]) if hits[-1] else float("nan")


def brier(happened: ArrayLike, probability: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Mean squared difference of probability and what happened (0 or 1)."""
    y, p, w = _arrays(happened, probability, weight)
    return float(w @ (p - y) ** 2 / w.sum())


def log_loss(happened: ArrayLike, probability: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Mean negative log-probability of what happened, probabilities kept 1e-12 from 0 and 1."""
    y, p, w = _arrays(happened, probability, weight)
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return float(-(w @ (y * np.log(p) + (1 - y) * np.log1p(-p))) / w.sum())


def expected_calibration_error(happened: ArrayLike, probability: ArrayLike, bins: int = 10) -> float:
    """Mean over equally filled bins of |share that happened - mean probability|."""
    y, p, _ = _arrays(happened, probability, None)
    groups = [g for g in np.array_split(np.argsort(p, kind="stable"), bins) if len(g)]
    return float(np.mean([abs(y[g].mean() - p[g].mean()) for g in groups]))
