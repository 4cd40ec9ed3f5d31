"""Backtest: the log is cut at earlier days, models see what was known then, and are compared with what came.

Every customer with a purchase by the cut counts, one-time buyers too; those who joined later are counted and shown
apart. Beside the model stand BTYD alone and what a shopkeeper would guess; differences carry paired bootstrap
intervals over customers.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clvml.checks import check_seed, check_whole
from clvml.display import Figure, card, table_of
from clvml.errors import OptionError
from clvml.estimators.baselines import Forecast, last_period, own_rate, rate_since_first_purchase, recency_alone
from clvml.estimators.learned.ensemble.special_days import calendar_of
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.uncertainty.totals import LevelSd
from clvml.evaluation.deciles import captured, decile_table
from clvml.evaluation.differences import paired_differences
from clvml.horizon import as_date, horizon_days, latest_start
from clvml.maths import metrics
from clvml.orders.summaries import net_spend
from clvml.orders.transactions import Transactions, check_log
from clvml.progress import Progress
from clvml.resources import one_thread, side_by_side
from clvml.scores.model import ClvModel
from clvml.scores.totals import expected_totals

__all__ = ["Backtest", "backtest"]

OURS = "clvml"
_SHOWN = (
    ("purchases", "bias", "bias"),
    ("purchases", "deviance", "dev."),
    ("purchases", "gini", "Gini"),
    ("spend", "bias", "bias"),
    ("spend", "deviance", "dev."),
    ("spend", "gini", "Gini"),
    ("return", "auc", "AUC"),
    ("return", "brier", "Brier"),
    ("return", "calibration_error", "ECE"),
)
_TOTALS = ("purchases_low", "purchases_high", "spend_low", "spend_high")
"""Ends of the 90% intervals of the totals, named as the columns of `expected_totals`."""
_GAIN_SHARES = np.arange(1, 21) / 20.0


@dataclass(frozen=True, repr=False)
class Backtest:
    """What came of predictions made at earlier days."""

    table: pd.DataFrame
    """Tidy: cut, model, target (purchases, spend, return), metric, value."""
    differences: pd.DataFrame
    """Tidy: cut, baseline, target, metric, difference (ours less theirs), low, high (95%, paired over customers),
    verdict.
    """
    cuts: pd.DataFrame
    """One row a cut: customers, returned, purchases, spend, late_joiners, late_joiner_spend, purchases_in_90_interval
    (share of customers whose purchases lie in their own), and the 90% intervals of the totals: purchases_low,
    purchases_high, spend_low, spend_high.
    """
    deciles: pd.DataFrame
    """Calibration of ours: cut, target, decile (of the prediction, 1 lowest), predicted, actual (means), low, high
    (95% interval of the actual mean).
    """
    gains: pd.DataFrame
    """What targeting by each model's order would have found: cut, model, target (purchases, spend), share (of the
    customers, the best first), captured (share of all that came).
    """
    horizon: int
    """Days."""

    def metrics(self) -> dict[str, float]:
        """Flat names for a tracker: `backtest/clvml/spend/gini` and so on, means over the cuts."""
        means = self.table.groupby(["model", "target", "metric"], as_index=False)["value"].mean()
        rows = means[np.isfinite(means["value"])].itertuples(index=False)
        return {f"backtest/{_slug(row.model)}/{row.target}/{row.metric}": float(row.value) for row in rows}

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        names = ("table", "differences", "cuts", "deciles", "gains")
        parts: dict[str, pd.DataFrame] = {name: getattr(self, name) for name in names}
        return {"horizon_days": self.horizon} | {k: json.loads(v.to_json(orient="records")) for k, v in parts.items()}

    def to_json(self, path: str | Path) -> None:
        """Write `to_dict` to a file."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")

    def totals(self) -> pd.DataFrame:
        """Whether the totals lay in their 90% intervals.

        Returns
        -------
        pandas.DataFrame
            One row a cut and target (purchases, spend): cut, target, actual, low, high, inside.
        """
        rows = [
            (cut["cut"], name, cut[name], cut[f"{name}_low"], cut[f"{name}_high"])
            for cut in self.cuts.to_dict("records")
            for name in ("purchases", "spend")
        ]
        table = pd.DataFrame(rows, columns=["cut", "target", "actual", "low", "high"])
        return table.assign(inside=table["actual"].between(table["low"], table["high"]))

    def verdicts(self) -> list[str]:
        """In words, how the model stands to each baseline, mean over the cuts."""
        return [_verdict(name, rows) for name, rows in self.differences.groupby("baseline", sort=False)]

    def _repr_html_(self) -> str:
        """The same for a notebook, with what it says of the baselines."""
        means = self.table.groupby(["model", "target", "metric"])["value"].mean()
        columns = ("mean over the cuts", *(f"{target}: {head}" for target, _, head in _SHOWN))
        rows = [
            (model, *(_cell(means.get((model, target, metric)), metric).strip() for target, metric, _ in _SHOWN))
            for model in self.table["model"].drop_duplicates()
        ]
        cuts = ", ".join(str(cut) for cut in self.cuts["cut"])
        inside = self.totals()["inside"]
        return card(
            f"Backtest: predicted at {cuts} for the {self.horizon} days after",
            figures=(
                Figure("customers", f"{self.cuts['customers'].iloc[-1]:,}"),
                Figure("totals within their 90% interval", f"{int(inside.sum())} of {len(inside)}"),
            ),
            tables=(table_of("", columns, rows),),
            notes=self.verdicts(),
        )

    def __str__(self) -> str:
        """A table at most 100 columns wide: means over the cuts."""
        means = self.table.groupby(["model", "target", "metric"])["value"].mean()
        lines = [
            f"{'':30}{'purchases':^21}{'spend':^21}{'return':^21}",
            f"{'':30}" + "".join(f"{head:>7}" for *_, head in _SHOWN),
        ]
        for model in self.table["model"].drop_duplicates():
            cells = [_cell(means.get((model, target, metric)), metric) for target, metric, _ in _SHOWN]
            lines.append(f"{model:30}" + "".join(cells))
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


def backtest(
    log: Transactions,
    cut: Any | Sequence[Any],
    horizon: int | str,
    *,
    model: ClvModel | None = None,
    champion: ClvModel | None = None,
    others: Mapping[str, Callable[[pd.DataFrame, int], Forecast]] | None = None,
    bootstrap: int = 200,
    seed: int = 0,
) -> Backtest:
    """Train at one or several earlier days, predict the horizon after each, and compare with what came.

    Every customer with a purchase by the cut counts. Beside the model stand BTYD alone and what a shopkeeper would
    guess; differences carry paired bootstrap intervals over customers.

    Parameters
    ----------
    log : Transactions
        The order log.
    cut : date-like, or a list of them
        The last day that the models may know.
    horizon : int or str
        How far ahead, in days or as ``"39w"``.
    model : ClvModel, optional
        Unfitted: its settings are used, with this horizon.
    champion : ClvModel, optional
        Fitted. It is compared as it is where it was trained by the cut, else its settings are trained again at the cut,
        for it must not have seen what is tested.
    others : mapping of str to callable, optional
        More forecasts by name, from the frame of a cut and the days, such as
        ``{"lifetimes": clvml.interop.lifetimes_forecast}``.
    bootstrap : int, default 200
        Resamples of customers behind the intervals of differences.
    seed : int
        Of the random draws.

    Returns
    -------
    Backtest

    Raises
    ------
    OptionError
        If the log ends before a horizon does: a window that has not passed is no evidence.

    Examples
    --------
    >>> from clvml import Transactions, backtest, load_cdnow
    >>> tested = backtest(Transactions(load_cdnow(sample=True)), "1997-09-30", "13w", bootstrap=20)
    >>> tested.totals()[["target", "actual"]].round(0).values.tolist()
    [['purchases', 726.0], ['spend', 27873.0]]
    """
    check_log(log)
    cuts = [as_date(c, "cut") for c in (cut if pd.api.types.is_list_like(cut) else [cut])]
    if not cuts:
        raise OptionError("A backtest needs at least one cut: a day, or a list of days.")
    bootstrap, seed = check_whole("bootstrap", bootstrap, least=0), check_seed(seed)
    settings = (model or ClvModel()).get_params(deep=False)
    tables, differences, described, deciles, gains = [], [], [], [], []
    progress, threads = Progress("backtest", len(cuts)), log.resources.n_workers
    for day in cuts:
        days = horizon_days(horizon, day)
        _check_end(log, day, horizon)
        with one_thread():  # of the BLAS: its own would spin beside ours
            forecasts, actual, facts = _forecasts(log, day, days, settings, champion, others or {})
            tables.append(_table(forecasts, actual).assign(cut=day.isoformat()))
            compared = paired_differences(forecasts, actual, OURS, bootstrap, seed, threads)
            differences.append(compared.assign(cut=day.isoformat()))
        described.append({"cut": day.isoformat()} | facts)
        deciles.append(_calibration(forecasts[OURS], actual).assign(cut=day.isoformat()))
        gains.append(_gains(forecasts, actual).assign(cut=day.isoformat()))
        progress.step()
    table, differing, calibrated, gained = (
        _first(pd.concat(parts, ignore_index=True)) for parts in (tables, differences, deciles, gains)
    )
    return Backtest(table, differing, pd.DataFrame(described), calibrated, gained, days)


def _first(table: pd.DataFrame) -> pd.DataFrame:
    return table[["cut", *(c for c in table.columns if c != "cut")]]


def _check_end(log: Transactions, cut: dt.date, horizon: int | str) -> None:
    days, last = horizon_days(horizon, cut), log.last_date
    end = cut + dt.timedelta(days=days)
    if end > last:
        latest = latest_start(horizon, last)
        way = f"Choose a cut up to {latest}" if latest > log.first_date else "Choose a shorter horizon"
        raise OptionError(
            f"A backtest at cut={cut} needs the {days} days after it, up to {end}, and the log ends on {last}. {way}."
        )


def _forecasts(
    log: Transactions,
    cut: dt.date,
    days: int,
    settings: dict[str, Any],
    champion: ClvModel | None,
    others: Mapping[str, Callable[[pd.DataFrame, int], Forecast]],
) -> tuple[dict[str, Forecast], pd.DataFrame, dict[str, Any]]:
    """Every model's forecast made at the cut, what came, and facts of the cut."""
    model, frame = ClvModel(**(settings | {"horizon": days}))._fit_values(log, cut)

    def beyond() -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Forecast]]:
        """What came, what had come in as many days before the cut, and BTYD alone."""
        actual = log.holdout(frame["customer_id"], cut, cut + dt.timedelta(days=days))
        before = log.activity(cut - dt.timedelta(days=days), cut).set_index("customer_id")
        return actual, before.loc[actual["customer_id"]], _btyd(model, frame, days)

    predicted, (actual, before, btyd) = side_by_side(
        lambda: model.model_.predict(frame, days), beyond, log.resources.n_workers
    )
    ours = _forecast(predicted)
    beside = {} if champion is None else {"champion": _beside(champion, model, ours, log, cut)}
    forecasts = {
        OURS: ours,
        **beside,
        **btyd,
        **{name: tell(frame, days) for name, tell in others.items()},
        "recency alone": recency_alone(frame),
        "own rate x / T": own_rate(frame, days),
        "same as last period": last_period(
            before["purchases"].to_numpy(float), net_spend(before["amount"].to_numpy(float))
        ),
        "ticket x frequency x lifetime": rate_since_first_purchase(frame, days),
    }
    return forecasts, actual, _facts(predicted, actual, model.level_sd)


def _btyd(model: ClvModel, frame: pd.DataFrame, days: int) -> dict[str, Forecast]:
    """The BTYD models on their own: the base of ours, and what most people use."""
    parts = {
        "BG/NBD + Gamma-Gamma": LifetimeValueModel(horizon=days).fit(frame),
        "Pareto/NBD + Gamma-Gamma": model.value_,
    }
    return {
        name: Forecast(
            value.expected_purchases(frame, days), value.expected_spend(frame, days), value.p_return(frame, days)
        )
        for name, value in parts.items()
    }


def _forecast(predicted: pd.DataFrame) -> Forecast:
    purchases, spend, p_return = (predicted[n].to_numpy() for n in ("expected_purchases", "expected_spend", "p_return"))
    return Forecast(purchases, spend, p_return)


def _beside(champion: ClvModel, model: ClvModel, ours: Forecast, log: Transactions, cut: dt.date) -> Forecast:
    """What the champion itself predicts where it knows nothing after the cut, else its settings trained at the cut.
    With the same settings that is our model: training is deterministic.
    """
    days = model.horizon_days_
    if as_date(champion.as_of_) <= cut:
        return _predicted(champion, champion.frame(log, cut), days)
    again = ClvModel(**(champion.get_params(deep=False) | {"horizon": days}))
    return ours if _settings(again) == _settings(model) else _predicted(*again._fit_values(log, cut), days)


def _settings(model: ClvModel) -> dict[str, Any]:
    """Comparable: a calendar may be a table or a mapping."""
    settings = model.get_params(deep=False)
    return settings | {"calendar": calendar_of(settings["calendar"])}


def _predicted(model: ClvModel, frame: pd.DataFrame, days: int) -> Forecast:
    return _forecast(model.model_.predict(frame, days))


def _facts(predicted: pd.DataFrame, actual: pd.DataFrame, level_sd: LevelSd) -> dict[str, Any]:
    y = actual["purchases"].to_numpy(float)
    inside = (predicted["purchases_low"].to_numpy() <= y) & (y <= predicted["purchases_high"].to_numpy())
    totals = expected_totals(predicted, level_sd=level_sd).iloc[0]
    late = actual.attrs
    return {
        "customers": len(actual),
        "returned": int((y > 0).sum()),
        "purchases": int(y.sum()),
        "spend": float(actual["spend"].sum()),
        "late_joiners": int(late["late_joiners"]),
        "late_joiner_spend": float(late["late_joiner_spend"]),
        "purchases_in_90_interval": float(inside.mean()),
        **{name: float(totals[name]) for name in _TOTALS},
    }


def _table(forecasts: dict[str, Forecast], actual: pd.DataFrame) -> pd.DataFrame:
    rows = [(name, *row) for name, forecast in forecasts.items() for row in _measures(forecast, actual)]
    return pd.DataFrame(rows, columns=["model", "target", "metric", "value"])


def _measures(forecast: Forecast, actual: pd.DataFrame) -> Iterator[tuple[str, str, float]]:
    deviance = {"purchases": metrics.poisson_deviance, "spend": metrics.tweedie_deviance}
    for target, p in (("purchases", forecast.purchases), ("spend", forecast.spend)):
        if p is None:
            continue
        y = actual[target].to_numpy(float)
        found, captured = metrics.top_share(y, p, 0.2)
        yield from (
            (target, "bias", metrics.bias(y, p)),
            (target, "deviance", deviance[target](y, p)),
            (target, "gini", metrics.gini(y, p)),
            (target, "spearman", metrics.spearman(y, p)),
            (target, "found_top20", found),
            (target, "captured_top20", captured),
            (target, "decile_mape", metrics.decile_mape(y, p)),
            (target, "mae", metrics.mae(y, p)),
            (target, "rmse", metrics.rmse(y, p)),
        )
    if forecast.p_return is None:
        return
    bought = (actual["purchases"].to_numpy() > 0).astype(float)
    yield "return", "auc", metrics.auc(bought, forecast.p_return)
    yield "return", "average_precision", metrics.average_precision(bought, forecast.p_return)
    if forecast.is_probability:
        yield "return", "bias", metrics.bias(bought, forecast.p_return)
        yield "return", "brier", metrics.brier(bought, forecast.p_return)
        yield "return", "log_loss", metrics.log_loss(bought, forecast.p_return)
        yield "return", "calibration_error", metrics.expected_calibration_error(bought, forecast.p_return)


def _calibration(forecast: Forecast, actual: pd.DataFrame) -> pd.DataFrame:
    """Mean predicted and actual in tenths of the predicted order."""
    y = {name: actual[name].to_numpy(float) for name in ("purchases", "spend")}
    y["return"] = (y["purchases"] > 0).astype(float)
    return decile_table(y, {"purchases": forecast.purchases, "spend": forecast.spend, "return": forecast.p_return})


def _gains(forecasts: dict[str, Forecast], actual: pd.DataFrame) -> pd.DataFrame:
    """What the best customers by each forecast brought."""
    found = []
    for name, forecast in forecasts.items():
        for target, predicted in (("purchases", forecast.purchases), ("spend", forecast.spend)):
            ranked = forecast.p_return if predicted is None else predicted
            if ranked is not None:
                share = captured(actual[target].to_numpy(float), ranked, _GAIN_SHARES)
                found.append(pd.DataFrame({"model": name, "target": target, "share": _GAIN_SHARES, "captured": share}))
    return pd.concat(found, ignore_index=True)


def _verdict(baseline: Any, rows: pd.DataFrame) -> str:
    means = rows.groupby(["target", "metric"], sort=False)[["difference", "low", "high"]].mean()
    words = rows.groupby(["target", "metric"], sort=False)["verdict"].agg(
        lambda v: v.iloc[0] if v.nunique() == 1 else "no clear difference"
    )
    parts = [
        f"{words[key]} in {_METRIC[key[1]]} of {key[0]} ({row.difference:+.3g}, {row.low:+.3g} to {row.high:+.3g})"
        for key, row in zip(means.index, means.itertuples(), strict=True)
    ]
    return f"against {baseline}: {'; '.join(parts)}"


_METRIC = {"deviance": "deviance", "gini": "Gini", "auc": "AUC", "brier": "Brier score"}


def _cell(value: float | None, metric: str) -> str:
    if value is None or not np.isfinite(value):
        return f"{'':>7}"
    if metric == "bias":
        return f"{100 * value:>+6.0f}%"
    return f"{value:>7.3f}" if abs(value) < 100 else f"{value:>7.0f}"


def _slug(name: str) -> str:
    return "_".join("".join(c if c.isalnum() else " " for c in name.lower()).split())
