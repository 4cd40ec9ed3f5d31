#!/usr/bin/env python3
"""The page for a manager: its pictures in the README, and how long it takes.

    python benchmarks/page.py picture TRANSACTIONS.parquet [--out OUT.html]
    python benchmarks/page.py time [--sizes 100000,1000000] [--rounds 3] [--folder FOLDER]

picture: the page of Online Retail as of its last day, with a backtest and a plan; then, where Chromium and its driver
are there, docs/images/report.png (the whole page's beginning) and customers.png (the customers to act on).
time: `clvml report SCORES --log LOG`, as a whole process, on the logs of benchmarks/nightly.py (lines by date, some ten
a customer, every line with one of three channels); writes benchmarks/page.md.
"""

from __future__ import annotations

import argparse
import base64
import os
import platform
import re
import resource
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

import pandas as pd
from nightly import Bench, Case, process

from clvml import ClvModel, Plan, Transactions, Treatment, backtest, make_page, plan_audience

HERE = Path(__file__).resolve().parent
IMAGES = HERE.parent / "docs" / "images"
AS_OF, CUTS, HORIZON = "2011-12-09", ["2011-06-10", "2011-09-09"], 91
COST = {"United Kingdom": 60.0, "Germany": 150.0, "France": 150.0, "EIRE": 400.0, "elsewhere": 250.0}
"""Made up: what winning a customer costs is not in the log."""
PICTURES = {"report": ("body", 1100, 2020), "customers": ("#leaving", 1000, 1160)}
"""Of each picture what it begins with, its width and its height."""
STAGES = ("read", "make the page")


def picture(source: Path, out: Path) -> None:
    """Make the page of Online Retail, and its pictures."""
    lines = pd.read_parquet(source, columns=["customer_id", "date", "amount", "invoice", "country"])
    near = lines["country"].isin(["United Kingdom", "Germany", "France", "EIRE"])
    lines["country"] = lines["country"].where(near, "elsewhere")
    log = Transactions(lines[lines["customer_id"].notna()], order="invoice", channel="country")
    scores = ClvModel(horizon=HORIZON).fit(log, AS_OF).score(log)
    tested = backtest(log, CUTS, HORIZON, model=ClvModel(), bootstrap=20)
    plan = plan_audience(
        scores, Plan(name="spring", treatments=[Treatment(name="call", contact_cost=5.0, save_rate=0.3)]), budget=500
    )
    page = make_page(scores, log=log, backtest=tested.to_dict(), plan=plan.to_dict(), cac=COST, currency="£")
    print(f"{page.write(out)}: {len(page.html.encode()) / 1e6:.2f} MB")
    take_pictures(out)


def take_pictures(page: Path) -> None:
    """Open the page in Chromium, and write docs/images/."""
    found = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    if not all(found.values()):
        print("No pictures: apt install chromium chromium-driver")
        return
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(found["chromium"])
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars"):
        options.add_argument(f"--{flag}")
    driver = webdriver.Chrome(options, webdriver.ChromeService(found["chromedriver"]))
    try:
        for name, (begin, width, height) in PICTURES.items():
            screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
            driver.get(page.resolve().as_uri())
            top = driver.execute_script(
                "return document.querySelector(arguments[0]).getBoundingClientRect().top + window.scrollY", begin
            )
            clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
            shot = driver.execute_cdp_cmd(
                "Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True, "clip": clip}
            )
            (IMAGES / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))
            print(IMAGES / f"{name}.png")
    finally:
        driver.quit()


def with_channel(log: Path) -> Path:
    """The same log, each customer of one of three channels."""
    import duckdb

    target = log.with_name(f"channel {log.name}")
    if not target.exists():
        channel = "CASE customer_id % 5 WHEN 0 THEN 'mail' WHEN 1 THEN 'search' ELSE 'shop' END AS channel"
        duckdb.sql(f"COPY (SELECT *, {channel} FROM '{log}') TO '{target}' (FORMAT parquet)")
    return target


def measure(bench: Bench, customers: int) -> tuple[dict[str, float], float, float]:
    """(seconds by stage and of the whole process, peak MB, MB of the page)."""
    log, out = with_channel(bench.log(Case(customers, "by date"))), bench.folder / "page.html"
    scores = bench.folder / f"scores {customers}.parquet"
    if not scores.exists():
        bench.predict(Case(customers, "by date"))
        (bench.folder / "scores.parquet").rename(scores)
    command = [sys.executable, "-m", "clvml", "report", str(scores), "--log", str(log), "--channel", "channel"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds, peak, told = process([*command, "--out", str(out), "--verbose"])
    spent = {name: float(took) for name, took in re.findall(r"\] ([a-z ]+): ([0-9.]+) s", told)}
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent | {"whole process": seconds, "processor": processor}, peak, out.stat().st_size / 1e6


def report(sizes: list[int], rounds: int, folder: Path) -> str:
    """The table of all sizes."""
    bench = Bench(folder, "4GB", 2)
    lines = [
        "# The page for a manager, measured",
        "",
        f"`python benchmarks/page.py time --sizes {','.join(map(str, sizes))} --rounds {rounds}` on "
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; medians of {rounds} "
        "round(s) of whole processes.",
        "",
        "| customers | read s | make the page s | whole process s | its processor s | peak MB | page MB |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for customers in sizes:
        found = [measure(bench, customers) for _ in range(rounds)]
        seconds = {name: median(spent[name] for spent, *_ in found) for name in (*STAGES, "whole process", "processor")}
        lines.append(
            f"| {customers:,} | {' | '.join(f'{took:.1f}' for took in seconds.values())} "
            f"| {max(peak for _, peak, _ in found):,.0f} | {found[0][2]:.2f} |"
        )
        print(lines[-1], flush=True)
    notes = "read: the scores, and opening the log. make the page: the lines in order, and all sections."
    return "\n".join([*lines, "", notes]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    pictures = kinds.add_parser("picture")
    pictures.add_argument("transactions", type=Path)
    pictures.add_argument("--out", type=Path, default=Path("report.html"))
    times = kinds.add_parser("time")
    times.add_argument("--sizes", default="100000,1000000")
    times.add_argument("--rounds", type=int, default=3)
    times.add_argument("--folder", type=Path, help="For logs and scores; default: a temporary one.")
    asked = parser.parse_args()
    if asked.kind == "picture":
        picture(asked.transactions, asked.out)
        return
    with tempfile.TemporaryDirectory() as own:
        folder = asked.folder or Path(own)
        folder.mkdir(parents=True, exist_ok=True)
        text = report([int(n) for n in asked.sizes.split(",")], asked.rounds, folder)
    (HERE / "page.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
