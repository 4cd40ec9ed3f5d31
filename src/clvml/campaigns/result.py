"""The audience: a table a CRM can import, a plan that can be repeated, and what was left out and why."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.special import ndtr

from clvml.campaigns.gain import NORMAL_90
from clvml.campaigns.power import Power
from clvml.display import Figure, card, money, money_in, table_of, unit_within
from clvml.errors import DataError, did_you_mean
from clvml.files import write_aside
from clvml.redaction import shown_id
from clvml.spreadsheets import read_csv, write_csv
from clvml.tables import canonical_ids

__all__ = ["AUDIENCE_COLUMNS", "LEFT_OUT_COLUMNS", "Audience", "read_audience"]

AUDIENCE_COLUMNS = (
    "customer_id", "treatment", "reason", "cost", "expected_gain", "group", "planned_treatment", "campaign", "as_of",
    "horizon_days", "certainty", "churn_probability", "threshold", "value_if_kept", "value_at_risk", "tier",
    "state", "stratum", "control_share", "contact_cost", "incentive", "p_return", "expected_spend", "clv",
    "effect_source", "explored", "propensity", "clv_sd", "promised_low", "promised_high", "until",
)  # fmt: skip
"""`treatment` is what to do ('none' for the control group), `planned_treatment` what the rule chose for both groups."""


LEFT_OUT_COLUMNS = ("customer_id", "why", "value_at_risk", "tier", "state")
"""Of those whom the campaign leaves alone: sure buyers, those with too little to gain, those on a list, and so on."""


@dataclass(frozen=True, repr=False)
class Audience:
    """Who is treated, who is control, who was left out and why."""

    table: pd.DataFrame  # AUDIENCE_COLUMNS, one row a customer treated or held as control
    left_out: pd.DataFrame  # LEFT_OUT_COLUMNS, one row a customer
    plan: Mapping[str, Any]  # settings, totals and what the experiment can see: plain values
    power: tuple[Power, ...] = field(default=())

    def to_frame(self) -> pd.DataFrame:
        """The audience table (a copy)."""
        return self.table.copy()

    def to_dict(self) -> dict[str, Any]:
        """The plan: settings, totals, counts, power."""
        return dict(self.plan)

    def write(
        self,
        csv: str | os.PathLike[str],
        plan: str | os.PathLike[str] | None = None,
        left_out: str | os.PathLike[str] | None = None,
    ) -> None:
        """The table as CSV, the plan as JSON and those left out as CSV, each written aside and renamed. The same inputs
        give the same bytes.
        """
        write_aside(Path(csv), lambda aside: write_csv(self.table, aside))
        if plan is not None:
            text = json.dumps(self.plan, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
            write_aside(Path(plan), lambda aside: aside.write_text(text, encoding="utf-8"))
        if left_out is not None:
            write_aside(Path(left_out), lambda aside: write_csv(self.left_out, aside))

    def _repr_html_(self) -> str:
        """The plan for a notebook."""
        totals = self.plan["totals"]
        treatments = [
            (
                r["treatment"],
                f"{r['treated']:,}",
                f"{r['control']:,}",
                money(r["cost"]),
                money_in(self._unit, r["expected_gain"]),
            )
            for r in self.plan["by_treatment"]
        ]
        left_out = [(r["why"], f"{r['customers']:,}") for r in self.plan["left_out"]]
        tables = [
            table_of("", ("treatment", "treated", "control", "cost", "expected gain"), treatments),
            *([table_of("Left out", ("because", "customers"), left_out)] if left_out else []),
        ]
        return card(
            f"Campaign '{self.plan['settings']['name']}' as of {self.plan['as_of']}",
            figures=(
                Figure("treated", f"{totals['treated']:,}"),
                Figure("left alone as control", f"{totals['control']:,}"),
                Figure("expected cost", money(totals["cost"])),
                Figure(
                    "expected gain after cost",
                    money_in(self._unit, totals["expected_gain"]),
                    self._interval(),
                ),
            ),
            tables=tables,
            notes=(*self.plan["effects"], *(str(power) for power in self.power), *self.plan["notes"]),
        )

    def __str__(self) -> str:
        totals, budget = self.plan["totals"], self.plan["budget"]
        spent = money(totals["cost"]) + ("" if budget is None else f" of {money(budget)}")
        gain, bound, forgone = (
            money_in(self._unit, totals[name]) for name in ("expected_gain", "bound", "gain_forgone")
        )
        lines = [
            f"Campaign '{self.plan['settings']['name']}' as of {self.plan['as_of']}: "
            f"{totals['treated']:,} treated, {totals['control']:,} control",
            f"  expected to cost {spent} and to bring {gain} after that",
            f"  (90% interval of that: {self._interval()})",
            f"  (the best possible choice under these limits would bring at most {bound})",
        ]
        if self.plan["assumed"]:
            names = ", ".join(f"'{name}'" for name in self.plan["assumed"])
            nothing = money(totals["expected_gain_if_assumed_do_nothing"])
            text = f"(assumed, not measured, is what these do: {names}; if it is nothing, all comes to {nothing})"
            lines += textwrap.wrap(text, 98, initial_indent="  ", subsequent_indent="   ")
        lines += self._beside_sending_nothing()
        if totals["gain_forgone"] > 0:
            lines.append(f"  leaving the control group alone gives up {forgone} of gain")
        if totals["explored"]:
            drawn = f"{totals['explored']:,} customers, half of them control,"
            lines.append(f"  {drawn} were drawn by chance, and so was their treatment, to learn what is not known")
        if totals["explored"] and totals["explored"] == totals["treated"] + totals["control"]:
            lines.append("  nobody is treated because that is expected to pay: all of it is the price of learning")
        lines += ["", f"  {'treatment':<28}{'treated':>10}{'control':>10}{'cost':>14}{'expected gain':>16}"]
        lines += [
            f"  {row['treatment'][:27]:<28}{row['treated']:>10,}{row['control']:>10,}"
            f"{money(row['cost']):>14}{money_in(self._unit, row['expected_gain']):>16}"
            for row in self.plan["by_treatment"]
        ]
        lines += ["", "  what the treatments do:"]
        for text in self.plan["effects"]:
            lines += textwrap.wrap(text, 96, initial_indent="    ", subsequent_indent="      ")
        if self.plan["left_out"]:
            lines += ["", "  left out:"]
        lines += [f"    {row['customers']:>9,} {row['why']}" for row in self.plan["left_out"]]
        lines += ["", "  what the experiment can show (with 80% chance, at the 5% level):"]
        for power in self.power:
            lines += textwrap.wrap(str(power), 96, initial_indent="    ", subsequent_indent="      ")
        for note in self.plan["notes"]:
            lines += textwrap.wrap(f"note: {note}", 96, initial_indent="  ", subsequent_indent="    ")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _beside_sending_nothing(self) -> list[str]:
        """Where nothing is the best there is, or, by what was measured, may well be. Of what is assumed alone another
        line says what it comes to if it is nothing.
        """
        totals = self.plan["totals"]
        gain, high = totals["expected_gain"], totals["expected_gain_high"]
        if not totals["candidates"] and not totals["treated"]:
            return ["  nobody is expected to bring more than treating them costs: sending nothing is best"]
        if self.plan["assumed"] or totals["expected_gain_low"] >= 0 or high <= gain:
            return []
        loss = float(ndtr(-gain * NORMAL_90 / (high - gain)))
        return [f"  (with a chance of {loss:.0%} it loses money; sending nothing would bring 0)"]

    @property
    def _unit(self) -> float:
        """To what the expected gain is known."""
        totals = self.plan["totals"]
        return unit_within(totals["expected_gain_low"], totals["expected_gain_high"])

    def _interval(self) -> str:
        low, high = (money_in(self._unit, self.plan["totals"][f"expected_gain_{end}"]) for end in ("low", "high"))
        return f"{low} to {high}"


def read_audience(source: str | os.PathLike[str] | pd.DataFrame | Audience) -> pd.DataFrame:
    """The audience table that the planner made, ids as text.

    Parameters
    ----------
    source : path, DataFrame or Audience
        What `plan_audience` gave, or the CSV that it wrote.

    Returns
    -------
    DataFrame
        A row a customer; a frame given is copied.

    Raises
    ------
    DataError
        Where there is no such file, a column is missing, or a customer stands twice.

    Examples
    --------
    >>> import pandas as pd
    >>> from clvml import read_audience
    >>> table = pd.DataFrame({"customer_id": [17.0], "group": "treat", "planned_treatment": "mail",
    ...     "as_of": "2011-08-31"})
    >>> read_audience(table)["customer_id"].tolist()
    ['17']
    """
    if isinstance(source, Audience):
        table = source.to_frame()
    elif isinstance(source, pd.DataFrame):
        table = source.copy()
    else:
        if not Path(source).exists():
            raise DataError(f"There is no audience file '{source}'.")
        table = read_csv(source)
    for name in ("customer_id", "group", "planned_treatment", "as_of"):
        if name not in table:
            raise DataError(
                f"The audience has no column '{name}'.{did_you_mean(name, map(str, table))} "
                "Give the file that the audience planner wrote, unchanged."
            )
    table["customer_id"] = canonical_ids(table["customer_id"])
    twice = table["customer_id"].duplicated()
    if twice.any():
        raise DataError(
            f"{twice.sum()} customers stand twice in the audience, "
            f"the first is '{shown_id(table['customer_id'][twice].iloc[0])}'."
        )
    return table
