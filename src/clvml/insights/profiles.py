"""What sets the best customers apart: effect sizes with intervals, corrected for many comparisons, ranked, in words."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm, rankdata

from clvml.errors import DataError, OptionError, did_you_mean
from clvml.insights.attributes import KnownAt, attributes_of
from clvml.orders.transactions import Transactions
from clvml.tables import canonical_ids

__all__ = ["Difference", "Profile", "benjamini_hochberg", "cliffs_delta", "profile"]

Array = npt.NDArray[np.float64]
_RARE = 10
"""A word that fewer customers have is not compared."""


@dataclass(frozen=True)
class Difference:
    """One attribute of the best against the rest."""

    attribute: str
    value: str  # the word, '' for a number
    best: float  # median of the best, or share of them with this word
    rest: float
    delta: float  # Cliff's delta: P(best > rest) − P(best < rest); for a word the difference of the shares
    low: float
    high: float
    p_value: float
    q_value: float  # false discovery rate at which this one is told (Benjamini & Hochberg)
    words: str

    @property
    def told(self) -> bool:
        """Whether the difference stands out from all that were compared (false discovery rate 5 %)."""
        return self.q_value <= 0.05


@dataclass(frozen=True)
class Profile:
    """The best against the rest, the largest difference first."""

    customers: int
    best: int
    by: str
    known_at: str
    differences: tuple[Difference, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row a difference."""
        return pd.DataFrame([asdict(d) | {"told": d.told} for d in self.differences])

    def to_dict(self) -> dict[str, Any]:
        """All findings as plain values."""
        return asdict(self)

    def __str__(self) -> str:
        told = [d for d in self.differences if d.told]
        when = "at their first order" if self.known_at == "first_order" else "so far"
        lines = [f"The best {self.best:,} of {self.customers:,} customers by {self.by}, by what was known {when}:"]
        for d in told[:12]:
            lines += textwrap.wrap(d.words, 96, initial_indent="  ", subsequent_indent="    ")
        if not told:
            lines.append(f"  none of {len(self.differences)} attributes sets them apart beyond chance.")
        elif len(told) < len(self.differences):
            lines.append(f"  ({len(self.differences) - len(told)} more attributes do not differ beyond chance)")
        return "\n".join(lines)


def profile(
    scores: pd.DataFrame,
    log: Transactions | pd.DataFrame,
    *,
    top: float = 0.10,
    by: str = "value_if_kept",
    known_at: KnownAt = "as_of",
    level: float = 0.95,
) -> Profile:
    """How the top share of the scores by `by` differs from the rest.

    log: the order log, or a table of attributes with customer_id (see `attributes_of_lines`; then `known_at` only names
    it). known_at="first_order" compares only what was known then: whom to acquire. Raises DataError if nobody matches.
    """
    if not 0 < top < 1:
        raise OptionError(f"top={top} must be a share between 0 and 1, for example 0.10.")
    if by not in scores:
        raise DataError(f"The scores have no column '{by}'.{did_you_mean(by, map(str, scores))}")
    table = log if isinstance(log, pd.DataFrame) else attributes_of(log, scores["as_of"].iloc[0], known_at=known_at)
    value = pd.Series(scores[by].to_numpy(np.float64), index=canonical_ids(scores["customer_id"]))
    own = value.reindex(canonical_ids(table["customer_id"])).to_numpy(np.float64)
    known = np.isfinite(own)
    if known.sum() < 2:
        raise DataError("The attributes are of none of the scored customers: check how ids are written.")
    table, own = table[known].reset_index(drop=True), own[known]
    count = max(1, round(top * len(own)))
    best = np.zeros(len(own), dtype=np.bool_)
    best[np.argsort(-own, kind="stable")[:count]] = True
    found = [
        d for name in table.columns if name != "customer_id" for d in _compare(str(name), table[name], best, level)
    ]
    q = benjamini_hochberg(np.array([d.p_value for d in found]))
    ranked = sorted(zip(found, q, strict=True), key=lambda pair: -abs(pair[0].delta))
    return Profile(len(own), count, by, known_at, tuple(_told(d, float(rate)) for d, rate in ranked))


def cliffs_delta(best: Array, rest: Array) -> tuple[float, float]:
    """(delta, standard error): P(best > rest) − P(best < rest), variance by placements (DeLong et al. 1988)."""
    m, n = len(best), len(rest)
    together = rankdata(np.r_[best, rest])
    above = (together[:m] - rankdata(best)) / n  # share of the rest below each of the best, ties half
    below = (together[m:] - rankdata(rest)) / m
    variance = (above.var(ddof=1) / m if m > 1 else 0.0) + (below.var(ddof=1) / n if n > 1 else 0.0)
    return float(2 * above.mean() - 1), float(2 * np.sqrt(variance))


def benjamini_hochberg(p: Array) -> Array:
    """q-values (Benjamini & Hochberg 1995): the least false discovery rate at which each is told."""
    if not len(p):
        return p
    order = np.argsort(p)
    q = np.minimum.accumulate((p[order] * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1]
    found = np.empty_like(q)
    found[order] = np.minimum(q, 1.0)
    return found


def _compare(name: str, values: pd.Series, best: npt.NDArray[np.bool_], level: float) -> list[Difference]:
    if pd.api.types.is_numeric_dtype(values):
        numbers = values.to_numpy(np.float64)
        known = np.asarray(np.isfinite(numbers))
        ours, theirs = numbers[best & known], numbers[~best & known]
        if min(len(ours), len(theirs)) < 2 or np.ptp(numbers[known]) == 0:
            return []
        return [_difference(name, "", ours, theirs, (float(np.median(ours)), float(np.median(theirs))), level)]
    words = values.astype("string").fillna("(missing)")
    counts = words.value_counts()
    common = [str(w) for w in sorted(counts.index[counts >= _RARE])]
    if len(common) == len(counts) == 2:
        common = common[1:]  # the other word says the same
    flags = [(word, np.asarray(words == word, dtype=np.float64)) for word in common if len(counts) > 1]
    return [
        _difference(name, word, flag[best], flag[~best], (float(flag[best].mean()), float(flag[~best].mean())), level)
        for word, flag in flags
    ]


def _difference(
    name: str, word: str, ours: Array, theirs: Array, centres: tuple[float, float], level: float
) -> Difference:
    delta, se = cliffs_delta(ours, theirs)
    z = float(norm.ppf(0.5 + level / 2))
    p = float(2 * norm.sf(abs(delta) / se)) if se > 0 else float(delta == 0)
    return Difference(name, word, *centres, delta, delta - z * se, delta + z * se, p, 1.0, "")


def _told(d: Difference, q: float) -> Difference:
    """With its q-value and its sentence."""
    if d.value:
        more = "more" if d.delta > 0 else "less"
        words = f"{d.attribute} is '{d.value}' {more} often: {d.best:.0%} of the best, {d.rest:.0%} of the rest"
    else:
        more, pairs = ("higher", (1 + d.delta) / 2) if d.delta > 0 else ("lower", (1 - d.delta) / 2)
        words = (
            f"{d.attribute}: median {d.best:,.4g} of the best, {d.rest:,.4g} of the rest; "
            f"{more} for the best in {pairs:.0%} of pairs"
        )
    words += f" (difference {d.delta:+.2f}, {d.low:+.2f} to {d.high:+.2f})."
    return Difference(**{**asdict(d), "q_value": q, "words": words})
