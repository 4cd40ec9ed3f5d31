"""What came of a campaign, as values and as a page of text."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from clvml.display import Figure, card, money_in, table_of, unit_within
from clvml.errors import OptionError

__all__ = ["Lift", "Outcome"]


@dataclass(frozen=True)
class Lift:
    """One measure of one group of customers, treated against control, per customer.

    Attributes
    ----------
    customers : str
        'all', or the part of the audience: a planned treatment, a tier, ...
    measure : str
        'returned' (share of customers with a purchase), 'revenue' or 'contribution' (money per customer).
    treated, control : int
        Customers in each group.
    treated_mean, control_mean : float
        Plain means of the groups.
    effect, se : float
        Difference in means, strata weighted by size and what the scores knew beforehand taken out; its standard error.
    low, high : float
        Interval of the effect. Those of parts hold together, for each measure: all of them contain the truth with the
        chance `Outcome.level`.
    anytime_low, anytime_high : float
        Interval that holds at all looks within the planned window together.
    p_value : float
        Two-sided, of no effect; for parts corrected for their number.
    variance_removed : float
        Share of the variance that CUPED took out.
    """

    customers: str
    measure: str
    treated: int
    control: int
    treated_mean: float
    control_mean: float
    effect: float
    se: float
    low: float
    high: float
    anytime_low: float
    anytime_high: float
    p_value: float
    variance_removed: float

    def __str__(self) -> str:
        level, change = (_percent, _points) if self.measure == "returned" else (_money, _money_change)
        return (
            f"{self.customers[:23]:<24}{self.measure:<13}{level(self.treated_mean):>11}{level(self.control_mean):>11}"
            f"{change(self.effect):>12}  {change(self.low)} to {change(self.high)}"
        )


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _points(share: float) -> str:
    return f"{100 * share:+.1f} p"


def _money(amount: float) -> str:
    return f"{amount:,.2f}"


def _money_change(amount: float) -> str:
    return f"{amount:+,.2f}"


@dataclass(frozen=True, repr=False)
class Outcome:
    """What came of a campaign. Without a control group `lifts` is empty and `message` says what can be said instead.

    Attributes
    ----------
    campaign, start, end, planned_end : str
        The campaign and its window: purchases after `start` until `end` count; `planned_end` is when it is over.
    treated, control : int
        Customers in each group.
    lifts : tuple of Lift
        Treated against control, for all and by part of the audience.
    cost : float
        Contacts and redeemed incentives of the treated so far.
    profit, profit_low, profit_high : float
        Extra contribution of all treated, less `cost`, with its interval; NaN without a control group.
    profit_anytime_low, profit_anytime_high : float
        The same at all looks within the window together: whoever looks every night and stops when this interval leaves
        zero is wrong with a chance of at most 1 − `level`.
    message : str
        The verdict in words.
    level : float
        Level of all intervals.
    notes : tuple of str
        What makes the comparison doubtful.
    """

    campaign: str
    start: str
    end: str
    planned_end: str
    treated: int
    control: int
    lifts: tuple[Lift, ...]
    cost: float
    profit: float
    profit_low: float
    profit_high: float
    profit_anytime_low: float
    profit_anytime_high: float
    message: str
    level: float = 0.95
    notes: tuple[str, ...] = ()

    @property
    def comparable(self) -> bool:
        """Whether an effect could be measured."""
        return bool(self.lifts)

    @property
    def complete(self) -> bool:
        """Whether the planned window is over."""
        return self.end >= self.planned_end

    def lift_of(self, customers: str = "all", measure: str = "contribution") -> Lift:
        """One measure of one group of customers. Raises OptionError where it was not measured."""
        for lift in self.lifts:
            if (lift.customers, lift.measure) == (customers, measure):
                return lift
        known = ", ".join(dict.fromkeys(lift.customers for lift in self.lifts)) or "nobody"
        raise OptionError(f"No effect was measured for '{customers}'. Measured: {known}.")

    def effect_of(self, customers: str = "all") -> dict[str, float | str]:
        """The effect as settings of a Treatment of the next plan: extra_contribution, effect_sd, effect_source.

        It is contribution before contact cost, and before incentives unless the log was already net of them (then plan
        with incentive 0). Raises OptionError where nothing was measured for these customers.
        """
        lift = self.lift_of(customers)
        source = (
            f"measured in '{self.campaign}', {self.start} to {self.end}: {lift.effect:+.4g} per customer "
            f"({lift.low:+.4g} to {lift.high:+.4g})"
        )
        return {"extra_contribution": lift.effect, "effect_sd": lift.se, "effect_source": source}

    def to_frame(self) -> pd.DataFrame:
        """One row a group of customers and measure."""
        return pd.DataFrame([asdict(lift) for lift in self.lifts], columns=list(Lift.__dataclass_fields__))

    def to_dict(self) -> dict[str, Any]:
        """All findings as plain values."""
        own = {"comparable": self.comparable, "complete": self.complete}
        payload = asdict(self) | own | {"lifts": [asdict(lift) for lift in self.lifts]}
        return {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in payload.items()}

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        rows = []
        for lift in self.lifts:
            level, change = (_percent, _points) if lift.measure == "returned" else (_money, _money_change)
            interval = f"{change(lift.low)} to {change(lift.high)}"
            cells = (level(lift.treated_mean), level(lift.control_mean), change(lift.effect), interval)
            rows.append((lift.customers, lift.measure, *cells))
        columns = ("customers", "measure", "treated", "control", "effect", f"{self.level:.0%} interval")
        unit = unit_within(self.profit_low, self.profit_high)
        profit = f"{money_in(unit, self.profit_low)} to {money_in(unit, self.profit_high)}"
        return card(
            f"Campaign '{self.campaign}', {self.start} to {self.end}",
            sentences=(self.message,),
            figures=(
                Figure("treated", f"{self.treated:,}"),
                Figure("control", f"{self.control:,}"),
                *((Figure("profit", money_in(unit, self.profit), profit),) if self.comparable else ()),
            ),
            tables=(table_of("", columns, rows, words=2),) if rows else (),
            notes=self.notes,
        )

    def __str__(self) -> str:
        lines = [
            f"Campaign '{self.campaign}', {self.start} to {self.end}: "
            f"{self.treated:,} treated, {self.control:,} control"
        ]
        if self.lifts:
            head = f"{'customers':<24}{'measure':<13}{'treated':>11}{'control':>11}{'effect':>12}"
            lines += [f"  {head}  {self.level:.0%} interval", *(f"  {lift}" for lift in self.lifts)]
            lines.append(
                "  returned: share of customers who bought (p: percentage points); money: per customer of a group"
            )
            if any(lift.variance_removed > 0 for lift in self.lifts):
                lines.append(
                    "  effect: adjusted for what the scores knew beforehand, so not quite the difference of the two"
                )
            parts = len({lift.customers for lift in self.lifts} - {"all"})
            if parts > 1:
                lines.append(f"  the intervals of the {parts} parts are wider, so that all of a measure hold together")
        for text in (self.message, *(f"note: {note}" for note in self.notes)):
            lines += textwrap.wrap(text, 98)
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)
