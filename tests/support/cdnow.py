"""CDNOW as the tests use it: the published 1/10 sample, summarised by pandas alone, nothing of the package."""

import functools
import importlib.util
import pathlib

import pandas as pd

COLUMNS = ["customer_id", "date", "quantity", "amount"]
CUT, END, HORIZON = "1997-09-30", "1998-06-30", 273  # calibration ends, holdout ends, days between


def _file(name: str) -> pathlib.Path:
    """A data file of the installed lifetimes, found without importing it."""
    spec = importlib.util.find_spec("lifetimes")
    return pathlib.Path(spec.submodule_search_locations[0]) / "datasets" / name


@functools.cache
def sample() -> pd.DataFrame:
    """The log of 2,357 customers; ids are 1 to 2,357."""
    log = pd.read_csv(_file("CDNOW_sample.txt"), sep=r"\s+", header=None, names=["master_id", *COLUMNS])
    return log.assign(date=pd.to_datetime(log["date"].astype(str), format="%Y%m%d"))[COLUMNS]


@functools.cache
def master() -> pd.DataFrame:
    """The log of all 23,570 customers."""
    log = pd.read_csv(_file("CDNOW_master.txt"), sep=r"\s+", header=None, names=COLUMNS, skiprows=1)
    return log.assign(date=pd.to_datetime(log["date"].astype(str), format="%Y%m%d"))


@functools.cache
def _summary(as_of: str) -> pd.DataFrame:
    day = sample()[lambda t: t["date"] <= as_of].groupby(["customer_id", "date"], as_index=False)["amount"].sum()
    first = day.groupby("customer_id")["date"].transform("min")
    repeat = day[day["date"] > first].groupby("customer_id")["amount"].agg(["count", "mean"])
    gaps = day.groupby("customer_id")["date"].diff().dt.days
    out = day.groupby("customer_id")["date"].agg(first_date="min", last_date="max")
    out["frequency"] = repeat["count"].reindex(out.index).fillna(0).astype("int64")
    out["recency"] = (out["last_date"] - out["first_date"]).dt.days
    out["T"] = (pd.Timestamp(as_of) - out["first_date"]).dt.days
    out["monetary_value"] = repeat["mean"].reindex(out.index).fillna(0.0)
    out["first_amount"] = day[day["date"] == first].groupby("customer_id")["amount"].sum()
    log_gaps = gaps.dropna().map(float).transform("log").groupby(day["customer_id"]).sum()
    out["log_gaps"] = log_gaps.reindex(out.index).fillna(0.0)
    return out.reset_index()


def summary(as_of: str = CUT) -> pd.DataFrame:
    """The sample's summary; a fresh copy, so that a test may change it."""
    out = _summary(as_of).copy()
    out.attrs["as_of"] = as_of
    return out


@functools.cache
def holdout() -> pd.Series:
    """Purchases of each customer of the sample within the 273 days after the cut."""
    late = sample()[lambda t: (t["date"] > CUT) & (t["date"] <= END)]
    return late.groupby("customer_id")["date"].nunique().reindex(range(1, 2358)).fillna(0).astype(int)
