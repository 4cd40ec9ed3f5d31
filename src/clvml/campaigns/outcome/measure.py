"""Treated against control in the log after a campaign."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.campaigns.outcome.result import Lift, Outcome
from clvml.campaigns.outcome.window import Arms, Window, arms_of, campaign_log, purchases_within, window_of
from clvml.campaigns.result import Audience, read_audience
from clvml.checks import check_level
from clvml.display import money, money_in, unit_within
from clvml.errors import OptionError
from clvml.maths.comparison import Comparison, compare, cuped, stratified_difference
from clvml.orders.transactions import Transactions

__all__ = [
    "MIN_GROUP_CUSTOMERS",
    "Compared",
    "compare_arms",
    "cost_of",
    "lift_between",
    "lift_of",
    "measure_outcome",
]

MIN_GROUP_CUSTOMERS = 10
"""Customers in each group below which nothing is compared."""
_PROFIT_FIELDS = ("profit", "profit_low", "profit_high", "profit_anytime_low", "profit_anytime_high")


def measure_outcome(
    audience: Audience | pd.DataFrame | str | os.PathLike[str],
    log: Transactions,
    *,
    end: Any = None,
    start: Any = None,
    by: str | None = "planned_treatment",
    incentive_in_log: bool = False,
    level: float = 0.95,
) -> Outcome:
    """Treated against control in the purchases of (start, end].

    Everybody counts in the group drawn, whether or not reached (intention to treat). Intervals allow for skewed money:
    they come from the studentised randomisation distribution, so a large order that happens to lie in a small control
    group is no gain and no loss. Those of parts of the audience hold together. Beside them stand intervals that hold at
    all looks within the window together, for a read-out every night.

    Parameters
    ----------
    audience : Audience, DataFrame or path
        What the planner wrote.
    log : Transactions
        Orders until `end` at least. Of a log on Spark the lines of the audience's customers come to this machine.
    end : date, optional
        Last day that counts. Default: `start` plus the audience's horizon. An earlier day is a look before the end,
        whose verdict is that of the interval for all looks.
    start : date, optional
        Day after which purchases count. Default: the audience's as_of. Set both to look at a later window, where
        purchases that were only pulled forward are missing again.
    by : str or None
        A column of the audience to split by as well.
    incentive_in_log : bool
        Whether the log's money is already net of the incentives, so that they are not paid twice.
    level : float
        Level of the intervals, between 0 and 1.

    Returns
    -------
    Outcome
        Effects on the share who returned, on revenue and on contribution per customer, and the profit after costs.

    Raises
    ------
    DataError
        Where the log ends before the window does, or knows none of the customers.
    OptionError
        For dates out of order, an unknown column in `by`, or a level outside (0, 1).

    References
    ----------
    Wu, J. & Ding, P. (2021). Randomization tests for weak null hypotheses in randomized experiments. JASA 116.
    Deng, A., Xu, Y., Kohavi, R. & Walker, T. (2013). Improving the sensitivity of online controlled experiments. WSDM.
    Jennison, C. & Turnbull, B. W. (1989). Interim analyses: the repeated confidence interval approach. JRSS B 51.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from clvml import Transactions, measure_outcome
    >>> ids = np.arange(400)
    >>> audience = pd.DataFrame({
    ...     "customer_id": ids, "group": np.where(ids % 2, "treat", "control"), "planned_treatment": "mail",
    ...     "as_of": "2024-01-31", "horizon_days": 30})
    >>> buyers = ids[(ids % 2 == 1) & (ids % 10 < 6)]
    >>> orders = pd.DataFrame({
    ...     "customer_id": np.r_[ids, buyers, 0], "amount": 20.0,
    ...     "date": ["2024-01-01"] * 400 + ["2024-02-10"] * len(buyers) + ["2024-03-31"]})
    >>> outcome = measure_outcome(audience, Transactions(orders))
    >>> outcome.lift_of("all", "returned").effect
    0.6
    >>> outcome.profit, outcome.profit_low > 0
    (2400.0, True)
    """
    check_level(level)
    table = read_audience(audience).reset_index(drop=True)
    log = campaign_log(log, table["customer_id"]) if len(table) else log
    window = window_of(table, log, start, end)
    if by is not None and by not in table:
        raise OptionError(f"by='{by}' is no column of the audience. It has: {', '.join(map(str, table))}.")
    arms = arms_of(table, purchases_within(log, window.start, window.end))
    treated, control = int(arms.treated.sum()), int((~arms.treated).sum())
    cost = cost_of(table, arms, incentive_in_log)
    facts: dict[str, Any] = {
        "campaign": str(table["campaign"].iloc[0]) if "campaign" in table and len(table) else "",
        "start": str(window.start),
        "end": str(window.end),
        "planned_end": str(window.planned_end),
        "treated": treated,
        "control": control,
        "cost": cost,
        "level": level,
        "notes": (*_notes(table, arms), *_too_small(table, arms, by)),
    }
    if message := _without_comparison(arms):
        facts |= dict.fromkeys(_PROFIT_FIELDS, float("nan"))
        return Outcome(lifts=(), message=message, **facts)
    lifts = _lifts(table, arms, by, level, window)
    money = next(lift for lift in lifts if lift.customers == "all" and lift.measure == "contribution")
    bounds = (money.effect, money.low, money.high, money.anytime_low, money.anytime_high)
    profits = {name: treated * value - cost for name, value in zip(_PROFIT_FIELDS, bounds, strict=True)}
    facts |= profits
    return Outcome(lifts=lifts, message=_verdict(profits, cost, level, window), **facts)


def _lifts(table: pd.DataFrame, arms: Arms, by: str | None, level: float, window: Window) -> tuple[Lift, ...]:
    everyone = np.ones(len(table), dtype=np.bool_)
    found = [lift_between("all", m, arms, everyone, level, window.elapsed) for m in arms.measures]
    parts = _parts(table, arms, by)
    for name, rows in parts:
        if not arms.measures["returned"][rows].any():
            continue  # where nobody bought, the interval would have no width
        found += [lift_between(name, m, arms, rows, level, window.elapsed, len(parts)) for m in arms.measures]
    return tuple(found)


def _parts(table: pd.DataFrame, arms: Arms, by: str | None) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    """The parts of the audience that are large enough to compare; none where all are in one."""
    if by is None:
        return []
    names = table[by].astype("string").fillna("?")
    if names.nunique() == 1:
        return []
    parts = [(str(name), (names == name).to_numpy(np.bool_)) for name in sorted(names.unique())]
    return [
        (name, rows)
        for name, rows in parts
        if min((rows & arms.treated).sum(), (rows & ~arms.treated).sum()) >= MIN_GROUP_CUSTOMERS
    ]


def _too_small(table: pd.DataFrame, arms: Arms, by: str | None) -> list[str]:
    """Which parts of the audience are not compared by themselves, and why."""
    if by is None or not (names := table[by].astype("string").fillna("?")).nunique() > 1:
        return []
    compared = {name for name, _ in _parts(table, arms, by)}
    sizes = {str(name): int((names == name).sum()) for name in sorted(names.unique()) if str(name) not in compared}
    treated = {name: int(((names == name) & arms.treated).sum()) for name in sizes}
    few = ", ".join(f"'{name}' ({treated[name]:,} treated, {n - treated[name]:,} control)" for name, n in sizes.items())
    least = f"fewer than {MIN_GROUP_CUSTOMERS} in a group"
    return [f"in 'all' alone, because there are {least}: {few}."] if few else []


class Compared(NamedTuple):
    """How many could be treated and were held out, and the difference in each measure; none where too few were."""

    treated: int
    control: int
    lifts: tuple[Lift, ...]


def compare_arms(arms: Arms, level: float) -> Compared:
    """All customers of two arms, at the end of the time looked at."""
    treated, control = int(arms.treated.sum()), int((~arms.treated).sum())
    if min(treated, control) < MIN_GROUP_CUSTOMERS:
        return Compared(treated, control, ())
    everybody = np.ones(len(arms.treated), np.bool_)
    lifts = tuple(lift_between("all", m, arms, everybody, level, 1.0) for m in arms.measures)
    return Compared(treated, control, lifts)


def lift_between(
    name: str,
    measure: str,
    arms: Arms,
    rows: npt.NDArray[np.bool_],
    level: float,
    elapsed: float,
    parts: int = 1,
) -> Lift:
    """Treated against control among the rows. parts: how many intervals of the measure are to hold together."""
    y, treated = arms.measures[measure][rows], arms.treated[rows]
    adjusted, removed = cuped(y, arms.predictors[measure][rows], treated) if measure in arms.predictors else (y, 0.0)
    found = compare(adjusted, treated, arms.stratum[rows], level=level, groups=parts)
    sizes = int(treated.sum()), int((~treated).sum())
    means = float(y[treated].mean()), float(y[~treated].mean())
    return lift_of(name, measure, sizes, means, found, level, removed=removed, elapsed=elapsed, parts=parts)


def lift_of(
    name: str,
    measure: str,
    sizes: tuple[int, int],
    means: tuple[float, float],
    found: Comparison,
    level: float,
    *,
    removed: float,
    elapsed: float,
    parts: int = 1,
) -> Lift:
    """What was found between treated and control, of which sizes and means are given in this order."""
    low, high = found.interval(level, groups=parts)
    anytime_low, anytime_high = found.interval(level, groups=parts, elapsed=elapsed)
    return Lift(
        customers=name,
        measure=measure,
        treated=sizes[0],
        control=sizes[1],
        treated_mean=means[0],
        control_mean=means[1],
        effect=found.effect,
        se=found.se,
        low=low,
        high=high,
        anytime_low=anytime_low,
        anytime_high=anytime_high,
        p_value=found.p_value(parts),
        variance_removed=removed,
    )


def cost_of(table: pd.DataFrame, arms: Arms, incentive_in_log: bool) -> float:
    """Contacts of all treated, and an incentive for each treated customer who bought."""
    cost = float(table.loc[arms.treated, "contact_cost"].sum()) if "contact_cost" in table else 0.0
    if incentive_in_log or "incentive" not in table:
        return cost
    bought = arms.treated & (arms.measures["returned"] > 0)
    return cost + float(table.loc[bought, "incentive"].sum())


def _notes(table: pd.DataFrame, arms: Arms) -> list[str]:
    """What would make the comparison doubtful: rows lost since the draw, or groups that differed before."""
    from scipy.stats import binomtest

    notes = []
    control = int((~arms.treated).sum())
    if "control_share" in table and control:
        share = float(table["control_share"].iloc[0])
        if 0 < share < 1 and binomtest(control, len(table), share).pvalue < 1e-3:
            notes.append(
                f"the control group is {control / len(table):.1%} of the file where {share:.1%} was drawn: "
                "were rows taken out after the draw? Then the groups may differ for that reason alone."
            )
    if min(control, len(table) - control) >= MIN_GROUP_CUSTOMERS and "returned" in arms.predictors:
        gap, se = stratified_difference(arms.predictors["returned"], arms.treated, arms.stratum)
        if se > 0 and abs(gap) > 4 * se:
            notes.append(f"the groups differed before the campaign: return probability by {100 * gap:+.1f} points.")
    return notes


def _without_comparison(arms: Arms) -> str:
    """What may be said where nothing can be compared; nothing where it can."""
    treated, control = int(arms.treated.sum()), int((~arms.treated).sum())
    advice = f"Keep a {'larger ' if control else ''}control group next time: the planner draws one."
    if control == 0:
        text = (
            "There is no control group: the effect of the campaign cannot be measured, because nobody knows what would "
            "have happened without it."
        )
    elif min(treated, control) < MIN_GROUP_CUSTOMERS:
        text = (
            f"With {treated} treated and {control} control customers there is too little to compare (at least "
            f"{MIN_GROUP_CUSTOMERS} of each): the effect of the campaign cannot be measured."
        )
    elif not arms.measures["returned"].any():
        text = (
            f"Nobody bought, of {treated:,} treated and {control:,} control customers: the effect of the campaign "
            f"cannot be measured. With 95% certainty fewer than {_most_share(treated):.1%} of customers treated like "
            f"this buy, and fewer than {_most_share(control):.1%} of those left alone."
        )
        advice = "Read it out later, or treat more customers."
    else:
        return ""
    if treated and "returned" in arms.predictors:
        bought = arms.measures["returned"][arms.treated].mean()
        predicted = arms.predictors["returned"][arms.treated].mean()
        text += (
            f" What can be said: {bought:.1%} of the treated bought, where the scores had predicted {predicted:.1%} "
            "without a campaign. The difference is campaign, season and error of the scores together."
        )
    return f"{text} {advice}"


def _most_share(customers: int) -> float:
    """Upper 95% bound of a share of which none was seen among so many (Clopper & Pearson 1934)."""
    return float(1 - 0.05 ** (1 / customers))


def _verdict(profits: dict[str, float], cost: float, level: float, window: Window) -> str:
    """Whether it paid, by the interval that fits: for one look at the end, or for all looks before."""
    over = window.end >= window.planned_end
    low, high = (profits[f"profit_{name}"] for name in (("low", "high") if over else ("anytime_low", "anytime_high")))
    looks = "" if over else " at all looks together"
    unit = unit_within(low, high)
    figures = (
        f"profit {money_in(unit, profits['profit'])} after {money(cost)} of cost ({level:.0%} interval{looks} "
        f"{money_in(unit, low)} to {money_in(unit, high)})"
    )
    if over:
        verdict = "It paid" if low > 0 else "It lost money" if high < 0 else "Whether it paid is not clear"
        return (
            f"{verdict}: {figures}. Had you looked every night and stopped on what you saw, the interval would be "
            f"{money_in(unit, profits['profit_anytime_low'])} to {money_in(unit, profits['profit_anytime_high'])}."
        )
    verdict = "It pays" if low > 0 else "It loses money" if high < 0 else "Too early to say whether it pays"
    days = (window.planned_end - window.end).days
    return f"{verdict}, {days:,} days before the end on {window.planned_end}: {figures}."
