"""Accuracy out of time: the known cells beside the best of peers and baselines, further cuts beside lifetimes itself.

    python benchmarks/accuracy.py [--shared ../shared] [--bootstrap 200]

Writes benchmarks/accuracy.md. The known cells, their baselines and their metrics are those of shared/bench/cell.py; the
further cuts are measured by clvml.backtest. One configuration for all. Logs that are not there are left out, and the
table says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from clvml import ClvModel, Transactions, backtest, load_cdnow
from clvml.errors import ClvWarning, ModelError
from clvml.estimators.interop import lifetimes_forecast

HERE = Path(__file__).resolve().parent
SHOWN = {
    "purchases_deviance": "purchases deviance",
    "spend_deviance": "spend deviance",
    "spend_gini": "spend Gini",
    "purchases_bias": "purchases bias",
    "spend_bias": "spend bias",
    "return_auc": "return AUC",
    "return_brier": "Brier",
    "return_ece": "ECE",
}
LESS_IS_BETTER = {"purchases_deviance", "spend_deviance", "return_brier", "return_ece", "purchases_bias", "spend_bias"}
WANTED = {
    "cdnow": (1.54, 16.1, 0.73, 0.07, 0.07, 0.775, 0.158, 0.02),
    "online_retail_jul": (1.08, 41.0, 0.835, 0.07, 0.12, 0.765, 0.195, 0.02),
    "online_retail_sep": (1.37, 48.5, 0.80, 0.20, 0.25, 0.75, 0.205, 0.06),
}
ROWS = (
    "clvml",
    "BG/NBD + Gamma-Gamma",
    "Pareto/NBD + Gamma-Gamma",
    "lifetimes",
    "recency alone",
    "same as last period",
)
FURTHER = (
    ("cdnow", "1997-06-30", 91),
    ("cdnow", "1997-12-31", 91),
    ("cdnow", "1997-12-30", 182),
    ("online_retail", "2011-01-31", 60),
    ("online_retail", "2011-03-31", 60),
    ("online_retail", "2011-05-31", 91),
    ("superstore", "2013-12-31", 365),
    ("apparel", "2006-12-31", 365),
    ("apparel", "2006-12-31", 1450),
)


TRIED = """
## What was tried for the targets that are not reached

Each on several cells, one configuration for all; none was better on the average, so none was taken.

- Boosting with these features, cross-validated on the holdout's own labels, an upper guide and no forecast: CDNOW
  1.576 in purchases deviance, 16.4 in spend deviance, AUC 0.771. The targets lie beyond it.
- Learned weights of the members, and the level of purchases and spend corrected on the latest origin (+1.2 % deviance
  on 12 cells); geometric means; boosting without an offset as a fourth member; MBG/NBD as the base.
- LightGBM with the same features and rows ([lightgbm.md](lightgbm.md)): within 0.7 % in deviance and 0.0034 in AUC,
  either way; also with a Tweedie loss and the expectation as `init_score`.
- Corrections shrunk where label windows are shorter than the horizon (by a power of window over horizon, of the level
  alone, or by customers; 17 cells): at most 0.2 % less purchases deviance, up to 2 % more spend deviance. So the
  CDNOW sample cut at nine months still overshoots: purchases +25 %, spend +20 %, where BTYD is 12 % and 15 % too low.
"""


def ruler(shared: Path) -> ModuleType | None:
    """shared/bench/cell.py as a module, where it is."""
    path = shared / "bench" / "cell.py"
    if not path.exists():
        return None
    spec = importlib.util.spec_from_file_location("cell", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def known_cell(cell: ModuleType, name: str, baselines: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of one known cell: best of peers and baselines, ours, wanted."""
    _, cut, days = cell.CELLS[name]
    known, truth = cell.split(name)
    begun = time.perf_counter()
    scores = ClvModel(horizon=days).fit(Transactions(known), cut).score(Transactions(known), cut)
    seconds = time.perf_counter() - begun
    told = scores.assign(customer_id=scores["customer_id"].astype(str)).set_index("customer_id")
    told = told.rename(columns={"expected_purchases": "purchases", "expected_spend": "spend"})
    ours = cell.metrics(truth, told[["purchases", "spend", "p_return"]])
    theirs = [v for v in baselines[name].values() if isinstance(v, dict)]
    best = {key: _best(key, [row[key] for row in theirs if key in row]) for key in SHOWN}
    wanted = dict(zip(SHOWN, WANTED[name], strict=True))
    reached = sum(_reaches(key, ours[key], wanted[key]) for key in SHOWN)
    return [
        {"cell": name, "row": "best of peers and baselines"} | best,
        {"cell": name, "row": f"clvml ({seconds:.0f} s)"} | {k: ours[k] for k in SHOWN},
        {"cell": name, "row": f"wanted ({reached} of {len(SHOWN)} reached)"} | wanted,
    ]


def _best(key: str, values: list[float]) -> float:
    if key.endswith("bias"):
        return min(values, key=abs)
    return min(values) if key in LESS_IS_BETTER else max(values)


def _reaches(key: str, ours: float, wanted: float) -> bool:
    ours = abs(ours) if key.endswith("bias") else ours
    return ours <= wanted if key in LESS_IS_BETTER else ours >= wanted


def open_log(name: str, shared: Path) -> Transactions | None:
    """A log by name, or None where its data are not there."""
    if name == "cdnow":
        return Transactions(load_cdnow())
    path = shared / "data" / name / "transactions.parquet"
    return Transactions(str(path)) if path.exists() else None


def further(shared: Path, bootstrap: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of the further cuts, and the verdicts against each baseline in words."""
    rows, words = [], []
    for name, cut, days in FURTHER:
        log = open_log(name, shared)
        if log is None:
            words.append(f"- {name} {cut} + {days}: data not there")
            continue
        try:
            tested = backtest(log, cut, days, others={"lifetimes": lifetimes_forecast}, bootstrap=bootstrap)
        except ModelError:
            tested = backtest(log, cut, days, bootstrap=bootstrap)
            words.append(f"- {name} {cut} + {days}: lifetimes does not converge, with any penalizer up to 0.1")
        wide = tested.table.pivot_table(index="model", columns=["target", "metric"], values="value", sort=False)
        cell = f"{name} {cut} + {days}"
        rows += [{"cell": cell, "row": model} | _picked(wide.loc[model]) for model in ROWS if model in wide.index]
        lost = tested.differences[tested.differences["verdict"] == "worse"]
        beaten = [f"{r.baseline} in {r.target} {r.metric} ({r.low:+.3g} to {r.high:+.3g})" for r in lost.itertuples()]
        words.append(
            f"- {name} {cut} + {days}: clearly worse than {'; '.join(beaten) if beaten else 'no baseline in anything'}"
        )
    return rows, words


def _picked(row: pd.Series) -> dict[str, float]:
    keys = {
        "purchases_deviance": ("purchases", "deviance"),
        "spend_deviance": ("spend", "deviance"),
        "spend_gini": ("spend", "gini"),
        "purchases_bias": ("purchases", "bias"),
        "spend_bias": ("spend", "bias"),
        "return_auc": ("return", "auc"),
        "return_brier": ("return", "brier"),
        "return_ece": ("return", "calibration_error"),
    }
    return {name: float(row.get(key, float("nan"))) for name, key in keys.items()}


def markdown(rows: list[dict[str, Any]]) -> str:
    """A table in Markdown; empty cells where a row has no word."""
    lines = ["| cell | | " + " | ".join(SHOWN.values()) + " |", "|---|---|" + "---|" * len(SHOWN)]
    for row in rows:
        cells = [_cell(key, row.get(key)) for key in SHOWN]
        lines.append(f"| {row['cell']} | {row['row']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(key: str, value: float | None) -> str:
    if value is None or value != value:
        return ""
    if key.endswith("bias"):
        return f"{value:+.2f}"
    return f"{value:.2f}" if key == "spend_deviance" else f"{value:.3f}"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=HERE.parent.parent / "shared")
    parser.add_argument("--bootstrap", type=int, default=200)
    told = parser.parse_args()
    warnings.simplefilter("ignore", ClvWarning)
    cell = ruler(told.shared)
    known: list[dict[str, Any]] = []
    if cell is not None:
        baselines = json.loads((told.shared / "bench" / "baselines.json").read_text())
        for name in WANTED:
            known += known_cell(cell, name, baselines)
            print(f"{name} done", file=sys.stderr)
    rows, words = further(told.shared, told.bootstrap)
    text = f"""# Accuracy, out of time

Made by `python benchmarks/accuracy.py`; one configuration for all logs. Deviances, Brier and ECE: less is better. Lines
"wanted" are the targets set for this package; bias is wanted within the number either way.

## The known cells

{markdown(known) if known else "(shared/bench/cell.py is not there)"}

## Further cuts, beside BTYD and lifetimes itself

`lifetimes` is BG/NBD + Gamma-Gamma as its documentation uses it, P(alive) being its churn score.

{markdown(rows)}

Where the paired 95 % bootstrap interval over customers says that clvml is worse:

{chr(10).join(words)}
{TRIED}"""
    (HERE / "accuracy.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
