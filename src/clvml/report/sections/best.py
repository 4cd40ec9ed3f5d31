"""What sets the best tenth apart; who earns, who costs, and why?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.display import Cell, Figure, Head, Table
from clvml.insights.attributes import MISSING, attributes_of_summary
from clvml.insights.profiles import Difference, profile
from clvml.insights.profit import ProfitTiers, profit_tiers, whale_curve
from clvml.report import charts
from clvml.report.parts import Chart, Money, Section, chart

__all__ = ["best"]

SHOWN_DIFFERENCES = 6
MORE_THAN_A_FIFTH = 0.22


def best(scores: pd.DataFrame, money: Money, summary: pd.DataFrame) -> Section:
    """What sets the best tenth apart; who are the 20% that earn and the 20% that cost, and why?"""
    apart = _apart(scores, summary)
    tiers = profit_tiers(_profit(summary), sentences=False)
    brought = tiers.table["contribution"].to_numpy(np.float64)
    return Section(
        "best",
        "What sets the best tenth apart? Who earns, who costs?",
        (*_profit_sentences(tiers, money), _apart_sentence(apart, money)),
        _figures(tiers, money),
        charts=(_whale(brought),) if tiers.total > 0 else (),  # a share of nothing, or of a loss, says nothing
        tables=(_apart_table(apart[:SHOWN_DIFFERENCES], money),) if apart else (),
        short=_short(tiers, money),
    )


def _short(tiers: ProfitTiers, money: Money) -> str:
    """Who earns, and how many cost."""
    costing = f"{money.count(tiers.losing)} cost more than they brought." if tiers.losing else "Nobody costs."
    if tiers.total <= 0:
        return costing
    earned = float(tiers.table.loc[tiers.table["tier"] == "good", "contribution"].sum())
    return f"The best fifth brought {money.percent(earned / tiers.total)} so far. {costing}"


def _apart(scores: pd.DataFrame, summary: pd.DataFrame) -> list[Difference]:
    """What sets the best tenth apart beyond chance; nothing where there is one customer."""
    if len(scores) < 2:
        return []
    found = [d for d in profile(scores, attributes_of_summary(summary)).differences if d.is_significant]
    return sorted(found, key=lambda d: d.value == MISSING)  # of whom little is known comes last


def _whale(brought: NDArray[np.float64]) -> Chart:
    title = "Contribution so far, added up from the best customer to the worst"
    return chart(charts.whale(whale_curve(brought)), "best-whale", title)


def _figures(tiers: ProfitTiers, money: Money) -> tuple[Figure, ...]:
    groups = tiers.table.groupby("tier")["contribution"].agg(["size", "sum"]).reindex(["good", "bad"]).fillna(0.0)
    (n_good, earned), (n_bad, cost) = groups.itertuples(index=False)
    return (
        Figure("brought so far by all customers", money(tiers.total)),
        Figure("by the best fifth", money(earned), f"{money.count(n_good)} customers"),
        Figure(f"by {_lowest(tiers)}", money(cost), f"{money.count(n_bad)} customers"),
    )


def _lowest(tiers: ProfitTiers) -> str:
    """The tier of those who cost: a fifth, and everyone else who brought nothing or less."""
    share = float((tiers.table["tier"] == "bad").mean())
    return "the lowest fifth" if share < MORE_THAN_A_FIFTH else f"the lowest {share:.0%} of them"


def _profit_sentences(tiers: ProfitTiers, money: Money) -> list[str]:
    """What each fifth brought; who cost money, and why."""
    sums = tiers.table.groupby("tier")["contribution"].sum().reindex(["good", "middle", "bad"]).fillna(0.0)
    found = []
    if tiers.total > 0:
        share = sums / tiers.total
        found.append(
            f"So far the best fifth of the customers brought {money.percent(share['good'])} of all contribution, the "
            f"middle {money.percent(share['middle'])}, {_lowest(tiers)} {money.percent(share['bad'])}."
        )
    if not tiers.losing:
        return [*found, "No customer cost more than they brought."]
    why = ", ".join(f"{money.count(count)} mainly by {why}" for why, count in tiers.reasons)
    cost = f"{money.count(tiers.losing)} customers cost more than they brought, {money(-tiers.lost)} together"
    return [*found, f"{cost}: {why}."]


def _apart_sentence(apart: list[Difference], money: Money) -> str:
    """The greatest difference, in words."""
    if not apart:
        return "Nothing that the log knows sets the best tenth apart beyond chance."
    first = apart[0]
    if first.value:
        often = "more" if first.delta > 0 else "less"
        word = _word(first, "'")
        text = f"{first.attribute} is {word} {often} often"
        return f"What sets the best tenth apart most: {text} ({first.shares})."
    higher = "higher" if first.delta > 0 else "lower"
    return (
        f"What sets the best tenth apart most: a {higher} {first.attribute}, half of them above "
        f"{_number(first, first.best, money)}, half of the rest above {_number(first, first.rest, money)}."
    )


def _word(found: Difference, quote: str = "") -> str:
    return "not known" if found.value == MISSING else f"{quote}{found.value}{quote}"


def _apart_table(apart: list[Difference], money: Money) -> Table:
    heads = (Head("What was known of them"), Head("Best tenth", True), Head("The rest", True), Head("Difference"))
    return Table(
        "apart",
        "What sets the best tenth by value if kept apart from the rest, the greatest difference first",
        heads,
        tuple(
            (
                Cell(f"{d.attribute}: {_word(d)}" if d.value else f"{d.attribute} (median)"),
                Cell(f"{d.best:.0%}" if d.value else _number(d, d.best, money)),
                Cell(f"{d.rest:.0%}" if d.value else _number(d, d.rest, money)),
                Cell(_difference(d)),
            )
            for d in apart
        ),
    )


def _difference(found: Difference) -> str:
    """How far the two groups are apart, with its 95% interval."""
    if found.value:
        points = [100 * share for share in (found.delta, found.low, found.high)]
        return "{:+.0f} points ({:+.0f} to {:+.0f})".format(*points).replace("-", "−")
    sign, higher = (1, "higher") if found.delta > 0 else (-1, "lower")
    if found.is_tied:
        low, high = sorted(100 * sign * end for end in (found.low, found.high))
        lower = "lower" if sign > 0 else "higher"
        return f"{higher} in {100 * abs(found.delta):.0f} of 100 pairs more than {lower} ({low:.0f} to {high:.0f})"
    pairs, *ends = ((1 + sign * delta) / 2 for delta in (found.delta, found.low, found.high))
    return f"{higher} in {pairs:.0%} of pairs ({min(ends):.0%} to {max(ends):.0%})"


def _number(found: Difference, value: float, money: Money) -> str:
    if "amount" in found.attribute:
        return money(value)
    return f"{value:.0%}" if "share" in found.attribute else money.decimal(value, 0 if abs(value) >= 10 else 1)


def _profit(summary: pd.DataFrame) -> pd.DataFrame:
    """The table of `customer_profit` from what a summary knows: sales, refunds, and what was not earned of the rest."""
    parts = {"list_value": summary["gross"], "discount": 0.0, "returns": summary["gross"] - summary["amount"],
             "goods": summary["amount"] - summary["contribution"], "handling": 0.0, "service": 0.0}  # fmt: skip
    return pd.DataFrame({"customer_id": summary["customer_id"], **parts, "contribution": summary["contribution"]})
