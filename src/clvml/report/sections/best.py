"""What sets the best tenth apart; who earns, who costs, and why?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from clvml.html import Cell, Head, Table
from clvml.insights.attributes import attributes_of_summary
from clvml.insights.profiles import profile
from clvml.insights.profit import profit_tiers, whale_curve
from clvml.report import charts
from clvml.report.parts import Money, Section, chart

__all__ = ["best"]


def best(scores: pd.DataFrame, money: Money, summary: pd.DataFrame) -> Section:
    """What sets the best tenth apart; who are the 20% that earn and the 20% that cost, and why?"""
    apart = profile(scores, attributes_of_summary(summary))
    tiers = profit_tiers(_profit(summary))
    table = tiers.table
    sums = table.groupby("tier")["contribution"].agg(["size", "sum"]).reindex(["good", "middle", "bad"]).fillna(0.0)
    share = 100 * sums["sum"] / tiers.total if tiers.total else sums["sum"] * np.nan
    sentences = [
        f"So far the {tiers.customers:,} customers brought {money(tiers.total)}: the best fifth {share['good']:.0f}%, "
        f"the middle {share['middle']:.0f}%, the rest {share['bad']:.0f}%.",
        f"{tiers.losing:,} customers cost more than they brought, {money(-tiers.lost)} together: "
        + ", ".join(f"{count:,} mainly by {why}" for why, count in tiers.reasons) + "."
        if tiers.losing
        else "No customer cost more than they brought.",
    ]  # fmt: skip
    apart_words = [d.sentence for d in apart.differences if d.is_significant][:6]
    heads = (Head("What sets the best tenth apart"),)
    return Section(
        "best",
        "What sets the best tenth apart? Who earns, who costs?",
        tuple(sentences),
        charts=(
            chart(
                charts.whale(whale_curve(table["contribution"].to_numpy(np.float64))),
                "best-whale",
                "Contribution so far, added up from the best customer to the worst",
            ),
        ),
        tables=(
            Table(
                "apart",
                "The best tenth by value if kept, against the rest",
                heads,
                tuple((Cell(w),) for w in apart_words),
            ),
        )
        if apart_words
        else (),
    )


def _profit(summary: pd.DataFrame) -> pd.DataFrame:
    """The table of `customer_profit` from what a summary knows: sales, refunds, and what was not earned of the rest."""
    parts = {"list_value": summary["gross"], "discount": 0.0, "returns": summary["gross"] - summary["amount"],
             "goods": summary["amount"] - summary["contribution"], "handling": 0.0, "service": 0.0}  # fmt: skip
    return pd.DataFrame({"customer_id": summary["customer_id"], **parts, "contribution": summary["contribution"]})
