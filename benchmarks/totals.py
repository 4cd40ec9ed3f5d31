"""Do the intervals of totals hold what they promise, over many earlier days of several logs?

    python benchmarks/totals.py [--shared ../shared]

Writes benchmarks/totals.md. At every origin that has 91 days before it and the horizon after it, a month (or a third of
the horizon) apart, Pareto/NBD and Gamma-Gamma are fitted to what was known, and the totals of purchases and of spend
held against their 90% interval: people as their errors show, and the level by a standard deviation that is fixed, or
learned from the origins whose windows had passed. Logs that are not beside the project are left out and named.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from clvml import LifetimeValueModel, ParetoNBDModel, Transactions, load_cdnow
from clvml.errors import ClvWarning
from clvml.estimators.purchases.models import BetaGeoModel
from clvml.estimators.uncertainty.draws import laplace_draws
from clvml.estimators.uncertainty.level_sd import PRIOR_WINDOWS, learn_level_sd
from clvml.estimators.uncertainty.totals import COMMON_LEVEL_SD, total_draws, total_interval
from clvml.horizon import day_number, day_of_number

HERE = Path(__file__).resolve().parent
LOGS = ("cdnow", "online_retail", "online_retail_2y", "superstore", "apparel")
HORIZONS = (91, 182)
MIN_HISTORY = 91
SIZES = (0.0, 0.08, 0.12, 0.18, 0.25, 0.35)
Z = 1.6449
ACTUAL = 1882  # purchases of the CDNOW sample in the 39 weeks


def open_log(name: str, shared: Path) -> Transactions | None:
    if name == "cdnow":
        return Transactions(load_cdnow(), free_orders=True)
    path = shared / "data" / name / "transactions.parquet"
    return Transactions(str(path)) if path.exists() else None


def errors(name: str, log: Transactions, horizon: int) -> Iterator[dict[str, object]]:
    """One row an origin and target: the log of actual over predicted, and what people alone explain of it."""
    first, last = day_number(log.first_date), day_number(log.last_date)
    for origin in range(first + MIN_HISTORY, last - horizon + 1, max(30, horizon // 3)):
        summary, holdout = log.split(day_of_number(origin), day_of_number(origin + horizon))
        model = LifetimeValueModel(purchases=ParetoNBDModel()).fit(summary)
        for target, p in (
            ("purchases", model.expected_purchases(summary, horizon)),
            ("spend", model.expected_spend(summary, horizon)),
        ):
            y = holdout[target].to_numpy(float)
            yield {
                "log": name,
                "horizon": horizon,
                "target": target,
                "origin": origin,
                "error": np.log(y.sum() / p.sum()),
                "people": np.sqrt(((y - p * y.sum() / p.sum()) ** 2).sum()) / y.sum(),
            }


def learned(rows: pd.DataFrame) -> pd.Series:
    """The level's standard deviation at each origin, from those whose windows had passed: `learn_level_sd`'s rule."""
    found = []
    for row in rows.itertuples():
        past = rows[rows["origin"] + row.horizon <= row.origin]
        if past.empty:
            found.append(COMMON_LEVEL_SD)
            continue
        n = 1 + (past["origin"].max() - past["origin"].min()) / row.horizon
        surplus = (past["error"] ** 2 - past["people"] ** 2).mean()
        pooled = (n * surplus + PRIOR_WINDOWS * COMMON_LEVEL_SD**2) / (n + PRIOR_WINDOWS)
        found.append(np.sqrt(max(0.0, pooled)))
    return pd.Series(found, index=rows.index)


def table(found: pd.DataFrame) -> list[str]:
    """Share of totals inside their 90% interval, by log, the mean over logs last."""
    sizes = {f"{size:.2f}": pd.Series(size, index=found.index) for size in SIZES}
    sizes["learned"] = found.groupby(["log", "horizon", "target"], group_keys=False)[list(found)].apply(learned)
    lines = []
    for target in ("purchases", "spend"):
        for how, sd in sizes.items():
            inside = found["error"].abs() < Z * np.hypot(sd, found["people"])
            some = found["target"] == target
            by_log = (
                inside[some].groupby(found.loc[some, "log"]).mean().reindex([n for n in LOGS if n in set(found["log"])])
            )
            cells = " | ".join(f"{100 * share:.0f}" for share in by_log)
            lines.append(f"| {target} | {how} | {cells} | {100 * by_log.mean():.0f} |")
    return lines


def cdnow_sample() -> list[str]:
    """The published total of the CDNOW sample: 1,882 purchases in 39 weeks after 1997-09-30, by BG/NBD."""
    log, cut, days = Transactions(load_cdnow(sample=True), free_orders=True), "1997-09-30", 273
    summary = log.summarize(cut)
    model = LifetimeValueModel(purchases=BetaGeoModel()).fit(summary)
    found = learn_level_sd(log, cut, days, model)
    lines = []
    for how, sd in (("none", 0.0), ("learned before the cut", found.purchases), ("nothing learned", COMMON_LEVEL_SD)):
        row = total_interval(model.purchases_, summary, days, level_sd=sd).iloc[0]
        low, high = int(row["purchases_low"]), int(row["purchases_high"])
        inside = "yes" if low <= ACTUAL <= high else "no"
        lines.append(f"| {how} | {sd:.3f} | {row['purchases']:.0f} | {low} to {high} | {inside} |")
    began = time.perf_counter()
    drawn = laplace_draws(model.purchases_, summary, 1000)
    total_draws(model.purchases_, summary, days, parameters=drawn)
    seconds = time.perf_counter() - began
    words = f"1,000 posterior draws of the parameters and of the total together took {seconds:.2f} s"
    return [*lines, "", f"{words} (effective sample size {drawn.effective:.0f})."]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shared", type=Path, default=HERE.parent.parent / "shared")
    parser.add_argument("--out", type=Path, default=HERE / "totals.md")
    asked = parser.parse_args()
    warnings.simplefilter("ignore", ClvWarning)  # short histories, of which the table tells what they do
    opened = {name: open_log(name, asked.shared) for name in LOGS}
    rows = [row for name, log in opened.items() if log for horizon in HORIZONS for row in errors(name, log, horizon)]
    found = pd.DataFrame(rows)
    there = [name for name, log in opened.items() if log]
    absent = [f"Left out, the data not being there: {name}." for name in LOGS if name not in there]
    text = f"""# Totals: do their intervals hold what they promise?

    OMP_NUM_THREADS={os.environ.get("OMP_NUM_THREADS", "")} python benchmarks/totals.py

## Over {len(found) // 2} totals of {len(there)} logs

Pareto/NBD and Gamma-Gamma, fitted at every origin to what was known then; per cent of the totals of the next
{HORIZONS[0]} and {HORIZONS[1]} days that lie in their 90% interval; wanted: 90. level sd: how far the level of all
customers may be off, the standard deviation of the log of actual over predicted. "learned": from the origins whose
windows had passed, drawn to COMMON_LEVEL_SD = {COMMON_LEVEL_SD}, which stands alone where none has.

| total of | level sd | {" | ".join(there)} | mean |
|---|--:|{"--:|" * (len(there) + 1)}
{chr(10).join(table(found) + absent)}

## The CDNOW sample in 39 weeks by BG/NBD, 90% interval

1,882 purchases came.

| level sd | its size | expected | interval | holds 1,882 |
|---|--:|--:|---|---|
{chr(10).join(cdnow_sample())}
"""
    asked.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
