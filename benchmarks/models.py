"""Speed and memory of every model beside lifetimes, on simulated customers.

    python benchmarks/models.py [--sizes 10000,100000,1000000,10000000] [--rounds 5] [--models BG/NBD,Pareto/NBD]

Writes benchmarks/models.md: fit, expected purchases, discounted 12-month CLV. Customers are drawn from BG/NBD with the
parameters of CDNOW, day by day over 78 weeks, spend from Gamma-Gamma. Each measurement has a process of its own, which
reads the customers from a file, does everything once for the first 1,000 of them, so that all is imported, and then
measures. Ours and lifetimes take turns, so that both meet the same load. Figures are medians over the rounds; peak
memory is that of the whole process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
DAYS, HORIZON, YEARLY = 546, 273, 0.10
MODELS = {
    "BG/NBD": ("BetaGeoModel", "BetaGeoFitter"),
    "MBG/NBD": ("ModifiedBetaGeoModel", "ModifiedBetaGeoFitter"),
    "Pareto/NBD": ("ParetoNBDModel", "ParetoNBDFitter"),
    "NBD": ("NBDModel", None),
    "BG/CNBD-k": ("BetaGeoErlangModel", None),
}
BEARS = {"BetaGeoFitter": 1_000_000, "ModifiedBetaGeoFitter": 1_000_000, "ParetoNBDFitter": 10_000}
"""Customers beyond which lifetimes takes longer than anybody waits (Pareto/NBD) or more memory than there is."""
OURS_BEAR = {"BetaGeoModel": 10_000_000}
PATIENCE = 900  # seconds a process may take


def simulate(n: int, seed: int = 0) -> pd.DataFrame:
    """Customers of BG/NBD, as the summary of a log by days would have them."""
    rng = np.random.default_rng(seed)
    rate, leave = rng.gamma(0.2426, 1 / 30.9, n), rng.beta(0.793, 2.426, n)
    age = rng.integers(DAYS // 2, DAYS, n)
    at, last, count, who = np.zeros(n), np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64), np.arange(n)
    while who.size:
        at[who] += rng.exponential(1 / np.maximum(rate[who], 1e-12))
        day = np.minimum(np.floor(at[who]), 1e6).astype(np.int64)
        who, day = who[day <= age[who]], day[day <= age[who]]
        new = day > last[who]
        count[who[new]] += 1
        last[who[new]] = day[new]
        who = who[rng.random(who.size) >= leave[who]]
    p, q, v = 6.25, 3.74, 15.44
    some = np.maximum(count, 1)
    spend = np.where(count > 0, rng.gamma(p * some) / some / rng.gamma(q, 1 / v, n), 0.0)
    columns = {"customer_id": np.arange(n), "frequency": count, "recency": last, "T": age, "monetary_value": spend}
    return pd.DataFrame(columns)


def clocked(task: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    found = task()
    return found, time.perf_counter() - began


def measure_ours(name: str, summary: pd.DataFrame) -> dict[str, float]:
    from clvml.estimators.lifetime_value import LifetimeValueModel
    from clvml.estimators.purchases import models as purchases
    from clvml.estimators.spend import GammaGammaModel

    if name == "BetaGeoErlangModel":
        summary = summary.assign(log_gaps=summary["frequency"] * np.log(20.0))
        kind = purchases.BetaGeoErlangModel(k=2)
    else:
        kind = getattr(purchases, name)()
    model, fit = clocked(lambda: kind.fit(summary))
    expected, predict = clocked(lambda: model.expected_purchases(summary, HORIZON))
    spend, fit_spend = clocked(lambda: GammaGammaModel().fit(summary))
    value = LifetimeValueModel(horizon=365, discount_rate=YEARLY)
    value.purchases_, value.spend_ = model, spend
    clv, discounted = clocked(lambda: value.clv(summary))
    return {"fit": fit, "expected": predict, "spend fit": fit_spend, "clv": discounted} | check(expected, clv)


def measure_lifetimes(name: str, summary: pd.DataFrame) -> dict[str, float]:
    import lifetimes

    warnings.simplefilter("ignore")  # autograd's, of its own ways; this process does nothing else
    x, t_x, T, m = (summary[c] for c in ("frequency", "recency", "T", "monetary_value"))
    model, fit = clocked(lambda: getattr(lifetimes, name)().fit(x, t_x, T))
    predict = model.conditional_expected_number_of_purchases_up_to_time
    expected, predict_time = clocked(lambda: predict(HORIZON, x, t_x, T))
    spend, fit_spend = clocked(lambda: lifetimes.GammaGammaFitter().fit(x[x > 0], m[x > 0]))
    monthly = (1 + YEARLY) ** (1 / 12) - 1
    value = spend.customer_lifetime_value
    clv, discounted = clocked(lambda: value(model, x, t_x, T, m, time=12, discount_rate=monthly, freq="D"))
    return {"fit": fit, "expected": predict_time, "spend fit": fit_spend, "clv": discounted} | check(expected, clv)


def check(expected: Any, clv: Any) -> dict[str, float]:
    """What was computed, to see that both computed the same."""
    return {"purchases": float(np.sum(expected)), "value": float(np.sum(clv))}


def child(kind: str, name: str, file: str) -> None:
    summary = pd.read_parquet(file)
    measured = measure_ours if kind == "ours" else measure_lifetimes
    measured(name, summary.head(1000))
    found = measured(name, summary)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found | {"memory": peak}))


def measure(kind: str, name: str, file: Path) -> dict[str, float] | str:
    """One measurement in a process of its own; or why there is none."""
    command = [sys.executable, __file__, "--child", kind, name, str(file)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return f"over {PATIENCE} s"
    if done.returncode:
        return "fails: " + (done.stderr.strip().splitlines() or ["killed"])[-1][:60]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def rounds_of(size: int, rounds: int) -> int:
    return rounds if size < 1_000_000 else max(1, min(rounds, 3)) if size == 1_000_000 else 1


def compare(size: int, rounds: int, file: Path, models: list[str]) -> list[dict[str, Any]]:
    """A row a model: medians of ours and of lifetimes."""
    jobs = [
        (label, kind, name)
        for label, (ours, theirs) in ((m, MODELS[m]) for m in models)
        for kind, name, most in (
            ("ours", ours, OURS_BEAR.get(ours, 1_000_000)),
            ("lifetimes", theirs, BEARS.get(str(theirs), 0)),
        )
        if name and size <= most
    ]
    found: dict[tuple[str, str], list[Any]] = {}
    for turn in range(rounds_of(size, rounds)):
        for label, kind, name in jobs:
            print(f"{size:>10,} round {turn + 1} {label} {kind}", file=sys.stderr, flush=True)
            found.setdefault((label, kind), []).append(measure(kind, name, file))
    rows = []
    for label in dict.fromkeys(label for label, *_ in jobs):
        row: dict[str, Any] = {"customers": size, "model": label}
        for kind in ("ours", "lifetimes"):
            told = [r for r in found.get((label, kind), []) if isinstance(r, dict)]
            failed = [r for r in found.get((label, kind), []) if isinstance(r, str)]
            row[kind] = {k: median(r[k] for r in told) for k in told[0]} if told else (failed[0] if failed else None)
        rows.append(row)
    return rows


def cell(row: dict[str, Any], what: str) -> list[str]:
    """Ours, theirs, ratio."""
    ours, theirs = row["ours"], row["lifetimes"]
    first = f"{ours[what]:.3g}" if isinstance(ours, dict) else str(ours)
    if not isinstance(theirs, dict):
        return [first, theirs or "–", "–"]
    ratio = theirs[what] / ours[what] if isinstance(ours, dict) else float("nan")
    return [first, f"{theirs[what]:.3g}", f"{ratio:.3g}"]


def tables(rows: list[dict[str, Any]]) -> str:
    out = []
    titles = {
        "fit": "Fit of the model of purchases, seconds",
        "expected": f"Expected purchases in {HORIZON} days, seconds",
        "clv": "Discounted 12-month CLV, seconds",
        "spend fit": "Fit of Gamma-Gamma, seconds (in the same process)",
        "memory": "Peak memory of the process, MB (the customers and all imports in it)",
    }
    for what, title in titles.items():
        out += [
            f"## {title}",
            "",
            "| customers | model | clvml | lifetimes | lifetimes / clvml |",
            "|--:|---|--:|--:|--:|",
        ]
        out += [f"| {r['customers']:,} | {r['model']} | " + " | ".join(cell(r, what)) + " |" for r in rows]
        out.append("")
    return "\n".join(out)


def agreement(rows: list[dict[str, Any]]) -> str:
    """That both computed the same thing."""
    told = []
    for row in rows:
        if isinstance(row["ours"], dict) and isinstance(row["lifetimes"], dict):
            off = [row["ours"][k] / row["lifetimes"][k] - 1 for k in ("purchases", "value")]
            told.append(f"| {row['customers']:,} | {row['model']} | {off[0]:+.2e} | {off[1]:+.2e} |")
    head = ["| customers | model | expected purchases | CLV |", "|--:|---|--:|--:|"]
    return "\n".join(["## Our totals over theirs, less one", "", *head, *told])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="10000,100000,1000000,10000000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--out", type=Path, default=HERE / "models.md")
    parser.add_argument("--child", nargs=3)
    told = parser.parse_args()
    if told.child:
        child(*told.child)
        return
    before, rows = os.getloadavg()[0], []
    with tempfile.TemporaryDirectory() as folder:
        for size in map(int, told.sizes.split(",")):
            file = Path(folder, f"{size}.parquet")
            simulate(size).to_parquet(file, index=False)
            rows += compare(size, told.rounds, file, told.models.split(","))
    command = f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', '')} python benchmarks/models.py"
    command += f" --sizes {told.sizes} --rounds {told.rounds}"
    command += "" if told.models == ",".join(MODELS) else f" --models {told.models}"
    names = ("clvml", "lifetimes", "numpy", "scipy", "pandas")
    where = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"
    packages = ", ".join(f"{n} {version(n)}" for n in names)
    load = f"Load average {before:.1f} at the start and {os.getloadavg()[0]:.1f} at the end, on a shared machine:"
    load += " other work slows both sides, which took turns."
    text = f"""# Speed and memory of the models

    {command}

{where}; {packages}.
{load}
Medians of {told.rounds} rounds, at most 3 at 1,000,000 customers, one at 10,000,000; a process each. A dash: lifetimes
has no such model, or was not asked (Pareto/NBD above 10,000, anything above 1,000,000: it takes many minutes). Our CLV
discounts each purchase at its time, at 10% a year, over 365 days; that of lifetimes over twelve months of 30 days, at
the end of each, so its totals are lower.

{tables(rows)}
{agreement(rows)}
"""
    told.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
