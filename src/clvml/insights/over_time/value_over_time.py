"""The value of the base, of its tiers or of its cohorts, day by day of the kept scores."""

from __future__ import annotations

import pandas as pd

from clvml.insights.score_tables import require_columns
from clvml.tables import finite_column

__all__ = ["value_over_time"]


def value_over_time(history: pd.DataFrame, *, value: str = "clv", by: str | None = None) -> pd.DataFrame:
    """Total and mean value at each day of the history.

    Parameters
    ----------
    history : pandas.DataFrame
        Scores of several days: the output of `read_history`.
    value : str, default "clv"
        Column to add up, in the log's currency.
    by : str, optional
        A column to split by, such as ``"tier"``; or ``"cohort"``, the month of the first purchase.

    Returns
    -------
    pandas.DataFrame
        One row a day (and group): as_of, the group, customers, total, mean.

    Raises
    ------
    DataError
        If a column is missing, or the value is no finite number.

    Examples
    --------
    >>> import pandas as pd
    >>> from clvml import value_over_time
    >>> history = pd.DataFrame({"as_of": ["2011-07-31"] * 2 + ["2011-08-31"] * 2, "clv": [10.0, 30.0, 20.0, 40.0]})
    >>> print(value_over_time(history).to_string(index=False))
         as_of  customers  total  mean
    2011-07-31          2   40.0  20.0
    2011-08-31          2   60.0  30.0
    """
    require_columns(history, ("as_of", value, *(("T",) if by == "cohort" else (by,) if by else ())), "history")
    table = history.assign(**{value: finite_column(history, value, "history")})
    if by == "cohort":
        first = pd.to_datetime(history["as_of"]) - pd.to_timedelta(history["T"], unit="D")
        table = table.assign(cohort=first.dt.strftime("%Y-%m"))
    groups = table.groupby(["as_of", *([by] if by else [])])[value]
    return groups.agg(customers="size", total="sum", mean="mean").reset_index()
