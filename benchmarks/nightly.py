"""The nightly job beside the bare query and beside lifetimes, as whole processes on simulated logs.

    python benchmarks/nightly.py [--sizes 100000,1000000,10000000] [--rounds 3] [--memory 4GB] [--threads 2]

Writes benchmarks/nightly.md. The log: a Parquet file of customer_id, date, amount; about ten orders a customer over two
years. The model is trained on 20,000 customers of the same making and exported. Per size and round, in turn:

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

HERE = Path(__file__).resolve().parent
AS_OF, HORIZON = "2021-12-31", 182
LIFETIMES_BEARS = 1_000_000
_HARDLY = 0.05
"""Seconds below which nothing is divided by them."""
ONCE_FROM = 10_000_000
"""Customers from which on one round must do."""

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
) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 1000000)
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


class Bench:
    """The four processes over the logs in one folder."""

    def __init__(self, folder: Path, memory: str, threads: int) -> None:
        self.folder, self.memory, self.threads = folder, memory, threads
        self.stages: dict[int, dict[str, list[float]]] = {}
        log = self.log(20_000)
        train = (
            "import sys; from clvml import ClvModel, Transactions\n"
            "ClvModel(horizon=int(sys.argv[3])).fit(Transactions(sys.argv[1]), sys.argv[4]).save(sys.argv[2])"
        )
        process([sys.executable, "-c", train, str(log), str(folder / "model"), str(HORIZON), AS_OF])

    def log(self, n: int) -> Path:
        import duckdb

        path = self.folder / f"log{n}.parquet"
        if not path.exists():
            with duckdb.connect() as con:
                con.execute(f"SET memory_limit = '{self.memory}'; SET preserve_insertion_order = false")
                con.execute(LOG.format(n=n, path=path))
        return path

    def bare(self, n: int) -> tuple[float, float]:
        out, spill = str(self.folder / "bare.parquet"), str(self.folder / "spill")
        seconds, peak, _ = process(
            [sys.executable, "-c", BARE, str(self.log(n)), out, self.memory, str(self.threads), spill]
        )
        return seconds, peak

    def predict(self, n: int) -> tuple[float, float]:
        model, out = str(self.folder / "model"), str(self.folder / "scores.parquet")
        command = [sys.executable, "-m", "clvml.cli", "predict", str(self.log(n)), "--as-of", AS_OF, "--model", model]
        limits = ["--memory", self.memory, "--threads", str(self.threads), "--spill", str(self.folder), "--verbose"]
        seconds, peak, told = process([*command, "--out", out, *limits])
        stages = self.stages.setdefault(n, {"start": []})
        spent = {name: float(took) for name, took in re.findall(r"\] ([a-z ]+): ([0-9.]+) s", told)}
        for name, took in spent.items():
            stages.setdefault(name, []).append(took)
        stages["start"].append(seconds - sum(spent.values()))
        return seconds, peak

    def table(self, code: str, n: int) -> tuple[float, float]:
        out = str(self.folder / "clv.parquet")
        seconds, peak, _ = process([sys.executable, "-c", code, str(self.log(n)), out, AS_OF, str(HORIZON)])
        return seconds, peak

    def run(self, n: int, rounds: int) -> dict[str, tuple[float, float]]:
        """Median seconds and highest peak of each, in turn."""
        kinds = {"bare": self.bare, "predict": self.predict}
        if n <= LIFETIMES_BEARS:
            kinds |= {"ours": lambda k: self.table(OURS, k), "lifetimes": lambda k: self.table(LIFETIMES, k)}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
        for _ in range(rounds):
            for name, measure in kinds.items():
                found[name].append(measure(n))
                print(f"{n:>10,} {name:10} {found[name][-1][0]:8.2f} s {found[name][-1][1]:7,.0f} MB", flush=True)
        return {name: (median(s for s, _ in rows), max(p for _, p in rows)) for name, rows in found.items()}


def report(bench: Bench, runs: dict[int, dict[str, tuple[float, float]]], tiny: int, rounds: int) -> str:
    start = runs[tiny]
    lines = [
        "# The nightly job, measured",
        "",
        f"`python benchmarks/nightly.py --sizes {','.join(str(n) for n in runs if n != tiny)} --rounds {rounds} "
        f"--memory {bench.memory} --threads {bench.threads}` on {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, DuckDB {version('duckdb')}; what each line is stands in the script. "
        f"Medians of {rounds} rounds of whole processes ({ONCE_FROM:,} customers: one round). On a log of {tiny} "
        f"customers: bare query {start['bare'][0]:.2f} s, predict {start['predict'][0]:.2f} s.",
        "",
        "| customers | bare query s | predict s | ratio | beyond start-up | predict peak MB | bare query peak MB |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for n, found in runs.items():
        if n == tiny:
            continue
        bare, ours = found["bare"][0], found["predict"][0]
        query = bare - start["bare"][0]
        beyond = f"{(ours - start['predict'][0]) / query:.1f}" if query > _HARDLY else "too short"
        lines.append(
            f"| {n:,} | {bare:.2f} | {ours:.1f} | {ours / bare:.1f} | {beyond} | {found['predict'][1]:,.0f} "
            f"| {found['bare'][1]:,.0f} |"
        )
    names = ["start", "load model", "open log", "score", "write"]
    lines += ["", "## Predict by stage, seconds", "", f"| customers | {' | '.join(names)} |", "|--:" * 6 + "|"]
    for n in runs:
        spent = bench.stages[n]
        lines.append(f"| {n:,} | " + " | ".join(f"{median(spent.get(name, [0.0])):.1f}" for name in names) + " |")
    lines += [
        "",
        "start: imports, and what lies between the stages. score: the query over the log, then the scoring of the "
        "parts; write: tiers, sentences, Parquet.",
        "",
        "## The same work by lifetimes: log to CLV table",
        "",
        "| customers | clvml s | lifetimes s | lifetimes / clvml | clvml peak MB | lifetimes peak MB |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    for n, found in runs.items():
        if "lifetimes" in found and n != tiny:
            (a, pa), (b, pb) = found["ours"], found["lifetimes"]
            lines.append(f"| {n:,} | {a:.2f} | {b:.2f} | {b / a:.1f} | {pa:,.0f} | {pb:,.0f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="100000,1000000,10000000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="For logs and results; default: a temporary one.")
    asked = parser.parse_args()
    tiny = 200
    with tempfile.TemporaryDirectory() as own:
        folder = asked.folder or Path(own)
        folder.mkdir(parents=True, exist_ok=True)
        bench = Bench(folder, asked.memory, asked.threads)
        sizes = [tiny, *map(int, asked.sizes.split(","))]
        runs = {n: bench.run(n, asked.rounds if n < ONCE_FROM else 1) for n in sizes}
        (HERE / "nightly.md").write_text(report(bench, runs, tiny, asked.rounds), encoding="utf-8")


if __name__ == "__main__":
    main()
