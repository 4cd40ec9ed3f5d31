"""How good a prediction is: plain functions of (actual, predicted, weight), ties shared, strictly proper where it counts.

`weight` counts customers (a bootstrap's multinomial draws, or repeated rows); `None` is one each. A weight of k is the same
as k identical rows. Predictions of amounts are floored at 1 % of the actual mean in the deviances, so that a baseline's
zero costs much but not infinity.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "auc",
    "average_precision",
    "bias",
    "brier",
    "decile_mape",
    "expected_calibration_error",
    "gini",
    "log_loss",
    "mae",
    "poisson_deviance",
    "rmse",
    "spearman",
    "top_share",
    "tweedie_deviance",
    "wape",
]

Array = NDArray[np.float64]
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


def wape(actual: ArrayLike, predicted: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Sum of absolute errors over the actual total."""
    y, p, w = _arrays(actual, predicted, weight)
    total = w @ y
    return float(w @ np.abs(y - p) / total) if total > 0 else float("nan")


def rmse(actual: ArrayLike, predicted: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Root mean squared error."""
    y, p, w = _arrays(actual, predicted, weight)
    return float(np.sqrt(w @ (y - p) ** 2 / w.sum()))


def poisson_deviance(actual: ArrayLike, predicted: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Mean Poisson deviance 2 [y ln(y/p) - y + p] of counts, strictly consistent for the mean."""
    y, p, w = _arrays(actual, predicted, weight)
    p = np.maximum(p, max(0.01 * float(w @ y) / w.sum(), _TINY))
    return float(2 * (w @ (np.where(y > 0, y * np.log(np.maximum(y, _TINY) / p), 0.0) - y + p)) / w.sum())


def tweedie_deviance(actual: ArrayLike, predicted: ArrayLike, weight: ArrayLike | None = None, power: float = 1.5) -> float:
    """Mean Tweedie deviance (1 < power < 2) of amounts with many zeros, strictly consistent for the mean.

    2 [y^(2-k) / ((1-k)(2-k)) - y p^(1-k) / (1-k) + p^(2-k) / (2-k)]; an amount below zero counts as zero.
    """
    y, p, w = _arrays(actual, predicted, weight)
    y = np.maximum(y, 0.0)
    p = np.maximum(p, max(0.01 * float(w @ y) / w.sum(), _TINY))
    a, b = 1 - power, 2 - power
    return float(2 * (w @ (y**b / (a * b) - y * p**a / a + p**b / b)) / w.sum())


def _gain_area(y: Array, p: Array, w: Array) -> float:
    """2 x area under the gain curve - 1, best predicted first; the curve is straight inside a group of ties."""
    order = np.argsort(-p, kind="stable")
    edges = np.flatnonzero(np.diff(p[order])) if len(p) > 1 else np.array([], dtype=int)
    ends = np.r_[edges, len(p) - 1]
    x = np.r_[0.0, np.cumsum(w[order])[ends]]
    c = np.r_[0.0, np.cumsum((w * y)[order])[ends]]
    if x[-1] <= 0 or c[-1] <= 0:
        return float("nan")
    return float(2 * np.trapezoid(c / c[-1], x / x[-1]) - 1)


def gini(actual: ArrayLike, predicted: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Normalised Gini: area of the gain curve by predicted order over that by actual order (1 perfect, 0 random)."""
    y, p, w = _arrays(actual, predicted, weight)
    best = _gain_area(y, y, w)
    return _gain_area(y, p, w) / best if best else float("nan")


def _top_weight(score: Array, k: int) -> Array:
    """The probability that each customer is among the k highest, ties drawn at random."""
    edge = np.partition(score, len(score) - k)[len(score) - k]
    above, at = score > edge, score == edge
    return above + at * (k - above.sum()) / at.sum()


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
    """Mean over deciles of the predicted order of |mean predicted - mean actual| / mean actual, where the latter is above 0."""
    y, p, _ = _arrays(actual, predicted, None)
    groups = [g for g in np.array_split(np.argsort(p, kind="stable"), 10) if len(g) and y[g].mean() > 0]
    return float(np.mean([abs(p[g].mean() - y[g].mean()) / y[g].mean() for g in groups])) if groups else float("nan")


def auc(happened: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Chance that a random customer to whom it happened scores above one to whom it did not; ties count half."""
    y, p, w = _arrays(happened, score, weight)
    order = np.argsort(p, kind="stable")
    y, p, w = y[order] > 0, p[order], w[order]
    group = np.r_[0, np.cumsum(np.diff(p) != 0)] if len(p) else np.array([], dtype=int)
    yes, no = np.bincount(group, w * y), np.bincount(group, w * ~y)
    below = np.cumsum(no) - no
    pairs = yes.sum() * no.sum()
    return float(yes @ (below + no / 2) / pairs) if pairs > 0 else float("nan")


def average_precision(happened: ArrayLike, score: ArrayLike) -> float:
    """Mean precision over the positives, highest score first; ties are one step."""
    y, p, _ = _arrays(happened, score, None)
    order = np.argsort(-p, kind="stable")
    y, p = y[order] > 0, p[order]
    ends = np.r_[np.flatnonzero(np.diff(p)), len(p) - 1]
    hits = np.cumsum(y)[ends]
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
