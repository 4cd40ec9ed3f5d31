"""Can I trust it?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from clvml.html import Cell, Head, Table
from clvml.orders.data_report import DataReport
from clvml.report import charts
from clvml.report.parts import Chart, Section, chart

__all__ = ["trust"]


_METRICS = (
    ("purchases", "bias", "purchases: total off by"),
    ("spend", "bias", "spend: total off by"),
    ("spend", "gini", "spend: order, 1 is perfect"),
    ("return", "auc", "return: order, .5 is chance"),
    ("return", "brier", "return: error of the probability"),
)


def trust(backtest: Mapping[str, Any] | None, report: DataReport | None) -> Section | None:
    """Can I trust it?"""
    if backtest is None and report is None:
        return None
    tables: list[Table] = []
    found: list[Chart] = []
    sentences: list[str] = []
    if backtest is not None:
        frame = pd.DataFrame(backtest["table"])
        means = frame.groupby(["model", "target", "metric"])["value"].mean()
        cells = []
        for model in dict.fromkeys(frame["model"]):
            values = [means.get((model, target, metric)) for target, metric, _ in _METRICS]
            cells.append((Cell(model), *(Cell(_metric(v, m)) for v, (_, m, _) in zip(values, _METRICS, strict=True))))
        heads = (Head("Forecast"), *(Head(name, True) for *_, name in _METRICS))
        cuts = ", ".join(str(row["cut"]) for row in backtest["cuts"])
        tables.append(
            Table(
                "backtest",
                f"Made at {cuts}, compared with the {backtest['horizon_days']} days since",
                heads,
                tuple(cells),
            )
        )
        deciles = pd.DataFrame(backtest["deciles"])
        own = deciles[deciles["target"] == "spend"]
        found.append(
            chart(
                charts.points(
                    own["predicted"].to_numpy(np.float64), own["actual"].to_numpy(np.float64),
                    [str(c) for c in own["cut"]], label="spend per customer",
                ),
                "trust-calibration",
                "Spend by tenth of the customers: on the line the level was right",
            )
        )  # fmt: skip
    if report is not None:
        sentences.append(
            f"The log has {report.rows:,} rows, {report.usable:,} of them usable, of {report.customers:,} customers."
        )
        broken = [rule for rule in report.rules if rule.rows]
        heads = (Head("Rule"), Head("Rows", True), Head("What was done"))
        tables.append(
            Table(
                "data",
                "What is unusual about the log",
                heads,
                tuple((Cell(r.name), Cell(f"{r.rows:,}"), Cell(f"{r.action}: {r.message}")) for r in broken),
            )
        )
    return Section("trust", "Can I trust it?", tuple(sentences), charts=tuple(found), tables=tuple(tables))


def _metric(value: float | None, metric: str) -> str:
    if value is None or not np.isfinite(value):
        return ""
    return f"{value:+.0%}" if metric == "bias" else f"{value:.3f}"
