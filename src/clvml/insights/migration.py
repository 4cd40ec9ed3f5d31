"""Who moved between tiers of value from one day to another, beside what regression to the mean alone would give."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import beta, multivariate_normal, norm, rankdata

from clvml.checks import check_share
from clvml.errors import DataError, OptionError
from clvml.insights.score_tables import by_customer, require_columns
from clvml.scores import segments

__all__ = ["Migration", "migration"]

Array = npt.NDArray[np.float64]
MIN_CUSTOMERS = 30
"""Customers in both tables below which no matrix is drawn up."""


@dataclass(frozen=True)
class Migration:
    """Moves between tiers of value, beside what regression to the mean alone would give.

    Attributes
    ----------
    before, after : str
        The two days, YYYY-MM-DD.
    customers : int
        In both tables of scores.
    entered, left : int
        In the later table alone, in the earlier one alone.
    correlation : float
        Of the two values, in normal scores.
    table : pandas.DataFrame
        One row a pair of tiers: from, to, customers, share (of those who start there; posterior mean under a flat
        Dirichlet prior), low, high (95 %), expected (share by regression to the mean alone), difference (share −
        expected), alert (by more than two standard errors), money (change of value of these customers).
    """

    before: str
    after: str
    customers: int
    entered: int
    left: int
    correlation: float
    table: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """One row a pair of tiers."""
        return self.table.copy()

    def to_dict(self) -> dict[str, Any]:
        """All findings as plain values."""
        return {**{k: v for k, v in asdict(self).items() if k != "table"}, "table": self.table.to_dict("records")}

    def __str__(self) -> str:
        lines = [
            f"From {self.before} to {self.after}: {self.customers:,} customers in both, "
            f"{self.entered:,} new, {self.left:,} gone",
            f"  {'from':<8}{'to':<8}{'customers':>10}{'share':>8}  {'95 % interval':<16}"
            f"{'by chance':>10}{'difference':>12}{'value moved':>14}",
        ]
        lines += [_row_text(*row) for row in self.table.itertuples(index=False, name=None)]
        lines.append("  by chance: if nobody changed and only the noise of the values did (regression to the mean)")
        return "\n".join(lines)


def migration(
    before: pd.DataFrame, after: pd.DataFrame, *, value: str = "value_if_kept", good: float = 0.20, bad: float = 0.20
) -> Migration:
    """Draw up the matrix of moves between tiers of value from one day to another.

    The tiers are the top `good` share by value, the lowest `bad` share, and those between; both days are placed by the
    edges of the earlier one. About half of a top tenth leaves it by chance alone, for values are noisy: so each share
    stands beside the one to be expected if nobody had changed, by a bivariate normal distribution with the measured
    correlation of the two values.

    Parameters
    ----------
    before, after : pandas.DataFrame
        Scores of two days, with customer_id, as_of and the value.
    value : str, default "value_if_kept"
        Column that the tiers are made of.
    good, bad : float
        Shares of the tiers, between 0 and 1.

    Returns
    -------
    Migration

    Raises
    ------
    OptionError
        If the shares leave no room for a middle.
    DataError
        If a column is missing, a customer has two rows, or fewer than 30 customers are in both.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from clvml import migration
    >>> rng = np.random.default_rng(0)
    >>> lasting = rng.normal(size=2_000)  # what a customer is worth, which does not change
    >>> def measured(day):
    ...     value = np.exp(lasting + rng.normal(size=2_000) / 2)  # seen with noise
    ...     return pd.DataFrame({"customer_id": range(2_000), "value_if_kept": value, "as_of": day})
    >>> found = migration(measured("2011-08-31"), measured("2011-09-30"))
    >>> found.table.loc[0, ["from", "to"]].tolist()
    ['good', 'good']
    >>> bool(found.table.loc[0, "share"] < 0.8), int(found.table["alert"].sum())  # many leave, no cause for alarm
    (True, 0)
    """
    for frame in (before, after):
        require_columns(frame, ("customer_id", value, "as_of"), "scores")
    if check_share("good", good) + check_share("bad", bad) >= 1:
        raise OptionError(f"good={good} and bad={bad} must be shares that leave room for a middle.")
    first, second = by_customer(before, ("customer_id", value)), by_customer(after, ("customer_id", value))
    both = first.merge(second, left_index=True, right_index=True, suffixes=("_before", "_after"))
    if len(both) < MIN_CUSTOMERS:
        raise DataError(
            f"Only {len(both)} customers are in both scores; a migration matrix needs at least {MIN_CUSTOMERS}."
        )
    v0, v1 = both[f"{value}_before"].to_numpy(np.float64), both[f"{value}_after"].to_numpy(np.float64)
    edges = segments.cutoffs(v0, v0, good, bad)
    start, end = (segments.tiers(v, v, edges) for v in (v0, v1))
    correlation = float(np.corrcoef(_normal_scores(v0), _normal_scores(v1))[0, 1])
    expected = _by_chance(correlation, np.bincount(start, minlength=len(segments.TIERS)) / len(start))
    rows = [_cell(i, j, start, end, expected[i, j], v1 - v0) for i in range(3) for j in range(3)]
    return Migration(
        before=str(before["as_of"].iloc[0])[:10],
        after=str(after["as_of"].iloc[0])[:10],
        customers=len(both),
        entered=len(second.index.difference(first.index)),
        left=len(first.index.difference(second.index)),
        correlation=correlation,
        table=pd.DataFrame(rows),
    )


def _row_text(
    start: str,
    end: str,
    customers: int,
    share: float,
    low: float,
    high: float,
    expected: float,
    difference: float,
    alert: bool,
    money: float,
) -> str:
    """One line of the matrix, in the order of its columns."""
    interval = f"{low:.1%} to {high:.1%}"
    return (
        f"  {start:<8}{end:<8}{customers:>10,}{share:>8.1%}  {interval:<16}{expected:>10.1%}"
        f"{100 * difference:>+10.1f} p{'!' if alert else ' '}{money:>14,.0f}"
    )


def _normal_scores(values: Array) -> Array:
    """Ranks as quantiles of the normal distribution."""
    return np.asarray(norm.ppf((rankdata(values) - 0.5) / len(values)), dtype=np.float64)


def _by_chance(correlation: float, shares: Array) -> Array:
    """P(level after | level before) of a bivariate normal with the same margins at both dates."""
    cuts = [np.inf, norm.isf(shares[0]), norm.ppf(shares[2]), -np.inf]
    r = float(np.clip(correlation, -0.999, 0.999))
    both = multivariate_normal(mean=[0, 0], cov=[[1, r], [r, 1]])

    def below(x: float, y: float) -> float:
        if -np.inf in (x, y):
            return 0.0
        return float(both.cdf([min(x, 9.0), min(y, 9.0)]))

    joint = np.array(
        [
            [
                below(cuts[i], cuts[j])
                - below(cuts[i + 1], cuts[j])
                - below(cuts[i], cuts[j + 1])
                + below(cuts[i + 1], cuts[j + 1])
                for j in range(3)
            ]
            for i in range(3)
        ]
    )
    return np.asarray(joint / joint.sum(axis=1, keepdims=True), dtype=np.float64)


def _cell(
    i: int, j: int, start: npt.NDArray[Any], end: npt.NDArray[Any], expected: float, change: Array
) -> dict[str, Any]:
    """One cell of the matrix: from tier i to tier j."""
    own = start == i
    count, total = int((own & (end == j)).sum()), int(own.sum())
    a, b = count + 1.0, total - count + 2.0
    share = a / (a + b)
    se = float(np.sqrt(share * (1 - share) / (a + b)))
    return {
        "from": segments.TIERS[i],
        "to": segments.TIERS[j],
        "customers": count,
        "share": share,
        "low": float(beta.ppf(0.025, a, b)),
        "high": float(beta.ppf(0.975, a, b)),
        "expected": float(expected),
        "difference": share - float(expected),
        "alert": bool(abs(share - expected) > 2 * se),
        "money": float(change[own & (end == j)].sum()),
    }
