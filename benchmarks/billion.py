"""A billion orders on one machine: `clvml predict` of 105 million customers in a given memory, beside the bare query.

    python benchmarks/billion.py --folder DISK [--customers 105000000] [--memory 8GB] [--threads 2] [--part make]

Writes benchmarks/billion.md. The log is that of benchmarks/nightly.py (some 9.5 orders a customer over two years, lines
by date), made once and left in the folder; the model is trained on 20,000 customers of the same making. Each process
runs once. Spilled is the most that lay in the folder for temporary files at one time, looked at every half second.
Disk: about 60 GB for 105 million customers.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import threading
from pathlib import Path
from typing import Self

from nightly import AS_OF, BARE, Bench, Case, process

ROOT = Path(__file__).resolve().parent


class Spilled:
    """The most bytes that lie in a folder while a process runs, less what lay there before."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.most = folder, 0
        self._before = self._size()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._over.wait(0.5):
            self.most = max(self.most, self._size() - self._before)

    def _size(self) -> int:
        total = 0
        for place, _, names in os.walk(self.folder):
            for name in names:
                try:
                    total += os.stat(os.path.join(place, name)).st_blocks * 512
                except FileNotFoundError:  # taken away meanwhile
                    continue
        return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--customers", type=int, default=105_000_000)
    parser.add_argument("--memory", default="8GB")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--part", choices=["make"], help="Make the log and leave.")
    wanted = parser.parse_args()
    wanted.folder.mkdir(parents=True, exist_ok=True)
    bench, case = Bench(wanted.folder, wanted.memory, wanted.threads), Case(wanted.customers, "by date")
    log = bench.log(case)
    if wanted.part == "make":
        return
    import pyarrow.parquet

    orders = pyarrow.parquet.read_metadata(log).num_rows
    spill = wanted.folder / "spill"
    spill.mkdir(exist_ok=True)
    rows = []
    bare = [sys.executable, "-c", BARE, str(log), str(wanted.folder / "bare.parquet"), wanted.memory]
    predict = [sys.executable, "-m", "clvml", "predict", str(log), "--as-of", AS_OF, "--model"]
    predict += [str(wanted.folder / "model"), "--out", str(wanted.folder / "scores"), "--memory", wanted.memory]
    for name, command in (
        ("bare query", [*bare, str(wanted.threads), str(spill)]),
        ("predict", [*predict, "--threads", str(wanted.threads), "--spill", str(spill)]),
    ):
        with Spilled(spill) as spilled:
            seconds, peak, _ = process(command)
        rows.append((name, seconds, peak, spilled.most))
        print(f"{name:10} {seconds:8.0f} s {peak:7,.0f} MB, spilled {spilled.most / 1e9:.1f} GB", flush=True)
    scores = sum(file.stat().st_size for file in (wanted.folder / "scores").glob("*.parquet"))
    lines = [
        "# A billion orders on one machine",
        "",
        f"`python benchmarks/billion.py --folder DISK --customers {wanted.customers} --memory {wanted.memory} "
        f"--threads {wanted.threads}` on {platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}: {wanted.customers:,} customers, {orders:,} orders, "
        f"{log.stat().st_size / 1e9:.1f} GB of Parquet, lines by date; one run of each. "
        f"The scores are {scores / 1e9:.1f} GB.",
        "",
        "| | seconds | orders a second | peak memory GB | spilled GB |",
        "|:--|--:|--:|--:|--:|",
    ]
    for name, seconds, peak, most in rows:
        lines.append(f"| {name} | {seconds:,.0f} | {orders / seconds:,.0f} | {peak / 1e3:.1f} | {most / 1e9:.1f} |")
    lines += ["", f"Predict takes {rows[1][1] / rows[0][1]:.1f} times the bare query."]
    (ROOT / "billion.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
