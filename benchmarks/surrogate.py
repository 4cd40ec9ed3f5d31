"""Twelve months ahead from four weeks: how often is `measure_surrogate` right, and does it refuse where it must?

    python benchmarks/surrogate.py --campaigns 40

A shop of Pareto/NBD customers is simulated, one model trained on it before any effect. Two campaigns of the same kind,
a year apart, on different customers, half of them control: the first is finished and its year known, the second is read
four weeks after it began. What the treated order more, or at another time, is known. Written to standard output as the
table of benchmarks/outcome.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml import ClvModel, Transactions, measure_surrogate
from clvml.campaigns.learning.past import Delivered, campaign_rows

Array = npt.NDArray[np.float64]
START = np.datetime64("2021-01-01")
RATE, LEAVE = (0.9, 60.0), (0.7, 250.0)
"""Shape and rate, in days, of the gamma distributions of the rates of ordering and of leaving."""
FIRST, SECOND, YEAR, READ = 420, 785, 365, 28
"""Days on which the two campaigns begin, how far ahead one looks, and after how many days."""


class Shop(NamedTuple):
    """Customers with what nobody sees, and their orders without any campaign."""

    born: Array
    rate: Array  # orders a day while a customer
    leave: Array  # rate of leaving, a day
    gone: Array  # day of leaving
    level: Array  # usual amount
    who: npt.NDArray[np.intp]
    day: Array
    amount: Array


def shop(customers: int, rng: np.random.Generator) -> Shop:
    """Pareto/NBD orders with lognormal amounts; all customers begin in the first year."""
    born = np.floor(rng.uniform(0, 365, customers))
    rate, leave = (rng.gamma(shape, 1 / scale, customers) for shape, scale in (RATE, LEAVE))
    gone, level = born + rng.exponential(1 / np.maximum(leave, 1e-12)), rng.lognormal(3.3, 0.5, customers)
    who, day = orders_between(rate, born, np.minimum(gone, SECOND + YEAR), np.arange(customers), rng)
    who, day = np.r_[np.arange(customers), who], np.r_[born, np.ceil(day)]
    return Shop(born, rate, leave, gone, level, who, day, level[who] * rng.lognormal(0, 0.5, len(who)))


def orders_between(
    rate: Array, first: Array, last: Array, who: npt.NDArray[np.intp], rng: np.random.Generator
) -> tuple[npt.NDArray[np.intp], Array]:
    """Orders at the customers' rates between two times of their own."""
    length = np.maximum(last - first, 0)
    count = rng.poisson(rate * length)
    rows = np.repeat(np.arange(len(rate)), count)
    return who[rows], first[rows] + rng.random(len(rows)) * length[rows]


class Change(NamedTuple):
    """What a treatment does to the orders: some appear, some move to another day."""

    who: npt.NDArray[np.intp]
    day: Array
    moved: npt.NDArray[np.intp]  # places of orders of the shop
    to: Array


NOTHING = Change(np.empty(0, np.intp), np.empty(0), np.empty(0, np.intp), np.empty(0))


def none(s: Shop, treated: npt.NDArray[np.intp], start: int, rng: np.random.Generator) -> Change:
    return NOTHING


def as_the_history_says(s: Shop, treated: npt.NDArray[np.intp], start: int, rng: np.random.Generator) -> Change:
    """A quarter of those who had left come back, and from then on are as any customer with the history they now have:
    their rates are drawn anew from what Pareto/NBD knows of it.
    """
    back = treated[(s.gone[treated] < start) & (rng.random(len(treated)) < 0.25)]
    first = start + 1 + rng.random(len(back)) * (READ - 1)
    bought = np.bincount(s.who[s.day <= start], minlength=len(s.rate))[back]  # the first of them is no repeat purchase
    age = first - s.born[back]
    rate, leave = rng.gamma(RATE[0] + bought, 1 / (RATE[1] + age)), rng.gamma(LEAVE[0], 1 / (LEAVE[1] + age))
    until = np.minimum(first + rng.exponential(1 / np.maximum(leave, 1e-12)), start + YEAR)
    who, day = orders_between(rate, first, until, back, rng)
    return NOTHING._replace(who=np.r_[back, who], day=np.r_[first, day])


def won_back(s: Shop, treated: npt.NDArray[np.intp], start: int, rng: np.random.Generator) -> Change:
    """A quarter of those who had left come back, and order as they once did: more than their history says."""
    back = treated[(s.gone[treated] < start) & (rng.random(len(treated)) < 0.25)]
    first = start + 1 + rng.random(len(back)) * (READ - 1)
    until = np.minimum(first + rng.exponential(1 / np.maximum(s.leave[back], 1e-12)), start + YEAR)
    who, day = orders_between(s.rate[back], first, until, back, rng)
    return NOTHING._replace(who=np.r_[back, who], day=np.r_[first, day])


def bought_once(s: Shop, treated: npt.NDArray[np.intp], start: int, rng: np.random.Generator) -> Change:
    """An eighth place one order more, and change in nothing else."""
    more = treated[rng.random(len(treated)) < 0.125]
    return NOTHING._replace(who=more, day=start + 1 + rng.random(len(more)) * (READ - 1))


def pulled_forward(s: Shop, treated: npt.NDArray[np.intp], start: int, rng: np.random.Generator) -> Change:
    """Half of those who would have ordered next in weeks 5 to 26 do so in the first four weeks."""
    inside = np.flatnonzero((s.day > start) & np.isin(s.who, treated))
    order = inside[np.lexsort((s.day[inside], s.who[inside]))]
    following = order[np.unique(s.who[order], return_index=True)[1]]
    late = following[(s.day[following] > start + READ) & (s.day[following] <= start + 182)]
    moved = late[rng.random(len(late)) < 0.5]
    return NOTHING._replace(moved=moved, to=start + 1 + rng.random(len(moved)) * (READ - 1))


def late(s: Shop, treated: npt.NDArray[np.intp], start: int, rng: np.random.Generator) -> Change:
    """From the seventh week on the treated order half as often again, as a club would make them."""
    first, last = np.full(len(treated), start + 42.0), np.minimum(s.gone[treated], start + YEAR)
    who, day = orders_between(0.5 * s.rate[treated], first, last, treated, rng)
    return NOTHING._replace(who=who, day=day)


TRUTHS: dict[str, Callable[[Shop, npt.NDArray[np.intp], int, np.random.Generator], Change]] = {
    "none": none,
    "as the history says": as_the_history_says,
    "won back": won_back,
    "bought once": bought_once,
    "pulled forward": pulled_forward,
    "late": late,
}


def log_of(who: npt.NDArray[np.intp], day: Array, amount: Array, until: int) -> pd.DataFrame:
    """Orders until a day."""
    known = np.ceil(day) <= until
    dates = START + np.ceil(day[known]).astype("timedelta64[D]")
    return pd.DataFrame({"customer_id": who[known], "date": dates, "amount": np.round(amount[known], 2)})


def day_of(number: int) -> str:
    return str(START + np.timedelta64(number, "D"))


class World(NamedTuple):
    """The orders that came, and the true effect on each treated customer of the second campaign within its year."""

    who: npt.NDArray[np.intp]
    day: Array
    amount: Array
    effect: float


def world(s: Shop, truth: str, treated: dict[int, npt.NDArray[np.intp]], rng: np.random.Generator) -> World:
    who, day, amount, effect = s.who, s.day.copy(), s.amount, 0.0
    for start, own in treated.items():
        change = TRUTHS[truth](s, own, start, rng)
        more = s.level[change.who] * rng.lognormal(0, 0.5, len(change.who))
        effect = float(more[change.day <= start + YEAR].sum()) / len(own)  # what was moved stays within the year
        day[change.moved] = change.to
        who, day, amount = np.r_[who, change.who], np.r_[day, change.day], np.r_[amount, more]
    return World(who, day, amount, effect)


def audience(ids: npt.NDArray[np.intp], treated: npt.NDArray[np.intp], start: int, name: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": ids, "group": np.where(np.isin(ids, treated), "treat", "control"), "campaign": name,
            "planned_treatment": "mail", "as_of": day_of(start), "horizon_days": 90, "control_share": 0.5,
            "propensity": 0.5, "churn_probability": 0.5, "value_if_kept": 1.0, "clv": 1.0, "tier": "middle",
            "state": "late", "expected_gain": 0.0,
        }
    )  # fmt: skip


def campaign(s: Shop, model: ClvModel, truth: str, seed: int) -> list[dict[str, float | str | bool]]:
    """One pair of campaigns, read three ways: at four weeks, at sixteen, and at four with the one before it."""
    rng = np.random.default_rng([seed, [*TRUTHS].index(truth)])
    ids = rng.permutation(len(s.rate))
    half = len(ids) // 2
    groups = {FIRST: np.sort(ids[:half]), SECOND: np.sort(ids[half:])}
    treated = {start: np.sort(rng.permutation(own)[: half // 2]) for start, own in groups.items()}
    w = world(s, truth, treated, rng)
    table = audience(groups[SECOND], treated[SECOND], SECOND, "this")
    old = audience(groups[FIRST], treated[FIRST], FIRST, "before")
    old = old.assign(customer_id=old["customer_id"].astype(str))
    past = campaign_rows(old, np.zeros(half), np.zeros(half), end=day_of(FIRST + 90), delivered=Delivered())
    found = []
    for name, weeks, before in (("4 weeks", 4, None), ("16 weeks", 16, None), ("4 weeks, one before", 4, past)):
        log = Transactions(log_of(w.who, w.day, w.amount, SECOND + 7 * weeks))
        read = day_of(SECOND + 7 * weeks)
        result = measure_surrogate(table, log, model, ahead=YEAR, end=min(read, str(log.last_date)), past=before)
        found.append(
            {
                "read": name, "truth": w.effect, "status": result.status, "effect": result.effect,
                "so far": result.so_far.effect, "held": result.low <= w.effect <= result.high,
                "width": result.high - result.low,
            }
        )  # fmt: skip
    return found


def line(truth: str, read: str, rows: pd.DataFrame) -> str:
    given = rows[rows["status"] != "contradicted"]
    share = {status: 100 * (rows["status"] == status).mean() for status in ("contradicted", "confirmed", "open")}
    figures = f"{given['effect'].mean():.2f} | {100 * given['held'].mean():.0f}%" if len(given) else "– | –"
    return (
        f"| {truth} | {read} | {rows['truth'].mean():.2f} | {rows['so far'].mean():.2f} | "
        f"{share['contradicted']:.0f}% | {share['confirmed']:.0f}% | {share['open']:.0f}% | {figures} |"
    )


def main() -> None:
    """Print a line for each truth and way of reading. Pairs are made of each truth in turn, and kept in a file
    if one is named, so that they can be made in several goes.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--campaigns", type=int, default=40)
    parser.add_argument("--customers", type=int, default=16_000)
    parser.add_argument("--truths", nargs="*", default=[*TRUTHS])
    parser.add_argument("--keep", type=Path, help="a CSV file; the pairs that it holds are not made again")
    wanted = parser.parse_args()
    kept = pd.read_csv(wanted.keep) if wanted.keep and wanted.keep.exists() else pd.DataFrame(columns=["name", "seed"])
    tables, known = [kept], set(zip(kept["name"], kept["seed"], strict=True))
    pairs = [(seed, name) for seed in range(wanted.campaigns) for name in wanted.truths if (name, seed) not in known]
    if pairs:
        s = shop(wanted.customers, np.random.default_rng(0))
        model = ClvModel(horizon=YEAR).fit(Transactions(log_of(s.who, s.day, s.amount, SECOND)), day_of(SECOND))
    for seed, name in pairs:
        rows = pd.DataFrame(campaign(s, model, name, seed)).assign(name=name, seed=seed)
        if wanted.keep:
            rows.to_csv(wanted.keep, mode="a", header=not wanted.keep.exists(), index=False)
        tables.append(rows)
    found = pd.concat([table for table in tables if len(table)])
    for name in wanted.truths:
        for read, own in found[found["name"] == name].groupby("read", sort=False):
            print(line(name, str(read), own), flush=True)


if __name__ == "__main__":
    main()
