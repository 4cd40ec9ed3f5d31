"""How long training takes, and how much memory, on simulated orders: ClvModel.fit in a process of its own.

    python benchmarks/training.py [--customers 10000,100000] [--rounds 3]

Writes benchmarks/training.md. Customers come over a year and a half of the two years that the log holds, buy at gamma
rates of one purchase in six weeks on average while they stay, which is exponential with a mean of 20 months, and spend
by Gamma-Gamma. One thread a process of scikit-learn's, as in the package; DuckDB takes what the machine has.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
DAYS, ARRIVE, AS_OF, HORIZON = 730, 540, "2021-12-30", "182d"


def simulate(n: int, seed: int = 0) -> pd.DataFrame:
    """About nine orders a customer: customer_id, date, amount."""
    rng = np.random.default_rng(seed)
    came = rng.uniform(0, ARRIVE, n)
    stays = np.minimum(rng.exponential(600.0, n), DAYS - came)
    more = rng.poisson(rng.gamma(0.93, 1 / 39.8, n) * stays)
    who = np.concatenate([np.arange(n), np.repeat(np.arange(n), more)])
    when = np.concatenate([came, np.repeat(came, more) + rng.random(more.sum()) * np.repeat(stays, more)])
    scale = 1.0 / rng.gamma(3.74, 1 / 15.44, n)
    amount = np.round(rng.gamma(6.25, 1.0, who.size) * scale[who] * 25.0, 2)
    date = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.floor(when), unit="D")
    return pd.DataFrame({"customer_id": who, "date": date, "amount": amount})


def child(file: str) -> None:
    """One training, told as JSON."""
    from clvml import ClvModel, Transactions

    began = time.perf_counter()
    model = ClvModel(horizon=HORIZON).fit(Transactions(file), AS_OF)
    told = {"seconds": time.perf_counter() - began, "customers": model.n_customers_}
    print(json.dumps(told | {"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2}))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--customers", default="10000,100000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "training.md")
    parser.add_argument("--child")
    asked = parser.parse_args()
    if asked.child:
        child(asked.child)
        return
    before, lines, file = os.getloadavg()[0], [], asked.out.with_suffix(".parquet")
    for size in map(int, asked.customers.split(",")):
        log = simulate(size)
        log.to_parquet(file, index=False)
        command = [sys.executable, __file__, "--child", str(file)]
        runs = [json.loads(subprocess.check_output(command)) for _ in range(asked.rounds)]
        seconds, memory = median(r["seconds"] for r in runs), max(r["memory"] for r in runs)
        least = min(r["seconds"] for r in runs)
        lines.append(f"| {size:,} | {len(log):,} | {seconds:.0f} | {least:.0f} | {memory:.2f} |")
    file.unlink()
    names = ", ".join(f"{n} {version(n)}" for n in ("clvml", "numpy", "scikit-learn", "duckdb"))
    command = f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', '')} python benchmarks/training.py"
    command += f" --customers {asked.customers} --rounds {asked.rounds}"
    where = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"
    load = f"Load average {before:.1f} at the start and {os.getloadavg()[0]:.1f} at the end, on a shared machine."
    text = f"""# Training: time and memory

    {command}

{where}; {names}.
{load}
`ClvModel(horizon="182d").fit`, imports included: snapshots for the corrections and for leaving, Pareto/NBD fitted to
each of them and to past windows, the forests of both and of their trials, tier edges.
Wanted: 120 s and 3 GB at 100,000 customers.

| customers | orders | seconds, median | least | peak memory, GB |
|--:|--:|--:|--:|--:|
{chr(10).join(lines)}
"""
    asked.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
