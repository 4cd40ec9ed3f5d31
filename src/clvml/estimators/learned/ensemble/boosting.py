"""scikit-learn's histogram gradient boosting, grown small and kept as plain arrays."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clvml.errors import OptionError
from clvml.maths.learners.trees import MOST_LEAVES, Forest
from clvml.resources import one_thread

__all__ = ["Trees"]

Floats = NDArray[np.float64]

_EDGE_ROWS = 10_000
"""Rows from which the edges of bins are found at least, where there are as many."""
_BINNING = threading.Lock()


class Trees(NamedTuple):
    """Settings of scikit-learn's histogram gradient boosting: small trees, strongly regularised, no early stopping."""

    max_iter: int = 60
    learning_rate: float = 0.12
    max_leaf_nodes: int = 8
    max_features: float = 0.3
    min_samples_leaf: int = 80
    l2_regularization: float = 20.0
    max_bins: int = 32
    max_rows: int = 60_000
    """Rows grown on at most, evenly spread over those given: more rows add little."""

    def grow(self, learner: Any, X: Floats, y: NDArray[Any], weight: Floats, seed: int) -> Forest:
        """The trees of one of scikit-learn's two learners, fitted. Raises OptionError for trees of too many leaves."""
        if self.max_leaf_nodes > MOST_LEAVES:
            raise OptionError(
                f"max_leaf_nodes={self.max_leaf_nodes} makes large trees; those of a model have at most "
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
        grown = learner(early_stopping=False, **settings)
        grown._bin_data = _one_at_a_time(grown._bin_data)
        with one_thread():
            grown.fit(few, y[some], sample_weight=weight)
        return Forest.of(grown)


def _one_at_a_time(bins: Callable[..., Any]) -> Callable[..., Any]:
    """Where scikit-learn makes bins it empties the process's warning filters for a moment, and warns where it finds
    them empty, as another thread that makes bins may have left them.
    """

    def locked(*args: Any, **options: Any) -> Any:
        with _BINNING:
            return bins(*args, **options)

    return locked


def _binned(column: Floats, weight: Floats, bins: int) -> Floats:
    """Each value replaced by the mean of its bin, one of `bins` of about equal weight.

    scikit-learn then cuts between the bins. To find their edges in weighted rows it takes longer than for the trees.
    """
    some = slice(None, None, max(1, column.size // _EDGE_ROWS))
    order = np.argsort(column[some])
    ascending, sums = column[some][order], np.cumsum(weight[some][order])
    if np.count_nonzero(np.diff(ascending)) < bins:
        return column
    edges = np.unique(ascending[np.searchsorted(sums, sums[-1] * np.arange(1, bins) / bins)])
    place = np.searchsorted(edges, column, side="right")
    mean: Floats = np.bincount(place, weights=column) / np.maximum(np.bincount(place), 1)
    return mean[place]
