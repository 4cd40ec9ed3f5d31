"""Campaigns that learn, and allocation at size: what benchmarks/campaigns.md reports.

python benchmarks/campaigns.py loop EXPLORE CONTROL [TRUTH ...]    ten campaigns against four truths, or those named
python benchmarks/campaigns.py allocation [CUSTOMERS]              three treatments
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np
import pandas as pd

from clvml.campaigns import Plan, Treatment, plan_audience
from clvml.campaigns.allocation import allocate
from clvml.campaigns.learning.past import Delivered, campaign_rows, promised_and_delivered

CUSTOMERS, CAMPAIGNS, RUNS = 20_000, 10, 1
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


def plan(k: int, run: int, explore: float, control: float) -> Plan:
    return Plan(
        name=f"campaign {k}",
        salt=f"run {run}",
        treatments=(
            Treatment(name="mail", contact_cost=COST, save_rate=0.10),
            Treatment(name="call", contact_cost=3 * COST, save_rate=0.20),
        ),
        control_share=control,
        explore_share=explore,
        holdout_share=0.0,
        confidence=0.0,
    )


def effects(name: str, s: pd.DataFrame) -> np.ndarray:
    mail = truths(s)[name]
    return np.column_stack([mail, 0.5 * mail])


def oracle(name: str, s: pd.DataFrame) -> float:
    """Profit of one who knows every effect and needs no control."""
    gain = effects(name, s) - [COST, 3 * COST]
    cost = np.tile([COST, 3 * COST], (len(s), 1))
    gain = np.where(gain > 0, gain, -np.inf)
    return allocate(gain, cost, BUDGET, np.full(2, np.inf), np.ones(len(s)), np.arange(len(s)) * 1.0).gain


def by_value(name: str, s: pd.DataFrame) -> float:
    """Profit of mailing the most valuable as far as the budget goes."""
    first = np.argsort(-s["value_if_kept"].to_numpy(), kind="stable")[: int(BUDGET // COST)]
    return float((effects(name, s)[first, 0] - COST).sum())


def one_run(name: str, run: int, explore: float, control: float) -> tuple[list[dict[str, float]], pd.DataFrame]:
    """Ten campaigns in a row, each planned from the outcomes of those before."""
    rng = np.random.default_rng(run)
    past: list[pd.DataFrame] = []
    found = []
    for k in range(CAMPAIGNS):
        s = base(rng).assign(as_of=f"20{11 + k}-06-30")
        audience = plan_audience(
            s, plan(k, run, explore, control), budget=BUDGET, past=pd.concat(past) if past else None
        )
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
            "promised": told["expected_gain"],
            "held": told["expected_gain_low"] <= profit <= told["expected_gain_high"],
        })  # fmt: skip
    return found, promised_and_delivered(pd.concat(past))


def loop(arguments: list[str]) -> None:
    explore, control = (float(share) for share in arguments[:2])
    for name in arguments[2:] or truths(base(np.random.default_rng(0))):
        rows = [row for run in range(RUNS) for row in one_run(name, run, explore, control)[0]]
        table = pd.DataFrame(rows)
        print(f"\n{name}: mean profit over {RUNS} runs")
        print(
            table.groupby("campaign")[["profit", "oracle", "value", "promised", "held"]].mean().round(2).to_string(),
            flush=True,
        )


def allocation(arguments: list[str]) -> None:
    n, rng = int(arguments[0]) if arguments else 1_000_000, np.random.default_rng(0)
    cost = np.round(rng.gamma(2, 5, (n, 3)) * 1e4)
    gain, tie, one = cost / 1e4 * rng.gamma(2, 1, (n, 3)), rng.random(n), np.ones(n)
    budget = float(cost.mean() * n * 0.2)
    for capacity in ((np.inf, np.inf, np.inf), (0.06 * n, np.inf, 0.02 * n)):
        start, worked = time.perf_counter(), time.process_time()
        found = allocate(gain, cost, budget, np.array(capacity), one, tie)
        seconds, worked = time.perf_counter() - start, time.process_time() - worked
        peak, gap = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 1 - found.gain / found.bound
        print(f"capacities {capacity}: {seconds:.1f} s ({worked:.1f} s of CPU), peak {peak:.2f} GB, gap {gap:.6%}")


if __name__ == "__main__":
    {"loop": loop, "allocation": allocation}[sys.argv[1]](sys.argv[2:])
