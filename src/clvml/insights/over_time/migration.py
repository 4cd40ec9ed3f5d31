"""Who moved between tiers of value from one day to another, beside what regression to the mean alone would give."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import betaincinv

from clvml.checks import check_share
from clvml.errors import DataError, OptionError
from clvml.horizon import as_date
from clvml.insights.over_time.regression_to_mean import HISTORY, expected_moves
from clvml.insights.score_tables import by_customer, require_columns
from clvml.scores import segments

__all__ = ["Migration", "migration"]

Array = npt.NDArray[np.float64]
MIN_CUSTOMERS = 30
"""Customers in both tables below which no matrix is drawn up."""


@dataclass(frozen=True, repr=False)
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
    table : pandas.DataFrame
        One row a pair of tiers: from, to, customers, share (of those who start there), low, high (95%, under a flat
        Dirichlet prior), expected (share by regression to the mean alone), difference (share −
        expected), alert (by more than two standard errors), money (change of value of these customers).
    """

    before: str
    after: str
    customers: int
    entered: int
    left: int
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
            f"  {'from':<8}{'to':<8}{'customers':>10}{'share':>8}  {'95% interval':<16}"
            f"{'by chance':>10}{'difference':>12}{'value moved':>14}",
        ]
        lines += [_row_text(*row) for row in self.table.itertuples(index=False, name=None)]
        lines += [
            "  by chance: if nobody had changed, simulated from the earlier scores. !: beyond two standard errors",
            "  good, bad: the highest and the lowest shares by value on each day, not the tiers of the scores",
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


def migration(
    before: pd.DataFrame, after: pd.DataFrame, *, value: str = "clv", good_share: float = 0.20, bad_share: float = 0.20
) -> Migration:
    """Draw up the matrix of moves between tiers of value from one day to another.

    The tiers are the top `good_share` by value, the lowest `bad_share`, and those between, of the customers in both
    tables, on each of the two days: a season, or another model, that lifts all values moves nobody. Many leave a tier
    though they are who they were: values are estimates, which rise with a purchase and fall with silence. So each share
    stands beside the one to be expected if nobody had changed: Pareto/NBD and Gamma-Gamma are fitted to the earlier
    scores, every customer is carried forward by them, and valued again.

    Parameters
    ----------
    before, after : pandas.DataFrame
        Scores of two days; the earlier ones with frequency, recency, T, monetary_value and horizon_days.
    value : {"clv", "expected_spend", "expected_purchases"}
        Column that the tiers are made of.
    good_share, bad_share : float
        Shares of the tiers, between 0 and 1.

    Returns
    -------
    Migration

    Raises
    ------
    OptionError
        If the shares leave no room for a middle, the value is another, or `after` is not later than `before`.
    DataError
        If a column is missing, a customer has two rows, or fewer than 30 customers are in both.

    Examples
    --------
    >>> from clvml import LifetimeValueModel, Transactions, load_cdnow, migration
    >>> log = Transactions(load_cdnow(sample=True))
    >>> model = LifetimeValueModel(horizon="26w").fit(log.summarize("1997-09-30"))
    >>> def scores(day):
    ...     summary = log.summarize(day)
    ...     return summary.assign(clv=model.clv(summary), as_of=day, horizon_days=182)
    >>> found = migration(scores("1997-09-30"), scores("1997-12-31"))
    >>> found.customers, found.to_frame().shape
    (2349, (9, 10))
    """
    require_columns(before, ("customer_id", value, "as_of", *HISTORY, "horizon_days"), "earlier scores")
    require_columns(after, ("customer_id", value, "as_of"), "later scores")
    if check_share("good_share", good_share) + check_share("bad_share", bad_share) >= 1:
        raise OptionError(
            f"good_share={good_share} and bad_share={bad_share} must be shares that leave room for a middle."
        )
    first, second = by_customer(before, ("customer_id", value)), by_customer(after, ("customer_id", value))
    both = first.merge(second, left_index=True, right_index=True, suffixes=("_before", "_after"))
    if len(both) < MIN_CUSTOMERS:
        raise DataError(
            f"Only {len(both)} customers are in both scores; a migration matrix needs at least {MIN_CUSTOMERS}."
        )
    v0, v1 = both[f"{value}_before"].to_numpy(np.float64), both[f"{value}_after"].to_numpy(np.float64)
    start, end = (segments.tiers_of_shares(v, good_share, bad_share) for v in (v0, v1))
    expected = expected_moves(before, _days_between(before, after), value, good_share, bad_share)
    rows = [_cell(i, j, start, end, expected[i, j], v1 - v0) for i in range(3) for j in range(3)]
    return Migration(
        before=str(before["as_of"].iloc[0])[:10],
        after=str(after["as_of"].iloc[0])[:10],
        customers=len(both),
        entered=len(second.index.difference(first.index)),
        left=len(first.index.difference(second.index)),
        table=pd.DataFrame(rows),
    )


def _days_between(before: pd.DataFrame, after: pd.DataFrame) -> int:
    first, second = (as_date(str(frame["as_of"].iloc[0])[:10]) for frame in (before, after))
    if second <= first:
        raise OptionError(f"The later scores are as of {second}, the earlier ones as of {first}: give them in order.")
    return (second - first).days


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


def _cell(
    i: int, j: int, start: npt.NDArray[Any], end: npt.NDArray[Any], expected: float, change: Array
) -> dict[str, Any]:
    """One cell of the matrix: from tier i to tier j."""
    own = start == i
    count, total = int((own & (end == j)).sum()), int(own.sum())
    a, b = count + 1.0, total - count + 2.0
    likely = a / (a + b)  # posterior mean under a flat prior: no error of 0 where nobody moved
    se, share = float(np.sqrt(likely * (1 - likely) / (a + b))), count / total if total else likely
    return {
        "from": segments.TIERS[i],
        "to": segments.TIERS[j],
        "customers": count,
        "share": share,
        "low": min(share, float(betaincinv(a, b, 0.025))),
        "high": max(share, float(betaincinv(a, b, 0.975))),
        "expected": float(expected),
        "difference": share - float(expected),
        "alert": bool(abs(likely - expected) > 2 * se),
        "money": float(change[own & (end == j)].sum()),
    }
