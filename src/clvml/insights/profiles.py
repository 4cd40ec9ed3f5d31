"""What sets the best customers apart: effect sizes with intervals, corrected for many comparisons, ranked, in words."""

from __future__ import annotations

import itertools
import textwrap
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr

from clvml.checks import check_level, check_share
from clvml.errors import DataError, did_you_mean
from clvml.insights.attributes import (
    DAY_OF_FIRST_ORDER,
    INGREDIENTS,
    MISSING,
    RETURNED_SHARE,
    KnownAt,
    attributes_of_summary,
    known_before,
)
from clvml.maths.comparison import two_sided
from clvml.orders.transactions import Transactions
from clvml.tables import canonical_ids, finite_column

__all__ = ["Difference", "Profile", "benjamini_hochberg", "cliffs_delta", "delta_of_shares", "profile"]

Array = npt.NDArray[np.float64]
MIN_WORD_CUSTOMERS = 10
"""A word that fewer customers have is not compared."""
MAX_FALSE_DISCOVERIES = 0.05
"""False discovery rate at which a difference is reported (Benjamini & Hochberg)."""
MIN_GROUP = 5
"""Best customers, or others, without whom nothing is compared: of two customers chance makes any difference."""
SHOWN_ATTRIBUTES = 12
SHOWN_WORDS = 2
"""Words of one attribute in print, those that the best have more often and those that they have less often."""


@dataclass(frozen=True)
class Difference:
    """One attribute of the best against the rest.

    Attributes
    ----------
    attribute, value : str
        The attribute, and the word that is compared; '' for a number.
    best, rest : float
        Median of the two groups, or the share of each that has the word.
    delta : float
        Cliff's delta, P(best > rest) − P(best < rest), from −1 to 1; for a word the difference of the shares.
    low, high : float
        Confidence interval of delta.
    p_value, q_value : float
        Of no difference: by itself, and as the false discovery rate among all comparisons.
    """

    attribute: str
    value: str
    best: float
    rest: float
    delta: float
    low: float
    high: float
    p_value: float
    q_value: float

    @property
    def is_significant(self) -> bool:
        """Whether it stands out from all that were compared (false discovery rate 5%)."""
        return self.q_value <= MAX_FALSE_DISCOVERIES

    @property
    def sentence(self) -> str:
        """The difference in words."""
        if self.value:
            more = "more" if self.delta > 0 else "less"
            text = f"{self.attribute} is '{self.value}' {more} often: {self.shares}"
        else:
            more, side = ("higher", 1) if self.delta > 0 else ("lower", -1)
            if self.is_tied:
                median, less = _written(self.attribute, self.best), "lower" if side > 0 else "higher"
                low, high = sorted(side * end for end in (self.low, self.high))
                return (
                    f"{self.attribute}: median {median} of both; of 100 pairs the best is {more} in "
                    f"{100 * abs(self.delta):.0f} more than {less} ({100 * low:.0f} to {100 * high:.0f})."
                )
            pairs = (1 + side * self.delta) / 2
            text = (
                f"{self.attribute}: median {_written(self.attribute, self.best)} of the best, "
                f"{_written(self.attribute, self.rest)} of the rest; "
                f"{more} for the best in {pairs:.0%} of pairs"
            )
            low, high = sorted((1 + side * end) / 2 for end in (self.low, self.high))
            return f"{text} ({low:.0%} to {high:.0%})."
        return f"{text} (difference {100 * self.delta:+.0f} p, {100 * self.low:+.0f} to {100 * self.high:+.0f})."

    @property
    def is_tied(self) -> bool:
        """Whether the medians agree: then many pairs are equal, and a share of pairs would count them half."""
        return not self.value and self.best == self.rest

    @property
    def shares(self) -> str:
        """How many of the two groups have the word."""
        return f"{self.best:.0%} of the best, {self.rest:.0%} of the rest"


@dataclass(frozen=True, repr=False)
class Profile:
    """The best customers against the rest.

    Attributes
    ----------
    customers, best : int
        Compared in all, and those among them that are the best.
    by : str
        Column of the scores that says who is best.
    known_at : str
        "first_order" or "as_of": when the attributes were known.
    differences : tuple of Difference
        One for each number and each word of an attribute, the largest first.
    left_out : tuple of str
        Attributes that are not compared, because the value is worked out from them.
    note : str
        Why the day of the first order is not compared, where it is not.
    """

    customers: int
    best: int
    by: str
    known_at: str
    differences: tuple[Difference, ...]
    left_out: tuple[str, ...] = ()
    note: str = ""

    def to_frame(self) -> pd.DataFrame:
        """One row a difference, with is_significant and its sentence."""
        return pd.DataFrame(self._rows())

    def to_dict(self) -> dict[str, Any]:
        """All findings as plain values."""
        return asdict(self) | {"differences": self._rows()}

    def _rows(self) -> list[dict[str, Any]]:
        return [asdict(d) | {"is_significant": d.is_significant, "sentence": d.sentence} for d in self.differences]

    def __str__(self) -> str:
        significant = [d for d in self.differences if d.is_significant]
        when = "at their first order" if self.known_at == "first_order" else "so far"
        lines = [f"The best {self.best:,} of {self.customers:,} customers by {self.by}, by what was known {when}:"]
        for text in _by_attribute(significant)[:SHOWN_ATTRIBUTES]:
            lines += textwrap.wrap(text, 96, initial_indent="  ", subsequent_indent="    ")
        alike = {d.attribute for d in self.differences} - {d.attribute for d in significant}
        if not significant:
            lines.append(f"  none of {len(alike)} attributes sets them apart beyond chance.")
        elif alike:
            text = f"No difference beyond chance: {', '.join(sorted(alike))}."
            lines += textwrap.wrap(text, 96, initial_indent="  ", subsequent_indent="    ")
        if self.note:
            lines += textwrap.wrap(self.note, 96, initial_indent="  ", subsequent_indent="    ")
        if self.left_out:
            text = f"Not compared, for {self.by} is worked out from them: {', '.join(self.left_out)}."
            lines += textwrap.wrap(text, 96, initial_indent="  ", subsequent_indent="    ")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


def profile(
    scores: pd.DataFrame,
    log: Transactions | pd.DataFrame,
    *,
    top: float = 0.10,
    by: str = "value_if_kept",
    known_at: KnownAt = "as_of",
    level: float = 0.95,
) -> Profile:
    """Compare the best customers with the rest.

    Numbers by Cliff's delta, words by the difference of their shares, all with intervals and corrected for the number
    of comparisons. What the value itself is worked out from (how often, how much, how recently they bought) is left
    out: that it differs says nothing.

    Parameters
    ----------
    scores : pandas.DataFrame
        Scores of one day: the output of `ClvModel.score` or of `clvml predict`.
    log : Transactions or pandas.DataFrame
        The log that was scored; or a table of attributes, one row a customer with customer_id, such as the output of
        `attributes_of_lines` (then `known_at` only names it).
    top : float, default 0.10
        Share of the customers that counts as the best.
    by : str, default "value_if_kept"
        Column of the scores that says who is best.
    known_at : {"as_of", "first_order"}
        "first_order" compares only what was known then, and so tells whom to acquire.
    level : float, default 0.95
        Of the intervals.

    Returns
    -------
    Profile

    Raises
    ------
    OptionError
        If `top` is no share.
    DataError
        If the scores have no such column of finite numbers, or the attributes are of none of the scored customers.

    References
    ----------
    Cliff, N. (1993). Dominance statistics. Psychological Bulletin 114, 494-509.
    DeLong, E. R., DeLong, D. M. and Clarke-Pearson, D. L. (1988). Biometrics 44, 837-845 (the variance).
    Benjamini, Y. and Hochberg, Y. (1995). Journal of the Royal Statistical Society B 57, 289-300.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from clvml import profile
    >>> rng = np.random.default_rng(0)
    >>> web = rng.random(500) < 0.5
    >>> scores = pd.DataFrame({"customer_id": range(500), "value_if_kept": rng.gamma(2, 20, 500) * (1 + web)})
    >>> known = pd.DataFrame({"customer_id": range(500), "channel": np.where(web, "web", "shop")})
    >>> print(profile(scores, known, top=0.2))
    The best 100 of 500 customers by value_if_kept, by what was known so far:
      channel is more often 'web' (82% of the best, 35% of the rest).
    """
    check_share("top", top)
    check_level(level)
    if by not in scores:
        raise DataError(f"The scores have no column '{by}'.{did_you_mean(by, map(str, scores))}")
    table, note = log, ""
    if isinstance(table, Transactions):
        summary = table.summarize(scores["as_of"].iloc[0])
        table = attributes_of_summary(summary, known_at=known_at)
        if (before := known_before(summary)) is not None:
            note = f"Not compared: {' and '.join(DAY_OF_FIRST_ORDER)}, for {before.first:,} customers were {before}."
    own = finite_column(scores, by, "scores")
    if not scores["customer_id"].reset_index(drop=True).equals(table["customer_id"].reset_index(drop=True)):
        value = pd.Series(own, index=canonical_ids(scores["customer_id"]))
        own = np.asarray(value.reindex(canonical_ids(table["customer_id"])), dtype=np.float64)
    known = np.isfinite(own)
    if known.sum() < 2:
        raise DataError("The attributes are of none of the scored customers: check how ids are written.")
    table, own = table[known].reset_index(drop=True), own[known]
    count = max(1, round(top * len(own)))
    best = np.zeros(len(own), dtype=np.bool_)
    best[np.argsort(-own, kind="stable")[:count]] = True
    left_out = tuple(str(name) for name in table.columns if name in INGREDIENTS)
    names = [name for name in table.columns if name != "customer_id" and name not in left_out]
    found = [d for name in names for d in _compare(str(name), table[name], best, level)]
    q = benjamini_hochberg(np.array([d.p_value for d in found]))
    corrected = [replace(d, q_value=float(rate)) for d, rate in zip(found, q, strict=True)]
    ranked = tuple(sorted(corrected, key=lambda d: -abs(d.delta)))
    return Profile(len(own), count, by, known_at, ranked, left_out, note)


def cliffs_delta(best: Array, rest: Array) -> tuple[float, float]:
    """(delta, standard error): P(best > rest) − P(best < rest), variance by placements (DeLong et al. 1988)."""
    m, n = len(best), len(rest)
    best, rest = np.sort(best), np.sort(rest)
    above, below = _placements(best, rest), _placements(rest, best)
    variance = (above.var(ddof=1) / m if m > 1 else 0.0) + (below.var(ddof=1) / n if n > 1 else 0.0)
    return float(2 * above.mean() - 1), float(2 * np.sqrt(variance))


def _placements(values: Array, others: Array) -> Array:
    """Share of the others below each of the values, ties half; both sorted."""
    found: Array = (np.searchsorted(others, values) + np.searchsorted(others, values, "right")) / (2 * len(others))
    return found


def delta_of_shares(best: float, m: int, rest: float, n: int) -> tuple[float, float]:
    """`cliffs_delta` of a flag that these shares of m and of n customers have."""
    variance = (best * (1 - best) / (m - 1) if m > 1 else 0.0) + (rest * (1 - rest) / (n - 1) if n > 1 else 0.0)
    return best - rest, float(np.sqrt(variance))


def benjamini_hochberg(p: Array) -> Array:
    """q-values (Benjamini & Hochberg 1995): the least false discovery rate at which each is significant."""
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
        if min(len(ours), len(theirs)) < MIN_GROUP or np.ptp(numbers[known]) == 0:
            return []
        centres = float(np.median(ours)), float(np.median(theirs))
        return [_difference(name, "", centres, cliffs_delta(ours, theirs), level)]
    codes, words = _coded(values)
    if MISSING not in words:
        return _compare_words(name, codes, words, best, level)
    # Of whom an attribute is not known nobody can say that they have a word less often.
    known = codes != words.index(MISSING)
    found = _compare_words(f"{name} where known", codes[known], words, best[known], level)
    return [*found, *_compare_words(name, known.astype(np.intp), [MISSING], best, level)]


def _compare_words(
    name: str, codes: npt.NDArray[np.intp], words: list[str], best: npt.NDArray[np.bool_], level: float
) -> list[Difference]:
    """The shares of each word among the best and the rest; codes beyond the words are of none of them."""
    size = max(len(words), int(codes.max(initial=0)) + 1)
    of_best, counts = np.bincount(codes[best], minlength=size), np.bincount(codes, minlength=size)
    there, m, n = np.count_nonzero(counts), int(best.sum()), int((~best).sum())
    if there < 2 or min(m, n) < MIN_GROUP:
        return []
    common = sorted((word, i) for i, word in enumerate(words) if counts[i] >= MIN_WORD_CUSTOMERS)
    if len(common) == there == 2:
        common = common[1:]  # the other word says the same
    shares = [(word, float(of_best[i] / m), float((counts[i] - of_best[i]) / n)) for word, i in common]
    return [_difference(name, word, (p, q), delta_of_shares(p, m, q, n), level) for word, p, q in shares]


def _coded(values: pd.Series) -> tuple[npt.NDArray[np.intp], list[str]]:
    """The place of each value among the words that there are, and these."""
    codes, found = pd.factorize(values)
    words = [MISSING if code == len(found) else str(found[code]) for code in range(len(found) + 1)]
    place, unique = pd.factorize(np.array(words, dtype=object))
    codes = place[codes]  # a missing value has the code -1
    used = np.bincount(codes, minlength=len(unique)) > 0
    return (np.cumsum(used) - 1)[codes], [str(word) for word, there in zip(unique, used, strict=True) if there]


def _difference(
    name: str, word: str, centres: tuple[float, float], found: tuple[float, float], level: float
) -> Difference:
    """found: delta and its standard error."""
    delta, se = found
    z = two_sided(level)
    p = float(2 * ndtr(-abs(delta) / se)) if se > 0 else float(delta == 0)
    low, high = max(-1.0, delta - z * se), min(1.0, delta + z * se)
    return Difference(name, word, *centres, delta, low, high, p, 1.0)


def _written(attribute: str, value: float) -> str:
    """A median as it is read: our share in percent; what a column of the user's counts is not known."""
    return f"{value:.1%}" if attribute == RETURNED_SHARE else f"{value:,.4g}"


def _by_attribute(differences: list[Difference]) -> list[str]:
    """A sentence for each attribute, in the order of its largest difference; its words in one sentence."""
    order = {d.attribute: i for i, d in reversed(list(enumerate(differences)))}
    together = sorted(differences, key=lambda d: order[d.attribute])
    return [_attribute_text(list(group)) for _, group in itertools.groupby(together, key=lambda d: d.attribute)]


def _attribute_text(group: list[Difference]) -> str:
    """What one attribute says: of several words the strongest, those more frequent among the best first."""
    if not group[0].value:
        return group[0].sentence
    directions = (("more", 1), ("less", -1))
    found = ((how, [d for d in group if sign * d.delta > 0][:SHOWN_WORDS]) for how, sign in directions)
    return f"{group[0].attribute} is {'; '.join(_words_text(how, words) for how, words in found if words)}."


def _words_text(how: str, words: list[Difference]) -> str:
    """The words that the best have more, or less, often, with the shares of the two groups."""
    return f"{how} often " + ", ".join(f"'{d.value}' ({d.shares})" for d in words)
