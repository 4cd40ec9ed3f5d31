"""What a campaign will have been worth, as values and as a page of text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from clvml.campaigns.outcome.result import Lift
from clvml.campaigns.outcome.surrogacy import MIN_CHECKED_CUSTOMERS, READ_DAYS, Drawn, SurrogateCheck

__all__ = ["CONFIRMED", "CONTRADICTED", "OPEN", "SurrogateOutcome", "contradiction", "status_of", "verdict"]

CONFIRMED, CONTRADICTED, OPEN = "confirmed", "contradicted", "open"


@dataclass(frozen=True)
class SurrogateOutcome:
    """What a campaign is worth some time ahead, by what its customers have done so far.

    Attributes
    ----------
    campaign, start, end, until : str
        Purchases after `start` count; until `end` they are known, from there until `until` they are expected.
    treated, control : int
        Customers in each group.
    so_far : Lift
        The effect on contribution until `end`, as it was measured.
    effect, low, high : float
        Effect on contribution per customer, undiscounted, from `start` to `until`, with its interval; NaN where the
        checks contradict that it goes through the history.
    to_come : float
        The part of the effect that is expected after `end`.
    cost : float
        Contacts and redeemed incentives of the treated so far.
    profit, profit_low, profit_high : float
        Effect of all treated less `cost`; NaN as `effect`.
    missed, missed_sd : float
        What the surrogate misses of the part to come, as a share of it, by the checks (`to_come` is corrected for it),
        and how sure that is. 0 and 0.5 without checks.
    status : str
        'contradicted': far more or less came later than the histories let expect; 'confirmed': a later effect came that
        cannot have been nothing, and nothing contradicts; 'open': neither. Even 'confirmed' leaves room for an effect
        that is half as large again, or half, as the histories say: that room is in the interval.
    checks : tuple of SurrogateCheck
        What came against what was expected, in this campaign and in those before it.
    message : str
        The verdict in words.
    level : float
        Level of all intervals.
    notes : tuple of str
        What makes the figures doubtful.
    """

    campaign: str
    start: str
    end: str
    until: str
    treated: int
    control: int
    so_far: Lift
    effect: float
    low: float
    high: float
    to_come: float
    cost: float
    profit: float
    profit_low: float
    profit_high: float
    missed: float
    missed_sd: float
    status: str
    checks: tuple[SurrogateCheck, ...]
    message: str
    level: float = 0.95
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All findings as plain values, None where there is none."""
        payload = asdict(self) | {"checks": [asdict(check) for check in self.checks]}
        for part in (payload, *payload["checks"]):
            part |= {k: None for k, v in part.items() if isinstance(v, float) and not np.isfinite(v)}
        return payload

    def __str__(self) -> str:
        lines = [
            f"Campaign '{self.campaign}', {self.start} to {self.until}, read on {self.end}: "
            f"{self.treated:,} treated, {self.control:,} control",
            f"  contribution so far      {self.so_far.effect:>+12,.2f} per customer "
            f"({self.so_far.low:+,.2f} to {self.so_far.high:+,.2f})",
        ]
        if self.status != CONTRADICTED:
            lines += [
                f"  expected to come         {self.to_come:>+12,.2f} per customer",
                f"  together                 {self.effect:>+12,.2f} per customer "
                f"({self.low:+,.2f} to {self.high:+,.2f})",
            ]
        if self.checks:
            lines.append(
                f"  {'checked in':<26}{'until':<12}{'measure':<13}{'gap':>10}  {'interval':<20}{'if none':>10}"
            )
            lines += [f"  {check}" for check in self.checks]
            lines.append("  gap: what came less what was expected, treated less control, per customer;")
            lines.append("  if none: the gap to be seen if none of the later effect came")
        for text in (self.message, *(f"note: {note}" for note in self.notes)):
            lines += textwrap.wrap(text, 98)
        return "\n".join(lines)


def status_of(checks: Sequence[SurrogateCheck]) -> str:
    """Whether a check contradicts that the effect goes through the history, or shows that a later effect comes."""
    if any(check.contradicts for check in checks):
        return CONTRADICTED
    return CONFIRMED if any(check.confirms for check in checks) else OPEN


def contradiction(checks: Sequence[SurrogateCheck], drawn: Drawn) -> str:
    """Why there is no figure."""
    against = [check for check in checks if check.contradicts]
    check = against[0]
    less = check.gap < 0
    fewer = ("fewer" if check.measure == "purchases" else "less") if less else "more"
    return (
        f"No figure until {drawn.until}: the effect does not go through the history. In '{check.campaign}', read on "
        f"{check.read}, {abs(check.gap):,.3g} {fewer} {check.measure} per treated customer came until {check.until} "
        f"than the history let expect, compared with control (interval {check.low:+.3g} to {check.high:+.3g}). "
        + (
            "Orders that were only pulled forward, or made once for the offer, look like this"
            if less
            else "An effect that comes late, or lasts without showing in the first weeks, looks like this"
        )
        + ". Wait, and measure it: `clvml outcome --end` at a later day."
    )


def verdict(
    profits: tuple[float, float, float], cost: float, status: str, drawn: Drawn, level: float, checks: int
) -> str:
    """The figure, and what it rests on."""
    value, low, high = profits
    word = (
        "it will have paid"
        if low > 0
        else "it will have lost money"
        if high < 0
        else "it is not clear whether it will have paid"
    )
    figures = (
        f"{word} by {drawn.until}: profit {value:,.2f} after {cost:,.2f} of cost ({level:.0%} interval "
        f"{low:,.2f} to {high:,.2f})."
    )
    if status == CONFIRMED:
        return f"{figures[0].upper()}{figures[1:]} The checks show that a later effect comes."
    if drawn.read == drawn.until:
        return f"{figures[0].upper()}{figures[1:]} All of it is known: nothing is expected."
    why = (
        f"the {checks} checks do not contradict it, and cannot show it either"
        if checks
        else f"nothing has tested it yet: that takes {2 * READ_DAYS} days since the start, or past campaigns with "
        f"these treatments, and {MIN_CHECKED_CUSTOMERS} customers of each group"
    )
    return f"If the effect goes through the history, {figures} Whether it does is open: {why}."
