"""A head: one quantity predicted as the BTYD expectation, and twice corrected, by a straight line and by trees.

Both corrections are learned on rolling snapshots as a factor on the expectation over the label window, and applied to
the expectation over the horizon: what BTYD knows of time carries the horizon, what the past of the log knows of
customers carries the difference. Their mean with BTYD itself was as good as or better than each alone on nearly every
log tried.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from clvml.errors import OptionError
from clvml.maths.learners import glm
from clvml.maths.learners.trees import MOST_LEAVES, Forest
from clvml.resources import one_thread

__all__ = ["Head", "Trees", "amounts", "fit_amount_head", "fit_return_head", "return_log_hazards"]

Floats = NDArray[np.float64]

_FLOOR = 0.01
"""Least expectation, as a share of the mean, that a factor is applied to: a factor on nothing would be nothing for
ever.
"""
_LEAST_CUSTOMERS = 100
"""Fewer customers than these correct nothing."""
_EDGE_ROWS = 10_000
"""Rows from which the edges of bins are found."""
_REACH = 3.0
"""Corrections stay within exp(+-3) of BTYD."""


class Trees(NamedTuple):
    """Settings of scikit-learn's histogram gradient boosting: small trees, strongly regularised, no early stopping."""

    max_iter: int = 60
    learning_rate: float = 0.1
    max_leaf_nodes: int = 8
    min_samples_leaf: int = 80
    l2_regularization: float = 20.0
    max_bins: int = 32
    max_rows: int = 60_000
    """Rows grown on at most, evenly spread over those given: the corrections are smooth, and more rows add little."""

    def grow(self, learner: Any, X: Floats, y: NDArray[Any], weight: Floats, seed: int) -> Forest:
        """The trees of one of scikit-learn's two learners, fitted. Raises OptionError for trees of too many leaves."""
        if self.max_leaf_nodes > MOST_LEAVES:
            raise OptionError(
                f"max_leaf_nodes={self.max_leaf_nodes} makes large trees; those that correct BTYD have at most "
                f"{MOST_LEAVES} leaves. Give that or fewer, and more rounds (max_iter) where they say too little."
            )
        some = np.linspace(0, len(X) - 1, min(len(X), self.max_rows)).astype(np.intp)
        settings = self._asdict() | {
            "min_samples_leaf": max(2, min(self.min_samples_leaf, len(some) // 10)),
            "random_state": seed,
        }
        del settings["max_rows"]
        weight = weight[some] / weight[some].mean()
        few = np.column_stack([_binned(column, weight, self.max_bins) for column in X[some].T])
        with one_thread():
            grown = learner(early_stopping=False, **settings).fit(few, y[some], sample_weight=weight)
        return Forest.of(grown)


class Head(NamedTuple):
    """What was learned: the coefficients of the straight line (intercept first), and the trees, or None where data
    are too few.
    """

    beta: Floats
    trees: Forest | None

    def line(self, X: Floats) -> Floats:
        """The log of the straight line's factor.

        Column by column: BLAS would wake threads of its own, which then spin beside those that score other batches.
        """
        factor, term = np.full(len(X), self.beta[0]), np.empty(len(X))
        for column, slope in zip(X.T, self.beta[1:], strict=True):
            factor += np.multiply(column, slope, out=term)
        np.clip(factor, -_REACH, _REACH, out=factor)
        return factor

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"beta": self.beta.tolist(), "trees": None if self.trees is None else self.trees.to_dict()}

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        trees = told["trees"]
        return cls(np.asarray(told["beta"], dtype=float), None if trees is None else Forest.from_dict(trees))


def _binned(column: Floats, weight: Floats, bins: int) -> Floats:
    """Each value replaced by the mean of its bin, one of `bins` of about equal weight. Few rows stay as they are.

    scikit-learn then cuts between the bins. To find their edges in weighted rows it takes longer than for the trees.
    """
    if column.size <= _EDGE_ROWS:
        return column
    some = slice(None, None, column.size // _EDGE_ROWS)
    order = np.argsort(column[some])
    ascending, sums = column[some][order], np.cumsum(weight[some][order])
    if np.count_nonzero(np.diff(ascending)) < bins:
        return column
    edges = np.unique(ascending[np.searchsorted(sums, sums[-1] * np.arange(1, bins) / bins)])
    place = np.searchsorted(edges, column, side="right")
    mean: Floats = np.bincount(place, weights=column) / np.maximum(np.bincount(place), 1)
    return mean[place]


def _line(family: glm.Family, X: Floats, y: Floats, offset: Floats, weight: Floats, penalty: float) -> Floats:
    """The straight line's coefficients; none, so that BTYD stays as it is, with too few customers to correct it."""
    if weight.sum() < _LEAST_CUSTOMERS:
        return np.zeros(X.shape[1] + 1)
    return glm.fit(family, X, y, offset, weight, penalty)


def _enough(y: Floats) -> bool:
    """Trees need a few hundred rows with both outcomes."""
    return len(y) >= 300 and 50 <= int((y > 0).sum()) <= len(y) - 50


def fit_return_head(
    X: Floats, bought: Floats, log_hazard: Floats, weight: Floats, penalty: float, trees: Trees, seed: int
) -> Head:
    """P(return): a hazard model with BTYD's log cumulative hazard as its offset, and a boosted classifier.

    X (n, k), bought (n,) of 0 and 1, log_hazard (n,) over the label window.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    beta = _line(glm.HAZARD, X, bought, log_hazard, weight, penalty)
    if not _enough(bought):
        return Head(beta, None)
    return Head(beta, trees.grow(HistGradientBoostingClassifier, X, bought.astype(np.int64), weight, seed))


def return_log_hazards(head: Head, X: Floats, window: Floats, horizon: Floats) -> Floats:
    """(3, n): log cumulative hazard over the horizon by BTYD, line and trees. `window`, `horizon`: BTYD's own over
    either length.

    Where there are no trees, the mean of the other two stands in, which leaves the mean of all as it is.
    """
    line = horizon + head.line(X)
    trees = (horizon + line) / 2
    if head.trees is not None:
        p = np.clip(expit(head.trees.sums(X)), 1e-6, 1 - 1e-6)
        trees = np.log(-np.log1p(-p)) + horizon - window
    return np.stack([horizon, line, trees])


def fit_amount_head(
    family: glm.Family, X: Floats, y: Floats, expected: Floats, weight: Floats, penalty: float, trees: Trees, seed: int
) -> Head:
    """Purchases or spend as factors on an expectation over the label window. Poisson trees on y / o with weight o are
    an exact offset.

    X (n, k), y (n,) >= 0 and expected (n,) > 0, both divided by the mean of y.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    offset = np.maximum(expected, _FLOOR)
    beta = _line(family, X, y, np.log(offset), weight, penalty)
    if not _enough(y):
        return Head(beta, None)
    poisson = partial(HistGradientBoostingRegressor, loss="poisson")
    return Head(beta, trees.grow(poisson, X, y / offset, weight * offset, seed))


def amounts(head: Head, X: Floats, expected: Floats) -> list[Floats]:
    """The quantity over the horizon by BTYD, line and trees. `expected`: BTYD's own, in the unit of the fit."""
    offset = np.maximum(expected, _FLOOR)
    members = [expected, offset * np.exp(head.line(X))]
    if head.trees is not None:
        members.append(offset * np.exp(np.clip(head.trees.sums(X), -_REACH, _REACH)))
    return members
