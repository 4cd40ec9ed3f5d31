"""How much of the best possible profit does targeting by `study_uplift` reach? Experiments with both outcomes known.

    python benchmarks/uplift.py --customers 10000 --draws 1
    python benchmarks/uplift.py --hillstrom customers.parquet --draws 4
    python benchmarks/uplift.py --artea experiment.parquet --draws 20
    python benchmarks/uplift.py --promises --customers 500 --draws 12

Each experiment has two arms drawn by a coin. The rule learned (treat where the predicted effect exceeds the cost) is
applied to 20,000 other customers whose true effect is known. The ceiling treats exactly those whose true effect exceeds
the cost. Costs: none, half of the true average effect, and all of it (where treating everybody gains nothing).
Beside it: a plain S-learner (scikit-learn's HistGradientBoostingRegressor as it comes, the treatment as a feature), all
treated where the measured average exceeds the cost, and by value (the average effect in proportion to the outcome that
a ridge expects without treatment).

With --hillstrom: MineThatData's e-mail experiment of 64,000 customers (Hillstrom 2008) as a Parquet file; learned on
10,000 of them, judged by the inverse-probability weighted visits of the others.

With --artea: a retailer's coupon of 20% off, sent to half of 5,000 customers (Ascarza's teaching case Artea) as a
Parquet file. The whole chain: `study_uplift` on one half of them, `plan_audience` for the other, promised beside
delivered.

With --promises: the same chain on simulated experiments, where what is delivered is known: the true effect of those
whom the plan treats.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import cross_val_predict

from clvml import Experiment, MeasuredEffect, Plan, Treatment, plan_audience, study_uplift

Array = npt.NDArray[np.float64]
TRUTHS = ("linear", "step", "curved", "value", "money")
COSTS = (0.0, 0.5, 1.0)


def customers(truth: str, n: int, rng: np.random.Generator) -> tuple[Array, Array, Array, Array]:
    """Features, outcome without and with treatment, and the true expected effect."""
    x = rng.normal(size=(n, 8))
    x[:, 6], x[:, 7] = rng.integers(0, 2, n), rng.integers(0, 4, n)
    if truth == "money":  # who buys, and for how much: zeros and a lognormal tail
        logit = -1 + 0.8 * x[:, 0] + 0.3 * x[:, 1]
        p0, p1 = 1 / (1 + np.exp(-logit)), 1 / (1 + np.exp(-(logit + 0.5 * x[:, 3] + 0.25)))
        ticket, luck = np.exp(1 + 0.5 * x[:, 2]), np.exp(rng.normal(-0.32, 0.8, n))
        u = rng.random(n)
        return x, (u < p0) * ticket * luck, (u < p1) * ticket * luck, (p1 - p0) * ticket
    base = 2 + x[:, 0] + 0.5 * x[:, 1] ** 2 + 0.5 * x[:, 2] * x[:, 6]
    effect = {
        "linear": 0.5 + 0.6 * x[:, 0] - 0.4 * x[:, 3],
        "step": np.where((x[:, 0] > 0) & (x[:, 3] > -0.5), 1.2, -0.3),
        "curved": 0.3 + 0.8 * np.sin(1.5 * x[:, 1]) + 0.4 * x[:, 6],
        "value": 0.25 * np.maximum(base, 0) - 0.2,
    }[truth]
    noise = 2 * rng.normal(size=n)
    return x, base + noise, base + effect + noise, effect


class Draw(NamedTuple):
    """An experiment to learn from, and other customers to treat by what was learned."""

    data: pd.DataFrame  # features, arm, y
    others: pd.DataFrame  # features


def simulated(truth: str, n: int, seed: int) -> tuple[Draw, Array]:
    """An experiment by a coin, and the true effects on 20,000 other customers."""
    rng = np.random.default_rng([seed, 5])
    x, y0, y1, _ = customers(truth, n, rng)
    treated = rng.random(n) < 0.5
    names = [f"x{i}" for i in range(x.shape[1])]
    data = pd.DataFrame(x, columns=names).assign(arm=np.where(treated, "treat", "none"), y=np.where(treated, y1, y0))
    x, _, _, effect = customers(truth, 20_000, rng)
    return Draw(data, pd.DataFrame(x, columns=names)), effect


def by_study(draw: Draw) -> Array:
    """What `study_uplift` expects of treating each of the others."""
    features = [*draw.others]
    experiment = Experiment.from_frame(draw.data, treatment="arm", control="none", outcomes=["y"], features=features)
    return study_uplift(experiment, "y").predict(draw.others)["treat"].to_numpy()


def by_s_learner(draw: Draw) -> Array:
    """One plain booster with the treatment as a feature."""
    treated = (draw.data["arm"] == "treat").to_numpy(np.float64)
    own, others = matrices(draw)
    model = HistGradientBoostingRegressor(random_state=0).fit(np.column_stack([own, treated]), draw.data["y"])
    ones = np.ones(len(others))
    return model.predict(np.column_stack([others, ones])) - model.predict(np.column_stack([others, 0 * ones]))


def average(draw: Draw) -> Array:
    """The same for everybody: the measured difference in means."""
    means = draw.data.groupby("arm")["y"].mean()
    return np.full(len(draw.others), means["treat"] - means["none"])


def by_value(draw: Draw) -> Array:
    """The average effect in proportion to the outcome expected without treatment."""
    control = (draw.data["arm"] == "none").to_numpy()
    own, others = matrices(draw)
    value = np.maximum(RidgeCV(np.logspace(-1, 5, 13)).fit(own[control], draw.data["y"][control]).predict(others), 0.0)
    return average(draw) * value / value.mean()


def matrices(draw: Draw) -> tuple[Array, Array]:
    """Features of both, words one-hot, scaled."""
    together = pd.get_dummies(pd.concat([draw.data[[*draw.others]], draw.others])).to_numpy(np.float64)
    scaled = (together - together.mean(axis=0)) / np.maximum(together.std(axis=0), 1e-12)
    return scaled[: len(draw.data)], scaled[len(draw.data) :]


RULES = {"study_uplift": by_study, "S-learner": by_s_learner, "average": average, "by value": by_value}


def reached(predicted: Array, effect: Array) -> list[float]:
    """Share of the ceiling at each cost."""
    shares = []
    for cost in COSTS:
        gain = effect - cost * effect.mean()
        shares.append(float(((predicted > cost * effect.mean()) * gain).mean() / np.maximum(gain, 0).mean()))
    return shares


def simulations(n: int, draws: int) -> None:
    """A line a truth: the shares by each rule, and how many experiments reach less than 5% of the ceiling at cost 0."""
    found: dict[str, list[Array]] = {rule: [] for rule in RULES}
    for truth in TRUTHS:
        drawn = [simulated(truth, n, seed) for seed in range(draws)]
        nothing = 0
        for rule, learn in RULES.items():
            shares = np.array([reached(learn(draw), effect) for draw, effect in drawn])
            found[rule].append(shares.mean(axis=0))
            nothing += int((shares[:, 0] < 0.05).sum()) if rule == "study_uplift" else 0
        cells = " | ".join(_cell(shares[-1]) for shares in found.values())
        print(f"| {truth} | {cells} | {nothing} of {draws} |", flush=True)
    print("| mean | " + " | ".join(_cell(np.mean(shares, axis=0)) for shares in found.values()) + " | |")


def _cell(shares: Array) -> str:
    return " / ".join(f"{100 * share:.1f}" for share in shares)


def hillstrom(path: str, n: int, draws: int) -> None:
    """A line a cost: visits per 1,000 customers more than without any mail, less the cost, by each rule."""
    table = pd.read_parquet(path)
    features = ["recency", "history", "mens", "womens", "zip_code", "newbie", "channel"]
    data = table[features].assign(
        arm=np.where(table["segment"].str.startswith("No"), "none", "treat"), y=table["visit"].astype(float)
    )
    share = float((data["arm"] == "treat").mean())
    gains: dict[str, list[list[float]]] = {rule: [] for rule in RULES}
    for seed in range(draws):
        order = np.random.default_rng([seed, 6]).permutation(len(data))
        own, others = (data.iloc[rows].reset_index(drop=True) for rows in (order[:n], order[n:]))
        draw = Draw(own, others[features])
        sign = np.where(others["arm"] == "treat", 1 / share, -1 / (1 - share))
        each = sign * others["y"].to_numpy()
        for rule, learn in RULES.items():
            predicted = learn(draw)
            gains[rule].append(
                [float(((predicted > c * each.mean()) * (each - c * each.mean())).mean()) for c in COSTS]
            )
    for k, cost in enumerate(COSTS):
        cells = " | ".join(f"{1000 * np.mean([g[k] for g in found]):.1f}" for found in gains.values())
        print(f"| {cost:g} | {cells} |", flush=True)


MARGINS = (0.5, 0.7, 1.0)
COUPON = 0.2
ABOUT_THEM = [
    "channel_acq", "num_past_purch", "spent_last_purchase", "weeks_since_visit", "browsing_minutes", "shopping_cart"
]  # fmt: skip


def artea(path: str, draws: int) -> None:
    """A line a margin: money per 1,000 customers of the half that was not learned from, means of the draws."""
    table = pd.read_parquet(path)
    print("| margin | treated | promised | 90% interval | delivered | held | all | by value | all or none |")
    for margin in MARGINS:
        found = pd.DataFrame([artea_chain(table, margin, seed) for seed in range(draws)])
        mean, error = found.mean(), found.std() / np.sqrt(draws)
        print(
            f"| {margin:.0%} | {mean['treated']:.0%} | {mean['promised']:,.0f} | {mean['low']:,.0f} to "
            f"{mean['high']:,.0f} | {mean['delivered']:,.0f} ± {error['delivered']:,.0f} | "
            f"{int(found['held'].sum())} of {draws} | {mean['all']:,.0f} | {mean['value']:,.0f} | "
            f"{mean['uniform']:,.0f} |",
            flush=True,
        )


def artea_chain(table: pd.DataFrame, margin: float, seed: int) -> dict[str, float]:
    """From one half as the experiment to a plan for the other, and what that delivers there, per 1,000 customers."""
    experiment = Experiment.from_frame(
        table, treatment="test_coupon", control="control", outcomes=["trans_after", "revenue_after"],
        features=ABOUT_THEM, customer="customer_id",
    ).with_profit("revenue_after", margin=margin, discount={"coupon": COUPON})  # fmt: skip
    data = table[["customer_id", *ABOUT_THEM]].assign(
        arm=table["test_coupon"], y=experiment.outcome("profit"), bought=table["trans_after"] > 0
    )
    order = np.random.default_rng([seed, 8]).permutation(len(data))
    own, others = (data.iloc[rows].reset_index(drop=True) for rows in np.array_split(order, 2))
    past = Experiment.from_frame(own, treatment="arm", control="control", outcomes=["y"], features=ABOUT_THEM)
    effect = MeasuredEffect(study_uplift(past, "y"), "coupon")
    scores = artea_scores(own, others)
    plan = Plan(
        name="next",
        treatments=(Treatment(name="coupon", extra_contribution=0.0),),
        control_share=0.0,
        holdout_share=0.0,
    )
    audience = plan_audience(scores, plan, measured={"coupon": effect})
    chosen = others["customer_id"].astype(str).isin(audience.table["customer_id"].astype(str)).to_numpy()
    first = np.argsort(-scores["clv"].to_numpy(), kind="stable")[: chosen.sum()]
    each, totals, per = gain_of_each(others), audience.plan["totals"], 1000 / len(others)
    uniform = each.mean() if (own["y"] * np.where(own["arm"] == "coupon", 1, -1)).mean() > 0 else 0.0
    low, high, error = totals["expected_gain_low"], totals["expected_gain_high"], np.sqrt((each[chosen] ** 2).sum())
    promised, delivered = totals["expected_gain"], float(each[chosen].sum())
    # Delivered is an estimate: the promise is held against it with the errors of both.
    half = np.hypot(high - low, 2 * 1.645 * error) / 2
    return {
        "treated": float(chosen.mean()), "promised": per * promised, "low": per * low, "high": per * high,
        "delivered": per * delivered, "held": float(abs(delivered - promised) <= half),
        "all": 1000 * float(each.mean()), "value": per * float(each[first].sum()), "uniform": 1000 * float(uniform),
    }  # fmt: skip


def artea_scores(own: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Scores of the others: chance to buy and contribution without a coupon, by the control group of one half."""
    left, right = matrices(Draw(own, others[ABOUT_THEM]))
    control = (own["arm"] == "control").to_numpy()
    chance = LogisticRegression().fit(left[control], own["bought"][control]).predict_proba(right)[:, 1]
    model = RidgeCV(np.logspace(-1, 5, 13)).fit(left[control], own["y"][control])
    clv = np.maximum(model.predict(right), 0.01)
    return others.assign(
        frequency=np.maximum(others["num_past_purch"] - 1, 0), days_since_last=7 * others["weeks_since_visit"],
        churn_probability=1 - chance, value_if_kept=clv / chance, clv=clv, expected_spend=clv,
        expected_purchases=chance, tier="middle", state="on rhythm", as_of="2020-01-01", horizon_days=30,
    )  # fmt: skip


def gain_of_each(others: pd.DataFrame) -> Array:
    """Doubly robust score of each customer's gain: unbiased, row by row (Robins, Rotnitzky & Zhao 1994)."""
    treated = (others["arm"] == "coupon").to_numpy()
    x, y = matrices(Draw(others, others[ABOUT_THEM]))[0], others["y"].to_numpy()
    expected = np.zeros((2, len(y)))
    for arm in (0, 1):
        rows = treated == arm
        expected[arm, rows] = cross_val_predict(RidgeCV(np.logspace(-1, 5, 13)), x[rows], y[rows], cv=5)
        expected[arm, ~rows] = RidgeCV(np.logspace(-1, 5, 13)).fit(x[rows], y[rows]).predict(x[~rows])
    chance = treated.mean()
    own = np.where(treated, expected[1], expected[0])
    return expected[1] - expected[0] + (y - own) * np.where(treated, 1 / chance, -1 / (1 - chance))


PROMISED_TRUTHS = ("nothing", "all alike", "by part", "by taste", "sure buyers lose")
CONTACT_COSTS = (0.0, 0.1)


def shoppers(truth: str, n: int, rng: np.random.Generator) -> tuple[pd.DataFrame, Array, Array, Array, Array]:
    """Features, contribution without and with treatment, its true effect, and what is expected without treatment."""
    x = rng.normal(size=(n, 6))
    logit = -0.7 + 0.9 * x[:, 0] + 0.3 * x[:, 1]
    buys, ticket = 1 / (1 + np.exp(-logit)), 0.6 * np.exp(1.2 + 0.5 * x[:, 2])
    part = (x[:, 3] > 0) & (x[:, 4] > -0.5)
    treated, keep, gift = {
        "nothing": (buys, 1.0, 0.0),
        "all alike": (buys, 1.0, 0.2),
        "by part": (np.where(part, 1 / (1 + np.exp(-logit - 1.2)), buys), 1.0, -0.1),
        "by taste": (1 / (1 + np.exp(-logit - 0.25 - 0.5 * x[:, 3])), 1.0, -0.1),
        "sure buyers lose": (buys + 0.2 * (1 - buys), 2 / 3, 0.0),  # a discount of 20 of a margin of 60 in the hundred
    }[truth]
    luck, u = np.exp(rng.normal(-0.32, 0.8, n)), rng.random(n)
    without, with_it = (u < buys) * ticket * luck, keep * (u < treated) * ticket * luck + gift
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(6)])
    return frame, without, with_it, (keep * treated - buys) * ticket + gift, np.column_stack([buys, ticket])


def promises(n: int, draws: int) -> None:
    """A line a truth: money per 1,000 customers that a plan from an experiment of n promises and delivers."""
    print("| truth | treated | promised | delivered | promised more by | best | held |")
    tables = []
    for truth in PROMISED_TRUTHS:
        found = pd.concat([promised_plans(truth, n, seed) for seed in range(draws)])
        tables.append(found)
        print(_promise_line(truth, found), flush=True)
    print(_promise_line("all", pd.concat(tables)), flush=True)


def promised_plans(truth: str, n: int, seed: int) -> pd.DataFrame:
    """An experiment, and for each contact cost what a plan from it promises of 2,000 others, and what comes."""
    rng = np.random.default_rng([seed, PROMISED_TRUTHS.index(truth), 9])
    own, without, with_it, _, _ = shoppers(truth, n, rng)
    treated = rng.random(n) < 0.5
    data = own.assign(arm=np.where(treated, "treat", "none"), y=np.where(treated, with_it, without))
    features = [*own]
    past = Experiment.from_frame(
        data, treatment="arm", control="none", outcomes=["y"], features=features, allow_observational=True
    )  # of so many draws some would be refused as no draw
    effect = MeasuredEffect(study_uplift(past, "y", bases=["ridge"]), "treat")
    others, _, _, true, known = shoppers(truth, 2_000, rng)
    buys, ticket = known.T
    scores = others.assign(
        customer_id=np.arange(len(others)), frequency=1, days_since_last=30, churn_probability=1 - buys,
        value_if_kept=ticket, clv=buys * ticket, expected_spend=buys * ticket, expected_purchases=buys, tier="middle",
        state="on rhythm", as_of="2020-01-01", horizon_days=30,
    )  # fmt: skip
    rows = []
    for cost in CONTACT_COSTS:
        treatment = Treatment(name="treat", contact_cost=cost, extra_contribution=0.0)
        plan = Plan(name="next", treatments=(treatment,), control_share=0.0, holdout_share=0.0)
        audience = plan_audience(scores, plan, measured={"treat": effect})
        totals, chosen, per = audience.plan["totals"], audience.table["customer_id"].to_numpy(int), 1000 / len(others)
        delivered = float((true - cost)[chosen].sum())
        rows.append({
            "treated": len(chosen) / len(others), "promised": per * totals["expected_gain"],
            "delivered": per * delivered, "best": per * float(np.maximum(true - cost, 0).sum()),
            "held": totals["expected_gain_low"] <= delivered <= totals["expected_gain_high"], "seed": (truth, seed),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _promise_line(name: str, found: pd.DataFrame) -> str:
    mean, some = found[["treated", "promised", "delivered", "best"]].mean(), found[found["treated"] > 0]
    more = (found["promised"] - found["delivered"]).groupby(found["seed"]).mean()
    return (
        f"| {name} | {mean['treated']:.0%} | {mean['promised']:.0f} | {mean['delivered']:.0f} | {more.mean():.0f} ± "
        f"{more.sem():.0f} | {mean['best']:.0f} | {int(some['held'].sum())} of {len(some)} |"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--hillstrom", help="Parquet file of that experiment")
    parser.add_argument("--artea", help="Parquet file of that experiment")
    parser.add_argument("--promises", action="store_true", help="simulated experiments, promised beside delivered")
    wanted = parser.parse_args()
    if wanted.promises:
        promises(wanted.customers, wanted.draws)
        return
    if wanted.artea:
        artea(wanted.artea, wanted.draws)
        return
    print("| | " + " | ".join(RULES) + " | |")
    if wanted.hillstrom:
        hillstrom(wanted.hillstrom, wanted.customers, wanted.draws)
    else:
        simulations(wanted.customers, wanted.draws)


if __name__ == "__main__":
    main()
