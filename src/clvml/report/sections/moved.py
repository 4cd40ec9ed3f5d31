"""How has value moved?"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd

from clvml.display import Cell, Figure, Head, Table
from clvml.insights.audit import BaseAudit
from clvml.report import charts
from clvml.report.parts import Chart, Money, Section, chart

__all__ = ["moved"]

WHO = {
    "new": "are new",
    "came back": "came back",
    "grew": "spent more",
    "shrank": "spent less",
    "lapsed": "bought before and not since",
}
"""What the customers of each group did."""
SHORT = {"lapsed": "not since"}
"""Groups whose name is a state of a customer too, and another thing there."""
SHOWN_QUARTERS = 16
A_WEEK = 7
"""Days without which a quarter is as good as whole."""


def moved(audit: BaseAudit, money: Money, begin: dt.date) -> Section:
    """How has value moved? The five lenses of the customer-base audit. begin: the first day of the log."""
    two = [row for row in audit.two_periods.to_dict("records") if row["customers"] or row["group"] in ("new", "lapsed")]
    has_cohorts = len(audit.cohorts) > 0 and bool(audit.cohorts["age"].max() > 0)
    sentences = [_one_period(audit, money)]
    if two:
        sentences += _two_periods(audit, two, money)
    if has_cohorts:
        sentences += _cohorts(audit.cohorts)
    return Section(
        "moved",
        "How has value moved?",
        tuple(sentences),
        tuple(_figures(audit, two, money)),
        tuple(_charts(audit, two, money, begin, has_cohorts=has_cohorts)),
        (_two_periods_table(two, money),) if two else (),
        short=_short(audit, two),
    )


def _short(audit: BaseAudit, two: list[dict[Any, Any]]) -> str:
    """How much more or less came than before."""
    before = sum(row["before"] for row in two)
    if before <= 0:
        return ""
    change = sum(row["after"] for row in two) / before - 1
    return f"{_signed(change)} in the last {audit.period_days} days against those before."


def _signed(change: float) -> str:
    return f"{change:+.0%}".replace("-", "−")


def _one_period(audit: BaseAudit, money: Money) -> str:
    buyers, net = int(audit.one_period["customers"].sum()), float(audit.one_period["net"].sum())
    return (
        f"In the {audit.period_days} days up to {audit.as_of}, {money.count(buyers)} customers bought for {money(net)} "
        f"net; the best tenth of them brought {audit.one_period['share'].iloc[0]:.0%} of it."
    )


def _two_periods(audit: BaseAudit, two: list[dict[Any, Any]], money: Money) -> list[str]:
    before, after = (float(audit.two_periods[when].sum()) for when in ("before", "after"))
    parts = [
        f"{money.change(r['change'])} from {money.count(r['customers'])} who {WHO[r['group']]}"
        for r in two
        if r["customers"]
    ]
    refunds = after - float(audit.one_period["net"].sum())  # of those who bought before the period alone
    back = f"; with {money(-refunds)} refunded since to others who bought then" if money(-refunds) != money(0) else ""
    return [
        f"The {audit.period_days} days before brought {money(before)}{back}; the change is "
        f"{money.change(after - before)}: {', '.join(parts)}."
    ]


def _cohorts(cohorts: pd.DataFrame) -> list[str]:
    """How many of the latest newcomers came again, beside the cohort before them."""
    second = cohorts[cohorts["age"] == 1].tail(2)
    if second.empty:
        return []
    *earlier, last = second.itertuples()
    text = f"Of the customers who first bought in {last.cohort}, {last.active:.0%} bought again in their second quarter"
    return [f"{text}{''.join(f'; of those of {row.cohort}, {row.active:.0%}' for row in earlier)}."]


def _figures(audit: BaseAudit, two: list[dict[Any, Any]], money: Money) -> list[Figure]:
    net = float(audit.one_period["net"].sum())
    found = [Figure(f"net amount of the last {audit.period_days} days", money(net))]
    if two:
        groups = {row["group"]: row for row in two}
        before = sum(row["before"] for row in two)
        if before > 0:
            change = sum(row["after"] for row in two) / before - 1
            found.append(Figure(f"against the {audit.period_days} days before", _signed(change)))
        found += [
            Figure("new customers", money.count(groups["new"]["customers"]), money.change(groups["new"]["change"])),
            Figure(WHO["lapsed"], money.count(groups["lapsed"]["customers"]), money.change(groups["lapsed"]["change"])),
        ]
    return found


def _charts(
    audit: BaseAudit, two: list[dict[Any, Any]], money: Money, begin: dt.date, *, has_cohorts: bool
) -> list[Chart]:
    found = []
    if two:
        axes = charts.changes(
            [SHORT.get(row["group"], str(row["group"])) for row in two],
            [float(row["change"]) for row in two],
            before=float(sum(row["before"] for row in two)),
            after=float(sum(row["after"] for row in two)),
            write=money.tick,
        )
        title = f"Net amount of the last {audit.period_days} days beside the {audit.period_days} before"
        found.append(chart(axes, "moved-two", title))
    whole = audit.whole.pivot_table(index="quarter", columns="cohort", values="net", fill_value=0.0)
    shown = whole.tail(SHOWN_QUARTERS)
    axes = charts.stacked(shown, write=money.tick)
    title = "Net amount by quarter" + (", by the year in which customers first bought" if shown.shape[1] > 1 else "")
    found.append(chart(axes, "moved-whole", f"{title}{_cut_quarters(list(shown.index), begin, audit.as_of)}"))
    if has_cohorts:
        title = "How many of each cohort still buy, by quarter"
        found.append(chart(charts.cohort_lines(audit.cohorts), "moved-cohorts", title))
    tenths = charts.bars(
        [f"tenth {row}" for row in audit.one_period["tenth"]], audit.one_period["net"].tolist(), label="net amount",
        write=money.tick,
    )  # fmt: skip
    title = f"Net amount of the last {audit.period_days} days by tenth of its buyers, the best first"
    found.append(chart(tenths, "moved-tenths", title))
    return found


def _cut_quarters(shown: list[str], begin: dt.date, as_of: str) -> str:
    """Which of the quarters shown are not whole: their bars are low for that alone."""
    first, last = pd.Period(begin, "Q"), pd.Period(as_of, "Q")
    parts = []
    if shown[0] == first.strftime("%Y-Q%q") and (begin - first.start_time.date()).days > A_WEEK:
        parts.append(f"{shown[0]} from {begin} on")
    if shown[-1] == last.strftime("%Y-Q%q") and (last.end_time.date() - dt.date.fromisoformat(as_of)).days > A_WEEK:
        parts.append(f"{shown[-1]} up to {as_of}")
    return f" ({', '.join(parts)})" if parts else ""


def _two_periods_table(two: list[dict[Any, Any]], money: Money) -> Table:
    heads = (Head("Customers who"), Head("Customers", True), Head("Before", True), Head("After", True),
             Head("Change", True))  # fmt: skip
    return Table(
        "two-periods",
        "What became of the customers between the two periods",
        heads,
        tuple(
            (Cell(WHO[row["group"]]), Cell(money.count(row["customers"])), Cell(money(row["before"])),
             Cell(money(row["after"])), Cell(money.change(row["change"])))
            for row in two
        ),
    )  # fmt: skip
