"""The best that can be reached on simulated logs: the figures of the truth itself.

    python benchmarks/ceiling.py [--ruler ../shared/bench]

Writes benchmarks/ceiling.json, which accuracy.py shows. What is scored is each customer's true mean given everything
that the simulation hides: whether they have left by the cut, how fast they would leave, their rate of purchases on that
day and their usual amount. Nobody who sees the log alone can know these, so no model comes all the way; what is left
of the deviance is chance. The story is that of simulate.py in the folder of the ruler, drawn again in the same order,
which is checked row by row.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pandas as pd
from accuracy import HERE, LOSSES, ruler
from scipy.special import gammainc, gammaincinv

DAYS, AFTER, CUSTOMERS, SEED = 1000, 400, 3000, 10
START = pd.Timestamp("2019-01-01")
FUTURES = 300
"""Futures drawn of each customer."""


class State(NamedTuple):
    """A customer at the cut: clock of the last purchase, rate, rate of leaving, mean amount, whether still there."""

    last: float
    rate: float
    leave: float
    amount: float
    alive: bool


class Story(NamedTuple):
    """A kind of log."""

    kind: str

    @property
    def shape(self) -> int:
        """Of the gaps."""
        return 3 if self.kind == "regular" else 1

    def clock(self) -> np.ndarray:
        """Business time at the begin of each day."""
        day = np.arange(DAYS + AFTER + 400)
        pace = np.ones(day.size)
        if self.kind == "season":
            pace = 1 + 0.35 * np.sin(2 * np.pi * (day % 365 - 60) / 365)
            pace[(day % 365 >= 319) & (day % 365 < 355)] *= 1.9
            pace /= pace.mean()
        if self.kind == "trend":
            pace = np.exp(-0.35 * day / 365)
        return np.r_[0, np.cumsum(pace)]


def states(story: Story, cut: int) -> tuple[dict[str, State], pd.DataFrame]:
    """The customers who have come by the cut, by id; and the log, to be compared with the ruler's."""
    kinds = ("regular", "season", "trend", "whales")
    rng = np.random.default_rng([SEED, kinds.index(story.kind)])
    start = np.sort((rng.beta(1, 1.3, CUSTOMERS) * DAYS * 0.85).astype(int))
    whales = story.kind == "whales"
    rate = (np.exp(rng.normal(-4.6, 1.3, CUSTOMERS)) if whales else rng.gamma(0.7, 1 / 30, CUSTOMERS)) + 1e-4
    leave = rng.gamma(0.8, 1 / 500, CUSTOMERS)
    ticket = np.exp(rng.normal(3.3, 1.2 if whales else 0.6, CUSTOMERS))
    clock, k = story.clock(), story.shape
    found, rows = dict[str, State](), []
    for i in range(CUSTOMERS):
        end = start[i] + rng.exponential(1 / leave[i])
        gone, end = end, min(end, DAYS + AFTER)
        t, own, last = clock[start[i]], rate[i], (clock[start[i]], rate[i])
        rows.append((i, start[i], ticket[i] * np.exp(rng.normal(-0.1, 0.45))))
        while True:
            t += rng.gamma(k, 1 / (k * own))
            day = int(np.searchsorted(clock, t) - 1)
            if t >= clock[-1] or day > end or day >= DAYS + AFTER:
                break
            rows.append((i, day, ticket[i] * np.exp(rng.normal(-0.1, 0.45))))
            if story.kind != "season":
                own *= np.exp(rng.normal(-0.01, 0.08))
            if day <= cut:
                last = t, own
        if start[i] <= cut:
            mean = ticket[i] * np.exp(-0.1 + 0.45**2 / 2)
            found[f"{i:05d}"] = State(*last, leave[i], mean, gone > cut)
    log = pd.DataFrame(rows, columns=["customer_id", "day", "amount"]).round({"amount": 2})
    log["customer_id"] = log["customer_id"].map("{:05d}".format)
    log["date"] = START + pd.to_timedelta(log["day"], "D")
    return found, log.groupby(["customer_id", "date"], as_index=False)["amount"].sum()


def means(story: Story, state: State, cut: int, days: int, rng: np.random.Generator) -> tuple[float, float, float]:
    """Purchase days, spend and chance of return within the days after the cut, over many futures."""
    if not state.alive:
        return 0.0, 0.0, 0.0
    clock, k = story.clock(), story.shape
    end = np.minimum(cut + rng.exponential(1 / state.leave, FUTURES), cut + days)
    waited = k * state.rate * (clock[cut + 1] - state.last)
    passed = gammainc(k, waited)  # the next gap is longer than the silence so far
    own = np.full(FUTURES, state.rate)
    t = state.last + gammaincinv(k, passed + (1 - passed) * rng.random(FUTURES)) / (k * own)
    purchase_days, purchases, before = np.zeros(FUTURES), np.zeros(FUTURES), np.full(FUTURES, -1)
    open_ = np.ones(FUTURES, dtype=bool)
    while True:
        day = np.searchsorted(clock, t) - 1
        open_ &= (day <= end) & (t < clock[-1])
        if not open_.any():
            break
        purchases += open_
        purchase_days += open_ & (day != before)
        before = day
        if story.kind != "season":
            own *= np.exp(rng.normal(-0.01, 0.08, FUTURES))
        t = t + rng.gamma(k, 1.0, FUTURES) / (k * own)
    return purchase_days.mean(), purchases.mean() * state.amount, (purchases > 0).mean()


def figures(cell: ModuleType, name: str) -> dict[str, float]:
    """Of the truth, on one cell."""
    log_name, cut_day, days = cell.CELLS[name]
    story, cut = Story(log_name.partition(":")[2]), (pd.Timestamp(cut_day) - START).days
    customers, log = states(story, cut)
    same = cell.log(name).sort_values(["customer_id", "date"], ignore_index=True)
    if not (same["date"].equals(log["date"]) and np.allclose(same["amount"], log["amount"], atol=0.02)):
        sys.exit(f"The story of {log_name} is not the one that {Path(__file__).name} tells: simulate.py has changed.")
    rng = np.random.default_rng(0)
    _, truth = cell.split(name)
    columns = ["purchases", "spend", "p_return"]
    table = pd.DataFrame([means(story, customers[c], cut, days, rng) for c in truth.index], truth.index, columns)
    found = cell.metrics(truth, table)
    return {key: found[key] for key in (*LOSSES, "spend_gini", "return_auc", "purchases_bias", "spend_bias")}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("CLVML_RULER", HERE.parent.parent / "shared" / "bench")
    parser.add_argument("--ruler", type=Path, default=Path(default))
    cell = ruler(parser.parse_args().ruler)
    simulated = [name for name, (log, _, _) in cell.CELLS.items() if log.startswith("sim:")]
    found = {name: figures(cell, name) for name in simulated}
    (HERE / "ceiling.json").write_text(json.dumps(found, indent=1) + "\n")
    print(pd.DataFrame(found).T)


if __name__ == "__main__":
    main()
