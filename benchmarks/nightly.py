"""The nightly job beside the bare query and beside lifetimes, as whole processes on simulated logs.

    python benchmarks/nightly.py [--sizes 100000,1000000,10000000] [--rounds 3] [--memory 4GB] [--threads 2]

Writes benchmarks/nightly.md. The log: a Parquet file of customer_id, date, amount; about ten orders a customer over two
years; its lines by date, as a shop writes them, or customer after customer, which is kind to a GROUP BY. The model is
trained on 20,000 customers of the same making and exported. Per size, order and round, in turn:

    bare query   one DuckDB statement that reads the same columns, groups by customer and writes a row each to Parquet
    predict      `clvml predict`, from the log to all columns of Scores, in the same memory and threads
    CLV table    the work of the next line by clvml: summary, BG/NBD and Gamma-Gamma fitted, discounted CLV, written
    lifetimes    the same by lifetimes and pandas: summary, both fits, customer_lifetime_value, written (up to 1e6)

Times are medians over the rounds, of the whole process with its imports; memory is its peak. `beyond start-up` takes
off what the same command takes on a log of 200 customers.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
AS_OF, HORIZON = "2021-12-31", 182
LIFETIMES_BEARS = 1_000_000
_HARDLY = 0.05
"""Seconds below which nothing is divided by them."""
TINY = 200
"""Customers of the log that takes no time beyond start-up."""
ORDERS = {"by date": "ORDER BY date, hash(customer_id)", "by customer": ""}
"""How the lines of a log lie."""

LOG = """
COPY (
    WITH people AS (
        SELECT i AS customer_id, CAST(hash(i) % 730 AS INTEGER) AS born,
            (hash(i + 1000000007) % 1000000 + 0.5) / 1e6 AS u, (hash(i * 7 + 3) % 1000000 + 0.5) / 1e6 AS v,
            (hash(i * 13 + 5) % 1000000 + 0.5) / 1e6 AS w
        FROM range({n}) AS t(i)
    ), kinds AS (
        SELECT customer_id, born, 1 + CAST(FLOOR(-LN(u) * 9) AS INTEGER) AS orders,
            LEAST(730 - born, 1 + CAST(-LN(v) * 500 AS INTEGER)) AS span, 20 * EXP((w - 0.5) * 2) AS level
        FROM people
    )
    SELECT customer_id,
        DATE '2020-01-01' + CAST(born + CASE WHEN j = 0 THEN 0 ELSE hash(customer_id * 1009 + j) % span END AS INTEGER)
            AS date,
        CAST(ROUND(level * (0.5 + (hash(customer_id * 31 + j * 17) % 1000) / 1000.0), 2) AS DOUBLE) AS amount
    FROM (SELECT *, UNNEST(range(orders)) AS j FROM kinds)
    {order}
) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 1000000)
"""

MAKE = """
import duckdb, sys
make, memory, spill = sys.argv[1:]
con = duckdb.connect()
con.execute(f"SET memory_limit = '{memory}'; SET temp_directory = '{spill}'")
con.execute(make)
"""

BARE = """
import duckdb, sys
log, out, memory, threads, spill = sys.argv[1:]
con = duckdb.connect()
con.execute(f"SET memory_limit = '{memory}'; SET threads = {threads}; SET temp_directory = '{spill}'")
con.execute("SET preserve_insertion_order = false")
con.execute(f"COPY (SELECT customer_id, MIN(date) AS first, MAX(date) AS last, COUNT(*) AS orders, "
            f"SUM(amount) AS amount FROM '{log}' GROUP BY customer_id) TO '{out}' (FORMAT parquet)")
"""

OURS = """
import sys
from clvml import LifetimeValueModel, Transactions
log, out, as_of, horizon = sys.argv[1:]
summary = Transactions(log).summarize(as_of)
model = LifetimeValueModel(horizon=int(horizon)).fit(summary)
clv = model.clv(summary)
summary[["customer_id"]].assign(clv=clv).to_parquet(out, index=False)
"""

LIFETIMES = """
import sys, warnings
warnings.simplefilter("ignore")
import pandas as pd
from lifetimes import BetaGeoFitter, GammaGammaFitter
from lifetimes.utils import summary_data_from_transaction_data
log, out, as_of, horizon = sys.argv[1:]
orders = pd.read_parquet(log)
table = summary_data_from_transaction_data(orders, "customer_id", "date", "amount", observation_period_end=as_of)
known = table["frequency"], table["recency"], table["T"]
purchases = BetaGeoFitter(penalizer_coef=0.001).fit(*known)  # without it the fit may end in an error
again = table[(table["frequency"] > 0) & (table["monetary_value"] > 0)]
spend = GammaGammaFitter().fit(again["frequency"], again["monetary_value"])
months = int(horizon) / 30
clv = spend.customer_lifetime_value(purchases, *known, table["monetary_value"], months, 0.008, freq="D")
clv.rename("clv").reset_index().to_parquet(out, index=False)
"""


def process(command: list[str]) -> tuple[float, float, str]:
    """(seconds, peak MB, standard error) of a whole process."""
    begun = time.perf_counter()
    with tempfile.TemporaryFile("w+") as told:
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=told)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - begun
        told.seek(0)
        text = told.read()
    if child.returncode:
        sys.exit(f"{command[:4]} failed: {text[-2000:]}")
    return seconds, usage.ru_maxrss / 1000, text


class Case(NamedTuple):
    """A log."""

    customers: int
    order: str


Found = dict[str, tuple[float, float]]
"""Median seconds and highest peak MB of each process."""


class Bench:
    """The four processes over the logs in one folder."""

    def __init__(self, folder: Path, memory: str, threads: int) -> None:
        self.folder, self.memory, self.threads = folder, memory, threads
        self.stages: dict[Case, dict[str, list[float]]] = {}
        log = self.log(Case(20_000, "by date"))
        train = (
            "import sys; from clvml import ClvModel, Transactions\n"
            "ClvModel(horizon=int(sys.argv[3])).fit(Transactions(sys.argv[1]), sys.argv[4]).save(sys.argv[2])"
        )
        process([sys.executable, "-c", train, str(log), str(folder / "model"), str(HORIZON), AS_OF])

    def log(self, case: Case) -> Path:
        path = self.folder / f"{case.customers} {case.order}.parquet"
        if not path.exists():
            make = LOG.format(n=case.customers, order=ORDERS[case.order], path=path)
            # In a process of its own: the peak of this one would be taken for that of its children.
            process([sys.executable, "-c", MAKE, make, self.memory, str(self.folder)])
        return path

    def bare(self, case: Case) -> tuple[float, float]:
        out, spill = str(self.folder / "bare.parquet"), str(self.folder / "spill")
        seconds, peak, _ = process(
            [sys.executable, "-c", BARE, str(self.log(case)), out, self.memory, str(self.threads), spill]
        )
        return seconds, peak

    def predict(self, case: Case) -> tuple[float, float]:
        model, out = str(self.folder / "model"), str(self.folder / "scores.parquet")
        command = [sys.executable, "-m", "clvml", "predict", str(self.log(case)), "--as-of", AS_OF]
        limits = ["--memory", self.memory, "--threads", str(self.threads), "--spill", str(self.folder), "--verbose"]
        seconds, peak, told = process([*command, "--model", model, "--out", out, *limits])
        stages = self.stages.setdefault(case, {"start": []})
        spent = {name: float(took) for name, took in re.findall(r"\] ([a-z ]+): ([0-9.]+) s", told)}
        for name, took in spent.items():
            stages.setdefault(name, []).append(took)
        stages["start"].append(seconds - sum(spent.values()))
        return seconds, peak

    def table(self, code: str, case: Case) -> tuple[float, float]:
        out = str(self.folder / "clv.parquet")
        seconds, peak, _ = process([sys.executable, "-c", code, str(self.log(case)), out, AS_OF, str(HORIZON)])
        return seconds, peak

    def run(self, case: Case, rounds: int) -> Found:
        """All four, or as many as the log is for, in turn."""
        kinds = {"bare": self.bare, "predict": self.predict}
        if case.customers <= LIFETIMES_BEARS and case.order == "by date":
            kinds |= {"ours": lambda c: self.table(OURS, c), "lifetimes": lambda c: self.table(LIFETIMES, c)}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
        for _ in range(rounds):
            for name, measure in kinds.items():
                found[name].append(measure(case))
                told = f"{found[name][-1][0]:8.2f} s {found[name][-1][1]:7,.0f} MB"
                print(f"{case.customers:>10,} {case.order:11} {name:10} {told}", flush=True)
        return {name: (median(s for s, _ in rows), max(p for _, p in rows)) for name, rows in found.items()}


def beyond(runs: dict[Case, Found], case: Case, dividend: str, divisor: str) -> str:
    """The ratio of two processes with what each takes on the tiny log taken off."""
    start = runs[Case(TINY, "by date")]
    above, below = (runs[case][name][0] - start[name][0] for name in (dividend, divisor))
    return f"{above / below:.1f}" if below > _HARDLY else "too short"


def report(bench: Bench, runs: dict[Case, Found], rounds: int) -> str:
    start, sizes = runs[Case(TINY, "by date")], sorted({case.customers for case in runs} - {TINY})
    lines = [
        "# The nightly job, measured",
        "",
        f"`python benchmarks/nightly.py --sizes {','.join(map(str, sizes))} --rounds {rounds} "
        f"--memory {bench.memory} --threads {bench.threads}` on {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, DuckDB {version('duckdb')}; what each line is stands in the script. "
        f"Medians of {rounds} rounds of whole processes. On a log of {TINY} customers: "
        f"bare query {start['bare'][0]:.2f} s, predict {start['predict'][0]:.2f} s, CLV table {start['ours'][0]:.2f} s,"
        f" lifetimes {start['lifetimes'][0]:.2f} s.",
        "",
        "| customers | lines | bare query s | predict s | ratio | beyond start-up | predict peak MB "
        "| bare query peak MB |",
        "|--:|:--|--:|--:|--:|--:|--:|--:|",
    ]
    for case, found in runs.items():
        if case.customers != TINY:
            (bare, least), (ours, most) = found["bare"], found["predict"]
            lines.append(
                f"| {case.customers:,} | {case.order} | {bare:.2f} | {ours:.1f} | {ours / bare:.1f} "
                f"| {beyond(runs, case, 'predict', 'bare')} | {most:,.0f} | {least:,.0f} |"
            )
    names = ["start", "load model", "open log", "score", "write"]
    lines += ["", "## Predict by stage, seconds", ""]
    lines += [f"| customers | lines | {' | '.join(names)} |", "|--:|:--" + "|--:" * len(names) + "|"]
    for case, spent in bench.stages.items():
        told = " | ".join(f"{median(spent.get(name, [0.0])):.1f}" for name in names)
        lines.append(f"| {case.customers:,} | {case.order} | {told} |")
    lines += [
        "",
        "start: imports, and what lies between the stages. score: the lines sorted by customer and day, then the "
        "scoring of the parts; write: tiers, sentences, Parquet.",
        "",
        "## The same work by lifetimes: log to CLV table",
        "",
        "| customers | clvml s | lifetimes s | lifetimes / clvml | beyond start-up | clvml MB | lifetimes MB |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for case, found in runs.items():
        if "lifetimes" in found and case.customers != TINY:
            (a, pa), (b, pb) = found["ours"], found["lifetimes"]
            lines.append(
                f"| {case.customers:,} | {a:.2f} | {b:.2f} | {b / a:.1f} | {beyond(runs, case, 'lifetimes', 'ours')} "
                f"| {pa:,.0f} | {pb:,.0f} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="100000,1000000,10000000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="For logs and results; default: a temporary one.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as own:
        folder = asked.folder or Path(own)
        folder.mkdir(parents=True, exist_ok=True)
        bench = Bench(folder, asked.memory, asked.threads)
        cases = [Case(TINY, "by date"), *(Case(int(n), order) for n in asked.sizes.split(",") for order in ORDERS)]
        runs = {case: bench.run(case, asked.rounds) for case in cases}
        (HERE / "nightly.md").write_text(report(bench, runs, asked.rounds), encoding="utf-8")


if __name__ == "__main__":
    main()
