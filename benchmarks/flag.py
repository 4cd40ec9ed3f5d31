"""Who is flagged, when, and whether it was so: real logs at several cuts, simulated ones month by month.

    python benchmarks/flag.py [--shared ../shared] [--only LOG ...]

Writes benchmarks/flag.json, and benchmarks/flag.md from it. The logs and the simulation are those of shared/bench;
CDNOW comes with lifetimes. Everything is known up to the cut alone; what came after it is read from the whole log.
Logs that are not there are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from clvml import BetaGeoModel, ClvModel, Transactions
from clvml.errors import ClvWarning
from clvml.maths import metrics

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "flag.json"
HORIZON = 182
CUTS = {
    "cdnow": ("1997-09-30", "1997-12-31"),
    "online_retail": ("2011-06-09",),
    "online_retail_2y": ("2010-12-09", "2011-06-09"),
    "superstore": ("2013-06-30", "2013-12-31"),
    "apparel": ("2007-06-30", "2008-12-31"),
    "sim:regular": ("2020-12-31",),
    "sim:trend": ("2020-12-31",),
}
SIMULATED = ("regular", "season", "trend", "whales")
FIRST_MONTH, MONTHS = pd.Timestamp("2020-06-30"), 14
STATES = ("on rhythm", "late", "at risk", "lapsed")


def module(path: Path) -> ModuleType:
    """A file as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = found
    spec.loader.exec_module(found)
    return found


def load(cell: ModuleType, name: str) -> pd.DataFrame:
    """customer_id (text), date, amount."""
    cell.CELLS["flag"] = (name, "2000-01-01", 1)
    table = cell.log("flag")
    ids = table["customer_id"].astype(str).str.replace(r"\.0$", "", regex=True)
    return table.assign(customer_id="c" + ids, date=table["date"].dt.normalize())


def after(days: pd.DataFrame, cut: pd.Timestamp, ids: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Days from the cut to each customer's next purchase (inf: none), and what they spent within the horizon."""
    later = days[days["date"] > cut]
    first = (later.groupby("customer_id")["date"].min().reindex(ids) - cut).dt.days
    near = later[later["date"] <= cut + pd.Timedelta(days=HORIZON)].groupby("customer_id")["amount"].sum()
    return first.fillna(np.inf).to_numpy(), near.reindex(ids).fillna(0.0).to_numpy()


def measure(cell: ModuleType, name: str, cut: str, found: dict[str, list[dict[str, Any]]]) -> None:
    """One cut of one log."""
    table = load(cell, name)
    days, day = cell.purchases(table), pd.Timestamp(cut)
    end = (days["date"].max() - day).days
    log = Transactions(table[table["date"] <= day])
    model = ClvModel(horizon=HORIZON).fit(log, cut)
    scores = model.score(log)
    wait, spend = after(days, day, scores["customer_id"])
    scores = scores.assign(
        wait=wait,
        spend=spend,
        left=(wait > scores["leaving_days"]).astype(float),
        silent=(wait > HORIZON).astype(float),
        gaps=scores["days_since_last"] / (scores["recency"] / scores["frequency"].clip(lower=1)).clip(lower=1),
        rate=HORIZON * scores["monetary_value"] * scores["frequency"] / scores["T"].clip(lower=1),
    )
    where = {"log": name, "cut": cut}
    found["list"].append(where | the_list(scores, end))
    found["head"].append(where | the_head(scores, model, end))
    found["value"] += [where | row for row in the_value(scores)]
    found["rankings"] += [where | row for row in rankings(scores, model)]


def the_list(s: pd.DataFrame, end: int) -> dict[str, Any]:
    """Silence over own gap of the flagged, and whether they stayed away."""
    flagged = s[s["flagged"]]
    closed = flagged[flagged["leaving_days"] <= end]
    again = s[(s["frequency"] > 0) & (s["tier"] == "good")]
    return {
        "good": len(s[s["tier"] == "good"]),
        "flagged": len(flagged),
        "win back": int(s["win_back"].sum()),
        "silence / own gap: median": flagged["gaps"].median(),
        "90%": flagged["gaps"].quantile(0.9),
        "within 3 gaps": (flagged["gaps"] <= 3).mean(),
        "known": len(closed),
        "p_leaving": closed["p_leaving"].mean(),
        "stayed away": closed["left"].mean(),
        "good on rhythm: stayed away": again.loc[
            (again["state"] == "on rhythm") & (again["leaving_days"] <= end), "left"
        ].mean(),
    }


def the_head(s: pd.DataFrame, model: ClvModel, end: int) -> dict[str, Any]:
    """How well the head ranks repeat buyers of whom the question is still open."""
    open_ = (s["frequency"] >= 2) & (s["days_since_last"] < s["leaving_days"]) & (s["leaving_days"] <= end)
    some = s[open_ & (s["rate"] >= s.loc[s["frequency"] >= 2, "rate"].quantile(0.6))]
    if len(some) < 30 or not 0 < some["left"].mean() < 1:
        return {"customers": len(some)}
    left = some["left"].to_numpy()
    return {
        "customers": len(some),
        "left": left.mean(),
        "expected": some["p_leaving"].mean(),
        "AUC p_leaving": metrics.auc(left, some["p_leaving"].to_numpy()),
        "AUC 1 - P(alive)": metrics.auc(left, 1 - some["p_alive"].to_numpy()),
        "AUC silence / own gap": metrics.auc(left, some["gaps"].to_numpy()),
        "AUC churn in horizon": metrics.auc(left, some["churn_probability"].to_numpy()),
        "regularity": model.leaving_.rhythm_.k,
    }


def the_value(s: pd.DataFrame) -> list[dict[str, Any]]:
    """value_if_kept by state: what those who bought spent, over what had been expected of them."""
    rows = []
    for state in STATES:
        row: dict[str, Any] = {"state": state}
        for who, of in (("good", s["tier"] == "good"), ("others", s["tier"] != "good")):
            some = s[of & (s["state"] == state) & (s["spend"] > 0)]
            expected = {"": some["value_if_kept"].sum(), ", as it was": (some["clv"] / some["p_return"]).sum()}
            row[f"{who}: bought"] = len(some)
            row |= {
                f"{who}: came / expected{what}": some["spend"].sum() / total if len(some) else np.nan
                for what, total in expected.items()
            }
        rows.append(row)
    return rows


def rankings(s: pd.DataFrame, model: ClvModel) -> list[dict[str, Any]]:
    """Lists as long as that of the flagged, and as flagged and win_back together: what came of them."""
    again, either = s[s["frequency"] > 0], s["flagged"] | s["win_back"]
    fifth = s["rate"].rank(ascending=False, method="first") <= len(s) / 5
    rows = []
    for name, mark, among in (
        ("flagged", s["flagged"], again[again["state"] != "lapsed"]),
        ("flagged or win_back", either, again),
    ):
        lists = {name: mark.astype(float)}
        lists |= {
            "p_leaving x value_if_kept": s["p_leaving"] * s["value_if_kept"],
            "value_at_risk": s["value_at_risk"],
            "top fifth by past spend, lowest P(alive)": (1 - s["p_alive"]).where(fifth, -1.0),
            "past spend x silence": s["rate"] * s["days_since_last"],
            "past spend": s["rate"],
        }
        for rule, rank in lists.items():
            top = s.loc[rank[among.index].sort_values(ascending=False, kind="stable").index[: int(mark.sum())]]
            rows.append({"list": rule, "customers": len(top)} | lost(top, model))
    return rows


def lost(top: pd.DataFrame, model: ClvModel) -> dict[str, Any]:
    """What came of a list."""
    f, d, save, redeem = model.economics_
    gone, value = top["silent"], top["value_if_kept"]
    return {
        "stayed away": gone.mean(),
        "past spend lost": (top["rate"] * gone).sum(),
        "value lost": (value * gone).sum(),
        "gain of treating": (gone * save * (value - d) - (1 - gone) * redeem * d - f).sum(),
        "silence / own gap": top["gaps"].median(),
    }


def scored_months(simulate: Any, kind: str) -> pd.DataFrame:
    """A simulated log scored month by month by a model of its first month: repeat buyers, and whether they had left."""
    table = simulate(kind, leavers=True)
    left = table.groupby("customer_id")["left"].first()
    log = Transactions(table.drop(columns="left"))
    model = ClvModel(horizon=HORIZON).fit(log, FIRST_MONTH.date())
    base = BetaGeoModel().fit(log.summarize(FIRST_MONTH.date()))
    parts = []
    for month in range(MONTHS):
        day = FIRST_MONTH + pd.DateOffset(months=month)
        s = model.score(log, day.date())
        s = s[s["frequency"] > 0].assign(day=day)
        s["bgnbd"] = 1 - base.p_alive(s)
        parts.append(s)
    s = pd.concat(parts, ignore_index=True)
    s["gap"] = (s["recency"] / s["frequency"]).clip(lower=1)
    s["twice"] = s["days_since_last"] / s["gap"]
    s["left"] = s["customer_id"].map(left)
    return s.assign(gone=s["left"] <= s["day"])


def time_to_flag(s: pd.DataFrame, kind: str) -> list[dict[str, Any]]:
    """Of the good customers who left: when each rule first names them, and whom it names meanwhile."""
    last = FIRST_MONTH + pd.DateOffset(months=MONTHS - 1)
    # Good customers, frozen at the last month before they left; leavers with at least half a year to be found in.
    staying = s[~s["gone"]]
    good_then = staying.sort_values("day").groupby("customer_id").last()["tier"] == "good"
    in_time = (s["left"] > FIRST_MONTH) & (s["left"] <= last - pd.DateOffset(months=6))
    leavers = s[s["gone"] & in_time & s["customer_id"].map(good_then).eq(True)]
    others = staying[staying["tier"] == "good"]
    either = s["flagged"] | s["win_back"]
    marks = {
        "flagged": s["flagged"],
        "flagged or win_back": either,
        "P(alive) < .5, BG/NBD": s["bgnbd"] > 0.5,
        "silent twice the mean gap": s["twice"] > 2,
    }
    for mark, of in ((s["flagged"], "flagged"), (either, "flagged or win_back")):
        alarms = mark[others.index].mean()
        for name, by in (("p_leaving", "p_leaving"), ("1 - P(alive)", "bgnbd"), ("silence / mean gap", "twice")):
            marks[f"{name}, at the false alarms of {of}"] = s[by] > others[by].quantile(1 - alarms)
    who = leavers.groupby("customer_id").agg(left=("left", "first"), gap=("gap", "first"))
    rows = []
    for rule, mark in marks.items():
        first = leavers[mark[leavers.index]].groupby("customer_id")["day"].min()
        lag = ((first.reindex(who.index) - who["left"]).dt.days / who["gap"]).fillna(np.inf)
        rows.append(
            {
                "log": kind,
                "rule": rule,
                "good who left": len(who),
                "found": np.isfinite(lag).mean(),
                "own gaps to the flag: median": lag.quantile(0.5, interpolation="lower"),
                "90%": lag.quantile(0.9, interpolation="lower"),
                "within 3 gaps": (lag <= 3).mean(),
                "false alarms": mark[others.index].mean(),
            }
        )
    return rows


def text(value: Any) -> str:
    """A cell of a table."""
    if isinstance(value, float):
        if not np.isfinite(value):
            return "never" if value > 0 else "–"
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def grid(rows: list[dict[str, Any]]) -> str:
    """A Markdown table."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["--" if isinstance(rows[0].get(n), str) else "--:" for n in names]]
    lines += [[text(row.get(name, float("nan"))) for name in names] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


HEADS = {
    "list": """## The list

Silence over the own mean gap of the flagged; of those whose own days (`leaving_days`) have passed since the cut, the
mean `p_leaving` and the share who stayed away; beside it the share of good customers on rhythm who did.""",
    "head": """## p_leaving

Repeat buyers with two gaps or more, the upper 40% by past spend, not yet silent for three own gaps: will they stay
silent through three more? Out of time.""",
    "value": """## value_if_kept

Of those who bought within the horizon: what they spent over what `value_if_kept` had expected; as it was: over
`clv / p_return`, which knows nothing of states. Spend is not discounted, value is: 1.02 is right.""",
    "rankings": """## What was lost in the list

Repeat buyers: lists as long as that of the flagged, of those who are not lapsed; then lists as long as flagged and
win_back together, of all. Stayed away: no purchase within the horizon. Past spend lost (of a horizon) favours those
long gone, whom nobody keeps; value lost is `value_if_kept` of those who stayed away; gain of treating is by the model's
own economics, as if whoever stayed away could be won at the same rate, however long gone.""",
    "time": """## Time to flag

Simulated logs whose day of leaving is known, scored month by month by a model of the first month. Good customers who
left: how many of their own mean gaps later the first flag came; false alarms: share of the customer-months of good
customers who had not left.

The last six rules take one statistic each, at the false alarms of `flagged`, and of `flagged or win_back`. They are
told who was good before they left; the flag has to find that out by itself, and gives up whoever drops out of the tier.
Counting the delay in mean gaps favours the rule that counts in mean gaps.""",
}


def merged(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """With what was measured before of other logs and cuts."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name, rows in found.items():
        now = {(row["log"], row.get("cut")) for row in rows}
        found[name] = [row for row in kept.get(name, []) if (row["log"], row.get("cut")) not in now] + rows
        order = [*CUTS, *SIMULATED]
        found[name].sort(key=lambda row: (order.index(row["log"]), row.get("cut", "")))
    return found


def write(found: dict[str, list[dict[str, Any]]]) -> None:
    """flag.json, and the tables of it."""
    plain = {name: [{k: _plain(v) for k, v in row.items()} for row in rows] for name, rows in found.items()}
    RESULTS.write_text(json.dumps(plain, indent=0) + "\n", encoding="utf-8")
    parts = ["# Who is flagged, and when", f"`python benchmarks/flag.py`, horizon {HORIZON} days, defaults elsewhere."]
    parts += [f"{HEADS[name]}\n\n{grid(rows)}" for name, rows in found.items() if rows]
    parts += [*verdicts(found["time"]), calibration(found["value"])]
    (HERE / "flag.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def verdicts(rows: list[dict[str, Any]]) -> list[str]:
    """Whether a statistic alone would have found more in time, at the same false alarms."""
    found = []
    for log in dict.fromkeys(row["log"] for row in rows):
        share = {row["rule"]: row["within 3 gaps"] for row in rows if row["log"] == log}
        for rule in ("flagged", "flagged or win_back"):
            rivals = {name: share[name] for name in share if name.endswith(f"alarms of {rule}")}
            better = [f"{name.split(',')[0]} {value:.2f}" for name, value in rivals.items() if value > share[rule]]
            text = f"more by {', '.join(better)}" if better else "more by none"
            found.append(f"- {log}, {rule}: {share[rule]:.2f} within three gaps; at equal false alarms {text}.")
    return ["\n".join(found)] if found else []


def calibration(rows: list[dict[str, Any]]) -> str:
    """How far value_if_kept is off, the level of a cut taken out, with the factors by state and tier and without."""
    cells = [
        {"cut": (row["log"], row["cut"]), "who": f"{who}, {row['state']}", "bought": row[f"{who}: bought"]}
        | {what: np.log(row[f"{who}: came / expected{what}"]) for what in ("", ", as it was")}
        for row in rows
        for who in ("good", "others")
        if row[f"{who}: bought"] >= 5
    ]
    if not cells:
        return ""
    table = pd.DataFrame(cells)
    for what in ("", ", as it was"):
        sums = (table[what] * table["bought"]).groupby(table["cut"]).transform("sum")
        level = sums / table.groupby("cut")["bought"].transform("sum")
        table[what] = (table[what] - level).abs()
    found = table.groupby("who")[["", ", as it was"]].mean().join(table.groupby("who").size().rename("cuts"))
    weight = table["bought"]
    whole = [
        float(((table[w] * weight).groupby(table["cut"]).sum() / weight.groupby(table["cut"]).sum()).mean())
        for w in ("", ", as it was")
    ]
    lines = [
        f"- {who}: {row['']:.2f} over {row['cuts']:.0f} cuts; as it was {row[', as it was']:.2f}."
        for who, row in found.iterrows()
    ]
    head = (
        "value_if_kept by state and tier, the level of each cut taken out: mean |ln(came / expected)| over cuts with "
        f"five returns. By returns, of all cuts: {whole[0]:.3f}; as it was {whole[1]:.3f}."
    )
    return "\n".join([head, "", *lines])


def _plain(value: Any) -> Any:
    """As JSON keeps it, to four digits."""
    value = value.item() if isinstance(value, np.generic) else value
    return round(value, 4) if isinstance(value, float) else value


def main() -> None:
    """Measure and write."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--shared", type=Path, default=HERE.parent.parent / "shared")
    ask.add_argument("--only", nargs="*", help="Measure these logs anew, and keep the rest.")
    ask.add_argument(
        "--tables", action="store_true", help="Write the tables of what was measured, and measure nothing."
    )
    options = ask.parse_args()
    if options.tables:
        write(merged({name: [] for name in HEADS}))
        return
    warnings.simplefilter("ignore", ClvWarning)
    cell, simulation = (module(options.shared / "bench" / f"{name}.py") for name in ("cell", "simulate"))
    for kind in SIMULATED:
        if not options.only or kind in options.only:
            write(
                merged({n: [] for n in HEADS} | {"time": time_to_flag(scored_months(simulation.simulate, kind), kind)})
            )
    for name, cuts in CUTS.items():
        if options.only and name not in options.only:
            continue
        if ":" not in name and name != "cdnow" and not (options.shared / "data" / name).exists():
            print(f"{name} is not there, and left out")
            continue
        for cut in cuts:
            found: dict[str, list[dict[str, Any]]] = {name: [] for name in HEADS}
            measure(cell, name, cut, found)
            print(name, cut, found["list"][-1], flush=True)
            write(merged(found))


if __name__ == "__main__":
    main()
