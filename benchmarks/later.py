#!/usr/bin/env python
"""Scored weeks or months after training, or for other horizons: what the season brings, and whether intervals hold.

    python benchmarks/later.py [--ruler DIR]    writes later.md

A model of 13 weeks scores 30, 91 and 182 days after its training. Beside it the same model with the season of its own
training kept, and one trained anew on that day. On the day of its training it is asked for a quarter of its horizon to
four times it. Of both: how many totals lie within their interval. Logs: four kinds of the ruler's simulations with a
seed of their own, two years of Online Retail II, and apparel.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from clvml import ClvModel, Transactions, expected_totals, metrics
from clvml.errors import ClvWarning

HERE = Path(__file__).parent
SEED, CUSTOMERS, WINDOW = 501, 1_500, 91
KINDS, SIMULATED = ("season", "regular", "trend", "whales"), ("2021-03-31", "2021-06-30")
REAL = {
    "two_years_sep": ("Online Retail II", ("2011-03-10", "2011-06-10")),
    "apparel": ("apparel", ("2007-06-30", "2008-03-31", "2008-09-30", "2009-06-30")),
}
LATER = (30, 91, 182)
ASKED = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Horizons asked for, as multiples of the one trained for."""
HELD = tuple((total, level) for total in ("purchases", "spend") for level in (0.8, 0.9))
WAYS = ("season of its training", "season of the weeks ahead", "trained anew")


def logs(ruler: Path) -> Iterator[tuple[str, pd.DataFrame, tuple[str, ...]]]:
    """Name, orders, and days of training."""
    sys.path.insert(0, str(ruler))
    import cell
    import simulate

    modules: tuple[ModuleType, ModuleType] = (cell, simulate)
    for kind in KINDS:
        yield kind, modules[1].simulate(kind, seed=SEED, customers=CUSTOMERS), SIMULATED
    for name, (shown, days) in REAL.items():
        yield shown, modules[0].log(name), days


def measured(name: str, orders: pd.DataFrame, days: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """One row a day of training, a day of scoring and a way."""
    orders = orders.assign(date=pd.to_datetime(orders["date"]).dt.normalize())
    log = Transactions(orders[["customer_id", "date", "amount"]])
    bought = orders[orders["amount"] > 0].drop_duplicates(["customer_id", "date"])
    for trained in days:
        model = ClvModel(horizon=WINDOW).fit(log, trained)
        yield from other_horizons(name, orders, bought, log, model)
        kept = copy.deepcopy(model)
        kept.model_.churn_.ensemble_ = kept.model_.churn_.ensemble_._replace(coming_year=None)
        for later in LATER:
            day = pd.Timestamp(trained) + pd.Timedelta(days=later)
            end = day + pd.Timedelta(days=WINDOW)
            if end > orders["date"].max():
                continue
            anew = ClvModel(horizon=WINDOW).fit(log, str(day.date()))
            came = bought[(bought["date"] > day) & (bought["date"] <= end)].groupby("customer_id").size()
            for way, used in zip(WAYS, (kept, model, anew), strict=True):
                scores = used.score(log, str(day.date()))
                actual = came.reindex(scores["customer_id"]).fillna(0.0).to_numpy()
                expected = scores["expected_purchases"].to_numpy()
                yield {
                    "log": name,
                    "later": later,
                    "way": way,
                    "trained": trained,
                    "deviance": metrics.poisson_deviance(actual, expected),
                    "brier": metrics.brier((actual > 0).astype(float), scores["p_return"].to_numpy()),
                    "bias": math.log(expected.sum() / actual.sum()),
                    **held(scores, orders, actual.sum(), day, WINDOW),
                }


def other_horizons(
    name: str, orders: pd.DataFrame, bought: pd.DataFrame, log: Transactions, model: ClvModel
) -> Iterator[dict[str, Any]]:
    """One row a horizon that ends within the log, asked for on the day of training."""
    day = pd.Timestamp(model.as_of_)
    for times in ASKED:
        days = round(times * WINDOW)
        end = day + pd.Timedelta(days=days)
        if end > orders["date"].max():
            continue
        scores = model.score(log, horizon=days)
        came = bought[(bought["date"] > day) & (bought["date"] <= end)].groupby("customer_id").size()
        actual = came.reindex(scores["customer_id"]).fillna(0.0).to_numpy()
        yield {
            "log": name,
            "times": times,
            "bias": math.log(scores["expected_purchases"].sum() / actual.sum()),
            "return bias": scores["p_return"].mean() - (actual > 0).mean(),
            "whole": ((actual >= scores["purchases_low"]) & (actual <= scores["purchases_high"])).mean(),
            **held(scores, orders, actual.sum(), day, days),
        }


def held(scores: pd.DataFrame, orders: pd.DataFrame, purchases: float, day: pd.Timestamp, days: int) -> dict[str, bool]:
    """Whether the totals of purchases and of spend lie within their interval, by level."""
    within = (orders["date"] > day) & (orders["date"] <= day + pd.Timedelta(days=days))
    spend = orders.loc[within & orders["customer_id"].isin(scores["customer_id"]), "amount"].sum()
    came, found = {"purchases": purchases, "spend": spend}, {}
    for total, level in HELD:
        said = expected_totals(scores, level=level).iloc[0]
        found[f"{total} {level:.0%}"] = bool(said[f"{total}_low"] <= came[total] <= said[f"{total}_high"])
    return found


def table(rows: pd.DataFrame, by: str) -> list[str]:
    """Mean log ratios to the first way, and mean |bias| of each."""
    lines = [
        f"| {by} | forecasts | deviance | trained anew | Brier | trained anew | mean \\|bias\\| of the three |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    for name, some in rows.groupby(by, sort=False):
        ways = [some[some["way"] == way].reset_index(drop=True) for way in WAYS]
        ratios = [
            f"{100 * np.log(ways[i][loss] / ways[0][loss]).mean():+.1f}%"
            for loss in ("deviance", "brier")
            for i in (1, 2)
        ]
        biases = " → ".join(f"{way['bias'].abs().mean():.3f}" for way in ways)
        lines.append(f"| {name} | {len(ways[0])} | {' | '.join(ratios)} | {biases} |")
    return lines


def shares_held(rows: pd.DataFrame) -> list[str]:
    """Totals within their interval, of all, as a mean of the logs' shares."""
    columns = [f"{total} {level:.0%}" for total, level in HELD]
    return [f"{100 * rows.groupby('log')[column].mean().mean():.0f}" for column in columns]


def held_later(rows: pd.DataFrame) -> list[str]:
    """By days after training, of the model as it is."""
    lines = [f"| days later | logs | forecasts | {HELD_HEADS} |", "|--:|--:|--:|--:|--:|--:|--:|"]
    for later, some in rows[rows["way"] == WAYS[1]].groupby("later"):
        lines.append(f"| {int(later)} | {some['log'].nunique()} | {len(some)} | {' | '.join(shares_held(some))} |")
    return lines


def held_by_horizon(rows: pd.DataFrame) -> list[str]:
    """By the horizon asked for; beside it the bias of purchases, of p_return, and how single customers' counts held."""
    lines = [
        f"| horizon | logs | forecasts | {HELD_HEADS} | mean \\|bias\\| | p_return - returned | customers 90% |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for times, some in rows[rows["times"].notna()].groupby("times"):
        beside = (
            f"{some['bias'].abs().mean():.3f} | {some['return bias'].mean():+.3f} | {100 * some['whole'].mean():.0f}"
        )
        lines.append(
            f"| {times:g} x | {some['log'].nunique()} | {len(some)} | {' | '.join(shares_held(some))} | {beside} |"
        )
    return lines


HELD_HEADS = " | ".join(f"{total} {level:.0%}" for total, level in HELD)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--ruler", type=Path, default=Path(os.environ.get("CLVML_RULER", HERE.parent.parent / "shared" / "bench"))
    )
    asked = parser.parse_args()
    warnings.simplefilter("ignore", ClvWarning)
    rows = pd.DataFrame([row for log in logs(asked.ruler) for row in measured(*log)])
    text = [
        "# Scored weeks or months after training",
        "",
        "Made by `python benchmarks/later.py`: a model of 13 weeks scores 30, 91 and 182 days after its training.",
        "Deviance (of purchases) and Brier are mean log ratios to the same model with the season of its training kept:",
        "less is better. |bias|: with the season of its training, with that of the weeks ahead, trained anew.",
        "",
        *table(rows[rows["way"].notna()], "log"),
        "",
        *table(rows[rows["way"].notna()].astype({"later": int}).rename(columns={"later": "days later"}), "days later"),
        "",
        "## Totals within their interval",
        "",
        "Per cent, as a mean over logs; those of one log are not independent of each other.",
        "",
        *held_later(rows),
        "",
        "Asked on the day of training for other horizons than the 13 weeks; single customers by the whole numbers in",
        "Scores, which hold more than they say:",
        "",
        *held_by_horizon(rows),
    ]
    (HERE / "later.md").write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
