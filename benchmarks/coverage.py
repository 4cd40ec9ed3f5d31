"""Do the intervals of single customers hold what they promise, out of time? Totals: benchmarks/totals.py.

    python benchmarks/coverage.py [--shared ../shared]

Writes benchmarks/coverage.md. Everything that is learned is learned before the cut. A count counts as covered by the
part of its probability that lies between the levels (randomised PIT), for intervals of whole numbers cover more than
they say. Online Retail is left out where it is not beside the project.
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from clvml import ClvModel, Transactions, load_cdnow
from clvml.errors import ClvWarning
from clvml.estimators.learned.expectation import expect
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.purchases.models import ParetoNBDModel
from clvml.estimators.uncertainty.coverage import Places, coverage, places, spend_places
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
    """Places of outcomes in what ClvModel predicts: no purchase, or BTYD's distribution given one, scaled."""
    value = model.value_
    found = model.model_.predict(frame, days)
    p_return, purchases, spend = found[["p_return", "expected_purchases", "expected_spend"]].to_numpy().T
    base = expect(value, frame, days)
    chance = p_return / base.p_return
    stretch = np.maximum(purchases / p_return - 1.0, 1e-9) / np.maximum(base.purchases / base.p_return - 1.0, 1e-9)
    rows, t = value.purchases_._histories(frame), value.purchases_._units(days)
    ahead, y = value.purchases_._future(rows).take(rows.place), holdout["purchases"].to_numpy(float)
    upto = 1.0 - chance * ahead.at_least(1.0 + y / stretch, t)
    below = np.where(y > 0, 1.0 - chance * ahead.at_least(1.0 + np.maximum(y - 1.0, 0.0) / stretch, t), 0.0)
    own = base.purchases / base.p_return * value.spend_.expected_spend(frame)
    found = spend_places(value, frame, holdout["spend"] / (spend / p_return) * own, days)
    amount = 1.0 - chance * (1.0 - found.upto)
    return Places(below, np.maximum(upto, below)), Places(np.where(holdout["spend"] > 0, amount, 0.0), amount)


def shares(found: tuple[Places, Places]) -> list[float]:
    """Coverage of purchases, then of spend, at each level."""
    return [coverage(part, 0.5 - level / 2, 0.5 + level / 2) for part in found for level in LEVELS]


def cell(log: Transactions, name: str, cut: str, days: int) -> list[str]:
    """Lines of the table."""
    day = as_date(cut)
    summary, holdout = log.split(day, day_of_number(day_number(day) + days))
    lines = []

    def line(model: str, found: tuple[Places, Places]) -> None:
        held = [f"{s:.3f}{'' if abs(s - LEVELS[i % 2]) <= 0.02 else ' *'}" for i, s in enumerate(shares(found))]
        lines.append(f"| {name} {cut} + {days} | {model} | " + " | ".join(held) + " |")

    for label, kind in KINDS.items():
        fitted = LifetimeValueModel(**kind.get_params(deep=False)).fit(summary)
        found = (
            places(fitted.purchases_, summary, holdout["purchases"], days),
            spend_places(fitted, summary, holdout["spend"], days),
        )
        line(label, found)
    model = ClvModel(horizon=days).fit(log, day)
    frame = model.frame(log)
    found = corrected(model, frame, holdout, days)
    line("ClvModel", found)
    table = model.predict(frame)
    y, low, high = holdout["purchases"].to_numpy(), table["purchases_low"], table["purchases_high"]
    whole = float(((y >= low) & (y <= high)).mean())
    lines.append(f"| {name} {cut} + {days} | ClvModel, whole numbers as in Scores |  | {whole:.3f} |  |  |")
    return lines


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

Share of customers whose outcome lies within the central interval (randomised PIT); wanted: the level, give or take
0.02. A star: further off.

| cell | model | {heads} |
|---|---|{"---|" * 4}
{chr(10).join(lines + absent)}

Online Retail 2011-09-09 looks at a Christmas trade that nine months of history have not seen: a third more purchases
than predicted. Nothing learned before the cut can know it.

The whole numbers in Scores hold more than they say, as counts must: an interval cannot hold half of a "no purchase".
"""
    asked.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
