"""What a user waits for before anything is computed, and what the training of the night takes; as whole processes.

    python benchmarks/startup.py [--rounds 5] [--train 100000]

Writes benchmarks/startup.md. Logs are those of benchmarks/nightly.py. Measured, in turn, round by round:

    clvml --help     from the shell to the last line
    predict          200 customers, a champion in the SQLite registry beside the job: to the scores on disk
    MLflow           `import mlflow` alone, which predict did before it could read such a registry itself
    train            so many customers: backtest, gate against a champion, MLflow; once

Seconds are medians over the rounds; processor seconds are beside them, as other work on the machine lengthens the wait,
not the work.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import nightly

HERE = Path(__file__).resolve().parent
TINY, TRAINED = 200, 5_000
CLVML = [sys.executable, "-m", "clvml"]


def timed(command: list[str], folder: str) -> tuple[float, float, str]:
    """(seconds, processor seconds, standard error) of a whole process."""
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - begun, used, done.stderr


def train(log: Path) -> list[str]:
    """The command that trains on a log and registers."""
    days = ["--as-of", nightly.AS_OF, "--horizon", str(nightly.HORIZON)]
    return [*CLVML, "train", str(log), *days, "--register", "clv", "--verbose"]


def log_of(customers: int, folder: str) -> Path:
    """A log of so many customers."""
    import duckdb

    path = Path(folder) / f"{customers}.parquet"
    duckdb.connect().execute(nightly.LOG.format(n=customers, path=path, order=nightly.ORDERS["by date"]))
    return path


def measure(rounds: int, customers: int) -> str:
    """The page."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    with tempfile.TemporaryDirectory() as folder:
        tiny = log_of(TINY, folder)
        timed(train(log_of(TRAINED, folder)), folder)
        predict = [*CLVML, "predict", str(tiny), "--as-of", nightly.AS_OF, "--model", "models:/clv@champion"]
        commands = {
            "`clvml --help`": [*CLVML, "--help"],
            f"`clvml predict`, {TINY} customers, champion from SQLite": [*predict, "--out", "scores.parquet"],
            "`import mlflow`": [sys.executable, "-c", "import mlflow"],
        }
        found = {name: [timed(command, folder) for _ in range(rounds)] for name, command in commands.items()}
        lines = [f"| {name} | {_median(runs, 0):.2f} | {_median(runs, 1):.2f} |" for name, runs in found.items()]
        if customers:
            seconds, used, stages = timed(train(log_of(customers, folder)), folder)
            lines.append(f"| `clvml train`, {customers:,} customers, gate and MLflow | {seconds:.1f} | {used:.1f} |")
            told = [line.partition("] ")[2] for line in stages.splitlines() if line.startswith("[")]
            lines += ["", "Training by stage: " + ", ".join(told) + "."]
    busy = f"{os.getloadavg()[1]:.1f} processes waiting for them on average"
    about = f"{platform.machine()}, {os.cpu_count()} cores, {busy}, Python {platform.python_version()}"
    head = (
        f"`python benchmarks/startup.py --rounds {rounds} --train {customers}` on {about}; what each line is stands in"
    )
    table = ["| | seconds | processor seconds |", "|:--|--:|--:|", *lines]
    return "\n".join(["# Start-up, measured", "", f"{head} the script. Medians of {rounds} rounds.", "", *table, ""])


def _median(runs: list[tuple[float, float, str]], place: int) -> float:
    return median(run[place] for run in runs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--train", type=int, default=100_000, help="customers; 0: not measured")
    asked = parser.parse_args()
    page = measure(asked.rounds, asked.train)
    (HERE / "startup.md").write_text(page, encoding="utf-8")
    print(page)
