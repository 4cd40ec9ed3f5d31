"""The jobs behind the command line: train, predict, backtest; each from a log to what is printed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clvml.cli.printed import backtest_text, scores_text, train_text
from clvml.cli.terminal import Terminal, wrapped
from clvml.errors import DataError, ModelError, without_secrets
from clvml.files import check_folder, check_new_folder, check_target, working_on, write_aside
from clvml.horizon import as_date, day_number, day_of_number, horizon_days

if TYPE_CHECKING:
    import pandas as pd

    from clvml.evaluation.backtest import Backtest
    from clvml.orders.outliers import Outliers
    from clvml.orders.transactions import Transactions
    from clvml.scores.model import ClvModel
    from clvml.scores.sinks.tables import ScoresTable

__all__ = [
    "BacktestJob",
    "PredictJob",
    "TrainJob",
    "Trained",
    "backtest_job",
    "outliers_of",
    "predict_job",
    "train_job",
]

SPARK_SAMPLE = 100_000
"""Customers of a log on Spark that come to this machine for a backtest, unless asked otherwise."""
OUTLIER_LINES = 300_000
"""Lines in which predict looks for test accounts and outsize orders: among ten million it took longer than all else."""
_DECLARED = ("spend", "deviance")
"""The metric on which a challenger is held against the champion."""


@dataclass(frozen=True)
class TrainJob:
    """What `clvml train` was asked."""

    as_of: str
    horizon: int | str = "12m"
    discount_rate: float = 0.10
    seed: int = 0
    contact_cost: float | None = None
    incentive: float | None = None
    save_rate: float = 0.30
    redemption: float = 1.0
    sample: int | None = 100_000
    """Customers of a larger base that the backtest and what learns from rows are given."""
    register: str | None = None
    out: Path | None = None
    backtest: Path | None = None
    """Where the backtest is written too, for `clvml report`."""
    calendar: Path | None = None
    """Table of special days."""
    no_seasonality: bool = False
    experiment: str = "clvml"
    tracking_uri: str | None = None
    verbose: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class PredictJob:
    """What `clvml predict` was asked."""

    as_of: str
    model: str
    out: Path | ScoresTable
    horizon: int | str | None = None
    history: Path | None = None
    """Folder of all scores so far, to which these are added under their day."""
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
    lifetimes: bool = False
    """Whether lifetimes itself is fitted and compared."""
    sample: int | None = None
    """Customers of a larger base that are tested; None: all, or 100,000 of a log on Spark."""
    calendar: Path | None = None
    no_seasonality: bool = False
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
    """Backtest beside the champion, train, record, register, promote or not."""
    from clvml import tracking
    from clvml.evaluation.backtest import backtest
    from clvml.scores.model import ClvModel
    from clvml.scores.saved import check_replaceable

    model = ClvModel(
        horizon=job.horizon,
        discount_rate=job.discount_rate,
        seasonality=not job.no_seasonality,
        calendar=_calendar(job.calendar),
        contact_cost=job.contact_cost,
        incentive=job.incentive,
        save_rate=job.save_rate,
        redemption=job.redemption,
        seed=job.seed,
        sample=job.sample,
    )
    show = Terminal(4, verbose=job.verbose, quiet=job.quiet)
    if job.out:
        check_replaceable(check_new_folder(job.out))
    target = check_target(job.backtest, (".json",)) if job.backtest else None
    with show.stage("check"):
        plan = backtest_plan(log, as_date(job.as_of), horizon_days(job.horizon, job.as_of))
        report = log.check(job.as_of)
        if not report.customers:
            raise DataError(report.why_empty())
        log.check_begun(as_date(job.as_of))
        unfinished = tracking.check_store(job.experiment, tracking_uri=job.tracking_uri)
        champion, unread = _champion(job)
    for note in unfinished:
        show.note(note)
    if unread:
        show.note(unread)
    with show.stage("backtest"):
        part = log if job.sample is None else log.sample(job.sample, job.as_of, job.seed)
        tested = backtest(part, plan[0], plan[1], model=model, champion=champion) if plan else None
        if tested is not None and target is not None:
            write_aside(target, tested.to_json)
    with show.stage("train"):
        model.fit(log, job.as_of)
        if job.out:
            model.save(job.out)
    if tested is None:
        show.note(
            "The log is too short for a backtest: this model is untested. Keep a longer history, or a shorter horizon."
            + (f" {target} is not written." if target else "")
        )
    with show.stage("record in MLflow"):
        figures = _figures(model, tested)
        run = tracking.log_run(
            model,
            report,
            tested,
            experiment=job.experiment,
            register=job.register,
            tracking_uri=job.tracking_uri,
            figures=figures,
        )
        promoted, why = _gate(job, run, tested, champion, unread)
    where = _where(run, why, job, tested=tested is not None) + ([log.state_note] if log.state_note else [])
    return Trained(model, tested, run, promoted, train_text(model, report, tested, where))


def _calendar(path: Path | None) -> pd.DataFrame | None:
    """Special days from a file, checked before any work."""
    if path is None:
        return None
    from clvml.cli.tables import read_table
    from clvml.estimators.learned.ensemble.special_days import calendar_of

    table = read_table(path, "days of the calendar")
    calendar_of(table)
    return table


def backtest_plan(log: Transactions, as_of: dt.date, horizon: int) -> tuple[dt.date, int] | None:
    """(cut, days) of the backtest before training: the last horizon before `as_of`, or 40% of a shorter history."""
    from clvml.orders.origins import plan_origins

    end = min(as_of, log.last_date)
    plan = plan_origins(day_number(log.first_date), day_number(end), horizon, n_origins=1)
    if not plan.origins:
        return None
    return day_of_number(plan.origins[0]), plan.window


def _champion(job: TrainJob) -> tuple[ClvModel | None, str]:
    """The present champion, if there is one, and what is to be said where it cannot be read."""
    from clvml import tracking

    if not job.register or tracking.champion_metrics(job.register, tracking_uri=job.tracking_uri) is None:
        return None, ""
    try:
        return tracking.load_model(f"models:/{job.register}@champion", tracking_uri=job.tracking_uri), ""
    except ModelError as error:
        return None, f"The present champion cannot be read, so it is replaced without a comparison. {error}"


def _gate(
    job: TrainJob, run: Any, tested: Backtest | None, champion: ClvModel | None, unread: str
) -> tuple[bool | None, str]:
    """Promote unless the champion is clearly better on the declared metric; the reason in words."""
    from clvml import tracking

    if not job.register:
        return None, "not registered (--register NAME does)"
    why, worse = "the first champion of this name", False
    if unread:
        why = "the champion before it could not be read"
    elif champion is not None and tested is not None:
        worse, why = _against_champion(tested)
    elif champion is not None:
        why = "untested, the log being too short for a backtest"
    decide = tracking.reject if worse else tracking.promote
    decide(job.register, run.version, why, tracking_uri=job.tracking_uri)
    return not worse, f"{'not promoted, ' if worse else 'now @champion: '}{why}"


def _against_champion(tested: Backtest) -> tuple[bool, str]:
    """Whether the new model is clearly worse on the declared metric, and the difference in words."""
    rows = tested.differences.set_index(["baseline", "target", "metric"])
    row = rows.loc[[("champion", *_DECLARED)]].iloc[0]
    word = {"no clear difference": "no clear difference from"}.get(row["verdict"], f"{row['verdict']} than")
    interval = f"{row['difference']:+.4g} ({row['low']:+.4g} to {row['high']:+.4g})"
    return row["verdict"] == "worse", f"{word} the champion in {' '.join(_DECLARED)}: {interval} at cut {row['cut']}"


def _where(run: Any, why: str, job: TrainJob, *, tested: bool) -> list[str]:
    lines = [f"run      {run.run_id}", f"store    {without_secrets(run.tracking_uri)}"]
    if job.register:
        lines.append(wrapped(f"model    models:/{job.register}/{run.version}, {why}", hang=9))
    if job.out:
        lines.append(f"saved    {job.out}")
    if job.backtest and tested:
        lines.append(f"backtest {job.backtest}")
    return lines


def _figures(model: ClvModel, tested: Backtest | None) -> dict[str, Any]:
    from clvml.report import plots

    figures = {"purchase_rates": plots.purchase_rates(model.value_), "dropout": plots.dropout(model.value_)}
    if tested is not None:
        figures |= {
            "gain": plots.gain(tested),
            "calibration_return": plots.calibration(tested, "return"),
            "calibration_purchases": plots.calibration(tested, "purchases"),
            "calibration_spend": plots.calibration(tested, "spend"),
        }
    return {name: axes.figure for name, axes in figures.items()}


def predict_job(open_log: Callable[[], Transactions], job: PredictJob) -> str:
    """Load, score, write; what is printed."""
    if job.history is not None:
        check_new_folder(job.history, "--history")
    if not isinstance(job.out, Path):
        job.out.check()
        return _predict(open_log, job, job.out)
    target = check_target(job.out) if job.out.suffix else check_folder(job.out)
    with working_on(target):
        return _predict(open_log, job, target)


def outliers_of(log: Transactions, as_of: str) -> Outliers | None:
    """Whose value may not be theirs, and what else heads lists wrongly; None of a log that is too large to look."""
    return log.outliers(as_of) if log.lines <= OUTLIER_LINES else None


def _predict(open_log: Callable[[], Transactions], job: PredictJob, target: Path | ScoresTable) -> str:
    show = Terminal(4, verbose=job.verbose, quiet=job.quiet)
    with show.stage("open log"):  # before what takes seconds to import
        log = open_log()
        lines, dropped = log.lines, log.dropped
        about = log.approximate_customers() if show.watched else None
        outliers = outliers_of(log, job.as_of)
    with show.stage("load model"):
        from clvml import tracking
        from clvml.scores.stream import scored_base

        model = tracking.load_model(job.model, tracking_uri=job.tracking_uri)
    kept = [] if job.history is None else [_kept(job.history, job.as_of)]
    with ExitStack() as held:
        with show.stage("score", about, "customers") as step:
            base = held.enter_context(scored_base(model, log, as_of=job.as_of, horizon=job.horizon, step=step))
        with show.stage("write", base.customers, "customers") as wrote:
            for path in kept:
                held.enter_context(working_on(path, "--history"))
            tally = base.write(target, *kept, step=wrote)
    lines_out = [scores_text(tally, model, outliers), "", f"All {tally.customers:,} scores: {target}"]
    lines_out += [f"Kept in the history: {path}" for path in kept]
    if dropped:
        lines_out.append(f"Not counted: {dropped:,} of {lines + dropped:,} lines; `clvml check` says which, and why.")
    if log.state_note:
        lines_out.append(log.state_note)
    return "\n".join(lines_out)


def _kept(history: Path, as_of: str) -> Path:
    from clvml.scores.kept import scores_path

    return scores_path(history, as_of)


def backtest_job(log: Transactions, job: BacktestJob) -> str:
    """Test at each cut; what is printed."""
    from clvml.estimators.interop import lifetimes_forecast
    from clvml.evaluation.backtest import backtest
    from clvml.scores.model import ClvModel

    target = check_target(job.out, (".json",)) if job.out else None
    model = ClvModel(seasonality=not job.no_seasonality, calendar=_calendar(job.calendar), seed=job.seed)
    others = {"lifetimes": lifetimes_forecast} if job.lifetimes else None
    with Terminal(1, verbose=job.verbose, quiet=job.quiet).stage("backtest"):
        part = _tested_part(log, job)
        tested = backtest(
            part,
            list(job.cuts),
            job.horizon,
            model=model,
            others=others,
            bootstrap=job.bootstrap,
            seed=job.seed,
        )
    if target is not None:
        write_aside(target, tested.to_json)
    text = backtest_text(tested)
    if part.is_sample:
        text += "\n\n" + wrapped(
            f"Tested on {part.check(examples=False).customers:,} customers, drawn evenly from all (--sample)."
        )
    if target is not None:
        text += f"\n\nEvery figure: {target}"
    return text + (f"\n\n{log.state_note}" if log.state_note else "")


def _tested_part(log: Transactions, job: BacktestJob) -> Transactions:
    """The log of the customers that are tested."""
    wanted = job.sample or (SPARK_SAMPLE if log.on_spark else None)
    return log if wanted is None else log.sample(wanted, log.last_date, job.seed)
