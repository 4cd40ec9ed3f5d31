"""Finished campaigns, kept: who was planned for what, who got it by chance, what they did, what was promised.

A folder holds one Parquet file a campaign, a row a customer of its audience; `clvml outcome` writes it, the planner
reads all of them. Customers stand in it by id, so the folder belongs where the scores are kept.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.campaigns.gain import value_at_risk
from clvml.errors import DataError, did_you_mean
from clvml.files import write_aside
from clvml.redaction import shown_id
from clvml.tables import Column

__all__ = [
    "CAMPAIGN",
    "DELIVERED",
    "PAST_CAMPAIGNS",
    "PROMISED",
    "Delivered",
    "campaign_rows",
    "keep_campaign",
    "read_campaigns",
]

PAST_CAMPAIGNS = (
    Column("campaign", "str", "name of the campaign's plan"),
    Column("as_of", "str", "last day that was known when it was planned, YYYY-MM-DD"),
    Column("end", "str", "last day of the window in which its outcome was measured, YYYY-MM-DD"),
    Column("customer_id", "str", "the customer, as text"),
    Column("planned_treatment", "str", "what the plan chose for the customer, treated or not"),
    Column("group", "str", "treat or control, as drawn"),
    Column("propensity", "float64", "chance of group treat when it was drawn, given what was planned", "probability"),
    Column("churn_probability", "float64", "of the scores planned from", "probability"),
    Column("value_if_kept", "float64", "of the scores planned from", "money"),
    Column("value_at_risk", "float64", "of the scores planned from", "money"),
    Column("clv", "float64", "of the scores planned from", "money"),
    Column("clv_sd", "float64", "standard deviation of what the scores predicted; NaN where not known", "money"),
    Column("tier", "str", "of the scores planned from"),
    Column("state", "str", "of the scores planned from"),
    Column("expected_gain", "float64", "what the plan expected of treating the customer; 0 for control", "money"),
    Column("returned", "float64", "1 where the customer bought within the window", "share"),
    Column("contribution", "float64", "contribution within the window, before incentives and contact costs", "money"),
    Column("promised", "float64", "expected gain of the whole campaign, the same in every row", "money"),
    Column("promised_low", "float64", "5% point of what was believed of it", "money"),
    Column("promised_high", "float64", "95% point of what was believed of it", "money"),
    Column("delivered", "float64", "measured gain after all costs; NaN where nothing could be measured", "money"),
    Column("delivered_low", "float64", "lower end of its 90% interval", "money"),
    Column("delivered_high", "float64", "upper end of its 90% interval", "money"),
)
"""One row a customer of a finished campaign."""

CAMPAIGN = ("campaign", "as_of", "end")
PROMISED = ("promised", "promised_low", "promised_high")
DELIVERED = ("delivered", "delivered_low", "delivered_high")
_UNKNOWN = ("clv_sd", *PROMISED, *DELIVERED)
"""Columns that may be NaN."""


@dataclass(frozen=True)
class Delivered:
    """Measured gain of a whole campaign after all costs, with a 90% interval; NaN where it was not measured."""

    gain: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")


def campaign_rows(
    audience: pd.DataFrame,
    returned: npt.ArrayLike,
    contribution: npt.ArrayLike,
    *,
    end: Any,
    delivered: Delivered,
    incentive_in_log: bool = False,
) -> pd.DataFrame:
    """Rows of PAST_CAMPAIGNS of a finished campaign.

    audience: as `read_audience` gives it. returned, contribution: of its customers within the window, in row order.
    incentive_in_log: whether contribution is net of incentives; they are then added back to those treated who bought.
    """
    treated = (audience["group"] == "treat").to_numpy(np.bool_)
    bought = np.asarray(returned, dtype=np.float64)
    money = np.asarray(contribution, dtype=np.float64)
    if incentive_in_log and "incentive" in audience:
        money = money + np.where(treated, bought * audience["incentive"].to_numpy(np.float64), 0.0)
    share = audience["control_share"].to_numpy(np.float64) if "control_share" in audience else np.full(len(audience), 0)
    gain = float(audience["expected_gain"].to_numpy(np.float64)[treated].sum())
    known = audience.assign(
        **{name: audience.get(name, np.nan) for name in ("clv_sd", "promised_low", "promised_high")},
        propensity=audience.get("propensity", 1 - share),
        end=str(end),
        returned=bought,
        contribution=money,
        promised=gain,
        delivered=delivered.gain,
        delivered_low=delivered.low,
        delivered_high=delivered.high,
    )
    return _checked(known, "audience")


def keep_campaign(rows: pd.DataFrame, folder: str | os.PathLike[str]) -> Path:
    """Write the rows of one campaign into the folder, aside and renamed; the same campaign and day are replaced."""
    table = _checked(rows, "campaign")
    keys = table[["campaign", "as_of"]].drop_duplicates()
    if len(keys) != 1:
        raise DataError(f"The rows belong to {len(keys)} campaigns; keep one at a time.")
    name, as_of = (str(keys[column].iloc[0]) for column in keys)
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "campaign"
    target = Path(folder) / f"{as_of}_{slug}_{hashlib.sha256(name.encode()).hexdigest()[:8]}.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_aside(target, lambda aside: table.to_parquet(aside, index=False))
    return target


def read_campaigns(source: str | os.PathLike[str] | pd.DataFrame) -> pd.DataFrame:
    """All campaigns of a folder, of one Parquet file or of a table, the oldest first. Raises DataError."""
    if isinstance(source, pd.DataFrame):
        table = source
    else:
        path = Path(source)
        files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        if not files or not files[0].exists():
            raise DataError(f"No past campaigns are kept in '{source}'. `clvml outcome --campaigns` keeps them.")
        table = pd.concat([_checked(_read(file), f"file {file.name}") for file in files], ignore_index=True)
    return _checked(table, "past campaigns").sort_values([*CAMPAIGN, "customer_id"], ignore_index=True, kind="stable")


def _read(file: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(file)
    except (ValueError, OSError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"The past campaign '{file}' cannot be read: {first}") from None


def _checked(rows: pd.DataFrame, what: str) -> pd.DataFrame:
    """The columns of PAST_CAMPAIGNS with their types. Raises DataError."""
    if "value_at_risk" not in rows and {"churn_probability", "value_if_kept"} <= {*rows}:
        rows = rows.assign(value_at_risk=value_at_risk(rows))  # kept before declines counted
    for column in PAST_CAMPAIGNS:
        if column.name not in rows:
            raise DataError(f"The {what} has no column '{column.name}'.{did_you_mean(column.name, map(str, rows))}")
    table = rows[[c.name for c in PAST_CAMPAIGNS]].reset_index(drop=True)
    for column in PAST_CAMPAIGNS:
        if column.dtype == "str":
            table[column.name] = table[column.name].astype("string").fillna("?").astype(object)
            continue
        values = pd.to_numeric(table[column.name], errors="coerce").to_numpy(np.float64, na_value=np.nan)
        bad = ~np.isfinite(values) if column.name not in _UNKNOWN else np.isinf(values)
        if column.unit in ("probability", "share"):
            bad |= (values < 0) | (values > 1)
        if bad.any():
            raise DataError(
                f"The {what} has {bad.sum():,} of {len(table):,} rows without a usable '{column.name}', "
                f"the first is customer '{shown_id(table['customer_id'].iloc[int(bad.argmax())])}'."
            )
        table[column.name] = values
    odd = ~table["group"].isin(["treat", "control"])
    if odd.any():
        raise DataError(f"The {what} has {odd.sum():,} rows whose group is neither treat nor control.")
    return table
