"""Who is flagged, when, and whether it was so: real logs at several cuts, simulated ones month by month.

    python benchmarks/flag.py [--shared ../shared] [--only LOG ...]

Writes benchmarks/flag.json, and benchmarks/flag.md from it. The logs and the simulation are those of shared/bench;
CDNOW comes with lifetimes. Everything is known up to the cut alone; what came after it is read from the whole log.
Simulated logs know, too, who had left for good. Logs that are not there are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import warnings
from collections.abc import Callable
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
}
SIMULATED = ("regular", "season", "trend", "whales")
SEEDS = (101, 102, 103)
"""Of the simulated logs, each scored as of the first month; after it month by month."""
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
    log = Transactions(table[table["date"] <= day])
    model = ClvModel(horizon=HORIZON).fit(log, cut)
    tables({"log": name, "cut": cut}, with_outcome(model.score(log), days, day), model, found)


def with_outcome(scores: pd.DataFrame, days: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """Scores beside what came: NaN where the log ends before it could be known."""
    end = (days["date"].max() - day).days
    wait, spend = after(days, day, scores["customer_id"])
    left = pd.Series((wait > scores["leaving_days"]).astype(float)).where(scores["leaving_days"] <= end)
    silent = (wait > HORIZON).astype(float)
    return scores.assign(
        spend=spend,
        left=left,
        silent=silent,
        gone=silent * left.fillna(1.0),
        gaps=scores["days_since_last"] / mean_gap(scores),
        rate=HORIZON * scores["monetary_value"] * scores["frequency"] / scores["T"].clip(lower=1),
    )


def mean_gap(s: pd.DataFrame) -> pd.Series:
    """Days; at least one."""
    return (s["recency"] / s["frequency"].clip(lower=1)).clip(lower=1)


def tables(where: dict[str, Any], s: pd.DataFrame, model: ClvModel, found: dict[str, list[dict[str, Any]]]) -> None:
    """All that is told of one cut."""
    found["list"].append(where | the_list(s))
    found["head"].append(where | the_head(s, model))
    found["value"] += [where | row for row in the_value(s)]
    found["rankings"] += [where | row for row in rankings(s, model)]


def the_list(s: pd.DataFrame) -> dict[str, Any]:
    """Silence over own gap of the flagged, and whether they stayed away."""
    flagged = s[s["flagged"]]
    closed = flagged[flagged["left"].notna()]
    before, first = the_rule_before(s), flagged.nlargest(-(-len(flagged) // 2), "value_at_risk")
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
        "churn_probability": flagged["churn_probability"].mean(),
        "silent for the horizon": flagged["silent"].mean(),
        "first half: of the value lost": lost_value(first) / max(lost_value(flagged), 1e-9),
        "by p_leaving alone: flagged": int(before.sum()),
        "p_leaving ": s.loc[before & s["left"].notna(), "p_leaving"].mean(),
        "stayed away ": s.loc[before, "left"].mean(),
    }


def the_rule_before(s: pd.DataFrame) -> pd.Series:
    """Whom p_leaving alone would flag, as this package once did."""
    late = s["state"].isin(["late", "at risk"]) | (s["decline"] > 0)
    risk = 1 - (1 - s["p_leaving"]) * (1 - s["decline"])
    return (s["tier"] == "good") & late & (risk >= s["break_even"]) & (s["break_even"] < 1)


def lost_value(s: pd.DataFrame) -> float:
    """value_if_kept of those who stayed away through the horizon."""
    return float((s["value_if_kept"] * s["silent"]).sum())


def the_head(s: pd.DataFrame, model: ClvModel) -> dict[str, Any]:
    """How well the head ranks repeat buyers of whom the question is still open."""
    open_ = (s["frequency"] >= 2) & (s["days_since_last"] < s["leaving_days"]) & s["left"].notna()
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
            row[f"{who}: bought"] = len(some)
            row[f"{who}: came / expected"] = some["spend"].sum() / some["value_if_kept"].sum() if len(some) else np.nan
        rows.append(row)
    return rows


def rankings(s: pd.DataFrame, model: ClvModel) -> list[dict[str, Any]]:
    """Lists as long as that of the flagged, and as flagged and win_back together: what came of them."""
    again, either = s[s["frequency"] > 0], s["flagged"] | s["win_back"]
    fifth = s["rate"].rank(ascending=False, method="first") <= len(s) / 5
    before, at_risk = the_rule_before(s), s["value_at_risk"]
    rows = []
    for name, mark, old, among in (
        ("flagged", s["flagged"], before, again[again["state"] != "lapsed"]),
        ("flagged or win_back", either, before | s["win_back"], again),
    ):
        lists = {name: mark.astype(float)}
        lists |= {
            f"{BEFORE}{name.removeprefix('flagged')}": at_risk.where(old, -1.0),
            OFF_RHYTHM: at_risk.where(s["state"] != "on rhythm", -1.0),
            "value_at_risk": at_risk,
            "p_leaving x value_if_kept": s["p_leaving"] * s["value_if_kept"],
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
    silent, value = top["silent"], top["value_if_kept"]
    return {
        "on rhythm": (top["state"] == "on rhythm").mean(),
        "stayed away": silent.mean(),
        "gone": top["gone"].mean(),
        "past spend lost": (top["rate"] * silent).sum(),
        "value lost": lost_value(top),
        "value of the gone": (value * top["gone"]).sum(),
        "gain of treating": (silent * save * (value - d) - (1 - silent) * redeem * d - f).sum(),
        "silence / own gap": top["gaps"].median(),
    }


def simulated(simulate: Any, kind: str, found: dict[str, list[dict[str, Any]]]) -> None:
    """The simulated logs of one kind."""
    parts = []
    for seed in SEEDS:
        table = simulate(kind, seed, leavers=True)
        left = table.groupby("customer_id")["left"].first()
        table = table.drop(columns="left")
        log = Transactions(table)
        model = ClvModel(horizon=HORIZON).fit(log, FIRST_MONTH.date())
        months = scored_months(log, model, left)
        scores = with_outcome(months[0], table, FIRST_MONTH)
        scores["gone"] = (scores["customer_id"].map(left) <= FIRST_MONTH).astype(float)
        tables({"log": f"sim:{kind}", "cut": str(seed)}, scores, model, found)
        s = pd.concat(months, ignore_index=True)
        s = with_money(s.assign(buys=buys(s, table))[s["frequency"] > 0], model)
        parts.append(s.assign(customer_id=f"{seed}-" + s["customer_id"]))
    found["time"] += time_to_flag(pd.concat(parts, ignore_index=True), kind)


def scored_months(log: Transactions, model: ClvModel, left: pd.Series) -> list[pd.DataFrame]:
    """A log scored month by month by a model of its first month, and whether customers had left."""
    base, rhythm = BetaGeoModel().fit(log.summarize(FIRST_MONTH.date())), model.leaving_.rhythm_
    months = []
    for month in range(MONTHS):
        day = FIRST_MONTH + pd.DateOffset(months=month)
        s = model.score(log, day.date())
        months.append(
            s.assign(
                day=day,
                bgnbd=1 - base.p_alive(s),
                share=rhythm.share_ended(s["frequency"], s["recency"], s["days_since_last"]),
                gap=mean_gap(s),
                left=s["customer_id"].map(left),
            ).assign(gone=lambda s: s["left"] <= s["day"])
        )
    return months


def buys(months: pd.DataFrame, table: pd.DataFrame) -> pd.Series:
    """Whether a customer buys within the horizon after each month."""
    table = table.assign(next=table["date"]).sort_values("date")
    found = pd.merge_asof(
        months[["customer_id", "day"]].reset_index().sort_values("day"),
        table[["customer_id", "date", "next"]].assign(customer_id=lambda t: t["customer_id"].astype(str)),
        left_on="day",
        right_on="date",
        by="customer_id",
        direction="forward",
        allow_exact_matches=False,
    ).set_index("index")
    return (found["next"] - found["day"]).dt.days <= HORIZON


def with_money(s: pd.DataFrame, model: ClvModel) -> pd.DataFrame:
    """What treating a customer brings, in what the mean good customer of the first month brings if kept: those who had
    left may be kept, those who buy redeem, the others cost the contact.
    """
    f, d, save, redeem = model.economics_
    unit = s.loc[(s["day"] == FIRST_MONTH) & (s["tier"] == "good"), "value_if_kept"].mean()
    gain = np.where(s["gone"], save * (s["value_if_kept"] - d), -redeem * d * s["buys"]) - f
    return s.assign(gain=gain / unit, twice=s["days_since_last"] / s["gap"])


STATISTICS = {
    "p_leaving": "p_leaving",
    "1 - P(alive)": "bgnbd",
    "silence / mean gap": "twice",
    "share of own gaps ended": "share",
}


def time_to_flag(s: pd.DataFrame, kind: str) -> list[dict[str, Any]]:
    """Of the good customers who left: when each rule first names them, whom it names meanwhile, and what that brings.

    Every rule names the good alone, by the tier of the month.
    """
    last = FIRST_MONTH + pd.DateOffset(months=MONTHS - 1)
    # Good customers, frozen at the last month before they left; leavers with at least half a year to be found in.
    staying = s[~s["gone"]]
    good_then = staying.sort_values("day").groupby("customer_id").last()["tier"] == "good"
    in_time = (s["left"] > FIRST_MONTH) & (s["left"] <= last - pd.DateOffset(months=6))
    leavers = s[s["gone"] & in_time & s["customer_id"].map(good_then).eq(True)]
    others, good = staying[staying["tier"] == "good"], s["tier"] == "good"
    either = s["flagged"] | s["win_back"]
    marks = {
        "flagged": s["flagged"],
        "flagged or win_back": either,
        f"{BEFORE} or win_back": the_rule_before(s) | s["win_back"],
        "P(alive) < .5, BG/NBD": good & (s["bgnbd"] > 0.5),
        "silent twice the mean gap": good & (s["twice"] > 2),
    }
    for mark, of, among in (
        (s["flagged"], "flagged", good & (s["state"] != "lapsed")),
        (either, "flagged or win_back", good),
    ):
        staying_among = s.loc[others.index[among[others.index]]]
        alarms = mark[staying_among.index].mean()
        for name, by in STATISTICS.items():
            marks[f"{name}, at the false alarms of {of}"] = among & (s[by] > staying_among[by].quantile(1 - alarms))
    who = leavers.groupby("customer_id").agg(left=("left", "first"), gap=("gap", "first"))
    return [{"log": kind, "rule": rule} | timed(mark, s, leavers, others, who) for rule, mark in marks.items()]


def timed(
    mark: pd.Series, s: pd.DataFrame, leavers: pd.DataFrame, others: pd.DataFrame, who: pd.DataFrame
) -> dict[str, Any]:
    """One rule."""
    first = leavers[mark[leavers.index]].groupby("customer_id")["day"].min()
    lag = ((first.reindex(who.index) - who["left"]).dt.days / who["gap"]).fillna(np.inf)
    treated = s.loc[treated_rows(s[mark])]
    return {
        "good who left": len(who),
        "found": np.isfinite(lag).mean(),
        "own gaps to the flag: median": lag.quantile(0.5, interpolation="lower"),
        "90%": lag.quantile(0.9, interpolation="lower"),
        "within 3 gaps": (lag <= 3).mean(),
        "false alarms": mark[others.index].mean(),
        "treated": len(treated),
        "had left": treated["gone"].mean(),
        "gain": treated["gain"].sum(),
    }


def treated_rows(marked: pd.DataFrame) -> list[Any]:
    """The rows in which somebody is treated who is treated when marked, but once in a horizon."""
    rows: list[Any] = []
    until: dict[Any, pd.Timestamp] = {}
    for row, customer, day in marked.sort_values("day", kind="stable")[["customer_id", "day"]].itertuples():
        if until.get(customer, day) <= day:
            rows.append(row)
            until[customer] = day + pd.Timedelta(days=HORIZON)
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
mean `p_leaving` and the share who stayed away; of all flagged the mean `churn_probability` and the share who were
silent for the horizon; how much of the value lost with them (`value_if_kept` of those silent for the horizon) the first
half of the list holds, in its order by `value_at_risk`. Beside it whom `p_leaving` alone would flag. The cut of a
simulated log is its seed.""",
    "head": """## p_leaving

Repeat buyers with two gaps or more, the upper 40% by past spend, not yet silent for three own gaps: will they stay
silent through three more? Out of time.""",
    "value": """## value_if_kept

Of those who bought within the horizon: what they spent over what `value_if_kept` had expected. Spend is not
discounted, value is: 1.02 is right.""",
    "rankings": """## What was lost in the list

Repeat buyers: lists as long as that of the flagged, of those who are not lapsed; then lists as long as flagged and
win_back together, of all. Stayed away: no purchase within the horizon. Gone: silent through the horizon and through
three own gaps, as far as the log goes; in simulated logs, had left for good by the cut. Past spend lost (of a horizon)
favours those long gone, whom nobody keeps; value lost is `value_if_kept` of those who stayed away; gain of treating is
by the model's own economics, as if whoever stayed away could be won at the same rate, however long gone.""",
    "time": """## Time to flag

Simulated logs whose day of leaving is known, three of each kind, scored month by month by a model of the first month.
Good customers who left: how many of their own mean gaps later the first flag came; false alarms: share of the
customer-months of good customers who had not left. Treated: whoever is named, when first named, and again after a
horizon at the earliest; had left: the share of them who had; gain: what that brings if some of these are kept, and
those who buy anyway redeem, by the model's own economics and in what the mean good customer brings if kept.

Every rule names the good alone, by the tier of the month. The last eight take one statistic each, at the false alarms
of `flagged` (of those who are not lapsed, as it does), and of `flagged or win_back`. Counting the delay in mean gaps
favours the rule that counts in mean gaps.""",
}
BEFORE, OFF_RHYTHM = "late and p_leaving alone", "value_at_risk, on rhythm left out"


def merged(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """With what was measured before of other logs and cuts."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name, rows in found.items():
        now = {(row["log"], row.get("cut")) for row in rows}
        found[name] = [row for row in kept.get(name, []) if (row["log"], row.get("cut")) not in now] + rows
        order = [*CUTS, *(f"sim:{kind}" for kind in SIMULATED), *SIMULATED]
        found[name].sort(key=lambda row: (order.index(row["log"]), row.get("cut", "")))
    return found


def write(found: dict[str, list[dict[str, Any]]]) -> None:
    """flag.json, and the tables of it."""
    plain = {name: [{k: _plain(v) for k, v in row.items()} for row in rows] for name, rows in found.items()}
    RESULTS.write_text(json.dumps(plain, indent=0) + "\n", encoding="utf-8")
    parts = ["# Who is flagged, and when", f"`python benchmarks/flag.py`, horizon {HORIZON} days, defaults elsewhere."]
    for name, rows in found.items():
        shown = [row for row in rows if name not in ("value", "rankings") or not row["log"].startswith("sim:")]
        parts += [f"{HEADS[name]}\n\n{grid(shown)}"] if shown else []
        parts += SUMMARIES[name](rows) if name in SUMMARIES else []
    (HERE / "flag.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def flagged_in_short(rows: list[dict[str, Any]]) -> list[str]:
    """How far the probabilities of the flagged are off, over the cuts with enough of them."""
    some = pd.DataFrame(rows)
    lines = []
    for what, said, came, number in (
        ("p_leaving", "p_leaving", "stayed away", "known"),
        ("churn_probability", "churn_probability", "silent for the horizon", "flagged"),
        ("p_leaving, flagged by it alone", "p_leaving ", "stayed away ", "by p_leaving alone: flagged"),
    ):
        enough = some[some[number] >= MIN_FLAGGED]
        off = enough[said] - enough[came]
        lines.append(f"- {what}: {off.mean():+.3f} in the mean, {off.abs().mean():.3f} without sign, {len(off)} cuts.")
    return [f"Expected less came, cuts with {MIN_FLAGGED} or more:\n\n" + "\n".join(lines)] if len(some) else []


MIN_FLAGGED = 10
"""Customers of a list from which a share of them is compared with another."""


def rankings_in_short(rows: list[dict[str, Any]]) -> list[str]:
    """What lists of equal length held, the flagged taken as 1: medians over cuts, real and simulated logs apart."""
    table = pd.DataFrame(rows)
    if table.empty:
        return []
    table["either"] = table["list"].where(table["list"].str.startswith("flagged")).ffill()
    where = ["log", "cut", "either"]
    own = table[table["list"] == table["either"]].set_index(where)
    lines = []
    for either in ("flagged", "flagged or win_back"):
        for real in (True, False):
            some = table[(table["either"] == either) & (table["log"].str.startswith("sim:") != real)]
            some = some[some["customers"] >= MIN_FLAGGED]
            cuts = len(some.groupby(["log", "cut"]))
            for rule in some["list"].unique():
                these = some[some["list"] == rule].set_index(where)
                line = {"logs": f"{'real' if real else 'simulated'}, {cuts} cuts", "list": rule}
                for name in ("on rhythm", "stayed away", "gone"):
                    line[name] = these[name].mean()
                for name in ("value lost", "value of the gone"):
                    line[f"{name}, flagged = 1"] = (these[name] / own[name].reindex(these.index)).median()
                lines.append(line)
    return [f"In short: shares are means over cuts, values medians of the ratio to the first list.\n\n{grid(lines)}"]


def verdicts(rows: list[dict[str, Any]]) -> list[str]:
    """Whether a statistic alone would have found more in time, or brought more, at the same false alarms."""
    found = []
    for log in dict.fromkeys(row["log"] for row in rows):
        by_rule = {row["rule"]: row for row in rows if row["log"] == log}
        for rule in ("flagged", "flagged or win_back"):
            rivals = {name: row for name, row in by_rule.items() if name.endswith(f"alarms of {rule}")}
            words = []
            for column, what in (("within 3 gaps", "within three gaps"), ("gain", "gain")):
                own = by_rule[rule][column]
                better = [f"{n.split(',')[0]} {row[column]:.2f}" for n, row in rivals.items() if row[column] > own]
                words.append(f"{what} {own:.2f}, more by {', '.join(better) if better else 'none'}")
            found.append(f"- {log}, {rule}, at equal false alarms: {'; '.join(words)}.")
    return ["\n".join(found)] if found else []


def calibration(rows: list[dict[str, Any]]) -> list[str]:
    """How far value_if_kept is off, the level of a cut taken out."""
    cells = [
        {"cut": (row["log"], row["cut"]), "who": f"{who}, {row['state']}", "bought": row[f"{who}: bought"]}
        | {"off": np.log(row[f"{who}: came / expected"])}
        for row in rows
        for who in ("good", "others")
        if row[f"{who}: bought"] >= 5
    ]
    if not cells:
        return []
    table = pd.DataFrame(cells)
    cut, weight = table["cut"], table["bought"]
    sums = (table["off"] * weight).groupby(cut).transform("sum")
    table["off"] = (table["off"] - sums / weight.groupby(cut).transform("sum")).abs()
    found = table.groupby("who")["off"].agg(["mean", "size"])
    whole = float(((table["off"] * weight).groupby(cut).sum() / weight.groupby(cut).sum()).mean())
    lines = [f"- {who}: {row['mean']:.2f} over {row['size']:.0f} cuts." for who, row in found.iterrows()]
    head = (
        "value_if_kept by state and tier, the level of each cut taken out: mean |ln(came / expected)| over cuts with "
        f"five returns. By returns, of all cuts: {whole:.3f}."
    )
    return ["\n".join([head, "", *lines])]


SUMMARIES: dict[str, Callable[[list[dict[str, Any]]], list[str]]] = {
    "list": flagged_in_short,
    "rankings": rankings_in_short,
    "time": verdicts,
    "value": calibration,
}


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
    found: dict[str, list[dict[str, Any]]]
    cell, simulation = (module(options.shared / "bench" / f"{name}.py") for name in ("cell", "simulate"))
    for kind in SIMULATED:
        if not options.only or kind in options.only:
            found = {name: [] for name in HEADS}
            simulated(simulation.simulate, kind, found)
            print(kind, found["time"][:2], flush=True)
            write(merged(found))
    for name, cuts in CUTS.items():
        if options.only and name not in options.only:
            continue
        if name != "cdnow" and not (options.shared / "data" / name).exists():
            print(f"{name} is not there, and left out")
            continue
        for cut in cuts:
            found = {name: [] for name in HEADS}
            measure(cell, name, cut, found)
            print(name, cut, found["list"][-1], flush=True)
            write(merged(found))


if __name__ == "__main__":
    main()
