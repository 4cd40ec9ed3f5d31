"""What is my base worth, and how sure is that?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from clvml.html import Figure
from clvml.report import charts
from clvml.report.parts import Chart, Money, Section, chart
from clvml.scores.totals import expected_totals

__all__ = ["worth"]


def worth(scores: pd.DataFrame, money: Money, backtest: Mapping[str, Any] | None) -> Section:
    """What is my base worth, and how sure is that?"""
    days = int(scores["horizon_days"].iloc[0])
    sure = expected_totals(scores).iloc[0]
    low, high = money(sure["clv_low"]), money(sure["clv_high"])
    tiers = scores.groupby("tier")["clv"].agg(["size", "sum"]).reindex(["good", "middle", "bad"]).fillna(0.0)
    total = float(scores["clv"].sum())
    top = scores["clv"].nlargest(max(1, len(scores) // 10)).sum()
    sentences = [
        f"Over the next {days} days the {len(scores):,} customers are expected to bring {money(total)} "
        f"(discounted contribution). In nine cases of ten it should lie between {low} and {high}.",
        f"The best tenth of them is expected to bring {top / total:.0%} of it." if total > 0 else "",
    ]
    past = None if backtest is None else _past_chart(backtest)
    return Section(
        "worth",
        "What is my base worth, and how sure is that?",
        tuple(s for s in (*sentences, *_past_totals(backtest, money)) if s),
        (
            Figure("expected contribution", money(total), f"{low} to {high}"),
            Figure(
                "expected spend", money(sure["spend"]), f"{money(sure['spend_low'])} to {money(sure['spend_high'])}"
            ),
            Figure(
                "expected purchases",
                f"{sure['purchases']:,.0f}",
                f"{sure['purchases_low']:,.0f} to {sure['purchases_high']:,.0f}",
            ),
            Figure("customers expected to buy", f"{scores['p_return'].sum():,.0f} of {len(scores):,}"),
        ),
        (
            chart(
                charts.concentration(scores["clv"].clip(lower=0).to_numpy(np.float64), label="% of the expected value"),
                "worth-share",
                "How much of the expected value the best customers bring",
            ),
            chart(
                charts.bars([f"{t} ({int(n):,})" for t, n in tiers["size"].items()], tiers["sum"].tolist(),
                            label="expected contribution", unit=""),
                "worth-tiers",
                "Expected contribution by tier (customers)",
            ),
            *((past,) if past is not None else ()),
        ),
    )  # fmt: skip


def _past_chart(backtest: Mapping[str, Any]) -> Chart | None:
    """What was predicted at earlier days, with intervals, and what came."""
    cuts = sorted((row for row in backtest["cuts"] if "spend_low" in row), key=lambda row: str(row["cut"]))
    if not cuts:
        return None
    axes = charts.ranges(
        [str(row["cut"]) for row in cuts],
        [float(np.sqrt(row["spend_low"] * row["spend_high"])) for row in cuts],
        [row["spend_low"] for row in cuts],
        [row["spend_high"] for row in cuts],
        marks=[row["spend"] for row in cuts],
        label=f"spend in the {backtest['horizon_days']} days after",
        range_name="predicted, with its 90% interval",
        mark_name="came",
    )
    return chart(axes, "worth-past", "Last periods: what was predicted for them, and what came")


def _past_totals(backtest: Mapping[str, Any] | None, money: Money) -> list[str]:
    """How far totals predicted at earlier days were off."""
    if backtest is None:
        return []
    rows = [r for r in backtest["table"] if r["model"] == "clvml" and r["target"] == "spend" and r["metric"] == "bias"]
    spent = {row["cut"]: row["spend"] for row in backtest["cuts"]}
    return [
        f"Tested at {row['cut']}: {money(spent[row['cut']] * (1 + row['value']))} of spend was predicted for the next "
        f"{backtest['horizon_days']} days, {money(spent[row['cut']])} came."
        for row in rows
        if row["cut"] in spent
    ]
