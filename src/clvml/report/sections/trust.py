"""Can I trust it?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from clvml.display import Cell, Figure, Head, Table
from clvml.orders.data_report import DataReport, Rule
from clvml.report import charts
from clvml.report.parts import Chart, Money, Section, chart

__all__ = ["trust"]

OURS = "clvml"
"""The model that is tested, among the forecasts of a backtest."""
NAMES = {
    OURS: "this model",
    "recency alone": "days since the last purchase alone",
    "own rate x / T": "each customer's own rate so far",
    "ticket x frequency x lifetime": "ticket × purchases a month × lifetime",
}
"""Forecasts of a backtest in plain words."""
TOP_SHARE = 0.1
METRICS = (
    ("purchases", "bias", "Purchases: total off by, on average"),
    ("spend", "bias", "Spend: total off by, on average"),
    ("return", "auc", "Who returns: order (0.5 chance, 1 perfect)"),
    ("return", "brier", "Who returns: error (0 perfect)"),
)


def trust(backtest: Mapping[str, Any] | None, money: Money, report: DataReport | None) -> Section | None:
    """Can I trust it?"""
    if backtest is None and report is None:
        return None
    sentences: list[str] = []
    figures: list[Figure] = []
    found: list[Chart] = []
    tables: list[Table] = []
    if backtest is None:
        sentences.append(
            "This page was given no test on the log's own past: `clvml train --backtest` or `clvml backtest --out` "
            "writes one, --backtest shows it."
        )
    else:
        captured = _captured(backtest)
        sentences += _sentences(backtest, captured)
        figures += _figures(backtest, captured)
        found.append(_calibration(backtest, money))
        tables.append(_forecasts(backtest, captured, money))
    if report is not None:
        sentences.append(
            f"The log has {money.count(report.rows)} rows, {money.count(report.usable)} of them usable, of "
            f"{money.count(report.customers)} customers."
        )
        sentences += [money.rewritten(_outlier(rule)) for rule in report.outliers]
        tables.append(_data(report, money))
    return Section(
        "trust",
        "Can I trust it?",
        tuple(sentences),
        tuple(figures),
        tuple(found),
        tuple(tables),
        short="This page was given no test on the log's own past." if backtest is None else _short(backtest),
    )


def _short(backtest: Mapping[str, Any]) -> str:
    inside = _inside(backtest)
    held = f": {sum(inside)} of {len(inside)} totals came within their interval" if inside else ""
    return f"Tested on the log's own past{held}."


def _outlier(rule: Rule) -> str:
    count = "" if rule.message.startswith(f"{rule.rows:,} ") else f"{rule.rows:,}, "
    first = f" The first: {rule.first}." if rule.first else ""
    return f"{rule.name.capitalize()}: {count}{rule.message}.{first}"


def _captured(backtest: Mapping[str, Any]) -> pd.Series:
    """Share of the spend that came from the tenth that each forecast puts first, mean over the cuts."""
    gains = pd.DataFrame(backtest.get("gains", ()), columns=["cut", "model", "target", "share", "captured"])
    top = gains[(gains["target"] == "spend") & np.isclose(gains["share"].astype(float), TOP_SHARE)]
    return top.groupby("model", sort=False)["captured"].mean().dropna()


def _inside(backtest: Mapping[str, Any]) -> list[bool]:
    """Whether each total of purchases and of spend lay in its 90% interval."""
    return [
        bool(row[f"{name}_low"] <= row[name] <= row[f"{name}_high"])
        for row in backtest["cuts"]
        for name in ("purchases", "spend")
        if f"{name}_low" in row
    ]


def _sentences(backtest: Mapping[str, Any], captured: pd.Series) -> list[str]:
    cuts = backtest["cuts"]
    times = f"{len(cuts)} earlier days" if len(cuts) > 1 else "an earlier day"
    found = [f"The model was tested on the log's own past: trained as on {times}, and compared with what came after."]
    inside = _inside(backtest)
    if inside:
        found.append(
            f"{sum(inside)} of {len(inside)} totals lay in the interval that should hold nine of ten."
            + ("" if all(inside) else " What moves all customers at once, such as a first Christmas, no log foretells.")
        )
    rules = captured.drop(OURS, errors="ignore")
    if OURS in captured and len(rules):
        best = str(rules.idxmax())
        best = NAMES.get(best, best)
        found.append(
            f"The tenth of the customers that it put first brought {captured[OURS]:.0%} of the spend that came; the "
            f"best other forecast, '{best}', found {rules.max():.0%}."
        )
    return found


def _figures(backtest: Mapping[str, Any], captured: pd.Series) -> list[Figure]:
    inside, rules = _inside(backtest), captured.drop(OURS, errors="ignore")
    found = []
    if inside:
        found.append(Figure("totals within their 90% interval", f"{sum(inside)} of {len(inside)}"))
    if OURS in captured:
        other = f"best other forecast: {rules.max():.0%}" if len(rules) else ""
        found.append(Figure("of the spend came from the tenth that it put first", f"{captured[OURS]:.0%}", other))
    return found


def _calibration(backtest: Mapping[str, Any], money: Money) -> Chart:
    deciles = pd.DataFrame(backtest["deciles"])
    return chart(
        charts.points(deciles[deciles["target"] == "spend"], label="spend per customer", write=money.tick),
        "trust-calibration",
        "Spend by tenth of the customers, with the 95% interval of what came: on the line the level was right",
    )


def _forecasts(backtest: Mapping[str, Any], captured: pd.Series, money: Money) -> Table:
    frame = pd.DataFrame(backtest["table"])
    off = frame["value"].abs().where(frame["metric"] == "bias", frame["value"])  # + and − are not to cancel
    means = off.groupby([frame[name] for name in ("model", "target", "metric")]).mean()
    cells = []
    for model in dict.fromkeys(frame["model"]):
        share = f"{captured[model]:.0%}" if model in captured else ""
        values = [_metric(means.get((model, target, metric)), metric, money) for target, metric, _ in METRICS]
        name = NAMES.get(model, str(model))
        cells.append((Cell(name), Cell(share), *(Cell(value) for value in values)))
    heads = (
        Head("Forecast"),
        Head("Spend found in its first tenth", True),
        *(Head(name, True) for *_, name in METRICS),
    )
    cuts = ", ".join(str(row["cut"]) for row in backtest["cuts"])
    return Table(
        "backtest",
        f"This model and simple rules, predicting at {cuts} for the {backtest['horizon_days']} days after",
        heads,
        tuple(cells),
    )


def _data(report: DataReport, money: Money) -> Table:
    broken = [rule for rule in report.rules if rule.rows]
    return Table(
        "data",
        "What is unusual about the log",
        (Head("Rule"), Head("Rows", True), Head("What was done")),
        tuple((Cell(r.name), Cell(money.count(r.rows)), Cell(f"{r.action}: {r.message}")) for r in broken),
    )


def _metric(value: float | None, metric: str, money: Money) -> str:
    if value is None or not np.isfinite(value):
        return ""
    return f"{value:.0%}" if metric == "bias" else money.decimal(value, 2 if metric == "auc" else 3)
