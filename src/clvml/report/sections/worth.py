"""What is my base worth, and how sure is that?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from clvml.display import Figure
from clvml.report import charts
from clvml.report.parts import Chart, Money, Section, chart
from clvml.scores.totals import expected_totals

__all__ = ["worth"]


def worth(
    scores: pd.DataFrame, money: Money, backtest: Mapping[str, Any] | None, *, earns_all: bool = False
) -> Section:
    """What is my base worth, and how sure is that? earns_all: whether the log knows of no costs."""
    days = int(scores["horizon_days"].iloc[0])
    sure = expected_totals(scores).iloc[0]
    low, high = money.about(sure["clv_low"]), money.about(sure["clv_high"])
    tiers = scores.groupby("tier")["clv"].agg(["size", "sum"]).reindex(["good", "middle", "bad"]).fillna(0.0)
    total = float(scores["clv"].sum())
    top = scores["clv"].nlargest(max(1, len(scores) // 10)).sum()
    sentences = [
        f"Over the next {days} days the {money.count(len(scores))} customers are expected to bring {money(total)} "
        f"(contribution, discounted to today). In nine cases of ten it should lie between {low} and {high}. "
        "That takes in how far such totals were off at earlier days of this log, and of many others.",
        "The log knows neither margin nor costs, so all that is paid counts as contribution." if earns_all else "",
        f"The best tenth of them is expected to bring {top / total:.0%} of it." if total > 0 else "",
    ]
    past = None if backtest is None else _past_chart(backtest, money)
    return Section(
        "worth",
        "What is my base worth, and how sure is that?",
        tuple(s for s in (*sentences, *_past_totals(backtest, money)) if s),
        (
            Figure("expected contribution", money(total), f"{low} to {high}"),
            Figure(
                "expected spend",
                money(sure["spend"]),
                f"{money.about(sure['spend_low'])} to {money.about(sure['spend_high'])}",
            ),
            Figure(
                "expected purchases",
                money.count(sure["purchases"]),
                f"{money.count(sure['purchases_low'])} to {money.count(sure['purchases_high'])}",
            ),
            Figure(
                "customers expected to buy", money.count(scores["p_return"].sum()), f"of {money.count(len(scores))}"
            ),
        ),
        (
            chart(
                charts.concentration(scores["clv"].clip(lower=0).to_numpy(np.float64), label="% of the expected value"),
                "worth-share",
                "How much of the expected value the best customers bring",
            ),
            chart(
                charts.bars([f"{t} ({money.count(n)})" for t, n in tiers["size"].items()], tiers["sum"].tolist(),
                            label="expected contribution", write=money.tick),
                "worth-tiers",
                "Expected contribution by tier (customers)",
            ),
            *((past,) if past is not None else ()),
        ),
        short=f"{money.about(total)} in the next {days} days; in nine cases of ten {low} to {high}.",
    )  # fmt: skip


def _past_chart(backtest: Mapping[str, Any], money: Money) -> Chart | None:
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
        write=money.tick,
    )
    return chart(axes, "worth-past", "Last periods: what was predicted for them, and what came")


def _past_totals(backtest: Mapping[str, Any] | None, money: Money) -> list[str]:
    """How far totals predicted at earlier days were off."""
    if backtest is None:
        return []
    rows = [r for r in backtest["table"] if r["model"] == "clvml" and r["target"] == "spend" and r["metric"] == "bias"]
    cuts = {row["cut"]: row for row in backtest["cuts"]}
    return [_past_total(cuts[row["cut"]], row["value"], backtest["horizon_days"], money) for row in rows
            if row["cut"] in cuts]  # fmt: skip


def _past_total(cut: Mapping[str, Any], bias: float, days: int, money: Money) -> str:
    """What was predicted at one earlier day, and what came."""
    text = (
        f"Tested at {cut['cut']}: {money.about(cut['spend'] * (1 + bias))} of spend was predicted for the next {days} "
        f"days, {money.about(cut['spend'])} came"
    )
    if "spend_low" not in cut:
        return f"{text}."
    low, high = cut["spend_low"], cut["spend_high"]
    where = "within" if low <= cut["spend"] <= high else "outside"
    return f"{text}, {where} the interval of {money.about(low)} to {money.about(high)}."
