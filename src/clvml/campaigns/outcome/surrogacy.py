"""Does the effect of a campaign go through the purchase history? What was expected on a reading day, against what came.

A surrogate stands for an outcome that is still to come only where nothing but the history on the reading day tells
treated from control afterwards (Prentice 1989, Statistics in Medicine 8; Athey et al. 2025, Review of Economic
Studies). Then what came less what was expected is the same in both groups. An order that was only pulled forward, or a
late effect, shows there.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from clvml.campaigns.outcome.window import Array, purchases_within
from clvml.maths.comparison import Comparison, compare, cuped
from clvml.orders.transactions import Transactions
from clvml.scores.model import ClvModel
from clvml.tables import canonical_ids

__all__ = [
    "MIN_CHECKED_CUSTOMERS",
    "READ_DAYS",
    "Drawn",
    "Finding",
    "SurrogateCheck",
    "checks_of",
    "expected_ahead",
    "find_gaps",
    "missed_share",
]

READ_DAYS = 28
"""Days after the start on which a check reads the history: four weeks."""
MIN_CHECKED_CUSTOMERS = 30
"""Customers of each group below which no check is made."""
PRIOR_MISSED_SD = 0.5
"""What the surrogate may miss of what is still to come, as a share (standard deviation), before any check of it."""
MAX_MISSED = 0.5
"""Share of the later effect from which on a gap contradicts the surrogate; below, it corrects it."""

_MEASURES = ("purchases", "contribution")
"""Purchases show most, being least noisy; money alone shows a change of the amounts."""


class Drawn(NamedTuple):
    """A campaign as it was drawn, row by row, and the days that it is read on."""

    name: str
    ids: npt.NDArray[np.object_]
    treated: npt.NDArray[np.bool_]
    stratum: npt.NDArray[np.object_]
    start: dt.date
    read: dt.date
    until: dt.date


class Finding(NamedTuple):
    """A gap between the groups before it is judged."""

    drawn: Drawn
    measure: str
    gap: Comparison
    expected: float


@dataclass(frozen=True)
class SurrogateCheck:
    """What came after a reading day less what was expected on it, treated less control, per customer.

    Attributes
    ----------
    campaign : str
        The campaign it was seen in.
    measure : str
        'purchases' or 'contribution'.
    read, until : str
        The history was read on the first day; what came until the second is compared.
    treated, control : int
        Customers compared.
    gap, low, high : float
        Its interval holds together with those of all other checks. No gap where the history tells all.
    expected : float
        The later effect that the surrogate expects: a gap of minus that is to be seen where none of it comes.
    """

    campaign: str
    measure: str
    read: str
    until: str
    treated: int
    control: int
    gap: float
    low: float
    high: float
    expected: float

    @property
    def missed(self) -> float:
        """The gap as a share of the later effect expected: −1 where none of it came."""
        return self.gap / self.expected if self.expected else float(np.copysign(np.inf, self.gap))

    @property
    def contradicts(self) -> bool:
        """Whether far more, or far less, came than went through the history: no chance, and most of the effect."""
        return not self.low <= 0 <= self.high and abs(self.missed) > MAX_MISSED

    @property
    def confirms(self) -> bool:
        """Whether the later effect came, and cannot have been nothing."""
        return not self.contradicts and not self.low <= -self.expected <= self.high

    def __str__(self) -> str:
        word = "contradicted" if self.contradicts else "confirmed" if self.confirms else "open"
        return (
            f"{self.campaign[:25]:<26}{self.until:<12}{self.measure:<13}{self.gap:>+10.3g}"
            f"  {f'{self.low:+.3g} to {self.high:+.3g}':<20}{-self.expected:>+10.3g}  {word}"
        )


def expected_ahead(
    model: ClvModel, log: Transactions, ids: npt.NDArray[np.object_], day: dt.date, until: dt.date
) -> pd.DataFrame:
    """Purchases and contribution (undiscounted) expected of the customers within (day, until], as known on the day."""
    frame = model.frame(log, day)
    columns = model.model_._value_columns(model.model_._customer_forecast(frame), (until - day).days)
    table = pd.DataFrame(
        {"purchases": columns["expected_purchases"], "contribution": columns["expected_spend"] * model.margin_},
        index=pd.Index(canonical_ids(frame["customer_id"])),
    )
    return table.reindex(ids).fillna(0.0)


def find_gaps(drawn: Drawn, log: Transactions, model: ClvModel) -> list[Finding]:
    """What came of (read, until] less what was expected, treated less control.

    What is expected has the level of what came to control, so that a season which the model does not know says nothing
    of the campaign; what was known at the start is taken out of the noise.
    """
    if min(drawn.treated.sum(), (~drawn.treated).sum()) < MIN_CHECKED_CUSTOMERS:
        return []
    before = expected_ahead(model, log, drawn.ids, drawn.start, drawn.until)
    expected = expected_ahead(model, log, drawn.ids, drawn.read, drawn.until)
    came = purchases_within(log, drawn.read, drawn.until).reindex(drawn.ids).fillna(0.0)
    found = []
    for measure in _MEASURES:
        x, ahead, arrived = (table[measure].to_numpy(np.float64) for table in (before, expected, came))
        ahead = ahead * _level(arrived[~drawn.treated], ahead[~drawn.treated])
        rest, _ = cuped(arrived - ahead, x, drawn.treated)
        later = compare(cuped(ahead, x, drawn.treated)[0], drawn.treated, drawn.stratum).effect
        found.append(Finding(drawn, measure, compare(rest, drawn.treated, drawn.stratum), later))
    return found


def _level(came: Array, expected: Array) -> float:
    """What came over what was expected; 1 where either is nothing."""
    some = came.sum() > 0 and expected.sum() > 0
    return float(came.sum() / expected.sum()) if some else 1.0


def checks_of(findings: Sequence[Finding], level: float) -> tuple[SurrogateCheck, ...]:
    """All gaps with intervals that hold together at the level."""
    checks = []
    for f in findings:
        low, high = f.gap.interval(level, groups=len(findings))
        checks.append(
            SurrogateCheck(
                campaign=f.drawn.name,
                measure=f.measure,
                read=str(f.drawn.read),
                until=str(f.drawn.until),
                treated=int(f.drawn.treated.sum()),
                control=int((~f.drawn.treated).sum()),
                gap=f.gap.effect,
                low=low,
                high=high,
                expected=f.expected,
            )
        )
    return tuple(checks)


def missed_share(findings: Sequence[Finding]) -> tuple[float, float]:
    """(mean, sd) of what the surrogate misses of what is to come, as a share: none before any check, give or take
    `PRIOR_MISSED_SD`; then the sharpest check of each campaign, by their precision.
    """
    sharpest: dict[tuple[str, dt.date], tuple[float, float]] = {}
    for f in findings:
        half = (f.gap.below + f.gap.above) / 2 * f.gap.se / float(ndtri(0.975))
        if half == 0 or f.expected == 0:
            continue
        campaign, precision = (f.drawn.name, f.drawn.start), (f.expected / half) ** 2
        if precision > sharpest.get(campaign, (0.0, 0.0))[0]:
            sharpest[campaign] = (precision, f.gap.effect / f.expected)
    total = PRIOR_MISSED_SD**-2 + sum(precision for precision, _ in sharpest.values())
    return sum(precision * share for precision, share in sharpest.values()) / total, float(total**-0.5)
