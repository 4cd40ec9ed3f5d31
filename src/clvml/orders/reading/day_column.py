"""The days of one column of a small table, by the rules that hold for the dates of a log."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.orders.engines.duckdb import Engine
from clvml.orders.reading.columns import text_of
from clvml.orders.reading.dates import DayOrder, date_sql, shows_day_first, shows_month_first

__all__ = ["days_of_column"]

_EARLIEST = np.datetime64("1900-01-01", "D")


def days_of_column(values: pd.Series) -> npt.NDArray[np.datetime64]:
    """The day of each value, NaT where it is missing or no date: 20110904 is a day, 03/04/2011 only where other values
    show which of the two is the month. What is earlier than 1900 is a placeholder, no date.
    """
    import pyarrow as pa

    try:
        column = pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # values of several types
        column = pa.array([None if pd.isna(value) else str(value) for value in values], pa.string())
    engine = Engine()
    engine.register("given", pa.table({"place": np.arange(len(column)), "value": column}))
    kind = engine.columns("given")["value"]
    value, order = "value", DayOrder.UNKNOWN
    if kind == "VARCHAR":
        value = text_of(kind, "value", engine.dialect)
        shown = shows_day_first(value, engine.dialect), shows_month_first(value, engine.dialect)
        counts = ", ".join(f"COUNT(*) FILTER ({condition})" for condition in shown)
        order = DayOrder.shown_by(*engine.rows(f"SELECT {counts} FROM given")[0])
    found = engine.frame(f"SELECT {date_sql(kind, value, order, engine.dialect)} AS day FROM given ORDER BY place")
    days: npt.NDArray[np.datetime64] = found["day"].to_numpy("datetime64[D]")
    return np.where(days >= _EARLIEST, days, np.datetime64("NaT", "D"))
