"""What campaigns promised beside what they delivered, as a table and in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from clvml.campaigns.learning.past import CAMPAIGN, DELIVERED, PROMISED
from clvml.display import money, money_in, unit_within

__all__ = ["promised_and_delivered", "promised_text", "track_record"]


def promised_and_delivered(past: pd.DataFrame) -> pd.DataFrame:
    """A row a campaign, the oldest first: campaign, as_of, end, treated, control, and what was promised and delivered.

    The last row, `all`, adds up those campaigns of which both are known; its intervals take the errors of the campaigns
    as independent.
    """
    groups = past.groupby([*CAMPAIGN], sort=False)
    table = groups[[*PROMISED, *DELIVERED]].first()
    table.insert(0, "treated", groups["group"].agg(lambda g: int((g == "treat").sum())))
    table.insert(1, "control", groups["group"].agg(lambda g: int((g == "control").sum())))
    table = table.reset_index().sort_values(["as_of", "campaign"], ignore_index=True, kind="stable")
    both = table[table["promised"].notna() & table["delivered"].notna()]
    total: dict[str, Any] = {"campaign": "all", "as_of": "", "end": ""}
    total |= {name: int(both[name].sum()) for name in ("treated", "control")}
    for name in ("promised", "delivered"):
        middle = float(both[name].sum())
        down, up = (float(np.sqrt(((both[f"{name}_{side}"] - both[name]) ** 2).sum())) for side in ("low", "high"))
        total |= {name: middle, f"{name}_low": middle - down, f"{name}_high": middle + up}
    return pd.concat([table, pd.DataFrame([total])], ignore_index=True)[[*table]]


def promised_text(campaigns: pd.DataFrame) -> list[str]:
    """Lines of text: what each campaign promised and what it delivered, after costs, each with its 90% interval."""
    lines = [f"{'campaign':<22}{'as of':<12}{'promised':>12}  {'90% interval':<22}{'delivered':>12}  90% interval"]
    rows = campaigns.to_dict("records")
    for row in rows if len(rows) > 2 else rows[:1]:  # of one campaign the sum says nothing more
        promised, delivered = (_with_interval(row, name) for name in ("promised", "delivered"))
        lines.append(
            f"{row['campaign'][:21]:<22}{row['as_of']:<12}{promised[0]:>12}  {promised[1]:<22}"
            f"{delivered[0]:>12}  {delivered[1]}"
        )
    return lines


def _with_interval(row: Mapping[Any, Any], name: str) -> tuple[str, str]:
    """An amount as far as it is known, and its interval."""
    middle, low, high = (float(row[column]) for column in (name, f"{name}_low", f"{name}_high"))
    if not np.isfinite(low):
        return (money(middle), "not stated") if np.isfinite(middle) else ("-", "not measured")
    unit = unit_within(low, high)
    return money_in(unit, middle), f"{money_in(unit, low)} to {money_in(unit, high)}"


def track_record(campaigns: pd.DataFrame) -> list[str]:
    """In a sentence what past campaigns promised and delivered together; none where neither is known of any."""
    both = int(campaigns.iloc[:-1][["promised", "delivered"]].notna().all(axis=1).sum())
    if not both:
        return []
    total = campaigns.to_dict("records")[-1]
    promised, delivered = (_with_interval(total, name) for name in ("promised", "delivered"))
    many = "the past campaign" if both == 1 else f"the {both} past campaigns together"
    return [f"{many} promised {promised[0]}; measured were {delivered[0]} (90% interval {delivered[1]})"]
