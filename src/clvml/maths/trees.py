"""Boosted trees of at most eight leaves as plain arrays: nothing to run when they are read, and quick to walk.

A tree is its tests, each "feature > threshold", and its leaves in order from left to right, as bits of one byte. A test
that holds rules out the leaves to its left; after all tests the first leaf left over is that of the customer (Lucchese
et al. 2015, QuickScorer). So a million customers take a few whole-array operations a test, and each test is made once
for all trees that ask it: a fifteenth of the time of walking node by node.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_LEAVES", "Forest"]

Floats = NDArray[np.float64]

MOST_LEAVES = 8
"""Of a tree: the bits of a byte."""
_FIRST = np.array([next((bit for bit in range(8) if not gone >> bit & 1), 7) for gone in range(256)])
"""The first leaf that a byte of leaves ruled out leaves over."""
_BLOCK = 32_768
"""Rows walked at once: their columns stay in the processor's cache."""


class Forest(NamedTuple):
    """A sum of trees. Where a tree has fewer tests than another, it has some that rule out nothing."""

    start: float
    """What the leaves are added to."""
    feature: NDArray[np.int64]
    """(trees, tests): the column that each test looks at."""
    threshold: Floats
    """(trees, tests): above it the row goes right."""
    left: NDArray[np.uint8]
    """(trees, tests): the leaves that are then ruled out, one bit each."""
    value: Floats
    """(trees, MOST_LEAVES): what each leaf adds."""

    def sums(self, X: Floats) -> Floats:
        """(n,): start plus the leaf of every tree, in their order; X (n, features), best column after column."""
        out, leaves, columns = np.full(len(X), self.start), self.value[:, _FIRST], np.ascontiguousarray(X.T)
        tests, of_tree = np.unique(
            np.stack([self.feature, self.threshold], axis=2).reshape(-1, 2), axis=0, return_inverse=True
        )
        of_tree = of_tree.reshape(self.feature.shape)
        rows = min(_BLOCK, len(X))
        holds, gone, more, leaf = np.empty((len(tests), rows), np.uint8), *np.empty((2, rows), np.uint8), np.empty(rows)
        for begin in range(0, len(X), _BLOCK):
            block = columns[:, begin : begin + _BLOCK]
            n = block.shape[1]
            right, gone, more, leaf = holds[:, :n], gone[:n], more[:n], leaf[:n]
            for test, (feature, threshold) in enumerate(tests):
                np.greater(block[int(feature)], threshold, out=right[test].view(np.bool_))
            np.negative(right, out=right)  # all bits of the byte where a test holds
            for places, left, values in zip(of_tree, self.left, leaves, strict=True):
                np.bitwise_and(right[places[0]], left[0], out=gone)
                for place, bits in zip(places[1:], left[1:], strict=True):
                    np.bitwise_and(right[place], bits, out=more)
                    np.bitwise_or(gone, more, out=gone)
                values.take(gone, out=leaf, mode="clip")
                out[begin : begin + n] += leaf
        return out

    @classmethod
    def of(cls, learner: Any) -> Self:
        """The trees of a fitted HistGradientBoosting learner of scikit-learn, with one output and numeric features.

        `sums` is then its raw prediction, before the link function, to the last bit.
        """
        trees = [_tests(tree.nodes) for (tree,) in learner._predictors]
        shape = len(trees), max(1, *(len(tests) for tests, _ in trees))
        feature, threshold, left = np.zeros(shape, np.int64), np.zeros(shape), np.zeros(shape, np.uint8)
        value = np.zeros((len(trees), MOST_LEAVES))
        for i, (tests, leaves) in enumerate(trees):
            for j, test in enumerate(tests):
                feature[i, j], threshold[i, j], left[i, j] = test
            value[i, : len(leaves)] = leaves
        return cls(float(learner._baseline_prediction.item()), feature, threshold, left, value)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {name: part.tolist() if isinstance(part, np.ndarray) else part for name, part in self._asdict().items()}

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises ValueError where the parts do not fit together."""
        feature = np.asarray(told["feature"], dtype=np.int64)
        threshold, value = (np.asarray(told[name], dtype=np.float64) for name in ("threshold", "value"))
        left = np.asarray(told["left"], dtype=np.uint8)
        if not feature.shape == threshold.shape == left.shape or value.shape != (len(feature), MOST_LEAVES):
            raise ValueError(
                f"a forest of shapes {feature.shape}, {threshold.shape}, {left.shape} and {value.shape} is none"
            )
        return cls(float(told["start"]), feature, threshold, left, value)


def _tests(nodes: NDArray[Any]) -> tuple[list[tuple[int, float, int]], list[float]]:
    """Feature, threshold and leaves to the left of every test of a tree, and its leaves from left to right."""
    tests: list[tuple[int, float, int]] = []
    leaves: list[float] = []

    def walk(place: int) -> int:
        """The bits of the leaves below a node."""
        node = nodes[place]
        if node["is_leaf"]:
            leaves.append(float(node["value"]))
            return 1 << (len(leaves) - 1)
        left = walk(int(node["left"]))
        tests.append((int(node["feature_idx"]), float(node["num_threshold"]), left))
        return left | walk(int(node["right"]))

    walk(0)
    return tests, leaves
