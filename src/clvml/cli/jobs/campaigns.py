"""The jobs behind the campaign commands: audience, outcome, monitor; each from files to what is printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from clvml.cli.tables import read_customers, read_table
from clvml.cli.terminal import Terminal, heading, wrapped
from clvml.errors import DataError, OptionError
from clvml.files import check_new_folder, check_target, json_text, write_aside
from clvml.redaction import shown_id

if TYPE_CHECKING:
    from clvml.campaigns import Audience
    from clvml.orders.transactions import Transactions

__all__ = [
    "AudienceJob",
    "MonitorJob",
    "OutcomeJob",
    "ProgrammeJob",
    "SurrogateJob",
    "audience_job",
    "monitor_job",
    "outcome_job",
    "programme_job",
    "surrogate_job",
]


@dataclass(frozen=True)
class AudienceJob:
    """What `clvml audience` was asked."""

    scores: Path
    plan: Path
    out: Path
    budget: float | None = None
    attributes: Path | None = None
    suppress: Path | None = None
    contacts: Path | None = None
    campaigns: Path | None = None
    running: tuple[Path, ...] = ()
    json: Path | None = None
    left_out: Path | None = None
    verbose: bool = False
    quiet: bool = False

    @property
    def account(self) -> Path:
        """Where the whole plan goes."""
        return self.json or self.out.with_suffix(".json")

    @property
    def inputs(self) -> dict[str, Path | None]:
        """What is read, by the option that names it."""
        return {
            "SCORES": self.scores,
            "--plan": self.plan,
            "--attributes": self.attributes,
            "--suppress": self.suppress,
            "--contacts": self.contacts,
            **{f"--running {path}": path for path in self.running},
        }


@dataclass(frozen=True)
class OutcomeJob:
    """What `clvml outcome` was asked."""

    audience: Path
    start: str | None = None
    end: str | None = None
    by: str = "planned_treatment"
    incentive_in_log: bool = False
    level: float = 0.95
    campaigns: Path | None = None
    out: Path | None = None
    verbose: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class SurrogateJob:
    """What `clvml outcome --ahead` was asked."""

    audience: Path
    ahead: str
    model: str
    tracking_uri: str | None = None
    end: str | None = None
    incentive_in_log: bool = False
    level: float = 0.95
    campaigns: Path | None = None
    out: Path | None = None
    verbose: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class ProgrammeJob:
    """What `clvml outcome --universal` was asked."""

    plan: Path
    start: str | None = None
    end: str | None = None
    spent: float = 0.0
    level: float = 0.95
    out: Path | None = None
    verbose: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class MonitorJob:
    """What `clvml monitor` was asked."""

    scores: Path
    sample: int = 100_000
    """On Spark: customers of a larger base that are compared."""
    experiment: str = "clvml"
    tracking_uri: str | None = None
    out: Path | None = None
    verbose: bool = False
    quiet: bool = False


def audience_job(job: AudienceJob) -> str:
    """Read scores, plan and lists, choose, write the CSV and the plan; what is printed."""
    from clvml.campaigns import plan_audience
    from clvml.campaigns.plan_file import read_plan

    target = check_target(job.out, (".csv",))
    account = check_target(job.account, (".json",), "--json")
    others = None if job.left_out is None else check_target(job.left_out, (".csv",), "--left-out")
    if others is not None and others.absolute() == target.absolute():
        raise OptionError(f"--left-out {others} is --out as well. Name two files.")
    show = Terminal(3, verbose=job.verbose, quiet=job.quiet)
    with show.stage("read"):
        plan = read_plan(job.plan)
        scores = read_table(job.scores, "scores")
        if job.attributes is not None:
            scores = _with_attributes(scores, read_table(job.attributes, "attributes"))
        suppress = None if job.suppress is None else read_customers(job.suppress, "suppressed customers")
        contacts = None if job.contacts is None else read_table(job.contacts, "contacts")
        running = [read_table(path, "running campaign") for path in job.running]
    if suppress is not None and not len(suppress):
        show.note(f"{job.suppress} suppresses nobody: it is empty.")
    if plan.max_contacts is not None and contacts is None:
        show.note(
            f"The plan limits contacts to {plan.max_contacts}, but none were given (--contacts): all may be asked."
        )
    past = _kept(job.campaigns)
    if job.campaigns is not None and past is None:
        show.note(f"{job.campaigns} holds no finished campaigns yet: the effects are those that the plan states.")
    with show.stage("choose"):
        found = plan_audience(
            scores, plan, budget=job.budget, suppress=suppress, contacts=contacts, past=past, running=running
        )
    with show.stage("write"):
        _write_audience(found, target, account, others)
    left = "" if others is None else f"\nLeft out, why:  {others}"
    return f"{found}\n\nFor the CRM:    {target}\nThe whole plan: {account}{left}"


def _write_audience(found: Audience, target: Path, account: Path, others: Path | None) -> None:
    """All files are ready before any takes its place."""

    def write(csv: Path, plan: Path) -> None:
        if others is None:
            found.write(csv, plan)
        else:
            write_aside(others, lambda left_out: found.write(csv, plan, left_out))

    write_aside(target, lambda csv: write_aside(account, lambda plan: write(csv, plan)))


def outcome_job(open_log: Callable[[], Transactions], job: OutcomeJob) -> str:
    """Compare treated with control in the log, and keep a finished campaign; what is printed."""
    from clvml.campaigns.learning.past import read_campaigns
    from clvml.campaigns.learning.promised import promised_text
    from clvml.campaigns.outcome import keep_outcome, measure_outcome
    from clvml.campaigns.outcome.window import campaign_log

    target = check_target(job.out, (".json",)) if job.out else None
    if job.campaigns is not None:
        check_new_folder(job.campaigns, "--campaigns")
        if _kept(job.campaigns) is not None:
            read_campaigns(job.campaigns)  # what cannot be read is said before another is kept beside it
    table = read_table(job.audience, "audience")
    log = open_log()
    with Terminal(1, verbose=job.verbose, quiet=job.quiet).stage("compare"):
        log = campaign_log(log, table["customer_id"]) if len(table) else log  # once, for what keeps it as well
        found = measure_outcome(
            table,
            log,
            start=job.start,
            end=job.end,
            by=job.by,
            incentive_in_log=job.incentive_in_log,
            level=job.level,
        )
    parts = [str(found)]
    if job.campaigns is not None and found.complete:
        campaigns = keep_outcome(table, log, found, job.campaigns, incentive_in_log=job.incentive_in_log)
        parts += [heading("Promised and delivered, after costs"), *promised_text(campaigns)]
        parts += [f"\nThe next plan learns from them: {job.campaigns}"]
    elif job.campaigns is not None:
        parts += [f"\nNot kept in {job.campaigns} yet: its window ends on {found.planned_end}."]
    parts += [f"\n{log.state_note}"] if log.state_note else []
    return _written(parts, target, found.to_dict())


def surrogate_job(open_log: Callable[[], Transactions], job: SurrogateJob) -> str:
    """Compare what the histories of treated and control are expected to bring; what is printed."""
    from clvml import tracking
    from clvml.campaigns.outcome import measure_surrogate

    target = check_target(job.out, (".json",)) if job.out else None
    show = Terminal(3, verbose=job.verbose, quiet=job.quiet)
    table = read_table(job.audience, "audience")
    with show.stage("load the model"):
        model = tracking.load_model(job.model, tracking_uri=job.tracking_uri)
    with show.stage("read"):
        log = open_log()
    with show.stage("compare"):
        found = measure_surrogate(
            table,
            log,
            model,
            ahead=job.ahead,
            end=job.end,
            past=_kept(job.campaigns),
            incentive_in_log=job.incentive_in_log,
            level=job.level,
        )
    return _written([str(found)], target, found.to_dict())


def _kept(campaigns: Path | None) -> Path | None:
    """The folder of finished campaigns, where it holds any. Raises OptionError where there is a file in its place."""
    if campaigns is None:
        return None
    if campaigns.exists() and not campaigns.is_dir():
        raise OptionError(f"--campaigns {campaigns} is a file. Name the folder of finished campaigns.")
    return campaigns if any(campaigns.glob("*.parquet")) else None


def programme_job(open_log: Callable[[], Transactions], job: ProgrammeJob) -> str:
    """Compare all others with those held out of all campaigns; what is printed."""
    from clvml.campaigns.outcome import measure_programme
    from clvml.campaigns.plan_file import read_plan

    if job.start is None:
        raise OptionError("--universal needs --start: the day on which the first campaign began.")
    target = check_target(job.out, (".json",)) if job.out else None
    plan = read_plan(job.plan)
    with Terminal(1, verbose=job.verbose, quiet=job.quiet).stage("compare"):
        found = measure_programme(
            open_log(),
            job.start,
            end=job.end,
            salt=plan.salt,
            holdout_share=plan.holdout_share,
            cost=job.spent,
            level=job.level,
        )
    return _written([str(found)], target, found.to_dict())


def _written(parts: list[str], target: Path | None, payload: dict[str, Any]) -> str:
    """The text to print, the figures beside it where a file was asked for."""
    if target is None:
        return "\n".join(parts)
    write_aside(target, lambda aside: aside.write_text(json_text(payload), encoding="utf-8"))
    return "\n".join([*parts, f"\nEvery figure: {target}"])


def monitor_job(open_log: Callable[[], Transactions], job: MonitorJob) -> tuple[str, bool]:
    """Compare past scores with the log and record it; (what is printed, whether a new model is due)."""
    return monitored(lambda: (open_log(), read_table(job.scores, "scores")), job)


def monitored(opened: Callable[[], tuple[Transactions, pd.DataFrame]], job: MonitorJob) -> tuple[str, bool]:
    """The same of a log and scores that were opened, or drawn, elsewhere."""
    from clvml import tracking
    from clvml.evaluation.monitoring import monitor

    target = check_target(job.out, (".json",)) if job.out else None
    show = Terminal(2, verbose=job.verbose, quiet=job.quiet)
    with show.stage("compare"):
        log, scores = opened()
        report = monitor(log, scores)
    with show.stage("record in MLflow"):
        unfinished = tracking.check_store(job.experiment, tracking_uri=job.tracking_uri)
        model = str(scores["model"].iloc[0]) if "model" in scores else ""
        run = tracking.log_monitor(report, model, experiment=job.experiment, tracking_uri=job.tracking_uri)
    for note in unfinished:
        show.note(note)
    if target is not None:
        write_aside(target, lambda aside: aside.write_text(json_text(report.to_dict()), encoding="utf-8"))
    text = "\n".join(wrapped(line) if line.startswith("A new model") else line for line in str(report).splitlines())
    if log.is_sample:
        text += f"\nCompared on {report.customers:,} scored customers, drawn evenly from all (--sample)."
    text += log.state_note and f"\n{log.state_note}"
    return f"{text}\n\nrun      {run}" + (f"\nreport   {target}" if target else ""), bool(report.due)


def _with_attributes(scores: pd.DataFrame, attributes: pd.DataFrame) -> pd.DataFrame:
    """The scores with what else is known of their customers; columns that the scores have stay theirs."""
    from clvml.tables import canonical_ids

    if "customer_id" not in attributes:
        raise DataError("The attributes have no column 'customer_id'.")
    more = attributes[[name for name in attributes if name not in scores]]
    more.index = pd.Index(canonical_ids(attributes["customer_id"]))
    twice = more.index.duplicated()
    if twice.any():
        first = shown_id(more.index[twice][0])
        raise DataError(f"{twice.sum():,} customers stand twice in the attributes, first '{first}'.")
    own = more.reindex(canonical_ids(scores["customer_id"]))
    if not own.index.isin(more.index).any():
        raise DataError("The attributes are of none of the scored customers: check how ids are written.")
    return pd.concat([scores.reset_index(drop=True), own.reset_index(drop=True)], axis=1)
