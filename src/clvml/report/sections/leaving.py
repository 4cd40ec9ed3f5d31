"""Who is about to leave whom I should not lose, and why?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from clvml.display import Cell, Figure, Head, Table
from clvml.report import charts
from clvml.report.parts import Money, Section, chart
from clvml.scores.segments import n_flag_candidates

__all__ = ["leaving"]

SHOWN_FIRST = 3
"""Customers that the head of the page names."""
TOP_OF_LIST = 10
"""Customers at the top of the list whose share of the value at risk is said."""


def leaving(scores: pd.DataFrame, money: Money, *, channels: pd.Series | None, redact: bool, rows: int) -> Section:
    """Who is about to leave whom I should not lose, and why?"""
    flagged, shown = _listed(scores, rows)
    good = scores.loc[scores["tier"] == "good", ["state", "value_at_risk"]]
    by_state = good.groupby("state")["value_at_risk"].sum().sort_values(ascending=False)
    said = (
        [
            *_sentences(flagged, money),
            *_in_decline(scores, len(flagged), money),
            f"Anybody may fail to buy in the next {int(scores['horizon_days'].iloc[0])} days, or buy for "
            f"less: {money.about(float(by_state.sum()))} is at risk with all good customers. "
            "Flagged are those whose silence or decline is unusual, where a treatment is expected to pay.",
        ]
        if len(flagged)
        else _nobody(len(good), n_flag_candidates(scores), money)
    )
    return Section(
        "leaving",
        "Who is about to leave whom I should not lose, and why?",
        tuple(said),
        (
            Figure("good customers who may be leaving", money.count(len(flagged)), f"of {money.count(len(good))} good"),
            Figure("value at risk with them", money(float(flagged.sum()))),
        ),
        (
            chart(
                charts.bars(list(by_state.index), by_state.tolist(), label="value at risk", write=money.tick),
                "leaving-states",
                "Value at risk of all good customers, by state",
            ),
        )
        if len(by_state)
        else (),
        (_table(shown, len(flagged), money, channels, redact=redact),) if len(shown) else (),
        ("A flag says that somebody may be going. Whether a treatment keeps them, only a control group can show.",),
        short=_short(shown[shown["flagged"]], len(flagged), len(good), money, redact=redact),
    )


def _short(shown: pd.DataFrame, n_flagged: int, n_good: int, money: Money, *, redact: bool) -> str:
    """How many, and who stands first."""
    if not n_flagged:
        return f"Nobody is flagged of {money.count(n_good)} good customers."
    found = f"{money.count(n_flagged)} of {money.count(n_good)} good customers"
    if redact or shown.empty:
        return f"{found}."
    first = [str(customer) for customer in shown["customer_id"].head(SHOWN_FIRST)]
    return f"{found}{'; first of them ' if n_flagged > len(first) else ': '}{', '.join(first)}."


def _listed(scores: pd.DataFrame, rows: int) -> tuple[pd.Series, pd.DataFrame]:
    """Value at risk of the flagged, the most first; and whom the table shows: these, then others at risk."""
    is_flagged = scores["flagged"].to_numpy(np.bool_)
    at_risk = scores["at_risk"].to_numpy(np.bool_) if "at_risk" in scores else is_flagged
    places = np.flatnonzero(is_flagged | at_risk)
    risk = scores["value_at_risk"].to_numpy(np.float64)[places]
    places = places[np.lexsort((-risk, ~is_flagged[places]))]
    value = scores["value_at_risk"].iloc[places[is_flagged[places]]]
    return value, scores.iloc[places[:rows]]


def _nobody(n_good: int, candidates: int, money: Money) -> list[str]:
    """Why nobody is flagged."""
    none = f"None of the {money.count(n_good)} good customers is flagged as leaving"
    if not candidates:
        return [f"{none}: none is late, at risk or in decline."]
    return [
        f"{none}: {money.count(candidates)} {'is' if candidates == 1 else 'are'} late, at risk or in decline, but "
        "treating does not pay at the model's costs of a contact and an incentive; clvml train --contact-cost and "
        "--incentive take your own."
    ]


def _sentences(flagged: pd.Series, money: Money) -> list[str]:
    stake = money(float(flagged.sum()))
    who = "customer" if len(flagged) == 1 else "customers"
    found = [f"{money.count(len(flagged))} good {who} may be leaving; {stake} is at risk with them."]
    if len(flagged) > 2 * TOP_OF_LIST and flagged.sum() > 0:
        share = flagged.head(TOP_OF_LIST).sum() / flagged.sum()
        found.append(f"The first {TOP_OF_LIST} of the list hold {share:.0%} of that.")
    return found


def _in_decline(scores: pd.DataFrame, n_flagged: int, money: Money) -> list[str]:
    """How many of the flagged buy on for less."""
    if "decline" not in scores:
        return []
    found = scores.loc[scores["flagged"] & (scores["decline"] > 0), "decline"]
    if found.empty:
        return []
    who = "They" if len(found) == n_flagged else f"{money.count(len(found))} of them"
    still = f"{who} still {'buys' if len(found) == 1 and len(found) < n_flagged else 'buy'} in time, but"
    least = math.floor(100 * float(found.min()))
    less = f"at least {least}%" if len(found) > 1 else f"{least}%"
    return [f"{still} for {less} less than before."]


def _table(shown: pd.DataFrame, n_flagged: int, money: Money, channels: pd.Series | None, *, redact: bool) -> Table:
    chance = "p_leaving" if "p_leaving" in shown else "churn_probability"
    heads = [Head("Customer"), Head("Value at risk", True), Head("Chance of leaving", True), Head("Tier"),
             Head("State"), Head("Last purchase", True), Head("Why")]  # fmt: skip
    filters = [("Tier", _words(shown["tier"])), ("State", _words(shown["state"]))]
    if channels is not None:
        heads.insert(5, Head("Channel"))
        filters.append(("Channel", _words(shown["customer_id"].map(channels).fillna("unknown"))))
    cells = [
        tuple(_row(f"#{place}" if redact else str(row["customer_id"]), row, chance, money, channels))
        for place, row in enumerate(shown.to_dict("records"), 1)
    ]
    others = "" if shown["flagged"].all() else "; then others at risk"
    cut = f": the first {money.count(len(shown))}" if len(shown) < n_flagged else ""
    return Table(
        "to-keep",
        f"Good customers who may be leaving{cut}{others}",
        tuple(heads),
        tuple(cells),
        tuple((name, values) for name, values in filters if len(values) > 1),
        interactive=True,
    )


def _row(name: str, row: dict[Any, Any], chance: str, money: Money, channels: pd.Series | None) -> list[Cell]:
    line = [
        Cell(name),
        Cell(money(row["value_at_risk"]), round(float(row["value_at_risk"]), 2)),
        Cell(_chance(float(row[chance])), round(float(row[chance]), 4)),
        Cell(str(row["tier"])),
        Cell(str(row["state"])),
        Cell(_ago(int(row["days_since_last"])), float(row["days_since_last"])),
        Cell(str(row["reason"])),
    ]
    if channels is not None:
        line.insert(5, Cell(str(channels.get(row["customer_id"], "unknown"))))
    return line


def _chance(share: float) -> str:
    """In whole percent; a chance is neither none nor all of it."""
    return "<1%" if share < 0.005 else ">99%" if share >= 0.995 else f"{share:.0%}"


def _ago(days: int) -> str:
    return "1 day ago" if days == 1 else f"{days} days ago"


def _words(values: pd.Series) -> tuple[str, ...]:
    return tuple(sorted({str(v) for v in values}))
