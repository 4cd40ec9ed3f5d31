"""A table of features as a matrix: numbers scaled, words one-hot."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.errors import DataError, did_you_mean

__all__ = ["Encoding"]

Array = npt.NDArray[np.float64]
_MAX_CATEGORIES = 50


class Encoding(NamedTuple):
    """Feature table -> matrix: numbers centred and scaled, missing numbers at the mean with a flag, words one-hot."""

    numeric: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    flagged: tuple[str, ...]  # numeric features with missing values: one more 0/1 column each
    words: tuple[tuple[str, tuple[str, ...]], ...]  # feature -> its categories, the commonest left out as the base

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Encoding:
        """The encoding learned from these rows. Raises DataError for words with too many categories."""
        numeric = tuple(c for c in frame if pd.api.types.is_numeric_dtype(frame[c]))
        words = []
        for name in (c for c in frame if c not in numeric):
            counts = frame[name].astype("string").fillna("(missing)").value_counts()
            if len(counts) > _MAX_CATEGORIES:
                raise DataError(
                    f"Feature '{name}' has {len(counts)} different words, more than {_MAX_CATEGORIES}. "
                    "Group them, or leave the column out of features=[...]."
                )
            order = sorted(counts.index, key=lambda word: (-counts[word], word))
            words.append((str(name), tuple(map(str, order[1:]))))
        values = frame[list(numeric)].to_numpy(np.float64)
        known = np.isfinite(values)
        means = np.divide(np.where(known, values, 0.0).sum(axis=0), np.maximum(known.sum(axis=0), 1))
        scales = np.sqrt(np.where(known, (values - means) ** 2, 0.0).sum(axis=0) / max(len(values), 1))
        return cls(
            tuple(map(str, numeric)),
            tuple(means.tolist()),
            tuple(np.where(scales > 0, scales, 1.0).tolist()),
            tuple(str(c) for c, full in zip(numeric, known.all(axis=0), strict=True) if not full),
            tuple(words),
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The source columns that `matrix` needs."""
        return (*self.numeric, *(name for name, _ in self.words))

    def matrix(self, frame: pd.DataFrame) -> Array:
        """(rows, encoded columns). Words that were never seen count as the base category."""
        missing = [c for c in self.columns if c not in frame]
        if missing:
            raise DataError(
                f"The table lacks {len(missing)} feature(s) that the experiment had, the first '{missing[0]}'."
                f"{did_you_mean(missing[0], map(str, frame))}"
            )
        values = frame[list(self.numeric)].to_numpy(np.float64)
        known = np.isfinite(values)
        parts = [np.where(known, (values - self.means) / self.scales, 0.0)]
        parts += [~known[:, [self.numeric.index(c)]] * 1.0 for c in self.flagged]
        for name, categories in self.words:
            words = frame[name].astype("string").fillna("(missing)").to_numpy(dtype=object)
            parts += [(words == category)[:, None] * 1.0 for category in categories]
        return np.hstack(parts) if parts else np.empty((len(frame), 0))
