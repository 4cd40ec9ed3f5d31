"""Do intervals hold what they promise? Out of time: per customer, before and after recalibration, and of a total.

    python benchmarks/coverage.py [--shared ../shared]

Writes benchmarks/coverage.md. Everything that is learned, recalibration and common shock included, is learned before
the cut. A count counts as covered by the part of its probability that lies between the levels (randomised PIT), for
intervals of whole numbers cover more than they say. Online Retail is left out where it is not beside the project.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from clvml import ClvModel, Transactions, load_cdnow
from clvml.errors import ClvWarning
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.purchases.models import BetaGeoModel, ParetoNBDModel
from clvml.estimators.uncertainty.draws import laplace_draws
from clvml.estimators.uncertainty.recalibration import (
    Places,
    Recalibrations,
    coverage,
    learn_recalibration,
    places,
    spend_places,
)
from clvml.estimators.uncertainty.shock import learn_shock
from clvml.estimators.uncertainty.totals import total_draws, total_interval
from clvml.horizon import as_date, day_number, day_of_number

HERE = Path(__file__).resolve().parent
LEVELS = (0.8, 0.9)
CELLS = (
    ("cdnow sample", "1997-09-30", 273),
    ("cdnow", "1997-09-30", 273),
    ("cdnow", "1997-12-30", 182),
    ("online_retail", "2011-05-31", 91),
    ("online_retail", "2011-07-09", 91),
    ("online_retail", "2011-09-09", 91),
)
KINDS = {
    "BG/NBD + Gamma-Gamma": LifetimeValueModel(),
    "Pareto/NBD + Gamma-Gamma": LifetimeValueModel(purchases=ParetoNBDModel()),
}


def open_log(name: str, shared: Path) -> Transactions | None:
    """A log by name, or None where its data are not there."""
    if name.startswith("cdnow"):
        return Transactions(load_cdnow(sample=name.endswith("sample")), free_orders=True)
    path = shared / "data" / name / "transactions.parquet"
    return Transactions(str(path)) if path.exists() else None


def corrected(model: ClvModel, frame: pd.DataFrame, holdout: pd.DataFrame, days: int) -> tuple[Places, Places]:
    """Places of purchases and spend in what ClvModel predicts: BTYD's distribution, scaled by the correction."""
    value = model.model_.value_
    _, purchases, spend = model.model_.correct(frame, days)
    often = purchases / value.expected_purchases(frame, days)
    rows, t = value.purchases_._histories(frame), value.purchases_._units(days)
    ahead, y = value.purchases_._future(rows).take(rows.place), holdout["purchases"].to_numpy(float)
    upto = 1.0 - ahead.at_least(y / often + 1.0, t)
    below = np.where(y > 0, 1.0 - ahead.at_least(np.maximum(y - 1.0, 0.0) / often + 1.0, t), 0.0)
    more = spend / value.expected_spend(frame, days)
    return Places(below, np.maximum(upto, below)), spend_places(value, frame, holdout["spend"] / more, days)


def told(found: tuple[Places, Places], frequency: pd.Series, learned: Recalibrations | None) -> list[float]:
    """Coverage of purchases, then of spend, at each level."""
    out = []
    for i, level in np.ndindex(2, len(LEVELS)):
        ends = (0.5 - LEVELS[level] / 2, 0.5 + LEVELS[level] / 2)
        out.append(coverage(found[i], *(learned[i].levels(frequency, LEVELS[level]) if learned else ends)))
    return out


def cell(log: Transactions, name: str, cut: str, days: int) -> list[str]:
    """Lines of the table."""
    day = as_date(cut)
    summary, holdout = log.split(day, day_of_number(day_number(day) + days))
    lines = []

    def line(model: str, how: str, shares: list[float]) -> None:
        held = [f"{s:.3f}{'' if abs(s - LEVELS[i % 2]) <= 0.02 else ' *'}" for i, s in enumerate(shares)]
        lines.append(f"| {name} {cut} + {days} | {model} | {how} | " + " | ".join(held) + " |")

    for label, kind in KINDS.items():
        fitted = LifetimeValueModel(**kind.get_params(deep=False)).fit(summary)
        found = (
            places(fitted.purchases_, summary, holdout["purchases"], days),
            spend_places(fitted, summary, holdout["spend"], days),
        )
        line(label, "its own", told(found, summary["frequency"], None))
        learned = learn_recalibration(log, day, days, kind)
        line(label, "recalibrated", told(found, summary["frequency"], learned))
    model = ClvModel(horizon=days).fit(log, day)
    frame = model.frame(log)
    found = corrected(model, frame, holdout, days)
    line("ClvModel", "its own", told(found, frame["frequency"], None))
    line("ClvModel", "recalibrated", told(found, frame["frequency"], learned))
    table = model.predict(frame)
    y, low, high = holdout["purchases"].to_numpy(), table["purchases_low"], table["purchases_high"]
    whole = float(((y >= low) & (y <= high)).mean())
    lines.append(f"| {name} {cut} + {days} | ClvModel | whole numbers, as in Scores |  | {whole:.3f} |  |  |")
    return lines


def totals() -> list[str]:
    """The published total of the CDNOW sample: 1,882 purchases in 39 weeks."""
    log, cut, days = Transactions(load_cdnow(sample=True), free_orders=True), "1997-09-30", 273
    day = as_date(cut)
    summary, holdout = log.split(day, day_of_number(day_number(day) + days))
    model, actual = LifetimeValueModel(purchases=BetaGeoModel()).fit(summary), int(holdout["purchases"].sum())
    lines = []
    shock = learn_shock(log, day, days, model)
    for how, size in (("none", 0.0), ("learned before the cut", shock), ("nothing learned", None)):
        row = total_interval(model.purchases_, summary, days, shock=size).iloc[0]
        low, high = int(row["purchases_low"]), int(row["purchases_high"])
        sd = {"none": 0.0, "learned before the cut": shock.purchases}.get(how, 0.08)
        inside = "yes" if low <= actual <= high else "no"
        width = (high - low) / row["purchases"]
        lines.append(f"| {how} | {sd:.3f} | {row['purchases']:.0f} | [{low}, {high}] | {width:.2f} | {inside} |")
    began = time.perf_counter()
    drawn = laplace_draws(model.purchases_, summary, 1000)
    total_draws(model.purchases_, summary, days, parameters=drawn)
    seconds = time.perf_counter() - began
    words = f"1,000 posterior draws of the parameters and of the total together took {seconds:.2f} s"
    return [*lines, "", f"{words} (effective sample size {drawn.effective:.0f})."]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shared", type=Path, default=HERE.parent.parent / "shared")
    parser.add_argument("--out", type=Path, default=HERE / "coverage.md")
    asked = parser.parse_args()
    warnings.simplefilter("ignore", ClvWarning)  # short histories, of which the table tells what they do
    lines, absent = [], []
    for name, cut, days in CELLS:
        log = open_log(name, asked.shared)
        if log is None:
            absent.append(f"{name} {cut}: data not there.")
            continue
        lines += cell(log, name, cut, days)
    heads = " | ".join(f"{what} {level:.0%}" for what in ("purchases", "spend") for level in LEVELS)
    text = f"""# Intervals: do they hold what they promise?

    OMP_NUM_THREADS={os.environ.get("OMP_NUM_THREADS", "")} python benchmarks/coverage.py

## Per customer, out of time

Share of customers whose outcome lies within the central interval (randomised PIT); wanted: the level, give or take
0.02. A star: further off. "recalibrated": with levels learned at the latest earlier origin whose window had passed by
the cut, by Pareto/NBD for ClvModel.

| cell | model | interval | {heads} |
|---|---|---|{"---|" * 4}
{chr(10).join(lines + absent)}

Online Retail 2011-09-09 looks at a Christmas trade that nine months of history have not seen: a third more purchases
than predicted. Nothing learned before the cut can know it.

ClvModel's own intervals are BTYD's, scaled by its corrections. Recalibrating them as well does not bring them nearer to
their level on the average of these cells, nor does it with levels learned from ClvModel's own places at the latest
labelled snapshot (tried on these and on Superstore and apparel: 90 % intervals are .019 and .015 off on average, for
purchases and spend, and .017 and .013 without), so they are left as they are. The whole numbers in Scores hold more
than they say, as counts must: an interval cannot hold half of a "no purchase".

## The total of the CDNOW sample in 39 weeks, 90 % interval

1,882 purchases came.

| common shock | its size (sd of the log) | expected | interval | width / expected | holds 1,882 |
|---|--:|--:|---|--:|---|
{chr(10).join(totals())}
"""
    asked.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
