"""Monitor: past scores against what happened since. Is the model still right, and when is a new one due?"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clvml import metrics
from clvml.errors import DataError, OptionError
from clvml.horizon import as_date
from clvml.intake import Transactions

__all__ = ["Monitor", "monitor"]

_BIAS_EDGE = 0.25
"""A total wrong by more than this share (actual over predicted outside 0.8 to 1.25) asks for a new model."""
_DRIFT_EDGE = 0.25
"""A population stability index above it is a shift by the usual reading: under .1 none, to .25 some."""
_MEASURED = ("frequency", "T", "days_since_last", "monetary_value", "expected_purchases", "p_return")


@dataclass(frozen=True)
class Monitor:
    """What became of scores."""

    as_of: str
    until: str
    """Day up to which the log could tell; before the scores' horizon ends, the scores are taken down to the days
    passed.
    """
    days: int
    table: pd.DataFrame
    """Tidy: target (purchases, spend, return), metric, value."""
    deciles: pd.DataFrame
    """Calibration by tenth of the predicted order: target, decile, predicted, actual."""
    drift: pd.DataFrame
    """One row a column of the scores and the mix of states: psi (population stability index) between then and now."""
    due: tuple[str, ...]
    """Why a new model is due, in words; empty where none is."""

    def metrics(self) -> dict[str, float]:
        """Flat names for a tracker: monitor.spend.bias, monitor.drift.frequency and so on."""
        names = "monitor." + self.table["target"] + "." + self.table["metric"]
        told = dict(zip(names, self.table["value"].tolist(), strict=True))
        told |= dict(zip("monitor.drift." + self.drift["column"], self.drift["psi"].tolist(), strict=True))
        return {str(name): value for name, value in told.items() if np.isfinite(value)}

    def __str__(self) -> str:
        """A report for a terminal."""
        wide = self.table.pivot(index="target", columns="metric", values="value")
        lines = [f"Scores as of {self.as_of} against the {self.days} days to {self.until}"]
        for target, row in wide.iterrows():
            told = "  ".join(
                f"{name.replace('_', ' ')} {row[name]:.3g}" for name in wide.columns if np.isfinite(row[name])
            )
            lines.append(f"{target:10} {told}")
        worst = self.drift.nlargest(3, "psi")
        lines.append(
            "drift      "
            + ", ".join(f"{r.column} {r.psi:.3f}" for r in worst.itertuples(index=False))
            + "  (above 0.25: shifted)"
        )
        verdict = [f"A new model is due: {reason}." for reason in self.due] or ["No new model is due."]
        return "\n".join([*lines, *verdict])


def monitor(log: Transactions, scores: pd.DataFrame) -> Monitor:
    """Compare scores of an earlier day with what the log shows since.

    Where the horizon has not ended yet, expectations are taken down in proportion to the days passed, which flatters
    the first weeks: returns that BTYD expects come early. Raises DataError where the scores lack columns, mix days,
    or the log ends before them.
    """
    as_of, horizon = _one_day(scores)
    until = min(as_of + dt.timedelta(days=horizon), log.last_date)
    days = (until - as_of).days
    if days < 7:
        raise OptionError(
            f"The scores are as of {as_of} and the log ends on {log.last_date}: "
            "at least 7 days after the scores are needed."
        )
    held = log.split(as_of, until)
    told = _matched(scores, held.holdout)
    share = days / horizon
    y, spend = told["purchases"].to_numpy(float), told["spend"].to_numpy(float)
    bought = (y > 0).astype(float)
    expected, worth = told["expected_purchases"].to_numpy() * share, told["expected_spend"].to_numpy() * share
    chance = -np.expm1(np.log1p(-np.clip(told["p_return"].to_numpy(), 0, 1 - 1e-9)) * share)
    pairs = {"purchases": (y, expected), "spend": (spend, worth), "return": (bought, chance)}
    table = pd.DataFrame(
        [(t, name, value) for t, (a, p) in pairs.items() for name, value in _measures(t, a, p)],
        columns=["target", "metric", "value"],
    )
    deciles = pd.concat([_deciles(t, a, p) for t, (a, p) in pairs.items()], ignore_index=True)
    drift = _drift(told, log.summarize(until))
    return Monitor(as_of.isoformat(), until.isoformat(), days, table, deciles, drift, _due(table, drift))


def _one_day(scores: pd.DataFrame) -> tuple[dt.date, int]:
    needed = {"customer_id", "as_of", "horizon_days", "expected_purchases", "expected_spend", "p_return", *_MEASURED}
    missing = sorted(needed - set(scores.columns))
    if missing:
        raise DataError(
            f"The scores lack {len(missing)} columns: {', '.join(missing)}. Give a file that `clvml predict` wrote."
        )
    if scores.empty or scores["as_of"].nunique() != 1 or scores["horizon_days"].nunique() != 1:
        raise DataError(
            "The scores must be of one day and one horizon, and not empty. Give one file of `clvml predict` at a time."
        )
    return as_date(scores["as_of"].iloc[0]), int(scores["horizon_days"].iloc[0])


def _matched(scores: pd.DataFrame, holdout: pd.DataFrame) -> pd.DataFrame:
    """Scores with what came, by customer. A customer unknown to the log at as_of is an error: it is another log."""
    left = scores.assign(key=scores["customer_id"].astype(str))
    right = holdout.assign(key=holdout["customer_id"].astype(str))[["key", "purchases", "spend"]]
    told = left.merge(right, on="key", how="inner", validate="one_to_one")
    if len(told) < len(scores):
        unknown = left.loc[~left["key"].isin(right["key"]), "key"]
        raise DataError(
            f"{len(unknown):,} of {len(scores):,} scored customers are not in the log as of the scores' day, "
            f"first {unknown.iloc[0]}. Give the log that was scored, continued."
        )
    return told


def _measures(target: str, y: Any, p: Any) -> list[tuple[str, float]]:
    if target == "return":
        error = metrics.expected_calibration_error(y, p)
        return [
            ("bias", metrics.bias(y, p)),
            ("auc", metrics.auc(y, p)),
            ("brier", metrics.brier(y, p)),
            ("calibration_error", error),
        ]
    deviance = metrics.poisson_deviance if target == "purchases" else metrics.tweedie_deviance
    return [("bias", metrics.bias(y, p)), ("deviance", deviance(y, p)), ("gini", metrics.gini(y, p))]


def _deciles(target: str, y: Any, p: Any) -> pd.DataFrame:
    groups = [g for g in np.array_split(np.argsort(p, kind="stable"), 10) if len(g)]
    rows = [(target, k + 1, float(p[g].mean()), float(y[g].mean())) for k, g in enumerate(groups)]
    return pd.DataFrame(rows, columns=["target", "decile", "predicted", "actual"])


def _drift(then: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """Population stability index of each column that both have: sum (q - p) ln(q / p) over tenths of then."""
    columns = [c for c in _MEASURED if c in then and c in now]
    return pd.DataFrame(
        [(c, _psi(then[c].to_numpy(float), now[c].to_numpy(float))) for c in columns], columns=["column", "psi"]
    )


def _psi(then: Any, now: Any) -> float:
    edges = np.unique(np.quantile(then, np.linspace(0, 1, 11)))[1:-1]
    bins = len(edges) + 1
    p, q = (np.bincount(np.searchsorted(edges, v, side="right"), minlength=bins) + 0.5 for v in (then, now))
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())


def _due(table: pd.DataFrame, drift: pd.DataFrame) -> tuple[str, ...]:
    """Reasons for a new model: a wrong level, a ranking no better than chance, or customers unlike those it was
    trained on.
    """
    value = table.set_index(["target", "metric"])["value"]
    reasons = []
    for target in ("purchases", "spend"):
        ratio = 1 / (1 + value[target, "bias"])
        if not 1 / (1 + _BIAS_EDGE) <= ratio <= 1 + _BIAS_EDGE:
            reasons.append(f"{target} came to {ratio:.2f} times what was expected")
    if not value["return", "auc"] > 0.55:
        reasons.append(f"returners are ranked with AUC {value['return', 'auc']:.2f}, hardly better than by chance")
    # Age and silence move with the calendar in a log without new customers; what customers do should not.
    shifted = drift[(drift["psi"] > _DRIFT_EDGE) & drift["column"].isin(("frequency", "monetary_value"))]
    reasons += [f"{r.column} of the customers has shifted (psi {r.psi:.2f})" for r in shifted.itertuples(index=False)]
    return tuple(reasons)
