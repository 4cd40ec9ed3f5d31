"""The value of a customer by acquisition channel, as it is handed over and printed."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from clvml.display import money
from clvml.files import plain

__all__ = ["NOTHING", "ChannelValue", "Channels"]

NOTHING = ("nothing",)
"""What a mix is made of from which nothing was taken out."""


@dataclass(frozen=True)
class ChannelValue:
    """One channel, or one quarter's cohort of it; money per customer, in the log's currency.

    Attributes
    ----------
    channel : str
    customers : int
    age_months : float
        Mean months since the first purchase.
    contribution, expected, ltv : float
        Earned so far, expected over the horizon of the scores, and both together (lifetime value).
    low, high : float
        90% interval of the ltv.
    shrunk : float
        The ltv drawn towards the mean of all channels, the more the noisier it is. Rows are ordered by it.
    adjusted, adjusted_low, adjusted_high : float
        The ltv if every channel had the same mix of cohorts and attributes, with its 90% interval.
    cac, ltv_cac : float
        Cost of acquiring a customer, and the ltv over it; NaN where not given.
    payback_month : float
        Month of life by whose end the contribution has earned the CAC back; NaN where it has not within what was seen.
    formula, formula_off : float
        Ticket × purchases per month × margin × lifetime; and the share by which it is above (+) or below (−) the ltv.
    """

    channel: str
    customers: int
    age_months: float
    contribution: float
    expected: float
    ltv: float
    low: float
    high: float
    shrunk: float
    adjusted: float
    adjusted_low: float
    adjusted_high: float
    cac: float
    ltv_cac: float
    payback_month: float
    formula: float
    formula_off: float

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, None where there is none."""
        payload: dict[str, Any] = plain(asdict(self))
        return payload


@dataclass(frozen=True, repr=False)
class Channels:
    """The value of a customer by acquisition channel.

    Attributes
    ----------
    rows : tuple of ChannelValue
        The channel with the highest shrunk value first.
    as_of : str
        Day of the scores.
    horizon_days : int
        How far ahead the expected part looks.
    adjusted_for : tuple of str
        What the same mix is made of.
    """

    rows: tuple[ChannelValue, ...]
    as_of: str
    horizon_days: int
    adjusted_for: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row a channel."""
        return pd.DataFrame([asdict(row) for row in self.rows])

    def to_dict(self) -> dict[str, Any]:
        """All findings as plain values."""
        return asdict(self) | {"rows": [row.to_dict() for row in self.rows]}

    def __str__(self) -> str:
        lines = [
            f"Value of a customer (LTV) by channel as of {self.as_of}: so far and expected in {self.horizon_days} days",
            *self._table(),
        ]
        notes = (
            "Ordered by shrunk: the LTV drawn towards the mean of all channels, the more the noisier it is.",
            *self._mix(),
            f"The shopkeeper's formula (ticket x purchases per month x margin x lifetime) is off by {self._formula()}.",
        )
        for note in notes:
            lines += textwrap.wrap(note, 98, initial_indent="  ", subsequent_indent="    ")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _mix(self) -> list[str]:
        return [f"same mix: if all channels had the same mix of {', '.join(self.adjusted_for)}."] if self._mixed else []

    @property
    def _mixed(self) -> bool:
        """Whether anything was taken out."""
        return self.adjusted_for != NOTHING

    def _table(self) -> list[str]:
        """The rows in columns; without costs, or a mix that was taken out, without theirs."""
        costs = any(np.isfinite(row.cac) for row in self.rows)
        head = ["customers", "LTV", "90% interval", "shrunk", "same mix", "CAC", "LTV:CAC", "payback"]
        shown = [*head[:4], *(head[4:5] if self._mixed else []), *(head[5:] if costs else [])]
        cells = [dict(zip(head, head, strict=True)), *(_cells_of(row) for row in self.rows)]
        room = 99 - sum(_WIDTHS[name] for name in shown) - 2
        width = min(max(len(row.channel) for row in self.rows) + 2, room)
        names = ["channel", *(_cut(row.channel, max(width, 14) - 1) for row in self.rows)]
        return [
            f"  {name:<{max(width, 14)}}" + "".join(_in_column(row[column], column) for column in shown).rstrip()
            for name, row in zip(names, cells, strict=True)
        ]

    def _formula(self) -> str:
        off = [row.formula_off for row in self.rows if np.isfinite(row.formula_off)]
        if not off:
            return "an unknown share, no value being above zero"
        return f"{off[0]:+.0%}" if len(off) == 1 else f"{min(off):+.0%} to {max(off):+.0%}"


_WIDTHS = {
    "customers": 10, "LTV": 9, "90% interval": 21, "shrunk": 9, "same mix": 9, "CAC": 8, "LTV:CAC": 8, "payback": 9
}  # fmt: skip


def _in_column(text: str, column: str) -> str:
    return f"  {text:<19}" if column == "90% interval" else f"{text:>{_WIDTHS[column]}}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _cells_of(row: ChannelValue) -> dict[str, str]:
    """One line of the table, by column."""
    payback = f"month {row.payback_month:.0f}" if np.isfinite(row.payback_month) else "-"
    cac, ratio = (money(row.cac), f"{row.ltv_cac:.1f}") if np.isfinite(row.cac) else ("-", "-")
    interval = f"{money(row.low)} to {money(row.high)}" if np.isfinite(row.low) else "-"
    return {
        "customers": f"{row.customers:,}",
        "LTV": money(row.ltv),
        "90% interval": interval,
        "shrunk": money(row.shrunk),
        "same mix": money(row.adjusted),
        "CAC": cac,
        "LTV:CAC": ratio,
        "payback": payback,
    }
