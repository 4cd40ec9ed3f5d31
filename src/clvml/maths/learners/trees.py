"""Boosted trees of at most eight leaves as plain arrays: nothing to run when they are read, and quick to walk.

A tree is its tests, each "feature > threshold", and its leaves in order from left to right, as bits of one byte. A test
that holds rules out the leaves to its left; after all tests the first leaf left over is that of the customer (Lucchese
et al. 2015, QuickScorer). So a million customers take a few whole-array operations a test, each test is made once for
all trees that ask it, and what the leaves add is looked up for several trees at once.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_LEAVES", "Forest"]

Floats = NDArray[np.float64]

MOST_LEAVES = 8
"""Of a tree: the bits of a byte."""
_ONE = np.uint8(1)
_BITS = 3
"""Of the number of a leaf."""
_TOGETHER = 4
"""Trees whose leaves are looked up at once: the sums of all their combinations stay in the processor's cache."""
_BLOCK = 131_072
"""Rows walked at once. Fewer would stay in the cache, but each operation takes Python's lock, for which threads that
score other rows wait."""


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
        """(n,): start plus the leaf of every tree; X (n, features), best column after column."""
        out, columns, rows = np.full(len(X), self.start), np.ascontiguousarray(X.T), min(_BLOCK, len(X))
        tests, of_tree = np.unique(
            np.stack([self.feature, self.threshold], axis=2).reshape(-1, 2), axis=0, return_inverse=True
        )
        asked = np.split(tests, np.flatnonzero(np.diff(tests[:, 0])) + 1)  # by feature
        trees = list(zip(of_tree.reshape(self.feature.shape), self.left, strict=True))
        tables = [_combined(self.value[first : first + _TOGETHER]) for first in range(0, len(trees), _TOGETHER)]
        holds, room = np.empty((len(tests), rows), np.uint8), np.empty((2, rows), np.uint8)
        code, added = np.empty(rows, np.uint16), np.empty(rows)
        for begin in range(0, len(X), _BLOCK):
            block = columns[:, begin : begin + _BLOCK]
            n, place = block.shape[1], 0
            for of_feature in asked:
                answers = holds[place : place + len(of_feature), :n].view(np.bool_)
                np.greater(block[int(of_feature[0, 0])], of_feature[:, 1:], out=answers)
                place += len(of_feature)
            right, some, leaf = np.negative(holds[:, :n], out=holds[:, :n]), code[:n], added[:n]  # all bits of a byte
            for number, table in enumerate(tables):
                some[:] = 0
                for tree in trees[number * _TOGETHER : (number + 1) * _TOGETHER]:
                    np.left_shift(some, _BITS, out=some)
                    np.bitwise_or(some, _leaf(right, *tree, *room[:, :n]), out=some)
                table.take(some, out=leaf, mode="clip")
                out[begin : begin + n] += leaf
        return out

    @classmethod
    def of(cls, learner: Any) -> Self:
        """The trees of a fitted HistGradientBoosting learner of scikit-learn, with one output and numeric features.

        `sums` is then its raw prediction, before the link function, but for the order in which leaves are added up.
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
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises ValueError where the parts do not fit together."""
        feature = np.asarray(saved["feature"], dtype=np.int64)
        threshold, value = (np.asarray(saved[name], dtype=np.float64) for name in ("threshold", "value"))
        left = np.asarray(saved["left"], dtype=np.uint8)
        if not feature.shape == threshold.shape == left.shape or value.shape != (len(feature), MOST_LEAVES):
            raise ValueError(
                f"a forest of shapes {feature.shape}, {threshold.shape}, {left.shape} and {value.shape} is none"
            )
        return cls(float(saved["start"]), feature, threshold, left, value)


def _leaf(
    right: NDArray[np.uint8],
    tests: NDArray[np.intp],
    left: NDArray[np.uint8],
    gone: NDArray[np.uint8],
    more: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    """(n,): the number of each row's leaf, in `gone`. right (all tests, n): all bits of a byte where a test holds."""
    np.bitwise_and(right[tests[0]], left[0], out=gone)
    for test, bits in zip(tests[1:], left[1:], strict=True):
        if bits:
            np.bitwise_and(right[test], bits, out=more)
            np.bitwise_or(gone, more, out=gone)
    # The lowest bit left over, and all below it; without it they are as many as there are leaves before.
    np.add(gone, _ONE, out=more)
    np.bitwise_xor(gone, more, out=gone)
    np.right_shift(gone, _ONE, out=gone)
    return np.bitwise_count(gone, out=gone)


def _combined(values: Floats) -> Floats:
    """What the leaves of some trees add together, for every combination: the first tree's number in the highest bits.

    values (trees, MOST_LEAVES).
    """
    sums = np.zeros(1)
    for added in values:
        sums = (sums[:, None] + added).ravel()
    return sums


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
