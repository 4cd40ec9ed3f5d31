"""Did the campaign pay: treated against control in the log after it, by intention to treat, with intervals."""

from __future__ import annotations

import datetime as dt
import os
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import binomtest, norm

from clvml.campaigns.result import Audience, read_audience
from clvml.campaigns.uplift.experiment import Experiment
from clvml.checks import check_level
from clvml.errors import DataError, OptionError, did_you_mean
from clvml.horizon import as_date, horizon_days
from clvml.orders.transactions import Transactions
from clvml.tables import canonical_ids

__all__ = ["Lift", "Outcome", "campaign_experiment", "cuped", "measure_outcome", "stratified_difference"]

Array = npt.NDArray[np.float64]
_PREDICTORS = {"returned": "p_return", "revenue": "expected_spend", "contribution": "clv"}
"""What the scores said beforehand about each measure: CUPED takes it out (Deng et al. 2013, WSDM)."""
_FEATURES = ("churn_probability", "value_if_kept", "clv", "tier", "state")
_LEAST = 10
"""Customers in each group below which nothing is compared."""


@dataclass(frozen=True)
class Lift:
    """One measure of one group of customers, treated against control, per customer."""

    customers: str  # "all", or the planned treatment, or the tier
    measure: str  # returned (a share), revenue or contribution (money)
    treated: int
    control: int
    treated_mean: float
    control_mean: float
    effect: float
    low: float
    high: float
    p_value: float
    variance_removed: float  # by CUPED, as a share

    def __str__(self) -> str:
        tell, move = (_percent, _points) if self.measure == "returned" else (_money, _money_moved)
        return (
            f"{self.customers[:23]:<24}{self.measure:<13}{tell(self.treated_mean):>11}{tell(self.control_mean):>11}"
            f"{move(self.effect):>12}  {move(self.low)} to {move(self.high)}"
        )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _points(share: float) -> str:
    return f"{100 * share:+.1f} p"


def _money(amount: float) -> str:
    return f"{amount:,.2f}"


def _money_moved(amount: float) -> str:
    return f"{amount:+,.2f}"


@dataclass(frozen=True)
class Outcome:
    """What came of a campaign. Without a control group `lifts` is empty and `message` says what can be said instead."""

    campaign: str
    start: str
    end: str
    treated: int
    control: int
    lifts: tuple[Lift, ...]
    cost: float  # contacts and redeemed incentives of the treated
    profit: float  # extra contribution of all treated, less cost; NaN without control
    profit_low: float
    profit_high: float
    message: str
    level: float = 0.95  # of all intervals
    notes: tuple[str, ...] = ()

    @property
    def comparable(self) -> bool:
        """Whether an effect could be measured."""
        return bool(self.lifts)

    def effect_of(self, customers: str = "all") -> dict[str, float | str]:
        """The effect as settings of a Treatment of the next plan: extra_contribution, effect_sd, effect_source.

        It is contribution before contact cost, and before incentives unless the log was already net of them (then plan
        with incentive 0). Raises OptionError where nothing was measured for these customers.
        """
        for lift in self.lifts:
            if lift.customers == customers and lift.measure == "contribution":
                se = (lift.high - lift.low) / (2 * float(norm.ppf(0.5 + self.level / 2)))
                told = f"measured in '{self.campaign}', {self.start} to {self.end}: {lift.effect:+.4g} per customer"
                source = f"{told} ({lift.low:+.4g} to {lift.high:+.4g})"
                return {"extra_contribution": lift.effect, "effect_sd": se, "effect_source": source}
        known = ", ".join(dict.fromkeys(lift.customers for lift in self.lifts)) or "nobody"
        raise OptionError(f"No effect was measured for '{customers}'. Measured: {known}.")

    def to_frame(self) -> pd.DataFrame:
        """One row a group of customers and measure."""
        return pd.DataFrame([asdict(lift) for lift in self.lifts], columns=list(Lift.__dataclass_fields__))

    def to_dict(self) -> dict[str, Any]:
        """All findings as plain values."""
        told = asdict(self) | {"comparable": self.comparable, "lifts": [asdict(lift) for lift in self.lifts]}
        return {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in told.items()}

    def __str__(self) -> str:
        lines = [
            f"Campaign '{self.campaign}', {self.start} to {self.end}: "
            f"{self.treated:,} treated, {self.control:,} control"
        ]
        if self.lifts:
            head = f"{'customers':<24}{'measure':<13}{'treated':>11}{'control':>11}{'effect':>12}"
            lines += [f"  {head}  {self.level:.0%} interval", *(f"  {lift}" for lift in self.lifts)]
            lines.append("  returned: who bought in the time; p: points of it; money: per customer of the group")
        for text in (self.message, *(f"note: {note}" for note in self.notes)):
            lines += textwrap.wrap(text, 98)
        return "\n".join(lines)


class _Group(NamedTuple):
    """Rows of the audience that are compared, and the measures after the campaign."""

    treated: npt.NDArray[np.bool_]
    stratum: npt.NDArray[Any]
    measures: dict[str, Array]
    predictors: dict[str, Array]


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

    audience: what the planner wrote. start: default the audience's as_of; end: default start plus its horizon. Set
    both to look at a later window, where purchases that were only pulled forward are missing again. by: a column of
    the audience to split by as well. incentive_in_log: whether the log's money is already net of the incentives, so
    that they are not paid twice. Everybody counts in the group drawn, whether or not reached (intention to treat).
    Raises DataError where the log ends before the window does, or knows none of the customers.
    """
    check_level(level)
    table = read_audience(audience).reset_index(drop=True)
    first, last = _window(table, log, start, end)
    if by is not None and by not in table:
        raise OptionError(f"by='{by}' is no column of the audience. It has: {', '.join(map(str, table))}.")
    group = _grouped(table, _activity(log, first, last))
    treated, control = int(group.treated.sum()), int((~group.treated).sum())
    cost = _cost(table, group, incentive_in_log)
    facts: dict[str, Any] = {
        "campaign": str(table["campaign"].iloc[0]) if "campaign" in table and len(table) else "",
        "start": str(first),
        "end": str(last),
        "treated": treated,
        "control": control,
        "cost": cost,
        "level": level,
        "notes": tuple(_notes(table, group)),
    }
    if min(treated, control) < _LEAST:
        facts |= dict.fromkeys(("profit", "profit_low", "profit_high"), float("nan"))
        return Outcome(lifts=(), message=_instead(group), **facts)
    lifts = _lifts(table, group, by, level)
    money = next(lift for lift in lifts if lift.customers == "all" and lift.measure == "contribution")
    profit, low, high = (treated * value - cost for value in (money.effect, money.low, money.high))
    message = _verdict(profit, low, high, cost, level)
    return Outcome(lifts=lifts, profit=profit, profit_low=low, profit_high=high, message=message, **facts)


def campaign_experiment(
    audience: Audience | pd.DataFrame | str | os.PathLike[str],
    log: Transactions,
    treatment: str,
    *,
    features: Sequence[str] = _FEATURES,
    end: Any = None,
) -> Experiment:
    """One treatment of a finished campaign as an Experiment: who responded to it is then a question for `study_uplift`.

    Only the customers for whom it was planned take part, treated or control: the chance of treatment is one minus the
    control share. Outcomes: returned, revenue, contribution within the window. Raises DataError, OptionError.
    """
    table = read_audience(audience).reset_index(drop=True)
    own = table[table["planned_treatment"].astype("string") == treatment].reset_index(drop=True)
    if own.empty:
        names = sorted(table["planned_treatment"].astype(str).unique())
        raise OptionError(
            f"No customer was planned for '{treatment}'.{did_you_mean(treatment, names)} Planned: {', '.join(names)}."
        )
    first, last = _window(own, log, None, end)
    group = _grouped(own, _activity(log, first, last))
    arm = np.where(group.treated, treatment, "control")
    data = own[list(features)].assign(customer_id=own["customer_id"], arm=arm, **group.measures)
    outcomes = list(group.measures)
    return Experiment.from_frame(
        data, treatment="arm", control="control", outcomes=outcomes, features=features, customer="customer_id"
    )


def cuped(y: Array, x: Array, treated: npt.NDArray[np.bool_]) -> tuple[Array, float]:
    """(y − theta (x − mean x), share of variance removed), theta pooled within groups (Deng et al. 2013, eq. 4).

    x is known before the campaign, so the mean effect is untouched; only its noise becomes smaller.
    """
    covariance = variance = total = 0.0
    for rows in (treated, ~treated):
        if rows.any():
            u, v = x[rows] - x[rows].mean(), y[rows] - y[rows].mean()
            covariance, variance, total = covariance + float(u @ v), variance + float(u @ u), total + float(v @ v)
    if variance <= 0 or total <= 0:
        return y, 0.0
    return y - covariance / variance * (x - x.mean()), covariance**2 / (variance * total)


def stratified_difference(y: Array, treated: npt.NDArray[np.bool_], stratum: npt.NDArray[Any]) -> tuple[float, float]:
    """(difference in means, standard error), strata weighted by their size (Imbens & Rubin 2015, section 9.3).

    Strata with fewer than two in a group are put together; if that is still too few, they join the others in one.
    """
    code = pd.factorize(stratum)[0]
    counts = np.array([[(code[g] == s).sum() for s in range(code.max() + 1)] for g in (treated, ~treated)])
    thin = np.flatnonzero((counts < 2).any(axis=0))
    code = np.where(np.isin(code, thin), -1, code)
    if len(thin) and min((code[treated] == -1).sum(), (code[~treated] == -1).sum()) < 2:
        code = np.zeros_like(code)
    difference = variance = 0.0
    for s in np.unique(code):
        ours, theirs = y[treated & (code == s)], y[~treated & (code == s)]
        weight = (len(ours) + len(theirs)) / len(y)
        difference += weight * float(ours.mean() - theirs.mean())
        variance += weight**2 * float(ours.var(ddof=1) / len(ours) + theirs.var(ddof=1) / len(theirs))
    return difference, float(np.sqrt(variance))


def _window(table: pd.DataFrame, log: Transactions, start: Any, end: Any) -> tuple[dt.date, dt.date]:
    if not len(table):
        raise DataError("The audience is empty: nobody was treated, so there is nothing to measure.")
    as_of = as_date(table["as_of"].iloc[0])
    first = as_of if start is None else as_date(start, "start")
    if first < as_of:
        raise OptionError(f"start={first} lies before the audience's as_of={as_of}: that was known when it was drawn.")
    if end is None:
        if "horizon_days" not in table:
            raise OptionError("The audience does not tell its horizon. Pass end=<last day of the campaign's window>.")
        last = first + dt.timedelta(days=horizon_days(int(table["horizon_days"].iloc[0])))
    else:
        last = as_date(end, "end")
    if last <= first:
        raise OptionError(f"end={last} must lie after start={first}.")
    if last > log.last_date:
        raise DataError(
            f"The log ends on {log.last_date}, before the window does on {last}. "
            f"What is not booked yet would count as no purchase: wait, "
            f"or pass end='{log.last_date}' and know that it is a shorter look."
        )
    return first, last


def _activity(log: Transactions, first: dt.date, last: dt.date) -> pd.DataFrame:
    """customer_id (text), purchases, revenue, contribution within (first, last] of all customers of the log."""
    found = log.activity(first, last).rename(columns={"amount": "revenue"})
    return found.assign(customer_id=canonical_ids(found["customer_id"])).set_index("customer_id")


def _grouped(table: pd.DataFrame, after: pd.DataFrame) -> _Group:
    words = table["group"].astype("string").str.strip().str.lower()
    odd = ~words.isin(["treat", "control"])
    if odd.any():
        raise DataError(
            f"{odd.sum()} rows of the audience have a group that is neither treat nor control, "
            f"first '{table['group'][odd].iloc[0]}'."
        )
    known = table["customer_id"].isin(after.index)
    if not known.any():
        raise DataError(
            f"None of the {len(table):,} customers of the audience is in the log, "
            f"the first is '{table['customer_id'].iloc[0]}'. "
            "Is it the right log, and are the ids written in the same way?"
        )
    rows = after.reindex(table["customer_id"]).fillna(0.0)
    measures = {
        "returned": (rows["purchases"].to_numpy(np.float64) > 0) * 1.0,
        "revenue": rows["revenue"].to_numpy(np.float64),
        "contribution": rows["contribution"].to_numpy(np.float64),
    }
    predictors = {m: table[c].to_numpy(np.float64) for m, c in _PREDICTORS.items() if c in table}
    stratum = (
        table["stratum"].astype("string").fillna("?").to_numpy(dtype=object)
        if "stratum" in table
        else np.zeros(len(table))
    )
    return _Group((words == "treat").to_numpy(np.bool_), stratum, measures, predictors)


def _lifts(table: pd.DataFrame, group: _Group, by: str | None, level: float) -> tuple[Lift, ...]:
    everyone = np.ones(len(table), dtype=np.bool_)
    parts = [("all", everyone)]
    if by is not None:
        names = table[by].astype("string").fillna("?")
        parts += [
            (str(name), (names == name).to_numpy(np.bool_)) for name in sorted(names.unique()) if names.nunique() > 1
        ]
    found = []
    for name, rows in parts:
        if min((rows & group.treated).sum(), (rows & ~group.treated).sum()) >= _LEAST:
            found += [_lift(name, measure, group, rows, level) for measure in group.measures]
    return tuple(found)


def _lift(name: str, measure: str, group: _Group, rows: npt.NDArray[np.bool_], level: float) -> Lift:
    y, treated = group.measures[measure][rows], group.treated[rows]
    adjusted, removed = cuped(y, group.predictors[measure][rows], treated) if measure in group.predictors else (y, 0.0)
    effect, se = stratified_difference(adjusted, treated, group.stratum[rows])
    z = float(norm.ppf(0.5 + level / 2))
    return Lift(
        customers=name,
        measure=measure,
        treated=int(treated.sum()),
        control=int((~treated).sum()),
        treated_mean=float(y[treated].mean()),
        control_mean=float(y[~treated].mean()),
        effect=effect,
        low=effect - z * se,
        high=effect + z * se,
        p_value=float(2 * norm.sf(abs(effect) / se)) if se > 0 else float(effect == 0),
        variance_removed=removed,
    )


def _cost(table: pd.DataFrame, group: _Group, incentive_in_log: bool) -> float:
    """Contacts of all treated, and an incentive for each treated customer who bought."""
    cost = float(table.loc[group.treated, "contact_cost"].sum()) if "contact_cost" in table else 0.0
    if incentive_in_log or "incentive" not in table:
        return cost
    bought = group.treated & (group.measures["returned"] > 0)
    return cost + float(table.loc[bought, "incentive"].sum())


def _notes(table: pd.DataFrame, group: _Group) -> list[str]:
    """What would make the comparison doubtful: rows lost since the draw, or groups that differed before."""
    notes = []
    control = int((~group.treated).sum())
    if "control_share" in table and control:
        share = float(table["control_share"].iloc[0])
        if 0 < share < 1 and binomtest(control, len(table), share).pvalue < 1e-3:
            notes.append(
                f"the control group is {control / len(table):.1%} of the file where {share:.1%} was drawn: "
                "were rows taken out after the draw? Then the groups may differ for that reason alone."
            )
    if min(control, len(table) - control) >= _LEAST and "returned" in group.predictors:
        gap, se = stratified_difference(group.predictors["returned"], group.treated, group.stratum)
        if se > 0 and abs(gap) > 4 * se:
            notes.append(f"the groups differed before the campaign: return probability by {100 * gap:+.1f} points.")
    return notes


def _instead(group: _Group) -> str:
    """What may be said where nothing can be compared."""
    treated, control = int(group.treated.sum()), int((~group.treated).sum())
    text = (
        "There is no control group: what the campaign did cannot be told, because nobody knows what would have "
        "happened without it."
        if control == 0
        else f"With {treated} treated and {control} control customers there is too little to compare (at least "
        f"{_LEAST} of each): what the campaign did cannot be told."
    )
    if treated and "returned" in group.predictors:
        bought = group.measures["returned"][group.treated].mean()
        foretold = group.predictors["returned"][group.treated].mean()
        text += (
            f" What can be said: {bought:.1%} of the treated bought, where the scores had foretold {foretold:.1%} "
            "without a campaign. The difference is campaign, season and error of the scores together."
        )
    return text + f" Keep a {'larger ' if control else ''}control group next time: the planner draws one."


def _verdict(profit: float, low: float, high: float, cost: float, level: float) -> str:
    told = f"profit {profit:,.2f} after {cost:,.2f} of cost ({level:.0%} interval {low:,.2f} to {high:,.2f})"
    if low > 0:
        return f"It paid: {told}."
    if high < 0:
        return f"It lost money: {told}."
    return f"Whether it paid cannot be told: {told}."
