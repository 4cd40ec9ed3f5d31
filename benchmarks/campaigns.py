"""Campaigns that learn, and allocation at size: what benchmarks/campaigns.md reports.

python benchmarks/campaigns.py loop [--runs 0 1 ...] [--truths NAME ...] [--keep FILE]    ten campaigns each
python benchmarks/campaigns.py belief [--runs 0 1 ...] [--truths NAME ...]    what campaigns with much chance teach
python benchmarks/campaigns.py allocation [CUSTOMERS]              three treatments
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t

from clvml.campaigns import Plan, Treatment, plan_audience, treatment_gains
from clvml.campaigns.allocation import allocate
from clvml.campaigns.learning.past import Delivered, campaign_rows
from clvml.campaigns.learning.promised import promised_and_delivered

CUSTOMERS, CAMPAIGNS = 20_000, 10
COST, BUDGET = 2.0, 10_000.0
STATES = np.array(["on rhythm", "late", "at risk", "lapsed"])


def truths(s: pd.DataFrame) -> dict[str, np.ndarray]:
    """Effect of the mail on each customer's contribution; the call does half of it for three times the cost."""
    value, late = s["value_if_kept"].to_numpy(), s["state"].isin(["late", "at risk"]).to_numpy()
    return {
        "constant": np.full(len(s), 4.0),
        "proportional to value": 0.05 * value,
        "only the late respond": np.where(late, 0.12 * value, 0.0),
        "none": np.zeros(len(s)),
        "only the good, annoys the rest": np.where(s["tier"] == "good", 0.08 * value, -1.0),
        "by churn": 12.0 * s["churn_probability"].to_numpy() ** 2,
        "lapsed alone": np.where(s["state"] == "lapsed", 10.0, 0.0),
    }


def base(rng: np.random.Generator) -> pd.DataFrame:
    """The scores of one campaign's customers."""
    churn, value = rng.beta(1.5, 2, CUSTOMERS), rng.gamma(1.2, 80, CUSTOMERS)
    tier = np.select([value > np.quantile(value, 0.8), value < np.quantile(value, 0.2)], ["good", "bad"], "middle")
    clv = value * (1 - churn)
    sd = np.sqrt(churn * (1 - churn)) * value + 0.5 * clv
    return pd.DataFrame(
        {
            "customer_id": np.arange(CUSTOMERS), "frequency": 1 + rng.poisson(2, CUSTOMERS),
            "days_since_last": rng.integers(1, 300, CUSTOMERS), "churn_probability": churn, "value_if_kept": value,
            "clv": clv, "clv_low": clv - 1.645 * sd, "clv_high": clv + 1.645 * sd, "expected_spend": 2 * clv,
            "expected_purchases": 2 * (1 - churn), "tier": tier, "state": STATES[rng.integers(0, 4, CUSTOMERS)],
            "horizon_days": 90,
        }
    )  # fmt: skip


def contribution(s: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """What each customer would bring without a campaign: nothing, or a skewed amount."""
    p = 1 - s["churn_probability"].to_numpy()
    return np.where(rng.random(len(s)) < p, s["value_if_kept"].to_numpy() * rng.gamma(2.0, 0.5, len(s)), 0.0)


def plan(k: int, run: int, explore: float, control: float, adapt: bool) -> Plan:
    return Plan(
        name=f"campaign {k}",
        salt=f"run {run}",
        treatments=(
            Treatment(name="mail", contact_cost=COST, save_rate=0.10),
            Treatment(name="call", contact_cost=3 * COST, save_rate=0.20),
        ),
        control_share=control,
        explore_share=explore,
        adapt_shares=adapt,
        holdout_share=0.0,
    )


def effects(name: str, s: pd.DataFrame) -> np.ndarray:
    mail = truths(s)[name]
    return np.column_stack([mail, 0.5 * mail])


def spent_on(believed: np.ndarray, name: str, s: pd.DataFrame) -> float:
    """Profit where the whole budget goes by these gains (customers, treatments), without control or exploration."""
    cost = np.tile([COST, 3 * COST], (len(s), 1))
    paying = np.where(believed > 0, believed, -np.inf)
    some = np.flatnonzero((believed > 0).any(axis=1))
    choice = allocate(paying[some], cost[some], BUDGET, np.full(2, np.inf), np.ones(len(some)), some * 1.0).choice
    chosen = some[choice >= 0], choice[choice >= 0]
    return float((effects(name, s) - cost)[chosen].sum())


def oracle(name: str, s: pd.DataFrame) -> float:
    """Profit of one who knows every effect and needs no control."""
    return spent_on(effects(name, s) - [COST, 3 * COST], name, s)


def by_value(name: str, s: pd.DataFrame, control: float = 0.0) -> float:
    """Profit of mailing the most valuable as far as the budget goes, a share of them left alone as control."""
    mails = BUDGET // COST
    first = np.argsort(-s["value_if_kept"].to_numpy(), kind="stable")[: int(mails / (1 - control))]
    return float(mails * (effects(name, s)[first, 0] - COST).mean())


def by_belief(name: str, s: pd.DataFrame, rules: Plan, past: pd.DataFrame | None) -> float:
    """Profit of the same belief if nothing were spent on learning more."""
    gains = treatment_gains(s, rules, past=past).pivot(index="customer_id", columns="treatment", values="gain")
    return spent_on(gains.loc[s["customer_id"], ["mail", "call"]].to_numpy(), name, s)


def one_run(
    name: str, run: int, explore: float, control: float, adapt: bool
) -> tuple[list[dict[str, float]], pd.DataFrame]:
    """Ten campaigns in a row, each planned from the outcomes of those before."""
    rng = np.random.default_rng(run)
    past: list[pd.DataFrame] = []
    found = []
    for k in range(CAMPAIGNS):
        s = base(rng).assign(as_of=f"20{11 + k}-06-30")
        rules, before = plan(k, run, explore, control, adapt), pd.concat(past) if past else None
        audience = plan_audience(s, rules, budget=BUDGET, past=before)
        table = audience.table.assign(customer_id=audience.table["customer_id"].astype(str))
        rows = audience.table["customer_id"].to_numpy()
        arm = np.where(table["group"] == "treat", np.where(table["treatment"] == "mail", 0, 1), -1)
        true = np.where(arm >= 0, effects(name, s)[rows, np.maximum(arm, 0)], 0.0)
        money = contribution(s, rng)[rows] + true
        profit = float(true.sum() - table["cost"].sum())
        delivered = Delivered(profit, profit, profit)
        past.append(campaign_rows(table, money > 0, money, end=f"20{11 + k}-09-28", delivered=delivered))
        told = audience.plan["totals"]
        found.append({
            "campaign": k + 1, "profit": profit, "oracle": oracle(name, s), "value": by_value(name, s),
            "value with control": by_value(name, s, float((table["group"] == "control").mean())),
            "belief": by_belief(name, s, rules, before) if k + 1 == CAMPAIGNS else np.nan,
            "promised": told["expected_gain"],
            "held": told["expected_gain_low"] <= profit <= told["expected_gain_high"],
        })  # fmt: skip
    return found, promised_and_delivered(pd.concat(past))


def loop(arguments: list[str]) -> None:
    """The profits of each run, then a line a truth; the campaigns are kept in a file if one is named, and those that it
    already holds are not run again.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--explore", type=float, default=0.40)
    parser.add_argument("--control", type=float, default=0.40)
    parser.add_argument("--fixed", action="store_true", help="the shares do not adapt")
    parser.add_argument("--runs", type=int, nargs="*", default=[0])
    parser.add_argument("--truths", nargs="*", default=[*truths(base(np.random.default_rng(0)))])
    parser.add_argument("--keep", type=Path, help="a CSV file, so that runs can be made in several goes")
    wanted = parser.parse_args(arguments)
    for name in wanted.truths:
        tables = []
        for run in wanted.runs:
            found = _kept(wanted.keep, name, run)
            if found is None:
                rows, _ = one_run(name, run, wanted.explore, wanted.control, not wanted.fixed)
                found = pd.DataFrame(rows).assign(truth=name, run=run)
                if wanted.keep:
                    found.to_csv(wanted.keep, mode="a", header=not wanted.keep.exists(), index=False)
            profits = " ".join(f"{profit:,.0f}" for profit in found["profit"])
            print(f"{name}, run {run}: profit {profits}", flush=True)
            tables.append(found)
        print(_line(name, pd.concat(tables)), flush=True)


def _kept(file: Path | None, name: str, run: int) -> pd.DataFrame | None:
    if file is None or not file.exists():
        return None
    rows = pd.read_csv(file).query("truth == @name and run == @run")
    return rows if len(rows) else None


def _line(name: str, table: pd.DataFrame) -> str:
    """A line of the table: all runs of one truth."""
    mean = table.groupby("campaign")[["profit", "oracle", "value", "belief"]].mean()
    last, tenth = mean.loc[CAMPAIGNS], table[table["campaign"] == CAMPAIGNS]
    figures = " | ".join(f"{mean['profit'][k]:,.0f}" for k in (1, 2, 3, 5, 10))
    known = _shares(tenth["profit"] / tenth["oracle"]) if last["oracle"] > 0 else "–"
    least = f"{(tenth['profit'] / tenth['oracle']).min():.0%}" if last["oracle"] > 0 else "–"
    alone = _shares(tenth["belief"] / tenth["oracle"]) if last["oracle"] > 0 else "–"
    value = _shares(tenth["profit"] / tenth["value"]) if last["value"] > 0 else "–"
    together = f"{table['profit'].sum() / table['oracle'].sum():.0%}" if last["oracle"] > 0 else "–"
    held = " ".join(f"{int(rows['held'].sum())}" for _, rows in table.groupby("run"))
    high = int((table["promised"] > table["profit"]).sum())
    return (
        f"| {name} | {figures} | {last['oracle']:,.0f} | {last['value']:,.0f} | {known} | {least} | {alone} | "
        f"{value} | {together} | {int(table['held'].sum())} of {len(table)} ({held}) | {high} of {len(table)} |"
    )


def _shares(of_runs: pd.Series) -> str:
    """Mean of the runs with its 95% interval."""
    if len(of_runs) < 2:
        return f"{of_runs.mean():.0%}"
    half = t.ppf(0.975, len(of_runs) - 1) * of_runs.std() / np.sqrt(len(of_runs))
    return f"{of_runs.mean():.0%} ± {100 * half:.0f}"


def designed(name: str, run: int, campaigns: int) -> pd.DataFrame:
    """Campaigns planned by hand: mail to the 4,400 of most value at risk, a call to the first 400 of them, 8% control;
    mail and call to 900 and 300 drawn from all others, half of them control.
    """
    rng, past = np.random.default_rng([run, 77]), []
    for k in range(campaigns):
        s = base(rng)
        order = np.argsort(-(s["churn_probability"] * s["value_if_kept"]).to_numpy())
        rest = rng.permutation(order[4400:])[:1200]
        rows = np.r_[order[:4400], rest]
        call = np.r_[np.arange(4400) < 400, np.arange(1200) >= 900]
        propensity = np.r_[np.full(4400, 0.92), np.full(1200, 0.5)]
        own = s.iloc[rows].reset_index(drop=True)
        treated = rng.random(len(own)) < propensity
        effect = effects(name, own)[np.arange(len(own)), call * 1]
        table = own.assign(
            customer_id=own["customer_id"].astype(str), campaign=f"campaign {k}", as_of=f"20{11 + k}-06-30",
            planned_treatment=np.where(call, "call", "mail"), group=np.where(treated, "treat", "control"),
            propensity=propensity, expected_gain=0.0, clv_sd=(own["clv_high"] - own["clv_low"]) / 3.29,
        )  # fmt: skip
        money = contribution(own, rng) + np.where(treated, effect, 0.0)
        past.append(campaign_rows(table, money > 0, money, end=f"20{11 + k}-09-28", delivered=Delivered()))
    return pd.concat(past)


def belief(arguments: list[str]) -> None:
    """A line a truth: share of all known that a plan makes by what two and nine such campaigns teach."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, nargs="*", default=[0])
    parser.add_argument("--truths", nargs="*", default=[*truths(base(np.random.default_rng(0)))])
    wanted = parser.parse_args(arguments)
    s = base(np.random.default_rng(999)).assign(as_of="2030-06-30")
    for name in wanted.truths:
        shares: dict[int, list[float]] = {2: [], 9: []}
        for run in wanted.runs:
            past = designed(name, run, 9)
            for k, found in shares.items():
                known = past[past["campaign"].isin([f"campaign {j}" for j in range(k)])]
                found.append(by_belief(name, s, plan(k, run, 0.0, 0.1, False), known) / oracle(name, s))
        cells = " | ".join(" ".join(f"{share:.0%}" for share in found) for found in shares.values())
        print(f"| {name} | {cells} |", flush=True)


def allocation(arguments: list[str]) -> None:
    n, rng = int(arguments[0]) if arguments else 1_000_000, np.random.default_rng(0)
    cost = np.round(rng.gamma(2, 5, (n, 3)) * 1e4)
    gain, tie, one = cost / 1e4 * rng.gamma(2, 1, (n, 3)), rng.random(n), np.ones(n)
    plenty, little = cost.mean() * n * 0.2, cost.mean() * 100
    everybody, some, few = (np.inf, np.inf, np.inf), (0.06 * n, np.inf, 0.02 * n), (3.0, np.inf, 50.0)
    for capacity, budget in ((everybody, plenty), (some, plenty), (few, plenty), (few, little)):
        start, worked = time.perf_counter(), time.process_time()
        found = allocate(gain, cost, float(budget), np.array(capacity), one, tie)
        seconds, worked = time.perf_counter() - start, time.process_time() - worked
        peak, gap = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 1 - found.gain / found.bound
        print(f"capacities {capacity}, {budget / cost.mean():,.0f} mean costs: {seconds:.1f} s ({worked:.1f} s of CPU)")
        print(f"    peak {peak:.2f} GB, gap {gap:.6%}")


if __name__ == "__main__":
    {"loop": loop, "belief": belief, "allocation": allocation}[sys.argv[1]](sys.argv[2:])
