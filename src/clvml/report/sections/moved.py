"""How has value moved?"""

from __future__ import annotations

from clvml.html import Cell, Head, Table
from clvml.insights.audit import BaseAudit
from clvml.report import charts
from clvml.report.parts import Money, Section, chart

__all__ = ["moved"]


def moved(audit: BaseAudit, money: Money) -> Section:
    """How has value moved?"""
    two = audit.two_periods.to_dict("records")
    found = [
        chart(
            charts.stacked(
                audit.whole.pivot_table(index="quarter", columns="cohort", values="net", fill_value=0.0).tail(16)
            ),
            "moved-whole",
            "Net amount by quarter, by the year in which customers first bought",
        )
    ]
    tables = []
    if two:
        found.insert(
            0,
            chart(
                charts.changes(
                    [str(row["group"]) for row in two],
                    [float(row["change"]) for row in two],
                    before=float(sum(row["before"] for row in two)),
                    after=float(sum(row["after"] for row in two)),
                ),
                "moved-two",
                f"Net amount of the last {audit.period_days} days beside the {audit.period_days} before",
            ),
        )
        heads = (Head("Customers who"), Head("Customers", True), Head("Before", True), Head("After", True))
        tables.append(
            Table(
                "two-periods",
                "What became of the customers between the two periods",
                heads,
                tuple(
                    (Cell(str(row["group"])), Cell(f"{row['customers']:,}"), Cell(money(row["before"])),
                     Cell(money(row["after"])))
                    for row in two
                ),
            )
        )  # fmt: skip
    if len(audit.cohorts) and audit.cohorts["age"].max() > 0:
        found.append(
            chart(charts.cohort_lines(audit.cohorts), "moved-cohorts", "How many of each cohort still buy, by quarter")
        )
    return Section("moved", "How has value moved?", tuple(audit.sentences()), charts=tuple(found), tables=tuple(tables))
