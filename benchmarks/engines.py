"""The same night by other ways: from a state, from CSV, and on Spark; whole processes on the logs of nightly.py.

    python benchmarks/engines.py [--customers 1000000] [--rounds 3] [--memory 4GB] [--threads 2] [--folder logs]
        [--no-spark]

Writes benchmarks/engines.md. Of one simulated log, cut into a file a month and a last file of one day, as Parquet and
as CSV, `clvml predict` is run, per round in turn:

    whole       without a state: every file is read
    first       with `--state` of an empty folder, on all files but the last: every file is read and kept
    next        with that state, on all files: the last day's alone is read
    spark       `--engine spark --master local[threads]` on the Parquet files, session and its Java included (once)

Seconds are of the clock, processor seconds those of the process and its children; medians over the rounds, and of the
ratio of processor seconds to those of the whole night of the same round.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

from nightly import AS_OF, Bench, Case

HERE = Path(__file__).resolve().parent
CUT = """
COPY (SELECT * FROM '{log}' WHERE {which} ORDER BY date) TO '{path}' (FORMAT {kind})
"""
Timed = tuple[float, float]


def process(command: list[str]) -> Timed:
    """(seconds, processor seconds) of a whole process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    seconds = time.perf_counter() - begun
    if done.returncode:
        sys.exit(f"{command} failed: {done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cut(log: Path, folder: Path, kind: str) -> None:
    """A file a month in folder/, the last day's in folder.last/."""
    import duckdb

    folder.mkdir(parents=True)
    with duckdb.connect() as con:
        months = con.execute(f"SELECT DISTINCT strftime(date, '%Y-%m') FROM '{log}' ORDER BY 1").fetchall()
        for (month,) in months:
            which = f"strftime(date, '%Y-%m') = '{month}' AND date < DATE '{AS_OF}'"
            con.execute(CUT.format(log=log, which=which, path=folder / f"{month}.{kind}", kind=kind))
        last = folder.parent / f"{folder.name}.last"
        last.mkdir()
        which = f"date >= DATE '{AS_OF}'"
        con.execute(CUT.format(log=log, which=which, path=last / f"last.{kind}", kind=kind))


class Nights:
    """The ways of one log."""

    def __init__(self, bench: Bench, customers: int, own: Path) -> None:
        self.model, self.own = bench.folder / "model", own
        self.limits = ["--memory", bench.memory, "--threads", str(bench.threads), "--spill", str(own)]
        self.threads = bench.threads
        for kind in ("parquet", "csv"):
            cut(bench.log(Case(customers, "by date")), own / kind, kind)

    def predict(self, files: Path, *more: str, into: str = "scores.parquet") -> Timed:
        out = ["--model", str(self.model), "--out", str(self.own / into)]
        return process([sys.executable, "-m", "clvml", "predict", str(files), "--as-of", AS_OF, *out, *more])

    def files(self, kind: str, *, whole: bool) -> Path:
        """The folder of the log, with or without its last file."""
        last = self.own / kind / f"last.{kind}"
        if whole:
            shutil.copyfile(self.own / f"{kind}.last" / last.name, last)
        else:
            last.unlink(missing_ok=True)
        return self.own / kind

    def night(self, kind: str) -> dict[str, Timed]:
        state = self.own / "state"
        shutil.rmtree(state, ignore_errors=True)
        kept = ["--state", str(state), *self.limits]
        return {
            "whole": self.predict(self.files(kind, whole=True), *self.limits),
            "first": self.predict(self.files(kind, whole=False), *kept),
            "next": self.predict(self.files(kind, whole=True), *kept),
        }

    def spark(self) -> Timed:
        master = f"local[{self.threads}]"
        return self.predict(self.files("parquet", whole=True), "--engine", "spark", "--master", master, into="scores")


def report(asked: argparse.Namespace, runs: dict[str, dict[str, list[Timed]]], spark: Timed | None) -> str:
    no_spark = " --no-spark" if asked.no_spark else ""
    lines = [
        "# The same night from a state, from CSV, and on Spark",
        "",
        f"`python benchmarks/engines.py --customers {asked.customers} --rounds {asked.rounds} --memory {asked.memory} "
        f"--threads {asked.threads}{no_spark}` on {platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, DuckDB {version('duckdb')}; what each line is "
        f"stands in the script. {asked.customers:,} customers; medians of {asked.rounds} rounds.",
        "",
        "| log | run | seconds | processor seconds | of a whole night |",
        "|---|---|--:|--:|--:|",
    ]
    for kind, found in runs.items():
        for name, rows in found.items():
            wall, cpu = (median(column) for column in zip(*rows, strict=True))
            share = median(own[1] / whole[1] for own, whole in zip(rows, found["whole"], strict=True))
            lines.append(f"| {kind} | {name} | {wall:.1f} | {cpu:.1f} | {share:.2f} |")
    if spark is not None:
        name = f"spark {version('pyspark')}, local[{asked.threads}], once"
        lines.append(f"| parquet | {name} | {spark[0]:.1f} | not counted | |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="Of the logs of nightly.py; default: a temporary one.")
    parser.add_argument("--no-spark", action="store_true", help="Leave Spark out.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as own:
        folder = asked.folder or Path(own) / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        nights = Nights(Bench(folder, asked.memory, asked.threads), asked.customers, Path(own))
        runs: dict[str, dict[str, list[Timed]]] = {"csv": {}, "parquet": {}}
        spark = None if asked.no_spark else nights.spark()
        if spark is not None:
            print(f"spark {spark[0]:.1f} s", flush=True)
        for _ in range(asked.rounds):
            for kind, found in runs.items():
                for name, timed in nights.night(kind).items():
                    found.setdefault(name, []).append(timed)
                    print(f"{kind:8} {name:6} {timed[0]:7.1f} s {timed[1]:7.1f} processor s", flush=True)
        (HERE / "engines.md").write_text(report(asked, runs, spark), encoding="utf-8")


if __name__ == "__main__":
    main()
