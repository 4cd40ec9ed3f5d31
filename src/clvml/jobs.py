"""The jobs behind the command line: train, predict, backtest; each from a log to what is printed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clvml.errors import ModelError
from clvml.files import check_target, write_aside, write_table
from clvml.horizon import as_date, day_number, day_of_number, horizon_days
from clvml.terminal import Terminal, grid, heading, wrapped

if TYPE_CHECKING:
    import pandas as pd

    from clvml.estimators.churn import Audit
    from clvml.evaluate import Backtest
    from clvml.intake import Transactions
    from clvml.model import ClvModel

__all__ = ["BacktestJob", "PredictJob", "TrainJob", "Trained", "backtest_job", "flagged_table", "parameters_table", "predict_job", "train_job"]

_DECLARED = ("spend", "deviance")
"""The metric on which a challenger is held against the champion."""


@dataclass(frozen=True)
class TrainJob:
    """What `clvml train` was asked."""

    as_of: str
    horizon: int | str = "12m"
    discount_rate: float = 0.10
    seed: int = 0
    register: str | None = None
    export: Path | None = None
    experiment: str = "clvml"
    tracking_uri: str | None = None
    verbose: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class PredictJob:
    """What `clvml predict` was asked."""

    as_of: str
    model: str
    out: Path
    horizon: int | str | None = None
    tracking_uri: str | None = None
    verbose: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class BacktestJob:
    """What `clvml backtest` was asked."""

    cuts: tuple[str, ...]
    horizon: int | str = "12m"
    out: Path | None = None
    bootstrap: int = 200
    seed: int = 0
    verbose: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class Trained:
    """What `clvml train` did."""

    model: ClvModel
    backtest: Backtest | None
    run: Any
    """The record of the MLflow run: `tracking.RunInfo`."""
    promoted: bool | None
    """Whether it became @champion; None where it was not registered."""
    text: str


def train_job(log: Transactions, job: TrainJob) -> Trained:
    """Backtest with the champion as a rival, train, record, register, promote or not."""
    from clvml import tracking
    from clvml.evaluate import backtest
    from clvml.model import ClvModel

    model = ClvModel(horizon=job.horizon, discount_rate=job.discount_rate, seed=job.seed)
    show = Terminal(4, verbose=job.verbose, quiet=job.quiet)
    with show.stage("check"):
        report = log.check(job.as_of)
        plan = backtest_plan(log, as_date(job.as_of), horizon_days(job.horizon, job.as_of))
        champion = _champion(job)
    with show.stage("backtest"):
        tested = backtest(log, plan[0], plan[1], model=model, rival=champion) if plan else None
    if tested is None:
        show.note("The log is too short for a backtest: this model is untested. Keep a longer history, or a shorter horizon.")
    with show.stage("train"):
        model.fit(log, job.as_of)
        if job.export:
            model.save(job.export)
    with show.stage("record in MLflow"):
        figures = _figures(model, tested)
        run = tracking.log_run(
            model, report, tested, experiment=job.experiment, register=job.register, tracking_uri=job.tracking_uri, figures=figures
        )
        promoted, why = _gate(job, run, tested, champion is not None)
    return Trained(model, tested, run, promoted, _train_text(model, report, tested, run, why, job))


def backtest_plan(log: Transactions, as_of: dt.date, horizon: int) -> tuple[dt.date, int] | None:
    """(cut, days) of the backtest before training: the last horizon before `as_of`, or 40 % of the history where that is too short."""
    from clvml.snapshots import plan_origins

    end = min(as_of, log.last_date)
    plan = plan_origins(day_number(log.first_date), day_number(end), horizon, n_origins=1)
    if not plan.origins:
        return None
    return day_of_number(plan.origins[0]), plan.window


def _champion(job: TrainJob) -> ClvModel | None:
    from clvml import tracking

    if not job.register:
        return None
    try:
        return tracking.load_model(f"models:/{job.register}@champion", tracking_uri=job.tracking_uri)
    except ModelError:
        return None


def _gate(job: TrainJob, run: Any, tested: Backtest | None, rivalled: bool) -> tuple[bool | None, str]:
    """Promote unless the champion is clearly better on the declared metric; the reason in words."""
    from clvml import tracking

    if not job.register:
        return None, "not registered (--register NAME does)"
    why, worse = "the first model of this name", False
    if rivalled and tested is not None:
        rows = tested.differences
        row = rows[(rows["baseline"] == "champion") & (rows["target"] == _DECLARED[0]) & (rows["metric"] == _DECLARED[1])].iloc[0]
        worse = row["verdict"] == "worse"
        why = f"{row['verdict']} than the champion in {' '.join(_DECLARED)}: {row['difference']:+.4g} ({row['low']:+.4g} to {row['high']:+.4g}) at cut {row['cut']}"
        why = why.replace("no clear difference than", "no clear difference from")
    elif rivalled:
        why = "untested, the log being too short for a backtest"
    decide = tracking.reject if worse else tracking.promote
    decide(job.register, run.version, why, tracking_uri=job.tracking_uri)
    return not worse, why


def _figures(model: ClvModel, tested: Backtest | None) -> dict[str, Any]:
    from clvml import plots

    figures = {"parameters": plots.rate_and_dropout(model.value_)}
    if tested is not None:
        figures["calibration"] = plots.calibration(tested)
    return {name: axes.figure for name, axes in figures.items()}


def _train_text(model: ClvModel, report: Any, tested: Backtest | None, run: Any, why: str, job: TrainJob) -> str:
    parts = [heading("The log"), str(report), heading("BG/NBD and Gamma-Gamma"), parameters_table(model)]
    if tested is not None:
        parts += [backtest_text(tested)]
    where = [f"run      {run.run_id} in {run.tracking_uri}"]
    if job.register:
        where.append(f"model    models:/{job.register}/{run.version}: {why}")
    if job.export:
        where.append(f"export   {job.export}")
    return "\n".join([*parts, heading("Where it is"), *where])


def backtest_text(tested: Backtest) -> str:
    """The backtest as printed: what was tested, the table, and the verdicts."""
    cut = tested.cuts.iloc[0]
    several = f" and {len(tested.cuts) - 1} more" if len(tested.cuts) > 1 else ""
    lead = (
        f"Known up to {cut['cut']}{several}, then {tested.horizon} days: {cut['customers']:,} customers, {cut['returned']:,} came back, "
        f"{cut['late_joiners']:,} joined later (not counted). {100 * cut['purchases_in_90_interval']:.0f} % within their 90 % interval of purchases."
    )
    verdicts = [wrapped(text, "  ") for text in tested.verdicts()]
    return "\n".join([heading("Backtest, out of time"), wrapped(lead), str(tested), *verdicts])


def parameters_table(model: ClvModel) -> str:
    """Fitted parameters with their standard errors, and how each fit ended."""
    lines = []
    for part in (model.value_.purchases_, model.value_.spend_):
        told = zip(part.params_._fields, part.params_, part.standard_errors_, strict=True)
        values = "   ".join(f"{name} {value:.4g} ± {error:.2g}" for name, value, error in told)
        lines.append(f"{type(part).__name__}: {values}   (time in days)" if hasattr(part.params_, "alpha") else f"{type(part).__name__}: {values}")
        lines.append(wrapped(f"log-likelihood {part.log_likelihood_:,.2f}; {part.outcome_.value}", "  "))
    if model.churn_ is not None:
        lines.append(_audit_text(model.churn_.audit_, model.threshold_))
    return "\n".join(lines)


def _audit_text(audit: Audit, threshold: float) -> str:
    kind = "on labels that began after its training labels ended" if audit.later else "on other customers, whose labels overlap in time with its own"
    return wrapped(
        f"ChurnClassifier: tested at {audit.origin} {kind}: AUC {audit.auc:.3f} (recency alone {audit.auc_recency:.3f}, BG/NBD {audit.auc_btyd:.3f}), "
        f"Brier {audit.brier:.4f} (BG/NBD {audit.brier_btyd:.4f}), calibration error {audit.calibration_error:.3f}; "
        f"of those labelled as lost {100 * audit.came_back:.0f} % bought later. Threshold {threshold:.3f}."
    )


def predict_job(open_log: Callable[[], Transactions], job: PredictJob) -> str:
    """Load, score, write; what is printed."""
    from clvml import tracking

    target = check_target(job.out)
    show = Terminal(3, verbose=job.verbose, quiet=job.quiet)
    with show.stage("load model"):
        model = tracking.load_model(job.model, tracking_uri=job.tracking_uri)
    with show.stage("score"):
        log = open_log()
        scores = model.score(log, job.as_of, job.horizon)
    with show.stage("write"):
        write_table(scores, target)
    return f"{scores_text(scores)}\n\n{len(scores):,} scores in {target}"


def scores_text(scores: pd.DataFrame) -> str:
    """Counts of the base and the flagged with the most value at risk."""
    tiers, states = scores["tier"].value_counts(), scores["state"].value_counts()
    flagged = scores[scores["flagged"]]
    return "\n".join(
        [
            heading(f"Scores as of {scores['as_of'].iloc[0]}, next {scores['horizon_days'].iloc[0]} days"),
            "tiers    " + ", ".join(f"{n:,} {t}" for t, n in tiers.items()),
            "states   " + ", ".join(f"{n:,} {s}" for s, n in states.items()),
            f"expected {scores['expected_purchases'].sum():,.0f} purchases, {scores['expected_spend'].sum():,.0f} spend, CLV {scores['clv'].sum():,.0f}",
            f"flagged  {len(flagged):,} good customers at risk, value at risk {flagged['value_at_risk'].sum():,.0f}",
            heading("Flagged: most value at risk"),
            flagged_table(scores),
        ]
    )


def flagged_table(scores: pd.DataFrame, rows: int = 10) -> str:
    """The flagged customers with the most value at risk, each with the reason under it."""
    top = scores[scores["flagged"]].nlargest(rows, "value_at_risk")
    if top.empty:
        return "Nobody is flagged: no good customer is late by his own rhythm and likely to stay away."
    table = top[["customer_id", "value_at_risk", "churn_probability", "clv", "state", "next_purchase_due", "reason"]].copy()
    for money in ("value_at_risk", "clv"):
        table[money] = table[money].map("{:,.0f}".format)
    table["churn_probability"] = table["churn_probability"].map("{:.2f}".format)
    table["next_purchase_due"] = table["next_purchase_due"].dt.date
    return grid(table, words=("reason",))


def backtest_job(log: Transactions, job: BacktestJob) -> str:
    """Test at each cut; what is printed."""
    import json

    from clvml.evaluate import backtest
    from clvml.model import ClvModel

    target = check_target(job.out, (".json",)) if job.out else None
    with Terminal(1, verbose=job.verbose, quiet=job.quiet).stage("backtest"):
        tested = backtest(log, list(job.cuts), job.horizon, model=ClvModel(seed=job.seed), bootstrap=job.bootstrap, seed=job.seed)
    if target is not None:
        text = json.dumps(tested.to_dict(), indent=1) + "\n"
        write_aside(target, lambda aside: aside.write_text(text, encoding="utf-8"))
    return backtest_text(tested) + (f"\n\n{target}" if target else "")
