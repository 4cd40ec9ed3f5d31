"""Who is about to leave whom I should not lose, and why?"""

from __future__ import annotations

import pandas as pd

from clvml.html import Cell, Figure, Head, Table
from clvml.report import charts
from clvml.report.parts import Money, Section, chart

__all__ = ["leaving"]


def leaving(scores: pd.DataFrame, money: Money, *, channels: pd.Series | None, redact: bool, rows: int) -> Section:
    """Who is about to leave whom I should not lose, and why?"""
    flagged = scores[scores["flagged"]].sort_values("value_at_risk", ascending=False, kind="stable")
    shown, at_stake = flagged.head(rows), float(flagged["value_at_risk"].sum())
    chance = "p_leaving" if "p_leaving" in scores else "churn_probability"
    heads = [Head("Customer"), Head("Value at risk", True), Head("Chance of leaving", True), Head("Tier"),
             Head("State"), Head("Last purchase", True), Head("Why")]  # fmt: skip
    filters = [("Tier", _words(shown["tier"])), ("State", _words(shown["state"]))]
    if channels is not None:
        heads.insert(5, Head("Channel"))
        filters.append(("Channel", _words(shown["customer_id"].map(channels).fillna("unknown"))))
    cells = []
    for place, row in enumerate(shown.to_dict("records"), 1):
        line = [
            Cell(f"#{place}" if redact else str(row["customer_id"])),
            Cell(money(row["value_at_risk"]), round(float(row["value_at_risk"]), 2)),
            Cell(f"{row[chance]:.0%}", round(float(row[chance]), 4)),
            Cell(str(row["tier"])),
            Cell(str(row["state"])),
            Cell(f"{int(row['days_since_last'])} days ago", float(row["days_since_last"])),
            Cell(str(row["reason"])),
        ]
        if channels is not None:
            line.insert(5, Cell(str(channels.get(row["customer_id"], "unknown"))))
        cells.append(tuple(line))
    good = scores[scores["tier"] == "good"]
    at_risk = good.groupby("state")["value_at_risk"].sum().sort_values(ascending=False)
    sentences = [
        f"{len(flagged):,} good customers may be leaving; {money(at_stake)} is at risk with them."
        if len(flagged)
        else "No good customer is flagged as leaving."
    ]  # fmt: skip
    table = Table(
        "to-keep",
        f"Good customers who may be leaving{f', the first {len(shown):,}' if len(shown) < len(flagged) else ''}",
        tuple(heads),
        tuple(cells),
        tuple((name, values) for name, values in filters if len(values) > 1),
        interactive=True,
    )
    return Section(
        "leaving",
        "Who is about to leave whom I should not lose, and why?",
        tuple(sentences),
        (
            Figure("flagged", f"{len(flagged):,}"),
            Figure("value at risk with them", money(at_stake)),
        ),
        (
            chart(
                charts.bars(list(at_risk.index), at_risk.tolist(), label="value at risk"),
                "leaving-states",
                "Value at risk of all good customers, by state",
            ),
        )
        if len(at_risk)
        else (),
        (table,) if len(shown) else (),
        ("A flag says that somebody may be going. Whether a treatment keeps them only a control group can show.",),
    )


def _words(values: pd.Series) -> tuple[str, ...]:
    return tuple(sorted({str(v) for v in values}))
