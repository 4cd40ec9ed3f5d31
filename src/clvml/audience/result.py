"""The audience: a table a CRM can import, a plan that can be repeated, and what was left out and why."""

from __future__ import annotations

import json
import os
import tempfile
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from clvml.audience.control import Power
from clvml.audience.lists import canonical
from clvml.errors import DataError, did_you_mean

__all__ = ["AUDIENCE_COLUMNS", "Audience", "read_audience"]

AUDIENCE_COLUMNS = (
    "customer_id", "treatment", "reason", "cost", "expected_gain", "group", "planned_treatment", "campaign", "as_of",
    "horizon_days", "certainty", "churn_probability", "threshold", "value_if_kept", "value_at_risk", "tier",
    "state", "stratum", "control_share", "contact_cost", "incentive", "p_return", "expected_spend", "clv",
    "effect_source",
)  # fmt: skip
"""`treatment` is what to do ('none' for the control group), `planned_treatment` what the rule chose for both groups."""


@dataclass(frozen=True)
class Audience:
    """Who is treated, who is control, who was left out and why."""

    table: pd.DataFrame  # AUDIENCE_COLUMNS, one row a customer treated or held as control
    left_out: pd.DataFrame  # customer_id, why, value_at_risk
    plan: Mapping[str, Any]  # settings, totals and what the experiment can see: plain values
    power: tuple[Power, ...] = field(default=())

    def to_frame(self) -> pd.DataFrame:
        """The audience table (a copy)."""
        return self.table.copy()

    def to_dict(self) -> dict[str, Any]:
        """The plan: settings, totals, counts, power."""
        return dict(self.plan)

    def write(self, csv: str | os.PathLike[str], plan: str | os.PathLike[str] | None = None) -> None:
        """The table as CSV and the plan as JSON, written aside and renamed. The same inputs give the same bytes."""
        _write_aside(Path(csv), self.table.to_csv(index=False, lineterminator="\n"))
        if plan is not None:
            _write_aside(Path(plan), json.dumps(self.plan, indent=2, sort_keys=True, ensure_ascii=False) + "\n")

    def __str__(self) -> str:
        told = self.plan["totals"]
        budget = self.plan["budget"]
        lines = [
            f"Campaign '{self.plan['settings']['name']}' as of {self.plan['as_of']}: "
            f"{told['treated']:,} treated, {told['control']:,} control",
            f"  cost {told['cost']:,.2f}{'' if budget is None else f' of {budget:,.2f}'}, expected gain after cost "
            f"{told['expected_gain']:,.2f} (at most {told['bound']:,.2f} possible)",
            f"  the control group gives up {told['gain_forgone']:,.2f}",
        ]
        lines += [
            f"  {row['treatment']:<24} {row['treated']:>8,} treated {row['control']:>7,} control "
            f"{row['cost']:>12,.2f} cost {row['expected_gain']:>12,.2f} gain"
            for row in self.plan["by_treatment"]
        ]
        lines += [f"  effect: {text}" for text in self.plan["effects"]]
        lines.append("  left out:")
        lines += [f"    {row['customers']:>9,} {row['why']}" for row in self.plan["left_out"]]
        lines.append("  the experiment:")
        for power in self.power:
            lines += textwrap.wrap(str(power), 96, initial_indent="    ", subsequent_indent="      ")
        lines += [f"  note: {note}" for note in self.plan["notes"]]
        return "\n".join(lines)


def read_audience(source: str | os.PathLike[str] | pd.DataFrame | Audience) -> pd.DataFrame:
    """An audience table from a file, a frame or an Audience, ids as text. Raises DataError if it is none."""
    if isinstance(source, Audience):
        table = source.to_frame()
    elif isinstance(source, pd.DataFrame):
        table = source.copy()
    else:
        if not Path(source).exists():
            raise DataError(f"There is no audience file '{source}'.")
        table = pd.read_csv(source, dtype={"customer_id": "string"}, keep_default_na=False, na_values=[""])
    for name in ("customer_id", "group", "planned_treatment", "as_of"):
        if name not in table:
            raise DataError(
                f"The audience has no column '{name}'.{did_you_mean(name, map(str, table))} "
                "Give the file that the audience planner wrote, unchanged."
            )
    table["customer_id"] = canonical(table["customer_id"])
    twice = table["customer_id"].duplicated()
    if twice.any():
        raise DataError(
            f"{twice.sum()} customers stand twice in the audience, "
            f"the first is '{table['customer_id'][twice].iloc[0]}'."
        )
    return table


def _write_aside(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
