"""Real logs to try things on, read from the files that lifetimes ships, without importing it (3.5 s)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd

from clvml.errors import DataError

__all__ = ["cdnow_path", "load_cdnow", "load_donations"]


def cdnow_path(sample: bool = False) -> Path:
    """The file of the CDNOW log (69,659 lines, 23,570 customers, 1997-01-01 to 1998-06-30) or of its 1/10 sample.

    Raises DataError where the lifetimes package, which ships it, is not installed.
    """
    return _shipped("CDNOW_sample.txt" if sample else "CDNOW_master.txt")


def load_cdnow(sample: bool = False) -> pd.DataFrame:
    """Orders at the music shop CDNOW by the customers who first bought in early 1997.

    Parameters
    ----------
    sample : bool
        Only the 2,357 customers of Fader, Hardie & Lee (2005), numbered 1, 2, … as there.

    Returns
    -------
    DataFrame
        customer_id, date, quantity (CDs), amount (US dollars): a row an order, 1997-01-01 to 1998-06-30.

    Raises
    ------
    DataError
        Where the lifetimes package, which ships the file, is not installed.

    Notes
    -----
    Published figures take a day of nothing but free goods for a purchase: `Transactions(log, free_orders=True)`.

    References
    ----------
    Fader, P. S., Hardie, B. G. S. & Lee, K. L. (2005), "Counting your customers" the easy way: an alternative to the
    Pareto/NBD model, Marketing Science 24(2).

    Examples
    --------
    >>> from clvml import load_cdnow
    >>> load_cdnow(sample=True).head(2)
       customer_id       date  quantity  amount
    0            1 1997-01-01         2   29.33
    1            1 1997-01-18         2   29.73
    """
    names = ["customer_id", "date", "quantity", "amount"]
    if sample:
        names = ["master_id", *names]
    log = pd.read_csv(cdnow_path(sample), sep=r"\s+", names=names, skiprows=0 if sample else 1)
    log["date"] = pd.to_datetime(log["date"].astype(str), format="%Y%m%d")
    return log[["customer_id", "date", "quantity", "amount"]]


def load_donations() -> pd.DataFrame:
    """Yearly gifts to a charity (Fader, Hardie & Shang 2010): frequency, recency, periods, weights (donors)."""
    return pd.read_csv(_shipped("donations.csv"))


def _shipped(name: str) -> Path:
    spec = importlib.util.find_spec("lifetimes")
    folders = list(spec.submodule_search_locations or []) if spec else []
    file = Path(folders[0], "datasets", name) if folders else None
    if file is None or not file.is_file():
        raise DataError(
            f"{name} comes with the lifetimes package, which is not here. Install it: pip install lifetimes."
        )
    return file
