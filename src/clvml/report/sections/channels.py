"""Which channels bring customers worth more than they cost?"""

from __future__ import annotations

import pandas as pd

from clvml.html import Cell, Head, Table
from clvml.insights.channels import channel_values
from clvml.orders.transactions import Transactions
from clvml.report import charts
from clvml.report.parts import Money, Section, chart

__all__ = ["channels"]


def channels(scores: pd.DataFrame, money: Money, log: Transactions) -> Section:
    """Which channels bring customers worth more than they cost?"""
    rows = channel_values(scores, log).rows
    heads = (Head("Channel"), Head("Customers", True), Head("Worth each", True), Head("90% interval", True))
    return Section(
        "channels",
        "Which channels bring customers worth more than they cost?",
        (f"A customer of '{rows[0].channel}' is worth most: {money(rows[0].ltv)}, so far and expected together.",),
        charts=(
            chart(
                charts.bars([r.channel for r in rows], [r.ltv for r in rows], label="worth of a customer"),
                "channels-worth",
                "What a customer of each channel is worth",
            ),
        ),
        tables=(
            Table(
                "channel-table",
                "Contribution so far and expected, per customer",
                heads,
                tuple(
                    (
                        Cell(r.channel),
                        Cell(f"{r.customers:,}"),
                        Cell(money(r.ltv)),
                        Cell(f"{money(r.low)} to {money(r.high)}"),
                    )
                    for r in rows
                ),
            ),
        ),
        notes=("What a customer of a channel costs is not in the log; `channel_values(..., cac=...)` sets it beside.",),
    )
