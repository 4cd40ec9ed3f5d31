"""Past scores against what happened since: is the model still right, and when is a new one due?"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.errors import DataError, OptionError
from clvml.estimators.uncertainty.totals import LevelSd
from clvml.evaluation.deciles import decile_table
from clvml.evaluation.drift import MIN_JUDGED_CUSTOMERS, drift_table
from clvml.horizon import as_date
from clvml.maths import metrics
from clvml.orders.transactions import Transactions, check_log
from clvml.redaction import shown_id
from clvml.scores.totals import level_sd_of, total_interval_around
from clvml.tables import canonical_ids, finite_column

__all__ = ["Monitor", "monitor"]

Floats = NDArray[np.float64]

_BIAS_EDGE = 0.25
"""A total outside 0.8 to 1.25 times what was expected asks for a new model."""
_LEVEL = 0.95
_DRIFT_EDGE = 0.25
"""A population stability index above it is a shift by the usual reading: under .1 none, up to .25 some."""
_AUC_EDGE = 0.55
MIN_DAYS = 7
"""Days that must have passed."""
_YEAR = 365
_PRIOR_PURCHASES = 100.0
"""Purchases of an earlier window with which its share counts as much as that of purchases spread evenly."""
_SUMMARY = ("frequency", "T", "days_since_last", "monetary_value")
_FORECAST = ("expected_purchases", "expected_spend", "p_return")


@dataclass(frozen=True, repr=False)
class Monitor:
    """What became of scores."""

    as_of: str
    until: str
    """The last day compared; before the scores' horizon ends, they are taken down to the part that is due by then."""
    days: int
    customers: int
    joined: int
    """Customers who joined since, and so were not scored."""
    joined_share: float
    """Their part of the spend since; NaN where there was none."""
    table: pd.DataFrame
    """Tidy: target (purchases, spend, return), metric, value."""
    deciles: pd.DataFrame
    """Calibration by tenth of the predicted order: target, decile, predicted, actual."""
    drift: pd.DataFrame
    """column, psi (population stability index between the customers scored and those of the log now), same_age (the
    same where only customers of like age are compared, for a total grows with age; NaN where there are none)."""
    due: tuple[str, ...]
    """Why a new model is due, in words; empty where none is."""

    def metrics(self) -> dict[str, float]:
        """Flat names for a tracker: monitor.spend.bias, monitor.drift.frequency and so on; only finite ones."""
        found = dict(
            zip("monitor." + self.table["target"] + "." + self.table["metric"], self.table["value"], strict=True)
        )
        columns = "monitor.drift." + self.drift["column"]
        found |= dict(zip(columns, self.drift["psi"], strict=True))
        found |= dict(zip(columns + ".same_age", self.drift["same_age"], strict=True))
        found |= {"monitor.customers": self.customers, "monitor.days": self.days, "monitor.joined": self.joined}
        found["monitor.due"] = len(self.due)
        return {str(name): float(value) for name, value in found.items() if np.isfinite(value)}

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: None stands for what could not be computed."""
        found = {name: getattr(self, name) for name in ("as_of", "until", "days", "customers", "joined")}
        found["joined_share"] = self.joined_share if np.isfinite(self.joined_share) else None
        for name in ("table", "deciles", "drift"):
            frame: pd.DataFrame = getattr(self, name)
            found[name] = frame.astype(object).where(frame.notna(), None).to_dict("records")
        return found | {"due": list(self.due)}

    def __str__(self) -> str:
        """A report for a terminal, at most 100 columns wide."""
        value = self.table.set_index(["target", "metric"])["value"]
        lines = [
            f"Scores as of {self.as_of} against the {self.days} days to {self.until}, {self.customers:,} customers",
            f"{'':12}{'expected':>14}{'actual':>14}{'times':>8}   order of the customers",
        ]
        for target in ("purchases", "spend", "return"):
            rank = ("AUC", "auc", "0.5 is chance") if target == "return" else ("Gini", "gini", "0 is chance")
            lines.append(
                f"{_NAMES[target]:12}{value[target, 'expected']:>14,.0f}{value[target, 'actual']:>14,.0f}"
                f"{_ratio(value[target, 'actual'], value[target, 'expected']):>8.2f}   "
                f"{rank[0]} {value[target, rank[1]]:.3f} (1 is perfect, {rank[2]})"
            )
        lines.append(f"joined since, not scored: {self._joined()}")
        lines += ["shift of the customers (population stability index; above 0.25 is a shift):"]
        lines += [_drift_line(self.days, *row) for row in self.drift.itertuples(index=False, name=None)]
        lines += [f"A new model is due: {reason}." for reason in self.due] or ["No new model is due."]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _joined(self) -> str:
        share = f", {self.joined_share:.0%} of the spend" if np.isfinite(self.joined_share) else ""
        return f"{self.joined:,} customer{'' if self.joined == 1 else 's'}{share}"


_NAMES = {"purchases": "purchases", "spend": "spend", "return": "returners"}


def _drift_line(days: int, column: str, psi: float, same_age: float) -> str:
    if column == "T":
        return f"  {column:18}{psi:>7.3f}, as everybody who was there then is {days:,} days older"
    same = f"among customers of like age {same_age:.3f}" if np.isfinite(same_age) else "too few of like age to compare"
    return f"  {column:18}{psi:>7.3f}, {same}"


def monitor(log: Transactions, scores: pd.DataFrame) -> Monitor:
    """Compare scores of an earlier day with what the log shows since, and say whether a new model is due.

    Where the horizon has not ended yet, expectations are taken down to the part that is due by then: as much as came
    in as many days of the same window a year ago or, in a younger log, of the window before the scores. Where the log
    knows neither, in proportion to the days.

    Parameters
    ----------
    log : Transactions
        The log that was scored, continued.
    scores : pandas.DataFrame
        Scores of one earlier day: the output of `ClvModel.score` or of `clvml predict`.

    Returns
    -------
    Monitor

    Raises
    ------
    DataError
        If the scores lack columns, mix days, or are of another log.
    OptionError
        If less than a week has passed.

    Examples
    --------
    >>> from clvml import ClvModel, Transactions, load_cdnow, monitor
    >>> log = Transactions(load_cdnow(sample=True))
    >>> scores = ClvModel(horizon="13w").fit(log, "1997-09-30").score(log)
    >>> found = monitor(log, scores)
    >>> found.until, found.days
    ('1997-12-30', 91)
    """
    check_log(log)
    as_of, horizon = _one_day(scores)
    until = min(as_of + dt.timedelta(days=horizon), log.last_date)
    days = (until - as_of).days
    if days < min(MIN_DAYS, horizon):
        raise OptionError(
            f"The scores are as of {as_of} and the log ends on {log.last_date}: at least {min(MIN_DAYS, horizon)} "
            "days after the scores are needed to compare. Wait, or give the log with the orders since."
        )
    held = log.split(as_of, until).holdout
    matched = _matched(scores, held, as_of)
    forecast = _forecast(matched, 1.0 if days == horizon else _share_due(log, as_of, horizon, days))
    actual = {
        "purchases": matched["purchases"].to_numpy(np.float64),
        "spend": matched["spend"].to_numpy(np.float64),
        "return": (matched["purchases"].to_numpy() > 0).astype(np.float64),
    }
    rows = [(t, name, value) for t, y in actual.items() for name, value in _measures(t, y, forecast[t])]
    table = pd.DataFrame(rows, columns=["target", "metric", "value"])
    deciles = decile_table(actual, forecast)
    drift = drift_table(matched, log.summarize(until), _SUMMARY)
    joined = float(held.attrs["late_joiner_spend"])
    total = joined + float(actual["spend"].sum())
    return Monitor(
        as_of=as_of.isoformat(),
        until=until.isoformat(),
        days=days,
        customers=len(matched),
        joined=int(held.attrs["late_joiners"]),
        joined_share=joined / total if total > 0 else float("nan"),
        table=table,
        deciles=deciles,
        drift=drift,
        due=(
            *_wrong_level(actual, forecast, level_sd_of(scores)),
            *_wrong_order(actual["return"], forecast["return"]),
            *_shifted(drift),
        ),
    )


def _one_day(scores: pd.DataFrame) -> tuple[dt.date, int]:
    """(as_of, horizon in days) of the scores, once they are a score file of one day."""
    needed = ("customer_id", "as_of", "horizon_days", *_SUMMARY, *_FORECAST)
    missing = [name for name in needed if name not in scores]
    if missing:
        raise DataError(
            f"The scores lack {len(missing)} columns, first '{missing[0]}'. Give a file that `clvml predict` wrote."
        )
    if scores.empty:
        raise DataError("The scores are empty. Give a file that `clvml predict` wrote.")
    for name in ("as_of", "horizon_days"):
        values = scores[name].astype("string").unique()
        if len(values) > 1:
            raise DataError(
                f"The scores mix {len(values)} values of {name}, first {values[0]} and {values[1]}. "
                "Give one file of `clvml predict` at a time."
            )
    for name in ("horizon_days", *_SUMMARY, *_FORECAST):
        finite_column(scores, name, "scores")
    return as_date(str(scores["as_of"].iloc[0])[:10]), int(scores["horizon_days"].iloc[0])


def _matched(scores: pd.DataFrame, held: pd.DataFrame, as_of: dt.date) -> pd.DataFrame:
    """Scores beside the outcome, by customer. One whom the log does not know at as_of is an error: another log."""
    left = scores.drop(columns=["purchases", "spend"], errors="ignore").assign(
        _key=canonical_ids(scores["customer_id"])
    )
    twice = left["_key"].duplicated()
    if twice.any():
        raise DataError(
            f"{twice.sum()} customers stand twice in the scores, first '{shown_id(left['_key'][twice].iloc[0])}'. "
            "Keep one row each."
        )
    right = held.assign(_key=canonical_ids(held["customer_id"]))[["_key", "purchases", "spend"]]
    matched = right.merge(left, on="_key", how="inner")  # in the order of the log, whatever that of the scores
    if len(matched) < len(scores):
        unknown = left.loc[~left["_key"].isin(right["_key"]), "_key"]
        raise DataError(
            f"{len(unknown):,} of {len(scores):,} scored customers are not in the log up to {as_of}, "
            f"first '{shown_id(unknown.iloc[0])}'. Give the log that was scored, continued, and the same column of "
            "customers."
        )
    return matched


def _share_due(log: Transactions, as_of: dt.date, horizon: int, days: int) -> float:
    """The share of the horizon's purchases that its first days bring, by an earlier window that is known whole.

    The weeks to a season bring more than their part, and so do the first ones where customers leave soon.
    """
    even = days / horizon
    for back in (_YEAR, horizon):
        origin = as_of - dt.timedelta(days=back)
        if back >= horizon and (origin - log.first_date).days >= horizon / 2:
            part, whole = (
                float(log.split(origin, origin + dt.timedelta(days=d)).holdout["purchases"].sum())
                for d in (days, horizon)
            )
            return (part + _PRIOR_PURCHASES * even) / (whole + _PRIOR_PURCHASES)
    return even


def _forecast(matched: pd.DataFrame, share: float) -> dict[str, Floats]:
    """Expectations of a share of the horizon."""
    purchases = matched["expected_purchases"].to_numpy(np.float64)
    chance = matched["p_return"].to_numpy(np.float64)
    return {
        "purchases": purchases * share,
        "spend": matched["expected_spend"].to_numpy(np.float64) * share,
        "return": chance if share == 1.0 else _chance_of(share, purchases, chance),
    }


def _chance_of(share: float, purchases: Floats, chance: Floats) -> Floats:
    """The chance of a purchase in a share of the horizon.

    A customer is gone, or buys at a steady rate: which, and at what rate, follows from the purchases that they are
    expected to make and from the chance of any.
    """
    mean = np.maximum(purchases, chance) / np.maximum(chance, 1e-12)  # of the purchases of those who make any
    rate = np.maximum(mean - 1.0, 1e-9)
    for _ in range(30):  # mean = rate / (1 - exp(-rate)), by Newton: convex, so that it comes from one side
        some = -np.expm1(-rate)
        value, slope = rate / some - mean, (some - rate * np.exp(-rate)) / some**2
        rate = np.maximum(rate - value / slope, 1e-9)
    rate = np.maximum(rate, -np.log(np.clip(1.0 - chance, 1e-9, 1.0)))  # nobody is there with more than certainty
    found = chance * np.expm1(-rate * share) / np.expm1(-rate)
    return np.minimum(found, purchases * share)  # never more customers than purchases


def _measures(target: str, y: Floats, p: Floats) -> list[tuple[str, float]]:
    level = [("expected", float(p.sum())), ("actual", float(y.sum())), ("bias", metrics.bias(y, p))]
    if target == "return":
        error = metrics.expected_calibration_error(y, p)
        return [*level, ("auc", metrics.auc(y, p)), ("brier", metrics.brier(y, p)), ("calibration_error", error)]
    deviance = metrics.poisson_deviance if target == "purchases" else metrics.tweedie_deviance
    return [*level, ("deviance", deviance(y, p)), ("gini", metrics.gini(y, p))]


def _ratio(actual: float, expected: float) -> float:
    return actual / expected if expected > 0 else float("inf") if actual > 0 else 1.0


def _wrong_level(actual: dict[str, Floats], forecast: dict[str, Floats], off: LevelSd) -> list[str]:
    """Totals that are off by more than a quarter, and out of their 95% interval: of chance, and of the level."""
    reasons = []
    for target, level_sd in (("purchases", off.purchases), ("spend", off.spend)):
        total, expected = float(actual[target].sum()), float(forecast[target].sum())
        ratio, by_chance = _ratio(total, expected), float(((actual[target] - forecast[target]) ** 2).sum())
        low, high = total_interval_around(expected, by_chance, level_sd, _LEVEL)
        if not (1 / (1 + _BIAS_EDGE) <= ratio <= 1 + _BIAS_EDGE or low <= total <= high):
            reasons.append(f"{target} came to {ratio:.2f} times what was expected")
    return reasons


def _wrong_order(bought: Floats, chance: Floats) -> list[str]:
    if min(bought.sum(), (1 - bought).sum()) < MIN_JUDGED_CUSTOMERS:
        return []
    auc = metrics.auc(bought, chance)
    worse = auc <= _AUC_EDGE
    return [f"returners are ranked with AUC {auc:.2f}, hardly better than by chance"] if worse else []


def _shifted(drift: pd.DataFrame) -> list[str]:
    """Of what customers do, at the same age; how old and how long silent they are moves with the calendar."""
    moved = drift[(drift["same_age"] > _DRIFT_EDGE) & drift["column"].isin(("frequency", "monetary_value"))]
    return [
        f"{row.column} of customers of like age has shifted (stability index {row.same_age:.2f})"
        for row in moved.itertuples(index=False)
    ]
