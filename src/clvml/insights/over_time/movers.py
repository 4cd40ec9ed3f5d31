"""Whose value changed most between two days, and whether by returning or by spending."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clvml.insights.score_tables import by_customer, require_columns

__all__ = ["movers"]


def movers(before: pd.DataFrame, after: pd.DataFrame, *, value: str = "clv", most: int = 20) -> pd.DataFrame:
    """Find the customers whose value changed most, and say why.

    The value is the return probability times the value given a return, v = p w, so that its change splits exactly:
    Δv = Δp · (w₀ + w₁)/2 + Δw · (p₀ + p₁)/2.

    Parameters
    ----------
    before, after : pandas.DataFrame
        Scores of two days. Only customers in both take part.
    value : str, default "clv"
        Column whose change is looked at, in the log's currency.
    most : int, default 20
        How many customers, those with the largest change up or down first.

    Returns
    -------
    pandas.DataFrame
        One row a customer: customer_id, before, after, change, by_returning, by_spending (these two add up to the
        change), why (in words).

    Raises
    ------
    DataError
        If a column is missing or a customer has two rows.

    Examples
    --------
    >>> import pandas as pd
    >>> from clvml import movers
    >>> before = pd.DataFrame(
    ...     {"customer_id": [1], "clv": [20.0], "p_return": [0.2], "frequency": [1], "days_since_last": [90]}
    ... )
    >>> after = before.assign(clv=60.0, p_return=0.6, frequency=2, days_since_last=3)
    >>> movers(before, after)[["change", "by_returning", "by_spending", "why"]].values.tolist()
    [[40.0, 40.0, 0.0, 'bought once more: more likely to return']]
    """
    needed = ("customer_id", value, "p_return", "frequency", "days_since_last")
    require_columns(before, needed, "earlier scores")
    require_columns(after, needed, "later scores")
    both = by_customer(before, needed).merge(
        by_customer(after, needed), left_index=True, right_index=True, suffixes=("_before", "_after")
    )
    p0, p1 = (both[f"p_return_{when}"].to_numpy(np.float64) for when in ("before", "after"))
    v0, v1 = (both[f"{value}_{when}"].to_numpy(np.float64) for when in ("before", "after"))
    w0, w1 = v0 / np.maximum(p0, 1e-12), v1 / np.maximum(p1, 1e-12)
    bought = (both["frequency_after"] - both["frequency_before"]).to_numpy(np.intp)
    days = both["days_since_last_after"].to_numpy(np.intp)
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
    found["why"] = [_why(*row) for row in zip(bought, days, found["by_returning"], found["by_spending"], strict=True)]
    order = np.lexsort((found["customer_id"].astype(str), -found["change"].abs()))
    return found.iloc[order[:most]].reset_index(drop=True)


def _why(bought: int, days: int, by_returning: float, by_spending: float) -> str:
    times = "once more" if bought == 1 else f"{bought} more times"
    action = f"bought {times}" if bought > 0 else f"no purchase for {days} days"
    if abs(by_returning) >= abs(by_spending):
        return f"{action}: {'more' if by_returning > 0 else 'less'} likely to return"
    return f"{action}: expected to spend {'more' if by_spending > 0 else 'less'}"
