"""Scores over time: kept, compared, explained; migration beside regression to the mean; what retention is worth."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import beta, multivariate_normal, norm, rankdata

from clvml.errors import DataError, OptionError, did_you_mean
from clvml.horizon import as_date
from clvml.locks import clear_parts, part_of
from clvml.tables import canonical_ids

__all__ = ["Migration", "WhatIf", "keep_scores", "migration", "movers", "read_history", "value_over_time", "what_if"]

Array = npt.NDArray[np.float64]
LEVELS = ("good", "middle", "bad")


def keep_scores(scores: pd.DataFrame, folder: str | os.PathLike[str]) -> Path:
    """Write the scores to folder/as_of=YYYY-MM-DD/scores.parquet, aside and renamed; the same day is replaced."""
    days = scores["as_of"].astype("string").str.slice(0, 10).unique()
    if len(days) != 1:
        raise DataError(f"The scores hold {len(days)} days of as_of; keep one at a time.")
    path = scores_file(folder, str(days[0]))
    clear_parts(path)
    aside = part_of(path)
    try:
        scores.to_parquet(aside, index=False)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    return path


def scores_file(folder: str | os.PathLike[str], as_of: Any) -> Path:
    """Where the scores of a day are kept: folder/as_of=YYYY-MM-DD/scores.parquet; its folder is made."""
    path = Path(folder) / f"as_of={as_date(as_of)}" / "scores.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def read_history(
    folder: str | os.PathLike[str], *, since: Any = None, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """All kept scores, the oldest first. Raises DataError where there are none."""
    files = sorted(Path(folder).glob("as_of=*/scores.parquet"))
    if since is not None:
        files = [f for f in files if f.parent.name.removeprefix("as_of=") >= str(as_date(since, "since"))]
    if not files:
        raise DataError(
            f"No scores are kept in '{folder}'{'' if since is None else f' since {since}'}. keep_scores writes them."
        )
    wanted = None if columns is None else [*columns]
    parts = [pd.read_parquet(f, columns=wanted).assign(as_of=f.parent.name.removeprefix("as_of=")) for f in files]
    return pd.concat(parts, ignore_index=True)


def value_over_time(history: pd.DataFrame, *, value: str = "clv", by: str | None = None) -> pd.DataFrame:
    """as_of, (group), customers, total, mean of the value. by: a column, or 'cohort' (month of the first purchase)."""
    _has(history, ("as_of", value, *(("T",) if by == "cohort" else (by,) if by else ())), "history")
    table = history
    if by == "cohort":
        first = pd.to_datetime(history["as_of"]) - pd.to_timedelta(history["T"], unit="D")
        table = history.assign(cohort=first.dt.strftime("%Y-%m"))
    groups = table.groupby(["as_of", *([by] if by else [])])[value]
    return groups.agg(customers="size", total="sum", mean="mean").reset_index()


def movers(before: pd.DataFrame, after: pd.DataFrame, *, value: str = "clv", top: int = 20) -> pd.DataFrame:
    """The customers whose value changed most, with the part due to returning, the part due to spending, and why.

    value = p_return · (value given a return), so its change splits exactly:
    Δ = Δp · mean of the values given a return + Δ(value given a return) · mean of p.
    """
    needed = ("customer_id", value, "p_return", "frequency", "days_since_last")
    _has(before, needed, "earlier scores")
    _has(after, needed, "later scores")
    both = _by_id(before, needed).merge(
        _by_id(after, needed), left_index=True, right_index=True, suffixes=("_before", "_after")
    )
    p0, p1 = (both[f"p_return_{when}"].to_numpy(np.float64) for when in ("before", "after"))
    v0, v1 = (both[f"{value}_{when}"].to_numpy(np.float64) for when in ("before", "after"))
    w0, w1 = v0 / np.maximum(p0, 1e-12), v1 / np.maximum(p1, 1e-12)
    bought = (both["frequency_after"] - both["frequency_before"]).to_numpy(np.intp)
    silent = both["days_since_last_after"].to_numpy(np.intp)
    found = pd.DataFrame(
        {
            "customer_id": both.index,
            "before": v0,
            "after": v1,
            "change": v1 - v0,
            "by_returning": (p1 - p0) * (w0 + w1) / 2,
            "by_spending": (w1 - w0) * (p0 + p1) / 2,
        }
    )
    found["why"] = [_why(*row) for row in zip(bought, silent, found["by_returning"], found["by_spending"], strict=True)]
    order = np.lexsort((found["customer_id"].astype(str), -found["change"].abs()))
    return found.iloc[order[:top]].reset_index(drop=True)


@dataclass(frozen=True)
class Migration:
    """Who moved between levels of value, beside what regression to the mean alone would give."""

    before: str
    after: str
    customers: int  # in both
    entered: int
    left: int
    correlation: float  # of the two values, in normal scores
    table: pd.DataFrame  # from, to, customers, share, low, high, expected, difference, alert, money

    def to_frame(self) -> pd.DataFrame:
        """One row a pair of levels."""
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
        lines += [_told(*row) for row in self.table.itertuples(index=False, name=None)]
        lines.append("  by chance: if nobody changed and only the noise of the values did (regression to the mean)")
        return "\n".join(lines)


def migration(
    before: pd.DataFrame, after: pd.DataFrame, *, value: str = "value_if_kept", good: float = 0.20, bad: float = 0.20
) -> Migration:
    """Levels of value at two dates: top `good` share, lowest `bad` share, middle; edges of the earlier date.

    expected: with the correlation of the two values and unchanged edges, the shares of a bivariate normal distribution:
    about half of a top decile leaves it by chance. So a share that differs from it by more than two standard errors
    (alert) is a change of the base, not noise. Shares are posterior means with a flat Dirichlet prior.
    """
    for frame in (before, after):
        _has(frame, ("customer_id", value, "as_of"), "scores")
    if not (0 < good < 1 and 0 < bad < 1 and good + bad < 1):
        raise OptionError(f"good={good} and bad={bad} must be shares that leave room for a middle.")
    first, second = _by_id(before, ("customer_id", value)), _by_id(after, ("customer_id", value))
    both = first.merge(second, left_index=True, right_index=True, suffixes=("_before", "_after"))
    if len(both) < 30:
        raise DataError(
            f"Only {len(both)} customers are in both scores; at least 30 are needed for a migration matrix."
        )
    v0, v1 = both[f"{value}_before"].to_numpy(np.float64), both[f"{value}_after"].to_numpy(np.float64)
    edges = np.quantile(v0, [1 - good, bad])
    start, end = (np.where(v >= edges[0], 0, np.where(v <= edges[1], 2, 1)) for v in (v0, v1))
    correlation = float(np.corrcoef(_normal_scores(v0), _normal_scores(v1))[0, 1])
    expected = _by_chance(correlation, np.bincount(start, minlength=3) / len(start))
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


@dataclass(frozen=True)
class WhatIf:
    """What a higher return probability would bring over the horizon of the scores."""

    tier: str  # "all" or a tier
    customers: int
    retention: float  # points added to the return probability, as a share
    extra_buyers: float  # expected customers more who buy
    worth: float  # extra expected contribution
    low: float  # 90 % interval
    high: float
    new_customers: float  # acquired customers that would bring as much; NaN where their value is not known
    acquisition_cost: float  # what they would cost; NaN where no CAC is given

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, None where there is none."""
        return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in asdict(self).items()}

    def __str__(self) -> str:
        who = "all customers" if self.tier == "all" else f"the tier '{self.tier}'"
        interval = f"{self.low:,.2f} to {self.high:,.2f}"
        text = (
            f"{100 * self.retention:+.1f} points of return probability for {who} ({self.customers:,}) "
            f"would be {self.extra_buyers:,.0f} buyers more, worth {self.worth:,.2f} ({interval})"
        )
        if np.isfinite(self.new_customers):
            text += f"; as much as {self.new_customers:,.0f} new customers bring"
            if np.isfinite(self.acquisition_cost):
                text += f", who would cost {self.acquisition_cost:,.2f}"
        return text + "."


def what_if(
    scores: pd.DataFrame,
    *,
    retention: float = 0.05,
    tier: str | None = None,
    new_customer_value: float | None = None,
    cac: float | None = None,
    shock: float = 0.12,
) -> WhatIf:
    """Contribution if the return probability of a tier (or of all) rose by `retention`, nobody's above 1.

    worth = sum of min(retention, churn probability) · value if kept. The interval holds the chance of who would be won
    (variance a V² + a var(V) − (a V)² each, a the points added) and a common error of all values (`shock`).
    new_customer_value: expected contribution of an acquired customer, in the same horizon; cac: what one costs.
    """
    _has(scores, ("churn_probability", "value_if_kept", "tier", "clv_low", "clv_high"), "scores")
    if not 0 < retention <= 1:
        raise OptionError(f"retention={retention} is points of probability: above 0, at most 1, for example 0.05.")
    own = scores if tier is None else scores[scores["tier"] == tier]
    if own.empty:
        raise OptionError(
            f"No customer is in the tier '{tier}'.{did_you_mean(str(tier), scores['tier'].astype(str).unique())}"
        )
    added = np.minimum(retention, own["churn_probability"].to_numpy(np.float64))
    value = own["value_if_kept"].to_numpy(np.float64)
    spread = ((own["clv_high"] - own["clv_low"]).to_numpy(np.float64) / 3.29) ** 2
    worth = float(added @ value)
    each = added * value**2 + added * spread - (added * value) ** 2
    error = float(np.sqrt(np.maximum(each, 0.0).sum() + (shock * worth) ** 2))
    z = float(norm.ppf(0.95))
    new = worth / new_customer_value if new_customer_value else float("nan")
    return WhatIf(
        tier=tier or "all",
        customers=len(own),
        retention=retention,
        extra_buyers=float(added.sum()),
        worth=worth,
        low=worth - z * error,
        high=worth + z * error,
        new_customers=new,
        acquisition_cost=new * cac if cac is not None else float("nan"),
    )


def _has(frame: pd.DataFrame, names: Sequence[str], what: str) -> None:
    for name in names:
        if name not in frame:
            have = "has" if what == "history" else "have"
            raise DataError(f"The {what} {have} no column '{name}'.{did_you_mean(name, map(str, frame))}")


def _by_id(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    table = frame[list(names)].assign(customer_id=canonical_ids(frame["customer_id"])).set_index("customer_id")
    if table.index.has_duplicates:
        raise DataError(f"Customer '{table.index[table.index.duplicated()][0]}' stands twice in the scores.")
    return table


def _why(bought: int, silent: int, by_returning: float, by_spending: float) -> str:
    times = "once more" if bought == 1 else f"{bought} more times"
    action = f"bought {times}" if bought > 0 else f"silent for {silent} days"
    if abs(by_returning) >= abs(by_spending):
        return f"{action}: {'more' if by_returning > 0 else 'less'} likely to return"
    return f"{action}: expected to spend {'more' if by_spending > 0 else 'less'}"


def _told(
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
    own = start == i
    count, total = int((own & (end == j)).sum()), int(own.sum())
    a, b = count + 1.0, total - count + 2.0
    share = a / (a + b)
    se = float(np.sqrt(share * (1 - share) / (a + b)))
    return {
        "from": LEVELS[i],
        "to": LEVELS[j],
        "customers": count,
        "share": share,
        "low": float(beta.ppf(0.025, a, b)),
        "high": float(beta.ppf(0.975, a, b)),
        "expected": float(expected),
        "difference": share - float(expected),
        "alert": bool(abs(share - expected) > 2 * se),
        "money": float(change[own & (end == j)].sum()),
    }
