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
    commonest: tuple[str, ...]  # of each feature of words

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Encoding:
        """The encoding learned from these rows. Raises DataError for words with too many categories."""
        numeric = tuple(c for c in frame if pd.api.types.is_numeric_dtype(frame[c]))
        words: list[tuple[str, tuple[str, ...]]] = []
        commonest: list[str] = []
        for name in (c for c in frame if c not in numeric):
            counts = frame[name].astype("string").fillna("(missing)").value_counts()
            if len(counts) > _MAX_CATEGORIES:
                raise DataError(
                    f"Feature '{name}' has {len(counts)} different words, more than {_MAX_CATEGORIES}. "
                    "Group them, or leave the column out of features=[...]."
                )
            order = sorted(counts.index, key=lambda word: (-counts[word], word))
            words.append((str(name), tuple(map(str, order[1:]))))
            commonest += map(str, order[:1])
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
            tuple(commonest),
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The source columns that `matrix` needs."""
        return (*self.numeric, *(name for name, _ in self.words))

    def matrix(self, frame: pd.DataFrame) -> Array:
        """(rows, encoded columns). Words that were never seen count as the commonest.

        Raises DataError for a column that is missing, or holds words where it held numbers.
        """
        missing = [c for c in self.columns if c not in frame]
        if missing:
            raise DataError(
                f"The table lacks {len(missing)} feature(s) that the experiment had, the first '{missing[0]}'."
                f"{did_you_mean(missing[0], map(str, frame))}"
            )
        values = _numbers(frame[list(self.numeric)])
        known = np.isfinite(values)
        parts = [np.where(known, (values - self.means) / self.scales, 0.0)]
        parts += [~known[:, [self.numeric.index(c)]] * 1.0 for c in self.flagged]
        for name, categories in self.words:
            words = frame[name].astype("string").fillna("(missing)").to_numpy(dtype=object)
            parts += [(words == category)[:, None] * 1.0 for category in categories]
        return np.hstack(parts) if parts else np.empty((len(frame), 0))

    def check_words(self, frame: pd.DataFrame) -> None:
        """Raise DataError where not one of several rows has a word of a feature that was there when it learned."""
        for (name, categories), usual in zip(self.words, self.commonest, strict=True):
            words = frame[name].astype("string").fillna("(missing)") if name in frame else pd.Series(dtype="string")
            known = (usual, *categories)
            if len(words) > 1 and not words.isin(known).any():
                shown = ", ".join(f"'{word}'" for word in known[:5]) + (", …" if len(known) > 5 else "")
                raise DataError(
                    f"Feature '{name}' has none of the words of when the model learned ({shown}) in {len(words):,} "
                    f"rows, the first has '{words.iloc[0]}'. Code it as it was then."
                )


def _numbers(frame: pd.DataFrame) -> Array:
    try:
        return np.asarray(frame.to_numpy(np.float64))
    except (TypeError, ValueError):
        for name in frame:
            odd = (pd.to_numeric(frame[name], errors="coerce").isna() & frame[name].notna()).to_numpy()
            if odd.any():
                first = frame[name].iloc[int(odd.argmax())]
                raise DataError(
                    f"Feature '{name}' held numbers when the model learned; now {odd.sum():,} of {len(odd):,} rows "
                    f"hold none, the first '{first}'. Code it as it was then."
                ) from None
        raise
