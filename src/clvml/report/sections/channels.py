"""Which channels bring customers worth more than they cost?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from clvml.display import Cell, Head, Table
from clvml.insights.channels import SMALL, Channels, ChannelValue
from clvml.report import charts
from clvml.report.parts import Money, Section, chart

__all__ = ["channels"]


def channels(money: Money, found: Channels, cac: Mapping[str, float] | None) -> Section:
    """Which channels bring customers worth more than they cost? cac: what winning a customer of a channel costs."""
    rows = found.rows
    shown = [row for row in rows if row.channel != SMALL] or rows  # a few customers would set the scale of the chart
    heads = [Head("Channel"), Head("Customers", True), Head("Worth each", True), Head("90% interval", True)]
    if cac:
        heads += [Head("Cost of winning one", True), Head("Worth per cost", True), Head("Paid back in month", True)]
    return Section(
        "channels",
        "Which channels bring customers worth more than they cost?",
        tuple(_sentences(shown, money)),
        charts=(
            chart(
                charts.ranges(
                    [r.channel for r in shown],
                    [r.ltv for r in shown],
                    [r.low for r in shown],
                    [r.high for r in shown],
                    marks=[r.cac for r in shown],
                    label="money per customer",
                    range_name="worth, with its 90% interval",
                    mark_name="cost of winning one",
                    write=money.tick,
                ),
                "channels-worth",
                "What a customer of each channel is worth" + (", and what they cost" if cac else ""),
            ),
        ),
        tables=(
            Table(
                "channel-table",
                "Contribution so far and expected, per customer",
                tuple(heads),
                tuple(tuple(_cells(row, money, costs=bool(cac))) for row in rows),
            ),
        ),
        notes=()
        if cac
        else (
            "What a customer of a channel costs is not in the log: `clvml report --cac CHANNEL=MONEY` or "
            "`make_page(..., cac=...)` sets it beside.",
        ),
        short=_short(shown, money),
    )


def _short(rows: Sequence[ChannelValue], money: Money) -> str:
    """The best channel, where one is."""
    first = rows[0]
    if len(rows) == 1 or len({row.shrunk for row in rows}) == 1:
        return "No channel differs from others beyond chance." if len(rows) > 1 else ""
    return f"A customer of '{first.channel}' is worth {money(first.ltv)}, the best bet of {len(rows)} channels."


def _cells(row: ChannelValue, money: Money, *, costs: bool) -> list[Cell]:
    cells = [
        Cell(row.channel),
        Cell(money.count(row.customers)),
        Cell(money(row.ltv)),
        Cell(f"{money.about(row.low)} to {money.about(row.high)}" if np.isfinite(row.low) else ""),
    ]
    if costs:
        known = np.isfinite(row.cac)
        cells += [
            Cell(money(row.cac) if known else ""),
            Cell(money.decimal(row.ltv_cac, 1) if known and np.isfinite(row.ltv_cac) else ""),
            Cell(f"{row.payback_month:.0f}" if np.isfinite(row.payback_month) else "not yet" if known else ""),
        ]
    return cells


def _most(rows: Sequence[ChannelValue], money: Money) -> str:
    """Which channel is worth most, as far as chance lets it be seen; the rows are in the order of what is likely."""
    first, each = rows[0], [row.ltv for row in rows]
    so_far = "so far and expected together"
    if len(rows) == 1:
        return f"The log knows one channel, '{first.channel}': a customer is worth {money(first.ltv)}, {so_far}."
    if len({row.shrunk for row in rows}) == 1:
        worth = f"{money(min(each))} to {money(max(each))}"
        return f"A customer is worth {worth}, {so_far}; the channels do not differ beyond chance."
    highest = max(rows, key=lambda row: row.ltv)
    if highest is first:
        return f"A customer of '{first.channel}' is worth most: {money(first.ltv)}, {so_far}."
    return (
        f"A customer of '{highest.channel}' has the highest average, {money(highest.ltv)}, {so_far}; but that is so "
        f"unsure ({money.about(highest.low)} to {money.about(highest.high)}) that '{first.channel}' with "
        f"{money(first.ltv)} is the better bet."
    )


def _sentences(rows: Sequence[ChannelValue], money: Money) -> list[str]:
    """The best channel; with costs, which channels pay for sure, which do not, and which may."""
    found = [_most(rows, money)]
    priced = [row for row in rows if np.isfinite(row.cac)]
    for verdict, names in (
        ("worth more than they cost", [r.channel for r in priced if r.low > r.cac]),
        ("worth less than they cost", [r.channel for r in priced if r.high < r.cac]),
        (
            "not shown to be worth what they cost, nor the contrary",
            [r.channel for r in priced if r.low <= r.cac <= r.high],
        ),
    ):
        if names:
            found.append(f"Customers of {', '.join(names)} are {verdict}.")
    return found
